//! Printing for people and programs that may stop reading: a closed pipe ends the printing quietly, never the program.
//!
//! `println!` and `eprintln!` panic where nobody reads; everything the commands say goes through here instead. Callers: `cli`, `replay`,
//! `models` and the start of the server.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Nobody reads the standard output any more, or it takes nothing; what is printed from then on goes nowhere.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// The output failed otherwise than by its reader's leaving: words are lost that somebody wanted.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether printing still reaches somebody. Where it does not, long work for the printing alone may stop.
pub(crate) fn is_open() -> bool {
    !CLOSED.load(Ordering::Relaxed)
}

/// Whether something printed could not be written though somebody wanted it, such as on a full disk.
pub(crate) fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Writes to the standard output at once, without a line end of its own.
pub(crate) fn out(text: Arguments<'_>) {
    if !is_open() {
        return;
    }
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        CLOSED.store(true, Ordering::Relaxed);
        if is_trouble(&error) {
            FAILED.store(true, Ordering::Relaxed);
            self::error(format_args!("the output cannot be written: {error}"));
        }
    }
}

/// The same with a line end behind it.
pub(crate) fn line(text: Arguments<'_>) {
    out(format_args!("{text}\n"));
}

/// One sentence to the error stream, under the program's name.
pub(crate) fn error(text: impl std::fmt::Display) {
    aside(format_args!("voice: {text}"));
}

/// A line to the error stream that is no fault, such as what is being fetched.
pub(crate) fn aside(text: impl std::fmt::Display) {
    // Where nobody reads the error stream there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A reader that has had enough, as `head` has, is no trouble.
fn is_trouble(error: &io::Error) -> bool {
    error.kind() != ErrorKind::BrokenPipe
}

/// `print!` for outputs that may be closed.
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::print::out(format_args!($($arg)*)) };
}

/// `println!` for outputs that may be closed.
macro_rules! say_line {
    () => { $crate::cli::print::out(format_args!("\n")) };
    ($($arg:tt)+) => { $crate::cli::print::line(format_args!($($arg)+)) };
}

pub(crate) use {say, say_line};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_who_left_is_no_trouble() {
        assert!(!is_trouble(&ErrorKind::BrokenPipe.into()));
        assert!(is_trouble(&ErrorKind::StorageFull.into()));
    }
}
