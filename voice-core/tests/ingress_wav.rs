//! WAV: every coding, lying lengths, odd chunks.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Heard, assert_any_split_is_the_same, hear_whole, hear_with, likeness, opus_packets, rms, voice, wav, webm,
};
use voice_core::codec::g711;
use voice_core::ingress::{Ingress, IngressError, Limits};

fn coded(tag: u16, bits: u16, channels: u16, data: &[u8]) -> Heard {
    hear_whole(&wav::file(&[wav::format(tag, channels, 16_000, bits)], data.len() as u32, data))
}

#[test]
fn every_coding_gives_the_samples() {
    let samples = voice(16_000, 0.1);
    let each = |f: &dyn Fn(i16) -> Vec<u8>| samples.iter().flat_map(|&s| f(s)).collect::<Vec<u8>>();
    coded(1, 16, 1, &wav::s16(&samples)).assert_is(&samples);
    coded(1, 24, 1, &each(&|s| (i32::from(s) << 8).to_le_bytes()[..3].to_vec())).assert_is(&samples);
    coded(1, 32, 1, &each(&|s| (i32::from(s) << 16).to_le_bytes().to_vec())).assert_is(&samples);
    coded(3, 32, 1, &each(&|s| (f32::from(s) / 32_768.0).to_le_bytes().to_vec())).assert_is(&samples);
    coded(3, 64, 1, &each(&|s| (f64::from(s) / 32_768.0).to_le_bytes().to_vec())).assert_is(&samples);
    let rough = |f: fn(i16) -> i16| samples.iter().map(|&s| f(s)).collect::<Vec<i16>>();
    coded(1, 8, 1, &each(&|s| vec![((s >> 8) + 128) as u8])).assert_is(&rough(|s| s >> 8 << 8));
    coded(7, 8, 1, &each(&|s| vec![g711::encode_ulaw(s)]))
        .assert_is(&rough(|s| g711::decode_ulaw(g711::encode_ulaw(s))));
    coded(6, 8, 1, &each(&|s| vec![g711::encode_alaw(s)]))
        .assert_is(&rough(|s| g711::decode_alaw(g711::encode_alaw(s))));
}

#[test]
fn stereo_is_mixed() {
    let left = voice(16_000, 0.1);
    let both: Vec<i16> = left.iter().flat_map(|&s| [s, s / 3]).collect();
    let mixed: Vec<i16> = left.iter().map(|&s| ((i32::from(s) + i32::from(s / 3)) >> 1) as i16).collect();
    coded(1, 16, 2, &wav::s16(&both)).assert_is(&mixed);
}

