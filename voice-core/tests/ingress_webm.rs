//! WebM/Opus as browsers send it, and as networks break it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Heard, assert_any_split_is_the_same, decoded, hear, hear_whole, likeness, merge, opus_packets, rms, webm,
};
use voice_core::ingress::{Ingress, IngressError, Limits};
use webm::{
    block_payload, cluster, ebml_header, element, info, lace, number, open, simple_block, start, tracks,
};

fn hear_all(messages: &[Vec<u8>]) -> Heard {
    hear(None, messages.iter().map(Vec::as_slice))
}

/// 60 ms packets, five in a message, cut inside elements as Chromium does.
fn chromium(seconds: f64) -> (Vec<Vec<u8>>, Vec<i16>) {
    let (packets, _) = opus_packets(seconds);
    let merged: Vec<Vec<u8>> = packets.chunks(3).map(merge).collect();
    let messages = webm::cut_inside_elements(&webm::messages(&merged, 60, 5, 1, 0));
    (messages, decoded(&packets, 0))
}

/// 20 ms packets on track 2 with a pre-skip, whole elements in each message, as Firefox does.
fn firefox(seconds: f64) -> (Vec<Vec<u8>>, Vec<i16>) {
    let (packets, _) = opus_packets(seconds);
    (webm::messages(&packets, 20, 13, 2, 312), decoded(&packets, 312))
}

#[test]
fn both_browsers_are_heard_as_the_decoder_has_it() {
    for (messages, expected) in [chromium(3.0), firefox(3.0)] {
        let heard = hear_all(&messages);
        heard.assert_is(&expected);
        assert_eq!((heard.concealed_frames(), heard.ends), (0, vec![expected.len().div_ceil(320)]));
    }
}

#[test]
fn the_first_message_may_be_one_byte() {
    let (messages, expected) = chromium(0.6);
    let stream = messages.concat();
    hear(None, [&stream[..1], &stream[1..]]).assert_is(&expected);
}

#[test]
fn a_file_of_known_sizes_with_other_elements_is_heard() {
    let (packets, pre_skip) = opus_packets(0.2);
    let blocks = |from: usize, to: usize| -> Vec<u8> {
        (from..to).flat_map(|i| simple_block(1, ((i - from) * 20) as i16, &packets[i])).collect()
    };
    let first =
        [element(0xBF, &[1, 2, 3, 4]), number(0xE7, 0), number(0xA7, 55), number(0xAB, 9), blocks(0, 5)];
    let second = [number(0xE7, 100), element(0xEC, &[0; 40]), blocks(5, 10)].concat();
    let segment = [
        element(0x114D_9B74, &[0; 30]),
        element(0xEC, &[0; 200]),
        info(),
        tracks(1, pre_skip, 0, &[]),
        element(0x1F43_B675, &first.concat()),
        element(0x1F43_B675, &second),
        element(0x1C53_BB6B, &[1; 50]),
        element(0x1254_C367, &[1; 50]),
    ];
    let heard = hear_whole(&[ebml_header(), element(0x1853_8067, &segment.concat())].concat());
    heard.assert_is(&decoded(&packets, pre_skip));
    assert_eq!(heard.ends.len(), 1);
}

#[test]
fn a_known_segment_ends_before_the_stream_does() {
    let (packets, pre_skip) = opus_packets(0.1);
    let blocks: Vec<u8> =
        packets.iter().enumerate().flat_map(|(i, p)| simple_block(1, i as i16 * 20, p)).collect();
    let cluster = element(0x1F43_B675, &[number(0xE7, 0), blocks].concat());
    let segment = element(0x1853_8067, &[info(), tracks(1, pre_skip, 0, &[]), cluster].concat());
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(&[ebml_header(), segment].concat()).unwrap();
    let mut heard = Heard::default();
    assert!(heard.pull(&mut ingress));
    assert_eq!(heard.ends, [5], "without waiting for more bytes");
}

