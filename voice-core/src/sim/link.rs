//! A bad link, repeatable: when what was sent at one moment arrives, or that it does not.

use std::time::Duration;

use crate::time::SessionTime;

use super::random::Random;

/// One direction of a link. The same seed and the same sendings give the same arrivals.
#[derive(Clone, Debug)]
pub struct Link {
    latency: Duration,
    jitter: Duration,
    loss: f64,
    in_order: bool,
    random: Random,
    newest: SessionTime,
}

impl Link {
    /// Everything arrives at once.
    pub fn perfect() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            in_order: true,
            random: Random::new(0),
            newest: SessionTime::ZERO,
        }
    }

    /// A stream such as a WebSocket: nothing is lost or overtaken, but what waits for a repetition holds up the rest.
    /// `loss` (0 to 1) is the share that needs one.
    pub fn stream(seed: u64, latency: Duration, jitter: Duration, loss: f64) -> Self {
        Self { latency, jitter, loss, in_order: true, random: Random::new(seed), newest: SessionTime::ZERO }
    }

    /// Datagrams: `loss` (0 to 1) is the share that never arrives, and jitter lets one overtake another.
    pub fn datagrams(seed: u64, latency: Duration, jitter: Duration, loss: f64) -> Self {
        Self { in_order: false, ..Self::stream(seed, latency, jitter, loss) }
    }

    /// When something sent at `sent` arrives; `None`: it is lost.
    pub fn carry(&mut self, sent: SessionTime) -> Option<SessionTime> {
        let lost = self.random.chance(self.loss);
        let jitter = self.random.up_to(self.jitter);
        let mut arrival = sent + self.latency + jitter;
        if lost {
            if !self.in_order {
                return None;
            }
            arrival += self.latency + REPEAT_AFTER;
        }
        if self.in_order {
            arrival = arrival.max(self.newest);
            self.newest = arrival;
        }
        Some(arrival)
    }
}

/// The shortest repetition timeout of usual TCP stacks.
const REPEAT_AFTER: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> SessionTime {
        SessionTime::from_millis(ms)
    }

    fn arrivals(mut link: Link) -> Vec<Option<SessionTime>> {
        (0..1_000).map(|k| link.carry(at(k * 20))).collect()
    }

    #[test]
    fn a_stream_loses_nothing_and_keeps_order() {
        let link = Link::stream(3, Duration::from_millis(30), Duration::from_millis(90), 0.05);
        let arrivals = arrivals(link);
        assert!(arrivals.iter().all(Option::is_some));
        assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn datagrams_are_lost_and_overtake_each_other() {
        let link = Link::datagrams(3, Duration::from_millis(30), Duration::from_millis(90), 0.05);
        let arrivals = arrivals(link);
        let lost = arrivals.iter().filter(|a| a.is_none()).count();
        assert!((20..100).contains(&lost), "{lost}");
        let came: Vec<_> = arrivals.into_iter().flatten().collect();
        assert!(came.windows(2).any(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn the_same_seed_repeats_the_same_link() {
        let link = || Link::datagrams(9, Duration::from_millis(5), Duration::from_millis(50), 0.1);
        assert_eq!(arrivals(link()), arrivals(link()));
    }
}
