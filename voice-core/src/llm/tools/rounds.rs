//! The tool loop as a machine: what the model, the tools, the barrier and the time say in, orders out.
//!
//! It asks the model, runs what the model asks for, asks again with the results, and ends with one answer or one
//! error. It has no clock and does nothing itself. After [`ToolLoop::is_over`] nothing comes out any more, and
//! whatever still comes in is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::error::ProviderError;
use crate::llm::{FinishReason, LlmEvent, Message, ToolCall, ToolUse, Usage};
use crate::time::SessionTime;

use super::told::{cut, refusal, tidy};
use super::{MAX_TIME, ToolError, ToolLimits, Toolbox};

/// Names one run of a tool, so that a late result is known. Never used twice in one loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(u32);

/// What the shell has to do.
#[derive(Clone, Debug)]
pub enum ToolOrder {
    /// Ask the model. The stream of the round before, if any, is over.
    Ask {
        /// What to append to the question's messages: the calls and results of the rounds before.
        exchange: Vec<Message>,
        /// Whether it may ask for tools again.
        tool_use: ToolUse,
    },
    /// Run a tool and hand in its result under this key.
    Run {
        /// Which run.
        key: CallKey,
        /// Which tool: its place in the toolbox.
        place: usize,
        /// Its arguments; they fit the schema.
        arguments: Value,
    },
    /// Cancel a run: its time is over.
    Cancel {
        /// Which run.
        key: CallKey,
    },
    /// Pass an event on. After [`LlmEvent::Done`] the loop is over.
    Emit(LlmEvent),
    /// Pass the error on. The loop is over.
    Fail(ProviderError),
}

/// The tool loop of one answer.
#[derive(Debug)]
pub struct ToolLoop {
    toolbox: Toolbox,
    limits: ToolLimits,
    /// The model's name, for errors.
    provider: &'static str,
    now: SessionTime,
    state: State,
    round: u32,
    /// Whether the barrier has opened; `None`: not known yet.
    committed: Option<bool>,
    exchange: Vec<Message>,
    /// Effects that were begun in this answer, with what came of them once that is known.
    done: Vec<Deed>,
    usage: Option<Usage>,
    voice: SoFar,
    next_key: u32,
    orders: VecDeque<ToolOrder>,
}

#[derive(Debug)]
enum State {
    Asking(Asking),
    Working(Working),
    Over,
}

/// The model is talking.
#[derive(Debug)]
struct Asking {
    tool_use: ToolUse,
    said: String,
    calls: Vec<ToolCall>,
    silent_at: SessionTime,
}

/// Tools are running.
#[derive(Debug)]
struct Working {
    said: String,
    jobs: Vec<Job>,
    filler_at: Option<SessionTime>,
    commit_by: SessionTime,
}

#[derive(Debug)]
struct Job {
    call: ToolCall,
    place: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// An effect that waits for the barrier or for the effect before it.
    Held(Value),
    Running {
        key: CallKey,
        until: SessionTime,
        limit: Duration,
    },
    Answered(String),
}

/// An effect that was begun.
#[derive(Debug)]
struct Deed {
    place: usize,
    arguments: Value,
    result: Option<String>,
}

/// What was said in this answer, as far as later words depend on it.
#[derive(Debug, Default)]
struct SoFar {
    anything: bool,
    ends_in_space: bool,
    /// When the last filler was said.
    filler: Option<SessionTime>,
}

/// Words of one round that are kept for the next one. More is said but not repeated to the model.
const MAX_SAID: usize = 16 << 10;
/// Calls of one round that are answered at all, be it with an error. A model that asks for more has lost its way.
const MAX_ANSWERED: usize = 64;
/// What stands for arguments that were not written any more: no JSON, so that the call is not run.
const CUT_ARGUMENTS: &str = "{";
/// Bytes of a call's id; longer ones are replaced.
const MAX_ID: usize = 128;
/// How much later the filler comes where the model has just said something: about the time to say it.
const AFTER_WORDS: Duration = Duration::from_secs(2);
/// Fillers follow each other no faster, whatever is configured: about the time to say one.
const SHORTEST_EVERY: Duration = Duration::from_secs(2);

