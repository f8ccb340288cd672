//! The calls of this server: how many there may be, which they are, orders to them, and waiting for their end.
//!
//! A call is known here from the moment it is open until it ends, also while its client is away. Nothing here waits for a
//! call: an order goes into its bounded queue or is refused.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Profile;
use super::outbox::Outbox;
use super::resume::{Handover, Owner, Token};
use crate::data::Timestamp;

/// Sockets beside calls at the same time: those that are told why there is no call, and those that want to go on with one.
/// Each takes a task for a moment.
const ASIDE: usize = 64;
/// Calls that have ended and are remembered, so that a client that comes too late is told so.
const REMEMBERED: usize = 4_096;
/// For how long.
const MEMORY: Duration = Duration::from_secs(180);
/// Orders that wait for a call.
pub(super) const ORDERS: usize = 16;
/// Sockets that wait to go on with a call.
pub(super) const HANDOVERS: usize = 4;
/// Characters that are said for a person at once.
const MOST_SAID: usize = 2_000;

/// All calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    seats: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    live: HashMap<Uuid, Arc<Live>>,
    ended: VecDeque<(Uuid, Instant)>,
}

/// A call's place, free again when it is dropped.
#[derive(Debug)]
pub enum Seat {
    /// The call may take place.
    Taken(OwnedSemaphorePermit),
    /// There is no room: the socket is opened to say so.
    Refused(OwnedSemaphorePermit),
}

/// A call that is under way, for whoever looks at the calls.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveCall {
    /// The conversation's id.
    pub id: Uuid,
    /// When the call began.
    pub started: Timestamp,
    /// The user who calls, if one is signed in.
    pub user_id: Option<Uuid>,
    /// Turns that have ended.
    pub turns: u32,
    /// Whether the client's connection has dropped and is waited for.
    pub is_away: bool,
    /// Whether a person answers in the place of the model.
    pub is_attended: bool,
    /// Whether the client reads messages, or hears audio only.
    pub reads_messages: bool,
}

/// What a call under way is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// End, as if all had been said.
    End,
    /// Say this in the call's voice, as a person's words. At most 2,000 characters.
    Say(String),
    /// A person answers from now on, so the model does not; or no longer.
    TakeOver(bool),
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOrdered {
    /// The organization has no such call under way.
    #[error("there is no such call under way")]
    Unknown,
    /// There is nothing to say, or it is too long.
    #[error("the text must have 1 to 2000 characters")]
    BadText,
    /// The call has orders enough.
    #[error("the call has too many orders to follow; try again in a moment")]
    Busy,
}

/// What is known of a call under way, and the ways to it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: Uuid,
    pub(super) started: Timestamp,
    pub(super) owner: Owner,
    pub(super) profile: Profile,
    pub(super) token: Option<Token>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) handovers: mpsc::Sender<Handover>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) turns: AtomicU32,
    pub(super) is_away: AtomicBool,
    pub(super) is_attended: AtomicBool,
}

/// What the registry knows of an id.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Its call is under way.
    Live(Arc<Live>),
    /// Its call has ended a moment ago.
    Ended,
}

/// A call's entry, gone when it is dropped.
#[derive(Debug)]
pub(super) struct Entry(Registry, Arc<Live>);

