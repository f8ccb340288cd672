//! The log-mel picture of sound that the turn model was trained on: 80 bands, 800 frames of 10 ms.
//!
//! This is the front end of Whisper: 25 ms Hann windows every 10 ms, power spectrum, Slaney's mel scale, the common
//! logarithm, the lower end cut off 80 dB below the loudest point. The turn model wants the sound left-padded to 8 s
//! and scaled to zero mean and unit variance first. Padding is constant, so its frames are equal and computed once.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Mel bands.
pub const BANDS: usize = 80;
/// Frames in a picture.
pub const FRAMES: usize = 800;
/// Samples between frames.
const HOP: usize = 160;
/// Samples in a window.
const WINDOW: usize = 400;
/// Points of a half spectrum.
const BINS: usize = WINDOW / 2 + 1;
/// Samples in a picture: 8 s.
pub const SAMPLES: usize = FRAMES * HOP;

/// Computes pictures; keeps its buffers from one to the next.
pub struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: [f32; WINDOW],
    bands: Box<[Band]>,
    /// The sound, scaled, with half a window of its mirror image at either end.
    padded: Vec<f32>,
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    picture: Vec<f32>,
}

/// The triangle of one band: where it starts in the spectrum, and its weights. All others are zero.
struct Band {
    first: usize,
    weights: Box<[f32]>,
}

impl Default for LogMel {
    fn default() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        Self {
            hann: std::array::from_fn(|i| {
                let turn = std::f64::consts::TAU * i as f64 / WINDOW as f64;
                (0.5 - 0.5 * turn.cos()) as f32
            }),
            bands: (0..BANDS).map(band).collect(),
            padded: vec![0.0; SAMPLES + WINDOW],
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            picture: vec![0.0; BANDS * FRAMES],
            fft,
        }
    }
}

impl LogMel {
    /// The picture of the last 8 s of `audio`, band after band, [`BANDS`] times [`FRAMES`] numbers.
    pub fn picture(&mut self, audio: &[i16]) -> &[f32] {
        let audio = &audio[audio.len().saturating_sub(SAMPLES)..];
        let padding = SAMPLES - audio.len();
        self.place(audio, padding);

        // A frame lies in the padding alone while its last sample does; the mirror image at the start is padding too.
        let alike = (padding + WINDOW / 2).saturating_sub(WINDOW) / HOP;
        let alike = if padding == 0 { 0 } else { alike.min(FRAMES) };
        let mut loudest = f32::MIN;
        let first = alike.saturating_sub(1);
        for frame in first..FRAMES {
            loudest = loudest.max(self.draw(frame));
        }
        for band in self.picture.chunks_exact_mut(FRAMES) {
            let value = band[first];
            band[..first].fill(value);
        }
        let lowest = loudest - 8.0;
        for value in &mut self.picture {
            *value = (value.max(lowest) + 4.0) / 4.0;
        }
        &self.picture
    }

    /// Scales the sound to zero mean and unit variance over all 8 s, and mirrors its ends.
    fn place(&mut self, audio: &[i16], padding: usize) {
        let n = SAMPLES as f64;
        let sum: i64 = audio.iter().map(|&s| i64::from(s)).sum();
        let squares: i64 = audio.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
        let mean = sum as f64 / n / 32_768.0;
        let variance = squares as f64 / n / (32_768.0 * 32_768.0) - mean * mean;
        // The added constant is the feature extractor's own guard against silence.
        let scale = 1.0 / (variance.max(0.0) + 1e-7).sqrt();

        let half = WINDOW / 2;
        let body = &mut self.padded[half..half + SAMPLES];
        body[..padding].fill((-mean * scale) as f32);
        let (gain, offset) = ((scale / 32_768.0) as f32, (-mean * scale) as f32);
        for (to, &from) in body[padding..].iter_mut().zip(audio) {
            *to = f32::from(from) * gain + offset;
        }
        for i in 0..half {
            self.padded[i] = self.padded[2 * half - i];
            self.padded[half + SAMPLES + i] = self.padded[half + SAMPLES - 2 - i];
        }
    }

