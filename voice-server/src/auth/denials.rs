//! What somebody's permission rests on, and what of it has ended before its tokens have: a sign-in that was signed out, a
//! user who was changed, a key that was revoked.
//!
//! A denial is kept as long as a token or ticket of before could still be good, and told to every server at once
//! (`cache::announced` says how, and what holds while Redis is away). A user's is a revision: what was made of an earlier one counts no
//! more, so whoever signs in again or refreshes is in at once, whatever the clocks of several servers say.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::tickets;
use super::tokens::{LEEWAY, LIFETIME};
use crate::cache::{Area, Caching, Entry, Key};

/// How long a denial must be kept: an access token's life, which is longer than a ticket waits between two messages.
pub const KEPT: Duration = LIFETIME.saturating_add(LEEWAY).saturating_add(LEEWAY);

const _: () = assert!(tickets::WRITING.as_secs() < KEPT.as_secs());

/// What somebody's permission rests on. Where one of them is denied it is at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grounds {
    /// The sign-in.
    pub session: Option<Uuid>,
    /// The user.
    pub user: Option<Uuid>,
    /// The user's revision by which he may what he may.
    #[serde(default)]
    pub revision: i64,
    /// The key.
    pub key: Option<Uuid>,
}

/// What is denied. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Denials(Caching);

impl Denials {
    /// Denials that are kept in `cache`.
    pub fn over(cache: Caching) -> Self {
        Self(cache)
    }

    /// Refuses every access token and ticket of this sign-in from now on.
    pub async fn deny(&self, session: Uuid) {
        self.announce(&of_session(session), Bytes::new()).await;
    }

    /// Refuses what was made of a user's revision before this one.
    pub async fn deny_before(&self, user: Uuid, revision: i64) {
        let known = self.least_revision(user).await.unwrap_or(i64::MIN);
        self.announce(&of_user(user), Bytes::copy_from_slice(&revision.max(known).to_be_bytes())).await;
    }

    /// Refuses a key and its tickets.
    pub async fn deny_key(&self, key: Uuid) {
        self.announce(&of_key(key), Bytes::new()).await;
    }

    /// The revision of this user below which nothing counts. Where it cannot be known there is none: a token lives
    /// 15 minutes at most.
    pub async fn least_revision(&self, user: Uuid) -> Option<i64> {
        let entry = self.0.announced(&of_user(user)).await?;
        entry.value.as_ref().try_into().ok().map(i64::from_be_bytes)
    }

    /// Whether something of what a permission rests on has ended. Where it cannot be known the answer is no.
    pub async fn ended(&self, grounds: &Grounds) -> bool {
        let marked = async |key: Option<Key>| match key {
            Some(key) => self.0.announced(&key).await.is_some(),
            None => false,
        };
        let changed = async {
            match grounds.user {
                Some(user) => self.least_revision(user).await.is_some_and(|least| grounds.revision < least),
                None => false,
            }
        };
        let (session, key) = (grounds.session.map(of_session), grounds.key.map(of_key));
        let (session, changed, key) = tokio::join!(marked(session), changed, marked(key));
        session || changed || key
    }

    /// Waits until something has ended of what a permission rests on. Whoever misses announcements looks again.
    pub async fn end_of(&self, grounds: Grounds) {
        let mut announced = self.0.announcements();
        let keys = [grounds.session.map(of_session), grounds.user.map(of_user), grounds.key.map(of_key)];
        while !self.ended(&grounds).await {
            let again = Instant::now() + AGAIN;
            loop {
                match timeout_at(again, announced.recv()).await {
                    Ok(Ok(key)) if keys.iter().flatten().all(|own| *own != key) => {}
                    Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) | Err(_) => break,
                    Ok(Err(broadcast::error::RecvError::Closed)) => return std::future::pending().await,
                }
            }
        }
    }

    async fn announce(&self, key: &Key, value: Bytes) {
        self.0.announce(key, Entry::new(value, KEPT, Duration::ZERO)).await;
    }
}

/// Whoever waits looks this often in any case: what was denied on another server while Redis was away is told late or never.
const AGAIN: Duration = Duration::from_secs(20);

fn of_session(id: Uuid) -> Key {
    of("session", id)
}

fn of_user(id: Uuid) -> Key {
    of("user", id)
}

fn of_key(id: Uuid) -> Key {
    of("key", id)
}

/// Ids are never the same twice, so they need no organization.
fn of(what: &str, id: Uuid) -> Key {
    Key::new(Area::Denial, Uuid::nil(), &format!("{what}={id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn denials() -> Denials {
        Denials::over(Caching::in_memory(1 << 20, &Metrics::default()))
    }

    #[tokio::test]
    async fn what_is_denied_ends_what_rests_on_it_and_nothing_else() {
        let denials = denials();
        let [session, user, key] = [0; 3].map(|_| Uuid::new_v4());
        let of_user = Grounds { session: Some(session), user: Some(user), revision: 3, key: None };
        let of_key = Grounds { key: Some(key), ..Grounds::default() };
        let other = Grounds { session: Some(Uuid::new_v4()), ..of_user };
        denials.deny(session).await;
        assert!(denials.ended(&of_user).await && !denials.ended(&other).await);
        denials.deny_before(user, 4).await;
        assert!(denials.ended(&other).await);
        assert!(!denials.ended(&Grounds { revision: 4, ..other }).await, "signed in again");
        denials.deny_before(user, 2).await;
        assert!(denials.ended(&other).await, "an earlier change that is told late takes nothing back");
        assert!(!denials.ended(&of_key).await && !denials.ended(&Grounds::default()).await);
        denials.deny_key(key).await;
        assert!(denials.ended(&of_key).await);
    }

    #[tokio::test]
    async fn whoever_waits_for_an_end_learns_of_it() {
        let denials = denials();
        let grounds = Grounds { user: Some(Uuid::new_v4()), revision: 1, ..Grounds::default() };
        let waiting = tokio::spawn({
            let denials = denials.clone();
            async move { denials.end_of(grounds).await }
        });
        for _ in 0..2_000 {
            denials.deny(Uuid::new_v4()).await;
        }
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "others' ends are not his");
        denials.deny_before(grounds.user.expect("set"), 2).await;
        tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it ends").expect("it ran");
    }
}
