//! A desk for tests of the tool loop: four tools that do nothing by themselves, and a loop whose orders are carried
//! out by the test.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::llm::tools::{
    CallKey, Effect, Invocation, Tool, ToolError, ToolLimits, ToolLoop, ToolOrder, Toolbox,
};
use voice_core::llm::{FinishReason, LlmEvent, Message, ToolCall, ToolUse};
use voice_core::time::SessionTime;

/// Places in the box.
pub const SEARCH: usize = 0;
pub const SLOW: usize = 1;
pub const BOOK: usize = 2;
pub const NOTIFY: usize = 3;

pub struct Stub {
    pub name: &'static str,
    pub effect: Effect,
}

impl Tool for Stub {
    fn name(&self) -> &str {
        self.name
    }
    fn description(&self) -> &str {
        "a stub"
    }
    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false})
    }
    fn effect(&self) -> Effect {
        self.effect
    }
    fn is_slow(&self) -> bool {
        self.name == "slow"
    }
    fn time_limit(&self) -> Option<Duration> {
        (self.name == "slow").then_some(Duration::from_secs(8))
    }
    fn call(&self, call: Invocation) -> BoxFuture<'static, Result<Value, ToolError>> {
        std::future::ready(Ok(call.arguments)).boxed()
    }
}

pub fn toolbox() -> Toolbox {
    let stub = |name, effect| Arc::new(Stub { name, effect }) as Arc<dyn Tool>;
    let (reads, changes) = (Effect::ReadOnly, Effect::Changes);
    Toolbox::new([stub("search", reads), stub("slow", reads), stub("book", changes), stub("notify", changes)])
        .expect("good tools")
}

pub fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

/// A loop, and everything that it has ordered so far.
pub struct Desk {
    pub rounds: ToolLoop,
    pub now: SessionTime,
    pub asks: Vec<(Vec<Message>, ToolUse)>,
    pub events: Vec<LlmEvent>,
    pub failure: Option<ProviderError>,
    /// Runs that are neither answered nor cancelled.
    pub running: BTreeMap<CallKey, (usize, Value)>,
    pub started: Vec<(usize, Value)>,
    pub cancelled: Vec<CallKey>,
}

impl Desk {
    pub fn new(limits: ToolLimits) -> Self {
        let mut desk = Self {
            rounds: ToolLoop::new(toolbox(), limits, "scripted", SessionTime::ZERO),
            now: SessionTime::ZERO,
            asks: Vec::new(),
            events: Vec::new(),
            failure: None,
            running: BTreeMap::new(),
            started: Vec::new(),
            cancelled: Vec::new(),
        };
        desk.drain();
        desk
    }

    fn drain(&mut self) {
        while let Some(order) = self.rounds.poll_order() {
            match order {
                ToolOrder::Ask { exchange, tool_use } => self.asks.push((exchange, tool_use)),
                ToolOrder::Run { key, place, arguments } => {
                    self.started.push((place, arguments.clone()));
                    assert!(self.running.insert(key, (place, arguments)).is_none(), "a key twice");
                }
                ToolOrder::Cancel { key } => {
                    assert!(self.running.remove(&key).is_some(), "cancelled and not running");
                    self.cancelled.push(key);
                }
                ToolOrder::Emit(event) => self.events.push(event),
                ToolOrder::Fail(error) => assert!(self.failure.replace(error).is_none(), "two failures"),
            }
        }
    }

    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        if self.rounds.poll_timeout().is_some_and(|at| at <= self.now) {
            self.rounds.handle_timeout(self.now);
        }
        self.drain();
        self
    }

    pub fn event(&mut self, event: LlmEvent) -> &mut Self {
        self.rounds.handle_event(Some(Ok(event)), self.now);
        self.drain();
        self
    }

    pub fn broken(&mut self, error: Option<ProviderError>) -> &mut Self {
        self.rounds.handle_event(error.map(Err), self.now);
        self.drain();
        self
    }

    pub fn says(&mut self, text: &str) -> &mut Self {
        self.event(LlmEvent::Delta(text.to_owned()))
    }

    pub fn done(&mut self, reason: FinishReason) -> &mut Self {
        self.event(LlmEvent::Done(reason))
    }

    /// The model asks for tools and says that it waits for them.
    pub fn calls(&mut self, calls: impl IntoIterator<Item = ToolCall>) -> &mut Self {
        for call in calls {
            self.event(LlmEvent::ToolCall(call));
        }
        self.done(FinishReason::ToolCalls)
    }

    pub fn result(&mut self, key: CallKey, result: Result<Value, ToolError>) -> &mut Self {
        self.running.remove(&key);
        self.rounds.handle_result(key, result, self.now);
        self.drain();
        self
    }

    /// The oldest run of this tool is ready.
    pub fn ready(&mut self, place: usize, result: Value) -> &mut Self {
        let key = self.key_of(place);
        self.result(key, Ok(result))
    }

    pub fn commit(&mut self, opened: bool) -> &mut Self {
        self.rounds.handle_commit(opened, self.now);
        self.drain();
        self
    }

    pub fn key_of(&self, place: usize) -> CallKey {
        *self.running.iter().find(|(_, (running, _))| *running == place).expect("it is running").0
    }

    /// Places of the tools that are running.
    pub fn places(&self) -> Vec<usize> {
        self.running.values().map(|(place, _)| *place).collect()
    }

    /// What the model was last told: the results by the ids of their calls.
    pub fn told(&self) -> Vec<(String, String)> {
        let (exchange, _) = self.asks.last().expect("it was asked");
        let last = exchange.iter().rposition(|message| !message.calls.is_empty()).expect("calls");
        let results = exchange[last + 1..].iter();
        results.map(|m| (m.answers.clone().expect("a result"), m.text.clone())).collect()
    }

    /// The result of one call.
    pub fn told_of(&self, id: &str) -> String {
        let told = self.told();
        told.into_iter().find(|(call, _)| call == id).expect("an answered call").1
    }

    /// All words that came out, fillers in brackets.
    pub fn words(&self) -> String {
        let word = |event: &LlmEvent| match event {
            LlmEvent::Delta(text) => text.clone(),
            LlmEvent::Filler(text) => format!("[{text}]"),
            _ => String::new(),
        };
        self.events.iter().map(word).collect()
    }
}
