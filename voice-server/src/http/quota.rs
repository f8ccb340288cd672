//! How often one user and one address may ask: a bound on what any of them can take from the others.
//!
//! Counts requests of `/api/` before anything else is done for them; a credential is told from another by its digest, whether
//! it counts or not. Health and metrics, pages and sockets have limits of their own.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::Problem;
use crate::app::App;
use crate::auth::address::group;
use crate::auth::cookies;
use crate::auth::identity::client_address;

/// Users and addresses that are remembered at most; beyond that, those that have not asked for a while are forgotten.
const REMEMBERED: usize = 100_000;
/// An address may be that of a whole office: it has as much as this many users.
const USERS_OF_AN_ADDRESS: u32 = 4;

/// The memory of who asked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    users: DefaultKeyedRateLimiter<[u8; 16]>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Quotas {
    /// So many requests a second for each user, and for a moment twice as many.
    pub fn new(a_second: NonZeroU32) -> Self {
        let quota =
            |a_second: NonZeroU32| Quota::per_second(a_second).allow_burst(a_second.saturating_mul(TWO));
        Self(Arc::new(Inner {
            users: DefaultKeyedRateLimiter::keyed(quota(a_second)),
            addresses: DefaultKeyedRateLimiter::keyed(quota(
                a_second.saturating_mul(NonZeroU32::new(USERS_OF_AN_ADDRESS).unwrap_or(TWO)),
            )),
        }))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) fn count(&self, address: IpAddr, credential: Option<[u8; 16]>) -> Result<(), u32> {
        let Inner { users, addresses } = &*self.0;
        if addresses.len() > REMEMBERED {
            addresses.retain_recent();
        }
        if users.len() > REMEMBERED {
            users.retain_recent();
        }
        let wait = |not_until: governor::NotUntil<_>| {
            let seconds = not_until.wait_time_from(DefaultClock::default().now()).as_secs();
            u32::try_from(seconds).unwrap_or(u32::MAX).saturating_add(1)
        };
        addresses.check_key(&group(address)).map_err(wait)?;
        match credential {
            Some(credential) => users.check_key(&credential).map_err(wait),
            None => Ok(()),
        }
    }
}

const TWO: NonZeroU32 = NonZeroU32::new(2).expect("not zero");

/// The layer.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let counted = app.quotas.count(client_address(&app, &parts), credential(&parts.headers));
    match counted {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(seconds) => {
            Problem::limited("too_many_requests", "too many requests; wait before the next one", seconds)
                .into_response()
        }
    }
}

/// A digest of what the request shows, be it good or not.
fn credential(headers: &HeaderMap) -> Option<[u8; 16]> {
    let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let shown = shown.or_else(|| cookies::value(headers, cookies::SESSION).map(str::as_bytes))?;
    Sha256::digest(shown).first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_is_stopped_and_others_of_the_same_address_are_not() {
        let quotas = Quotas::new(NonZeroU32::new(5).expect("not zero"));
        let here: IpAddr = "10.0.0.1".parse().expect("an address");
        let taken = (0..100).take_while(|_| quotas.count(here, Some([1; 16])).is_ok()).count();
        assert!((10..=12).contains(&taken), "{taken}");
        assert!(quotas.count(here, Some([2; 16])).is_ok());
        assert!(quotas.count("10.0.0.2".parse().expect("an address"), None).is_ok());
        let taken = (0..100).take_while(|_| quotas.count(here, None).is_ok()).count();
        assert!((20..=32).contains(&taken), "what is left of the address's forty: {taken}");
        assert!(quotas.count(here, Some([3; 16])).is_err_and(|seconds| seconds >= 1));
    }
}
