//! Calls as they go: bytes in, audio and events out, in both profiles.

use bytes::Bytes;
use serde_json::{Value, json};
use voice_server::data::{DEMO_ORGANIZATION, OrganizationChange, OrganizationSettings};
use voice_server::voice::call::{Control, DeclaredInput, Event, OutputFormat, Profile};

use crate::harness::{Got, Seen, Server, record};

fn everything_that_happens() -> Vec<Event> {
    vec![
        Event::SpeechStarted,
        Event::Transcript { turn: 1, text: "how".into(), is_final: false },
        Event::SpeechEnded,
        Event::Transcript { turn: 1, text: "how many rooms".into(), is_final: true },
        Event::Reply { turn: 1, text: "Three.".into() },
        Event::Clear { reply: 7 },
        Event::Notice { code: "n".into(), text: "t".into() },
        Event::Error { code: "e".into(), text: "t".into() },
        Event::TurnEnded(record(1, "how many rooms")),
    ]
}

#[tokio::test]
async fn a_file_in_one_message_reaches_the_engine_whole_and_its_answer_comes_back() {
    let mut server = Server::start().await;
    let (mut client, mut line, id) = server.call("").await;
    assert_eq!((line.options.id, line.options.profile), (id, Profile::Basic));
    assert_eq!((line.options.input, line.options.output), (None, OutputFormat::Wav));
    let file: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    client.binary(&file).await;
    assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from(file)));
    line.audio(1, b"first").await;
    line.audio(1, &[9; 200_000]).await;
    assert_eq!(client.next().await, Got::Binary(b"first".to_vec()));
    assert_eq!(client.next().await, Got::Binary(vec![9; 200_000]));
}

#[tokio::test]
async fn the_largest_recording_is_taken_in_one_message_or_in_many_while_the_engine_is_busy() {
    use fastwebsockets::OpCode;

    const WHOLE: usize = 64 << 20;
    let mut server = Server::start().await;
    for piece in [WHOLE, 1 << 20, 32 << 10] {
        let (mut client, mut line, _) = server.call("").await;
        line.room.forget_permits(1_000_000);
        let message = vec![7; piece];
        for _ in 0..WHOLE / piece {
            client.binary(&message).await;
        }
        // The reader has come past all of it.
        client.fragment(true, OpCode::Ping, b"still there?").await;
        let frame = crate::harness::soon(client.0.read_frame()).await.unwrap();
        assert_eq!(
            (frame.opcode, &*frame.payload),
            (OpCode::Pong, &b"still there?"[..]),
            "in pieces of {piece}"
        );
        line.room.add_permits(1_000_000);
        for _ in 0..WHOLE / piece {
            let Seen::Pushed(bytes) = line.next_seen().await else { panic!("no audio") };
            assert_eq!(bytes.len(), piece);
        }
    }
}

#[tokio::test]
async fn fragments_reach_the_engine_as_one_message_with_pings_between() {
    use fastwebsockets::OpCode;

    let mut server = Server::start().await;
    let (mut client, mut line, _) = server.call("").await;
    client.fragment(false, OpCode::Binary, b"one ").await;
    client.fragment(true, OpCode::Ping, b"?").await;
    client.fragment(false, OpCode::Continuation, b"two ").await;
    client.fragment(true, OpCode::Continuation, b"three").await;
    assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from_static(b"one two three")));
}

#[tokio::test]
async fn a_ping_is_answered_with_its_bytes() {
    use fastwebsockets::OpCode;

    let mut server = Server::start().await;
    let (mut client, _line, _) = server.call("").await;
    client.fragment(true, OpCode::Ping, b"alive?").await;
    let frame = crate::harness::soon(client.0.read_frame()).await.unwrap();
    assert_eq!((frame.opcode, frame.payload.to_vec()), (OpCode::Pong, b"alive?".to_vec()));
}

#[tokio::test]
async fn the_basic_profile_never_sends_text() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    for event in everything_that_happens() {
        line.event(event).await;
    }
    line.audio(8, b"audio").await;
    line.event(Event::Closed { code: 1000, reason: "done".into() }).await;
    let (got, code, reason) = client.rest().await;
    assert_eq!(got, [Got::Binary(b"audio".to_vec())]);
    assert_eq!((code, reason.as_str()), (1000, "done"));
}

