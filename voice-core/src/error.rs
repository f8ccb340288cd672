//! Errors of the outside services, sorted by what the reader of the error can do.

use std::time::Duration;

/// What went wrong with a recogniser, a language model or a voice.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// Nobody answered at the address, or the connection broke. Retry or use the next provider.
    #[error("{provider} cannot be reached: {detail}")]
    Unreachable {
        /// Which provider.
        provider: &'static str,
        /// What the transport said, without secrets.
        detail: String,
    },
    /// The key is missing, wrong or may not do this. Fix the configuration.
    #[error("{provider} refused the key: {detail}")]
    Unauthorised {
        /// Which provider.
        provider: &'static str,
        /// What the service said, without secrets.
        detail: String,
    },
    /// Too many requests or no credit left. Retry after the given time or use the next provider.
    #[error("{provider} is over its limit: {detail}")]
    Limited {
        /// Which provider.
        provider: &'static str,
        /// What the service said.
        detail: String,
        /// When the service asks to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// The service answered something that its protocol does not allow, or reported a failure of its own.
    #[error("{provider} failed: {detail}")]
    Failed {
        /// Which provider.
        provider: &'static str,
        /// What happened.
        detail: String,
    },
    /// A deadline passed without a useful answer.
    #[error("{provider} gave no answer within {after:?}")]
    TimedOut {
        /// Which provider.
        provider: &'static str,
        /// The deadline that passed.
        after: Duration,
    },
    /// The weights of a local model are not on this machine.
    #[error("{provider} has no model here: {detail}")]
    ModelMissing {
        /// Which provider.
        provider: &'static str,
        /// Which file is missing and which command brings it.
        detail: String,
    },
}

impl ProviderError {
    /// Which provider the error is about.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Unreachable { provider, .. }
            | Self::Unauthorised { provider, .. }
            | Self::Limited { provider, .. }
            | Self::Failed { provider, .. }
            | Self::TimedOut { provider, .. }
            | Self::ModelMissing { provider, .. } => provider,
        }
    }
}
