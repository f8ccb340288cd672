//! A server on a free port, a scripted engine, a store that can be held up, and a small WebSocket client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, WebSocket};
use futures::future::BoxFuture;
use http_body_util::Empty;
use hyper::Request;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OnceCell, Semaphore, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;
use voice_server::app::App;
use voice_server::auth::Auth;
use voice_server::config::Config;
use voice_server::data::*;
use voice_server::events::Hub;
use voice_server::shutdown::{self, Trigger};
use voice_server::voice::call::{
    Answerer, AnyAnswerer, CallInput, CallOptions, CallOutput, Control, Ended, Event, NotWritten, Output,
    Refused, StageStatus, TurnRecord, Written,
};
use voice_server::voice::registry::Registry;

/// Longer than anything here takes, shorter than anybody waits: only a fault runs into it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Fails the test where something does not come.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(LIMIT, what).await.expect("it does not come")
}

// ---- the scripted engine ----

/// What the engine saw of one call.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Pushed(Bytes),
    Control(Control),
    /// The caller's bytes broke off.
    Broke,
    Closed,
}

/// The engine's end of one call, held by the test.
pub(crate) struct Line {
    pub(crate) options: CallOptions,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) say: mpsc::Sender<Output>,
    /// Permits for pushes; each push uses one.
    pub(crate) room: Arc<Semaphore>,
}

impl Line {
    pub(crate) async fn next_seen(&mut self) -> Seen {
        soon(self.seen.recv()).await.expect("the call is gone")
    }

    pub(crate) async fn audio(&self, reply: u32, payload: &[u8]) {
        self.piece(reply, payload, Duration::ZERO, Duration::from_millis(20)).await;
    }

    /// A part of a reply's audio, with its place in it.
    pub(crate) async fn piece(&self, reply: u32, payload: &[u8], from: Duration, upto: Duration) {
        let payload = Bytes::copy_from_slice(payload);
        soon(self.say.send(Output::Audio { reply, payload, from, upto })).await.unwrap();
    }

    pub(crate) async fn event(&self, event: Event) {
        soon(self.say.send(Output::Event(event))).await.unwrap();
    }

    pub(crate) async fn turn(&self, turn: u32, said: &str) {
        self.event(Event::TurnEnded(record(turn, said))).await;
    }

    /// Waits for the hang-up and ends as an engine does.
    pub(crate) async fn end(mut self) {
        while self.next_seen().await != Seen::Closed {}
        self.event(Event::Closed { code: 1000, reason: String::new() }).await;
    }
}

pub(crate) fn record(turn: u32, said: &str) -> TurnRecord {
    TurnRecord {
        turn,
        said: said.into(),
        reply: "It has three bedrooms.".into(),
        heard: "It has three".into(),
        started_ms: 1_000,
        zero_ms: 2_000,
        ledger: vec![("endpoint", 200_000), ("stt", 50_500)],
        interrupted: true,
        by_person: false,
    }
}

struct Script {
    lines: mpsc::UnboundedSender<Line>,
    refuse: Option<Refused>,
}

pub(crate) struct Ear {
    seen: mpsc::UnboundedSender<Seen>,
    room: Arc<Semaphore>,
}

pub(crate) struct Mouth(mpsc::Receiver<Output>);

impl Answerer for Script {
    type Input = Ear;
    type Output = Mouth;

    fn open(&self, options: CallOptions) -> Result<(Ear, Mouth), Refused> {
        if let Some(refused) = &self.refuse {
            return Err(refused.clone());
        }
        let (seen, seen_by_test) = mpsc::unbounded_channel();
        let (say, said) = mpsc::channel(4);
        let room = Arc::new(Semaphore::new(1_000_000));
        let _ = self.lines.send(Line { options, seen: seen_by_test, say, room: room.clone() });
        Ok((Ear { seen, room }, Mouth(said)))
    }

    /// Answers with what it was asked, so that a test sees what reaches an answerer.
    fn write(&self, written: Written, _limit: Duration) -> BoxFuture<'_, Result<String, NotWritten>> {
        let reply = format!("{} after {:?}", written.text, written.earlier);
        Box::pin(std::future::ready(if written.text == "fail" { Err(NotWritten::Failed) } else { Ok(reply) }))
    }

    fn stages(&self) -> Vec<StageStatus> {
        ["stt", "llm", "tts"]
            .map(|stage| StageStatus { stage, provider: "script".into(), ready: true, note: String::new() })
            .to_vec()
    }
}

