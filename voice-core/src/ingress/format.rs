//! What a caller may declare, and what was recognised, in words for logs and the session's first message.

use std::fmt;

use crate::audio::{Channels, SampleRate};
use crate::codec::SampleCoding;

/// Audio without a header, as the address of the voice socket declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Declared {
    /// Signed 16-bit little-endian samples, interleaved.
    Pcm16 {
        /// Samples per second of one channel.
        rate: SampleRate,
        /// Mono or interleaved stereo.
        channels: Channels,
    },
    /// G.711 mu-law bytes.
    Ulaw {
        /// Samples per second of one channel, usually 8,000.
        rate: SampleRate,
        /// Mono or interleaved stereo.
        channels: Channels,
    },
    /// G.711 A-law bytes.
    Alaw {
        /// Samples per second of one channel, usually 8,000.
        rate: SampleRate,
        /// Mono or interleaved stereo.
        channels: Channels,
    },
    /// One Opus packet in each message; an empty message stands for a lost packet as long as the last one that came.
    /// Before the first packet an empty message changes nothing, since nothing tells how long a packet is.
    OpusPackets {
        /// What the sender says; every packet names its own, and both are decoded to mono.
        channels: Channels,
    },
}

/// What wraps the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// RIFF/WAVE or RF64.
    Wav,
    /// WebM or Matroska.
    WebM,
    /// Ogg.
    Ogg,
    /// Nothing: the format was declared.
    Raw,
}

impl Container {
    /// Name for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::WebM => "WebM",
            Self::Ogg => "Ogg",
            Self::Raw => "raw",
        }
    }
}

/// How the audio is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// Samples one after the other.
    Samples(SampleCoding),
    /// Opus packets.
    Opus,
}

impl Coding {
    /// Name for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "Opus",
            Self::Samples(SampleCoding::U8) => "PCM 8-bit",
            Self::Samples(SampleCoding::S16) => "PCM 16-bit",
            Self::Samples(SampleCoding::S24) => "PCM 24-bit",
            Self::Samples(SampleCoding::S32) => "PCM 32-bit",
            Self::Samples(SampleCoding::F32) => "float 32-bit",
            Self::Samples(SampleCoding::F64) => "float 64-bit",
            Self::Samples(SampleCoding::Ulaw) => "mu-law",
            Self::Samples(SampleCoding::Alaw) => "A-law",
        }
    }
}

/// What comes in, as recognised or declared. Displays as `WebM/Opus, 48 kHz mono`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputFormat {
    /// What wraps the audio.
    pub container: Container,
    /// How it is coded.
    pub coding: Coding,
    /// Samples per second of one channel; always 48 kHz for Opus.
    pub rate: SampleRate,
    /// Mono or stereo, before mixing.
    pub channels: Channels,
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = match self.channels {
            Channels::Mono => "mono",
            Channels::Stereo => "stereo",
        };
        let khz = f64::from(self.rate.hz()) / 1_000.0;
        write!(f, "{}/{}, {khz} kHz {channels}", self.container.name(), self.coding.name())
    }
}
