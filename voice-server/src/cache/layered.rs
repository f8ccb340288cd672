//! Memory in front of Redis, or memory alone: the cache that the server shares.
//!
//! A value that Redis had is believed for [`FRONT`] without asking again; removals by other servers are heard on a channel
//! and end that at once. While Redis is away, memory serves whatever it has for as long as it is usable. Three tasks belong to
//! it: one listens, one brings Redis back, one renews leases; all end with [`Caching::close`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use moka::sync;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use uuid::Uuid;

use super::contract::{Away, Cache, Entry, Look, Mark};
use super::fetch::Flight;
use super::key::{Area, Group, Key, Place};
use super::leases::Held;
use super::link::Link;
use super::memory::Memory;
use super::owed::Owed;
use super::redis::{CHANNEL, RedisCache, home_channel, parse_notice};
use crate::config::Secret;
use crate::metrics::{CacheCounters, Metrics};

/// How long a server shows what it read from Redis without asking again. Another one's removal is usually heard within
/// milliseconds; where that is lost, this is the longest that the old value is shown.
const FRONT: Duration = Duration::from_secs(2);
/// What was announced, or not, is asked of Redis again after this. Announcements are heard, and end it at once.
const ASKED: Duration = Duration::from_secs(2);
/// Announcements that wait for somebody who follows them; whoever misses some is told so.
const ANNOUNCED: usize = 1_024;
/// A source that failed is left alone this long by whoever has something stale.
const REST: Duration = Duration::from_secs(1);
/// How often the channel is shown to be alive, and how long the answer may take.
const BEAT: Duration = Duration::from_secs(5);
/// What a home gives alone lives no longer than this.
const PAST: Duration = Duration::from_secs(15 * 60);
/// Between two attempts to listen.
const AGAIN: Duration = Duration::from_millis(250);

/// The cache of this server. Cheap to clone.
#[derive(Clone)]
pub struct Caching(Arc<Inner>);

pub(super) struct Inner {
    pub(super) memory: Memory,
    far: Option<Far>,
    pub(super) counters: CacheCounters,
    /// Loads under way.
    pub(super) flights: Mutex<HashMap<Key, Flight>>,
    /// Keys whose load failed a moment ago.
    pub(super) failed: sync::Cache<Key, ()>,
    /// What was asked of Redis a moment ago, so that memory knows it.
    pub(super) asked: sync::Cache<Key, ()>,
    /// Announcements heard from other servers so far.
    pub(super) heard: AtomicU64,
    /// Who wants to know of announcements.
    pub(super) announced: broadcast::Sender<Key>,
    /// Leases that are held here.
    pub(super) leases: Held,
    /// Homes of this server whose connection has ended not long ago.
    pub(super) past_homes: sync::Cache<Uuid, ()>,
    /// Home of what may be taken once on this server alone.
    pub(super) home: Uuid,
    tasks: Mutex<JoinSet<()>>,
}

struct Far {
    redis: RedisCache,
    owed: Owed,
    /// Home of what may be taken once on any server, while removals and takings by others are heard: another one each time.
    home: watch::Sender<Option<Uuid>>,
}

impl std::fmt::Debug for Caching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caching").field("redis", &self.is_redis_up()).finish_non_exhaustive()
    }
}

impl Caching {
    /// Memory alone, with up to so many bytes of what can be loaded again.
    pub fn in_memory(most_bytes: u64, metrics: &Metrics) -> Self {
        Self(Arc::new(Inner::new(most_bytes, None, metrics)))
    }

    /// Memory in front of the Redis at `url`. Returns at once; until Redis answers, memory serves alone. Needs a runtime.
    ///
    /// # Errors
    /// The address cannot be used; the text does not show it.
    pub fn with_redis(most_bytes: u64, url: &Secret, metrics: &Metrics) -> Result<Self, String> {
        let link = Link::new(url, "cache", metrics.redis_failures("cache"))?;
        let redis = RedisCache::new(Arc::new(link));
        let far = Far { redis, owed: Owed::default(), home: watch::channel(None).0 };
        let inner = Arc::new(Inner::new(most_bytes, Some(far), metrics));
        let mut tasks = inner.tasks();
        tasks.spawn(bring_back(inner.clone()));
        tasks.spawn(listen(inner.clone()));
        tasks.spawn(super::leases::renew(inner.clone()));
        drop(tasks);
        Ok(Self(inner))
    }

    /// Whether Redis answers; `None` where none is configured.
    pub fn is_redis_up(&self) -> Option<bool> {
        self.0.far.as_ref().map(|far| far.redis.link.is_up())
    }

    /// Whether other servers may share it.
    pub fn is_shared(&self) -> bool {
        self.0.far.is_some()
    }

