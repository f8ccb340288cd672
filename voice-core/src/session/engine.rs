//! The engine: providers and models shared by all calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::context::ContextSource;
use crate::infer::Pool;
use crate::ingress::{IngressError, Limits};
use crate::llm::LanguageModel;
use crate::stt::SpeechToText;
use crate::tts::{TextToSpeech, VoiceOptions};
use crate::turn::Policy;
use crate::vad::{EnergyVad, TurnModel, VadModel};

use super::driver::{Driver, Entries};
use super::exits::Exits;
use super::judge::Judge;
use super::{MOST_WAITING, Session, SessionOptions, SessionSender};

/// The voice engine. Cheap to clone; all clones share providers, models and inference threads.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Parts>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("stt", &self.0.stt.name())
            .field("llm", &self.0.llm.name())
            .field("tts", &self.0.tts.name())
            .field("vad", &self.0.vad.name())
            .finish_non_exhaustive()
    }
}

pub(super) struct Parts {
    pub(super) stt: Arc<dyn SpeechToText>,
    pub(super) llm: Arc<dyn LanguageModel>,
    pub(super) tts: Arc<dyn TextToSpeech>,
    pub(super) vad: Arc<Judge>,
    pub(super) turn_model: Option<Arc<dyn TurnModel>>,
    pub(super) context: Option<Arc<dyn ContextSource>>,
    pub(super) pool: Arc<Pool>,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) language: String,
    pub(super) key_terms: Vec<String>,
    pub(super) voice: VoiceOptions,
    pub(super) instructions: String,
    pub(super) context_deadline: Duration,
}

impl Engine {
    /// Starts to put an engine together.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Opens a call. Must be called inside a tokio runtime; the call is one task there.
    ///
    /// # Errors
    /// The declared input format is not one the engine takes.
    pub fn open(&self, options: SessionOptions) -> Result<Session, IngressError> {
        let id = options.id;
        let (input, incoming) = mpsc::channel(INPUT_QUEUE);
        let (controls_in, controls) = mpsc::channel(CONTROL_QUEUE);
        let hangup = Arc::new(Notify::new());
        let (events_in, events) = mpsc::channel(EVENT_QUEUE);
        let (audio_in, audio) = mpsc::channel(AUDIO_QUEUE);
        let (end_in, end) = oneshot::channel();
        let exits = Exits::new(events_in, audio_in, end_in);
        let driver = Driver::new(
            self.0.clone(),
            options,
            Entries { incoming, controls, hangup: hangup.clone() },
            exits,
        )?;
        let task = tokio::spawn(driver.run());
        Ok(Session {
            id,
            sender: SessionSender {
                input,
                room: Arc::new(Semaphore::new(MOST_WAITING)),
                controls: controls_in,
                hangup,
            },
            events,
            audio,
            end: Some(end),
            task,
        })
    }

    /// The voice, and what calls ask of it.
    pub fn voice(&self) -> (&dyn TextToSpeech, &VoiceOptions) {
        (&*self.0.tts, &self.0.voice)
    }

    /// Name of the recogniser, the answerer, the voice, the voice activity model and the turn model.
    pub fn stages(&self) -> [&'static str; 5] {
        let p = &self.0;
        [
            p.stt.name(),
            p.llm.name(),
            p.tts.name(),
            p.vad.name(),
            p.turn_model.as_ref().map_or("none", |m| m.name()),
        ]
    }
}

/// Messages of the caller that wait; more make the sender wait.
const INPUT_QUEUE: usize = 64;
/// Controls that wait; more make the sender wait.
const CONTROL_QUEUE: usize = 32;
/// Events that wait for whoever reads them; beyond that partial transcripts are dropped.
const EVENT_QUEUE: usize = 256;
/// Audio messages that wait for the socket: over a second of frames.
const AUDIO_QUEUE: usize = 64;

