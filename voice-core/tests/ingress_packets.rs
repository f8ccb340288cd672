//! Declared formats: plain samples, G.711, and one Opus packet a message.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Chance, decoded, hear, hear_with, likeness, opus_packets, voice, wav};
use voice_core::audio::{Channels, SampleRate};
use voice_core::codec::g711;
use voice_core::ingress::{Declared, Ingress, IngressError, Limits};

const OPUS: Option<Declared> = Some(Declared::OpusPackets { channels: Channels::Mono });

fn pcm(rate: u32, channels: Channels) -> Option<Declared> {
    Some(Declared::Pcm16 { rate: SampleRate::new(rate).unwrap(), channels })
}

#[test]
fn samples_pass_untouched_in_any_split() {
    let samples = voice(16_000, 0.31);
    let bytes = wav::s16(&samples);
    for size in [1, 7, 639, 640, 641, 100_000] {
        hear(pcm(16_000, Channels::Mono), bytes.chunks(size)).assert_is(&samples);
    }
    let stereo: Vec<u8> = samples.iter().flat_map(|&s| wav::s16(&[s, s])).collect();
    for size in [3, 640, 100_000] {
        hear(pcm(16_000, Channels::Stereo), stereo.chunks(size)).assert_is(&samples);
    }
}

#[test]
fn other_rates_give_the_same_in_any_split() {
    let bytes = wav::s16(&voice(44_100, 0.5));
    let whole = hear(pcm(44_100, Channels::Mono), [&bytes[..]]);
    assert_eq!(whole.samples.len(), 8_000);
    let mut chance = Chance(3);
    for _ in 0..5 {
        let size = 1 + chance.below(3_000);
        assert!(hear(pcm(44_100, Channels::Mono), bytes.chunks(size)) == whole);
    }
}

#[test]
fn telephone_codings_are_heard() {
    let rate = SampleRate::HZ_8000;
    let channels = Channels::Mono;
    let (mut ulaw, mut alaw) = (Vec::new(), Vec::new());
    g711::encode_ulaw_into(&voice(8_000, 1.0), &mut ulaw);
    g711::encode_alaw_into(&voice(8_000, 1.0), &mut alaw);
    for (declared, bytes) in
        [(Declared::Ulaw { rate, channels }, ulaw), (Declared::Alaw { rate, channels }, alaw)]
    {
        let heard = hear(Some(declared), bytes.chunks(160));
        assert_eq!(heard.samples.len(), 16_000);
        let (score, shift) = likeness(&heard.samples[2_000..10_000], &voice(16_000, 1.0)[2_000..10_000], 20);
        assert!(score > 0.99 && shift == 0, "{score} at {shift}");
    }
}

#[test]
fn declared_audio_ends_once_after_the_finish() {
    let heard = hear(pcm(16_000, Channels::Mono), [&[1u8; 1_000][..]]);
    assert_eq!((heard.frames(), heard.ends), (2, vec![2]));
}

#[test]
fn each_message_is_one_packet() {
    let (packets, _) = opus_packets(1.0);
    hear(OPUS, packets.iter().map(Vec::as_slice)).assert_is(&decoded(&packets, 0));
    let long = [common::merge(&packets[..3]), common::merge(&packets[3..6])];
    hear(OPUS, long.iter().map(Vec::as_slice)).assert_is(&decoded(&packets[..6], 0));
}

#[test]
fn an_empty_message_stands_for_a_lost_packet() {
    let (packets, _) = opus_packets(1.0);
    let mut messages: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    for lost in [10, 20, 21, 30, 31, 32, 33, 34] {
        messages[lost] = &[];
    }
    let heard = hear(OPUS, messages);
    assert_eq!((heard.frames(), heard.concealed_frames(), heard.error), (50, 8, None));
    let expected: Vec<usize> = vec![10, 20, 21, 30, 31, 32, 33, 34];
    let concealed: Vec<usize> = (0..50).filter(|&i| heard.concealed[i]).collect();
    assert_eq!(concealed, expected);
}

#[test]
fn a_lost_packet_is_as_long_as_the_one_before_it() {
    let (packets, _) = opus_packets(1.2);
    let long: Vec<Vec<u8>> = packets.chunks(3).map(common::merge).collect();
    let mut messages: Vec<&[u8]> = long.iter().map(Vec::as_slice).collect();
    messages[7] = &[];
    let heard = hear(OPUS, messages.clone());
    assert_eq!((heard.frames(), heard.concealed_frames(), heard.error), (60, 3, None));
    messages[8] = &[];
    messages[9] = &[0xFF, 0xFF, 0xFF];
    let heard = hear(OPUS, messages);
    assert_eq!((heard.frames(), heard.concealed_frames(), heard.error), (60, 9, None));
}

#[test]
fn lost_packets_before_the_first_are_nothing() {
    let (packets, _) = opus_packets(0.2);
    let whole = decoded(&packets, 0);
    for lost in [1, 2, 5, 100] {
        let messages = vec![&[][..]; lost].into_iter().chain(packets.iter().map(Vec::as_slice));
        hear(OPUS, messages).assert_is(&whole);
    }
    // Not even when no other ever comes.
    let heard = hear(OPUS, vec![&[][..]; 5]);
    assert_eq!((heard.frames(), heard.error, heard.ends), (0, None, vec![0]));
    assert_eq!(hear(None, [&[][..]]).error, Some(IngressError::Empty), "a recording is another matter");
}

#[test]
fn a_spoilt_packet_is_concealed_and_many_are_an_error() {
    let (packets, _) = opus_packets(1.0);
    let mut messages: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    messages[10] = &[0xFF, 0xFF, 0xFF];
    let heard = hear(OPUS, messages.clone());
    assert_eq!((heard.frames(), heard.concealed_frames(), heard.error), (50, 1, None));
    messages.extend([&[0xFFu8, 0xFF, 0xFF][..]; 60]);
    assert!(matches!(hear(OPUS, messages).error, Some(IngressError::Malformed { .. })));
}

#[test]
fn silence_of_one_byte_lasts_as_long_as_a_packet() {
    let (packets, _) = opus_packets(0.4);
    let toc = [packets[0][0]];
    let mut messages: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    messages[8] = &toc;
    messages[9] = &toc;
    let heard = hear(OPUS, messages);
    assert_eq!((heard.frames(), heard.concealed_frames(), heard.error), (20, 0, None));
}

#[test]
fn files_sent_as_packets_are_explained() {
    let text = |message: &[u8]| hear(OPUS, [message]).error.unwrap().to_string();
    assert!(text(&wav::mono16(16_000, &[0; 100])).contains("leave ?in out"));
    assert!(text(b"OggS\0").contains("leave ?in out"));
    assert!(text(b"{\"type\":\"hello\"}").contains("this is JSON"));
    assert!(text(b"OpusHead\x01").contains("OpusHead"));
}

#[test]
fn waiting_packets_are_bounded() {
    let mut limits = Limits::default();
    limits.queued_packets = 3;
    let mut ingress = Ingress::declared(OPUS.unwrap(), limits.clone()).unwrap();
    for _ in 0..3 {
        ingress.push(&[]).unwrap();
    }
    assert_eq!(ingress.push(&[]), Err(IngressError::TooMuchQueued { limit: 3 }));
    limits.element_bytes = 100;
    let heard = hear_with(OPUS, limits, [&[0u8; 101][..]]);
    assert!(matches!(heard.error, Some(IngressError::TooLarge { limit: 100, .. })));
}
