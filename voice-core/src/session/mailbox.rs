//! Where results computed elsewhere wait for the call's task, and the bell that wakes it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::ids::UtteranceId;
use crate::stt::{SttEvent, SttEvents};
use crate::time::SessionTime;

/// Results for one call. Bounded: partial transcripts replace each other, finals are one for each utterance.
#[derive(Debug)]
pub(super) struct Mailbox {
    bell: Arc<Notify>,
    stt: Mutex<Vec<SttEvent>>,
    score: Mutex<Option<Score>>,
}

/// The turn model's judgement of one pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    pub(super) utterance: UtteranceId,
    pub(super) last_voiced: SessionTime,
    pub(super) complete: Option<f32>,
}

impl Mailbox {
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        Self { bell, stt: Mutex::new(Vec::with_capacity(MOST_EVENTS)), score: Mutex::new(None) }
    }

    pub(super) fn put_score(&self, score: Score) {
        let mut slot = self.score.lock().unwrap_or_else(PoisonError::into_inner);
        // Two pauses may be judged side by side; the later one counts, whichever is done first.
        if slot.as_ref().is_none_or(|before| before.last_voiced <= score.last_voiced) {
            *slot = Some(score);
        }
        drop(slot);
        self.bell.notify_one();
    }

    pub(super) fn take_score(&self) -> Option<Score> {
        self.score.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes the oldest event of the recogniser.
    pub(super) fn take_stt(&self) -> Option<SttEvent> {
        let mut stt = self.stt.lock().unwrap_or_else(PoisonError::into_inner);
        (!stt.is_empty()).then(|| stt.remove(0))
    }
}

impl SttEvents for Mailbox {
    fn handle_stt_event(&self, event: SttEvent) {
        let mut stt = self.stt.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(SttEvent::Partial { utterance: before, .. }), SttEvent::Partial { utterance, .. }) =
            (stt.last(), &event)
            && before == utterance
        {
            stt.pop();
        }
        if stt.len() >= MOST_EVENTS {
            // Only a recogniser gone wild fills this; the oldest is of the least interest.
            stt.remove(0);
        }
        stt.push(event);
        drop(stt);
        self.bell.notify_one();
    }
}

/// Far more than a call leaves unread between two wake-ups.
const MOST_EVENTS: usize = 32;
