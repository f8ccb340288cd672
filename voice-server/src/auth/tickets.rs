//! Tickets: what opens one socket, once, within a minute.
//!
//! A page cannot put a header on a WebSocket, so it asks for a ticket and puts that into the address; what ends up in
//! somebody's log there is worth nothing. A ticket says for whom and for what it is; its digest alone is kept, in process,
//! behind a trait that a shared store can fill as well. [`Tickets::take`] gives it to one taker only. Who writes instead of
//! talking uses a ticket up for that: from the first message on it opens no socket, and lasts while messages come.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
use moka::Expiry;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secrets::{NoRandomness, digest, random_text};
use crate::data::Timestamp;

/// How long a ticket is good.
pub const LIFETIME: Duration = Duration::from_secs(60);
/// How long a ticket that is used for writing waits for the next message.
pub const WRITING: Duration = Duration::from_secs(10 * 60);
/// Tickets that wait to be used at most; a full server forgets the oldest.
const MOST: u64 = 200_000;
/// Length of a ticket's text. Anything else is none.
const LETTERS: usize = 43;

/// What a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// To talk, or write, in this conversation.
    Conversation(Uuid),
    /// To write in this conversation, where that was begun with it.
    Writing(Uuid),
    /// To follow the organization's live events.
    Events,
}

/// What a ticket gives whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Whose.
    pub organization: Uuid,
    /// What it is for.
    pub purpose: Purpose,
    /// The user who asked for it.
    pub user: Option<Uuid>,
    /// The key that asked for it.
    pub key: Option<Uuid>,
    /// Calls at the same time that the key allows.
    pub key_calls: Option<i64>,
    /// Millionths of a dollar a day that the key allows.
    pub key_spend: Option<i64>,
    /// Web origins besides the server's own that may use it, in lower case.
    pub origins: Vec<String>,
}

/// A ticket as it is kept: with its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The ticket.
    pub ticket: Ticket,
    /// When it ends, in milliseconds since 1970.
    pub ends_at: u64,
}

/// Where tickets wait.
pub trait TicketStore: Send + Sync {
    /// Keeps a ticket under its digest for so long; false where that cannot be done.
    fn put(&self, digest: [u8; 32], kept: Kept, for_so_long: Duration) -> BoxFuture<'_, bool>;

    /// Looks at a ticket and leaves it.
    fn peek(&self, digest: [u8; 32]) -> BoxFuture<'_, Option<Kept>>;

    /// Takes a ticket. Of several takers one gets it.
    fn take(&self, digest: [u8; 32]) -> BoxFuture<'_, Option<Kept>>;
}

/// Tickets of this process.
#[derive(Clone, Debug)]
pub struct LocalTickets(Cache<[u8; 32], (Arc<Kept>, Duration)>);

/// Each ticket is forgotten after its own time.
struct OwnTime;

impl Expiry<[u8; 32], (Arc<Kept>, Duration)> for OwnTime {
    fn expire_after_create(
        &self,
        _: &[u8; 32],
        kept: &(Arc<Kept>, Duration),
        _: Instant,
    ) -> Option<Duration> {
        Some(kept.1)
    }

    fn expire_after_update(
        &self,
        _: &[u8; 32],
        kept: &(Arc<Kept>, Duration),
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.1)
    }
}

impl Default for LocalTickets {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).expire_after(OwnTime).build())
    }
}

impl TicketStore for LocalTickets {
    fn put(&self, digest: [u8; 32], kept: Kept, for_so_long: Duration) -> BoxFuture<'_, bool> {
        self.0.insert(digest, (Arc::new(kept), for_so_long));
        Box::pin(std::future::ready(true))
    }

    fn peek(&self, digest: [u8; 32]) -> BoxFuture<'_, Option<Kept>> {
        Box::pin(std::future::ready(self.0.get(&digest).map(|(kept, _)| Kept::clone(&kept))))
    }

    fn take(&self, digest: [u8; 32]) -> BoxFuture<'_, Option<Kept>> {
        Box::pin(std::future::ready(self.0.remove(&digest).map(|(kept, _)| Kept::clone(&kept))))
    }
}

/// A ticket cannot be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ticket cannot be made")]
pub struct NoTicket;

impl From<NoRandomness> for NoTicket {
    fn from(_: NoRandomness) -> Self {
        Self
    }
}

/// Gives out and takes tickets.
#[derive(Clone)]
pub struct Tickets(Arc<dyn TicketStore>);

impl Default for Tickets {
    fn default() -> Self {
        Self::over(Arc::new(LocalTickets::default()))
    }
}

impl Tickets {
    /// Tickets that wait in `store`.
    pub fn over(store: Arc<dyn TicketStore>) -> Self {
        Self(store)
    }

