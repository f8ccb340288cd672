//! How long to wait before the next attempt: an exponential that is never zero, never the same twice, never endless.
//!
//! Pure: the chance comes from a seed that the caller gives. A wait that the service asked for is kept, with a spread
//! on top, so that a hundred calls which were told the same second do not come back in it.

use std::time::Duration;

/// The shape of the waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    most_asked: Duration,
}

impl Default for Backoff {
    /// From 100 ms, doubling, to 2 s: a caller is waiting, so the usual half second would be heard.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }
}

impl Backoff {
    /// Waits that double from `first` up to `most`. A `most` below `first` counts as `first`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        let most = if most.as_nanos() < first.as_nanos() { first } else { most };
        Self { first, most, most_asked: MOST_ASKED }
    }

    /// The wait after this many failures in a row (one counts as the first), between half of the exponential and the
    /// whole. `asked` is what the service asked for: the wait is then at least that, up to five minutes, and the
    /// exponential is the spread on top.
    pub fn delay(&self, failures: u32, fraction: Fraction, asked: Option<Duration>) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(doubled).min(self.most);
        match asked {
            None => whole / 2 + fraction.of(whole / 2),
            Some(asked) => asked.min(self.most_asked) + fraction.of(whole),
        }
    }

    /// No wait is longer than this.
    pub fn longest(&self) -> Duration {
        self.most + self.most_asked
    }
}

/// A service that asks for more than this has most likely sent a wrong header; five minutes later it may say so again.
const MOST_ASKED: Duration = Duration::from_secs(300);

/// A share of something, from nothing to just below all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fraction(u32);

impl Fraction {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// As near to all as there is.
    pub const ALL: Self = Self(u32::MAX);

    /// That share of `whole`, in whole nanoseconds.
    pub fn of(self, whole: Duration) -> Duration {
        let nanos = (whole.as_nanos() * u128::from(self.0)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Where chance comes from: a number the caller drew. The same seed gives the same fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The next fraction of the sequence, by a multiply-and-fold generator: good enough to spread waits, no more.
    pub fn next_fraction(&mut self) -> Fraction {
        // Weyl's step visits every number; the product of the two halves scatters neighbours.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let wide = u128::from(self.0) * u128::from(self.0 ^ 0xd1b5_4a32_d192_ed03);
        Fraction(((wide >> 64) as u64 ^ wide as u64) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn waits_double_up_to_the_cap_between_half_and_whole() {
        let backoff = Backoff::new(ms(100), ms(1_000));
        let cases =
            [(0, 100), (1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (33, 1_000), (u32::MAX, 1_000)];
        for (failures, whole) in cases {
            assert_eq!(backoff.delay(failures, Fraction::NONE, None), ms(whole) / 2, "{failures}");
            let longest = backoff.delay(failures, Fraction::ALL, None);
            assert!(longest < ms(whole) && longest > ms(whole - 1), "{failures}: {longest:?}");
        }
    }

    #[test]
    fn what_the_service_asks_for_is_kept_and_spread() {
        let backoff = Backoff::new(ms(100), ms(1_000));
        assert_eq!(backoff.delay(2, Fraction::NONE, Some(ms(700))), ms(700));
        let spread = backoff.delay(2, Fraction::ALL, Some(ms(700)));
        assert!(spread > ms(899) && spread < ms(900), "{spread:?}");
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(backoff.delay(1, Fraction::NONE, day), Duration::from_secs(300));
        assert!(backoff.delay(u32::MAX, Fraction::ALL, Some(Duration::MAX)) <= backoff.longest());
    }

    #[test]
    fn a_cap_below_the_first_wait_is_lifted_to_it() {
        assert_eq!(Backoff::new(ms(100), ms(1)).delay(9, Fraction::NONE, None), ms(50));
    }

    #[test]
    fn a_seed_repeats_and_its_fractions_fill_the_range() {
        let draw = |seed| {
            let mut seed = Seed(seed);
            (0..1_000).map(|_| seed.next_fraction().of(ms(1_000)).as_millis() as usize).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        // The seeds of neighbouring calls must not wait alike, nor those of one call.
        for fractions in [draw(0), draw(1), (0..1_000).map(|seed| draw(seed)[0]).collect()] {
            let mut tenths = [0; 10];
            fractions.iter().for_each(|ms| tenths[ms / 100] += 1);
            assert!(tenths.iter().all(|n| (60..150).contains(n)), "{tenths:?}");
        }
    }
}