impl ToolLoop {
    /// A loop that starts at `now`; its first order is to ask. `provider` is the model's name.
    pub fn new(toolbox: Toolbox, limits: ToolLimits, provider: &'static str, now: SessionTime) -> Self {
        let mut this = Self {
            toolbox,
            limits,
            provider,
            now,
            state: State::Over,
            round: 0,
            committed: None,
            exchange: Vec::new(),
            done: Vec::new(),
            usage: None,
            voice: SoFar::default(),
            next_key: 0,
            orders: VecDeque::new(),
        };
        this.ask();
        this
    }

    /// The next order. Carry it out before anything else is handed in.
    pub fn poll_order(&mut self) -> Option<ToolOrder> {
        self.orders.pop_front()
    }

    /// Whether the answer is complete or has failed. Orders may still wait to be polled.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether tools wait for the commit barrier. Only then is there a need to watch it.
    pub fn awaits_commit(&self) -> bool {
        matches!(&self.state, State::Working(working) if self.committed.is_none() && working.holds())
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<SessionTime> {
        match &self.state {
            State::Asking(asking) => Some(asking.silent_at),
            State::Working(working) => {
                let running = working.jobs.iter().filter_map(|job| match job.stage {
                    Stage::Running { until, .. } => Some(until),
                    _ => None,
                });
                let commit_by = self.awaits_commit().then_some(working.commit_by);
                running.chain(working.filler_at).chain(commit_by).min()
            }
            State::Over => None,
        }
    }

    /// The model's stream gave an event or, with `None`, ended.
    pub fn handle_event(&mut self, event: Option<Result<LlmEvent, ProviderError>>, now: SessionTime) {
        self.now = self.now.max(now);
        let State::Asking(asking) = &mut self.state else { return };
        asking.silent_at = self.now + self.limits.silence;
        match event {
            Some(Ok(LlmEvent::Delta(delta))) => self.handle_delta(delta),
            Some(Ok(LlmEvent::Filler(words))) => self.say_filler(&words),
            Some(Ok(LlmEvent::ToolCall(call))) => {
                if asking.calls.len() < MAX_ANSWERED {
                    asking.calls.push(call);
                }
            }
            Some(Ok(LlmEvent::Usage(usage))) => *self.usage.get_or_insert_default() += usage,
            Some(Ok(LlmEvent::Done(reason))) => self.handle_done(reason),
            Some(Err(error)) => self.fail(error),
            None => self.fail(self.failed("the answer broke off")),
        }
    }

    /// A tool is ready.
    pub fn handle_result(&mut self, key: CallKey, result: Result<Value, ToolError>, now: SessionTime) {
        self.now = self.now.max(now);
        let failed = result.is_err();
        let text = match result {
            Ok(value) => {
                let text = value.to_string();
                if text.len() <= self.limits.result_bytes {
                    text
                } else if self.is_effect(key) {
                    refusal("it was done, but the result is too long to show")
                } else {
                    refusal("the result is too long to show; ask for less at a time")
                }
            }
            Err(ToolError(why)) => refusal(cut(&why, self.limits.result_bytes)),
        };
        self.settle(key, text, failed);
    }

    /// The commit barrier has opened or, with `false`, never will.
    pub fn handle_commit(&mut self, opened: bool, now: SessionTime) {
        self.now = self.now.max(now);
        if self.committed.is_none() {
            self.committed = Some(opened);
            self.go_on();
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: SessionTime) {
        self.now = self.now.max(now);
        match &mut self.state {
            State::Asking(asking) if asking.silent_at <= self.now => {
                let error = ProviderError::TimedOut { provider: self.provider, after: self.limits.silence };
                self.fail(error);
            }
            State::Working(_) => self.handle_working_timeout(),
            State::Asking(_) | State::Over => {}
        }
    }

    fn handle_working_timeout(&mut self) {
        let State::Working(working) = &mut self.state else { return };
        let now = self.now;
        let overdue: Vec<(CallKey, Duration)> = working
            .jobs
            .iter()
            .filter_map(|job| match job.stage {
                Stage::Running { key, until, limit } if until <= now => Some((key, limit)),
                _ => None,
            })
            .collect();
        let gave_up = self.committed.is_none() && working.holds() && working.commit_by <= now;
        let fills = working.filler_at.is_some_and(|at| at <= now);
        if fills {
            working.filler_at = None;
        }
        for (key, limit) in overdue {
            self.orders.push_back(ToolOrder::Cancel { key });
            let late = format!("no result within {} s", limit.as_secs_f32());
            let text = if self.is_effect(key) {
                refusal(&format!("{late}; it may or may not have been done"))
            } else {
                refusal(&late)
            };
            self.settle(key, text, true);
        }
        if gave_up {
            self.handle_commit(false, now);
        }
        // Not where the last result has just come: the answer is on its way.
        if fills && matches!(self.state, State::Working(_)) {
            let first = self.voice.filler.is_none();
            let words = if first { &self.limits.filler } else { &self.limits.filler_again };
            self.say_filler(&words.clone());
            let again = self.filler_at(Duration::ZERO);
            if let State::Working(working) = &mut self.state {
                working.filler_at = again;
            }
        }
    }

    /// When the next filler of a round is due: the first `wait` from now, a later one well after the one before.
    fn filler_at(&self, wait: Duration) -> Option<SessionTime> {
        let at = self.now + wait;
        let is_said = |words: &str| !words.trim().is_empty();
        match self.voice.filler {
            None => is_said(&self.limits.filler).then_some(at),
            Some(last) => {
                let every = self.limits.filler_every.max(SHORTEST_EVERY);
                is_said(&self.limits.filler_again).then_some(at.max(last + every))
            }
        }
    }

    // The model.

    fn ask(&mut self) {
        let tool_use = if self.round < self.limits.rounds && !self.toolbox.entries.is_empty() {
            ToolUse::Allowed
        } else {
            ToolUse::Forbidden
        };
        let silent_at = self.now + self.limits.silence;
        self.state = State::Asking(Asking { tool_use, said: String::new(), calls: Vec::new(), silent_at });
        self.orders.push_back(ToolOrder::Ask { exchange: self.exchange.clone(), tool_use });
    }

    fn handle_delta(&mut self, mut delta: String) {
        let State::Asking(asking) = &mut self.state else { return };
        let Some(first) = delta.chars().next() else { return };
        // The words of two rounds must not run together.
        if asking.said.is_empty()
            && self.voice.anything
            && !self.voice.ends_in_space
            && !first.is_whitespace()
        {
            delta.insert(0, ' ');
        }
        let room = MAX_SAID.saturating_sub(asking.said.len());
        asking.said.push_str(&delta[..delta.floor_char_boundary(room)]);
        self.voice.anything = true;
        self.voice.ends_in_space = delta.ends_with(char::is_whitespace);
        self.orders.push_back(ToolOrder::Emit(LlmEvent::Delta(delta)));
    }

    fn say_filler(&mut self, words: &str) {
        let words = words.trim();
        if words.is_empty() {
            return;
        }
        self.voice.filler = Some(self.now);
        let lead = if self.voice.anything && !self.voice.ends_in_space { " " } else { "" };
        self.voice.ends_in_space = true;
        self.orders.push_back(ToolOrder::Emit(LlmEvent::Filler(format!("{lead}{words} "))));
    }

    fn handle_done(&mut self, reason: FinishReason) {
        let State::Asking(asking) = &mut self.state else { return };
        let mut calls = std::mem::take(&mut asking.calls);
        let said = std::mem::take(&mut asking.said);
        // A call that was cut before its arguments is not one without arguments.
        if let (FinishReason::Length, Some(last)) = (reason, calls.last_mut())
            && last.arguments.trim().is_empty()
        {
            last.arguments = CUT_ARGUMENTS.to_owned();
        }
        // What a refused or withheld answer asked for is not done.
        if calls.is_empty() || matches!(reason, FinishReason::Refused | FinishReason::Filtered) {
            let reason = if reason == FinishReason::ToolCalls { FinishReason::Stop } else { reason };
            self.finish(reason);
        } else if asking.tool_use == ToolUse::Allowed {
            self.work(said, calls);
        } else if said.trim().is_empty() {
            self.fail(self.failed("it asks for tools without end and does not answer"));
        } else {
            self.finish(FinishReason::Stop);
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        if let Some(usage) = self.usage.take() {
            self.orders.push_back(ToolOrder::Emit(LlmEvent::Usage(usage)));
        }
        self.orders.push_back(ToolOrder::Emit(LlmEvent::Done(reason)));
        self.state = State::Over;
    }

    fn fail(&mut self, error: ProviderError) {
        self.orders.push_back(ToolOrder::Fail(error));
        self.state = State::Over;
    }

    fn failed(&self, detail: &str) -> ProviderError {
        ProviderError::Failed { provider: self.provider, detail: detail.to_owned() }
    }

    // The tools.

    fn work(&mut self, said: String, calls: Vec<ToolCall>) {
        self.round += 1;
        let mut jobs = Vec::with_capacity(calls.len());
        let mut slow = false;
        for (k, mut call) in calls.into_iter().enumerate() {
            call.id = self.id_for(std::mem::take(&mut call.id), &jobs);
            let (place, stage) = if k < self.limits.calls {
                match self.examine(&mut call) {
                    Ok((place, arguments)) => (place, Stage::Held(arguments)),
                    Err(why) => (0, Stage::Answered(refusal(&why))),
                }
            } else {
                let why = format!("not done: at most {} calls at a time", self.limits.calls);
                tidy(&mut call);
                (0, Stage::Answered(refusal(&why)))
            };
            slow |= matches!(stage, Stage::Held(_)) && self.toolbox.entry(place).tool.is_slow();
            jobs.push(Job { call, place, stage });
        }
        let wait = match (slow, said.trim().is_empty()) {
            (true, true) => Duration::ZERO,
            (false, true) => self.limits.filler_after,
            (_, false) => self.limits.filler_after + AFTER_WORDS,
        };
        let filler_at = self.filler_at(wait);
        let commit_by = self.now + self.limits.commit;
        self.state = State::Working(Working { said, jobs, filler_at, commit_by });
        self.start_reading();
        self.go_on();
    }

    /// Which tool with which arguments a call means. The error is for the model. What the model wrote is brought into a
    /// form that every server takes back.
    fn examine(&self, call: &mut ToolCall) -> Result<(usize, Value), String> {
        let place = self.toolbox.place_of(&call.name);
        let arguments = tidy(call);
        let place = place.ok_or_else(|| {
            let names: Vec<&str> = self.toolbox.specs.iter().map(|spec| spec.name.as_str()).collect();
            format!("there is no such tool, only {}", names.join(", "))
        })?;
        let arguments = arguments.ok_or("the arguments are not a JSON object")?;
        self.toolbox.entry(place).schema.check(&arguments)?;
        Ok((place, arguments))
    }

    /// An id that no other call of this answer has.
    fn id_for(&self, id: String, jobs: &[Job]) -> String {
        let earlier = self.exchange.iter().flat_map(|message| &message.calls);
        let is_taken = |id: &str| {
            id.is_empty()
                || id.len() > MAX_ID
                || jobs.iter().map(|job| &job.call).chain(earlier.clone()).any(|call| call.id == id)
        };
        if !is_taken(&id) {
            return id;
        }
        // Nine letters and digits: the form that the strictest template (Mistral's) asks for.
        let mut fresh = (0..=u32::MAX).map(|n| format!("again{n:04}"));
        fresh.find(|id| !is_taken(id)).unwrap_or(id)
    }

    fn start_reading(&mut self) {
        let State::Working(working) = &mut self.state else { return };
        for job in &mut working.jobs {
            if matches!(job.stage, Stage::Held(_)) && !self.toolbox.changes(job.place) {
                start(job, &self.toolbox, &self.limits, self.now, &mut self.next_key, &mut self.orders);
            }
        }
    }

    /// Answers and starts effects as far as that is possible, and asks again when everything is answered.
    fn go_on(&mut self) {
        let State::Working(working) = &mut self.state else { return };
        match self.committed {
            None => {}
            Some(false) => {
                for job in working.jobs.iter_mut().filter(|job| matches!(job.stage, Stage::Held(_))) {
                    job.stage = Stage::Answered(refusal(
                        "not done: it did not become certain that the caller wants it",
                    ));
                }
            }
            Some(true) => self.start_effects(),
        }
        let State::Working(working) = &mut self.state else { return };
        if working.jobs.iter().all(|job| matches!(job.stage, Stage::Answered(_))) {
            let jobs = std::mem::take(&mut working.jobs);
            let said = std::mem::take(&mut working.said);
            self.report(said, jobs);
        }
    }

    /// Starts the next effect, unless one is running. One that was done in this answer is not done again.
    fn start_effects(&mut self) {
        let State::Working(working) = &mut self.state else { return };
        let is_running = |job: &Job| matches!(job.stage, Stage::Running { .. });
        if working.jobs.iter().any(|job| is_running(job) && self.toolbox.changes(job.place)) {
            return;
        }
        for job in &mut working.jobs {
            let Stage::Held(arguments) = &job.stage else { continue };
            match self.done.iter().find(|deed| deed.place == job.place && deed.arguments == *arguments) {
                Some(deed) => {
                    // Nothing is running, so what came of it is known.
                    let result = deed.result.clone();
                    job.stage = Stage::Answered(result.unwrap_or_else(|| refusal("not done again")));
                }
                None => {
                    let deed = Deed { place: job.place, arguments: arguments.clone(), result: None };
                    self.done.push(deed);
                    start(job, &self.toolbox, &self.limits, self.now, &mut self.next_key, &mut self.orders);
                    return;
                }
            }
        }
    }

    fn is_effect(&self, key: CallKey) -> bool {
        let State::Working(working) = &self.state else { return false };
        working.running(key).is_some_and(|at| self.toolbox.changes(working.jobs[at].place))
    }

    /// A run has ended. Where an effect failed, those after it are not done: they may build on it.
    fn settle(&mut self, key: CallKey, text: String, failed: bool) {
        let State::Working(working) = &mut self.state else { return };
        let Some(at) = working.running(key) else { return };
        if self.toolbox.changes(working.jobs[at].place) {
            if let Some(deed) = self.done.iter_mut().find(|deed| deed.result.is_none()) {
                deed.result = Some(text.clone());
            }
            if failed {
                for later in working.jobs[at + 1..].iter_mut().filter(|j| matches!(j.stage, Stage::Held(_))) {
                    later.stage = Stage::Answered(refusal("not done, because the one before it failed"));
                }
            }
        }
        working.jobs[at].stage = Stage::Answered(text);
        self.go_on();
    }

    fn report(&mut self, said: String, jobs: Vec<Job>) {
        let mut calls = Vec::with_capacity(jobs.len());
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            if let Stage::Answered(text) = job.stage {
                results.push(Message::result(job.call.id.clone(), text));
            }
            calls.push(job.call);
        }
        self.exchange.push(Message::calling(said, calls));
        self.exchange.append(&mut results);
        self.ask();
    }
}

impl Working {
    fn holds(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.stage, Stage::Held(_)))
    }

    fn running(&self, key: CallKey) -> Option<usize> {
        let runs = |job: &Job| matches!(job.stage, Stage::Running { key: running, .. } if running == key);
        self.jobs.iter().position(runs)
    }
}

/// Starts a held job.
fn start(
    job: &mut Job,
    toolbox: &Toolbox,
    limits: &ToolLimits,
    now: SessionTime,
    next_key: &mut u32,
    orders: &mut VecDeque<ToolOrder>,
) {
    let limit = toolbox.entry(job.place).tool.time_limit().unwrap_or(limits.time).min(MAX_TIME);
    let key = CallKey(*next_key);
    *next_key += 1;
    let running = Stage::Running { key, until: now + limit, limit };
    if let Stage::Held(arguments) = std::mem::replace(&mut job.stage, running) {
        orders.push_back(ToolOrder::Run { key, place: job.place, arguments });
    }
}
