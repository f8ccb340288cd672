//! What the shell tells a planner, and what the planner orders: the vocabulary of one request.
//!
//! The same words serve all three stages:
//!
//! | | speech-to-text | language model | text-to-speech |
//! |---|---|---|---|
//! | a request | one utterance | one reply | one reply's speech |
//! | [`Wanted`](Input::Wanted) | the utterance is over | at once | a clause was given |
//! | [`Idle`](Input::Idle) | never | never | all clauses given are spoken |
//! | [`Useful`](Input::Useful) | words, also none, if final; until it is over, partial ones | words to speak, or a whole tool call | audio |
//! | where a successor starts, `R` | the sample up to which words are final | nothing: `()` | a word boundary in the text |
//! | broken off | goes on elsewhere, the audio is replayed | gives up | goes on elsewhere |

use std::time::Duration;

use super::fallback::ProviderIndex;
use crate::error::ProviderError;
use crate::time::ProcessTime;

/// One attempt of a request. An epoch: whatever comes with the id of an attempt that is over changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u32);

impl AttemptId {
    /// The id after this one. Wraps after four billion, which no call reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What happened to a request.
#[derive(Clone, Debug)]
pub enum Input<R> {
    /// Output is wanted from now on: deadlines run.
    Wanted,
    /// For now nothing more is wanted: deadlines rest.
    Idle,
    /// The service has taken the attempt; to be told as early as it can be known.
    Started {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The attempt gave something useful. Afterwards [`Planner::emitter`](super::Planner::emitter) says whether it may
    /// be passed on.
    Useful {
        /// Which attempt.
        attempt: AttemptId,
        /// Where another attempt would have to go on, if this one broke off now.
        resume: R,
    },
    /// The attempt is complete.
    Finished {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The attempt is over, badly.
    Failed {
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        error: ProviderError,
    },
    /// Nobody wants the request's output any more.
    Abandoned,
}

/// What is to be done for a request.
#[derive(Clone, Debug)]
pub enum Order<R> {
    /// Start an attempt.
    Start {
        /// Under this id.
        attempt: AttemptId,
        /// At this provider.
        provider: ProviderIndex,
        /// From here: what was given out before is not to be given again.
        from: R,
        /// What makes it necessary.
        why: Why,
    },
    /// End an attempt. What it still gives is ignored.
    Cancel {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// The request is lost; nothing follows.
    GiveUp(Box<GiveUp>),
    /// Nothing to do: for logs and metrics.
    Notice(Notice),
}

/// What makes an attempt necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the first.
    First,
    /// The one before failed at the same provider.
    Retry,
    /// The one before failed at another provider.
    Fallback,
    /// The one before is late and goes on beside it.
    Hedge,
    /// The one before broke off after useful output.
    Resume,
}

impl Why {
    /// The word in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Hedge => "hedge",
            Self::Resume => "resume",
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub enum Notice {
    /// It is the one whose output counts.
    Chosen {
        /// Which attempt.
        attempt: AttemptId,
        /// At which provider.
        provider: ProviderIndex,
        /// How long its output was waited for; `None` where it came before it was wanted.
        after: Option<Duration>,
    },
    /// Another one was quicker.
    Outrun {
        /// Which attempt.
        attempt: AttemptId,
        /// At which provider.
        provider: ProviderIndex,
    },
    /// It failed or was too late.
    Failed {
        /// Which attempt.
        attempt: AttemptId,
        /// At which provider.
        provider: ProviderIndex,
        /// Why.
        error: ProviderError,
    },
    /// No attempt is under way until then.
    Waiting {
        /// When the next one starts.
        until: ProcessTime,
    },
}

/// Why a request is lost, and what to expect of the next.
#[derive(Clone, Debug)]
pub struct GiveUp {
    /// What ended it.
    pub reason: GiveUpReason,
    /// The last error of its attempts, or of the provider that would have been asked.
    pub error: ProviderError,
    /// No provider of the stage is trusted: go on in text, with a notice.
    pub down: bool,
    /// When a provider may be usable again.
    pub back_at: Option<ProcessTime>,
}

/// What ended a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUpReason {
    /// The time for all attempts is over.
    OutOfTime,
    /// As many attempts were made as may be.
    AttemptsUsed,
    /// No provider is left that may do better.
    NobodyLeft,
    /// The answer broke off, and no other attempt could continue it.
    BrokenOff,
    /// It went on and on.
    TooLong,
}
