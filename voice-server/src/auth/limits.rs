//! Limits of calls and of their cost, by key and by address.
//!
//! A publishable key stands in a web page for everybody to copy; what it may cost is bounded by its organization, and no single
//! address may use up what is meant for all. A call holds a [`CallPlace`] from its start; dropping it frees the place. What
//! calls cost is told at their end ([`CallPlace::spent`]), and the database's sum counts as well, so that a restart
//! forgets nothing of a key's. Servers behind one Redis count together: a call holds a lease there, which ends by itself half a
//! minute after its server has died. Without Redis, and while it is away, each server counts for itself and allows as much.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::address::group;
use crate::cache::{Area, Cache as _, Caching, Key, Lease};
use crate::http::locality;

/// The part of a key's daily spend that one address may use: a quarter.
const SHARE_OF_ADDRESS: i64 = 4;
/// Addresses and keys whose cost of a day is remembered at most.
const REMEMBERED: usize = 100_000;
/// How long Redis keeps what a day's calls have cost.
const A_DAY: Duration = Duration::from_secs(26 * 3_600);

/// By what a call is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The key that opened it.
    pub key: Option<Uuid>,
    /// Calls at the same time that the key allows.
    pub key_calls: Option<i64>,
    /// Millionths of a dollar a day that the key allows.
    pub key_spend: Option<i64>,
    /// Whether its address counts: the call is of an anonymous caller or by a publishable key.
    pub by_address: bool,
}

/// Why a call may not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Full {
    /// The key has as many calls as it may.
    #[error("this key has as many calls at the same time as it may")]
    KeyCalls,
    /// The address has as many calls as it may.
    #[error("this address has as many calls at the same time as it may")]
    AddressCalls,
    /// Today's calls of the key have cost what they may.
    #[error("the calls of this key have cost today what they may")]
    KeySpend,
    /// Today's calls from the address have cost their share.
    #[error("calls from this address have cost today what they may")]
    AddressSpend,
}

#[derive(Debug, Default)]
struct Open {
    by_key: HashMap<Uuid, i64>,
    by_address: HashMap<IpAddr, i64>,
    /// The day, counted since 1970, of the two sums.
    day: u64,
    key_spent: HashMap<Uuid, i64>,
    address_spent: HashMap<(Uuid, IpAddr), i64>,
}

/// The calls that are open, by key and address. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallLimits {
    open: Arc<Mutex<Open>>,
    cache: Caching,
    each_address: i64,
}

impl CallLimits {
    /// Allows `each_address` calls at the same time from one address of another machine, counted with all who share `cache`.
    pub fn new(each_address: usize, cache: Caching) -> Self {
        Self { open: Arc::default(), cache, each_address: i64::try_from(each_address).unwrap_or(i64::MAX) }
    }

    /// A place for a call. `stored` is what calls of the key have cost today by the database; `day` is today, counted since
    /// 1970.
    ///
    /// # Errors
    /// See [`Full`].
    pub async fn open(
        &self,
        counted: &Counted,
        address: IpAddr,
        stored: i64,
        day: u64,
    ) -> Result<CallPlace, Full> {
        let address = counted_address(counted, address);
        let mut place = self.open_here(counted, address, stored, day)?;
        if !self.cache.is_shared() {
            return Ok(place);
        }
        // From here on what fails gives back what was got, since the place is dropped.
        self.may_spend_everywhere(counted, address, day).await?;
        if let (Some(key), Some(most)) = (counted.key, counted.key_calls) {
            let lease = self.cache.lease(&format!("calls=key={key}"), most_of(most)).await;
            place.leases.extend(lease.map_err(|_| Full::KeyCalls)?);
        }
        if let Some(address) = address {
            let lease =
                self.cache.lease(&format!("calls:address:{address}"), most_of(self.each_address)).await;
            place.leases.extend(lease.map_err(|_| Full::AddressCalls)?);
        }
        Ok(place)
    }

    fn open_here(
        &self,
        counted: &Counted,
        address: Option<IpAddr>,
        stored: i64,
        day: u64,
    ) -> Result<CallPlace, Full> {
        let mut open = self.lock();
        open.turn_to(day);
        if let Some(key) = counted.key {
            if counted.key_calls.is_some_and(|most| open.by_key.get(&key).copied().unwrap_or(0) >= most) {
                return Err(Full::KeyCalls);
            }
            open.may_spend(key, counted.key_spend, address, stored)?;
        }
        if let Some(address) = address {
            let calls = open.by_address.entry(address).or_default();
            if *calls >= self.each_address {
                return Err(Full::AddressCalls);
            }
            *calls += 1;
        }
        if let Some(key) = counted.key {
            *open.by_key.entry(key).or_default() += 1;
        }
        drop(open);
        let spending = Spending { limits: self.clone(), key: counted.key, address, day };
        Ok(CallPlace { spending, leases: Vec::new() })
    }

