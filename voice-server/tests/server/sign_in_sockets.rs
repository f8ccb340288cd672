//! Who may open the voice socket: tickets, tokens, cookies, keys, limits, and what the log says of them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::net::TcpStream;
use uuid::Uuid;
use voice_server::auth::denials::Grounds;
use voice_server::auth::tickets::{Purpose, Ticket};
use voice_server::config::Config;
use voice_server::data::{
    CallEnd, ConversationStore as _, DEMO_ORGANIZATION, KeyKind, NewConversation, Role, Timestamp,
};

use crate::harness::{Server, soon};
use crate::sign_in::{PASSWORD, bearer, configured, key, organization, server, signed_in, store, user};

const HOST: &str = "Host: voice.example";

/// A conversation that somebody made before.
async fn conversation(server: &Server, organization: Uuid) -> Uuid {
    let id = Uuid::new_v4();
    let new = NewConversation::anonymous(id, organization, Timestamp::now());
    store(server).await.open_conversation(new).await.unwrap();
    id
}

fn for_conversation(organization: Uuid, id: Uuid) -> Ticket {
    Ticket {
        organization,
        purpose: Purpose::Conversation(id),
        grounds: Grounds::default(),
        key_calls: None,
        key_spend: None,
        origins: Vec::new(),
    }
}

async fn issued(server: &Server, ticket: Ticket) -> String {
    server.auth.tickets.issue(ticket, SystemTime::now()).await.unwrap().0
}

async fn status(server: &Server, path: &str, headers: &[&str]) -> u16 {
    let all: Vec<&str> = [HOST].into_iter().chain(headers.iter().copied()).collect();
    server.shake(path, &all).await.0
}

#[tokio::test]
async fn a_ticket_opens_its_conversation_once() {
    let server = server(configured()).await;
    let (id, other) =
        (conversation(&server, DEMO_ORGANIZATION).await, conversation(&server, DEMO_ORGANIZATION).await);
    let ticket = issued(&server, for_conversation(DEMO_ORGANIZATION, id)).await;
    assert_eq!(status(&server, &format!("/voice/{other}?ticket={ticket}"), &[]).await, 403, "another's");
    // Asking why a handshake would be refused uses nothing up.
    let path = format!("/voice/{id}?ticket={ticket}");
    assert_eq!(server.ask("GET", &path, &[HOST]).await.status, 426);
    assert_eq!(status(&server, &path, &[]).await, 101);
    assert_eq!(status(&server, &path, &[]).await, 401, "it is used");
    for odd in ["", "x", &"x".repeat(43), &"A".repeat(65)] {
        assert_eq!(status(&server, &format!("/voice/{id}?ticket={odd}"), &[]).await, 401, "{odd}");
    }
    let twice = format!("/voice/{id}?ticket={ticket}&ticket={ticket}");
    assert_eq!(status(&server, &twice, &[]).await, 422);
}

#[tokio::test]
async fn of_many_who_show_one_ticket_at_once_one_gets_in() {
    let server = server(configured()).await;
    let id = conversation(&server, DEMO_ORGANIZATION).await;
    let ticket = issued(&server, for_conversation(DEMO_ORGANIZATION, id)).await;
    let path = format!("/voice/{id}?ticket={ticket}");
    let answers = futures::future::join_all((0..10).map(|_| status(&server, &path, &[]))).await;
    assert_eq!(answers.iter().filter(|status| **status == 101).count(), 1, "{answers:?}");
    // 409: the first one was about to come in, and had not used the ticket up yet.
    assert!(answers.iter().all(|status| matches!(status, 101 | 401 | 409)), "{answers:?}");
}

