//! The cheap gate before the network: most of a call is silence, and silence need not be inferred.
//!
//! [`Gate`] judges each 20 ms frame by its loudness over the background and stays open for a while after the last
//! loud one. [`Windows`] cuts a caller's audio into the network's windows, leaves out those behind a shut gate, and
//! when it opens goes back [`LOOK_BACK`] samples, so that a soft onset reaches the network too. Both are pure and
//! allocate nothing. Errs on the open side: the network has the last word. Caller: `session`.

use super::VAD_WINDOW;
use super::energy::{NoiseFloor, level_dbfs};
use crate::audio::{FRAME_SAMPLES, Frame, SamplePos};

/// Whether audio goes on to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    /// There is or was just something to hear.
    Open,
    /// Background only.
    Shut,
}

/// Judges frames by loudness.
#[derive(Clone, Debug)]
pub struct Gate {
    floor: NoiseFloor,
    /// Frames that the gate still stays open.
    hang: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self { floor: NoiseFloor::new(FLOOR_SPAN), hang: 0 }
    }
}

impl Gate {
    /// Judges the next frame of the call.
    pub fn handle_frame(&mut self, frame: &Frame) -> GateState {
        let level = level_dbfs(frame);
        let floor = self.floor.follow(level);
        if level > floor + OPENS_ABOVE_DB {
            self.hang = HANG_FRAMES;
            return GateState::Open;
        }
        if self.hang == 0 {
            return GateState::Shut;
        }
        self.hang -= 1;
        GateState::Open
    }
}

/// How far above the background a frame opens the gate. Steady noise varies by 2 dB from frame to frame.
const OPENS_ABOVE_DB: f32 = 6.0;
/// 400 ms: longer than the network takes to come down after speech, so that it ends the speech itself.
const HANG_FRAMES: u32 = 20;
/// 1 s of frames.
const FLOOR_SPAN: u32 = 50;

/// How far before the opening of the gate the network starts: 160 ms, in whole windows.
pub const LOOK_BACK: usize = 5 * VAD_WINDOW;

/// One window for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Position after the window's last sample.
    pub end: SamplePos,
    /// Samples were left out before this window: reset the network's state first.
    pub after_gap: bool,
}

/// A caller's audio, gated and cut into windows.
#[derive(Clone, Debug)]
pub struct Windows {
    gate: Gate,
    state: GateState,
    /// The last [`HISTORY`] samples, a ring indexed by position.
    history: Box<[i16; HISTORY]>,
    /// Position after the newest sample.
    end: SamplePos,
    /// Where the next window starts.
    next: SamplePos,
    skipped: bool,
}

/// Room for the look-back, one window being filled, and one frame; a power of two.
const HISTORY: usize = 4_096;
const _: () = assert!(HISTORY >= LOOK_BACK + VAD_WINDOW + FRAME_SAMPLES);

impl Default for Windows {
    fn default() -> Self {
        Self {
            gate: Gate::default(),
            state: GateState::Shut,
            history: Box::new([0; HISTORY]),
            end: SamplePos::ZERO,
            next: SamplePos::ZERO,
            skipped: false,
        }
    }
}

impl Windows {
    /// Takes the next frame and says whether the gate is open. Drain [`Self::poll_window`] after each frame; what is
    /// not drained before it leaves the history is skipped.
    pub fn handle_frame(&mut self, frame: &Frame) -> GateState {
        for (i, &sample) in frame.iter().enumerate() {
            self.history[(self.end.0 as usize + i) % HISTORY] = sample;
        }
        self.end += FRAME_SAMPLES as u64;
        self.state = self.gate.handle_frame(frame);
        let reach = match self.state {
            // While shut nothing is wanted but what a later opening may look back to.
            GateState::Shut => LOOK_BACK as u64,
            GateState::Open => HISTORY as u64,
        };
        if self.end.since(self.next) > reach {
            self.next = self.end - reach;
            self.skipped = true;
        }
        self.state
    }

    /// The next whole window behind an open gate, copied into `into`.
    pub fn poll_window(&mut self, into: &mut [i16; VAD_WINDOW]) -> Option<Window> {
        if self.state == GateState::Shut || self.end.since(self.next) < VAD_WINDOW as u64 {
            return None;
        }
        for (i, sample) in into.iter_mut().enumerate() {
            *sample = self.history[(self.next.0 as usize + i) % HISTORY];
        }
        self.next += VAD_WINDOW as u64;
        Some(Window { end: self.next, after_gap: std::mem::take(&mut self.skipped) })
    }

