//! The numbers of DESIGN 2.4 as they stand there, with the engine's own clock in place of the machine's.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::virtual_caller::{Caller, FRAME, Got, PER_BYTE, SAID, server};

const MS: Duration = Duration::from_millis(1);

/// How long a message sounds: a WAV file of 16-bit samples, or an Ogg/Opus file (RFC 7845, section 4).
fn lasts(file: &[u8]) -> Duration {
    if file.starts_with(b"RIFF") {
        let reader = hound::WavReader::new(file).unwrap();
        return Duration::from_secs_f64(f64::from(reader.duration()) / f64::from(reader.spec().sample_rate));
    }
    let last = file.windows(4).rposition(|four| four == b"OggS").expect("a page");
    let head = file.windows(8).position(|eight| eight == b"OpusHead").expect("a header");
    let granule = u64::from_le_bytes(file[last + 6..last + 14].try_into().unwrap());
    let skip = u16::from_le_bytes([file[head + 10], file[head + 11]]);
    Duration::from_secs_f64((granule - u64::from(skip)) as f64 / 48_000.0)
}

fn binary(got: Vec<(Instant, Got)>) -> Vec<(Instant, Bytes)> {
    got.into_iter()
        .map(|(at, got)| match got {
            Got::Binary(bytes) => (at, bytes),
            other => panic!("{other:?} where only audio may come"),
        })
        .collect()
}

/// Each of the messages, which are files, is 0.4 to 2 s long and comes 0 to 40 ms after its predecessor's end.
fn assert_in_order(messages: &[(Instant, Bytes)]) {
    assert!(messages.len() >= 2, "{} messages", messages.len());
    for (_, bytes) in messages {
        let lasts = lasts(bytes);
        assert!((400 * MS..=2_000 * MS).contains(&lasts), "a message lasts {lasts:?}");
    }
    for pair in messages.windows(2) {
        let end = pair[0].0 + lasts(&pair[0].1);
        // A timer counts whole milliseconds and fires at the next one.
        let gap = pair[1].0.checked_duration_since(end);
        let early = end.saturating_duration_since(pair[1].0);
        assert!(early < MS && gap.unwrap_or_default() <= 40 * MS, "a gap of {gap:?}, or early by {early:?}");
    }
}

