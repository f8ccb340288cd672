//! Tickets: what opens one socket, once, within a minute.
//!
//! A page cannot put a header on a WebSocket, so it asks for a ticket and puts that into the address; what ends up in
//! somebody's log there is worth nothing. A ticket says for whom and for what it is; its digest alone is kept, in the cache that
//! servers behind one Redis share. [`Tickets::take`] gives it to one taker only, whichever server is asked. While Redis is
//! away a ticket is good on the server that made it; one of which that server cannot know whether another has taken it is
//! refused ([`Spent::Unsure`]), and so is another server's. Who writes instead of talking uses a ticket up for that: from the
//! first message on it opens no socket, and lasts while messages come.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::denials::Grounds;
use super::secrets::{NoRandomness, digest, random_text, text_of};
use crate::cache::Caching;
use crate::data::Timestamp;

/// How long a ticket is good.
pub const LIFETIME: Duration = Duration::from_secs(60);
/// How long a ticket that is used for writing waits for the next message.
pub const WRITING: Duration = Duration::from_secs(10 * 60);
/// Letters of a ticket that name its home; the other ones are random.
const HOME: usize = 22;
/// Length of a ticket's text. Anything else is none.
const LETTERS: usize = HOME + 43;
/// Two messages may come at once with a ticket that is not used yet; how long the second one waits, and how often.
const ASIDE: (Duration, usize) = (Duration::from_millis(10), 5);

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
    /// What it rests on: the sign-in and the user, or the key that asked for it.
    pub grounds: Grounds,
    /// Calls at the same time that the key allows.
    pub key_calls: Option<i64>,
    /// Millionths of a dollar a day that the key allows.
    pub key_spend: Option<i64>,
    /// Web origins besides the server's own that may use it, in lower case.
    pub origins: Vec<String>,
}

/// A ticket as it is kept: with its end.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    ticket: Ticket,
    /// In milliseconds since 1970.
    ends_at: u64,
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

/// Why a ticket gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// It never was one, was used, or is over.
    #[error("the ticket is unknown, used or over; get another one")]
    Unknown,
    /// Redis does not answer, and another server may have taken it.
    #[error("the ticket cannot be checked at the moment; get another one")]
    Unsure,
}

/// Gives out and takes tickets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tickets(Caching);

/// Where a ticket is kept.
struct Place {
    home: Uuid,
    id: String,
}

impl Tickets {
    /// Tickets that wait in `cache`.
    pub fn over(cache: Caching) -> Self {
        Self(cache)
    }

    /// A new ticket's text, and when it ends.
    ///
    /// # Errors
    /// It cannot be made or kept.
    pub async fn issue(&self, ticket: Ticket, now: SystemTime) -> Result<(String, Timestamp), NoTicket> {
        let ends_at = millis(now + LIFETIME);
        let ends = Timestamp::from_millis(i64::try_from(ends_at).map_err(|_| NoTicket)?);
        let kept = encode(ticket, ends_at).ok_or(NoTicket)?;
        for shared in [true, false] {
            let random = random_text()?;
            if let Some(home) = self.0.keep_once(&id_of(&random), kept.clone(), LIFETIME, shared).await {
                return Ok((text_of(home.as_bytes()) + &random, ends));
            }
        }
        Err(NoTicket)
    }

    /// What a ticket gives, without using it up.
    ///
    /// # Errors
    /// See [`Spent`].
    pub async fn peek(&self, text: &str, now: SystemTime) -> Result<Ticket, Spent> {
        self.peek_at(&place_of(text)?, now).await
    }

    /// Uses a ticket for writing in `conversation`. From then on it is good for that alone, and lasts while messages come.
    ///
    /// # Errors
    /// See [`Spent`]; also where it is for something else.
    pub async fn write(&self, text: &str, conversation: Uuid, now: SystemTime) -> Result<Ticket, Spent> {
        let place = place_of(text)?;
        let (unused, writing) = (Purpose::Conversation(conversation), Purpose::Writing(conversation));
        let mut ticket = self.peek_at(&place, now).await?;
        if ticket.purpose == unused {
            ticket = match self.take_at(&place, now).await {
                Ok(taken) => taken,
                Err(Spent::Unknown) => self.written_aside(&place, now).await?,
                Err(unsure) => return Err(unsure),
            };
        }
        if ticket.purpose != unused && ticket.purpose != writing {
            return Err(Spent::Unknown);
        }
        ticket.purpose = writing;
        let kept = encode(ticket.clone(), millis(now + WRITING)).ok_or(Spent::Unknown)?;
        self.0.keep_on(place.home, &place.id, kept, WRITING).await;
        Ok(ticket)
    }

    /// Uses a ticket up that is for `purpose`.
    ///
    /// # Errors
    /// See [`Spent`].
    pub async fn take(&self, text: &str, purpose: &Purpose, now: SystemTime) -> Result<Ticket, Spent> {
        let place = place_of(text)?;
        let taken = self.take_at(&place, now).await?;
        if taken.purpose == *purpose {
            return Ok(taken);
        }
        // It was looked at before; meanwhile somebody began to write with it, and may go on.
        if matches!(taken.purpose, Purpose::Writing(_))
            && let Some(kept) = encode(taken, millis(now + WRITING))
        {
            self.0.keep_on(place.home, &place.id, kept, WRITING).await;
        }
        Err(Spent::Unknown)
    }

    async fn peek_at(&self, place: &Place, now: SystemTime) -> Result<Ticket, Spent> {
        let kept = self.0.peek_once(place.home, &place.id).await.map_err(|_| Spent::Unsure)?;
        still_good(kept, now)
    }

