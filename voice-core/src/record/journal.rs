//! The journal's format, its writer, and the replay that finds the first difference.

use serde::{Deserialize, Serialize};

use crate::time::SessionTime;
use crate::turn::{Dialogue, Input, Policy};

/// What a journal's first line says.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    journal: String,
    version: u32,
}

const NAME: &str = "voice";
const VERSION: u32 = 1;
/// A line holds one input; the longest is a transcript.
const LONGEST_LINE: usize = 64 * 1024;
/// Entries of a call of some hours.
const MOST_ENTRIES: usize = 4_000_000;

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The call greets.
    Greet {
        /// When, in nanoseconds of session time.
        at: SessionTime,
        /// With which words.
        text: String,
    },
    /// A fact was handed in.
    Input {
        /// When it became known.
        at: SessionTime,
        /// The fact.
        input: Input,
    },
    /// The clock was handed in.
    Timeout {
        /// What it said.
        at: SessionTime,
    },
    /// The machine gave an order, in the form that its `Debug` prints.
    Order(String),
}

/// Writes a journal line by line into a text that its owner takes away.
#[derive(Debug, Default)]
pub struct JournalWriter {
    text: String,
    started: bool,
}

impl JournalWriter {
    /// Adds one entry, after the header where it is the first.
    pub fn put(&mut self, entry: &Entry) {
        if !self.started {
            self.started = true;
            self.line(&Header { journal: NAME.to_owned(), version: VERSION });
        }
        self.line(entry);
    }

    /// Takes what was written so far.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn line(&mut self, value: &impl Serialize) {
        // Both types are plain values; serialising them cannot fail.
        if let Ok(line) = serde_json::to_string(value) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }
}

/// A journal that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// Its entries in order.
    pub entries: Vec<Entry>,
}

/// Where a replay first differs from the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which line of the journal, counted from 1.
    pub line: usize,
    /// The order that was recorded; `None` where none was.
    pub recorded: Option<String>,
    /// The order that is given now; `None` where none is.
    pub now: Option<String>,
}

/// Why a text is not a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The first line is not a journal's.
    #[error("this is not a journal of a call")]
    NoHeader,
    /// Written by a newer program.
    #[error("this journal has format {0}; this program reads format {VERSION}")]
    Version(u32),
    /// A line is not an entry.
    #[error("line {line} of the journal cannot be read: {detail}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// More than a journal holds.
    #[error("the journal is too long")]
    TooLong,
}

impl Journal {
    /// Reads a journal. A last line that was cut off is left out, as a crash leaves it.
    ///
    /// # Errors
    /// The text is no journal, or a line in it is broken.
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().ok_or(JournalError::NoHeader)?;
        let header: Header = serde_json::from_str(first).map_err(|_| JournalError::NoHeader)?;
        if header.journal != NAME {
            return Err(JournalError::NoHeader);
        }
        if header.version != VERSION {
            return Err(JournalError::Version(header.version));
        }
        let whole = if text.ends_with('\n') { usize::MAX } else { text.lines().count() - 1 };
        let mut entries = Vec::new();
        for (i, line) in lines.take_while(|(i, _)| *i < whole) {
            if line.len() > LONGEST_LINE || entries.len() >= MOST_ENTRIES {
                return Err(JournalError::TooLong);
            }
            let entry = serde_json::from_str(line)
                .map_err(|e| JournalError::Line { line: i + 1, detail: e.to_string() })?;
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// Hands the recorded inputs to a fresh machine and compares its orders with the recorded ones.
    pub fn first_difference(&self, policy: Policy) -> Option<Difference> {
        let mut dialogue = Dialogue::new(policy);
        let mut line = 1;
        for entry in &self.entries {
            line += 1;
            let recorded = match entry {
                Entry::Order(order) => Some(order.clone()),
                _ => None,
            };
            let now = dialogue.poll_command().map(|c| format!("{c:?}"));
            if recorded != now {
                return Some(Difference { line, recorded, now });
            }
            match entry {
                Entry::Greet { at, text } => dialogue.greet(text, *at),
                Entry::Input { at, input } => dialogue.handle_input(input.clone(), *at),
                Entry::Timeout { at } => dialogue.handle_timeout(*at),
                Entry::Order(_) => {}
            }
        }
        dialogue.poll_command().map(|c| Difference {
            line: line + 1,
            recorded: None,
            now: Some(format!("{c:?}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::ids::UtteranceId;

    use super::*;

    fn record() -> String {
        let mut dialogue = Dialogue::new(Policy::default());
        let mut writer = JournalWriter::default();
        let at = SessionTime::from_millis;
        let inputs = [
            (at(100), Input::Arrived),
            (at(200), Input::SpeechStarted { at: at(120) }),
            (at(900), Input::SpeechEnded { last_voiced: at(800) }),
            (at(930), Input::Scored { utterance: UtteranceId(1), last_voiced: at(800), complete: 0.93 }),
            (at(1_010), Input::Listened { until: at(1_005) }),
            (at(1_040), Input::Final { utterance: UtteranceId(1), text: "how much is it".into() }),
        ];
        for (now, input) in inputs {
            writer.put(&Entry::Input { at: now, input: input.clone() });
            dialogue.handle_input(input, now);
            while let Some(command) = dialogue.poll_command() {
                writer.put(&Entry::Order(format!("{command:?}")));
            }
        }
        writer.take()
    }

    #[test]
    fn a_replay_gives_the_same_orders() {
        let journal = Journal::parse(&record()).expect("a journal");
        assert!(journal.entries.iter().any(|e| matches!(e, Entry::Order(o) if o.contains("StartReply"))));
        assert_eq!(journal.first_difference(Policy::default()), None);
    }

    #[test]
    fn another_setting_shows_its_first_difference() {
        let journal = Journal::parse(&record()).expect("a journal");
        let policy = Policy { silence: Duration::from_millis(300), ..Policy::default() };
        let difference = journal.first_difference(policy).expect("a later end of turn");
        assert!(difference.recorded.is_some_and(|o| o.contains("FinaliseUtterance")));
        assert_eq!(difference.now, None);
    }

    #[test]
    fn what_is_no_journal_is_refused_and_a_cut_tail_is_left_out() {
        assert_eq!(Journal::parse(""), Err(JournalError::NoHeader));
        assert_eq!(Journal::parse("RIFF"), Err(JournalError::NoHeader));
        let text = record();
        let whole = Journal::parse(&text).expect("a journal");
        let cut = Journal::parse(&text[..text.len() - 5]).expect("a journal with a cut tail");
        assert_eq!(cut.entries.len() + 1, whole.entries.len());
        let broken = text.replace("\"input\"", "\"imput\"");
        assert!(matches!(Journal::parse(&broken), Err(JournalError::Line { line: 2, .. })));
        assert_eq!(
            Journal::parse(&text.replace("\"version\":1", "\"version\":9")),
            Err(JournalError::Version(9))
        );
    }
}
