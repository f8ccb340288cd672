//! Session time and process time: how long a call, or the process around it, has been going on.
//!
//! Pure code never reads a clock. The driver of a session hands `now` in; in a live call it follows the wall, in
//! replay and simulation it jumps. It never goes back. What lives longer than a call (a breaker, a line-up of
//! providers) counts in [`ProcessTime`], so that the two cannot be mixed up. Caller: everything. Wall time appears in
//! records only.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! moment {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The start.
            pub const ZERO: Self = Self(0);
            /// Later than every moment that is ever reached; for timers that are not set.
            pub const FAR: Self = Self(u64::MAX);

            /// The moment `elapsed` after the start. Saturates after 584 years.
            pub const fn from_start(elapsed: Duration) -> Self {
                let nanos = elapsed.as_nanos();
                Self(if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 })
            }

            /// The moment `ms` milliseconds after the start.
            pub const fn from_millis(ms: u64) -> Self {
                Self(ms.saturating_mul(1_000_000))
            }

            /// Time since the start.
            pub const fn since_start(self) -> Duration {
                Duration::from_nanos(self.0)
            }

            /// Time from `earlier` to `self`; zero where `earlier` is the later one.
            pub const fn since(self, earlier: Self) -> Duration {
                Duration::from_nanos(self.0.saturating_sub(earlier.0))
            }

            /// Whole milliseconds since the start, for records and logs.
            pub const fn as_millis(self) -> u64 {
                self.0 / 1_000_000
            }
        }

        impl Add<Duration> for $name {
            type Output = Self;
            fn add(self, rhs: Duration) -> Self {
                Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
            }
        }

        impl AddAssign<Duration> for $name {
            fn add_assign(&mut self, rhs: Duration) {
                *self = *self + rhs;
            }
        }

        impl Sub<Duration> for $name {
            type Output = Self;
            fn sub(self, rhs: Duration) -> Self {
                Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if *self == Self::FAR { write!(f, "never") } else { write!(f, "{:.3}s", self.0 as f64 / 1e9) }
            }
        }
    };
}

moment! {
    /// A moment of a session, counted in nanoseconds from its start. Monotone within one session.
    SessionTime
}
moment! {
    /// A moment of the process, counted in nanoseconds from its start. Monotone, and shared by all calls.
    ProcessTime
}
