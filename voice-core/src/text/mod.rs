//! Text on its way to the voice: clauses, and words as they are spoken.

pub mod chunker;
pub mod speakable;
mod spoken_numbers;
pub mod words;