    /// Adds to what calls have cost on all servers, and gives the sum.
    async fn spent_everywhere(&self, key: &Key, micros: i64) -> i64 {
        let micros = u32::try_from(micros.max(0)).unwrap_or(u32::MAX);
        let sum = self.cache.add(key, micros, A_DAY).await.unwrap_or_default();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// Whether a written answer may cost something; it takes no call's place. The arguments are those of
    /// [`CallLimits::open`].
    ///
    /// # Errors
    /// See [`Full`].
    pub async fn spend(
        &self,
        counted: &Counted,
        address: IpAddr,
        stored: i64,
        day: u64,
    ) -> Result<Spending, Full> {
        let address = counted_address(counted, address);
        {
            let mut open = self.lock();
            open.turn_to(day);
            if let Some(key) = counted.key {
                open.may_spend(key, counted.key_spend, address, stored)?;
            }
        }
        if self.cache.is_shared() {
            self.may_spend_everywhere(counted, address, day).await?;
        }
        Ok(Spending { limits: self.clone(), key: counted.key, address, day })
    }

    /// Whether what calls and written answers have cost on all servers leaves something to spend.
    async fn may_spend_everywhere(
        &self,
        counted: &Counted,
        address: Option<IpAddr>,
        day: u64,
    ) -> Result<(), Full> {
        let (Some(key), Some(most)) = (counted.key, counted.key_spend) else { return Ok(()) };
        if self.spent_everywhere(&spent_by_key(key, day), 0).await >= most {
            return Err(Full::KeySpend);
        }
        if let Some(address) = address
            && self.spent_everywhere(&spent_by_address(key, address, day), 0).await >= share(most)
        {
            return Err(Full::AddressSpend);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one address may use of what a key may cost a day.
fn share(most: i64) -> i64 {
    (most / SHARE_OF_ADDRESS).max(1)
}

fn most_of(most: i64) -> u32 {
    u32::try_from(most.max(0)).unwrap_or(u32::MAX)
}

fn spent_by_key(key: Uuid, day: u64) -> Key {
    Key::new(Area::Count, Uuid::nil(), &format!("spent={day}&key={key}"))
}

/// With the colon of an IPv6 address the key is a digest; the dots of an IPv4 one get it for the same end.
fn spent_by_address(key: Uuid, address: IpAddr, day: u64) -> Key {
    Key::new(Area::Count, Uuid::nil(), &format!("spent:{day}:{key}:{address}"))
}

/// The address that counts; those of this machine are its operator's own.
fn counted_address(counted: &Counted, address: IpAddr) -> Option<IpAddr> {
    (counted.by_address && !locality::is_loopback(address)).then(|| group(address))
}

impl Open {
    fn may_spend(
        &self,
        key: Uuid,
        most: Option<i64>,
        address: Option<IpAddr>,
        stored: i64,
    ) -> Result<(), Full> {
        let Some(most) = most else { return Ok(()) };
        if self.key_spent.get(&key).copied().unwrap_or(0).max(stored) >= most {
            return Err(Full::KeySpend);
        }
        let spent = address.and_then(|address| self.address_spent.get(&(key, address)).copied());
        if spent.is_some_and(|spent| spent >= share(most)) {
            return Err(Full::AddressSpend);
        }
        Ok(())
    }

    fn add_spent(&mut self, key: Uuid, address: Option<IpAddr>, micros: i64) {
        let sum = self.key_spent.entry(key).or_default();
        *sum = sum.saturating_add(micros.max(0));
        if let Some(address) = address {
            let sum = self.address_spent.entry((key, address)).or_default();
            *sum = sum.saturating_add(micros.max(0));
        }
    }

    fn turn_to(&mut self, day: u64) {
        if self.day != day || self.address_spent.len() > REMEMBERED || self.key_spent.len() > REMEMBERED {
            self.day = day;
            self.key_spent.clear();
            self.address_spent.clear();
        }
    }
}

/// One open call. Dropping it frees its place.
#[derive(Debug)]
pub struct CallPlace {
    spending: Spending,
    leases: Vec<Lease>,
}

impl CallPlace {
    /// Adds what the call cost, in millionths of a dollar.
    pub async fn spent(&self, micros: i64) {
        self.spending.spent(micros).await;
    }
}

/// By whom a call or a written answer is paid.
#[derive(Clone, Debug)]
pub struct Spending {
    limits: CallLimits,
    key: Option<Uuid>,
    address: Option<IpAddr>,
    day: u64,
}

impl Spending {
    /// Adds what it cost, in millionths of a dollar.
    pub async fn spent(&self, micros: i64) {
        let Some(key) = self.key else { return };
        self.limits.lock().add_spent(key, self.address, micros);
        if !self.limits.cache.is_shared() {
            return;
        }
        self.limits.spent_everywhere(&spent_by_key(key, self.day), micros).await;
        if let Some(address) = self.address {
            self.limits.spent_everywhere(&spent_by_address(key, address, self.day), micros).await;
        }
    }
}

impl Drop for CallPlace {
    fn drop(&mut self) {
        fn one_less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, i64>, key: &K) {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count <= 0 {
                    counts.remove(key);
                }
            }
        }
        let Spending { limits, key, address, .. } = &self.spending;
        let mut open = limits.lock();
        if let Some(key) = key {
            one_less(&mut open.by_key, key);
        }
        if let Some(address) = address {
            one_less(&mut open.by_address, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn limits(each_address: usize) -> CallLimits {
        CallLimits::new(each_address, Caching::in_memory(1 << 20, &Metrics::default()))
    }

    fn far(n: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, n])
    }

    fn by_key(calls: i64, spend: i64) -> Counted {
        Counted {
            key: Some(Uuid::from_u128(1)),
            key_calls: Some(calls),
            key_spend: Some(spend),
            by_address: true,
        }
    }

    #[tokio::test]
    async fn a_key_s_calls_are_limited_and_a_call_s_end_makes_room() {
        let limits = limits(100);
        let counted = by_key(2, 1_000);
        let one = limits.open(&counted, far(1), 0, 1).await.expect("room");
        let _two = limits.open(&counted, far(2), 0, 1).await.expect("room");
        assert_eq!(limits.open(&counted, far(3), 0, 1).await.err(), Some(Full::KeyCalls));
        let other = Counted { key: Some(Uuid::from_u128(2)), ..counted.clone() };
        assert!(limits.open(&other, far(3), 0, 1).await.is_ok(), "another key has its own");
        drop(one);
        assert!(limits.open(&counted, far(3), 0, 1).await.is_ok());
    }

    #[tokio::test]
    async fn an_address_s_calls_are_limited_but_for_this_machine_and_signed_in_callers() {
        let limits = limits(2);
        let anonymous = Counted { by_address: true, ..Counted::default() };
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(limits.open(&anonymous, far(1), 0, 1).await.expect("room"));
        }
        assert_eq!(limits.open(&anonymous, far(1), 0, 1).await.err(), Some(Full::AddressCalls));
        assert!(limits.open(&anonymous, far(2), 0, 1).await.is_ok());
        assert!(limits.open(&Counted::default(), far(1), 0, 1).await.is_ok(), "signed in");
        let mut here = Vec::new();
        for _ in 0..9 {
            here.push(limits.open(&anonymous, IpAddr::from([127, 0, 0, 1]), 0, 1).await.expect("room"));
        }
        drop(held);
        assert!(limits.open(&anonymous, far(1), 0, 1).await.is_ok());
        drop(here);
        assert!(limits.lock().by_address.is_empty() && limits.lock().by_key.is_empty());
    }

    #[tokio::test]
    async fn a_key_s_cost_is_limited_by_the_day_and_no_address_uses_it_up() {
        let limits = limits(100);
        let counted = by_key(100, 1_000);
        assert_eq!(
            limits.open(&counted, far(1), 1_000, 1).await.err(),
            Some(Full::KeySpend),
            "by the database"
        );
        limits.open(&counted, far(1), 0, 1).await.expect("room").spent(250).await;
        assert_eq!(limits.open(&counted, far(1), 0, 1).await.err(), Some(Full::AddressSpend));
        limits.open(&counted, far(2), 0, 1).await.expect("room").spent(750).await;
        assert_eq!(limits.open(&counted, far(3), 0, 1).await.err(), Some(Full::KeySpend));
        let written = limits.spend(&counted, far(3), 0, 1).await;
        assert_eq!(written.err(), Some(Full::KeySpend), "written answers too");
        assert!(limits.open(&counted, far(1), 0, 2).await.is_ok(), "the next day");
        limits.spend(&counted, far(1), 0, 2).await.expect("room").spent(250).await;
        assert_eq!(limits.open(&counted, far(1), 0, 2).await.err(), Some(Full::AddressSpend));
        let single = by_key(1, 1_000);
        let _call = limits.open(&single, far(2), 0, 3).await.expect("room");
        assert!(limits.spend(&single, far(2), 0, 3).await.is_ok(), "no call's place is taken");
    }
}
