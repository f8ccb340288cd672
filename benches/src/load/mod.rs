//! The load runs, one file each. Every run is bounded, stays on this machine, and ends the servers it started.

pub mod calls;
pub mod churn;
pub mod latency;
pub mod local;
pub mod peers;
pub mod rest;
pub mod services;
mod talk;

use std::io;

/// Runs a client's work on one thread.
fn on_one_thread<F: Future>(work: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
