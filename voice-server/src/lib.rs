//! The server around the voice engine.

#[cfg(feature = "local")]
pub mod models;
