//! FOR THE LEAD TO REPLACE: `voice replay`. Only what the command line passes is settled here.

use std::process::ExitCode;

pub use crate::cli::ReplayArgs;

/// Runs recorded audio through the pipeline.
pub fn run(_args: ReplayArgs) -> ExitCode {
    eprintln!("voice: this build has no replay yet");
    ExitCode::FAILURE
}