    /// Draws one frame as logarithms and gives its loudest.
    fn draw(&mut self, frame: usize) -> f32 {
        let samples = &self.padded[frame * HOP..frame * HOP + WINDOW];
        for ((to, &sample), &weight) in self.input.iter_mut().zip(samples).zip(&self.hann) {
            *to = sample * weight;
        }
        // Fails only for buffers of other lengths than the planner's own.
        let done = self.fft.process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        let mut power = [0.0_f32; BINS];
        for (to, point) in power.iter_mut().zip(&self.spectrum) {
            *to = point.norm_sqr();
        }
        let mut loudest = f32::MIN;
        for (b, band) in self.bands.iter().enumerate() {
            let part = &power[band.first..band.first + band.weights.len()];
            let energy: f32 = part.iter().zip(&band.weights).map(|(p, w)| p * w).sum();
            let value = energy.max(1e-10).log10();
            loudest = loudest.max(value);
            self.picture[b * FRAMES + frame] = value;
        }
        loudest
    }
}

/// The triangle of band `index`: from the centre of the band before to that of the band after, of equal area.
fn band(index: usize) -> Band {
    let edge = |i: usize| mel_to_hz(hz_to_mel(8_000.0) * i as f64 / (BANDS + 1) as f64);
    let (low, centre, high) = (edge(index), edge(index + 1), edge(index + 2));
    let weight = |bin: usize| {
        let hz = bin as f64 * 16_000.0 / WINDOW as f64;
        let rising = (hz - low) / (centre - low);
        let falling = (high - hz) / (high - centre);
        (rising.min(falling).max(0.0) * 2.0 / (high - low)) as f32
    };
    let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
    let weights = (first..BINS).map(weight).take_while(|&w| w > 0.0).collect();
    Band { first, weights }
}

