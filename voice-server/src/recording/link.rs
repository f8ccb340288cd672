//! Links to recordings that need no sign-in: whoever may read a conversation gets them, and they end after a while.
//!
//! The signature is an HMAC-SHA256 over the recording, its organization and the end of the link, with a key of its own
//! that is derived from the server's secret. The organization stands in the signature's bytes, so that the row is looked
//! up within it; who changes it has no valid signature any more. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::data::{Recording, RecordingState, Timestamp};
use crate::storage::derived;

/// How long a link works.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// A recording as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The recording.
    pub id: Uuid,
    /// Where it is heard, without signing in.
    pub url: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// When its first sound was, some time after the conversation began: a player takes the difference from a turn's place.
    pub started_at: Timestamp,
    /// How long it is.
    pub seconds: f64,
    /// Two, the caller left.
    pub channels: i64,
}

/// Makes and checks links.
#[derive(Clone)]
pub struct Links(hmac::Key);

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links([redacted])")
    }
}

impl Links {
    /// Links of a server with this secret; another secret ends them.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &derived(secret, "voice recording links 1")))
    }

    /// The link to a recording; `None` where it cannot be heard (yet).
    pub fn link(&self, recording: &Recording, now: Timestamp) -> Option<Link> {
        if recording.state != RecordingState::Stored {
            return None;
        }
        let expires_at = now.plus_millis(LASTS.as_millis() as u64);
        // Whole seconds in the address.
        let expires = expires_at.as_millis().div_euclid(1_000);
        let organization = recording.organization_id;
        let tag = hmac::sign(&self.0, &signed(organization, recording.id, expires));
        let signature = URL_SAFE_NO_PAD.encode([organization.as_bytes().as_slice(), tag.as_ref()].concat());
        Some(Link {
            id: recording.id,
            url: format!("/api/v1/recordings/{}?expires={expires}&signature={signature}", recording.id),
            expires_at: Timestamp::from_millis(expires * 1_000),
            started_at: recording.started_at,
            seconds: recording.audio_ms as f64 / 1_000.0,
            channels: recording.channels,
        })
    }

    /// The organization whose recording `id` may be heard with these parts of an address; `None`: nobody's.
    pub fn check(&self, id: Uuid, expires: &str, signature: &str, now: Timestamp) -> Option<Uuid> {
        let bytes = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let (organization, tag) = bytes.split_at_checked(16)?;
        let organization = Uuid::from_slice(organization).ok()?;
        // Only as it is written: one link has one address.
        let end: i64 = expires.parse().ok().filter(|end: &i64| end.to_string() == expires)?;
        hmac::verify(&self.0, &signed(organization, id, end), tag).ok()?;
        (now.as_millis() < end.checked_mul(1_000)?).then_some(organization)
    }
}

fn signed(organization: Uuid, id: Uuid, expires: i64) -> Vec<u8> {
    [organization.as_bytes().as_slice(), id.as_bytes(), &expires.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(state: RecordingState) -> Recording {
        Recording {
            id: Uuid::from_u128(7),
            organization_id: Uuid::from_u128(1),
            conversation_id: Uuid::from_u128(2),
            object: "recordings/a.ogg".into(),
            state,
            started_at: Timestamp::from_millis(0),
            audio_ms: 61_500,
            bytes: 1,
            channels: 2,
            encrypted: false,
            expires_at: None,
        }
    }

    fn parts(url: &str) -> (String, String) {
        let (_, query) = url.split_once("?expires=").expect("an end");
        let (expires, signature) = query.split_once("&signature=").expect("a signature");
        (expires.into(), signature.into())
    }

    #[test]
    fn a_link_works_for_its_recording_until_its_end() {
        let links = Links::new(b"secret");
        let now = Timestamp::from_millis(1_700_000_000_123);
        let link = links.link(&recording(RecordingState::Stored), now).expect("a link");
        assert!((link.seconds - 61.5).abs() < 1e-9 && link.channels == 2);
        assert!(link.url.starts_with("/api/v1/recordings/00000000-0000-0000-0000-000000000007?"));
        let (expires, signature) = parts(&link.url);
        let (id, last) = (Uuid::from_u128(7), Timestamp::from_millis(link.expires_at.as_millis() - 1));
        for at in [now, last] {
            assert_eq!(links.check(id, &expires, &signature, at), Some(Uuid::from_u128(1)));
        }
        assert_eq!(links.check(id, &expires, &signature, link.expires_at), None);
        for state in [RecordingState::Open, RecordingState::Failed] {
            assert_eq!(links.link(&recording(state), now), None);
        }
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let links = Links::new(b"secret");
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (expires, signature) =
            parts(&links.link(&recording(RecordingState::Stored), now).expect("a link").url);
        let id = Uuid::from_u128(7);
        assert!(links.check(id, &expires, &signature, now).is_some());
        assert_eq!(links.check(Uuid::from_u128(8), &expires, &signature, now), None);
        assert_eq!(Links::new(b"other").check(id, &expires, &signature, now), None);
        let later = (expires.parse::<i64>().expect("a number") + 1).to_string();
        for expires in
            [&*later, "", "x", &format!("+{expires}"), &format!("0{expires}"), &i64::MAX.to_string()]
        {
            assert_eq!(links.check(id, expires, &signature, now), None, "{expires}");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&signature).expect("bytes");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(links.check(id, &expires, &URL_SAFE_NO_PAD.encode(changed), now), None, "byte {at}");
        }
        for signature in ["", "AAAA", &signature[..signature.len() - 2], &format!("{signature}A")] {
            assert_eq!(links.check(id, &expires, signature, now), None, "{signature}");
        }
    }
}
