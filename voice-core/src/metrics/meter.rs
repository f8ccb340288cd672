//! What one call uses of its providers: characters spoken, audio recognised, tokens read and written.
//!
//! A [`Meter`] goes with a call's options to every provider that is asked for it, the fallbacks among them; a client
//! takes its [`Count`]s once and adds what it really sent, also where the answer was cancelled. It knows no prices. What is
//! spoken from memory or computed on this machine is not counted. Adding is one atomic operation. Callers: the
//! provider clients; whoever opens a call reads it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Characters of text that a voice was given.
    Characters,
    /// Audio that a recogniser was sent, silence among it, in samples at 16 kHz.
    Audio,
    /// Tokens that a model read, without those of its cache.
    Input,
    /// Tokens that a model read from its cache.
    Cached,
    /// Tokens that a model wrote, its thoughts among them.
    Output,
}

/// One line of what was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Name of the provider.
    pub provider: &'static str,
    /// Which of its models.
    pub model: Arc<str>,
    /// What of it.
    pub measure: Measure,
    /// How much, in the measure's own unit.
    pub quantity: u64,
    /// Whether the provider did not tell and it was worked out from the length of texts.
    pub estimated: bool,
}

impl Used {
    /// Of [`Measure::Audio`]: how long it is.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.quantity.saturating_mul(62_500))
    }
}

/// The account of one call. Cheap to clone; all clones are one account. The default one keeps nothing.
#[derive(Clone, Default)]
pub struct Meter(Option<Arc<Mutex<Vec<Line>>>>);

struct Line {
    provider: &'static str,
    model: Arc<str>,
    measure: Measure,
    estimated: bool,
    quantity: Arc<AtomicU64>,
}

/// Adds to one line of an account.
#[derive(Clone, Debug, Default)]
pub struct Count(Option<Arc<AtomicU64>>);

/// Lines of one account: every provider and model of a deployment, several times over.
const MOST_LINES: usize = 64;

impl PartialEq for Meter {
    /// Whether both are one account.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Meter {}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.used()).finish()
    }
}

impl Meter {
    /// An empty account.
    ///
    /// ```
    /// use voice_core::metrics::{Measure, Meter};
    /// let meter = Meter::start();
    /// meter.count("elevenlabs", "eleven_turbo_v2", Measure::Characters, false).add(12);
    /// assert_eq!(meter.used()[0].quantity, 12);
    /// ```
    pub fn start() -> Self {
        Self(Some(Arc::default()))
    }

    /// The line of this provider, model and measure, which is made where there is none. An account that has all the lines it
    /// may have counts nothing more.
    pub fn count(&self, provider: &'static str, model: &str, measure: Measure, estimated: bool) -> Count {
        let Some(lines) = &self.0 else { return Count(None) };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |line: &&Line| {
            line.provider == provider
                && *line.model == *model
                && line.measure == measure
                && line.estimated == estimated
        };
        if let Some(line) = lines.iter().find(same) {
            return Count(Some(line.quantity.clone()));
        }
        if lines.len() >= MOST_LINES {
            return Count(None);
        }
        let quantity = Arc::<AtomicU64>::default();
        lines.push(Line { provider, model: model.into(), measure, estimated, quantity: quantity.clone() });
        Count(Some(quantity))
    }

    /// What was used up to now, in the order in which it was first asked for; nothing is not told.
    pub fn used(&self) -> Vec<Used> {
        let Some(lines) = &self.0 else { return Vec::new() };
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let used = lines.iter().map(|line| Used {
            provider: line.provider,
            model: line.model.clone(),
            measure: line.measure,
            quantity: line.quantity.load(Ordering::Relaxed),
            estimated: line.estimated,
        });
        used.filter(|used| used.quantity > 0).collect()
    }
}

impl Count {
    /// Adds to the line.
    pub fn add(&self, quantity: u64) {
        if let Some(line) = &self.0 {
            line.fetch_add(quantity, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_apart_by_provider_model_measure_and_certainty() {
        let meter = Meter::start();
        let other_end = meter.clone();
        for (provider, model, measure, estimated) in [
            ("a", "m", Measure::Input, false),
            ("a", "m", Measure::Input, true),
            ("a", "n", Measure::Input, false),
            ("b", "m", Measure::Input, false),
            ("a", "m", Measure::Output, false),
            ("a", "m", Measure::Input, false),
        ] {
            other_end.count(provider, model, measure, estimated).add(3);
        }
        let used = meter.used();
        assert_eq!(used.iter().map(|line| line.quantity).collect::<Vec<_>>(), [6, 3, 3, 3, 3]);
        assert!(used[1].estimated && used[3].provider == "b" && &*used[2].model == "n");
    }

    #[test]
    fn an_account_is_bounded_and_the_default_one_keeps_nothing() {
        let (meter, none) = (Meter::start(), Meter::default());
        for n in 0..1_000 {
            meter.count("a", &n.to_string(), Measure::Audio, false).add(16_000);
            none.count("a", "m", Measure::Audio, false).add(1);
        }
        assert_eq!((meter.used().len(), none.used().len()), (MOST_LINES, 0));
        assert_eq!(meter.used()[0].duration(), Duration::from_secs(1));
    }
}
