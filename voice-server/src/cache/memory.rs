//! The cache in this process: bounded by bytes, each value with its own end.
//!
//! What can be loaded again, denials, tickets and counts live apart, so that a flood of the one cannot push out the other. A group
//! is removed by changing its number: what was kept under the old one is never given again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, ready};
use moka::ops::compute::{CompResult, Op};
use moka::{Expiry, sync};

use super::contract::{Away, Cache, Entry, Look, MOST_VALUE, Mark, Seen, TOMB};
use super::key::{Area, Group, Key};

/// Bytes of denials, and as much of tickets and of counts: some 100,000 each.
const PRECIOUS: u64 = 32 << 20;
/// Groups whose number is known. Of one that falls out everything is as if removed.
const GROUPS: u64 = 50_000;

/// The cache in this process.
#[derive(Debug)]
pub struct Memory {
    bulk: sync::Cache<Key, Slot>,
    denials: sync::Cache<Key, Slot>,
    tickets: sync::Cache<Key, Slot>,
    counts: sync::Cache<Key, Slot>,
    groups: sync::Cache<Group, u64>,
    next: AtomicU64,
}

#[derive(Clone, Debug)]
enum Slot {
    /// `tomb` is that of the last removal, so that a load from before it does not pass for one after it.
    Kept {
        entry: Entry,
        group: u64,
        tomb: u64,
        seen: Instant,
    },
    Tomb(u64),
    Count {
        sum: u64,
        until: Instant,
    },
}

impl Slot {
    fn left(&self) -> Duration {
        match self {
            Self::Kept { entry, .. } => entry.left(),
            Self::Tomb(_) => TOMB,
            Self::Count { until, .. } => until.saturating_duration_since(Instant::now()),
        }
    }
}

/// Each slot ends by itself.
struct ByItself;

impl Expiry<Key, Slot> for ByItself {
    fn expire_after_create(&self, _: &Key, slot: &Slot, _: Instant) -> Option<Duration> {
        Some(slot.left())
    }

    fn expire_after_update(&self, _: &Key, slot: &Slot, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(slot.left())
    }
}

fn bounded(bytes: u64) -> sync::Cache<Key, Slot> {
    let weigh = |key: &Key, slot: &Slot| {
        let value = if let Slot::Kept { entry, .. } = slot { entry.value.len() } else { 0 };
        u32::try_from(key.size() + size_of::<Slot>() + value).unwrap_or(u32::MAX)
    };
    sync::Cache::builder().max_capacity(bytes).weigher(weigh).expire_after(ByItself).build()
}

impl Memory {
    /// Keeps up to so many bytes of what can be loaded again.
    pub fn new(most_bytes: u64) -> Self {
        Self {
            bulk: bounded(most_bytes),
            denials: bounded(PRECIOUS),
            tickets: bounded(PRECIOUS),
            counts: bounded(PRECIOUS),
            groups: sync::Cache::new(GROUPS),
            next: AtomicU64::new(1),
        }
    }

    /// What is kept, and since when it has been known to be what Redis has.
    pub(crate) fn find(&self, key: &Key) -> Option<(Entry, Instant)> {
        match self.slots(key.group).get(key)? {
            Slot::Kept { entry, group, seen, .. }
                if self.groups.get(&key.group) == Some(group) && !entry.left().is_zero() =>
            {
                Some((entry, seen))
            }
            _ => None,
        }
    }

    /// What a value that is put later is compared with.
    pub(crate) fn seen(&self, key: &Key) -> Seen {
        let tomb = match self.slots(key.group).get(key) {
            Some(Slot::Tomb(tomb) | Slot::Kept { tomb, .. }) => tomb,
            _ => 0,
        };
        Seen { group: self.number(key.group), tomb }
    }

    /// See [`Cache::put`].
    pub(crate) fn keep(&self, key: &Key, entry: Entry, mark: Option<Seen>) -> bool {
        if entry.value.len() > MOST_VALUE || entry.left().is_zero() {
            return false;
        }
        let outcome = self.slots(key.group).entry_by_ref(key).and_compute_with(|held| {
            let tomb = match held.map(moka::Entry::into_value) {
                Some(Slot::Tomb(tomb) | Slot::Kept { tomb, .. }) => tomb,
                _ => 0,
            };
            let group = self.number(key.group);
            if mark.is_some_and(|mark| mark != Seen { group, tomb }) {
                return Op::Nop;
            }
            Op::Put(Slot::Kept { entry, group, tomb, seen: Instant::now() })
        });
        matches!(outcome, CompResult::Inserted(_) | CompResult::ReplacedWith(_))
    }

