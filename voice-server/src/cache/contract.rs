//! What every cache does: the trait, the entry with its two ages, and the mark that makes a removal win over a load.
//!
//! `tests::suite` is run by the one in memory, the one in Redis and the two behind each other.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::key::{Group, Key};
use crate::data::Timestamp;

/// Bytes of a value that is kept; a larger one is loaded each time.
pub const MOST_VALUE: usize = 4 << 20;
/// A key that was removed refuses for this long what was loaded before. Longer than any load takes.
pub(crate) const TOMB: Duration = Duration::from_secs(15);

/// A value with its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// When it was true.
    pub at: Timestamp,
    /// How long it is as good as new.
    pub fresh_for: Duration,
    /// How long after that it is better than nothing.
    pub stale_for: Duration,
}

impl Entry {
    /// A value of now.
    pub fn new(value: Bytes, fresh_for: Duration, stale_for: Duration) -> Self {
        Self { value, at: Timestamp::now(), fresh_for, stale_for }
    }

    /// Its age. Zero where another server's clock is ahead.
    pub fn age(&self) -> Duration {
        let millis = Timestamp::now().as_millis().saturating_sub(self.at.as_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// Whether it is as good as new.
    pub fn is_fresh(&self) -> bool {
        self.age() < self.fresh_for
    }

    /// What is left of its life.
    pub(crate) fn left(&self) -> Duration {
        self.fresh_for.saturating_add(self.stale_for).saturating_sub(self.age())
    }
}

/// What a key looked like. Given back with a value that was loaded after the look, so that the value is not kept where
/// the key or its group was removed meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub(crate) near: Seen,
    pub(crate) far: Option<Seen>,
}

/// The number of a group and the tomb of a key, as one store had them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) group: u64,
    pub(crate) tomb: u64,
}

/// An answer to a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What is there and still usable.
    pub entry: Option<Entry>,
    /// For the value that is put after it.
    pub mark: Mark,
}

/// The cache cannot be reached; whoever asked goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache does not answer")]
pub struct Away;

/// A place for values that can be loaded again, for tickets, denials and counts.
pub trait Cache: Send + Sync {
    /// What is kept under the key.
    fn look<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Look, Away>>;

    /// Keeps a value. With a mark only where nothing was removed since; gives whether it was kept.
    fn put<'c>(&'c self, key: &'c Key, entry: Entry, mark: Option<Mark>)
    -> BoxFuture<'c, Result<bool, Away>>;

    /// Takes a value out. Of any number who take at the same time, one gets it.
    fn take<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Option<Entry>, Away>>;

    /// Removes one value.
    fn remove<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<(), Away>>;

    /// Removes everything of an area and organization.
    fn remove_group(&self, group: Group) -> BoxFuture<'_, Result<(), Away>>;

    /// Adds to a count that starts again `within` after its first addition; gives the sum.
    fn add<'c>(&'c self, key: &'c Key, by: u32, within: Duration) -> BoxFuture<'c, Result<u64, Away>>;
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use tokio::time::sleep;
    use uuid::Uuid;

    use super::super::key::Area;
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn entry(value: &str) -> Entry {
        Entry::new(Bytes::copy_from_slice(value.as_bytes()), LONG, LONG)
    }

    async fn value(cache: &dyn Cache, key: &Key) -> Option<String> {
        let entry = cache.look(key).await.expect("an answer").entry?;
        Some(String::from_utf8(entry.value.to_vec()).expect("text"))
    }

    async fn keep(cache: &dyn Cache, key: &Key, text: &str) {
        assert!(cache.put(key, entry(text), None).await.expect("an answer"));
    }

    /// Everything that a cache promises.
    pub(crate) async fn suite(cache: Arc<dyn Cache>) {
        what_is_put_is_found(&*cache).await;
        values_end_with_their_time(&*cache).await;
        groups_go_together(&*cache).await;
        removals_win_over_loads(&*cache).await;
        one_taker_gets_it(cache.clone()).await;
        counts_add_up_and_start_again(cache).await;
    }

    async fn what_is_put_is_found(cache: &dyn Cache) {
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let key = Key::new(Area::Property, one, "a");
        assert_eq!(value(cache, &key).await, None);
        keep(cache, &key, "first").await;
        keep(cache, &key, "second").await;
        assert_eq!(value(cache, &key).await.as_deref(), Some("second"));
        let found = cache.look(&key).await.expect("an answer").entry.expect("an entry");
        assert_eq!((found.fresh_for, found.stale_for), (LONG, LONG));
        assert!(found.is_fresh() && found.age() < Duration::from_secs(10));
        // Another organization, area or id is another place.
        for other in [
            Key::new(Area::Property, two, "a"),
            Key::new(Area::Context, one, "a"),
            Key::new(Area::Property, one, "b"),
        ] {
            assert_eq!(value(cache, &other).await, None, "{other}");
        }
        let binary = Entry::new(Bytes::from((0..=255).collect::<Vec<u8>>()), LONG, Duration::ZERO);
        assert_eq!(cache.put(&key, binary.clone(), None).await, Ok(true));
        assert_eq!(cache.look(&key).await.expect("an answer").entry, Some(binary));
        let huge = Entry::new(Bytes::from(vec![0; MOST_VALUE + 1]), LONG, LONG);
        assert_eq!(cache.put(&key, huge, None).await, Ok(false), "too large to be kept");
    }

