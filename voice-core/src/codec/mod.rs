//! Codecs: packets and bytes to samples, and back for playout.
//!
//! Everything here is pure arithmetic or a thin hold on libopus: no containers (`ingress` has those), no rates other
//! than what the codec itself speaks (`audio::resample` has those). A decoder allocates when it is made and never
//! after. Callers: `ingress` for what comes in, the playout for what goes out.

pub mod g711;
pub mod opus;
pub mod pcm;

pub use opus::{OpusDecoder, OpusEncoder};
pub use pcm::SampleCoding;

/// What libopus did not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The packet is not Opus, or too long for one packet. Conceal it and go on.
    #[error("the packet is not valid Opus")]
    InvalidPacket,
    /// libopus cannot work at this rate; it knows 8, 12, 16, 24 and 48 kHz.
    #[error("Opus does not work at {0} Hz")]
    Rate(u32),
    /// A frame of the wrong length came for encoding: a bug of the caller.
    #[error("an Opus frame needs {needed} samples, not {given}")]
    FrameLength {
        /// Samples of 20 ms.
        needed: usize,
        /// Samples that came.
        given: usize,
    },
    /// libopus failed otherwise.
    #[error("libopus failed: {0}")]
    Library(String),
}