    /// A new ticket's text, and when it ends.
    ///
    /// # Errors
    /// It cannot be made or kept.
    pub async fn issue(&self, ticket: Ticket, now: SystemTime) -> Result<(String, Timestamp), NoTicket> {
        let text = random_text()?;
        let ends_at = millis(now + LIFETIME);
        if !self.0.put(digest(&text), Kept { ticket, ends_at }, LIFETIME).await {
            return Err(NoTicket);
        }
        Ok((text, Timestamp::from_millis(i64::try_from(ends_at).map_err(|_| NoTicket)?)))
    }

    /// What a ticket gives, without using it up; `None` where it is unknown, used or over.
    pub async fn peek(&self, text: &str, now: SystemTime) -> Option<Ticket> {
        if text.len() != LETTERS {
            return None;
        }
        still_good(self.0.peek(digest(text)).await, now)
    }

    /// Uses a ticket for writing in `conversation`. From then on it is good for that alone, and lasts while messages come.
    pub async fn write(&self, text: &str, conversation: Uuid, now: SystemTime) -> Option<Ticket> {
        let mut ticket = self.peek(text, now).await?;
        if ticket.purpose != Purpose::Conversation(conversation)
            && ticket.purpose != Purpose::Writing(conversation)
        {
            return None;
        }
        ticket.purpose = Purpose::Writing(conversation);
        let kept = Kept { ticket: ticket.clone(), ends_at: millis(now + WRITING) };
        self.0.put(digest(text), kept, WRITING).await.then_some(ticket)
    }

    /// Uses a ticket up.
    pub async fn take(&self, text: &str, now: SystemTime) -> Option<Ticket> {
        if text.len() != LETTERS {
            return None;
        }
        still_good(self.0.take(digest(text)).await, now)
    }
}

fn still_good(kept: Option<Kept>, now: SystemTime) -> Option<Ticket> {
    kept.filter(|kept| millis(now) < kept.ends_at).map(|kept| kept.ticket)
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            organization: Uuid::from_u128(1),
            purpose: Purpose::Conversation(Uuid::from_u128(2)),
            user: None,
            key: Some(Uuid::from_u128(3)),
            key_calls: Some(4),
            key_spend: None,
            origins: vec!["https://shop.example".into()],
        }
    }

    #[tokio::test]
    async fn a_ticket_is_looked_at_often_and_taken_once() {
        let tickets = Tickets::default();
        let now = SystemTime::now();
        let (text, ends) = tickets.issue(ticket(), now).await.expect("made");
        assert_eq!(ends.as_millis(), i64::try_from(millis(now)).expect("fits") + 60_000);
        for _ in 0..3 {
            assert_eq!(tickets.peek(&text, now).await, Some(ticket()));
        }
        assert_eq!(tickets.take(&text, now).await, Some(ticket()));
        assert_eq!(tickets.take(&text, now).await, None);
        assert_eq!(tickets.peek(&text, now).await, None);
    }

    #[tokio::test]
    async fn a_ticket_ends_after_a_minute() {
        let tickets = Tickets::default();
        let now = SystemTime::now();
        for (later, good) in [(Duration::from_millis(59_998), true), (LIFETIME, false)] {
            let (text, _) = tickets.issue(ticket(), now).await.expect("made");
            assert_eq!(tickets.peek(&text, now + later).await.is_some(), good);
            assert_eq!(tickets.take(&text, now + later).await.is_some(), good);
        }
    }

    #[tokio::test]
    async fn a_ticket_for_writing_lasts_while_messages_come_and_opens_no_socket() {
        let tickets = Tickets::default();
        let mut now = SystemTime::now();
        let (text, _) = tickets.issue(ticket(), now).await.expect("made");
        let (here, elsewhere) = (Uuid::from_u128(2), Uuid::from_u128(9));
        assert_eq!(tickets.write(&text, elsewhere, now).await, None);
        for _ in 0..3 {
            let written = tickets.write(&text, here, now).await.expect("good");
            assert_eq!(written.purpose, Purpose::Writing(here));
            now += Duration::from_secs(500);
        }
        assert_eq!(tickets.write(&text, here, now + WRITING).await, None);
    }

    #[tokio::test]
    async fn what_is_no_ticket_is_none() {
        let tickets = Tickets::default();
        tickets.issue(ticket(), SystemTime::now()).await.expect("made");
        for odd in ["", "x", &"x".repeat(43), &"x".repeat(100_000)] {
            assert_eq!(tickets.take(odd, SystemTime::now()).await, None);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_takers_one_gets_it() {
        let tickets = Tickets::default();
        for _ in 0..50 {
            let (text, _) = tickets.issue(ticket(), SystemTime::now()).await.expect("made");
            let takers: Vec<_> = (0..8)
                .map(|_| {
                    let (tickets, text) = (tickets.clone(), text.clone());
                    tokio::spawn(async move { tickets.take(&text, SystemTime::now()).await.is_some() })
                })
                .collect();
            let mut got = 0;
            for taker in takers {
                got += usize::from(taker.await.expect("ran"));
            }
            assert_eq!(got, 1);
        }
    }
}
