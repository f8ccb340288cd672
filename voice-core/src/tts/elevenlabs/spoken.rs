//! One reply being spoken: the pieces of its context in, speech events out.
//!
//! Audio is cut where the alignment says that a clause ends, so that each end comes behind the last sample of its
//! clause. Without alignment all ends come with the end of the speech. Invariant: as many ends as clauses, never
//! more, whatever the service sends. Pure; caller: `contexts`, and the client for HTTP answers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::SampleRate;
use crate::error::ProviderError;
use crate::tts::SpeechEvent;

use super::tracker::{Tracked, Tracker};
use super::wire::{AudioDecoder, SpeechPiece};
use super::{ElevenLabsConfig, OutputFormat};

/// What was spoken of one reply.
#[derive(Debug)]
pub(super) struct Spoken {
    rate: SampleRate,
    decoder: AudioDecoder,
    tracker: Tracker,
    prefer_normalised: bool,
    /// Samples that were given out.
    given: u64,
    /// Where the next clauses end, in samples; not told yet.
    ends: VecDeque<u64>,
    clauses: usize,
    /// Ends that were told.
    told: usize,
}

impl Spoken {
    pub(super) fn new(config: &ElevenLabsConfig) -> Self {
        let format: OutputFormat = config.format();
        Self {
            rate: format.rate(),
            decoder: AudioDecoder::new(format),
            tracker: Tracker::default(),
            prefer_normalised: config.rewrites_text(),
            given: 0,
            ends: VecDeque::new(),
            clauses: 0,
            told: 0,
        }
    }

    /// A clause was given to the voice.
    pub(super) fn handle_clause(&mut self, clause: &str) {
        self.clauses += 1;
        self.tracker.push_clause(clause);
    }

    /// Whether all audio of the clauses so far was given.
    pub(super) fn is_settled(&self) -> bool {
        self.told == self.clauses
    }

    /// The clause that was given last has nothing to speak, and all before it is settled: it is over.
    pub(super) fn skip_clause(&mut self, out: &mut Vec<SpeechEvent>) {
        self.tracker.skip_clause();
        self.told += 1;
        out.push(SpeechEvent::ClauseEnd);
    }

    /// Takes a piece of speech and appends what follows from it.
    ///
    /// # Errors
    /// The audio is not readable. What follows from the rest of the piece was appended.
    pub(super) fn handle_piece(
        &mut self,
        piece: &SpeechPiece<'_>,
        out: &mut Vec<SpeechEvent>,
    ) -> Result<(), ProviderError> {
        let base = self.rate.duration_of(self.given);
        self.handle_piece_from(piece, base, out)
    }

    /// The same where times do not count from the first sample of the piece but from `base`.
    ///
    /// # Errors
    /// As there.
    pub(super) fn handle_piece_from(
        &mut self,
        piece: &SpeechPiece<'_>,
        base: Duration,
        out: &mut Vec<SpeechEvent>,
    ) -> Result<(), ProviderError> {
        // What was sent is aligned best, unless dictionaries say something else: then the service starts it over again.
        let (first, second) = (&piece.alignment, &piece.normalised);
        let times = if self.prefer_normalised {
            second.as_ref().or(first.as_ref())
        } else {
            first.as_ref().or(second.as_ref())
        };
        if let Some(times) = times {
            let tracked = self.tracker.advance(times, base);
            self.note(tracked, out);
        }
        let mut samples = Vec::new();
        let decoded = match &piece.audio {
            Some(audio) => self.decoder.push_base64(audio, &mut samples),
            None => Ok(()),
        };
        self.give(samples, out);
        decoded
    }

    /// Takes bytes of an answer that is nothing but audio.
    pub(super) fn handle_bytes(&mut self, audio: &[u8], out: &mut Vec<SpeechEvent>) {
        let mut samples = Vec::new();
        self.decoder.push_bytes(audio, &mut samples);
        self.give(samples, out);
    }

    /// How much was given out.
    pub(super) fn duration(&self) -> Duration {
        self.rate.duration_of(self.given)
    }

    /// The speech of all clauses so far is complete. More clauses may follow, with an answer of their own.
    pub(super) fn finish(&mut self, out: &mut Vec<SpeechEvent>) {
        let tracked = self.tracker.finish();
        self.note(tracked, out);
        self.ends.clear();
        self.decoder.restart();
        while self.told < self.clauses {
            self.told += 1;
            out.push(SpeechEvent::ClauseEnd);
        }
    }

    fn note(&mut self, tracked: Tracked, out: &mut Vec<SpeechEvent>) {
        if !tracked.marks.is_empty() {
            out.push(SpeechEvent::Alignment(tracked.marks));
        }
        self.ends.extend(tracked.ends.into_iter().map(|end| self.rate.samples_in(end)));
    }