#[tokio::test]
async fn messages_that_are_files_leave_0_to_40_ms_after_their_predecessors_end() {
    let server = server().await;
    for format in ["wav", "ogg"] {
        let mut caller = Caller::dial(&server, &format!("?out={format}&greeting=1"), None).await;
        let messages = binary(caller.until_quiet(Duration::from_secs(5)).await);
        assert_in_order(&messages);
        caller.hang_up(&server).await;

        // A longer answer, in the other profile: the audio follows two numbers.
        let mut caller = Caller::dial(&server, &format!("?out={format}"), Some("voice.v1")).await;
        caller.tell(r#"{"type":"text","text":"How much is it?"}"#).await;
        let got = caller.until_quiet(Duration::from_secs(5)).await;
        let audio = |(at, got)| match got {
            Got::Binary(bytes) => Some((at, bytes.slice(8..))),
            _ => None,
        };
        let messages: Vec<_> = got.into_iter().filter_map(audio).collect();
        assert!(messages.len() > 4, "{} messages of a long answer", messages.len());
        assert_in_order(&messages);
        caller.hang_up(&server).await;
    }
}

/// The greeting is a turn of its own, and its messages fit the protocol's document.
#[tokio::test]
async fn a_greeting_is_turn_0() {
    let server = server().await;
    let mut caller = Caller::dial(&server, "?greeting=1&out=pcm16", Some("voice.v1")).await;
    let mut got = caller.until_quiet(Duration::from_secs(5)).await;
    // A turn is told when it is stored, and the caller's clock does not wait for the disk.
    for _ in 0..500 {
        if got.iter().any(|(_, got)| matches!(got, Got::Text(event) if event["type"] == "turn")) {
            break;
        }
        caller.settle(20 * MS).await;
        got.extend(caller.waiting());
    }
    let numbered = |kind: &str| -> Vec<Value> {
        let event = |(_, got): &(Instant, Got)| match got {
            Got::Text(event) if event["type"] == kind => Some(event["turn"].clone()),
            _ => None,
        };
        got.iter().filter_map(event).collect()
    };
    assert!(numbered("reply").iter().all(|turn| turn == 0) && !numbered("reply").is_empty());
    assert_eq!(numbered("turn"), [Value::from(0)]);
    assert_eq!(numbered("transcript"), [] as [Value; 0]);
    caller.hang_up(&server).await;
}

/// Talks until an answer has been heard for a second, then over it. Gives the onset and what came around it.
async fn talk_over(caller: &mut Caller) -> (Instant, Vec<(Instant, Bytes)>) {
    for _ in 0..50 {
        caller.frame(true).await;
    }
    let mut got = Vec::new();
    while got.first().is_none_or(|(at, _): &(Instant, Bytes)| at.elapsed() < Duration::from_secs(1)) {
        caller.frame(false).await;
        got.extend(binary(caller.waiting()));
    }
    let onset = Instant::now();
    for _ in 0..50 {
        caller.frame(true).await;
    }
    got.extend(binary(caller.waiting()));
    (onset, got)
}

#[tokio::test]
async fn an_interruption_stops_raw_frames_within_250_ms() {
    let server = server().await;
    let mut caller = Caller::dial(&server, "?in=pcm16&out=pcm16", None).await;
    let (onset, got) = talk_over(&mut caller).await;
    let after = got.last().expect("audio").0.saturating_duration_since(onset);
    assert!(after <= 250 * MS, "the last frame left {after:?} after the onset");
    let sent = FRAME * u32::try_from(got.len()).unwrap();
    let stored = caller.hang_up(&server).await;
    assert_heard(&stored, sent);
}

#[tokio::test]
async fn an_interruption_stops_files_within_250_ms_and_the_one_in_flight_is_booked_as_heard() {
    let server = server().await;
    for format in ["wav", "ogg"] {
        let mut caller = Caller::dial(&server, &format!("?in=pcm16&out={format}"), None).await;
        let (onset, got) = talk_over(&mut caller).await;
        let (last, file) = got.last().expect("audio");
        let after = last.saturating_duration_since(onset);
        assert!(after <= 250 * MS, "the last message left {after:?} after the onset");
        assert!(*last + lasts(file) > onset, "a message was in flight");
        let sent = got.iter().map(|(_, file)| lasts(file)).sum();
        let stored = caller.hang_up(&server).await;
        assert_heard(&stored, sent);
    }
}

/// The first turn was cut, and what is stored as heard is what was sent, but for a word.
fn assert_heard(stored: &Value, sent: Duration) {
    let turn = &stored["turns"][0];
    assert_eq!((&turn["said"], &turn["interrupted"]), (&Value::from(SAID[0]), &Value::from(true)), "{turn}");
    let (reply, heard) = (turn["reply"].as_str().unwrap(), turn["heard"].as_str().unwrap());
    assert!(reply.starts_with(heard) && heard.len() < reply.len(), "{heard:?} of {reply:?}");
    let spoken = PER_BYTE * u32::try_from(heard.len()).unwrap();
    let longest = reply.split(' ').map(str::len).max().unwrap() + 2;
    let word = PER_BYTE * u32::try_from(longest).unwrap();
    assert!(spoken.abs_diff(sent) <= word, "{sent:?} were sent, and {spoken:?} are booked: {heard:?}");
}

/// Blobs of a browser's recorder in one file, cut as its JSON says.
fn blobs(name: &str) -> Vec<Vec<u8>> {
    let read = |end: &str| voice_fixtures::read("browser", &format!("{name}.{end}")).unwrap();
    let told: Value = serde_json::from_slice(&read("json")).unwrap();
    let mut rest = read("webm");
    let mut blobs = Vec::new();
    for size in told["blobs"].as_array().unwrap() {
        let behind = rest.split_off(size.as_u64().unwrap() as usize);
        blobs.push(std::mem::replace(&mut rest, behind));
    }
    blobs
}

/// Sends messages as a recorder does, each 300 ms after the one before, and stops. Gives the last one's moment.
async fn record(caller: &mut Caller, messages: &[Vec<u8>]) -> Instant {
    let mut last = Instant::now();
    for (k, message) in messages.iter().enumerate() {
        if k > 0 {
            tokio::time::sleep_until(last + 300 * MS).await;
        }
        caller.send(message).await;
        last = Instant::now();
        caller.settle(60 * MS).await;
    }
    last
}

/// One second of a loud tone and 0.2 s of silence, as bare samples or in a WAV file that has no length yet.
fn tone(header: bool) -> Vec<Vec<u8>> {
    let sample = |k: usize| {
        if k >= 16_000 {
            0_i16
        } else if k % 40 < 20 {
            6_000
        } else {
            -6_000
        }
    };
    let samples: Vec<u8> = (0..19_200).flat_map(|k| sample(k).to_le_bytes()).collect();
    let mut bytes = Vec::new();
    if header {
        bytes.extend(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0");
        bytes.extend(b"data\xff\xff\xff\xff");
    }
    bytes.extend(samples);
    bytes.chunks(9_600).map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn a_turn_is_decided_at_most_700_ms_after_the_last_byte_in_any_form_and_profile() {
    let server = server().await;
    let forms =
        [("", blobs("chromium-webm-250")[..15].to_vec()), ("?in=pcm16", tone(false)), ("", tone(true))];
    for (k, (query, messages)) in forms.iter().enumerate() {
        // Told: when the words are final.
        let mut caller = Caller::dial(&server, query, Some("voice.v1")).await;
        let last = record(&mut caller, messages).await;
        let decided = loop {
            match caller.next().await {
                (at, Got::Text(event)) if event["type"] == "transcript" && event["final"] == true => {
                    break at;
                }
                _ => {}
            }
        };
        let after = decided - last;
        assert!(after <= 701 * MS, "form {k}: decided {after:?} after the last byte");
        caller.hang_up(&server).await;

        // Heard: when the answer begins, whose makers take no time but for the first message's own sound.
        let mut caller = Caller::dial(&server, query, None).await;
        let last = record(&mut caller, messages).await;
        let (at, got) = caller.next().await;
        assert!(matches!(got, Got::Binary(_)));
        let after = at - last;
        assert!(after <= 750 * MS, "form {k}: first sound {after:?} after the last byte");
        let stored = caller.hang_up(&server).await;
        assert_eq!(stored["transcript"][0]["text"], SAID[0], "form {k}: {stored}");
    }
}
