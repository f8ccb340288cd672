//! Language models: the trait that every answerer, local or in the cloud, stands behind.
//!
//! A reply is a stream of events; dropping the stream cancels the request. [`tools`] lets a model ask for things before
//! it answers, [`openai`] holds the messages of OpenAI-compatible servers, [`concierge`] is the local answerer. Caller:
//! `session`.

pub mod concierge;
pub mod openai;
pub mod tools;

mod commit;
mod message;
#[cfg(feature = "runtime")]
mod resilient;

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use commit::{Commit, CommitBarrier};
pub use message::{Message, Role, ToolCall, ToolSpec};
#[cfg(feature = "runtime")]
pub use resilient::{Candidate, ModelProbe, ResilientModel};

use crate::error::ProviderError;
use crate::ids::SessionId;
use crate::metrics::Meter;

/// A language model or answerer, shared by all calls.
pub trait LanguageModel: Send + Sync {
    /// Name for logs, health and the start-up page, such as `concierge`.
    fn name(&self) -> &'static str;

    /// Starts an answer. The stream ends after one [`LlmEvent::Done`] or one error, also where there is not a word to say
    /// and where the conversation is longer than the model takes. Dropping it cancels.
    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>>;

    /// Called when a call starts, so that the model can open a connection or fetch what it will need; it is awaited beside
    /// the call, which does not wait for it, and dropped with it.
    fn prepare(&self, _session: SessionId) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// One question with everything the model may know.
#[derive(Clone, Debug)]
pub struct LlmRequest {
    /// Which call asks.
    pub session: SessionId,
    /// The conversation so far, oldest first. The last message is what the caller just said or, within a tool loop,
    /// the results that the model asked for.
    pub messages: Vec<Message>,
    /// BCP 47 language of the answer.
    pub language: String,
    /// Tools that the model may ask for. Empty: none. An answerer without tools ignores them.
    pub tools: Arc<[ToolSpec]>,
    /// Whether the model may ask for them now.
    pub tool_use: ToolUse,
    /// Opens when the caller's turn is certain: before that, nothing with an effect may be done for it.
    pub commit: Commit,
    /// Where what the answer takes is counted.
    pub meter: Meter,
    /// The homes that an answerer without a model of its own speaks about. `None`: those it was made with.
    pub homes: Option<Arc<dyn concierge::HomeSource>>,
}

impl LlmRequest {
    /// A question without tools, for which nothing with an effect will ever be done.
    pub fn new(session: SessionId, messages: Vec<Message>, language: impl Into<String>) -> Self {
        Self {
            session,
            messages,
            language: language.into(),
            tools: Arc::default(),
            tool_use: ToolUse::Allowed,
            commit: Commit::never(),
            meter: Meter::default(),
            homes: None,
        }
    }
}

/// Whether a model may ask for tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolUse {
    /// As it sees fit.
    #[default]
    Allowed,
    /// It sees them, so that earlier results make sense, but has to answer in words.
    Forbidden,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LlmEvent {
    /// More text, to be appended as it is.
    Delta(String),
    /// Words that bridge a wait. They are spoken but are no part of the answer: a latency that counts to the first word
    /// of the answer does not end here. Comes from the tool loop, whole sentences at a time.
    Filler(String),
    /// The model asks for a tool. Complete, but not checked in any way.
    ToolCall(ToolCall),
    /// What the answer cost. At most once, before the end.
    Usage(Usage),
    /// The answer is complete.
    Done(FinishReason),
}

impl LlmEvent {
    /// Whether this shows that the model works on the answer: text, or a tool call. An answer of tool calls only is
    /// a success, so a deadline for the first sign of life ends with either.
    pub fn is_useful(&self) -> bool {
        match self {
            Self::Delta(text) => !text.is_empty(),
            Self::ToolCall(_) => true,
            Self::Filler(_) | Self::Usage(_) | Self::Done(_) => false,
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// It was complete.
    Stop,
    /// It reached the longest length allowed and is cut.
    Length,
    /// The model waits for the results of its tool calls.
    ToolCalls,
    /// The model declined; its text, if any, says so.
    Refused,
    /// The service withheld the rest.
    Filtered,
}

/// What an answer cost, in tokens. What a service does not tell is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input: u64,
    /// Of those, read from the service's cache.
    pub cached: u64,
    /// Tokens written, thoughts among them.
    pub output: u64,
    /// Of those, thoughts that were not said.
    pub reasoning: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stay_small_and_requests_may_change_threads() {
        fn is_send<T: Send>() {}
        is_send::<LlmRequest>();
        is_send::<CommitBarrier>();
        assert!(size_of::<LlmEvent>() <= 72, "{}", size_of::<LlmEvent>());
    }

    #[test]
    fn a_tool_call_alone_is_a_sign_of_life_and_a_filler_is_none() {
        let call = ToolCall { id: "1".into(), name: "search".into(), arguments: "{}".into() };
        assert!(LlmEvent::ToolCall(call).is_useful());
        assert!(LlmEvent::Delta("a".into()).is_useful());
        for event in [
            LlmEvent::Delta(String::new()),
            LlmEvent::Filler("One moment.".into()),
            LlmEvent::Usage(Usage::default()),
            LlmEvent::Done(FinishReason::Stop),
        ] {
            assert!(!event.is_useful(), "{event:?}");
        }
    }
}