    async fn take_at(&self, place: &Place, now: SystemTime) -> Result<Ticket, Spent> {
        let kept = self.0.take_once(place.home, &place.id).await.map_err(|_| Spent::Unsure)?;
        still_good(kept, now)
    }

    /// The ticket that another message of this moment is just beginning to write with.
    async fn written_aside(&self, place: &Place, now: SystemTime) -> Result<Ticket, Spent> {
        let (pause, times) = ASIDE;
        for _ in 0..times {
            tokio::time::sleep(pause).await;
            match self.peek_at(place, now).await {
                Ok(ticket) if matches!(ticket.purpose, Purpose::Writing(_)) => return Ok(ticket),
                Ok(_) | Err(Spent::Unknown) => {}
                Err(unsure) => return Err(unsure),
            }
        }
        Err(Spent::Unknown)
    }
}

fn id_of(random: &str) -> String {
    text_of(&digest(random))
}

fn place_of(text: &str) -> Result<Place, Spent> {
    let (home, random) =
        (text.len() == LETTERS).then(|| text.split_at_checked(HOME)).flatten().ok_or(Spent::Unknown)?;
    let home = URL_SAFE_NO_PAD.decode(home).ok().and_then(|home| Uuid::from_slice(&home).ok());
    Ok(Place { home: home.ok_or(Spent::Unknown)?, id: id_of(random) })
}

fn encode(ticket: Ticket, ends_at: u64) -> Option<Bytes> {
    serde_json::to_vec(&Kept { ticket, ends_at }).ok().map(Bytes::from)
}

fn still_good(kept: Option<Bytes>, now: SystemTime) -> Result<Ticket, Spent> {
    let kept: Option<Kept> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
    kept.filter(|kept| millis(now) < kept.ends_at).map(|kept| kept.ticket).ok_or(Spent::Unknown)
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn tickets() -> Tickets {
        Tickets::over(Caching::in_memory(1 << 20, &Metrics::default()))
    }

    const CALL: Purpose = Purpose::Conversation(Uuid::from_u128(2));

    fn ticket() -> Ticket {
        Ticket {
            organization: Uuid::from_u128(1),
            purpose: Purpose::Conversation(Uuid::from_u128(2)),
            grounds: Grounds { key: Some(Uuid::from_u128(3)), ..Grounds::default() },
            key_calls: Some(4),
            key_spend: None,
            origins: vec!["https://shop.example".into()],
        }
    }

    #[tokio::test]
    async fn a_ticket_is_looked_at_often_and_taken_once() {
        let tickets = tickets();
        let now = SystemTime::now();
        let (text, ends) = tickets.issue(ticket(), now).await.expect("made");
        assert_eq!(ends.as_millis(), i64::try_from(millis(now)).expect("fits") + 60_000);
        for _ in 0..3 {
            assert_eq!(tickets.peek(&text, now).await, Ok(ticket()));
        }
        assert_eq!(tickets.take(&text, &CALL, now).await, Ok(ticket()));
        assert_eq!(tickets.take(&text, &CALL, now).await, Err(Spent::Unknown));
        assert_eq!(tickets.peek(&text, now).await, Err(Spent::Unknown));
    }

    #[tokio::test]
    async fn a_ticket_ends_after_a_minute() {
        let tickets = tickets();
        let now = SystemTime::now();
        for (later, good) in [(Duration::from_millis(59_998), true), (LIFETIME, false)] {
            let (text, _) = tickets.issue(ticket(), now).await.expect("made");
            assert_eq!(tickets.peek(&text, now + later).await.is_ok(), good);
            assert_eq!(tickets.take(&text, &CALL, now + later).await.is_ok(), good);
        }
    }

    #[tokio::test]
    async fn a_ticket_for_writing_lasts_while_messages_come_and_opens_no_socket() {
        let tickets = tickets();
        let mut now = SystemTime::now();
        let (text, _) = tickets.issue(ticket(), now).await.expect("made");
        let (here, elsewhere) = (Uuid::from_u128(2), Uuid::from_u128(9));
        assert_eq!(tickets.write(&text, elsewhere, now).await, Err(Spent::Unknown));
        for _ in 0..3 {
            let written = tickets.write(&text, here, now).await.expect("good");
            assert_eq!(written.purpose, Purpose::Writing(here));
            now += Duration::from_secs(500);
        }
        assert_eq!(tickets.write(&text, here, now + WRITING).await, Err(Spent::Unknown));
    }

    #[tokio::test]
    async fn messages_that_come_at_once_all_write_and_no_socket_opens_then() {
        let tickets = tickets();
        let now = SystemTime::now();
        let (text, _) = tickets.issue(ticket(), now).await.expect("made");
        let here = Uuid::from_u128(2);
        let written = futures::future::join_all((0..10).map(|_| tickets.write(&text, here, now))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert_eq!(tickets.take(&text, &CALL, now).await, Err(Spent::Unknown));
    }

    #[tokio::test]
    async fn what_is_no_ticket_is_none() {
        let tickets = tickets();
        tickets.issue(ticket(), SystemTime::now()).await.expect("made");
        for odd in ["", "x", &"x".repeat(LETTERS), &"ü".repeat(32), &"x".repeat(100_000)] {
            assert_eq!(tickets.take(odd, &CALL, SystemTime::now()).await, Err(Spent::Unknown));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_takers_one_gets_it() {
        let tickets = tickets();
        for _ in 0..50 {
            let (text, _) = tickets.issue(ticket(), SystemTime::now()).await.expect("made");
            let takers: Vec<_> = (0..8)
                .map(|_| {
                    let (tickets, text) = (tickets.clone(), text.clone());
                    tokio::spawn(async move { tickets.take(&text, &CALL, SystemTime::now()).await.is_ok() })
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
