//! The forms in which answers leave: raw frames, or messages that are complete files.

use bytes::{BufMut, Bytes, BytesMut};

use crate::audio::SampleRate;
use crate::codec::{OpusEncoder, g711};
use crate::record::ogg::{LAST_PAGE, OggPages};

/// In which form the answer's audio leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Complete WAV files of 0.4 to 2 s, 24 kHz mono 16-bit.
    Wav,
    /// Complete Ogg/Opus files of 0.4 to 2 s, 24 kHz mono.
    Ogg,
    /// Frames of 20 ms: signed 16-bit little-endian samples.
    Pcm16 {
        /// Of the samples.
        rate: SampleRate,
    },
    /// Frames of 20 ms: G.711 mu-law.
    Ulaw {
        /// Of the samples; telephones take 8 kHz.
        rate: SampleRate,
    },
}

impl OutputFormat {
    /// The rate at which samples are encoded.
    pub const fn rate(self) -> SampleRate {
        match self {
            Self::Wav | Self::Ogg => SampleRate::HZ_24000,
            Self::Pcm16 { rate } | Self::Ulaw { rate } => rate,
        }
    }

    /// Whether each message is a complete file.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::Wav | Self::Ogg)
    }
}

/// Encodes one call's messages. The buffer is taken up again once the messages before have been sent.
pub(super) struct Encoder {
    format: OutputFormat,
    buffer: BytesMut,
}

impl Encoder {
    pub(super) fn new(format: OutputFormat) -> Self {
        Self { format, buffer: BytesMut::new() }
    }

    /// Encodes one message of mono samples at [`OutputFormat::rate`]. An empty result means that the encoder failed.
    pub(super) fn encode(&mut self, samples: &[i16]) -> Bytes {
        match self.format {
            OutputFormat::Wav => self.wav(samples),
            OutputFormat::Ogg => self.ogg(samples).unwrap_or_default(),
            OutputFormat::Pcm16 { .. } => {
                self.buffer.reserve(samples.len() * 2);
                samples.iter().for_each(|s| self.buffer.put_i16_le(*s));
                self.buffer.split().freeze()
            }
            OutputFormat::Ulaw { .. } => {
                self.buffer.reserve(samples.len());
                samples.iter().for_each(|s| self.buffer.put_u8(g711::encode_ulaw(*s)));
                self.buffer.split().freeze()
            }
        }
    }

    /// RIFF/WAVE with the 16-byte PCM format chunk.
    fn wav(&mut self, samples: &[i16]) -> Bytes {
        let rate = self.format.rate().hz();
        let bytes = samples.len() as u32 * 2;
        let b = &mut self.buffer;
        b.reserve(44 + bytes as usize);
        b.put_slice(b"RIFF");
        b.put_u32_le(36 + bytes);
        b.put_slice(b"WAVEfmt ");
        b.put_u32_le(16);
        b.put_u16_le(1);
        b.put_u16_le(1);
        b.put_u32_le(rate);
        b.put_u32_le(rate * 2);
        b.put_u16_le(2);
        b.put_u16_le(16);
        b.put_slice(b"data");
        b.put_u32_le(bytes);
        samples.iter().for_each(|s| b.put_i16_le(*s));
        b.split().freeze()
    }

    /// Ogg/Opus, RFC 7845: the two header pages, then packets of 20 ms; the last granule position trims the padding.
    fn ogg(&mut self, samples: &[i16]) -> Option<Bytes> {
        let rate = self.format.rate();
        // Each message is decoded by itself, so each starts with a fresh encoder.
        let mut opus = OpusEncoder::new(rate, OPUS_BITRATE).ok()?;
        let pre_skip = opus.pre_skip().ok()?;
        let frame = rate.hz() as usize / 50;
        let scale = 48_000 / rate.hz() as usize;
        let total = pre_skip as usize + samples.len() * scale;
        let packets = total.div_ceil(960);

        let mut pages = OggPages::new(SERIAL);
        pages.put_headers(opus.channels(), pre_skip, rate);
        let mut input = vec![0; frame];
        let mut encoded: Vec<Vec<u8>> = Vec::with_capacity(packets);
        for k in 0..packets {
            let from = (k * frame).min(samples.len());
            let to = ((k + 1) * frame).min(samples.len());
            input.fill(0);
            input[..to - from].copy_from_slice(&samples[from..to]);
            let mut packet = Vec::new();
            opus.encode_into(&input, &mut packet).ok()?;
            encoded.push(packet);
        }
        // A message is at most 2 s, 101 packets of up to two segments: one page of up to 255 segments holds it.
        let packets: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
        pages.put(&packets, total as u64, LAST_PAGE);
        Some(Bytes::from(pages.take()))
    }
}

/// Bits per second of a voice in Ogg/Opus: transparent for 12 kHz of bandwidth.
const OPUS_BITRATE: i32 = 40_000;
/// Each message is a file of its own, so one serial number serves all.
const SERIAL: u32 = 0x564F_4943;