/// Slaney's mel scale: linear below 1 kHz, logarithmic above.
fn hz_to_mel(hz: f64) -> f64 {
    if hz < 1_000.0 { 3.0 * hz / 200.0 } else { 15.0 + (hz / 1_000.0).ln() * 27.0 / 6.4_f64.ln() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < 15.0 { 200.0 * mel / 3.0 } else { 1_000.0 * (6.4_f64.ln() / 27.0 * (mel - 15.0)).exp() }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// The same picture by the book: every frame, every band, a discrete Fourier transform, double precision.
    fn by_the_book(audio: &[i16], frames: &[usize]) -> Vec<Vec<f64>> {
        let mut x = vec![0.0; SAMPLES];
        for (i, &s) in audio.iter().rev().take(SAMPLES).enumerate() {
            x[SAMPLES - 1 - i] = f64::from(s) / 32_768.0;
        }
        let mean = x.iter().sum::<f64>() / SAMPLES as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / SAMPLES as f64;
        for v in &mut x {
            *v = (*v - mean) / (variance + 1e-7).sqrt();
        }
        let mirrored = |i: i64| {
            let last = SAMPLES as i64 - 1;
            let i = if i < 0 { -i } else { i };
            x[(if i > last { 2 * last - i } else { i }) as usize]
        };
        frames
            .iter()
            .map(|&frame| {
                let windowed: Vec<f64> = (0..WINDOW)
                    .map(|i| {
                        let hann = 0.5 - 0.5 * (TAU * i as f64 / WINDOW as f64).cos();
                        hann * mirrored((frame * HOP + i) as i64 - (WINDOW / 2) as i64)
                    })
                    .collect();
                let power: Vec<f64> = (0..BINS)
                    .map(|k| {
                        let part = |f: fn(f64) -> f64| -> f64 {
                            windowed
                                .iter()
                                .enumerate()
                                .map(|(n, v)| v * f(TAU * ((k * n) % WINDOW) as f64 / WINDOW as f64))
                                .sum()
                        };
                        part(f64::cos).powi(2) + part(f64::sin).powi(2)
                    })
                    .collect();
                (0..BANDS)
                    .map(|b| {
                        let edge = |i: usize| mel_to_hz(hz_to_mel(8_000.0) * i as f64 / 81.0);
                        let (low, centre, high) = (edge(b), edge(b + 1), edge(b + 2));
                        let energy: f64 = power
                            .iter()
                            .enumerate()
                            .map(|(k, p)| {
                                let hz = k as f64 * 40.0;
                                let rise = (hz - low) / (centre - low);
                                let fall = (high - hz) / (high - centre);
                                p * rise.min(fall).max(0.0) * 2.0 / (high - low)
                            })
                            .sum();
                        energy.max(1e-10).log10()
                    })
                    .collect()
            })
            .collect()
    }

    fn tune(n: usize) -> Vec<i16> {
        (0..n)
            .map(|i| {
                let t = i as f64 / 16_000.0;
                let sound = (TAU * (200.0 + 300.0 * t) * t).sin() + 0.3 * (TAU * 2_900.0 * t).sin();
                (sound * 6_000.0 * (1.0 + (TAU * 3.0 * t).sin()) / 2.0 + 50.0) as i16
            })
            .collect()
    }

    #[test]
    fn picture_is_that_of_the_slow_reference() {
        for length in [0, 100, 16_000, 48_123, SAMPLES, SAMPLES + 7_000] {
            let audio = tune(length);
            let mut mel = LogMel::default();
            let picture = mel.picture(&audio).to_vec();
            let padding = SAMPLES.saturating_sub(length);
            let border = padding / HOP;
            let frames: Vec<usize> = [0, 1, 2, border.saturating_sub(2), border.saturating_sub(1), border]
                .into_iter()
                .chain([border + 1, border + 2, 700, 798, 799])
                .filter(|&f| f < FRAMES)
                .collect();
            // The cut-off hangs on the loudest point of all frames, which the picture itself tells.
            let top = picture.iter().copied().fold(f32::MIN, f32::max) * 4.0 - 4.0;
            for (frame, column) in frames.iter().zip(by_the_book(&audio, &frames)) {
                for (band, value) in column.into_iter().enumerate() {
                    let wanted = (value.max(f64::from(top) - 8.0) + 4.0) / 4.0;
                    let got = f64::from(picture[band * FRAMES + frame]);
                    assert!(
                        (got - wanted).abs() < 2e-3,
                        "{length}: frame {frame} band {band}: {got} {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn padding_frames_are_exactly_those_computed_one_by_one() {
        let audio = tune(30_000);
        let mut quick = LogMel::default();
        let short_cut = quick.picture(&audio).to_vec();
        let mut slow = LogMel::default();
        slow.place(&audio, SAMPLES - audio.len());
        let loudest = (0..FRAMES).map(|frame| slow.draw(frame)).fold(f32::MIN, f32::max);
        let all: Vec<f32> = slow.picture.iter().map(|v| (v.max(loudest - 8.0) + 4.0) / 4.0).collect();
        assert_eq!(short_cut, all);
    }

    #[test]
    fn a_used_instance_gives_the_same_as_a_fresh_one() {
        let mut used = LogMel::default();
        used.picture(&tune(SAMPLES));
        assert_eq!(used.picture(&tune(20_000)), LogMel::default().picture(&tune(20_000)));
    }

    #[test]
    fn bands_are_sparse_and_cover_the_speech() {
        let bands: Vec<Band> = (0..BANDS).map(band).collect();
        assert!(bands.iter().map(|b| b.weights.len()).sum::<usize>() < 2 * BINS);
        for bin in 2..BINS - 1 {
            assert!(bands.iter().any(|b| (b.first..b.first + b.weights.len()).contains(&bin)), "bin {bin}");
        }
    }
}
