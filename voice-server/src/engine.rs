//! The engine as the settings want it, and which provider serves each stage.
//!
//! With local models missing the server starts all the same: each stage that lacks its weights is replaced by its simpler
//! form, and the notes say in plain words what does not work and what brings it. Which providers stand in each stage is
//! decided in `providers`.

use std::path::Path;
use std::sync::Arc;

use tokio::task::{JoinHandle, JoinSet};
use voice_core::error::ProviderError;
use voice_core::infer::Pool;
use voice_core::llm::concierge::{Concierge, sample_listings};
use voice_core::session::{Engine, EngineError};
use voice_core::stt::AbsentRecogniser;
use voice_core::tts::AbsentVoice;
use voice_core::tts::phrases::PhraseCache;
use voice_core::turn::Policy;

use crate::cache::Caching;
use crate::config::Config;
use crate::context::ContextFactory;
use crate::error::Failure;
use crate::phrases::SharedPhrases;
use crate::providers::{Cloud, LineUp, Service};
use crate::voice::engine::GREETING;
use crate::voice::headroom::Headroom;
use crate::voice::loading::Arrival;

/// An engine and what is to be said about it.
pub struct Built {
    /// The engine.
    pub engine: Engine,
    /// What does not work and why, a sentence each; empty where everything does.
    pub notes: Vec<String>,
    /// Whether callers can be heard.
    pub hears: bool,
    /// Whether answers can be spoken.
    pub speaks: bool,
    /// The names of the recognisers, the answerers and the voices, in order.
    pub(crate) names: [Vec<&'static str>; 3],
    /// Makes the sources of what is known for a call. `None`: nothing is.
    pub(crate) context: Option<ContextFactory>,
    /// The stages with several providers.
    pub(crate) line_ups: Vec<LineUp>,
    /// ElevenLabs, where it serves a stage.
    pub(crate) elevenlabs: Option<Service>,
    /// What the voice has said; `None` where nothing is kept.
    pub(crate) phrases: Option<PhraseCache>,
    /// Probes providers that failed, makes the greeting ready; ends with the engine.
    watching: JoinSet<()>,
    /// Loads what lets several calls compute at the same time; `None` where there is nothing to load.
    warming: Option<JoinHandle<()>>,
    /// What is left of this machine for calls; `None` where others compute.
    pub(crate) headroom: Option<Arc<Headroom>>,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built")
            .field("engine", &self.engine)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl Built {
    /// An engine of which everything works.
    pub fn whole(engine: Engine) -> Self {
        let [stt, llm, tts, ..] = engine.stages();
        Self {
            engine,
            notes: Vec::new(),
            hears: true,
            speaks: true,
            names: [vec![stt], vec![llm], vec![tts]],
            context: None,
            line_ups: Vec::new(),
            elevenlabs: None,
            phrases: None,
            watching: JoinSet::new(),
            warming: None,
            headroom: None,
        }
    }

    /// The same with facts for its calls.
    #[must_use]
    pub fn with_context(mut self, context: ContextFactory) -> Self {
        self.context = Some(context);
        self
    }

    /// Takes the greeting's sound from an earlier start; what is missing is spoken once, beside everything else.
    async fn make_greeting_ready(&mut self, data: &Path, cache: &Caching) {
        let (Some(phrases), true) = (self.phrases.clone(), self.speaks) else { return };
        let (engine, store) = (self.engine.clone(), SharedPhrases::of(data, cache));
        let (voice, options) = engine.voice();
        phrases.recall(voice, options, GREETING, &store).await;
        self.watching.spawn(async move {
            let (voice, options) = engine.voice();
            // The first caller then hears it as the voice makes it, a little later.
            match phrases.warm(voice, options, GREETING, Some(&store)).await {
                Ok(clauses) => tracing::debug!(clauses, "clauses of the greeting that are ready"),
                Err(error) => tracing::warn!(%error, "the greeting could not be made ready"),
            }
        });
    }

    /// Waits until nothing is being loaded any more, so that a first measurement is like the later ones.
    pub async fn warm(&mut self) {
        if let Some(warming) = self.warming.take() {
            // A copy that could not be loaded is tried again, and reported, by the first call that needs it.
            let _ = warming.await;
        }
    }
}

/// Fetches what is missing, with progress on the terminal, and puts the engine together, and tells `arrival` how far it is.
///
/// # Errors
/// The operating system refuses the inference threads.
pub(crate) async fn start(
    config: &Config,
    arrival: &Arrival,
    cache: &Caching,
    context: ContextFactory,
) -> Result<Arc<Built>, Failure> {
    if is_incomplete() {
        arrival.fetching();
        fetch_missing(config).await;
        arrival.loading();
    }
    let mut built = build_for(config, Policy::default(), Knows::WhatIsLookedUp).await?;
    built.context = Some(context);
    built.make_greeting_ready(&config.data, cache).await;
    let built = Arc::new(built);
    arrival.ready(built.clone());
    Ok(built)
}

/// The same for one who waits for it, with turn-taking of one's own.
///
/// # Errors
/// The operating system refuses the inference threads.
pub async fn ready(config: &Config, policy: Policy) -> Result<Built, EngineError> {
    if is_incomplete() {
        fetch_missing(config).await;
    }
    build(config, policy).await
}

/// Which homes answers are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// Those that come with the program: nothing is looked up.
    Samples,
    /// Those that are looked up for each call.
    WhatIsLookedUp,
}

/// Puts the engine together from what is on this machine. Answers are about the sample listings.
///
/// # Errors
/// The operating system refuses the inference threads.
pub async fn build(config: &Config, policy: Policy) -> Result<Built, EngineError> {
    build_for(config, policy, Knows::Samples).await
}

async fn build_for(config: &Config, policy: Policy, knows: Knows) -> Result<Built, EngineError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = Arc::new(Pool::start(cores).map_err(EngineError::Threads)?);
    // Loading computes for a second and must not stand in the way of the async workers.
    let threads = pool.clone();
    let loaded = tokio::task::spawn_blocking(move || load_local(&threads)).await;
    let local = loaded.unwrap_or_else(|e| {
        Local::none(&ProviderError::Failed { provider: "local speech", detail: e.to_string() })
    });
    let concierge = Concierge::with_samples();
    let mut engine = Engine::builder().pool(pool.clone()).language(&*config.language).policy(policy);
    // The sample listings' streets, where those may be called about; of other organizations' nothing is known beforehand.
    if knows == Knows::Samples || config.is_unconfigured() {
        engine = engine.key_terms(concierge.key_terms());
    }
    let listings = (knows == Knows::Samples).then(sample_listings);
    let stages = Cloud::new(config).stages(local.stt.clone(), local.tts.clone(), concierge, listings);
    engine = engine.llm(stages.llm).instructions(stages.instructions);
    // A provider that is left out while others serve shows nowhere else.
    stages.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let mut notes: Vec<String> = stages.notes;
    let mut note = |error: &ProviderError, without: &str| {
        let text = error.to_string();
        if !notes.contains(&text) {
            notes.push(text);
        }
        notes.push(without.to_owned());
    };
    match local.vad.clone() {
        Ok(vad) => engine = engine.vad(vad),
        Err(error) => note(&error, "until then speech is told from silence by its loudness alone"),
    }
    match local.turn_model.clone() {
        Ok(model) => engine = engine.turn_model(model),
        Err(error) => note(&error, "until then silence and words alone decide when a caller has finished"),
    }
    let (hears, speaks) = (stages.stt.is_ok(), stages.tts.is_ok());
    engine = engine.stt(stages.stt.unwrap_or_else(|error| {
        note(&error, "until then callers are not heard; typed questions are answered");
        Arc::new(AbsentRecogniser::new(error))
    }));
    engine = engine.tts(stages.tts.unwrap_or_else(|error| {
        note(&error, "until then answers are not spoken; their text is given");
        Arc::new(AbsentVoice::new(error))
    }));
    let engine = engine.build()?;
    let warming = Some(tokio::task::spawn_blocking(move || {
        // A file that has become unusable fails again, and is told, at the first call.
        let _ = local.warm_up();
    }));
    let headroom = (hears || speaks).then(|| Headroom::new(pool));
    let mut watching = JoinSet::new();
    for line_up in &stages.line_ups {
        watching.spawn(line_up.clone().watch());
    }
    let (names, line_ups, elevenlabs) = (stages.names, stages.line_ups, stages.elevenlabs);
    Ok(Built {
        engine,
        notes,
        hears,
        speaks,
        names,
        context: None,
        line_ups,
        elevenlabs,
        phrases: stages.phrases,
        watching,
        warming,
        headroom,
    })
}

