//! What is stored of a call, and that a close waits for it.

use std::time::{Duration, Instant};

use serde_json::json;
use voice_server::voice::call::Event;

use crate::harness::{Got, Seen, Server, Wish, soon};

#[tokio::test]
async fn right_after_the_close_the_conversation_is_there_with_the_callers_words() {
    let mut server = Server::start().await;
    let (mut client, line, id) = server.call("").await;
    client.binary(b"question").await;
    line.turn(1, "how many rooms").await;
    client.close().await;
    line.end().await;
    assert_eq!(client.next().await, Got::Closed(1000, String::new()));
    let found = server.conversation(id).await;
    assert_eq!(found["status"], "ended");
    let transcript = found["transcript"].as_array().unwrap();
    assert_eq!(transcript.len(), 2);
    assert_eq!((&transcript[0]["role"], &transcript[0]["text"]), (&json!("user"), &json!("how many rooms")));
    assert_eq!(transcript[1]["role"], "assistant");
    assert_eq!(transcript[1]["text"], "It has three bedrooms.");
    assert_eq!(transcript[1]["heard"], "It has three");
    assert!(transcript[0]["startedAt"].as_str().unwrap().ends_with('Z'));
    let turn = &found["turns"][0];
    assert_eq!(turn["turn"], 1);
    assert_eq!(turn["ledger"], json!({"endpoint": 200.0, "stt": 50.5}));
    for name in ["createdAt", "endedAt", "clientPhone", "organizationId", "metadata"] {
        assert!(found.get(name).is_some(), "{name}");
    }
}

/// A recording is heard faster than it was spoken: by the engine's clock this turn began after a second.
#[tokio::test]
async fn no_line_of_a_transcript_begins_after_the_call_ended() {
    let mut server = Server::start().await;
    let (mut client, line, id) = server.call("").await;
    line.event(Event::Transcript { turn: 1, text: "how many rooms".into(), is_final: true }).await;
    line.audio(1, b"Three.").await;
    assert_eq!(client.next().await, Got::Binary(b"Three.".to_vec()));
    line.turn(1, "how many rooms").await;
    line.turn(2, "and how many baths").await;
    client.close().await;
    line.end().await;
    client.rest().await;
    let found = server.conversation(id).await;
    // Times of one form in UTC are in order where their texts are.
    let mut times = vec![found["createdAt"].as_str().unwrap()];
    times.extend(
        found["transcript"].as_array().unwrap().iter().map(|line| line["startedAt"].as_str().unwrap()),
    );
    times.push(found["endedAt"].as_str().unwrap());
    assert!(times.len() == 6 && times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_turn_that_ends_after_the_hang_up_is_stored_before_the_echo() {
    let mut server = Server::start().await;
    let (mut client, mut line, id) = server.call("").await;
    client.close().await;
    assert_eq!(line.next_seen().await, Seen::Closed);
    line.turn(1, "one last thing").await;
    line.event(Event::Closed { code: 1000, reason: String::new() }).await;
    client.rest().await;
    assert_eq!(server.conversation(id).await["transcript"][0]["text"], "one last thing");
}

#[tokio::test]
async fn the_echo_waits_for_a_slow_disk() {
    let mut server = Server::with(Wish { held: true, ..Wish::default() }).await;
    let (mut client, line, id) = server.call("").await;
    line.turn(1, "one").await;
    line.turn(2, "two").await;
    client.close().await;
    line.end().await;
    // Nothing is stored yet, so nothing may come. The wait can only miss a fault, never make one up.
    assert!(tokio::time::timeout(Duration::from_millis(150), client.0.read_frame()).await.is_err());
    server.gate.add_permits(2);
    assert_eq!(soon(server.ended.recv()).await, Some(id));
    assert_eq!(server.conversation(id).await["turns"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn turns_are_stored_while_the_call_goes_on() {
    let mut server = Server::start().await;
    let (_client, line, id) = server.call("").await;
    line.turn(1, "one").await;
    soon(async {
        while server.conversation(id).await["turns"].as_array().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.conversation(id).await["status"], "active");
}

#[tokio::test]
async fn a_file_and_a_close_right_behind_it_are_taken_in_this_order() {
    let mut server = Server::start().await;
    let id = uuid::Uuid::new_v4();
    let mut client = server.dial(&format!("/voice/{id}"), None).await.expect("accepted");
    client.binary(b"one").await;
    client.binary(b"two").await;
    client.close().await;
    let mut line = server.line().await;
    assert_eq!(line.next_seen().await, Seen::Pushed("one".into()));
    assert_eq!(line.next_seen().await, Seen::Pushed("two".into()));
    line.turn(1, "both").await;
    line.end().await;
    client.rest().await;
    assert_eq!(server.conversation(id).await["transcript"][0]["text"], "both");
}

#[tokio::test]
async fn a_client_that_vanishes_is_stored_and_ended_too() {
    let mut server = Server::start().await;
    let (client, line, id) = server.call("").await;
    drop(client);
    let turn = async {
        line.turn(1, "lost").await;
        line.end().await;
    };
    turn.await;
    assert_eq!(soon(server.ended.recv()).await, Some(id));
    assert_eq!(server.conversation(id).await["transcript"][0]["text"], "lost");
}

#[tokio::test]
async fn a_hang_up_is_seen_while_audio_is_held_back() {
    let mut server = Server::start().await;
    let (mut client, mut line, _) = server.call("").await;
    line.room.forget_permits(1_000_000);
    client.binary(b"stuck").await;
    client.close().await;
    assert_eq!(line.next_seen().await, Seen::Closed);
    line.event(Event::Closed { code: 1000, reason: String::new() }).await;
    assert_eq!(client.rest().await.1, 1000);
}

#[tokio::test]
async fn an_engine_that_does_not_end_is_given_up_and_the_close_echoed() {
    let mut server = Server::start().await;
    let (mut client, line, id) = server.call("").await;
    line.turn(1, "before it hung").await;
    client.close().await;
    assert_eq!(client.rest().await.1, 1000);
    let found = server.conversation(id).await;
    assert_eq!(
        (&found["status"], &found["transcript"][0]["text"]),
        (&json!("ended"), &json!("before it hung"))
    );
    drop(line);
}

#[tokio::test]
async fn a_stopping_server_lets_calls_finish_their_turn_and_stores_them() {
    let mut server = Server::start().await;
    let (mut client, mut line, _) = server.call("").await;
    server.trigger.begin();
    assert_eq!(line.next_seen().await, Seen::Closed);
    line.audio(1, b"last words").await;
    line.turn(1, "goodbye").await;
    line.event(Event::Closed { code: 1000, reason: String::new() }).await;
    let (got, code, _) = client.rest().await;
    assert_eq!((got, code), (vec![Got::Binary(b"last words".to_vec())], 1013));
    client.close().await;
    soon(&mut server.serving).await.unwrap();
}

/// The reader must come to the close that stands behind 25 MB of audio which the engine does not take yet.
#[tokio::test]
async fn a_close_behind_a_large_recording_in_small_messages_is_echoed_within_two_seconds() {
    let mut server = Server::start().await;
    let (mut client, line, _) = server.call("").await;
    line.room.forget_permits(1_000_000);
    let piece = vec![7; 32 * 1024];
    for _ in 0..25_000_000 / piece.len() {
        client.binary(&piece).await;
    }
    let closed = Instant::now();
    client.close().await;
    let ending = tokio::spawn(line.end());
    assert_eq!(client.rest().await.1, 1000);
    let echo = closed.elapsed();
    assert!(echo < Duration::from_secs(2), "the echo took {echo:?}");
    ending.await.unwrap();
}
