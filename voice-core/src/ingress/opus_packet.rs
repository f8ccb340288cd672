//! The outside of an Opus packet: how long it plays and whether its frames add up (RFC 6716, section 3).
//!
//! Nothing is decoded here. Containers need durations to keep time, and a packet that breaks these rules is noise that
//! must not reach the decoder.

/// Longest packet, in samples at 48 kHz: 120 ms (RFC 6716, 3.2.5, R5).
pub(super) const MAX_DURATION_48K: u32 = 5_760;

/// Longest frame inside a packet, in bytes (RFC 6716, 3.2.1, R2).
const MAX_FRAME_BYTES: usize = 1_275;

/// What a valid packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketShape {
    /// How many frames it holds, 1 to 48.
    pub(super) frames: u32,
    /// How long all of them play, in samples at 48 kHz.
    pub(super) duration_48k: u32,
}

/// Checks a packet against the rules of RFC 6716, 3.4. `None`: it is not Opus.
pub(super) fn parse(packet: &[u8]) -> Option<PacketShape> {
    let (&toc, rest) = packet.split_first()?;
    let duration_48k = duration_48k(toc, rest.first().copied())?;
    let frames = duration_48k / frame_48k(toc);
    let valid = match toc & 3 {
        0 => rest.len() <= MAX_FRAME_BYTES,
        1 => rest.len() % 2 == 0 && rest.len() / 2 <= MAX_FRAME_BYTES,
        2 => {
            let (first, used) = frame_length(rest)?;
            let second = rest.len().checked_sub(first + used)?;
            second <= MAX_FRAME_BYTES
        }
        _ => frames_add_up(rest, frames as usize)?,
    };
    valid.then_some(PacketShape { frames, duration_48k })
}

/// How long a packet plays by its first byte and, for many frames, its second. `None`: no packet begins so.
pub(super) fn duration_48k(toc: u8, second: Option<u8>) -> Option<u32> {
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(second? & 0x3F),
    };
    let duration = frames * frame_48k(toc);
    (frames > 0 && duration <= MAX_DURATION_48K).then_some(duration)
}

/// How long a packet claims to play, whether or not it can be decoded; 0 where nothing tells.
pub(super) fn claimed_48k(packet: &[u8]) -> u32 {
    packet.first().and_then(|&toc| duration_48k(toc, packet.get(1).copied())).unwrap_or(0)
}

/// Duration of one frame by the configuration in the TOC byte (RFC 6716, table 2).
fn frame_48k(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        12..=15 => 480 << (config & 1),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << (config & 3),
    }
}

/// Checks a packet of code 3, after its TOC byte (RFC 6716, 3.2.5).
fn frames_add_up(rest: &[u8], frames: usize) -> Option<bool> {
    let (&count, mut rest) = rest.split_first()?;
    if count & 0x40 != 0 {
        let mut padding = 0usize;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            padding += if byte == 255 { 254 } else { usize::from(byte) };
            if byte != 255 {
                break;
            }
        }
        rest = &rest[..rest.len().checked_sub(padding)?];
    }
    if count & 0x80 == 0 {
        return Some(rest.len() % frames == 0 && rest.len() / frames <= MAX_FRAME_BYTES);
    }
    let mut coded = 0;
    for _ in 1..frames {
        let (length, used) = frame_length(rest)?;
        rest = &rest[used..];
        coded += length;
    }
    Some(rest.len().checked_sub(coded)? <= MAX_FRAME_BYTES)
}

/// A frame's length in one or two bytes (RFC 6716, 3.2.1), and how many bytes it took.
fn frame_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes {
        [first @ 0..=251, ..] => Some((first.into(), 1)),
        [first, second, ..] => Some((usize::from(first) + 4 * usize::from(second), 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(frames: u32, duration_48k: u32) -> Option<PacketShape> {
        Some(PacketShape { frames, duration_48k })
    }

    #[test]
    fn every_configuration_has_its_duration() {
        let silk = [480, 960, 1_920, 2_880];
        let celt = [120, 240, 480, 960];
        for config in 0..32u8 {
            let expected = match config {
                0..=11 => silk[usize::from(config % 4)],
                12..=15 => [480, 960][usize::from(config % 2)],
                _ => celt[usize::from(config % 4)],
            };
            assert_eq!(parse(&[config << 3, 1, 2, 3]), shape(1, expected), "configuration {config}");
        }
    }

    #[test]
    fn packets_of_two_and_more_frames_are_measured_and_checked() {
        assert_eq!(parse(&[0xF9, 1, 2]), shape(2, 1_920));
        assert_eq!(parse(&[0xF9, 1]), None, "two equal frames of half a byte");
        assert_eq!(parse(&[0xFA, 1, 7, 8, 9]), shape(2, 1_920));
        assert_eq!(parse(&[0xFA, 9, 7]), None, "a first frame longer than the packet");
        assert_eq!(parse(&[0xFB, 3, 1, 2, 3]), shape(3, 2_880), "Chromium's packets");
        assert_eq!(parse(&[0xFB, 3, 1, 2]), None, "three equal frames in two bytes");
        assert_eq!(parse(&[0xFB, 0x83, 1, 1, 7, 8, 9]), shape(3, 2_880));
        assert_eq!(parse(&[0xFB, 0x83, 1, 9, 7]), None);
        assert_eq!(parse(&[0xFB, 0x41, 2, 7, 0, 0]), shape(1, 960), "with padding");
        assert_eq!(parse(&[0xFB, 0x41, 9, 7, 0]), None, "more padding than packet");
        assert_eq!(parse(&[0xFB, 7]), None, "140 ms");
        assert_eq!(parse(&[0xFB, 0]), None, "no frames");
        assert_eq!(parse(&[0xFB]), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0xE3, 48]), shape(48, 5_760), "48 empty frames of 2.5 ms");
    }

    #[test]
    fn silence_of_one_byte_is_a_packet() {
        assert_eq!(parse(&[0x08]), shape(1, 960));
    }

    #[test]
    fn what_the_decoder_takes_and_what_is_valid_here_agree() {
        let mut decoder = crate::codec::OpusDecoder::new(0).expect("decoder");
        let mut seed = 1u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = 1 + (seed >> 24) as usize % 12;
            let packet: Vec<u8> = (0..length as u32)
                .map(|i| (seed.rotate_left(i * 5).wrapping_mul(0x9E37_79B9) >> 24) as u8)
                .collect();
            let decoded = decoder.decode(&packet).ok().map(<[i16]>::len);
            let measured = parse(&packet).map(|shape| shape.duration_48k as usize / 3);
            assert_eq!(decoded, measured, "{packet:02x?}");
        }
    }
}
