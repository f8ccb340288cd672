//! However the bytes are cut into messages, the samples are the same.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Chance, assert_any_split_is_the_same, hear, hear_whole, ogg, voice, wav, webm};

#[test]
fn a_small_wav_at_every_split_point() {
    let samples = voice(44_100, 0.05);
    let list = wav::chunk(b"LIST", b"INFOodd");
    let data = wav::s16(&samples);
    let file = wav::file(&[list, wav::format(1, 1, 44_100, 16)], data.len() as u32, &data);
    let heard = assert_any_split_is_the_same(&file);
    assert_eq!((heard.frames(), heard.ends), (3, vec![3]));
}

#[test]
fn two_wavs_with_a_trailing_chunk_at_every_split_point() {
    let one = wav::mono16(16_000, &voice(16_000, 0.03));
    let file = [one.clone(), wav::chunk(b"LIST", b"RIFFxyz"), one].concat();
    let heard = assert_any_split_is_the_same(&file);
    assert_eq!((heard.frames(), heard.ends), (4, vec![2, 4]));
}

#[test]
fn a_wav_of_unknown_length_that_starts_anew_at_every_split_point() {
    let data = wav::s16(&voice(16_000, 0.03));
    let one = wav::file(&[wav::format(1, 1, 16_000, 16)], u32::MAX, &data);
    let heard = assert_any_split_is_the_same(&[one.clone(), one].concat());
    assert_eq!((heard.frames(), heard.ends), (4, vec![2, 4]));
}

#[test]
fn a_small_ogg_at_every_split_point() {
    let (packets, pre_skip) = common::opus_packets(0.2);
    let layout = ogg::Layout { pre_skip, per_page: 3, trim: 500, ..Default::default() };
    let file = ogg::file(&packets, &layout);
    let heard = assert_any_split_is_the_same(&file);
    assert_eq!((heard.frames(), heard.ends.len()), (10, 1));
}

#[test]
fn a_small_webm_with_a_restart_at_every_split_point() {
    let (packets, pre_skip) = common::opus_packets(0.12);
    let recording = webm::messages(&packets, 20, 4, 1, pre_skip).concat();
    let heard = assert_any_split_is_the_same(&[recording.clone(), recording].concat());
    assert_eq!((heard.frames(), heard.ends), (12, vec![6, 12]));
}

#[test]
fn a_broken_webm_at_every_split_point() {
    // Bytes are missing in the middle of a block, and rubbish follows an unfinished one before a restart.
    let (packets, pre_skip) = common::opus_packets(0.3);
    let messages = webm::messages(&packets, 20, 5, 1, pre_skip);
    let mut broken = messages.concat();
    broken.drain(400..530);
    let cut = broken.len() - 30;
    broken.truncate(cut);
    // A recorder that starts anew never writes the same again.
    broken.extend(&webm::messages(&packets, 20, 5, 2, pre_skip)[0]);
    let heard = assert_any_split_is_the_same(&broken);
    assert_eq!(heard.error, None);
    assert_eq!(heard.ends.len(), 2);
}

#[test]
fn large_files_at_random_split_points() {
    let (packets, pre_skip) = common::opus_packets(6.0);
    let merged: Vec<Vec<u8>> = packets.chunks(3).map(common::merge).collect();
    let files = [
        wav::mono16(48_000, &voice(48_000, 4.0)),
        ogg::file(&packets, &ogg::Layout { pre_skip, ..Default::default() }),
        webm::messages(&merged, 60, 5, 1, pre_skip).concat(),
    ];
    let mut chance = Chance(42);
    for file in &files {
        let whole = hear_whole(file);
        assert_eq!(whole.error, None);
        assert!(whole.frames() >= 200);
        for _ in 0..8 {
            let largest = 1 + chance.below(4_000);
            let mut rest = &file[..];
            let mut messages = Vec::new();
            while !rest.is_empty() {
                let (message, after) = rest.split_at(chance.below(largest + 1).min(rest.len()));
                messages.push(message);
                rest = after;
            }
            assert!(hear(None, messages) == whole);
        }
    }
}
