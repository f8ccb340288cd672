//! The forms in which answers come: whole Ogg files, and raw frames at their pace.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::caller::{Caller, Got};
use crate::server::turns;
use crate::sound::{Message, assert_follows, decode, gaps, question, shown};

/// The binary messages of the answer to the question of this name.
async fn answer(address: SocketAddr, query: &str, name: &str) -> Vec<(Instant, Vec<u8>)> {
    let mut caller = Caller::basic(address, query).await;
    caller.send(&question(name).wav());
    turns(address, caller.id, 1).await;
    let (got, _) = caller.hang_up().await;
    got.into_iter()
        .map(|(at, got)| match got {
            Got::Binary(bytes) => (at, bytes.to_vec()),
            other => panic!("{other:?} where only audio may come"),
        })
        .collect()
}

pub(crate) async fn ogg_messages_are_whole_files(address: SocketAddr) {
    let mut messages = Vec::new();
    for (at, bytes) in answer(address, "?out=ogg", "q02").await {
        let samples = decode(&bytes);
        let lasts = duration(&bytes);
        assert!((0.4..=2.0).contains(&lasts.as_secs_f64()), "a message lasts {lasts:?}");
        let decoded = samples.len() as f64 / 16_000.0 - lasts.as_secs_f64();
        assert!(
            (-0.001..0.021).contains(&decoded),
            "decoded up to the frame, the file is {decoded} s longer"
        );
        messages.push(Message {
            at,
            lasts,
            peak: samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0),
        });
    }
    assert!(messages.iter().any(|message| message.peak > 1_000), "the answer is silence");
    let gaps = gaps(&messages);
    println!("  ogg: each after its predecessor's end by ms {}", shown(&gaps));
    // 40 ms of the contract. Encoding comes on top: some 10 ms for 2 s of speech, several times that where builds run beside it.
    assert_follows(&gaps, 150.0);
}

/// How long an Ogg/Opus file lasts: the last granule position less the pre-skip, at 48 kHz (RFC 7845, section 4).
fn duration(bytes: &[u8]) -> Duration {
    let last = bytes.windows(4).rposition(|four| four == b"OggS").expect("a page");
    let head = bytes.windows(8).position(|eight| eight == b"OpusHead").expect("a header");
    let granule = u64::from_le_bytes(bytes[last + 6..last + 14].try_into().expect("eight bytes"));
    let skip = u16::from_le_bytes([bytes[head + 10], bytes[head + 11]]);
    Duration::from_secs_f64((granule - u64::from(skip)) as f64 / 48_000.0)
}

/// How far ahead of its place in the answer each frame came, counted from the first.
fn leads(frames: &[(Instant, Vec<u8>)]) -> Vec<f64> {
    let first = frames[0].0;
    let due = |k: usize| k as f64 * 20.0;
    frames.iter().enumerate().map(|(k, (at, _))| due(k) - (*at - first).as_secs_f64() * 1_000.0).collect()
}

pub(crate) async fn raw_frames_are_paced(address: SocketAddr) {
    let frames = answer(address, "?out=pcm16", "q04").await;
    assert!(frames.len() > 20, "{} frames", frames.len());
    assert!(frames.iter().all(|(_, bytes)| bytes.len() == 480 * 2), "a frame is 20 ms of 24 kHz");
    let leads = leads(&frames);
    let most = leads.iter().copied().fold(0.0, f64::max);
    let least = leads.iter().copied().fold(f64::MAX, f64::min);
    println!("  pcm16: {} frames, ahead of the first's clock by {least:.1} to {most:.1} ms", frames.len());
    // The lead is 100 ms; one frame more is under way, and the first may have been held up.
    assert!(most < 200.0, "frames run ahead by {most:.1} ms");
}

pub(crate) async fn mu_law_frames_have_the_telephones_rate(address: SocketAddr) {
    let frames = answer(address, "?out=ulaw", "q04").await;
    assert!(frames.len() > 20 && frames.iter().all(|(_, bytes)| bytes.len() == 160), "20 ms of 8 kHz");
    let loud = |byte: &u8| voice_core::codec::g711::decode_ulaw(*byte).unsigned_abs() > 1_000;
    assert!(frames.iter().flat_map(|(_, bytes)| bytes).any(loud), "the answer is silence");
}
