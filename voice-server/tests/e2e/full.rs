//! `voice.v1`: events beside the audio, and orders of the client.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::caller::{Caller, Got};
use crate::server::conversation;
use crate::sound::{FRAME, FRAME_BYTES, assert_understood, question};

/// The numbers of what came rise by one from `from`; gives the number of the last.
fn assert_numbered(got: &[(Instant, Got)], mut last: u64) -> u64 {
    for (_, got) in got {
        let seq = match got {
            Got::Binary(bytes) => u64::from(u32::from_be_bytes(bytes[..4].try_into().unwrap())),
            Got::Text(event) => event["seq"].as_u64().expect("a number"),
            other => panic!("{other:?} has no number"),
        };
        assert_eq!(seq, last + 1, "{got:?}");
        last = seq;
    }
    last
}

/// Of which reply a message is audio.
fn reply_number(got: &Got) -> Option<u32> {
    match got {
        Got::Binary(bytes) => Some(u32::from_be_bytes(bytes[4..8].try_into().unwrap())),
        _ => None,
    }
}

fn kinds(got: &[(Instant, Got)]) -> Vec<String> {
    let kind = |(_, got): &(Instant, Got)| match got {
        Got::Text(event) => event["type"].as_str().unwrap().to_owned(),
        _ => "audio".to_owned(),
    };
    got.iter().map(kind).collect()
}

fn of<'g>(got: &'g [(Instant, Got)], kind: &str) -> Vec<&'g Value> {
    let event = |(_, got): &'g (Instant, Got)| match got {
        Got::Text(event) if event["type"] == kind => Some(event),
        _ => None,
    };
    got.iter().filter_map(event).collect()
}