    /// Waits until Redis answers and removals are heard; for tests and for a start that wants to be whole.
    pub async fn whole(&self) {
        let Some(far) = &self.0.far else { return };
        let _ = far.home.subscribe().wait_for(Option::is_some).await;
        while !far.redis.link.is_up() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Gives its leases back and ends its tasks and the loads under way. What is asked afterwards is answered from memory or
    /// Redis as before.
    pub async fn close(&self) {
        self.give_leases_back().await;
        let mut tasks = std::mem::take(&mut *self.0.tasks());
        tasks.shutdown().await;
    }

    /// Redis alone, without memory in front; `None` where none is configured.
    pub(crate) fn shared(&self) -> Option<&dyn Cache> {
        self.far().map(|redis| redis as &dyn Cache)
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// The part that all servers share, where there is one.
    pub(super) fn far(&self) -> Option<&RedisCache> {
        self.0.redis()
    }

    /// The home of what may be taken once on any server; `None` while nothing of other servers is heard.
    pub(super) fn shared_home(&self) -> Option<Uuid> {
        self.0.far.as_ref().and_then(|far| *far.home.borrow())
    }

    /// Remembers what Redis is to be told when it is back.
    pub(super) fn owe(&self, place: Place, entry: Option<Entry>) {
        if let Some(far) = &self.0.far {
            far.owed.add(place, entry);
        }
    }

    /// Whether Redis is still to be told of the key, so that what it has there is older.
    pub(super) fn owes(&self, key: &Key) -> bool {
        self.0.far.as_ref().is_some_and(|far| far.owed.covers(key))
    }

    async fn look_everywhere(&self, key: &Key) -> Look {
        let memory = &self.0.memory;
        // The mark first: what is removed between the two must not be kept again.
        let near = memory.seen(key);
        let known = memory.find(key);
        let here = |entry| Look { entry, mark: Mark { near, far: None } };
        let Some(far) = self.0.far.as_ref().filter(|far| far.redis.link.is_up() && !far.owed.covers(key))
        else {
            return here(known.map(|(entry, _)| entry));
        };
        match known {
            // A value that is to be loaded anew wants Redis' mark.
            Some((entry, seen)) if seen.elapsed() < FRONT && entry.is_fresh() => return here(Some(entry)),
            _ => {}
        }
        match far.redis.look(key).await {
            Err(Away) => here(known.map(|(entry, _)| entry)),
            Ok(look) => {
                match &look.entry {
                    Some(entry) if !key.group.area.is_precious() => {
                        memory.keep(key, entry.clone(), Some(near));
                    }
                    _ => {}
                }
                Look { entry: look.entry, mark: Mark { near, far: look.mark.far } }
            }
        }
    }

    async fn put_everywhere(&self, key: &Key, entry: Entry, mark: Option<Mark>) -> bool {
        let here = |entry| self.0.memory.keep(key, entry, mark.map(|mark| mark.near));
        let Some(far) = &self.0.far else { return here(entry) };
        // What was looked up without Redis cannot be compared there; it is kept here until somebody looks again.
        if mark.is_some_and(|mark| mark.far.is_none()) || far.owed.covers(key) {
            return here(entry);
        }
        match far.redis.put(key, entry.clone(), mark).await {
            Ok(true) if key.group.area.is_precious() => true,
            Ok(true) => here(entry),
            Ok(false) => false,
            Err(Away) => here(entry),
        }
    }
}

impl Inner {
    fn new(most_bytes: u64, far: Option<Far>, metrics: &Metrics) -> Self {
        fn briefly<K: std::hash::Hash + Eq + Send + Sync + 'static>(time: Duration) -> sync::Cache<K, ()> {
            sync::Cache::builder().max_capacity(50_000).time_to_live(time).build()
        }
        Self {
            memory: Memory::new(most_bytes),
            far,
            counters: metrics.cache(),
            flights: Mutex::default(),
            failed: briefly(REST),
            asked: briefly(ASKED),
            heard: AtomicU64::new(0),
            announced: broadcast::channel(ANNOUNCED).0,
            leases: Held::default(),
            past_homes: briefly(PAST),
            home: Uuid::new_v4(),
            tasks: Mutex::default(),
        }
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part that all servers share, where there is one.
    pub(super) fn redis(&self) -> Option<&RedisCache> {
        self.far.as_ref().map(|far| &far.redis)
    }

    pub(super) fn flights(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets here what was removed here or elsewhere. Whoever asks from now on joins no load from before.
    fn forget(&self, place: &Place) {
        match place {
            Place::One(key) => {
                self.memory.bury(key);
                self.flights().remove(key);
            }
            Place::All(group) => {
                self.memory.bury_group(*group);
                self.flights().retain(|key, _| key.group != *group);
            }
        }
    }
}

/// Opens the link when it is down, and settles what is owed first.
async fn bring_back(inner: Arc<Inner>) {
    let Some(far) = &inner.far else { return };
    let link = &far.redis.link;
    loop {
        if !link.is_up() {
            let reached = link.reach().await;
            let mut settled = true;
            loop {
                let owed = far.owed.some();
                if owed.is_empty() || !settled {
                    break;
                }
                let settling = far.redis.settle(reached.connection.clone(), &owed);
                settled = matches!(timeout(Duration::from_secs(5), settling).await, Ok(Ok(())));
                if settled {
                    far.owed.strike(&owed);
                }
            }
            if settled {
                link.adopt(reached);
            } else {
                link.refuse(reached);
                continue;
            }
        }
        // What was added between the settling and the opening.
        let owed = far.owed.some();
        if owed.is_empty() {
            tokio::select! {
                () = link.until_lost() => {}
                () = far.owed.added() => {}
            }
            continue;
        }
        let settle = async |connection| far.redis.settle(connection, &owed).await;
        match link.run(Duration::from_secs(1), settle).await {
            Ok(()) => far.owed.strike(&owed),
            Err(Away) => sleep(AGAIN).await,
        }
    }
}

/// Hears what other servers removed and took.
async fn listen(inner: Arc<Inner>) {
    let Some(far) = &inner.far else { return };
    loop {
        let home = Uuid::new_v4();
        if let Ok((sink, stream)) = far.redis.link.subscribe(&[CHANNEL, &home_channel(home)]).await {
            far.home.send_replace(Some(home));
            let heard_all = hear(&inner, far, sink, stream).await;
            if !heard_all {
                // Others may have taken what is kept here too; it is given to nobody any more.
                inner.memory.bury_group(Group { area: Area::Ticket, organization: home });
            }
            inner.past_homes.insert(home, ());
            far.home.send_replace(None);
        }
        sleep(AGAIN).await;
    }
}

/// Hears until the end, and says whether everything that was told before it was heard: Redis ended it by itself.
async fn hear(inner: &Inner, far: &Far, mut sink: PubSubSink, mut stream: PubSubStream) -> bool {
    let mut beat = interval(BEAT);
    loop {
        tokio::select! {
            message = stream.next() => match message {
                None => return true,
                Some(message) => heard(inner, far, message.get_payload_bytes()),
            },
            _ = beat.tick() => match timeout(BEAT, sink.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => break,
                Err(_) => return false,
            },
        }
    }
    // The connection is at its end; what came before that is still to be heard.
    loop {
        match timeout(AGAIN, stream.next()).await {
            Ok(Some(message)) => heard(inner, far, message.get_payload_bytes()),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn heard(inner: &Inner, far: &Far, notice: &[u8]) {
    match parse_notice(notice) {
        Some((origin, _)) if origin == far.redis.origin => {}
        // What was announced is no removal.
        Some((_, Place::One(key))) if key.group.area == Area::Denial => {
            inner.heard.fetch_add(1, Ordering::SeqCst);
            inner.asked.invalidate(&key);
            let _ = inner.announced.send(key);
        }
        Some((_, place)) => inner.forget(&place),
        None => tracing::debug!("a notice on the cache's channel is not ours"),
    }
}

impl Cache for Caching {
    /// Never [`Away`].
    fn look<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Look, Away>> {
        Box::pin(async move {
            let look = self.look_everywhere(key).await;
            self.0.counters.note_look(key.group.area, look.entry.is_some());
            Ok(look)
        })
    }

    /// Never [`Away`].
    fn put<'c>(
        &'c self,
        key: &'c Key,
        entry: Entry,
        mark: Option<Mark>,
    ) -> BoxFuture<'c, Result<bool, Away>> {
        Box::pin(async move { Ok(self.put_everywhere(key, entry, mark).await) })
    }

    /// [`Away`] where Redis does not answer and this server has nothing: it may be there.
    fn take<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Option<Entry>, Away>> {
        Box::pin(async move {
            let Some(far) = &self.0.far else { return Ok(self.0.memory.take_out(key)) };
            match far.redis.take(key).await {
                Ok(Some(entry)) => {
                    self.0.memory.bury(key);
                    Ok(Some(entry))
                }
                Ok(None) => Ok(self.0.memory.take_out(key)),
                Err(Away) => self.0.memory.take_out(key).map(Some).ok_or(Away),
            }
        })
    }

    /// Never [`Away`]: what Redis cannot be told is owed.
    fn remove<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<(), Away>> {
        Box::pin(async move {
            self.0.forget(&Place::One(key.clone()));
            if let Some(far) = &self.0.far
                && far.redis.remove(key).await.is_err()
            {
                self.owe(Place::One(key.clone()), None);
            }
            Ok(())
        })
    }

    /// Never [`Away`]: what Redis cannot be told is owed.
    fn remove_group(&self, group: Group) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(async move {
            self.0.forget(&Place::All(group));
            if let Some(far) = &self.0.far
                && far.redis.remove_group(group).await.is_err()
            {
                self.owe(Place::All(group), None);
            }
            Ok(())
        })
    }

    /// Never [`Away`]: while Redis is gone, this server counts for itself.
    fn add<'c>(&'c self, key: &'c Key, by: u32, within: Duration) -> BoxFuture<'c, Result<u64, Away>> {
        Box::pin(async move {
            let here = || self.0.memory.count(key, by, within);
            Ok(match &self.0.far {
                None => here(),
                Some(far) => far.redis.add(key, by, within).await.unwrap_or_else(|Away| here()),
            })
        })
    }
}
