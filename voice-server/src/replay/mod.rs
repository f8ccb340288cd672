//! `voice replay`: recorded audio through the whole pipeline, and what each turn of it took.
//!
//! Each file is one call whose playout nobody waits for, so its times are session-time waits plus measured compute. The
//! engine is the one that serves; nothing is simulated. What can be refused is refused by [`prepare`], before any model
//! is loaded; a bad file among others is told and the rest replayed. Caller: the command line.

mod feed;
mod files;
mod journals;
mod out;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use voice_core::audio::{Channels, SampleRate};
use voice_core::ids::SessionId;
use voice_core::ingress::Declared;
use voice_core::session::{Engine, Output, OutputFormat, PlayoutClock, SessionEnd, SessionOptions};
use voice_core::turn::{Event, Policy, TurnRecord};

pub use files::{Recorded, collect};
pub use journals::diff;
pub use report::Summary;

use out::OutFile;
use report::{Printer, Turn};

use crate::cli::{ReplayArgs, print};

/// What to replay and how to show it.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// Files and folders; folders are searched for `.wav`, `.ogg`, `.opus` and `.webm`.
    pub paths: Vec<PathBuf>,
    /// One JSON object a line on standard output.
    pub json: bool,
    /// Where to write what was answered, as one WAV file.
    pub out: Option<PathBuf>,
    /// At the speed at which it was spoken, as a live call.
    pub realtime: bool,
    /// The paths are journals: show where a replay first differs from the record.
    pub diff: bool,
}

/// Checks what the command line asked for.
///
/// # Errors
/// A setting that does not exist or does not fit.
pub fn options(args: ReplayArgs) -> Result<(ReplayOptions, Policy), ReplayError> {
    let ReplayArgs { inputs, json, out, realtime, diff, set } = args;
    let mut policy = Policy::default();
    for (key, value) in &set {
        policy.set(key, value).map_err(|e| {
            let known: Vec<&str> = Policy::KEYS.iter().map(|(key, _)| *key).collect();
            ReplayError::Input(format!("{e}; the settings are {}", known.join(", ")))
        })?;
    }
    Ok((ReplayOptions { paths: inputs, json, out, realtime, diff }, policy))
}

/// Why a replay did not work. The first kind is the user's, the second ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A path, a file or an option cannot be used.
    #[error("{0}")]
    Input(String),
    /// The pipeline failed on a file.
    #[error("{0}")]
    Pipeline(String),
}

/// The worst that happened in a replay of several files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    input: bool,
    pipeline: bool,
}

impl Worst {
    /// Takes one failure into account.
    pub fn add(&mut self, error: &ReplayError) {
        match error {
            ReplayError::Input(_) => self.input = true,
            ReplayError::Pipeline(_) => self.pipeline = true,
        }
    }

    /// The exit status: 1 where the pipeline failed on anything, else 2 where an input could not be used, else 0.
    pub fn status(self) -> u8 {
        match self {
            Self { pipeline: true, .. } => 1,
            Self { input: true, .. } => 2,
            Self { .. } => 0,
        }
    }
}

/// A replay that can begin: the recordings are there and `--out` is open.
#[derive(Debug)]
pub struct Prepared {
    files: Vec<Recorded>,
    out: Option<OutFile>,
    json: bool,
    realtime: bool,
}

/// Finds the recordings and opens `--out`.
///
/// # Errors
/// Nothing to replay, a path that does not exist, or a file that cannot be written.
pub fn prepare(options: &ReplayOptions) -> Result<Prepared, ReplayError> {
    let files = collect(&options.paths)?;
    let out = options.out.as_deref().map(|path| OutFile::create(path, &files)).transpose()?;
    Ok(Prepared { files, out, json: options.json, realtime: options.realtime })
}

/// Replays everything, prints turns, failures and the summary as it goes, and tells the worst that happened.
pub async fn run(engine: &Engine, prepared: Prepared) -> (Summary, Worst) {
    let Prepared { files, mut out, json, realtime } = prepared;
    let mut printer = Printer::new(json);
    let mut worst = Worst::default();
    let bar = progress_bar(files.iter().map(|file| file.size).sum());
    let mut before = 0;
    for file in &files {
        // What nobody reads and nobody stores need not be computed.
        if !print::is_open() && out.is_none() {
            break;
        }
        bar.set_message(file.name());
        let (records, fault) = replay_one(engine, file, realtime, out.as_mut(), &bar).await;
        let turns: Vec<Turn> = records.iter().map(|r| Turn::new(&file.path, r)).collect();
        bar.suspend(|| {
            printer.print_file(file, &turns, fault.is_none());
            if let Some(fault) = fault {
                let error = fault.of(file);
                print::error(&error);
                worst.add(&error);
            }
        });
        before += file.size;
        bar.set_position(before);
    }
    bar.finish_and_clear();
    if let Some(Err(error)) = out.map(OutFile::finish) {
        print::error(&error);
        worst.add(&error);
    }
    (printer.finish(), worst)
}

