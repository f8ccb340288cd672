//! The fault matrix: every provider fails in every way at every moment, and what the caller gets.
//!
//! Each cell is a call of its own over a real socket: a real server, and real clients of stand-ins on loopback, of which the
//! preferred one fails and goes on failing and the one behind it is well. A cell holds where the caller's words are stored
//! whole, the answer is stored whole, and he heard it once, all of it, within [`BOUND`]; or where he was told in the way of
//! his profile. `benches/tests/faults_short.rs` runs a part in every test run, `load faults` all of it, which also writes
//! `voice-server/docs/FAULTS.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;
use voice_core::audio::ENGINE_RATE;
use voice_core::llm::openai::{ChatLimits, OpenAiChat, OpenAiConfig};
use voice_core::llm::{Candidate, ResilientModel};
use voice_core::net::{Connector, HttpClient};
use voice_core::resilience::Deadlines;
use voice_core::session::Engine;
use voice_core::stt::deepgram::DeepgramConfig;
use voice_core::stt::elevenlabs::ScribeConfig;
use voice_core::stt::openai::{OpenAiTranscriber, TranscriberLimits, TranscriptionConfig};
use voice_core::stt::{RecogniserCandidate, ResilientRecogniser, SocketRecogniser, SpeechToText};
use voice_core::tts::elevenlabs::{ElevenLabs, ElevenLabsConfig, SpeechLimits};
use voice_core::tts::{ResilientVoice, VoiceCandidate};
use voice_core::vad::EnergyVad;
use voice_fixtures::standin::{
    Answer, Answers, Cloud, Fault, FaultRule, LogEntry, LogEvent, Mark, Moment, Script, Stage, Target,
    Transcripts,
};
use voice_server::app::App;
use voice_server::config::Config;
use voice_server::data::{ConversationStore as _, DEMO_ORGANIZATION, SqliteStore};
use voice_server::engine::Built;
use voice_server::shutdown;

use crate::socket::{self, Message};
use crate::{logged, recorded};

/// The answer begins to be heard within this time of the question, whatever fails: two attempts that are waited for and one
/// that is well, at any one stage. Twice what a quiet machine takes.
pub const BOUND: Duration = Duration::from_secs(6);
/// The whole call.
const CALL: Duration = Duration::from_secs(45);
/// Calls at once: the waits of the faults overlap, the computing hardly shows.
const AT_ONCE: usize = 12;

/// The key of every provider.
const KEY: &str = "key-of-the-matrix";
/// No key, and none of the caller's words or of ours, may stand in a log.
const SECRET: [&str; 5] = [KEY, "Maple", "thousand", "garden", "Friday"];
/// What the caller is understood to say, whoever listens.
const HEARD: &str = "How much is the house on Maple Street?";
/// What is answered, whoever answers: two clauses of one sentence and another sentence.
const ANSWER: &str = "The house on Maple Street is listed at five hundred thousand dollars, and it has a large garden. \
    Would you like to see it on Friday?";
/// How long the stand-in speaks a letter.
const LETTER: Duration = Duration::from_millis(20);

/// Which provider fails. The one behind it is the other of its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Deepgram live, then Scribe.
    Deepgram,
    /// Scribe, then Deepgram live.
    Scribe,
    /// An OpenAI-compatible transcription, then Deepgram live.
    Transcription,
    /// An OpenAI-compatible server, then another.
    OpenAi,
    /// ElevenLabs over sockets, then over HTTP.
    SpeechSocket,
    /// ElevenLabs over HTTP, then over sockets.
    SpeechHttp,
}

impl Subject {
    const ALL: [Self; 6] = [
        Self::Deepgram,
        Self::Scribe,
        Self::Transcription,
        Self::OpenAi,
        Self::SpeechSocket,
        Self::SpeechHttp,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Deepgram => "Deepgram live",
            Self::Scribe => "ElevenLabs Scribe",
            Self::Transcription => "OpenAI-compatible transcription",
            Self::OpenAi => "OpenAI-compatible chat",
            Self::SpeechSocket => "ElevenLabs sockets",
            Self::SpeechHttp => "ElevenLabs over HTTP",
        }
    }

    fn stage(self) -> Stage {
        match self {
            Self::Deepgram | Self::Scribe | Self::Transcription => Stage::Stt,
            Self::OpenAi => Stage::Llm,
            Self::SpeechSocket | Self::SpeechHttp => Stage::Tts,
        }
    }
}

