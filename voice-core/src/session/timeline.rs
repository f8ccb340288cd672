//! The map from positions in the caller's audio to session time, and the rule that tells a recording from a live call.
//!
//! Live audio is dated by its arrival: the earliest of the bursts of the last second says how late the others are. A
//! burst that was held up brings what it owes a moment later and changes nothing; a sender who paused goes on later.
//! Audio more than two seconds ahead of the wall is a recording; it is dated by the pace at which it is played in.

use std::time::Duration;

use crate::audio::SamplePos;
use crate::time::SessionTime;

/// Where positions lie in time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Session time of position zero in nanoseconds; negative where the first burst was spoken before the call.
    offset: i64,
    /// The same on the wall, by which a recording is told.
    wall_offset: i64,
    started: bool,
    /// Audio that was there before a break, which is long past.
    base: i64,
    /// The earliest of the span before this one, and of this one since `span`.
    earliest: [i64; 2],
    span: i64,
    recording: bool,
    held: bool,
}

impl Timeline {
    /// Bytes came; audio up to `end` is decoded, up to `taken` it has been taken.
    pub(super) fn handle_arrival(
        &mut self,
        now: SessionTime,
        wall: Duration,
        end: SamplePos,
        taken: SamplePos,
    ) {
        let (now, wall) = (nanos(now.since_start()), nanos(wall));
        let audio = nanos(end.as_duration());
        if !self.started {
            self.started = true;
            self.offset = now - audio;
            self.earliest = [self.offset; 2];
            self.span = now;
            self.wall_offset = wall - self.base;
        }
        // A caller who paused sending goes on later: what he says then is not late.
        if wall - (self.wall_offset + audio) > PAUSED {
            self.wall_offset = wall - audio;
        }
        if self.wall_offset + audio - wall > AHEAD {
            if !self.recording {
                self.recording = true;
                self.held = false;
                self.offset = now - nanos(taken.as_duration());
            }
            return;
        }
        if self.recording {
            return;
        }
        let observed = now - audio;
        if now - self.span >= SPAN {
            self.earliest = [self.earliest[1], observed];
            self.span = now;
        }
        self.earliest[1] = self.earliest[1].min(observed);
        self.offset = self.earliest[0].min(self.earliest[1]);
    }

    /// The caller's audio broke at `end`, and all of it was taken: what follows is dated anew by its own arrival.
    pub(super) fn break_off(&mut self, end: SamplePos) {
        *self = Self { offset: self.offset, base: nanos(end.as_duration()), ..Self::default() };
    }

    /// A recording has been played in to its end so far. `true`: just now.
    pub(super) fn handle_dry(&mut self, now: SessionTime, wall: Duration, end: SamplePos) -> bool {
        let audio = nanos(end.as_duration());
        let was_held = std::mem::replace(&mut self.held, true);
        self.offset = nanos(now.since_start()) - audio;
        if self.wall_offset + audio <= nanos(wall) {
            self.recording = false;
            self.held = false;
            self.earliest = [self.offset; 2];
            self.span = nanos(now.since_start());
        }
        !was_held
    }

    /// Whether what comes is a recording.
    pub(super) fn is_recording(&self) -> bool {
        self.recording
    }

    /// The recording stands still.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The recording goes on from `taken`, as of now if it stood still.
    pub(super) fn release(&mut self, now: SessionTime, taken: SamplePos) {
        if std::mem::take(&mut self.held) {
            self.offset = nanos(now.since_start()) - nanos(taken.as_duration());
        }
    }

    /// Session time of a position.
    pub(super) fn time_of(&self, position: SamplePos) -> SessionTime {
        let at = nanos(position.as_duration()) + self.offset;
        SessionTime::from_start(Duration::from_nanos(at.max(0) as u64))
    }

    /// Position at a session time.
    pub(super) fn position_of(&self, time: SessionTime) -> SamplePos {
        let at = nanos(time.since_start()) - self.offset;
        SamplePos::from_duration(Duration::from_nanos(at.max(0) as u64))
    }
}