impl CallInput for Ear {
    async fn push(&self, bytes: Bytes) -> Result<(), Ended> {
        self.room.acquire().await.map_err(|_| Ended)?.forget();
        self.seen.send(Seen::Pushed(bytes)).map_err(|_| Ended)
    }

    async fn break_off(&self) {
        let _ = self.seen.send(Seen::Broke);
    }

    async fn control(&self, control: Control) {
        let _ = self.seen.send(Seen::Control(control));
    }

    fn close(&self) {
        let _ = self.seen.send(Seen::Closed);
    }
}

impl CallOutput for Mouth {
    async fn next(&mut self) -> Option<Output> {
        self.0.recv().await
    }
}

// ---- a store that can be held up ----

/// SQLite, where each turn waits for a permit, and the ends of conversations are told to the test.
pub(crate) struct HeldStore {
    inner: SqliteStore,
    /// Permits for storing turns; each turn uses one.
    pub(crate) gate: Arc<Semaphore>,
    ended: mpsc::UnboundedSender<Uuid>,
    /// While it is, conversations cannot be read.
    pub(crate) is_down: AtomicBool,
}

fn down() -> DataError {
    DataError::Unavailable(sqlx::Error::PoolTimedOut)
}

/// Hands methods of a contract on to the store within.
macro_rules! hand_on {
    ($contract:ident { $($method:ident($($name:ident: $kind:ty),*) -> $answer:ty;)* }) => {
        impl $contract for HeldStore {
            hand_on!(in $($method($($name: $kind),*) -> $answer;)*);
        }
    };
    (in $($method:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $method(&self, $($name: $kind),*) -> voice_server::data::Answer<'_, $answer> {
            self.inner.$method($($name),*)
        })*
    };
}

hand_on!(Accounts {
    organization(id: Uuid) -> Option<Organization>;
    organizations() -> Vec<Organization>;
    add_organization(id: Uuid, name: String, at: Timestamp) -> ();
    change_organization(id: Uuid, change: OrganizationChange, revision: Option<i64>) -> Organization;
    add_user(new: NewUser) -> User;
    user(organization: Uuid, id: Uuid) -> Option<User>;
    users(organization: Uuid, cursor: Option<Cursor>, limit: u32) -> Page<User>;
    user_by_email(email: String) -> Option<User>;
    user_by_id(id: Uuid) -> Option<User>;
    count_users() -> i64;
    change_user(organization: Uuid, id: Uuid, change: UserChange, revision: Option<i64>) -> User;
    remove_user(organization: Uuid, id: Uuid) -> ();
    add_refresh_token(token: RefreshToken) -> ();
    rotate_refresh_token(hash: String, successor: String, now: Timestamp, expires_at: Timestamp, grace_ms: u64) -> Rotation;
    revoke_family(hash: String, now: Timestamp) -> Option<Uuid>;
    add_key(new: NewApiKey) -> ();
    keys(organization: Uuid) -> Vec<ApiKey>;
    publishable_origins() -> Vec<String>;
    key_by_hash(hash: String) -> Option<ApiKey>;
    revoke_key(organization: Uuid, id: Uuid, now: Timestamp) -> ();
    spent_by_key(organization: Uuid, key: Uuid, since: Timestamp) -> i64;
});

hand_on!(Listings {
    properties(organization: Uuid, filter: PropertyFilter, sort: PropertySort, cursor: Option<PropertyCursor>, limit: u32) -> PropertyPage;
    property(organization: Uuid, id: Uuid) -> Option<Property>;
    save_properties(organization: Uuid, listings: Vec<NewProperty>) -> Saved;
    remove_properties(organization: Uuid, mls_ids: Vec<String>) -> u64;
});

hand_on!(Recordings {
    add_recording(recording: Recording) -> ();
    finish_recording(recording: Recording) -> ();
    recording(organization: Uuid, id: Uuid) -> Option<Recording>;
    recordings(organization: Uuid, conversation: Uuid) -> Vec<Recording>;
    expired_recordings(now: Timestamp, limit: u32) -> Vec<Recording>;
    remove_recording(organization: Uuid, id: Uuid) -> ();
    add_consent(organization: Uuid, consent: Consent) -> ();
    consents(organization: Uuid, conversation: Uuid) -> Vec<Consent>;
});