    async fn values_end_with_their_time(cache: &dyn Cache) {
        let key = Key::new(Area::Context, Uuid::new_v4(), "a");
        let (fresh, stale) = (Duration::from_millis(150), Duration::from_millis(600));
        cache.put(&key, Entry::new(Bytes::from_static(b"x"), fresh, stale), None).await.expect("an answer");
        assert!(cache.look(&key).await.expect("an answer").entry.expect("an entry").is_fresh());
        sleep(Duration::from_millis(250)).await;
        let old = cache.look(&key).await.expect("an answer").entry.expect("stale is better than nothing");
        assert!(!old.is_fresh());
        sleep(Duration::from_millis(700)).await;
        assert_eq!(cache.look(&key).await.expect("an answer").entry, None);
        // What is over when it comes is not kept.
        let over = Entry { at: Timestamp::from_millis(0), ..entry("old") };
        assert_eq!(cache.put(&key, over, None).await, Ok(false));
        assert_eq!(value(cache, &key).await, None);
    }

    async fn groups_go_together(cache: &dyn Cache) {
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let keys: Vec<Key> = (0..20).map(|n| Key::new(Area::Property, one, &format!("k{n}"))).collect();
        let others = [Key::new(Area::Property, two, "k0"), Key::new(Area::Context, one, "k0")];
        for key in keys.iter().chain(&others) {
            keep(cache, key, "x").await;
        }
        cache.remove_group(keys[0].group).await.expect("an answer");
        for key in &keys {
            assert_eq!(value(cache, key).await, None, "{key}");
        }
        for key in &others {
            assert_eq!(value(cache, key).await.as_deref(), Some("x"), "{key}");
        }
        keep(cache, &keys[3], "again").await;
        assert_eq!(value(cache, &keys[3]).await.as_deref(), Some("again"));
        cache.remove(&keys[3]).await.expect("an answer");
        assert_eq!(value(cache, &keys[3]).await, None);
        cache.remove(&keys[3]).await.expect("removing nothing is no error");
    }

    async fn removals_win_over_loads(cache: &dyn Cache) {
        let key = Key::new(Area::Property, Uuid::new_v4(), "a");
        // Nothing removed: the value is kept, also in a group that nobody has used before.
        let mark = cache.look(&key).await.expect("an answer").mark;
        assert_eq!(cache.put(&key, entry("loaded"), Some(mark)).await, Ok(true));
        // The key is removed while its value is loaded.
        let mark = cache.look(&key).await.expect("an answer").mark;
        cache.remove(&key).await.expect("an answer");
        assert_eq!(cache.put(&key, entry("from before"), Some(mark)).await, Ok(false));
        assert_eq!(value(cache, &key).await, None);
        // Whoever looks after the removal loads what is true now.
        let mark = cache.look(&key).await.expect("an answer").mark;
        assert_eq!(cache.put(&key, entry("from after"), Some(mark)).await, Ok(true));
        assert_eq!(value(cache, &key).await.as_deref(), Some("from after"));
        // And one that began before the removal does not pass for one after it.
        let before = cache.look(&key).await.expect("an answer").mark;
        cache.remove(&key).await.expect("an answer");
        let after = cache.look(&key).await.expect("an answer").mark;
        assert_eq!(cache.put(&key, entry("from after"), Some(after)).await, Ok(true));
        assert_eq!(cache.put(&key, entry("from before"), Some(before)).await, Ok(false));
        assert_eq!(value(cache, &key).await.as_deref(), Some("from after"));
        // The group is removed while a value is loaded.
        let mark = cache.look(&key).await.expect("an answer").mark;
        cache.remove_group(key.group).await.expect("an answer");
        assert_eq!(cache.put(&key, entry("from before"), Some(mark)).await, Ok(false));
        let mark = cache.look(&key).await.expect("an answer").mark;
        assert_eq!(cache.put(&key, entry("from after"), Some(mark)).await, Ok(true));
        assert_eq!(value(cache, &key).await.as_deref(), Some("from after"));
    }

    async fn one_taker_gets_it(cache: Arc<dyn Cache>) {
        let key = Key::new(Area::Ticket, Uuid::nil(), &Uuid::new_v4().to_string());
        assert_eq!(cache.take(&key).await, Ok(None));
        keep(&*cache, &key, "once").await;
        let takers: Vec<_> = (0..20)
            .map(|_| {
                let (cache, key) = (cache.clone(), key.clone());
                tokio::spawn(async move { cache.take(&key).await.expect("an answer").is_some() })
            })
            .collect();
        let mut got = 0;
        for taker in takers {
            got += usize::from(taker.await.expect("a taker"));
        }
        assert_eq!(got, 1);
        assert_eq!(value(&*cache, &key).await, None);
    }

    async fn counts_add_up_and_start_again(cache: Arc<dyn Cache>) {
        let key = Key::new(Area::Count, Uuid::new_v4(), "calls");
        let within = Duration::from_millis(500);
        let adders: Vec<_> = (0..20)
            .map(|_| {
                let (cache, key) = (cache.clone(), key.clone());
                tokio::spawn(
                    async move { cache.add(&key, 2, Duration::from_secs(60)).await.expect("an answer") },
                )
            })
            .collect();
        let mut most = 0;
        for adder in adders {
            most = most.max(adder.await.expect("an adder"));
        }
        assert_eq!(most, 40);
        let other = Key::new(Area::Count, Uuid::new_v4(), "calls");
        assert_eq!(cache.add(&other, 1, within).await, Ok(1));
        assert_eq!(cache.add(&other, 1, within).await, Ok(2));
        sleep(within + Duration::from_millis(200)).await;
        assert_eq!(cache.add(&other, 5, within).await, Ok(5));
    }
}
