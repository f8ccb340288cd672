//! `load peers`: other engines in the place of our server, with the same client, stand-ins and measures, ours beside them.
//!
//! An engine is a program that takes `--port` and `--services`, answers `GET /health` with its name and version, and serves
//! our raw socket: 16 kHz in, 24 kHz out. The programs are in `benches/peers`; its script `run` installs what they need. For
//! each engine the number of calls is raised until it does not hold any more; the engine starts anew for each number.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use voice_fixtures::standin;

use super::services::Services;
use super::talk::{Arriving, Crowd, ms};
use crate::client::{Turn, Wanted};
use crate::figures::{Spread, machine, write_result};
use crate::process::{SERVER_CORE, Server, Usage, busy, can_pin};
use crate::recorded;
use crate::scripted::Script;

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Which engines, in this order.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "ours,pipecat,livekit,livekit-early,rustvani"
    )]
    pub engine: Vec<Engine>,
    /// Calls at once, rising until an engine does not hold them. Default: for each engine numbers around its limit.
    #[arg(long, value_delimiter = ',')]
    pub calls: Vec<u32>,
    /// Turns of each call; the first is told apart.
    #[arg(long, default_value_t = 3)]
    pub turns: u32,
    /// Turns of a call that is alone.
    #[arg(long, default_value_t = 4)]
    pub turns_alone: u32,
    /// Where `benches/peers/run` has put the engines.
    #[arg(long, value_name = "FOLDER", default_value = "target/peers")]
    pub folder: PathBuf,
    /// Name of the result.
    #[arg(long, default_value = "peers")]
    pub name: String,
    /// Our server. Only its end of a turn and its voice activity count: the services are stand-ins.
    #[command(flatten)]
    pub script: Script,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// This one.
    Ours,
    /// Pipecat, Python.
    Pipecat,
    /// LiveKit Agents, Python, without WebRTC.
    Livekit,
    /// The same with its pre-emptive generation: the model is asked before the silence is over.
    LivekitEarly,
    /// rustvani, Rust.
    Rustvani,
}

/// One turn in this time.
const CYCLE: Duration = Duration::from_millis(8_500);
/// Each call is silent for this long first.
const LEAD: Duration = Duration::from_secs(2);
/// An engine that is this much later than with one call keeps its callers waiting.
const LATER: Duration = Duration::from_millis(100);
/// An answer in so many may stop once and go on: on a machine that is not alone some do with any engine.
const ANSWERS_PER_UNDERRUN: usize = 100;
/// Words of the model's first sentence, each a token.
const FIRST_SENTENCE: u32 = 13;

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Pipecat => "pipecat",
            Self::Livekit => "livekit",
            Self::LivekitEarly => "livekit-early",
            Self::Rustvani => "rustvani",
        }
    }

    /// Numbers of calls with the engine's limit on one core of a small server among them.
    fn steps(self) -> &'static [u32] {
        match self {
            Self::Ours => &[1, 10, 100, 300],
            Self::Pipecat => &[1, 10, 15, 25],
            Self::Livekit => &[1, 10, 25, 50, 75],
            Self::LivekitEarly => &[10],
            Self::Rustvani => &[1, 10, 100, 150],
        }
    }

    fn start(self, options: &Options, services: &str, log: &Path) -> io::Result<Server> {
        let python = |name: &str, more: &[&str]| {
            let python = options.folder.join(name).join("bin/python");
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(format!("{name}_engine.py"));
            let script = script.to_string_lossy();
            Server::peer(&python, &[&[&*script], more].concat(), services, log)
        };
        match self {
            Self::Ours => {
                Server::scripted(&Script { cloud: Some(services.to_owned()), ..options.script.clone() })
            }
            Self::Pipecat => python("pipecat", &[]),
            Self::Livekit => python("livekit", &[]),
            Self::LivekitEarly => python("livekit", &["--early"]),
            Self::Rustvani => {
                let program = options.folder.join("rustvani/release/rustvani-engine");
                Server::peer(&program, &[], services, log)
            }
        }
    }
}

