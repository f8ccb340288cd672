//! The providers of one stage in order, and which of them an attempt may use now.
//!
//! Pure; one for each stage and process, shared by all calls behind a short lock. The first provider whose breaker
//! lets it in is taken. One that was left alone comes back through probes in the background, then through a single
//! request, so that neither an outage nor a recovery sends all callers the same way at once. When nobody is left,
//! [`LineUp::is_down`] says so, and the call goes on in text. Callers: the planner, and the shell's prober.

use std::collections::VecDeque;
use std::time::Duration;

use super::allowance::Allowance;
use super::backoff::Seed;
use super::breaker::{Breaker, BreakerCounters, BreakerState, Outcome, Permit};
use super::hedge::Latencies;
use super::retry::{Blame, judge};
use super::{Backoff, Rules};
use crate::error::ProviderError;
use crate::time::ProcessTime;

/// One provider of a stage, as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in errors, logs and events.
    pub name: &'static str,
    /// Whether a second attempt beside a late one can be quicker. Not where both would share one processor.
    pub hedged: bool,
}

/// A provider's place in its line-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderIndex(u8);

impl ProviderIndex {
    /// The place, counted from the preferred one, which is 0.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// A set of providers of one line-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Providers(u8);

impl Providers {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, provider: ProviderIndex) -> Self {
        Self(self.0 | 1 << provider.0)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether this one is among them.
    pub const fn contains(self, provider: ProviderIndex) -> bool {
        self.0 & (1 << provider.0) != 0
    }
}

/// Leave to make one attempt at one provider. To be settled with [`LineUp::settle`].
#[derive(Debug)]
#[must_use = "an attempt that is let in is settled"]
pub struct Ticket {
    provider: ProviderIndex,
    permit: Permit,
}

impl Ticket {
    /// At which provider.
    pub const fn provider(&self) -> ProviderIndex {
        self.provider
    }

    /// Whether the provider is being tried after it was left alone.
    pub const fn is_trial(&self) -> bool {
        self.permit.is_trial()
    }
}

/// How an attempt ended, as the planner knows it.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// As it should.
    Well,
    /// With useful output that came too late.
    Slow,
    /// It was cancelled before it could show anything.
    Unknown,
    /// With this error.
    Failed(&'a ProviderError),
}

/// The order to see whether a provider is back, by the cheapest request that shows it and spends no credit. Answered
/// with [`LineUp::handle_probe`] within [`PROBE_WITHIN`].
#[derive(Debug)]
#[must_use = "a probe is answered"]
pub struct Probe(Ticket);

impl Probe {
    /// Which provider.
    pub const fn provider(&self) -> ProviderIndex {
        self.0.provider
    }
}

/// The deadline of a probe. Well within the breaker's patience with a trial.
pub const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// Something that changed, for logs, metrics and the events of `/api/v1/events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which provider; for the stage as a whole, the one whose change made the difference.
    pub provider: &'static str,
    /// What.
    pub kind: ChangeKind,
    /// When.
    pub at: ProcessTime,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It failed too often and is left alone.
    Opened,
    /// A trial showed that it is back.
    Closed,
    /// It is full and asked to be left alone until then.
    Resting(ProcessTime),
    /// Nobody is left in the stage: the last resort is text.
    StageDown,
    /// Somebody is usable again.
    StageBack,
}

impl ChangeKind {
    /// The word in logs, metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Resting(_) => "resting",
            Self::StageDown => "stage_down",
            Self::StageBack => "stage_back",
        }
    }
}

/// How one provider does, for `/health` and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its name.
    pub name: &'static str,
    /// Its breaker.
    pub state: BreakerState,
    /// Since when that is so.
    pub since: ProcessTime,
    /// Failures in a row.
    pub in_a_row: u32,
    /// What was counted.
    pub counters: BreakerCounters,
    /// It is full until then.
    pub resting_until: Option<ProcessTime>,
    /// 95 of 100 first useful outputs come within this; unknown at first.
    pub p95: Option<Duration>,
}

/// A list that is no line-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineUpError {
    /// Nobody to ask.
    #[error("no provider is configured")]
    Empty,
    /// More than anybody needs.
    #[error("{0} providers are configured, at most 8 can be")]
    TooMany(usize),
}

/// The providers of one stage.
#[derive(Debug)]
pub struct LineUp {
    rules: Rules,
    entries: Vec<Entry>,
    retries: Allowance,
    hedges: Allowance,
    seed: Seed,
    down: bool,
    changes: VecDeque<Change>,
    changes_lost: u64,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    breaker: Breaker,
    latencies: Latencies,
    /// It is full until then.
    rests_until: ProcessTime,
    /// Times in a row that it said so.
    limits: u32,
    /// A probe has found it well; until then one request may try it.
    vouched_until: ProcessTime,
    /// Not probed before.
    probe_at: ProcessTime,
    last_error: Option<ProviderError>,
}

