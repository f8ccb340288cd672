//! `load latency`: what the engine adds between the voice's first audio and the caller's socket.

use std::io;
use std::time::Duration;

use serde_json::json;

use super::services::{Providers, Services};
use super::talk::{Arriving, Crowd};
use crate::client::Wanted;
use crate::figures::write_result;
use crate::process::{Server, can_pin};
use crate::recorded;
use crate::scripted::Script;

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Turns of the single call.
    #[arg(long, default_value_t = 200)]
    pub turns: u32,
    /// Calls of the second part; 0 leaves it out.
    #[arg(long, default_value_t = 100)]
    pub calls: u32,
    /// Turns of each of them.
    #[arg(long, default_value_t = 3)]
    pub crowd_turns: u32,
    /// Who hears, answers and speaks.
    #[command(flatten)]
    pub providers: Providers,
    /// The server.
    #[command(flatten)]
    pub script: Script,
}

/// Measures one call with many turns, then many calls at peer load.
///
/// # Errors
/// The server cannot be started, or the result not written.
pub fn run(options: &Options) -> io::Result<()> {
    // The voice speaks at the socket's rate, so that its mark arrives.
    let script = Script { voice_rate: 16_000, ..options.script.clone() };
    let short = Script { answer: 300, ..script.clone() };
    let one = Crowd {
        calls: 1,
        turns: options.turns,
        utterance: recorded::short_utterance()?,
        wanted: Wanted::Pcm16,
        arriving: Arriving::AtOnce,
        lead: Duration::from_millis(500),
        cycle: Duration::from_millis(1_800),
        answer: Duration::from_millis(short.answer),
    };
    let hundred = Crowd {
        calls: options.calls,
        turns: options.crowd_turns,
        utterance: recorded::peer_utterance()?,
        wanted: Wanted::Pcm16,
        arriving: Arriving::AtOnce,
        lead: Duration::from_millis(1_500),
        cycle: Duration::from_millis(8_500),
        answer: Duration::from_millis(script.answer),
    };
    let mut result = json!({ "pinned": can_pin(), "least_ms": script.least().as_millis() as u64 });
    for (crowd, mut script) in [(one, short), (hundred, script)] {
        if crowd.calls == 0 || crowd.turns == 0 {
            continue;
        }
        println!("latency: {} calls, {} turns each, {:.0?}", crowd.calls, crowd.turns, crowd.lasts());
        let short = (crowd.calls == 1).then_some(crowd.answer);
        let services = options.providers.stand_ins.then(|| Services::start(short)).transpose()?;
        script.cloud = services.as_ref().map(|services| services.base.clone());
        let server = Server::scripted(&script)?;
        let heard = super::on_one_thread(crowd.talk(server.address))?;
        result[format!("calls_{}", crowd.calls)] = heard.report();
    }
    write_result(if options.providers.stand_ins { "latency_stand_ins" } else { "latency" }, result)
}
