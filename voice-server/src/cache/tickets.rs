//! Tickets for sockets: made once, taken once, by whichever server is asked.
//!
//! A ticket lives in one place only, and its first letter says where: `s` in Redis, `h` here. One that Redis could not be
//! given for sure is thrown away and another is made here, so that no ticket can ever be taken in both places.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::Uuid;

use super::contract::{Cache as _, Entry};
use super::key::{Area, Key};
use super::layered::Caching;

/// The tickets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tickets(Caching);

/// Why a ticket gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// It never was one, was used, or is too old.
    #[error("the ticket was used, is too old, or never was one")]
    Unknown,
    /// Redis does not answer; get another ticket and try again.
    #[error("the ticket cannot be checked at the moment")]
    Away,
}

impl Tickets {
    /// Those in this cache.
    pub fn new(caching: Caching) -> Self {
        Self(caching)
    }

    /// A new ticket for what `value` says, good for `life`. `None` where the system gives no randomness.
    pub async fn issue(&self, value: Bytes, life: Duration) -> Option<String> {
        let entry = Entry::new(value, life, Duration::ZERO);
        if let Some(redis) = self.0.far() {
            let ticket = fresh('s')?;
            if redis.put(&place(&ticket), entry.clone(), None).await == Ok(true) {
                return Some(ticket);
            }
        }
        let ticket = fresh('h')?;
        self.0.inner().memory.keep(&place(&ticket), entry, None).then_some(ticket)
    }

    /// Takes the ticket and gives what it was issued for.
    ///
    /// # Errors
    /// See [`Spent`].
    pub async fn take(&self, ticket: &str) -> Result<Bytes, Spent> {
        let key = place(ticket);
        let found = match (ticket.chars().next(), self.0.far()) {
            (Some('s'), Some(redis)) => redis.take(&key).await.map_err(|_| Spent::Away)?,
            (Some('h'), _) => self.0.inner().memory.take_out(&key),
            _ => None,
        };
        found.map(|entry| entry.value).ok_or(Spent::Unknown)
    }
}

fn place(ticket: &str) -> Key {
    Key::new(Area::Ticket, Uuid::nil(), ticket)
}

/// 192 bits that nobody can guess.
fn fresh(kind: char) -> Option<String> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("{kind}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}
