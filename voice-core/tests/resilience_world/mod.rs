//! Requests in virtual time: services that behave as a script says, and a caller who notes what he hears.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use voice_core::error::ProviderError;
use voice_core::resilience::{
    AttemptId, GiveUp, Input, LineUp, Member, Notice, Order, Planner, ProviderIndex, Rules, Seed,
};
use voice_core::time::ProcessTime;

/// Every answer has this many pieces, numbered from 0.
pub const PIECES: u32 = 5;

/// From one piece to the next.
const PIECE_EVERY: Duration = ms(100);

/// How a service behaves in one attempt.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Its first piece comes after this, then one each 100 ms to the end.
    Well(Duration),
    /// It takes the attempt and says nothing.
    Silent,
    /// It does not even take the attempt.
    Absent,
    /// This comes after that time, instead of an answer.
    Error(Duration, ProviderError),
    /// It says that it is complete, with nothing in it.
    Empty(Duration),
    /// First piece after 100 ms; after so many it breaks off with an error.
    Cut(u32, ProviderError),
    /// First piece after 100 ms; after so many nothing more comes.
    Stall(u32),
}

/// What a service does.
#[derive(Clone, Debug)]
enum Act {
    Start,
    Piece(u32),
    Finish,
    Fail(ProviderError),
}

/// A stage with its services, and one request after the other.
pub struct World {
    pub line_up: LineUp,
    pub now: ProcessTime,
    scripts: Vec<VecDeque<Behaviour>>,
    /// What services will do, also in attempts that were cancelled: late answers come.
    coming: BTreeMap<(ProcessTime, u64), (AttemptId, Act)>,
    next_coming: u64,
    next_attempt: AttemptId,
    seed: u64,
}

/// What became of one request.
#[derive(Debug)]
pub struct Told {
    /// What was ordered, one line each: `start a first`, `cancel a`, `give up`.
    pub orders: Vec<String>,
    /// What failed, and what else was noticed.
    pub notices: Vec<String>,
    /// The pieces that were passed on, in order.
    pub heard: Vec<u32>,
    /// From its beginning to its end.
    pub took: Duration,
    /// Until the first piece that was passed on.
    pub first: Option<Duration>,
    /// Where it was given up.
    pub given_up: Option<GiveUp>,
}