impl Registry {
    /// Room for `most` calls.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            seats: Arc::new(Semaphore::new(most)),
            aside: Arc::new(Semaphore::new(ASIDE)),
            tasks: Mutex::default(),
            known: Mutex::default(),
        }))
    }

    /// A place for one call; `None` where there is not even room for a refusal.
    pub fn seat(&self) -> Option<Seat> {
        match self.0.seats.clone().try_acquire_owned() {
            Ok(permit) => Some(Seat::Taken(permit)),
            Err(_) => self.aside().map(Seat::Refused),
        }
    }

    /// A place for a socket that is no call of its own.
    pub(super) fn aside(&self) -> Option<OwnedSemaphorePermit> {
        self.0.aside.clone().try_acquire_owned().ok()
    }

    /// Calls under way, those among them whose client is away.
    pub fn active(&self) -> usize {
        self.0.most.saturating_sub(self.0.seats.available_permits())
    }

    /// An organization's calls under way, the oldest first.
    pub fn live(&self, organization: Uuid) -> Vec<LiveCall> {
        let known = self.known();
        let of = known.live.values().filter(|live| live.owner.organization == organization);
        let mut calls: Vec<LiveCall> = of.map(|live| live.told()).collect();
        drop(known);
        calls.sort_by_key(|call| (call.started.as_millis(), call.id));
        calls
    }

    /// Tells a call of `organization` what to do. Never waits.
    ///
    /// # Errors
    /// It is not under way, cannot be told that, or has too much to do.
    pub fn order(&self, organization: Uuid, id: Uuid, order: Order) -> Result<(), NotOrdered> {
        let live = self.known().live.get(&id).cloned();
        let live = live.filter(|live| live.owner.organization == organization).ok_or(NotOrdered::Unknown)?;
        if let Order::Say(text) = &order
            && (text.trim().is_empty() || text.chars().count() > MOST_SAID)
        {
            return Err(NotOrdered::BadText);
        }
        live.orders.try_send(order).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => NotOrdered::Busy,
            mpsc::error::TrySendError::Closed(_) => NotOrdered::Unknown,
        })
    }

    /// Whether the call of this conversation is under way here.
    pub fn is_under_way(&self, id: Uuid) -> bool {
        self.known().live.contains_key(&id)
    }

    /// What is known of an id here.
    pub(super) fn find(&self, id: Uuid) -> Option<Found> {
        let known = self.known();
        if let Some(live) = known.live.get(&id) {
            return Some(Found::Live(live.clone()));
        }
        let is_fresh = |(of, at): &&(Uuid, Instant)| *of == id && at.elapsed() <= MEMORY;
        known.ended.iter().rev().find(is_fresh).map(|_| Found::Ended)
    }

    /// Makes a call known until the entry is dropped.
    pub(super) fn enter(&self, live: Arc<Live>) -> Entry {
        self.known().live.insert(live.id, live.clone());
        Entry(self.clone(), live)
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn told(&self) -> LiveCall {
        LiveCall {
            id: self.id,
            started: self.started,
            user_id: self.owner.user,
            turns: self.turns.load(Ordering::Relaxed),
            is_away: self.is_away.load(Ordering::Relaxed),
            is_attended: self.is_attended.load(Ordering::Relaxed),
            reads_messages: self.profile == Profile::Full,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Self(registry, live) = self;
        let mut known = registry.known();
        if known.live.get(&live.id).is_some_and(|held| Arc::ptr_eq(held, live)) {
            known.live.remove(&live.id);
        }
        while known.ended.len() >= REMEMBERED
            || known.ended.front().is_some_and(|(_, at)| at.elapsed() > MEMORY)
        {
            known.ended.pop_front();
        }
        known.ended.push_back((live.id, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(organization: Uuid, orders: mpsc::Sender<Order>) -> Arc<Live> {
        let (handovers, _) = mpsc::channel(1);
        Arc::new(Live {
            id: Uuid::new_v4(),
            started: Timestamp::now(),
            owner: Owner::anonymous(organization),
            profile: Profile::Full,
            token: None,
            outbox: Arc::new(Outbox::new(Profile::Full)),
            handovers,
            orders,
            turns: AtomicU32::new(2),
            is_away: AtomicBool::new(true),
            is_attended: AtomicBool::new(false),
        })
    }

    #[tokio::test]
    async fn a_call_is_known_to_its_organization_alone_until_it_ends() {
        let registry = Registry::new(1);
        let (ours, theirs) = (Uuid::new_v4(), Uuid::new_v4());
        let (orders, mut ordered) = mpsc::channel(ORDERS);
        let entry = registry.enter(live(ours, orders));
        let id = entry.1.id;
        assert_eq!(registry.live(theirs), []);
        let calls = registry.live(ours);
        assert_eq!((calls[0].id, calls[0].turns, calls[0].is_away), (id, 2, true));
        assert_eq!(registry.order(theirs, id, Order::End), Err(NotOrdered::Unknown));
        assert_eq!(registry.order(ours, Uuid::new_v4(), Order::End), Err(NotOrdered::Unknown));
        for text in ["  ".to_owned(), "a".repeat(2_001)] {
            assert_eq!(registry.order(ours, id, Order::Say(text)), Err(NotOrdered::BadText));
        }
        assert_eq!(registry.order(ours, id, Order::TakeOver(true)), Ok(()));
        assert_eq!(ordered.recv().await, Some(Order::TakeOver(true)));
        for _ in 0..ORDERS {
            assert_eq!(registry.order(ours, id, Order::Say("hello".into())), Ok(()));
        }
        assert_eq!(registry.order(ours, id, Order::End), Err(NotOrdered::Busy));
        assert!(matches!(registry.find(id), Some(Found::Live(_))));
        drop(entry);
        assert!(matches!(registry.find(id), Some(Found::Ended)));
        assert!(registry.find(Uuid::new_v4()).is_none());
        assert_eq!(registry.order(ours, id, Order::End), Err(NotOrdered::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn ended_calls_are_remembered_for_a_while_and_in_numbers() {
        let registry = Registry::new(1);
        let (orders, _ordered) = mpsc::channel(1);
        let first = registry.enter(live(Uuid::nil(), orders.clone()));
        let id = first.1.id;
        drop(first);
        tokio::time::advance(MEMORY + Duration::from_secs(1)).await;
        assert!(registry.find(id).is_none());
        for _ in 0..REMEMBERED + 10 {
            drop(registry.enter(live(Uuid::nil(), orders.clone())));
        }
        assert_eq!(registry.known().ended.len(), REMEMBERED);
    }
}