/// What an engine was like with so many calls. Latencies are of the turns after the first of each call.
#[derive(Clone, Debug, Serialize)]
struct Point {
    calls: u32,
    turns: usize,
    /// From the last voiced sample, as sent, to the first sound.
    raw_ms: Spread,
    /// The same less [`least`].
    added_ms: Spread,
    /// From the moment the first audio left the stand-in to its arrival at the caller.
    out_ms: Spread,
    /// `raw` of the first turns.
    first_turn_ms: Spread,
    missing: usize,
    underruns: u32,
    cut: usize,
    early: usize,
    errors: Vec<String>,
    /// Processor time while all calls are there.
    cores: f64,
    cores_per_call: f64,
    /// What others took of the engine's core meanwhile.
    cores_of_others: f64,
    /// Resident after one call, before the others.
    memory_before_mib: f64,
    memory_mib_per_call: f64,
    threads: u64,
    client_late_ms: Spread,
    /// Why this number counts as too many.
    fails: Option<String>,
}

/// The least time between the last voiced sample and the first sound of an engine that waits for the silence, has the words by
/// then, asks the model, and speaks its first sentence whole: 430 ms. One that asks the recogniser only then waits 50 ms more,
/// one that begins within the sentence or before the silence is over waits less.
fn least(silence: Duration) -> Duration {
    let times = standin::Script::peers();
    silence + times.llm.first_token + times.llm.token_every * (FIRST_SENTENCE - 1) + times.tts.first_audio
}

/// Runs every engine and shows them side by side.
///
/// # Errors
/// Nothing could be run, or the result not written.
pub fn run(options: &Options) -> io::Result<()> {
    let logs = options.folder.join("logs");
    std::fs::create_dir_all(&logs)?;
    let least = least(Duration::from_millis(options.script.silence));
    let mut engines = serde_json::Map::new();
    let mut table = Vec::new();
    for &engine in &options.engine {
        let (version, points) = climb(engine, options, least, &logs);
        let Some(version) = version else { continue };
        let holds = points.iter().filter(|point| point.fails.is_none()).map(|point| point.calls).max();
        let fails = points.iter().filter(|point| point.fails.is_some()).map(|point| point.calls).min();
        table.push((engine, version.clone(), points.clone()));
        engines.insert(
            engine.name().to_owned(),
            json!({
                "version": version, "calls_a_core": holds, "fails_at": fails,
                "points": points,
            }),
        );
        let result = json!({
            "pinned": can_pin(), "least_ms": least.as_millis() as u64, "silence_ms": options.script.silence,
            "turns": options.turns, "turns_alone": options.turns_alone, "engines": Value::Object(engines.clone()),
        });
        write_result(&options.name, result)?;
    }
    if table.is_empty() {
        return Err(io::Error::other("no engine could be run"));
    }
    print_table(&table);
    Ok(())
}

/// Raises the number of calls until the engine does not hold it, then tries the middle where the last step was a large one.
fn climb(engine: Engine, options: &Options, least: Duration, logs: &Path) -> (Option<String>, Vec<Point>) {
    let steps = if options.calls.is_empty() { engine.steps() } else { &options.calls };
    let (mut version, mut points) = (None, Vec::<Point>::new());
    let mut left: VecDeque<u32> = steps.iter().copied().collect();
    while let Some(calls) = left.pop_front() {
        let log = logs.join(format!("{}_{calls}.log", engine.name()));
        let mut point = match measure(engine, calls.max(1), options, least, &log) {
            Ok((named, point)) => {
                version = Some(named);
                point
            }
            Err(error) => {
                println!("{} with {calls} calls: {error}", engine.name());
                break;
            }
        };
        let alone = points.first().map_or(point.raw_ms.p95, |first| first.raw_ms.p95);
        point.fails = why_not(&point, alone);
        println!("  {}", point.fails.as_deref().unwrap_or("holds"));
        if point.fails.is_some() {
            left.clear();
            let held = points.iter().map(|point| point.calls).max().unwrap_or(calls);
            let first = points.iter().all(|point| point.fails.is_none());
            left.extend((first && calls > held + held / 2).then_some((held + calls) / 2));
        }
        points.push(point);
    }
    points.sort_by_key(|point| point.calls);
    (version, points)
}

