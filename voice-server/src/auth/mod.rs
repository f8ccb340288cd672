//! Sign-in, keys, tickets: who somebody is, and what that somebody may do.
//!
//! A handler takes an [`Identity`] and asks it for a right of [`rights`]; the sockets ask [`caller`]. Users of this server sign in with
//! a password and hold an access token of 15 minutes and a refresh token; Supabase's users come with its token; organizations'
//! servers and pages come with keys. Secrets of clients are stored as digests alone. Nothing here logs a token, a key, an
//! address of a person, or a query.

pub mod address;
pub mod caller;
pub mod cookies;
pub mod demo;
pub mod denials;
pub mod email;
pub mod identity;
pub mod jwks;
pub mod keys;
pub mod limits;
pub mod origins;
pub mod password;
pub mod refresh;
pub mod rights;
mod secret_file;
pub mod secrets;
pub(crate) mod setup;
pub mod supabase;
pub mod throttle;
pub mod tickets;
pub mod tokens;

use std::time::{Duration, SystemTime};

use moka::sync::Cache;
use uuid::Uuid;

pub use caller::{Caller, caller_of, follower_of, writer_of};
pub use identity::Identity;
pub use rights::{Right, Standing};
pub use setup::Setup;

use crate::cache::Caching;
use crate::config::{Config, Secret};
use denials::Denials;
use keys::Keys;
use limits::CallLimits;
use password::Passwords;
use supabase::Supabase;
use throttle::Throttle;
use tickets::Tickets;
use tokens::KeyRing;

/// How long a user of Supabase is not looked up again.
const GUEST_FRESH: Duration = Duration::from_secs(30);
/// Users of Supabase that are remembered at most.
const GUESTS: u64 = 10_000;

/// Everything that signing in needs. Shared by all requests.
pub struct Auth {
    /// Signs and verifies our access tokens.
    pub ring: KeyRing,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Slows down guessing.
    pub throttle: Throttle,
    /// What has ended before its tokens have.
    pub denials: Denials,
    /// What opens a socket once.
    pub tickets: Tickets,
    /// Keys of organizations.
    pub keys: Keys,
    /// Calls by key and address.
    pub limits: CallLimits,
    /// Tokens of Supabase Auth, where that is configured.
    pub supabase: Option<Supabase>,
    /// The link for the first admin.
    pub setup: Setup,
    guests: Cache<Uuid, identity::Guest>,
}

impl Auth {
    /// Sign-in as the settings say; `cache` is what servers behind one Redis share. Where no secret is set, one is drawn and
    /// kept in the data folder.
    ///
    /// # Errors
    /// The data folder cannot keep the secret: a sentence for the operator.
    pub fn new(config: &Config, cache: &Caching) -> Result<Self, String> {
        let secret = match &config.auth_secret {
            Some(secret) => secret.clone(),
            None => secret_file::read_or_draw(&config.data)?,
        };
        let earlier = config.auth_previous_secrets.iter().map(Secret::expose);
        // One less than the cores, so that a burst of sign-ins leaves one to the calls.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            ring: KeyRing::new(secret.expose(), earlier),
            passwords: Passwords::new(cores.saturating_sub(1)),
            throttle: Throttle::default(),
            denials: Denials::over(cache.clone()),
            tickets: Tickets::over(cache.clone()),
            keys: Keys::default(),
            limits: CallLimits::new(config.calls_per_address, cache.clone()),
            supabase: Supabase::new(config.supabase_url.as_deref(), config.supabase_jwt_secret.as_ref()),
            setup: Setup::default(),
            guests: Cache::builder().max_capacity(GUESTS).time_to_live(GUEST_FRESH).build(),
        })
    }
}

/// Seconds since 1970, as tokens count.
pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
