//! The caller's side of a conversation: one turn being formed from one or several utterances.
//!
//! Holds state and small questions about it; the rules are in [`super::dialogue`].

use std::time::Duration;

use crate::ids::{TurnId, UtteranceId};
use crate::metrics::Ledger;
use crate::time::SessionTime;

use super::heard::{Reading, reading};
use super::output::Failure;

/// A turn of the caller that has not been answered.
#[derive(Clone, Debug)]
pub(super) struct Forming {
    pub(super) turn: TurnId,
    pub(super) started_at: SessionTime,
    /// Utterances already finalised, in order.
    pub(super) parts: Vec<Part>,
    /// The utterance that takes audio, if the caller speaks or pauses.
    pub(super) open: Option<Utterance>,
    /// How the words so far read; kept, since it is asked for with each frame of a pause.
    pub(super) reads: Reading,
    /// Opened at the decision that the turn is over.
    pub(super) ledger: Option<Ledger>,
    pub(super) failure: Option<Failure>,
}

/// A finalised utterance.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) utterance: UtteranceId,
    /// The recogniser's last partial, in case the final never comes.
    pub(super) partial: String,
    /// The final transcript, once it is there.
    pub(super) text: Option<String>,
}

/// An utterance that takes audio.
#[derive(Clone, Debug)]
pub(super) struct Utterance {
    pub(super) id: UtteranceId,
    pub(super) last_voiced: SessionTime,
    pub(super) speaking: bool,
    pub(super) complete: Option<f32>,
    /// Its words up to the pause are still being read.
    pub(super) unread: bool,
    pub(super) partial: String,
}

impl Forming {
    pub(super) fn new(turn: TurnId, started_at: SessionTime) -> Self {
        Self {
            turn,
            started_at,
            parts: Vec::new(),
            open: None,
            reads: Reading::Open,
            ledger: None,
            failure: None,
        }
    }

    /// All words so far, the open utterance's partial last.
    pub(super) fn words(&self) -> String {
        let parts = self.parts.iter().map(|p| p.text.as_deref().unwrap_or(&p.partial));
        let open = self.open.iter().map(|u| u.partial.as_str());
        parts.chain(open).map(str::trim).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Judges the words anew, after they have changed.
    pub(super) fn read(&mut self) {
        self.reads = reading(&self.words());
    }

    /// How the words so far read. Before the open utterance has any, earlier ones prove nothing.
    pub(super) fn reads(&self) -> Reading {
        match &self.open {
            Some(utterance) if utterance.partial.is_empty() => Reading::Open,
            _ => self.reads,
        }
    }

    /// Whether a finalised utterance still waits for its words.
    pub(super) fn is_awaiting(&self) -> bool {
        self.parts.iter().any(|p| p.text.is_none())
    }

    /// Whether the audio broke in mid-turn and nothing has followed: not decided, and nothing takes audio.
    pub(super) fn is_broken_off(&self) -> bool {
        self.open.is_none() && self.ledger.is_none() && !self.parts.is_empty()
    }

    /// Whether the turn is decided and every utterance has its final transcript.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_none() && self.ledger.is_some() && !self.is_awaiting()
    }

    /// The part that belongs to `utterance` and still waits for its final transcript.
    pub(super) fn awaited(&mut self, utterance: UtteranceId) -> Option<&mut Part> {
        self.parts.iter_mut().find(|p| p.utterance == utterance && p.text.is_none())
    }
}

/// How often bytes come in a live call: tells absence from the pause between two bursts.
#[derive(Clone, Debug, Default)]
pub(super) struct Cadence {
    last: Option<SessionTime>,
    gap: Duration,
    several: bool,
}

impl Cadence {
    pub(super) fn handle_arrival(&mut self, now: SessionTime) {
        if let Some(last) = self.last {
            self.several = true;
            let gap = now.since(last);
            if gap < LONGEST_SLICE {
                // The longest recent gap, fading: one late burst does not slow the whole call down.
                self.gap = gap.max(self.gap.mul_f32(0.95));
            }
        }
        self.last = Some(now);
    }

    /// Of the first burst, audio of that age was judged: bursts are at least that long.
    pub(super) fn handle_first_burst(&mut self, age: Duration) {
        if self.last.is_some() && !self.several && age < LONGEST_SLICE {
            self.gap = self.gap.max(age);
        }
    }

    pub(super) fn last(&self) -> SessionTime {
        self.last.unwrap_or(SessionTime::ZERO)
    }

    /// When the next burst should have come, if bytes come in bursts longer than `limit`.
    pub(super) fn next_burst(&self, limit: Duration) -> Option<SessionTime> {
        (self.gap > limit).then(|| self.last() + self.gap + BURST_MARGIN)
    }

    /// How long bytes may stay away before that counts as the end of a turn that has paused.
    pub(super) fn patience(&self) -> Duration {
        self.gap * 2 + PATIENCE_MARGIN
    }
}

/// A gap longer than this is a caller who stopped sending, not a recorder's time slice.
const LONGEST_SLICE: Duration = Duration::from_secs(3);
/// Scheduling noise of a recorder with a long time slice.
const BURST_MARGIN: Duration = Duration::from_millis(120);
/// Network and scheduling noise around a steady stream.
const PATIENCE_MARGIN: Duration = Duration::from_millis(80);
