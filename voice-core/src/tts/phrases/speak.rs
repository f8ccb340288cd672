//! The wrapper around a call's voice that speaks from memory what is kept.
//!
//! The clauses of a reply come out in their order: kept ones at once, the others from the voice, which is given only
//! those and is opened for speech with the first of them. Words and clauses count from the reply's start, whoever gave
//! them, and a reply has one rate. Where a clause comes from memory between others of the voice, it follows them without
//! a wait, while the voice is at the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::{self, BoxStream};

use super::phrase::Phrase;
use super::{PhraseCache, TextToSpeech, VoiceOptions, lead};
use crate::audio::{Resampler, SampleRate};
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::tts::{SpeechEvent, Voice, WordMark};

pub(super) struct CachedVoice {
    pub(super) cache: PhraseCache,
    pub(super) voice: Arc<dyn TextToSpeech>,
}

impl TextToSpeech for CachedVoice {
    fn name(&self) -> &'static str {
        self.voice.name()
    }

    fn sound(&self, options: &VoiceOptions) -> Option<String> {
        self.voice.sound(options)
    }

    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        let call = Arc::new(Mutex::new(self.voice.open(options.clone())));
        Box::new(Call { cache: self.cache.clone(), voice: self.voice.clone(), options, call })
    }
}

/// One call's voice.
struct Call {
    cache: PhraseCache,
    voice: Arc<dyn TextToSpeech>,
    options: VoiceOptions,
    call: Arc<Mutex<Box<dyn Voice>>>,
}

impl Voice for Call {
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let Some(sound) = self.voice.sound(&self.options) else {
            return lock(&self.call).speak(reply, clauses);
        };
        let speech = Speech {
            cache: self.cache.clone(),
            sound: sound.into(),
            clauses: Some(clauses),
            slots: VecDeque::new(),
            placed: 0,
            from_memory: Duration::ZERO,
            reply,
            call: self.call.clone(),
            feed: None,
            voice: None,
            asked: Vec::new(),
            rate: None,
            conversion: None,
            given: 0,
            ready: VecDeque::new(),
        };
        stream::unfold(speech, |mut speech| async move { speech.next().await.map(|event| (event, speech)) })
            .boxed()
    }
}

/// A clause that is not over.
enum Slot {
    Kept(Kept),
    Asked,
}

/// A clause that comes from memory.
struct Kept {
    /// Its place in the reply.
    clause: usize,
    /// Bytes of white space before its words.
    lead: usize,
    phrase: Arc<Phrase>,
}

/// A clause that the voice was given.
#[derive(Clone, Copy)]
struct Asked {
    /// Its place in the reply.
    clause: usize,
    /// How long the kept clauses before it last.
    shift: Duration,
}

/// One reply.
struct Speech {
    cache: PhraseCache,
    sound: Arc<str>,
    /// `None` behind the last one.
    clauses: Option<BoxStream<'static, String>>,
    slots: VecDeque<Slot>,
    /// Clauses that came.
    placed: usize,
    /// How long all kept clauses that came last.
    from_memory: Duration,
    reply: ReplyId,
    call: Arc<Mutex<Box<dyn Voice>>>,
    /// To the voice, from its first clause on. Not more than the text of the reply waits in it. Dropped at the end of the
    /// text.
    feed: Option<UnboundedSender<String>>,
    voice: Option<BoxStream<'static, Result<SpeechEvent, ProviderError>>>,
    asked: Vec<Asked>,
    /// That of the first audio.
    rate: Option<SampleRate>,
    /// Of the voice's samples, where it speaks at another rate.
    conversion: Option<(SampleRate, Resampler)>,
    /// Samples given out.
    given: u64,
    ready: VecDeque<SpeechEvent>,
}

/// Samples in one event: 500 ms at 24 kHz.
const PIECE: usize = 12_000;

