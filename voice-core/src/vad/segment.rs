//! From probabilities to facts: when the caller's speech started, when it ended, and its last voiced sample.
//!
//! The network says how probable speech is in each 32 ms window, and stays high for up to 100 ms after the speech.
//! Latency is measured from the last voiced sample, so the segmenter looks at the loudness of 8 ms blocks inside the
//! windows that the network calls speech. It is pure and sees no samples, so that a journal of [`Activity`] replays
//! to the same facts. Callers: `session`, replay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::VAD_WINDOW;
use super::energy::{NoiseFloor, SILENCE_DBFS, level_dbfs};
use crate::audio::{ENGINE_RATE, SamplePos};

/// What is known of one window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Position after the window's last sample.
    pub end: SamplePos,
    /// How probable speech is in it, 0 to 1.
    pub probability: f32,
    /// Loudness of its 8 ms blocks, in decibels below full scale.
    pub levels: [f32; BLOCKS],
}

/// Blocks in a window.
pub const BLOCKS: usize = 4;
/// Samples in a block: 8 ms.
const BLOCK: usize = VAD_WINDOW / BLOCKS;

impl Activity {
    /// Measures the blocks of a window whose probability the network gave.
    pub fn measure(end: SamplePos, probability: f32, window: &[i16; VAD_WINDOW]) -> Self {
        let levels = std::array::from_fn(|i| level_dbfs(&window[i * BLOCK..(i + 1) * BLOCK]));
        Self { end, probability, levels }
    }
}

/// What the segmenter reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VadFact {
    /// The caller speaks.
    SpeechStarted {
        /// The first voiced sample, to a block.
        at: SamplePos,
    },
    /// The caller has been silent for [`SegmenterConfig::hang`].
    SpeechEnded {
        /// Position after the last voiced sample, to a block.
        last_voiced: SamplePos,
    },
}

/// Thresholds of a [`Segmenter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmenterConfig {
    /// A window at least this probable counts as voiced. Default 0.5. Higher: later starts, fewer false ones.
    pub on: f32,
    /// Once voiced, windows stay so down to this. Default 0.35. Must not be above `on`.
    pub off: f32,
    /// Voiced time that makes a start. Default 96 ms, three windows; two windows suffice where both are all but
    /// certain (0.9). Higher: coughs and clicks start nothing, barge-in is later.
    pub min_voiced: Duration,
    /// Silence after the last voiced sample that makes an end. Default 96 ms, longer than the stop of a consonant.
    pub hang: Duration,
}

impl Default for SegmenterConfig {
    fn default() -> Self {
        Self { on: 0.5, off: 0.35, min_voiced: Duration::from_millis(96), hang: Duration::from_millis(96) }
    }
}

/// Finds starts and ends of speech.
#[derive(Clone, Debug)]
pub struct Segmenter {
    config: SegmenterConfig,
    speaking: bool,
    /// The current run of voiced windows, if there is one.
    run: Option<Run>,
    last_voiced: Option<SamplePos>,
    /// Loudest block of the speech under way, slowly sinking.
    peak: f32,
    floor: NoiseFloor,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// First loud block.
    start: SamplePos,
    /// End of the newest voiced window.
    end: SamplePos,
    /// Whether every window of it was all but certain.
    certain: bool,
}

impl Default for Segmenter {
    fn default() -> Self {
        Self::new(SegmenterConfig::default())
    }
}

impl Segmenter {
    /// A segmenter that has heard nothing.
    pub fn new(config: SegmenterConfig) -> Self {
        let off = config.off.min(config.on);
        Self {
            config: SegmenterConfig { off, ..config },
            speaking: false,
            run: None,
            last_voiced: None,
            peak: SILENCE_DBFS,
            // The gate's look-back shows some background before the first word.
            floor: NoiseFloor::unknown(FLOOR_SPAN),
        }
    }

    /// Takes the next window. Windows come in order; a window may follow another after a gap.
    pub fn handle_window(&mut self, activity: Activity) -> Option<VadFact> {
        let floor = self.note_levels(&activity);
        let threshold = if self.run.is_some() { self.config.off } else { self.config.on };
        // Not a number counts as silence.
        if activity.probability >= threshold {
            self.note_voiced(&activity, floor)
        } else {
            self.run = None;
            self.peak = if self.speaking { self.peak } else { SILENCE_DBFS };
            self.check_end(activity.end, false)
        }
    }

    /// Takes a stretch behind the shut gate, up to `until`: silence by definition.
    pub fn handle_shut(&mut self, until: SamplePos) -> Option<VadFact> {
        self.run = None;
        self.check_end(until, false)
    }

    /// Forgets that the caller speaks, since his turn was decided otherwise; if he goes on, that is a new start.
    pub fn end_speech(&mut self) {
        self.speaking = false;
        self.run = None;
    }

    /// Whether a start was reported and no end since.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// Position after the last voiced sample of the call, to a block of 8 ms. Moves during speech.
    pub fn last_voiced(&self) -> Option<SamplePos> {
        self.last_voiced
    }

