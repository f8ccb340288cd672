//! What the socket refuses, before the upgrade and after it, and how a call ends that would not.

use std::time::Duration;

use fastwebsockets::OpCode;
use uuid::Uuid;
use voice_server::config::Config;
use voice_server::voice::Limits;
use voice_server::voice::call::{Event, Refused};

use crate::harness::{Client, Line, Seen, Server, Wish};

async fn ends_with(client: &mut Client, line: Line) -> (u16, String) {
    let ending = tokio::spawn(line.end());
    let (_, code, reason) = client.rest().await;
    ending.await.unwrap();
    (code, reason)
}

fn limited(limits: Limits) -> Wish {
    Wish { limits: Some(limits), ..Wish::default() }
}

#[tokio::test]
async fn a_bad_query_is_a_problem_with_the_fields_name() {
    let server = Server::start().await;
    for (query, field) in
        [("in=mp3", "in"), ("in=pcm16&rate=1", "rate"), ("out=mp4", "out"), ("greeting=x", "greeting")]
    {
        let answer = server.refused(&format!("/voice/{}?{query}", Uuid::new_v4()), &[]).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (422, Some(field)), "{query}");
    }
    assert_eq!(server.read("/api/v1/conversations").await.json()["items"], serde_json::json!([]));
}

#[tokio::test]
async fn malformed_ids_and_ids_in_use_are_not_found() {
    let mut server = Server::start().await;
    let (_client, _line, taken) = server.call("").await;
    let (simple, braced, urn) = (Uuid::new_v4().simple(), Uuid::new_v4().braced(), Uuid::new_v4().urn());
    for id in [
        "nonsense",
        "00000000-0000-0000-0000-000000000000",
        "%00",
        "%FF",
        &simple.to_string(),
        &braced.to_string().replace('{', "%7B").replace('}', "%7D"),
        &urn.to_string(),
        &taken.to_string(),
    ] {
        let answer = server.refused(&format!("/voice/{id}"), &[]).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{id}");
    }
}

#[tokio::test]
async fn a_request_without_an_upgrade_is_told_what_is_wanted() {
    let server = Server::start().await;
    let answer = server.fetch(&format!("/voice/{}", Uuid::new_v4())).await;
    assert_eq!(answer.status, 426);
    assert!(answer.head.contains("upgrade: websocket") && answer.json()["code"] == "upgrade_required");
}

#[tokio::test]
async fn a_handshake_with_a_bad_key_is_a_bad_request_and_of_another_version_one_to_upgrade() {
    let server = Server::start().await;
    let (key, version) = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13");
    for (headers, status) in [
        (&[version][..], 400),
        (&[version, "Sec-WebSocket-Key:"], 400),
        (&[version, "Sec-WebSocket-Key: short"], 400),
        (&[version, key, key], 400),
        (&[key], 426),
        (&[key, "Sec-WebSocket-Version: 8"], 426),
    ] {
        let mut all = vec!["Host: localhost", "Connection: Upgrade", "Upgrade: websocket"];
        all.extend(headers);
        let answer = server.ask("GET", &format!("/voice/{}", Uuid::new_v4()), &all).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.head.contains("sec-websocket-version: 13"), status == 426, "{headers:?}");
    }
    assert_eq!(server.read("/api/v1/conversations").await.json()["items"], serde_json::json!([]));
}

