//! kill -9 at any moment loses no acknowledged write, on SQLite and on Postgres.
//!
//! Some writers make conversations, note things about them and write in them, each remembering what was acknowledged; the
//! server is killed at a moment that a seed chooses, is started again, and everything remembered is read back. 20 kills by
//! default; `VOICE_CRASHES` says another number, as `.ci/long` does.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use voice_fixtures::left_out;
use voice_fixtures::private::PrivatePostgres;

const WRITERS: usize = 4;
/// Longer than a start takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
const PASSWORD: &str = "a password for this test";

/// What the server said that it has.
#[derive(Clone, Debug, Default)]
struct Remembered {
    id: String,
    /// The last note that was acknowledged.
    notes: Option<String>,
    /// A note that was sent and may or may not have come through.
    sent: Option<String>,
    /// Written messages that were answered, in order.
    said: Vec<String>,
}

struct Running {
    child: Child,
    base: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL; a child that has ended already is none of our trouble.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn program(settings: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voice"));
    for (name, _) in std::env::vars_os() {
        if !matches!(name.to_str(), Some("HOME" | "PATH" | "XDG_CACHE_HOME" | "TMPDIR" | "LD_LIBRARY_PATH")) {
            command.env_remove(name);
        }
    }
    // Nothing here is spoken, so no models are loaded: the answerer alone is asked.
    command.envs([
        ("VOICE_LOG", "warn"),
        ("VOICE_LLM", "concierge"),
        ("VOICE_STT", "deepgram"),
        ("VOICE_TTS", "elevenlabs"),
        ("DEEPGRAM_API_KEY", "none"),
        ("DEEPGRAM_BASE_URL", "http://127.0.0.1:9"),
        ("ELEVENLABS_API_KEY", "none"),
        ("ELEVENLABS_BASE_URL", "http://127.0.0.1:9"),
        ("VOICE_REQUESTS_PER_SECOND", "100000"),
    ]);
    command.envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    command
}

impl Running {
    fn start(folder: &Path, settings: &[(&str, String)]) -> Self {
        let mut child = program(settings)
            .args(["serve", "--bind", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap())
            .spawn()
            .expect("the program starts");
        let printed = BufReader::new(child.stdout.take().unwrap());
        let (told, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut open = String::new();
            for line in printed.lines().map_while(Result::ok) {
                if let Some(address) = line.trim().strip_prefix("open ") {
                    open = address.trim().trim_end_matches('/').to_owned();
                }
                // Before that written questions are told to come again.
                if line.trim().starts_with("ready ") {
                    let _ = told.send(open.clone());
                }
            }
        });
        let base = address.recv_timeout(START_LIMIT).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("the server does not start: {log}")
        });
        Self { child, base }
    }
}