#[tokio::test]
async fn voice_v1_numbers_everything_in_one_sequence() {
    let mut server = Server::start().await;
    let (mut client, line, id) = server.call_v1("?in=pcm16&out=pcm16").await;
    let session = client.next_text().await;
    assert_eq!(session["type"], "session");
    assert_eq!(session["id"], id.to_string());
    assert_eq!(session["in"], json!({"format": "pcm16", "rate": 16000, "channels": 1}));
    assert_eq!(session["out"], json!({"format": "pcm16", "rate": 24000}));
    line.audio(3, b"audio").await;
    let Got::Binary(bytes) = client.next().await else { panic!("no audio") };
    assert_eq!(bytes, [&2_u32.to_be_bytes()[..], &3_u32.to_be_bytes(), b"audio"].concat());
    let mut seq = 2;
    for event in everything_that_happens() {
        line.event(event).await;
        let message = client.next_text().await;
        seq += 1;
        assert_eq!(message["seq"], seq, "{message}");
    }
}

#[tokio::test]
async fn a_turn_is_told_with_its_ledger() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call_v1("?greeting=1").await;
    assert!(line.options.greeting);
    client.next_text().await;
    line.turn(1, "how many rooms").await;
    let turn = client.next_text().await;
    assert_eq!(turn["ledger"], json!({"endpoint": 200.0, "stt": 50.5}));
    assert_eq!((turn["totalMs"].as_f64(), turn["heard"].as_str()), (Some(250.5), Some("It has three")));
}

#[tokio::test]
async fn start_says_what_the_query_did_not() {
    let mut server = Server::start().await;
    let id = uuid::Uuid::new_v4();
    let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("accepted");
    client
        .text(r#"{"type":"start","in":{"format":"pcm16","rate":48000},"out":"pcm16","greeting":true}"#)
        .await;
    let line = server.line().await;
    assert_eq!(line.options.input, Some(DeclaredInput::Pcm16 { rate: 48_000, channels: 1 }));
    assert_eq!(line.options.output, OutputFormat::Pcm16 { rate: 24_000 });
    assert!(line.options.greeting);
    assert_eq!(client.next_text().await["type"], "session");
    client.text(r#"{"type":"start"}"#).await;
    assert_eq!(client.next_text().await["code"], "already_started");
}

#[tokio::test]
async fn a_start_counts_only_where_it_is_first_however_fast_audio_comes_with_it() {
    let mut server = Server::start().await;
    for (start_first, rate) in [(true, Some(48_000)), (false, None)] {
        for _ in 0..20 {
            let id = uuid::Uuid::new_v4();
            let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("accepted");
            // Writing does not wait here, so the server, on the same thread, sees all of it at once.
            if !start_first {
                client.binary(b"sound").await;
            }
            client.text(r#"{"type":"start","in":{"format":"pcm16","rate":48000}}"#).await;
            for _ in 0..1 + usize::from(start_first) {
                client.binary(b"sound").await;
            }
            let mut line = server.line().await;
            let seen = line.options.input;
            assert_eq!(seen, rate.map(|rate| DeclaredInput::Pcm16 { rate, channels: 1 }));
            for _ in 0..2 {
                assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from_static(b"sound")));
            }
            assert_eq!(client.next_text().await["type"], "session");
            if !start_first {
                assert_eq!(client.next_text().await["code"], "already_started");
            }
        }
    }
}

#[tokio::test]
async fn an_order_reaches_the_engine_before_the_audio_that_was_sent_behind_it() {
    let mut server = Server::start().await;
    for _ in 0..20 {
        let (mut client, mut line, _) = server.call_v1("?in=pcm16").await;
        client.text(r#"{"type":"mute","on":true}"#).await;
        client.binary(b"sound").await;
        assert_eq!(line.next_seen().await, Seen::Control(Control::Mute(true)));
        assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from_static(b"sound")));
    }
}

