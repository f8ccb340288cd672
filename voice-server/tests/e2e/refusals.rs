//! Who may not call or read, which ids do not exist, and many callers at once.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;
use uuid::Uuid;

use crate::caller::{Caller, Got};
use crate::server::{Answer, admin, ask, conversation};

async fn handshake(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut all = vec![
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    all.extend(headers);
    ask(address, path, &all).await
}

pub(crate) async fn only_this_machine_may_call_and_read(address: SocketAddr) {
    for headers in [
        ["Host: localhost", "Origin: https://example.com"],
        ["Host: localhost", "Origin: null"],
        ["Host: localhost", "Origin: http://localhost.example.com"],
        ["Host: homes.example.com", "Accept: */*"],
        ["Host: localhost", "Forwarded: for=192.0.2.1"],
        ["Host: localhost", "X-Forwarded-For: 127.0.0.1"],
        ["Host: localhost", "X-Forwarded-Proto: https"],
    ] {
        let socket = handshake(address, &format!("/voice/{}", Uuid::new_v4()), &headers).await;
        let list = ask(address, "/api/v1/conversations", &headers).await;
        for answer in [socket, list] {
            assert_eq!(answer.status, 403, "{headers:?}: {}", answer.body);
            let problem: Value = serde_json::from_str(&answer.body).expect("a problem");
            assert!(
                problem["code"].is_string() && problem["detail"].as_str().unwrap().contains("VOICE_"),
                "{problem}"
            );
        }
    }
    for origin in ["Origin: http://localhost:3000", "Origin: http://127.0.0.1", "Origin: http://[::1]:9"] {
        let signed_in = admin(address).await;
        let answer = ask(address, "/api/v1/conversations", &["Host: 127.0.0.1", origin, &signed_in]).await;
        assert_eq!(answer.status, 200, "{origin}: {}", answer.body);
    }
}

pub(crate) async fn unknown_and_malformed_ids_are_not_found(address: SocketAddr) {
    let host = ["Host: localhost"];
    for path in ["/voice/nonsense", "/voice/00000000-0000-0000-0000-000000000000", "/voice/1%00"] {
        assert_eq!(handshake(address, path, &host).await.status, 404, "{path}");
    }
    for id in [Uuid::new_v4().to_string(), "nonsense".into()] {
        let path = format!("/api/v1/conversations/{id}");
        assert_eq!(ask(address, &path, &host).await.status, 401, "{id}");
        let signed_in = admin(address).await;
        assert_eq!(ask(address, &path, &[host[0], &signed_in]).await.status, 404, "{id}");
    }
}

pub(crate) async fn a_stored_id_cannot_be_used_again(address: SocketAddr) {
    let mut caller = Caller::basic(address, "").await;
    caller.hang_up().await;
    let answer = handshake(address, &format!("/voice/{}", caller.id), &["Host: localhost"]).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
}

/// An anonymous caller may not join an existing id, so nobody takes this call over.
pub(crate) async fn a_live_id_cannot_be_taken_over(address: SocketAddr) {
    let mut caller = Caller::full(address, "?in=pcm16&out=pcm16").await;
    caller.event("session").await;
    let answer = handshake(address, &format!("/voice/{}", caller.id), &["Host: localhost"]).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    caller.tell(r#"{"type":"text","text":"Which homes have a pool?"}"#);
    caller.event("reply").await;
    caller.hang_up().await;
}

pub(crate) async fn twenty_callers_connect_at_once(address: SocketAddr) {
    let begun = Instant::now();
    let callers = (0..20).map(|_| Caller::full(address, "?in=pcm16&out=pcm16"));
    let callers = futures::future::join_all(callers).await;
    // A machine that cannot serve twenty says so to the rest of them, at once and plainly.
    let mut taken = Vec::new();
    for mut caller in callers {
        match caller.next().await.1 {
            Got::Text(event) if event["type"] == "session" => taken.push(caller),
            Got::Closed(code, reason) => {
                assert!(code == 1013 && reason.contains("call again"), "{code} {reason}")
            }
            other => panic!("{other:?}"),
        }
    }
    let mut callers = taken;
    assert!(callers.len() >= 4, "only {} of twenty were taken", callers.len());
    let open = begun.elapsed();
    for caller in &callers {
        caller.tell(r#"{"type":"text","text":"Which homes have a pool?"}"#);
    }
    for caller in &mut callers {
        let (_, reply, _) = caller.event("reply").await;
        assert!(!reply["text"].as_str().unwrap().is_empty());
    }
    let answered = begun.elapsed();
    let ends = callers.iter_mut().map(Caller::hang_up);
    let slowest = futures::future::join_all(ends).await.into_iter().map(|(_, echo)| echo).max().unwrap();
    println!(
        "  twenty at once: {} taken, open after {} ms, answered in text after {} ms, slowest echo {} ms",
        callers.len(),
        open.as_millis(),
        answered.as_millis(),
        slowest.as_millis()
    );
    for caller in &callers {
        let stored = conversation(address, caller.id).await;
        assert_eq!(stored["transcript"][0]["text"], "Which homes have a pool?", "{stored}");
    }
}
