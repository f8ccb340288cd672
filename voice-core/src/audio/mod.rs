//! Samples and their units. Everything behind the ingress is 16 kHz mono signed 16-bit in frames of 20 ms.

mod format;
mod level;
mod position;
mod resample;

pub use format::{Channels, FormatError, SampleRate};
pub use level::{Level, SILENCE_DBFS};
pub use position::SamplePos;
pub use resample::Resampler;

/// Rate of all audio inside the engine.
pub const ENGINE_RATE: SampleRate = SampleRate::HZ_16000;

/// Samples in one 20 ms frame at [`ENGINE_RATE`].
pub const FRAME_SAMPLES: usize = 320;

/// One frame: 20 ms of 16 kHz mono signed 16-bit samples.
pub type Frame = [i16; FRAME_SAMPLES];
