//! Text on its way to and from speech: clauses for the voice, words for comparing. Pure.

pub mod chunker;
pub mod spoken_numbers;
pub mod words;
