//! A streaming change of sample rate for one mono stream, by rubato's windowed sinc.
//!
//! Made once for each stream; after that no call allocates as long as the output vector has room. The filter's delay
//! is taken out, so sample `n` of the input is heard at `n * to / from` of the output, and a finished stream is as
//! long as its input. The same samples come out whatever the split of the input. Callers: `ingress` (any rate to
//! 16 kHz) and playout (a voice's rate to the client's).

use std::fmt;
use std::time::Duration;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    calculate_cutoff,
};

use super::SampleRate;

/// Filter length in samples of the lower rate. 64 pass 7.2 of 8 kHz and delay by 2 ms where 16 kHz is the lower rate.
const TAPS: usize = 64;

/// Up to this many phases the filter bank is exact; rarer ratios interpolate between fewer phases instead.
const MAX_EXACT_PHASES: usize = 320;

/// Phases of the filter bank between which rare ratios interpolate.
const INTERPOLATED_PHASES: usize = 128;

/// Input is filtered in steps of 1/400 s, so no more than 2.5 ms wait for their step.
const STEPS_PER_SECOND: u32 = 400;

/// At most this many samples of silence go in front of a stream, so that the delay comes near a whole output sample.
const MAX_LEAD: usize = 12;

/// Changes the rate of one mono stream of 16-bit samples.
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    /// `None` where the rates are equal and samples pass as they are.
    filter: Option<Filter>,
}