/// Whether weights are missing that could be fetched.
#[cfg(feature = "local")]
fn is_incomplete() -> bool {
    voice_core::local::weights::Cache::of_user().is_some_and(|cache| !cache.is_complete())
}

#[cfg(not(feature = "local"))]
fn is_incomplete() -> bool {
    false
}

#[cfg(not(feature = "local"))]
async fn fetch_missing(_config: &Config) {}

/// Brings missing weights. A failure is told and no obstacle: the engine then says what works without them.
#[cfg(feature = "local")]
async fn fetch_missing(config: &Config) {
    use voice_core::local::weights::Cache;

    use crate::cli::print;
    use crate::models::{Mirror, PullOptions, pull};

    let Some(cache) = Cache::of_user() else { return };
    print::aside("fetching the speech models (about 160 MB, once)");
    let mut options = PullOptions::new(cache);
    match config.models_url.as_ref().map(|url| url.parse::<Mirror>()).transpose() {
        Ok(mirror) => options.mirror = mirror,
        Err(error) => print::error(error),
    }
    if let Err(error) = pull(&options).await {
        print::error(error);
    }
}

#[cfg(feature = "local")]
use voice_core::local::LocalParts as Local;

#[cfg(feature = "local")]
fn load_local(pool: &Arc<Pool>) -> Local {
    use voice_core::local::weights::Cache;

    match Cache::of_user() {
        Some(cache) => Local::load(&cache.files(), pool),
        None => {
            let detail = "neither HOME nor XDG_CACHE_HOME names a folder for them".to_owned();
            Local::none(&ProviderError::ModelMissing { provider: "local speech", detail })
        }
    }
}

/// What a build without local models has of them.
#[cfg(not(feature = "local"))]
struct Local {
    vad: Result<Arc<dyn voice_core::vad::VadModel>, ProviderError>,
    turn_model: Result<Arc<dyn voice_core::vad::TurnModel>, ProviderError>,
    stt: Result<Arc<dyn voice_core::stt::SpeechToText>, ProviderError>,
    tts: Result<Arc<dyn voice_core::tts::TextToSpeech>, ProviderError>,
}

#[cfg(not(feature = "local"))]
impl Local {
    fn none(reason: &ProviderError) -> Self {
        Self {
            vad: Err(reason.clone()),
            turn_model: Err(reason.clone()),
            stt: Err(reason.clone()),
            tts: Err(reason.clone()),
        }
    }

    fn warm_up(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

#[cfg(not(feature = "local"))]
fn load_local(_pool: &Arc<Pool>) -> Local {
    let detail = "this build has no local models".to_owned();
    Local::none(&ProviderError::ModelMissing { provider: "local speech", detail })
}
