//! Listening: the gate, the voice activity network on its inference thread, and the facts they give.
//!
//! One window is judged at a time; the call's task goes on when the bell rings. The network is not run while the gate
//! is shut, and when it opens it hears a little of what came before.

use std::sync::{Arc, TryLockError};

use tokio::sync::Notify;

use crate::audio::{Frame, SamplePos};
use crate::infer::Pool;
use crate::time::SessionTime;
use crate::vad::{Activity, GateState, Segmenter, VadFact, Windows};

use super::judge::{Judge, VadSlot};

/// The listening side of one call.
pub(super) struct Listener {
    windows: Windows,
    segmenter: Segmenter,
    network: Arc<Judge>,
    slot: Arc<VadSlot>,
    /// The window that is being judged ends here; since when it is.
    judging: Option<(SamplePos, SessionTime)>,
}

impl Listener {
    pub(super) fn new(judge: Arc<Judge>, bell: Arc<Notify>) -> Self {
        Self {
            windows: Windows::default(),
            segmenter: Segmenter::default(),
            slot: judge.open(bell),
            network: judge,
            judging: None,
        }
    }

    /// Whether a window is being judged.
    pub(super) fn is_busy(&self) -> bool {
        self.judging.is_some()
    }

    /// When the judgement that is awaited should have come.
    pub(super) fn overdue_at(&self) -> Option<SessionTime> {
        self.judging.map(|(_, since)| since + JUDGEMENT_DEADLINE)
    }

    /// Passes one frame through the gate, which says whether the network will hear it. Behind a shut gate the fact
    /// that follows, if any, comes at once.
    pub(super) fn handle_frame(&mut self, frame: &Frame) -> (GateState, Option<VadFact>) {
        let state = self.windows.handle_frame(frame);
        let fact = match state {
            GateState::Open => None,
            GateState::Shut => self.segmenter.handle_shut(self.windows.end()),
        };
        (state, fact)
    }

    /// Hands the next window to the network, if there is a whole one. Without a thread that takes it, it is lost and
    /// the next one is tried: `false`.
    pub(super) fn judge(&mut self, pool: &Pool, now: SessionTime) -> bool {
        if self.is_busy() {
            return true;
        }
        let window = {
            let Ok(mut work) = self.slot.work.try_lock() else { return true };
            work.result = None;
            let Some(window) = self.windows.poll_window(&mut work.window) else { return true };
            if window.after_gap {
                work.stream.reset();
            }
            window
        };
        let queued = self.network.submit(pool, self.slot.clone());
        if queued {
            self.judging = Some((window.end, now));
        }
        queued
    }

    /// Takes the judgement, if it is there: up to where, and the fact that follows.
    pub(super) fn take(&mut self) -> Option<(SamplePos, Option<VadFact>)> {
        let (end, _) = self.judging?;
        let mut work = match self.slot.work.try_lock() {
            Ok(work) => work,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let probability = work.result.take()?;
        let fact = self.segmenter.handle_window(Activity::measure(end, probability, &work.window));
        self.judging = None;
        Some((end, fact))
    }

    /// The network did not answer in time: a fresh state goes on, the lost window counts as silence.
    pub(super) fn give_up(&mut self) {
        self.slot = self.network.open(self.slot.bell.clone());
        self.judging = None;
    }

    /// A turn was decided: if the caller still speaks, that is a new start.
    pub(super) fn end_speech(&mut self) {
        self.segmenter.end_speech();
    }
}

/// A window takes a tenth of a millisecond; after this the thread is lost.
const JUDGEMENT_DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);
