//! Watches everything that this process logs, at every level, for what must not stand in a log.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::filter::LevelFilter;

/// What must not be logged.
static FORBIDDEN: Mutex<Vec<&str>> = Mutex::new(Vec::new());
/// What was.
static FOUND: Mutex<Vec<&str>> = Mutex::new(Vec::new());
static LINES: AtomicU64 = AtomicU64::new(0);

/// Begins to watch for these words, beside those that are watched for already.
pub fn watch(words: &[&'static str]) {
    static STARTED: Once = Once::new();
    FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner).extend(words);
    STARTED.call_once(|| {
        // Where another subscriber was first there are no lines, which whoever asks will see.
        let _ = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(|| Reader)
            .try_init();
    });
}

/// How many lines were logged, and which of the words stood in them.
pub fn seen() -> (u64, Vec<&'static str>) {
    (LINES.load(Ordering::Relaxed), FOUND.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Reads instead of writing. One call has one line.
struct Reader;

impl io::Write for Reader {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(line);
        let forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
        for &word in forbidden.iter().filter(|word| text.contains(**word)) {
            let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
            if !found.contains(&word) {
                found.push(word);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
