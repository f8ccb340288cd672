//! When a second attempt is worth starting beside a first one that is late: later than 19 of 20 usually are.
//!
//! Pure. [`Latencies`] remembers how long first useful outputs took; [`Hedge`] says from when on an attempt counts as
//! late. How many hedges there may be is an [`Allowance`](super::Allowance)'s business, whose output counts is the
//! planner's.

use std::time::Duration;

/// How long the last first useful outputs of one provider took.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Microseconds, a ring once it is full.
    last: Vec<u32>,
    next: usize,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { last: Vec::with_capacity(WINDOW), next: 0 }
    }
}

impl Latencies {
    /// Remembers one. An attempt that was ended while it still waited counts with the time it had waited: it would
    /// have taken at least that, and leaving it out would make the slow ones vanish.
    pub fn push(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        if self.last.len() < WINDOW {
            self.last.push(micros);
        } else {
            self.last[self.next] = micros;
            self.next = (self.next + 1) % WINDOW;
        }
    }

    /// The time within which 95 of 100 came; `None` while fewer than 20 are known.
    pub fn p95(&self) -> Option<Duration> {
        if self.last.len() < LEAST_KNOWN {
            return None;
        }
        let mut sorted = [0; WINDOW];
        let sorted = &mut sorted[..self.last.len()];
        sorted.copy_from_slice(&self.last);
        let rank = (sorted.len() * 95).div_ceil(100) - 1;
        let (_, micros, _) = sorted.select_nth_unstable(rank);
        Some(Duration::from_micros(u64::from(*micros)))
    }
}

/// Enough that the 95th of a hundred is a number and not an accident, few enough that an hour ago is forgotten.
const WINDOW: usize = 100;
/// Below this the 95th percentile is just the slowest one seen.
const LEAST_KNOWN: usize = 20;

/// Whether and when to hedge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// Of the requests, at most so many percent. 0 turns hedging off. Raised, more is paid for less waiting.
    pub percent: u32,
    /// Never sooner than this after the output was wanted, however quick the provider usually is.
    pub least: Duration,
}

impl Hedge {
    /// No second attempts.
    pub const OFF: Self = Self { percent: 0, least: Duration::ZERO };

    /// From when on an attempt is late; `None` where that is not known yet or no hedge would help before `deadline`.
    pub fn delay(&self, latencies: &Latencies, deadline: Duration) -> Option<Duration> {
        if self.percent == 0 {
            return None;
        }
        latencies.p95().map(|usual| usual.max(self.least)).filter(|delay| *delay < deadline)
    }
}

impl Default for Hedge {
    /// At most one request in ten, not before 150 ms: a connection and a first token take that long anywhere.
    fn default() -> Self {
        Self { percent: 10, least: Duration::from_millis(150) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn latencies(of: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        of.into_iter().for_each(|millis| latencies.push(ms(millis)));
        latencies
    }

    #[test]
    fn the_95th_of_what_was_seen_last() {
        assert_eq!(latencies(1..=19).p95(), None);
        assert_eq!(latencies(1..=20).p95(), Some(ms(19)));
        assert_eq!(latencies((1..=100).rev()).p95(), Some(ms(95)));
        assert_eq!(latencies(1..=1_000).p95(), Some(ms(995)));
        let mut slow = latencies(1..=100);
        (0..6).for_each(|_| slow.push(Duration::MAX));
        assert_eq!(slow.p95(), Some(Duration::from_micros(u64::from(u32::MAX))));
    }

    #[test]
    fn a_hedge_waits_for_the_usual_time_and_only_where_it_can_help() {
        let usual = latencies(1..=400);
        let hedge = Hedge { percent: 10, least: ms(150) };
        assert_eq!(hedge.delay(&usual, ms(2_000)), Some(ms(395)));
        assert_eq!(hedge.delay(&usual, ms(395)), None);
        assert_eq!(hedge.delay(&latencies(1..=50), ms(2_000)), Some(ms(150)));
        assert_eq!(hedge.delay(&latencies(1..=5), ms(2_000)), None);
        assert_eq!(Hedge::OFF.delay(&usual, ms(2_000)), None);
    }
}