/// Further ahead of the wall than this is a recording (DESIGN 2.4).
const AHEAD: i64 = 2_000_000_000;
/// Half of the time that an early burst counts for. Longer than a network holds a message up, shorter than what a caller
/// says after his microphone was silent.
const SPAN: i64 = 400_000_000;
/// Later than this is a caller who had stopped sending.
const PAUSED: i64 = 1_500_000_000;

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pos(ms: u64) -> SamplePos {
        SamplePos(ms * 16)
    }

    const fn at(ms: u64) -> SessionTime {
        SessionTime::from_millis(ms)
    }

    #[test]
    fn live_audio_is_dated_by_its_least_late_burst() {
        let mut timeline = Timeline::default();
        for (arrival, end) in [(1_000, 300), (1_310, 600), (1_600, 900)] {
            timeline.handle_arrival(at(arrival), Duration::from_millis(arrival), pos(end), pos(end));
        }
        assert!(!timeline.is_recording());
        let error = timeline.time_of(pos(900)).as_millis().abs_diff(1_600);
        assert!(error <= 1, "{error}");
        assert_eq!(timeline.position_of(timeline.time_of(pos(450))), pos(450));
    }

    #[test]
    fn a_sender_who_paused_goes_on_later_and_a_burst_held_up_does_not() {
        let mut timeline = Timeline::default();
        let say = |timeline: &mut Timeline, arrival: u64, end: u64| {
            timeline.handle_arrival(at(arrival), Duration::from_millis(arrival), pos(end), pos(end));
        };
        for k in 1..=50 {
            say(&mut timeline, k * 20, k * 20);
        }
        // Nothing for 600 ms, then all that was held up at once.
        for k in 51..=80 {
            say(&mut timeline, 1_600, k * 20);
        }
        assert_eq!(timeline.time_of(pos(1_600)), at(1_600));
        // Nothing for 600 ms, and what comes then was said then.
        for k in 1..=50 {
            say(&mut timeline, 2_200 + k * 20, 1_600 + k * 20);
        }
        assert_eq!(timeline.time_of(pos(2_600)), at(3_200));
    }

    #[test]
    fn a_file_at_once_is_a_recording_and_a_slice_of_a_second_is_not() {
        let mut timeline = Timeline::default();
        timeline.handle_arrival(at(0), Duration::ZERO, pos(1_000), pos(0));
        assert!(!timeline.is_recording());
        timeline.handle_arrival(at(1), Duration::from_millis(1), pos(2_100), pos(0));
        assert!(timeline.is_recording());
        timeline.hold();
        timeline.release(at(5_000), pos(1_000));
        assert_eq!(timeline.time_of(pos(1_020)), at(5_020));
    }

    #[test]
    fn a_recording_stays_one_until_the_wall_has_caught_up() {
        let mut timeline = Timeline::default();
        timeline.handle_arrival(at(0), Duration::ZERO, pos(5_000), pos(0));
        assert!(timeline.handle_dry(at(5_100), Duration::from_millis(300), pos(5_000)));
        assert!(timeline.is_recording());
        assert!(!timeline.handle_dry(at(5_200), Duration::from_millis(400), pos(5_000)));
        timeline.handle_dry(at(9_900), Duration::from_millis(5_100), pos(5_000));
        assert!(!timeline.is_recording());
    }

    #[test]
    fn audio_behind_a_break_is_dated_by_its_own_arrival_and_is_no_recording() {
        let mut timeline = Timeline::default();
        timeline.handle_arrival(at(5_000), Duration::from_millis(5_000), pos(5_000), pos(5_000));
        timeline.break_off(pos(5_000));
        assert_eq!(timeline.time_of(pos(5_000)), at(5_000));
        for wall in [5_400, 5_420] {
            let end = pos(5_000 + wall - 5_380);
            timeline.handle_arrival(at(wall), Duration::from_millis(wall), end, end);
            assert!(!timeline.is_recording());
            assert_eq!(timeline.time_of(end), at(wall));
        }
    }
}
