//! Sign-in, keys, tickets: who somebody is, and what that somebody may do.
//!
//! Secrets of clients are stored as digests alone. Nothing here logs a token, a key, an address of a person, or a query.

pub mod address;
pub mod denials;
pub mod email;
pub mod jwks;
pub mod keys;
pub mod limits;
pub mod password;
pub mod refresh;
pub mod rights;
pub mod secrets;
pub mod supabase;
pub mod throttle;
pub mod tickets;
pub mod tokens;
