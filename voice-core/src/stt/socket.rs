//! Recognisers behind a WebSocket: the shell around an [`SttProtocol`], one connection and one task a call.
//!
//! It connects, moves messages, keeps the protocol's timers, and comes back after a connection is lost; what was said
//! meanwhile is the protocol's to keep and to send again. It knows nothing of any service. Whether another recogniser
//! should be asked instead is decided above. Caller: `session`, through [`SpeechToText`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::deepgram::DeepgramConfig;
use super::elevenlabs::{Scribe, ScribeConfig};
use super::told::{Told, telling};
use super::{
    AbsentRecogniser, MOST_MESSAGE, SpeechToText, SttEvent, SttEvents, SttOptions, SttProtocol, SttStream,
    Transmit, deepgram, elevenlabs,
};
use crate::error::ProviderError;
use crate::metrics::{Count, Measure};
use crate::net::{ConnectError, Connector, Incoming, Socket, SocketLimits};
use crate::resilience::{Backoff, Remedy, Seed, judge};
use crate::time::SessionTime;
use crate::wire::parse_retry_after;

/// How a call's recogniser deals with connections.
#[derive(Clone, Copy, Debug)]
pub struct Reconnect {
    /// What one connection may cost.
    pub socket: SocketLimits,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// Attempts in a row without an answer before what is under way is given up. Default 4: some 3 s with the usual waits.
    pub attempts: u32,
    /// After that, or after an error that no repetition mends, the service is left alone for so long. Default 5 s.
    pub rest: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            socket: SocketLimits {
                message: MOST_MESSAGE,
                outgoing: MOST_OUTGOING,
                ..SocketLimits::default()
            },
            backoff: Backoff::default(),
            attempts: 4,
            rest: Duration::from_secs(5),
        }
    }
}

/// Bytes that wait to be sent, 2 MiB: after an outage the whole backlog goes out at once, 30 s that take 1.3 MB as base64.
const MOST_OUTGOING: usize = 2 << 20;

/// Makes one call's protocol.
type MakeProtocol = dyn Fn(&SttOptions) -> Box<dyn SttProtocol> + Send + Sync;

/// A recogniser behind a WebSocket, shared by all calls.
#[derive(Clone)]
pub struct SocketRecogniser {
    name: &'static str,
    model: Arc<str>,
    protocol: Arc<MakeProtocol>,
    connector: Connector,
    reconnect: Reconnect,
    seed: Arc<AtomicU64>,
}

impl std::fmt::Debug for SocketRecogniser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketRecogniser").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SocketRecogniser {
    /// Deepgram's live recogniser, or Flux where the configuration names it.
    pub fn deepgram(config: DeepgramConfig, connector: Connector) -> Self {
        let model = config.model().to_owned();
        Self::new(deepgram::PROVIDER, &model, connector, move |options| config.open(options))
    }

    /// ElevenLabs' Scribe in real time.
    pub fn scribe(config: ScribeConfig, connector: Connector) -> Self {
        let model = config.model().to_owned();
        Self::new(elevenlabs::PROVIDER, &model, connector, move |options| {
            Box::new(Scribe::new(config.for_call(options), ""))
        })
    }

    /// Any other protocol; `protocol` makes one call's. `model` is what its use is counted under.
    pub fn new(
        name: &'static str,
        model: &str,
        connector: Connector,
        protocol: impl Fn(&SttOptions) -> Box<dyn SttProtocol> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            model: model.into(),
            protocol: Arc::new(protocol),
            connector,
            reconnect: Reconnect::default(),
            seed: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Opens a connection and closes it: costs nothing and shows whether the service is there and takes the key.
    ///
    /// # Errors
    /// Nobody answers, or the service refuses.
    pub async fn probe(&self) -> Result<(), ProviderError> {
        let protocol = (self.protocol)(&SttOptions::default());
        let key = std::iter::once(protocol.authorisation());
        let opened = self.connector.connect(self.name, &protocol.address(), key, self.reconnect.socket).await;
        let (socket, _) = opened.map_err(|error| sorted(&*protocol, error))?;
        socket.close(FAREWELL).await;
        Ok(())
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }
}

impl SpeechToText for SocketRecogniser {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Connects at once, so that the first words find an open socket. Dropping the stream says good-bye to the service.
    fn open(&self, options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        let Ok(runtime) = Handle::try_current() else {
            let detail = "it was opened outside a runtime".to_owned();
            let reason = ProviderError::Failed { provider: self.name, detail };
            return AbsentRecogniser::new(reason).open(options, events);
        };
        let (stream, orders) = telling(WAITING, GATHERED);
        let line = Line {
            name: self.name,
            protocol: (self.protocol)(&options),
            events,
            connector: self.connector.clone(),
            reconnect: self.reconnect,
            begun: Instant::now(),
            // Calls that lost their connections together come back apart.
            seed: Seed(self.seed.fetch_add(1, Ordering::Relaxed)),
            failures: 0,
            unanswered: 0,
            resting: None,
            link: Link::None { until: None },
            heard: options.meter.count(self.name, &self.model, Measure::Audio, false),
            counted: 0,
        };
        // It ends with the stream: then nobody tells it anything any more.
        runtime.spawn(line.run(orders));
        Box::new(stream)
    }
}

