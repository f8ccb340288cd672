//! The two sides of a call laid side by side in session time: what came late, early or twice is put in its place.
//!
//! Each side is a track of 24 kHz samples. The caller's audio is laid end to end as long as its dating stays near that;
//! absence becomes silence. Ours lies where it was heard, and what was cleared is taken out. Frames leave [`LAG`] behind
//! the newest sound, when nothing can change them any more. Pure; bounded: at most five seconds a side wait (480 KiB).
//! Caller: [`super::maker`].

use std::collections::VecDeque;
use std::time::Duration;

use voice_core::audio::{Resampler, SampleRate};
use voice_core::time::SessionTime;

/// Rate of a recording's samples: all that our voices have.
pub(super) const RATE: SampleRate = SampleRate::HZ_24000;
/// Samples of 20 ms of one side.
pub(super) const FRAME: usize = 480;

/// How far frames leave behind the newest sound: longer than a recorder's time slice or a stalled network keeps the
/// caller's audio back.
const LAG: Duration = Duration::from_secs(2);
/// The dating of live audio may wander by this much before a gap or an overlap is believed.
const WANDER: Duration = Duration::from_millis(80);
/// Nearer pieces than this are one stretch of sound: the rest is rounding.
const SEAM: Duration = Duration::from_millis(5);
/// What a track keeps at most before its frames leave.
const MOST: Duration = Duration::from_secs(5);
/// Audio that comes later than this behind its date is left out, even where it is no silence.
const TOO_LATE: Duration = Duration::from_secs(3);
/// Quieter frames are left out where the caller's side is late, until it is in time again: about -50 dBFS.
const QUIET: u16 = 100;

/// One side.
struct Track {
    samples: VecDeque<i16>,
    /// Position of the first sample that waits.
    base: u64,
    resampler: Option<(SampleRate, Resampler)>,
    converted: Vec<i16>,
}

impl Track {
    fn new() -> Self {
        Self { samples: VecDeque::new(), base: 0, resampler: None, converted: Vec::new() }
    }

    fn end(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    /// Lays samples down from `at` on, or where the track goes on if that is at most `near` away. Gives what was left out,
    /// in samples.
    fn lay(&mut self, at: u64, near: u64, rate: SampleRate, samples: &[i16]) -> u64 {
        let goes_on = at.abs_diff(self.end()) <= near;
        if !goes_on || self.resampler.as_ref().is_none_or(|(from, _)| *from != rate) {
            self.close_stretch();
            self.resampler = Some((rate, Resampler::new(rate, RATE)));
            let most = self.base + RATE.samples_in(MOST);
            let at = at.min(most);
            if at > self.end() {
                self.samples.resize((at - self.base) as usize, 0);
            } else if at < self.end() {
                // Later sound wins over earlier.
                self.samples.truncate(at.saturating_sub(self.base) as usize);
            }
        }
        if let Some((_, resampler)) = &mut self.resampler {
            self.converted.clear();
            resampler.push_into(samples, &mut self.converted);
        }
        let room = RATE.samples_in(MOST).saturating_sub(self.samples.len() as u64) as usize;
        let laid = self.converted.len().min(room);
        self.samples.extend(&self.converted[..laid]);
        (self.converted.len() - laid) as u64
    }

    /// Lays down what the resampler still holds.
    fn close_stretch(&mut self) {
        if let Some((_, mut resampler)) = self.resampler.take() {
            self.converted.clear();
            resampler.finish_into(&mut self.converted);
            self.samples.extend(&self.converted);
        }
    }

    fn cut(&mut self, at: u64) {
        if at < self.end() {
            self.resampler = None;
            self.samples.truncate(at.saturating_sub(self.base) as usize);
        }
    }

    fn next(&mut self) -> i16 {
        self.base += 1;
        self.samples.pop_front().unwrap_or(0)
    }
}

/// Both sides of a call.
pub(super) struct Tracks {
    caller: Track,
    ours: Track,
    /// Session time of position zero.
    zero: SessionTime,
    /// The newest sound that is known of.
    newest: u64,
    /// Samples that found no room, or came too late.
    lost: u64,
}

impl Tracks {
    /// From `zero` on; what was before is left out.
    pub(super) fn new(zero: SessionTime) -> Self {
        Self { caller: Track::new(), ours: Track::new(), zero, newest: 0, lost: 0 }
    }

    /// Time has come to `at`: tell it before each piece that is dated so, and take the frames that are ready then.
    pub(super) fn advance(&mut self, at: SessionTime) {
        self.newest = self.newest.max(self.position(at));
    }

