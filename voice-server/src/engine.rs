//! The engine as the settings want it, and which provider serves each stage.
//!
//! With local models missing the server starts all the same: each stage that lacks its weights is replaced by its simpler
//! form, and the notes say in plain words what does not work and what brings it.

use std::sync::Arc;

use tokio::task::JoinHandle;
use voice_core::error::ProviderError;
use voice_core::infer::Pool;
use voice_core::llm::concierge::Concierge;
use voice_core::session::{Engine, EngineError};
use voice_core::stt::AbsentRecogniser;
use voice_core::tts::AbsentVoice;
use voice_core::turn::Policy;

use crate::config::Config;
use crate::error::Failure;
use crate::voice::headroom::Headroom;

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
    /// Loads what lets several calls compute at the same time; `None` where there is nothing to load.
    warming: Option<JoinHandle<()>>,
    /// What is left of this machine for calls; `None` where others compute.
    pub(crate) headroom: Option<Arc<Headroom>>,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("engine", &self.engine).field("notes", &self.notes).finish_non_exhaustive()
    }
}

impl Built {
    /// An engine of which everything works.
    pub fn whole(engine: Engine) -> Self {
        Self { engine, notes: Vec::new(), hears: true, speaks: true, warming: None, headroom: None }
    }

    /// Waits until nothing is being loaded any more, so that a first measurement is like the later ones.
    pub async fn warm(&mut self) {
        if let Some(warming) = self.warming.take() {
            // A copy that could not be loaded is tried again, and reported, by the first call that needs it.
            let _ = warming.await;
        }
    }
}

/// Fetches what is missing, with progress on the terminal, and puts the engine together.
///
/// # Errors
/// The operating system refuses the inference threads.
pub async fn start(config: &Config) -> Result<Built, Failure> {
    Ok(ready(config, Policy::default()).await?)
}

/// The same with turn-taking of one's own.
///
/// # Errors
/// The operating system refuses the inference threads.
pub async fn ready(config: &Config, policy: Policy) -> Result<Built, EngineError> {
    #[cfg(feature = "local")]
    fetch_missing(config).await;
    build(config, policy).await
}

/// Puts the engine together from what is on this machine.
///
/// # Errors
/// The operating system refuses the inference threads.
pub async fn build(config: &Config, policy: Policy) -> Result<Built, EngineError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = Arc::new(Pool::start(cores).map_err(EngineError::Threads)?);
    let base = Engine::builder()
        .pool(pool.clone())
        .language(&*config.language)
        .policy(policy)
        .llm(Arc::new(Concierge::with_samples()));
    // Loading computes for a second and must not stand in the way of the async workers.
    let threads = pool.clone();
    let loaded = tokio::task::spawn_blocking(move || load_local(&threads)).await;
    let failed =
        |e: tokio::task::JoinError| ProviderError::Failed { provider: "local speech", detail: e.to_string() };
    match loaded.unwrap_or_else(|e| Err(failed(e))) {
        #[cfg(feature = "local")]
        Ok(local) => {
            let copies = local.clone();
            let warming = tokio::task::spawn_blocking(move || drop(copies.warm_up()));
            let engine =
                base.vad(local.vad).turn_model(local.turn_model).stt(local.stt).tts(local.tts).build()?;
            let headroom = Some(Headroom::new(pool));
            Ok(Built { warming: Some(warming), headroom, ..Built::whole(engine) })
        }
        #[cfg(not(feature = "local"))]
        Ok(never) => match never {},
        Err(reason) => {
            let notes = vec![
                reason.to_string(),
                "until then callers are not heard and answers not spoken; typed questions, stored conversations and the \
                 pages work"
                    .to_owned(),
            ];
            let engine = base
                .stt(Arc::new(AbsentRecogniser::new(reason.clone())))
                .tts(Arc::new(AbsentVoice::new(reason)))
                .build()?;
            Ok(Built { engine, notes, hears: false, speaks: false, warming: None, headroom: None })
        }
    }
}

/// Brings missing weights. A failure is told and no obstacle: the engine then says what works without them.
#[cfg(feature = "local")]
async fn fetch_missing(config: &Config) {
    use voice_core::local::weights::Cache;

    use crate::models::{Mirror, PullOptions, pull};

    let Some(cache) = Cache::of_user().filter(|cache| !cache.is_complete()) else { return };
    eprintln!("fetching the speech models (about 160 MB, once)");
    let mut options = PullOptions::new(cache);
    match config.models_url.as_ref().map(|url| url.parse::<Mirror>()).transpose() {
        Ok(mirror) => options.mirror = mirror,
        Err(error) => eprintln!("voice: {error}"),
    }
    if let Err(error) = pull(&options).await {
        eprintln!("voice: {error}");
    }
}

#[cfg(feature = "local")]
fn load_local(pool: &Arc<Pool>) -> Result<voice_core::local::LocalStages, ProviderError> {
    use voice_core::local::LocalStages;
    use voice_core::local::weights::Cache;

    let missing = |detail: String| ProviderError::ModelMissing { provider: "local speech", detail };
    let cache = Cache::of_user()
        .ok_or_else(|| missing("neither HOME nor XDG_CACHE_HOME names a folder".to_owned()))?;
    let absent = cache.missing_files();
    if !absent.is_empty() {
        let names: Vec<&str> = absent.iter().map(|f| f.name).collect();
        return Err(missing(format!("run `voice models pull` for {}", names.join(", "))));
    }
    LocalStages::load(&cache.files(), pool)
}

#[cfg(not(feature = "local"))]
fn load_local(_pool: &Arc<Pool>) -> Result<std::convert::Infallible, ProviderError> {
    Err(ProviderError::ModelMissing {
        provider: "local speech",
        detail: "this build has no local models".to_owned(),
    })
}
