//! The same dialogue in writing: a typed question answered by the same answerer, without a call.
//!
//! Facts are looked up with the same deadline and the window of the conversation is the same. Nothing is spoken, so the
//! answer costs no speech. Caller: whoever embeds the engine, for clients without sound.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::Engine;
use super::lookahead::Lookahead;
use crate::context::{ContextSource, Conversation};
use crate::error::ProviderError;
use crate::ids::SessionId;
use crate::llm::{Commit, LlmEvent};
use crate::metrics::Meter;

/// A written answer has at most this many characters; the rest is cut off at a word.
const LONGEST: usize = 8_000;

/// A typed question and what was said before it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The conversation.
    pub session: SessionId,
    /// Earlier exchanges, oldest first: the caller's words and what was heard or read of the answer.
    pub earlier: Vec<(String, String)>,
    /// What is asked now.
    pub text: String,
    /// Where what the answer takes is counted.
    pub meter: Meter,
    /// Where facts come from. `None`: where the engine's come from, if it has any.
    pub context: Option<Arc<dyn ContextSource>>,
}

/// Why a written question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The answerer failed. Try again, or tell the caller.
    #[error("the answerer failed")]
    Failed(#[source] ProviderError),
    /// The answer was not complete in time.
    #[error("the answer was not complete in time")]
    Late,
    /// The answerer had nothing to say.
    #[error("the answerer said nothing")]
    Empty,
}

impl Engine {
    /// Answers a typed question within `limit`.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn answer(&self, question: Question, limit: Duration) -> Result<String, NoAnswer> {
        let until = Instant::now() + limit;
        let Question { session, earlier, text, meter, context } = question;
        let mut conversation = Conversation::new(&self.0.instructions);
        for (said, heard) in &earlier {
            conversation.push_user(said);
            conversation.push_heard(heard);
        }
        conversation.push_user(&text);
        let context = context.or_else(|| self.0.context.clone());
        let homes = context.as_ref().and_then(|context| context.homes());
        let mut lookahead = Lookahead::new(context, session);
        let facts = lookahead.settle(&text, self.0.context_deadline).await;
        let mut request = conversation.request(session, &self.0.language, &facts);
        // What was typed and sent cannot be taken back.
        request.commit = Commit::opened();
        (request.meter, request.homes) = (meter, homes);
        let mut events = self.0.llm.reply(request);
        let mut reply = String::new();
        loop {
            match timeout_at(until, events.next()).await {
                Err(_) => return Err(NoAnswer::Late),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(NoAnswer::Failed(error)),
                Ok(Some(Ok(LlmEvent::Delta(more)))) => {
                    reply.push_str(&more);
                    if reply.chars().count() > LONGEST {
                        cut(&mut reply);
                        break;
                    }
                }
                Ok(Some(Ok(LlmEvent::Done(_)))) => break,
                Ok(Some(Ok(_))) => {}
            }
        }
        let reply = reply.trim();
        if reply.is_empty() { Err(NoAnswer::Empty) } else { Ok(reply.to_owned()) }
    }
}

/// Shortens to the longest length, at the end of a word where there is one.
fn cut(reply: &mut String) {
    let end = reply.char_indices().nth(LONGEST).map_or(reply.len(), |(at, _)| at);
    let end = reply[..end].rfind(char::is_whitespace).unwrap_or(end);
    reply.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_at_a_word() {
        let mut reply = "wörd ".repeat(2_000);
        cut(&mut reply);
        assert!(reply.ends_with("wörd") && reply.chars().count() <= LONGEST);
        let mut reply = "ö".repeat(9_000);
        cut(&mut reply);
        assert_eq!(reply.chars().count(), LONGEST);
    }
}