impl Speech {
    async fn next(&mut self) -> Option<Result<SpeechEvent, ProviderError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(kept) = self.next_kept() {
                self.recite(&kept);
                continue;
            }
            let Self { clauses, voice, .. } = self;
            tokio::select! {
                biased;
                clause = of(clauses), if clauses.is_some() => self.place(clause),
                event = of(voice), if voice.is_some() => match event {
                    Some(Ok(event)) => self.pass_on(event),
                    Some(Err(error)) => {
                        (self.clauses, self.voice) = (None, None);
                        self.slots.clear();
                        return Some(Err(error));
                    }
                    None => {
                        self.voice = None;
                        self.finish_conversion();
                        if !self.slots.is_empty() {
                            // It ended before its text, and so does the reply: nothing may be said in place of what is missing.
                            self.slots.clear();
                            self.clauses = None;
                        }
                    }
                },
                else => return None,
            }
        }
    }

    fn next_kept(&mut self) -> Option<Kept> {
        match self.slots.pop_front_if(|slot| matches!(slot, Slot::Kept(..)))? {
            Slot::Kept(kept) => Some(kept),
            Slot::Asked => None,
        }
    }

    /// The next clause, or the end of them.
    fn place(&mut self, clause: Option<String>) {
        let Some(clause) = clause else {
            (self.clauses, self.feed) = (None, None);
            return;
        };
        match self.cache.look_up(&self.sound, &clause) {
            Some(phrase) => {
                self.from_memory += phrase.rate.duration_of(phrase.samples.len() as u64);
                let kept = Kept { clause: self.placed, lead: lead(&clause), phrase };
                self.slots.push_back(Slot::Kept(kept));
            }
            None => {
                self.asked.push(Asked { clause: self.placed, shift: self.from_memory });
                self.slots.push_back(Slot::Asked);
                // A voice that does not listen any more says why by itself.
                let _ = self.feed().unbounded_send(clause);
            }
        }
        self.placed += 1;
    }

    /// The way to the voice, which is opened for this reply with the first clause that is not kept.
    fn feed(&mut self) -> &UnboundedSender<String> {
        self.feed.get_or_insert_with(|| {
            let (feed, fed) = unbounded();
            self.voice = Some(lock(&self.call).speak(self.reply, fed.boxed()));
            feed
        })
    }

    /// Gives out a kept clause.
    fn recite(&mut self, kept: &Kept) {
        let Kept { clause, lead, phrase } = kept;
        // What the conversion of the voice before it holds back would come too late.
        self.finish_conversion();
        let rate = *self.rate.get_or_insert(phrase.rate);
        let from = rate.duration_of(self.given);
        let words: Vec<WordMark> = phrase
            .words
            .iter()
            .map(|word| WordMark {
                clause: *clause,
                upto: word.upto + lead,
                start: from + word.start,
                end: from + word.end,
            })
            .collect();
        if !words.is_empty() {
            self.ready.push_back(SpeechEvent::Alignment(words));
        }
        let mut converted = Vec::new();
        let samples = if rate == phrase.rate {
            &phrase.samples
        } else {
            let mut resampler = Resampler::new(phrase.rate, rate);
            resampler.push_into(&phrase.samples, &mut converted);
            resampler.finish_into(&mut converted);
            &converted
        };
        for piece in samples.chunks(PIECE) {
            self.give(rate, piece.to_vec());
        }
        self.ready.push_back(SpeechEvent::ClauseEnd);
    }

    /// What the voice said.
    fn pass_on(&mut self, event: SpeechEvent) {
        match event {
            SpeechEvent::Audio { rate, samples } => {
                let own = *self.rate.get_or_insert(rate);
                if rate == own {
                    self.give(own, samples);
                    return;
                }
                if self.conversion.as_ref().is_none_or(|(from, _)| *from != rate) {
                    self.conversion = Some((rate, Resampler::new(rate, own)));
                }
                if let Some((_, resampler)) = &mut self.conversion {
                    let mut converted = Vec::with_capacity(samples.len() * 2);
                    resampler.push_into(&samples, &mut converted);
                    self.give(own, converted);
                }
            }
            SpeechEvent::Alignment(words) => {
                let placed = |word: WordMark| {
                    let Asked { clause, shift } = *self.asked.get(word.clause)?;
                    Some(WordMark { clause, start: word.start + shift, end: word.end + shift, ..word })
                };
                let words: Vec<WordMark> = words.into_iter().filter_map(placed).collect();
                self.ready.push_back(SpeechEvent::Alignment(words));
            }
            SpeechEvent::ClauseEnd => {
                self.slots.pop_front();
                self.ready.push_back(SpeechEvent::ClauseEnd);
            }
        }
    }

    fn give(&mut self, rate: SampleRate, samples: Vec<i16>) {
        if !samples.is_empty() {
            self.given += samples.len() as u64;
            self.ready.push_back(SpeechEvent::Audio { rate, samples });
        }
    }

    fn finish_conversion(&mut self) {
        if let (Some((_, mut resampler)), Some(rate)) = (self.conversion.take(), self.rate) {
            let mut rest = Vec::new();
            resampler.finish_into(&mut rest);
            self.give(rate, rest);
        }
    }
}

fn lock(call: &Mutex<Box<dyn Voice>>) -> MutexGuard<'_, Box<dyn Voice>> {
    call.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn of<T>(stream: &mut Option<BoxStream<'static, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