    /// See [`Cache::take`].
    pub(crate) fn take_out(&self, key: &Key) -> Option<Entry> {
        let outcome = self.slots(key.group).entry_by_ref(key).and_compute_with(|held| match held {
            Some(held) if matches!(held.value(), Slot::Kept { .. }) => Op::Remove,
            _ => Op::Nop,
        });
        match outcome {
            CompResult::Removed(held) => match held.into_value() {
                Slot::Kept { entry, group, .. }
                    if self.groups.get(&key.group) == Some(group) && !entry.left().is_zero() =>
                {
                    Some(entry)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// See [`Cache::remove`].
    pub(crate) fn bury(&self, key: &Key) {
        self.slots(key.group).insert(key.clone(), Slot::Tomb(self.fresh_number()));
    }

    /// See [`Cache::remove_group`].
    pub(crate) fn bury_group(&self, group: Group) {
        self.groups.insert(group, self.fresh_number());
    }

    /// See [`Cache::add`].
    pub(crate) fn count(&self, key: &Key, by: u32, within: Duration) -> u64 {
        let now = Instant::now();
        let outcome = self.slots(key.group).entry_by_ref(key).and_compute_with(|held| {
            let (before, until) = match held.map(moka::Entry::into_value) {
                Some(Slot::Count { sum, until }) if now < until => (sum, until),
                _ => (0, now + within),
            };
            Op::Put(Slot::Count { sum: before.saturating_add(by.into()), until })
        });
        match outcome {
            CompResult::Inserted(held) | CompResult::ReplacedWith(held) => match held.into_value() {
                Slot::Count { sum, .. } => sum,
                _ => by.into(),
            },
            _ => by.into(),
        }
    }

    fn slots(&self, group: Group) -> &sync::Cache<Key, Slot> {
        match group.area {
            Area::Denial => &self.denials,
            Area::Ticket => &self.tickets,
            Area::Count => &self.counts,
            _ => &self.bulk,
        }
    }

    fn number(&self, group: Group) -> u64 {
        self.groups.get_with(group, || self.fresh_number())
    }

    /// Never the same twice, so that a group that fell out does not come back with its old values.
    fn fresh_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Cache for Memory {
    fn look<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Look, Away>> {
        // The mark first: what is removed between the two must not be kept again.
        let mark = Mark { near: self.seen(key), far: None };
        Box::pin(ready(Ok(Look { entry: self.find(key).map(|(entry, _)| entry), mark })))
    }

    fn put<'c>(
        &'c self,
        key: &'c Key,
        entry: Entry,
        mark: Option<Mark>,
    ) -> BoxFuture<'c, Result<bool, Away>> {
        Box::pin(ready(Ok(self.keep(key, entry, mark.map(|mark| mark.near)))))
    }

    fn take<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Option<Entry>, Away>> {
        Box::pin(ready(Ok(self.take_out(key))))
    }

    fn remove<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<(), Away>> {
        self.bury(key);
        Box::pin(ready(Ok(())))
    }

    fn remove_group(&self, group: Group) -> BoxFuture<'_, Result<(), Away>> {
        self.bury_group(group);
        Box::pin(ready(Ok(())))
    }

    fn add<'c>(&'c self, key: &'c Key, by: u32, within: Duration) -> BoxFuture<'c, Result<u64, Away>> {
        Box::pin(ready(Ok(self.count(key, by, within))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use uuid::Uuid;

    use super::super::contract::tests::suite;
    use super::super::key::Area;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_the_contract() {
        suite(Arc::new(Memory::new(8 << 20))).await;
    }

    #[test]
    fn it_stays_within_its_bytes_and_pushes_out_no_denial() {
        let memory = Memory::new(1 << 20);
        let long = Duration::from_secs(600);
        let denial = Key::new(Area::Denial, Uuid::nil(), "jti");
        memory.keep(&denial, Entry::new(Bytes::from_static(b"x"), long, Duration::ZERO), None);
        for n in 0..1_000 {
            let key = Key::new(Area::Property, Uuid::nil(), &n.to_string());
            memory.keep(&key, Entry::new(Bytes::from(vec![0; 10_000]), long, long), None);
        }
        for n in 0..5_000 {
            let key = Key::new(Area::Ticket, Uuid::nil(), &n.to_string());
            memory.keep(&key, Entry::new(Bytes::from_static(&[0; 10_000]), long, Duration::ZERO), None);
        }
        memory.bulk.run_pending_tasks();
        memory.tickets.run_pending_tasks();
        assert!(memory.tickets.weighted_size() <= PRECIOUS, "{}", memory.tickets.weighted_size());
        assert!(memory.bulk.weighted_size() <= 1 << 20, "{}", memory.bulk.weighted_size());
        assert!(memory.bulk.entry_count() > 10);
        assert!(memory.find(&denial).is_some());
    }
}
