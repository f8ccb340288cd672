//! Keys of organizations: `sk_…` from server to server, `pk_…` in web pages.
//!
//! A key is its kind and 256 random bits; its digest alone is stored, so a key that was not noted down is made anew. What was
//! found in the database is remembered for [`FRESH`]; a key that is revoked meanwhile is denied (`denials`), and where no Redis
//! tells that, it may still work on another server for so long.
//! Callers: `identity`, `voice key`, the console's routes.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use uuid::Uuid;

use super::refresh::hexadecimal;
use super::secrets::{NoRandomness, digest, random_text};
use crate::data::{Accounts, ApiKey, DataError, KeyKind, NewApiKey, Timestamp};

/// How long an answer of the database holds.
pub const FRESH: Duration = Duration::from_secs(10);
/// How long the pages of publishable keys are not read again: so long a new one's pages may wait on another server.
const PAGES_FRESH: Duration = Duration::from_secs(5);
/// Keys that are remembered at most.
const REMEMBERED: u64 = 10_000;
/// Letters that follow the prefix.
const LETTERS: usize = 43;
/// Letters of a key that people may see.
const SHOWN: usize = 8;

/// What is to be said of a new key.
#[derive(Clone, Debug)]
pub struct KeyWish {
    /// Whose.
    pub organization: Uuid,
    /// Whether it may be shown to the world.
    pub kind: KeyKind,
    /// For people.
    pub name: String,
    /// Web origins whose pages may use it, in lower case.
    pub origins: Vec<String>,
    /// Calls at the same time.
    pub max_calls: Option<i64>,
    /// Millionths of a dollar a day.
    pub daily_spend_micros: Option<i64>,
}

/// A new key: its text, which is told once, and what is stored.
///
/// # Errors
/// The system gives no random bytes.
pub fn make(wish: KeyWish, now: Timestamp) -> Result<(String, NewApiKey), NoRandomness> {
    let text = format!("{}{}", prefix(wish.kind), random_text()?);
    let key = ApiKey {
        id: Uuid::new_v4(),
        organization_id: wish.organization,
        kind: wish.kind,
        name: wish.name,
        hint: text.chars().take(SHOWN).collect(),
        origins: wish.origins,
        max_calls: wish.max_calls,
        daily_spend_micros: wish.daily_spend_micros,
        created_at: now,
        revoked_at: None,
    };
    let hash = hexadecimal(&digest(&text));
    Ok((text, NewApiKey { key, hash }))
}

/// Whether a credential claims to be a key.
pub fn is_key(text: &str) -> bool {
    kind_of(text).is_some()
}

fn kind_of(text: &str) -> Option<KeyKind> {
    [KeyKind::Secret, KeyKind::Publishable].into_iter().find(|kind| text.starts_with(prefix(*kind)))
}

const fn prefix(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Secret => "sk_",
        KeyKind::Publishable => "pk_",
    }
}

/// Keys as requests show them.
#[derive(Debug)]
pub struct Keys {
    known: Cache<[u8; 32], Option<Arc<ApiKey>>>,
    /// The pages of all publishable keys, and when they were read. Held while they are read, so that it is done once.
    pages: tokio::sync::Mutex<Option<(Instant, HashSet<String>)>>,
    /// Counts what makes the pages be read again.
    changes: AtomicU64,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(FRESH).build(),
            pages: tokio::sync::Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }
}

impl Keys {
    /// The key of this text; `None` where there is none, or it is revoked.
    ///
    /// # Errors
    /// The database does not answer, and the key was not asked for a moment ago.
    pub async fn find(&self, accounts: &dyn Accounts, text: &str) -> Result<Option<Arc<ApiKey>>, DataError> {
        let Some(kind) = kind_of(text) else { return Ok(None) };
        if text.len() != prefix(kind).len() + LETTERS {
            return Ok(None);
        }
        let digest = digest(text);
        if let Some(known) = self.known.get(&digest) {
            return Ok(known);
        }
        let found = accounts.key_by_hash(hexadecimal(&digest)).await?;
        // What the prefix says and what was stored can only differ where somebody changed the database.
        let found = found.filter(|key| key.kind == kind && key.revoked_at.is_none()).map(Arc::new);
        self.known.insert(digest, found.clone());
        Ok(found)
    }

    /// Whether some publishable key is for pages of this origin, in lower case. What a browser asks before it lets a page
    /// show its key names no key. Where the database does not answer, what was read last holds.
    pub async fn is_page(&self, accounts: &dyn Accounts, origin: &str) -> bool {
        let mut pages = self.pages.lock().await;
        if pages.as_ref().is_none_or(|(read, _)| read.elapsed() >= PAGES_FRESH)
            || self.changes.swap(0, Ordering::SeqCst) > 0
        {
            let read = accounts.publishable_origins().await;
            let origins = match read {
                Ok(origins) => origins.into_iter().collect(),
                Err(_) => pages.take().map(|(_, before)| before).unwrap_or_default(),
            };
            *pages = Some((Instant::now(), origins));
        }
        pages.as_ref().is_some_and(|(_, origins)| origins.contains(origin))
    }

    /// Forgets what is remembered: a key was made or revoked here.
    pub fn forget(&self) {
        self.known.invalidate_all();
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_kind_and_only_its_digest_is_stored() {
        for (kind, prefix) in [(KeyKind::Secret, "sk_"), (KeyKind::Publishable, "pk_")] {
            let wish = KeyWish {
                organization: Uuid::from_u128(1),
                kind,
                name: "shop".into(),
                origins: vec![],
                max_calls: None,
                daily_spend_micros: None,
            };
            let (text, stored) = make(wish, Timestamp::from_millis(1)).expect("made");
            assert!(text.starts_with(prefix) && text.len() == 46 && is_key(&text));
            assert_eq!(stored.hash, hexadecimal(&digest(&text)));
            assert_eq!(stored.key.hint, text[..8]);
            assert!(!format!("{stored:?}").contains(&text));
        }
        assert!(!is_key("ey.x.y") && !is_key(""));
    }
}
