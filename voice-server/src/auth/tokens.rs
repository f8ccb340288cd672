//! Our own access tokens: JSON Web Tokens (RFC 7519), HS256 and nothing else, good for 15 minutes.
//!
//! A ring of keys verifies and its first one signs, so that a new secret signs nobody out. A key is named in the header by
//! a digest of its secret (`kid`). The algorithm is fixed before a token is looked at: `none` and every other one are
//! refused whatever the header says (RFC 8725, section 3.1). Pure but for the random id; the time is passed in.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secrets::{derived_key, text_of};
use crate::data::Role;

/// Who issues our tokens.
pub const ISSUER: &str = "voice";
/// Whom they are for.
pub const AUDIENCE: &str = "voice";
/// How long an access token is good.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// By how much clocks of several servers may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// Longest token that is looked at, in bytes; ours have about 450, Supabase's up to some 3,000.
pub const LONGEST: usize = 8 * 1024;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: [`ISSUER`].
    pub iss: String,
    /// Audience: [`AUDIENCE`].
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The user's organization.
    pub org: Uuid,
    /// The user's role.
    pub role: Role,
    /// The sign-in that this token belongs to: the family of its refresh tokens. Signing out denies it.
    pub sid: Uuid,
    /// The user's revision that the role is of. A change of the user denies the earlier ones.
    #[serde(default)]
    pub rev: i64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
    /// When it was made.
    pub iat: u64,
    /// Its own id.
    pub jti: Uuid,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It was good once. Refresh it.
    #[error("the access token has expired")]
    Expired,
    /// It is not one of ours, or not for this server. Sign in.
    #[error("the access token is not valid")]
    Invalid,
}

/// Whose token is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user: Uuid,
    /// The organization.
    pub organization: Uuid,
    /// The role.
    pub role: Role,
    /// The sign-in.
    pub session: Uuid,
    /// The user's revision.
    pub revision: i64,
}

struct Key {
    id: String,
    signs: EncodingKey,
    verifies: DecodingKey,
    csrf: hmac::Key,
    refresh: hmac::Key,
    links: [u8; 32],
}

impl Key {
    fn new(secret: &str) -> Self {
        let secret = secret.as_bytes();
        let of_links = hmac::sign(&derived_key(secret, "voice links"), b"");
        let mut links = [0; 32];
        links.copy_from_slice(of_links.as_ref());
        let id = hmac::sign(&derived_key(secret, "voice key id"), b"");
        Self {
            id: text_of(&id.as_ref()[..9]),
            signs: EncodingKey::from_secret(secret),
            verifies: DecodingKey::from_secret(secret),
            csrf: derived_key(secret, "voice csrf"),
            refresh: derived_key(secret, "voice refresh"),
            links,
        }
    }
}

