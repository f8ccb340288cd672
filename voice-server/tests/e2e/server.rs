//! The real program on a free loopback port, with a data folder of its own and the models of this machine.
//!
//! The process is a child that is killed by its own id when the value is dropped, also when a test fails.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;
use voice_core::local::weights::Cache;
pub(crate) use voice_fixtures::left_out;

/// Longer than anything here takes, shorter than anybody waits: only a fault runs into it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Fails where something does not come.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(LIMIT, what).await.expect("it does not come")
}

/// Longer than a start with the models takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// True if the weights are here. Says loudly when they are not, for then nothing is tried.
pub(crate) fn has_weights() -> bool {
    let here = Cache::of_user().is_some_and(|cache| cache.is_complete());
    if !here {
        left_out("the local models are not on this machine; `voice models pull` brings them");
    }
    here
}

/// A folder that is gone when the value is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("voice-e2e-{}", Uuid::new_v4()));
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program, without the settings of whoever runs the tests.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voice"));
    for (name, _) in std::env::vars_os() {
        if !matches!(name.to_str(), Some("HOME" | "PATH" | "XDG_CACHE_HOME" | "TMPDIR" | "LD_LIBRARY_PATH")) {
            command.env_remove(name);
        }
    }
    command
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts the program on `folder` and waits until it answers calls.
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with settings.
    pub(crate) fn start_with(folder: &Folder, settings: &[(&str, &str)]) -> Self {
        let log = folder.path().join("stderr.log");
        let errors = File::options().create(true).append(true).open(&log).expect("a log");
        let mut child = program()
            .args(["serve", "--bind", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .env("VOICE_LOG", "warn")
            .envs(settings.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the program starts");
        let printed = child.stdout.take().expect("piped");
        let (told, address) = mpsc::channel();
        // Reads to the end, so that the program never waits for room in the pipe; ends with the program.
        std::thread::spawn(move || {
            let mut address = None;
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                if let Some(rest) = line.split("http://").nth(1) {
                    address = Some(rest.trim_end_matches('/').parse());
                }
                // It serves before that, but a call waits for the models.
                if line.trim_start().starts_with("ready ")
                    && let Some(address) = address.take()
                {
                    let _ = told.send(address);
                }
            }
        });
        let mut server = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), child, log };
        match address.recv_timeout(START_LIMIT) {
            Ok(address) => server.address = address.expect("an address is printed"),
            Err(_) => panic!("the server did not start: {}", server.errors()),
        }
        server
    }

    /// Ends the program without any warning, as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What the program wrote to its error stream.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends a request with exactly these headers.
pub(crate) async fn ask(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    send(address, "GET", path, headers, "").await
}

/// The same by any method, with a body.
async fn send(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = soon(TcpStream::connect(address)).await.expect("a connection");
    let length = body.len();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for header in headers {
        request += header;
        request += "\r\n";
    }
    request += "\r\n";
    request += body;
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.expect("an answer");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, body: body.to_owned() }
}

/// The header by which the demo admin is known; it signs in once for some minutes.
pub(crate) async fn admin(address: SocketAddr) -> String {
    /// Shorter than an access token is good.
    const KEPT: Duration = Duration::from_secs(600);
    static KNOWN: Mutex<BTreeMap<SocketAddr, (Instant, String)>> = Mutex::new(BTreeMap::new());
    let known = KNOWN.lock().expect("unpoisoned").get(&address).cloned();
    if let Some((at, header)) = known
        && at.elapsed() < KEPT
    {
        return header;
    }
    let credentials = r#"{"email":"admin@demo.example","password":"demo-password"}"#;
    let answer = send(address, "POST", "/api/v1/auth/login", &["Host: localhost"], credentials).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let header = format!("Authorization: Bearer {}", body["accessToken"].as_str().expect("a token"));
    KNOWN.lock().expect("unpoisoned").insert(address, (Instant::now(), header.clone()));
    header
}

/// The stored conversation.
pub(crate) async fn conversation(address: SocketAddr, id: Uuid) -> Value {
    let path = format!("/api/v1/conversations/{id}");
    let answer = ask(address, &path, &["Host: localhost", &admin(address).await]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Asks until the conversation has this many turns.
pub(crate) async fn turns(address: SocketAddr, id: Uuid, count: usize) -> Vec<Value> {
    let asking = async {
        loop {
            let turns = conversation(address, id).await["turns"].as_array().expect("turns").clone();
            if turns.len() >= count {
                return turns;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let Ok(turns) = tokio::time::timeout(LIMIT, asking).await else {
        panic!("{count} turns do not come: {}", conversation(address, id).await)
    };
    turns
}
