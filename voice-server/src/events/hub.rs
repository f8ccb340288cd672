//! All rooms of this server: who publishes and who watches, and how many may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::event::{Event, EventId, MOST_ERASED, Posted, What};
use super::relay::Relay;
use super::room::{Delivery, Room};
use crate::config::Secret;
use crate::data::Timestamp;
use crate::metrics::{EventCounters, Metrics};

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubLimits {
    /// Subscribers of one organization on this server. Default: 100.
    pub per_organization: usize,
    /// Subscribers on this server. Default: 1,000.
    pub whole: usize,
    /// Events that wait for one subscriber; with one more it is dropped. Default: 256.
    pub queue: usize,
    /// Organizations that nobody watches and whose events are held all the same. Default: 64, up to 1 MiB each.
    pub quiet: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { per_organization: 100, whole: 1_000, queue: 256, quiet: 64 }
    }
}

/// The live events of this server. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

pub(super) struct Shared {
    rooms: Mutex<Rooms>,
    limits: HubLimits,
    pub(super) counters: EventCounters,
}

#[derive(Default)]
struct Rooms {
    of: HashMap<Uuid, (Room, u64)>,
    /// Grows with each use, so that the longest unused is known.
    used: u64,
    relay: Option<Arc<Relay>>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// There are as many subscribers as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Of this organization.
    #[error("too many sockets of this organization watch its events")]
    Organization,
    /// On this server.
    #[error("too many sockets watch events here")]
    Server,
}

impl Hub {
    /// Events of this server alone.
    pub fn new(limits: HubLimits, metrics: &Metrics) -> Self {
        Self(Arc::new(Shared { rooms: Mutex::default(), limits, counters: metrics.events() }))
    }

    /// Events of all servers on the Redis at `url`. Returns at once; until Redis answers, events go on here alone. Needs a
    /// runtime.
    ///
    /// # Errors
    /// The address cannot be used; the text does not show it.
    pub fn with_redis(limits: HubLimits, url: &Secret, metrics: &Metrics) -> Result<Self, String> {
        let hub = Self::new(limits, metrics);
        let relay = Relay::start(url, hub.0.clone(), metrics.redis_failures("events"))?;
        hub.0.rooms().relay = Some(relay);
        Ok(hub)
    }

    /// Tells everybody of the organization who watches, on every server. Never waits.
    pub fn publish(&self, organization: Uuid, event: &Event) {
        self.0.counters.published.inc();
        let Some(posted) = Posted::new(organization, event) else {
            self.0.counters.dropped.inc();
            tracing::warn!(kind = event.kind.as_str(), "an event is too large and is not told");
            return;
        };
        let relay = self.0.rooms().relay.clone();
        match relay {
            None => self.0.take_here(&posted),
            Some(relay) => {
                if let Err(posted) = relay.post(posted) {
                    // Redis cannot follow: here it is told all the same.
                    self.0.counters.dropped.inc();
                    self.0.take_here(&posted);
                }
            }
        }
    }

    /// Tells whoever watches on this server, of any organization: how the server does. Kept for nobody.
    pub fn announce(&self, event: &Event) {
        let watched: Vec<Uuid> = {
            let rooms = self.0.rooms();
            rooms.of.iter().filter(|(_, (room, _))| room.is_watched()).map(|(id, _)| *id).collect()
        };
        for organization in watched {
            if let Some(posted) = Posted::new(organization, event) {
                self.0.take_here(&posted);
            }
        }
    }

    /// Erases what is held of these conversations, here and at every server. Whoever got one of their events last resumes
    /// after it all the same. `false`: Redis does not take it now, and gets it when it is back.
    pub async fn erase(&self, organization: Uuid, conversations: &[Uuid]) -> bool {
        let relay = self.0.rooms().relay.clone();
        let mut is_everywhere = true;
        for some in conversations.chunks(MOST_ERASED) {
            if let Some((room, _)) = self.0.rooms().of.get_mut(&organization) {
                room.erase(some);
            }
            if let Some(relay) = &relay {
                is_everywhere &= relay.erase(Posted::erase(organization, some)).await;
            }
        }
        is_everywhere
    }

