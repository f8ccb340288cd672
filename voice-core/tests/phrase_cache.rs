//! The phrase cache in front of a voice whose every sample tells which word it belongs to.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use voice_core::audio::SampleRate;
use voice_core::error::ProviderError;
use voice_core::ids::ReplyId;
use voice_core::tts::phrases::{PhraseCache, PhraseStore};
use voice_core::tts::{SpeechEvent, TextToSpeech, Voice, VoiceOptions, WordMark};

/// Samples of a letter, whole milliseconds of them; each has the number of the letter.
const LETTER: usize = 96;

/// Reads letter by letter, and counts the clauses that it was asked for.
#[derive(Default)]
struct Reader {
    asked: Arc<Mutex<Vec<String>>>,
    replies: Arc<AtomicUsize>,
    /// Fails behind the first half of each clause.
    breaks: Arc<AtomicBool>,
}

impl Reader {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

struct Reading {
    asked: Arc<Mutex<Vec<String>>>,
    replies: Arc<AtomicUsize>,
    breaks: Arc<AtomicBool>,
    rate: SampleRate,
}

fn rate_of(options: &VoiceOptions) -> SampleRate {
    if options.voice == "other" { SampleRate::HZ_48000 } else { SampleRate::HZ_24000 }
}

impl TextToSpeech for Reader {
    fn name(&self) -> &'static str {
        "reader"
    }

    fn sound(&self, options: &VoiceOptions) -> Option<String> {
        (options.voice != "secret").then(|| format!("reader {}", options.voice))
    }

    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        let (asked, replies, breaks) = (self.asked.clone(), self.replies.clone(), self.breaks.clone());
        Box::new(Reading { asked, replies, breaks, rate: rate_of(&options) })
    }
}

fn samples(clause: &str) -> Vec<i16> {
    clause.trim().bytes().flat_map(|letter| [i16::from(letter) * 100; LETTER]).collect()
}

/// Where the words of a clause lie that begins behind so many samples.
fn words(clause: &str, place: usize, rate: SampleRate, before: u64) -> Vec<WordMark> {
    let lead = clause.len() - clause.trim_start().len();
    let at = |byte: usize| rate.duration_of(before + ((byte - lead) * LETTER) as u64);
    let mut from = lead;
    clause
        .split_whitespace()
        .map(|word| {
            let upto = from + word.len();
            let mark = WordMark { clause: place, upto, start: at(from), end: at(upto) };
            from = upto + 1;
            mark
        })
        .collect()
}

impl Voice for Reading {
    fn speak(
        &mut self,
        _reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        self.replies.fetch_add(1, Ordering::Relaxed);
        let (asked, rate, breaks) = (self.asked.clone(), self.rate, self.breaks.load(Ordering::Relaxed));
        let place = (0_usize, 0_u64);
        clauses
            .scan(place, move |(clause, given), text| {
                asked.lock().unwrap().push(text.clone());
                let mut samples = samples(&text);
                let whole = samples.len();
                if breaks {
                    samples.truncate(whole / 2);
                }
                let words = words(&text, *clause, rate, *given);
                *given += samples.len() as u64;
                *clause += 1;
                let last = if breaks {
                    let detail = "on purpose".to_owned();
                    Err(ProviderError::Failed { provider: "reader", detail })
                } else {
                    Ok(SpeechEvent::ClauseEnd)
                };
                let events =
                    [Ok(SpeechEvent::Alignment(words)), Ok(SpeechEvent::Audio { rate, samples }), last];
                std::future::ready(Some(stream::iter(events)))
            })
            .flatten()
            .boxed()
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    rate: Option<SampleRate>,
    samples: Vec<i16>,
    words: Vec<WordMark>,
    ends: usize,
    failed: bool,
}

async fn hear(mut speech: BoxStream<'static, Result<SpeechEvent, ProviderError>>) -> Heard {
    let mut heard = Heard::default();
    while let Some(event) =
        tokio::time::timeout(Duration::from_secs(20), speech.next()).await.expect("in time")
    {
        match event {
            Ok(SpeechEvent::Audio { rate, samples }) => {
                assert!(heard.rate.is_none_or(|before| before == rate), "one rate a reply");
                heard.rate = Some(rate);
                heard.samples.extend(samples);
            }
            Ok(SpeechEvent::Alignment(words)) => heard.words.extend(words),
            Ok(SpeechEvent::ClauseEnd) => heard.ends += 1,
            Err(_) => heard.failed = true,
        }
    }
    heard
}

fn given(clauses: &[&str]) -> BoxStream<'static, String> {
    let clauses: Vec<String> = clauses.iter().map(|&clause| clause.to_owned()).collect();
    stream::iter(clauses).boxed()
}

