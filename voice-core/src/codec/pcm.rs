//! Plain samples of every width to signed 16-bit, and back to bytes.
//!
//! All multi-byte codings are little-endian, as in WAV and on the voice socket. Wider samples are rounded, floats
//! beyond full scale are clipped, not-a-number is silence. Callers: `ingress::wav`, `ingress::raw`, playout.

use super::g711;

/// How one sample of one channel is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SampleCoding {
    /// Unsigned 8-bit, silence at 128.
    U8,
    /// Signed 16-bit.
    S16,
    /// Signed 24-bit in three bytes.
    S24,
    /// Signed 32-bit.
    S32,
    /// 32-bit float, full scale at 1.
    F32,
    /// 64-bit float, full scale at 1.
    F64,
    /// G.711 mu-law.
    Ulaw,
    /// G.711 A-law.
    Alaw,
}

impl SampleCoding {
    /// Bytes of one sample of one channel.
    pub const fn width(self) -> usize {
        match self {
            Self::U8 | Self::Ulaw | Self::Alaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Decodes whole samples and appends them to `out`; bytes of an incomplete last sample are left out.
    pub fn decode_into(self, bytes: &[u8], out: &mut Vec<i16>) {
        match self {
            Self::U8 => out.extend(bytes.iter().map(|&b| (i16::from(b) - 128) << 8)),
            Self::Ulaw => out.extend(bytes.iter().map(|&b| g711::decode_ulaw(b))),
            Self::Alaw => out.extend(bytes.iter().map(|&b| g711::decode_alaw(b))),
            Self::S16 => out.extend(bytes.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b))),
            Self::S24 => {
                let wide = |&[a, b, c]: &[u8; 3]| i32::from_le_bytes([0, a, b, c]);
                out.extend(bytes.as_chunks().0.iter().map(|b| narrow(wide(b))));
            }
            Self::S32 => out.extend(bytes.as_chunks().0.iter().map(|&b| narrow(i32::from_le_bytes(b)))),
            Self::F32 => {
                out.extend(bytes.as_chunks().0.iter().map(|&b| from_unit(f32::from_le_bytes(b).into())));
            }
            Self::F64 => out.extend(bytes.as_chunks().0.iter().map(|&b| from_unit(f64::from_le_bytes(b)))),
        }
    }
}

/// Appends samples as signed 16-bit little-endian bytes.
pub fn encode_s16_into(samples: &[i16], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + samples.len() * 2, 0);
    for (bytes, sample) in out[from..].as_chunks_mut::<2>().0.iter_mut().zip(samples) {
        *bytes = sample.to_le_bytes();
    }
}

/// Averages pairs of interleaved samples in place; an odd last sample is dropped.
pub fn mix_stereo(samples: &mut Vec<i16>) {
    let frames = samples.len() / 2;
    for frame in 0..frames {
        let sum = i32::from(samples[2 * frame]) + i32::from(samples[2 * frame + 1]);
        samples[frame] = (sum >> 1) as i16;
    }
    samples.truncate(frames);
}

/// The upper 16 bits, rounded.
fn narrow(sample: i32) -> i16 {
    (sample.saturating_add(0x8000) >> 16) as i16
}

/// A float with full scale at 1 as 16 bits. `as` saturates and turns not-a-number into 0.
fn from_unit(sample: f64) -> i16 {
    (sample * 32_768.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(coding: SampleCoding, bytes: &[u8]) -> Vec<i16> {
        let mut out = Vec::new();
        coding.decode_into(bytes, &mut out);
        out
    }

    #[test]
    fn every_width_gives_the_same_sample() {
        let value = -12_345i16;
        let wide = i32::from(value) << 16;
        let unit = f64::from(value) / 32_768.0;
        assert_eq!(decode(SampleCoding::S16, &value.to_le_bytes()), [value]);
        assert_eq!(decode(SampleCoding::S24, &wide.to_le_bytes()[1..]), [value]);
        assert_eq!(decode(SampleCoding::S32, &wide.to_le_bytes()), [value]);
        assert_eq!(decode(SampleCoding::F32, &(unit as f32).to_le_bytes()), [value]);
        assert_eq!(decode(SampleCoding::F64, &unit.to_le_bytes()), [value]);
        assert_eq!(decode(SampleCoding::U8, &[0, 128, 255]), [-32_768, 0, 32_512]);
    }

    #[test]
    fn floats_beyond_full_scale_clip_and_nonsense_is_silent() {
        let bytes: Vec<u8> =
            [2.0f32, -2.0, f32::NAN, f32::INFINITY].iter().flat_map(|s| s.to_le_bytes()).collect();
        assert_eq!(decode(SampleCoding::F32, &bytes), [32_767, -32_768, 0, 32_767]);
        assert_eq!(decode(SampleCoding::S32, &i32::MAX.to_le_bytes()), [32_767]);
    }

    #[test]
    fn an_incomplete_last_sample_is_left_out() {
        assert_eq!(decode(SampleCoding::S16, &[1, 0, 9]), [1]);
        assert_eq!(decode(SampleCoding::S24, &[0, 1, 0, 9, 9]), [1]);
    }

    #[test]
    fn stereo_is_averaged_without_overflow() {
        let mut samples = vec![32_767, 32_767, -32_768, -32_768, 100, -100, 7];
        mix_stereo(&mut samples);
        assert_eq!(samples, [32_767, -32_768, 0]);
    }

    #[test]
    fn bytes_out_are_bytes_in() {
        let samples = [0i16, 1, -1, 32_767, -32_768];
        let mut bytes = Vec::new();
        encode_s16_into(&samples, &mut bytes);
        assert_eq!(decode(SampleCoding::S16, &bytes), samples);
    }
}
