//! How to embed the voice engine: see `embed.rs`, `custom_llm.rs` and `pure.rs` beside this file.