async fn say(voice: &mut dyn Voice, clauses: &[&str]) -> Heard {
    hear(voice.speak(ReplyId::default(), given(clauses))).await
}

/// What a voice without a cache says.
async fn plain(clauses: &[&str]) -> Heard {
    say(&mut *Reader::default().open(VoiceOptions::default()), clauses).await
}

struct Stage {
    reader: Arc<Reader>,
    cache: PhraseCache,
    voice: Arc<dyn TextToSpeech>,
}

fn stage(most: u64) -> Stage {
    let (reader, cache) = (Arc::new(Reader::default()), PhraseCache::new(most));
    let voice = cache.over(cache.keeping(reader.clone()));
    Stage { reader, cache, voice }
}

const REPLY: [&str; 4] = ["Yes, it does.", " The garden is large,", " and the garage", " holds two cars."];

#[tokio::test]
async fn what_was_said_is_said_again_without_asking_and_sounds_the_same() {
    let Stage { reader, cache, voice } = stage(1 << 20);
    let mut call = voice.open(VoiceOptions::default());
    let once = say(&mut *call, &REPLY).await;
    assert_eq!(once, plain(&REPLY).await);
    assert_eq!((reader.asked().len(), reader.replies.load(Ordering::Relaxed)), (4, 1));
    let mut other = voice.open(VoiceOptions::default());
    assert_eq!(say(&mut *other, &REPLY).await, once, "another call");
    assert_eq!(reader.asked(), [""; 0]);
    assert_eq!(reader.replies.load(Ordering::Relaxed), 1, "the voice is not even opened for the reply");
    let stats = cache.stats();
    assert_eq!((stats.phrases, stats.hits, stats.misses), (4, 4, 4));
    assert!(stats.bytes as usize > once.samples.len() * 2);
}

#[tokio::test]
async fn kept_and_new_clauses_of_a_reply_come_in_their_order_whichever_are_kept() {
    for kept in 0..16_u32 {
        let Stage { reader, voice, .. } = stage(1 << 20);
        let mut call = voice.open(VoiceOptions::default());
        let known: Vec<&str> = (0..4).filter(|k| kept & (1 << k) != 0).map(|k| REPLY[k].trim()).collect();
        say(&mut *call, &known).await;
        assert_eq!(reader.asked(), known);
        assert_eq!(say(&mut *call, &REPLY).await, plain(&REPLY).await, "kept: {known:?}");
        let new: Vec<&str> = (0..4).filter(|k| kept & (1 << k) == 0).map(|k| REPLY[k]).collect();
        assert_eq!(reader.asked(), new);
    }
}

