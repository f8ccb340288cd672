//! Your own answerer behind the engine: implement `LanguageModel`, give it to the builder, talk.
//!
//! The recogniser and the voice are scripted here, so that the example runs anywhere; see `embed.rs` for real ones.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest};
use voice_core::session::{Engine, Output, PlayoutClock, SessionOptions};
use voice_core::sim::{ScriptedStt, ScriptedTts};
use voice_core::turn::Event;

/// Says back what it was told.
struct Echo;

impl LanguageModel for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let said = request.messages.last().map(|m| m.text.clone()).unwrap_or_default();
        let words = format!("You said: {said}");
        stream::iter([Ok(LlmEvent::Delta(words)), Ok(LlmEvent::Done(FinishReason::Stop))]).boxed()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["Is there a garden?"])))
        .llm(Arc::new(Echo))
        .tts(Arc::new(ScriptedTts::default()))
        .build()?;
    let mut options = SessionOptions::new(SessionId::random());
    options.playout = PlayoutClock::Skip;
    let mut call = engine.open(options)?;
    call.sender().push(Bytes::from(voice_fixtures::read("questions", "two_questions.wav")?)).await?;
    call.sender().finish().await?;
    let mut answered = 0;
    while let Some(output) = call.next().await {
        if let Output::Event(Event::TurnEnded(turn)) = output {
            println!("{} → {} ({:?})", turn.said, turn.reply, turn.ledger.total());
            answered += usize::from(turn.reply == "You said: Is there a garden?");
        }
    }
    assert!(answered > 0, "the caller was answered");
    Ok(())
}
