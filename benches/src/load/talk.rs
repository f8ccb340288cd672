//! Many callers at once, and what all of their turns were like together.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::{self, Call, Plan, Turn, Wanted};
use crate::figures::Spread;
use crate::recorded::Question;

/// A crowd of callers with one behaviour.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    /// How many.
    pub(super) calls: u32,
    /// Turns of each.
    pub(super) turns: u32,
    /// What they say.
    pub(super) utterance: Question,
    /// In which form they hear answers.
    pub(super) wanted: Wanted,
    /// Who calls when.
    pub(super) arriving: Arriving,
    /// Silence before the first turn: of the first caller where all arrive at once, else of each.
    pub(super) lead: Duration,
    /// From one turn to the next; the callers' turns are spread evenly over it.
    pub(super) cycle: Duration,
    /// Length of a whole answer.
    pub(super) answer: Duration,
}

/// When the callers of a crowd call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arriving {
    /// All in one moment.
    AtOnce,
    /// Evenly over one cycle.
    OneByOne,
}

/// What the turns of a crowd were like.
#[derive(Debug)]
pub(super) struct Heard {
    /// All turns.
    pub(super) turns: Vec<Turn>,
    late: Vec<Duration>,
    errors: Vec<String>,
    expected: usize,
    answer: Duration,
}

impl Crowd {
    /// How long the callers talk.
    pub(super) fn lasts(&self) -> Duration {
        self.lead + self.cycle * (self.turns + 1)
    }

    /// Lets all call and talk, each a little after the one before.
    pub(super) async fn talk(&self, server: SocketAddr) -> Heard {
        let mut calls = JoinSet::new();
        let start = Instant::now() + BEFOREHAND;
        let limit = self.lasts() + PATIENCE;
        for k in 0..self.calls {
            let share = self.cycle * k / self.calls;
            let (arrives, lead) = match self.arriving {
                Arriving::AtOnce => (Duration::ZERO, self.lead + share),
                Arriving::OneByOne => (share, self.lead),
            };
            let plan = Plan {
                wanted: self.wanted,
                utterance: self.utterance.samples.clone(),
                speech_end: self.utterance.speech_end,
                // Neither messages nor turns of all callers leave in the same moment.
                start: start + arrives + (Duration::from_millis(20) * k) / self.calls,
                lead,
                cycle: self.cycle,
                turns: self.turns,
                enough: None,
            };
            calls.spawn(async move {
                sleep_until(start + arrives - BEFOREHAND).await;
                let lost = |_| Call { error: Some("the call did not end".to_owned()), ..Call::default() };
                timeout(limit, client::call(server, plan)).await.unwrap_or_else(lost)
            });
        }
        let calls = calls.join_all().await;
        self.heard(&calls)
    }

    fn heard(&self, calls: &[Call]) -> Heard {
        Heard {
            turns: calls.iter().flat_map(client::judge).collect(),
            late: calls.iter().flat_map(|call| call.late.iter().copied()).collect(),
            errors: calls.iter().filter_map(|call| call.error.clone()).collect(),
            expected: (self.calls * self.turns) as usize,
            answer: self.answer,
        }
    }
}

/// How long before its first message a call is dialled.
const BEFOREHAND: Duration = Duration::from_millis(300);
/// A crowd that takes this much longer than it should has lost a call.
const PATIENCE: Duration = Duration::from_secs(30);

impl Heard {
    /// The turns that `wanted` picks.
    pub(super) fn only(&self, wanted: impl Fn(&Turn) -> bool) -> Vec<Turn> {
        self.turns.iter().copied().filter(|turn| wanted(turn)).collect()
    }

    /// How late the callers themselves sent.
    pub(super) fn late(&self) -> Spread {
        Spread::of(self.late.iter().copied().map(ms).collect())
    }

    /// Why calls broke off.
    pub(super) fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Answers of which less than nine tenths came.
    pub(super) fn cut(&self) -> usize {
        let cut = |turn: &&Turn| turn.first_sound.is_some() && turn.heard < self.answer.mul_f64(0.9);
        self.turns.iter().filter(cut).count()
    }

    /// Turns in which sound came while the caller still talked.
    pub(super) fn early(&self) -> usize {
        self.turns.iter().filter(|turn| turn.early).count()
    }

    /// From the last voiced sample, as sent, to the first sound.
    fn first_sound(&self) -> Spread {
        Spread::of(self.turns.iter().filter_map(|turn| turn.first_sound).map(ms).collect())
    }

    /// From the voice's first sample to the first message.
    fn added(&self) -> Spread {
        Spread::of(self.turns.iter().filter_map(|turn| turn.added).map(ms).collect())
    }

    /// Turns without an answer.
    pub(super) fn missing(&self) -> usize {
        self.expected - self.turns.iter().filter(|turn| turn.first_sound.is_some()).count().min(self.expected)
    }

    /// Moments in which a player ran dry.
    pub(super) fn underruns(&self) -> u32 {
        self.turns.iter().map(|turn| turn.underruns).sum()
    }

    /// Prints and gives everything that can be told of the turns.
    pub(super) fn report(&self) -> Value {
        let (cut, early, late) = (self.cut(), self.early(), self.late());
        println!("  turns        {} of {} answered", self.expected - self.missing(), self.expected);
        println!("  first sound  {}", self.first_sound());
        if self.added().n > 0 {
            println!("  added        {}", self.added());
        }
        println!("  underruns {}, cut answers {cut}, answers too early {early}", self.underruns());
        println!("  client late  {late}");
        for error in self.errors.iter().take(3) {
            println!("  error: {error}");
        }
        json!({
            "turns": self.expected,
            "missing": self.missing(),
            "first_sound_ms": self.first_sound(),
            "added_ms": self.added(),
            "underruns": self.underruns(),
            "cut": cut,
            "early": early,
            "client_late_ms": late,
            "errors": self.errors,
        })
    }
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