async fn send(
    http: &reqwest::Client,
    base: &str,
    token: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Option<(u16, Value)> {
    let mut request = http.request(method.parse().unwrap(), format!("{base}{path}"));
    request = request.header("authorization", format!("Bearer {token}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.ok()?;
    Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

/// Writes until the server is gone. A write that is told to come again is counted: it acknowledges nothing, and nothing here
/// is so much that it should happen.
async fn write(
    http: reqwest::Client,
    base: String,
    token: String,
    all: Arc<Mutex<Vec<Remembered>>>,
    busy: Arc<AtomicUsize>,
) {
    let ask = async |method: &str, path: &str, body: Value| {
        let (status, body) = send(&http, &base, &token, method, path, Some(body)).await?;
        if status == 503 {
            busy.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        assert!(status < 300, "{method} {path} answered {status} {body}");
        Some(body)
    };
    let _: Option<()> = async {
        loop {
            let made = ask("POST", "/api/v1/conversations", json!({"metadata": {"a": 1}})).await?;
            let id = made["id"].as_str()?.to_owned();
            let place = {
                let mut all = all.lock().unwrap();
                all.push(Remembered { id: id.clone(), ..Remembered::default() });
                all.len() - 1
            };
            for number in 0..3 {
                let notes = format!("note {number} {}", Uuid::new_v4());
                all.lock().unwrap()[place].sent = Some(notes.clone());
                ask("PATCH", &format!("/api/v1/conversations/{id}"), json!({"notes": notes})).await?;
                all.lock().unwrap()[place].notes = Some(notes);
                let text = format!("Which homes have a garden, number {number}?");
                ask("POST", &format!("/api/v1/conversations/{id}/messages"), json!({"text": text})).await?;
                all.lock().unwrap()[place].said.push(text);
            }
        }
    }
    .await;
}

/// Numbers that look random and are the same in each run.
struct Seed(u64);

impl Seed {
    fn below(&mut self, most: u64) -> u64 {
        // SplitMix64, by Steele, Lea and Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

async fn survives(settings: Vec<(&'static str, String)>, kills: usize) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder(std::env::temp_dir().join(format!("voice-crash-{}", Uuid::new_v4())));
    std::fs::create_dir_all(&folder.0).unwrap();
    add_admin(&folder.0, &settings);
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let all: Arc<Mutex<Vec<Remembered>>> = Arc::default();
    let busy: Arc<AtomicUsize> = Arc::default();
    let mut seed = Seed(7);
    let mut token = String::new();
    for kill in 0..kills {
        let mut server = Running::start(&folder.0, &settings);
        if kill == 0 {
            let login = json!({"email": "root@example.com", "password": PASSWORD});
            let got = send(&http, &server.base, "", "POST", "/api/v1/auth/login", Some(login)).await.unwrap();
            token = got.1["accessToken"].as_str().unwrap_or_else(|| panic!("{got:?}")).to_owned();
        }
        check(&http, &server.base, &token, &all).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (base, token) = (server.base.clone(), token.clone());
                tokio::spawn(write(http.clone(), base, token, all.clone(), busy.clone()))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(5 + seed.below(250))).await;
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        for writer in writers {
            writer.await.unwrap_or_else(|error| {
                let log = std::fs::read_to_string(folder.0.join("log")).unwrap_or_default();
                panic!("the server refused a write: {error}\n{log}")
            });
        }
    }
    let refused = busy.load(Ordering::Relaxed);
    if refused > 0 {
        let log = std::fs::read_to_string(folder.0.join("log")).unwrap_or_default();
        panic!("{refused} writes were told to come again: {log}");
    }
    let server = Running::start(&folder.0, &settings);
    check(&http, &server.base, &token, &all).await;
    let (conversations, messages) = {
        let all = all.lock().unwrap();
        (all.len(), all.iter().map(|one| one.said.len()).sum::<usize>())
    };
    println!(
        "{kills} kills: {conversations} conversations and {messages} messages were acknowledged, all are there"
    );
    assert!(conversations >= kills && messages >= kills, "too little was written to say anything");
}

/// Everything that was acknowledged is there.
async fn check(http: &reqwest::Client, base: &str, token: &str, all: &Mutex<Vec<Remembered>>) {
    // What an earlier round saw needs no second look each time: the last hundred do.
    let recent: Vec<Remembered> = {
        let all = all.lock().unwrap();
        all.iter().rev().take(100).cloned().collect()
    };
    for one in recent {
        let path = format!("/api/v1/conversations/{}", one.id);
        let (status, found) = send(http, base, token, "GET", &path, None).await.expect("an answer");
        assert_eq!(status, 200, "an acknowledged conversation is gone: {one:?}");
        let notes = found["notes"].as_str().unwrap_or_default().to_owned();
        assert!(
            one.notes.as_ref().is_none_or(|acknowledged| *acknowledged == notes)
                || one.sent.as_ref() == Some(&notes),
            "an acknowledged note is gone: {one:?} {notes}"
        );
        let said: Vec<&str> =
            found["turns"].as_array().unwrap().iter().map(|turn| turn["said"].as_str().unwrap()).collect();
        // One more may have been stored whose answer did not come through.
        assert!(
            said.starts_with(&one.said.iter().map(String::as_str).collect::<Vec<_>>()),
            "{one:?} {said:?}"
        );
        assert!(said.len() <= one.said.len() + 1, "{one:?} {said:?}");
    }
}

fn add_admin(folder: &Path, settings: &[(&str, String)]) {
    use std::io::Write as _;
    let mut child = program(settings)
        .args(["user", "add", "--admin", "--password-stdin", "root@example.com"])
        .env("VOICE_DATA", folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn kills() -> usize {
    std::env::var("VOICE_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_every_acknowledged_write() {
    survives(vec![("VOICE_AUTH_SECRET", "a secret for this test, long enough".to_owned())], kills()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_every_acknowledged_write() {
    // Its own server, which syncs as it does by default.
    let Some(postgres) = PrivatePostgres::start(&[]).expect("a private Postgres starts") else {
        return left_out("postgresql is not installed; `.ci/setup test` brings it");
    };
    let address = postgres.database().unwrap();
    let settings = vec![
        ("VOICE_AUTH_SECRET", "a secret for this test, long enough".to_owned()),
        ("DATABASE_URL", address),
    ];
    survives(settings, kills()).await;
}
