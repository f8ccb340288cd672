//! `docs/CONFIG.md`, written from the table in [`super::keys`].

use std::fmt::Write as _;

use super::keys::{KEYS, Used};

/// The document as it must stand in `docs/CONFIG.md`.
pub fn document() -> String {
    let mut text = String::from(HEAD);
    let mut section = "";
    for key in KEYS {
        let of = key.toml.split('.').next().unwrap_or_default();
        if of != section {
            section = of;
            let _ = write!(
                text,
                "\n## `[{section}]`\n\n| Variable | TOML key | Value | Default | Used from | Effect |\n\
                 |---|---|---|---|---|---|\n"
            );
        }
        let name = match key.alias {
            Some(alias) => format!("`{}` or `{alias}`", key.env),
            None => format!("`{}`", key.env),
        };
        let unit = if key.unit.is_empty() { String::new() } else { format!(" ({})", key.unit) };
        let used = match key.used {
            Used::By(part) => part.to_owned(),
            Used::Later(part) => format!("{part} (later)"),
        };
        let _ = writeln!(
            text,
            "| {name} | `{}` | {}{unit} | {} | {used} | {} |",
            key.toml,
            key.kind.describe(),
            key.default,
            key.effect
        );
    }
    text
}

const HEAD: &str = "# Settings

Written by the program: `voice config-table > voice-server/docs/CONFIG.md`. A test fails if this file is stale.

Settings come from four places; where two give the same setting, the later one in this list wins:

1. a TOML file named by `--config FILE`,
2. the file `.env` in the working directory, if there is one,
3. the environment,
4. the flags of the command line.

An empty variable counts as unset. An unknown TOML key, an unknown `VOICE_*` variable or a malformed value stops the
start and names the culprit; any other variable is ignored. Secrets and addresses that may hold a password are never
shown or logged. A list is separated by commas in a variable and is an array of strings in TOML. `Used from: ...
(later)` marks what is checked at the start and has no effect in this version.

*Unconfigured* means that neither a database address nor `VOICE_AUTH_SECRET` is set; keys of providers do not count.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_in_the_repository_is_the_one_the_program_writes() {
        let stored = include_str!("../../docs/CONFIG.md");
        assert!(
            stored == document(),
            "docs/CONFIG.md is stale: run `cargo run -- config-table > voice-server/docs/CONFIG.md`"
        );
    }
}
