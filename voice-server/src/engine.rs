//! The engine as the settings want it, and which provider serves each stage.
//!
//! With local models missing the server starts all the same: each stage that lacks its weights is replaced by its simpler
//! form, and the notes say in plain words what does not work and what brings it.

use std::sync::Arc;

use voice_core::error::ProviderError;
use voice_core::infer::Pool;
use voice_core::llm::concierge::Concierge;
use voice_core::session::{Engine, EngineError};
use voice_core::stt::AbsentRecogniser;
use voice_core::tts::AbsentVoice;
use voice_core::turn::Policy;

use crate::config::Config;
use crate::error::Failure;

/// An engine and what is to be said about it.
#[derive(Debug)]
pub struct Built {
    /// The engine.
    pub engine: Engine,
    /// What does not work and why, a sentence each; empty where everything does.
    pub notes: Vec<String>,
    /// Whether callers can be heard.
    pub hears: bool,
    /// Whether answers can be spoken.
    pub speaks: bool,
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
    let loaded = tokio::task::spawn_blocking(move || load_local(&pool)).await;
    let failed =
        |e: tokio::task::JoinError| ProviderError::Failed { provider: "local speech", detail: e.to_string() };
    match loaded.unwrap_or_else(|e| Err(failed(e))) {
        #[cfg(feature = "local")]
        Ok(local) => {
            let engine =
                base.vad(local.vad).turn_model(local.turn_model).stt(local.stt).tts(local.tts).build()?;
            Ok(Built { engine, notes: Vec::new(), hears: true, speaks: true })
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
            Ok(Built { engine, notes, hears: false, speaks: false })
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
