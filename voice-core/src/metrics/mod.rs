//! Latency ledger of every turn: each millisecond from the last voiced sample to the first sound has one owner.

mod ledger;

pub use ledger::{Ledger, Stage};
