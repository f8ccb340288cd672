//! The session's clock: the wall since the call began, plus what has been jumped over.

use std::time::Duration;

use tokio::time::Instant;

use crate::time::SessionTime;

/// Gives session time. It never goes back; it jumps ahead where a recording is played in faster than it was spoken.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    jumped: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), jumped: Duration::ZERO }
    }

    /// Session time.
    pub(super) fn now(&self) -> SessionTime {
        SessionTime::from_start(self.wall() + self.jumped)
    }

    /// Time on the wall since the call began, without jumps.
    pub(super) fn wall(&self) -> Duration {
        self.start.elapsed()
    }

    /// Jumps ahead to `time`; does nothing where that is past.
    pub(super) fn jump_to(&mut self, time: SessionTime) {
        self.jumped += time.since(self.now());
    }

    /// The wall's moment at which session time will be `time`.
    pub(super) fn instant_of(&self, time: SessionTime) -> Instant {
        let after = time.since_start().saturating_sub(self.jumped);
        self.start + after.min(FAR)
    }
}

/// Further away than any deadline, near enough for every platform's clock.
const FAR: Duration = Duration::from_secs(365 * 24 * 3_600);
