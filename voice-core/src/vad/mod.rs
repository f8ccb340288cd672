//! Voice activity: a cheap gate first, a network second, and one place that turns probabilities into facts.
//!
//! [`VadModel`] holds weights shared by all calls; [`VadStream`] is one call's state and blocks while it computes,
//! so the shell runs it on the inference threads.

mod energy;
mod gate;
mod segment;

use std::any::Any;

pub use energy::EnergyVad;
pub use gate::{Gate, GateState, LOOK_BACK, Window, Windows};
pub use segment::{Activity, BLOCKS, Segmenter, SegmenterConfig, VadFact};

#[cfg(feature = "local")]
pub(crate) use energy::{EnergyStream, NoiseFloor, SILENCE_DBFS, level_dbfs};

/// Samples that a voice activity model takes at once: 32 ms at 16 kHz.
pub const VAD_WINDOW: usize = 512;

/// Weights of a voice activity model, shared by all calls.
pub trait VadModel: Send + Sync {
    /// Name for logs and the start-up page, such as `silero`.
    fn name(&self) -> &'static str;

    /// State of one call, as if silence had come before.
    fn open(&self) -> Box<dyn VadStream>;

    /// Judges a window of each of several calls, whose streams are this model's own. The answers are those that each
    /// stream would have given by itself, which is what happens unless a model has a faster way.
    fn judge(&self, batch: &mut [VadTask<'_>]) {
        for task in batch {
            *task.probability = task.stream.probability(task.window);
        }
    }
}

/// One call's part of a [`VadModel::judge`].
pub struct VadTask<'t> {
    /// The call's state.
    pub stream: &'t mut dyn VadStream,
    /// What is to be judged.
    pub window: &'t [i16; VAD_WINDOW],
    /// The answer; see [`VadStream::probability`].
    pub probability: &'t mut f32,
}

/// One call's voice activity state.
pub trait VadStream: Any + Send {
    /// How probable speech is in the next window, 0 to 1. Computes on the calling thread (a network takes about
    /// 0.1 ms) and allocates nothing of its own after the first call. A failing model answers with the loudness.
    fn probability(&mut self, window: &[i16; VAD_WINDOW]) -> f32;

    /// Forgets what was heard; called when the gate has been shut for long.
    fn reset(&mut self);
}

/// A model that judges from sound whether the caller has finished. Its score is one input of the fused decision.
pub trait TurnModel: Send + Sync {
    /// Name for logs, such as `smart-turn`.
    fn name(&self) -> &'static str;

    /// How probable it is that the turn is complete, 0 to 1. `audio` is the last 8 s or less at 16 kHz, ending
    /// shortly after the last voiced sample. Computes on the calling thread (about 35 ms). `None`: no judgement.
    fn score(&self, audio: &[i16]) -> Option<f32>;
}
