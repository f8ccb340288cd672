//! Arbitrary facts in any order, for several requests that share a line-up: the rules of the stack hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use voice_core::error::ProviderError;
use voice_core::resilience::{
    AttemptId, BreakerState, BrokenOff, Deadlines, Input, LineUp, Member, Order, Planner, Probe,
    ProviderIndex, Providers, Rules, Seed, Why,
};
use voice_core::sim::Random;
use voice_core::time::ProcessTime;

/// Requests under way at the same time.
const SLOTS: usize = 5;

#[test]
fn no_order_of_facts_breaks_a_rule() {
    let mut seen = Seen::default();
    for seed in 0..1_000 {
        let played = std::panic::catch_unwind(|| {
            let mut exercise = Exercise::new(seed);
            exercise.run();
            exercise.seen
        });
        let Ok(one) = played else { panic!("seed {seed}") };
        seen.hedges += one.hedges;
        seen.retries += one.retries;
        seen.resumes += one.resumes;
        seen.trials += one.trials;
        seen.ends += one.ends;
        seen.lost += one.lost;
    }
    // Rules that were never put to the test would hold too.
    let Seen { hedges, retries, resumes, trials, ends, lost } = seen;
    let rarest = [hedges, retries, resumes, trials, ends, lost].into_iter().min();
    assert!(rarest >= Some(100), "{seen:?}");
}

/// How often what the rules are about has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hedges: u64,
    retries: u64,
    resumes: u64,
    trials: u64,
    ends: u64,
    lost: u64,
}

/// A request and what an onlooker knows of it.
struct Slot {
    planner: Planner<u32>,
    begun: ProcessTime,
    live: BTreeMap<AttemptId, ProviderIndex>,
    used: BTreeSet<AttemptId>,
    started: u32,
    emitted: bool,
    emitter: Option<AttemptId>,
    resume: u32,
    ended: bool,
}

struct Exercise {
    random: Random,
    rules: Rules,
    line_up: LineUp,
    now: ProcessTime,
    slots: [Option<Slot>; SLOTS],
    probes: Vec<Probe>,
    /// Who tries a provider that is half-open, since when, and in which slot.
    trials: BTreeMap<ProviderIndex, (ProcessTime, usize, AttemptId)>,
    requests: u64,
    seen: Seen,
}

