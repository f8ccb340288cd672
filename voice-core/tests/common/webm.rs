//! A WebM/Opus muxer for tests, after RFC 8794 and RFC 9559.

use super::ogg::head;

pub const UNKNOWN: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip_while(|&b| b == 0).collect()
}

/// An element with the shortest size of at most two bytes, or of eight.
pub fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let mut out = id_bytes(id);
    match body.len() {
        n @ 0..=126 => out.push(0x80 | n as u8),
        n @ 127..=16_382 => out.extend((0x4000 | n as u16).to_be_bytes()),
        n => out.extend((1u64 << 56 | n as u64).to_be_bytes()),
    }
    out.extend(body);
    out
}

/// The start of an element of unknown size.
pub fn open(id: u32) -> Vec<u8> {
    [id_bytes(id), UNKNOWN.to_vec()].concat()
}

pub fn number(id: u32, value: u64) -> Vec<u8> {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|&b| b == 0).collect();
    element(id, if bytes.is_empty() { &[0] } else { &bytes })
}

pub fn ebml_header() -> Vec<u8> {
    element(0x1A45_DFA3, &[number(0x4286, 1), element(0x4282, b"webm")].concat())
}

pub fn info() -> Vec<u8> {
    element(0x1549_A966, &[number(0x2A_D7B1, 1_000_000), element(0x4D80, b"test")].concat())
}

/// Tracks with one Opus track; `more` goes into its entry.
pub fn tracks(track: u64, pre_skip: u16, gain_q8: i16, more: &[u8]) -> Vec<u8> {
    let entry = [
        number(0xD7, track),
        number(0x73C5, 99),
        number(0x83, 2),
        element(0x86, b"A_OPUS"),
        element(0x63A2, &head(1, pre_skip, gain_q8)),
        element(0xE1, &[element(0xB5, &48_000f32.to_be_bytes()), number(0x9F, 1)].concat()),
        more.to_vec(),
    ]
    .concat();
    element(0x1654_AE6B, &element(0xAE, &entry))
}

/// Header, open Segment, Info, Tracks: how every recording starts.
pub fn start(track: u64, pre_skip: u16) -> Vec<u8> {
    [ebml_header(), open(0x1853_8067), info(), tracks(track, pre_skip, 0, &[])].concat()
}

/// The start of a cluster of unknown size.
pub fn cluster(at_ms: u64) -> Vec<u8> {
    [open(0x1F43_B675), number(0xE7, at_ms)].concat()
}

pub fn block_payload(track: u64, relative: i16, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | track as u8];
    out.extend(relative.to_be_bytes());
    out.push(flags);
    out.extend(body);
    out
}

pub fn simple_block(track: u64, relative: i16, packet: &[u8]) -> Vec<u8> {
    element(0xA3, &block_payload(track, relative, 0x80, packet))
}

/// The body of a laced block: `flags` is 0x02 Xiph, 0x06 EBML, 0x04 fixed.
pub fn lace(flags: u8, frames: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![frames.len() as u8 - 1];
    let coded = &frames[..frames.len() - 1];
    match flags {
        0x02 => {
            for frame in coded {
                out.extend(vec![255; frame.len() / 255]);
                out.push((frame.len() % 255) as u8);
            }
        }
        0x06 => {
            let mut before: Option<i32> = None;
            for frame in coded {
                let length = frame.len() as i32;
                let value = before.map_or(length, |before| length - before + 8_191);
                out.extend((0x4000 | value as u16).to_be_bytes());
                before = Some(length);
            }
        }
        _ => {}
    }
    frames.iter().for_each(|frame| out.extend(*frame));
    out
}

/// A recording's messages as a recorder sends them: the header with the first cluster, then one cluster each.
pub fn messages(
    packets: &[Vec<u8>],
    packet_ms: u64,
    per_message: usize,
    track: u64,
    pre_skip: u16,
) -> Vec<Vec<u8>> {
    packets
        .chunks(per_message)
        .enumerate()
        .map(|(i, group)| {
            let mut out = if i == 0 { start(track, pre_skip) } else { Vec::new() };
            out.extend(cluster(i as u64 * per_message as u64 * packet_ms));
            for (j, packet) in group.iter().enumerate() {
                out.extend(simple_block(track, (j as u64 * packet_ms) as i16, packet));
            }
            out
        })
        .collect()
}

/// Cuts each message where Chromium does: after the ID of the next block.
pub fn cut_inside_elements(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out = messages.to_vec();
    for i in 1..out.len() {
        // Everything up to and including the first SimpleBlock's ID moves to the message before.
        let at = out[i].iter().position(|&b| b == 0xA3).unwrap() + 1;
        let moved: Vec<u8> = out[i].drain(..at).collect();
        out[i - 1].extend(moved);
    }
    out
}
