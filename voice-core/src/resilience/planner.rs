//! One request from its first attempt to its end: what to start, what to cancel, when to give up.
//!
//! Pure: the shell tells facts, drains the orders after each, and comes back at [`Planner::poll_timeout`]. Two
//! attempts run beside each other only while neither has given anything useful; the first that does is the
//! [`emitter`](Planner::emitter), the other is cancelled in the same step. Everything that ends an attempt is settled
//! with the line-up, which all requests of a stage share.

use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::Seed;
use super::fallback::{Ending, LineUp, MOST_PROVIDERS, ProviderIndex, Providers, Ticket};
use super::order::{AttemptId, GiveUp, GiveUpReason, Input, Notice, Order, Why};
use super::retry::{Remedy, judge};
use super::{BrokenOff, Rules};
use crate::error::ProviderError;
use crate::time::ProcessTime;

/// One request. `R` is where an attempt starts; see [`Input`] for what that is in each stage.
#[derive(Debug)]
pub struct Planner<R = ()> {
    rules: Rules,
    seed: Seed,
    next: AttemptId,
    begun: ProcessTime,
    wanted: Option<ProcessTime>,
    /// When the present start from `from` was called for: at the beginning, or where the emitter broke off.
    leg_since: ProcessTime,
    from: R,
    /// The emitter broke off, and nothing has been started since.
    broken_off: bool,
    /// That happened at least once.
    resumed: bool,
    live: Vec<Live>,
    emitter: Option<AttemptId>,
    made: u32,
    /// Attempts at each provider, by its place.
    tries: [u32; MOST_PROVIDERS],
    last: Option<ProviderIndex>,
    /// Not to be asked again by this request.
    spent: Providers,
    /// To be asked again only where there is nobody else.
    failed: Providers,
    waiting: Option<Waiting>,
    /// Until when to wait for anybody to be usable.
    patience_until: Option<ProcessTime>,
    hedged: bool,
    error: Option<ProviderError>,
    orders: VecDeque<Order<R>>,
    over: bool,
}

/// An attempt that is under way.
#[derive(Debug)]
struct Live {
    attempt: AttemptId,
    provider: ProviderIndex,
    /// Until it is settled.
    ticket: Option<Ticket>,
    begun: ProcessTime,
    started: bool,
    last_piece: ProcessTime,
    /// Its first output that was waited for has come.
    measured: bool,
    late_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    at: ProcessTime,
    /// The provider to ask first.
    again: Option<ProviderIndex>,
}

/// What is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    TooLong,
    OutOfTime,
    Attempt(AttemptId, Duration),
    Wait,
    Hedge,
}

impl<R: Clone> Planner<R> {
    /// Begins a request; the first attempt is ordered at once. `first` is its id: any that this call has not used,
    /// such as [`next_attempt`](Self::next_attempt) of the request before. Nothing is wanted until
    /// [`Input::Wanted`].
    pub fn new(first: AttemptId, from: R, seed: Seed, line_up: &mut LineUp, now: ProcessTime) -> Self {
        let mut planner = Self {
            rules: *line_up.rules(),
            seed,
            next: first,
            begun: now,
            wanted: None,
            leg_since: now,
            from,
            broken_off: false,
            resumed: false,
            live: Vec::with_capacity(2),
            emitter: None,
            made: 0,
            tries: [0; MOST_PROVIDERS],
            last: None,
            spent: Providers::NONE,
            failed: Providers::NONE,
            waiting: None,
            patience_until: None,
            hedged: false,
            error: None,
            orders: VecDeque::new(),
            over: false,
        };
        line_up.handle_request();
        planner.ask_another(line_up, now);
        planner
    }

