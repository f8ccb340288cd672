//! `load calls N`: how many calls one core carries at peer load, and what each costs.

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
    /// Calls at once.
    #[arg(default_value_t = 100)]
    pub calls: u32,
    /// Turns of each.
    #[arg(long, default_value_t = 4)]
    pub turns: u32,
    /// Who hears, answers and speaks.
    #[command(flatten)]
    pub providers: Providers,
    /// The server.
    #[command(flatten)]
    pub script: Script,
}

/// One turn in this time.
const CYCLE: Duration = Duration::from_millis(8_500);
/// All calls are open and silent for this long before anybody talks.
const LISTENING: Duration = Duration::from_secs(8);
/// The listening phase is measured this long before its end.
const MARGIN: Duration = Duration::from_secs(1);

/// Measures memory while all only listen, then talks, and measures the processor while all calls talk.
///
/// # Errors
/// The server cannot be started, or the result not written.
pub fn run(options: &Options) -> io::Result<()> {
    let utterance = recorded::peer_utterance()?;
    let calls = options.calls.max(1);
    let answer = Duration::from_millis(options.script.answer);
    let crowd = Crowd {
        calls,
        turns: options.turns.max(1),
        utterance: utterance.clone(),
        wanted: Wanted::Pcm16,
        arriving: Arriving::AtOnce,
        lead: LISTENING,
        cycle: CYCLE,
        answer,
    };
    println!("calls: {calls} at peer load, {} turns each, {:.0?}", crowd.turns, crowd.lasts());
    let services = options.providers.stand_ins.then(|| Services::start(None)).transpose()?;
    let cloud = services.as_ref().map(|services| services.base.clone());
    let server = Server::scripted(&Script { cloud, ..options.script.clone() })?;
    super::on_one_thread(async {
        // One call beforehand, so that what is made once counts as the server's, not the calls'.
        let lead = Duration::from_millis(200);
        let first = Crowd { calls: 1, turns: 1, lead, utterance, ..crowd.clone() };
        first.talk(server.address).await;
        let before = server.usage()?;
        let watching = async {
            tokio::time::sleep(LISTENING - MARGIN).await;
            let listening = server.usage()?;
            // From the first turn of the last caller to the last turn of the first.
            tokio::time::sleep(MARGIN + CYCLE).await;
            let from = server.usage()?;
            let window = CYCLE * (crowd.turns - 1);
            tokio::time::sleep(window).await;
            let to = server.usage()?;
            io::Result::Ok((listening, from, to, window))
        };
        let (heard, watched) = tokio::join!(crowd.talk(server.address), watching);
        let (listening, from, to, window) = watched?;
        let mut result = heard.report();
        let per_call = |kib: u64| kib as f64 / f64::from(calls);
        let idle_kib = per_call(listening.resident_kib.saturating_sub(before.resident_kib));
        let talking_kib = per_call(to.resident_kib.saturating_sub(before.resident_kib));
        println!("  memory a call: listening {idle_kib:.0} KiB, talking {talking_kib:.0} KiB");
        result["memory_listening_kib_per_call"] = idle_kib.round().into();
        result["memory_talking_kib_per_call"] = talking_kib.round().into();
        if !window.is_zero() {
            let cores = (to.cpu - from.cpu).as_secs_f64() / window.as_secs_f64();
            let per_call = cores / f64::from(calls);
            println!("  processor: {cores:.3} cores, {per_call:.5} a call");
            result["cores"] = json!((cores * 1e3).round() / 1e3);
            result["cores_per_call"] = json!((per_call * 1e6).round() / 1e6);
        }
        result["pinned"] = can_pin().into();
        result["calls"] = calls.into();
        result["network"] = (!options.script.no_network).into();
        result["least_ms"] = (options.script.least().as_millis() as u64).into();
        let providers = if options.providers.stand_ins { "_stand_ins" } else { "" };
        write_result(&format!("calls_{calls}{providers}"), result)
    })?
}
