//! The cache: conversation context, listings, denials of tokens, tickets, counts and the sound of phrases.
//!
//! [`Caching`] is what the server shares: [`Memory`] alone, or memory in front of Redis where `REDIS_URL` is set. A Redis
//! that is gone or hangs slows a few requests by a deadline and never breaks one: memory serves, what had to be removed is
//! owed, and when Redis is back that is settled before anything is read from it. [`Caching::fetch`] gives what is kept or
//! loads it once for all who wait, and serves what is stale where the source fails. Three things are never lost to what can be
//! loaded again, since they decide what somebody may do: what was announced (`auth::denials`), what may be taken once
//! (`auth::tickets`), and leases (`auth::limits`).

mod announced;
pub mod contract;
mod fetch;
mod key;
mod layered;
mod leases;
pub(crate) mod link;
mod memory;
mod once;
mod owed;
mod redis;
#[cfg(test)]
mod redis_tests;
#[cfg(test)]
mod shared_tests;

pub use contract::{Away, Cache, Entry, Look, Mark};
pub use fetch::{FetchError, Fetched, Freshness, Plan};
pub use key::{Area, Group, Key};
pub use layered::Caching;
pub use leases::{Lease, Taken};
pub use link::probe;
pub use memory::Memory;
