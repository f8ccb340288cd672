//! The audio path allocates nothing per frame once a stream is running.
#![allow(clippy::unwrap_used)]

mod common;

use common::{merge, ogg, opus_packets, voice, wav, webm};
use voice_core::audio::{Channels, SampleRate};
use voice_core::ingress::{Declared, Ingress, Limits, Pulled};
use voice_fixtures::allocations::{Counting, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations while the second half of the messages is pushed and pulled, and how many frames that gave.
fn allocations(declared: Option<Declared>, messages: &[Vec<u8>]) -> (usize, usize) {
    let mut ingress = match declared {
        Some(declared) => Ingress::declared(declared, Limits::default()).unwrap(),
        None => Ingress::sniffing(Limits::default()),
    };
    let mut frame = [0; 320];
    let (first, second) = messages.split_at(messages.len() / 2);
    let mut run = |messages: &[Vec<u8>]| {
        let mut frames = 0;
        for message in messages {
            ingress.push(message).unwrap();
            while let Some(pulled) = ingress.poll_frame(&mut frame).unwrap() {
                frames += usize::from(pulled != Pulled::Ended);
            }
        }
        frames
    };
    run(first);
    let before = count();
    let frames = run(second);
    (count() - before, frames)
}

#[test]
fn every_format_runs_without_allocating() {
    let (packets, pre_skip) = opus_packets(24.0);
    let merged: Vec<Vec<u8>> = packets.chunks(3).map(merge).collect();
    let wide = wav::mono16(48_000, &voice(48_000, 6.0));
    let narrow: Vec<u8> =
        voice(8_000, 6.0).iter().map(|&s| voice_core::codec::g711::encode_ulaw(s)).collect();
    let pieces = |bytes: &[u8], size: usize| bytes.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let channels = Channels::Mono;
    for (what, declared, messages) in [
        ("WAV at 48 kHz", None, pieces(&wide, 1_920)),
        (
            "PCM",
            Some(Declared::Pcm16 { rate: SampleRate::HZ_16000, channels }),
            pieces(&wav::s16(&voice(16_000, 6.0)), 640),
        ),
        ("mu-law", Some(Declared::Ulaw { rate: SampleRate::HZ_8000, channels }), pieces(&narrow, 160)),
        ("Opus packets", Some(Declared::OpusPackets { channels }), packets.clone()),
        ("Chromium", None, webm::cut_inside_elements(&webm::messages(&merged, 60, 5, 1, 0))),
        ("Firefox", None, webm::messages(&packets, 20, 5, 2, 312)),
        ("Ogg", None, ogg::pages(&packets, &ogg::Layout { pre_skip, ..Default::default() })),
    ] {
        let (count, frames) = allocations(declared, &messages);
        assert!(frames > 140, "{what}: {frames} frames");
        assert_eq!(count, 0, "{what}: {count} allocations in {frames} frames");
    }
}
