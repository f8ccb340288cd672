//! Temporary.
use crate::ids::SessionId;
use crate::llm::{Message, Role};
use futures::future::BoxFuture;
/// Temporary.
pub trait ContextSource: Send + Sync {
    /// Temporary.
    fn look_up(&self, session: SessionId, said: &str) -> BoxFuture<'static, Vec<Message>>;
}
/// Temporary.
#[derive(Debug)]
pub struct Conversation(Vec<Message>);
impl Conversation {
    /// Temporary.
    pub fn new(_instructions: &str) -> Self {
        Self(Vec::new())
    }
    /// Temporary.
    pub fn push_user(&mut self, text: &str) {
        self.0.push(Message { role: Role::User, text: text.into() });
    }
    /// Temporary.
    pub fn push_heard(&mut self, text: &str) {
        self.0.push(Message { role: Role::Assistant, text: text.into() });
    }
    /// Temporary.
    pub fn messages(&self, facts: Vec<Message>) -> Vec<Message> {
        facts.into_iter().chain(self.0.iter().cloned()).collect()
    }
}