/// 80 s of audio: an utterance that another recogniser had is played in at once.
const WAITING: usize = 4_000;
/// Frames that are sent together while the caller talks: 80 ms, as the services advise. Each message wakes a task and
/// costs as much as 4 KB more in it; at a pause and at the end nothing is held back.
const GATHERED: usize = 4;
/// A service that has not said good-bye by then is left.
const FAREWELL: Duration = Duration::from_secs(2);

/// The way to the service.
enum Link {
    /// No connection, and none before this moment; without a moment none until something is said.
    None {
        until: Option<Instant>,
    },
    Connecting(BoxFuture<'static, Result<Socket, ConnectError>>),
    Open(Box<Socket>),
}

/// Why the task goes on; lives for a moment.
#[expect(clippy::large_enum_variant)]
enum Woken {
    Told(Option<Told>),
    Connected(Result<Socket, ConnectError>),
    Message(Incoming),
    Retry,
    Timer,
}

/// One call's recogniser: the protocol and its connection.
struct Line {
    name: &'static str,
    protocol: Box<dyn SttProtocol>,
    events: Arc<dyn SttEvents>,
    connector: Connector,
    reconnect: Reconnect,
    begun: Instant,
    seed: Seed,
    /// Connections in a row over which nothing came.
    failures: u32,
    /// Answers in a row that did not come, over connections that were well otherwise.
    unanswered: u32,
    /// The service is left alone until then, for this reason; after that until something is said.
    resting: Option<(Instant, ProviderError)>,
    link: Link,
    /// Where what was sent is counted, and how much of it was.
    heard: Count,
    counted: u64,
}

impl Line {
    async fn run(mut self, mut orders: mpsc::Receiver<Told>) {
        self.connect();
        loop {
            let woken = self.wait(&mut orders).await;
            match woken {
                Woken::Told(None) => break,
                Woken::Told(Some(told)) => {
                    self.handle_told(told);
                    while let Ok(told) = orders.try_recv() {
                        self.handle_told(told);
                    }
                }
                Woken::Connected(Ok(socket)) => {
                    self.link = Link::Open(Box::new(socket));
                    self.protocol.handle_connected(self.now());
                }
                Woken::Connected(Err(error)) => {
                    let error = sorted(&*self.protocol, error);
                    self.handle_lost(&error);
                }
                Woken::Message(message) => self.handle_message(message),
                Woken::Retry => self.connect(),
                Woken::Timer => {
                    if let Err(error) = self.protocol.handle_timeout(self.now()) {
                        // What the service says meanwhile is no answer: without this it would be asked for ever.
                        self.failures = self.failures.max(self.unanswered);
                        self.unanswered = self.unanswered.saturating_add(1);
                        self.leave(&error);
                    }
                }
            }
            self.drain();
        }
        self.end().await;
    }

    /// Waits for one thing. The futures in it lose nothing when they are dropped.
    async fn wait(&mut self, orders: &mut mpsc::Receiver<Told>) -> Woken {
        let timer = self.protocol.poll_timeout().map(|at| self.begun + at.since_start().min(FAR));
        let at = timer.unwrap_or(self.begun);
        tokio::select! {
            told = orders.recv() => Woken::Told(told),
            woken = linked(&mut self.link) => woken,
            () = sleep_until(at), if timer.is_some() => Woken::Timer,
        }
    }

    fn now(&self) -> SessionTime {
        SessionTime::from_start(self.begun.elapsed())
    }

    fn connect(&mut self) {
        let (connector, name, address) = (self.connector.clone(), self.name, self.protocol.address());
        let (key, limits) = (self.protocol.authorisation(), self.reconnect.socket);
        self.link = Link::Connecting(Box::pin(async move {
            connector.connect(name, &address, std::iter::once(key), limits).await.map(|(socket, _)| socket)
        }));
    }

    fn handle_told(&mut self, told: Told) {
        let now = self.now();
        match told {
            Told::Begin(utterance) => {
                self.protocol.handle_begin(utterance, now);
                match self.resting.take() {
                    Some((until, error)) if Instant::now() < until => {
                        // Told at once, so that whoever can helps the caller elsewhere.
                        self.protocol.fail(&error);
                        self.resting = Some((until, error));
                    }
                    Some(_) => self.connect(),
                    None => {}
                }
            }
            Told::Audio(frame) => self.protocol.handle_audio(&frame, now),
            Told::Pause => self.protocol.handle_pause(now),
            Told::Finalise => self.protocol.handle_finalise(now),
        }
    }

