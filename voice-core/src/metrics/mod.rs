//! Accounts: the latency ledger of every turn, in which each millisecond from the last voiced sample to the first sound has
//! one owner, and the meter of every call, which tells what it used of its providers.

mod ledger;
mod meter;

pub use ledger::{Ledger, Stage};
pub use meter::{Count, Measure, Meter, Used};
