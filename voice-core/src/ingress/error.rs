//! Why bytes cannot be heard, in words for the caller who sent them.

use crate::audio::FormatError;
use crate::codec::CodecError;

/// Most bytes of the reason in a WebSocket close frame (RFC 6455, 5.5: 125 less the code).
const CLOSE_REASON_BYTES: usize = 123;

/// What is wrong with a caller's audio. Every kind but [`TooMuchQueued`](Self::TooMuchQueued) and
/// [`Library`](Self::Library) means that this audio cannot be used; after one, every poll gives the same error again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IngressError {
    /// The bytes are something else, which has a name.
    #[error("this is {0}; accepted: WAV, WebM/Opus, Ogg/Opus, or ?in=pcm16, ulaw, alaw, opus")]
    Foreign(&'static str),
    /// A known container holds a codec that is not taken.
    #[error(
        "this is {container}/{codec}; accepted: WAV, WebM/Opus, Ogg/Opus, or ?in=pcm16, ulaw, alaw, opus"
    )]
    Codec {
        /// Which container.
        container: &'static str,
        /// The codec as the container names it, cut and cleaned.
        codec: String,
    },
    /// Bytes of no known kind; raw samples look like this.
    #[error("format not recognised (raw samples need ?in=pcm16); accepted: WAV, WebM/Opus, Ogg/Opus")]
    Unrecognised,
    /// The bytes come from the middle of a recording: its first message was lost, and nothing can be heard without it.
    #[error("the start of this {container} recording is missing; send it from its first message on")]
    StartMissing {
        /// Which container.
        container: &'static str,
    },
    /// The recording ended and had no bytes.
    #[error("the recording is empty; accepted: WAV, WebM/Opus, Ogg/Opus, or ?in=pcm16, ulaw, alaw, opus")]
    Empty,
    /// A rate or channel count outside what is taken.
    #[error("{container}: {source}")]
    Format {
        /// Which container or declared format.
        container: &'static str,
        /// What is not taken.
        source: FormatError,
    },
    /// A container breaks its own rules where no way on is known.
    #[error("{container} is malformed: {detail}")]
    Malformed {
        /// Which container.
        container: &'static str,
        /// What is wrong.
        detail: &'static str,
    },
    /// Something is larger than its limit.
    #[error("{container}: {what} is larger than {limit} bytes")]
    TooLarge {
        /// Which container.
        container: &'static str,
        /// What is too large.
        what: &'static str,
        /// Its limit.
        limit: u64,
    },
    /// More was pushed than pulled, beyond the limit. The sender is too fast or the reader has stopped.
    #[error("more than {limit} bytes or packets wait to be decoded")]
    TooMuchQueued {
        /// The limit that was reached.
        limit: usize,
    },
    /// Bytes came after the caller had ended the recording.
    #[error("audio came after its end")]
    AfterEnd,
    /// libopus could not be set up. Not the caller's fault.
    #[error("the decoder failed: {0}")]
    Library(#[from] CodecError),
}

impl IngressError {
    /// The sentence for a WebSocket close frame: at most 123 bytes, cut between characters.
    pub fn close_reason(&self) -> String {
        let mut reason = self.to_string();
        let mut end = reason.len().min(CLOSE_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        reason
    }
}
