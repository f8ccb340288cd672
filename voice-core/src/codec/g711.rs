//! G.711: the two companded 8-bit codings of telephones.
//!
//! ITU-T G.711 defines mu-law (North America, Japan) and A-law (elsewhere). Decoding is one look into a table of 256
//! that the compiler fills; encoding counts leading zeros. Every byte is valid, so nothing here can fail.

/// Bias that mu-law adds to a magnitude before it looks for the segment, on the 16-bit scale.
const ULAW_BIAS: i32 = 0x84;
/// Largest magnitude that mu-law can code, on the 16-bit scale.
const ULAW_CLIP: i32 = 32_635;

static ULAW: [i16; 256] = ulaw_table();
static ALAW: [i16; 256] = alaw_table();

/// The sample that a mu-law byte stands for.
pub fn decode_ulaw(byte: u8) -> i16 {
    ULAW[usize::from(byte)]
}

/// The sample that an A-law byte stands for.
pub fn decode_alaw(byte: u8) -> i16 {
    ALAW[usize::from(byte)]
}

/// The mu-law byte nearest to a sample.
pub fn encode_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(ULAW_CLIP) + ULAW_BIAS;
    // The bias makes bit 7 the lowest possible top bit, and the clip makes bit 14 the highest.
    let segment = (magnitude.ilog2() - 7) as i32;
    let step = (magnitude >> (segment + 3)) & 0x0F;
    // G.711 sends mu-law with all bits inverted.
    !(sign | (segment << 4) as u8 | step as u8)
}

/// The A-law byte nearest to a sample.
pub fn encode_alaw(sample: i16) -> u8 {
    // Negative samples are mirrored with one off, so that -1 and 0 fall into the innermost steps of each sign.
    let (sign, magnitude) =
        if sample >= 0 { (0x80u8, i32::from(sample)) } else { (0, -1 - i32::from(sample)) };
    let coded = if magnitude < 256 {
        magnitude >> 4
    } else {
        let segment = magnitude.ilog2() as i32 - 7;
        (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)
    };
    // G.711 sends A-law with every other bit inverted.
    (sign | coded as u8) ^ 0x55
}

/// Encodes samples as mu-law, appended to `out`.
pub fn encode_ulaw_into(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|&s| encode_ulaw(s)));
}

/// Encodes samples as A-law, appended to `out`.
pub fn encode_alaw_into(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|&s| encode_alaw(s)));
}

const fn ulaw_table() -> [i16; 256] {
    let mut table = [0i16; 256];
    let mut byte = 0;
    while byte < 256 {
        let bits = !(byte as u8);
        let segment = ((bits >> 4) & 7) as i32;
        let magnitude = (((((bits & 0x0F) as i32) << 3) + ULAW_BIAS) << segment) - ULAW_BIAS;
        table[byte] = if bits & 0x80 == 0 { magnitude as i16 } else { -magnitude as i16 };
        byte += 1;
    }
    table
}

const fn alaw_table() -> [i16; 256] {
    let mut table = [0i16; 256];
    let mut byte = 0;
    while byte < 256 {
        let bits = byte as u8 ^ 0x55;
        let segment = ((bits >> 4) & 7) as i32;
        // Each step is represented by its middle: half a step of 16 is 8.
        let middle = (((bits & 0x0F) as i32) << 4) + 8;
        let magnitude = if segment == 0 { middle } else { (middle + 0x100) << (segment - 1) };
        table[byte] = if bits & 0x80 != 0 { magnitude as i16 } else { -magnitude as i16 };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=255u8 {
            // Mu-law has two zeros; the negative one comes back as the positive one.
            let ulaw = if byte == 0x7F { 0xFF } else { byte };
            assert_eq!(encode_ulaw(decode_ulaw(byte)), ulaw, "mu-law {byte:#x}");
            assert_eq!(encode_alaw(decode_alaw(byte)), byte, "A-law {byte:#x}");
        }
    }

    #[test]
    fn extremes_are_those_of_the_standard() {
        assert_eq!((decode_ulaw(0x80), decode_ulaw(0x00), decode_ulaw(0xFF)), (32_124, -32_124, 0));
        assert_eq!((decode_alaw(0xAA), decode_alaw(0x2A), decode_alaw(0xD5)), (32_256, -32_256, 8));
    }

    #[test]
    fn every_sample_comes_back_within_its_step() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = f64::from(sample).abs();
            let allowed = (magnitude / 16.0).max(16.0) + if magnitude > 32_000.0 { 700.0 } else { 0.0 };
            for back in [decode_ulaw(encode_ulaw(sample)), decode_alaw(encode_alaw(sample))] {
                assert!((f64::from(back) - f64::from(sample)).abs() <= allowed, "{sample} became {back}");
            }
        }
    }
}
