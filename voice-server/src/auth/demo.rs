//! The two users of an unconfigured server, for this machine only.
//!
//! Their rows are made at the start while the server is unconfigured. Once it is configured they stay, since conversations may
//! name them, and nobody can be them: neither their password nor any token of theirs is taken.

use hyper::http::request::Parts;
use uuid::Uuid;

use super::origins;
use super::password::{PasswordError, Passwords};
use crate::config::{Config, Secret};
use crate::data::{Accounts, DEMO_ORGANIZATION, DataError, NewUser, Role, Timestamp};
use crate::http::Problem;

/// The password of both.
pub const PASSWORD: &str = "demo-password";

/// A demo user.
#[derive(Clone, Copy, Debug)]
pub struct DemoUser {
    /// Its id.
    pub id: Uuid,
    /// Its address.
    pub email: &'static str,
    name: &'static str,
    role: Role,
}

/// Both of them.
pub const USERS: [DemoUser; 2] = [
    DemoUser {
        id: Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0011),
        email: "admin@demo.example",
        name: "Demo Admin",
        role: Role::Admin,
    },
    DemoUser {
        id: Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0012),
        email: "agent@demo.example",
        name: "Demo Agent",
        role: Role::Agent,
    },
];

/// Whether this is a demo user.
pub fn is_demo(user: Uuid) -> bool {
    USERS.iter().any(|demo| demo.id == user)
}

/// Whether this is a demo user's address, in small letters.
pub fn is_demo_email(email: &str) -> bool {
    USERS.iter().any(|demo| demo.email == email)
}

/// Why the demo users cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The database did not do it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Their password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Makes the demo users where they are missing.
///
/// # Errors
/// See [`DemoError`].
pub async fn prepare(accounts: &dyn Accounts, passwords: &Passwords) -> Result<(), DemoError> {
    let mut hash = None;
    for demo in USERS {
        if accounts.user_by_id(demo.id).await?.is_some() {
            continue;
        }
        let hash = match &hash {
            Some(hash) => Secret::clone(hash),
            None => hash.insert(Secret::new(passwords.hash(PASSWORD).await?)).clone(),
        };
        let new = NewUser {
            id: demo.id,
            organization_id: DEMO_ORGANIZATION,
            email: demo.email.to_owned(),
            name: demo.name.to_owned(),
            role: demo.role,
            password_hash: Some(hash),
            created_at: Timestamp::now(),
        };
        match accounts.add_user(new).await {
            // Another start made it, or somebody has the address already; then it is that one's.
            Ok(_) | Err(DataError::Exists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Checks that a request may come from a demo user.
///
/// # Errors
/// 403, naming the setting, where it is not of this machine.
pub fn check(config: &Config, parts: &Parts) -> Result<(), Problem> {
    origins::of_this_machine(config, parts).map_err(|reason| {
        Problem::forbidden(format!(
            "the demo users are for this machine only, and {reason}; set VOICE_AUTH_SECRET and add users with `voice \
             user add` to sign in from elsewhere"
        ))
    })
}
