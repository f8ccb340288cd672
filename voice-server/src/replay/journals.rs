//! `voice replay --diff`: journals replayed, and where the orders first differ from the recorded ones.

use std::path::Path;

use voice_core::record::{Journal, JournalError};
use voice_core::turn::Policy;

use super::{ReplayError, ReplayOptions, Worst};
use crate::cli::print::{self, say_line};

/// The largest journal that is read, in bytes: hours of a call; it is held as text and as entries.
const LARGEST: u64 = 256 << 20;

/// Replays journals, prints where the orders first differ from the recorded ones, and tells the worst that happened: a
/// difference counts as a failure of the pipeline, a file that is no journal as a bad input. Goes on after either.
pub fn diff(options: &ReplayOptions, policy: &Policy) -> Worst {
    let mut worst = Worst::default();
    for path in &options.paths {
        if let Err(error) = diff_one(path, policy) {
            print::error(&error);
            worst.add(&error);
        }
    }
    worst
}

fn diff_one(path: &Path, policy: &Policy) -> Result<(), ReplayError> {
    let shown = path.display();
    let journal = read(path).map_err(|detail| ReplayError::Input(format!("{shown}: {detail}")))?;
    let Some(difference) = journal.first_difference(policy.clone()) else {
        say_line!("{shown}: the same orders");
        return Ok(());
    };
    let or_none = |order: Option<String>| order.unwrap_or_else(|| "nothing".to_owned());
    say_line!("{shown}: differs at line {}", difference.line);
    say_line!("  recorded  {}", or_none(difference.recorded));
    say_line!("  now       {}", or_none(difference.now));
    Err(ReplayError::Pipeline(format!("{shown}: the replay differs from the record")))
}

fn read(path: &Path) -> Result<Journal, String> {
    let about = std::fs::metadata(path).map_err(|e| format!("the file cannot be opened: {e}"))?;
    if about.is_dir() {
        return Err("this is a folder; --diff takes session journals, one file each".to_owned());
    }
    if about.len() > LARGEST {
        return Err("the file is larger than any session journal (256 MiB)".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|e| format!("the file cannot be read: {e}"))?;
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) => Journal::parse(text),
        Err(_) => Err(JournalError::NoHeader),
    };
    parsed.map_err(|error| match error {
        JournalError::NoHeader => {
            "this is no session journal, and --diff takes nothing else; replay a recording without --diff"
                .to_owned()
        }
        other => other.to_string(),
    })
}
