//! Health, conversations, problems: what an HTTP client sees.

use uuid::Uuid;
use voice_server::config::{Config, Secret};

use crate::harness::{Server, Wish, soon};

#[tokio::test]
async fn health_has_one_boolean_a_component() {
    let server = Server::start().await;
    let answer = server.fetch("/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        serde_json::json!({"status": "healthy", "checks":
            {"database": true, "llm": true, "storage": true, "stt": true, "tts": true}})
    );
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.fetch(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn health_is_public() {
    let server = Server::start().await;
    let answer = server.ask("GET", "/health", &["Host: voice.example.com", "X-Forwarded-For: 9.9.9.9"]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn errors_are_problems_with_code_and_correlation_id() {
    let server = Server::start().await;
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/voice", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/conversations", 405, "method_not_allowed"),
        ("GET", "/api/v1/conversations/nonsense", 404, "not_found"),
        ("GET", "/api/v1/conversations?limit=0", 422, "invalid_value"),
        ("GET", "/api/v1/conversations?limit=101", 422, "invalid_value"),
        ("GET", "/api/v1/conversations?limit=x", 422, "invalid_value"),
        ("GET", "/api/v1/conversations?cursor=x", 422, "invalid_value"),
    ] {
        let answer = server.ask(method, path, &["Host: localhost", "X-Request-Id: abc-1"]).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{path}: {}", answer.head);
        assert!(answer.head.contains("x-request-id: abc-1"), "{path}");
        let body = answer.json();
        assert_eq!(body["code"], code, "{path}");
        assert_eq!(body["status"], status, "{path}");
        assert_eq!(body["correlationId"], "abc-1", "{path}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{path}");
        if code == "invalid_value" {
            assert!(path.contains(body["field"].as_str().unwrap()), "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn an_odd_request_id_is_replaced() {
    let server = Server::start().await;
    let long = format!("X-Request-Id: {}", "a".repeat(65));
    for header in [long.as_str(), "X-Request-Id: a b", "X-Request-Id: <script>"] {
        let id =
            server.ask("GET", "/nowhere", &["Host: localhost", header]).await.json()["correlationId"].clone();
        assert!(Uuid::try_parse(id.as_str().unwrap()).is_ok(), "{id}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_problem() {
    let server = Server::start().await;
    let answer = server.ask("GET", "/health", &["Host: localhost", "Content-Length: 2000000"]).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("body_too_large")));
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = Server::start().await;
    for path in ["/", "/health", "/nowhere"] {
        let head = server.fetch(path).await.head;
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(head.contains(header), "{path} lacks {header}");
        }
    }
}

#[tokio::test]
async fn conversations_are_read_from_this_machine_only_and_the_refusal_names_the_setting() {
    let server = Server::start().await;
    for headers in [
        &["Host: voice.example.com"][..],
        &["Host: localhost", "X-Forwarded-For: 127.0.0.1"],
        &["Host: localhost", "Origin: https://evil.example"],
    ] {
        for path in ["/api/v1/conversations", &format!("/api/v1/conversations/{}", Uuid::new_v4())] {
            let answer = server.ask("GET", path, headers).await;
            assert_eq!(answer.status, 403, "{headers:?}");
            assert!(answer.json()["detail"].as_str().unwrap().contains("VOICE_AUTH_SECRET"));
        }
    }
}

#[tokio::test]
async fn a_configured_server_lets_nobody_read_without_sign_in() {
    let config = Config { auth_secret: Some(Secret::new("s")), ..Config::default() };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    let answer = server.fetch("/api/v1/conversations").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthenticated")));
}

#[tokio::test]
async fn lists_page_newest_first() {
    let mut server = Server::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (mut client, line, id) = server.call("").await;
        client.close().await;
        line.end().await;
        client.rest().await;
        ids.push(id.to_string());
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/conversations?limit=2".to_owned();
    loop {
        let page = server.fetch(&path).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2 && items.iter().all(|item| item["status"] == "ended"));
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/conversations?limit=2&cursor={cursor}");
    }
    let mut expected = ids.clone();
    // Calls of the same millisecond are in the order of their ids, so only the set is compared.
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_server_stops_when_told_to_and_takes_no_more() {
    let mut server = Server::start().await;
    server.trigger.begin();
    soon(&mut server.serving).await.unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}
