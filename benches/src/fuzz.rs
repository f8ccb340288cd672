//! Entries for any bytes at all: each must end well, whatever comes.
//!
//! `benches/fuzz` runs them guided by coverage (`.ci/long`), `benches/tests/fuzz_short.rs` with seeded damage in every
//! test run. What the guided runs find is kept in `benches/tests/found/ENTRY/` and run by the same test.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use voice_core::audio::{Channels, SampleRate};
use voice_core::ingress::{self, Declared};
use voice_core::llm::concierge::Concierge;
use voice_core::llm::{Message, Role};
use voice_core::session::Engine;
use voice_core::sim::{ScriptedLlm, ScriptedStt, ScriptedTts, exercise_turns};
use voice_core::text::chunker::Chunker;
use voice_core::text::speakable::speakable;
use voice_server::app::App;
use voice_server::config::{Config, Flags};
use voice_server::data::SqliteStore;
use voice_server::engine::Built;
use voice_server::shutdown::{self, Trigger};

use crate::socket;

/// One entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name, also of its folders.
    pub name: &'static str,
    /// Takes any bytes; panics where something is wrong with us.
    pub run: fn(&[u8]),
}

/// All entries; the container parsers first.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "wav", run: |data| container(b"RIFF", data) },
    Entry { name: "ogg", run: |data| container(b"OggS", data) },
    Entry { name: "webm", run: |data| container(&[0x1A, 0x45, 0xDF, 0xA3], data) },
    Entry { name: "sniff", run: |data| ingress::exercise(None, data) },
    Entry { name: "declared", run: declared },
    Entry { name: "turns", run: exercise_turns },
    Entry { name: "text", run: text },
    Entry { name: "config", run: config },
    Entry { name: "socket", run: socket },
];

/// The entry of this name.
pub fn entry(name: &str) -> Option<Entry> {
    ENTRIES.iter().copied().find(|entry| entry.name == name)
}

/// The first four bytes choose how the rest is split into messages; the rest starts as the container does.
fn container(magic: &[u8; 4], data: &[u8]) {
    let mut data = data.to_vec();
    if let Some(start) = data.get_mut(4..8) {
        start.copy_from_slice(magic);
    }
    ingress::exercise(None, &data);
}

/// The first byte chooses what is declared.
fn declared(data: &[u8]) {
    let [kind, data @ ..] = data else { return };
    let channels = if kind & 1 == 0 { Channels::Mono } else { Channels::Stereo };
    let rates = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000];
    let Ok(rate) = SampleRate::new(rates[usize::from(kind >> 1 & 7)]) else { return };
    let declared = match kind >> 4 & 3 {
        0 => Declared::Pcm16 { rate, channels },
        1 => Declared::Ulaw { rate, channels },
        2 => Declared::Alaw { rate, channels },
        _ => Declared::OpusPackets { channels },
    };
    ingress::exercise(Some(declared), data);
}

/// An answer in pieces, spoken forms, and a question to the concierge.
fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(4_000)]);
    let mut chunker = Chunker::default();
    let mut clauses = String::new();
    for piece in text.split_inclusive([' ', ',']) {
        chunker.push_delta(piece);
        while let Some(clause) = chunker.poll_clause() {
            clauses.push_str(&clause);
        }
    }
    chunker.finish();
    while let Some(clause) = chunker.poll_clause() {
        clauses.push_str(&clause);
    }
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
    assert_eq!(letters(&clauses), letters(&text), "clauses lose or invent letters");
    let _ = speakable(&text);

    static CONCIERGE: OnceLock<Concierge> = OnceLock::new();
    let said = |role, text: &str| Message::new(role, text);
    let (before, now) = text.split_once('|').unwrap_or(("", &text));
    let messages = [said(Role::User, before), said(Role::Assistant, "It has three."), said(Role::User, now)];
    let answer = CONCIERGE.get_or_init(Concierge::with_samples).answer(&messages);
    assert!(!answer.trim().is_empty(), "every question is answered");
}