    /// Watches an organization's events: those after `last`, and those to come. A `last` that is not held gives a
    /// [`Delivery::Reset`] first.
    ///
    /// # Errors
    /// There are too many.
    pub async fn watch(&self, organization: Uuid, last: Option<&str>) -> Result<Feed, Full> {
        let relay = {
            let mut rooms = self.0.rooms();
            self.0.check(&mut rooms, organization)?;
            let limits = self.0.limits;
            let room = rooms.room(organization, limits.quiet);
            let filled = room.filled;
            rooms.relay.clone().filter(|_| !filled)
        };
        let before = match relay {
            Some(relay) => relay.history(organization).await,
            None => None,
        };
        let mut rooms = self.0.rooms();
        self.0.check(&mut rooms, organization)?;
        let room = rooms.room(organization, self.0.limits.quiet);
        if let Some(before) = before
            && !room.filled
        {
            room.fill(before);
        }
        let (subscriber, receiver) = room.enter(last, self.0.limits.queue);
        drop(rooms);
        self.0.counters.subscribers.inc();
        Ok(Feed { shared: self.0.clone(), organization, subscriber, receiver })
    }

    /// Whether Redis answers; `None` where none is configured.
    pub fn is_redis_up(&self) -> Option<bool> {
        let relay = self.0.rooms().relay.clone();
        relay.map(|relay| relay.is_up())
    }

    /// Waits until events go to all servers and come from them; for tests and for a start that wants to be whole.
    pub async fn whole(&self) {
        let relay = self.0.rooms().relay.clone();
        if let Some(relay) = relay {
            relay.whole().await;
        }
    }

    /// Sends what still waits, up to `limit`, and ends the way to other servers.
    pub async fn close(&self, limit: Duration) {
        let relay = self.0.rooms().relay.take();
        if let Some(relay) = relay {
            relay.close(limit).await;
        }
    }
}

impl Shared {
    /// Takes an event of this server into its room.
    pub(super) fn take_here(&self, posted: &Posted) {
        let mut rooms = self.rooms();
        if matches!(posted.what, What::Kept(_)) {
            rooms.room(posted.organization, self.limits.quiet);
        }
        self.take(rooms, posted, None);
    }

    /// Takes an event that Redis brought into its room, where there is one: else its stream has it.
    pub(super) fn take_from_afar(&self, posted: &Posted, id: Option<EventId>) {
        self.take(self.rooms(), posted, id);
    }

    fn take(&self, mut rooms: MutexGuard<'_, Rooms>, posted: &Posted, id: Option<EventId>) {
        let Some((room, _)) = rooms.of.get_mut(&posted.organization) else { return };
        let slow = room.take(posted, id);
        drop(rooms);
        if slow > 0 {
            self.counters.slow.inc_by(slow as u64);
            tracing::info!(slow, "subscribers of live events read too slowly and are dropped");
        }
    }

    /// From where each room has to catch up.
    pub(super) fn cursors(&self) -> Vec<(Uuid, EventId)> {
        self.rooms().of.iter().map(|(id, (room, _))| (*id, room.cursor)).collect()
    }

    fn check(&self, rooms: &mut Rooms, organization: Uuid) -> Result<(), Full> {
        let whole: usize = rooms.of.values().map(|(room, _)| room.watchers()).sum();
        let own = rooms.of.get(&organization).map_or(0, |(room, _)| room.watchers());
        if own >= self.limits.per_organization {
            Err(Full::Organization)
        } else if whole >= self.limits.whole {
            Err(Full::Server)
        } else {
            Ok(())
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// The organization's room; where it is new, the quiet one that was unused for longest may go.
    fn room(&mut self, organization: Uuid, quiet: usize) -> &mut Room {
        self.used += 1;
        let used = self.used;
        if !self.of.contains_key(&organization) {
            let idle = |rooms: &HashMap<Uuid, (Room, u64)>| {
                let mut idle: Vec<_> = rooms
                    .iter()
                    .filter(|(_, (room, _))| !room.is_watched())
                    .map(|(id, (_, used))| (*used, *id))
                    .collect();
                idle.sort_unstable();
                idle
            };
            let found = idle(&self.of);
            for (_, id) in found.iter().take((found.len() + 1).saturating_sub(quiet.max(1))) {
                self.of.remove(id);
            }
        }
        let fresh = || {
            let millis = u64::try_from(Timestamp::now().as_millis()).unwrap_or_default();
            (Room::from(EventId { millis, seq: 0 }), used)
        };
        let (room, last) = self.of.entry(organization).or_insert_with(fresh);
        *last = used;
        room
    }
}

/// What one subscriber gets. Dropping it ends the subscription.
pub struct Feed {
    shared: Arc<Shared>,
    organization: Uuid,
    subscriber: u64,
    receiver: mpsc::Receiver<Delivery>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("organization", &self.organization).finish_non_exhaustive()
    }
}

impl Feed {
    /// The next one in order; `None` where the subscriber read too slowly and was dropped. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.receiver.recv().await
    }

