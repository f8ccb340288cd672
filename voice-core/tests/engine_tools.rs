//! A tool with an effect behind the engine: held until the answer can be heard, done once, and answered.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::tools::{Effect, Invocation, Tool, ToolError, ToolLimits, ToolUser, Toolbox};
use voice_core::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest, Role, ToolCall};
use voice_core::session::{Engine, Output, PlayoutClock, SessionOptions};
use voice_core::sim::{ScriptedStt, ScriptedTts};
use voice_core::turn::Event;

/// Books what it is asked about, then says so.
struct Agent;

impl LanguageModel for Agent {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let last = request.messages.last().unwrap();
        let events = if last.role == Role::Tool {
            vec![LlmEvent::Delta("It is booked.".into()), LlmEvent::Done(FinishReason::Stop)]
        } else {
            let call = ToolCall { id: "a".into(), name: "book".into(), arguments: "{}".into() };
            vec![LlmEvent::ToolCall(call), LlmEvent::Done(FinishReason::ToolCalls)]
        };
        stream::iter(events.into_iter().map(Ok)).boxed()
    }
}

struct Book(Arc<AtomicU32>);

impl Tool for Book {
    fn name(&self) -> &str {
        "book"
    }
    fn description(&self) -> &str {
        "books"
    }
    fn parameters(&self) -> Value {
        json!({"type": "object"})
    }
    fn effect(&self) -> Effect {
        Effect::Changes
    }
    fn call(&self, _call: Invocation) -> BoxFuture<'static, Result<Value, ToolError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(json!("booked"))).boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_effect_is_done_once_a_turn_after_the_filler_is_heard() {
    let booked = Arc::new(AtomicU32::new(0));
    let toolbox = Toolbox::new([Arc::new(Book(booked.clone())) as Arc<dyn Tool>]).unwrap();
    let limits = ToolLimits { filler_after: Duration::from_millis(20), ..ToolLimits::default() };
    let engine = Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["Book it.", "And the other one."])))
        .llm(Arc::new(ToolUser::new(Arc::new(Agent), toolbox, limits)))
        .tts(Arc::new(ScriptedTts::default()))
        .build()
        .unwrap();
    let mut options = SessionOptions::new(SessionId::random());
    options.playout = PlayoutClock::Skip;
    let mut call = engine.open(options).unwrap();
    let audio = voice_fixtures::read("questions", "two_questions.wav").unwrap();
    call.sender().push(Bytes::from(audio)).await.unwrap();
    call.sender().finish().await.unwrap();
    let mut turns = 0;
    while let Some(output) = call.next().await {
        match output {
            Output::Event(Event::TurnEnded(turn)) => {
                turns += 1;
                assert_eq!(turn.failure, None);
                assert_eq!(turn.reply, "One moment, let me check. It is booked.");
                assert_eq!(turn.heard, turn.reply);
                assert_eq!(booked.load(Ordering::SeqCst), turns);
            }
            Output::Ended(_) => break,
            _ => {}
        }
    }
    assert_eq!(turns, 2);
}
