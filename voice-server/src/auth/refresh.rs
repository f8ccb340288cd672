//! Refresh tokens: 256 random bits, rotated at each use, worth nothing to whoever steals an old one.
//!
//! What follows a token is not drawn anew but derived from it under the server's secret. So twenty requests that refresh at the
//! same moment, two tabs, and a client that lost the answer all get the very same successor, on every server, without
//! anything but digests being stored. After [`GRACE`] the old token ends its whole family: then somebody else has it too.
//! A token reads `rt.KEY.RANDOM`; KEY names the secret that its successors are derived under.

use std::time::Duration;

use uuid::Uuid;

use super::secrets::{NoRandomness, digest, random_text};
use super::tokens::KeyRing;
use crate::data::{Accounts, DataError, RefreshToken, Rotation, Timestamp};

/// How long a refresh token is good.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a token that was just rotated still gives its successor.
pub const GRACE: Duration = Duration::from_secs(30);
/// Longest text that is looked at.
const LONGEST: usize = 128;

/// Somebody who is to stay signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The user.
    pub user: Uuid,
    /// The user's organization.
    pub organization: Uuid,
    /// The sign-in: the family of its refresh tokens.
    pub session: Uuid,
}

/// What came of presenting a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good; this one follows.
    Successor {
        /// Whose it is.
        whose: SignedIn,
        /// The token that follows.
        token: String,
    },
    /// It was used long before. The sign-in has ended, and its access tokens must be denied.
    Reused {
        /// The sign-in.
        session: Uuid,
    },
    /// It is unknown, over or revoked.
    Unusable,
}

/// Why a sign-in cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The database did not do it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The system gives no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// The first refresh token of a sign-in.
///
/// # Errors
/// See [`RefreshError`].
pub async fn begin(
    ring: &KeyRing,
    accounts: &dyn Accounts,
    whose: SignedIn,
    now: Timestamp,
) -> Result<String, RefreshError> {
    let token = text(ring.signing_id(), &random_text()?);
    let stored = RefreshToken {
        hash: hash(&token),
        organization_id: whose.organization,
        user_id: whose.user,
        family: whose.session,
        created_at: now,
        expires_at: end_of(now),
    };
    accounts.add_refresh_token(stored).await?;
    Ok(token)
}

/// Takes a token for its successor.
///
/// # Errors
/// The database did not do it; the token is as good as before.
pub async fn rotate(
    ring: &KeyRing,
    accounts: &dyn Accounts,
    token: &str,
    now: Timestamp,
) -> Result<Refreshed, DataError> {
    let Some(key) = key_of(token) else { return Ok(Refreshed::Unusable) };
    let (key, random) = ring.successor(key, &digest(token));
    let successor = text(key, &random);
    let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    let rotation =
        accounts.rotate_refresh_token(hash(token), hash(&successor), now, end_of(now), grace).await?;
    Ok(match rotation {
        Rotation::Rotated { user_id, organization_id, family } => Refreshed::Successor {
            whose: SignedIn { user: user_id, organization: organization_id, session: family },
            token: successor,
        },
        Rotation::Reused { family } => Refreshed::Reused { session: family },
        Rotation::Unusable => Refreshed::Unusable,
    })
}

/// Ends the sign-in that a token belongs to, and names it; `None` where the token is unknown.
///
/// # Errors
/// The database did not do it.
pub async fn end(accounts: &dyn Accounts, token: &str, now: Timestamp) -> Result<Option<Uuid>, DataError> {
    if key_of(token).is_none() {
        return Ok(None);
    }
    accounts.revoke_family(hash(token), now).await
}

fn text(key: &str, random: &str) -> String {
    format!("rt.{key}.{random}")
}

/// The key that a token names, if it looks like one of ours at all.
fn key_of(token: &str) -> Option<&str> {
    let (key, random) =
        (token.len() <= LONGEST).then(|| token.strip_prefix("rt.")?.split_once('.')).flatten()?;
    (!random.is_empty()).then_some(key)
}

/// The digest of a token, as it is stored.
fn hash(token: &str) -> String {
    hexadecimal(&digest(token))
}

/// Bytes in hexadecimal, as digests are stored.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn end_of(now: Timestamp) -> Timestamp {
    now.plus_millis(u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_depends_on_the_token_and_the_secret_and_on_nothing_else() {
        let ring = KeyRing::new("one secret", []);
        let next = |ring: &KeyRing, token: &str| {
            let (key, random) = ring.successor(key_of(token).expect("a key"), &digest(token));
            text(key, &random)
        };
        let token = text(ring.signing_id(), "random");
        let successor = next(&ring, &token);
        assert_eq!(successor, next(&KeyRing::new("one secret", []), &token), "another server");
        assert_ne!(successor, next(&KeyRing::new("another", []), &token));
        assert_ne!(successor, next(&ring, &text(ring.signing_id(), "random2")));
        assert_ne!(successor, next(&ring, &successor));
        // A change of secret between two requests of one moment changes nothing.
        assert_eq!(successor, next(&KeyRing::new("another", ["one secret"]), &token));
    }

    #[test]
    fn what_looks_like_no_token_is_none() {
        for odd in ["", "rt.", "rt.key", "rt.key.", "sk.key.random", &format!("rt.key.{}", "x".repeat(200))] {
            assert_eq!(key_of(odd), None, "{odd}");
        }
        assert_eq!(key_of("rt.key.random"), Some("key"));
    }
}
