//! Live events over real sockets: whose they are, resuming, slow readers, limits, the end, and two servers on one Redis.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;
use voice_fixtures::private::PrivateRedis;
use voice_server::config::{Config, Secret};
use voice_server::data::DEMO_ORGANIZATION;
use voice_server::events::{Event, Kind};
use voice_server::voice::call;

use crate::harness::{Client, Got, Server, Wish, soon};
use crate::rest::Api;

const PATH: &str = "/api/v1/events";

fn turn(n: usize) -> Event {
    Event::new(Kind::Turn, json!({"n": n}))
}

/// The address with the access token of somebody who may follow events.
async fn path(server: &Server) -> String {
    format!("{PATH}?token={}", Api::agent(server).await.token())
}

async fn watch(server: &Server, last: Option<&str>) -> Client {
    let last = last.map(|last| format!("&lastEventId={last}")).unwrap_or_default();
    server.dial(&format!("{}{last}", path(server).await), None).await.expect("accepted")
}

/// The id and number of the next event.
async fn next(client: &mut Client) -> (String, u64) {
    let value = client.next_text().await;
    let number = value["data"]["n"].as_u64().unwrap_or_else(|| panic!("{value}"));
    (value["id"].as_str().expect("an id").to_owned(), number)
}

async fn is_quiet(client: &mut Client) -> bool {
    timeout(Duration::from_millis(300), client.next()).await.is_err()
}

async fn on_redis(redis: &PrivateRedis) -> Server {
    let config = Config { redis_url: Some(Secret::new(redis.url())), ..Config::default() };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    soon(server.events.whole()).await;
    server
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_once() {
    let server = Server::start().await;
    let mut client = watch(&server, None).await;
    let mut last = String::new();
    for round in 0..5 {
        for n in 0..20 {
            server.events.publish(DEMO_ORGANIZATION, &turn(round * 20 + n));
        }
        // It drops out in the middle of what is under way, and something happens meanwhile.
        let from = if round == 0 { 0 } else { round as u64 * 20 - 7 };
        for n in from..(round as u64 + 1) * 20 - 7 {
            let (id, got) = next(&mut client).await;
            assert_eq!(got, n);
            last = id;
        }
        drop(client);
        client = watch(&server, Some(&last)).await;
    }
    for n in 93..100 {
        assert_eq!(next(&mut client).await.1, n);
    }
    assert!(is_quiet(&mut client).await);
    let mut lost = watch(&server, Some("1-1")).await;
    assert_eq!(lost.next_text().await, json!({"type": "reset"}));
    server.events.publish(DEMO_ORGANIZATION, &turn(100));
    assert_eq!(next(&mut lost).await.1, 100);
}

#[tokio::test]
async fn a_call_is_followed_from_its_begin_to_its_end() {
    let mut server = Server::start().await;
    let mut console = watch(&server, None).await;
    let (mut caller, line, id) = server.call("").await;
    line.event(call::Event::Transcript { turn: 1, text: "how many".into(), is_final: false }).await;
    line.event(call::Event::Transcript { turn: 1, text: "how many rooms".into(), is_final: true }).await;
    line.event(call::Event::Reply { turn: 1, text: "It has three".into() }).await;
    line.turn(1, "how many rooms").await;
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(console.next_text().await);
    }
    caller.close().await;
    soon(line.end()).await;
    told.push(console.next_text().await);
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(
        kinds,
        ["conversation.started", "transcript", "transcript", "transcript", "turn", "conversation.ended"]
    );
    for event in &told {
        assert_eq!(event["data"]["conversationId"], json!(id), "{event}");
        assert_eq!(event["id"].is_null(), event["type"] == "transcript", "{event}");
        assert!(event["at"].as_str().expect("a time").ends_with('Z'), "{event}");
    }
    assert_eq!((&told[1]["data"]["text"], &told[2]["data"]["final"]), (&json!("how many"), &json!(true)));
    let reply = &told[3]["data"];
    assert_eq!((&reply["role"], &reply["text"]), (&json!("assistant"), &json!("It has three")));
    let turn = &told[4]["data"];
    assert_eq!((&turn["said"], &turn["totalMs"]), (&json!("how many rooms"), &json!(250.5)));
    // What is told as stored is stored, and a console that reloads gets the same but for the words so far.
    assert_eq!(server.conversation(id).await["status"], json!("ended"));
    let mut again = watch(&server, told[0]["id"].as_str()).await;
    assert_eq!((again.next_text().await, again.next_text().await), (told[4].clone(), told[5].clone()));
}