#[tokio::test]
async fn a_refusal_is_told_to_a_plain_request_too_so_that_a_page_can_show_it() {
    let path = format!("/voice/{}", Uuid::new_v4());
    let server = Server::start().await;
    for (path, headers, status) in [
        (path.as_str(), &["Host: localhost"][..], 426),
        (&path, &["Host: voice.example.com"], 403),
        (&path, &["Host: localhost", "X-Page-Origin: https://evil.example"], 403),
        ("/voice/nonsense", &["Host: localhost"], 404),
        ("/voice/nonsense", &["Host: voice.example.com"], 403),
    ] {
        let answer = server.ask("GET", path, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(answer.json()["detail"].is_string());
    }
    let config = Config { anonymous: Some(false), ..Config::default() };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    let answer = server.fetch(&path).await;
    assert_eq!(answer.status, 401);
    assert!(answer.json()["detail"].as_str().unwrap().contains("VOICE_ANONYMOUS"));
}

#[tokio::test]
async fn callers_from_elsewhere_are_refused_with_the_setting() {
    let server = Server::start().await;
    for header in ["Origin: https://evil.example", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4"] {
        let answer = server.refused(&format!("/voice/{}", Uuid::new_v4()), &[header]).await;
        assert_eq!(answer.status, 403, "{header}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("VOICE_ANONYMOUS"));
    }
}

#[tokio::test]
async fn text_in_the_basic_profile_closes_with_what_it_is() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    client.text("hello").await;
    let (code, reason) = ends_with(&mut client, line).await;
    assert_eq!(code, 1003);
    assert!(reason.contains("text") && reason.contains("WAV"), "{reason}");
}

#[tokio::test]
async fn an_empty_first_message_closes_with_what_is_taken_and_a_later_one_does_not() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    client.binary(b"").await;
    let (code, reason) = ends_with(&mut client, line).await;
    assert_eq!(code, 1003);
    assert!(reason.contains("empty") && reason.contains("WAV"), "{reason}");

    let (mut client, mut line, _) = server.call("").await;
    client.binary(b"a").await;
    client.binary(b"").await;
    client.binary(b"b").await;
    assert_eq!(line.next_seen().await, Seen::Pushed("a".into()));
    assert_eq!(line.next_seen().await, Seen::Pushed("b".into()));
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009_whole_or_in_fragments() {
    let limits = Limits { message: 1_000, ..Limits::default() };
    let mut server = Server::with(limited(limits)).await;
    let (mut client, mut line, _) = server.call("").await;
    client.binary(&[1; 1_000]).await;
    assert_eq!(line.next_seen().await, Seen::Pushed(vec![1; 1_000].into()), "the limit itself is allowed");
    client.binary(&[1; 1_001]).await;
    assert_eq!(ends_with(&mut client, line).await.0, 1009);

    let (mut client, line, _) = server.call("").await;
    client.fragment(false, OpCode::Binary, &[1; 600]).await;
    client.fragment(true, OpCode::Continuation, &[1; 600]).await;
    assert_eq!(ends_with(&mut client, line).await.0, 1009);
}

#[tokio::test]
async fn audio_that_piles_up_beyond_its_room_closes_with_1009() {
    let limits = Limits { message: 60 << 10, backlog: 64 << 10, ..Limits::default() };
    let mut server = Server::with(limited(limits)).await;
    let (mut client, mut line, _) = server.call("").await;
    let message = vec![7; 60 << 10];
    for _ in 0..12 {
        // Whoever keeps up may send for ever.
        client.binary(&message).await;
        assert!(matches!(line.next_seen().await, Seen::Pushed(_)));
    }
    line.room.forget_permits(1_000_000);
    client.binary(&message).await;
    client.binary(&message).await;
    let (code, reason) = ends_with(&mut client, line).await;
    assert_eq!(code, 1009);
    assert!(reason.contains("waits"), "{reason}");
}

#[tokio::test]
async fn text_over_its_limit_closes_with_1009_whole_or_in_fragments() {
    let mut server = Server::start().await;
    let long = vec![b' '; (64 << 10) + 1];
    let (mut client, line, _) = server.call_v1("?in=pcm16").await;
    client.fragment(true, OpCode::Text, &long).await;
    assert_eq!(ends_with(&mut client, line).await.0, 1009);

    let (mut client, line, _) = server.call_v1("?in=pcm16").await;
    client.fragment(false, OpCode::Text, &long[..40_000]).await;
    client.fragment(true, OpCode::Continuation, &long[..40_000]).await;
    assert_eq!(ends_with(&mut client, line).await.0, 1009);
}

#[tokio::test]
async fn broken_framing_closes_with_1002_and_bad_text_with_1007() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    client.fragment(true, OpCode::Continuation, b"of nothing").await;
    assert_eq!(ends_with(&mut client, line).await.0, 1002);

    let (mut client, line, _) = server.call("").await;
    client.fragment(false, OpCode::Binary, b"begun").await;
    client.fragment(true, OpCode::Binary, b"again").await;
    assert_eq!(ends_with(&mut client, line).await.0, 1002);

    let (mut client, line, _) = server.call("").await;
    client.0.set_auto_apply_mask(false);
    client.binary(b"not masked").await;
    assert_eq!(ends_with(&mut client, line).await.0, 1002);

    let (mut client, line, _) = server.call_v1("?in=pcm16").await;
    client.fragment(true, OpCode::Text, b"\xff\xfe").await;
    assert_eq!(ends_with(&mut client, line).await.0, 1007);
}

