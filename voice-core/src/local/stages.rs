//! All local stages together: the one place that loads them, sized for an inference pool.

use std::sync::Arc;

use crate::error::ProviderError;
use crate::infer::{Pool, Weight};
use crate::stt::SpeechToText;
use crate::tts::TextToSpeech;
use crate::vad::{TurnModel, VadModel};

use super::weights::ModelFiles;
use super::{LocalRecogniser, LocalVoice, Moonshine, Piper, Runtime, Silero, SmartTurn};

/// Everything that runs on the CPU without an account: give each to its place in the engine's builder.
#[derive(Clone)]
pub struct LocalStages {
    /// Silero.
    pub vad: Arc<dyn VadModel>,
    /// smart-turn.
    pub turn_model: Arc<dyn TurnModel>,
    /// Moonshine.
    pub stt: Arc<dyn SpeechToText>,
    /// Piper.
    pub tts: Arc<dyn TextToSpeech>,
}

impl std::fmt::Debug for LocalStages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [self.vad.name(), self.turn_model.name(), self.stt.name(), self.tts.name()];
        f.debug_list().entries(names).finish()
    }
}

impl LocalStages {
    /// Loads all models side by side, runs each once, and leaves the copies for further threads to the pool. Blocks for
    /// about a second.
    ///
    /// # Errors
    /// A file is missing or unusable.
    pub fn load(files: &ModelFiles, pool: &Arc<Pool>) -> Result<Self, ProviderError> {
        let runtime = Runtime::load(&files.runtime)?;
        let lanes = pool.heavy_threads();
        let (vad, turn_model, recogniser, voice) = std::thread::scope(|scope| {
            let voice = scope.spawn(|| Piper::load(&runtime, files, lanes, 1));
            let vad = Silero::load(&runtime, &files.silero)?;
            let turn_model = SmartTurn::load(&runtime, &files.smart_turn, lanes)?;
            let recogniser = Moonshine::load(&runtime, files, lanes)?;
            let lost = |_| {
                let detail = "the thread that loads the voice broke off".to_owned();
                Err(ProviderError::Failed { provider: "piper", detail })
            };
            Ok((
                vad,
                Arc::new(turn_model),
                Arc::new(recogniser),
                Arc::new(voice.join().unwrap_or_else(lost)?),
            ))
        })?;
        let copies: [Box<dyn FnOnce() -> Result<(), ProviderError> + Send>; 3] = [
            Box::new({
                let voice = voice.clone();
                move || voice.warm_up()
            }),
            Box::new({
                let recogniser = recogniser.clone();
                move || recogniser.warm_up()
            }),
            Box::new({
                let turn_model = turn_model.clone();
                move || turn_model.warm_up()
            }),
        ];
        for copy in copies {
            // A copy that cannot be loaded now is tried again by the first call that needs it, and reported there.
            pool.submit_once(Weight::Heavy, move || drop(copy()));
        }
        Ok(Self {
            vad: Arc::new(vad),
            turn_model,
            stt: Arc::new(LocalRecogniser::new(recogniser, pool.clone())),
            tts: Arc::new(LocalVoice::new(voice, pool.clone())),
        })
    }
}
