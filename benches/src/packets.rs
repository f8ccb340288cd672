//! Speech as 20 ms Opus packets, bare and in WebM as a browser's recorder sends it: one block a message.

use std::io;

use opus::{Application, Channels, Encoder};

use crate::recorded;

/// Packets of a caller's question, each of 20 ms at 48 kHz mono and 32 kbit/s.
///
/// # Errors
/// The recording is missing, or libopus refuses.
pub fn speech() -> io::Result<Vec<Vec<u8>>> {
    let samples = recorded::decode(&voice_fixtures::read("questions", "q01.ogg")?)?;
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Audio).map_err(io::Error::other)?;
    encoder.set_bitrate(opus::Bitrate::Bits(32_000)).map_err(io::Error::other)?;
    let wide = tripled(&samples);
    wide.chunks_exact(960).map(|frame| encoder.encode_vec(frame, 1_276).map_err(io::Error::other)).collect()
}

/// 16 kHz to 48 kHz along straight lines.
fn tripled(samples: &[i16]) -> Vec<i16> {
    let mut wide = Vec::with_capacity(samples.len() * 3);
    let mut last = 0;
    for &sample in samples {
        let (from, to) = (i32::from(last), i32::from(sample));
        wide.extend([(2 * from + to) / 3, (from + 2 * to) / 3, to].map(|s| s as i16));
        last = sample;
    }
    wide
}

/// Messages of a WebM recording: the header, then clusters of a second with one block in each message.
pub fn webm(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut messages = vec![header()];
    for (k, packet) in packets.iter().enumerate() {
        let mut message = Vec::new();
        if k % PER_CLUSTER == 0 {
            open(CLUSTER, &mut message);
            element(TIMECODE, &((k * 20) as u32).to_be_bytes(), &mut message);
        }
        let mut block = vec![0x81];
        block.extend((((k % PER_CLUSTER) * 20) as i16).to_be_bytes());
        block.push(0x80);
        block.extend(packet);
        element(SIMPLE_BLOCK, &block, &mut message);
        messages.push(message);
    }
    messages
}

const PER_CLUSTER: usize = 50;
const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const TIMECODE: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;

fn header() -> Vec<u8> {
    let mut out = Vec::new();
    let mut kind = Vec::new();
    element(0x4282, b"webm", &mut kind);
    element(EBML, &kind, &mut out);
    open(SEGMENT, &mut out);

    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend(312_u16.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    head.extend([0; 3]);
    let mut audio = Vec::new();
    element(0xB5, &48_000_f32.to_be_bytes(), &mut audio);
    element(0x9F, &[1], &mut audio);
    let mut entry = Vec::new();
    element(0xD7, &[1], &mut entry);
    element(0x73C5, &[1], &mut entry);
    element(0x83, &[2], &mut entry);
    element(0x86, b"A_OPUS", &mut entry);
    element(0x63A2, &head, &mut entry);
    element(0xE1, &audio, &mut entry);
    let mut tracks = Vec::new();
    element(0xAE, &entry, &mut tracks);
    element(TRACKS, &tracks, &mut out);
    out
}

fn id(id: u32, out: &mut Vec<u8>) {
    out.extend(id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0));
}

/// An element of unknown size, as recorders write what they have not finished.
fn open(name: u32, out: &mut Vec<u8>) {
    id(name, out);
    out.extend([0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
}

/// An element; its size takes two bytes.
fn element(name: u32, payload: &[u8], out: &mut Vec<u8>) {
    id(name, out);
    out.extend((0x4000 | payload.len() as u16).to_be_bytes());
    out.extend(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_hears_every_packet_of_the_recording() {
        let packets = speech().expect("fixtures");
        assert!(packets.len() > 300);
        let heard = recorded::decode(&webm(&packets).concat()).expect("a recording");
        let sent = packets.len() * 320;
        assert!((sent - 320..=sent).contains(&heard.len()), "{} of {sent} samples", heard.len());
        assert!(heard.iter().any(|sample| sample.unsigned_abs() > 3_000));
    }
}