#[test]
fn large_unknown_elements_flow_past_without_being_held() {
    let (packets, pre_skip) = opus_packets(0.2);
    let mut ingress = Ingress::sniffing(Limits::default());
    let mut heard = Heard::default();
    let mut push = |bytes: &[u8], heard: &mut Heard| {
        ingress.push(bytes).unwrap();
        assert!(heard.pull(&mut ingress));
        ingress.buffered_bytes()
    };
    push(&[ebml_header(), open(0x1853_8067)].concat(), &mut heard);
    for id in [&[0x19, 0x41, 0xA4, 0x69][..], &[0x49, 0x99]] {
        let size = (1u64 << 56) | (50 << 20);
        push(&[id, &size.to_be_bytes()].concat(), &mut heard);
        for _ in 0..50 {
            assert_eq!(push(&vec![0xA3; 1 << 20], &mut heard), 0);
        }
    }
    push(&[info(), tracks(1, pre_skip, 0, &[]), cluster(0)].concat(), &mut heard);
    for (i, packet) in packets.iter().enumerate() {
        push(&simple_block(1, i as i16 * 20, packet), &mut heard);
    }
    ingress.finish().unwrap();
    heard.pull(&mut ingress);
    heard.assert_is(&decoded(&packets, pre_skip));
}

#[test]
fn every_lacing_and_block_groups_are_heard() {
    let (packets, _) = opus_packets(0.24);
    let expected = decoded(&packets, 0);
    for flags in [0x02, 0x06] {
        let mut file = [start(1, 0), cluster(0)].concat();
        for (i, group) in packets.chunks(4).enumerate() {
            let frames: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
            file.extend(element(0xA3, &block_payload(1, i as i16 * 80, flags, &lace(flags, &frames))));
        }
        hear_whole(&file).assert_is(&expected);
    }
    // Fixed lacing needs equal lengths: the same packet repeated.
    let same = vec![packets[3].clone(); 4];
    let frames: Vec<&[u8]> = same.iter().map(Vec::as_slice).collect();
    let block = element(0xA3, &block_payload(1, 0, 0x04, &lace(0x04, &frames)));
    hear_whole(&[start(1, 0), cluster(0), block].concat()).assert_is(&decoded(&same, 0));
    // Block groups, the last with half a packet of padding.
    let mut file = [start(1, 0), cluster(0)].concat();
    for (i, packet) in packets.iter().enumerate() {
        let block = element(0xA1, &block_payload(1, i as i16 * 20, 0, packet));
        let last = i + 1 == packets.len();
        let padding = if last { element(0x75A2, &10_000_000u32.to_be_bytes()) } else { Vec::new() };
        file.extend(element(0xA0, &[number(0x9B, 20), block, padding].concat()));
    }
    hear_whole(&file).assert_is(&expected[..expected.len() - 160]);
}

#[test]
fn codec_delay_is_the_pre_skip_said_again() {
    let (packets, _) = opus_packets(0.3);
    let delay = number(0x56AA, 6_500_000);
    let file = |pre_skip, more: &[u8]| {
        let head =
            [ebml_header(), open(0x1853_8067), info(), tracks(1, pre_skip, 0, more), cluster(0)].concat();
        let blocks = packets.iter().enumerate().flat_map(|(i, p)| simple_block(1, i as i16 * 20, p));
        head.into_iter().chain(blocks).collect::<Vec<u8>>()
    };
    for bytes in [file(312, &[]), file(312, &delay), file(0, &delay)] {
        hear_whole(&bytes).assert_is(&decoded(&packets, 312));
    }
}

#[test]
fn the_output_gain_is_applied() {
    let (packets, _) = opus_packets(0.6);
    let level = |gain| {
        let head = [ebml_header(), open(0x1853_8067), info(), tracks(1, 0, gain, &[]), cluster(0)].concat();
        let blocks = packets.iter().enumerate().flat_map(|(i, p)| simple_block(1, i as i16 * 20, p));
        rms(&hear_whole(&head.into_iter().chain(blocks).collect::<Vec<u8>>()).samples)
    };
    assert!((20.0 * (level(-1_536) / level(0)).log10() + 6.0).abs() < 0.05);
}

