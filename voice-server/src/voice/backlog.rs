//! The caller's audio that waits for the session, bounded by bytes.
//!
//! The reader never waits here: it must go on reading to see a ping or a close that stands behind the audio. So what
//! does not fit ends the call instead of holding the reader up. A recording as large as the longest message fits, in
//! one message or in many.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// A waiting message counts as at least this much: its entry, its allocation and the head of that.
const A_MESSAGE: usize = 96;
/// Messages up to this are copied before they wait. They may be slices of a read buffer of this size or more, which
/// they would keep whole.
const COPIED: usize = 8 * 1024;

/// There is no room: the client sends faster than it can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What the session is to get next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A message of audio.
    Audio(Bytes),
    /// The client's connection dropped here; what follows is a new stream.
    Break,
}

/// The audio of one call. Shared by its reader and its feeder.
#[derive(Debug)]
pub(super) struct Backlog {
    room: usize,
    inner: Mutex<Inner>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Piece>,
    /// Of what waits, and of what was given last and may still be in the feeder's hands.
    held: usize,
    given: usize,
    finished: bool,
}

impl Backlog {
    /// Room for `bytes` of audio.
    pub(super) fn new(bytes: usize) -> Self {
        // The last piece of a recording may be small and count as more than it is.
        Self { room: bytes.saturating_add(A_MESSAGE), inner: Mutex::default(), came: Notify::new() }
    }

    /// Puts a message at the end. Never waits. After [`Backlog::finish`] it is dropped.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn push(&self, message: Bytes) -> Result<(), Full> {
        let mut inner = self.lock();
        let cost = cost(&message);
        if inner.finished {
            return Ok(());
        }
        if inner.held.saturating_add(cost) > self.room {
            return Err(Full);
        }
        let message = if message.len() <= COPIED && !inner.messages.is_empty() {
            Bytes::copy_from_slice(&message)
        } else {
            message
        };
        inner.held += cost;
        inner.messages.push_back(Piece::Audio(message));
        drop(inner);
        self.came.notify_one();
        Ok(())
    }

    /// The client's connection dropped. Never refused: a call has one socket at a time, and two breaks in a row are one.
    pub(super) fn push_break(&self) {
        let mut inner = self.lock();
        if !inner.finished && inner.messages.back() != Some(&Piece::Break) {
            inner.held += A_MESSAGE;
            inner.messages.push_back(Piece::Break);
            drop(inner);
            self.came.notify_one();
        }
    }

    /// Whether no more will come.
    pub(super) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    /// No more will come; what waits is still given.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.came.notify_one();
    }

    /// The next message; `None` at the end. Whoever asks has handed on the one before, which counts until then. For
    /// one waiting part at a time; dropping the future loses nothing.
    pub(super) async fn next(&self) -> Option<Piece> {
        loop {
            {
                let mut inner = self.lock();
                inner.held -= std::mem::take(&mut inner.given);
                if let Some(piece) = inner.messages.pop_front() {
                    inner.given = match &piece {
                        Piece::Audio(message) => cost(message),
                        Piece::Break => A_MESSAGE,
                    };
                    return Some(piece);
                }
                if inner.finished {
                    return None;
                }
            }
            // A notice that came between the look and here is kept, so nothing is missed.
            self.came.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Small messages count as more than their bytes, for a million of one byte each take more than a million bytes.
fn cost(message: &Bytes) -> usize {
    message.len().max(A_MESSAGE)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn message(bytes: usize) -> Bytes {
        Bytes::from(vec![7; bytes])
    }

    #[test]
    fn messages_come_out_in_order_and_then_the_end() {
        let backlog = Backlog::new(1_000);
        assert_eq!(backlog.next().now_or_never(), None, "waits while empty");
        backlog.push("a".into()).expect("room");
        backlog.push_break();
        backlog.push_break();
        backlog.push("b".into()).expect("room");
        backlog.finish();
        backlog.push("c".into()).expect("dropped silently");
        assert_eq!(backlog.next().now_or_never(), Some(Some(Piece::Audio("a".into()))));
        assert_eq!(backlog.next().now_or_never(), Some(Some(Piece::Break)));
        assert_eq!(backlog.next().now_or_never(), Some(Some(Piece::Audio("b".into()))));
        assert_eq!(backlog.next().now_or_never(), Some(None));
    }

    #[test]
    fn the_room_fits_one_message_or_many_and_not_a_byte_more() {
        for size in [64 * 1024, 1_024, 128] {
            let backlog = Backlog::new(64 * 1024);
            for _ in 0..64 * 1024 / size {
                backlog.push(message(size)).expect("room");
            }
            assert_eq!(backlog.push(message(A_MESSAGE + 1)), Err(Full), "{size}");
        }
    }

    #[test]
    fn what_was_handed_on_makes_room_and_what_is_in_hand_does_not() {
        let backlog = Backlog::new(1_000);
        backlog.push(message(1_000)).expect("room");
        assert!(backlog.next().now_or_never().flatten().is_some());
        assert_eq!(backlog.push(message(1_000)), Err(Full), "the feeder still holds it");
        assert_eq!(backlog.next().now_or_never(), None);
        assert_eq!(backlog.push(message(1_000)), Ok(()));
    }

    #[test]
    fn tiny_messages_are_bounded_too() {
        let backlog = Backlog::new(96_000);
        let taken = std::iter::from_fn(|| backlog.push(message(1)).ok()).take(100_000).count();
        assert_eq!(taken, 1_001);
    }

    #[test]
    fn a_small_message_that_waits_keeps_no_large_buffer() {
        let backlog = Backlog::new(1 << 20);
        backlog.push(message(1)).expect("room");
        let buffer = message(64 * 1024);
        backlog.push(buffer.slice(10..20)).expect("room");
        assert!(buffer.is_unique(), "the slice still holds its buffer");
    }
}
