//! Connections that drop and come back: nothing is lost, nothing comes twice, nobody else gets in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use voice_core::sim::Random;
use voice_server::data::DEMO_ORGANIZATION;
use voice_server::voice::Limits;
use voice_server::voice::call::{Control, Event};
use voice_server::voice::registry::{NotOrdered, Order};

use crate::harness::{Client, Got, Line, Seen, Server, Wish, soon};
use crate::rest::Api;

const FRAME: Duration = Duration::from_millis(20);

/// A call of `voice.v1` with raw audio, and its token.
async fn call(server: &mut Server) -> (Client, Line, Uuid, String) {
    let (mut client, line, id) = server.call_v1("?in=pcm16&out=pcm16").await;
    let session = client.next_text().await;
    let token = session["resumeToken"].as_str().expect("a token").to_owned();
    (client, line, id, token)
}

/// Another socket for a call, which asks to go on behind `last`.
async fn resume(server: &Server, id: Uuid, token: &str, last: u32) -> Client {
    let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("accepted");
    client.text(&json!({"type": "resume", "token": token, "lastSeq": last}).to_string()).await;
    client
}

/// The number of what came, and what it was without that.
fn numbered(got: Got) -> (u32, Vec<u8>) {
    match got {
        Got::Binary(bytes) => (u32::from_be_bytes(bytes[..4].try_into().unwrap()), bytes[4..].to_vec()),
        Got::Text(mut value) => {
            let seq = value.as_object_mut().unwrap().remove("seq").unwrap();
            (seq.as_u64().unwrap().try_into().unwrap(), value.to_string().into_bytes())
        }
        Got::Closed(code, reason) => panic!("closed with {code}: {reason}"),
    }
}

/// Waits until the session was told that its client is away.
async fn left(line: &mut Line) {
    let (mut away, mut broke) = (false, false);
    while !(away && broke) {
        match line.next_seen().await {
            Seen::Control(Control::Away { .. }) => away = true,
            Seen::Broke => broke = true,
            Seen::Closed => panic!("the call was ended"),
            _ => {}
        }
    }
}

/// Waits until it was told that its client is back.
async fn back(line: &mut Line) -> (Option<(u32, Duration)>, Duration) {
    loop {
        if let Seen::Control(Control::Back { received, again }) = line.next_seen().await {
            return (received, again);
        }
    }
}

/// Waits until it was told that another client has the call, and its bytes broke off between the two. Controls and
/// bytes come by ways of their own, so the break may be seen last.
async fn taken_over(line: &mut Line) -> (Option<(u32, Duration)>, Duration) {
    let (mut away, mut broke, mut back) = (false, false, None);
    loop {
        match line.next_seen().await {
            Seen::Control(Control::Away { .. }) => away = true,
            Seen::Control(Control::Back { received, again }) => {
                assert!(away, "one leaves before the other comes");
                back = Some((received, again));
            }
            Seen::Broke => broke = true,
            other => panic!("{other:?}"),
        }
        if let (true, Some(back)) = (broke, back) {
            return back;
        }
    }
}

/// The close of a refused or parted socket, behind whatever came before it.
async fn refused(client: &mut Client) -> (Vec<Value>, u16) {
    let (got, code, _) = client.rest().await;
    let texts = got.into_iter().filter_map(|got| if let Got::Text(text) = got { Some(text) } else { None });
    (texts.collect(), code)
}