#[test]
fn an_extensible_header_is_understood() {
    let samples = voice(16_000, 0.05);
    let mut body = wav::format(0xFFFE, 1, 16_000, 16)[8..].to_vec();
    body.extend([22, 0, 16, 0, 4, 0, 0, 0]);
    body.extend([1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    let data = wav::s16(&samples);
    hear_whole(&wav::file(&[wav::chunk(b"fmt ", &body)], data.len() as u32, &data)).assert_is(&samples);
}

#[test]
fn a_length_of_nothing_or_too_much_lasts_until_the_bytes_end() {
    let samples = voice(16_000, 0.11);
    for stated in [0, u32::MAX, 0x7FFF_FF00, 50_000] {
        let heard = hear_whole(&wav::file(&[wav::format(1, 1, 16_000, 16)], stated, &wav::s16(&samples)));
        heard.assert_is(&samples);
        assert_eq!(heard.ends, [6], "{stated}");
    }
}

#[test]
fn audio_behind_a_stale_length_is_heard_at_every_split_point() {
    let samples = voice(16_000, 0.05);
    // The stated end cuts a frame, a sample, or comes at once.
    for stated in [640u32, 1_000, 641, 2] {
        let file = wav::file(&[wav::format(1, 1, 16_000, 16)], stated, &wav::s16(&samples));
        let heard = assert_any_split_is_the_same(&file);
        assert_eq!(heard.error, None, "{stated}");
        let whole = stated as usize / 2;
        let first = whole.next_multiple_of(320);
        assert_eq!(heard.ends[0] * 320, first, "the stated end is told at once");
        assert_eq!(&heard.samples[..whole], &samples[..whole]);
        let rest = &samples[(stated as usize).div_ceil(2)..];
        assert_eq!(&heard.samples[first..first + rest.len()], rest, "{stated}");
        assert_eq!(heard.ends, [first / 320, (first + rest.len()).div_ceil(320)]);
    }
}

#[test]
fn megabytes_behind_a_stale_length_are_heard_and_then_the_next_file() {
    let samples = voice(48_000, 20.0);
    let mut stream = wav::file(&[wav::format(1, 2, 48_000, 16)], 19_200, &wav::s16(&samples));
    assert!(stream.len() > 1_900_000);
    stream.extend(wav::mono16(16_000, &voice(16_000, 0.1)));
    let heard = hear_whole(&stream);
    assert_eq!((heard.error.clone(), heard.ends), (None, vec![5, 500, 505]));
}

#[test]
fn what_follows_the_data_is_told_apart() {
    let samples = voice(16_000, 0.04);
    let (packets, _) = opus_packets(0.1);
    let recording = webm::messages(&packets, 20, 5, 1, 0).concat();
    let plain = wav::mono16(16_000, &samples);
    let mut odd = wav::file(&[wav::format(7, 1, 16_000, 8)], 641, &[0x11; 641]);
    odd.push(0);
    // A known name is believed whatever its size; any other needs a size that can be passed over.
    let picture = wav::chunk(b"id3 ", &vec![5; 3 << 20]);
    let own = wav::chunk(b"ownr", &[9; 301]);
    for (file, ends) in [
        ([&plain[..], &picture].concat(), vec![2]),
        ([&plain[..], &own, &picture].concat(), vec![2]),
        ([&odd[..], &own, &plain].concat(), vec![3, 5]),
        ([&odd[..odd.len() - 1], &own, &plain].concat(), vec![3, 5]),
        ([&odd[..], &recording].concat(), vec![3, 8]),
        ([&plain[..], b"\r\n"].concat(), vec![2]),
    ] {
        let heard = hear_whole(&file);
        assert_eq!((heard.error, heard.ends), (None, ends));
    }
}

#[test]
fn rf64_takes_its_length_from_its_own_chunk() {
    let samples = voice(16_000, 0.04);
    let mut sizes = [0; 28];
    sizes[8..16].copy_from_slice(&(samples.len() as u64 * 2).to_le_bytes());
    let chunks = [wav::chunk(b"ds64", &sizes), wav::format(1, 1, 16_000, 16)];
    let mut file = wav::file(&chunks, u32::MAX, &wav::s16(&samples));
    file[..4].copy_from_slice(b"RF64");
    file.extend(wav::chunk(b"LIST", &[1; 400]));
    hear_whole(&file).assert_is(&samples);
}

#[test]
fn chunks_before_and_after_the_data_are_skipped_with_their_padding() {
    let samples = voice(16_000, 0.04);
    let data = wav::s16(&samples);
    let chunks = [
        wav::chunk(b"JUNK", &[1; 27]),
        wav::format(1, 1, 16_000, 16),
        wav::chunk(b"fact", &[0; 4]),
        wav::chunk(b"LIST", &[7; 301]),
    ];
    let mut file = wav::file(&chunks, data.len() as u32, &data);
    file.extend(wav::chunk(b"id3 ", &[9; 333]));
    let heard = hear_whole(&file);
    heard.assert_is(&samples);
    assert_eq!(heard.ends, [2]);
}

#[test]
fn a_large_chunk_before_the_data_is_not_held() {
    let mut ingress = Ingress::sniffing(Limits::default());
    let mut frame = [0; 320];
    let size = 200u32 << 20;
    let mut head = b"RIFF\0\0\0\0WAVEJUNK".to_vec();
    head.extend(size.to_le_bytes());
    ingress.push(&head).unwrap();
    let block = vec![5; 1 << 20];
    for _ in 0..200 {
        ingress.push(&block).unwrap();
        assert_eq!(ingress.poll_frame(&mut frame), Ok(None));
        assert_eq!(ingress.buffered_bytes(), 0);
    }
    ingress.push(&wav::file(&[wav::format(1, 1, 16_000, 16)], 640, &[1; 640])[12..]).unwrap();
    assert!(ingress.poll_frame(&mut frame).unwrap().is_some());
}

#[test]
fn odd_data_ends_at_its_length_and_the_next_file_is_found() {
    let mut one = wav::file(&[wav::format(1, 1, 16_000, 16)], 641, &[0x11; 641]);
    one.push(0);
    let heard = hear_whole(&[one.clone(), one].concat());
    assert_eq!((heard.frames(), heard.ends, heard.error), (2, vec![1, 2], None));
}

#[test]
fn every_rate_lasts_as_long_as_it_did() {
    for rate in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000] {
        let heard = hear_whole(&wav::mono16(rate, &voice(rate, 1.0)));
        assert_eq!(heard.samples.len(), 16_000, "{rate}");
        let (score, shift) = likeness(&heard.samples[2_000..10_000], &voice(16_000, 1.0)[2_000..10_000], 20);
        assert!(score > 0.995 && shift == 0, "{rate}: {score} at {shift}");
    }
}

#[test]
fn what_is_not_taken_is_named() {
    let fails = |tag, channels, rate, bits| {
        let file = wav::file(&[wav::format(tag, channels, rate, bits)], 100, &[0; 100]);
        hear_whole(&file).error.unwrap().to_string()
    };
    assert!(fails(1, 1, 96_000, 16).contains("96000 Hz"));
    assert!(fails(1, 6, 48_000, 16).contains("6 channels"));
    assert!(fails(0x55, 1, 44_100, 16).contains("WAV/MP3"));
    assert!(fails(1, 1, 44_100, 40).contains("PCM 40-bit"));
    let early = wav::file(&[], 100, &[0; 100]);
    assert!(matches!(hear_whole(&early).error, Some(IngressError::Malformed { .. })));
}

#[test]
fn ten_megabytes_in_one_message_stay_bytes_until_they_are_pulled() {
    let file = wav::mono16(48_000, &voice(48_000, 110.0));
    assert!(file.len() > 10 << 20);
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(&file).unwrap();
    let mut frame = [0; 320];
    ingress.poll_frame(&mut frame).unwrap();
    assert!(ingress.buffered_bytes() > file.len() - 8_000, "only what a frame needs is decoded");
    let mut limits = Limits::default();
    limits.queued_bytes = 1_000;
    assert_eq!(
        hear_with(None, limits, [&file[..]]).error,
        Some(IngressError::TooMuchQueued { limit: 1_000 })
    );
}

#[test]
fn the_format_is_told_in_words() {
    let mut ingress = Ingress::sniffing(Limits::default());
    assert_eq!(ingress.format(), None);
    ingress.push(&wav::file(&[wav::format(1, 2, 44_100, 16)], 0, &[0; 8_000])).unwrap();
    ingress.poll_frame(&mut [0; 320]).unwrap();
    assert_eq!(ingress.format().unwrap().to_string(), "WAV/PCM 16-bit, 44.1 kHz stereo");
}

#[test]
fn a_voice_keeps_its_level_through_the_resampler() {
    let heard = hear_whole(&wav::mono16(44_100, &voice(44_100, 1.0)));
    let ratio = rms(&heard.samples) / rms(&voice(16_000, 1.0));
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
}