    fn handle_message(&mut self, message: Incoming) {
        match message {
            Incoming::Text(text) => {
                self.failures = 0;
                if let Err(error) = self.protocol.handle_message(&text, self.now()) {
                    self.leave(&error);
                }
            }
            // No recogniser of ours sends any.
            Incoming::Binary(_) => {}
            Incoming::Closed { code, reason } => {
                let error = self.protocol.handle_closed(code, &reason);
                self.handle_lost(&error);
            }
        }
    }

    /// Gives the connection up and goes on as if it had broken.
    fn leave(&mut self, error: &ProviderError) {
        // What it means is known better than from the missing close.
        let _ = self.protocol.handle_closed(None, "");
        self.handle_lost(error);
    }

    /// There is no connection any more, or none came about.
    fn handle_lost(&mut self, error: &ProviderError) {
        self.failures = self.failures.saturating_add(1);
        let (remedy, _) = judge(error);
        let asked = match error {
            ProviderError::Limited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let now = Instant::now();
        let attempts = match remedy {
            Remedy::Again => self.reconnect.attempts,
            // It is slow or full: once more, and no caller waits for a third time.
            Remedy::Later => self.reconnect.attempts.min(2),
            Remedy::Elsewhere => 0,
        };
        if self.failures >= attempts {
            tracing::warn!(provider = self.name, %error, "the recogniser is left alone for a while");
            self.protocol.fail(error);
            self.failures = 0;
            let rest = asked.unwrap_or_default().max(self.reconnect.rest);
            self.resting = Some((now + rest, error.clone()));
            self.link = Link::None { until: None };
            return;
        }
        tracing::debug!(provider = self.name, %error, "the recogniser's connection is lost");
        let wait = self.reconnect.backoff.delay(self.failures, self.seed.next_fraction(), asked);
        self.link = Link::None { until: Some(now + wait) };
    }

    /// Hands on what the protocol has to say, both ways.
    fn drain(&mut self) {
        let mut stuck = false;
        while let Link::Open(socket) = &mut self.link {
            let Some(message) = self.protocol.poll_transmit(SessionTime::from_start(self.begun.elapsed()))
            else {
                break;
            };
            stuck = push(socket, message).is_err();
            if stuck {
                break;
            }
        }
        let sent = self.protocol.sent_samples();
        self.heard.add(sent - std::mem::replace(&mut self.counted, sent));
        if stuck {
            let detail = "it takes nothing any more".to_owned();
            self.leave(&ProviderError::Unreachable { provider: self.name, detail });
        }
        while let Some(event) = self.protocol.poll_event() {
            if !matches!(event, SttEvent::Partial { .. }) {
                self.unanswered = 0;
            }
            self.events.handle_stt_event(event);
        }
        // Evidence of the service's own turn detection; the engine has no ear for it yet.
        while self.protocol.poll_turn_sign().is_some() {}
    }

    async fn end(mut self) {
        let lost = self.protocol.lost_samples();
        if lost > 0 {
            tracing::warn!(
                provider = self.name,
                lost,
                "audio reached the recogniser too late and was dropped"
            );
        }
        if let Link::Open(socket) = &mut self.link
            && let Some(farewell) = self.protocol.farewell()
            // A socket that is full needs no farewell.
            && push(socket, farewell).is_err()
        {
            return;
        }
        if let Link::Open(socket) = self.link {
            socket.close(FAREWELL).await;
        }
    }
}

/// What a missing connection means.
fn sorted(protocol: &dyn SttProtocol, error: ConnectError) -> ProviderError {
    match error {
        ConnectError::Failed(error) => error,
        ConnectError::Refused(refusal) => {
            let after = refusal.header("retry-after").and_then(parse_retry_after);
            protocol.parse_refusal(refusal.status, after, &refusal.body)
        }
    }
}

fn push(socket: &mut Socket, message: Transmit) -> Result<(), crate::net::websocket::Stuck> {
    match message {
        Transmit::Text(text) => socket.push_text(&text),
        Transmit::Binary(bytes) => socket.push_binary(bytes),
    }
}

/// The next thing that happens on the way to the service.
async fn linked(link: &mut Link) -> Woken {
    match link {
        Link::None { until: Some(until) } => {
            sleep_until(*until).await;
            Woken::Retry
        }
        Link::None { until: None } => std::future::pending().await,
        Link::Connecting(connecting) => Woken::Connected(connecting.await),
        Link::Open(socket) => Woken::Message(socket.next().await),
    }
}

/// Later than any timer of a call, and still an instant that can be added to.
const FAR: Duration = Duration::from_secs(86_400);