#[tokio::test]
async fn what_was_missed_comes_once_and_in_order_and_the_call_goes_on() {
    let mut server = Server::start().await;
    let (mut client, mut line, id, token) = call(&mut server).await;
    for n in 0..3 {
        line.piece(1, &[n; 4], FRAME * u32::from(n), FRAME * u32::from(n + 1)).await;
    }
    assert_eq!(numbered(client.next().await).0, 2);
    drop(client);
    left(&mut line).await;
    line.event(Event::Reply { turn: 1, text: "Three.".into() }).await;

    let mut client = resume(&server, id, &token, 2).await;
    let came: Vec<_> = [client.next().await, client.next().await, client.next().await].map(numbered).into();
    assert_eq!(came.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(came[0].1, [&1_u32.to_be_bytes()[..], &[1; 4]].concat());
    let session = client.next_text().await;
    assert_eq!(
        (&session["type"], &session["seq"], &session["resumeToken"]),
        (&json!("session"), &json!(6), &json!(token))
    );
    // The pacing knows what the client has and what it is being sent again.
    assert_eq!(back(&mut line).await, (Some((1, FRAME)), 2 * FRAME));
    line.piece(1, b"more", FRAME * 3, FRAME * 4).await;
    assert_eq!(numbered(client.next().await).0, 7);
    client.binary(b"sound").await;
    assert_eq!(line.next_seen().await, Seen::Pushed("sound".into()));
    client.text(r#"{"type":"start","in":"opus"}"#).await;
    assert_eq!(client.next_text().await["code"], "already_started");
    client.text(r#"{"type":"text","text":"any garden?"}"#).await;
    assert_eq!(line.next_seen().await, Seen::Control(Control::Text("any garden?".into())));
    assert_eq!(server.conversation(id).await["status"], "active");
}

/// Twenty callers whose connections drop at arbitrary points, some several times, get together what one gets whose
/// connection holds.
#[tokio::test]
async fn dropping_anywhere_loses_nothing_and_doubles_nothing() {
    const ITEMS: u32 = 200;
    let mut server = Server::start().await;
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let (mut client, mut line, id, token) = call(&mut server).await;
        let audio: Vec<bool> = (0..ITEMS).map(|_| !random.one_in(4)).collect();
        let said = audio.clone();
        let talking = tokio::spawn(async move {
            for (n, is_audio) in (0..).zip(said) {
                if is_audio {
                    line.piece(1, &u32::to_be_bytes(n), FRAME * n, FRAME * (n + 1)).await;
                } else {
                    line.event(Event::Transcript { turn: 1, text: n.to_string(), is_final: false }).await;
                }
                tokio::task::yield_now().await;
            }
            // Nobody asked the session to end.
            while let Ok(seen) = line.seen.try_recv() {
                assert_ne!(seen, Seen::Closed, "seed {seed}");
            }
            line
        });
        let (mut came, mut last) = (BTreeMap::new(), 1);
        let mut sessions = 0;
        while came.len() < ITEMS as usize {
            for _ in 0..1 + random.below(60) {
                if came.len() >= ITEMS as usize {
                    break;
                }
                let (seq, what) = numbered(client.next().await);
                assert_eq!(seq, last + 1, "seed {seed}");
                last = seq;
                if what.starts_with(b"{")
                    && serde_json::from_slice::<Value>(&what).unwrap()["type"] == "session"
                {
                    sessions += 1;
                } else {
                    came.insert(seq, what);
                }
            }
            drop(client);
            client = resume(&server, id, &token, last).await;
        }
        let line = soon(talking).await.unwrap();
        let expected: Vec<Vec<u8>> = (0..ITEMS)
            .zip(audio)
            .map(|(n, is_audio)| match is_audio {
                true => [1_u32.to_be_bytes(), n.to_be_bytes()].concat(),
                false => json!({"type": "transcript", "turn": 1, "text": n.to_string(), "final": false})
                    .to_string()
                    .into_bytes(),
            })
            .collect();
        // Where one event overtakes audio that waits beside it, order is the session's own; nothing is missing or double.
        let mut came: Vec<Vec<u8>> = came.into_values().collect();
        let mut wanted = expected;
        came.sort();
        wanted.sort();
        assert_eq!(came, wanted, "seed {seed} with {sessions} resumptions");
        assert!(sessions > 0, "seed {seed}");
        drop(line);
    }
}

#[tokio::test]
async fn a_page_that_goes_away_is_waited_for_and_its_close_is_echoed() {
    let mut server = Server::start().await;
    let (mut client, mut line, id, token) = call(&mut server).await;
    client.close_with(1001).await;
    assert_eq!(client.next().await, Got::Closed(1001, String::new()));
    left(&mut line).await;
    assert!(server.calls.live(DEMO_ORGANIZATION)[0].is_away);
    // A page that was loaded anew goes back to what it had played.
    let mut client = resume(&server, id, &token, 1).await;
    assert_eq!(client.next_text().await["type"], "session");
    back(&mut line).await;
    client.close().await;
    line.end().await;
    assert_eq!(client.next().await, Got::Closed(1000, String::new()));
    assert_eq!(server.conversation(id).await["status"], "ended");
}

#[tokio::test]
async fn a_wrong_token_an_unknown_call_and_a_strange_number_are_refused() {
    let mut server = Server::start().await;
    let (client, mut line, id, token) = call(&mut server).await;
    for (id, token, last, expected) in [
        (id, "wrong", 1, 4401),
        (id, "", 1, 4401),
        (id, &token[1..], 1, 4401),
        (id, &token, 2, 4404),
        (Uuid::new_v4(), &token, 1, 4404),
    ] {
        let mut client = resume(&server, id, token, last).await;
        let (texts, code) = refused(&mut client).await;
        assert_eq!((texts[0]["code"].as_str(), texts[0]["seq"].as_u64()), (Some("resume_refused"), Some(1)));
        assert_eq!((texts.len(), code), (1, expected));
    }
    // None of them has touched the call, nor begun another.
    drop(client);
    left(&mut line).await;
    let mut client = resume(&server, id, &token, 1).await;
    assert_eq!(client.next_text().await["type"], "session");
}

#[tokio::test]
async fn a_resume_with_the_forms_in_the_query_is_refused_as_well() {
    let mut server = Server::start().await;
    let id = Uuid::new_v4();
    let mut client =
        server.dial(&format!("/voice/{id}?in=pcm16&out=pcm16"), Some("voice.v1")).await.expect("accepted");
    let ending = tokio::spawn(server.line().await.end());
    client.text(r#"{"type":"resume","token":"t","lastSeq":9}"#).await;
    let (texts, code) = refused(&mut client).await;
    assert_eq!((texts.last().unwrap()["code"].as_str(), code), (Some("resume_refused"), 4404));
    soon(ending).await.unwrap();
}

#[tokio::test]
async fn a_refused_resume_leaves_nothing_behind_and_what_was_there_as_it_was() {
    let mut server = Server::start().await;
    let api = Api::agent(&server).await;
    let follow = format!("/api/v1/events?token={}", api.token());
    let mut console = server.dial(&follow, None).await.expect("accepted");
    let id = Uuid::new_v4();
    for query in ["", "?in=pcm16&out=pcm16"] {
        let path = format!("/voice/{id}{query}");
        let mut client = server.dial(&path, Some("voice.v1")).await.expect("accepted");
        if !query.is_empty() {
            tokio::spawn(server.line().await.end());
        }
        client.text(r#"{"type":"resume","token":"t","lastSeq":0}"#).await;
        assert_eq!(refused(&mut client).await.1, 4404);
        assert_eq!(api.get(&format!("/api/v1/conversations/{id}")).await.status, 404, "{query}");
        assert_eq!(api.get("/api/v1/conversations").await.body["items"], json!([]), "{query}");
    }
    // A call of another server, which lost its client a moment ago.
    let made = api.post("/api/v1/conversations", json!({})).await;
    let other: Uuid = made.body["id"].as_str().expect("an id").parse().expect("an id");
    let written =
        api.post(&format!("/api/v1/conversations/{other}/messages"), json!({"text": "Hello?"})).await;
    assert_eq!(written.status, 200);
    let path = format!("/voice/{other}");
    let mut client = server.dial_as(Some(api.token()), &path, Some("voice.v1")).await.expect("accepted");
    client.text(r#"{"type":"resume","token":"t","lastSeq":0}"#).await;
    assert_eq!(refused(&mut client).await.1, 4404);
    assert_eq!(server.conversation(other).await["status"], "active");
    // The id is as good as before, and nobody who watches was told of a call until now.
    let _client = server.dial(&format!("/voice/{id}?out=pcm16"), None).await.expect("accepted");
    let _line = server.line().await;
    loop {
        let event = console.next_text().await;
        assert_ne!(event["data"]["conversationId"], json!(other), "{event}");
        if event["type"] == "conversation.started" && server.conversation(id).await["status"] == "active" {
            break;
        }
    }
}

#[tokio::test]
async fn a_signed_in_user_takes_his_call_over_without_a_token_and_nobody_else_does() {
    let mut server = Server::start().await;
    let (agent, admin) = (Api::agent(&server).await, Api::admin(&server).await);
    for (profile, query) in [(Some("voice.v1"), "?in=pcm16&out=pcm16"), (None, "?in=pcm16&out=pcm16")] {
        let path = format!("/voice/{}{query}", Uuid::new_v4());
        let mut first = server.dial_as(Some(agent.token()), &path, profile).await.expect("accepted");
        let mut line = server.line().await;
        if profile.is_some() {
            assert_eq!(first.next_text().await["type"], "session");
        }
        // Another user of the same organization.
        match server.dial_as(Some(admin.token()), &path, profile).await {
            Some(mut other) => {
                other.text(r#"{"type":"text","text":"let me in"}"#).await;
                assert_eq!(refused(&mut other).await.1, 4404);
            }
            None => assert!(profile.is_none(), "in the basic profile the handshake says it"),
        }
        let mut second = server.dial_as(Some(agent.token()), &path, profile).await.expect("accepted");
        if profile.is_some() {
            second.text(r#"{"type":"text","text":"still me"}"#).await;
        }
        assert_eq!(first.next().await, Got::Closed(4409, "this call was taken over".into()));
        if profile.is_some() {
            assert_eq!(second.next_text().await["type"], "session");
            let said = Seen::Control(Control::Text("still me".into()));
            while line.next_seen().await != said {}
        }
        second.binary(b"fresh").await;
        while line.next_seen().await != Seen::Pushed("fresh".into()) {}
        line.audio(1, b"sound").await;
        assert!(matches!(second.next().await, Got::Binary(bytes) if bytes.ends_with(b"sound")));
        second.close().await;
        line.end().await;
        assert_eq!(second.rest().await.1, 1000);
    }
}

#[tokio::test]
async fn nobody_joins_a_call_without_its_token() {
    let mut server = Server::start().await;
    let (_client, line, id, _) = call(&mut server).await;
    // In the basic profile nothing can be shown, so there is nothing to open.
    assert!(server.dial(&format!("/voice/{id}"), None).await.is_none());
    for first in [r#"{"type":"text","text":"let me in"}"#, "nonsense"] {
        let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("opened");
        client.text(first).await;
        assert_eq!(refused(&mut client).await.1, 4404, "{first}");
    }
    let mut client = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("opened");
    client.binary(b"sound").await;
    assert_eq!(refused(&mut client).await.1, 4404);
    drop(line);
}

#[tokio::test]
async fn after_its_time_the_call_has_ended_and_is_stored() {
    let limits = Limits { resume: Duration::from_millis(200), ..Limits::default() };
    let mut server = Server::with(Wish { limits: Some(limits), ..Wish::default() }).await;
    let (client, mut line, id, token) = call(&mut server).await;
    drop(client);
    left(&mut line).await;
    line.turn(1, "one last thing").await;
    line.end().await;
    assert_eq!(soon(server.ended.recv()).await, Some(id));
    assert_eq!(server.conversation(id).await["transcript"][0]["text"], "one last thing");
    let mut client = resume(&server, id, &token, 1).await;
    let (texts, code) = refused(&mut client).await;
    assert_eq!((texts[0]["code"].as_str(), code), (Some("resume_refused"), 4404));
}

#[tokio::test]
async fn a_socket_that_still_looks_alive_is_closed_where_another_takes_the_call_over() {
    let mut server = Server::start().await;
    let (mut first, mut line, id, token) = call(&mut server).await;
    line.piece(1, b"zero", Duration::ZERO, FRAME).await;
    first.next().await;
    let mut second = resume(&server, id, &token, 1).await;
    assert_eq!(numbered(second.next().await).0, 2, "what the first one got counts for nothing");
    assert_eq!(first.next().await, Got::Closed(4409, "this call was taken over".into()));
    assert_eq!(taken_over(&mut line).await, (Some((1, Duration::ZERO)), FRAME));
    // What the first one still sends is not heard.
    first.binary(b"stale").await;
    assert_eq!(second.next_text().await["type"], "session");
    second.binary(b"fresh").await;
    assert_eq!(line.next_seen().await, Seen::Pushed("fresh".into()));
}

/// A network that is gone says nothing, and the server finds out by its pings.
#[tokio::test]
async fn a_client_that_falls_silent_is_waited_for_since_it_did() {
    let mut server = Server::start().await;
    let (client, mut line, id, token) = call(&mut server).await;
    tokio::time::pause();
    let silent_ms = loop {
        let seen = tokio::time::timeout(Duration::from_secs(100), line.seen.recv()).await;
        match seen.expect("it is noticed").expect("a call") {
            Seen::Control(Control::Away { silent_ms }) => break silent_ms,
            other => assert_eq!(other, Seen::Broke),
        }
    };
    assert!(silent_ms.abs_diff(60_000) < 1_000, "{silent_ms}");
    tokio::time::resume();
    let mut second = resume(&server, id, &token, 1).await;
    assert_eq!(second.next_text().await["type"], "session");
    drop(client);
}

#[tokio::test]
async fn of_two_that_resume_at_once_one_has_the_call() {
    let mut server = Server::start().await;
    for _ in 0..10 {
        let (client, mut line, id, token) = call(&mut server).await;
        drop(client);
        left(&mut line).await;
        let (mut one, mut other) =
            tokio::join!(resume(&server, id, &token, 1), resume(&server, id, &token, 1));
        // Whoever came first is closed; the other one has the call and hears what comes.
        let race = async {
            let mut closed = 0;
            for _ in 0..2 {
                back(&mut line).await;
            }
            line.audio(1, b"sound").await;
            for client in [&mut one, &mut other] {
                loop {
                    match client.next().await {
                        Got::Closed(4409, _) => {
                            closed += 1;
                            break;
                        }
                        Got::Binary(_) => break,
                        Got::Text(session) => assert_eq!(session["type"], "session"),
                        Got::Closed(code, reason) => panic!("{code} {reason}"),
                    }
                }
            }
            closed
        };
        assert_eq!(soon(race).await, 1);
    }
}

#[tokio::test]
async fn a_stopping_server_ends_a_call_whose_client_is_away_at_once() {
    let mut server = Server::start().await;
    let (client, mut line, id, _) = call(&mut server).await;
    drop(client);
    left(&mut line).await;
    server.trigger.begin();
    line.turn(1, "goodbye").await;
    line.end().await;
    assert_eq!(soon(server.ended.recv()).await, Some(id));
    soon(&mut server.serving).await.unwrap();
}

#[tokio::test]
async fn more_than_is_kept_is_told_as_a_gap() {
    let mut server = Server::start().await;
    let (mut client, mut line, id, token) = call(&mut server).await;
    // 12 s of audio, all of which comes; then the page is loaded anew and has played nothing.
    for n in 0..120 {
        line.piece(1, &[7; 64], FRAME * 5 * n, FRAME * 5 * (n + 1)).await;
        client.next().await;
    }
    client.close_with(1001).await;
    left(&mut line).await;
    let mut client = resume(&server, id, &token, 1).await;
    for n in 0..100 {
        assert_eq!(numbered(client.next().await).0, 22 + n);
    }
    let notice = client.next_text().await;
    assert_eq!((&notice["type"], &notice["code"]), (&json!("notice"), &json!("resume_gap")));
    assert_eq!(client.next_text().await["type"], "session");
}

#[tokio::test]
async fn what_was_played_or_cleared_does_not_come_again() {
    let mut server = Server::start().await;
    let (mut client, mut line, id, token) = call(&mut server).await;
    for n in 0..4 {
        line.piece(1, b"one", FRAME * n, FRAME * (n + 1)).await;
        client.next().await;
    }
    client.text(r#"{"type":"position","reply":1,"playedMs":40}"#).await;
    assert!(matches!(line.next_seen().await, Seen::Control(Control::Position { .. })));
    client.close_with(1001).await;
    left(&mut line).await;
    let mut client = resume(&server, id, &token, 1).await;
    assert_eq!([client.next().await, client.next().await].map(|got| numbered(got).0), [4, 5]);
    client.next_text().await;
    drop(client);
    left(&mut line).await;
    line.event(Event::Clear { reply: 1 }).await;
    // The clear comes in the place of what it cleared.
    soon(async {
        while server.calls.live(DEMO_ORGANIZATION).iter().all(|call| !call.is_away) {
            tokio::task::yield_now().await
        }
    })
    .await;
    line.event(Event::SpeechStarted).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut client = resume(&server, id, &token, 3).await;
    assert_eq!(client.next_text().await["type"], "session");
    assert_eq!(client.next_text().await["type"], "clear");
}

#[tokio::test]
async fn calls_under_way_are_known_and_take_orders() {
    let mut server = Server::start().await;
    let (mut client, mut line, id, _) = call(&mut server).await;
    let calls = server.calls.live(DEMO_ORGANIZATION);
    assert_eq!((calls.len(), calls[0].id, calls[0].is_attended), (1, id, false));
    let order = |order| server.calls.order(DEMO_ORGANIZATION, id, order);
    order(Order::TakeOver(true)).unwrap();
    assert_eq!(line.next_seen().await, Seen::Control(Control::Attend(true)));
    order(Order::Say("This is Ann.".into())).unwrap();
    assert_eq!(line.next_seen().await, Seen::Control(Control::Say("This is Ann.".into())));
    soon(async {
        while !server.calls.live(DEMO_ORGANIZATION)[0].is_attended {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(server.calls.order(Uuid::new_v4(), id, Order::End), Err(NotOrdered::Unknown));
    order(Order::End).unwrap();
    line.end().await;
    let (_, code, _) = client.rest().await;
    assert_eq!(code, 1000);
    assert_eq!(server.calls.live(DEMO_ORGANIZATION), []);
}

#[tokio::test]
async fn a_call_of_the_basic_profile_ends_with_its_connection_as_ever() {
    let mut server = Server::start().await;
    let (client, line, id) = server.call("").await;
    drop(client);
    line.end().await;
    assert_eq!(soon(server.ended.recv()).await, Some(id));
}
