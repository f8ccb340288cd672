//! Language models: the trait that every answerer, local or in the cloud, stands behind.
//!
//! A reply is a stream of events; dropping the stream cancels the request. Caller: `session`.

pub mod concierge;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::ProviderError;
use crate::ids::SessionId;

/// A language model or answerer, shared by all calls.
pub trait LanguageModel: Send + Sync {
    /// Name for logs, health and the start-up page, such as `concierge`.
    fn name(&self) -> &'static str;

    /// Starts an answer. The stream ends after [`LlmEvent::Done`] or an error. Dropping it cancels.
    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>>;

    /// Called when a call starts, so that the model can fetch what it will need. May be ignored.
    fn prepare(&self, _session: SessionId) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// One question with everything the model may know.
#[derive(Clone, Debug)]
pub struct LlmRequest {
    /// Which call asks.
    pub session: SessionId,
    /// The conversation so far, oldest first; the last message is what the caller just said.
    pub messages: Vec<Message>,
    /// BCP 47 language of the answer.
    pub language: String,
}

/// One contribution to the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whose words.
    pub role: Role,
    /// The words: of the assistant only what the caller heard.
    pub text: String,
}

/// Whose words a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing instructions and facts.
    System,
    /// The caller.
    User,
    /// Our voice.
    Assistant,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LlmEvent {
    /// More text, to be appended as it is.
    Delta(String),
    /// The answer is complete.
    Done,
}
