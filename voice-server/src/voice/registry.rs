//! The calls of this server: how many there may be, and waiting for their end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Upgrades that are refused at the same time; each takes a task for the moment of its close frame.
const REFUSALS: usize = 64;

/// All calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    seats: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
}

/// A call's place, free again when it is dropped.
#[derive(Debug)]
pub enum Seat {
    /// The call may take place.
    Taken(OwnedSemaphorePermit),
    /// There is no room: the socket is opened to say so.
    Refused(OwnedSemaphorePermit),
}

impl Registry {
    /// Room for `most` calls.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            seats: Arc::new(Semaphore::new(most)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            tasks: Mutex::default(),
        }))
    }

    /// A place for one call; `None` where there is not even room for a refusal.
    pub fn seat(&self) -> Option<Seat> {
        match self.0.seats.clone().try_acquire_owned() {
            Ok(permit) => Some(Seat::Taken(permit)),
            Err(_) => self.0.refusals.clone().try_acquire_owned().ok().map(Seat::Refused),
        }
    }

    /// Calls under way.
    pub fn active(&self) -> usize {
        self.0.most.saturating_sub(self.0.seats.available_permits())
    }

    /// Runs a call as a task of this registry.
    pub fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(call);
    }

    /// Waits until every call has ended, at most `limit`; then ends those that are left.
    pub async fn drain(&self, limit: Duration) {
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(left = tasks.len(), "calls were still under way at the end of the drain");
        }
    }
}