/// What goes wrong, with its name in the table.
const FAULTS: [(&str, Fault); 9] = [
    ("connection refused", Fault::Refused),
    ("401", Fault::Unauthorized),
    ("429 with Retry-After", Fault::TooMany { retry_after: Duration::from_secs(1) }),
    ("500", Fault::ServerError),
    ("opens and says nothing", Fault::Silent),
    ("stalls", Fault::Stall),
    ("cut", Fault::Cut),
    ("malformed message", Fault::Malformed),
    ("ten times slower", Fault::Slow { factor: 10 }),
];

/// When, with its name in the table.
const MOMENTS: [(&str, Moment); 3] =
    [("before", Moment::Before), ("during", Moment::During), ("after", Moment::After(1))];

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    subject: Subject,
    fault: usize,
    moment: usize,
    /// The `voice.v1` profile, else the basic one.
    full: bool,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let profile = if self.full { "voice.v1" } else { "basic" };
        let (fault, moment) = (FAULTS[self.fault].0, MOMENTS[self.moment].0);
        write!(f, "{}, {fault}, {moment}, {profile}", self.subject.name())
    }
}

/// All cells.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for subject in Subject::ALL {
        for fault in 0..FAULTS.len() {
            for moment in 0..MOMENTS.len() {
                cells.extend([false, true].map(|full| Cell { subject, fault, moment, full }));
            }
        }
    }
    cells
}

/// A part of them with every provider, every fault, every moment and both profiles.
pub fn some_cells() -> Vec<Cell> {
    let chosen = |cell: &Cell| {
        let at = cell.subject as usize + cell.fault;
        cell.moment == at % 3 && cell.full == at.is_multiple_of(2)
    };
    cells().into_iter().filter(chosen).collect()
}

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The whole answer was heard.
    Answered,
    /// It was heard but for a word or two where one voice took over from another.
    AnsweredButForWords,
    /// Its beginning was heard, and then the sentence that asks to be asked again.
    BrokenOff,
    /// It came as text, with a notice.
    InText,
    /// The packaged sentence was heard, and the call was closed with 1013.
    Told,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::AnsweredButForWords => "answered, at most three words lost at the seam",
            Self::BrokenOff => "its beginning, then asked to ask again",
            Self::InText => "in text, with a notice",
            Self::Told => "told, closed with 1013",
        }
    }
}

/// What a cell came to, or how it broke a rule.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which cell.
    pub cell: Cell,
    /// The outcome, or the rule.
    pub outcome: Result<Outcome, String>,
    /// From the question to the first sound or text of the answer.
    pub after: Duration,
}

/// Runs cells, a dozen at a time. What they log is watched; see [`check_log`].
pub async fn run(cells: Vec<Cell>) -> Vec<Finding> {
    logged::watch(&SECRET);
    let count = cells.len();
    let runs = stream::iter(cells.into_iter().enumerate()).map(|(at, cell)| async move {
        let finding = tokio::spawn(one(cell)).await.unwrap_or_else(|error| Finding {
            cell,
            outcome: Err(format!("the cell broke off: {error}")),
            after: Duration::ZERO,
        });
        if let Err(rule) = &finding.outcome {
            println!("  {cell}: {rule}");
        } else if (at + 1) % 30 == 0 {
            println!("  {} of {count} cells", at + 1);
        }
        finding
    });
    runs.buffered(AT_ONCE).collect().await
}

/// Checks what was logged by the cells that ran in this process.
///
/// # Errors
/// A key or words of a call stand in a line, or there is so little that the check means nothing.
pub fn check_log() -> Result<u64, String> {
    match logged::seen() {
        (_, found) if !found.is_empty() => Err(format!("in the log stand {found:?}")),
        (lines, _) if lines < 1_000 => Err(format!("only {lines} lines were logged")),
        (lines, _) => Ok(lines),
    }
}

async fn one(cell: Cell) -> Finding {
    let failed = |outcome: String| Finding { cell, outcome: Err(outcome), after: Duration::ZERO };
    match timeout(CALL, call(cell)).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => failed(error.to_string()),
        Err(_) => failed(format!("no end within {CALL:?}")),
    }
}

fn script() -> Script {
    let mut script = Script::default();
    script.stt.transcripts = Transcripts::Script(vec![HEARD.to_owned()]);
    script.llm.answers = Answers::Script(vec![Answer::text(ANSWER)]);
    script.llm.first_token = Duration::from_millis(50);
    script.llm.token_every = Duration::from_millis(40);
    script.tts.first_audio = Duration::from_millis(60);
    script.tts.char_time = LETTER;
    script.tts.shortest = Duration::from_millis(20);
    script
}

