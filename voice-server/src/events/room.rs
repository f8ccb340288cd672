//! The events of one organization on this server: the last ones, and who watches. Pure but for the queues.
//!
//! Invariants: a subscriber gets every event that comes after it entered once, in the room's order, or is dropped; an event
//! comes into the room once, whatever road it took; what is kept is bounded in number and bytes. What is erased keeps its
//! place without its text, so that whoever got it last resumes after it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use uuid::Uuid;

use super::event::{EventId, Posted, What, conversation_of, message};

/// Events that are kept, and their bytes: a quiet day, or some minutes of a hundred calls.
const MOST_EVENTS: usize = 1_000;
const MOST_BYTES: usize = 1 << 20;
/// Events whose names are remembered beyond those, so that one that comes twice is known.
const MOST_NAMES: usize = 4 * MOST_EVENTS;

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A message, ready to be sent.
    Message(Arc<str>),
    /// The event after which it wanted to resume is not held any more: it missed something.
    Reset,
}

struct Held {
    id: EventId,
    uid: Uuid,
    /// `None`: it was erased.
    text: Option<Arc<str>>,
}

impl Held {
    fn len(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }
}

/// One organization's events and subscribers.
#[derive(Default)]
pub(super) struct Room {
    held: VecDeque<Held>,
    bytes: usize,
    /// The newest place, also where it is not held any more.
    newest: EventId,
    /// The newest place that Redis gave, from where to catch up.
    pub(super) cursor: EventId,
    /// Whether what the stream had was brought in.
    pub(super) filled: bool,
    names: HashSet<Uuid>,
    order: VecDeque<Uuid>,
    subscribers: Vec<(u64, mpsc::Sender<Delivery>)>,
    next: u64,
}

impl Room {
    /// An empty one that takes from Redis what comes after `cursor`.
    pub(super) fn from(cursor: EventId) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// Whether anybody watches.
    pub(super) fn is_watched(&self) -> bool {
        !self.subscribers.is_empty()
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> usize {
        self.subscribers.len()
    }

    /// Takes an event in: with the id that Redis gave, or one of its own. Gives how many subscribers had to be dropped.
    pub(super) fn take(&mut self, posted: &Posted, id: Option<EventId>) -> usize {
        if let Some(id) = id {
            self.cursor = self.cursor.max(id);
        }
        if !self.is_new(posted.uid) {
            return 0;
        }
        let text = match &posted.what {
            What::Told(body) => return self.tell(&message(None, body)),
            What::Erase(conversations) => {
                self.erase(conversations);
                return 0;
            }
            What::Kept(body) => Some(body),
            What::Gap => None,
        };
        let id = id.unwrap_or_else(|| self.newest.next(crate::data::Timestamp::now()));
        self.newest = self.newest.max(id);
        let text = text.map(|body| message(Some(id), body));
        self.hold(Held { id, uid: posted.uid, text: text.clone() });
        text.map_or(0, |text| self.tell(&text))
    }

    /// Erases what is held of these conversations.
    pub(super) fn erase(&mut self, conversations: &[Uuid]) {
        for held in &mut self.held {
            let of = held.text.as_deref().and_then(conversation_of);
            if of.is_some_and(|of| conversations.contains(&of)) {
                self.bytes -= held.len();
                held.text = None;
            }
        }
    }

    /// Takes in what the stream had from before this server knew of the organization, in order. It comes before what came
    /// meanwhile, and nobody is told: who watches asked for what comes from now on, or waits for the filling.
    pub(super) fn fill(&mut self, before: Vec<(EventId, Posted)>) {
        self.filled = true;
        let meanwhile = std::mem::take(&mut self.held);
        self.bytes = 0;
        let known: HashSet<Uuid> = meanwhile.iter().map(|held| held.uid).collect();
        let mut erased = Vec::new();
        for (id, posted) in before {
            self.cursor = self.cursor.max(id);
            self.newest = self.newest.max(id);
            if known.contains(&posted.uid) || !self.is_new(posted.uid) {
                continue;
            }
            let text = match &posted.what {
                What::Kept(body) => Some(message(Some(id), body)),
                What::Gap => None,
                What::Erase(conversations) => {
                    erased.extend_from_slice(conversations);
                    continue;
                }
                What::Told(_) => continue,
            };
            self.hold(Held { id, uid: posted.uid, text });
        }
        meanwhile.into_iter().for_each(|held| self.hold(held));
        if !erased.is_empty() {
            self.erase(&erased);
        }
    }

    /// Adds a subscriber, which first gets what came after `last`; without one, what comes from now on.
    pub(super) fn enter(&mut self, last: Option<&str>, queue: usize) -> (u64, mpsc::Receiver<Delivery>) {
        let missed = match last {
            None => Vec::new(),
            Some(last) => {
                let at =
                    EventId::parse(last).and_then(|last| self.held.iter().rposition(|held| held.id == last));
                match at {
                    Some(at) => self
                        .held
                        .iter()
                        .skip(at + 1)
                        .filter_map(|held| held.text.clone().map(Delivery::Message))
                        .collect(),
                    None => vec![Delivery::Reset],
                }
            }
        };
        // There is room for all of it, and for the usual queue behind it.
        let (sender, receiver) = mpsc::channel(missed.len() + queue.max(1));
        for delivery in missed {
            let _ = sender.try_send(delivery);
        }
        self.next += 1;
        self.subscribers.push((self.next, sender));
        (self.next, receiver)
    }

    /// Takes a subscriber out.
    pub(super) fn leave(&mut self, subscriber: u64) {
        self.subscribers.retain(|(id, _)| *id != subscriber);
    }

    fn tell(&mut self, text: &Arc<str>) -> usize {
        let before = self.subscribers.len();
        let mut gone = 0;
        self.subscribers.retain(|(_, sender)| match sender.try_send(Delivery::Message(text.clone())) {
            Ok(()) => true,
            // Its queue ends here: it gets what is in it, and then learns that it was too slow.
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Closed(_)) => {
                gone += 1;
                false
            }
        });
        before - self.subscribers.len() - gone
    }