    /// Position after the newest sample.
    pub fn end(&self) -> SamplePos {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(level: i16) -> Frame {
        std::array::from_fn(|i| if i % 2 == 0 { level } else { -level })
    }

    fn states(levels: &[(i16, usize)]) -> Vec<GateState> {
        let mut gate = Gate::default();
        levels.iter().flat_map(|&(level, n)| vec![level; n]).map(|l| gate.handle_frame(&frame(l))).collect()
    }

    #[test]
    fn opens_on_the_first_loud_frame_and_shuts_after_the_hang() {
        let seen = states(&[(20, 100), (2_000, 10), (20, 60)]);
        assert!(seen[..100].iter().all(|&s| s == GateState::Shut));
        let hang = HANG_FRAMES as usize;
        assert!(seen[100..110 + hang].iter().all(|&s| s == GateState::Open));
        assert!(seen[110 + hang..].iter().all(|&s| s == GateState::Shut));
    }

    #[test]
    fn a_soft_voice_in_a_silent_line_opens() {
        assert_eq!(states(&[(0, 50), (40, 1)]).last(), Some(&GateState::Open));
    }

    #[test]
    fn lasting_noise_shuts_after_two_seconds_and_a_voice_above_it_opens() {
        let seen = states(&[(20, 50), (400, 150), (400, 1), (1_600, 1)]);
        assert_eq!(seen[50], GateState::Open);
        assert_eq!(seen[200], GateState::Shut);
        assert_eq!(seen[201], GateState::Open);
    }

    #[test]
    fn very_loud_sound_is_never_taken_for_background() {
        assert!(states(&[(3_000, 500)]).iter().all(|&s| s == GateState::Open));
    }

    #[test]
    fn windows_are_contiguous_while_open_and_look_back_at_an_opening() {
        let mut windows = Windows::default();
        let mut sample = 0_i16;
        let mut ends = Vec::new();
        let mut out = [0; VAD_WINDOW];
        for i in 0..200 {
            let loud = (100..140).contains(&i);
            let f: Frame = std::array::from_fn(|k| {
                sample = sample.wrapping_add(1);
                // The low bits carry a running number, the sign and the rest the loudness.
                (if loud { 4_000 } else { 0 }) * (if k % 2 == 0 { 1 } else { -1 }) + sample % 8
            });
            windows.handle_frame(&f);
            while let Some(window) = windows.poll_window(&mut out) {
                ends.push(window);
            }
        }
        let opening = 100 * FRAME_SAMPLES as u64;
        let first = ends[0].end.0 - VAD_WINDOW as u64;
        assert!(ends[0].after_gap);
        assert!(opening - first >= LOOK_BACK as u64 - FRAME_SAMPLES as u64, "looks back, {first}");
        assert!(opening - first <= LOOK_BACK as u64);
        for pair in ends.windows(2) {
            assert_eq!(pair[1].end.0 - pair[0].end.0, VAD_WINDOW as u64);
            assert!(!pair[1].after_gap);
        }
        let last = ends[ends.len() - 1].end.0;
        assert!(
            last >= (140 + u64::from(HANG_FRAMES) - 2) * FRAME_SAMPLES as u64,
            "runs to the end of the hang"
        );
    }

    #[test]
    fn a_window_holds_the_samples_of_its_position() {
        let mut windows = Windows::default();
        let mut out = [0; VAD_WINDOW];
        let at = |pos: u64| ((pos * 37) % 20_011) as i16 - 10_000;
        let mut pos = 0;
        let mut checked = 0;
        for _ in 0..60 {
            let f: Frame = std::array::from_fn(|i| at(pos + i as u64));
            pos += FRAME_SAMPLES as u64;
            windows.handle_frame(&f);
            while let Some(window) = windows.poll_window(&mut out) {
                let start = window.end.0 - VAD_WINDOW as u64;
                assert!(out.iter().enumerate().all(|(i, &s)| s == at(start + i as u64)));
                checked += 1;
            }
        }
        assert_eq!(checked, 60 * FRAME_SAMPLES / VAD_WINDOW);
    }
}
