//! Events between servers: a stream an organization and one channel for all, in Redis.
//!
//! Three tasks: one posts what is published here, in order; one listens; one brings Redis back. What Redis could not be
//! given is told here at once and owed to the others. Whether Redis took a batch that it did not acknowledge is never known:
//! each event has a name of its own, and a room takes a name once. What is erased goes the same way: it is taken out of the
//! stream, where its place stays, and the order to erase stands behind it for servers that were away.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use prometheus_client::metrics::counter::Counter;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use uuid::Uuid;

use super::event::{EventId, MOST_DATA, MOST_ERASED, Posted, What};
use super::hub::Shared;
use crate::cache::Away;
use crate::cache::link::Link;
use crate::config::Secret;

/// Where events are told.
const CHANNEL: &str = "voice:events";
/// Events that wait to be posted. A second of a busy server.
const QUEUE: usize = 4_096;
/// Events posted in one round trip.
const BATCH: usize = 128;
/// Events of an organization that Redis keeps, about.
const MOST_KEPT: usize = 1_000;
/// A stream without a new event goes after a day.
const STREAM_LIFE: Duration = Duration::from_secs(86_400);
/// Longer than a batch takes; whoever watches here waits for it at most once.
const POST: Duration = Duration::from_millis(250);
/// Reading back an organization's events.
const HISTORY: Duration = Duration::from_millis(500);
/// How long whoever erases waits for it.
const ERASE: Duration = Duration::from_secs(1);
/// Events that are owed to other servers at most; the oldest give way.
const MOST_OWED: usize = 2_000;
/// How often the channel is shown to be alive, and how long the answer may take.
const BEAT: Duration = Duration::from_secs(5);
/// Between two attempts to listen.
const AGAIN: Duration = Duration::from_millis(100);

/// KEYS: stream. ARGV: most events, name, body, life in ms, channel, organization.
const POST_SCRIPT: &str = r"
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'u', ARGV[2], 'b', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], id .. ' ' .. ARGV[6] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return 1
";

/// KEYS: stream. ARGV: most events, name, conversations, life in ms, channel, organization. A stream's entries cannot be
/// changed: where one must be, all are put in anew, under their own ids.
const ERASE_SCRIPT: &str = r#"
local erased = {}
for id in string.gmatch(ARGV[3], '[^,]+') do erased[id] = true end
local entries = redis.call('XRANGE', KEYS[1], '-', '+')
local found = false
for _, entry in ipairs(entries) do
    local fields = entry[2]
    if fields[3] == 'b' then
        local of = string.match(fields[4], '"conversationId":"(%x+%-%x+%-%x+%-%x+%-%x+)"')
        if of and erased[of] then
            fields[4] = ''
            found = true
        end
    end
end
if found then
    redis.call('DEL', KEYS[1])
    for _, entry in ipairs(entries) do
        redis.call('XADD', KEYS[1], entry[1], unpack(entry[2]))
    end
end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'u', ARGV[2], 'e', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], '!' .. id .. ' ' .. ARGV[6] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return 1
"#;

/// What waits to be posted, and who waits for it.
type Waiting = (Posted, Option<oneshot::Sender<bool>>);

/// The way to other servers.
pub(super) struct Relay {
    link: Link,
    queue: mpsc::Sender<Waiting>,
    /// Published and not posted or told yet.
    pending: AtomicUsize,
    owed: Mutex<VecDeque<Posted>>,
    owes: Notify,
    /// Whether something was owed since the last catching up.
    has_owed: AtomicBool,
    listens: watch::Sender<bool>,
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

impl Relay {
    /// Starts its tasks.
    ///
    /// # Errors
    /// The address cannot be used; the text does not show it.
    pub(super) fn start(url: &Secret, shared: Arc<Shared>, failures: Counter) -> Result<Arc<Self>, String> {
        let (queue, posts) = mpsc::channel(QUEUE);
        let relay = Arc::new(Self {
            link: Link::new(url, "events", failures)?,
            queue,
            pending: AtomicUsize::new(0),
            owed: Mutex::default(),
            owes: Notify::new(),
            has_owed: AtomicBool::new(false),
            listens: watch::channel(false).0,
            shared,
            tasks: Mutex::default(),
        });
        let mut tasks = relay.tasks();
        tasks.spawn(relay.clone().post_all(posts));
        tasks.spawn(relay.clone().listen());
        tasks.spawn(relay.clone().bring_back());
        drop(tasks);
        Ok(relay)
    }