#[tokio::test]
async fn a_long_reason_of_the_engine_is_cut_to_what_a_close_frame_holds() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    line.event(Event::Closed { code: 1003, reason: "this is MP4. ".repeat(40) }).await;
    let (_, code, reason) = client.rest().await;
    assert_eq!((code, reason.len()), (1003, 123));
}

#[tokio::test]
async fn an_engine_that_vanishes_is_our_fault() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    drop(line);
    assert_eq!(client.rest().await.1, 1011);
}

#[tokio::test]
async fn an_engine_that_refuses_closes_with_its_kind_and_the_conversation_ends() {
    for (refused, expected) in [(Refused::Busy("full".into()), 1013), (Refused::Fault("broken".into()), 1011)]
    {
        let mut server = Server::with(Wish { refuse: Some(refused), ..Wish::default() }).await;
        let id = Uuid::new_v4();
        let mut client = server.dial(&format!("/voice/{id}"), None).await.expect("accepted");
        assert_eq!(client.rest().await.1, expected);
        assert_eq!(crate::harness::soon(server.ended.recv()).await, Some(id));
    }
}

#[tokio::test]
async fn one_call_too_many_closes_with_1013_and_leaves_no_conversation() {
    let config = Config { max_calls: 1, ..Config::default() };
    let mut server = Server::with(Wish { config, ..Wish::default() }).await;
    let (mut first, line, _) = server.call("").await;
    let second = Uuid::new_v4();
    let mut refused = server.dial(&format!("/voice/{second}"), None).await.expect("accepted");
    let (_, code, reason) = refused.rest().await;
    assert_eq!(code, 1013);
    assert!(reason.contains("busy"), "{reason}");
    assert_eq!(server.read(&format!("/api/v1/conversations/{second}")).await.status, 404);

    // The place is free again once the first call is over.
    first.close().await;
    line.end().await;
    first.rest().await;
    crate::harness::soon(async {
        while server.dial(&format!("/voice/{}", Uuid::new_v4()), None).await.is_none()
            || server.lines.try_recv().is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_silent_call_ends_with_4408() {
    let limits = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let mut server = Server::with(limited(limits)).await;
    let (mut client, line, _) = server.call("").await;
    assert_eq!(ends_with(&mut client, line).await.0, 4408);
}

#[tokio::test]
async fn the_longest_call_ends_with_4429() {
    let limits =
        Limits { whole: Duration::from_millis(50), idle: Duration::from_secs(1), ..Limits::default() };
    let mut server = Server::with(limited(limits)).await;
    let (mut client, line, _) = server.call("").await;
    assert_eq!(ends_with(&mut client, line).await.0, 4429);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up_and_loses_its_call() {
    let mut server = Server::start().await;
    let (_client, mut line, id) = server.call("").await;
    // 24 MiB go nowhere: more than the system's buffers and the box hold together. Each is taken at once.
    for _ in 0..24 {
        line.audio(1, &vec![0; 1 << 20]).await;
    }
    line.turn(1, "stored all the same").await;
    assert_eq!(line.next_seen().await, Seen::Closed);
    line.event(Event::Closed { code: 1000, reason: String::new() }).await;
    assert_eq!(crate::harness::soon(server.ended.recv()).await, Some(id));
    assert_eq!(server.conversation(id).await["transcript"][0]["text"], "stored all the same");
}
