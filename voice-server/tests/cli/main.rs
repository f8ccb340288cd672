//! The command line of the real program: what it prints, where, and the status it ends with.
//!
//! Each test runs the program in a folder of its own without anybody's settings. Those that want the local models say
//! so loudly where they are missing, and fail in the gate. No other test may fetch them: an empty cache, an empty mirror
//! and a path without `pip` see to that.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod doctor;
mod pipes;
mod program;
mod refusals;
mod replay;
mod serve;

// How the calls of `e2e` start the program, and their rule for what is left out.
#[allow(dead_code)]
#[path = "../e2e/server.rs"]
mod server;
