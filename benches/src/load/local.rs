//! `load local`: recorded questions in real time to the real server with the local models.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::talk::ms;
use crate::client::{self, Plan, Turn, Wanted};
use crate::figures::{Spread, write_result};
use crate::process::Server;
use crate::recorded::{self, Question};

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A server that runs already. Default: one is started.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub server: Option<SocketAddr>,
    /// The program to start. Default: `voice` beside this program.
    #[arg(long, value_name = "FILE")]
    pub voice: Option<PathBuf>,
    /// How many of the recorded questions are asked.
    #[arg(long, default_value_t = 20)]
    pub questions: usize,
    /// How often each is asked.
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// Callers at once, one part of the run each.
    #[arg(long, value_delimiter = ',', default_value = "1,4")]
    pub at_once: Vec<usize>,
    /// In which form answers come.
    #[arg(long, value_enum, default_value = "pcm16")]
    pub out: Wanted,
    /// How much of each answer is heard before the caller hangs up.
    #[arg(long, default_value_t = 1_500, value_name = "MS")]
    pub hear: u64,
}

/// No answer within this counts as missing.
const PATIENCE: Duration = Duration::from_secs(12);
/// Between two calls of a caller.
const BETWEEN: Duration = Duration::from_millis(700);

/// Asks all questions, once by a single caller and then by several at once.
///
/// # Errors
/// The server cannot be started, or the result not written.
pub fn run(options: &Options) -> io::Result<()> {
    let questions = recorded::questions(options.questions)?;
    let started = match options.server {
        Some(_) => None,
        None => {
            let beside = std::env::current_exe()?.with_file_name("voice");
            Some(Server::real(options.voice.as_ref().unwrap_or(&beside))?)
        }
    };
    let address = options.server.or(started.as_ref().map(|server| server.address));
    let address = address.ok_or_else(|| io::Error::other("there is no server"))?;
    let form = match options.out {
        Wanted::Pcm16 => "pcm16",
        Wanted::Pcm24 => "pcm16_24k",
        Wanted::Wav => "wav",
    };
    let mut result = json!({ "questions": questions.len(), "rounds": options.rounds, "out": form });
    if let Some(server) = &started {
        result["serving_ms"] = json!(ms(server.serving));
        result["ready_ms"] = json!(ms(server.ready));
    }
    super::on_one_thread(async {
        // The first call of a server may meet cold caches; it is told apart.
        let cold = ask(address, &questions[..1], options).await;
        result["cold_ms"] = json!(cold.first().and_then(|(_, turn)| turn.first_sound).map(ms));
        for &callers in &options.at_once {
            let turns = crowd(address, &questions, callers.max(1), options).await;
            result[format!("at_once_{callers}")] = report(callers, &turns);
        }
    })?;
    write_result(&format!("local_{form}"), result)
}

async fn crowd(
    address: SocketAddr,
    questions: &[Question],
    callers: usize,
    options: &Options,
) -> Vec<(String, Turn)> {
    let mut asking = JoinSet::new();
    let all: Vec<Question> =
        questions.iter().cycle().take(questions.len() * options.rounds.max(1)).cloned().collect();
    for caller in 0..callers {
        let share: Vec<Question> = all.iter().skip(caller).step_by(callers).cloned().collect();
        let options = options.clone();
        asking.spawn(async move { ask(address, &share, &options).await });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

/// Asks one question after another, a call each.
async fn ask(address: SocketAddr, questions: &[Question], options: &Options) -> Vec<(String, Turn)> {
    let mut turns = Vec::new();
    for question in questions {
        let length = voice_core::audio::ENGINE_RATE.duration_of(question.samples.len() as u64);
        let plan = Plan {
            wanted: options.out,
            utterance: question.samples.clone(),
            speech_end: question.speech_end,
            start: Instant::now() + Duration::from_millis(50),
            lead: Duration::ZERO,
            cycle: length + PATIENCE,
            turns: 1,
            enough: Some(Duration::from_millis(options.hear)),
        };
        let call = client::call(address, plan).await;
        if let Some(error) = &call.error {
            println!("  {}: {error}", question.name);
        }
        turns.extend(client::judge(&call).into_iter().map(|turn| (question.name.clone(), turn)));
        sleep(BETWEEN).await;
    }
    turns
}

fn report(callers: usize, turns: &[(String, Turn)]) -> Value {
    let first = Spread::of(turns.iter().filter_map(|(_, turn)| turn.first_sound).map(ms).collect());
    let missing: Vec<&str> =
        turns.iter().filter(|(_, t)| t.first_sound.is_none()).map(|(name, _)| name.as_str()).collect();
    let early = turns.iter().filter(|(_, turn)| turn.early).count();
    let underruns: u32 = turns.iter().map(|(_, turn)| turn.underruns).sum();
    println!("local, {callers} at once: {first}");
    println!("  unanswered {missing:?}, too early {early}, underruns {underruns}");
    let each: Vec<Value> =
        turns.iter().map(|(name, turn)| json!([name, turn.first_sound.map(|t| ms(t).round())])).collect();
    json!({ "first_sound_ms": first, "missing": missing, "early": early, "underruns": underruns, "each": each })
}
