//! What an answer is made from beyond the question: the conversation so far, and facts looked up for it.
//!
//! [`ContextSource`] is where facts come from, [`Conversation`] the bounded window that a language model sees.
//! Neither waits nor reads a clock: whoever asks a source owns the deadline and goes on without it. [`gist`] tells when
//! growing words ask for something else. Caller: `session`.

mod conversation;
mod gist;

pub use conversation::{Conversation, WindowLimits};
pub use gist::gist;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::ProviderError;
use crate::ids::SessionId;
use crate::llm::concierge::HomeSource;

/// Somewhere to look facts up: listings, a calendar, a customer record.
pub trait ContextSource: Send + Sync {
    /// Name for logs and the latency ledger, such as `listings`.
    fn name(&self) -> &'static str;

    /// Looks up what may help to answer. Each fact is one short plain text; the most useful comes first.
    ///
    /// It may be asked about words that turn out not to be final, so it must have no effects. The caller owns the
    /// deadline: when that passes it drops the future, which cancels the look-up, and answers without these facts.
    fn look_up(&self, query: ContextQuery) -> BoxFuture<'static, Result<Vec<String>, ProviderError>>;

    /// The homes of this call, for an answerer that speaks about them from a list. `None`: the one it has.
    fn homes(&self) -> Option<Arc<dyn HomeSource>> {
        None
    }

    /// Told once for each turn that was answered what came of its look-ups, to be counted. Must not block.
    fn note(&self, _outcome: LookUp) {}
}

impl std::fmt::Debug for dyn ContextSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of looking up facts for one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookUp {
    /// The look-up was begun while the caller still spoke, and its facts were there in time.
    Ahead,
    /// It was begun at the end of the turn, since the words were others before, and was there in time.
    InTime,
    /// It was not there in time; the answer went without.
    Late,
    /// The source failed; the answer went without.
    Failed,
}

/// What facts are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextQuery {
    /// Which call asks.
    pub session: SessionId,
    /// What the caller just said.
    pub said: String,
}
