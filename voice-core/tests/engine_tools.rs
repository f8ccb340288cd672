//! A tool with an effect behind the engine: held until its turn is certain, done once, answered, and given up in time.
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
use voice_core::sim::{ScriptedStt, ScriptedTts, TtsFault};
use voice_core::turn::{Event, Failure, Policy, TurnRecord};

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

/// What has become of the bookings.
#[derive(Default)]
struct Bookings {
    begun: AtomicU32,
    /// Finished or dropped.
    over: AtomicU32,
}

/// Counts a booking as over when it is dropped, finished or not.
struct Booking(Arc<Bookings>);

impl Drop for Booking {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, Ordering::SeqCst);
    }
}

struct Book {
    bookings: Arc<Bookings>,
    hangs: bool,
}

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
    fn time_limit(&self) -> Option<Duration> {
        Some(Duration::from_secs(30))
    }
    fn call(&self, _call: Invocation) -> BoxFuture<'static, Result<Value, ToolError>> {
        self.bookings.begun.fetch_add(1, Ordering::SeqCst);
        let (booking, hangs) = (Booking(self.bookings.clone()), self.hangs);
        async move {
            let _booking = booking;
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(json!("booked"))
        }
        .boxed()
    }
}

/// Asks for two bookings in a recording; gives each turn to `check` as it ends.
async fn call(book: Book, tts: ScriptedTts, policy: Policy, mut check: impl FnMut(TurnRecord)) {
    let toolbox = Toolbox::new([Arc::new(book) as Arc<dyn Tool>]).unwrap();
    let limits = ToolLimits {
        filler_after: Duration::from_millis(20),
        filler_again: String::new(),
        ..ToolLimits::default()
    };
    let engine = Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["Book it.", "And the other one."])))
        .llm(Arc::new(ToolUser::new(Arc::new(Agent), toolbox, limits)))
        .tts(Arc::new(tts))
        .policy(policy)
        .build()
        .unwrap();
    let mut options = SessionOptions::new(SessionId::random());
    options.playout = PlayoutClock::Skip;
    options.clears = true;
    let mut call = engine.open(options).unwrap();
    let audio = voice_fixtures::read("questions", "two_questions.wav").unwrap();
    call.sender().push(Bytes::from(audio)).await.unwrap();
    call.sender().finish().await.unwrap();
    let mut turns = 0;
    while let Some(output) = call.next().await {
        match output {
            Output::Event(Event::TurnEnded(turn)) => {
                turns += 1;
                check(*turn);
            }
            Output::Ended(_) => break,
            _ => {}
        }
    }
    assert_eq!(turns, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_effect_is_done_once_a_turn_after_the_filler_is_heard() {
    let bookings = Arc::new(Bookings::default());
    let book = Book { bookings: bookings.clone(), hangs: false };
    let mut turns = 0;
    call(book, ScriptedTts::default(), Policy::default(), |turn| {
        turns += 1;
        assert_eq!(turn.failure, None);
        assert_eq!(turn.reply, "One moment, let me check. It is booked.");
        assert_eq!(turn.heard, turn.reply);
        assert!(turn.bridged);
        assert_eq!(bookings.over.load(Ordering::SeqCst), turns);
    })
    .await;
    assert_eq!(bookings.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_effect_is_done_also_where_the_voice_is_lost_and_the_text_goes_on() {
    let bookings = Arc::new(Bookings::default());
    let book = Book { bookings: bookings.clone(), hangs: false };
    let mut tts = ScriptedTts::default();
    let lost = TtsFault::Fail { after: Duration::ZERO };
    tts.script.faults.extend([lost, lost]);
    call(book, tts, Policy::default(), |turn| {
        assert_eq!(turn.failure, Some(Failure::Tts));
        assert_eq!(
            (turn.reply.as_str(), turn.heard.as_str()),
            ("One moment, let me check. It is booked.", "")
        );
    })
    .await;
    assert_eq!(bookings.over.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_tool_that_outlasts_the_turn_is_dropped_with_it_and_excused() {
    let bookings = Arc::new(Bookings::default());
    let book = Book { bookings: bookings.clone(), hangs: true };
    let policy = Policy { reply_text: Duration::from_millis(300), ..Policy::default() };
    let mut turns = 0;
    call(book, ScriptedTts::default(), policy, |turn| {
        turns += 1;
        assert_eq!(turn.failure, Some(Failure::Llm));
        assert!(turn.reply.starts_with("One moment, let me check. I'm sorry"), "{}", turn.reply);
        assert_eq!(bookings.over.load(Ordering::SeqCst), turns);
    })
    .await;
    assert_eq!(bookings.begun.load(Ordering::SeqCst), 2);
}
