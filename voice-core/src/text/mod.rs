//! Text on its way to a voice.

pub mod speakable;