pub(crate) async fn a_call_tells_what_happens(address: SocketAddr) {
    let question = question("q02");
    let mut caller = Caller::full(address, "?in=pcm16&out=pcm16&out_rate=16000").await;
    // As a microphone: the question, then silence until the turn is over.
    let pcm = question.pcm();
    let spoken = pcm.chunks(FRAME_BYTES).take(2_460 / 20);
    let ended = caller.send_paced(spoken, FRAME).await;
    let partials = caller.waiting();
    let heard_early = of(&partials, "transcript").len();
    let rest: Vec<&[u8]> = pcm.chunks(FRAME_BYTES).skip(2_460 / 20).collect();
    caller.send_paced(rest, FRAME).await;
    let (at, turn, mut got) = caller.event("turn").await;
    got.push((at, Got::Text(turn.clone())));
    // `end` lets the answer to what was typed be said.
    caller.tell(r#"{"type":"text","text":"Does it have a garage?"}"#);
    caller.tell(r#"{"type":"end"}"#);
    let (last, _, code, reason) = caller.closed().await;
    let typed = of(&last, "turn").first().copied().expect("the typed turn's end").clone();
    got.extend(last);
    assert_eq!(code, 1000, "{reason}");

    let all: Vec<_> = partials.into_iter().chain(got).collect();
    assert_numbered(&all, 0);
    let session = of(&all, "session")[0];
    assert_eq!(all[0].1, Got::Text(session.clone()), "the session comes first");
    assert_eq!(session["id"], caller.id.to_string());
    assert_eq!((&session["in"]["format"], &session["out"]["rate"]), (&"pcm16".into(), &16_000.into()));
    assert!(heard_early > 0, "no words came while the caller talked: {:?}", kinds(&all));
    let transcripts = of(&all, "transcript");
    let first: Vec<_> = transcripts.iter().filter(|event| event["turn"] == turn["turn"]).collect();
    let finals: Vec<_> = first.iter().filter(|event| event["final"] == true).collect();
    assert_eq!(finals.len(), 1, "{first:?}");
    assert_eq!(first.last().unwrap()["final"], true, "after `final` the words stay");
    assert_understood(&question.words, finals[0]["text"].as_str().unwrap());
    assert_eq!(finals[0]["text"], turn["said"]);
    let replies = of(&all, "reply");
    let last_of =
        |turn: &Value| replies.iter().rfind(|event| event["turn"] == turn["turn"]).expect("a reply");
    assert_eq!(last_of(&turn)["text"], turn["reply"]);
    assert_eq!(last_of(&typed)["text"], typed["reply"]);
    assert_eq!((&typed["said"], &typed["interrupted"]), (&"Does it have a garage?".into(), &false.into()));
    assert!(typed["reply"].as_str().unwrap().contains("garage"), "{typed}");
    assert!(!of(&all, "speech_started").is_empty() && !of(&all, "speech_ended").is_empty());
    let sum: f64 = turn["ledger"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    assert!((sum - turn["totalMs"].as_f64().unwrap()).abs() < 0.01, "the stages sum to the total: {turn}");

    let audio: Vec<(Instant, u32)> =
        all.iter().filter_map(|(at, got)| Some((*at, reply_number(got)?))).collect();
    let numbers: BTreeSet<u32> = audio.iter().map(|(_, reply)| *reply).collect();
    assert_eq!(numbers.len(), 2, "each answer has a number: {numbers:?}");
    let sounded = audio[0].0.saturating_duration_since(ended);
    println!(
        "  voice.v1: {heard_early} partial transcripts while talking, first sound {} ms after the last voiced frame, \
         ledger {} = {} ms",
        sounded.as_millis(),
        turn["ledger"],
        turn["totalMs"]
    );
    let stored = conversation(address, caller.id).await;
    assert_eq!(stored["turns"].as_array().unwrap().len(), 2, "{stored}");
}

pub(crate) async fn an_interrupt_clears(address: SocketAddr) {
    let mut caller = Caller::full(address, "?in=pcm16&out=pcm16").await;
    caller.tell(r#"{"type":"text","text":"How much is the house on Maple Street?"}"#);
    caller.first_audio().await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let asked = Instant::now();
    caller.tell(r#"{"type":"interrupt"}"#);
    let (at, clear, before) = caller.event("clear").await;
    let reply = clear["reply"].as_u64().unwrap() as u32;
    let of_reply = |got: &Got| reply_number(got) == Some(reply);
    assert!(before.iter().any(|(_, got)| of_reply(got)), "the clear names what is being said");
    caller.tell(&format!(r#"{{"type":"position","reply":{reply},"playedMs":600}}"#));
    let (_, turn, between) = caller.event("turn").await;
    assert!(!between.iter().any(|(_, got)| of_reply(got)), "audio of a cleared reply");
    assert_eq!(turn["interrupted"], true, "{turn}");
    let (whole, heard) = (turn["reply"].as_str().unwrap(), turn["heard"].as_str().unwrap());
    assert!(whole.starts_with(heard) && heard.len() < whole.len(), "{turn}");
    println!("  interrupt: cleared after {} ms, heard {heard:?}", (at - asked).as_millis());
    caller.hang_up().await;
}

pub(crate) async fn what_cannot_be_read_is_no_end(address: SocketAddr) {
    let mut caller = Caller::full(address, "?in=pcm16&out=pcm16").await;
    for (nonsense, code) in [
        ("{", "bad_message"),
        (r#"{"type":"dance"}"#, "bad_message"),
        (r#"{"type":"text"}"#, "bad_message"),
        (r#"{"type":"start"}"#, "already_started"),
        (r#"{"type":"resume","token":"t","lastSeq":1}"#, "already_started"),
    ] {
        caller.tell(nonsense);
        let (_, error, _) = caller.event("error").await;
        assert_eq!(error["code"], code, "{nonsense}: {error}");
    }
    caller.tell(r#"{"type":"text","text":"Which homes have a pool?"}"#);
    caller.event("reply").await;
    caller.first_audio().await;
    caller.hang_up().await;
}
