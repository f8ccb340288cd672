//! Tokens that are not valid any more though they have not run out: signed out, or their user was removed.
//!
//! Every server knows its own denials by heart and asks Redis for the others', at most once in two seconds for a token. A
//! denial that Redis could not be told is told when it is back. While Redis is gone a token that another server denied
//! passes here; valid tokens still read, as DESIGN 6 wants it.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::contract::{Away, Cache as _, Entry};
use super::key::{Area, Key, Place};
use super::layered::Caching;
use crate::data::Timestamp;

/// The denied tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Denials(Caching);

impl Denials {
    /// Those in this cache.
    pub fn new(caching: Caching) -> Self {
        Self(caching)
    }

    /// Denies the token with this id until it runs out by itself.
    pub async fn deny(&self, jti: &str, until: Timestamp) {
        let key = place(jti);
        let inner = self.0.inner();
        let left = until.as_millis().saturating_sub(Timestamp::now().as_millis());
        let Ok(left @ 1..) = u64::try_from(left) else { return };
        let entry = Entry::new(Bytes::new(), Duration::from_millis(left), Duration::ZERO);
        inner.memory.keep(&key, entry.clone(), None);
        inner.good.invalidate(&key);
        if let Some(redis) = self.0.far()
            && redis.put(&key, entry.clone(), None).await.is_err()
        {
            self.0.owe(Place::One(key), Some(entry));
        }
    }

    /// Whether the token with this id was denied, as far as can be known now.
    pub async fn is_denied(&self, jti: &str) -> bool {
        let key = place(jti);
        let inner = self.0.inner();
        if inner.memory.find(&key).is_some() {
            return true;
        }
        let Some(redis) = self.0.far() else { return false };
        if inner.good.contains_key(&key) {
            return false;
        }
        match redis.look(&key).await {
            Ok(look) => match look.entry {
                Some(entry) => inner.memory.keep(&key, entry, None),
                None => {
                    inner.good.insert(key, ());
                    false
                }
            },
            Err(Away) => false,
        }
    }
}

/// Ids are never the same twice, so they need no organization.
fn place(jti: &str) -> Key {
    Key::new(Area::Denial, Uuid::nil(), jti)
}