#[tokio::test]
async fn a_signed_in_agent_calls_by_header_address_or_cookie() {
    let server =
        server(Config { allowed_origins: vec!["https://voice.example".into()], ..configured() }).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let tokens = signed_in(&server, "anna@example.com").await;
    let token = tokens["accessToken"].as_str().unwrap();
    let cookie = format!("Cookie: voice_session={token}");
    let own = "Origin: https://voice.example";
    for (query, headers) in [
        (String::new(), vec![bearer(&tokens)]),
        (String::new(), vec![bearer(&tokens), own.into()]),
        (format!("?token={token}"), vec![]),
        (format!("?in=pcm16&token={token}"), vec![own.into()]),
        (String::new(), vec![cookie.clone(), own.into()]),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let fresh = Uuid::new_v4();
        assert_eq!(
            status(&server, &format!("/voice/{fresh}{query}"), &headers).await,
            101,
            "{query} {headers:?}"
        );
        let stored = store(&server).await.conversation(DEMO_ORGANIZATION, fresh).await.unwrap().unwrap();
        assert_eq!(stored.conversation.user_id, Some(anna.id));
        let made = conversation(&server, DEMO_ORGANIZATION).await;
        assert_eq!(
            status(&server, &format!("/voice/{made}{query}"), &headers).await,
            101,
            "{query} {headers:?}"
        );
    }
    // A page of another site has the cookie sent along by an old browser, or has got hold of a token.
    let evil = "Origin: https://evil.example";
    let path = format!("/voice/{}", Uuid::new_v4());
    for headers in [[&cookie as &str, evil], [&bearer(&tokens), evil]] {
        assert_eq!(status(&server, &path, &headers).await, 403, "{headers:?}");
    }
    assert_eq!(
        status(&server, &path, &["Cookie: voice_session=x"]).await,
        401,
        "never passed over for nothing"
    );
    assert_eq!(status(&server, &path, &[]).await, 401);
    assert_eq!(status(&server, &format!("{path}?token={token}"), &[&bearer(&tokens)]).await, 401, "twice");
}

#[tokio::test]
async fn a_viewer_only_reads() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "vera@example.com", Role::Viewer).await;
    let tokens = signed_in(&server, "vera@example.com").await;
    assert_eq!(server.ask("GET", "/api/v1/conversations", &[HOST, &bearer(&tokens)]).await.status, 200);
    assert_eq!(status(&server, &format!("/voice/{}", Uuid::new_v4()), &[&bearer(&tokens)]).await, 403);
}

#[tokio::test]
async fn another_organization_s_conversation_and_one_that_is_over_are_not_found() {
    let server = server(configured()).await;
    let other = organization(&server).await;
    user(&server, other, "olga@example.com", Role::Admin).await;
    let tokens = signed_in(&server, "olga@example.com").await;
    let (_, secret) = key(&server, other, KeyKind::Secret, |_| ()).await;
    let foreign = conversation(&server, DEMO_ORGANIZATION).await;
    let over = conversation(&server, other).await;
    let end = CallEnd { at: Timestamp::now(), cost: None, cost_micros: 0 };
    store(&server).await.end_conversation(other, over, end).await.unwrap();
    for header in [bearer(&tokens), format!("Authorization: Bearer {secret}")] {
        for id in [foreign, over] {
            assert_eq!(status(&server, &format!("/voice/{id}"), &[&header]).await, 404, "{id}");
        }
        let read = server.ask("GET", &format!("/api/v1/conversations/{foreign}"), &[HOST, &header]).await;
        assert_eq!(read.status, 404);
    }
    // A ticket that was made for what is another's gives nothing.
    let ticket = issued(&server, for_conversation(other, foreign)).await;
    assert_eq!(status(&server, &format!("/voice/{foreign}?ticket={ticket}"), &[]).await, 404);
}

#[tokio::test]
async fn a_publishable_key_opens_no_socket_and_its_ticket_only_from_its_pages() {
    let server = server(configured()).await;
    let origins = vec!["https://shop.example".to_owned()];
    let (_, publishable) =
        key(&server, DEMO_ORGANIZATION, KeyKind::Publishable, |wish| wish.origins = origins.clone()).await;
    let shop = "Origin: https://shop.example";
    let authorization = format!("Authorization: Bearer {publishable}");
    let path = format!("/voice/{}", Uuid::new_v4());
    assert_eq!(status(&server, &path, &[&authorization, shop]).await, 403);
    assert_eq!(
        status(&server, &format!("{path}?token={publishable}"), &[shop]).await,
        401,
        "not in an address"
    );
    let id = conversation(&server, DEMO_ORGANIZATION).await;
    let ticket = Ticket { origins, ..for_conversation(DEMO_ORGANIZATION, id) };
    let path = format!("/voice/{id}?ticket={}", issued(&server, ticket).await);
    assert_eq!(status(&server, &path, &["Origin: https://evil.example"]).await, 403);
    assert_eq!(status(&server, &path, &[shop]).await, 101);
}