    /// Puts an event into the queue.
    ///
    /// # Errors
    /// There is no room; the event is given back.
    pub(super) fn post(&self, posted: Posted) -> Result<(), Posted> {
        self.put((posted, None))
    }

    fn put(&self, waiting: Waiting) -> Result<(), Posted> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(waiting).map_err(|error| {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            error.into_inner().0
        })
    }

    /// Erases at every server, behind all that was posted before. `false`: it is owed.
    pub(super) async fn erase(&self, order: Posted) -> bool {
        self.forget_owed(&order);
        let (done, is_done) = oneshot::channel();
        match self.put((order, Some(done))) {
            Ok(()) => matches!(timeout(ERASE, is_done).await, Ok(Ok(true))),
            Err(order) => {
                self.owe(order);
                false
            }
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    pub(super) async fn whole(&self) {
        let _ = self.listens.subscribe().wait_for(|listens| *listens).await;
        while !self.is_up() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The last events of an organization in order; `None` where Redis does not say.
    pub(super) async fn history(&self, organization: Uuid) -> Option<Vec<(EventId, Posted)>> {
        let ask = async |mut connection: MultiplexedConnection| {
            redis::cmd("XREVRANGE")
                .arg(stream(organization))
                .arg(&["+", "-", "COUNT"])
                .arg(MOST_KEPT)
                .query_async::<redis::Value>(&mut connection)
                .await
        };
        let found = self.link.run(HISTORY, ask).await.ok()?;
        let mut events = entries(organization, &found);
        events.reverse();
        Some(events)
    }

    /// Waits up to `limit` for what is still to be posted, then ends the tasks.
    pub(super) async fn close(&self, limit: Duration) {
        let posted = async {
            while self.pending.load(Ordering::Relaxed) > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(limit, posted).await;
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }

    /// Posts in order what is published here. What Redis does not take is told here and owed to the others.
    async fn post_all(self: Arc<Self>, mut posts: mpsc::Receiver<Waiting>) {
        let mut next = Vec::with_capacity(BATCH);
        while posts.recv_many(&mut next, BATCH).await > 0 {
            let (batch, waiting): (Vec<Posted>, Vec<_>) = next.drain(..).unzip();
            let given = async |mut connection| post(&mut connection, &batch).await;
            let taken = self.link.is_up() && self.link.run(POST, given).await.is_ok();
            if !taken {
                if self.link.is_up() {
                    // One deadline is enough: whoever watches here waits meanwhile.
                    self.link.give_up();
                }
                for posted in &batch {
                    self.shared.take_here(posted);
                    if posted.is_owed() {
                        self.owe(posted.clone());
                    }
                }
            }
            self.pending.fetch_sub(batch.len(), Ordering::Relaxed);
            for done in waiting.into_iter().flatten() {
                let _ = done.send(taken);
            }
        }
    }

    fn owe(&self, posted: Posted) {
        let mut owed = self.owed();
        if owed.len() >= MOST_OWED {
            owed.pop_front();
            self.shared.counters.dropped.inc();
        }
        owed.push_back(posted);
        drop(owed);
        self.has_owed.store(true, Ordering::Relaxed);
        self.owes.notify_one();
    }

    /// Follows an order to erase. What was owed here when it came may come into the stream behind it, so it is given again.
    fn obey(&self, order: &Posted) {
        self.forget_owed(order);
        if let What::Erase(conversations) = &order.what
            && self.has_owed.swap(false, Ordering::Relaxed)
        {
            let _ = self.post(Posted::erase(order.organization, conversations));
        }
    }

    /// What is to be erased is not owed any more.
    fn forget_owed(&self, order: &Posted) {
        if let What::Erase(conversations) = &order.what {
            let is_erased =
                |posted: &Posted| posted.organization == order.organization && posted.is_of(conversations);
            self.owed().retain(|posted| !is_erased(posted));
        }
    }

    /// Opens the link when it is down, and gives the others what is owed.
    async fn bring_back(self: Arc<Self>) {
        loop {
            if !self.link.is_up() {
                let reached = self.link.reach().await;
                let mut connection = reached.connection.clone();
                let settled = loop {
                    let some = self.some_owed();
                    if some.is_empty() {
                        break true;
                    }
                    match timeout(HISTORY, post(&mut connection, &some)).await {
                        Ok(Ok(())) => self.strike(&some),
                        _ => break false,
                    }
                };
                if settled {
                    self.link.adopt(reached);
                } else {
                    self.link.refuse(reached);
                    continue;
                }
            }
            // What was added between the settling and the opening.
            let some = self.some_owed();
            if some.is_empty() {
                tokio::select! {
                    () = self.link.until_lost() => {}
                    () = self.owes.notified() => {}
                }
                continue;
            }
            let give = async |mut connection| post(&mut connection, &some).await;
            match self.link.run(HISTORY, give).await {
                Ok(()) => self.strike(&some),
                Err(Away) => sleep(AGAIN).await,
            }
        }
    }

    fn some_owed(&self) -> Vec<Posted> {
        self.owed().iter().take(BATCH).cloned().collect()
    }

    fn strike(&self, settled: &[Posted]) {
        let mut owed = self.owed();
        // Some may have given way meanwhile.
        owed.retain(|posted| !settled.iter().any(|settled| settled.uid == posted.uid));
    }

    /// Hears what all servers post, this one too: the order is Redis'.
    async fn listen(self: Arc<Self>) {
        loop {
            if let Ok((mut sink, mut stream)) = self.link.subscribe(&[CHANNEL]).await
                && self.catch_up().await.is_ok()
            {
                self.listens.send_replace(true);
                let mut beat = interval(BEAT);
                loop {
                    tokio::select! {
                        message = stream.next() => match message {
                            None => break,
                            Some(message) => self.hear(message.get_payload_bytes()),
                        },
                        _ = beat.tick() => {
                            let alive = timeout(BEAT, sink.ping::<redis::Value>()).await;
                            if !matches!(alive, Ok(Ok(_))) {
                                break;
                            }
                        }
                    }
                }
                self.listens.send_replace(false);
            }
            sleep(AGAIN).await;
        }
    }

    /// Brings each room what was posted while nobody listened.
    async fn catch_up(&self) -> Result<(), Away> {
        // The link opens a moment after Redis answers.
        let up = async {
            while !self.is_up() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), up).await.map_err(|_| Away)?;
        let has_owed = self.has_owed.swap(false, Ordering::Relaxed);
        for (organization, cursor) in self.shared.cursors() {
            let ask = async |mut connection: MultiplexedConnection| {
                let key = stream(organization);
                let newest = redis::cmd("XREVRANGE")
                    .arg(&key)
                    .arg(&["+", "-", "COUNT", "1"])
                    .query_async::<redis::Value>(&mut connection)
                    .await?;
                // A Redis that lost its data and whose clock is behind begins again below our place.
                let newest = entries(organization, &newest).first().map(|(id, _)| *id);
                let from = match newest {
                    Some(newest) if newest >= cursor => format!("({cursor}"),
                    _ => "-".to_owned(),
                };
                redis::cmd("XRANGE")
                    .arg(&key)
                    .arg(from)
                    .arg("+")
                    .query_async::<redis::Value>(&mut connection)
                    .await
            };
            let missed = self.link.run(HISTORY, ask).await?;
            let mut erased = Vec::new();
            for (id, posted) in entries(organization, &missed) {
                self.shared.take_from_afar(&posted, Some(id));
                if let What::Erase(conversations) = &posted.what {
                    erased.extend(conversations.iter().copied());
                }
            }
            if has_owed {
                // What was owed here came into the stream behind the order to erase it.
                erased.sort_unstable();
                erased.dedup();
                for some in erased.chunks(MOST_ERASED) {
                    let _ = self.post(Posted::erase(organization, some));
                }
            }
        }
        Ok(())
    }

    fn hear(&self, message: &[u8]) {
        match parse(message) {
            Some((id, posted)) => {
                self.obey(&posted);
                self.shared.take_from_afar(&posted, id);
            }
            None => tracing::debug!("a message on the channel of events is not ours"),
        }
    }

    fn owed(&self) -> MutexGuard<'_, VecDeque<Posted>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Posts in order, in one round trip.
async fn post(connection: &mut MultiplexedConnection, batch: &[Posted]) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    for posted in batch {
        let (organization, uid) = (posted.organization.to_string(), posted.uid.to_string());
        let mut run = |script: &str, text: &str| {
            pipe.cmd("EVAL").arg(script).arg(1).arg(stream(posted.organization));
            pipe.arg(MOST_KEPT).arg(&uid).arg(text).arg(STREAM_LIFE.as_millis() as u64);
            pipe.arg(CHANNEL).arg(&organization).ignore();
        };
        match &posted.what {
            What::Kept(body) => run(POST_SCRIPT, body),
            What::Erase(conversations) => run(ERASE_SCRIPT, &list(conversations)),
            What::Told(body) => {
                let message = format!("- {organization} {uid} {body}");
                pipe.cmd("PUBLISH").arg(CHANNEL).arg(message).ignore();
            }
            // Only a stream has it.
            What::Gap => {}
        }
    }
    pipe.query_async(connection).await
}

/// Conversations in one order to erase.
fn list(conversations: &[Uuid]) -> String {
    conversations.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",")
}

fn listed(text: &str) -> Option<What> {
    let conversations = text.split(',').map(|id| id.parse().ok()).take(MOST_ERASED + 1);
    let conversations = conversations.collect::<Option<Arc<[Uuid]>>>()?;
    (conversations.len() <= MOST_ERASED).then_some(What::Erase(conversations))
}

/// An organization's stream. The braces keep its names on one node of a cluster.
fn stream(organization: Uuid) -> String {
    format!("voice:{{{organization}}}:events")
}

/// What the channel brings: id or `-`, organization, name, body; or `!` and an id, organization, name, conversations.
fn parse(message: &[u8]) -> Option<(Option<EventId>, Posted)> {
    let text = std::str::from_utf8(message).ok()?;
    let mut parts = text.splitn(4, ' ');
    let (id, organization, uid, body) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (id, what) = match (id, id.strip_prefix('!')) {
        ("-", _) => (None, What::Told(sound(body)?)),
        (_, Some(id)) => (Some(EventId::parse(id)?), listed(body)?),
        (id, None) => (Some(EventId::parse(id)?), What::Kept(sound(body)?)),
    };
    Some((id, Posted { organization: organization.parse().ok()?, uid: uid.parse().ok()?, what }))
}

/// Bytes of a body at most: the data, and what stands around it.
const MOST_BODY: usize = MOST_DATA + 256;

fn sound(body: &str) -> Option<Arc<str>> {
    let sound = body.len() <= MOST_BODY && body.starts_with("\"type\":") && body.ends_with('}');
    sound.then(|| body.into())
}

/// What a stream has: a list of pairs of id and fields. What is not ours is left out.
fn entries(organization: Uuid, value: &redis::Value) -> Vec<(EventId, Posted)> {
    let read = |entry: &redis::Value| -> Option<(EventId, Posted)> {
        let (id, fields): (String, Vec<String>) = redis::from_redis_value(entry.clone()).ok()?;
        let [u, uid, kind, text] = fields.as_slice() else { return None };
        let what = match (u.as_str(), kind.as_str()) {
            ("u", "b") if text.is_empty() => What::Gap,
            ("u", "b") => What::Kept(sound(text)?),
            ("u", "e") => listed(text)?,
            _ => return None,
        };
        Some((EventId::parse(&id)?, Posted { organization, uid: uid.parse().ok()?, what }))
    };
    match value {
        redis::Value::Array(list) => list.iter().filter_map(read).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_on_the_channel_is_read_without_harm() {
        let organization = Uuid::from_u128(1);
        let uid = Uuid::from_u128(2);
        let body = r#""type":"turn","at":"x","data":{"a b": 1}}"#;
        let (id, posted) = parse(format!("5-0 {organization} {uid} {body}").as_bytes()).expect("ours");
        assert_eq!((id, posted.what), (EventId::parse("5-0"), What::Kept(body.into())));
        let (id, posted) = parse(format!("- {organization} {uid} {body}").as_bytes()).expect("ours");
        assert_eq!((id, posted.what), (None, What::Told(body.into())));
        let (id, posted) =
            parse(format!("!5-0 {organization} {uid} {uid},{organization}").as_bytes()).expect("ours");
        assert_eq!((id, posted.what), (EventId::parse("5-0"), What::Erase([uid, organization].into())));
        for odd in [
            "",
            "-",
            "- x y z",
            "5 a b c",
            &format!("- {organization} {uid} no body"),
            &format!("x {organization} {uid} {body}"),
            &format!("!x {organization} {uid} {uid}"),
            &format!("!5-0 {organization} {uid} "),
            &format!("!5-0 {organization} {uid} {uid},"),
            &format!("!5-0 {organization} {uid} {}", vec![uid.to_string(); MOST_ERASED + 1].join(",")),
        ] {
            assert!(parse(odd.as_bytes()).is_none(), "{odd}");
        }
        assert!(parse(b"\xff\xfe").is_none());
        assert!(
            parse(format!("- {organization} {uid} \"type\":{}}}", "x".repeat(MOST_BODY)).as_bytes())
                .is_none()
        );
    }
}