#[test]
fn lost_messages_are_concealed_and_time_goes_on() {
    for (messages, expected) in [chromium(6.0), firefox(6.0)] {
        let kept: Vec<Vec<u8>> = messages
            .iter()
            .enumerate()
            .filter(|(i, _)| ![7, 12].contains(i))
            .map(|(_, m)| m.clone())
            .collect();
        let heard = hear_all(&kept);
        assert_eq!(heard.error, None);
        let off = heard.samples.len() as isize - expected.len() as isize;
        assert!(off.abs() <= 640, "the timeline is off by {off} samples");
        let lost = heard.concealed_frames();
        assert!((20..=60).contains(&lost), "{lost} frames concealed");
        let last = expected.len() - 16_000..expected.len() - 2_000;
        let (score, shift) = likeness(&heard.samples[last.clone()], &expected[last], 200);
        assert!(score > 0.98 && shift.abs() <= 64, "the end is like {score} at {shift}");
    }
}

#[test]
fn a_lost_cluster_header_is_survived() {
    // Firefox opens a cluster each second: the message with the second header is lost.
    let (packets, _) = opus_packets(4.0);
    let mut messages = vec![[start(2, 312), cluster(0)].concat()];
    for (i, packet) in packets.iter().enumerate() {
        if i > 0 && i % 50 == 0 {
            messages.push(cluster(i as u64 * 20));
        } else if i % 10 == 0 {
            messages.push(Vec::new());
        }
        messages.last_mut().unwrap().extend(simple_block(2, ((i % 50) * 20) as i16, packet));
    }
    let expected = decoded(&packets, 312);
    hear_all(&messages).assert_is(&expected);
    // Message 6 holds the header of the second cluster (0 is the start).
    let at = messages
        .iter()
        .position(|m| m.windows(4).any(|w| w == [0x1F, 0x43, 0xB6, 0x75]) && !m.starts_with(&[0x1A]))
        .unwrap();
    messages.remove(at);
    let heard = hear_all(&messages);
    let off = heard.samples.len() as isize - expected.len() as isize;
    assert!(off.abs() <= 640, "the timeline is off by {off} samples");
    let last = expected.len() - 20_000..expected.len() - 2_000;
    let (score, shift) = likeness(&heard.samples[last.clone()], &expected[last], 100);
    assert!(score > 0.98 && shift.abs() <= 16, "the end is like {score} at {shift}");
}

#[test]
fn repeated_messages_are_heard_once() {
    let (mut messages, expected) = firefox(3.0);
    let again = messages[5].clone();
    messages.insert(6, again);
    let again = messages[8].clone();
    messages.insert(10, again);
    hear_all(&messages).assert_is(&expected);
}

#[test]
fn a_first_message_that_comes_twice_is_heard_once_at_every_split_point() {
    let (packets, pre_skip) = opus_packets(0.12);
    let expected = decoded(&packets, pre_skip);
    for inside in [false, true] {
        let mut messages = webm::messages(&packets, 20, 2, 1, pre_skip);
        if inside {
            messages = webm::cut_inside_elements(&messages);
        }
        let again = messages[0].clone();
        // At once, and after another message.
        for at in [1, 2] {
            let mut twice = messages.clone();
            twice.insert(at, again.clone());
            let heard = assert_any_split_is_the_same(&twice.concat());
            heard.assert_is(&expected);
            assert_eq!((heard.ends, heard.concealed.contains(&true)), (vec![6], false), "{inside} {at}");
        }
    }
}

#[test]
fn a_header_that_comes_twice_without_audio_costs_nothing() {
    let (packets, pre_skip) = opus_packets(0.1);
    let blocks: Vec<u8> =
        packets.iter().enumerate().flat_map(|(i, p)| simple_block(1, i as i16 * 20, p)).collect();
    let header = start(1, pre_skip);
    let stream = [header.clone(), header, cluster(0), blocks].concat();
    assert_any_split_is_the_same(&stream).assert_is(&decoded(&packets, pre_skip));
}

