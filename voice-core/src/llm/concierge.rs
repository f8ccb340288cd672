//! Stub.
use super::*;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
/// Stub.
pub struct Concierge;
impl Concierge {
    /// Stub.
    pub fn with_samples() -> Self {
        Self
    }
}
impl LanguageModel for Concierge {
    fn name(&self) -> &'static str {
        "stub"
    }
    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let t = request.messages.last().map(|m| m.text.clone()).unwrap_or_default();
        stream::iter([
            Ok(LlmEvent::Delta("Yes, it does. ".into())),
            Ok(LlmEvent::Delta(format!("You asked: {t}"))),
            Ok(LlmEvent::Done),
        ])
        .boxed()
    }
}