    fn hold(&mut self, held: Held) {
        self.bytes += held.len();
        self.held.push_back(held);
        while self.held.len() > MOST_EVENTS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.held.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    fn is_new(&mut self, uid: Uuid) -> bool {
        if !self.names.insert(uid) {
            return false;
        }
        self.order.push_back(uid);
        if self.order.len() > MOST_NAMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::event::{Event, Kind};
    use super::*;

    fn posted(kind: Kind, data: Value) -> Posted {
        Posted::new(Uuid::nil(), &Event::new(kind, data)).expect("small")
    }

    fn turn(n: usize) -> Posted {
        posted(Kind::Turn, json!(n))
    }

    /// What waits for a subscriber: the numbers of its turns, -1 for a reset.
    fn waiting(receiver: &mut mpsc::Receiver<Delivery>) -> Vec<i64> {
        let mut found = Vec::new();
        while let Ok(delivery) = receiver.try_recv() {
            found.push(match delivery {
                Delivery::Reset => -1,
                Delivery::Message(text) => {
                    serde_json::from_str::<Value>(&text).expect("JSON")["data"].as_i64().expect("a number")
                }
            });
        }
        found
    }

    #[test]
    fn who_resumes_gets_what_it_missed_once_and_then_what_comes() {
        let mut room = Room::default();
        for n in 0..10 {
            room.take(&turn(n), None);
        }
        let ids: Vec<String> = room.held.iter().map(|held| held.id.to_string()).collect();
        assert!(room.held.iter().zip(room.held.iter().skip(1)).all(|(a, b)| a.id < b.id));
        for (n, id) in ids.iter().enumerate() {
            let (subscriber, mut receiver) = room.enter(Some(id), 4);
            room.take(&turn(100 + n), None);
            let expected: Vec<i64> = (n as i64 + 1..10).chain((0..=n as i64).map(|k| 100 + k)).collect();
            assert_eq!(waiting(&mut receiver), expected);
            room.leave(subscriber);
        }
        let (_, mut fresh) = room.enter(None, 4);
        assert!(waiting(&mut fresh).is_empty());
        for odd in ["", "0-0", "nonsense", "99999999999999-0"] {
            let (_, mut receiver) = room.enter(Some(odd), 4);
            assert_eq!(waiting(&mut receiver), [-1], "{odd}");
        }
    }

    #[test]
    fn a_slow_reader_is_dropped_alone_and_gets_what_was_in_its_queue() {
        let mut room = Room::default();
        let (_, mut slow) = room.enter(None, 3);
        let (_, mut quick) = room.enter(None, 3);
        let mut dropped = 0;
        for n in 0..5 {
            dropped += room.take(&turn(n), None);
            assert_eq!(waiting(&mut quick), [n as i64]);
        }
        assert_eq!((dropped, room.watchers()), (1, 1));
        assert_eq!(waiting(&mut slow), [0, 1, 2]);
        assert!(slow.try_recv().is_err_and(|end| end == mpsc::error::TryRecvError::Disconnected));
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_gap_is_told() {
        let mut room = Room::default();
        let first = turn(0);
        room.take(&first, None);
        let oldest = room.held[0].id.to_string();
        for n in 1..=MOST_EVENTS {
            room.take(&turn(n), None);
        }
        assert_eq!(room.held.len(), MOST_EVENTS);
        assert_eq!(waiting(&mut room.enter(Some(&oldest), 4).1), [-1]);
        for _ in 0..200 {
            room.take(&posted(Kind::Turn, json!("x".repeat(30_000))), None);
        }
        assert!(room.bytes <= MOST_BYTES && room.held.len() < 40);
        assert!(room.names.len() <= MOST_NAMES && room.order.len() <= MOST_NAMES);
    }

    #[test]
    fn words_so_far_are_told_and_not_kept() {
        let mut room = Room::default();
        room.take(&turn(1), None);
        let id = room.held[0].id.to_string();
        let (_, mut watching) = room.enter(None, 4);
        room.take(&posted(Kind::Transcript, json!(7)), None);
        assert_eq!(waiting(&mut watching), [7]);
        assert!(waiting(&mut room.enter(Some(&id), 4).1).is_empty());
    }

    fn of(conversation: Uuid, n: usize) -> Posted {
        posted(Kind::Turn, json!({"conversationId": conversation, "said": format!("private {n}")}))
    }

    /// The words that wait for a subscriber.
    fn said(receiver: &mut mpsc::Receiver<Delivery>) -> Vec<String> {
        let mut found = Vec::new();
        while let Ok(delivery) = receiver.try_recv() {
            let Delivery::Message(text) = delivery else { panic!("a reset") };
            let text: Value = serde_json::from_str(&text).expect("JSON");
            found.push(text["data"]["said"].as_str().expect("words").to_owned());
        }
        found
    }

    #[test]
    fn what_is_erased_is_held_no_more_and_who_resumes_anywhere_misses_nothing_else() {
        let mut room = Room::default();
        let (erased, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for n in 0..10 {
            room.take(&of(if n % 3 == 0 { erased } else { other }, n), None);
        }
        room.take(&Posted::erase(Uuid::nil(), &[erased, Uuid::from_u128(3)]), None);
        let left: usize = room.held.iter().map(Held::len).sum();
        assert_eq!(room.bytes, left, "its bytes are free");
        let ids: Vec<String> = room.held.iter().map(|held| held.id.to_string()).collect();
        assert_eq!(ids.len(), 10);
        for (at, id) in ids.iter().enumerate() {
            let expected: Vec<String> =
                (at + 1..10).filter(|n| n % 3 != 0).map(|n| format!("private {n}")).collect();
            assert_eq!(said(&mut room.enter(Some(id), 4).1), expected, "after {at}");
        }
        assert_eq!(waiting(&mut room.enter(Some("1-1"), 4).1), [-1], "what never was is a gap");
        // Its place makes room in its turn.
        for n in 0..=MOST_EVENTS {
            room.take(&turn(n), None);
        }
        assert_eq!(room.held.len(), MOST_EVENTS);
        assert_eq!(waiting(&mut room.enter(Some(&ids[0]), 4).1), [-1]);
    }

    #[test]
    fn what_the_stream_brings_is_erased_by_what_comes_behind_it() {
        let (erased, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let at = |millis| EventId { millis, seq: 0 };
        let [meanwhile, kept] = [of(erased, 4), of(other, 5)];
        let gap = Posted { organization: Uuid::nil(), uid: Uuid::new_v4(), what: What::Gap };
        let order = Posted::erase(Uuid::nil(), &[erased]);
        let mut room = Room::default();
        room.take(&meanwhile, Some(at(4)));
        room.take(&kept, Some(at(5)));
        let before = [of(other, 1), gap, of(erased, 3), order.clone()];
        room.fill((1..).zip(before).map(|(n, posted)| (at(n), posted)).collect());
        assert_eq!(said(&mut room.enter(Some("1-0"), 8).1), ["private 5"]);
        assert_eq!(
            said(&mut room.enter(Some("2-0"), 8).1),
            ["private 5"],
            "the place of what was erased is known"
        );
        assert!(
            room.held.iter().all(|held| held.text.as_ref().is_none_or(|text| !text.contains("private 3")))
        );
        // The same order by another road erases nothing that came after it.
        room.take(&of(erased, 6), Some(at(6)));
        room.take(&order, Some(at(4)));
        assert_eq!(said(&mut room.enter(Some("5-0"), 8).1), ["private 6"]);
    }

    #[test]
    fn an_event_that_comes_by_two_roads_is_told_once() {
        let mut room = Room::default();
        let (_, mut watching) = room.enter(None, 8);
        let at = |n| Some(EventId { millis: n, seq: 0 });
        let [a, b, c] = [turn(1), turn(2), turn(3)];
        room.take(&b, at(20));
        room.take(&b, at(20));
        room.fill(vec![(EventId { millis: 10, seq: 0 }, a), (EventId { millis: 20, seq: 0 }, b.clone())]);
        room.take(&b, None);
        room.take(&c, None);
        assert_eq!(waiting(&mut watching), [2, 3]);
        assert_eq!(waiting(&mut room.enter(Some("10-0"), 4).1), [2, 3]);
        assert_eq!(room.cursor, EventId { millis: 20, seq: 0 });
    }
}
