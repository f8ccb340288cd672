//! Truncated, damaged, random and foreign bytes: named errors, never a panic, always an end.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Chance, hear, hear_whole, ogg, opus_packets, voice, wav, webm};
use voice_core::audio::{Channels, SampleRate};
use voice_core::ingress::{Declared, Ingress, IngressError, Limits, exercise};

fn files() -> [Vec<u8>; 4] {
    let (packets, pre_skip) = opus_packets(0.5);
    let merged: Vec<Vec<u8>> = packets.chunks(3).map(common::merge).collect();
    let recording = webm::messages(&merged, 60, 3, 1, pre_skip).concat();
    [
        wav::mono16(44_100, &voice(44_100, 0.05)),
        ogg::file(&packets, &ogg::Layout { pre_skip, ..Default::default() }),
        recording.clone(),
        [recording.clone(), recording].concat(),
    ]
}

#[test]
fn truncation_at_any_byte_is_survived() {
    for file in files() {
        let whole = hear_whole(&file).frames();
        for cut in 0..file.len() {
            let heard = hear_whole(&file[..cut]);
            assert!(heard.frames() <= whole);
            assert!(heard.error.is_none() || heard.frames() == 0, "cut at {cut}: {:?}", heard.error);
        }
    }
}

#[test]
fn flipped_bits_are_survived() {
    let mut chance = Chance(11);
    for file in files() {
        for _ in 0..400 {
            let mut damaged = file.clone();
            for _ in 0..1 + chance.below(12) {
                let at = chance.below(damaged.len());
                damaged[at] ^= 1 << chance.below(8);
            }
            exercise(None, &[&[200, 90, 255, 31][..], &damaged].concat());
        }
    }
}

#[test]
fn shuffled_lost_and_repeated_messages_are_survived() {
    let mut chance = Chance(12);
    for file in files() {
        for _ in 0..100 {
            let size = 1 + chance.below(400);
            let mut messages: Vec<&[u8]> = file.chunks(size).collect();
            for _ in 0..1 + chance.below(5) {
                let (a, b) = (chance.below(messages.len()), chance.below(messages.len()));
                match chance.below(3) {
                    0 => messages.swap(a, b),
                    1 => messages.insert(a, messages[b]),
                    _ if messages.len() > 1 => {
                        messages.remove(a);
                    }
                    _ => {}
                }
            }
            hear(None, messages);
        }
    }
}

#[test]
fn random_bytes_end_in_every_declared_format_and_after_every_header() {
    let mut chance = Chance(13);
    let rate = SampleRate::new(22_050).unwrap();
    let declared = [
        None,
        Some(Declared::OpusPackets { channels: Channels::Stereo }),
        Some(Declared::Pcm16 { rate, channels: Channels::Stereo }),
        Some(Declared::Alaw { rate, channels: Channels::Mono }),
    ];
    let heads: Vec<Vec<u8>> = vec![
        Vec::new(),
        wav::file(&[wav::format(1, 1, 8_000, 16)], 0, &[]),
        ogg::pages(&[], &ogg::Layout::default()).concat(),
        [webm::start(1, 0), webm::cluster(0)].concat(),
        b"OggS".to_vec(),
        webm::ebml_header(),
    ];
    for round in 0..300 {
        let count = chance.below(3_000);
        let noise = chance.bytes(count);
        let head = &heads[round % heads.len()];
        let data = [&noise[..noise.len().min(4)], head, &noise].concat();
        exercise(declared[round % declared.len()], &data);
        exercise(None, &data);
    }
}

#[test]
fn random_elements_inside_a_cluster_end() {
    let mut chance = Chance(14);
    let (packets, _) = opus_packets(0.2);
    for _ in 0..300 {
        let mut data = [vec![50, 200, 9, 120], webm::start(1, 0), webm::cluster(0)].concat();
        for i in 0..20 {
            let packet = &packets[i % packets.len()];
            match chance.below(6) {
                0 => data.extend(webm::cluster(chance.next() >> chance.below(63))),
                1 => data.extend(webm::simple_block(1, chance.next() as i16, packet)),
                2 => {
                    let flags = chance.next() as u8;
                    let count = chance.below(40);
                    let body = webm::block_payload(1, i as i16 * 20, flags, &chance.bytes(count));
                    data.extend(webm::element(0xA3, &body));
                }
                3 => {
                    let (id, count) = (chance.next() as u32 >> 8, chance.below(60));
                    data.extend(webm::element(id, &chance.bytes(count)));
                }
                4 => {
                    let count = chance.below(30);
                    data.extend(chance.bytes(count));
                }
                _ => data.extend(webm::simple_block(1, i as i16 * 20, packet)),
            }
        }
        exercise(None, &data);
    }
}