    /// How long the current run of voiced windows is; zero where there is none. Counts before a start is reported,
    /// so that playback can duck at the first voiced window.
    pub fn voiced_run(&self) -> Duration {
        self.run.map_or(Duration::ZERO, |run| ENGINE_RATE.duration_of(run.end.since(run.start)))
    }

    fn note_levels(&mut self, activity: &Activity) -> f32 {
        for &level in &activity.levels {
            self.floor.follow(level);
        }
        self.floor.now()
    }

    fn note_voiced(&mut self, activity: &Activity, floor: f32) -> Option<VadFact> {
        let start = activity.end - VAD_WINDOW as u64;
        let loudest = activity.levels.iter().copied().fold(SILENCE_DBFS, f32::max);
        // A caller who leans back from the microphone is measured against his newer loudness.
        self.peak = (self.peak - PEAK_DECAY_DB).max(loudest);
        let audible = (self.peak - TAIL_BELOW_PEAK_DB).max(floor + TAIL_ABOVE_FLOOR_DB);
        let block_start = |i: usize| start + (i * BLOCK) as u64;
        let first = activity.levels.iter().position(|&level| level >= audible);
        let last = activity.levels.iter().rposition(|&level| level >= audible);

        let sure = activity.probability >= CERTAIN;
        let run = match self.run {
            Some(run) => Run { end: activity.end, certain: run.certain && sure, ..run },
            None => Run { start: block_start(first.unwrap_or(0)), end: activity.end, certain: sure },
        };
        self.run = Some(run);
        if let Some(last) = last {
            self.last_voiced = Some(block_start(last + 1));
        }
        if self.speaking {
            return self.check_end(activity.end, activity.probability >= self.config.on);
        }
        // Windows count whole: the first loud block says where speech began, not how sure we are of it.
        let windows = (run.end.since(run.start)).div_ceil(VAD_WINDOW as u64);
        let wanted = ENGINE_RATE.samples_in(self.config.min_voiced).div_ceil(VAD_WINDOW as u64);
        let wanted = if run.certain { wanted.min(CERTAIN_WINDOWS) } else { wanted };
        let voiced_lately = self.last_voiced.is_some_and(|at| activity.end.since(at) < self.hang());
        if windows < wanted || !voiced_lately {
            return None;
        }
        self.speaking = true;
        Some(VadFact::SpeechStarted { at: run.start })
    }

    fn check_end(&mut self, now: SamplePos, network_still_on: bool) -> Option<VadFact> {
        if !self.speaking {
            return None;
        }
        let last_voiced = self.last_voiced.unwrap_or(now);
        let silent = now.since(last_voiced);
        // The network trails the sound; where it still insists after as long as it ever trails, the sound decides.
        let needed = if network_still_on { self.hang().max(TRAIL) } else { self.hang() };
        if silent < needed {
            return None;
        }
        self.speaking = false;
        self.run = None;
        self.peak = SILENCE_DBFS;
        Some(VadFact::SpeechEnded { last_voiced })
    }

    fn hang(&self) -> u64 {
        ENGINE_RATE.samples_in(self.config.hang)
    }
}

