//! The tool loop around a model, carried out: real streams and futures, on a clock that stands still while nothing
//! happens.

#![cfg(feature = "runtime")]

mod desk;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use desk::{call, toolbox};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::tools::{Effect, Invocation, Tool, ToolError, ToolLimits, ToolUser, Toolbox};
use voice_core::llm::{
    CommitBarrier, FinishReason, LanguageModel, LlmEvent, LlmRequest, Message, Role, ToolCall, ToolUse,
};

/// A model that asks for the same calls until it gets results, which it then reads out.
struct Clerk {
    calls: Vec<ToolCall>,
    requests: Mutex<Vec<LlmRequest>>,
}

impl Clerk {
    fn asking(calls: impl IntoIterator<Item = ToolCall>) -> Arc<Self> {
        Arc::new(Self { calls: calls.into_iter().collect(), requests: Mutex::default() })
    }
}

impl LanguageModel for Clerk {
    fn name(&self) -> &'static str {
        "clerk"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let results = request.messages.iter().filter(|m| m.role == Role::Tool);
        let results: Vec<&str> = results.map(|m| m.text.as_str()).collect();
        let events = if results.is_empty() {
            let calls = self.calls.iter().cloned().map(LlmEvent::ToolCall);
            calls.chain([LlmEvent::Done(FinishReason::ToolCalls)]).collect()
        } else {
            vec![LlmEvent::Delta(results.join(" ")), LlmEvent::Done(FinishReason::Stop)]
        };
        self.requests.lock().expect("no panic").push(request);
        stream::iter(events.into_iter().map(Ok)).boxed()
    }
}

/// A tool that does what it is told and counts what becomes of its runs.
struct Worker {
    effect: Effect,
    takes: Option<Duration>,
    breaks: bool,
    runs: Arc<Runs>,
}

#[derive(Default)]
struct Runs {
    begun: AtomicU32,
    over: AtomicU32,
}

/// Counts a run as over when it is dropped, finished or not.
struct Run(Arc<Runs>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tool for Worker {
    fn name(&self) -> &str {
        "work"
    }
    fn description(&self) -> &str {
        "works"
    }
    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {"n": {"type": "integer"}}})
    }
    fn effect(&self) -> Effect {
        self.effect
    }
    fn call(&self, call: Invocation) -> BoxFuture<'static, Result<Value, ToolError>> {
        self.runs.begun.fetch_add(1, Ordering::SeqCst);
        let run = Run(self.runs.clone());
        let (takes, breaks) = (self.takes, self.breaks);
        async move {
            let _run = run;
            assert!(!breaks, "broken on purpose");
            match takes {
                Some(takes) => sleep(takes).await,
                None => std::future::pending().await,
            }
            Ok(json!({"did": call.arguments["n"], "in": call.language}))
        }
        .boxed()
    }
}

fn worker(effect: Effect, takes: Option<Duration>) -> (Worker, Arc<Runs>) {
    let runs = Arc::new(Runs::default());
    (Worker { effect, takes, breaks: false, runs: runs.clone() }, runs)
}

fn user(model: Arc<dyn LanguageModel>, tool: Worker) -> ToolUser {
    let toolbox = Toolbox::new([Arc::new(tool) as Arc<dyn Tool>]).expect("a good tool");
    ToolUser::new(model, toolbox, ToolLimits::default())
}

fn question() -> LlmRequest {
    LlmRequest::new(SessionId::random(), vec![Message::new(Role::User, "Well?")], "en")
}

/// All events with the milliseconds at which they came.
async fn collect(
    mut reply: BoxStream<'static, Result<LlmEvent, ProviderError>>,
) -> Vec<(u128, Result<LlmEvent, ProviderError>)> {
    let start = Instant::now();
    let mut events = Vec::new();
    while let Some(event) = reply.next().await {
        events.push((start.elapsed().as_millis(), event));
    }
    events
}

