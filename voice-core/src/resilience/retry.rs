//! What an error is worth: whether the same provider may do better, and what the error says about its health.
//!
//! The one list of what is retried, by the kind of error:
//!
//! | Error | Remedy | The breaker counts it |
//! |---|---|---|
//! | `Unreachable`, `Failed` | the same provider once more, after a short wait | as a failure |
//! | `TimedOut` | another provider; the same one only if there is none | as a failure |
//! | `Limited` | another provider; the same one not before the time it asked for | not: it answers, it is full |
//! | `Rejected` | another provider; the same one would refuse again | not: the request is at fault |
//! | `Unauthorised`, `OutOfCredit`, `Misconfigured`, `ModelMissing` | another provider | opens it at once: no caller's request mends it |
//!
//! Nothing is ever repeated after its first useful output; what may continue is the planner's business.

use std::time::Duration;

use super::backoff::Backoff;
use crate::error::ProviderError;

/// What may help after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same provider may do better at once.
    Again,
    /// The same provider may do better later; another one is better.
    Later,
    /// Only another provider can help this request.
    Elsewhere,
}

/// What an error says about the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It failed: five such in a row and it is left alone.
    Failing,
    /// It is well; the request or the moment was wrong.
    Innocent,
    /// It will refuse everybody until somebody mends the account or the configuration.
    Useless,
}

/// Judges an error by the table above.
pub fn judge(error: &ProviderError) -> (Remedy, Blame) {
    match error {
        ProviderError::Unreachable { .. } | ProviderError::Failed { .. } => (Remedy::Again, Blame::Failing),
        ProviderError::TimedOut { .. } => (Remedy::Later, Blame::Failing),
        ProviderError::Limited { .. } => (Remedy::Later, Blame::Innocent),
        ProviderError::Rejected { .. } => (Remedy::Elsewhere, Blame::Innocent),
        ProviderError::Unauthorised { .. }
        | ProviderError::OutOfCredit { .. }
        | ProviderError::Misconfigured { .. }
        | ProviderError::ModelMissing { .. } => (Remedy::Elsewhere, Blame::Useless),
    }
}

/// How often one request is tried. Out-of-range numbers are brought into range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    per_provider: u32,
    patience: Duration,
    backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, per_provider: 2, patience: Duration::from_secs(1), backoff: Backoff::default() }
    }
}

impl Retry {
    /// Attempts of one request at all providers together, hedges included; 1 to 16, 4 unless set. More attempts find
    /// a working provider in a longer list, and load a list that is failing.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, MOST_ATTEMPTS);
        self
    }

    /// Attempts of one request at one provider; 1 to 16, 2 unless set. One means: never the same provider twice.
    #[must_use]
    pub fn with_per_provider(mut self, attempts: u32) -> Self {
        self.per_provider = attempts.clamp(1, MOST_ATTEMPTS);
        self
    }

    /// Longest wait for a provider while none is usable; up to 10 s, 1 s unless set. Raised, a caller hears nothing
    /// for longer where he might read the answer instead.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(MOST_PATIENCE);
        self
    }

    /// The waits between attempts at the same provider.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Attempts of one request.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Attempts of one request at one provider.
    pub const fn per_provider(&self) -> u32 {
        self.per_provider
    }

    /// Longest wait for a provider while none is usable.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// The waits between attempts at the same provider.
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }
}

/// Two attempts at each of as many providers as a list may have.
const MOST_ATTEMPTS: u32 = 16;
/// A caller who hears nothing for longer hangs up.
const MOST_PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_brought_into_it() {
        let retry = Retry::default().with_attempts(0).with_per_provider(99).with_patience(Duration::MAX);
        assert_eq!((retry.attempts(), retry.per_provider()), (1, 16));
        assert_eq!(retry.patience(), Duration::from_secs(10));
    }
}
