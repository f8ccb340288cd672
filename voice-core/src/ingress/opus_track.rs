//! Opus packets to a gapless line of samples: pre-skip, output gain, end-trim, and what was lost.
//!
//! Containers say where packets belong; this file fills the holes they report. Positions come in at 48 kHz, the clock of
//! Opus (RFC 7845, section 4); the sample at 16 kHz number `k` stands at `3 k`, so pre-skip and trim are exact.

use crate::codec::opus::{CONCEAL_STEP, MAX_PACKET_SAMPLES};
use crate::codec::{CodecError, OpusDecoder};

use super::opus_head::OpusHead;
use super::opus_packet;
use super::ready::Ready;
use super::{IngressError, Limits};

/// 48 kHz positions for each sample of the engine.
const RATIO: u64 = 3;

/// Longest gap that is filled, in samples at 48 kHz: 5 s. A longer one is a pause that nobody needs to wait through.
pub(super) const MAX_GAP_48K: u64 = 240_000;

/// How much of a gap the decoder is asked to guess, in samples: 60 ms. Beyond that its guess is a hum.
const MAX_GUESS: u64 = 960;

/// One Opus stream's decoder and what is still to drop at its start.
#[derive(Debug)]
pub(super) struct OpusTrack {
    decoder: OpusDecoder,
    to_skip: usize,
    /// Unusable packets since the last usable one.
    bad: u32,
}

impl OpusTrack {
    pub(super) fn new(head: &OpusHead) -> Result<Self, IngressError> {
        let to_skip = u64::from(head.pre_skip_48k).div_ceil(RATIO) as usize;
        Ok(Self { decoder: OpusDecoder::new(head.gain_q8)?, to_skip, bad: 0 })
    }

    /// Decodes one packet. With `keep_48k` only that much from its front is heard (the end-trim of a last packet).
    /// `false`: the packet is unusable and nothing was put out. Too many of those in a row are an error, but not empty
    /// ones: they stand for what was lost or not worth sending, and may be many.
    pub(super) fn packet(
        &mut self,
        packet: &[u8],
        keep_48k: Option<u64>,
        limits: &Limits,
        ready: &mut Ready,
    ) -> Result<bool, IngressError> {
        if packet.is_empty() {
            return Ok(false);
        }
        // What breaks the rules of a packet is not for the decoder to find out.
        let decoded = match opus_packet::parse(packet) {
            Some(_) => self.decoder.decode(packet),
            None => Err(CodecError::InvalidPacket),
        };
        match decoded {
            Ok(samples) => {
                self.bad = 0;
                let kept = match keep_48k {
                    Some(keep) => {
                        samples.len().min(usize::try_from(keep.div_ceil(RATIO)).unwrap_or(usize::MAX))
                    }
                    None => samples.len(),
                };
                ready.push_heard(unskipped(&mut self.to_skip, &samples[..kept]));
                Ok(true)
            }
            Err(CodecError::InvalidPacket) => {
                self.refuse(limits)?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Counts a packet that cannot be used.
    pub(super) fn refuse(&mut self, limits: &Limits) -> Result<(), IngressError> {
        self.bad += 1;
        if self.bad > limits.bad_packets {
            return Err(IngressError::Malformed {
                container: "Opus",
                detail: "too many packets in a row cannot be decoded",
            });
        }
        Ok(())
    }

    /// Fills a gap before `next_packet` (which may carry a copy of the end of what was lost, or be empty).
    pub(super) fn gap(&mut self, lost_48k: u64, next_packet: &[u8], ready: &mut Ready) {
        let step = CONCEAL_STEP as u64;
        let steps = (lost_48k.min(MAX_GAP_48K) + RATIO * step / 2) / (RATIO * step);
        let lost = steps * step;
        if lost <= MAX_GUESS {
            let guess = self.decoder.recover(next_packet, lost as usize);
            ready.push_guessed(unskipped(&mut self.to_skip, guess));
            return;
        }
        debug_assert!(MAX_GUESS as usize <= MAX_PACKET_SAMPLES);
        let guess = self.decoder.conceal(MAX_GUESS as usize);
        ready.push_guessed(unskipped(&mut self.to_skip, guess));
        let silent = lost - MAX_GUESS;
        let skipped = silent.min(self.to_skip as u64);
        self.to_skip -= skipped as usize;
        ready.push_silence(silent - skipped);
    }
}

/// What of `samples` is left after the pre-skip.
fn unskipped<'a>(to_skip: &mut usize, samples: &'a [i16]) -> &'a [i16] {
    let skipped = samples.len().min(*to_skip);
    *to_skip -= skipped;
    &samples[skipped..]
}
