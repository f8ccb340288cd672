//! Plain samples of a known coding, rate and channel count: declared by the caller, or the data of a WAV.

use crate::audio::{Channels, ENGINE_RATE, Resampler, SampleRate};
use crate::codec::{SampleCoding, pcm};

use super::byte_queue::ByteQueue;
use super::ready::Ready;

/// Turns bytes of plain samples into 16 kHz mono, at most 20 ms at a time.
#[derive(Debug)]
pub(super) struct RawTrack {
    coding: SampleCoding,
    channels: Channels,
    rate: SampleRate,
    /// `None` at the engine's own rate.
    resampler: Option<Resampler>,
    mono: Vec<i16>,
}

impl RawTrack {
    pub(super) fn new(coding: SampleCoding, rate: SampleRate, channels: Channels) -> Self {
        let resampler = (rate != ENGINE_RATE).then(|| Resampler::new(rate, ENGINE_RATE));
        Self { coding, channels, rate, resampler, mono: Vec::new() }
    }

    /// Bytes of one sample of every channel.
    pub(super) fn block(&self) -> usize {
        self.coding.width() * self.channels.count()
    }

    /// Bytes of 20 ms.
    pub(super) fn frame_bytes(&self) -> usize {
        self.rate.hz() as usize / 50 * self.block()
    }

    /// Decodes up to 20 ms from the front of `bytes`, never more than `most` bytes, and says how many it took. Zero
    /// means that not even one sample of every channel is there.
    pub(super) fn take(&mut self, bytes: &mut ByteQueue, most: usize, ready: &mut Ready) -> usize {
        let count = bytes.len().min(most).min(self.frame_bytes()) / self.block() * self.block();
        if count == 0 {
            return 0;
        }
        let (coding, channels) = (self.coding, self.channels);
        let piece = &bytes.as_slice()[..count];
        match &mut self.resampler {
            None if channels == Channels::Mono => ready.push_heard_with(|out| coding.decode_into(piece, out)),
            resampler => {
                self.mono.clear();
                coding.decode_into(piece, &mut self.mono);
                if channels == Channels::Stereo {
                    pcm::mix_stereo(&mut self.mono);
                }
                let mono = &self.mono;
                match resampler {
                    None => ready.push_heard(mono),
                    Some(resampler) => ready.push_heard_with(|out| resampler.push_into(mono, out)),
                }
            }
        }
        bytes.take(count)
    }

    /// Ends the stream: what the resampler still holds comes out.
    pub(super) fn flush(&mut self, ready: &mut Ready) {
        if let Some(resampler) = &mut self.resampler {
            ready.push_heard_with(|out| resampler.finish_into(out));
        }
    }
}
