//! Voice activity from loudness alone, and the measure of loudness that the gate and the segmenter share.
//!
//! [`EnergyVad`] serves where there are no weights, and steps in for a network that fails. It cannot tell speech from
//! other sounds; it says so by never answering with certainty. Callers: the shell, `local::silero`, benches.

use super::{VAD_WINDOW, VadModel, VadStream};

/// Loudness in decibels below full scale: 0 is the loudest possible square wave, silence is [`SILENCE_DBFS`].
pub(crate) fn level_dbfs(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return SILENCE_DBFS;
    }
    let energy: u64 = samples.iter().map(|&s| u64::from(i32::from(s).unsigned_abs().pow(2))).sum();
    let mean = energy as f32 / samples.len() as f32 / (32_768.0 * 32_768.0);
    (10.0 * mean.max(1e-10).log10()).max(SILENCE_DBFS)
}

/// What digital silence counts as.
pub(crate) const SILENCE_DBFS: f32 = -96.0;

/// Follows the level of the background: the quietest moment of the last one to two spans.
///
/// Speech dips to the background between phrases, so the minimum over a span longer than those is the background;
/// noise that gets louder is believed after one to two spans, noise that stops at once.
#[derive(Clone, Debug)]
pub(crate) struct NoiseFloor {
    span: u32,
    seen: u32,
    current: f32,
    previous: f32,
}

impl NoiseFloor {
    /// A floor that believes a louder background after `span` to twice `span` levels.
    pub(crate) fn new(span: u32) -> Self {
        Self { span: span.max(1), seen: 0, current: f32::MAX, previous: START_DBFS }
    }

    /// The same, believing the first level it hears: for audio that starts with background.
    pub(crate) fn unknown(span: u32) -> Self {
        Self { previous: f32::MAX, ..Self::new(span) }
    }

    /// Takes the next level and gives the floor, between [`LOWEST_DBFS`] and [`HIGHEST_DBFS`].
    pub(crate) fn follow(&mut self, level: f32) -> f32 {
        if self.seen >= self.span {
            self.previous = self.current;
            self.current = f32::MAX;
            self.seen = 0;
        }
        self.seen += 1;
        self.current = self.current.min(level);
        self.now()
    }

    /// The floor as it stands.
    pub(crate) fn now(&self) -> f32 {
        self.current.min(self.previous).clamp(LOWEST_DBFS, HIGHEST_DBFS)
    }
}

/// A quiet room with a usual microphone; what is believed before anything was heard.
const START_DBFS: f32 = -60.0;
/// Muted lines send exact zeros; a floor below this would make the softest hiss look like speech.
const LOWEST_DBFS: f32 = -72.0;
/// Fluent speech may not dip to the background for seconds. Whatever is this loud is never taken for background: to
/// infer for nothing costs little, not to hear a word costs the call.
const HIGHEST_DBFS: f32 = -45.0;

/// A voice activity model without weights: how far a window stands out of the background.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnergyVad;

impl VadModel for EnergyVad {
    fn name(&self) -> &'static str {
        "energy"
    }

    fn open(&self) -> Box<dyn VadStream> {
        Box::new(EnergyStream::default())
    }
}

/// One call's loudness history.
#[derive(Clone, Debug)]
pub(crate) struct EnergyStream {
    floor: NoiseFloor,
}

impl Default for EnergyStream {
    fn default() -> Self {
        // 100 windows are 3.2 s.
        Self { floor: NoiseFloor::new(100) }
    }
}

impl VadStream for EnergyStream {
    fn probability(&mut self, window: &[i16; VAD_WINDOW]) -> f32 {
        let level = level_dbfs(window);
        let above = level - self.floor.follow(level);
        // Even odds at 10 dB above the background, where a voice in a room usually is far beyond.
        let certain = 1.0 / (1.0 + (-(above - 10.0) / 2.0).exp());
        certain * MOST_CERTAIN
    }

    fn reset(&mut self) {
        // The background does not change because nobody spoke; there is nothing else to forget.
    }
}

/// Loudness alone never proves speech.
const MOST_CERTAIN: f32 = 0.85;

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(level: i16, seed: &mut u32) -> [i16; VAD_WINDOW] {
        std::array::from_fn(|_| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((*seed >> 16) as i16) % level.max(1)
        })
    }

    #[test]
    fn level_of_full_scale_is_zero_and_of_nothing_is_the_bottom() {
        assert!(level_dbfs(&[i16::MIN; 100]).abs() < 0.01);
        assert_eq!(level_dbfs(&[0; 100]), SILENCE_DBFS);
        assert_eq!(level_dbfs(&[]), SILENCE_DBFS);
    }

    #[test]
    fn a_loud_stretch_in_a_quiet_room_is_speech() {
        let mut stream = EnergyVad.open();
        let mut seed = 1;
        for _ in 0..60 {
            assert!(stream.probability(&noise(40, &mut seed)) < 0.3);
        }
        assert!(stream.probability(&noise(4_000, &mut seed)) > 0.8);
        assert!(stream.probability(&noise(40, &mut seed)) < 0.3);
    }

    #[test]
    fn lasting_noise_becomes_background() {
        let mut stream = EnergyVad.open();
        let mut seed = 1;
        assert!(stream.probability(&noise(300, &mut seed)) > 0.5, "at first it stands out");
        for _ in 0..210 {
            stream.probability(&noise(300, &mut seed));
        }
        assert!(stream.probability(&noise(300, &mut seed)) < 0.3);
        assert!(stream.probability(&noise(4_000, &mut seed)) > 0.8, "a voice above it is heard");
    }
}
