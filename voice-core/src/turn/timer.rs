//! Named deadlines of the turn machine: one table, one minimum.

use std::time::Duration;

use crate::time::SessionTime;

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Bytes have stayed away so long that the caller's turn is decided.
    EndOfTurn,
    /// A caller who speaks over the answer has done so long enough to mean it.
    Interrupt,
    /// A turn that never ends is decided.
    LongTurn,
    /// The recogniser's final transcript is overdue.
    SttFinal,
    /// The model's next text is overdue.
    ReplyText,
    /// The voice's next audio is overdue.
    Speech,
    /// The playout of a reply that is complete is overdue.
    Playout,
    /// The answer to a cancellation is overdue.
    Silence,
    /// Nobody has spoken for the idle limit.
    Idle,
    /// The end of a call is overdue.
    Close,
    /// A client whose connection dropped has not come back.
    Away,
}

const ALL: [Timer; 11] = [
    Timer::EndOfTurn,
    Timer::Interrupt,
    Timer::LongTurn,
    Timer::SttFinal,
    Timer::ReplyText,
    Timer::Speech,
    Timer::Playout,
    Timer::Silence,
    Timer::Idle,
    Timer::Close,
    Timer::Away,
];

/// The table.
#[derive(Clone, Debug)]
pub struct Timers([SessionTime; ALL.len()]);

impl Default for Timers {
    fn default() -> Self {
        Self([SessionTime::FAR; ALL.len()])
    }
}

impl Timers {
    /// Sets a deadline, in place of an earlier one.
    pub fn set(&mut self, timer: Timer, at: SessionTime) {
        self.0[timer as usize] = at;
    }

    /// Moves a deadline that is set.
    pub fn put_off(&mut self, timer: Timer, by: Duration) {
        if self.is_set(timer) {
            self.0[timer as usize] += by;
        }
    }

    /// Unsets a deadline.
    pub fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = SessionTime::FAR;
    }

    /// Whether a deadline is set.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] != SessionTime::FAR
    }

    /// The earliest deadline, if any is set.
    pub fn next(&self) -> Option<SessionTime> {
        self.0.iter().copied().min().filter(|at| *at != SessionTime::FAR)
    }

    /// Takes one deadline that has passed, in the order of the table.
    pub fn take_expired(&mut self, now: SessionTime) -> Option<Timer> {
        let timer = ALL.into_iter().find(|t| self.0[*t as usize] <= now)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_comes_first_and_each_fires_once() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.put_off(Timer::Idle, Duration::from_millis(1));
        assert_eq!(timers.next(), None, "what is not set is not put off");
        timers.set(Timer::Idle, SessionTime::from_millis(50));
        timers.set(Timer::SttFinal, SessionTime::from_millis(20));
        assert_eq!(timers.next(), Some(SessionTime::from_millis(20)));
        assert_eq!(timers.take_expired(SessionTime::from_millis(19)), None);
        assert_eq!(timers.take_expired(SessionTime::from_millis(20)), Some(Timer::SttFinal));
        assert_eq!(timers.take_expired(SessionTime::from_millis(20)), None);
        assert_eq!(timers.next(), Some(SessionTime::from_millis(50)));
        timers.put_off(Timer::Idle, Duration::from_millis(10));
        assert_eq!(timers.next(), Some(SessionTime::from_millis(60)));
    }
}
