//! One call's voice over sockets: one warm socket with a context for each reply.
//!
//! The shell around [`Contexts`]: one task a call that takes a socket which an earlier call left, or connects, moves messages,
//! keeps timers, and recycles sockets before the service closes them. At the end of the call the socket waits for the next. Clauses and cancellations come in over bounded queues; dropping a reply's stream cancels it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use hyper::header::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::{Shared, Slot, retry_after};
use super::{ContextEvent, Contexts, ElevenLabsConfig, PROVIDER, wire};
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::metrics::Count;
use crate::net::{ConnectError, Incoming, Socket};
use crate::resilience::{Remedy, Seed, judge};
use crate::time::SessionTime;
use crate::tts::{SpeechEvent, Voice};

/// One call's voice with a socket.
pub(super) struct Sockets {
    told: mpsc::Sender<Told>,
}

impl Sockets {
    /// Connects at once. The task behind it ends with the voice: then nobody tells it anything any more.
    pub(super) fn open(
        shared: Arc<Shared>,
        config: ElevenLabsConfig,
        spoken: Count,
        runtime: &Handle,
    ) -> Self {
        let (told, orders) = mpsc::channel(WAITING);
        let line = Line {
            contexts: Contexts::new(config.clone(), shared.limits.contexts),
            begun: Instant::now(),
            // Calls that lost their sockets together come back apart.
            seed: Seed(shared.seed.fetch_add(1, Ordering::Relaxed)),
            failures: 0,
            resting: None,
            link: Link::None { until: None },
            leaving: None,
            replies: Vec::new(),
            spoken,
            config,
            shared,
        };
        runtime.spawn(line.run(orders));
        Self { told }
    }
}

enum Told {
    Begin(Box<Spoken>),
    Cancel(ReplyId),
}

type Piece = Result<SpeechEvent, ProviderError>;

/// A reply that is being spoken.
struct Spoken {
    reply: ReplyId,
    /// `None` behind its end.
    clauses: Option<BoxStream<'static, String>>,
    pieces: mpsc::Sender<Piece>,
    /// Room for the last word, whatever else waits.
    last: mpsc::OwnedPermit<Piece>,
    slot: Option<Slot>,
}

impl Voice for Sockets {
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let (pieces, taken) = mpsc::channel(PIECES);
        let lost = || {
            let detail = "the voice of this call has ended".to_owned();
            stream::iter([Err(ProviderError::Failed { provider: PROVIDER, detail })]).boxed()
        };
        let Ok(last) = pieces.clone().try_reserve_owned() else { return lost() };
        let spoken = Spoken { reply, clauses: Some(clauses), pieces, last, slot: None };
        if self.told.try_send(Told::Begin(Box::new(spoken))).is_err() {
            return lost();
        }
        let listening = Listening { taken, told: self.told.clone(), reply };
        stream::unfold(listening, |mut listening| async {
            listening.taken.recv().await.map(|piece| (piece, listening))
        })
        .boxed()
    }
}

/// The session's end of a reply. Dropping it cancels.
struct Listening {
    taken: mpsc::Receiver<Piece>,
    told: mpsc::Sender<Told>,
    reply: ReplyId,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Where it cannot be told, the closed channel tells it.
        let _ = self.told.try_send(Told::Cancel(self.reply));
    }
}

type Opened = Result<Way, ProviderError>;

/// A socket, and where it leads.
struct Way {
    address: String,
    socket: Box<Socket>,
    /// What the service said about the account, where it is new.
    headers: Option<HeaderMap>,
    /// Number of its first context.
    contexts: u32,
    /// How long nothing has been sent over it.
    idle: Duration,
}

