//! Positions in a caller's audio, counted in samples of the engine's rate.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ENGINE_RATE;

/// How many 16 kHz samples of the caller's audio came before this point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SamplePos(pub u64);

impl SamplePos {
    /// The first sample.
    pub const ZERO: Self = Self(0);

    /// The position as time since the first sample.
    pub const fn as_duration(self) -> Duration {
        ENGINE_RATE.duration_of(self.0)
    }

    /// The position `time` after the first sample.
    pub const fn from_duration(time: Duration) -> Self {
        Self(ENGINE_RATE.samples_in(time))
    }

    /// Samples from `earlier` to here; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for SamplePos {
    type Output = Self;
    fn add(self, samples: u64) -> Self {
        Self(self.0.saturating_add(samples))
    }
}

impl AddAssign<u64> for SamplePos {
    fn add_assign(&mut self, samples: u64) {
        *self = *self + samples;
    }
}

impl Sub<u64> for SamplePos {
    type Output = Self;
    fn sub(self, samples: u64) -> Self {
        Self(self.0.saturating_sub(samples))
    }
}