/// A settings file, then behind a zero byte lines of an environment.
fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, environment) = text.split_once('\0').unwrap_or((&text, ""));
    let pairs = |lines: &str| -> Vec<(String, String)> {
        lines.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    let folder = scratch("config");
    let path = folder.join("voice.toml");
    if std::fs::write(&path, file).is_ok() {
        let flags = Flags { config: Some(path), ..Flags::default() };
        // A refusal says why in one line; anything but a panic is well.
        if let Err(error) = Config::from_sources(&flags, Vec::new(), pairs(environment)) {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// A folder of this process in the system's temporary one.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("voice-fuzz-{}-{name}", std::process::id()));
    // What cannot be written shows where it is needed.
    let _ = std::fs::create_dir_all(&folder);
    folder
}

/// The first byte chooses: a query of the voice socket, or messages of `voice.v1`, text and binary in turns. A call may
/// take its time to end, so its end is awaited beside the next calls, and no bytes at all wait for every end.
fn socket(data: &[u8]) {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(Server::start);
    server.runtime.block_on(async {
        match data {
            [kind, data @ ..] => server.meet(*kind, data).await,
            [] => drop(server.places.acquire_many(PLACES).await),
        }
    });
    let faults = server.faults.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(faults.is_empty(), "{faults:?}");
}

/// No call takes as long to end.
const LIMIT: Duration = Duration::from_secs(10);
/// Calls at once.
const PLACES: u32 = 400;

/// The real server with a scripted engine, on a free port of this machine.
struct Server {
    runtime: Runtime,
    address: std::net::SocketAddr,
    places: Arc<Semaphore>,
    /// What was wrong with calls that have ended.
    faults: Arc<Mutex<Vec<String>>>,
    /// Kept, because without it the server would stop.
    _trigger: Trigger,
}

impl Server {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (address, trigger) = runtime.block_on(async {
            let engine = Engine::builder()
                .stt(Arc::new(ScriptedStt::hearing(["yes"])))
                .llm(Arc::new(ScriptedLlm::default()))
                .tts(Arc::new(ScriptedTts::default()))
                .build()
                .expect("all stages are given");
            let built = Built::whole(engine);
            let data = scratch("data");
            let store = Arc::new(SqliteStore::open(&data).await.expect("a database"));
            let config = Config { data, max_calls: 1_000, max_connections: 2_000, ..Config::default() };
            let (trigger, shutdown) = shutdown::channel();
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let app =
                App::new(config, store, Arc::new(built), shutdown).await.expect("the demo organization");
            tokio::spawn(app.serve(listener));
            (address, trigger)
        });
        let places = Arc::new(Semaphore::new(PLACES as usize));
        Self { runtime, address, places, faults: Arc::default(), _trigger: trigger }
    }

    async fn meet(&self, kind: u8, data: &[u8]) {
        let id = uuid::Uuid::new_v4();
        if kind.is_multiple_of(2) {
            // What a request line can carry; everything else never reaches the query.
            let query: String =
                data.iter().take(2_000).filter(|b| b.is_ascii_graphic()).map(|&b| b as char).collect();
            let path = format!("/voice/{id}?{}", query.replace('#', ""));
            match socket::dial(self.address, &path, None).await {
                Ok((mouth, ear)) => self.hang_up(mouth, ear, path).await,
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.contains("HTTP/1.1 4"), "refusals are the caller's fault: {said}");
                }
            }
            return;
        }
        let path = format!("/voice/{id}?in=pcm16&out=pcm16");
        let opened = socket::dial(self.address, &path, Some("voice.v1")).await;
        let (mut mouth, ear) = opened.expect("a plain call is taken");
        for (k, message) in data.split(|byte| *byte == 0).take(64).enumerate() {
            let sent = match (k % 4, std::str::from_utf8(message)) {
                (0..=2, Ok(text)) => mouth.text(text).await,
                _ => mouth.audio(message).await,
            };
            if sent.is_err() {
                break;
            }
        }
        self.hang_up(mouth, ear, String::from_utf8_lossy(data).into_owned()).await;
    }

    /// Hangs up and lets the end be judged: it must come, and must not be a fault of the server.
    async fn hang_up(&self, mut mouth: socket::Mouth, mut ear: socket::Ear, said: String) {
        let Ok(place) = self.places.clone().acquire_owned().await else { return };
        let faults = self.faults.clone();
        tokio::spawn(async move {
            let _ = mouth.close().await;
            let ended = async {
                loop {
                    match ear.next().await {
                        Ok(socket::Message::Close(code)) => return code,
                        Ok(_) => {}
                        Err(_) => return 1006,
                    }
                }
            };
            let code = timeout(LIMIT, ended).await;
            if !matches!(code, Ok(code) if code != 1011) {
                let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                faults.push(format!("{said:?} ended with {code:?}"));
            }
            drop(place);
        });
    }
}
