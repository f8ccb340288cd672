//! `voice models pull` and `voice models list`: the front of `crate::models`.

use std::process::ExitCode;

use clap::Subcommand;
use voice_core::local::weights::Cache;

use super::print::{self, say_line};
use crate::config::{Config, Flags};
use crate::models::{self, Mirror, PullOptions};

/// What `voice models` takes.
#[derive(Debug, Subcommand)]
pub(super) enum ModelsCommand {
    /// Bring the weights that are missing, checked by SHA-256
    Pull,
    /// Show which weights are here, with their licences
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command and gives the status.
pub(super) fn run(command: ModelsCommand, flags: &Flags) -> ExitCode {
    let Some(cache) = Cache::of_user() else {
        print::error("there is no folder for the weights; set HOME or XDG_CACHE_HOME and try again");
        return ExitCode::FAILURE;
    };
    match command {
        ModelsCommand::List { json } => list(&cache, json),
        ModelsCommand::Pull => pull(cache, flags),
    }
}

fn list(cache: &Cache, json: bool) -> ExitCode {
    let listing = models::list(cache);
    if !json {
        say_line!("{listing}");
        return ExitCode::SUCCESS;
    }
    match listing.to_json() {
        Ok(text) => {
            say_line!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            print::error(format_args!("the list cannot be written as JSON: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn pull(cache: Cache, flags: &Flags) -> ExitCode {
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(error) => return super::fail(&error.into()),
    };
    let mut options = PullOptions::new(cache);
    if let Some(address) = &config.models_url {
        match address.parse::<Mirror>() {
            Ok(mirror) => options.mirror = Some(mirror),
            Err(error) => {
                print::error(error);
                return ExitCode::from(2);
            }
        }
    }
    let pulled = match super::runtime() {
        Ok(runtime) => runtime.block_on(models::pull(&options)),
        Err(error) => return super::fail(&error.into()),
    };
    match pulled {
        Ok(report) => {
            say_line!("{} files are ready in {}", report.ready.len(), options.cache.folder().display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            print::error(error);
            ExitCode::FAILURE
        }
    }
}
