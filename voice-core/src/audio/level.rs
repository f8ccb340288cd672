//! How loud a frame is, in decibels below full scale.

/// Level of digital silence, below what 16 bits can hold.
pub const SILENCE_DBFS: f32 = -100.0;

/// Loudness of some samples. 0 dBFS is a square wave at full scale, so a full sine has an RMS of -3 dBFS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Root of the mean square, dBFS, never under [`SILENCE_DBFS`].
    pub rms: f32,
    /// Largest magnitude, dBFS, never under [`SILENCE_DBFS`].
    pub peak: f32,
}

impl Level {
    /// Measures samples of any count; none are silence.
    pub fn of(samples: &[i16]) -> Self {
        let mut squares = 0i64;
        let mut peak = 0i32;
        for &sample in samples {
            let sample = i32::from(sample);
            squares += i64::from(sample * sample);
            peak = peak.max(sample.abs());
        }
        let mean = squares as f64 / samples.len().max(1) as f64;
        Self { rms: dbfs(mean.sqrt()), peak: dbfs(f64::from(peak)) }
    }
}

fn dbfs(magnitude: f64) -> f32 {
    if magnitude <= 0.0 {
        return SILENCE_DBFS;
    }
    ((20.0 * (magnitude / 32_768.0).log10()) as f32).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_nothing_are_at_the_floor() {
        let floor = Level { rms: SILENCE_DBFS, peak: SILENCE_DBFS };
        assert_eq!(Level::of(&[0; 320]), floor);
        assert_eq!(Level::of(&[]), floor);
    }

    #[test]
    fn full_scale_is_zero_and_half_is_six_down() {
        assert_eq!(Level::of(&[i16::MIN; 320]), Level { rms: 0.0, peak: 0.0 });
        let half = Level::of(&[16_384, -16_384]);
        assert!((half.rms + 6.02).abs() < 0.01 && (half.peak + 6.02).abs() < 0.01, "{half:?}");
    }

    #[test]
    fn a_full_sine_has_an_rms_three_decibels_under_its_peak() {
        let sine: Vec<i16> =
            (0..320).map(|i| (32_767.0 * (i as f64 * std::f64::consts::TAU / 32.0).sin()) as i16).collect();
        let level = Level::of(&sine);
        assert!((level.peak - level.rms - 3.01).abs() < 0.05, "{level:?}");
    }
}