/// Puts an [`Engine`] together. The recogniser, the answerer and the voice must be given; the rest has defaults.
#[derive(Default)]
pub struct EngineBuilder {
    stt: Option<Arc<dyn SpeechToText>>,
    llm: Option<Arc<dyn LanguageModel>>,
    tts: Option<Arc<dyn TextToSpeech>>,
    vad: Option<Arc<dyn VadModel>>,
    turn_model: Option<Arc<dyn TurnModel>>,
    context: Option<Arc<dyn ContextSource>>,
    pool: Option<Arc<Pool>>,
    policy: Policy,
    limits: Limits,
    language: Option<String>,
    key_terms: Vec<String>,
    voice: VoiceOptions,
    instructions: String,
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder").finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// The recogniser.
    pub fn stt(mut self, stt: Arc<dyn SpeechToText>) -> Self {
        self.stt = Some(stt);
        self
    }

    /// The language model or answerer.
    pub fn llm(mut self, llm: Arc<dyn LanguageModel>) -> Self {
        self.llm = Some(llm);
        self
    }

    /// The voice.
    pub fn tts(mut self, tts: Arc<dyn TextToSpeech>) -> Self {
        self.tts = Some(tts);
        self
    }

    /// The voice activity model. Default: loudness alone.
    pub fn vad(mut self, vad: Arc<dyn VadModel>) -> Self {
        self.vad = Some(vad);
        self
    }

    /// The model that judges from sound whether a turn is complete. Default: none, silence decides.
    pub fn turn_model(mut self, model: Arc<dyn TurnModel>) -> Self {
        self.turn_model = Some(model);
        self
    }

    /// Where facts about the caller and the homes come from. Default: none.
    pub fn context(mut self, context: Arc<dyn ContextSource>) -> Self {
        self.context = Some(context);
        self
    }

    /// The inference threads, to share them with local providers. Default: as many as there are cores.
    pub fn pool(mut self, pool: Arc<Pool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How calls take turns.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Limits of what a caller may send.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// BCP 47 language of the calls. Default: `en`.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// Words that calls make likely (street names, agents), most important first, for recognisers that can be told.
    /// Default: none.
    pub fn key_terms(mut self, terms: Vec<String>) -> Self {
        self.key_terms = terms;
        self
    }

    /// Which voice speaks. Default: the synthesiser's own choice.
    pub fn voice(mut self, voice: VoiceOptions) -> Self {
        self.voice = voice;
        self
    }

    /// Standing instructions to the language model. Default: none.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = instructions.into();
        self
    }

    /// Checks that everything needed is there.
    ///
    /// # Errors
    /// A stage is missing, or the operating system refuses the inference threads.
    pub fn build(self) -> Result<Engine, EngineError> {
        let pool = match self.pool {
            Some(pool) => pool,
            None => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                Arc::new(Pool::start(cores).map_err(EngineError::Threads)?)
            }
        };
        Ok(Engine(Arc::new(Parts {
            stt: self.stt.ok_or(EngineError::Missing("stt"))?,
            llm: self.llm.ok_or(EngineError::Missing("llm"))?,
            tts: self.tts.ok_or(EngineError::Missing("tts"))?,
            vad: Judge::new(self.vad.unwrap_or_else(|| Arc::new(EnergyVad))),
            turn_model: self.turn_model,
            context: self.context,
            pool,
            policy: self.policy,
            limits: self.limits,
            language: self.language.unwrap_or_else(|| "en".to_owned()),
            key_terms: self.key_terms,
            voice: self.voice,
            instructions: self.instructions,
            context_deadline: CONTEXT_DEADLINE,
        })))
    }
}

/// What is not known by then is answered without.
const CONTEXT_DEADLINE: Duration = Duration::from_millis(30);

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A stage was not given.
    #[error("the engine has no {0}")]
    Missing(&'static str),
    /// The operating system refuses a thread.
    #[error("inference threads cannot be started")]
    Threads(#[source] std::io::Error),
}
