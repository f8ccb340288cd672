//! Phrase cache: what a voice has said once is said again from memory, at once and without a request.
//!
//! A phrase is one clause as the voice was given it, under everything else that decides how it sounds
//! ([`TextToSpeech::sound`]). [`PhraseCache::keeping`] goes around each voice and keeps what it says whole;
//! [`PhraseCache::over`] goes around the voice that calls use, which may be a line-up of several, and speaks from memory
//! what the voice that would be asked at the moment has said before. `phrase` is what is kept, `keep` and `speak` are the
//! two wrappers. Phrases of the program itself, such as the greeting, are made ready by [`PhraseCache::warm`] and may
//! outlive the process in a [`PhraseStore`]; what was said to callers stays in memory.

mod keep;
mod phrase;
mod speak;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use moka::sync::Cache;

pub(super) use phrase::Phrase;

use super::{TextToSpeech, VoiceOptions};
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::text::chunker::Chunker;
use crate::text::speakable::SpokenReply;

/// Phrases that were spoken, shared by all calls. Cheap to clone.
#[derive(Clone)]
pub struct PhraseCache(Arc<Shared>);

struct Shared {
    /// The least used of them leave first.
    phrases: Cache<Key, Arc<Phrase>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How it sounds, and the text without the white space around it, which is not heard.
type Key = (Arc<str>, Box<str>);

impl std::fmt::Debug for PhraseCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PhraseCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// How a cache does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhraseStats {
    /// Phrases that are kept.
    pub phrases: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Phrases spoken from memory since the start.
    pub hits: u64,
    /// Phrases that a voice was asked for.
    pub misses: u64,
}

/// Where phrases of the program itself outlive it: a folder, a cache server. Losing it costs a request, never a call.
pub trait PhraseStore: Send + Sync {
    /// What was saved under the key, if anything.
    fn load<'s>(&'s self, key: &'s str) -> BoxFuture<'s, Option<Bytes>>;

    /// Keeps a phrase, a few hundred KB at most.
    fn save<'s>(&'s self, key: &'s str, phrase: Bytes) -> BoxFuture<'s, ()>;
}

impl PhraseCache {
    /// Keeps up to so many bytes of speech; a minute at 24 kHz takes 2.9 MB.
    pub fn new(most_bytes: u64) -> Self {
        let phrases = Cache::builder()
            .max_capacity(most_bytes)
            .weigher(|key: &Key, phrase: &Arc<Phrase>| {
                u32::try_from(key.1.len() + phrase.bytes()).unwrap_or(u32::MAX)
            })
            .build();
        Self(Arc::new(Shared { phrases, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }))
    }

    /// The same voice, whose clauses are kept once they were spoken whole. Goes around each single voice.
    pub fn keeping(&self, voice: Arc<dyn TextToSpeech>) -> Arc<dyn TextToSpeech> {
        Arc::new(keep::KeepingVoice { cache: self.clone(), voice })
    }

    /// The same voice, which speaks what is kept from memory. Goes around whatever the calls use.
    pub fn over(&self, voice: Arc<dyn TextToSpeech>) -> Arc<dyn TextToSpeech> {
        Arc::new(speak::CachedVoice { cache: self.clone(), voice })
    }

    /// How it does.
    pub fn stats(&self) -> PhraseStats {
        // What was taken in lately counts too.
        self.0.phrases.run_pending_tasks();
        PhraseStats {
            phrases: self.0.phrases.entry_count(),
            bytes: self.0.phrases.weighted_size(),
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: self.0.misses.load(Ordering::Relaxed),
        }
    }

    /// Makes a text ready that will be said word for word: from the store, or by asking the voice, which must be one that
    /// [`keeping`](Self::keeping) goes around. How many clauses are ready; 0 where the voice is not to be kept.
    ///
    /// # Errors
    /// The voice failed or took too long.
    pub async fn warm(
        &self,
        voice: &dyn TextToSpeech,
        options: &VoiceOptions,
        text: &str,
        store: Option<&dyn PhraseStore>,
    ) -> Result<usize, ProviderError> {
        let Some(sound) = voice.sound(options) else { return Ok(0) };
        let sound: Arc<str> = sound.into();
        let clauses = clauses(text, &options.language);
        let mut missing = clauses.clone();
        if let Some(store) = store {
            self.recall(voice, options, text, store).await;
        }
        missing.retain(|clause| self.get(&sound, clause).is_none());
        if missing.is_empty() {
            return Ok(clauses.len());
        }
        let given = futures::stream::iter(missing.clone()).boxed();
        let mut speech = voice.open(options.clone()).speak(ReplyId(0), given);
        let spoken = async {
            while let Some(event) = speech.next().await {
                event?;
            }
            Ok(())
        };
        let late = ProviderError::TimedOut { provider: voice.name(), after: WARM_WITHIN };
        tokio::time::timeout(WARM_WITHIN, spoken).await.unwrap_or(Err(late))?;
        if let Some(store) = store {
            for clause in &missing {
                if let Some(phrase) = self.get(&sound, clause) {
                    within(store.save(&store_key(&sound, clause), phrase.encode())).await;
                }
            }
        }
        Ok(clauses.iter().filter(|clause| self.get(&sound, clause).is_some()).count())
    }

    /// The same as far as the store has it; asks no voice.
    pub async fn recall(
        &self,
        voice: &dyn TextToSpeech,
        options: &VoiceOptions,
        text: &str,
        store: &dyn PhraseStore,
    ) {
        let Some(sound) = voice.sound(options) else { return };
        let sound: Arc<str> = sound.into();
        for clause in clauses(text, &options.language) {
            if self.get(&sound, &clause).is_some() {
                continue;
            }
            let kept = within(store.load(&store_key(&sound, &clause))).await.flatten();
            if let Some(phrase) = kept.as_deref().and_then(Phrase::decode) {
                self.put(&sound, &clause, phrase);
            }
        }
    }

    fn get(&self, sound: &Arc<str>, clause: &str) -> Option<Arc<Phrase>> {
        self.0.phrases.get(&(sound.clone(), clause.trim().into()))
    }

    fn put(&self, sound: &Arc<str>, clause: &str, phrase: Phrase) {
        self.0.phrases.insert((sound.clone(), clause.trim().into()), Arc::new(phrase));
    }

    /// The same as [`get`](Self::get) for a caller who waits, counted.
    fn look_up(&self, sound: &Arc<str>, clause: &str) -> Option<Arc<Phrase>> {
        let found = self.get(sound, clause);
        let counter = if found.is_some() { &self.0.hits } else { &self.0.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }
}

/// Longest time that a text may take to be made ready. No caller waits for it.
const WARM_WITHIN: Duration = Duration::from_secs(20);
/// Longest time that a store may take.
const STORE_WITHIN: Duration = Duration::from_secs(2);

async fn within<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(STORE_WITHIN, work).await.ok()
}

fn store_key(sound: &str, clause: &str) -> String {
    format!("{sound}\n{}", clause.trim())
}

/// White space before the clause's words.
fn lead(clause: &str) -> usize {
    clause.len() - clause.trim_start().len()
}

/// The clauses of a text as a reply gives them to a voice.
fn clauses(text: &str, language: &str) -> Vec<String> {
    let mut chunker = Chunker::default();
    chunker.push_delta(text);
    chunker.finish();
    let mut spoken = SpokenReply::in_language(if language.is_empty() { "en" } else { language });
    std::iter::from_fn(|| chunker.poll_clause())
        .filter(|clause| !clause.trim().is_empty())
        .map(|clause| spoken.push_clause(&clause).into_text())
        .collect()
}
