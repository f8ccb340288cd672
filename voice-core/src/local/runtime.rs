//! ONNX Runtime, loaded once a process, and sessions that calls share.
//!
//! The library is loaded at run time ([`Runtime::load`]), never linked: a build needs no weights and no C++. Its
//! telemetry is off, its threads do not spin, and a session computes on the calling thread unless asked otherwise.
//! [`Lanes`] lets several inference threads use one model: the binding wants a session for itself while it runs.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use crate::error::ProviderError;

/// The loaded library. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
}

/// The process has one environment; whoever comes second gets the first one's.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

impl Runtime {
    /// Loads the library, or gives the one that this process has loaded before, from whichever path.
    ///
    /// # Errors
    /// [`ProviderError::ModelMissing`] where there is no such file, [`ProviderError::Failed`] where it is not a
    /// usable ONNX Runtime. A failed attempt may be repeated.
    pub fn load(library: &Path) -> Result<Self, ProviderError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = loaded.as_ref() {
            return Ok(Self { environment: environment.clone() });
        }
        present(NAME, library)?;
        let builder = ort::init_from(library).map_err(|error| failed(NAME, error))?;
        let builder = builder.with_name("voice").with_telemetry(false);
        let environment = builder.build().map_err(|error| failed(NAME, error))?;
        *loaded = Some(environment.clone());
        Ok(Self { environment })
    }

    /// Opens a model that computes on the calling thread and, where `threads` is more than one, on others besides.
    ///
    /// # Errors
    /// [`ProviderError::ModelMissing`] or [`ProviderError::Failed`], in the name of `provider`.
    pub fn open(
        &self,
        provider: &'static str,
        model: &Path,
        threads: usize,
    ) -> Result<Session, ProviderError> {
        present(provider, model)?;
        let build = || -> Result<Session, String> {
            let said = |error: ort::Error<ort::session::builder::SessionBuilder>| error.to_string();
            Session::builder(&self.environment)
                .map_err(|error| error.to_string())?
                .with_optimization_level(GraphOptimizationLevel::All)
                .map_err(said)?
                .with_intra_threads(threads.max(1))
                .map_err(said)?
                .with_inter_threads(1)
                .map_err(said)?
                .with_intra_op_spinning(false)
                .map_err(said)?
                // A plan is kept for every new shape, and no two utterances have the same.
                .with_memory_pattern(false)
                .map_err(said)?
                .with_inter_op_spinning(false)
                .map_err(said)?
                .commit_from_file(model)
                .map_err(|error| error.to_string())
        };
        build().map_err(|detail| failed(provider, detail))
    }
}

const NAME: &str = "onnxruntime";

/// Checks that a file of weights is there.
///
/// # Errors
/// [`ProviderError::ModelMissing`], which names the file and the command that brings it.
pub(crate) fn present(provider: &'static str, file: &Path) -> Result<(), ProviderError> {
    if file.is_file() {
        return Ok(());
    }
    let detail = format!("{} is not there; `voice models pull` brings it", file.display());
    Err(ProviderError::ModelMissing { provider, detail })
}

/// A failure in the name of `provider`.
pub(crate) fn failed(provider: &'static str, detail: impl std::fmt::Display) -> ProviderError {
    ProviderError::Failed { provider, detail: detail.to_string() }
}

/// Equal copies of a model, one for each thread that may use it at the same time.
///
/// The first copy is made at once. The others are made by [`Self::fill`], or by the first use that finds all made
/// copies busy.
pub struct Lanes<T> {
    lanes: Box<[Mutex<Option<T>>]>,
    make: Box<dyn Fn() -> Result<T, ProviderError> + Send + Sync>,
    turn: AtomicUsize,
}

impl<T: Send> Lanes<T> {
    /// Makes the first of `count` copies (at least one).
    ///
    /// # Errors
    /// Whatever `make` says.
    pub fn new(
        count: usize,
        make: impl Fn() -> Result<T, ProviderError> + Send + Sync + 'static,
    ) -> Result<Self, ProviderError> {
        let first = make()?;
        let mut lanes = vec![Mutex::new(Some(first))];
        lanes.extend((1..count).map(|_| Mutex::new(None)));
        Ok(Self { lanes: lanes.into(), make: Box::new(make), turn: AtomicUsize::new(0) })
    }

    /// Makes the copies that are not made yet. Blocks for as long as loading takes; for a background thread at start.
    ///
    /// # Errors
    /// Whatever `make` says; the copies made so far stay.
    pub fn fill(&self) -> Result<(), ProviderError> {
        for lane in &self.lanes {
            if lock(lane).is_none() {
                // Made outside the lock, so that nobody waits for a lane that only loads.
                let made = (self.make)()?;
                lock(lane).get_or_insert(made);
            }
        }
        Ok(())
    }

    /// Uses a free copy; where none is free, waits for one.
    ///
    /// # Errors
    /// Whatever `work` says, or `make` where a copy had to be made.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> Result<R, ProviderError>) -> Result<R, ProviderError> {
        let mut unmade = None;
        for lane in &self.lanes {
            let mut guard = match lane.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            match guard.as_mut() {
                Some(model) => return work(model),
                None => unmade = unmade.or(Some(guard)),
            }
        }
        let mut guard = match unmade {
            Some(guard) => guard,
            None => lock(&self.lanes[self.turn.fetch_add(1, Ordering::Relaxed) % self.lanes.len()]),
        };
        if guard.is_none() {
            *guard = Some((self.make)()?);
        }
        match guard.as_mut() {
            Some(model) => work(model),
            None => Err(failed(NAME, "a model that was made is gone")),
        }
    }
}

fn lock<T>(lane: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_missing_file_names_the_command_that_brings_it() {
        let error = present("silero", Path::new("/nowhere/silero.onnx")).expect_err("no such file");
        assert!(matches!(error, ProviderError::ModelMissing { provider: "silero", .. }));
        let text = error.to_string();
        assert!(text.contains("/nowhere/silero.onnx") && text.contains("voice models pull"), "{text}");
    }

    fn counted(count: usize) -> (Lanes<usize>, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let lanes = Lanes::new(count, move || Ok(counter.fetch_add(1, Ordering::SeqCst))).expect("made");
        (lanes, made)
    }

    #[test]
    fn a_second_copy_is_made_only_when_the_first_is_busy() {
        let (lanes, made) = counted(2);
        for _ in 0..3 {
            assert_eq!(lanes.with(|n| Ok(*n)).expect("first"), 0);
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(lanes.with(|_| lanes.with(|inner| Ok(*inner))).expect("second"), 1);
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn filling_makes_each_copy_once() {
        let (lanes, made) = counted(3);
        lanes.fill().expect("filled");
        lanes.fill().expect("filled");
        assert_eq!(made.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_copy_survives_work_that_panics() {
        let (lanes, _) = counted(1);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = lanes.with(|_| -> Result<(), ProviderError> { panic!("on purpose") });
        }));
        assert!(outcome.is_err());
        assert!(lanes.with(|n| Ok(*n)).is_ok());
    }
}
