//! All local stages together: the one place that loads them, sized for an inference pool.

use std::sync::Arc;

use crate::error::ProviderError;
use crate::infer::Pool;
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
    copies: Copies,
}

impl std::fmt::Debug for LocalStages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [self.vad.name(), self.turn_model.name(), self.stt.name(), self.tts.name()];
        f.debug_list().entries(names).finish()
    }
}

impl LocalStages {
    /// Loads all models side by side and runs each once. Blocks for about a second. One call can be served then; a
    /// second one at the same time wants [`Self::warm_up`].
    ///
    /// # Errors
    /// A file is missing or unusable.
    pub fn load(files: &ModelFiles, pool: &Arc<Pool>) -> Result<Self, ProviderError> {
        let runtime = Runtime::load(&files.runtime)?;
        let lanes = pool.heavy_threads();
        let (vad, turn_model, recogniser, voice) = std::thread::scope(|scope| {
            let voice = scope.spawn(|| Piper::load(&runtime, files, lanes, lanes.min(VOICE_THREADS)));
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
        let copies: Copies = {
            let (voice, recogniser, turn_model) = (voice.clone(), recogniser.clone(), turn_model.clone());
            Arc::new(move || {
                recogniser.warm_up()?;
                voice.warm_up()?;
                turn_model.warm_up()
            })
        };
        Ok(Self {
            vad: Arc::new(vad),
            turn_model,
            stt: Arc::new(LocalRecogniser::new(recogniser, pool.clone())),
            tts: Arc::new(LocalVoice::new(voice, pool.clone())),
            copies,
        })
    }

    /// Loads the copies of the models that let every inference thread compute at the same time. Blocks for about a
    /// second; meant for a thread of its own, so that the first call need not wait for it. Where it is left out, the
    /// first calls that need a copy load it.
    ///
    /// # Errors
    /// A file has become unusable.
    pub fn warm_up(&self) -> Result<(), ProviderError> {
        (self.copies)()
    }
}

/// Threads that one clause computes on. Two give the first clause in about two thirds of the time, more gain nothing;
/// while both are busy with other calls a clause takes as long as on one.
const VOICE_THREADS: usize = 2;

type Copies = Arc<dyn Fn() -> Result<(), ProviderError> + Send + Sync>;
