//! Showing how far a pull is: a bar on a terminal, else one plain line a file. All of it goes to stderr.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::print;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A moving bar for each file.
    Bars,
    /// One line when a file starts and nothing else.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    /// Bars if stderr is a terminal, else lines.
    pub fn for_terminal() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars } else { Self::Lines }
    }

    /// Starts showing one piece of work of `size` bytes.
    pub(super) fn start(self, doing: &str, name: &str, size: u64) -> Bar {
        let bar = match self {
            Self::Bars => {
                let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_message(format!("{doing} {name}"));
                bar.enable_steady_tick(Duration::from_millis(200));
                bar
            }
            Self::Lines => {
                print::aside(format_args!("{doing} {name} ({})", megabytes(size)));
                ProgressBar::hidden()
            }
            Self::Silent => ProgressBar::hidden(),
        };
        Bar(bar)
    }

    /// Says one line that is not about a single file.
    pub(super) fn say(self, line: &str) {
        if self != Self::Silent {
            print::aside(line);
        }
    }
}

const TEMPLATE: &str = "{msg:44!} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// One file's progress. Leaves the terminal clean when dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// So many bytes are done.
    pub(super) fn reach(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A size for people, in steps of 0.1 MB.
pub(super) fn megabytes(bytes: u64) -> String {
    if bytes < 100_000 {
        format!("{:.1} kB", bytes as f64 / 1e3)
    } else {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}
