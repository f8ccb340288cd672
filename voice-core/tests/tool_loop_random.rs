//! Whatever models, tools, callers and clocks do in whatever order: the rules of the tool loop hold.

mod desk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use desk::{BOOK, toolbox};
use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::llm::tools::{CallKey, ToolError, ToolLimits, ToolLoop, ToolOrder};
use voice_core::llm::{FinishReason, LlmEvent, Message, Role, ToolCall, ToolUse, Usage};
use voice_core::sim::Random;
use voice_core::time::SessionTime;

/// From one filler to the next.
const EVERY: Duration = Duration::from_millis(2_500);

/// Everything that must stay true, checked with each order.
struct Rules {
    limits: ToolLimits,
    committed: Option<bool>,
    running: BTreeMap<CallKey, usize>,
    keys: BTreeSet<CallKey>,
    effects: BTreeSet<String>,
    runs_of_round: usize,
    asks: u32,
    ends: u32,
    fillers: u32,
    filler_at: Option<SessionTime>,
}

impl Rules {
    fn new(limits: ToolLimits) -> Self {
        Self {
            limits,
            committed: None,
            running: BTreeMap::new(),
            keys: BTreeSet::new(),
            effects: BTreeSet::new(),
            runs_of_round: 0,
            asks: 0,
            ends: 0,
            fillers: 0,
            filler_at: None,
        }
    }

    fn check(&mut self, order: &ToolOrder, now: SessionTime) {
        assert_eq!(self.ends, 0, "something comes after the end: {order:?}");
        match order {
            ToolOrder::Ask { exchange, tool_use } => {
                self.asks += 1;
                self.runs_of_round = 0;
                assert!(self.asks <= self.limits.rounds + 1, "rounds without end");
                assert_eq!(*tool_use == ToolUse::Forbidden, self.asks == self.limits.rounds + 1);
                assert!(self.running.is_empty(), "it asks while tools run");
                self.check_exchange(exchange);
            }
            ToolOrder::Run { key, place, arguments } => {
                assert!(self.keys.insert(*key), "a key twice");
                self.running.insert(*key, *place);
                self.runs_of_round += 1;
                assert!(self.runs_of_round <= self.limits.calls, "calls without end");
                if *place >= BOOK {
                    assert_eq!(self.committed, Some(true), "an effect before the barrier opened");
                    assert!(self.effects.insert(format!("{place} {arguments}")), "an effect twice");
                    assert_eq!(
                        self.running.values().filter(|p| **p >= BOOK).count(),
                        1,
                        "two effects at a time"
                    );
                }
            }
            ToolOrder::Cancel { key } => assert!(self.running.remove(key).is_some()),
            ToolOrder::Emit(LlmEvent::Done(_)) | ToolOrder::Fail(_) => self.ends += 1,
            ToolOrder::Emit(LlmEvent::Filler(_)) => {
                self.fillers += 1;
                let before = self.filler_at.replace(now);
                assert!(before.is_none_or(|before| now.since(before) >= EVERY), "fillers crowd");
            }
            ToolOrder::Emit(LlmEvent::ToolCall(_)) => panic!("a call came out"),
            ToolOrder::Emit(_) => {}
        }
    }

    /// Each round is a message with calls and one result for each, in order, all in a form that servers take.
    fn check_exchange(&self, exchange: &[Message]) {
        let mut ids = BTreeSet::new();
        let mut rest = exchange.iter();
        while let Some(message) = rest.next() {
            assert_eq!(message.role, Role::Assistant);
            assert!(!message.calls.is_empty());
            for call in &message.calls {
                assert!(ids.insert(call.id.clone()), "an id twice");
                assert!(serde_json::from_str::<Value>(&call.arguments).expect("JSON").is_object());
                let result = rest.next().expect("each call has a result");
                assert_eq!((result.role, result.answers.as_ref()), (Role::Tool, Some(&call.id)));
                assert!(serde_json::from_str::<Value>(&result.text).is_ok());
                assert!(result.text.len() <= self.limits.result_bytes.max(200), "{}", result.text);
            }
        }
    }
}

struct Play {
    rounds: ToolLoop,
    rules: Rules,
    now: SessionTime,
}

impl Play {
    fn new(random: &mut Random) -> Self {
        let limits = ToolLimits {
            rounds: random.below(4) as u32,
            calls: 1 + random.below(4) as usize,
            time: random.up_to(Duration::from_secs(4)),
            commit: random.up_to(Duration::from_secs(4)),
            silence: Duration::from_millis(1 + random.below(4_000)),
            result_bytes: 100,
            filler_after: random.up_to(Duration::from_secs(1)),
            filler_every: EVERY,
            ..ToolLimits::default()
        };
        let rounds = ToolLoop::new(toolbox(), limits.clone(), "scripted", SessionTime::ZERO);
        let mut play = Self { rounds, rules: Rules::new(limits), now: SessionTime::ZERO };
        play.drain();
        play
    }

