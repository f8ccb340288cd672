//! The wrapper around one voice that keeps what it says.
//!
//! A clause is kept when its end is told, and only then: of one that was broken off nothing is. Passes everything on as it
//! comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::phrase::{LONGEST, Phrase, PhraseWord};
use super::{PhraseCache, TextToSpeech, VoiceOptions, lead};
use crate::audio::SampleRate;
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::tts::{SpeechEvent, Voice, WordMark};

pub(super) struct KeepingVoice {
    pub(super) cache: PhraseCache,
    pub(super) voice: Arc<dyn TextToSpeech>,
}

impl TextToSpeech for KeepingVoice {
    fn name(&self) -> &'static str {
        self.voice.name()
    }

    fn sound(&self, options: &VoiceOptions) -> Option<String> {
        self.voice.sound(options)
    }

    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        let sound = self.voice.sound(&options);
        let voice = self.voice.open(options);
        match sound {
            Some(sound) => Box::new(Keeping { cache: self.cache.clone(), sound: sound.into(), voice }),
            None => voice,
        }
    }
}

struct Keeping {
    cache: PhraseCache,
    sound: Arc<str>,
    voice: Box<dyn Voice>,
}

impl Voice for Keeping {
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        // What the voice has taken, as it took it.
        let texts: Arc<Mutex<Vec<String>>> = Arc::default();
        let taken = texts.clone();
        let clauses = clauses.inspect(move |clause| {
            taken.lock().unwrap_or_else(PoisonError::into_inner).push(clause.clone());
        });
        let mut recording = Recording {
            cache: self.cache.clone(),
            sound: self.sound.clone(),
            texts,
            ended: 0,
            rate: None,
            before: 0,
            samples: Vec::new(),
            too_long: false,
            words: Vec::new(),
        };
        let speech = self.voice.speak(reply, clauses.boxed());
        speech.inspect(move |event| recording.handle(event.as_ref().ok())).boxed()
    }
}

/// The clause that is being spoken.
struct Recording {
    cache: PhraseCache,
    sound: Arc<str>,
    texts: Arc<Mutex<Vec<String>>>,
    /// Clauses that are over.
    ended: usize,
    rate: Option<SampleRate>,
    /// Samples of the reply before this clause.
    before: u64,
    samples: Vec<i16>,
    too_long: bool,
    /// Words of this clause and of later ones.
    words: Vec<WordMark>,
}

impl Recording {
    fn handle(&mut self, event: Option<&SpeechEvent>) {
        match event {
            Some(SpeechEvent::Audio { rate, samples }) => {
                self.rate = Some(*rate);
                let most = rate.samples_in(LONGEST) as usize;
                if self.samples.len() + samples.len() > most {
                    self.too_long = true;
                }
                // The count goes on, so that the words of later clauses find their places.
                if self.too_long {
                    self.before += (self.samples.len() + samples.len()) as u64;
                    self.samples.clear();
                } else {
                    self.samples.extend_from_slice(samples);
                }
            }
            Some(SpeechEvent::Alignment(words)) => self.words.extend_from_slice(words),
            Some(SpeechEvent::ClauseEnd) => self.keep(),
            // What it has of a clause after an error is not the whole.
            None => self.too_long = true,
        }
    }

    fn keep(&mut self) {
        let text = {
            let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            texts.get(self.ended).cloned()
        };
        let samples = std::mem::take(&mut self.samples);
        let length = samples.len() as u64;
        if let (Some(text), Some(rate), false) = (text, self.rate, self.too_long || length == 0) {
            let from = rate.duration_of(self.before);
            let lasts = rate.duration_of(length);
            let within = |time: Duration| time.saturating_sub(from).min(lasts);
            let blank = lead(&text);
            let words = self.words.iter().filter(|word| word.clause == self.ended && word.upto <= text.len());
            let words = words
                .map(|word| PhraseWord {
                    upto: word.upto.saturating_sub(blank),
                    start: within(word.start),
                    end: within(word.end),
                })
                .collect();
            self.cache.put(&self.sound, &text, Phrase { rate, samples, words });
        }
        self.before += length;
        self.ended += 1;
        self.too_long = false;
        self.words.retain(|word| word.clause >= self.ended);
    }
}
