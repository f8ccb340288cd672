//! A caller on tokio's virtual clock, and the real engine with scripted providers behind the real socket.
//!
//! While the clock is paused, time goes on only where nothing else does, straight to the next timer: what takes time
//! is what the program waits for, never the machine. Voice activity computes on threads that the clock does not see, so
//! it is given real time while the clock stands ([`Caller::settle`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Empty, Join};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;
use voice_core::session::Engine;
use voice_core::sim::{ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad};
use voice_server::engine::Built;

use crate::harness::{Server, soon};

/// Samples of 20 ms at 16 kHz, in bytes.
pub(crate) const FRAME_BYTES: usize = 640;
pub(crate) const FRAME: Duration = Duration::from_millis(20);
/// What the scripted voice takes for a byte of text.
pub(crate) const PER_BYTE: Duration = Duration::from_millis(66);
/// What the scripted recogniser hears, one a turn.
pub(crate) const SAID: [&str; 2] = ["How much is it?", "Does it have a garage?"];

/// A server with the engine. Its providers answer at once, so that the times are the engine's.
pub(crate) async fn server() -> Server {
    let mut stt = ScriptedStt::hearing(SAID);
    (stt.script.partial_lag, stt.script.final_delay) = (Duration::ZERO, Duration::ZERO);
    let mut llm = ScriptedLlm::default();
    (llm.script.first_token, llm.script.token_every) = (Duration::ZERO, Duration::ZERO);
    let mut tts = ScriptedTts::default();
    (tts.script.first_audio, tts.script.speed, tts.script.per_byte) = (Duration::ZERO, 50.0, PER_BYTE);
    let engine = Engine::builder()
        .stt(Arc::new(stt))
        .llm(Arc::new(llm))
        .tts(Arc::new(tts))
        .vad(Arc::new(ScriptedVad::default()))
        .build()
        .unwrap();
    Server::of(Arc::new(Built::whole(engine))).await
}

/// What came, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Binary(Bytes),
    Text(Value),
    Closed(u16),
}

/// One caller.
pub(crate) struct Caller {
    pub(crate) id: Uuid,
    write: Option<Writing>,
    came: Coming,
    reading: JoinHandle<()>,
}

type Writing = WebSocket<Join<Empty, OwnedWriteHalf>>;
type Coming = mpsc::UnboundedReceiver<(Instant, Got)>;

/// Opens a socket while the clock stands.
async fn connect(server: &Server, path: &str, protocol: Option<&str>) -> (Writing, Coming, JoinHandle<()>) {
    // A paused clock does not go on while a blocking task runs.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let standing = tokio::task::spawn_blocking(move || released.recv().is_err());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));

    let (read, write) = stream.into_split();
    let mut read = WebSocket::after_handshake(tokio::io::join(read, tokio::io::sink()), Role::Client);
    read.set_auto_close(false);
    read.set_auto_pong(false);
    let write = WebSocket::after_handshake(tokio::io::join(tokio::io::empty(), write), Role::Client);
    let (told, came) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        while let Ok(frame) = read.read_frame().await {
            let got = match (frame.opcode, &*frame.payload) {
                (OpCode::Binary, bytes) => Got::Binary(Bytes::copy_from_slice(bytes)),
                (OpCode::Text, text) => Got::Text(serde_json::from_slice(text).unwrap()),
                (OpCode::Close, [high, low, ..]) => Got::Closed(u16::from_be_bytes([*high, *low])),
                _ => continue,
            };
            if told.send((Instant::now(), got)).is_err() {
                return;
            }
        }
    });
    // The reader waits for its first frame before time goes on.
    tokio::task::yield_now().await;
    drop(release);
    standing.await.unwrap();
    (write, came, reading)
}

impl Caller {
    /// Opens a call on a clock that is paused from then on, and stands until the call is open.
    pub(crate) async fn dial(server: &Server, query: &str, protocol: Option<&str>) -> Self {
        let id = Uuid::new_v4();
        tokio::time::pause();
        let (write, came, reading) = connect(server, &format!("/voice/{id}{query}"), protocol).await;
        Self { id, write: Some(write), came, reading }
    }

    /// The network is gone: the connection breaks without a word. What had come by then can still be taken.
    pub(crate) async fn drop_line(&mut self) {
        // What is on its way arrives; what is sent to somebody who is gone does not.
        self.settle(Duration::from_millis(20)).await;
        self.reading.abort();
        let _ = (&mut self.reading).await;
        self.write = None;
        // The server sees it while the clock stands.
        self.settle(Duration::from_millis(40)).await;
    }

    /// Comes back with another connection, having handled all up to `last`.
    pub(crate) async fn resume(&mut self, server: &Server, token: &str, last: u64) {
        let path = format!("/voice/{}", self.id);
        let (write, came, reading) = connect(server, &path, Some("voice.v1")).await;
        (self.write, self.came, self.reading) = (Some(write), came, reading);
        self.tell(&serde_json::json!({"type": "resume", "token": token, "lastSeq": last}).to_string()).await;
        self.settle(Duration::from_millis(20)).await;
    }

    fn writer(&mut self) -> &mut Writing {
        self.write.as_mut().expect("a connection")
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.writer().write_frame(Frame::binary(Payload::Borrowed(bytes))).await.unwrap();
    }

    pub(crate) async fn tell(&mut self, text: &str) {
        self.writer().write_frame(Frame::text(Payload::Borrowed(text.as_bytes()))).await.unwrap();
    }

    /// Sends 20 ms of sound or silence as 16 kHz samples, and lets that time pass.
    pub(crate) async fn frame(&mut self, loud: bool) {
        let sample = |k: usize| {
            if loud && k % 20 < 10 {
                6_000_i16
            } else if loud {
                -6_000
            } else {
                0
            }
        };
        let bytes: Vec<u8> = (0..FRAME_BYTES / 2).flat_map(|k| sample(k).to_le_bytes()).collect();
        let due = Instant::now() + FRAME;
        self.send(&bytes).await;
        self.settle(Duration::from_millis(4)).await;
        tokio::time::sleep_until(due).await;
    }

    /// Lets this much real time pass while the clock stands, for what computes on threads.
    pub(crate) async fn settle(&self, real: Duration) {
        tokio::task::spawn_blocking(move || std::thread::sleep(real)).await.unwrap();
    }

    /// The next thing that comes, within a virtual minute.
    pub(crate) async fn next(&mut self) -> (Instant, Got) {
        tokio::time::timeout(Duration::from_secs(60), self.came.recv())
            .await
            .expect("it comes")
            .expect("open")
    }

    /// What comes until nothing does for `quiet`.
    pub(crate) async fn until_quiet(&mut self, quiet: Duration) -> Vec<(Instant, Got)> {
        let mut got = Vec::new();
        while let Ok(Some(came)) = tokio::time::timeout(quiet, self.came.recv()).await {
            got.push(came);
        }
        got
    }

    /// What has come so far.
    pub(crate) fn waiting(&mut self) -> Vec<(Instant, Got)> {
        std::iter::from_fn(|| self.came.try_recv().ok()).collect()
    }

    /// Lets the clock of the machine go on, closes, and gives the stored conversation.
    pub(crate) async fn hang_up(mut self, server: &Server) -> Value {
        tokio::time::resume();
        soon(self.writer().write_frame(Frame::close(1000, b""))).await.unwrap();
        while !matches!(soon(self.came.recv()).await, Some((_, Got::Closed(1000)))) {}
        server.conversation(self.id).await
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
