//! What may be taken once, by whichever server is asked: tickets.
//!
//! A value has a home: the server that made it, for as long as that hears without a break what others take. The home keeps
//! it in memory and in Redis. While Redis is there it decides, and whoever takes a value of another home tells that home in the same
//! step; where the home does not listen, nothing is given. So when Redis ends the home's connection, as a Redis that dies
//! does, the home has heard of everything that was taken, nobody else can take the rest any more, and it gives the rest by itself.
//! Where Redis only does not answer, the home cannot know: what is in Redis is then given by nobody ([`Away`]), and given
//! up once the connection is. A value that is made while Redis is away is at home only and good there.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::contract::{Away, Cache as _, Entry};
use super::key::{Area, Key};
use super::layered::Caching;

impl Caching {
    /// Keeps a value, and gives its home, by which it is asked for. With `shared` in Redis as well where there is one;
    /// `None` where that failed: the value may be there all the same, so the next attempt takes another id.
    pub async fn keep_once(&self, id: &str, value: Bytes, life: Duration, shared: bool) -> Option<Uuid> {
        let memory = &self.inner().memory;
        let entry = Entry::new(value, life, Duration::ZERO);
        let Some((redis, home)) = self.far().zip(self.shared_home()).filter(|_| shared) else {
            let home = self.inner().home;
            return memory.keep(&place(home, id), entry, None).then_some(home);
        };
        let key = place(home, id);
        // Here first: whoever takes it in Redis finds it here to be forgotten.
        memory.keep(&key, entry.clone(), None);
        if redis.put(&key, entry, None).await == Ok(true) && self.shared_home() == Some(home) {
            return Some(home);
        }
        memory.bury(&key);
        None
    }

    /// Keeps a value that is no longer to be taken once, but to be seen by all.
    pub async fn keep_on(&self, home: Uuid, id: &str, value: Bytes, life: Duration) {
        let key = place(home, id);
        let entry = Entry::new(value, life, Duration::ZERO);
        self.inner().memory.keep(&key, entry.clone(), None);
        if let Some(redis) = self.far().filter(|_| home != self.inner().home) {
            // Where Redis is away this server knows it.
            let _ = redis.put(&key, entry, None).await;
        }
    }

    /// Looks at a value and leaves it. One that is to be taken may be gone by then.
    ///
    /// # Errors
    /// Redis does not answer, and this server does not know the value.
    pub async fn peek_once(&self, home: Uuid, id: &str) -> Result<Option<Bytes>, Away> {
        let key = place(home, id);
        if let Some((entry, _)) = self.inner().memory.find(&key) {
            return Ok(Some(entry.value));
        }
        let Some(redis) = self.far().filter(|_| home != self.inner().home) else { return Ok(None) };
        match redis.look(&key).await {
            Ok(look) => Ok(look.entry.map(|entry| entry.value)),
            // What this server alone may give, and has no more.
            Err(Away) if self.is_alone(home) => Ok(None),
            Err(Away) => Err(Away),
        }
    }

    /// Takes a value. Of any number who take, on any server, one gets it.
    ///
    /// # Errors
    /// Redis does not answer, so that somebody else may have it.
    pub async fn take_once(&self, home: Uuid, id: &str) -> Result<Option<Bytes>, Away> {
        let (key, memory) = (place(home, id), &self.inner().memory);
        let found = match self.far() {
            Some(redis) if self.shared_home() == Some(home) => {
                let found = redis.take(&key).await?;
                memory.bury(&key);
                found
            }
            Some(redis) if !self.is_alone(home) => redis.take_from(home, &key).await?,
            // What was ours before Redis ended the connection is ours alone.
            _ => memory.take_out(&key),
        };
        Ok(found.map(|entry| entry.value))
    }

    /// Whether what has this home is given by this server and nobody else.
    fn is_alone(&self, home: Uuid) -> bool {
        home == self.inner().home || self.inner().past_homes.contains_key(&home)
    }
}

fn place(home: Uuid, id: &str) -> Key {
    Key::new(Area::Ticket, home, id)
}
