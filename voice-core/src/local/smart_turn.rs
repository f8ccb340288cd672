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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::local::testing::{human_clip, human_clips, weights};

    /// The clip from its start to `share` of its loud part, and 200 ms of silence.
    fn cut(samples: &[i16], share: f64) -> Vec<i16> {
        let peak = samples.iter().map(|s| i32::from(*s).abs()).max().unwrap_or(0);
        let loud = |s: &[i16]| s.iter().any(|s| i32::from(*s).abs() > peak / 40);
        let end = (samples.chunks(160).rposition(loud).unwrap_or(0) + 1) * 160;
        let mut cut = samples[..((end as f64 * share) as usize).min(samples.len())].to_vec();
        cut.resize(cut.len() + 3_200, 0);
        cut
    }

    #[test]
    fn whole_sentences_score_higher_than_cut_ones() {
        let Some((runtime, files)) = weights("smart_turn::whole_sentences_score_higher_than_cut_ones") else {
            return;
        };
        let model = SmartTurn::load(&runtime, &files.smart_turn, 1).expect("loads");
        let mut sums = [0.0; 2];
        let clips = human_clips();
        for clip in &clips {
            let score = |share| model.score(&cut(&clip.samples, share)).expect("a score");
            let (whole, part) = (score(1.0), score(0.55));
            println!("{}: whole {whole:.2}, cut at 55 % {part:.2}", clip.name);
            sums[0] += whole;
            sums[1] += part;
        }
        let [whole, part] = sums.map(|sum| sum / clips.len() as f32);
        assert!(whole > 0.6 && part < 0.5 && whole - part > 0.3, "whole {whole}, cut {part}");
    }

    #[test]
    fn a_used_model_judges_as_a_fresh_one_and_any_length_is_taken() {
        let Some((runtime, files)) = weights("smart_turn::a_used_model_judges_as_a_fresh_one") else {
            return;
        };
        let model = SmartTurn::load(&runtime, &files.smart_turn, 2).expect("loads");
        model.warm_up().expect("loads");
        let clip = human_clip("go_forward").samples;
        let first = model.score(&clip);
        for length in [0, 1, 160, 128_000, 200_000] {
            assert!(model.score(&vec![7; length]).is_some(), "{length}");
        }
        assert_eq!(model.score(&clip), first);
        let best = |work: &mut dyn FnMut()| {
            let time = |_| {
                let started = Instant::now();
                work();
                started.elapsed().as_secs_f64() * 1e3
            };
            (0..15).map(time).fold(f64::MAX, f64::min)
        };
        let mut mel = LogMel::default();
        let features = best(&mut || assert!(!mel.picture(&clip).is_empty()));
        let all = best(&mut || assert!(model.score(&clip).is_some()));
        println!("smart-turn, best of 15: {all:.1} ms, of that features {features:.2} ms");
    }
}