/// A probability that needs no third window.
const CERTAIN: f32 = 0.9;
/// Windows that start speech where all are [`CERTAIN`].
const CERTAIN_WINDOWS: u64 = 2;
/// A block this far below the loudest one belongs to the room, not to the word: the end of a spoken `s` is about 30 dB
/// below the loudest vowel.
const TAIL_BELOW_PEAK_DB: f32 = 38.0;
/// A block must stand out of the background by this much.
const TAIL_ABOVE_FLOOR_DB: f32 = 6.0;
/// A tenth of a decibel a window: 3 dB a second.
const PEAK_DECAY_DB: f32 = 0.1;
/// 160 ms, the longest that the network was seen to stay on after speech (70 to 100 ms) and some more.
const TRAIL: u64 = 2_560;
/// 3.2 s of blocks.
const FLOOR_SPAN: u32 = 400;

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: f32 = -20.0;
    const QUIET: f32 = -70.0;

    /// Runs windows of (probability, level of the four blocks) and gives the facts with the window's number.
    fn facts(windows: &[(f32, [f32; BLOCKS])]) -> Vec<(usize, VadFact)> {
        let mut segmenter = Segmenter::default();
        windows
            .iter()
            .enumerate()
            .filter_map(|(i, &(probability, levels))| {
                let end = SamplePos(((i + 1) * VAD_WINDOW) as u64);
                segmenter.handle_window(Activity { end, probability, levels }).map(|fact| (i, fact))
            })
            .collect()
    }

    fn stretch(n: usize, probability: f32, level: f32) -> Vec<(f32, [f32; BLOCKS])> {
        vec![(probability, [level; BLOCKS]); n]
    }

    fn at_window(n: usize) -> SamplePos {
        SamplePos((n * VAD_WINDOW) as u64)
    }

    #[test]
    fn speech_is_bounded_by_its_loud_blocks() {
        let mut windows = stretch(10, 0.01, QUIET);
        windows.push((0.6, [QUIET, QUIET, LOUD, LOUD]));
        windows.extend(stretch(9, 0.8, LOUD));
        windows.push((0.8, [LOUD, QUIET, QUIET, QUIET]));
        windows.extend(stretch(2, 0.7, QUIET));
        windows.extend(stretch(8, 0.1, QUIET));
        let start = at_window(10) + 2 * BLOCK as u64;
        let last_voiced = at_window(20) + BLOCK as u64;
        assert_eq!(
            facts(&windows),
            [(12, VadFact::SpeechStarted { at: start }), (23, VadFact::SpeechEnded { last_voiced }),]
        );
    }

    #[test]
    fn table_of_starts() {
        let cases: &[(&str, &[f32], Option<usize>)] = &[
            ("one window is a click", &[0.6, 0.1, 0.1, 0.1], None),
            ("two likely windows are not enough", &[0.6, 0.6, 0.1, 0.1], None),
            ("three are", &[0.6, 0.6, 0.6, 0.6], Some(2)),
            ("two certain ones are", &[0.95, 0.95, 0.95], Some(1)),
            ("a dip to the lower threshold does not break the run", &[0.6, 0.4, 0.6, 0.1], Some(2)),
            ("a dip below it does", &[0.6, 0.3, 0.6, 0.6, 0.1], None),
            ("the lower threshold alone starts nothing", &[0.4, 0.45, 0.45, 0.45], None),
            ("not a number starts nothing", &[f32::NAN, f32::NAN, f32::NAN, f32::NAN], None),
        ];
        for (name, probabilities, started) in cases {
            let windows: Vec<_> = probabilities.iter().map(|&p| (p, [LOUD; BLOCKS])).collect();
            let seen = facts(&windows).into_iter().find(|(_, f)| matches!(f, VadFact::SpeechStarted { .. }));
            assert_eq!(seen.map(|(i, _)| i), *started, "{name}");
        }
    }

    #[test]
    fn a_probable_but_silent_stretch_starts_nothing() {
        assert_eq!(facts(&stretch(20, 0.9, SILENCE_DBFS)), []);
    }

    #[test]
    fn the_stop_of_a_consonant_does_not_end_speech() {
        let mut windows = stretch(6, 0.9, LOUD);
        windows.extend(stretch(2, 0.6, QUIET));
        windows.extend(stretch(6, 0.9, LOUD));
        assert_eq!(facts(&windows).len(), 1);
    }

    #[test]
    fn a_network_that_stays_on_delays_the_end_no_longer_than_it_ever_trails() {
        let mut windows = stretch(6, 0.9, LOUD);
        windows.extend(stretch(20, 0.9, QUIET));
        let ended = facts(&windows)[1];
        assert_eq!(ended, (10, VadFact::SpeechEnded { last_voiced: at_window(6) }));
    }

    #[test]
    fn a_soft_tail_still_counts_and_room_noise_does_not() {
        let mut windows = stretch(60, 0.01, -62.0);
        windows.extend(stretch(6, 0.9, LOUD));
        windows.extend(stretch(2, 0.9, -50.0));
        windows.extend(stretch(8, 0.2, -62.0));
        assert_eq!(facts(&windows)[1].1, VadFact::SpeechEnded { last_voiced: at_window(68) });
    }

    #[test]
    fn the_first_words_of_a_call_end_in_time_in_a_noisy_room() {
        let mut windows = stretch(5, 0.01, -48.0);
        windows.extend(stretch(10, 0.9, LOUD));
        windows.extend(stretch(4, 0.8, -47.0));
        windows.extend(stretch(8, 0.1, -48.0));
        assert_eq!(facts(&windows)[1].1, VadFact::SpeechEnded { last_voiced: at_window(15) });
    }

    #[test]
    fn a_shut_gate_ends_speech() {
        let mut segmenter = Segmenter::default();
        for i in 1..=4 {
            let activity = Activity { end: at_window(i), probability: 0.9, levels: [LOUD; BLOCKS] };
            segmenter.handle_window(activity);
        }
        assert!(segmenter.is_speaking());
        assert_eq!(segmenter.voiced_run(), Duration::from_millis(128));
        assert_eq!(segmenter.handle_shut(at_window(6)), None);
        assert_eq!(segmenter.voiced_run(), Duration::ZERO);
        let ended = segmenter.handle_shut(at_window(7));
        assert_eq!(ended, Some(VadFact::SpeechEnded { last_voiced: at_window(4) }));
        assert!(!segmenter.is_speaking());
        assert_eq!(segmenter.last_voiced(), Some(at_window(4)));
        assert_eq!(segmenter.handle_shut(at_window(20)), None, "an end is told once");
    }

    #[test]
    fn speech_after_an_end_starts_again() {
        let mut windows = stretch(6, 0.9, LOUD);
        windows.extend(stretch(10, 0.1, QUIET));
        windows.extend(stretch(6, 0.9, LOUD));
        windows.extend(stretch(10, 0.1, QUIET));
        assert_eq!(facts(&windows).len(), 4);
    }
}