/// What went wrong with one file.
#[derive(Debug)]
enum Fault {
    Input(String),
    Pipeline(String),
}

impl Fault {
    fn of(self, file: &Recorded) -> ReplayError {
        let shown = file.path.display();
        match self {
            Self::Input(detail) => ReplayError::Input(format!("{shown}: {detail}")),
            Self::Pipeline(detail) => ReplayError::Pipeline(format!("{shown}: {detail}")),
        }
    }
}

/// One file as one call: its turns, and what went wrong.
async fn replay_one(
    engine: &Engine,
    file: &Recorded,
    realtime: bool,
    mut out: Option<&mut OutFile>,
    bar: &ProgressBar,
) -> (Vec<TurnRecord>, Option<Fault>) {
    let mut options = SessionOptions::new(SessionId::random());
    options.output = OutputFormat::Pcm16 { rate: out::RATE };
    if realtime {
        options.input = Some(Declared::Pcm16 { rate: SampleRate::HZ_16000, channels: Channels::Mono });
    } else {
        options.playout = PlayoutClock::Skip;
    }
    let mut session = match engine.open(options) {
        Ok(session) => session,
        Err(error) => return (Vec::new(), Some(Fault::Pipeline(error.to_string()))),
    };
    let sender = session.sender();
    let feeding = async {
        let fed = feed::file(&sender, file, realtime, bar).await;
        if fed.is_err() {
            // The call does not know that nothing more comes.
            sender.close();
        }
        fed
    };
    let mut records = Vec::new();
    let listening = async {
        let mut failure = None;
        while let Some(output) = session.next().await {
            match output {
                Output::Audio(message) => {
                    if let Some(out) = &mut out {
                        out.write(&message.payload);
                    }
                }
                Output::Event(Event::TurnEnded(record)) => {
                    if let Some(out) = &mut out {
                        out.pause();
                    }
                    if let Some(what) = record.failure {
                        let detail = format!("turn {} failed in {what:?}", record.turn);
                        failure.get_or_insert(Fault::Pipeline(detail));
                    }
                    records.push(*record);
                    bar.set_message(format!("{}, {} turns", file.name(), records.len()));
                }
                Output::Ended(end) => failure = judged(end).or(failure.take()),
                _ => {}
            }
        }
        failure
    };
    let (fed, failure) = tokio::join!(feeding, listening);
    (records, fed.err().or(failure))
}

/// What an end of a call says about its file: any but the planned one means that the rest of it was not heard.
fn judged(end: SessionEnd) -> Option<Fault> {
    match end {
        SessionEnd::Done => None,
        SessionEnd::Unsupported(reason) | SessionEnd::TooBig(reason) => Some(Fault::Input(reason)),
        SessionEnd::Idle => {
            Some(Fault::Pipeline("the call ended in mid-file, since nobody spoke for too long".to_owned()))
        }
        SessionEnd::VoiceLost => {
            Some(Fault::Pipeline("the call ended in mid-file, since the voice failed".to_owned()))
        }
        _ => Some(Fault::Pipeline("the call broke off through a fault of the engine".to_owned())),
    }
}

/// Bytes handed in of all there are. Hidden where the error stream is no terminal.
fn progress_bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// Often enough for the elapsed seconds.
const TICK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_pipeline_is_worse_than_one_of_an_input() {
        let (input, pipeline) = (ReplayError::Input("i".into()), ReplayError::Pipeline("p".into()));
        for (errors, status) in [
            (vec![], 0),
            (vec![&input], 2),
            (vec![&pipeline], 1),
            (vec![&pipeline, &input], 1),
            (vec![&input, &pipeline, &input], 1),
        ] {
            let mut worst = Worst::default();
            errors.iter().for_each(|error| worst.add(error));
            assert_eq!(worst.status(), status, "{errors:?}");
        }
    }

    #[test]
    fn only_the_planned_end_of_a_call_is_no_failure() {
        assert!(judged(SessionEnd::Done).is_none());
        for end in [SessionEnd::Idle, SessionEnd::VoiceLost, SessionEnd::Fault] {
            assert!(matches!(judged(end.clone()), Some(Fault::Pipeline(_))), "{end:?}");
        }
        for end in [SessionEnd::Unsupported("u".into()), SessionEnd::TooBig("b".into())] {
            assert!(matches!(judged(end.clone()), Some(Fault::Input(_))), "{end:?}");
        }
    }
}