impl Resampler {
    /// A resampler from one rate to another, at the start of a stream.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        Self { from, to, filter: (from != to).then(|| Filter::new(from, to)) }
    }

    /// Takes samples and appends what is ready to `out`. Between 0 and a few milliseconds stay inside.
    pub fn push_into(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match &mut self.filter {
            None => out.extend_from_slice(samples),
            Some(filter) => filter.push_into(samples, out),
        }
    }

    /// Ends the stream: appends what was still inside, so that output and input last equally long (rounded to a
    /// sample), and starts anew.
    pub fn finish_into(&mut self, out: &mut Vec<i16>) {
        if let Some(filter) = &mut self.filter {
            filter.finish_into(self.from, self.to, out);
        }
    }

    /// At most this much of what was pushed is not out yet.
    pub fn delay(&self) -> Duration {
        self.filter.as_ref().map_or(Duration::ZERO, |filter| {
            let lookahead = filter.taps / 2 + 3;
            self.from.duration_of((filter.chunk + filter.lead + lookahead) as u64)
        })
    }

    /// Rate that comes in.
    pub const fn from(&self) -> SampleRate {
        self.from
    }

    /// Rate that goes out.
    pub const fn to(&self) -> SampleRate {
        self.to
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

struct Filter {
    engine: Async<f32>,
    taps: usize,
    chunk: usize,
    /// Input that waits for a whole chunk.
    waiting: Vec<f32>,
    filtered: Vec<f32>,
    /// Samples of silence before the stream.
    lead: usize,
    /// Output samples that are the delay of filter and lead.
    delay: usize,
    /// How many of those are still to drop.
    to_drop: usize,
    taken: u64,
    given: u64,
}

impl Filter {
    fn new(from: SampleRate, to: SampleRate) -> Self {
        let (from, to) = (from.hz(), to.hz());
        let phases = (to / gcd(from, to)) as usize;
        let (phases, interpolation) = if phases <= MAX_EXACT_PHASES {
            (phases, SincInterpolationType::Nearest)
        } else {
            (INTERPOLATED_PHASES, SincInterpolationType::Cubic)
        };
        // Going down, the filter must be longer in input samples to cut as sharply at the lower rate.
        let taps = (TAPS * from.max(to) as usize / to as usize).next_multiple_of(8);
        let window = WindowFunction::BlackmanHarris2;
        let parameters = SincInterpolationParameters::new(taps, window)
            .f_cutoff(calculate_cutoff(TAPS, window))
            .oversampling_factor(phases)
            .interpolation(interpolation);
        let chunk = (from / STEPS_PER_SECOND) as usize;
        let ratio = f64::from(to) / f64::from(from);
        let engine = Async::new_sinc(ratio, 1.0, &parameters, chunk, 1, FixedAsync::Input)
            // rubato refuses only ratios that are not positive and finite, and chunks of 0: 8 to 48 kHz gives neither.
            .expect("a ratio of two checked rates");
        let filtered = vec![0.0; engine.output_frames_max()];
        let (lead, delay) = align(taps, phases, ratio);
        let mut waiting = Vec::with_capacity(chunk);
        waiting.resize(lead, 0.0);
        Self { engine, taps, chunk, waiting, filtered, lead, delay, to_drop: delay, taken: 0, given: 0 }
    }

    fn push_into(&mut self, mut samples: &[i16], out: &mut Vec<i16>) {
        self.taken += samples.len() as u64;
        while !samples.is_empty() {
            let room = self.chunk - self.waiting.len();
            let (now, rest) = samples.split_at(room.min(samples.len()));
            self.waiting.extend(now.iter().map(|&s| f32::from(s)));
            samples = rest;
            if self.waiting.len() == self.chunk {
                self.run(u64::MAX, out);
            }
        }
    }

    fn finish_into(&mut self, from: SampleRate, to: SampleRate, out: &mut Vec<i16>) {
        let (from, to) = (u128::from(from.hz()), u128::from(to.hz()));
        let total = ((u128::from(self.taken) * to + from / 2) / from) as u64;
        // Each round feeds one chunk of silence; the filter holds no more than its own length.
        for _ in 0..=(2 * self.taps / self.chunk + 2) {
            if self.given >= total {
                break;
            }
            self.waiting.resize(self.chunk, 0.0);
            self.run(total, out);
        }
        self.engine.reset();
        self.waiting.clear();
        self.waiting.resize(self.lead, 0.0);
        self.to_drop = self.delay;
        (self.taken, self.given) = (0, 0);
    }

    /// Filters one chunk and appends its output, but never more than `total` samples since the start.
    fn run(&mut self, total: u64, out: &mut Vec<i16>) {
        let room = self.filtered.len();
        let count = match (
            SequentialSlice::new(&self.waiting[..], 1, self.chunk),
            SequentialSlice::new_mut(&mut self.filtered[..], 1, room),
        ) {
            (Ok(input), Ok(mut output)) => {
                self.engine.process_into_buffer(&input, &mut output, None).map_or(0, |(_, count)| count)
            }
            _ => 0,
        };
        self.waiting.clear();
        let dropped = self.to_drop.min(count);
        self.to_drop -= dropped;
        let left = usize::try_from(total - self.given).unwrap_or(usize::MAX);
        let kept = (count - dropped).min(left);
        self.given += kept as u64;
        out.extend(self.filtered[dropped..dropped + kept].iter().map(|s| s.round() as i16));
    }
}

/// How much silence to put before a stream and how many output samples to drop, so that positions match.
///
/// rubato's output number `k` is centred on the input at `(k + 1) / ratio + 1 / phases - taps / 2`: its first step comes
/// before its first output, and its phases are counted from one. The delay that follows is seldom a whole number of
/// samples; a few samples of lead make it nearly so.
fn align(taps: usize, phases: usize, ratio: f64) -> (usize, usize) {
    let delay = |lead: usize| (taps as f64 / 2.0 + lead as f64 - 1.0 / phases as f64) * ratio - 1.0;
    let off = |lead: usize| (delay(lead) - delay(lead).round()).abs();
    // Thousandths are enough; of equal ones the shortest lead.
    let lead = (0..=MAX_LEAD).min_by_key(|&lead| (off(lead) * 1_000.0) as u32).unwrap_or(0);
    (lead, delay(lead).round() as usize)
}

const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).expect("in range")
    }

    fn tone(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let step = hz * std::f64::consts::TAU / f64::from(rate);
        (0..samples).map(|i| (10_000.0 * (i as f64 * step).sin()).round() as i16).collect()
    }

    fn convert(from: u32, to: u32, samples: &[i16]) -> Vec<i16> {
        let mut resampler = Resampler::new(rate(from), rate(to));
        let mut out = Vec::new();
        resampler.push_into(samples, &mut out);
        resampler.finish_into(&mut out);
        out
    }

    fn pairs() -> impl Iterator<Item = (u32, u32)> {
        let inward = RATES.into_iter().map(|from| (from, 16_000));
        let odd = [(8_001, 16_000), (47_999, 16_000), (37_800, 16_000)];
        let outward =
            [22_050, 24_000].into_iter().flat_map(|f| [8_000, 16_000, 24_000, 48_000].map(|t| (f, t)));
        inward.chain(odd).chain(outward)
    }

    #[test]
    fn output_lasts_as_long_as_input() {
        for (from, to) in pairs() {
            for samples in [0usize, 1, 7, 160, 1_000, 48_001] {
                let expected = (samples as u64 * u64::from(to) * 2 + u64::from(from)) / (2 * u64::from(from));
                let got = convert(from, to, &vec![500; samples]).len();
                assert_eq!(got as u64, expected, "{from} to {to}, {samples} samples");
            }
        }
    }

    #[test]
    fn a_click_stays_where_it_is() {
        for (from, to) in pairs() {
            for at_ms in [5u32, 137, 480] {
                let mut samples = vec![0; from as usize / 2];
                samples[(from * at_ms / 1_000) as usize] = 30_000;
                let out = convert(from, to, &samples);
                let loudest =
                    out.iter().enumerate().max_by_key(|(_, s)| s.unsigned_abs()).expect("samples").0;
                let off = loudest as f64 * 1_000.0 / f64::from(to) - f64::from(at_ms);
                assert!(off.abs() < 0.25, "{from} to {to}: the click at {at_ms} ms moved by {off} ms");
            }
        }
    }

    #[test]
    fn any_split_gives_the_same_samples() {
        for (from, to) in [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (22_050, 48_000)] {
            let samples = tone(440.0, from, from as usize / 5);
            let whole = convert(from, to, &samples);
            for size in [1usize, 3, 160, 441, 1_000] {
                let mut resampler = Resampler::new(rate(from), rate(to));
                let mut out = Vec::new();
                samples.chunks(size).for_each(|part| resampler.push_into(part, &mut out));
                resampler.finish_into(&mut out);
                assert_eq!(out, whole, "{from} to {to} in parts of {size}");
            }
        }
    }

    #[test]
    fn a_tone_keeps_its_level_shape_and_place() {
        for (from, to) in pairs() {
            let out = convert(from, to, &tone(1_000.0, from, from as usize));
            // The best sine of that pitch: its size, its shift, and what is left over.
            let step = 1_000.0 * std::f64::consts::TAU / f64::from(to);
            let middle = &out[to as usize / 4..][..to as usize / 2];
            let (mut sin, mut cos) = (0.0, 0.0);
            for (i, &sample) in middle.iter().enumerate() {
                let (s, c) = ((i + to as usize / 4) as f64 * step).sin_cos();
                sin += f64::from(sample) * s * 2.0 / middle.len() as f64;
                cos += f64::from(sample) * c * 2.0 / middle.len() as f64;
            }
            let left: f64 = middle
                .iter()
                .enumerate()
                .map(|(i, &sample)| {
                    let (s, c) = ((i + to as usize / 4) as f64 * step).sin_cos();
                    (f64::from(sample) - sin * s - cos * c).powi(2)
                })
                .sum::<f64>()
                / middle.len() as f64;
            let size = sin.hypot(cos);
            assert!((9_950.0..10_050.0).contains(&size), "{from} to {to}: size {size}");
            let shift = cos.atan2(sin) / step;
            assert!(shift.abs() < 0.1, "{from} to {to}: shifted by {shift} samples");
            let ratio = 10.0 * (size * size / 2.0 / left).log10();
            assert!(ratio > 50.0, "{from} to {to}: signal over error {ratio} dB");
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_removed() {
        for from in [24_000, 32_000, 44_100, 48_000] {
            let out = convert(from, 16_000, &tone(10_000.0, from, from as usize));
            let loudest = out[2_000..14_000].iter().map(|s| s.unsigned_abs()).max().expect("samples");
            assert!(loudest < 30, "10 kHz at {from} Hz came through at {loudest}");
        }
    }

    #[test]
    fn a_finished_resampler_starts_anew() {
        let samples = tone(300.0, 48_000, 5_000);
        let mut resampler = Resampler::new(rate(48_000), rate(16_000));
        let mut runs = [Vec::new(), Vec::new()];
        for out in &mut runs {
            resampler.push_into(&samples, out);
            resampler.finish_into(out);
        }
        assert_eq!(runs[0], runs[1]);
    }

    #[test]
    fn no_more_than_the_stated_delay_stays_inside() {
        for (from, to) in pairs() {
            let mut resampler = Resampler::new(rate(from), rate(to));
            let mut out = Vec::new();
            resampler.push_into(&vec![100; from as usize], &mut out);
            let inside = Duration::from_secs(1).saturating_sub(rate(to).duration_of(out.len() as u64));
            assert!(inside <= resampler.delay(), "{from} to {to}: {inside:?} over {:?}", resampler.delay());
            assert!(resampler.delay() < Duration::from_millis(8));
        }
    }

    #[test]
    fn equal_rates_pass_untouched() {
        let samples = tone(440.0, 16_000, 777);
        assert_eq!(convert(16_000, 16_000, &samples), samples);
    }
}