impl LineUp {
    /// All providers in order of preference, all of them trusted.
    ///
    /// # Errors
    /// No provider, or more than eight.
    pub fn new(members: &[Member], rules: Rules, seed: Seed) -> Result<Self, LineUpError> {
        if members.is_empty() {
            return Err(LineUpError::Empty);
        }
        if members.len() > MOST_PROVIDERS {
            return Err(LineUpError::TooMany(members.len()));
        }
        Ok(Self {
            rules,
            entries: members.iter().map(|member| Entry::new(*member, &rules)).collect(),
            retries: Allowance::new(RETRY_PERCENT, RETRY_BURST, RETRY_BURST),
            hedges: Allowance::new(rules.hedge.percent, HEDGE_BURST, 0),
            seed,
            down: false,
            changes: VecDeque::new(),
            changes_lost: 0,
        })
    }

    /// The stage's rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A provider's name.
    pub fn name(&self, provider: ProviderIndex) -> &'static str {
        self.entry(provider).member.name
    }

    /// All providers in order.
    pub fn providers(&self) -> impl Iterator<Item = ProviderIndex> + use<> {
        // There are at most eight.
        (0..self.entries.len() as u8).map(ProviderIndex)
    }

    // For requests.

    /// A request began: it pays its share for retries and hedges.
    pub fn handle_request(&mut self) {
        self.retries.handle_request();
        self.hedges.handle_request();
    }

    /// Lets an attempt in at the first provider that is usable and not to be avoided. One that has been left alone
    /// is tried by a request only after a probe found it well, or where there is nobody else, or where nobody probes.
    pub fn pick(&mut self, avoid: Providers, now: ProcessTime) -> Option<Ticket> {
        let mut choice = None;
        for provider in self.providers().filter(|provider| !avoid.contains(*provider)) {
            match self.entry(provider).readiness(now) {
                Readiness::Ready => {
                    choice = Some(provider);
                    break;
                }
                Readiness::Doubtful => choice = choice.or(Some(provider)),
                Readiness::NotBefore(_) => {}
            }
        }
        let ticket = choice.and_then(|provider| self.admit(provider, now));
        self.note_whether_down(now);
        ticket
    }

    /// Lets an attempt in at this provider, if it is usable without doubt.
    pub fn pick_this(&mut self, provider: ProviderIndex, now: ProcessTime) -> Option<Ticket> {
        match self.entry(provider).readiness(now) {
            Readiness::Ready => self.admit(provider, now),
            Readiness::Doubtful | Readiness::NotBefore(_) => None,
        }
    }

    /// Whether this provider is trusted and not full.
    pub fn is_ready(&self, provider: ProviderIndex, now: ProcessTime) -> bool {
        self.entry(provider).readiness(now) == Readiness::Ready
    }

    /// Lets a second attempt in beside a late one, if the provider is trusted and the share of hedges is not used up.
    pub fn pick_hedge(&mut self, provider: ProviderIndex, now: ProcessTime) -> Option<Ticket> {
        if !self.entry(provider).is_trusted(now) || !self.hedges.try_take() {
            return None;
        }
        self.admit(provider, now)
    }

    /// From when on an attempt at this provider is late enough for a hedge.
    pub fn hedge_delay(&self, provider: ProviderIndex) -> Option<Duration> {
        let entry = self.entry(provider);
        if !entry.member.hedged {
            return None;
        }
        self.rules.hedge.delay(&entry.latencies, self.rules.deadlines.first)
    }

    /// Takes one repetition out of the share of retries.
    pub fn try_retry(&mut self) -> bool {
        self.retries.try_take()
    }

    /// When a provider outside `avoid` may be usable; `now` or earlier where one is.
    pub fn usable_at(&self, avoid: Providers, now: ProcessTime) -> Option<ProcessTime> {
        self.providers()
            .filter(|provider| !avoid.contains(*provider))
            .map(|provider| match self.entry(provider).readiness(now) {
                Readiness::Ready | Readiness::Doubtful => now,
                Readiness::NotBefore(at) => at,
            })
            .min()
    }

    /// An attempt gave its first useful output in good time. The ticket given back still wants to be settled.
    pub fn handle_useful(&mut self, ticket: Ticket, now: ProcessTime) -> Ticket {
        let Ticket { provider, permit } = ticket;
        let permit = self.at_breaker(provider, now, |breaker| breaker.handle_useful(permit, now));
        Ticket { provider, permit }
    }

    /// Remembers how long a first useful output took, or at least took.
    pub fn note_latency(&mut self, provider: ProviderIndex, latency: Duration) {
        self.entry_mut(provider).latencies.push(latency);
    }

    /// How an attempt ended.
    pub fn settle(&mut self, ticket: Ticket, ending: Ending<'_>, now: ProcessTime) {
        let Ticket { provider, permit } = ticket;
        let outcome = match ending {
            Ending::Well => Outcome::Success,
            Ending::Slow => Outcome::Slow,
            Ending::Unknown => Outcome::Unknown,
            Ending::Failed(error) => match judge(error).1 {
                Blame::Failing => Outcome::Failure,
                Blame::Innocent => Outcome::Unknown,
                Blame::Useless => Outcome::Useless,
            },
        };
        if let Ending::Failed(error) = ending {
            self.handle_error(provider, error, now);
        } else if outcome == Outcome::Success {
            self.entry_mut(provider).limits = 0;
        }
        self.at_breaker(provider, now, |breaker| breaker.settle(permit, outcome, now));
        self.note_whether_down(now);
    }

    /// Why nobody can be asked: the last error of the most preferred provider that is not trusted.
    pub fn last_error(&self, now: ProcessTime) -> ProviderError {
        let doubted = self.entries.iter().filter(|entry| !entry.is_trusted(now));
        doubted.filter_map(|entry| entry.last_error.clone()).next().unwrap_or_else(|| ProviderError::Failed {
            provider: self.entries[0].member.name,
            detail: "it cannot be asked now".to_owned(),
        })
    }

    // For the prober.

    /// The next probe that is due.
    pub fn poll_probe(&mut self, now: ProcessTime) -> Option<Probe> {
        let provider = self.providers().find(|provider| {
            let entry = self.entry(*provider);
            entry.probe_due_at().is_some_and(|at| at <= now)
        })?;
        self.entry_mut(provider).probe_at = now + PROBE_EVERY;
        self.admit(provider, now).map(Probe)
    }

    /// When the next probe is due; `None` while no breaker has opened. Ask again after each [`Change`].
    pub fn poll_timeout(&self) -> Option<ProcessTime> {
        self.entries.iter().filter_map(Entry::probe_due_at).min()
    }

    /// What a probe found. A provider that is well is not trusted yet: probes see less than requests do. One request
    /// may now try it.
    pub fn handle_probe(&mut self, probe: Probe, result: Result<(), ProviderError>, now: ProcessTime) {
        let Probe(ticket) = probe;
        match result {
            Ok(()) => {
                let entry = self.entry_mut(ticket.provider);
                entry.vouched_until = now + PROBE_EVERY;
                entry.probe_at = now + PROBE_EVERY;
                self.settle(ticket, Ending::Unknown, now);
            }
            Err(error) => self.settle(ticket, Ending::Failed(&error), now),
        }
    }

    // For the outside.

    /// Whether no provider is trusted and free: where a request gives up now, the last resort is text.
    pub fn is_down(&self, now: ProcessTime) -> bool {
        !self.entries.iter().any(|entry| entry.is_trusted(now))
    }

    /// The next change since the last call.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// Changes that nobody fetched in time and that are gone.
    pub const fn changes_lost(&self) -> u64 {
        self.changes_lost
    }

    /// How each provider does, in order.
    pub fn status(&self, now: ProcessTime) -> Vec<MemberStatus> {
        self.entries.iter().map(|entry| entry.status(now)).collect()
    }

    /// Repetitions so far, for metrics.
    pub const fn retries(&self) -> &Allowance {
        &self.retries
    }

    /// Hedges so far, for metrics.
    pub const fn hedges(&self) -> &Allowance {
        &self.hedges
    }

    fn entry(&self, provider: ProviderIndex) -> &Entry {
        // An index of another line-up is a bug of ours; it must not end the process.
        &self.entries[provider.get().min(self.entries.len() - 1)]
    }

    fn entry_mut(&mut self, provider: ProviderIndex) -> &mut Entry {
        let last = self.entries.len() - 1;
        &mut self.entries[provider.get().min(last)]
    }

    fn admit(&mut self, provider: ProviderIndex, now: ProcessTime) -> Option<Ticket> {
        let permit = self.entry_mut(provider).breaker.admit(now)?;
        Some(Ticket { provider, permit })
    }

    /// Lets something happen at a breaker and notes whether that opened or closed it.
    fn at_breaker<T>(
        &mut self,
        provider: ProviderIndex,
        now: ProcessTime,
        happen: impl FnOnce(&mut Breaker) -> T,
    ) -> T {
        let entry = self.entry_mut(provider);
        let before = entry.breaker.state(now);
        let result = happen(&mut entry.breaker);
        let kind = match (before, entry.breaker.state(now)) {
            (BreakerState::Closed | BreakerState::HalfOpen, BreakerState::Open) => Some(ChangeKind::Opened),
            (BreakerState::Open | BreakerState::HalfOpen, BreakerState::Closed) => Some(ChangeKind::Closed),
            _ => None,
        };
        if let Some(kind) = kind {
            // Whatever a probe found is out of date.
            entry.vouched_until = ProcessTime::ZERO;
            entry.probe_at = ProcessTime::ZERO;
            let provider = entry.member.name;
            self.note(Change { provider, kind, at: now });
        }
        result
    }

    fn handle_error(&mut self, provider: ProviderIndex, error: &ProviderError, now: ProcessTime) {
        let fraction = self.seed.next_fraction();
        let entry = self.entry_mut(provider);
        entry.last_error = Some(error.clone());
        let ProviderError::Limited { retry_after, .. } = error else { return };
        entry.limits = entry.limits.saturating_add(1);
        let until = now + LIMITED.delay(entry.limits, fraction, *retry_after);
        if until > entry.rests_until {
            entry.rests_until = until;
            let provider = entry.member.name;
            self.note(Change { provider, kind: ChangeKind::Resting(until), at: now });
        }
    }

    fn note_whether_down(&mut self, now: ProcessTime) {
        let down = self.is_down(now);
        if down != self.down {
            self.down = down;
            let provider = self.entries[0].member.name;
            let kind = if down { ChangeKind::StageDown } else { ChangeKind::StageBack };
            self.note(Change { provider, kind, at: now });
        }
    }

    fn note(&mut self, change: Change) {
        if self.changes.len() >= MOST_CHANGES {
            self.changes.pop_front();
            self.changes_lost += 1;
        }
        self.changes.push_back(change);
    }
}

