//! Leaves a provider alone that fails again and again, and tries it carefully after a while.
//!
//! Pure: `now` is passed in, nothing waits. Each attempt is let in with a [`Permit`] and settled once with an
//! [`Outcome`]. A permit belongs to the state it was given in: what an attempt from before the last change reports is
//! counted and changes nothing. A permit that is never settled cannot block anything: a trial's runs out.

use std::time::Duration;

use crate::time::ProcessTime;

/// When to leave a provider alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Failures in a row that open it. Raised, more callers wait for a provider that is down.
    pub failures: u32,
    /// From opening to the first trial. Raised, a provider that is back is used later.
    pub open_for: Duration,
    /// A trial that has not been settled for this long is given up. Longer than any wait for a first output.
    pub trial_within: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(30), trial_within: Duration::from_secs(30) }
    }
}

/// Whether attempts are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All of them.
    Closed,
    /// None.
    Open,
    /// One at a time.
    HalfOpen,
}

impl BreakerState {
    /// The word on `/health`, in metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should, in good time. A model's reply of tool calls only is one too.
    Success,
    /// With useful output that came too late: counts as a failure.
    Slow,
    /// Badly.
    Failure,
    /// In a way that every further attempt will end in too: opens at once.
    Useless,
    /// Without telling anything: cancelled in good time, or refused for a reason that is not the provider's.
    Unknown,
}

/// Leave to make one attempt. To be settled with [`Breaker::settle`].
#[derive(Debug)]
#[must_use = "an attempt that is let in is settled"]
pub struct Permit {
    epoch: u32,
    trial: bool,
    begun: ProcessTime,
}

impl Permit {
    /// Whether this is the one attempt that a half-open breaker lets in.
    pub const fn is_trial(&self) -> bool {
        self.trial
    }
}

/// What a breaker has seen, for metrics. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerCounters {
    /// Attempts that ended well in good time.
    pub successes: u64,
    /// Attempts that ended badly.
    pub failures: u64,
    /// Attempts whose useful output came too late.
    pub slow: u64,
    /// Attempts that told nothing.
    pub unknown: u64,
    /// Attempts that were not let in.
    pub turned_away: u64,
    /// How often it opened.
    pub opened: u64,
    /// Trials that were let in.
    pub trials: u64,
    /// Trials that were never settled.
    pub trials_lost: u64,
}

/// One provider's breaker.
#[derive(Debug)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
    /// Of the state, so that permits from before do not count.
    epoch: u32,
    since: ProcessTime,
    in_a_row: u32,
    /// When the first of the failures in a row was reported.
    row_since: ProcessTime,
    counters: BreakerCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: ProcessTime },
    HalfOpen { trial_until: Option<ProcessTime> },
}

impl Breaker {
    /// A closed one. Zero failures counts as one.
    pub fn new(rules: BreakerRules) -> Self {
        Self {
            rules: BreakerRules { failures: rules.failures.max(1), ..rules },
            state: State::Closed,
            epoch: 0,
            since: ProcessTime::ZERO,
            in_a_row: 0,
            row_since: ProcessTime::ZERO,
            counters: BreakerCounters::default(),
        }
    }