impl Upkeep for HeldStore {
    hand_on!(in
        ping() -> ();
        end_abandoned(before: Timestamp) -> u64;
        begin_once(organization: Uuid, asker: String, key: String, fingerprint: String, now: Timestamp) -> Begun;
        finish_once(organization: Uuid, asker: String, key: String, answer: Option<(u16, String)>) -> ();
        sweep(now: Timestamp) -> ();
        index_words(most: u32) -> u64;
    );
    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

impl ConversationStore for HeldStore {
    hand_on!(in
        open_conversation(new: NewConversation) -> ();
        add_cost(organization: Uuid, conversation: Uuid, report: Value, micros: i64) -> ();
        change_conversation(organization: Uuid, id: Uuid, change: ConversationChange, revision: Option<i64>) -> Conversation;
        history(organization: Uuid, caller: Caller, limit: u32) -> Vec<ConversationDetail>;
        performance(organization: Uuid, user: Uuid, from: Timestamp, to: Timestamp, zone: jiff::tz::TimeZone) -> Performance;
        conversations_of_phone(organization: Uuid, phone: String, limit: u32) -> Vec<Uuid>;
        erase_conversations(organization: Uuid, ids: Vec<Uuid>) -> u64;
    );
    fn conversation(
        &self,
        organization: Uuid,
        id: Uuid,
    ) -> voice_server::data::Answer<'_, Option<ConversationDetail>> {
        if self.is_down.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(down())));
        }
        self.inner.conversation(organization, id)
    }
    fn conversations(
        &self,
        organization: Uuid,
        filter: ConversationFilter,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> voice_server::data::Answer<'_, Conversations> {
        if self.is_down.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(down())));
        }
        self.inner.conversations(organization, filter, cursor, limit)
    }
    fn append_turn(&self, organization: Uuid, id: Uuid, turn: Turn) -> voice_server::data::Answer<'_, ()> {
        Box::pin(async move {
            self.gate.acquire().await.unwrap().forget();
            self.inner.append_turn(organization, id, turn).await
        })
    }
    fn end_conversation(
        &self,
        organization: Uuid,
        id: Uuid,
        end: CallEnd,
    ) -> voice_server::data::Answer<'_, ()> {
        Box::pin(async move {
            self.inner.end_conversation(organization, id, end).await?;
            let _ = self.ended.send(id);
            Ok(())
        })
    }
}

// ---- the server ----

/// A running server. Its data is gone when the value is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) lines: mpsc::UnboundedReceiver<Line>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) ended: mpsc::UnboundedReceiver<Uuid>,
    pub(crate) trigger: Trigger,
    pub(crate) events: Hub,
    pub(crate) serving: JoinHandle<()>,
    /// `Authorization` of the demo admin, once somebody asked for it.
    admin: OnceCell<String>,
    /// The server's own sign-in.
    pub(crate) auth: Arc<Auth>,
    pub(crate) store: Arc<HeldStore>,
    /// What requests see.
    pub(crate) app: App,
    /// The calls under way.
    pub(crate) calls: Registry,
    pub(crate) folder: PathBuf,
}

