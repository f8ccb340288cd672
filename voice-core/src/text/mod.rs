//! Text on its way to the voice: clauses, and words as they are spoken.

pub mod chunker;
