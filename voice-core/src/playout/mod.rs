//! Playout: when audio leaves, in which pieces, and what of it the caller has heard.
//!
//! [`Playout`] takes a reply's samples as they come from the voice and gives them out in time: raw 20 ms frames with a
//! small lead, or whole messages that a browser plays one after another. It keeps the playback ledger: what was
//! queued, sent and heard, and which words that was. Pure; the session calls it and encodes what it gives.

mod cut;
mod ledger;
mod marks;

pub use ledger::{Piece, Playout, Shape};
pub use marks::Marks;
