//! What an answer is made from beyond the question: the conversation so far, and facts looked up for it.
//!
//! [`ContextSource`] is where facts come from, [`Conversation`] the bounded window that a language model sees.
//! Neither waits nor reads a clock: whoever asks a source owns the deadline and goes on without it. Caller: `session`.

mod conversation;

pub use conversation::{Conversation, WindowLimits};

use futures::future::BoxFuture;

use crate::error::ProviderError;
use crate::ids::SessionId;

/// Somewhere to look facts up: listings, a calendar, a customer record.
pub trait ContextSource: Send + Sync {
    /// Name for logs and the latency ledger, such as `listings`.
    fn name(&self) -> &'static str;

    /// Looks up what may help to answer. Each fact is one short plain text; the most useful comes first.
    ///
    /// It may be asked about words that turn out not to be final, so it must have no effects. The caller owns the
    /// deadline: when that passes it drops the future, which cancels the look-up, and answers without these facts.
    fn look_up(&self, query: ContextQuery) -> BoxFuture<'static, Result<Vec<String>, ProviderError>>;
}

/// What facts are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextQuery {
    /// Which call asks.
    pub session: SessionId,
    /// What the caller just said.
    pub said: String,
}