/// What a test wants to be different.
#[derive(Default)]
pub(crate) struct Wish {
    pub(crate) config: Config,
    pub(crate) refuse: Option<Refused>,
    pub(crate) limits: Option<voice_server::voice::Limits>,
    /// Turns wait until the test lets them be stored.
    pub(crate) held: bool,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Wish::default()).await
    }

    pub(crate) async fn with(wish: Wish) -> Self {
        let (answered, lines) = mpsc::unbounded_channel();
        let script = Arc::new(Script { lines: answered, refuse: wish.refuse.clone() });
        Self::answering(|_| script, lines, wish).await
    }

    /// A server with another engine behind it; no line of it ever reaches the test.
    pub(crate) async fn of(answerer: Arc<dyn AnyAnswerer>) -> Self {
        Self::of_with(answerer, Wish::default()).await
    }

    /// The same with wishes.
    pub(crate) async fn of_with(answerer: Arc<dyn AnyAnswerer>, wish: Wish) -> Self {
        Self::over(|_| answerer, wish).await
    }

    /// The same with an engine that uses the server's store.
    pub(crate) async fn over(
        answerer: impl FnOnce(Arc<HeldStore>) -> Arc<dyn AnyAnswerer>,
        wish: Wish,
    ) -> Self {
        let (_, lines) = mpsc::unbounded_channel();
        Self::answering(answerer, lines, wish).await
    }

    async fn answering(
        answerer: impl FnOnce(Arc<HeldStore>) -> Arc<dyn AnyAnswerer>,
        lines: mpsc::UnboundedReceiver<Line>,
        wish: Wish,
    ) -> Self {
        let folder = std::env::temp_dir().join(format!("voice-server-test-{}", Uuid::new_v4()));
        let (ends, ended) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(if wish.held { 0 } else { 1_000_000 }));
        let inner = SqliteStore::open(&folder).await.unwrap();
        let store =
            Arc::new(HeldStore { inner, gate: gate.clone(), ended: ends, is_down: AtomicBool::new(false) });
        let (trigger, shutdown) = shutdown::channel();
        let config = Config { data: folder.clone(), ..wish.config };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut app = App::new(config, store.clone(), answerer(store.clone()), shutdown).await.unwrap();
        if let Some(limits) = wish.limits {
            app.limits = limits;
        }
        let calls = app.calls.clone();
        let auth = app.auth.clone();
        let events = app.events.clone();
        let serving = tokio::spawn(app.clone().serve(listener));
        Self {
            address,
            lines,
            gate,
            ended,
            trigger,
            events,
            serving,
            calls,
            admin: OnceCell::new(),
            auth,
            store,
            app,
            folder,
        }
    }

    /// The engine's end of the next call.
    pub(crate) async fn line(&mut self) -> Line {
        soon(self.lines.recv()).await.expect("the server is gone")
    }

    /// A call in the basic profile, and the engine's end of it.
    pub(crate) async fn call(&mut self, query: &str) -> (Client, Line, Uuid) {
        let id = Uuid::new_v4();
        let client = self.dial(&format!("/voice/{id}{query}"), None).await.expect("accepted");
        (client, self.line().await, id)
    }

    /// The same in `voice.v1`.
    pub(crate) async fn call_v1(&mut self, query: &str) -> (Client, Line, Uuid) {
        let id = Uuid::new_v4();
        let client = self.dial(&format!("/voice/{id}{query}"), Some("voice.v1")).await.expect("accepted");
        (client, self.line().await, id)
    }

    pub(crate) async fn dial(&self, path: &str, protocol: Option<&str>) -> Option<Client> {
        self.dial_as(None, path, protocol).await
    }

    /// The same by whoever has this token or key.
    pub(crate) async fn dial_as(
        &self,
        token: Option<&str>,
        path: &str,
        protocol: Option<&str>,
    ) -> Option<Client> {
        // A small buffer, so that a client that does not read is noticed.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        // What is written at once arrives at once.
        stream.set_nodelay(true).unwrap();
        let mut request = Request::builder()
            .uri(path)
            .header("Host", "localhost")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Key", fastwebsockets::handshake::generate_key())
            .header("Sec-WebSocket-Version", "13");
        if let Some(protocol) = protocol {
            request = request.header("Sec-WebSocket-Protocol", protocol);
        }
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut socket, response) =
            soon(fastwebsockets::handshake::client(&executor, request, stream)).await.ok()?;
        assert_eq!(
            response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap()),
            protocol.filter(|protocol| *protocol == "voice.v1")
        );
        socket.set_auto_close(false);
        socket.set_auto_pong(true);
        Some(Client(socket))
    }

    /// Sends a request with the headers and gives status, head and body.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        self.send(method, path, headers, "").await
    }

    /// The same with a body.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for header in headers {
            request += header;
            request += "\r\n";
        }
        if !body.is_empty() {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        soon(stream.read_to_end(&mut bytes)).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let body = &bytes[end + 4..];
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            whole_head: head.to_owned(),
            body: String::from_utf8_lossy(body).into_owned(),
            length: body.len(),
        }
    }

    /// Posts JSON from this machine.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &["Host: localhost"], &body.to_string()).await
    }

    /// The header by which the demo admin of an unconfigured server is known.
    pub(crate) async fn admin(&self) -> &str {
        let sign_in = async {
            let credentials = json!({"email": "admin@demo.example", "password": "demo-password"});
            let answer = self.post("/api/v1/auth/login", &credentials).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            format!("Authorization: Bearer {}", answer.json()["accessToken"].as_str().unwrap())
        };
        self.admin.get_or_init(|| sign_in).await
    }

    /// The address of an admin of a new organization, whose password is that of the demo users.
    pub(crate) async fn admin_of_another_organization(&self) -> String {
        let (organization_id, id) = (Uuid::new_v4(), Uuid::new_v4());
        let passwords = voice_server::auth::password::Passwords::new(1);
        let hash = passwords.hash("demo-password").await.unwrap();
        self.store.add_organization(organization_id, "Other".into(), Timestamp::now()).await.unwrap();
        let email = format!("{id}@other.example");
        let new = NewUser {
            id,
            organization_id,
            email: email.clone(),
            name: String::new(),
            role: Role::Admin,
            password_hash: Some(voice_server::config::Secret::new(&hash)),
            created_at: Timestamp::now(),
        };
        self.store.add_user(new).await.unwrap();
        email
    }

    /// The same with whatever bytes come back.
    pub(crate) async fn bytes(&self, method: &str, path: &str, headers: &[&str]) -> Sound {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        soon(stream.read_to_end(&mut bytes)).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Sound { status, head: head.to_ascii_lowercase(), bytes: bytes.split_off(end + 4) }
    }

    /// A plain request from this machine.
    pub(crate) async fn fetch(&self, path: &str) -> Answer {
        self.ask("GET", path, &["Host: localhost"]).await
    }

    /// The same by the demo admin.
    pub(crate) async fn read(&self, path: &str) -> Answer {
        self.ask("GET", path, &["Host: localhost", self.admin().await]).await
    }

    /// A second way to the server's data.
    pub(crate) async fn beside(&self) -> SqliteStore {
        SqliteStore::attach(&self.folder).await.unwrap()
    }

    /// A handshake that is expected to be refused.
    pub(crate) async fn refused(&self, path: &str, headers: &[&str]) -> Answer {
        let mut all = vec![
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ];
        all.extend(headers);
        self.ask("GET", path, &all).await
    }

    /// A handshake with these headers: the status, and the connection, which holds the call while it lives.
    pub(crate) async fn shake(&self, path: &str, headers: &[&str]) -> (u16, TcpStream) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        );
        for header in headers {
            request += header;
            request += "\r\n";
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(soon(stream.read_u8()).await.unwrap());
        }
        let line = String::from_utf8(line).unwrap();
        (line.split(' ').nth(1).unwrap().parse().unwrap(), stream)
    }

    pub(crate) async fn conversation(&self, id: Uuid) -> Value {
        let answer = self.read(&format!("/api/v1/conversations/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// The same, once the call has ended.
    pub(crate) async fn ended_conversation(&self, id: Uuid) -> Value {
        soon(async {
            loop {
                let found = self.conversation(id).await;
                if found["status"] == "ended" {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) whole_head: String,
    pub(crate) body: String,
    /// Bytes of the body as they came.
    pub(crate) length: usize,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// An HTTP answer whose body is no text.
pub(crate) struct Sound {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) bytes: Vec<u8>,
}

// ---- the client ----

/// The caller's end of a socket.
pub(crate) struct Client(pub(crate) WebSocket<TokioIo<Upgraded>>);

/// A frame as the caller sees it.
#[derive(Debug, PartialEq)]
pub(crate) enum Got {
    Binary(Vec<u8>),
    Text(Value),
    Closed(u16, String),
}

impl Client {
    pub(crate) async fn binary(&mut self, bytes: &[u8]) {
        soon(self.0.write_frame(Frame::binary(Payload::Borrowed(bytes)))).await.unwrap();
    }

    pub(crate) async fn text(&mut self, text: &str) {
        soon(self.0.write_frame(Frame::text(Payload::Borrowed(text.as_bytes())))).await.unwrap();
    }

    pub(crate) async fn fragment(&mut self, fin: bool, opcode: OpCode, bytes: &[u8]) {
        let frame = Frame::new(fin, opcode, None, Payload::Borrowed(bytes));
        soon(self.0.write_frame(frame)).await.unwrap();
    }

    pub(crate) async fn close(&mut self) {
        soon(self.0.write_frame(Frame::close(1000, b""))).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Got {
        loop {
            let frame = soon(self.0.read_frame()).await.expect("the server is gone");
            match frame.opcode {
                OpCode::Binary => return Got::Binary(frame.payload.to_vec()),
                OpCode::Text => return Got::Text(serde_json::from_slice(&frame.payload).unwrap()),
                OpCode::Close if frame.payload.is_empty() => return Got::Closed(1005, String::new()),
                OpCode::Close => {
                    let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
                    return Got::Closed(code, String::from_utf8(frame.payload[2..].to_vec()).unwrap());
                }
                _ => {}
            }
        }
    }

    /// Closes with another code.
    pub(crate) async fn close_with(&mut self, code: u16) {
        soon(self.0.write_frame(Frame::close(code, b""))).await.unwrap();
    }

    pub(crate) async fn next_text(&mut self) -> Value {
        match self.next().await {
            Got::Text(value) => value,
            other => panic!("{other:?} instead of text"),
        }
    }

    /// What comes until the close, and the close's code and reason.
    pub(crate) async fn rest(&mut self) -> (Vec<Got>, u16, String) {
        let mut got = Vec::new();
        loop {
            match self.next().await {
                Got::Closed(code, reason) => return (got, code, reason),
                other => got.push(other),
            }
        }
    }
}