/// The keys of this server: the first signs, all verify.
pub struct KeyRing {
    signing: Key,
    earlier: Vec<Key>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("keys", &(1 + self.earlier.len())).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// A ring that signs with `secret` and still believes what `earlier` secrets signed.
    pub fn new<'s>(secret: &str, earlier: impl IntoIterator<Item = &'s str>) -> Self {
        Self { signing: Key::new(secret), earlier: earlier.into_iter().map(Key::new).collect() }
    }

    /// A secret for signed links, of which nothing about the others can be learnt. Another secret of the server ends all links.
    pub fn links(&self) -> &[u8] {
        &self.signing.links
    }

    /// An access token for `subject`, made at `now` in seconds since 1970, and when it ends.
    ///
    /// # Errors
    /// The library cannot sign, which is a fault of this program.
    pub fn sign(&self, subject: Subject, now: u64) -> Result<(String, u64), jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: subject.user,
            org: subject.organization,
            role: subject.role,
            sid: subject.session,
            rev: subject.revision,
            exp: now + LIFETIME.as_secs(),
            iat: now,
            jti: Uuid::new_v4(),
        };
        let header = Header { kid: Some(self.signing.id.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &self.signing.signs).map(|token| (token, claims.exp))
    }

    /// What a token says, if one of our keys signed it and it is good at `now`.
    ///
    /// # Errors
    /// See [`TokenError`]. A forged token is never told apart from a spoilt one.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let key =
            header.kid.and_then(|id| self.keys().find(|key| key.id == id)).ok_or(TokenError::Invalid)?;
        let mut expected = Validation::new(Algorithm::HS256);
        expected.set_issuer(&[ISSUER]);
        expected.set_audience(&[AUDIENCE]);
        expected.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library would ask the system's clock; times are checked below against the one that was passed in.
        expected.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifies, &expected)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        check_times(claims.exp, Some(claims.iat), None, now)?;
        Ok(claims)
    }

    /// The value that a page must repeat in a header to change anything by its cookie, for one sign-in.
    pub fn csrf(&self, session: Uuid) -> String {
        text_of(hmac::sign(&self.signing.csrf, session.as_bytes()).as_ref())
    }

    /// Whether `value` is that of this sign-in. Takes the same time for every wrong one.
    pub fn is_csrf(&self, session: Uuid, value: &str) -> bool {
        use base64::Engine as _;
        let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(value);
        decoded
            .is_ok_and(|tag| self.keys().any(|key| hmac::verify(&key.csrf, session.as_bytes(), &tag).is_ok()))
    }

    /// The name of the key that signs now.
    pub(super) fn signing_id(&self) -> &str {
        &self.signing.id
    }

    /// Whether a token's header names one of these keys.
    pub fn knows(&self, id: &str) -> bool {
        self.keys().any(|key| key.id == id)
    }

    /// What follows a refresh token with this digest, and the name of the key that says so: the one named by the token
    /// as long as it is in the ring, so that a change of secret changes no successor.
    pub(super) fn successor(&self, id: &str, digest: &[u8; 32]) -> (&str, String) {
        let key = self.keys().find(|key| key.id == id).unwrap_or(&self.signing);
        (&key.id, text_of(hmac::sign(&key.refresh, digest).as_ref()))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.earlier)
    }
}

