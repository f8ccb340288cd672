//! One connection to Redis behind a breaker: a Redis that is gone or hangs costs a few deadlines, then nothing.
//!
//! Requests never try whether it is back: [`Link::reach`] does, called by one task of the owner, which first settles what
//! is owed and then opens the link for all with [`Link::adopt`]. Callers: the cache and the live events, a link each, so that
//! a burst of one does not hold up the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Notify;
use tokio::time::timeout;
use voice_core::resilience::{Breaker, BreakerRules, BreakerState, Outcome, Permit};
use voice_core::time::ProcessTime;

use super::contract::Away;
use crate::config::Secret;

/// How long connecting, with TLS and a first answer, may take.
const CONNECT: Duration = Duration::from_secs(2);
/// Between two attempts to reach it: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_LIMIT: Duration = Duration::from_secs(1);
/// An idle link is tried this often.
const BEAT: Duration = Duration::from_secs(1);
/// Three deadlines in a row are a Redis that hangs. The pause is the owner's, so the breaker's own is short.
const RULES: BreakerRules =
    BreakerRules { failures: 3, open_for: Duration::from_millis(20), trial_within: Duration::from_secs(5) };

/// A connection that may be gone.
pub(crate) struct Link {
    what: &'static str,
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    breaker: Mutex<Breaker>,
    begun: Instant,
    lost: Notify,
    told: AtomicBool,
    failures: Counter,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("what", &self.what).field("up", &self.is_up()).finish_non_exhaustive()
    }
}

/// Leave to open the link again.
pub(crate) struct Reached {
    /// To settle what is owed with.
    pub(crate) connection: MultiplexedConnection,
    permit: Permit,
}

impl Link {
    /// A link that is not up yet. `what` names its owner in the log.
    ///
    /// # Errors
    /// The address cannot be used; the text does not show it.
    pub(crate) fn new(url: &Secret, what: &'static str, failures: Counter) -> Result<Self, String> {
        // An error says that the process has its provider of TLS already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::open(url.expose()).map_err(|error| format!("{:?}", error.kind()))?;
        Ok(Self {
            what,
            client,
            connection: Mutex::default(),
            breaker: Mutex::new(Breaker::new(RULES)),
            begun: Instant::now(),
            lost: Notify::new(),
            told: AtomicBool::new(false),
            failures,
        })
    }

    /// Whether requests are let through.
    pub(crate) fn is_up(&self) -> bool {
        lock(&self.connection).is_some() && self.is_closed()
    }

    /// Carries out `ask` within the time, unless the link is down.
    pub(crate) async fn run<T, F>(
        &self,
        within: Duration,
        ask: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some((connection, permit)) = self.enter() else { return Err(Away) };
        let (outcome, result) = match timeout(within, ask(connection)).await {
            Ok(Ok(value)) => (Outcome::Success, Ok(value)),
            Ok(Err(error)) if error.is_io_error() || error.is_unrecoverable_error() => {
                (Outcome::Useless, Err(format!("{:?}", error.kind())))
            }
            // Such as full memory. Its words may hold a key's name.
            Ok(Err(error)) => (Outcome::Failure, Err(format!("{:?}", error.kind()))),
            Err(_) => (Outcome::Slow, Err("no answer in time".to_owned())),
        };
        lock(&self.breaker).settle(permit, outcome, self.now());
        result.map_err(|error| {
            self.failures.inc();
            if self.is_closed() {
                tracing::debug!(of = self.what, error, "Redis failed once");
            } else {
                self.tell_lost(&error);
            }
            Away
        })
    }

    /// Takes the link down, where its owner saw that it is of no use.
    pub(crate) fn give_up(&self) {
        *lock(&self.connection) = None;
        self.failures.inc();
        self.tell_lost("given up");
    }

    /// Waits until the link is down, and asks now and then, so that a server without traffic knows too. For one task.
    pub(crate) async fn until_lost(&self) {
        while self.is_up() {
            if timeout(BEAT, self.lost.notified()).await.is_err() {
                let ping = async |mut connection| redis::cmd("PING").query_async::<()>(&mut connection).await;
                let _ = self.run(CONNECT, ping).await;
            }
        }
    }

    /// Tries until Redis answers on a new connection. The link is still down for all others.
    pub(crate) async fn reach(&self) -> Reached {
        *lock(&self.connection) = None;
        let mut pause = PAUSE;
        loop {
            let permit = lock(&self.breaker).admit(self.now());
            if let Some(permit) = permit {
                match timeout(CONNECT, self.connect()).await {
                    Ok(Ok(connection)) => return Reached { connection, permit },
                    Ok(Err(error)) => self.fail(permit, &format!("{:?}", error.kind())),
                    Err(_) => self.fail(permit, "no answer in time"),
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LIMIT);
        }
    }

    /// Opens the link for all.
    pub(crate) fn adopt(&self, reached: Reached) {
        *lock(&self.connection) = Some(reached.connection);
        lock(&self.breaker).settle(reached.permit, Outcome::Success, self.now());
        if self.told.swap(false, Ordering::Relaxed) {
            tracing::info!(of = self.what, "Redis is back");
        }
    }

    /// What was owed could not be settled.
    pub(crate) fn refuse(&self, reached: Reached) {
        self.fail(reached.permit, "it failed again");
    }

    /// What is published on `channels` from now on.
    pub(crate) async fn subscribe(&self, channels: &[&str]) -> Result<(PubSubSink, PubSubStream), Away> {
        let subscribing = async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            sink.subscribe(channels).await?;
            RedisResult::Ok((sink, stream))
        };
        timeout(CONNECT, subscribing).await.map_err(|_| Away)?.map_err(|_| Away)
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        // Each request has a shorter deadline of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    fn enter(&self) -> Option<(MultiplexedConnection, Permit)> {
        let connection = lock(&self.connection).clone()?;
        let mut breaker = lock(&self.breaker);
        let now = self.now();
        // A trial is for `reach`.
        let permit = (breaker.state(now) == BreakerState::Closed).then(|| breaker.admit(now)).flatten()?;
        Some((connection, permit))
    }

    fn is_closed(&self) -> bool {
        lock(&self.breaker).state(self.now()) == BreakerState::Closed
    }

    fn fail(&self, permit: Permit, error: &str) {
        self.failures.inc();
        lock(&self.breaker).settle(permit, Outcome::Failure, self.now());
        self.tell_lost(error);
    }

    fn tell_lost(&self, error: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(of = self.what, error, "Redis does not answer; going on without it until it does");
        }
        self.lost.notify_one();
    }

    fn now(&self) -> ProcessTime {
        ProcessTime::from_start(self.begun.elapsed())
    }
}

/// Whether the Redis at `url` answers and runs scripts, and how long that took; else why not, in words without the address.
///
/// # Errors
/// It does not.
pub async fn probe(url: &Secret) -> Result<Duration, String> {
    let link = Link::new(url, "probe", Counter::default())?;
    let begun = Instant::now();
    let asked = async {
        let mut connection = link.connect().await?;
        redis::cmd("EVAL").arg("return 1").arg(0).query_async::<u8>(&mut connection).await
    };
    match timeout(CONNECT, asked).await {
        Ok(Ok(_)) => Ok(begun.elapsed()),
        Ok(Err(error)) if error.is_connection_refusal() => Err("nothing listens at its address".to_owned()),
        Ok(Err(error)) if !error.is_timeout() => Err(format!("it cannot be used ({:?})", error.kind())),
        Ok(Err(_)) | Err(_) => Err(format!("no answer within {CONNECT:?}")),
    }
}

/// No lock here is held over an await, nor over anything that can panic.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
