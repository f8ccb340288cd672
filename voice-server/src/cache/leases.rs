//! Places that are counted over all servers: calls of a key, calls from an address.
//!
//! A lease stands in Redis for half a minute and is renewed while it is held, so that those of a server that died count no
//! more after that. Redis decides whether there is room; while it is away, or where there is none, a lease is given in any
//! case and its owner counts for itself. One that was given while Redis was away counts there soon after it is back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::key::{Area, Key};
use super::layered::{Caching, Inner};

/// How long a lease counts that nobody renews.
const LIFE: Duration = Duration::from_secs(30);
/// How often leases are renewed: two attempts may fail.
const RENEWAL: Duration = Duration::from_secs(9);
/// Leases that are given back in one request.
const AT_ONCE: usize = 256;
/// How long giving back may take at the end.
const FAREWELL: Duration = Duration::from_millis(300);

/// There are as many as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are as many as there may be")]
pub struct Taken;

/// The leases of one server.
#[derive(Debug, Default)]
pub(super) struct Held {
    leases: Mutex<Leases>,
    /// Some were given back.
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Leases {
    held: HashMap<Uuid, Key>,
    /// No more than were held.
    over: Vec<(Key, Uuid)>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is held. Dropping it gives it back.
pub struct Lease {
    inner: Arc<Inner>,
    id: Uuid,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.inner.leases.lock();
        if let Some(key) = leases.held.remove(&self.id) {
            leases.over.push((key, self.id));
        }
        drop(leases);
        self.inner.leases.given_back.notify_one();
    }
}

impl Caching {
    /// One of at most `most` places of this name on all servers. `None` where there is no Redis.
    ///
    /// # Errors
    /// There are as many.
    pub async fn lease(&self, name: &str, most: u32) -> Result<Option<Lease>, Taken> {
        let Some(redis) = self.far() else { return Ok(None) };
        let key = Key::new(Area::Count, Uuid::nil(), name);
        // Held from now on: a request that was cut off gives back what it may have got.
        let lease = Lease { inner: self.inner().clone(), id: Uuid::new_v4() };
        self.inner().leases.lock().held.insert(lease.id, key.clone());
        match redis.lease(&key, lease.id, Some(most), LIFE).await {
            Ok(false) => Err(Taken),
            Ok(true) | Err(_) => Ok(Some(lease)),
        }
    }

    /// Gives back what is held no more, at the end of the server.
    pub(super) async fn give_leases_back(&self) {
        let _ = timeout(FAREWELL, give_back(self.inner())).await;
    }
}

/// Renews leases and gives back those that are over.
pub(super) async fn renew(inner: Arc<Inner>) {
    let Some(redis) = inner.redis() else { return };
    let mut next = Instant::now() + RENEWAL;
    loop {
        tokio::select! {
            () = inner.leases.given_back.notified() => give_back(&inner).await,
            () = sleep_until(next) => {
                next = Instant::now() + RENEWAL;
                let held: Vec<(Uuid, Key)> =
                    inner.leases.lock().held.iter().map(|(id, key)| (*id, key.clone())).collect();
                for (id, key) in held {
                    if redis.lease(&key, id, None, LIFE).await.is_err() {
                        break;
                    }
                    let mut leases = inner.leases.lock();
                    if !leases.held.contains_key(&id) {
                        // It was given back while it was renewed.
                        leases.over.push((key, id));
                    }
                }
                give_back(&inner).await;
            }
        }
    }
}

async fn give_back(inner: &Inner) {
    let Some(redis) = inner.redis() else { return };
    loop {
        let over: Vec<(Key, Uuid)> = {
            let mut leases = inner.leases.lock();
            let rest = leases.over.len().saturating_sub(AT_ONCE);
            leases.over.split_off(rest)
        };
        // Where Redis is away they end there by themselves.
        if over.is_empty() || redis.give_back(&over).await.is_err() {
            return;
        }
    }
}
