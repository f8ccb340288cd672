//! What lies between two containers of one call: the rest of the last one, or stray bytes, until a header follows.
//!
//! A WAV may leave chunks behind, or audio that its stated length left out; an Ogg may leave pages of ours that come
//! twice or go on behind a last page that was none, and pages of streams beside it that end later. Nothing here is heard
//! but that audio, which goes back to a reader. Whatever makes no sense counts against [`Limits::resync_bytes`].

use super::byte_queue::ByteQueue;
use super::ogg::{self, Front, OggReader};
use super::sniff::{Kind, Verdict, sniff};
use super::wav::{self, Follows, Tail, WavReader};
use super::{IngressError, Limits};

/// Searches for the next header.
#[derive(Debug)]
pub(super) struct Between {
    before: Before,
    /// Left of a chunk that is being skipped.
    chunk_left: u64,
    stray: u64,
}

/// What has ended.
#[derive(Debug)]
pub(super) enum Before {
    /// A WAV whose stated length is over, so that what follows directly may be audio all the same.
    WavData(Tail),
    /// A WAV, and something was passed over since.
    Wav,
    /// An Ogg, with the reader that knows its streams.
    Ogg(Box<OggReader>),
    /// Anything else.
    Other,
}

/// What was found.
pub(super) enum Found {
    /// A header is at the front of the bytes.
    Header(Kind),
    /// The data of the last WAV goes on behind its stated end.
    MoreData(Box<WavReader>),
    /// The stream of the last Ogg goes on behind its last page.
    MorePages(Box<OggReader>),
    NeedMore,
}

impl Between {
    pub(super) fn after(before: Before) -> Self {
        Self { before, chunk_left: 0, stray: 0 }
    }

    pub(super) fn search(&mut self, bytes: &mut ByteQueue, limits: &Limits) -> Result<Found, IngressError> {
        loop {
            bytes.skip(&mut self.chunk_left);
            if self.chunk_left > 0 || bytes.len() == 0 {
                return Ok(Found::NeedMore);
            }
            if let Before::Ogg(reader) = &self.before
                && bytes.as_slice().starts_with(ogg::MAGIC)
            {
                // RFC 3533, section 6: only a page that says it is the first begins a stream.
                let (count, known) = match ogg::look(bytes.as_slice(), bytes.is_closed()) {
                    Front::Page(page) if page.flags() & ogg::FIRST != 0 => {
                        return Ok(Found::Header(Kind::Ogg));
                    }
                    Front::Page(page) if reader.goes_on(&page) => {
                        let Before::Ogg(mut reader) = std::mem::replace(&mut self.before, Before::Other)
                        else {
                            continue;
                        };
                        reader.go_on();
                        return Ok(Found::MorePages(reader));
                    }
                    // Held no longer than any page is, so a stream that ends after ours may be of any length.
                    Front::Page(page) => (page.total(), reader.knows(page.serial())),
                    Front::Short => return Ok(Found::NeedMore),
                    Front::Stray(count) => (count, false),
                };
                let count = bytes.take(count);
                self.pass(if known { 0 } else { count }, limits)?;
                continue;
            }
            match sniff(bytes.as_slice()) {
                Verdict::Accepted(kind) => return Ok(Found::Header(kind)),
                Verdict::Undecided if !bytes.is_closed() => return Ok(Found::NeedMore),
                _ => {}
            }
            let tail = match &self.before {
                Before::WavData(tail) => Some(tail),
                Before::Wav => None,
                Before::Ogg(_) | Before::Other => {
                    let count = bytes.take(1);
                    self.pass(count, limits)?;
                    continue;
                }
            };
            let padded = tail.is_some_and(Tail::is_padded);
            match wav::judge(bytes.as_slice(), padded, bytes.is_closed(), limits) {
                Follows::Short => return Ok(Found::NeedMore),
                Follows::PaddedHeader => {
                    bytes.take(1);
                }
                Follows::Chunk(count) => {
                    self.chunk_left = count;
                    self.before = Before::Wav;
                }
                Follows::Neither => match tail {
                    // Fewer bytes are left only where no more come, and they are too few to be missed.
                    Some(tail) if bytes.len() >= wav::TELLING_BYTES => {
                        return Ok(Found::MoreData(Box::new(WavReader::going_on(tail))));
                    }
                    _ => {
                        let count = bytes.take(1);
                        self.pass(count, limits)?;
                    }
                },
            }
        }
    }

    /// Counts bytes that make no sense.
    fn pass(&mut self, count: usize, limits: &Limits) -> Result<(), IngressError> {
        self.stray += count as u64;
        if self.stray > limits.resync_bytes {
            return Err(IngressError::Malformed {
                container: "the stream",
                detail: "no recording follows after the end of the last one",
            });
        }
        Ok(())
    }
}
