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

/// Puts the engine together. Blocks for about a second while the models load.
///
/// # Errors
/// The operating system refuses the inference threads.
pub fn build(language: &str, policy: Policy) -> Result<Built, EngineError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = Arc::new(Pool::start(cores).map_err(EngineError::Threads)?);
    let base = Engine::builder()
        .pool(pool.clone())
        .language(language)
        .policy(policy)
        .llm(Arc::new(Concierge::with_samples()));
    match load_local(&pool) {
        #[cfg(feature = "local")]
        Ok(local) => {
            let engine = base.vad(local.vad).turn_model(local.turn_model).stt(local.stt).tts(local.tts).build()?;
            Ok(Built { engine, notes: Vec::new(), hears: true, speaks: true })
        }
        #[cfg(not(feature = "local"))]
        Ok(never) => match never {},
        Err(reason) => {
            let notes = vec![
                format!("{reason}"),
                "without the speech models callers are not heard and answers are not spoken; typed conversations, \
                 stored conversations and the pages work"
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

#[cfg(feature = "local")]
fn load_local(pool: &Arc<Pool>) -> Result<voice_core::local::LocalStages, ProviderError> {
    use voice_core::local::LocalStages;
    use voice_core::local::weights::Cache;

    let missing = |detail: String| ProviderError::ModelMissing { provider: "local speech", detail };
    let cache = Cache::of_user().ok_or_else(|| missing("neither HOME nor XDG_CACHE_HOME names a folder".to_owned()))?;
    let absent = cache.missing_files();
    if !absent.is_empty() {
        let names: Vec<&str> = absent.iter().map(|f| f.name).collect();
        return Err(missing(format!("run `voice models pull` for {}", names.join(", "))));
    }
    LocalStages::load(&cache.files(), pool)
}

#[cfg(not(feature = "local"))]
fn load_local(_pool: &Arc<Pool>) -> Result<std::convert::Infallible, ProviderError> {
    Err(ProviderError::ModelMissing { provider: "local speech", detail: "this build has no local models".to_owned() })
}
