//! Load runs of the voice server on this machine: `load latency|calls|churn|local|peers|rest|faults`. See `benches/README.md`.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use voice_benches::faults;
use voice_benches::load::{calls, churn, latency, local, peers, rest};
use voice_benches::process::{CLIENT_CORE, can_pin, pinned};
use voice_benches::scripted::{self, Script};

/// Load runs of the voice server, all on this machine.
#[derive(Parser)]
#[command(name = "load", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// What the engine adds to its providers, with one call and with many.
    Latency(latency::Options),
    /// Many calls at peer load: underruns, processor and memory a call.
    Calls(calls::Options),
    /// Many short calls: what they leave behind.
    Churn(churn::Options),
    /// Recorded questions to the real server with the local models.
    Local(local::Options),
    /// Other engines beside ours, with the same client and the same services. See benches/peers.
    Peers(peers::Options),
    /// Reads of REST at a fixed rate from a filled database: listings, conversations, figures.
    Rest(rest::Options),
    /// Every provider fails in every way at every moment: what the caller gets. Writes voice-server/docs/FAULTS.md.
    Faults(faults::Options),
    /// The scripted server that the other runs start.
    #[command(hide = true)]
    Serve(Script),
}

/// Set for the process that is on the client's core.
const PINNED: &str = "LOAD_IS_PINNED";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let apart = matches!(arguments.run, Run::Latency(_) | Run::Calls(_) | Run::Churn(_) | Run::Peers(_));
    let result = if apart && can_pin() && std::env::var_os(PINNED).is_none() {
        return on_own_core().unwrap_or_else(|error| failed(&error));
    } else {
        match &arguments.run {
            Run::Latency(options) => latency::run(options).map_err(Into::into),
            Run::Calls(options) => calls::run(options).map_err(Into::into),
            Run::Churn(options) => churn::run(options).map_err(Into::into),
            Run::Local(options) => local::run(options).map_err(Into::into),
            Run::Peers(options) => peers::run(options).map_err(Into::into),
            Run::Rest(options) => rest::run(options),
            Run::Faults(options) => faults::run_all(options).map_err(Into::into),
            Run::Serve(script) => scripted::serve(script),
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("load: {error}");
    ExitCode::FAILURE
}

/// The same run on the client's core, so that client and server do not share one.
fn on_own_core() -> io::Result<ExitCode> {
    let mut command = pinned(&std::env::current_exe()?, CLIENT_CORE);
    let status = command.args(std::env::args_os().skip(1)).env(PINNED, "1").status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
