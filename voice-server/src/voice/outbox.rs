//! What waits to be written to one socket, in order and bounded.
//!
//! Audio that became void is taken out before it is written (the last hop where a late answer is dropped by its id).
//! Nobody waits for room: a client that reads too slowly fills the box, and its call ends.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::messages::Message;

/// Items that wait at most: 20 s of 20 ms frames.
const ITEMS: usize = 1_000;
/// Bytes of audio that wait at most: a minute and a half of 48 kHz samples.
const BYTES: usize = 8 << 20;

/// One frame to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A message of audio.
    Audio {
        /// Of which reply.
        reply: u32,
        /// Its bytes.
        payload: Bytes,
    },
    /// A JSON message.
    Message(Box<Message>),
    /// The answer to a ping.
    Pong(Bytes),
    /// A ping.
    Ping,
}

/// The box is full: the client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The box. Shared by the parts of one call.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    finished: bool,
}

impl Outbox {
    /// Puts an item at the end. After [`Outbox::finish`] it is dropped.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn push(&self, item: Item) -> Result<(), Full> {
        let mut inner = self.lock();
        if inner.finished {
            return Ok(());
        }
        let size = size(&item);
        if inner.items.len() >= ITEMS || inner.bytes + size > BYTES {
            return Err(Full);
        }
        inner.bytes += size;
        inner.items.push_back(item);
        drop(inner);
        self.came.notify_one();
        Ok(())
    }

    /// Takes out the audio of `reply` that was not written. Gives how many messages it was.
    pub(super) fn clear(&self, reply: u32) -> usize {
        let mut inner = self.lock();
        let before = inner.items.len();
        inner.items.retain(|item| !matches!(item, Item::Audio { reply: of, .. } if *of == reply));
        inner.bytes = inner.items.iter().map(size).sum();
        before - inner.items.len()
    }

    /// Takes no more; what is inside is still given. With `discard` that is dropped, too.
    pub(super) fn finish(&self, discard: bool) {
        let mut inner = self.lock();
        inner.finished = true;
        if discard {
            inner.items.clear();
            inner.bytes = 0;
        }
        drop(inner);
        self.came.notify_one();
    }

    /// The next item in order; `None` when the box is finished and empty. For one waiting part at a time; dropping
    /// the future loses nothing.
    pub(super) async fn next(&self) -> Option<Item> {
        loop {
            {
                let mut inner = self.lock();
                if let Some(item) = inner.items.pop_front() {
                    inner.bytes -= size(&item);
                    return Some(item);
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

fn size(item: &Item) -> usize {
    match item {
        Item::Audio { payload, .. } | Item::Pong(payload) => payload.len(),
        Item::Message(_) | Item::Ping => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn audio(reply: u32, bytes: usize) -> Item {
        Item::Audio { reply, payload: Bytes::from(vec![0; bytes]) }
    }

    #[test]
    fn items_come_out_in_order_and_then_the_end() {
        let outbox = Outbox::default();
        assert_eq!(outbox.next().now_or_never(), None, "waits while empty");
        outbox.push(audio(1, 1)).expect("room");
        outbox.push(Item::Ping).expect("room");
        outbox.finish(false);
        outbox.push(audio(2, 1)).expect("dropped silently");
        assert_eq!(outbox.next().now_or_never(), Some(Some(audio(1, 1))));
        assert_eq!(outbox.next().now_or_never(), Some(Some(Item::Ping)));
        assert_eq!(outbox.next().now_or_never(), Some(None));
    }

    #[test]
    fn clearing_takes_out_one_replys_audio_and_its_bytes() {
        let outbox = Outbox::default();
        for item in [audio(1, BYTES / 2), Item::Ping, audio(2, BYTES / 2)] {
            outbox.push(item).expect("room");
        }
        assert_eq!(outbox.push(audio(3, 1)), Err(Full));
        assert_eq!(outbox.clear(1), 1);
        assert_eq!(outbox.push(audio(3, 1)), Ok(()), "the bytes are free again");
        assert_eq!(outbox.next().now_or_never(), Some(Some(Item::Ping)));
        assert_eq!(outbox.next().now_or_never(), Some(Some(audio(2, BYTES / 2))));
    }

    #[test]
    fn neither_items_nor_bytes_grow_without_end() {
        let outbox = Outbox::default();
        for _ in 0..ITEMS {
            outbox.push(Item::Ping).expect("room");
        }
        assert_eq!(outbox.push(Item::Ping), Err(Full));
        assert_eq!(Outbox::default().push(audio(1, BYTES + 1)), Err(Full));
    }

    #[test]
    fn discarding_leaves_nothing_to_write() {
        let outbox = Outbox::default();
        outbox.push(audio(1, 1)).expect("room");
        outbox.finish(true);
        assert_eq!(outbox.next().now_or_never(), Some(None));
    }
}
