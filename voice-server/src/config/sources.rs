//! Where settings come from: a TOML file, `.env`, the environment. Gives text by setting, with its origin.
//!
//! Refuses names that the table does not know; does not judge values. Caller: [`super::Config::load`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::keys::{self, KEYS, Key};

/// The raw text of every setting that is given, keyed by its environment name.
#[derive(Clone, Debug, Default)]
pub(super) struct Given(BTreeMap<&'static str, Raw>);

/// One given setting.
#[derive(Clone)]
pub(super) struct Raw {
    /// The text; a TOML array is joined by commas.
    pub(super) text: String,
    /// The name under which it was given, for errors.
    pub(super) name: String,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "given as {}", self.name)
    }
}

impl Given {
    /// The text of a setting, if it was given.
    pub(super) fn of(&self, key: &Key) -> Option<&Raw> {
        self.0.get(key.env)
    }

    /// Takes what a flag of the command line says; it wins over everything.
    pub(super) fn set(&mut self, key: &'static Key, flag: &str, text: String) {
        self.0.insert(key.env, Raw { text, name: flag.to_owned() });
    }

    /// Takes every pair whose name is ours. Pairs given later win; empty values count as unset.
    ///
    /// # Errors
    /// A `VOICE_*` name that the table does not have.
    pub(super) fn add_environment(
        &mut self,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let pairs: BTreeMap<String, String> =
            pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        for name in pairs.keys() {
            if name.starts_with("VOICE_") && keys::by_env(name).is_none() {
                return Err(unknown_variable(name));
            }
        }
        for key in KEYS {
            let named = [Some(key.env), key.alias].into_iter().flatten();
            if let Some((name, text)) = named.filter_map(|name| pairs.get_key_value(name)).next() {
                self.0.insert(key.env, Raw { text: text.trim().to_owned(), name: name.clone() });
            }
        }
        Ok(())
    }

    /// Takes a TOML document.
    ///
    /// # Errors
    /// The text is no TOML, has a key that the table does not have, or a value of a type no setting has.
    pub(super) fn add_toml(&mut self, text: &str, file: &Path) -> Result<(), ConfigError> {
        let document: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Toml {
            file: file.to_owned(),
            // The message alone: the full display repeats the line, which may hold a secret.
            detail: match error.span() {
                Some(span) => format!(
                    "line {}: {}",
                    text[..span.start.min(text.len())].matches('\n').count() + 1,
                    error.message()
                ),
                None => error.message().to_owned(),
            },
        })?;
        for (section, value) in &document {
            let toml::Value::Table(entries) = value else {
                return Err(unknown_toml(section, file));
            };
            if entries.is_empty() && !sections().contains(section.as_str()) {
                return Err(ConfigError::UnknownKey {
                    name: section.clone(),
                    file: file.to_owned(),
                    near: nearest(section, sections().into_iter()),
                });
            }
            for (name, value) in entries {
                let path = format!("{section}.{name}");
                let Some(key) = keys::by_toml(&path) else {
                    return Err(unknown_toml(&path, file));
                };
                let Some(text) = as_text(value) else {
                    return Err(ConfigError::Malformed { name: path, expected: key.kind.describe() });
                };
                if !text.trim().is_empty() {
                    self.0.insert(key.env, Raw { text, name: path });
                }
            }
        }
        Ok(())
    }
}

/// The environment as text. What is no text is left out where its name is not ours.
///
/// # Errors
/// A value of ours that is no text, or a `VOICE_*` name that is none.
pub(super) fn texts(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut texts = Vec::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => texts.push((name, value)),
            (Ok(name), Err(_)) => {
                if keys::by_env(&name).is_some() {
                    return Err(ConfigError::NotText { name });
                }
                if name.starts_with("VOICE_") {
                    return Err(unknown_variable(&name));
                }
            }
            (Err(name), _) => {
                let name = name.to_string_lossy();
                if name.starts_with("VOICE_") {
                    return Err(unknown_variable(&name));
                }
            }
        }
    }
    Ok(texts)
}

/// Reads `.env` where there is one; nothing where there is none.
///
/// # Errors
/// The file is there and cannot be read, or a line of it is no assignment.
pub(super) fn read_dotenv(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let unreadable = |detail: String| ConfigError::Unreadable { file: PathBuf::from(path), detail };
    match dotenvy::from_path_iter(path) {
        Ok(lines) => lines.collect::<Result<Vec<_>, _>>().map_err(|error| match error {
            // The line may hold a secret, so only its place is told.
            dotenvy::Error::LineParse(_, at) => {
                unreadable(format!("a line is no NAME=value, near column {at}"))
            }
            other => unreadable(other.to_string()),
        }),
        Err(error) if error.not_found() => Ok(Vec::new()),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn unknown_variable(name: &str) -> ConfigError {
    ConfigError::UnknownVariable {
        name: name.to_owned(),
        near: nearest(name, KEYS.iter().map(|key| key.env)),
    }
}

/// The sections of the file.
fn sections() -> BTreeSet<&'static str> {
    KEYS.iter().filter_map(|key| key.toml.split('.').next()).collect()
}

fn unknown_toml(path: &str, file: &Path) -> ConfigError {
    ConfigError::UnknownKey {
        name: path.to_owned(),
        file: file.to_owned(),
        near: nearest(path, KEYS.iter().map(|key| key.toml)),
    }
}

fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

/// The known name that is at most three edits away, for "did you mean".
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein's distance, row by row.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
