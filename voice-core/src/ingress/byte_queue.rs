//! Bytes that were pushed and not yet parsed, in one piece, so that a parser looks at a plain slice.
//!
//! Parsers only look and take; they never wait. What they cannot finish stays here until more bytes come, which is why
//! the split of the bytes into messages cannot matter.

/// An emptied buffer larger than this is given back, so that one large message does not cost memory for a whole call.
const KEPT_CAPACITY: usize = 64 << 10;

/// A first-in first-out queue of bytes.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    bytes: Vec<u8>,
    head: usize,
    taken: u64,
    closed: bool,
}

impl ByteQueue {
    /// Appends bytes.
    pub(super) fn push(&mut self, message: &[u8]) {
        // Moving the rest to the front costs at most one move of each byte, since at least as many were taken.
        if self.head > 0 && self.head >= self.bytes.len() - self.head {
            self.bytes.copy_within(self.head.., 0);
            self.bytes.truncate(self.bytes.len() - self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(message);
    }

    /// What is there.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Takes `count` bytes, or all if there are fewer, and says how many.
    pub(super) fn take(&mut self, count: usize) -> usize {
        let count = count.min(self.len());
        self.head += count;
        self.taken += count as u64;
        if self.head == self.bytes.len() {
            self.head = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_CAPACITY {
                self.bytes = Vec::new();
            }
        }
        count
    }

    /// Takes up to `left` bytes off a piece that is skipped, and lowers `left`.
    pub(super) fn skip(&mut self, left: &mut u64) {
        let count = self.take(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= count as u64;
    }

    /// How many bytes were taken since the start: the position of the first byte of [`as_slice`](Self::as_slice).
    pub(super) fn position(&self) -> u64 {
        self.taken
    }

    /// Says that no more bytes will come.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether no more bytes will come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