/// Why an engine does not hold so many calls.
fn why_not(point: &Point, alone_p95: f64) -> Option<String> {
    let underruns = point.underruns as usize * ANSWERS_PER_UNDERRUN;
    if point.missing > 0 {
        Some(format!("{} turns without an answer", point.missing))
    } else if point.cut > 0 {
        Some(format!("{} answers cut", point.cut))
    } else if underruns > point.turns && point.underruns > 1 {
        Some(format!("{} underruns", point.underruns))
    } else if point.raw_ms.p95 > alone_p95 + ms(LATER) {
        Some(format!("late: p95 {:.0} ms, alone {alone_p95:.0}", point.raw_ms.p95))
    } else {
        None
    }
}

/// Measures one engine with one number of calls. Gives its version too.
fn measure(
    engine: Engine,
    calls: u32,
    options: &Options,
    least: Duration,
    log: &Path,
) -> io::Result<(String, Point)> {
    let turns = if calls == 1 { options.turns_alone } else { options.turns }.max(2);
    let utterance = recorded::peer_utterance()?;
    let crowd = Crowd {
        calls,
        turns,
        utterance,
        wanted: Wanted::Pcm24,
        arriving: Arriving::OneByOne,
        lead: LEAD,
        cycle: CYCLE,
        answer: Duration::from_millis(options.script.answer),
    };
    println!("{}: {calls} calls, {turns} turns each, {:.0?}", engine.name(), crowd.lasts());
    let services = Services::start(None)?;
    let mut server = engine.start(options, &services.base, log)?;
    let health = server.health()?;
    let version = match engine {
        Engine::Ours => format!("voice {}", env!("CARGO_PKG_VERSION")),
        _ => health,
    };
    super::on_one_thread(async {
        // One call beforehand, so that what is made once counts as the engine's, not the calls'.
        Crowd { calls: 1, turns: 1, lead: Duration::from_millis(500), ..crowd.clone() }
            .talk(server.address)
            .await;
        let before = server.usage()?;
        let watching = async {
            // From the first turn of the last caller to the last turn of the first.
            tokio::time::sleep(LEAD + CYCLE).await;
            let from = (server.usage()?, busy(SERVER_CORE)?);
            tokio::time::sleep(CYCLE * (turns - 1)).await;
            io::Result::Ok((from, (server.usage()?, busy(SERVER_CORE)?)))
        };
        let (heard, watched) = tokio::join!(crowd.talk(server.address), watching);
        let window = CYCLE * (turns - 1);
        // An engine that has ended shows in its missing turns.
        let (from, to) = watched.unwrap_or_default();
        let cores =
            |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / window.as_secs_f64();
        let own = cores(from.0.cpu, to.0.cpu);
        let mib = |kib: u64| kib as f64 / 1_024.0;
        let grown = |to: &Usage| to.resident_kib.saturating_sub(before.resident_kib);
        let spread = |turns: &[Turn], of: &dyn Fn(&Turn) -> Option<f64>| {
            Spread::of(turns.iter().filter_map(of).collect())
        };
        let warm = heard.only(|turn| turn.number > 0);
        let raw = |turn: &Turn| turn.first_sound.map(ms);
        let point = Point {
            calls,
            turns: (calls * turns) as usize,
            raw_ms: spread(&warm, &raw),
            added_ms: spread(&warm, &|turn| Some(raw(turn)? - ms(least))),
            out_ms: spread(&warm, &|turn| turn.added.map(ms)),
            first_turn_ms: spread(&heard.only(|turn| turn.number == 0), &raw),
            missing: heard.missing(),
            underruns: heard.underruns(),
            cut: heard.cut(),
            early: heard.early(),
            errors: heard.errors().iter().take(5).cloned().collect(),
            cores: round(own, 3),
            cores_per_call: round(own / f64::from(calls), 5),
            cores_of_others: round((cores(from.1, to.1) - own).max(0.0), 3),
            memory_before_mib: round(mib(before.resident_kib), 1),
            memory_mib_per_call: round(mib(grown(&to.0)) / f64::from(calls), 3),
            threads: to.0.threads,
            client_late_ms: heard.late(),
            fails: None,
        };
        println!("  raw        {}", point.raw_ms);
        println!("  first turn {}", point.first_turn_ms);
        println!("  out        {}", point.out_ms);
        println!(
            "  missing {}, underruns {}, cut {}, early {}; {:.3} cores ({:.3} of others), {} threads, {} MiB and {} a call",
            point.missing,
            point.underruns,
            point.cut,
            point.early,
            point.cores,
            point.cores_of_others,
            point.threads,
            point.memory_before_mib,
            point.memory_mib_per_call
        );
        for error in heard.errors().iter().take(3) {
            println!("  error: {error}");
        }
        if !server.runs() {
            println!("  the engine has ended");
        }
        io::Result::Ok((version, point))
    })?
}