#[test]
fn a_header_that_waits_is_read_when_nothing_more_comes() {
    let (packets, pre_skip) = opus_packets(0.1);
    let recording = webm::messages(&packets, 20, 5, 1, pre_skip).concat();
    let mut ingress = Ingress::sniffing(Limits::default());
    let mut heard = Heard::default();
    for _ in 0..2 {
        ingress.push(&recording).unwrap();
        assert!(heard.pull(&mut ingress));
    }
    assert!(ingress.is_undecided(), "the recording again, or its only message twice");
    ingress.decide().unwrap();
    assert!(heard.pull(&mut ingress));
    assert!(!ingress.is_undecided());
    ingress.finish().unwrap();
    assert!(heard.pull(&mut ingress));
    assert_eq!((heard.error.clone(), heard.ends), (None, vec![5, 10]));
}

#[test]
fn a_recording_without_its_first_message_is_explained() {
    for (messages, _) in [chromium(1.2), firefox(1.2)] {
        for lost in 1..messages.len() {
            let error = hear_all(&messages[lost..]).error;
            assert_eq!(error, Some(IngressError::StartMissing { container: "WebM" }), "{lost} lost");
        }
    }
    // What only has a block's ID in front is not taken for one.
    let other = hear_whole(&[0xA3; 64]).error;
    assert_eq!(other, Some(IngressError::Unrecognised));
}

#[test]
fn a_jump_of_timestamps_is_filled_up_to_five_seconds() {
    let (packets, _) = opus_packets(0.4);
    for (jump_ms, filled) in [(20u64, 1), (200, 10), (4_000, 200), (60_000, 250)] {
        let mut file = start(1, 0);
        for (i, packet) in packets.iter().enumerate() {
            let at = i as u64 * 20 + if i >= 10 { jump_ms } else { 0 };
            file.extend(cluster(at));
            file.extend(simple_block(1, 0, packet));
        }
        let heard = hear_whole(&file);
        assert_eq!(heard.error, None);
        assert_eq!(heard.concealed_frames(), filled, "a jump of {jump_ms} ms");
        assert_eq!(heard.frames(), 20 + filled);
    }
}

#[test]
fn a_filled_gap_fades_into_silence() {
    let (packets, _) = opus_packets(0.4);
    let mut file = [start(1, 0), cluster(0)].concat();
    for (i, packet) in packets.iter().enumerate() {
        file.extend(simple_block(1, (i * 20 + if i >= 10 { 500 } else { 0 }) as i16, packet));
    }
    let heard = hear_whole(&file);
    let frame = |i: usize| rms(&heard.samples[i * 320..(i + 1) * 320]);
    assert!(frame(10) > 50.0, "the first lost frame is guessed");
    assert!((13..35).all(|i| frame(i) == 0.0), "after 60 ms it is silent");
}

#[test]
fn a_restarted_recorder_goes_on_in_the_same_timeline() {
    let (messages, expected) = chromium(1.2);
    let frames = expected.len().div_ceil(320);
    let heard = hear_all(&[messages.clone(), messages.clone(), messages].concat());
    assert_eq!(heard.error, None);
    assert_eq!(heard.ends, [frames, 2 * frames, 3 * frames]);
    for part in heard.samples.chunks(frames * 320) {
        assert_eq!(&part[..expected.len()], &expected[..]);
    }
}

#[test]
fn a_restart_inside_an_unfinished_block_is_found() {
    let first = chromium(1.2).0.concat();
    let (again, expected) = firefox(1.2);
    for cut in [1, 30, 77, 200, 351] {
        let stream = [&first[..first.len() - cut], &again.concat()].concat();
        let heard = hear_whole(&stream);
        assert_eq!((heard.error, heard.ends.len()), (None, 2), "cut by {cut}");
        let second = &heard.samples[heard.ends[0] * 320..];
        assert_eq!(&second[..expected.len()], &expected[..]);
    }
}