    /// 20 ms of the caller.
    pub(super) fn caller(&mut self, at: SessionTime, frame: &[i16]) {
        if at < self.zero {
            return;
        }
        let at = self.position(at);
        let track = &mut self.caller;
        let late = track.end().saturating_sub(at);
        let quiet = frame.iter().all(|sample| sample.unsigned_abs() < QUIET);
        if late > RATE.samples_in(TOO_LATE) {
            self.lost += FRAME as u64;
            return;
        }
        if late > RATE.samples_in(WANDER) && quiet {
            return;
        }
        // What is late goes on where the track is: no word is cut.
        let at = at.max(track.end()).max(track.base);
        self.lost += track.lay(at, RATE.samples_in(WANDER), SampleRate::HZ_16000, frame);
    }

    /// Sound of ours that is heard from `at` on.
    pub(super) fn sent(&mut self, at: SessionTime, rate: SampleRate, samples: &[i16]) {
        if at < self.zero {
            return;
        }
        let at = self.position(at).max(self.ours.base);
        self.lost += self.ours.lay(at, RATE.samples_in(SEAM), rate, samples);
    }

    /// Nothing of ours that was to be heard later than `at` was heard.
    pub(super) fn cleared(&mut self, at: SessionTime) {
        let at = self.position(at);
        self.ours.cut(at);
    }

    /// The next 20 ms, left and right in turn, if nothing can change them any more. `false`: there are none yet.
    pub(super) fn poll(&mut self, frame: &mut [i16; 2 * FRAME]) -> bool {
        if self.caller.base + FRAME as u64 + RATE.samples_in(LAG) > self.newest {
            return false;
        }
        self.take(frame);
        true
    }

    /// The next 20 ms of what is left, up to `end`. `false`: there is nothing left.
    pub(super) fn drain(&mut self, end: u64, frame: &mut [i16; 2 * FRAME]) -> bool {
        self.caller.close_stretch();
        self.ours.close_stretch();
        if self.caller.base >= end {
            return false;
        }
        self.ours.cut(end);
        self.take(frame);
        true
    }

    /// Where the recording ends if the call ended at `at`: no sooner than the caller's last sound.
    pub(super) fn end(&self, at: Option<SessionTime>) -> u64 {
        let heard = self.caller.end();
        match at {
            Some(at) => self.position(at).max(heard),
            None => self.newest.max(heard),
        }
    }

    /// Samples that were left out so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    fn take(&mut self, frame: &mut [i16; 2 * FRAME]) {
        for track in [&mut self.caller, &mut self.ours] {
            if track.samples.len() < FRAME {
                // The stretch has ended; what its resampler still holds belongs here.
                track.close_stretch();
            }
        }
        for pair in frame.chunks_exact_mut(2) {
            pair[0] = self.caller.next();
            pair[1] = self.ours.next();
        }
    }