fn round(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}

/// Prints a table in Markdown, ready for a document.
fn print_table(engines: &[(Engine, String, Vec<Point>)]) {
    println!("\n{}\n", machine());
    println!(
        "| engine | calls | raw p50/p95/p99 ms | added p50/p95/p99 | out p50/p99 | first turn p50 | missing | underruns | \
         cut | cores a call | MiB a call | threads | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (engine, _, points) in engines {
        for point in points {
            let known = |spread: &Spread, shown: String| if spread.n > 0 { shown } else { "-".to_owned() };
            let three = |s: &Spread| known(s, format!("{:.0}/{:.0}/{:.0}", s.p50, s.p95, s.p99));
            let (out, first) = (&point.out_ms, &point.first_turn_ms);
            let out = known(out, format!("{:.1}/{:.1}", out.p50, out.p99));
            let first = known(first, format!("{:.0}", first.p50));
            println!(
                "| {} | {} | {} | {} | {out} | {first} | {} of {} | {} | {} | {:.4} | {:.2} | {} | {} |",
                engine.name(),
                point.calls,
                three(&point.raw_ms),
                three(&point.added_ms),
                point.missing,
                point.turns,
                point.underruns,
                point.cut,
                point.cores_per_call,
                point.memory_mib_per_call,
                point.threads,
                point.fails.as_deref().unwrap_or("holds"),
            );
        }
    }
    println!("\n| engine | version | calls a core | fails at | MiB before |\n|---|---|---|---|---|");
    for (engine, version, points) in engines {
        let holds = points.iter().filter(|point| point.fails.is_none()).map(|point| point.calls).max();
        let fails = points.iter().filter(|point| point.fails.is_some()).map(|point| point.calls).min();
        let number = |calls: Option<u32>| calls.map_or("-".to_owned(), |calls| calls.to_string());
        let before = points.first().map_or(0.0, |point| point.memory_before_mib);
        println!("| {} | {version} | {} | {} | {before:.0} |", engine.name(), number(holds), number(fails));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> Point {
        let none = Spread::default();
        Point {
            calls: 10,
            turns: 40,
            raw_ms: Spread { p95: 450.0, ..none },
            added_ms: none,
            out_ms: none,
            first_turn_ms: none,
            missing: 0,
            underruns: 1,
            cut: 0,
            early: 0,
            errors: Vec::new(),
            cores: 0.0,
            cores_per_call: 0.0,
            cores_of_others: 0.0,
            memory_before_mib: 0.0,
            memory_mib_per_call: 0.0,
            threads: 1,
            client_late_ms: none,
            fails: None,
        }
    }

    #[test]
    fn silence_model_and_voice_take_430_ms_at_least() {
        assert_eq!(least(Duration::from_millis(200)), Duration::from_millis(430));
    }

    #[test]
    fn an_engine_fails_that_is_silent_cut_dry_or_late() {
        assert_eq!(why_not(&point(), 400.0), None);
        let with = |change: fn(&mut Point)| {
            let mut point = point();
            change(&mut point);
            why_not(&point, 400.0).unwrap_or_default()
        };
        assert!(with(|point| point.missing = 1).starts_with("1 turns without"));
        assert_eq!(with(|point| point.cut = 2), "2 answers cut");
        assert_eq!(with(|point| point.underruns = 2), "2 underruns");
        assert_eq!(with(|point| point.raw_ms.p95 = 501.0), "late: p95 501 ms, alone 400");
    }
}