#[tokio::test]
async fn an_empty_message_is_a_packet_where_packets_are_declared_and_nothing_elsewhere() {
    let mut server = Server::start().await;
    let start = r#"{"type":"start","in":"opus"}"#;
    for (query, start) in
        [("?in=opus", None), ("", Some(start)), ("?in=pcm16", None), ("?in=pcm16", Some(start))]
    {
        let id = uuid::Uuid::new_v4();
        let mut client =
            server.dial(&format!("/voice/{id}{query}"), Some("voice.v1")).await.expect("accepted");
        if let Some(start) = start {
            client.text(start).await;
        }
        for message in [&b"one"[..], b"", b"", b"two"] {
            client.binary(message).await;
        }
        let mut line = server.line().await;
        let packets = line.options.input == Some(DeclaredInput::Opus);
        assert_eq!(packets, query != "?in=pcm16");
        let expected = if packets { vec![&b"one"[..], b"", b"", b"two"] } else { vec![&b"one"[..], b"two"] };
        for bytes in expected {
            assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from_static(bytes)), "{query} {start:?}");
        }
    }
    // The first packet may be one that was lost.
    let (mut client, mut line, _) = server.call("?in=opus").await;
    client.binary(b"").await;
    assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::new()));
}

#[tokio::test]
async fn the_session_is_told_first_also_when_the_first_message_is_none() {
    let server = Server::start().await;
    for first in ["nonsense", r#"{"type":"start","in":"mp3"}"#] {
        let id = uuid::Uuid::new_v4();
        let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("accepted");
        client.text(first).await;
        for (seq, kind) in [(1, "session"), (2, "error")] {
            let message = client.next_text().await;
            assert_eq!(
                (&message["type"], &message["seq"]),
                (&json!(kind), &json!(seq)),
                "{first}: {message}"
            );
        }
    }
}

#[tokio::test]
async fn pings_come_every_twenty_seconds() {
    use std::time::Duration;

    use fastwebsockets::OpCode;
    use tokio::time::Instant;

    let mut server = Server::start().await;
    let (mut client, _line, _) = server.call("").await;
    client.0.set_auto_pong(false);
    // From here on time is virtual: it goes on where nothing else does.
    tokio::time::pause();
    let mut last = Instant::now();
    for _ in 0..5 {
        let frame = tokio::time::timeout(Duration::from_secs(100), client.0.read_frame()).await;
        assert_eq!(frame.expect("a ping").unwrap().opcode, OpCode::Ping);
        let pause = last.elapsed();
        last = Instant::now();
        assert!(pause.abs_diff(Duration::from_secs(20)) < Duration::from_millis(500), "after {pause:?}");
        client.fragment(true, OpCode::Pong, b"").await;
    }
}

#[tokio::test]
async fn without_a_start_the_first_audio_opens_the_call_and_is_not_lost() {
    let mut server = Server::start().await;
    let id = uuid::Uuid::new_v4();
    let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("accepted");
    client.binary(b"sound").await;
    let mut line = server.line().await;
    assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from_static(b"sound")));
}