/// Checks the times of a token, with [`LEEWAY`].
pub(super) fn check_times(exp: u64, iat: Option<u64>, nbf: Option<u64>, now: u64) -> Result<(), TokenError> {
    let leeway = LEEWAY.as_secs();
    if exp.saturating_add(leeway) <= now {
        return Err(TokenError::Expired);
    }
    let latest = now + leeway;
    if iat.is_some_and(|at| at > latest) || nbf.is_some_and(|at| at > latest) {
        return Err(TokenError::Invalid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn subject() -> Subject {
        Subject {
            user: Uuid::from_u128(1),
            organization: Uuid::from_u128(2),
            role: Role::Agent,
            session: Uuid::from_u128(3),
            revision: 4,
        }
    }

    fn ring() -> KeyRing {
        KeyRing::new("the secret of this server, long enough", [])
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    /// A token of the given header and claims, signed by HMAC-SHA-256 with `secret`.
    fn forged(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn claims_of(token: &str) -> Value {
        let payload = token.split('.').nth(1).expect("a payload");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("Base64")).expect("JSON")
    }

    #[test]
    fn a_token_says_what_it_was_made_of_for_fifteen_minutes_and_the_leeway() {
        let ring = ring();
        let (token, ends) = ring.sign(subject(), NOW).expect("signed");
        assert_eq!(ends, NOW + 900);
        let claims = ring.verify(&token, NOW).expect("good");
        assert_eq!(
            (claims.sub, claims.org, claims.role, claims.sid, claims.rev),
            (subject().user, subject().organization, subject().role, subject().session, 4)
        );
        assert!(ring.verify(&token, NOW + 929).is_ok());
        assert_eq!(ring.verify(&token, NOW + 930), Err(TokenError::Expired));
        // A server whose clock is a little behind accepts it, one far behind does not.
        assert!(ring.verify(&token, NOW - 30).is_ok());
        assert_eq!(ring.verify(&token, NOW - 31), Err(TokenError::Invalid));
        assert_ne!(ring.sign(subject(), NOW).expect("signed").0, token, "each has its own id");
    }

    #[test]
    fn forged_tokens_are_refused() {
        const SECRET: &[u8] = b"the secret of this server, long enough";
        let ring = ring();
        let (token, _) = ring.sign(subject(), NOW).expect("signed");
        let header: Value = {
            let head = token.split('.').next().expect("a header");
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).expect("Base64")).expect("JSON")
        };
        let claims = claims_of(&token);
        // The forger's tool itself is right: with everything in order the token passes.
        assert!(ring.verify(&forged(&header, &claims, SECRET), NOW).is_ok());
        let with = |of: &Value, name: &str, value: Value| {
            let mut of = of.clone();
            of[name] = value;
            of
        };
        let without = |name: &str| {
            let mut claims = claims.clone();
            claims.as_object_mut().expect("an object").remove(name);
            claims
        };
        let mut cases = vec![
            ("another secret", forged(&header, &claims, b"another secret")),
            ("an empty secret", forged(&header, &claims, b"")),
            (
                "the key's id as the secret",
                forged(&header, &claims, header["kid"].as_str().expect("kid").as_bytes()),
            ),
        ];
        for alg in ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "EdDSA", ""] {
            cases.push((alg, forged(&with(&header, "alg", json!(alg)), &claims, SECRET)));
        }
        let unsigned = format!("{}.{}.", part(&with(&header, "alg", json!("none"))), part(&claims));
        cases.push(("no signature", unsigned));
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!(null)),
            ("aud", json!("another")),
            ("aud", json!(["another"])),
            ("role", json!("owner")),
            ("sub", json!("not an id")),
            ("exp", json!("never")),
            ("exp", json!(-1)),
        ] {
            cases.push((name, forged(&header, &with(&claims, name, value), SECRET)));
        }
        for name in ["iss", "aud", "sub", "org", "role", "sid", "exp", "iat"] {
            cases.push((name, forged(&header, &without(name), SECRET)));
        }
        cases.push(("an unknown key", forged(&with(&header, "kid", json!("other")), &claims, SECRET)));
        cases.push(("too long", forged(&header, &with(&claims, "pad", json!("x".repeat(9_000))), SECRET)));
        for odd in ["", ".", "..", "a.b.c", "a.b.c.d", &token[..token.len() - 1], &format!("{token}.")] {
            cases.push(("odd", odd.to_owned()));
        }
        for (what, token) in cases {
            assert_eq!(ring.verify(&token, NOW), Err(TokenError::Invalid), "{what}: {token}");
        }
        assert_eq!(
            ring.verify(&forged(&header, &with(&claims, "exp", json!(0)), SECRET), NOW),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn every_changed_letter_spoils_a_token() {
        let ring = ring();
        let (token, _) = ring.sign(subject(), NOW).expect("signed");
        let claims = ring.verify(&token, NOW).expect("good");
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let spoilt = String::from_utf8(bytes).expect("ASCII");
            // The last letter of Base64 has bits that mean nothing; what it decodes to must then be the same.
            if let Ok(found) = ring.verify(&spoilt, NOW) {
                assert_eq!((found, at), (claims.clone(), token.len() - 1));
            }
        }
    }

    #[test]
    fn after_a_change_of_secret_earlier_tokens_hold_while_the_secret_is_listed() {
        let before = KeyRing::new("the first secret", []);
        let (token, _) = before.sign(subject(), NOW).expect("signed");
        let csrf = before.csrf(subject().session);
        let during = KeyRing::new("the second secret", ["the first secret"]);
        assert!(during.verify(&token, NOW).is_ok() && during.is_csrf(subject().session, &csrf));
        let (newer, _) = during.sign(subject(), NOW).expect("signed");
        let after = KeyRing::new("the second secret", []);
        assert!(after.verify(&newer, NOW).is_ok());
        assert_eq!(after.verify(&token, NOW), Err(TokenError::Invalid));
        assert!(!after.is_csrf(subject().session, &csrf));
    }

    #[test]
    fn the_word_against_forgery_belongs_to_one_sign_in() {
        let ring = ring();
        let (one, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        assert!(ring.is_csrf(one, &ring.csrf(one)));
        for wrong in [ring.csrf(other), String::new(), "x".into(), "!".repeat(43), "A".repeat(43)] {
            assert!(!ring.is_csrf(one, &wrong), "{wrong}");
        }
    }
}