/// What was said, and the replies with what was heard of each.
type Stored = (String, Vec<(String, String)>);

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// The providers of a cell: the first of a stage at `bad`, the second at `good`.
fn engine(subject: Subject, bad: &str, good: &str) -> Result<Engine, Trouble> {
    let (connector, http) = (Connector::new()?, HttpClient::new()?);
    let deadlines = Deadlines::default();
    let deepgram = |base: &str| -> Result<Arc<dyn SpeechToText>, Trouble> {
        let config = DeepgramConfig::builder(KEY).base_url(base).build()?;
        Ok(Arc::new(SocketRecogniser::deepgram(config, connector.clone())))
    };
    let scribe = |base: &str| -> Result<Arc<dyn SpeechToText>, Trouble> {
        let config = ScribeConfig::builder(KEY).base_url(base).build()?;
        Ok(Arc::new(SocketRecogniser::scribe(config, connector.clone())))
    };
    let transcription = |base: &str| -> Result<Arc<dyn SpeechToText>, Trouble> {
        let config = TranscriptionConfig::builder(Some(KEY)).base_url(&format!("{base}/v1")).build()?;
        Ok(Arc::new(OpenAiTranscriber::new(config, http.clone(), TranscriberLimits::default())))
    };
    let hearing = match subject {
        Subject::Deepgram => [deepgram(bad)?, scribe(good)?],
        Subject::Scribe => [scribe(bad)?, deepgram(good)?],
        Subject::Transcription => [transcription(bad)?, deepgram(good)?],
        _ => [deepgram(good)?, scribe(good)?],
    };
    let chat = |base: &str| -> Result<Candidate, Trouble> {
        let config = OpenAiConfig::builder().key(KEY).base_url(format!("{base}/v1")).build()?;
        let model = Arc::new(OpenAiChat::new(config, http.clone(), ChatLimits::default()));
        Ok(Candidate { model, hedged: true, probe: None })
    };
    let answering = match subject {
        Subject::OpenAi => [chat(bad)?, chat(good)?],
        _ => [chat(good)?, chat(good)?],
    };
    let speech = |base: &str, over_http: bool| -> Result<VoiceCandidate, Trouble> {
        let config = ElevenLabsConfig::builder(KEY).base_url(base).build()?;
        let make = if over_http { ElevenLabs::over_http } else { ElevenLabs::new };
        let voice = Arc::new(make(config, connector.clone(), http.clone(), SpeechLimits::default()));
        Ok(VoiceCandidate { voice, probe: None })
    };
    let speaking = match subject {
        Subject::SpeechSocket => [speech(bad, false)?, speech(good, true)?],
        Subject::SpeechHttp => [speech(bad, true)?, speech(good, false)?],
        _ => [speech(good, false)?, speech(good, true)?],
    };
    let hearing =
        hearing.map(|recogniser| RecogniserCandidate { recogniser, probe: None }).into_iter().collect();
    Ok(Engine::builder()
        .vad(Arc::new(EnergyVad))
        .stt(Arc::new(ResilientRecogniser::new(hearing, &deadlines, 1)?))
        .llm(Arc::new(ResilientModel::new(answering.into_iter().collect(), &deadlines, 2)?))
        .tts(Arc::new(ResilientVoice::new(speaking.into_iter().collect(), &deadlines, 3)?))
        .build()?)
}

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the caller got.
#[derive(Debug, Default)]
struct Got {
    first: Option<Instant>,
    /// Sound of the answer.
    lasts: Duration,
    notices: Vec<String>,
    closed: Option<u16>,
}

