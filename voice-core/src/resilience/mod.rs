//! What happens when an outside service fails, is slow, or is full: one stack, one place, no I/O.
//!
//! Each stage (`stt`, `llm`, `tts`) has one [`LineUp`] for the whole process: its providers in order, each with a
//! [`Breaker`] and its latencies. Each request has one [`Planner`], which starts attempts, times them, hedges, falls
//! back, continues what broke off, and gives up. Both are told facts with a `ProcessTime` and hold no clock, no
//! chance of their own, no socket; the shell carries the orders out. Invariants (random operations in
//! `tests/resilience_random.rs`): at most one attempt's output counts; every request ends; attempts are bounded; a
//! breaker never stays open for good; extra attempts keep their share.
//!
//! Upwards: a planner takes a ticket from the line-up for each attempt and settles it once. The line-up knows no
//! requests, a breaker no providers.

mod allowance;
mod backoff;
mod breaker;
mod deadline;
mod fallback;
mod hedge;
mod order;
mod planner;
mod retry;

pub use allowance::Allowance;
pub use backoff::{Backoff, Fraction, Seed};
pub use breaker::{Breaker, BreakerCounters, BreakerRules, BreakerState, Outcome, Permit};
pub use deadline::{DeadlineError, Deadlines, DeadlinesBuilder, StageDeadlines};
pub use fallback::{
    Change, ChangeKind, Ending, LineUp, LineUpError, Member, MemberStatus, PROBE_WITHIN, Probe,
    ProviderIndex, Providers, Ticket,
};
pub use hedge::{Hedge, Latencies};
pub use order::{AttemptId, GiveUp, GiveUpReason, Input, Notice, Order, Why};
pub use planner::Planner;
pub use retry::{Blame, Remedy, Retry, judge};

/// How one stage deals with failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long things may take.
    pub deadlines: StageDeadlines,
    /// How often one request is tried.
    pub retry: Retry,
    /// When to leave a provider alone.
    pub breaker: BreakerRules,
    /// When a second attempt is started beside a late one.
    pub hedge: Hedge,
    /// What follows where an answer breaks off.
    pub broken_off: BrokenOff,
}

/// What follows where an attempt fails after its first useful output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// The request is over: another attempt would say something else.
    GiveUp,
    /// A new attempt goes on from the last position that was reported.
    Resume,
}

impl Rules {
    /// For recognisers: another one gets the audio from the position whose words are not final. No hedging, since
    /// a recogniser hears a call as it goes on and a second one would have to hear all of it.
    pub fn stt(deadlines: &Deadlines) -> Self {
        Self {
            deadlines: deadlines.stt(),
            retry: Retry::default(),
            breaker: BreakerRules::default(),
            hedge: Hedge::OFF,
            broken_off: BrokenOff::Resume,
        }
    }

    /// For language models: hedged, and over once words have been given out, since no second answer would continue
    /// them.
    pub fn llm(deadlines: &Deadlines) -> Self {
        Self {
            deadlines: deadlines.llm(),
            retry: Retry::default(),
            breaker: BreakerRules::default(),
            hedge: Hedge::default(),
            broken_off: BrokenOff::GiveUp,
        }
    }

    /// For voices: another attempt goes on at a word boundary. No hedging, since the second attempt would share the
    /// first one's socket and its fate, and cost its characters.
    pub fn tts(deadlines: &Deadlines) -> Self {
        Self {
            deadlines: deadlines.tts(),
            retry: Retry::default(),
            breaker: BreakerRules::default(),
            hedge: Hedge::OFF,
            broken_off: BrokenOff::Resume,
        }
    }
}
