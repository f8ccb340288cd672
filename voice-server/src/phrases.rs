//! The greeting's sound on disk, so that a start does not pay a voice for it again.
//!
//! One file a phrase, named by the SHA-256 of its key. Only what the program itself says goes here, never what was said to
//! a caller. A file that cannot be read or written costs a request to the voice and nothing else. Where there is a Redis, what
//! one server had spoken the others take from there.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use voice_core::tts::phrases::PhraseStore;

use crate::cache::{Area, Caching, Entry, Key};

/// A folder of phrases.
#[derive(Debug)]
pub(crate) struct PhraseFolder(PathBuf);

impl PhraseFolder {
    /// The one in the data directory; made when something is kept.
    pub(crate) fn of(data: &Path) -> Self {
        Self(data.join("phrases"))
    }

    fn file(&self, key: &str) -> PathBuf {
        self.0.join(format!("{}.phrase", name(key)))
    }

    fn save_now(&self, key: &str, phrase: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        self.drop_oldest()?;
        let file = self.file(key);
        // Written aside, so that nobody reads half of it.
        let aside = file.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&aside, phrase)?;
        std::fs::rename(&aside, &file)
    }

    /// Voices and greetings change; what they leave behind is bounded.
    fn drop_oldest(&self) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = std::fs::read_dir(&self.0)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect();
        files.sort();
        let excess = (files.len() + 1).saturating_sub(MOST_FILES);
        files.iter().take(excess).try_for_each(|(_, file)| std::fs::remove_file(file))
    }
}

/// Of a phrase, without its words. Another version may speak with other weights or settings under the same words.
fn name(key: &str) -> String {
    let key = format!("{}\n{key}", env!("CARGO_PKG_VERSION"));
    Sha256::digest(key.as_bytes()).iter().fold(String::new(), |name, byte| format!("{name}{byte:02x}"))
}

/// The folder of this server, and the Redis of all where there is one.
#[derive(Debug)]
pub(crate) struct SharedPhrases {
    folder: PhraseFolder,
    cache: Caching,
}

impl SharedPhrases {
    /// Those in the data directory and in the cache.
    pub(crate) fn of(data: &Path, cache: &Caching) -> Self {
        Self { folder: PhraseFolder::of(data), cache: cache.clone() }
    }
}

fn place(key: &str) -> Key {
    Key::new(Area::Phrase, Uuid::nil(), &name(key))
}

impl PhraseStore for SharedPhrases {
    fn load<'s>(&'s self, key: &'s str) -> BoxFuture<'s, Option<Bytes>> {
        Box::pin(async move {
            if let Some(phrase) = self.folder.load(key).await {
                return Some(phrase);
            }
            let found = self.cache.shared()?.look(&place(key)).await.ok()?.entry?.value;
            self.folder.save(key, found.clone()).await;
            Some(found)
        })
    }

    fn save<'s>(&'s self, key: &'s str, phrase: Bytes) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            if let Some(redis) = self.cache.shared() {
                let entry = Entry::new(phrase.clone(), OLDEST, Duration::ZERO);
                // Where Redis is away, each server has its own.
                let _ = redis.put(&place(key), entry, None).await;
            }
            self.folder.save(key, phrase).await;
        })
    }
}

/// Phrases on disk, some 10 MB.
const MOST_FILES: usize = 64;
/// After that it is spoken anew: a service may have changed its voice, an account its settings. 30 days.
const OLDEST: Duration = Duration::from_secs(30 * 86_400);
/// Bytes of a file that can be a phrase: 15 s at 48 kHz and its words.
const MOST_BYTES: u64 = 2 << 20;

impl PhraseStore for PhraseFolder {
    fn load<'s>(&'s self, key: &'s str) -> BoxFuture<'s, Option<Bytes>> {
        let file = self.file(key);
        Box::pin(async move {
            let found = tokio::fs::metadata(&file).await.ok()?;
            let aged = found.modified().ok()?.elapsed().is_ok_and(|age| age > OLDEST);
            if aged || found.len() > MOST_BYTES {
                return None;
            }
            tokio::fs::read(&file).await.ok().map(Bytes::from)
        })
    }

    fn save<'s>(&'s self, key: &'s str, phrase: Bytes) -> BoxFuture<'s, ()> {
        let (folder, key) = (Self(self.0.clone()), key.to_owned());
        Box::pin(async move {
            let saved = tokio::task::spawn_blocking(move || folder.save_now(&key, &phrase)).await;
            if let Ok(Err(error)) = saved {
                tracing::warn!(%error, "a phrase cannot be kept in the data directory; it is made again at the next start");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use voice_fixtures::private::PrivateRedis;

    use super::*;
    use crate::config::Secret;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn what_one_server_had_spoken_another_takes_from_redis() {
        let Some(redis) = PrivateRedis::start() else { return };
        let mut folders = Vec::new();
        let mut phrases = Vec::new();
        for _ in 0..2 {
            let folder = std::env::temp_dir().join(format!("voice-phrases-{}", Uuid::new_v4()));
            let cache = Caching::with_redis(1 << 20, &Secret::new(redis.url()), &Metrics::default());
            let cache = cache.expect("an address");
            tokio::time::timeout(Duration::from_secs(20), cache.whole()).await.expect("Redis answers");
            phrases.push(SharedPhrases::of(&folder, &cache));
            folders.push(folder);
        }
        let sound = Bytes::from(vec![7; 300_000]);
        assert_eq!(phrases[1].load("words").await, None);
        phrases[0].save("words", sound.clone()).await;
        assert_eq!(phrases[1].load("words").await, Some(sound.clone()));
        // And has it from then on.
        let _frozen = redis.freeze();
        assert_eq!(phrases[1].load("words").await, Some(sound));
        assert!(!redis_holds_words(&phrases[0].folder, "words"));
        for folder in folders {
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    /// Whether a name tells what is said.
    fn redis_holds_words(folder: &PhraseFolder, words: &str) -> bool {
        place(words).to_string().contains(words) || folder.file(words).to_string_lossy().contains(words)
    }

    #[tokio::test]
    async fn phrases_are_found_again_and_bounded() {
        let data = std::env::temp_dir().join(format!("voice-phrases-{}", uuid::Uuid::new_v4()));
        let folder = PhraseFolder::of(&data);
        assert_eq!(folder.load("a").await, None);
        for k in 0..MOST_FILES + 6 {
            folder.save(&format!("key {k}"), Bytes::from(vec![k as u8; 100])).await;
        }
        let last = MOST_FILES + 5;
        assert_eq!(folder.load(&format!("key {last}")).await, Some(Bytes::from(vec![last as u8; 100])));
        let files = std::fs::read_dir(data.join("phrases")).expect("the folder").count();
        assert_eq!(files, MOST_FILES);
        std::fs::write(folder.file("huge"), vec![0; MOST_BYTES as usize + 1]).expect("written");
        assert_eq!(folder.load("huge").await, None);
        // A file in the folder's place.
        std::fs::remove_dir_all(&data).expect("removed");
        std::fs::write(&data, "no folder").expect("written");
        folder.save("a", Bytes::from_static(b"lost")).await;
        assert_eq!(folder.load("a").await, None);
        std::fs::remove_file(&data).expect("removed");
    }
}
