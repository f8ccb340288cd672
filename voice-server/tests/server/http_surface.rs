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
        ("GET", "/api/v1/conversations/%FF", 404, "not_found"),
        ("GET", "/api/v1/conversations/0123456789abcdef0123456789abcdef", 404, "not_found"),
        ("GET", "/api/v1/conversations?limit=0", 422, "invalid_value"),
        ("GET", "/api/v1/conversations?limit=101", 422, "invalid_value"),
        ("GET", "/api/v1/conversations?limit=x", 422, "invalid_value"),
        ("GET", "/api/v1/conversations?cursor=x", 422, "invalid_value"),
    ] {
        let answer =
            server.ask(method, path, &["Host: localhost", "X-Request-Id: abc-1", server.admin().await]).await;
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
async fn an_id_in_another_form_than_the_stored_one_is_not_found() {
    let mut server = Server::start().await;
    let (mut client, line, id) = server.call("").await;
    client.close().await;
    line.end().await;
    client.rest().await;
    let braced = format!("%7B{id}%7D");
    for (id, status) in [
        (id.to_string(), 200),
        (id.to_string().to_uppercase(), 200),
        (braced, 404),
        (id.simple().to_string(), 404),
        (id.urn().to_string(), 404),
    ] {
        assert_eq!(server.read(&format!("/api/v1/conversations/{id}")).await.status, status, "{id}");
    }
}

/// The rules of DESIGN 2.1 on the wire: a demo user reads with 200, and 426 could call, 403 may do neither, 400 is not HTTP.
#[tokio::test]
async fn doubled_and_odd_headers_make_nobody_local() {
    const HERE: &str = "Host: localhost";
    let server = Server::start().await;
    let table: &[(&[&str], bool)] = &[
        (&[HERE], true),
        (&["host:   LOCALHOST:8000  "], true),
        (&["Host: 127.0.0.1:1"], true),
        (&["Host: [::1]"], true),
        (&[], false),
        (&["Host:"], false),
        (&[HERE, HERE], false),
        (&[HERE, "Host: voice.example.com"], false),
        (&["Host: voice.example.com", HERE], false),
        (&["Host: localhost, voice.example.com"], false),
        (&["Host: localhost."], false),
        (&["Host: localhost:"], false),
        (&["Host: localhost:80@voice.example.com"], false),
        (&["Host: user@localhost"], false),
        (&["Host: 127.1"], false),
        (&["Host: 2130706433"], false),
        (&["Host: 0.0.0.0"], false),
        (&["Host: [::ffff:127.0.0.1]"], false),
        (&[HERE, "Origin: http://localhost:3000"], true),
        (&[HERE, "Origin: https://127.0.0.1"], true),
        (&[HERE, "Origin: http://[::1]:5173"], true),
        (&[HERE, "Origin:"], false),
        (&[HERE, "Origin: null"], false),
        (&[HERE, "Origin: http://localhost", "Origin: http://localhost"], false),
        (&[HERE, "Origin: http://localhost", "Origin: https://evil.example"], false),
        (&[HERE, "Origin: http://localhost https://evil.example"], false),
        (&[HERE, "Origin: http://localhost.evil.example"], false),
        (&[HERE, "Origin: http://localhost:80@evil.example"], false),
        (&[HERE, "Origin: http://localhost/"], false),
        (&[HERE, "Origin: ws://localhost"], false),
        (&[HERE, "Origin: file://"], false),
        (&[HERE, "Forwarded: for=127.0.0.1"], false),
        (&[HERE, "Forwarded:"], false),
        (&[HERE, "FORWARDED: host=localhost", "Forwarded: for=_x"], false),
        (&[HERE, "X-Forwarded-For: 127.0.0.1"], false),
        (&[HERE, "x-forwarded-for:", "X-Forwarded-For: ::1"], false),
        (&[HERE, "X-FORWARDED-HOST: localhost"], false),
        (&[HERE, "X-Forwarded-Proto: http"], false),
        (&[HERE, "X-Forwarded-Anything: 1"], false),
        (&[HERE, "Via: 1.1 proxy", "X-Real-IP: 9.9.9.9"], true),
    ];
    for (headers, local) in table {
        let (reads, calls) = if *local { (200, 426) } else { (403, 403) };
        let signed_in: Vec<&str> = headers.iter().copied().chain([server.admin().await]).collect();
        assert_eq!(server.ask("GET", "/api/v1/conversations", &signed_in).await.status, reads, "{headers:?}");
        let voice = format!("/voice/{}", Uuid::new_v4());
        assert_eq!(server.ask("GET", &voice, headers).await.status, calls, "{headers:?}");
    }
    // RFC 9112, section 3.2.2: an address in the request line.
    for (target, status) in
        [("http://localhost/api/v1/conversations", 200), ("http://evil.example/api/v1/conversations", 403)]
    {
        assert_eq!(server.ask("GET", target, &[HERE, server.admin().await]).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn on_an_open_address_its_own_page_may_call_by_a_known_name_only() {
    let config = Config {
        anonymous: Some(true),
        bind: "0.0.0.0:8000".parse().unwrap(),
        allowed_origins: vec!["https://voice.example".into()],
        ..Config::default()
    };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    let path = format!("/voice/{}", Uuid::new_v4());
    for (headers, status) in [
        (&["Host: voice.example"][..], 426),
        (&["Host: localhost:8000", "Origin: http://localhost:8000"], 426),
        (&["Host: voice.example", "Origin: https://voice.example"], 426),
        (&["Host: 10.0.0.1:8000", "Origin: https://voice.example"], 426),
        (&["Host: evil.example:8000", "Origin: http://evil.example:8000"], 403),
        (&["Host: localhost:8000", "Origin: http://evil.example:8000"], 403),
        (&["Host: localhost:8000", "Host: localhost:8000", "Origin: http://localhost:8000"], 403),
        (&["Host: localhost:8000", "X-Page-Origin: http://localhost:8000"], 426),
        (&["Host: 10.0.0.1:8000", "X-Page-Origin: http://10.0.0.1:8000"], 403),
    ] {
        let answer = server.ask("GET", &path, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 403 {
            assert!(answer.json()["detail"].as_str().unwrap().contains("VOICE_ALLOWED_ORIGINS"));
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
        let page = server.read(&path).await.json();
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
