//! What is kept, or else loaded: once for all who wait, in the background where something stale can be shown meanwhile.
//!
//! A load is a task of the cache, not of a request: a client that goes away ends nothing that others wait for. What is
//! removed while it is loaded is not kept, and whoever asks after the removal joins no load from before it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;

use super::contract::{Cache as _, Entry, Mark, TOMB};
use super::key::Key;
use super::layered::{Caching, Inner};
use crate::data::Timestamp;

/// How long one load may take.
const LOAD: Duration = Duration::from_secs(10);
/// Keys that are loaded at the same time at most.
const MOST_FLIGHTS: usize = 4_096;

const _: () = assert!(LOAD.as_millis() < TOMB.as_millis());

/// How old a value may be, and how long one waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// It is as good as new this long.
    pub fresh_for: Duration,
    /// And after that better than nothing this long.
    pub stale_for: Duration,
    /// How long one waits where nothing is kept. Default: 5 s.
    pub wait: Duration,
    /// How long the one who loads waits for better than stale. Default: 100 ms.
    pub patience: Duration,
}

impl Plan {
    /// With the usual waits.
    pub const fn new(fresh_for: Duration, stale_for: Duration) -> Self {
        Self { fresh_for, stale_for, wait: Duration::from_secs(5), patience: Duration::from_millis(100) }
    }
}

/// How good a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As good as new.
    Fresh,
    /// Older, and being loaded anew.
    Revalidating,
    /// Older, because its source fails or does not answer: whoever reads it is to be told.
    Stale,
}

/// A value that was kept or loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The value.
    pub value: Bytes,
    /// When it was true.
    pub at: Timestamp,
    /// How good it is.
    pub freshness: Freshness,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum FetchError<E> {
    /// The source failed, and nothing is kept.
    #[error("it cannot be loaded")]
    Failed(Arc<E>),
    /// The source did not answer in time, and nothing is kept.
    #[error("it was not loaded in time")]
    Late,
}

type Landed = Result<Entry, Arc<dyn Any + Send + Sync>>;

/// A load under way.
#[derive(Clone)]
pub(super) struct Flight(watch::Receiver<Option<Landed>>);

impl Flight {
    /// How it ended; `None` where it was given up.
    async fn landed(mut self) -> Option<Landed> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Takes a flight out of the table when it ends, however it ends.
struct Landing {
    inner: Arc<Inner>,
    key: Key,
    told: watch::Sender<Option<Landed>>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.inner.flights();
        // After a removal another one may fly in its place.
        if flights.get(&self.key).is_some_and(|flight| flight.0.same_channel(&self.told.subscribe())) {
            flights.remove(&self.key);
        }
    }
}

impl Caching {
    /// What is kept under the key while it is fresh; else what `load` gives. Of all who ask at the same time one loads: the
    /// others get what is stale at once, or wait with it where there is nothing. Where the load fails or is slow, what is
    /// stale is given and says so. Dropping the future leaves the load to the others.
    ///
    /// # Errors
    /// There is nothing, not even stale.
    pub async fn fetch<E, F, L>(&self, key: &Key, plan: Plan, load: L) -> Result<Fetched, FetchError<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<Bytes, E>> + Send + 'static,
        L: FnOnce() -> F + Send,
    {
        let look = self.look(key).await.map_err(|_| FetchError::Late)?;
        let old = match look.entry {
            Some(entry) if entry.is_fresh() => return Ok(fetched(entry, Freshness::Fresh)),
            old => old,
        };
        let inner = self.inner();
        let stale = |entry, freshness| {
            inner.counters.note_stale(key.group.area);
            Ok(fetched(entry, freshness))
        };
        if let Some(entry) = old.clone().filter(|_| inner.failed.contains_key(key)) {
            return stale(entry, Freshness::Stale);
        }
        let flight = self.join(key, plan, look.mark, load);
        match (old, flight) {
            (Some(entry), Some((_, false))) => stale(entry, Freshness::Revalidating),
            (Some(entry), None) => stale(entry, Freshness::Stale),
            (Some(entry), Some((flight, true))) => match timeout(plan.patience, flight.landed()).await {
                Ok(Some(Ok(entry))) => Ok(fetched(entry, Freshness::Fresh)),
                _ => stale(entry, Freshness::Stale),
            },
            (None, None) => Err(FetchError::Late),
            (None, Some((flight, _))) => match timeout(plan.wait, flight.landed()).await {
                Ok(Some(Ok(entry))) => Ok(fetched(entry, Freshness::Fresh)),
                // The same key is always loaded with the same kind of error.
                Ok(Some(Err(error))) => {
                    Err(error.downcast().map_or(FetchError::Late, |error| FetchError::Failed(error)))
                }
                _ => Err(FetchError::Late),
            },
        }
    }

    /// The load of the key that is under way, or a new one, which then is ours. `None` where too many are.
    fn join<E, F, L>(&self, key: &Key, plan: Plan, mark: Mark, load: L) -> Option<(Flight, bool)>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<Bytes, E>> + Send + 'static,
        L: FnOnce() -> F,
    {
        let inner = self.inner();
        let (told, flight) = watch::channel(None);
        let flight = Flight(flight);
        {
            let mut flights = inner.flights();
            if let Some(flight) = flights.get(key) {
                return Some((flight.clone(), false));
            }
            if flights.len() >= MOST_FLIGHTS {
                return None;
            }
            flights.insert(key.clone(), flight.clone());
        }
        let landing = Landing { inner: inner.clone(), key: key.clone(), told };
        let (caching, loading) = (self.clone(), load());
        let fly = async move {
            let landed: Option<Landed> = match timeout(LOAD, loading).await {
                Ok(Ok(value)) => {
                    let entry = Entry::new(value, plan.fresh_for, plan.stale_for);
                    let _ = caching.put(&landing.key, entry.clone(), Some(mark)).await;
                    caching.inner().failed.invalidate(&landing.key);
                    Some(Ok(entry))
                }
                Ok(Err(error)) => Some(Err(Arc::new(error))),
                Err(_) => None,
            };
            if !matches!(landed, Some(Ok(_))) {
                caching.inner().failed.insert(landing.key.clone(), ());
            }
            landing.told.send_replace(landed);
        };
        let mut tasks = inner.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(fly);
        Some((flight, true))
    }
}

fn fetched(entry: Entry, freshness: Freshness) -> Fetched {
    Fetched { value: entry.value, at: entry.at, freshness }
}