#[test]
fn foreign_formats_are_named_with_what_is_accepted() {
    let mp4 = |codec: &[u8]| [b"\0\0\0\x1CftypM4A \0\0\0\0M4A mp42", codec].concat();
    let padded = |bytes: &[u8]| [bytes, &[0; 40]].concat();
    for (bytes, name) in [
        (mp4(b"....mp4a...."), "MP4/AAC"),
        (mp4(b"....Opus...."), "MP4/Opus"),
        (mp4(b""), "MP4/AAC"),
        (padded(b"\0\0\0\x1Cftypisom"), "MP4"),
        (padded(b"ID3\x04"), "MP3"),
        (padded(&[0xFF, 0xFB, 0x90, 0x64]), "MP3"),
        (padded(&[0xFF, 0xF1, 0x50, 0x80]), "AAC"),
        (padded(b"fLaC"), "FLAC"),
        (padded(b"FORM\0\0\0\0AIFF"), "AIFF"),
        (padded(b"caff"), "CAF"),
        (padded(b"#!AMR\n"), "AMR"),
        (padded(b"\x89PNG\r\n\x1a\n"), "a PNG picture"),
        (padded(b"RIFF\0\0\0\0AVI LIST"), "AVI"),
        (b"{\"type\": \"start\", \"in\": \"webm\"}".to_vec(), "JSON"),
        (b"hello, is anybody there?".to_vec(), "text"),
        (b"hi".to_vec(), "text"),
        (b"<!DOCTYPE html><title>no</title>".to_vec(), "HTML"),
        (b"UklGRiQAAABXQVZFZm10IBAAAA".to_vec(), "base64 text of a WAV"),
    ] {
        let error = hear_whole(&bytes).error.unwrap();
        assert_eq!(error, IngressError::Foreign(name));
        let reason = error.close_reason();
        assert!(
            reason.starts_with(&format!("this is {name}; accepted: WAV, WebM/Opus, Ogg/Opus")),
            "{reason}"
        );
        assert!(reason.len() <= 123);
    }
}

#[test]
fn raw_samples_are_not_recognised_and_the_reason_says_what_to_do() {
    let error = hear_whole(&wav::s16(&voice(16_000, 0.1)[100..])).error.unwrap();
    assert_eq!(error, IngressError::Unrecognised);
    assert!(error.close_reason().contains("?in=pcm16"));
}

#[test]
fn every_reason_fits_a_close_frame_between_characters() {
    let long = IngressError::Codec { container: "WebM", codec: "é".repeat(200) };
    assert!(long.close_reason().len() <= 123 && long.close_reason().len() >= 122);
}

#[test]
fn empty_messages_are_ignored_but_an_empty_recording_is_an_error() {
    let file = wav::mono16(16_000, &voice(16_000, 0.1));
    let (a, b) = file.split_at(50);
    assert!(hear(None, [&[][..], a, &[], b, &[]]) == hear_whole(&file));
    assert_eq!(hear(None, [&[][..], &[]]).error, Some(IngressError::Empty));
    assert_eq!(hear(None, []).error, None, "who sends nothing at all has done nothing wrong");
}

#[test]
fn an_error_is_final_and_so_is_the_end() {
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(b"this is some text and no audio").unwrap();
    let error = ingress.poll_frame(&mut [0; 320]).unwrap_err();
    assert_eq!(ingress.poll_frame(&mut [0; 320]), Err(error.clone()));
    assert_eq!(ingress.push(b"RIFF"), Err(error));
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.finish().unwrap();
    assert_eq!(ingress.push(b"RIFF"), Err(IngressError::AfterEnd));
    assert_eq!(ingress.poll_frame(&mut [0; 320]), Ok(None));
}

#[test]
fn an_ingress_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Ingress>();
}
