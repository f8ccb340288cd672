//! Rates and channel counts as checked types.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Samples per second of one channel, 8,000 to 48,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleRate(u32);

impl SampleRate {
    /// Telephone.
    pub const HZ_8000: Self = Self(8_000);
    /// The engine's own rate.
    pub const HZ_16000: Self = Self(16_000);
    /// Rate of many voices.
    pub const HZ_24000: Self = Self(24_000);
    /// Opus and browsers.
    pub const HZ_48000: Self = Self(48_000);

    /// Checks a rate from outside: 8 to 48 kHz.
    pub const fn new(hz: u32) -> Result<Self, FormatError> {
        if hz >= 8_000 && hz <= 48_000 { Ok(Self(hz)) } else { Err(FormatError::Rate(hz)) }
    }

    /// Samples per second.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// How long `samples` of one channel last.
    pub const fn duration_of(self, samples: u64) -> Duration {
        let whole = samples / self.0 as u64;
        let rest = samples % self.0 as u64;
        Duration::new(whole, (rest * 1_000_000_000 / self.0 as u64) as u32)
    }

    /// How many whole samples of one channel fit in `time`.
    pub const fn samples_in(self, time: Duration) -> u64 {
        time.as_secs() * self.0 as u64 + time.subsec_nanos() as u64 * self.0 as u64 / 1_000_000_000
    }
}

/// One or two channels; two are mixed to one by averaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Channels {
    /// One channel.
    Mono,
    /// Two interleaved channels.
    Stereo,
}

impl Channels {
    /// Checks a channel count from outside.
    pub const fn new(count: u16) -> Result<Self, FormatError> {
        match count {
            1 => Ok(Self::Mono),
            2 => Ok(Self::Stereo),
            n => Err(FormatError::Channels(n)),
        }
    }

    /// 1 or 2.
    pub const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// A rate or channel count that the engine does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not between 8 and 48 kHz.
    #[error("a sample rate of {0} Hz is outside 8000 to 48000")]
    Rate(u32),
    /// Neither mono nor stereo.
    #[error("{0} channels are neither mono nor stereo")]
    Channels(u16),
}