    fn position(&self, at: SessionTime) -> u64 {
        RATE.samples_in(at.since(self.zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> SessionTime {
        SessionTime::from_millis(ms)
    }

    /// All frames up to `end_ms`, as two sides.
    fn drained(tracks: &mut Tracks, end_ms: u64) -> (Vec<i16>, Vec<i16>) {
        let (mut left, mut right, mut frame) = (Vec::new(), Vec::new(), [0; 2 * FRAME]);
        let end = tracks.end(Some(at(end_ms)));
        while tracks.drain(end, &mut frame) {
            left.extend(frame.iter().step_by(2));
            right.extend(frame.iter().skip(1).step_by(2));
        }
        (left, right)
    }

    /// Where a side is loud, in milliseconds, as stretches.
    fn loud(side: &[i16]) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (k, millisecond) in side.chunks(24).enumerate() {
            if millisecond.iter().any(|s| s.unsigned_abs() > 2_000) {
                match found.last_mut() {
                    Some((_, end)) if *end + 3 >= k => *end = k + 1,
                    _ => found.push((k, k + 1)),
                }
            }
        }
        found
    }

    fn near(found: &[(usize, usize)], expected: &[(usize, usize)]) {
        let close = found.len() == expected.len()
            && found.iter().zip(expected).all(|(f, e)| f.0.abs_diff(e.0) <= 4 && f.1.abs_diff(e.1) <= 4);
        assert!(close, "{found:?} instead of {expected:?}");
    }

    fn tone(ms: usize, hz: usize) -> Vec<i16> {
        (0..ms * hz / 1_000).map(|k| ((k as f64 * 2_000.0 / hz as f64).sin() * 8_000.0) as i16).collect()
    }

    fn say(tracks: &mut Tracks, from: u64, ms: u64) {
        for k in 0..ms / 20 {
            tracks.caller(at(from + k * 20), &tone(20, 16_000));
        }
    }

    #[test]
    fn both_sides_lie_where_they_were_heard() {
        let mut tracks = Tracks::new(SessionTime::ZERO);
        say(&mut tracks, 100, 400);
        tracks.sent(at(800), SampleRate::HZ_24000, &tone(500, 24_000));
        say(&mut tracks, 1_200, 200);
        let (left, right) = drained(&mut tracks, 1_500);
        assert_eq!(left.len(), 36_000);
        near(&loud(&left), &[(100, 500), (1_200, 1_400)]);
        near(&loud(&right), &[(800, 1_300)]);
    }

    #[test]
    fn pieces_of_any_rate_join_without_a_seam() {
        for hz in [8_000, 11_025, 16_000, 48_000] {
            let rate = SampleRate::new(hz).expect("in range");
            let mut tracks = Tracks::new(SessionTime::ZERO);
            let mut at = at(200);
            for piece in tone(1_000, hz as usize).chunks(hz as usize / 50) {
                tracks.sent(at, rate, piece);
                at += rate.duration_of(piece.len() as u64);
            }
            near(&loud(&drained(&mut tracks, 1_500).1), &[(200, 1_200)]);
        }
    }

    #[test]
    fn what_was_cleared_is_not_in_it_and_the_next_answer_is() {
        let mut tracks = Tracks::new(SessionTime::ZERO);
        tracks.sent(at(100), SampleRate::HZ_24000, &tone(2_000, 24_000));
        tracks.cleared(at(600));
        tracks.sent(at(900), SampleRate::HZ_24000, &tone(300, 24_000));
        near(&loud(&drained(&mut tracks, 2_000).1), &[(100, 600), (900, 1_200)]);
    }

    #[test]
    fn dating_that_wanders_cuts_nothing_and_lateness_is_caught_up_in_silence() {
        let mut tracks = Tracks::new(SessionTime::ZERO);
        for k in 0..50u64 {
            tracks.caller(at(k * 20 + (k % 3) * 15), &tone(20, 16_000));
        }
        // A burst dated 200 ms too early: it goes on where the track is.
        say(&mut tracks, 800, 200);
        for k in 0..20 {
            tracks.caller(at(1_000 + k * 20), &[0; 320]);
        }
        say(&mut tracks, 1_400, 200);
        let (left, _) = drained(&mut tracks, 1_800);
        let found = loud(&left);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].1.abs_diff(1_200) < 60 && found[1].0.abs_diff(1_400) < 90, "{found:?}");
    }

    #[test]
    fn frames_leave_when_nothing_can_change_them_and_memory_is_bounded() {
        let mut tracks = Tracks::new(SessionTime::ZERO);
        let (mut frame, mut left) = ([0; 2 * FRAME], 0);
        for k in 0..500u64 {
            tracks.advance(at(k * 20));
            while tracks.poll(&mut frame) {
                left += 1;
            }
            tracks.caller(at(k * 20), &tone(20, 16_000));
        }
        assert!((395..=400).contains(&left), "{left}");
        // Ten minutes without the caller: silence, of which nothing waits, and then he is in his place.
        tracks.advance(at(600_000));
        while tracks.poll(&mut frame) {
            left += 1;
        }
        say(&mut tracks, 600_000, 100);
        assert!(tracks.caller.samples.len() < 24_000 * 3, "{}", tracks.caller.samples.len());
        let end = tracks.end(Some(at(600_500)));
        let mut rest = Vec::new();
        while tracks.drain(end, &mut frame) {
            rest.extend(frame.iter().step_by(2));
        }
        near(&loud(&rest), &[(600_000 - left * 20, 600_100 - left * 20)]);
        // More than anybody hears at once finds no room, and is counted.
        let mut tracks = Tracks::new(SessionTime::ZERO);
        (0..10).for_each(|k| tracks.sent(at(k * 2_000), SampleRate::HZ_24000, &tone(2_000, 24_000)));
        assert!(tracks.ours.samples.len() <= 24_000 * 6 && tracks.lost() > 0);
    }

    #[test]
    fn what_was_before_the_begin_is_left_out() {
        let mut tracks = Tracks::new(at(5_000));
        say(&mut tracks, 4_000, 1_000);
        tracks.sent(at(4_500), SampleRate::HZ_24000, &tone(200, 24_000));
        say(&mut tracks, 5_100, 200);
        let (left, right) = drained(&mut tracks, 6_000);
        near(&loud(&left), &[(100, 300)]);
        assert!(loud(&right).is_empty() && left.len() == 24_000);
    }
}