    /// Whether the subscriber was dropped, though something may still wait for it.
    pub fn is_dropped(&self) -> bool {
        self.receiver.is_closed()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut rooms = self.shared.rooms();
        if let Some((room, _)) = rooms.of.get_mut(&self.organization) {
            room.leave(self.subscriber);
        }
        drop(rooms);
        self.shared.counters.subscribers.dec();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::event::Kind;
    use super::*;

    fn hub(limits: HubLimits) -> Hub {
        Hub::new(limits, &Metrics::default())
    }

    #[tokio::test]
    async fn an_event_reaches_its_own_organization_alone() {
        let hub = hub(HubLimits::default());
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut own = hub.watch(one, None).await.expect("room");
        let mut other = hub.watch(two, None).await.expect("room");
        hub.publish(one, &Event::new(Kind::Turn, json!({"of": "one"})));
        hub.publish(two, &Event::new(Kind::Turn, json!({"of": "two"})));
        hub.announce(&Event::new(Kind::Health, json!({"of": "all"})));
        for (feed, of) in [(&mut own, "one"), (&mut other, "two")] {
            for of in [of, "all"] {
                let Some(Delivery::Message(text)) = feed.next().await else { panic!("a message") };
                assert!(text.contains(of), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_erased_is_erased_in_its_organization_alone() {
        let hub = hub(HubLimits::default());
        let (one, two, conversation) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let mut last = Vec::new();
        for organization in [one, two] {
            let mut feed = hub.watch(organization, None).await.expect("room");
            hub.publish(organization, &Event::new(Kind::Sync, json!(0)));
            let data = json!({"conversationId": conversation, "said": "private"});
            hub.publish(organization, &Event::new(Kind::Turn, data));
            let Some(Delivery::Message(text)) = feed.next().await else { panic!("a message") };
            let id = serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["id"].clone();
            last.push(id.as_str().expect("an id").to_owned());
        }
        let many: Vec<Uuid> = (0..200).map(Uuid::from_u128).collect();
        assert!(hub.erase(one, &many).await);
        let mut feeds = Vec::new();
        for (organization, last) in [one, two].into_iter().zip(&last) {
            feeds.push(hub.watch(organization, Some(last)).await.expect("room"));
            hub.publish(organization, &Event::new(Kind::Sync, json!("after")));
        }
        for (feed, expected) in feeds.iter_mut().zip([vec!["after"], vec!["private", "after"]]) {
            for expected in expected {
                let Some(Delivery::Message(text)) = feed.next().await else { panic!("a message") };
                assert!(text.contains(expected), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn subscribers_are_limited_and_leave_their_place() {
        let hub = hub(HubLimits { per_organization: 2, whole: 3, ..HubLimits::default() });
        let watch = async |n| hub.watch(Uuid::from_u128(n), None).await;
        let (first, _second) = (watch(1).await.expect("room"), watch(1).await.expect("room"));
        assert_eq!(watch(1).await.expect_err("full"), Full::Organization);
        let _third = watch(2).await.expect("room");
        assert_eq!(watch(3).await.expect_err("full"), Full::Server);
        assert_eq!(hub.0.counters.subscribers.get(), 3);
        drop(first);
        assert_eq!(hub.0.counters.subscribers.get(), 2);
        let _fourth = watch(1).await.expect("room");
    }

    #[tokio::test]
    async fn organizations_that_nobody_watches_are_bounded() {
        let hub = hub(HubLimits { quiet: 8, ..HubLimits::default() });
        let _watched = hub.watch(Uuid::from_u128(0), None).await.expect("room");
        for n in 0..100 {
            hub.publish(Uuid::from_u128(n), &Event::new(Kind::Turn, json!(1)));
        }
        let rooms = hub.0.rooms();
        assert_eq!(rooms.of.len(), 9);
        assert!(rooms.of.contains_key(&Uuid::from_u128(0)) && rooms.of.contains_key(&Uuid::from_u128(99)));
    }
}
