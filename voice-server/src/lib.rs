//! The server around the voice engine.
