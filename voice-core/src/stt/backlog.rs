//! The caller's audio that a recogniser has not confirmed, and where its voiced part ends.
//!
//! Positions count the samples that were pushed, from the first one of the call. Audio is kept until it is released,
//! so that a new connection gets what the lost one had not confirmed. Pure; callers: the provider folders.

use std::collections::VecDeque;

use crate::audio::{FRAME_SAMPLES, Frame, Level};

/// Samples kept of what is not confirmed: 30 s, 960 KB. Less is spoken in one breath than recognisers confirm in; a
/// call that loses its connection for longer loses the oldest.
const MOST_KEPT: usize = 30 * 16_000;

/// Audio in order, of which the first part has been sent.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    samples: VecDeque<i16>,
    /// Position of the first one that is kept.
    start: u64,
    /// Position of the first one that is not sent.
    sent: u64,
    lost: u64,
}

impl Backlog {
    /// Takes a frame.
    pub(crate) fn push(&mut self, frame: &Frame) {
        self.samples.extend(frame);
        let excess = self.samples.len().saturating_sub(MOST_KEPT);
        if excess > 0 {
            self.samples.drain(..excess);
            self.start += excess as u64;
            self.lost += self.start.saturating_sub(self.sent);
            self.sent = self.sent.max(self.start);
        }
    }

    /// Position behind the last sample.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.samples.len() as u64
    }

    /// Position of the first sample that is kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Position of the first sample that is not sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Samples that were dropped before they were sent.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Samples from `from` to `to`, as far as they are kept.
    pub(crate) fn copy(&self, from: u64, to: u64) -> Vec<i16> {
        let index = |position: u64| (position.clamp(self.start, self.end()) - self.start) as usize;
        let (from, to) = (index(from), index(to));
        self.samples.range(from.min(to)..to).copied().collect()
    }

    /// The next samples to send, up to `most` and up to the position `until`; they count as sent.
    pub(crate) fn take(&mut self, most: usize, until: u64) -> Vec<i16> {
        let to = until.min(self.end()).min(self.sent + most as u64);
        let samples = self.copy(self.sent, to);
        self.sent = self.sent.max(to);
        samples
    }

    /// Everything before `upto` is confirmed.
    pub(crate) fn release(&mut self, upto: u64) {
        let gone = upto.saturating_sub(self.start).min(self.samples.len() as u64);
        self.samples.drain(..gone as usize);
        self.start += gone;
        self.sent = self.sent.max(self.start);
    }

    /// Forgets what was pushed from `from` on. Only for what was not sent.
    pub(crate) fn truncate(&mut self, from: u64) {
        let kept = from.clamp(self.start, self.end()) - self.start;
        self.samples.truncate(kept as usize);
        self.sent = self.sent.min(self.end());
    }

    /// What is kept must be sent again.
    pub(crate) fn rewind(&mut self) {
        self.sent = self.start;
    }
}

/// Where the voiced part of an utterance ends, by loudness. Wrong towards too late: what it says is silent is silent,
/// what it says is voiced may be noise.
#[derive(Debug)]
pub(crate) struct VoicedEnd {
    peak: f32,
    end: u64,
}

impl VoicedEnd {
    /// Of an utterance that starts at this position.
    pub(crate) fn new(from: u64) -> Self {
        Self { peak: AUDIBLE_DBFS, end: from }
    }

    /// Takes the frame that ends at `end`.
    pub(crate) fn note(&mut self, frame: &Frame, end: u64) {
        // Half a frame: an onset in its second half counts.
        for half in frame.as_chunks::<{ FRAME_SAMPLES / 2 }>().0 {
            let level = Level::of(half).rms;
            self.peak = self.peak.max(level);
            if level >= AUDIBLE_DBFS && level >= self.peak - BELOW_PEAK_DB {
                self.end = end;
            }
        }
    }

    /// Position behind the last voiced frame; where the utterance starts, if there was none.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

/// Nothing below this is a voice.
const AUDIBLE_DBFS: f32 = -55.0;
/// What is this far below the loudest is no part of a word. Softer endings than that carry no word of their own.
const BELOW_PEAK_DB: f32 = 30.0;

/// Samples as the bytes that all recognisers take: 16 bits, little-endian.
pub(crate) fn encode_samples(samples: &[i16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * 2);
    crate::codec::pcm::encode_s16_into(samples, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(frames: i16) -> Backlog {
        let mut backlog = Backlog::default();
        (0..frames).for_each(|k| backlog.push(&[k; FRAME_SAMPLES]));
        backlog
    }

    #[test]
    fn what_is_not_released_is_sent_again() {
        let mut backlog = backlog(10);
        assert_eq!(backlog.take(480, u64::MAX).len(), 480);
        assert_eq!(backlog.take(10_000, 640).len(), 160, "no further than asked");
        backlog.release(320);
        backlog.rewind();
        let again = backlog.take(10_000, u64::MAX);
        assert_eq!((again.len(), again[0]), (2_880, 1));
        assert_eq!(backlog.lost(), 0);
    }

    #[test]
    fn the_oldest_is_lost_when_nothing_is_taken() {
        let mut backlog = backlog(1_500);
        assert_eq!((backlog.start(), backlog.lost()), (0, 0));
        backlog.push(&[1; FRAME_SAMPLES]);
        backlog.push(&[1; FRAME_SAMPLES]);
        assert_eq!((backlog.start(), backlog.sent(), backlog.lost()), (640, 640, 640));
        assert_eq!(backlog.take(1_000_000, u64::MAX).len(), MOST_KEPT);
        backlog.push(&[1; FRAME_SAMPLES]);
        assert_eq!(backlog.lost(), 640, "what was sent is not lost");
    }

    #[test]
    fn what_was_not_sent_can_be_forgotten() {
        let mut backlog = backlog(4);
        backlog.truncate(320);
        assert_eq!(backlog.end(), 320);
        assert_eq!(backlog.copy(0, 9_999).len(), 320);
        assert!(backlog.copy(700, 300).is_empty());
    }

    #[test]
    fn silence_after_speech_is_not_voiced() {
        let frame = |level: i16| -> Frame { std::array::from_fn(|i| if i % 2 == 0 { level } else { -level }) };
        let mut voiced = VoicedEnd::new(100);
        for (k, level) in [5, 3_000, 2_000, 60, 20, 0].into_iter().enumerate() {
            voiced.note(&frame(level), 100 + 320 * (k as u64 + 1));
        }
        assert_eq!(voiced.end(), 100 + 3 * 320);
        let mut nothing = VoicedEnd::new(7);
        nothing.note(&frame(10), 327);
        assert_eq!(nothing.end(), 7);
    }
}
