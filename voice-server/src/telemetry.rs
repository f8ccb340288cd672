//! The log: lines for people on a terminal, JSON otherwise, to the standard error.
//!
//! Nothing logged holds a caller's words, a query of an address, or a secret; who adds a line keeps it so.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Starts the log of this process. `filter` is checked already; a second call does nothing.
pub fn start(filter: &str) {
    // Libraries say little below a warning that concerns an operator.
    let filter = EnvFilter::try_new(format!("sqlx=warn,hyper=warn,{filter}")).unwrap_or_default();
    // A closed error stream loses lines; telling so there would end the program.
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let started = if std::io::stderr().is_terminal() {
        log.compact().with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    // Only a second start fails, and the first one's log goes on.
    let _ = started;
}