/// The same as text: what was said and when.
async fn hear(reply: BoxStream<'static, Result<LlmEvent, ProviderError>>) -> Vec<String> {
    let line = |(at, event)| match event {
        Ok(LlmEvent::Delta(text)) => format!("{at} {text}"),
        Ok(LlmEvent::Filler(text)) => format!("{at} [{text}]"),
        Ok(other) => format!("{at} {other:?}"),
        Err(error) => format!("{at} {error}"),
    };
    collect(reply).await.into_iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn the_model_gets_the_results_and_answers_once() {
    let clerk = Clerk::asking([call("a", "search", r#"{"n":1}"#), call("b", "search", r#"{"n":2}"#)]);
    let user = ToolUser::new(clerk.clone(), toolbox(), ToolLimits::default());
    assert_eq!(user.name(), "clerk");
    let heard = hear(user.reply(question())).await;
    assert_eq!(heard, [r#"0 {"n":1} {"n":2}"#, "0 Done(Stop)"]);
    let requests = clerk.requests.lock().expect("no panic");
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|r| r.tools.len() == 4 && r.tool_use == ToolUse::Allowed));
    let roles: Vec<Role> = requests[1].messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool]);
}

#[tokio::test(start_paused = true)]
async fn runs_go_on_side_by_side_and_the_filler_comes_between() {
    let (tool, runs) = worker(Effect::ReadOnly, Some(Duration::from_secs(2)));
    let clerk = Clerk::asking([call("a", "work", r#"{"n":1}"#), call("b", "work", r#"{"n":2}"#)]);
    let heard = hear(user(clerk, tool).reply(question())).await;
    let expected = [
        "700 [One moment, let me check. ]",
        r#"2000 {"did":1,"in":"en"} {"did":2,"in":"en"}"#,
        "2000 Done(Stop)",
    ];
    assert_eq!(heard, expected);
    assert_eq!(runs.over.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_never_ends_is_dropped_and_the_answer_goes_on() {
    let (tool, runs) = worker(Effect::ReadOnly, None);
    let heard = hear(user(Clerk::asking([call("a", "work", "{}")]), tool).reply(question())).await;
    assert_eq!(heard[1..], [r#"5000 {"error":"no result within 5 s"}"#, "5000 Done(Stop)"]);
    assert_eq!((runs.begun.load(Ordering::SeqCst), runs.over.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_panics_is_one_that_failed() {
    let (mut tool, _) = worker(Effect::ReadOnly, None);
    tool.breaks = true;
    let heard = hear(user(Clerk::asking([call("a", "work", "{}")]), tool).reply(question())).await;
    assert_eq!(heard, [r#"0 {"error":"the tool is broken"}"#, "0 Done(Stop)"]);
}

#[tokio::test(start_paused = true)]
async fn an_effect_waits_until_the_session_opens_the_barrier() {
    let (tool, runs) = worker(Effect::Changes, Some(Duration::ZERO));
    let user = user(Clerk::asking([call("a", "work", r#"{"n":1}"#)]), tool);
    let barrier = CommitBarrier::new();
    let mut request = question();
    request.commit = barrier.commit();
    let opener = async {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(runs.begun.load(Ordering::SeqCst), 0);
        barrier.open();
    };
    let (heard, ()) = futures::join!(hear(user.reply(request)), opener);
    let expected = ["700 [One moment, let me check. ]", r#"3000 {"did":1,"in":"en"}"#, "3000 Done(Stop)"];
    assert_eq!(heard, expected);
    assert_eq!(runs.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_effect_for_a_turn_that_is_taken_back_is_not_done() {
    let (tool, runs) = worker(Effect::Changes, Some(Duration::ZERO));
    let user = user(Clerk::asking([call("a", "work", "{}")]), tool);
    let heard = hear(user.reply(question())).await;
    assert!(heard[0].starts_with(r#"0 {"error":"not done"#), "{heard:?}");
    assert_eq!(runs.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_answer_drops_what_is_running() {
    let (tool, runs) = worker(Effect::ReadOnly, None);
    let user = user(Clerk::asking([call("a", "work", "{}"), call("b", "work", "{}")]), tool);
    let mut reply = user.reply(question());
    assert!(matches!(reply.next().await, Some(Ok(LlmEvent::Filler(_)))));
    assert_eq!((runs.begun.load(Ordering::SeqCst), runs.over.load(Ordering::SeqCst)), (2, 0));
    drop(reply);
    assert_eq!(runs.over.load(Ordering::SeqCst), 2);
}

/// A model that stops in the middle of everything.
struct Mute;

impl LanguageModel for Mute {
    fn name(&self) -> &'static str {
        "mute"
    }
    fn reply(&self, _request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        stream::iter([Ok(LlmEvent::Delta("Well".to_owned()))]).chain(stream::pending()).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_falls_silent_is_given_up() {
    let (tool, _) = worker(Effect::ReadOnly, None);
    let heard = hear(user(Arc::new(Mute), tool).reply(question())).await;
    assert_eq!(heard, ["0 Well", "6000 mute gave no answer within 6s"]);
}
