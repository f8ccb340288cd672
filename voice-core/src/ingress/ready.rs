//! Decoded samples on their way into 20 ms frames.
//!
//! Kept as runs, so that a long gap costs one entry and no samples, and each frame can say whether it was heard or
//! filled in. Holds at most one decoded packet and part of a frame, because nothing is decoded while a frame is ready.

use std::collections::VecDeque;

use crate::audio::{FRAME_SAMPLES, Frame};

use super::Pulled;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Came from the caller.
    Heard,
    /// Guessed by the decoder for what was lost.
    Guessed,
    /// Stands for what was lost; has no stored samples.
    Silent,
}

#[derive(Debug)]
struct Run {
    kind: Kind,
    left: u64,
}

/// Samples that wait to be pulled.
#[derive(Debug, Default)]
pub(super) struct Ready {
    samples: Vec<i16>,
    head: usize,
    runs: VecDeque<Run>,
    total: u64,
}

impl Ready {
    /// Appends samples that came from the caller.
    pub(super) fn push_heard(&mut self, samples: &[i16]) {
        self.store(Kind::Heard, samples);
    }

    /// Appends samples that the decoder guessed.
    pub(super) fn push_guessed(&mut self, samples: &[i16]) {
        self.store(Kind::Guessed, samples);
    }

    /// Appends silence that stands for something lost.
    pub(super) fn push_silence(&mut self, samples: u64) {
        self.note(Kind::Silent, samples);
    }

    /// Lets `fill` append samples that came from the caller to the store itself, without a copy.
    pub(super) fn push_heard_with(&mut self, fill: impl FnOnce(&mut Vec<i16>)) {
        self.make_room();
        let before = self.samples.len();
        fill(&mut self.samples);
        self.note(Kind::Heard, (self.samples.len() - before) as u64);
    }

    /// Fills `out` if a whole frame is there.
    pub(super) fn pull(&mut self, out: &mut Frame) -> Option<Pulled> {
        (self.total >= FRAME_SAMPLES as u64).then(|| self.fill(out))
    }

    /// Fills `out` with what is left, padded with silence; `None` if nothing is left.
    pub(super) fn pull_padded(&mut self, out: &mut Frame) -> Option<Pulled> {
        (self.total > 0).then(|| self.fill(out))
    }

    fn fill(&mut self, out: &mut Frame) -> Pulled {
        let (mut filled, mut heard) = (0, 0);
        while filled < FRAME_SAMPLES {
            let Some(run) = self.runs.front_mut() else { break };
            let count = usize::try_from(run.left).unwrap_or(usize::MAX).min(FRAME_SAMPLES - filled);
            let part = &mut out[filled..filled + count];
            if run.kind == Kind::Silent {
                part.fill(0);
            } else {
                part.copy_from_slice(&self.samples[self.head..self.head + count]);
                self.head += count;
            }
            if run.kind == Kind::Heard {
                heard += count;
            }
            filled += count;
            run.left -= count as u64;
            if run.left == 0 {
                self.runs.pop_front();
            }
        }
        out[filled..].fill(0);
        self.total -= filled as u64;
        // A frame counts as what most of its samples are; the padding of a last frame does not count.
        if 2 * heard >= filled { Pulled::Audio } else { Pulled::Concealed }
    }

    fn store(&mut self, kind: Kind, samples: &[i16]) {
        self.make_room();
        self.samples.extend_from_slice(samples);
        self.note(kind, samples.len() as u64);
    }

    fn note(&mut self, kind: Kind, count: u64) {
        if count == 0 {
            return;
        }
        self.total += count;
        match self.runs.back_mut() {
            Some(run) if run.kind == kind => run.left += count,
            _ => self.runs.push_back(Run { kind, left: count }),
        }
    }

    /// Moves what is left to the front, so that the store stays as small as its largest fill.
    fn make_room(&mut self) {
        if self.head > 0 {
            self.samples.copy_within(self.head.., 0);
            self.samples.truncate(self.samples.len() - self.head);
            self.head = 0;
        }
    }
}
