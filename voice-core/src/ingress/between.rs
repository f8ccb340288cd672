//! What lies between two containers of one call: the rest of the last one, or stray bytes, until a header follows.

use super::byte_queue::ByteQueue;
use super::sniff::{Kind, Verdict, sniff};
use super::{IngressError, Limits};

/// Skips to the next header. Bounded: stray bytes count against [`Limits::resync_bytes`].
#[derive(Debug)]
pub(super) struct Between {
    /// Chunks may follow, because a WAV came before.
    chunks: bool,
    /// Left of a chunk that is being skipped.
    chunk_left: u64,
    stray: u64,
}

/// What was found.
pub(super) enum Found {
    /// A header is at the front of the bytes.
    Header(Kind),
    NeedMore,
}

impl Between {
    pub(super) fn after(kind: Option<Kind>) -> Self {
        Self { chunks: kind == Some(Kind::Wav), chunk_left: 0, stray: 0 }
    }

    pub(super) fn search(&mut self, bytes: &mut ByteQueue, limits: &Limits) -> Result<Found, IngressError> {
        loop {
            bytes.skip(&mut self.chunk_left);
            if self.chunk_left > 0 || bytes.len() == 0 {
                return Ok(Found::NeedMore);
            }
            match sniff(bytes.as_slice()) {
                Verdict::Accepted(kind) => return Ok(Found::Header(kind)),
                Verdict::Undecided if !bytes.is_closed() => return Ok(Found::NeedMore),
                _ => {}
            }
            let seen = bytes.as_slice();
            if self.chunks && seen.len() < 8 && !bytes.is_closed() && seen.iter().all(|&b| is_chunk_name(b)) {
                return Ok(Found::NeedMore);
            }
            match seen {
                [a, b, c, d, size @ ..]
                    if self.chunks && size.len() >= 4 && [*a, *b, *c, *d].into_iter().all(is_chunk_name) =>
                {
                    let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]);
                    if u64::from(size) <= limits.resync_bytes {
                        self.chunk_left = 8 + u64::from(size) + u64::from(size & 1);
                        continue;
                    }
                }
                _ => {}
            }
            self.stray += bytes.take(1) as u64;
            if self.stray > limits.resync_bytes {
                return Err(IngressError::Malformed {
                    container: "the stream",
                    detail: "no recording follows after the end of the last one",
                });
            }
        }
    }
}

fn is_chunk_name(byte: u8) -> bool {
    (0x20..0x7F).contains(&byte)
}
