//! What a call gives its recording: a bounded queue that never holds the call up.
//!
//! The call's task puts pieces in; [`super::call`] takes them out once a second. Where the queue is full, as when the disk
//! stands still for seconds, pieces are dropped and counted. Before the recording begins nothing is kept at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc;
use voice_core::audio::{FRAME_SAMPLES, Frame, SampleRate};
use voice_core::session::Tap;
use voice_core::time::SessionTime;

/// Pieces that wait at most: both sides of five seconds. Full of 20 ms frames they are 700 KiB.
pub(super) const QUEUE: usize = 512;

/// One thing that a call told.
// Half of all pieces are frames; in a box each would be allocated on the call's own task.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub(super) enum Piece {
    Caller { at: SessionTime, frame: Frame },
    Sent { at: SessionTime, rate: SampleRate, samples: Vec<i16> },
    Cleared { at: SessionTime },
    Ended { at: SessionTime },
}

/// The call's end of the queue.
#[derive(Debug)]
pub(super) struct CallTap {
    pieces: mpsc::Sender<Piece>,
    /// Whether anything is kept.
    on: AtomicBool,
    /// Session time in nanoseconds, as far as it is known.
    now: AtomicU64,
    dropped: AtomicU64,
}

impl CallTap {
    pub(super) fn new(on: bool) -> (Self, mpsc::Receiver<Piece>) {
        let (pieces, taken) = mpsc::channel(QUEUE);
        let tap =
            Self { pieces, on: AtomicBool::new(on), now: AtomicU64::new(0), dropped: AtomicU64::new(0) };
        (tap, taken)
    }

    /// From now on, pieces are kept, or no longer.
    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Release);
    }

    /// Session time of the newest frame.
    pub(super) fn now(&self) -> SessionTime {
        SessionTime::from_start(std::time::Duration::from_nanos(self.now.load(Ordering::Relaxed)))
    }

    /// Pieces that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn is_on(&self, at: SessionTime) -> bool {
        let at = u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX);
        self.now.fetch_max(at, Ordering::Relaxed);
        self.on.load(Ordering::Acquire)
    }

    fn put(&self, piece: Piece) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.pieces.try_send(piece) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Tap for CallTap {
    fn caller(&self, at: SessionTime, frame: &Frame) {
        if self.is_on(at) {
            self.put(Piece::Caller { at, frame: *frame });
        }
        debug_assert_eq!(frame.len(), FRAME_SAMPLES);
    }

    fn sent(&self, at: SessionTime, rate: SampleRate, samples: &[i16]) {
        if self.is_on(at) {
            self.put(Piece::Sent { at, rate, samples: samples.to_vec() });
        }
    }

    fn cleared(&self, at: SessionTime) {
        if self.is_on(at) {
            self.put(Piece::Cleared { at });
        }
    }

    fn ended(&self, at: SessionTime) {
        if self.is_on(at) {
            self.put(Piece::Ended { at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_before_it_is_switched_on_and_a_full_queue_holds_nobody_up() {
        let (tap, mut taken) = CallTap::new(false);
        tap.caller(SessionTime::from_millis(500), &[1; FRAME_SAMPLES]);
        assert!(taken.try_recv().is_err());
        assert_eq!(tap.now(), SessionTime::from_millis(500));
        tap.switch(true);
        for k in 0..QUEUE as u64 + 7 {
            tap.caller(SessionTime::from_millis(k * 20), &[1; FRAME_SAMPLES]);
        }
        assert_eq!(tap.dropped(), 7);
        assert_eq!(std::iter::from_fn(|| taken.try_recv().ok()).count(), QUEUE);
        tap.switch(false);
        tap.sent(SessionTime::ZERO, SampleRate::HZ_24000, &[1; 480]);
        assert!(taken.try_recv().is_err());
    }
}
