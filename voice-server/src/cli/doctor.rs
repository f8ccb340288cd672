//! `voice doctor`: tries what is configured, one line each, and says what to mend.

use std::process::ExitCode;

use tokio::net::TcpListener;
use voice_core::turn::Policy;

use crate::config::{Config, Flags};
use crate::data::{SqliteStore, Store as _};
use crate::engine;
use crate::error::Failure;
use crate::voice::call::Answerer as _;

/// Tries everything. Status 0 where all works, 2 where the settings are wrong, else 1.
pub(super) fn run(flags: &Flags) -> ExitCode {
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(error) => return super::fail(&error.into()),
    };
    println!("ok    settings");
    let healthy = match super::runtime() {
        Ok(runtime) => runtime.block_on(examine(&config)),
        Err(error) => return super::fail(&error.into()),
    };
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn examine(config: &Config) -> bool {
    let mut healthy = true;
    let mut say = |works: bool, what: &str, note: &str| {
        healthy &= works;
        let mark = if works { "ok   " } else { "fault" };
        if note.is_empty() { println!("{mark} {what}") } else { println!("{mark} {what}: {note}") }
    };
    match TcpListener::bind(config.bind).await {
        Ok(_) => say(true, "address", &config.bind.to_string()),
        Err(error) => {
            let failure = Failure::Bind { address: config.bind, detail: error.to_string() };
            say(false, "address", &failure.to_string());
        }
    }
    match SqliteStore::open(&config.data).await {
        Ok(store) => {
            let answer = store.ping().await.map_err(Failure::from);
            let note = answer.as_ref().err().map(ToString::to_string);
            say(answer.is_ok(), "database", note.as_deref().unwrap_or(&config.data.display().to_string()));
            store.close().await;
        }
        Err(error) => say(false, "database", &Failure::from(error).to_string()),
    }
    let built = match engine::build(config, Policy::default()).await {
        Ok(built) => built,
        Err(error) => {
            say(false, "engine", &error.to_string());
            return healthy;
        }
    };
    for stage in built.stages() {
        let note = if stage.note.is_empty() {
            stage.provider
        } else {
            format!("{}, {}", stage.provider, stage.note)
        };
        say(stage.ready, stage.stage, &note);
    }
    for name in &config.unused {
        println!("note  {name} is set and without effect in this version");
    }
    healthy
}
