//! What every server is to know at once: denials.
//!
//! Each server knows its own announcements by heart and asks Redis for the others', at most once in two seconds for a key,
//! whatever the number of requests; an announcement is also told on the cache's channel, which ends those two seconds. One that Redis
//! could not be told is told when it is back, and one that a restarted Redis has lost is told again by whoever knows it.
//! While Redis is gone an announcement of another server is not known here.

use std::sync::atomic::Ordering;

use tokio::sync::broadcast;

use super::contract::{Away, Cache as _, Entry};
use super::key::{Key, Place};
use super::layered::Caching;

impl Caching {
    /// Makes a value known to all servers for as long as it lives.
    pub async fn announce(&self, key: &Key, entry: Entry) {
        let inner = self.inner();
        inner.memory.keep(key, entry.clone(), None);
        inner.asked.invalidate(key);
        // Nobody follows: that is no failure.
        let _ = inner.announced.send(key.clone());
        if let Some(redis) = self.far()
            && redis.put(key, entry.clone(), None).await.is_err()
        {
            self.owe(Place::One(key.clone()), Some(entry));
        }
    }

    /// What was announced under the key, as far as can be known now.
    pub async fn announced(&self, key: &Key) -> Option<Entry> {
        let inner = self.inner();
        let known = inner.memory.find(key).map(|(entry, _)| entry);
        let Some(redis) = self.far() else { return known };
        if inner.asked.contains_key(key) || self.owes(key) {
            return known;
        }
        let heard = inner.heard.load(Ordering::SeqCst);
        let found = match redis.look(key).await {
            Ok(look) => look.entry,
            Err(Away) => return known,
        };
        match (&found, &known) {
            (Some(entry), _) => {
                inner.memory.keep(key, entry.clone(), None);
            }
            // Redis has lost it.
            (None, Some(entry)) => drop(redis.put(key, entry.clone(), None).await),
            (None, None) => {}
        }
        // What was announced while Redis was asked is asked for again.
        if inner.heard.load(Ordering::SeqCst) == heard {
            inner.asked.insert(key.clone(), ());
        }
        found.or(known)
    }

    /// The keys of all announcements from now on, here and elsewhere. Whoever falls behind is told that some were missed; so
    /// are those that were made elsewhere while Redis was away, which nobody tells.
    pub fn announcements(&self) -> broadcast::Receiver<Key> {
        self.inner().announced.subscribe()
    }
}