/// The way to the service.
enum Link {
    /// No socket, and none before this moment; without a moment none until something is to be said.
    None {
        until: Option<Instant>,
    },
    Connecting(BoxFuture<'static, Opened>),
    Open {
        socket: Box<Socket>,
        address: String,
    },
}

/// Why the task goes on.
enum Woken {
    Told(Option<Told>),
    Clause(usize, Option<String>),
    Connected(Opened),
    Message(Incoming),
    Retry,
    Left,
    Timer,
}

/// One call's voice: the books of its socket, and the socket.
struct Line {
    shared: Arc<Shared>,
    config: ElevenLabsConfig,
    contexts: Contexts,
    begun: Instant,
    seed: Seed,
    /// Sockets in a row over which nothing came.
    failures: u32,
    /// The service is left alone until then, for this reason.
    resting: Option<(Instant, ProviderError)>,
    link: Link,
    /// A socket that is used up and says good-bye.
    leaving: Option<BoxFuture<'static, ()>>,
    replies: Vec<Spoken>,
    /// Where what was sent is counted.
    spoken: Count,
}

impl Line {
    async fn run(mut self, mut orders: mpsc::Receiver<Told>) {
        self.connect();
        loop {
            match self.wait(&mut orders).await {
                Woken::Told(None) => break,
                Woken::Told(Some(Told::Begin(spoken))) => self.begin(*spoken),
                Woken::Told(Some(Told::Cancel(reply))) => self.cancel(reply),
                Woken::Clause(at, Some(clause)) => {
                    let (reply, now) = (self.replies[at].reply, self.now());
                    self.contexts.handle_clause(reply, &clause, now);
                }
                Woken::Clause(at, None) => {
                    self.replies[at].clauses = None;
                    let (reply, now) = (self.replies[at].reply, self.now());
                    self.contexts.handle_end(reply, now);
                }
                Woken::Connected(Ok(Way { address, socket, headers, contexts, idle })) => {
                    if let Some(headers) = headers {
                        self.shared.handle_headers(&headers);
                    }
                    self.link = Link::Open { socket, address };
                    self.contexts.handle_opened(contexts, idle, self.now());
                }
                Woken::Connected(Err(error)) => self.contexts.handle_refused(error),
                Woken::Message(Incoming::Text(text)) => {
                    self.failures = 0;
                    self.contexts.handle_message(&text, self.now());
                }
                Woken::Message(Incoming::Binary(_)) => {}
                Woken::Message(Incoming::Closed { code, reason }) => {
                    self.contexts.handle_closed(code, &reason)
                }
                Woken::Retry => self.connect(),
                Woken::Left => self.leaving = None,
                Woken::Timer => self.contexts.handle_timeout(self.now()),
            }
            self.drain();
        }
        self.end().await;
    }

    /// Waits for one thing. The futures in it lose nothing when they are dropped.
    async fn wait(&mut self, orders: &mut mpsc::Receiver<Told>) -> Woken {
        let timer = self.contexts.poll_timeout().map(|at| self.begun + at.since_start().min(FAR));
        let at = timer.unwrap_or(self.begun);
        let Self { link, leaving, replies, .. } = self;
        tokio::select! {
            told = orders.recv() => Woken::Told(told),
            woken = linked(link) => woken,
            (at, clause) = next_clause(replies) => Woken::Clause(at, clause),
            () = left(leaving) => Woken::Left,
            () = sleep_until(at), if timer.is_some() => Woken::Timer,
        }
    }

    fn now(&self) -> SessionTime {
        SessionTime::from_start(self.begun.elapsed())
    }

    fn connect(&mut self) {
        let (shared, config) = (self.shared.clone(), self.config.clone());
        self.link = Link::Connecting(
            async move {
                let voice = shared.voice_id(&config).await?;
                let address = wire::multi_stream_address(&config, &voice);
                if let Some((socket, contexts, idle)) = shared.parked.take(&address) {
                    return Ok(Way { address, socket, headers: None, contexts, idle });
                }
                let key = std::iter::once((wire::KEY_HEADER, config.key().reveal().to_owned()));
                match shared.connector.connect(PROVIDER, &address, key, shared.limits.socket).await {
                    Ok((socket, headers)) => {
                        let (socket, headers) = (Box::new(socket), Some(headers));
                        Ok(Way { address, socket, headers, contexts: 0, idle: Duration::ZERO })
                    }
                    Err(ConnectError::Failed(error)) => Err(error),
                    Err(ConnectError::Refused(refusal)) => {
                        shared.handle_headers(&refusal.headers);
                        Err(wire::parse_refusal(refusal.status, retry_after(&refusal.headers), &refusal.body))
                    }
                }
            }
            .boxed(),
        );
    }

    fn begin(&mut self, mut spoken: Spoken) {
        let now = self.now();
        match self.resting.take() {
            Some((until, error)) if Instant::now() < until => {
                spoken.last.send(Err(error.clone()));
                self.resting = Some((until, error));
                return;
            }
            Some(_) => self.connect(),
            // A caller waits: the next attempt is made now.
            None if matches!(self.link, Link::None { .. }) => self.connect(),
            None => {}
        }
        match Slot::take(&self.shared) {
            Ok(slot) => spoken.slot = Some(slot),
            Err(error) => {
                spoken.last.send(Err(error));
                return;
            }
        }
        self.contexts.handle_begin(spoken.reply, now);
        self.replies.push(spoken);
    }

    fn cancel(&mut self, reply: ReplyId) {
        if self.take(reply).is_some() {
            self.contexts.handle_cancel(reply, self.now());
        }
    }

    fn take(&mut self, reply: ReplyId) -> Option<Spoken> {
        let at = self.replies.iter().position(|spoken| spoken.reply == reply)?;
        Some(self.replies.swap_remove(at))
    }