#[tokio::test]
async fn a_phrase_comes_at_once_while_the_text_is_still_being_written() {
    let Stage { voice, .. } = stage(1 << 20);
    let mut call = voice.open(VoiceOptions::default());
    say(&mut *call, &REPLY[..1]).await;
    let mut speech = call.speak(ReplyId::default(), given(&REPLY[..1]).chain(stream::pending()).boxed());
    let mut heard = 0;
    while heard < samples(REPLY[0]).len() {
        // Ready when it is asked for: the cache waits for nothing.
        match futures::FutureExt::now_or_never(speech.next()) {
            Some(Some(Ok(SpeechEvent::Audio { samples, .. }))) => heard += samples.len(),
            Some(Some(Ok(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(speech);
    assert!(say(&mut *call, &REPLY).await.ends == 4, "an interrupted reply leaves the voice as it was");
}

#[tokio::test]
async fn what_was_broken_off_is_not_kept() {
    let Stage { reader, cache, voice } = stage(1 << 20);
    let mut call = voice.open(VoiceOptions::default());
    reader.breaks.store(true, Ordering::Relaxed);
    assert!(say(&mut *call, &REPLY[..1]).await.failed);
    let mut speech = call.speak(ReplyId::default(), given(&REPLY[1..2]));
    assert!(speech.next().await.is_some());
    drop(speech);
    assert_eq!(cache.stats().phrases, 0);
    reader.breaks.store(false, Ordering::Relaxed);
    assert_eq!(say(&mut *call, &REPLY[..2]).await, plain(&REPLY[..2]).await);
}

#[tokio::test]
async fn another_sound_is_another_phrase_and_a_secret_voice_keeps_none() {
    let Stage { reader, cache, voice } = stage(1 << 20);
    let options = |voice: &str| VoiceOptions { voice: voice.to_owned(), ..VoiceOptions::default() };
    for name in ["one", "other", "secret"] {
        let mut call = voice.open(options(name));
        for _ in 0..2 {
            let heard = say(&mut *call, &REPLY[..1]).await;
            assert_eq!(heard.rate, Some(rate_of(&options(name))), "{name}");
        }
    }
    assert_eq!(reader.asked().len(), 1 + 1 + 2);
    assert_eq!(cache.stats().phrases, 2);
}

#[tokio::test]
async fn it_takes_no_more_room_than_it_may() {
    let Stage { cache, voice, .. } = stage(20_000);
    let mut call = voice.open(VoiceOptions::default());
    for k in 0..200 {
        say(&mut *call, &[&format!("The house of number {k}.")]).await;
    }
    let stats = cache.stats();
    assert!(stats.bytes <= 20_000 && stats.phrases <= 6, "{stats:?}");
}

/// Gives all sound first and the ends of the clauses behind it, without places: the trait allows that.
struct Late;

impl TextToSpeech for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn sound(&self, _options: &VoiceOptions) -> Option<String> {
        Some("late".to_owned())
    }

    fn open(&self, _options: VoiceOptions) -> Box<dyn Voice> {
        Box::new(Late)
    }
}

impl Voice for Late {
    fn speak(
        &mut self,
        _reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let all = async move {
            let clauses: Vec<String> = clauses.collect().await;
            let rate = SampleRate::HZ_24000;
            let audio = clauses.iter().map(|text| SpeechEvent::Audio { rate, samples: samples(text) });
            let ends = clauses.iter().map(|_| SpeechEvent::ClauseEnd);
            stream::iter(audio.chain(ends).map(Ok).collect::<Vec<_>>())
        };
        stream::once(all).flatten().boxed()
    }
}

#[tokio::test]
async fn a_voice_that_tells_ends_late_puts_no_words_under_others() {
    let cache = PhraseCache::new(1 << 20);
    let voice = cache.over(cache.keeping(Arc::new(Late)));
    let mut call = voice.open(VoiceOptions::default());
    say(&mut *call, &REPLY).await;
    assert_eq!(cache.stats().phrases, 0);
    let alone = say(&mut *call, &REPLY[..1]).await;
    assert_eq!(cache.stats().phrases, 1, "alone it is certain");
    assert_eq!(say(&mut *call, &REPLY[..1]).await, alone);
    let both = say(&mut *call, &REPLY[..2]).await;
    assert_eq!(both.samples, [samples(REPLY[0]), samples(REPLY[1])].concat());
}

/// Phrases by key.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<String, Bytes>>);

impl PhraseStore for Shelf {
    fn load<'s>(&'s self, key: &'s str) -> BoxFuture<'s, Option<Bytes>> {
        Box::pin(async move { self.0.lock().unwrap().get(key).cloned() })
    }

    fn save<'s>(&'s self, key: &'s str, phrase: Bytes) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            self.0.lock().unwrap().insert(key.to_owned(), phrase);
        })
    }
}

#[tokio::test]
async fn a_greeting_is_made_once_and_then_comes_from_the_store() {
    const GREETING: &str = "Hello, and welcome. Which home can I tell you about?";
    let shelf = Shelf::default();
    for (round, asked) in [(1, 2), (2, 0)] {
        // Each round is a new process.
        let Stage { reader, cache, voice } = stage(1 << 20);
        let options = VoiceOptions::default();
        let ready = cache.warm(&*voice, &options, GREETING, Some(&shelf)).await.unwrap();
        assert_eq!((ready, reader.asked().len()), (2, asked), "round {round}");
        let mut call = voice.open(options);
        let heard = say(&mut *call, &["Hello, and welcome.", " Which home can I tell you about?"]).await;
        assert_eq!(heard, plain(&["Hello, and welcome.", " Which home can I tell you about?"]).await);
        assert_eq!(reader.asked(), [""; 0]);
    }
    // What is no phrase any more is made again.
    shelf.0.lock().unwrap().values_mut().for_each(|bytes| *bytes = bytes.slice(..10));
    let Stage { reader, cache, voice } = stage(1 << 20);
    assert_eq!(cache.warm(&*voice, &VoiceOptions::default(), GREETING, Some(&shelf)).await.unwrap(), 2);
    assert_eq!(reader.asked().len(), 2);
    reader.breaks.store(true, Ordering::Relaxed);
    assert!(cache.warm(&*voice, &VoiceOptions::default(), "Something else.", None).await.is_err());
}