async fn call(cell: Cell) -> Result<Finding, Trouble> {
    let (bad, good) = (Cloud::start(script()).await?, Cloud::start(script()).await?);
    let moment = match (cell.subject, MOMENTS[cell.moment].1) {
        // By then its first clause is heard.
        (Subject::OpenAi, Moment::After(_)) => Moment::After(14),
        (_, moment) => moment,
    };
    bad.faults().add(FaultRule::new(Target::Stage(cell.subject.stage()), FAULTS[cell.fault].1, moment));
    let folder = Folder(std::env::temp_dir().join(format!("voice-faults-{}", Uuid::new_v4())));
    std::fs::create_dir_all(&folder.0)?;
    let store = Arc::new(SqliteStore::open(&folder.0).await?);
    let config = Config { data: folder.0.clone(), ..Config::default() };
    let built = Built::whole(engine(cell.subject, &bad.base_url(), &good.base_url())?);
    let (trigger, shutdown) = shutdown::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = App::new(config, store.clone(), Arc::new(built), shutdown).await?;
    let serving = tokio::spawn(app.serve(listener));

    let id = Uuid::new_v4();
    let protocol = cell.full.then_some("voice.v1");
    let path = format!("/voice/{id}?in=pcm16&out=pcm16&out_rate=16000");
    let (mut mouth, mut ear) = socket::dial(address, &path, protocol).await?;
    let question = recorded::questions(6)?.pop().ok_or("no question")?;
    let spoken = question.tight(Duration::from_millis(330), Duration::from_secs(2));
    let mut got = Got::default();
    // In real time, as a person speaks; the microphone stays open.
    let quiet = vec![0_i16; ENGINE_RATE.samples_in(Duration::from_millis(20)) as usize];
    let mut sound = spoken.samples.chunks(quiet.len());
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut asked = None;
    let mut settled = Instant::now() + CALL;
    loop {
        tokio::select! {
            message = ear.next() => match message {
                Ok(Message::Close(code)) => {
                    got.closed = Some(code);
                    break;
                }
                Ok(message) => take(&mut got, cell.full, message),
                Err(_) => break,
            },
            _ = tick.tick() => {
                let samples = sound.next().unwrap_or_else(|| {
                    asked.get_or_insert_with(Instant::now);
                    &quiet
                });
                let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                if mouth.audio(&bytes).await.is_err() {
                    break;
                }
            }
            () = sleep(Duration::from_millis(200)) => {}
        }
        // A turn that is stored is over, and so is whatever was to be heard of it.
        if settled > Instant::now() + Duration::from_millis(400)
            && stored(&store, id).await.is_some_and(|stored| !stored.1.is_empty())
        {
            settled = Instant::now() + Duration::from_millis(300);
        }
        if Instant::now() >= settled {
            break;
        }
    }
    let _ = mouth.close().await;
    let echo = async {
        while let Ok(message) = ear.next().await {
            match message {
                Message::Close(code) => {
                    got.closed.get_or_insert(code);
                    break;
                }
                message => take(&mut got, cell.full, message),
            }
        }
    };
    let _ = timeout(Duration::from_secs(5), echo).await;
    let asked = asked.unwrap_or_else(Instant::now);
    let after = got.first.map_or(CALL, |first| first.saturating_duration_since(asked));
    let mut outcome = judge(&got, stored(&store, id).await, after);
    let is_fault = |entry: &LogEntry| matches!(entry.event, LogEvent::Mark(Mark::Faulted));
    if !matches!(FAULTS[cell.fault].1, Fault::Slow { .. }) && !bad.seen().entries().iter().any(is_fault) {
        outcome = Err("the fault did not come about".to_owned());
    }
    trigger.begin();
    let _ = timeout(Duration::from_secs(5), serving).await;
    Ok(Finding { cell, outcome, after })
}

fn take(got: &mut Got, full: bool, message: Message) {
    match message {
        Message::Binary(bytes) => {
            // In `voice.v1` two numbers stand before the samples (DESIGN 2.4).
            let samples = if full { bytes.get(8..).unwrap_or_default() } else { &bytes };
            let audible = |two: &[u8; 2]| i16::from_le_bytes(*two).unsigned_abs() > 300;
            if got.first.is_some() || samples.as_chunks().0.iter().any(audible) {
                got.first.get_or_insert_with(Instant::now);
                // The voice's own pauses count too.
                got.lasts += ENGINE_RATE.duration_of(samples.len() as u64 / 2);
            }
        }
        Message::Text(text) => {
            let message: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some("notice" | "error") = message["type"].as_str() {
                got.notices.push(message["code"].as_str().unwrap_or_default().to_owned());
            }
        }
        Message::Close(_) => {}
    }
}

/// What the caller said, and the turns, as stored.
async fn stored(store: &SqliteStore, id: Uuid) -> Option<Stored> {
    let detail = store.conversation(DEMO_ORGANIZATION, id).await.ok()??;
    let said = detail.turns.first().map(|turn| turn.said.clone()).unwrap_or_default();
    Some((said, detail.turns.into_iter().map(|turn| (turn.reply, turn.heard)).collect()))
}