#[tokio::test]
async fn calls_of_one_key_are_limited_and_an_ended_one_makes_room() {
    let mut server = server(configured()).await;
    let key = Uuid::new_v4();
    let open = async |server: &Server| -> (u16, TcpStream) {
        let id = conversation(server, DEMO_ORGANIZATION).await;
        let ticket = Ticket {
            grounds: Grounds { key: Some(key), ..Grounds::default() },
            key_calls: Some(1),
            ..for_conversation(DEMO_ORGANIZATION, id)
        };
        server.shake(&format!("/voice/{id}?ticket={}", issued(server, ticket).await), &[HOST]).await
    };
    let (status, held) = open(&server).await;
    assert_eq!(status, 101);
    let line = server.line().await;
    assert_eq!(open(&server).await.0, 429);
    drop(held);
    line.end().await;
    let again = async {
        while open(&server).await.0 != 101 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(again).await;
}

#[tokio::test]
async fn a_conversation_that_was_made_before_dates_its_call_from_then() {
    let mut server = server(configured()).await;
    let id = Uuid::new_v4();
    let begun = Timestamp::now().minus_millis(40_000);
    let new = NewConversation::anonymous(id, DEMO_ORGANIZATION, begun);
    store(&server).await.open_conversation(new).await.unwrap();
    let ticket = issued(&server, for_conversation(DEMO_ORGANIZATION, id)).await;
    let mut client = server.dial(&format!("/voice/{id}?ticket={ticket}"), None).await.expect("accepted");
    let line = server.line().await;
    line.turn(1, "Hello.").await;
    client.close().await;
    line.end().await;
    client.rest().await;
    let found = store(&server).await.conversation(DEMO_ORGANIZATION, id).await.unwrap().unwrap();
    assert_eq!(found.conversation.created_at, begun);
    let late = found.transcript[0].started_at.as_millis() - begun.as_millis();
    assert!((40_000..60_000).contains(&late), "{late}");
}

/// Everything that was logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_credential_stands_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    // Of the whole process: what other tests log meanwhile is looked through as well.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("voice_server=trace")
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let tokens = signed_in(&server, "anna@example.com").await;
    let refreshed =
        server.post("/api/v1/auth/refresh", &json!({"refreshToken": tokens["refreshToken"]})).await.json();
    let (_, secret) = key(&server, DEMO_ORGANIZATION, KeyKind::Secret, |_| ()).await;
    let by_key = format!("Authorization: Bearer {secret}");
    assert_eq!(server.ask("GET", "/api/v1/conversations", &[HOST, &by_key]).await.status, 200);
    let token = tokens["accessToken"].as_str().unwrap();
    assert_eq!(status(&server, &format!("/voice/{}?token={token}", Uuid::new_v4()), &[]).await, 101);
    let id = conversation(&server, DEMO_ORGANIZATION).await;
    let ticket = issued(&server, for_conversation(DEMO_ORGANIZATION, id)).await;
    assert_eq!(status(&server, &format!("/voice/{id}?ticket={ticket}"), &[]).await, 101);
    assert_eq!(status(&server, &format!("/voice/{id}?ticket={ticket}"), &[]).await, 401);
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    let own: Vec<&str> = text.lines().filter(|line| line.contains("voice_server")).collect();
    assert!(own.iter().any(|line| line.contains("/voice/")), "the log is there: {text}");
    for secret in [
        token,
        tokens["refreshToken"].as_str().unwrap(),
        refreshed["refreshToken"].as_str().unwrap(),
        refreshed["accessToken"].as_str().unwrap(),
        &secret,
        &ticket,
        PASSWORD,
        "anna@example.com",
    ] {
        assert!(!own.iter().any(|line| line.contains(secret)), "{secret} in {own:?}");
    }
}
