//! smart-turn: judges from sound whether the caller has finished.
//!
//! Takes the last 8 s as a log-mel picture and gives one probability. Its answers in the middle differ by up to 0.2
//! between runtimes and machines, so it is one input of the fused decision and never a verdict.

use std::path::Path;

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use super::mel::{BANDS, FRAMES, LogMel};
use super::runtime::{Lanes, Runtime, failed};
use crate::error::ProviderError;
use crate::vad::TurnModel;

/// The network's weights, one copy for each thread that may judge at the same time.
pub struct SmartTurn {
    lanes: Lanes<Lane>,
}

struct Lane {
    session: Session,
    mel: LogMel,
}

impl SmartTurn {
    /// Opens the network for up to `lanes` threads and runs it once, so that a file of another kind is refused here.
    ///
    /// # Errors
    /// [`ProviderError::ModelMissing`] or [`ProviderError::Failed`].
    pub fn load(runtime: &Runtime, file: &Path, lanes: usize) -> Result<Self, ProviderError> {
        let (runtime, file) = (runtime.clone(), file.to_owned());
        let lanes = Lanes::new(lanes, move || {
            let mut lane = Lane { session: runtime.open(NAME, &file, 1)?, mel: LogMel::default() };
            lane.judge(&[])?;
            Ok(lane)
        })?;
        Ok(Self { lanes })
    }

    /// Loads the copies for the other threads; see [`Lanes::fill`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn warm_up(&self) -> Result<(), ProviderError> {
        self.lanes.fill()
    }
}

impl TurnModel for SmartTurn {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, audio: &[i16]) -> Option<f32> {
        match self.lanes.with(|lane| lane.judge(audio)) {
            Ok(score) if score.is_finite() => Some(score.clamp(0.0, 1.0)),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "no judgement on the end of a turn");
                None
            }
        }
    }
}

const NAME: &str = "smart-turn";

impl Lane {
    fn judge(&mut self, audio: &[i16]) -> Result<f32, ProviderError> {
        let said = |error: ort::Error| failed(NAME, error);
        let picture = self.mel.picture(audio);
        let input =
            TensorRef::from_array_view(([1_i64, BANDS as i64, FRAMES as i64], picture)).map_err(said)?;
        let inputs: [SessionInputValue<'_>; 1] = [input.into()];
        let outputs = self.session.run(inputs).map_err(said)?;
        let odd = || failed(NAME, "the network's output is not that of smart-turn");
        // Named so in the file, although it is a probability already.
        let (_, score) = outputs.get("logits").ok_or_else(odd)?.try_extract_tensor::<f32>().map_err(said)?;
        score.first().copied().ok_or_else(odd)
    }
}