    fn drain(&mut self) {
        while let Some(order) = self.rounds.poll_order() {
            self.rules.check(&order, self.now);
        }
        assert_eq!(self.rounds.is_over(), self.rules.ends == 1);
        assert_eq!(self.rounds.poll_timeout().is_none(), self.rounds.is_over(), "a wait without an end");
        if self.rounds.is_over() {
            self.rules.running.clear();
        }
    }

    /// One thing that may happen, sensible or not.
    fn step(&mut self, random: &mut Random) {
        match random.below(12) {
            0 | 1 => {
                self.event(LlmEvent::Delta(["It ", "is", "", " ü"][random.below(4) as usize].to_owned()))
            }
            2..=4 => self.event(LlmEvent::ToolCall(random_call(random))),
            5 => self.event(LlmEvent::Usage(Usage { input: u64::MAX, ..Usage::default() })),
            6 | 7 => {
                if !random.one_in(8) {
                    self.event(LlmEvent::ToolCall(random_call(random)));
                }
                match random.below(40) {
                    0 => self.rounds.handle_event(None, self.now),
                    1 => {
                        let lost = ProviderError::Unreachable { provider: "scripted", detail: String::new() };
                        self.rounds.handle_event(Some(Err(lost)), self.now);
                    }
                    2 => self.event(LlmEvent::Done(FinishReason::Refused)),
                    3..=6 => self.event(LlmEvent::Done(FinishReason::Length)),
                    _ => self.event(LlmEvent::Done(FinishReason::ToolCalls)),
                }
            }
            8 | 9 => {
                // A running one, or one that is over.
                let keys: Vec<CallKey> = if random.one_in(4) {
                    self.rules.keys.iter().copied().collect()
                } else {
                    self.rules.running.keys().copied().collect()
                };
                if !keys.is_empty() {
                    let key = *random.pick(&keys);
                    self.rules.running.remove(&key);
                    let result = match random.below(4) {
                        0 => Err(ToolError("no ".repeat(random.below(60) as usize))),
                        1 => Ok(json!("x".repeat(random.below(200) as usize))),
                        _ => Ok(json!({"n": 1})),
                    };
                    self.rounds.handle_result(key, result, self.now);
                }
            }
            10 => {
                if random.one_in(2) {
                    let opened = !random.one_in(4);
                    self.rules.committed.get_or_insert(opened);
                    self.rounds.handle_commit(opened, self.now);
                }
            }
            _ => {
                self.now += random.up_to(Duration::from_millis(1_500));
                self.rounds.handle_timeout(self.now);
            }
        }
        self.drain();
    }

    fn event(&mut self, event: LlmEvent) {
        self.rounds.handle_event(Some(Ok(event)), self.now);
    }

    /// Nothing happens any more but time. Gives the number of times that it had to be told.
    fn run_out(&mut self) -> u32 {
        let mut steps = 0;
        while let Some(at) = self.rounds.poll_timeout() {
            self.now = self.now.max(at);
            self.rounds.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 1_000, "time does not end it");
        }
        steps
    }
}

fn random_call(random: &mut Random) -> ToolCall {
    let name = *random.pick(&["search", "slow", "book", "book", "notify", "sell", ""]);
    let arguments = *random.pick(&["{}", r#"{"n":1}"#, r#"{"n":2}"#, "", "null", "{", r#"{"n":"x"}"#, "[]"]);
    let id = *random.pick(&["", "a", "b", "again0000"]);
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

#[test]
fn no_order_of_events_breaks_a_rule() {
    let (mut done, mut effects, mut fillers) = (0, 0, 0);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let result = std::panic::catch_unwind(move || {
            let mut play = Play::new(&mut random);
            for _ in 0..random.below(80) {
                play.step(&mut random);
            }
            let over = play.rounds.is_over();
            (over, play.rules.effects.len(), play.rules.fillers, play.run_out())
        });
        let Ok((over, with_effects, with_filler, _)) = result else { panic!("seed {seed}") };
        done += u32::from(over);
        effects += with_effects;
        fillers += with_filler;
    }
    // The dice reach what the rules are about.
    assert!(done > 10_000 && effects > 2_000 && fillers > 1_000, "{done} {effects} {fillers}");
}

#[test]
fn after_the_end_nothing_comes_whatever_is_handed_in() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut play = Play::new(&mut random);
        if random.one_in(2) {
            play.event(LlmEvent::Done(FinishReason::Stop));
        } else {
            let lost = ProviderError::Unreachable { provider: "scripted", detail: String::new() };
            play.rounds.handle_event(Some(Err(lost)), play.now);
        }
        play.drain();
        for _ in 0..50 {
            play.step(&mut random);
        }
        assert_eq!(play.rules.ends, 1);
    }
}
