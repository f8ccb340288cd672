//! Many callers at once, and what all of their turns were like together.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

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
    /// Silence before the first turn of the first caller.
    pub(super) lead: Duration,
    /// From one turn to the next; the callers' turns are spread evenly over it.
    pub(super) cycle: Duration,
    /// Length of a whole answer.
    pub(super) answer: Duration,
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

    /// Lets all call at once and talk, each a little after the one before.
    pub(super) async fn talk(&self, server: SocketAddr) -> Heard {
        let mut calls = JoinSet::new();
        let start = Instant::now() + Duration::from_millis(300);
        for k in 0..self.calls {
            let plan = Plan {
                wanted: Wanted::Pcm16,
                utterance: self.utterance.samples.clone(),
                speech_end: self.utterance.speech_end,
                // Neither messages nor turns of all callers leave in the same moment.
                start: start + (Duration::from_millis(20) * k) / self.calls,
                lead: self.lead + self.cycle * k / self.calls,
                cycle: self.cycle,
                turns: self.turns,
                enough: None,
            };
            calls.spawn(client::call(server, plan));
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

impl Heard {
    /// From the last voiced sample, as sent, to the first sound.
    pub(super) fn first_sound(&self) -> Spread {
        Spread::of(self.turns.iter().filter_map(|turn| turn.first_sound).map(ms).collect())
    }

    /// From the voice's first sample to the first message.
    pub(super) fn added(&self) -> Spread {
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
        let cut = |turn: &&Turn| turn.first_sound.is_some() && turn.heard < self.answer.mul_f64(0.9);
        let cut = self.turns.iter().filter(cut).count();
        let early = self.turns.iter().filter(|turn| turn.early).count();
        let late = Spread::of(self.late.iter().copied().map(ms).collect());
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