impl World {
    /// Services by name, each with its behaviour in one attempt after the other; the last one repeats.
    pub fn new(rules: Rules, services: &[(&'static str, &[Behaviour])]) -> Self {
        let members: Vec<_> =
            services.iter().map(|(name, _)| Member { name, hedged: *name != "local" }).collect();
        Self {
            line_up: LineUp::new(&members, rules, Seed(7)).expect("a line-up"),
            now: ProcessTime::from_millis(1_000),
            scripts: services.iter().map(|(_, script)| script.iter().cloned().collect()).collect(),
            coming: BTreeMap::new(),
            next_coming: 0,
            next_attempt: AttemptId::default(),
            seed: 1,
        }
    }

    /// Changes how a service behaves from now on.
    pub fn change(&mut self, service: usize, behaviour: Behaviour) {
        self.scripts[service] = [behaviour].into();
    }

    /// How a service behaves in the attempt after its next one, and from then on.
    pub fn change_next(&mut self, service: usize, behaviour: Behaviour) {
        self.scripts[service].truncate(1);
        self.scripts[service].push_back(behaviour);
    }

    /// Lets time pass without a request.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// One request whose output is wanted at once, to its end.
    pub fn ask(&mut self) -> Told {
        self.ask_and_want(Duration::ZERO)
    }

    /// One request whose output is wanted after this time, to its end.
    pub fn ask_and_want(&mut self, after: Duration) -> Told {
        let begun = self.now;
        self.seed += 1;
        let mut planner = Planner::new(self.next_attempt, 0, Seed(self.seed), &mut self.line_up, self.now);
        let mut wanted_at = Some(begun + after);
        let mut told = Told {
            orders: Vec::new(),
            notices: Vec::new(),
            heard: Vec::new(),
            took: Duration::ZERO,
            first: None,
            given_up: None,
        };
        for _ in 0..MOST_STEPS {
            self.carry_out(&mut planner, &mut told);
            if planner.is_over() {
                break;
            }
            let due = planner.poll_timeout().expect("what is not over has a deadline");
            let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
            if let Some(at) = wanted_at.filter(|at| *at <= due && coming.is_none_or(|other| *at <= other)) {
                wanted_at = None;
                self.now = at;
                planner.handle_input(Input::Wanted, &mut self.line_up, at);
            } else if coming.is_some_and(|at| at <= due) {
                self.act(&mut planner, &mut told, begun);
            } else {
                assert!(due >= self.now, "a deadline lies in the past");
                self.now = due;
                planner.handle_timeout(&mut self.line_up, due);
            }
        }
        assert!(planner.is_over(), "no end in sight: {told:#?}");
        assert_eq!(planner.poll_timeout(), None);
        self.next_attempt = planner.next_attempt();
        told.took = self.now.since(begun);
        told
    }

    fn act(&mut self, planner: &mut Planner<u32>, told: &mut Told, begun: ProcessTime) {
        let Some(((at, _), (attempt, act))) = self.coming.pop_first() else { return };
        self.now = at;
        let piece = if let Act::Piece(piece) = act { Some(piece) } else { None };
        let input = match act {
            Act::Start => Input::Started { attempt },
            Act::Piece(piece) => Input::Useful { attempt, resume: piece + 1 },
            Act::Finish => Input::Finished { attempt },
            Act::Fail(error) => Input::Failed { attempt, error },
        };
        planner.handle_input(input, &mut self.line_up, at);
        if let Some(piece) = piece.filter(|_| planner.emitter() == Some(attempt)) {
            told.heard.push(piece);
            told.first.get_or_insert(at.since(begun));
        }
    }

    fn carry_out(&mut self, planner: &mut Planner<u32>, told: &mut Told) {
        while let Some(order) = planner.poll_order() {
            match order {
                Order::Start { attempt, provider, from, why } => {
                    told.orders.push(format!("start {} {}", self.line_up.name(provider), why.as_str()));
                    self.begin(attempt, provider, from);
                }
                Order::Cancel { .. } => told.orders.push("cancel".to_owned()),
                Order::GiveUp(given_up) => {
                    told.orders.push(format!("give up {:?}", given_up.reason));
                    told.given_up = Some(*given_up);
                }
                Order::Notice(notice) => told.notices.push(self.line_of(&notice)),
            }
        }
    }

    fn line_of(&self, notice: &Notice) -> String {
        match notice {
            Notice::Chosen { provider, .. } => format!("chosen {}", self.line_up.name(*provider)),
            Notice::Outrun { provider, .. } => format!("outrun {}", self.line_up.name(*provider)),
            Notice::Failed { error, .. } => error.to_string(),
            Notice::Waiting { .. } => "waiting".to_owned(),
        }
    }

    fn begin(&mut self, attempt: AttemptId, provider: ProviderIndex, from: u32) {
        let script = &mut self.scripts[provider.get()];
        let behaviour = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        let at = self.now;
        let first = at + ms(100);
        match behaviour.expect("a service has a script") {
            Behaviour::Well(after) => {
                self.come(at + ms(20).min(after), attempt, Act::Start);
                let end = self.pieces(at + after, attempt, from..PIECES);
                self.come(end, attempt, Act::Finish);
            }
            Behaviour::Silent => self.come(at + ms(20), attempt, Act::Start),
            Behaviour::Absent => {}
            Behaviour::Error(after, error) => self.come(at + after, attempt, Act::Fail(error)),
            Behaviour::Empty(after) => self.come(at + after, attempt, Act::Finish),
            Behaviour::Cut(pieces, error) => {
                let end = self.pieces(first, attempt, from..(from + pieces).min(PIECES));
                self.come(end, attempt, Act::Fail(error));
            }
            Behaviour::Stall(pieces) => {
                self.pieces(first, attempt, from..(from + pieces).min(PIECES));
            }
        }
    }

    fn pieces(
        &mut self,
        mut at: ProcessTime,
        attempt: AttemptId,
        pieces: std::ops::Range<u32>,
    ) -> ProcessTime {
        for piece in pieces {
            self.come(at, attempt, Act::Piece(piece));
            at += PIECE_EVERY;
        }
        at
    }

    fn come(&mut self, at: ProcessTime, attempt: AttemptId, act: Act) {
        self.coming.insert((at, self.next_coming), (attempt, act));
        self.next_coming += 1;
    }
}

/// No request needs more.
const MOST_STEPS: usize = 1_000;

impl Told {
    /// Whether the whole answer was heard, each piece once and in order.
    pub fn is_whole(&self) -> bool {
        self.heard.iter().copied().eq(0..PIECES)
    }

    /// Whether what was heard is the beginning of the answer, nothing twice and nothing left out.
    pub fn is_prefix(&self) -> bool {
        self.heard.iter().copied().eq(0..self.heard.len() as u32)
    }
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn unreachable() -> ProviderError {
    ProviderError::Unreachable { provider: "test", detail: "connection reset".to_owned() }
}

pub fn failed() -> ProviderError {
    ProviderError::Failed { provider: "test", detail: "status 500".to_owned() }
}

pub fn unauthorised() -> ProviderError {
    ProviderError::Unauthorised { provider: "test", detail: "status 401".to_owned() }
}

pub fn rejected() -> ProviderError {
    ProviderError::Rejected { provider: "test", detail: "text too long".to_owned() }
}

pub fn limited(retry_after: Option<Duration>) -> ProviderError {
    ProviderError::Limited { provider: "test", detail: "status 429".to_owned(), retry_after }
}