/// Whether the rules hold, and what the cell came to.
fn judge(got: &Got, stored: Option<Stored>, after: Duration) -> Result<Outcome, String> {
    let Some((said, turns)) = stored else { return Err("the conversation is not stored".to_owned()) };
    if said != HEARD {
        return Err(format!("the caller's words are stored as {said:?}; {got:?}"));
    }
    let [(reply, _)] = turns.as_slice() else { return Err(format!("{} turns are stored", turns.len())) };
    // No other model goes on with words that were given out.
    let broken_off = reply.split_once("... Sorry, I lost my thread").is_some_and(|(begun, _)| {
        ANSWER.starts_with(begun.trim_end()) && begun.split_whitespace().count() > 3
    });
    if reply != ANSWER && !broken_off {
        return Err(format!("the answer is stored as {reply:?}; {got:?}"));
    }
    // Cut clauses have a space less or more.
    let whole = LETTER * reply.len() as u32;
    let seam = LETTER * 24;
    if got.lasts > whole + seam / 2 {
        return Err(format!("something was said twice: {:?} of sound for {whole:?}", got.lasts));
    }
    if got.first.is_some() && after > BOUND {
        return Err(format!("the answer began after {after:?}"));
    }
    if got.lasts + seam / 4 >= whole {
        return Ok(if broken_off { Outcome::BrokenOff } else { Outcome::Answered });
    }
    if got.lasts + seam >= whole {
        return Ok(Outcome::AnsweredButForWords);
    }
    if got.closed == Some(1013) {
        return Ok(Outcome::Told);
    }
    if !got.notices.is_empty() {
        return Ok(Outcome::InText);
    }
    Err(format!(
        "{:?} of {whole:?} were heard, and nothing was told; closed with {:?}",
        got.lasts, got.closed
    ))
}

/// The table of outcomes, as it stands in the docs: by provider and fault, each moment.
pub fn table(findings: &[Finding]) -> String {
    let mut rows: BTreeMap<(Subject, usize), [Vec<String>; 3]> = BTreeMap::new();
    for finding in findings {
        let Cell { subject, fault, moment, full } = finding.cell;
        let outcome = finding.outcome.as_ref().map_or("BROKEN", |outcome| outcome.name());
        let profile = if full { "voice.v1" } else { "basic" };
        rows.entry((subject, fault)).or_default()[moment].push(format!("{profile}: {outcome}"));
    }
    let bound = BOUND.as_secs();
    let mut text = format!(
        "# What a caller gets when a provider fails\n\n\
         Written by `load faults`, which makes a call for each cell: the named provider fails in the named way, before, during or\n\
         after its first useful output, and goes on failing; another of its stage is well. In every cell the caller's words and\n\
         the answer are stored whole, nothing is heard twice, and the answer begins within {bound} s.\n\n\
         | Provider | Fault | before | during | after |\n|---|---|---|---|---|\n"
    );
    for ((subject, fault), moments) in rows {
        let cells: Vec<String> = moments
            .into_iter()
            .map(|outcomes| {
                let names: Vec<&str> =
                    outcomes.iter().filter_map(|o| o.split_once(": ")).map(|o| o.1).collect();
                match names.as_slice() {
                    [one, rest @ ..] if rest.iter().all(|other| other == one) => (*one).to_owned(),
                    _ => outcomes.join("; "),
                }
            })
            .collect();
        let _ = writeln!(text, "| {} | {} | {} |", subject.name(), FAULTS[fault].0, cells.join(" | "));
    }
    text
}

/// Which cells are run.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Only cells whose name has this part, such as `Scribe, cut`; they are printed one by one, and nothing is written
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

/// Runs all cells, prints what broke, and writes the table into the docs.
///
/// # Errors
/// A cell broke a rule, or the table cannot be written.
pub fn run_all(options: &Options) -> io::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(part) = &options.only {
        let chosen = cells().into_iter().filter(|cell| cell.to_string().contains(part)).collect();
        for Finding { cell, outcome, after } in runtime.block_on(run(chosen)) {
            println!(
                "{cell}: {} after {} ms",
                outcome.map_or_else(|rule| rule, |o| o.name().to_owned()),
                after.as_millis()
            );
        }
        return Ok(());
    }
    let findings = runtime.block_on(run(cells()));
    let broken = findings.iter().filter(|finding| finding.outcome.is_err()).count();
    let mut after: Vec<f64> = findings.iter().map(|finding| finding.after.as_secs_f64() * 1_000.0).collect();
    after.retain(|ms| *ms < CALL.as_secs_f64() * 1_000.0);
    let spread = crate::figures::Spread::of(after);
    println!("faults: {} cells, {broken} broken; the answer began after {spread}", findings.len());
    let lines = check_log().map_err(io::Error::other)?;
    println!("  no key and no word of a call in {lines} lines of log");
    crate::figures::write_result(
        "faults",
        serde_json::json!({ "cells": findings.len(), "broken": broken, "first_sound_ms": spread }),
    )?;
    if broken > 0 {
        return Err(io::Error::other(format!("{broken} cells broke a rule")));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../voice-server/docs/FAULTS.md");
    std::fs::write(path, table(&findings))
}