    /// Hands on what the books have to say, both ways.
    fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Link::Open { socket, .. } = &mut self.link
                && let Some(message) = self.contexts.poll_message()
            {
                idle = false;
                if socket.push_text(&message).is_err() {
                    self.contexts.handle_closed(None, "");
                    break;
                }
            }
            self.spoken.add(self.contexts.take_sent_chars());
            while let Some(event) = self.contexts.poll_event() {
                idle = false;
                self.handle_event(event);
            }
            if idle {
                return;
            }
        }
    }

    fn handle_event(&mut self, event: ContextEvent) {
        match event {
            ContextEvent::Speech { reply, event } => {
                let Some(spoken) = self.replies.iter().find(|spoken| spoken.reply == reply) else { return };
                match spoken.pieces.try_send(Ok(event)) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Closed(_)) => self.cancel(reply),
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        let detail = "nobody takes the speech".to_owned();
                        let error = ProviderError::Failed { provider: PROVIDER, detail };
                        if let Some(spoken) = self.take(reply) {
                            spoken.last.send(Err(error));
                        }
                        self.contexts.handle_cancel(reply, self.now());
                    }
                }
            }
            // The stream ends with its senders.
            ContextEvent::Finished { reply } => drop(self.take(reply)),
            ContextEvent::Failed { reply, error } => {
                if let Some(spoken) = self.take(reply) {
                    spoken.last.send(Err(error));
                }
            }
            ContextEvent::Retired => {
                let link = std::mem::replace(&mut self.link, Link::None { until: None });
                if let Link::Open { mut socket, .. } = link {
                    while let Some(message) = self.contexts.poll_message() {
                        // A socket that is full is left without a word.
                        let _ = socket.push_text(&message);
                    }
                    self.leaving = Some(socket.close(FAREWELL).boxed());
                }
                self.contexts = Contexts::new(self.config.clone(), self.shared.limits.contexts);
                self.connect();
            }
            ContextEvent::Lost { error } => self.handle_lost(&error),
        }
    }

    /// There is no socket any more, or none came about; the replies under way were told.
    fn handle_lost(&mut self, error: &ProviderError) {
        self.contexts = Contexts::new(self.config.clone(), self.shared.limits.contexts);
        self.failures = self.failures.saturating_add(1);
        let asked = match error {
            ProviderError::Limited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let now = Instant::now();
        let (remedy, _) = judge(error);
        if remedy == Remedy::Elsewhere || asked.is_some() {
            tracing::warn!(provider = PROVIDER, %error, "the voice is left alone for a while");
            self.resting =
                Some((now + asked.unwrap_or_default().max(self.shared.limits.rest), error.clone()));
            self.link = Link::None { until: None };
            return;
        }
        tracing::debug!(provider = PROVIDER, %error, "the voice's socket is lost");
        // A quiet call need not try for ever; a reply that begins tries again.
        let again = self.failures < QUIET_ATTEMPTS;
        let wait = self.shared.limits.backoff.delay(self.failures, self.seed.next_fraction(), None);
        self.link = Link::None { until: again.then_some(now + wait) };
    }

    async fn end(mut self) {
        if let Some(leaving) = self.leaving.take() {
            leaving.await;
        }
        let Link::Open { mut socket, address } = self.link else { return };
        let now = SessionTime::from_start(self.begun.elapsed());
        if let Some((contexts, idle)) = self.contexts.rests(now) {
            let waits = self.shared.limits.contexts.idle.saturating_sub(idle).min(self.shared.limits.parked);
            match self.shared.parked.leave(address, socket, contexts, idle) {
                Ok(ticket) => {
                    sleep(waits).await;
                    let Some(left) = self.shared.parked.take_back(ticket) else { return };
                    socket = left;
                }
                Err(back) => socket = back,
            }
        }
        if socket.push_text(&wire::encode_close_socket()).is_ok() {
            socket.close(FAREWELL).await;
        }
    }
}

/// Sockets that are opened in vain before the voice waits for something to say.
const QUIET_ATTEMPTS: u32 = 6;

/// The next thing that happens on the way to the service.
async fn linked(link: &mut Link) -> Woken {
    match link {
        Link::None { until: Some(until) } => {
            sleep_until(*until).await;
            Woken::Retry
        }
        Link::None { until: None } => std::future::pending().await,
        Link::Connecting(connecting) => Woken::Connected(connecting.await),
        Link::Open { socket, .. } => Woken::Message(socket.next().await),
    }
}

/// The next clause, or the end, of any reply; which one.
async fn next_clause(replies: &mut [Spoken]) -> (usize, Option<String>) {
    std::future::poll_fn(|cx| {
        for (at, spoken) in replies.iter_mut().enumerate() {
            if let Some(clauses) = &mut spoken.clauses
                && let Poll::Ready(clause) = clauses.poll_next_unpin(cx)
            {
                return Poll::Ready((at, clause));
            }
        }
        Poll::Pending
    })
    .await
}

async fn left(leaving: &mut Option<BoxFuture<'static, ()>>) {
    match leaving {
        Some(leaving) => leaving.await,
        None => std::future::pending().await,
    }
}

/// Orders for one call's voice; a call has a reply or two under way.
const WAITING: usize = 64;
/// Pieces of a reply that the session has not taken: minutes of speech, since each is a tenth of a second or more.
const PIECES: usize = 2_048;
/// A service that has not said good-bye by then is left.
const FAREWELL: Duration = Duration::from_secs(2);
/// Later than any timer of a call, and still an instant that can be added to.
const FAR: Duration = Duration::from_secs(86_400);