#[tokio::test]
async fn who_watches_is_told_that_a_line_dropped_and_that_a_person_answers() {
    let mut server = Server::start().await;
    let mut console = watch(&server, None).await;
    let (mut caller, _line, id) = server.call_v1("?in=pcm16&out=pcm16").await;
    let session = caller.next_text().await;
    assert_eq!(console.next_text().await["type"], "conversation.started");
    let told = |away, attended| json!({"conversationId": id, "away": away, "attended": attended});
    let agent = Api::agent(&server).await;
    let taken = agent.post(&format!("/api/v1/calls/{id}/attend"), json!({"on": true})).await;
    assert_eq!(taken.status, 202);
    let event = console.next_text().await;
    assert_eq!((&event["type"], &event["data"]), (&json!("conversation.updated"), &told(false, true)));
    drop(caller);
    assert_eq!(console.next_text().await["data"], told(true, true));
    let mut caller = server.dial(&format!("/voice/{id}"), Some("voice.v1")).await.expect("accepted");
    let resume = json!({"type": "resume", "token": session["resumeToken"], "lastSeq": 1});
    caller.text(&resume.to_string()).await;
    assert_eq!(caller.next_text().await["type"], "session");
    assert_eq!(console.next_text().await["data"], told(false, true));
}

#[tokio::test]
async fn another_organization_sees_nothing() {
    let server = Server::start().await;
    let mut client = watch(&server, None).await;
    let other = Uuid::from_u128(0xbad);
    for n in 0..50 {
        server.events.publish(other, &turn(n));
    }
    server.events.publish(DEMO_ORGANIZATION, &turn(7));
    server.events.publish(other, &turn(51));
    assert_eq!(next(&mut client).await.1, 7);
    assert!(is_quiet(&mut client).await);
}

#[tokio::test]
async fn a_slow_reader_is_closed_with_4429_and_resumes_and_others_are_unharmed() {
    let server = Server::start().await;
    let (mut slow, mut quick) = (watch(&server, None).await, watch(&server, None).await);
    let padding = "x".repeat(20_000);
    let mut sent = 0;
    let mut slow_last = String::new();
    // As much as the system's buffers, the queue and a little more; the quick one keeps up. Small events at last.
    while sent < 900 {
        let data = if sent < 600 { json!({"n": sent, "padding": padding}) } else { json!({"n": sent}) };
        server.events.publish(DEMO_ORGANIZATION, &Event::new(Kind::Turn, data));
        assert_eq!(next(&mut quick).await.1, sent);
        sent += 1;
    }
    let mut expected = 0;
    let (code, reason) = loop {
        match slow.next().await {
            Got::Text(value) => {
                assert_eq!(value["data"]["n"], json!(expected), "in order, none left out before the close");
                expected += 1;
                slow_last = value["id"].as_str().expect("an id").to_owned();
            }
            Got::Closed(code, reason) => break (code, reason),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4429, "{reason}");
    assert!(expected > 0 && expected < sent, "{expected} of {sent}");
    // What is still held decides whether it resumes or starts anew; either way it is told.
    let mut back = watch(&server, Some(&slow_last)).await;
    let first = back.next_text().await;
    assert!(first["type"] == "reset" || first["data"]["n"] == json!(expected), "{first}");
    server.events.publish(DEMO_ORGANIZATION, &turn(1_000));
    assert_eq!(next(&mut quick).await.1, 1_000);
    let metrics = server.fetch("/metrics").await.body;
    assert!(metrics.contains("voice_event_subscribers_slow_total 1"), "{metrics}");
}

#[tokio::test]
async fn what_is_no_handshake_or_not_allowed_is_a_problem() {
    let mut server = Server::start().await;
    let path = path(&server).await;
    assert_eq!(server.fetch(PATH).await.status, 401, "nobody is signed in");
    assert_eq!(server.fetch(&path).await.status, 426);
    assert_eq!(server.refused(&format!("{path}&lastEventId=no"), &[]).await.status, 422);
    // From a page of another site, and from behind a proxy.
    for header in ["Origin: https://evil.example", "X-Forwarded-For: 1.2.3.4"] {
        assert_eq!(server.refused(&path, &[header]).await.status, 403, "{header}");
    }
    let config = Config { auth_secret: Some(Secret::new("s")), ..Config::default() };
    let closed = Server::with(Wish { config, ..Wish::default() }).await;
    assert_eq!(closed.refused(PATH, &[]).await.status, 401);
    // More than the limit of one organization.
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(watch(&server, None).await);
    }
    let answer = server.refused(&path, &[]).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("busy")));
    assert!(answer.head.contains("retry-after"));
    clients.pop();
    let back = async {
        while server.refused(&path, &[]).await.status != 101 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    // A handshake that is answered leaves the connection open; its answer does not end.
    let _ = timeout(Duration::from_secs(1), back).await;
    server.trigger.begin();
    assert!(matches!(clients[0].next().await, Got::Closed(1013, _)));
    drop(clients);
    soon(&mut server.serving).await.expect("it ends");
}

