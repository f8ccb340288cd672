//! Sign-ins that have ended before their access tokens have: whoever signs out is out at once.
//!
//! A denial is kept as long as a token of that sign-in could still be good. In process; the trait is there so that servers
//! behind one Redis can share it.

use std::time::Duration;

use futures::future::BoxFuture;
use moka::sync::Cache;
use uuid::Uuid;

use super::tokens::{LEEWAY, LIFETIME};

/// Denied sign-ins that are remembered at most.
const REMEMBERED: u64 = 1_000_000;

/// Where denied sign-ins are kept.
pub trait Denials: Send + Sync {
    /// Refuses every access token of this sign-in from now on.
    fn deny(&self, session: Uuid) -> BoxFuture<'_, ()>;

    /// Whether this sign-in has ended. Where it cannot be known the answer is no: a token lives 15 minutes at most.
    fn is_denied(&self, session: Uuid) -> BoxFuture<'_, bool>;
}

/// How long a denial must be kept.
pub const KEPT: Duration = LIFETIME.saturating_add(LEEWAY).saturating_add(LEEWAY);

/// Denials of this process alone.
#[derive(Clone, Debug)]
pub struct LocalDenials(Cache<Uuid, ()>);

impl Default for LocalDenials {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_live(KEPT).build())
    }
}

impl Denials for LocalDenials {
    fn deny(&self, session: Uuid) -> BoxFuture<'_, ()> {
        self.0.insert(session, ());
        Box::pin(std::future::ready(()))
    }

    fn is_denied(&self, session: Uuid) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(self.0.contains_key(&session)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_denied_sign_in_is_denied_and_no_other() {
        let denials = LocalDenials::default();
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        denials.deny(one).await;
        assert!(denials.is_denied(one).await && !denials.is_denied(other).await);
    }
}
