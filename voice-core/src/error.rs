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
    /// The account has no credit left. Add credit; until then use the next provider.
    #[error("{provider} has no credit left: {detail}")]
    OutOfCredit {
        /// Which provider.
        provider: &'static str,
        /// What the service said, without secrets.
        detail: String,
    },
    /// The service does not have what the configuration names (a voice, a model, a format). Fix the configuration.
    #[error("{provider} cannot do what is configured: {detail}")]
    Misconfigured {
        /// Which provider.
        provider: &'static str,
        /// What is not there.
        detail: String,
    },
    /// The service does not take this one request (a text or a conversation too long). Shorten it or use the next
    /// provider.
    #[error("{provider} does not take the request: {detail}")]
    Rejected {
        /// Which provider.
        provider: &'static str,
        /// What the service said, without the caller's words.
        detail: String,
    },
    /// Too many requests or too much at once. Retry after the given time or use the next provider.
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
            | Self::OutOfCredit { provider, .. }
            | Self::Misconfigured { provider, .. }
            | Self::Rejected { provider, .. }
            | Self::Limited { provider, .. }
            | Self::Failed { provider, .. }
            | Self::TimedOut { provider, .. }
            | Self::ModelMissing { provider, .. } => provider,
        }
    }
}
