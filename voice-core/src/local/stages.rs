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

/// The stages that could be loaded, and why the others could not: a missing voice leaves a caller understood, a missing
/// recogniser leaves answers spoken.
#[derive(Clone)]
pub struct LocalParts {
    /// Silero, or why not.
    pub vad: Result<Arc<dyn VadModel>, ProviderError>,
    /// smart-turn, or why not.
    pub turn_model: Result<Arc<dyn TurnModel>, ProviderError>,
    /// Moonshine, or why not.
    pub stt: Result<Arc<dyn SpeechToText>, ProviderError>,
    /// Piper, or why not.
    pub tts: Result<Arc<dyn TextToSpeech>, ProviderError>,
    copies: Copies,
}

impl LocalParts {
    /// Loads what there is, side by side, and runs each model once. Blocks for about a second. One call can be served
    /// then; a second one at the same time wants [`Self::warm_up`].
    pub fn load(files: &ModelFiles, pool: &Arc<Pool>) -> Self {
        let runtime = match Runtime::load(&files.runtime) {
            Ok(runtime) => runtime,
            Err(error) => return Self::none(&error),
        };
        let lanes = pool.heavy_threads();
        let (vad, turn_model, recogniser, voice) = std::thread::scope(|scope| {
            let voice = scope.spawn(|| Piper::load(&runtime, files, lanes, lanes.min(VOICE_THREADS)));
            let vad = Silero::load(&runtime, &files.silero);
            let turn_model = SmartTurn::load(&runtime, &files.smart_turn, lanes).map(Arc::new);
            let recogniser = Moonshine::load(&runtime, files, lanes).map(Arc::new);
            let lost = |_| {
                let detail = "the thread that loads the voice broke off".to_owned();
                Err(ProviderError::Failed { provider: "piper", detail })
            };
            (vad, turn_model, recogniser, voice.join().unwrap_or_else(lost).map(Arc::new))
        });
        let mut copies: Vec<Copy> = Vec::new();
        if let Ok(recogniser) = recogniser.clone() {
            copies.push(Box::new(move || recogniser.warm_up()));
        }
        if let Ok(voice) = voice.clone() {
            copies.push(Box::new(move || voice.warm_up()));
        }
        if let Ok(turn_model) = turn_model.clone() {
            copies.push(Box::new(move || turn_model.warm_up()));
        }
        Self {
            vad: vad.map(|vad| Arc::new(vad) as Arc<dyn VadModel>),
            turn_model: turn_model.map(|model| model as Arc<dyn TurnModel>),
            stt: recogniser
                .map(|model| Arc::new(LocalRecogniser::new(model, pool.clone())) as Arc<dyn SpeechToText>),
            tts: voice.map(|voice| Arc::new(LocalVoice::new(voice, pool.clone())) as Arc<dyn TextToSpeech>),
            copies: copies.into(),
        }
    }

    /// No stage at all, for the same reason.
    pub fn none(reason: &ProviderError) -> Self {
        Self {
            vad: Err(reason.clone()),
            turn_model: Err(reason.clone()),
            stt: Err(reason.clone()),
            tts: Err(reason.clone()),
            copies: Arc::default(),
        }
    }

    /// Loads the copies of the models that let every inference thread compute at the same time. Blocks for about a
    /// second; meant for a thread of its own, so that the first call need not wait for it. Where it is left out, the
    /// first calls that need a copy load it.
    ///
    /// # Errors
    /// A file has become unusable.
    pub fn warm_up(&self) -> Result<(), ProviderError> {
        self.copies.iter().try_for_each(|copy| copy())
    }
}

type Copy = Box<dyn Fn() -> Result<(), ProviderError> + Send + Sync>;
type Copies = Arc<[Copy]>;

impl LocalStages {
    /// Loads all models; see [`LocalParts::load`].
    ///
    /// # Errors
    /// A file is missing or unusable.
    pub fn load(files: &ModelFiles, pool: &Arc<Pool>) -> Result<Self, ProviderError> {
        let LocalParts { vad, turn_model, stt, tts, copies } = LocalParts::load(files, pool);
        Ok(Self { vad: vad?, turn_model: turn_model?, stt: stt?, tts: tts?, copies })
    }

    /// Loads the copies for further threads; see [`LocalParts::warm_up`].
    ///
    /// # Errors
    /// A file has become unusable.
    pub fn warm_up(&self) -> Result<(), ProviderError> {
        self.copies.iter().try_for_each(|copy| copy())
    }
}

/// Threads that one clause computes on. Two give the first clause in about two thirds of the time, more gain nothing;
/// while both are busy with other calls a clause takes as long as on one.
const VOICE_THREADS: usize = 2;
