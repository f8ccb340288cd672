//! Guessing slowed down: failed sign-ins by account and by address, and all requests of sign-in by address.
//!
//! A failure costs; a success gives back what it took, so that people who know their password never wait. An attempt is charged
//! before the password is looked at: a thousand at once get no further than ten in a row. Callers: `api::auth`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use moka::sync::Cache;

use super::address::group;
use super::secrets::digest;

/// Failures of one account in a row before it must wait, and how long each is remembered.
const ACCOUNT: Allowance = Allowance { burst: 10, each: Duration::from_secs(30) };
/// The same of one address, which may be that of a whole office.
const ADDRESS: Allowance = Allowance { burst: 30, each: Duration::from_secs(10) };
/// Requests of sign-in from one address: at once, and then by second.
const REQUESTS: (NonZeroU32, NonZeroU32) =
    (NonZeroU32::new(300).expect("not zero"), NonZeroU32::new(10).expect("not zero"));
/// Accounts and addresses that are remembered at most.
const REMEMBERED: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Allowance {
    burst: u32,
    each: Duration,
}

impl Allowance {
    fn whole(self) -> Duration {
        self.each * self.burst
    }
}

/// Wait as long as this before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl Wait {
    /// In whole seconds, at least one: the value of `Retry-After`.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// When everything charged so far is forgotten: the whole state of one allowance (the generic cell rate algorithm).
type Bucket = Arc<Mutex<Option<Instant>>>;

#[derive(Debug)]
struct Buckets<K: std::hash::Hash + Eq + Send + Sync + 'static> {
    allowance: Allowance,
    held: Cache<K, Bucket>,
}

impl<K: std::hash::Hash + Eq + Send + Sync + 'static> Buckets<K> {
    fn new(allowance: Allowance) -> Self {
        let held = Cache::builder().max_capacity(REMEMBERED).time_to_idle(allowance.whole()).build();
        Self { allowance, held }
    }

    fn charge(&self, key: K, now: Instant) -> Result<Bucket, Wait> {
        let bucket = self.held.get_with(key, Bucket::default);
        let mut state = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = state.map_or(now, |until| until.max(now)) + self.allowance.each;
        let most = now + self.allowance.whole();
        if charged > most {
            return Err(Wait(charged - most));
        }
        *state = Some(charged);
        drop(state);
        Ok(bucket)
    }
}

/// What one attempt took. Give it back with [`Charge::forgive`] where the attempt was right.
#[derive(Debug)]
pub struct Charge([(Bucket, Duration); 2]);

impl Charge {
    /// The attempt was right: it counts for nothing.
    pub fn forgive(self) {
        for (bucket, each) in self.0 {
            let mut state = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            *state = state.and_then(|until| until.checked_sub(each));
        }
    }
}

/// The memory of attempts.
#[derive(Debug)]
pub struct Throttle {
    accounts: Buckets<[u8; 32]>,
    addresses: Buckets<IpAddr>,
    requests: DefaultKeyedRateLimiter<IpAddr>,
}

impl Default for Throttle {
    fn default() -> Self {
        let (burst, a_second) = REQUESTS;
        Self {
            accounts: Buckets::new(ACCOUNT),
            addresses: Buckets::new(ADDRESS),
            requests: DefaultKeyedRateLimiter::keyed(Quota::per_second(a_second).allow_burst(burst)),
        }
    }
}

impl Throttle {
    /// Counts one request of sign-in.
    ///
    /// # Errors
    /// This address asks too often.
    pub fn request(&self, address: IpAddr) -> Result<(), Wait> {
        if self.requests.len() > REMEMBERED as usize {
            self.requests.retain_recent();
        }
        self.requests
            .check_key(&group(address))
            .map_err(|until| Wait(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Charges an attempt to sign in as `account` from `address`.
    ///
    /// # Errors
    /// There were too many failures; nothing is charged then, so that waiting helps.
    pub fn attempt(&self, account: &str, address: IpAddr, now: Instant) -> Result<Charge, Wait> {
        // The digest, since an account's name is personal and as long as its sender likes.
        let account = self.accounts.charge(digest(account), now)?;
        let by_account = (account, self.accounts.allowance.each);
        match self.addresses.charge(group(address), now) {
            Ok(bucket) => Ok(Charge([by_account, (bucket, self.addresses.allowance.each)])),
            Err(wait) => {
                let (bucket, each) = by_account;
                let mut state = bucket.lock().unwrap_or_else(PoisonError::into_inner);
                *state = state.and_then(|until| until.checked_sub(each));
                Err(wait)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn there(n: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, n])
    }

    #[test]
    fn an_account_is_slowed_after_ten_failures_from_wherever() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..10 {
            assert!(throttle.attempt("a@example.com", there(n), now).is_ok(), "{n}");
        }
        let wait = throttle.attempt("a@example.com", there(99), now).expect_err("too many");
        assert_eq!((wait.0, wait.seconds()), (ACCOUNT.each, 31));
        assert!(throttle.attempt("b@example.com", there(99), now).is_ok(), "others are not touched");
        // The refusals themselves cost nothing.
        let later = now + ACCOUNT.each;
        assert!(throttle.attempt("a@example.com", there(99), later).is_ok());
        assert!(throttle.attempt("a@example.com", there(99), later).is_err());
    }

    #[test]
    fn an_address_is_slowed_after_thirty_failures_with_whatever_account() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..30 {
            assert!(throttle.attempt(&format!("{n}@example.com"), HERE, now).is_ok(), "{n}");
        }
        // Refused for the address, which must not count against the account.
        for _ in 0..20 {
            assert!(throttle.attempt("victim@example.com", HERE, now).is_err());
        }
        assert!(throttle.attempt("victim@example.com", there(1), now).is_ok());
    }

    #[test]
    fn whoever_knows_the_password_never_waits() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..1_000 {
            throttle.attempt("a@example.com", HERE, now).expect("free").forgive();
        }
        // Failures in between stay.
        for _ in 0..10 {
            throttle.attempt("a@example.com", HERE, now).expect("free");
        }
        assert!(throttle.attempt("a@example.com", HERE, now).is_err());
    }

    #[test]
    fn requests_of_sign_in_are_counted_by_address() {
        let throttle = Throttle::default();
        let passed = (0..1_000).take_while(|_| throttle.request(HERE).is_ok()).count();
        assert!((300..400).contains(&passed), "{passed}");
        assert!(throttle.request(there(1)).is_ok());
        assert!(throttle.request(HERE).expect_err("too many").seconds() <= 2);
    }
}