impl Exercise {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let deadlines = Deadlines::default();
        let mut rules =
            *random.pick(&[Rules::stt(&deadlines), Rules::llm(&deadlines), Rules::tts(&deadlines)]);
        if random.one_in(2) {
            rules.hedge = voice_core::resilience::Hedge::default();
        }
        rules.retry = rules
            .retry
            .with_attempts(1 + random.below(6) as u32)
            .with_per_provider(1 + random.below(3) as u32);
        let names = ["a", "b", "c"];
        let members: Vec<_> = names[..1 + random.below(3) as usize]
            .iter()
            .map(|name| Member { name, hedged: random.chance(0.8) })
            .collect();
        Self {
            line_up: LineUp::new(&members, rules, Seed(seed)).expect("a line-up"),
            random,
            rules,
            now: ProcessTime::from_millis(500),
            slots: [const { None }; SLOTS],
            probes: Vec::new(),
            trials: BTreeMap::new(),
            requests: 0,
            seen: Seen::default(),
        }
    }

    fn run(&mut self) {
        if self.random.one_in(2) {
            self.warm_up();
        }
        let steps = 20 + self.random.below(400);
        for _ in 0..steps {
            self.step();
        }
        self.let_requests_end();
        self.check_recovery();
    }

    /// A busy hour without trouble, after which it is known what is late.
    fn warm_up(&mut self) {
        for _ in 0..100 {
            self.line_up.handle_request();
            self.requests += 1;
            for provider in self.line_up.providers() {
                let latency = self.random.up_to(Duration::from_millis(900));
                self.line_up.note_latency(provider, latency);
            }
        }
    }

    fn step(&mut self) {
        let slot = self.random.below(SLOTS as u64) as usize;
        if self.slots[slot].is_none() {
            return self.begin(slot);
        }
        match self.random.below(24) {
            0..=13 => self.tell(slot),
            14..=17 => {
                let most = *self.random.pick(&[20, 200, 2_000, 8_000, 40_000]);
                let time = self.random.up_to(Duration::from_millis(most));
                self.pass(time);
            }
            18 | 19 => self.probes.extend(self.line_up.poll_probe(self.now)),
            20 => self.answer_probe(),
            21 => drop(self.probes.pop()),
            // A call's task has died: nobody settles anything.
            22 => self.slots[slot] = None,
            _ => {
                let ended = self.slots[slot].as_ref().is_some_and(|slot| slot.ended);
                if ended {
                    self.slots[slot] = None;
                }
            }
        }
        self.check_shares();
    }

    fn begin(&mut self, slot: usize) {
        self.requests += 1;
        let first = AttemptId(self.random.below(100) as u32);
        let seed = Seed(self.random.bits());
        let mut planner = Planner::new(first, 0, seed, &mut self.line_up, self.now);
        if self.random.chance(0.6) {
            planner.handle_input(Input::Wanted, &mut self.line_up, self.now);
        }
        self.slots[slot] = Some(Slot {
            planner,
            begun: self.now,
            live: BTreeMap::new(),
            used: BTreeSet::new(),
            started: 0,
            emitted: false,
            emitter: None,
            resume: 0,
            ended: false,
        });
        self.drain(slot);
    }

    fn tell(&mut self, at: usize) {
        let Some(slot) = &mut self.slots[at] else { return };
        let random = &mut self.random;
        // Mostly an attempt that is under way, sometimes one that is over or never was.
        let live: Vec<_> = slot.live.keys().copied().collect();
        let attempt = match random.below(8) {
            0 => AttemptId(random.below(110) as u32),
            1 => slot.used.iter().next().copied().unwrap_or_default(),
            _ if live.is_empty() => AttemptId(random.below(110) as u32),
            _ => *random.pick(&live),
        };
        let input = match random.below(16) {
            0 | 1 => Input::Wanted,
            2 => Input::Idle,
            3 | 4 => Input::Started { attempt },
            5..=9 => Input::Useful { attempt, resume: slot.resume + 1 },
            10 | 11 => Input::Finished { attempt },
            12..=14 => Input::Failed { attempt, error: error(random) },
            _ if random.one_in(3) => Input::Abandoned,
            _ => Input::Started { attempt },
        };
        let of_an_attempt = !matches!(input, Input::Wanted | Input::Idle | Input::Abandoned);
        let is_live = slot.live.contains_key(&attempt);
        let stale = slot.ended || (of_an_attempt && !is_live);
        let before = stale.then(|| format!("{:?} {:?}", slot.planner, self.line_up));
        let ends_badly = matches!(input, Input::Failed { .. });
        let ends = ends_badly || matches!(input, Input::Finished { .. });
        let useful = matches!(input, Input::Useful { .. });
        let abandoned = matches!(input, Input::Abandoned);
        let text = format!("{input:?}");
        let was_emitter = slot.emitter == Some(attempt);
        slot.planner.handle_input(input, &mut self.line_up, self.now);
        if let Some(before) = before {
            let after = format!("{:?} {:?}", slot.planner, self.line_up);
            assert_eq!(before, after, "{text} is stale and changed something");
            return;
        }
        if useful {
            assert_eq!(slot.planner.emitter(), Some(attempt), "a first useful output counts");
            assert!(slot.emitter.is_none_or(|emitter| emitter == attempt), "two attempts emit");
            slot.emitter = Some(attempt);
            slot.emitted = true;
            slot.resume += 1;
        }
        if ends {
            slot.live.remove(&attempt);
            if was_emitter {
                slot.emitter = None;
            }
        }
        if abandoned {
            slot.ended = true;
            slot.emitter = None;
        }
        if ends && !ends_badly && was_emitter {
            slot.ended = true;
            self.seen.ends += 1;
        }
        self.end_trials(at, ends || useful);
        self.drain(at);
    }

    /// A trial is over when its attempt is, or has shown something.
    fn end_trials(&mut self, at: usize, changed: bool) {
        let Some(slot) = &self.slots[at] else { return };
        if changed {
            self.trials.retain(|_, (_, of, attempt)| {
                *of != at || (slot.live.contains_key(attempt) && slot.emitter != Some(*attempt))
            });
        }
    }

    fn drain(&mut self, at: usize) {
        while let Some(order) = self.slots[at].as_mut().and_then(|slot| slot.planner.poll_order()) {
            match order {
                Order::Start { attempt, provider, from, why } => {
                    self.note_start(at, attempt, provider, from, why)
                }
                Order::Cancel { attempt } => {
                    if let Some(slot) = &mut self.slots[at] {
                        assert!(slot.live.remove(&attempt).is_some(), "cancels what is not under way");
                        if slot.emitter == Some(attempt) {
                            slot.emitter = None;
                        }
                    }
                    self.end_trials(at, true);
                }
                Order::GiveUp(given_up) => {
                    let slot = self.slots[at].as_mut().expect("the slot that gave an order");
                    assert!(slot.live.is_empty(), "gives up with an attempt under way");
                    assert!(!slot.ended, "ends twice");
                    assert!(!given_up.error.to_string().is_empty());
                    slot.ended = true;
                    self.seen.lost += 1;
                }
                Order::Notice(_) => {}
            }
        }
        let Some(slot) = &self.slots[at] else { return };
        assert_eq!(slot.planner.is_over(), slot.ended, "the end is known");
        assert_eq!(slot.planner.emitter(), slot.emitter, "who emits is known");
        assert!(slot.live.len() <= 2, "more than two attempts");
        assert!(slot.emitter.is_none() || slot.live.len() == 1, "another attempt beside the emitter");
        assert_eq!(slot.planner.poll_timeout().is_none(), slot.ended, "every wait has a deadline");
        if slot.ended {
            assert!(slot.live.is_empty(), "an attempt outlives its request");
        }
    }

    fn note_start(&mut self, at: usize, attempt: AttemptId, provider: ProviderIndex, from: u32, why: Why) {
        let status = &self.line_up.status(self.now)[provider.get()];
        let now = self.now;
        let slot = self.slots[at].as_mut().expect("the slot that gave an order");
        assert!(!slot.ended, "starts after the end");
        assert!(slot.used.insert(attempt), "an id is used twice");
        assert_eq!(from, slot.resume, "goes on where it was");
        assert!(slot.emitter.is_none(), "starts beside an emitter");
        assert!(slot.live.is_empty() || why == Why::Hedge, "starts beside another one");
        if slot.emitted {
            assert_eq!(self.rules.broken_off, BrokenOff::Resume, "repeats after useful output");
        }
        slot.live.insert(attempt, provider);
        slot.started += 1;
        assert!(slot.started <= self.rules.retry.attempts(), "too many attempts");
        assert_ne!(status.state, BreakerState::Open, "asks one that is left alone");
        assert!(status.resting_until.is_none(), "asks one that is full");
        if status.state == BreakerState::HalfOpen {
            self.seen.trials += 1;
            let other = self.trials.insert(provider, (now, at, attempt));
            if let Some((since, ..)) = other {
                assert!(now.since(since) >= self.rules.breaker.trial_within, "two trials at once");
            }
        }
        self.seen.hedges += u64::from(why == Why::Hedge);
        self.seen.retries += u64::from(why == Why::Retry);
        self.seen.resumes += u64::from(why == Why::Resume);
    }

    fn check_shares(&self) {
        let (seen, requests) = (&self.seen, self.requests);
        assert!(seen.hedges * 10 <= requests, "{} hedges of {requests}", seen.hedges);
        assert!(seen.retries <= 10 + requests / 5, "{} retries of {requests}", seen.retries);
    }

    fn answer_probe(&mut self) {
        let Some(probe) = self.probes.pop() else { return };
        let result = if self.random.one_in(2) { Ok(()) } else { Err(error(&mut self.random)) };
        self.line_up.handle_probe(probe, result, self.now);
    }

    /// Time passes, and deadlines fire as they come; at times too late.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let late = self.random.one_in(5);
        for _ in 0..MOST_DEADLINES {
            let due = |slot: &Option<Slot>| slot.as_ref().and_then(|slot| slot.planner.poll_timeout());
            let next = (0..SLOTS).filter_map(|at| due(&self.slots[at]).map(|due| (due, at))).min();
            let Some((due, at)) = next.filter(|(due, _)| *due <= until) else {
                self.now = until;
                return;
            };
            self.now = if late { until } else { self.now.max(due) };
            let Some(slot) = &mut self.slots[at] else { return };
            slot.planner.handle_timeout(&mut self.line_up, self.now);
            let next = slot.planner.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "no progress: {:?}", slot.planner);
            self.drain(at);
        }
        panic!("deadlines without end");
    }

    /// With no more facts, deadlines alone end every request, and where output is wanted, soon.
    fn let_requests_end(&mut self) {
        for at in 0..SLOTS {
            let Some(slot) = &mut self.slots[at] else { continue };
            slot.planner.handle_input(Input::Wanted, &mut self.line_up, self.now);
            let deadlines = self.rules.deadlines;
            // One that emits stalls; each attempt after it has its deadline, and so has the wait before it.
            let each = deadlines.first + self.rules.retry.patience();
            let soon = self.now + deadlines.stall + self.rules.retry.attempts() * each;
            let latest = (slot.begun + deadlines.longest).max(self.now);
            while let Some(due) = self.slots[at].as_ref().and_then(|slot| slot.planner.poll_timeout()) {
                assert!(due <= soon.min(latest), "it takes too long");
                self.pass(due.since(self.now));
            }
            assert!(self.slots[at].as_ref().is_none_or(|slot| slot.ended));
        }
    }

    /// After the longest rest and the longest trial, every provider is tried, and one good answer is enough.
    fn check_recovery(&mut self) {
        self.slots = [const { None }; SLOTS];
        self.probes.clear();
        self.now += Duration::from_secs(310);
        let providers: Vec<_> = self.line_up.providers().collect();
        for provider in &providers {
            let others = providers.iter().filter(|other| *other != provider);
            let avoid = others.fold(Providers::NONE, |avoid, other| avoid.with(*other));
            let ticket = self.line_up.pick(avoid, self.now).expect("a breaker is stuck");
            let ticket = self.line_up.handle_useful(ticket, self.now);
            self.line_up.settle(ticket, voice_core::resilience::Ending::Well, self.now);
            let status = &self.line_up.status(self.now)[provider.get()];
            assert_eq!(status.state, BreakerState::Closed, "{status:?}");
        }
        assert!(!self.line_up.is_down(self.now));
        assert_eq!(self.line_up.poll_timeout(), None, "nothing is left to probe");
    }
}

const MOST_DEADLINES: usize = 10_000;

fn error(random: &mut Random) -> ProviderError {
    let (provider, detail) = ("test", "as the dice fell".to_owned());
    match random.below(9) {
        0 | 1 => ProviderError::Unreachable { provider, detail },
        2 | 3 => ProviderError::Failed { provider, detail },
        4 => ProviderError::Limited { provider, detail, retry_after: None },
        5 => {
            let retry_after = Some(random.up_to(Duration::from_secs(1_000)));
            ProviderError::Limited { provider, detail, retry_after }
        }
        6 => ProviderError::Rejected { provider, detail },
        7 => ProviderError::TimedOut { provider, after: Duration::from_secs(1) },
        _ => ProviderError::Unauthorised { provider, detail },
    }
}
