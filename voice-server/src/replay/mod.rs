//! `voice replay`: recorded audio through the whole pipeline, and what each turn of it took.
//!
//! Each file is one call whose playout nobody waits for, so its times are session-time waits plus measured compute. The
//! engine is the one that serves; nothing is simulated. Caller: the command line.

mod files;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use voice_core::audio::{Channels, FRAME_SAMPLES, SampleRate};
use voice_core::ids::SessionId;
use voice_core::ingress::{Declared, Ingress, Limits};
use voice_core::record::Journal;
use voice_core::session::{Engine, Output, OutputFormat, PlayoutClock, SessionEnd, SessionOptions};
use voice_core::turn::{Event, Policy, TurnRecord};

pub use files::{Recorded, collect};
pub use report::Summary;

use report::{Printer, Turn};

use crate::cli::ReplayArgs;

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

/// Replays journals and prints where the orders first differ from the recorded ones.
///
/// # Errors
/// A file that is no journal, or a difference.
pub fn diff(options: &ReplayOptions, policy: &Policy) -> Result<(), ReplayError> {
    for path in &options.paths {
        let input = |e: String| ReplayError::Input(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| input(e.to_string()))?;
        let journal = Journal::parse(&text).map_err(|e| input(e.to_string()))?;
        match journal.first_difference(policy.clone()) {
            None => println!("{}: the same orders", path.display()),
            Some(difference) => {
                let or_none = |order: Option<String>| order.unwrap_or_else(|| "nothing".to_owned());
                println!("{}: differs at line {}", path.display(), difference.line);
                println!("  recorded  {}", or_none(difference.recorded));
                println!("  now       {}", or_none(difference.now));
                return Err(ReplayError::Pipeline("the replay differs from the record".to_owned()));
            }
        }
    }
    Ok(())
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

/// The rate of `--out`.
const OUT_RATE: SampleRate = SampleRate::HZ_24000;
/// Between two answers in `--out`.
const OUT_PAUSE: usize = 24_000 / 2;

/// Replays everything, prints as it goes, and gives the summary.
///
/// # Errors
/// Nothing to replay, a file that is no recording, or a failure of the pipeline. Files before it are printed.
pub async fn run(engine: &Engine, options: &ReplayOptions) -> Result<Summary, ReplayError> {
    let files = collect(&options.paths)?;
    let mut printer = Printer::new(options.json);
    let mut spoken: Vec<i16> = Vec::new();
    let bar = progress_bar(files.len() as u64);
    for file in &files {
        bar.set_message(file.name());
        let bytes = file.read()?;
        let replayed = replay_one(engine, bytes, options.realtime, &mut spoken).await;
        let (records, fault) = match replayed {
            Ok(records) => (records, None),
            Err((records, error)) => (records, Some(error)),
        };
        let turns: Vec<Turn> = records.iter().map(|r| Turn::new(&file.path, r)).collect();
        bar.suspend(|| printer.print_file(file, &turns));
        if let Some(fault) = fault {
            bar.finish_and_clear();
            let text = format!("{}: {fault}", file.path.display());
            return Err(match fault {
                Fault::Input(_) => ReplayError::Input(text),
                Fault::Pipeline(_) => ReplayError::Pipeline(text),
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(path) = &options.out {
        write_wav(path, &spoken)?;
    }
    Ok(printer.finish())
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Input(String),
    #[error("{0}")]
    Pipeline(String),
}

/// One file as one call.
async fn replay_one(
    engine: &Engine,
    bytes: Bytes,
    realtime: bool,
    spoken: &mut Vec<i16>,
) -> Result<Vec<TurnRecord>, (Vec<TurnRecord>, Fault)> {
    let mut options = SessionOptions::new(SessionId::random());
    options.output = OutputFormat::Pcm16 { rate: OUT_RATE };
    if realtime {
        options.input = Some(Declared::Pcm16 { rate: SampleRate::HZ_16000, channels: Channels::Mono });
    } else {
        options.playout = PlayoutClock::Skip;
    }
    let mut session = engine.open(options).map_err(|e| (Vec::new(), Fault::Input(e.to_string())))?;
    let sender = session.sender();
    let feed = async move {
        if realtime {
            feed_in_real_time(&sender, &bytes).await?;
        } else {
            let _ = sender.push(bytes).await;
        }
        let _ = sender.finish().await;
        Ok::<(), Fault>(())
    };
    let mut records = Vec::new();
    let listen = async {
        let mut failure = None;
        while let Some(output) = session.next().await {
            match output {
                Output::Audio(message) => {
                    spoken.extend(message.payload.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])));
                }
                Output::Event(Event::TurnEnded(record)) => {
                    spoken.resize(spoken.len() + OUT_PAUSE, 0);
                    if let Some(what) = record.failure {
                        failure.get_or_insert(format!("turn {} failed in {what:?}", record.turn));
                    }
                    records.push(*record);
                }
                Output::Ended(SessionEnd::Unsupported(reason) | SessionEnd::TooBig(reason)) => {
                    return Err(Fault::Input(reason));
                }
                Output::Ended(SessionEnd::Fault) => {
                    return Err(Fault::Pipeline("the call broke off".to_owned()));
                }
                _ => {}
            }
        }
        failure.map_or(Ok(()), |f| Err(Fault::Pipeline(f)))
    };
    let (fed, listened) = tokio::join!(feed, listen);
    match fed.and(listened) {
        Ok(()) => Ok(records),
        Err(fault) => Err((records, fault)),
    }
}

/// Decodes first, then hands in 20 ms of samples every 20 ms: a container's bytes say nothing about time.
async fn feed_in_real_time(sender: &voice_core::session::SessionSender, bytes: &Bytes) -> Result<(), Fault> {
    let refuse = |e: voice_core::ingress::IngressError| Fault::Input(e.to_string());
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(bytes).map_err(refuse)?;
    ingress.finish().map_err(refuse)?;
    let start = Instant::now();
    let mut frame = [0; FRAME_SAMPLES];
    let mut sent: u32 = 0;
    while let Some(pulled) = ingress.poll_frame(&mut frame).map_err(refuse)? {
        if pulled == voice_core::ingress::Pulled::Ended {
            continue;
        }
        sent += 1;
        let due = start + Duration::from_millis(20) * sent;
        tokio::time::sleep_until(due.into()).await;
        let message: Bytes = frame.iter().flat_map(|s| s.to_le_bytes()).collect();
        if sender.push(message).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn write_wav(path: &std::path::Path, samples: &[i16]) -> Result<(), ReplayError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: OUT_RATE.hz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            writer.write_sample(*sample)?;
        }
        writer.finalize()
    };
    write().map_err(|e| ReplayError::Input(format!("{} cannot be written: {e}", path.display())))
}

fn progress_bar(files: u64) -> ProgressBar {
    let bar = if files > 1 { ProgressBar::new(files) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}