    /// Takes a fact. What belongs to an attempt that is over, or comes after the end, changes nothing.
    pub fn handle_input(&mut self, input: Input<R>, line_up: &mut LineUp, now: ProcessTime) {
        if self.over {
            return;
        }
        match input {
            Input::Wanted => {
                self.wanted.get_or_insert(now);
            }
            Input::Idle => self.wanted = None,
            Input::Started { attempt } => {
                if let Some(live) = self.find(attempt) {
                    live.started = true;
                }
            }
            Input::Useful { attempt, resume } => self.handle_useful(attempt, resume, line_up, now),
            Input::Finished { attempt } => self.handle_finished(attempt, line_up, now),
            Input::Failed { attempt, error } => {
                if let Some(live) = self.remove(attempt) {
                    self.handle_failure(live, error, line_up, now);
                }
            }
            Input::Abandoned => {
                self.cancel_all(line_up, now);
                self.over = true;
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, line_up: &mut LineUp, now: ProcessTime) {
        // What ends the request goes first, so that a late wake-up starts nothing that it would have to cancel.
        while let Some(due) = self.overdue(now) {
            match due {
                Due::TooLong => self.give_up(GiveUpReason::TooLong, line_up, now),
                Due::OutOfTime => {
                    let after = self.rules.deadlines.total;
                    self.note_overdue(after, line_up);
                    self.give_up(GiveUpReason::OutOfTime, line_up, now);
                }
                Due::Attempt(attempt, after) => {
                    if let Some(live) = self.remove(attempt) {
                        self.orders.push_back(Order::Cancel { attempt });
                        let error = ProviderError::TimedOut { provider: line_up.name(live.provider), after };
                        self.handle_failure(live, error, line_up, now);
                    }
                }
                Due::Wait => self.end_wait(line_up, now),
                Due::Hedge => self.start_hedge(line_up, now),
            }
        }
    }

    /// The next order.
    pub fn poll_order(&mut self) -> Option<Order<R>> {
        self.orders.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. `None` only after the end.
    pub fn poll_timeout(&self) -> Option<ProcessTime> {
        self.dues().map(|(at, _)| at).min()
    }

    /// The attempt whose output counts, if one has given any and the request is not over. All other output is
    /// dropped. To be asked after each [`Input::Useful`], before the next input.
    pub fn emitter(&self) -> Option<AttemptId> {
        self.emitter
    }

    /// Whether the request is over, well or badly. Orders may be left.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The id after the last one used.
    pub fn next_attempt(&self) -> AttemptId {
        self.next
    }

    fn handle_useful(&mut self, attempt: AttemptId, resume: R, line_up: &mut LineUp, now: ProcessTime) {
        let wanted = self.wanted;
        let Some(live) = self.find(attempt) else { return };
        live.started = true;
        live.last_piece = now;
        let provider = live.provider;
        let after = wanted.filter(|_| !live.measured).map(|wanted| now.since(wanted.max(live.begun)));
        live.measured |= after.is_some();
        let slow = after.is_some_and(|after| after > self.rules.deadlines.slow);
        self.from = resume;
        if self.emitter.is_none() {
            self.choose(attempt, after, line_up, now);
        }
        if let Some(after) = after {
            line_up.note_latency(provider, after);
        }
        let Some(live) = self.find(attempt) else { return };
        if let Some(ticket) = live.ticket.take() {
            if slow {
                line_up.settle(ticket, Ending::Slow, now);
            } else {
                live.ticket = Some(line_up.handle_useful(ticket, now));
            }
        }
    }

    /// From here on only this attempt's output counts.
    fn choose(
        &mut self,
        attempt: AttemptId,
        after: Option<Duration>,
        line_up: &mut LineUp,
        now: ProcessTime,
    ) {
        let others: Vec<_> = self.live.extract_if(.., |live| live.attempt != attempt).collect();
        for other in others {
            let Live { attempt, provider, .. } = other;
            self.settle_cancelled(other, line_up, now);
            self.orders.push_back(Order::Cancel { attempt });
            self.orders.push_back(Order::Notice(Notice::Outrun { attempt, provider }));
        }
        self.emitter = Some(attempt);
        if let Some(provider) = self.find(attempt).map(|live| live.provider) {
            self.orders.push_back(Order::Notice(Notice::Chosen { attempt, provider, after }));
        }
    }

    fn handle_finished(&mut self, attempt: AttemptId, line_up: &mut LineUp, now: ProcessTime) {
        let Some(live) = self.remove(attempt) else { return };
        if self.emitter == Some(attempt) {
            if let Some(ticket) = live.ticket {
                line_up.settle(ticket, Ending::Well, now);
            }
            self.emitter = None;
            self.over = true;
        } else {
            let detail = "it ended without a useful answer".to_owned();
            let error = ProviderError::Failed { provider: line_up.name(live.provider), detail };
            self.handle_failure(live, error, line_up, now);
        }
    }

    /// An attempt that is no longer under way has failed.
    fn handle_failure(&mut self, live: Live, error: ProviderError, line_up: &mut LineUp, now: ProcessTime) {
        let (attempt, provider) = (live.attempt, live.provider);
        if matches!(error, ProviderError::TimedOut { .. }) {
            self.note_wait(&live, line_up, now);
        }
        if let Some(ticket) = live.ticket {
            line_up.settle(ticket, Ending::Failed(&error), now);
        }
        let (remedy, _) = judge(&error);
        self.failed = self.failed.with(provider);
        if remedy == Remedy::Elsewhere || self.tries_at(provider) >= self.rules.retry.per_provider() {
            self.spent = self.spent.with(provider);
        }
        self.orders.push_back(Order::Notice(Notice::Failed { attempt, provider, error: error.clone() }));
        self.error = Some(error);
        if self.emitter == Some(attempt) {
            self.emitter = None;
            if self.rules.broken_off == BrokenOff::GiveUp {
                return self.give_up(GiveUpReason::BrokenOff, line_up, now);
            }
            self.leg_since = now;
            self.broken_off = true;
            self.resumed = true;
        }
        if !self.live.is_empty() {
            return;
        }
        if remedy == Remedy::Again && self.plan_retry(provider, line_up, now) {
            return;
        }
        self.ask_another(line_up, now);
    }

    /// The same provider once more, after a short wait, where that is allowed and in time. An attempt is left for each
    /// that was not asked yet: else two dead services would use up what the third is there for.
    fn plan_retry(&mut self, provider: ProviderIndex, line_up: &mut LineUp, now: ProcessTime) -> bool {
        let at = now + self.backoff(self.tries_at(provider));
        let fresh = line_up.providers().filter(|one| self.tries_at(*one) == 0 && line_up.is_ready(*one, now));
        let left = self.rules.retry.attempts().saturating_sub(self.made);
        let allowed = left as usize > fresh.count()
            && !self.spent.contains(provider)
            && self.out_of_time_at().is_none_or(|end| at < end)
            && line_up.is_ready(provider, now)
            && line_up.try_retry();
        if allowed {
            self.wait(Waiting { at, again: Some(provider) });
        }
        allowed
    }

    /// The first usable provider that has not failed yet; else a wait for one that may do better; else the end.
    fn ask_another(&mut self, line_up: &mut LineUp, now: ProcessTime) {
        if self.made >= self.rules.retry.attempts() {
            return self.give_up(GiveUpReason::AttemptsUsed, line_up, now);
        }
        if let Some(ticket) = line_up.pick(self.spent.and(self.failed), now) {
            return self.start(ticket, false, line_up, now);
        }
        let Some(usable_at) = line_up.usable_at(self.spent, now) else {
            return self.give_up(GiveUpReason::NobodyLeft, line_up, now);
        };
        let first_wait = self.patience_until.is_none();
        let patience_until = *self.patience_until.get_or_insert(now + self.rules.retry.patience());
        let at = usable_at.max(now + self.backoff(self.made));
        let in_time = at <= patience_until && self.out_of_time_at().is_none_or(|end| at < end);
        // Looking again costs nobody anything; asking a provider again that has failed does.
        let allowed = in_time && (!first_wait || self.made == 0 || line_up.try_retry());
        if !allowed {
            return self.give_up(GiveUpReason::NobodyLeft, line_up, now);
        }
        self.failed = Providers::NONE;
        self.wait(Waiting { at, again: None });
    }

    fn wait(&mut self, waiting: Waiting) {
        self.orders.push_back(Order::Notice(Notice::Waiting { until: waiting.at }));
        self.waiting = Some(waiting);
    }

    fn end_wait(&mut self, line_up: &mut LineUp, now: ProcessTime) {
        let again = self.waiting.take().and_then(|waiting| waiting.again);
        match again.and_then(|provider| line_up.pick_this(provider, now)) {
            Some(ticket) => self.start(ticket, false, line_up, now),
            None => self.ask_another(line_up, now),
        }
    }

    fn start(&mut self, ticket: Ticket, hedge: bool, line_up: &LineUp, now: ProcessTime) {
        let provider = ticket.provider();
        let broken_off = std::mem::take(&mut self.broken_off);
        let why = match self.last {
            _ if hedge => Why::Hedge,
            _ if broken_off => Why::Resume,
            None => Why::First,
            Some(last) if last == provider => Why::Retry,
            Some(_) => Why::Fallback,
        };
        let attempt = self.next;
        self.next = attempt.next();
        self.made += 1;
        self.last = Some(provider);
        self.patience_until = None;
        if let Some(tries) = self.tries.get_mut(provider.get()) {
            *tries += 1;
        }
        self.live.push(Live {
            attempt,
            provider,
            ticket: Some(ticket),
            begun: now,
            started: false,
            last_piece: now,
            measured: false,
            late_after: line_up.hedge_delay(provider),
        });
        self.orders.push_back(Order::Start { attempt, provider, from: self.from.clone(), why });
    }

    fn start_hedge(&mut self, line_up: &mut LineUp, now: ProcessTime) {
        // One chance in a request, taken or not.
        self.hedged = true;
        let provider = self.live.first().map(|live| live.provider);
        if let Some(ticket) = provider.and_then(|provider| line_up.pick_hedge(provider, now)) {
            self.start(ticket, true, line_up, now);
        }
    }

    fn give_up(&mut self, reason: GiveUpReason, line_up: &mut LineUp, now: ProcessTime) {
        self.cancel_all(line_up, now);
        let down = line_up.is_down(now);
        let give_up = GiveUp {
            reason,
            error: self.error.take().unwrap_or_else(|| line_up.last_error(now)),
            down,
            back_at: line_up.usable_at(Providers::NONE, now),
        };
        self.orders.push_back(Order::GiveUp(Box::new(give_up)));
        self.over = true;
    }

    fn cancel_all(&mut self, line_up: &mut LineUp, now: ProcessTime) {
        for live in std::mem::take(&mut self.live) {
            self.orders.push_back(Order::Cancel { attempt: live.attempt });
            self.settle_cancelled(live, line_up, now);
        }
        self.waiting = None;
        self.emitter = None;
    }

    /// An attempt that we end ourselves has failed only if it was too slow by then.
    fn settle_cancelled(&self, mut live: Live, line_up: &mut LineUp, now: ProcessTime) {
        let Some(ticket) = live.ticket.take() else { return };
        let ending = if self.emitter == Some(live.attempt) {
            Ending::Well
        } else if self.waited(&live, now).is_some_and(|waited| waited > self.rules.deadlines.slow) {
            Ending::Slow
        } else {
            Ending::Unknown
        };
        self.note_wait(&live, line_up, now);
        line_up.settle(ticket, ending, now);
    }

    /// How long an attempt's first output has been waited for, while it has not come.
    fn waited(&self, live: &Live, now: ProcessTime) -> Option<Duration> {
        let wanted = self.wanted.filter(|_| !live.measured)?;
        Some(now.since(wanted.max(live.begun)))
    }

    /// An attempt ends while it is waited for: if it is late, that it was is remembered.
    fn note_wait(&self, live: &Live, line_up: &mut LineUp, now: ProcessTime) {
        let late = live.late_after.unwrap_or(self.rules.deadlines.slow);
        if let Some(waited) = self.waited(live, now).filter(|waited| *waited >= late) {
            line_up.note_latency(live.provider, waited);
        }
    }

    fn note_overdue(&mut self, after: Duration, line_up: &LineUp) {
        if let Some(live) = self.live.last() {
            self.error = Some(ProviderError::TimedOut { provider: line_up.name(live.provider), after });
        }
    }

    fn overdue(&self, now: ProcessTime) -> Option<Due> {
        self.dues().find(|(at, _)| *at <= now).map(|(_, due)| due)
    }

    /// Everything that is due at some time, what ends the request first.
    fn dues(&self) -> impl Iterator<Item = (ProcessTime, Due)> + '_ {
        let alive = !self.over;
        let too_long = alive.then_some((self.begun + self.rules.deadlines.longest, Due::TooLong));
        let out_of_time = self.out_of_time_at().filter(|_| alive).map(|at| (at, Due::OutOfTime));
        let attempts = self.live.iter().filter_map(|live| self.attempt_due(live));
        let waiting = self.waiting.map(|waiting| (waiting.at, Due::Wait));
        let hedge = self.hedge_at().map(|at| (at, Due::Hedge));
        too_long.into_iter().chain(out_of_time).chain(attempts).chain(waiting).chain(hedge)
    }

    /// When a first useful output comes too late, whoever gives it.
    fn out_of_time_at(&self) -> Option<ProcessTime> {
        let wanted = self.wanted.filter(|_| self.emitter.is_none())?;
        Some(wanted.max(self.leg_since) + self.rules.deadlines.total)
    }

    fn attempt_due(&self, live: &Live) -> Option<(ProcessTime, Due)> {
        let deadlines = &self.rules.deadlines;
        let connect = (!live.started).then(|| (live.begun + deadlines.connect, deadlines.connect));
        let output = self.wanted.map(|wanted| {
            if self.emitter == Some(live.attempt) {
                (wanted.max(live.last_piece) + deadlines.stall, deadlines.stall)
            } else {
                (wanted.max(live.begun) + deadlines.first, deadlines.first)
            }
        });
        let (at, after) = connect.into_iter().chain(output).min_by_key(|(at, _)| *at)?;
        Some((at, Due::Attempt(live.attempt, after)))
    }

    fn hedge_at(&self) -> Option<ProcessTime> {
        let [live] = self.live.as_slice() else { return None };
        let possible = !self.hedged
            && !self.resumed
            && self.emitter.is_none()
            && self.made < self.rules.retry.attempts();
        let wanted = self.wanted.filter(|_| possible)?;
        Some(wanted.max(live.begun) + live.late_after?)
    }

    fn find(&mut self, attempt: AttemptId) -> Option<&mut Live> {
        self.live.iter_mut().find(|live| live.attempt == attempt)
    }

    fn remove(&mut self, attempt: AttemptId) -> Option<Live> {
        let index = self.live.iter().position(|live| live.attempt == attempt)?;
        Some(self.live.remove(index))
    }

    fn tries_at(&self, provider: ProviderIndex) -> u32 {
        self.tries.get(provider.get()).copied().unwrap_or(u32::MAX)
    }

    fn backoff(&mut self, failures: u32) -> Duration {
        let fraction = self.seed.next_fraction();
        self.rules.retry.backoff().delay(failures, fraction, None)
    }
}
