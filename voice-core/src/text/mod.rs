//! Text on its way to and from speech: clauses for the voice, spoken forms, words for comparing. Pure.

pub mod chunker;
pub mod speakable;
pub mod spoken_numbers;
pub mod words;
