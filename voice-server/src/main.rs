//! The `voice` program.

fn main() {}
