//! The wrapper around one voice that keeps what it says.
//!
//! A clause is kept once its end was told and what follows shows that the end was there: a voice may tell it late. Of one that
//! was broken off nothing is kept. Passes everything on as it comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

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
            held: None,
        };
        let speech = self.voice.speak(reply, clauses.boxed()).map(Some).chain(stream::iter([None]));
        let recorded = speech.filter_map(move |event| {
            match &event {
                Some(event) => recording.handle(event.as_ref().ok()),
                None => recording.finish(),
            }
            std::future::ready(event)
        });
        recorded.boxed()
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
    /// The clause before this one, until the next end shows that its own end was where it was told.
    held: Option<(String, Phrase)>,
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
            Some(SpeechEvent::ClauseEnd) => self.end_clause(),
            None => {
                // What it has of a clause after an error is not the whole, and where the one before ended is not certain.
                self.too_long = true;
                self.held = None;
            }
        }
    }

    /// The reply is over and was whole.
    fn finish(&mut self) {
        if let Some((text, phrase)) = self.held.take() {
            self.cache.put(&self.sound, &text, phrase);
        }
    }

    fn end_clause(&mut self) {
        let text = {
            let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            texts.get(self.ended).cloned()
        };
        let samples = std::mem::take(&mut self.samples);
        let length = samples.len() as u64;
        let (speaks, own) = (length > 0, self.ended);
        let of_it = |word: &&WordMark| word.clause == own;
        let sure = text.as_ref().is_some_and(|text| {
            let words: Vec<usize> = self.words.iter().filter(of_it).map(|word| word.upto).collect();
            is_bounded(text, speaks || self.too_long, &words)
        });
        match self.held.take() {
            Some((text, phrase)) if sure => self.cache.put(&self.sound, &text, phrase),
            _ => {}
        }
        if let (Some(text), Some(rate), true, true, false) = (text, self.rate, sure, speaks, self.too_long) {
            let from = rate.duration_of(self.before);
            let lasts = rate.duration_of(length);
            let within = |time: Duration| time.saturating_sub(from).min(lasts);
            let blank = lead(&text);
            let words = self.words.iter().filter(of_it).filter(|word| word.upto <= text.len());
            let words = words
                .map(|word| PhraseWord {
                    upto: word.upto.saturating_sub(blank),
                    start: within(word.start),
                    end: within(word.end),
                })
                .collect();
            self.held = Some((text, Phrase { rate, samples, words }));
        }
        self.before += length;
        self.ended += 1;
        self.too_long = false;
        self.words.retain(|word| word.clause >= self.ended);
    }
}

/// Whether a clause's audio surely begins and ends with the clause. `words`: ends of those whose place was told. A voice may
/// tell an end late, with the next clause's beginning in front of it: then a clause with words has no sound of its own,
/// or, where places are told, lacks that of its first or last word.
fn is_bounded(text: &str, speaks: bool, words: &[usize]) -> bool {
    if !text.contains(char::is_alphanumeric) {
        return true;
    }
    let (Some(&first), Some(&last)) = (words.first(), words.last()) else { return speaks };
    let (Some(first), Some(rest)) = (text.get(..first), text.get(last..)) else { return false };
    speaks && !first.trim().contains(char::is_whitespace) && !rest.contains(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_is_bounded_where_its_first_and_last_word_have_their_places() {
        assert!(is_bounded(" It has two baths.", true, &[3, 7, 11, 18]));
        assert!(is_bounded("It has two baths.", true, &[2, 16]), "the mark behind the last word");
        assert!(is_bounded("It has two baths.", true, &[]), "a voice that tells no places");
        assert!(is_bounded("...", false, &[]));
        assert!(!is_bounded("It has two baths.", false, &[]), "its sound came with the clause before");
        assert!(!is_bounded("It has two baths.", true, &[6, 16]), "the first word is missing");
        assert!(!is_bounded("It has two baths.", true, &[2, 10]), "the last word is missing");
        assert!(!is_bounded("It", true, &[9]), "a place behind the text");
    }
}
