//! `voice sim`: the stand-ins of the outside services on a loopback port, for trying the program without an account.
//!
//! They speak the protocols of ElevenLabs, Deepgram and OpenAI with scripted words, waits and faults; what they do is in
//! `fixtures`. Printed is what a second terminal needs. Runs until it is interrupted.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use voice_fixtures::standin::{Cloud, Script};

use super::print::{self, say_line};

/// What `voice sim` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct SimArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8100, value_name = "PORT")]
    port: u16,
    /// How quick the services are
    #[arg(long, value_enum, default_value = "usual")]
    pace: Pace,
    /// At most this is added to every wait, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=60_000))]
    jitter_ms: u64,
    /// Where the jitter comes from: the same seed gives the same waits
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pace {
    /// As the services are on a good day
    Usual,
    /// The fixed times of the comparison with other engines
    Peers,
    /// As on a bad afternoon
    Slow,
    /// Without any waits
    Instant,
}

/// Runs the stand-ins and gives the status.
pub(super) fn run(args: &SimArgs) -> ExitCode {
    let mut script = match args.pace {
        Pace::Usual => Script::default(),
        Pace::Peers => Script::peers(),
        Pace::Slow => Script::slow(),
        Pace::Instant => Script::instant(),
    };
    script.port = args.port;
    script.jitter = Duration::from_millis(args.jitter_ms);
    script.seed = args.seed;
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error.into()),
    };
    runtime.block_on(async {
        let cloud = match Cloud::start(script).await {
            Ok(cloud) => cloud,
            Err(error) => {
                let port = args.port;
                print::error(format_args!(
                    "127.0.0.1:{port} cannot be had ({error}); choose another with --port"
                ));
                return ExitCode::FAILURE;
            }
        };
        say_line!("{}", told(&cloud.base_url()));
        match tokio::signal::ctrl_c().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error.into()),
        }
    })
}

/// What a second terminal needs.
fn told(base: &str) -> String {
    format!(
        "stand-ins of ElevenLabs, Deepgram and OpenAI: {base}\n\
         use them from another terminal (any key is accepted):\n\
         \x20 export ELEVENLABS_API_KEY=any ELEVENLABS_BASE_URL={base}\n\
         \x20 export DEEPGRAM_API_KEY=any DEEPGRAM_BASE_URL={base}\n\
         \x20 export OPENAI_API_KEY=any OPENAI_BASE_URL={base}/v1\n\
         \x20 voice serve\n\
         they hear and answer what their script says; ctrl-c ends them"
    )
}
