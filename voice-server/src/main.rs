//! The `voice` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    voice_server::cli::main()
}