    fn give(&mut self, mut samples: Vec<i16>, out: &mut Vec<SpeechEvent>) {
        let slack = self.rate.samples_in(SLACK);
        let total = self.given + samples.len() as u64;
        while let Some(end) = self.ends.pop_front_if(|end| *end <= total + slack) {
            // An end near that of the audio is that of the audio: no crumb is left for the next clause.
            let cut = if end + slack >= total { total } else { end };
            let rest = samples.split_off(cut.saturating_sub(self.given) as usize);
            self.push_audio(samples, out);
            samples = rest;
            self.told += 1;
            out.push(SpeechEvent::ClauseEnd);
        }
        self.push_audio(samples, out);
    }

    fn push_audio(&mut self, samples: Vec<i16>, out: &mut Vec<SpeechEvent>) {
        if !samples.is_empty() {
            self.given += samples.len() as u64;
            out.push(SpeechEvent::Audio { rate: self.rate, samples });
        }
    }
}

/// Times of characters are in whole milliseconds and of a model; this much is within their error.
const SLACK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::tts::elevenlabs::wire::{CharSpan, CharTimes};

    fn spoken(clauses: &[&str]) -> Spoken {
        let config = ElevenLabsConfig::builder("k").format(OutputFormat::Pcm16000).build().expect("sound");
        let mut spoken = Spoken::new(&config);
        clauses.iter().for_each(|clause| spoken.handle_clause(clause));
        spoken
    }

    fn audio(bytes: usize) -> Option<Cow<'static, str>> {
        Some(STANDARD.encode(vec![1u8; bytes]).into())
    }

    /// Every character takes 100 ms.
    fn times(text: &str) -> Option<CharTimes> {
        let span = |k: usize| CharSpan {
            upto: k + 1,
            start: Duration::from_millis(100 * k as u64),
            end: Duration::from_millis(100 * (k as u64 + 1)),
        };
        Some(CharTimes { text: text.to_owned(), spans: (0..text.len()).map(span).collect() })
    }

    /// Samples of each piece, `|` for an end, `m` for marks.
    fn summary(events: &[SpeechEvent]) -> String {
        let one = |event: &SpeechEvent| match event {
            SpeechEvent::Audio { samples, .. } => samples.len().to_string(),
            SpeechEvent::ClauseEnd => "|".to_owned(),
            SpeechEvent::Alignment(marks) => format!("m{}", marks.len()),
        };
        events.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn audio_is_cut_where_a_clause_ends() {
        let mut spoken = spoken(&["ab.", "cd."]);
        let mut out = Vec::new();
        // 800 ms of audio for eight characters.
        let piece = SpeechPiece { audio: audio(25_600), alignment: times("ab. cd. "), ..Default::default() };
        spoken.handle_piece(&piece, &mut out).expect("sound");
        assert_eq!(summary(&out), "m2 6400 | 6400 |");
        spoken.finish(&mut out);
        assert_eq!(summary(&out), "m2 6400 | 6400 |");
    }

    #[test]
    fn times_may_come_before_their_audio() {
        let mut spoken = spoken(&["ab.", "cd."]);
        let mut out = Vec::new();
        let first = SpeechPiece { audio: audio(6_400), alignment: times("ab. cd. "), ..Default::default() };
        spoken.handle_piece(&first, &mut out).expect("sound");
        let rest = SpeechPiece { audio: audio(19_200), ..Default::default() };
        spoken.handle_piece(&rest, &mut out).expect("sound");
        assert_eq!(summary(&out), "m2 3200 3200 | 6400 |");
    }

    #[test]
    fn without_times_the_ends_come_last() {
        let mut spoken = spoken(&["ab.", "cd."]);
        let mut out = Vec::new();
        let piece = SpeechPiece { audio: audio(640), ..Default::default() };
        spoken.handle_piece(&piece, &mut out).expect("sound");
        spoken.finish(&mut out);
        spoken.finish(&mut out);
        assert_eq!(summary(&out), "320 | |");
    }

    #[test]
    fn a_sample_that_is_split_between_pieces_is_put_together() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut whole = Vec::new();
        AudioDecoder::new(OutputFormat::Pcm16000).push_bytes(&bytes, &mut whole);
        for cut in 0..=bytes.len() {
            let mut spoken = spoken(&["x"]);
            let mut out = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                let piece = SpeechPiece { audio: Some(STANDARD.encode(part).into()), ..Default::default() };
                spoken.handle_piece(&piece, &mut out).expect("sound");
            }
            let mut samples = Vec::new();
            for event in out {
                if let SpeechEvent::Audio { samples: more, .. } = event {
                    samples.extend(more);
                }
            }
            assert_eq!(samples, whole, "cut at {cut}");
        }
    }

    #[test]
    fn audio_that_is_none_is_told_and_loses_no_byte_of_the_rest() {
        let mut spoken = spoken(&["x"]);
        let mut out = Vec::new();
        let of = |text: &'static str| SpeechPiece { audio: Some(text.into()), ..Default::default() };
        spoken.handle_piece(&of("AQ=="), &mut out).expect("one byte");
        assert!(spoken.handle_piece(&of("!?"), &mut out).is_err());
        spoken.handle_piece(&of("AgM"), &mut out).expect("two bytes, no padding");
        let SpeechEvent::Audio { samples, .. } = &out[0] else { panic!("{out:?}") };
        assert_eq!(samples, &[0x0201]);
    }
}
