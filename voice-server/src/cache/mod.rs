//! The cache: conversation context, listings, denials of tokens, tickets, counts and the sound of phrases.
//!
//! [`Caching`] is what the server shares: [`Memory`] alone, or memory in front of Redis where `REDIS_URL` is set. A Redis
//! that is gone or hangs slows a few requests by a deadline and never breaks one: memory serves, what had to be removed is
//! owed, and when Redis is back that is settled before anything is read from it. [`Caching::fetch`] gives what is kept or
//! loads it once for all who wait, and serves what is stale where the source fails. [`Denials`] and [`Tickets`] are the two
//! uses whose loss would change what somebody may do; sign-in does not use them yet and keeps its own in process (`auth`).

pub mod contract;
mod denials;
mod fetch;
mod key;
mod layered;
pub(crate) mod link;
mod memory;
mod owed;
mod redis;
#[cfg(test)]
mod redis_tests;
mod tickets;

pub use contract::{Away, Cache, Entry, Look, Mark};
pub use denials::Denials;
pub use fetch::{FetchError, Fetched, Freshness, Plan};
pub use key::{Area, Group, Key};
pub use layered::Caching;
pub use memory::Memory;
pub use tickets::{Spent, Tickets};