    /// The state at `now`.
    pub fn state(&self, now: ProcessTime) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether an attempt would be let in at `now`.
    pub fn admits(&self, now: ProcessTime) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => until <= now,
            State::HalfOpen { trial_until } => trial_until.is_none_or(|until| until <= now),
        }
    }

    /// Lets an attempt in, or not.
    pub fn admit(&mut self, now: ProcessTime) -> Option<Permit> {
        self.advance(now);
        let trial = match &mut self.state {
            State::Closed => false,
            State::HalfOpen { trial_until: slot @ None } => {
                *slot = Some(now + self.rules.trial_within);
                // Each trial has an epoch of its own, so that one which was given up does not speak for the next.
                self.epoch = self.epoch.wrapping_add(1);
                self.counters.trials += 1;
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => {
                self.counters.turned_away += 1;
                return None;
            }
        };
        Some(Permit { epoch: self.epoch, trial, begun: now })
    }

    /// An attempt gave its first useful output in good time: a trial has shown what it should, so the breaker closes
    /// now and not only at the end of a long answer. The permit given back still wants to be settled.
    pub fn handle_useful(&mut self, permit: Permit, now: ProcessTime) -> Permit {
        self.advance(now);
        if !(permit.trial && self.is_current(&permit)) {
            return permit;
        }
        self.close(now);
        Permit { epoch: self.epoch, trial: false, begun: permit.begun }
    }

    /// How an attempt ended.
    pub fn settle(&mut self, permit: Permit, outcome: Outcome, now: ProcessTime) {
        self.advance(now);
        match outcome {
            Outcome::Success => self.counters.successes += 1,
            Outcome::Slow => self.counters.slow += 1,
            Outcome::Failure | Outcome::Useless => self.counters.failures += 1,
            Outcome::Unknown => self.counters.unknown += 1,
        }
        if !self.is_current(&permit) {
            return;
        }
        match (self.state, outcome) {
            (State::HalfOpen { .. }, Outcome::Success) => self.close(now),
            (State::HalfOpen { .. }, Outcome::Unknown) => self.state = State::HalfOpen { trial_until: None },
            (State::HalfOpen { .. }, _) | (State::Closed, Outcome::Useless) => self.open(now),
            // An attempt that began before the failures says nothing about what has been going on since.
            (State::Closed, Outcome::Success) if permit.begun >= self.row_since => self.in_a_row = 0,
            (State::Closed, Outcome::Slow | Outcome::Failure) => self.handle_failure(now),
            (State::Closed, _) | (State::Open { .. }, _) => {}
        }
    }

    /// From when on a trial may be let in; `None` while closed.
    pub fn trial_at(&self) -> Option<ProcessTime> {
        match self.state {
            State::Closed => None,
            State::Open { until } | State::HalfOpen { trial_until: Some(until) } => Some(until),
            State::HalfOpen { trial_until: None } => Some(self.since),
        }
    }

    /// Since when the state at `now` is what it is.
    pub fn since(&self, now: ProcessTime) -> ProcessTime {
        match self.state {
            State::Open { until } if until <= now => until,
            _ => self.since,
        }
    }

    /// Failures in a row while closed.
    pub const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// What it has seen.
    pub const fn counters(&self) -> BreakerCounters {
        self.counters
    }

    /// Lets time pass: open becomes half-open, a lost trial makes room.
    fn advance(&mut self, now: ProcessTime) {
        match self.state {
            State::Open { until } if until <= now => {
                self.change(State::HalfOpen { trial_until: None }, until);
            }
            State::HalfOpen { trial_until: Some(until) } if until <= now => {
                self.counters.trials_lost += 1;
                self.state = State::HalfOpen { trial_until: None };
            }
            _ => {}
        }
    }

    fn is_current(&self, permit: &Permit) -> bool {
        permit.epoch == self.epoch
    }

    fn handle_failure(&mut self, now: ProcessTime) {
        if self.in_a_row == 0 {
            self.row_since = now;
        }
        self.in_a_row += 1;
        if self.in_a_row >= self.rules.failures {
            self.open(now);
        }
    }

    fn open(&mut self, now: ProcessTime) {
        self.counters.opened += 1;
        self.change(State::Open { until: now + self.rules.open_for }, now);
    }

    fn close(&mut self, now: ProcessTime) {
        self.change(State::Closed, now);
    }

    fn change(&mut self, state: State, now: ProcessTime) {
        self.state = state;
        self.since = now;
        self.epoch = self.epoch.wrapping_add(1);
        self.in_a_row = 0;
        self.row_since = ProcessTime::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Failure, Slow, Success, Unknown, Useless};

    fn at(ms: u64) -> ProcessTime {
        ProcessTime::from_millis(ms)
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerRules::default())
    }

    /// Makes one attempt that takes no time.
    #[track_caller]
    fn attempt(breaker: &mut Breaker, outcome: Outcome, now: ProcessTime) {
        let permit = breaker.admit(now).expect("it lets one in");
        breaker.settle(permit, outcome, now);
    }

    fn opened_at(ms: u64) -> Breaker {
        let mut breaker = breaker();
        (0..5).for_each(|_| attempt(&mut breaker, Failure, at(ms)));
        breaker
    }

    #[test]
    fn outcomes_in_a_row_open_it_or_do_not() {
        let cases: [(&[Outcome], BreakerState); 8] = [
            (&[Failure; 4], BreakerState::Closed),
            (&[Failure; 5], BreakerState::Open),
            (&[Slow; 5], BreakerState::Open),
            (&[Failure, Slow, Failure, Slow, Failure], BreakerState::Open),
            (&[Failure, Failure, Failure, Failure, Success, Failure], BreakerState::Closed),
            (&[Failure, Unknown, Failure, Failure, Unknown, Failure, Failure], BreakerState::Open),
            (&[Unknown; 50], BreakerState::Closed),
            (&[Success, Useless], BreakerState::Open),
        ];
        for (outcomes, state) in cases {
            let mut breaker = breaker();
            for (n, outcome) in outcomes.iter().enumerate() {
                attempt(&mut breaker, *outcome, at(n as u64));
            }
            assert_eq!(breaker.state(at(100)), state, "{outcomes:?}");
        }
    }

    #[test]
    fn an_open_one_lets_nobody_in_for_thirty_seconds_and_then_one_at_a_time() {
        let mut breaker = opened_at(1_000);
        assert_eq!(breaker.trial_at(), Some(at(31_000)));
        assert!(breaker.admit(at(30_999)).is_none());
        assert_eq!(breaker.state(at(31_000)), BreakerState::HalfOpen);
        let trial = breaker.admit(at(31_000)).expect("a trial");
        assert!(trial.is_trial());
        assert!(breaker.admit(at(31_001)).is_none());
        breaker.settle(trial, Success, at(31_200));
        assert_eq!(breaker.state(at(31_200)), BreakerState::Closed);
        assert_eq!(breaker.since(at(40_000)), at(31_200));
        let counters = breaker.counters();
        assert_eq!((counters.failures, counters.successes, counters.turned_away), (5, 1, 2));
        assert_eq!((counters.opened, counters.trials), (1, 1));
    }

    #[test]
    fn a_trial_decides_as_it_ends() {
        let cases = [
            (Success, BreakerState::Closed),
            (Slow, BreakerState::Open),
            (Failure, BreakerState::Open),
            (Useless, BreakerState::Open),
            (Unknown, BreakerState::HalfOpen),
        ];
        for (outcome, state) in cases {
            let mut breaker = opened_at(0);
            attempt(&mut breaker, outcome, at(30_000));
            assert_eq!(breaker.state(at(59_999)), state, "{outcome:?}");
            assert_eq!(breaker.admits(at(59_999)), state != BreakerState::Open, "{outcome:?}");
        }
    }

    #[test]
    fn a_trial_that_gives_useful_output_closes_it_before_its_end() {
        let mut breaker = opened_at(0);
        let trial = breaker.admit(at(30_000)).expect("a trial");
        let permit = breaker.handle_useful(trial, at(30_100));
        assert_eq!(breaker.state(at(30_100)), BreakerState::Closed);
        assert!(!permit.is_trial());
        breaker.settle(permit, Failure, at(31_000));
        assert_eq!(breaker.in_a_row(), 1, "what comes after still counts");
    }

    #[test]
    fn a_trial_that_is_never_settled_makes_room_and_says_nothing_later() {
        let mut breaker = opened_at(0);
        let lost = breaker.admit(at(30_000)).expect("a trial");
        assert!(!breaker.admits(at(59_999)));
        let next = breaker.admit(at(60_000)).expect("another trial");
        assert_eq!(breaker.counters().trials_lost, 1);
        breaker.settle(lost, Failure, at(60_001));
        assert_eq!(breaker.state(at(60_001)), BreakerState::HalfOpen);
        breaker.settle(next, Success, at(60_002));
        assert_eq!(breaker.state(at(60_002)), BreakerState::Closed);
    }

    #[test]
    fn what_began_before_a_change_changes_nothing() {
        let mut breaker = breaker();
        let early: Vec<_> = (0..20).filter_map(|_| breaker.admit(at(0))).collect();
        (0..5).for_each(|_| attempt(&mut breaker, Failure, at(10)));
        assert_eq!(breaker.trial_at(), Some(at(30_010)));
        attempt(&mut breaker, Success, at(30_010));
        // The same outage, reported late by twenty calls that had been waiting.
        early.into_iter().for_each(|permit| breaker.settle(permit, Failure, at(30_020)));
        assert_eq!(breaker.state(at(30_020)), BreakerState::Closed);
        assert_eq!(breaker.counters().failures, 25);
    }

    #[test]
    fn long_answers_from_before_an_outage_do_not_hide_it() {
        let mut breaker = breaker();
        let mut early: Vec<_> = (0..4).filter_map(|_| breaker.admit(at(0))).collect();
        for n in 0..5 {
            assert_eq!(breaker.state(at(n * 10)), BreakerState::Closed);
            attempt(&mut breaker, Failure, at(n * 10 + 1));
            if let Some(permit) = early.pop() {
                breaker.settle(permit, Success, at(n * 10 + 2));
            }
        }
        assert_eq!(breaker.state(at(50)), BreakerState::Open);
    }
}