#[tokio::test]
async fn orders_reach_the_engine() {
    let mut server = Server::start().await;
    let (mut client, mut line, _) = server.call_v1("?out=ogg").await;
    for (text, control) in [
        (r#"{"type":"position","reply":2,"playedMs":640}"#, Control::Position { reply: 2, played_ms: 640 }),
        (r#"{"type":"interrupt"}"#, Control::Interrupt),
        (r#"{"type":"mute","on":false}"#, Control::Mute(false)),
        (r#"{"type":"text","text":"any garden?"}"#, Control::Text("any garden?".into())),
        (r#"{"type":"end"}"#, Control::End),
    ] {
        client.text(text).await;
        assert_eq!(line.next_seen().await, Seen::Control(control));
    }
}

#[tokio::test]
async fn orders_do_not_wait_behind_audio_that_is_held_back() {
    let mut server = Server::start().await;
    let (mut client, mut line, _) = server.call_v1("?in=pcm16").await;
    line.room.forget_permits(1_000_000);
    client.binary(&[0; 640]).await;
    client.binary(&[0; 640]).await;
    client.text(r#"{"type":"interrupt"}"#).await;
    assert_eq!(line.next_seen().await, Seen::Control(Control::Interrupt));
}

#[tokio::test]
async fn an_end_behind_a_recording_waits_until_all_of_it_was_taken_and_holds_up_nothing_else() {
    let mut server = Server::start().await;
    let (mut client, mut line, _) = server.call_v1("?in=pcm16").await;
    line.room.forget_permits(1_000_000);
    for _ in 0..3 {
        client.binary(&[0; 640]).await;
    }
    client.text(r#"{"type":"end"}"#).await;
    client.text(r#"{"type":"interrupt"}"#).await;
    client.binary(b"too late").await;
    assert_eq!(line.next_seen().await, Seen::Control(Control::Interrupt));
    line.room.add_permits(1_000_000);
    for _ in 0..3 {
        assert_eq!(line.next_seen().await, Seen::Pushed(Bytes::from_static(&[0; 640])));
    }
    assert_eq!(line.next_seen().await, Seen::Control(Control::End));
}

#[tokio::test]
async fn what_cannot_be_done_is_an_error_message_and_the_call_goes_on() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call_v1("?in=pcm16").await;
    assert_eq!(client.next_text().await["type"], "session");
    for (text, code) in [
        ("nonsense", "bad_message"),
        (r#"{"type":"mute"}"#, "bad_message"),
        (r#"{"type":"resume","token":"t","lastSeq":1}"#, "already_started"),
    ] {
        client.text(text).await;
        let error = client.next_text().await;
        assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("error"), Some(code)), "{text}");
    }
    line.audio(1, b"on").await;
    assert!(matches!(client.next().await, Got::Binary(_)));
}

#[tokio::test]
async fn a_flood_of_nonsense_ends_the_call() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call_v1("?in=pcm16").await;
    let ending = tokio::spawn(line.end());
    for _ in 0..21 {
        client.text("nonsense").await;
    }
    assert_eq!(client.rest().await.1, 4429);
    ending.await.unwrap();
}

#[tokio::test]
async fn audio_that_waits_to_be_written_is_dropped_when_its_reply_is_cleared() {
    const QUEUED: usize = 7;
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call_v1("?out=pcm16").await;
    client.next_text().await;
    // Nobody reads, and the client's buffer is small: the system holds at most 4 MiB of these, the box the rest.
    for _ in 0..QUEUED {
        line.audio(1, &vec![1; 1 << 20]).await;
    }
    line.event(Event::Clear { reply: 1 }).await;
    line.audio(2, b"new").await;
    line.event(Event::Closed { code: 1000, reason: String::new() }).await;
    let (got, _, _) = client.rest().await;
    let of =
        |reply: u8| got.iter().filter(|got| matches!(got, Got::Binary(bytes) if bytes[7] == reply)).count();
    assert!(of(1) < QUEUED, "all of the cleared reply was sent");
    assert_eq!(of(2), 1, "the next reply is whole");
}

/// That a machine answers is said in the greeting; who is not greeted reads it, once.
#[tokio::test]
async fn who_is_not_greeted_is_told_in_writing_that_a_machine_answers() {
    let mut server = Server::start().await;
    let settings =
        OrganizationSettings { disclosure: Some("A machine answers.".into()), ..Default::default() };
    let change = OrganizationChange { settings: Some(settings), ..Default::default() };
    server.app.store.change_organization(DEMO_ORGANIZATION, change, None).await.expect("changed");
    let (mut client, line, _) = server.call_v1("?in=pcm16&out=pcm16").await;
    assert_eq!(client.next_text().await["type"], "session");
    let told = client.next_text().await;
    let expected = ["notice", "disclosure", "A machine answers."].map(Value::from);
    assert_eq!([&told["type"], &told["code"], &told["text"]], expected.each_ref());
    line.event(Event::SpeechStarted).await;
    assert_eq!(client.next_text().await["type"], "speech_started");

    let (mut client, line, _) = server.call_v1("?in=pcm16&out=pcm16&greeting=1").await;
    assert!(line.options.greeting);
    assert_eq!(client.next_text().await["type"], "session");
    line.event(Event::SpeechStarted).await;
    assert_eq!(client.next_text().await["type"], "speech_started");
}