#[test]
fn bytes_lost_anywhere_cost_little() {
    let (messages, expected) = chromium(6.0);
    let stream = messages.concat();
    let mut chance = common::Chance(7);
    for _ in 0..60 {
        let at = 600 + chance.below(stream.len() / 2);
        let count = 1 + chance.below(1_500);
        let mut broken = stream.clone();
        broken.drain(at..at + count);
        let heard = hear_whole(&broken);
        assert_eq!(heard.error, None, "{count} bytes lost at {at}");
        assert_eq!(heard.ends.len(), 1);
        let last = expected.len() - 20_000..expected.len() - 1_000;
        let reach = 8_000;
        assert!(
            heard.samples.len() > last.end - reach as usize,
            "{count} bytes lost at {at}: {} of {} samples",
            heard.samples.len(),
            expected.len()
        );
        let end = heard.samples.len() - 20_000..heard.samples.len() - 1_000;
        let offset = expected.len() as isize - heard.samples.len() as isize;
        assert!(offset.abs() <= 2_000, "{count} bytes lost at {at} moved the end by {offset} samples");
        let (score, _) = likeness(&heard.samples[end], &expected[last], 1_000);
        assert!(score > 0.9, "{count} bytes lost at {at}: the end is like {score}");
    }
}

#[test]
fn silence_as_dtx_keeps_time_by_timestamps() {
    // A recorder with DTX sends nothing, or a byte, while nobody speaks.
    let (packets, _) = opus_packets(0.4);
    let mut file = [start(1, 0), cluster(0)].concat();
    for (i, packet) in packets.iter().enumerate() {
        match i {
            5..15 if i % 3 != 0 => {}
            5..15 => file.extend(simple_block(1, i as i16 * 20, &packet[..1])),
            _ => file.extend(simple_block(1, i as i16 * 20, packet)),
        }
    }
    let heard = hear_whole(&file);
    assert_eq!((heard.error.clone(), heard.frames()), (None, 20));
}

#[test]
fn any_number_of_empty_blocks_is_concealed() {
    let (packets, _) = opus_packets(2.0);
    let mut file = [start(1, 0), cluster(0)].concat();
    for (i, packet) in packets.iter().enumerate() {
        let packet = if (20..80).contains(&i) { &[][..] } else { packet };
        file.extend(simple_block(1, i as i16 * 20, packet));
    }
    let heard = hear_whole(&file);
    assert_eq!((heard.error.clone(), heard.frames(), heard.concealed_frames()), (None, 100, 60));
    assert!(heard.concealed[20..80].iter().all(|&concealed| concealed), "where they were");
}

#[test]
fn what_is_not_opus_is_named() {
    let entry = [number(0xD7, 1), number(0x83, 2), element(0x86, b"A_VORBIS")].concat();
    let file = [ebml_header(), open(0x1853_8067), element(0x1654_AE6B, &element(0xAE, &entry))].concat();
    let error = hear_whole(&file).error.unwrap();
    assert!(error.to_string().starts_with("this is WebM/Vorbis"), "{error}");
    let other = element(0x1A45_DFA3, &element(0x4282, b"other"));
    assert_eq!(hear_whole(&other).error, Some(IngressError::Foreign("EBML, but not WebM")));
    let early = [ebml_header(), open(0x1853_8067), cluster(0)].concat();
    assert!(hear_whole(&early).error.unwrap().to_string().contains("before its tracks"));
}

#[test]
fn another_track_is_passed_over_whatever_its_size() {
    let (packets, _) = opus_packets(0.2);
    let video = element(0xAE, &[number(0xD7, 3), number(0x83, 1), element(0x86, b"V_VP8")].concat());
    // After the ID of four bytes and the size of one comes the entry.
    let both = element(0x1654_AE6B, &[video, tracks(1, 0, 0, &[])[5..].to_vec()].concat());
    let mut file = [ebml_header(), open(0x1853_8067), info(), both, cluster(0)].concat();
    for (i, packet) in packets.iter().enumerate() {
        file.extend(simple_block(3, i as i16 * 20, &vec![0xA3; 300_000]));
        file.extend(simple_block(1, i as i16 * 20, packet));
    }
    hear_whole(&file).assert_is(&decoded(&packets, 0));
}

#[test]
fn a_stream_that_never_makes_sense_again_ends_in_an_error() {
    let (messages, _) = firefox(1.0);
    let stream = [messages.concat(), vec![0; 3 << 20]].concat();
    let error = hear_whole(&stream).error.unwrap();
    assert_eq!(error.to_string(), "WebM is malformed: it broke off and nothing usable follows");
}
