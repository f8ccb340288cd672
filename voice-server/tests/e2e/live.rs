//! Callers who talk in real time, from whatever records them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::caller::{Caller, Got};
use crate::server::{conversation, turns};
use crate::sound::{FRAME, FRAME_BYTES, assert_understood, file, question, wav_messages};

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub(crate) async fn a_wav_streamed_in_pieces_is_answered(address: SocketAddr) {
    let question = question("q04");
    let wav = question.wav();
    let mut caller = Caller::basic(address, "").await;
    // The header comes with the first samples, and no piece begins where a sample does.
    caller.send_paced(wav.chunks(FRAME_BYTES - 1), FRAME).await;
    let turn = turns(address, caller.id, 1).await.remove(0);
    assert_understood(&question.words, turn["said"].as_str().unwrap());
    let (got, _) = caller.hang_up().await;
    assert!(!wav_messages(&got).is_empty(), "no audio came");
    println!("  live wav: first sound after {} ms, {}", turn["totalMs"], turn["ledger"]);
}

/// The blobs of a browser's recorder in one file, cut as its JSON says.
fn blobs(name: &str) -> Vec<Vec<u8>> {
    let told: Value = serde_json::from_slice(&file("browser", &format!("{name}.json"))).unwrap();
    let bytes = file("browser", &format!("{name}.webm"));
    let mut rest = bytes.as_slice();
    let mut blobs = Vec::new();
    for size in told["blobs"].as_array().unwrap() {
        let (blob, behind) = rest.split_at(size.as_u64().unwrap() as usize);
        blobs.push(blob.to_vec());
        rest = behind;
    }
    blobs
}

/// The recorder stops 0.2 s behind the last word, nothing follows, and the socket stays open: absence is silence.
pub(crate) async fn a_recorder_that_stops_is_answered(address: SocketAddr) {
    let words = question("q07").words;
    // Each blob behind the header holds 300 ms, and the speech ends after 4,017 ms.
    let blobs = &blobs("chromium-webm-250")[..15];
    let mut caller = Caller::full(address, "?out=wav").await;
    let stopped = caller.send_paced(blobs.iter().map(Vec::as_slice), Duration::from_millis(300)).await;
    let decided = loop {
        let (at, event, _) = caller.event("transcript").await;
        if event["final"] == true {
            assert_understood(&words, event["text"].as_str().unwrap());
            break at;
        }
    };
    let sounded = caller.first_audio().await;
    println!(
        "  recorder stops: words final {:.0} ms and first sound {:.0} ms after the last byte",
        ms(decided - stopped),
        ms(sounded - stopped)
    );
    // 700 ms of the contract until the turn is decided, and the real recogniser's and the machine's time.
    assert!(decided - stopped < Duration::from_millis(1_700), "{:?}", decided - stopped);
    caller.event("turn").await;
    caller.hang_up().await;
    let stored = conversation(address, caller.id).await;
    assert_eq!(stored["transcript"].as_array().unwrap().len(), 2, "{stored}");

    // The same for a client that reads no events.
    let mut caller = Caller::basic(address, "").await;
    let stopped = caller.send_paced(blobs.iter().map(Vec::as_slice), Duration::from_millis(300)).await;
    let sounded = caller.first_audio().await;
    println!("  recorder stops, basic: first sound {:.0} ms after the last byte", ms(sounded - stopped));
    let turn = turns(address, caller.id, 1).await.remove(0);
    assert_understood(&words, turn["said"].as_str().unwrap());
    let (got, _) = caller.hang_up().await;
    assert!(!wav_messages(&got).is_empty(), "no audio came");
}

pub(crate) async fn declared_formats_are_understood(address: SocketAddr) {
    let words = question("q03").words;
    let short = question("q03");
    let raw = short.pcm();
    let (ulaw, alaw) = (file("formats", "mulaw_8k.raw"), file("formats", "alaw_8k.raw"));
    let packets = short.packets();
    let cut = |bytes: &[u8], size: usize| bytes.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let ways = [
        ("?in=pcm16", cut(&raw, FRAME_BYTES)),
        ("?in=ulaw", cut(&ulaw, 160)),
        ("?in=alaw", cut(&alaw, 160)),
        ("?in=opus", packets),
    ];
    let calls = ways.map(|(query, messages)| {
        let words = words.clone();
        async move {
            let mut caller = Caller::basic(address, query).await;
            caller.send_paced(messages.iter().map(Vec::as_slice), FRAME).await;
            let turn = turns(address, caller.id, 1).await.remove(0);
            println!("  {query}: {:?}, first sound after {} ms", turn["said"], turn["totalMs"]);
            assert_understood(&words, turn["said"].as_str().unwrap());
            let (got, _) = caller.hang_up().await;
            assert!(got.iter().all(|(_, got)| matches!(got, Got::Binary(_))) && !got.is_empty(), "{query}");
        }
    });
    futures::future::join_all(calls).await;
}