/// Longer than any sensible list; one bit each in [`Providers`].
pub(super) const MOST_PROVIDERS: usize = 8;
/// Of the requests, so many percent may be repeated at the same provider: enough for a bad connection here and there,
/// too few to add a flood to an outage.
const RETRY_PERCENT: u32 = 20;
/// Repetitions that a quiet server may make at once.
const RETRY_BURST: u32 = 10;
/// Hedges that may come at once. The share is what counts; this only keeps an hour's savings from being spent together.
const HEDGE_BURST: u32 = 10;
/// How long a full provider is left alone that does not say how long: slots are freed within seconds.
const LIMITED: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));
/// From one probe to the next, and how long a probe's good news holds.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// Where nobody has probed for this long, requests do it themselves.
const PROBE_GRACE: Duration = Duration::from_secs(5);
/// While a trial is under way, ask again after this.
const TRIAL_RECHECK: Duration = Duration::from_millis(50);
/// Changes that wait for whoever reads them; each provider makes a few in a minute at most.
const MOST_CHANGES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Trusted, or found well by a probe.
    Ready,
    /// It may be tried where there is nobody else.
    Doubtful,
    /// It cannot be used; this is when to ask again.
    NotBefore(ProcessTime),
}

impl Entry {
    fn new(member: Member, rules: &Rules) -> Self {
        Self {
            member,
            breaker: Breaker::new(rules.breaker),
            latencies: Latencies::default(),
            rests_until: ProcessTime::ZERO,
            limits: 0,
            vouched_until: ProcessTime::ZERO,
            probe_at: ProcessTime::ZERO,
            last_error: None,
        }
    }