#[tokio::test]
async fn what_a_client_says_is_limited_and_its_close_is_echoed() {
    let server = Server::start().await;
    let mut client = watch(&server, None).await;
    client.text("hello").await;
    server.events.publish(DEMO_ORGANIZATION, &turn(1));
    assert_eq!(next(&mut client).await.1, 1);
    client.close().await;
    assert_eq!(client.next().await, Got::Closed(1000, String::new()));
    let mut talker = watch(&server, None).await;
    for _ in 0..101 {
        talker.text("hello").await;
    }
    assert!(matches!(talker.next().await, Got::Closed(4429, _)));
    let mut shouter = watch(&server, None).await;
    shouter.text(&"x".repeat(5_000)).await;
    assert!(matches!(shouter.next().await, Got::Closed(1009, _)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_redis_tell_the_same_also_after_it_died() {
    let Some(mut redis) = PrivateRedis::start() else { return };
    let (one, two) = (on_redis(&redis).await, on_redis(&redis).await);
    let (mut here, mut there) = (watch(&one, None).await, watch(&two, None).await);
    one.events.publish(DEMO_ORGANIZATION, &turn(1));
    let (id, _) = next(&mut here).await;
    assert_eq!(next(&mut there).await, (id.clone(), 1));
    assert_eq!(one.fetch("/health").await.json()["checks"]["redis"], json!(true));
    redis.kill();
    one.events.publish(DEMO_ORGANIZATION, &turn(2));
    assert_eq!(next(&mut here).await.1, 2, "this server goes on");
    let told = async {
        while one.fetch("/health").await.json()["checks"]["redis"] != json!(false) {
            sleep(Duration::from_millis(200)).await;
        }
    };
    soon(told).await;
    redis.restart();
    for server in [&one, &two] {
        soon(server.events.whole()).await;
    }
    assert_eq!(next_turn(&mut there).await, 2, "the other one catches up");
    two.events.publish(DEMO_ORGANIZATION, &turn(3));
    assert_eq!((next_turn(&mut here).await, next_turn(&mut there).await), (3, 3));
    let mut back = watch(&one, Some(&id)).await;
    assert_eq!((next_turn(&mut back).await, next_turn(&mut back).await), (2, 3));
}

/// The number of the next turn; how the server does is told between them.
async fn next_turn(client: &mut Client) -> u64 {
    loop {
        let value: Value = client.next_text().await;
        if value["type"] == "turn" {
            return value["data"]["n"].as_u64().expect("a number");
        }
        assert_eq!(value["type"], "health", "{value}");
    }
}

#[tokio::test]
async fn what_was_told_of_a_caller_is_gone_when_he_is_erased_also_of_a_call_that_goes_on() {
    let mut server = Server::start().await;
    let admin = Api::admin(&server).await;
    let made = admin.post("/api/v1/conversations", json!({"clientPhone": "+15550100"})).await.body;
    let (id, ticket) = (made["id"].as_str().expect("an id"), made["ticket"].as_str().expect("a ticket"));
    let mut console = watch(&server, None).await;
    let mut caller = server.dial(&format!("/voice/{id}?ticket={ticket}"), None).await.expect("accepted");
    let line = server.line().await;
    let started = console.next_text().await;
    line.turn(1, "where I live").await;
    let told = console.next_text().await;
    assert_eq!(
        (&started["type"], &told["data"]["said"]),
        (&json!("conversation.started"), &json!("where I live"))
    );
    let erased = admin.send("DELETE", "/api/v1/callers/%2B15550100", &[], None).await;
    assert_eq!((erased.status, &erased.body["conversations"]), (200, &json!(1)));
    // The call goes on until its caller hangs up, and nothing of it is told or held.
    line.turn(2, "what I earn").await;
    caller.close().await;
    soon(line.end()).await;
    let ended = console.next_text().await;
    assert_eq!(ended["type"], "conversation.ended", "{ended}");
    for last in [&started, &told] {
        let mut back = watch(&server, last["id"].as_str()).await;
        assert_eq!(back.next_text().await, ended);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_erased_at_one_server_is_erased_from_the_events_of_all() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (on_redis(&redis).await, on_redis(&redis).await);
    let admin = Api::admin(&two).await;
    let made = admin.post("/api/v1/conversations", json!({"clientPhone": "+15550100"})).await.body;
    let mut here = watch(&one, None).await;
    one.events.publish(DEMO_ORGANIZATION, &turn(1));
    let (first, _) = next(&mut here).await;
    let told = json!({"conversationId": made["id"], "n": 2, "said": "where I live"});
    one.events.publish(DEMO_ORGANIZATION, &Event::new(Kind::Turn, told));
    let (second, _) = next(&mut here).await;
    let kept = || redis.ask(&format!("XRANGE voice:{{{DEMO_ORGANIZATION}}}:events - +"));
    assert!(kept().contains("where I live"));
    let erased = admin.send("DELETE", "/api/v1/callers/%2B15550100", &[], None).await;
    assert_eq!((erased.status, &erased.body["conversations"]), (200, &json!(1)));
    assert!(!kept().contains("where I live"));
    two.events.publish(DEMO_ORGANIZATION, &turn(3));
    assert_eq!(next_turn(&mut here).await, 3);
    for last in [&first, &second] {
        let mut back = watch(&one, Some(last)).await;
        assert_eq!(next_turn(&mut back).await, 3);
    }
}
