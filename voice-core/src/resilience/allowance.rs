//! The share of requests that may be repeated or hedged.
//!
//! Each request pays its part in, each extra attempt takes a whole one out. Where everything fails at once, retries
//! therefore do not become a second flood. Pure, whole numbers only, so that the share is kept exactly.

/// What may still be spent on extra attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    percent: u32,
    most: u32,
    /// In hundredths of an attempt.
    saved: u32,
    taken: u64,
    denied: u64,
}

impl Allowance {
    /// `percent` (up to 100) of the requests, never more than `burst` at once. `saved` attempts are there from the
    /// start.
    pub fn new(percent: u32, burst: u32, saved: u32) -> Self {
        let most = burst.clamp(1, MOST_BURST) * 100;
        Self {
            percent: percent.min(100),
            most,
            saved: saved.saturating_mul(100).min(most),
            taken: 0,
            denied: 0,
        }
    }

    /// A request began.
    pub fn handle_request(&mut self) {
        self.saved = (self.saved + self.percent).min(self.most);
    }

    /// Takes one extra attempt, if it is there.
    pub fn try_take(&mut self) -> bool {
        let enough = self.saved >= 100;
        if enough {
            self.saved -= 100;
            self.taken += 1;
        } else {
            self.denied += 1;
        }
        enough
    }

    /// Extra attempts so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Extra attempts that were wanted and not made.
    pub const fn denied(&self) -> u64 {
        self.denied
    }
}

/// More extra attempts at once than any server has calls.
const MOST_BURST: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_never_exceeds_its_share() {
        let mut allowance = Allowance::new(10, 5, 0);
        let mut requests = 0;
        for round in 0..1_000 {
            // In clumps: a hundred requests, then as many attempts as are let through.
            for _ in 0..round % 7 {
                allowance.handle_request();
                requests += 1;
            }
            while allowance.try_take() {}
            assert!(allowance.taken() * 10 <= requests, "{} of {requests}", allowance.taken());
        }
        assert_eq!(allowance.taken(), requests / 10);
        assert_eq!(allowance.denied(), 1_000);
    }

    #[test]
    fn what_is_saved_is_bounded_by_the_burst() {
        let mut allowance = Allowance::new(50, 3, 99);
        (0..1_000).for_each(|_| allowance.handle_request());
        assert_eq!((0..10).filter(|_| allowance.try_take()).count(), 3);
        let nothing = &mut Allowance::new(0, 3, 0);
        (0..1_000).for_each(|_| nothing.handle_request());
        assert!(!nothing.try_take());
    }
}