    fn readiness(&self, now: ProcessTime) -> Readiness {
        if now < self.rests_until {
            return Readiness::NotBefore(self.rests_until);
        }
        match self.breaker.state(now) {
            BreakerState::Closed => Readiness::Ready,
            BreakerState::Open => {
                Readiness::NotBefore(self.breaker.trial_at().unwrap_or(now + TRIAL_RECHECK))
            }
            BreakerState::HalfOpen if !self.breaker.admits(now) => Readiness::NotBefore(now + TRIAL_RECHECK),
            BreakerState::HalfOpen if now < self.vouched_until => Readiness::Ready,
            BreakerState::HalfOpen => {
                let probed_or_due = self.probe_at.max(self.breaker.since(now));
                if probed_or_due + PROBE_GRACE <= now { Readiness::Ready } else { Readiness::Doubtful }
            }
        }
    }

    /// Whether the breaker is closed and nothing asked us to stay away.
    fn is_trusted(&self, now: ProcessTime) -> bool {
        self.breaker.state(now) == BreakerState::Closed && self.rests_until <= now
    }

    /// When a probe is due; `None` while there is nothing to find out.
    fn probe_due_at(&self) -> Option<ProcessTime> {
        self.breaker.trial_at().map(|at| at.max(self.probe_at).max(self.rests_until))
    }

    fn status(&self, now: ProcessTime) -> MemberStatus {
        MemberStatus {
            name: self.member.name,
            state: self.breaker.state(now),
            since: self.breaker.since(now),
            in_a_row: self.breaker.in_a_row(),
            counters: self.breaker.counters(),
            resting_until: Some(self.rests_until).filter(|until| *until > now),
            p95: self.latencies.p95(),
        }
    }
}
