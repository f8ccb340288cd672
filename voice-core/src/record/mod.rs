//! Records of calls: the journal of what the turn machine was told and what it decided.
//!
//! A journal is text, one JSON object a line: a header, then each input with its session time, then the orders that
//! followed. Since the machine is pure, replaying the inputs gives the same orders byte for byte; a difference means
//! that the rules or the settings have changed. Pure; callers: `voice replay`, tests.
//!
//! [`ogg`] writes sound: the files of the playout and of the server's recordings.

mod journal;
pub mod ogg;

pub use journal::{Difference, Entry, Journal, JournalError, JournalWriter};
