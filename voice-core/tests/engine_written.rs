//! Typed questions to an engine without a call: what reaches the answerer, and what comes of silence and failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use voice_core::context::{ContextQuery, ContextSource};
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest};
use voice_core::metrics::Meter;
use voice_core::session::{Engine, NoAnswer, Question};
use voice_core::stt::AbsentRecogniser;
use voice_core::tts::AbsentVoice;

/// Answers as it is told, and keeps what it was asked.
#[derive(Default)]
struct Scripted {
    events: Mutex<Vec<LlmEvent>>,
    asked: Mutex<Vec<LlmRequest>>,
    never_ends: bool,
}

impl LanguageModel for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        self.asked.lock().expect("unpoisoned").push(request);
        let events = stream::iter(self.events.lock().expect("unpoisoned").clone()).map(Ok);
        if self.never_ends { events.chain(stream::pending()).boxed() } else { events.boxed() }
    }
}

struct Facts(Duration);

impl ContextSource for Facts {
    fn name(&self) -> &'static str {
        "facts"
    }

    fn look_up(
        &self,
        query: ContextQuery,
    ) -> futures::future::BoxFuture<'static, Result<Vec<String>, ProviderError>> {
        let wait = self.0;
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            Ok(vec![format!("fact about {}", query.said)])
        })
    }
}

fn engine(model: &Arc<Scripted>, facts_take: Duration) -> Engine {
    Engine::builder()
        .stt(Arc::new(AbsentRecogniser::new(absent())))
        .llm(model.clone())
        .tts(Arc::new(AbsentVoice::new(absent())))
        .context(Arc::new(Facts(facts_take)))
        .instructions("Be brief.")
        .build()
        .expect("an engine")
}

/// Neither is asked.
fn absent() -> ProviderError {
    ProviderError::Unreachable { provider: "none", detail: String::new() }
}

fn question() -> Question {
    Question {
        session: SessionId::random(),
        earlier: vec![("hello".into(), "Hi.".into()), ("price?".into(), "Two".into())],
        text: "and the garden?".into(),
        meter: Meter::default(),
        context: None,
    }
}

fn texts(model: &Scripted) -> Vec<String> {
    let asked = model.asked.lock().expect("unpoisoned");
    asked.last().expect("asked").messages.iter().map(|message| message.text.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_with_all_that_went_before_and_its_facts() {
    let model = Arc::new(Scripted::default());
    *model.events.lock().expect("unpoisoned") = vec![
        LlmEvent::Delta(" It is ".into()),
        LlmEvent::Filler("Let me see.".into()),
        LlmEvent::Delta("large. ".into()),
        LlmEvent::Done(FinishReason::Stop),
    ];
    let reply =
        engine(&model, Duration::ZERO).answer(question(), Duration::from_secs(5)).await.expect("answered");
    assert_eq!(reply, "It is large.");
    let mut texts = texts(&model);
    let facts = texts.remove(5);
    assert_eq!(texts, ["Be brief.", "hello", "Hi.", "price?", "Two", "and the garden?"]);
    assert!(facts.ends_with("\n\"fact about and the garden?\""), "{facts}");
}

#[tokio::test(start_paused = true)]
async fn facts_that_are_late_are_left_out() {
    let model = Arc::new(Scripted::default());
    *model.events.lock().expect("unpoisoned") = vec![LlmEvent::Delta("Yes.".into())];
    let engine = engine(&model, Duration::from_millis(31));
    assert_eq!(engine.answer(question(), Duration::from_secs(5)).await.expect("answered"), "Yes.");
    assert!(!texts(&model).iter().any(|text| text.starts_with("fact")));
}

#[tokio::test(start_paused = true)]
async fn an_answerer_that_never_ends_is_given_up_in_time() {
    let model = Arc::new(Scripted { never_ends: true, ..Scripted::default() });
    let begun = tokio::time::Instant::now();
    let outcome = engine(&model, Duration::ZERO).answer(question(), Duration::from_secs(7)).await;
    assert!(matches!(outcome, Err(NoAnswer::Late)));
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_answerer_without_a_word_is_no_answer() {
    let model = Arc::new(Scripted::default());
    let outcome = engine(&model, Duration::ZERO).answer(question(), Duration::from_secs(7)).await;
    assert!(matches!(outcome, Err(NoAnswer::Empty)));
}
