//! What ends before its tokens do: a user who is changed, a key that is revoked, on this server and on others of one Redis.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};
use uuid::Uuid;
use voice_fixtures::private::PrivateRedis;
use voice_server::auth::keys;
use voice_server::config::{Config, Secret};
use voice_server::data::{
    Accounts as _, ConversationStore as _, DEMO_ORGANIZATION, KeyKind, NewConversation, NewUser, Role,
    Timestamp,
};
use voice_server::voice::call::Event;

use crate::harness::{Answer, Client, Server, Wish, soon};
use crate::sign_in::{bearer, configured, key, of_supabase, server, signed_in, store, supabase_token, user};

const HERE: &str = "Host: localhost";

async fn on_redis(redis: &PrivateRedis) -> Server {
    let config = Config { redis_url: Some(Secret::new(redis.url())), ..configured() };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    soon(server.app.cache.whole()).await;
    soon(server.events.whole()).await;
    server
}

/// Status and code of what somebody gets who asks for the profile.
async fn profile(server: &Server, signed_in: &Value) -> (u16, Value) {
    let answer = server.ask("GET", "/api/v1/users/profile", &[HERE, &bearer(signed_in)]).await;
    (answer.status, answer.json()["code"].clone())
}

async fn change(server: &Server, admin: &Value, id: Uuid, change: Value) -> Answer {
    let path = format!("/api/v1/users/{id}");
    server.send("PATCH", &path, &[HERE, &bearer(admin)], &change.to_string()).await
}

async fn refreshed(server: &Server, signed_in: &Value) -> Answer {
    server.post("/api/v1/auth/refresh", &json!({"refreshToken": signed_in["refreshToken"]})).await
}

async fn watching(server: &Server, signed_in: &Value) -> Client {
    let token = signed_in["accessToken"].as_str().unwrap();
    server.dial(&format!("/api/v1/events?token={token}"), None).await.expect("accepted")
}

/// How a socket of events ends; what is told before does not matter here.
async fn closed(client: &mut Client) -> u16 {
    client.rest().await.1
}

#[tokio::test]
async fn another_role_holds_at_once_and_a_refresh_gives_it_and_no_call_is_cut() {
    let mut server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Admin).await;
    let (root, before) =
        (signed_in(&server, "root@example.com").await, signed_in(&server, "anna@example.com").await);
    let (mut hers, mut roots) = (watching(&server, &before).await, watching(&server, &root).await);
    let token = before["accessToken"].as_str().unwrap();
    let id = Uuid::new_v4();
    let mut call =
        server.dial(&format!("/voice/{id}?token={token}"), Some("voice.v1")).await.expect("accepted");
    let line = server.line().await;
    // What takes nothing away ends nothing.
    for harmless in [json!({"name": "Anna B."}), json!({"role": "admin"}), json!({"disabled": false})] {
        assert_eq!(change(&server, &root, anna.id, harmless).await.status, 200);
    }
    assert_eq!(profile(&server, &before).await.0, 200);

    assert_eq!(change(&server, &root, anna.id, json!({"role": "viewer"})).await.status, 200);
    assert_eq!(profile(&server, &before).await, (401, json!("unauthenticated")));
    assert_eq!(closed(&mut hers).await, 4401);
    let next = refreshed(&server, &before).await;
    assert_eq!((next.status, &next.json()["user"]["role"]), (200, &json!("viewer")));
    assert_eq!(profile(&server, &next.json()).await.0, 200);
    assert_eq!(change(&server, &next.json(), anna.id, json!({"role": "admin"})).await.status, 403);
    assert_eq!(profile(&server, &signed_in(&server, "anna@example.com").await).await.0, 200);
    // Others, and her call, go on.
    assert_eq!(profile(&server, &root).await.0, 200);
    line.event(Event::Transcript { turn: 1, text: "still here".into(), is_final: true }).await;
    while call.next_text().await["text"] != "still here" {}
    while roots.next_text().await["data"]["text"] != "still here" {}
}

#[tokio::test]
async fn whoever_is_disabled_or_gets_another_password_is_out_at_once() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let root = signed_in(&server, "root@example.com").await;
    let with = |field: &str, value: Value| json!({ field: value });
    let before = signed_in(&server, "anna@example.com").await;
    // A ticket that she asked for and has not used.
    let made = server.send("POST", "/api/v1/conversations", &[HERE, &bearer(&before)], "{}").await;
    let made = made.json();
    let path = format!("/voice/{}?ticket={}", made["id"].as_str().unwrap(), made["ticket"].as_str().unwrap());
    assert_eq!(server.ask("GET", &path, &[HERE]).await.status, 426, "it would open its socket");
    let mut watched = watching(&server, &before).await;
    assert_eq!(change(&server, &root, anna.id, with("disabled", json!(true))).await.status, 200);
    assert_eq!(profile(&server, &before).await.0, 401);
    assert_eq!(closed(&mut watched).await, 4401);
    assert_eq!(server.shake(&path, &[HERE]).await.0, 401);
    assert_eq!(refreshed(&server, &before).await.status, 400);
    assert_eq!(change(&server, &root, anna.id, with("disabled", json!(false))).await.status, 200);
    assert_eq!(profile(&server, &before).await.0, 401, "what ended stays ended");
    let again = signed_in(&server, "anna@example.com").await;
    assert_eq!(profile(&server, &again).await.0, 200);
    let other = with("password", json!("another correct horse"));
    assert_eq!(change(&server, &root, anna.id, other).await.status, 200);
    assert_eq!(profile(&server, &again).await.0, 401);
    assert_eq!(refreshed(&server, &again).await.status, 400);
}

#[tokio::test]
async fn a_deleted_user_is_out_at_once_and_nobody_deletes_himself() {
    let server = server(configured()).await;
    let me = user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let (root, hers) =
        (signed_in(&server, "root@example.com").await, signed_in(&server, "anna@example.com").await);
    let delete = async |who: &Value, id: Uuid| {
        server.ask("DELETE", &format!("/api/v1/users/{id}"), &[HERE, &bearer(who)]).await
    };
    let made = server.send("POST", "/api/v1/conversations", &[HERE, &bearer(&hers)], "{}").await.json();
    let mut watched = watching(&server, &hers).await;
    assert_eq!(delete(&hers, me.id).await.status, 403);
    let own = delete(&root, me.id).await;
    assert_eq!((own.status, own.json()["code"].clone()), (409, json!("last_admin")));
    assert_eq!(delete(&root, Uuid::new_v4()).await.status, 404);

    assert_eq!(delete(&root, anna.id).await.status, 204);
    assert_eq!(profile(&server, &hers).await.0, 401);
    assert_eq!(closed(&mut watched).await, 4401);
    assert_eq!(refreshed(&server, &hers).await.status, 400);
    assert_eq!(delete(&root, anna.id).await.status, 404);
    let path = format!("/api/v1/conversations/{}", made["id"].as_str().unwrap());
    let left = server.ask("GET", &path, &[HERE, &bearer(&root)]).await;
    assert_eq!((left.status, &left.json()["userId"]), (200, &Value::Null), "{}", left.body);
    // The address is free again.
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
}

#[tokio::test]
async fn a_key_that_is_revoked_is_worth_nothing_nor_are_its_tickets() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let root = signed_in(&server, "root@example.com").await;
    let (id, secret) = key(&server, DEMO_ORGANIZATION, KeyKind::Secret, |_| ()).await;
    let by_key = format!("Authorization: Bearer {secret}");
    let made = server.send("POST", "/api/v1/conversations", &[HERE, &by_key], "{}").await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let (conversation, ticket) = (made["id"].as_str().unwrap(), made["ticket"].as_str().unwrap());
    assert_eq!(server.ask("GET", "/api/v1/conversations", &[HERE, &by_key]).await.status, 200);
    assert_eq!(
        server.ask("DELETE", &format!("/api/v1/keys/{id}"), &[HERE, &bearer(&root)]).await.status,
        204
    );
    assert_eq!(server.ask("GET", "/api/v1/conversations", &[HERE, &by_key]).await.status, 401);
    assert_eq!(server.shake(&format!("/voice/{conversation}?ticket={ticket}"), &[HERE]).await.0, 401);
    let message = format!("/api/v1/conversations/{conversation}/messages?ticket={ticket}");
    assert_eq!(server.send("POST", &message, &[HERE], r#"{"text":"hello"}"#).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_redis_refuse_the_same_and_take_each_other_s_tickets_once() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (on_redis(&redis).await, on_redis(&redis).await);
    user(&one, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let anna = user(&one, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    // Each has a database of its own here; what they share is Redis and the secret.
    let same = NewUser {
        id: anna.id,
        organization_id: DEMO_ORGANIZATION,
        email: anna.email.clone(),
        name: String::new(),
        role: Role::Agent,
        password_hash: anna.password_hash.clone(),
        created_at: Timestamp::now(),
    };
    store(&two).await.add_user(same).await.unwrap();
    let (root, before) =
        (signed_in(&one, "root@example.com").await, signed_in(&one, "anna@example.com").await);
    assert_eq!(profile(&two, &before).await.0, 200, "and that is remembered there for a moment");
    let mut watched = watching(&two, &before).await;
    // A ticket of the one opens a socket at the other one, once on both.
    let made = one.send("POST", "/api/v1/conversations", &[HERE, &bearer(&before)], "{}").await.json();
    let id: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    let new = NewConversation::anonymous(id, DEMO_ORGANIZATION, Timestamp::now());
    store(&two).await.open_conversation(new).await.unwrap();
    let path = format!("/voice/{id}?ticket={}", made["ticket"].as_str().unwrap());
    assert_eq!(two.shake(&path, &[HERE]).await.0, 101);
    for server in [&one, &two] {
        assert_eq!(server.shake(&path, &[HERE]).await.0, 401);
    }

    let changed = Instant::now();
    assert_eq!(change(&one, &root, anna.id, json!({"role": "viewer"})).await.status, 200);
    until(async || profile(&two, &before).await.0 == 401).await;
    assert_eq!(closed(&mut watched).await, 4401);
    assert!(changed.elapsed() < Duration::from_secs(2), "{:?}", changed.elapsed());
    let next = refreshed(&one, &before).await.json();
    for server in [&one, &two] {
        assert_eq!(profile(server, &next).await.0, 200);
    }
    let answer = one.post("/api/v1/auth/logout", &json!({"refreshToken": next["refreshToken"]})).await;
    assert_eq!(answer.status, 204);
    until(async || profile(&two, &next).await.0 == 401).await;

    let wish = keys::KeyWish {
        organization: DEMO_ORGANIZATION,
        kind: KeyKind::Secret,
        name: "both".into(),
        origins: Vec::new(),
        max_calls: None,
        daily_spend_micros: None,
    };
    let (secret, new) = keys::make(wish, Timestamp::now()).unwrap();
    let key = new.key.id;
    for server in [&one, &two] {
        store(server).await.add_key(new.clone()).await.unwrap();
    }
    let by_key = format!("Authorization: Bearer {secret}");
    let read =
        async |server: &Server| server.ask("GET", "/api/v1/conversations", &[HERE, &by_key]).await.status;
    assert_eq!((read(&one).await, read(&two).await), (200, 200));
    let revoked = one.ask("DELETE", &format!("/api/v1/keys/{key}"), &[HERE, &bearer(&root)]).await;
    assert_eq!((revoked.status, read(&one).await), (204, 401));
    until(async || read(&two).await == 401).await;
    assert!(store(&two).await.keys(DEMO_ORGANIZATION).await.unwrap()[0].revoked_at.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_breaks_no_ticket_and_no_sign_in() {
    let Some(mut redis) = PrivateRedis::start() else { return };
    let server = on_redis(&redis).await;
    user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let (root, hers) =
        (signed_in(&server, "root@example.com").await, signed_in(&server, "anna@example.com").await);
    let open = async || {
        let made = server.send("POST", "/api/v1/conversations", &[HERE, &bearer(&hers)], "{}").await;
        assert_eq!(made.status, 201, "{}", made.body);
        let made = made.json();
        format!("/voice/{}?ticket={}", made["id"].as_str().unwrap(), made["ticket"].as_str().unwrap())
    };
    let before = open().await;
    redis.kill();
    // The first one may come before the end of the connection was seen.
    until(async || server.shake(&before, &[HERE]).await.0 == 101).await;
    assert_eq!(server.shake(&before, &[HERE]).await.0, 401);
    let during = open().await;
    assert_eq!(server.shake(&during, &[HERE]).await.0, 101);
    assert_eq!(server.shake(&during, &[HERE]).await.0, 401);
    assert_eq!(profile(&server, &hers).await.0, 200);
    assert_eq!(change(&server, &root, anna.id, json!({"disabled": true})).await.status, 200);
    assert_eq!(profile(&server, &hers).await.0, 401);
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon(held).await;
}

/// What a browser asks before a page's request, and whether it lets the page go on.
async fn preflight(server: &Server, method: &str, path: &str, origin: &str) -> bool {
    let headers = [
        "Host: voice.example",
        &format!("Origin: {origin}"),
        &format!("Access-Control-Request-Method: {method}"),
        "Access-Control-Request-Headers: authorization,content-type",
    ];
    let head = server.ask("OPTIONS", path, &headers).await.head;
    assert!(!head.contains("access-control-allow-credentials"), "{head}");
    let allowed = head.contains(&format!("access-control-allow-origin: {origin}\r\n"));
    assert!(!allowed || (head.contains("authorization") && head.contains(&method.to_lowercase())), "{head}");
    allowed
}

#[tokio::test]
async fn a_page_of_a_publishable_key_makes_a_conversation_and_writes_in_it_as_its_browser_lets_it() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let root = signed_in(&server, "root@example.com").await;
    let (shop, evil) = ("https://shop.example", "https://evil.example");
    let conversations = "/api/v1/conversations";
    assert!(!preflight(&server, "POST", conversations, shop).await, "before there is a key");
    let wish = json!({"kind": "publishable", "name": "shop", "origins": [shop]}).to_string();
    let made = server.send("POST", "/api/v1/keys", &[HERE, &bearer(&root)], &wish).await.json();
    let by_key = format!("Authorization: Bearer {}", made["key"].as_str().unwrap());
    assert!(preflight(&server, "POST", conversations, shop).await);
    assert!(!preflight(&server, "POST", conversations, evil).await);
    // Such a key never reads, so nobody's page needs to.
    for (method, path) in [("GET", conversations), ("PATCH", conversations), ("POST", "/api/v1/keys")] {
        assert!(!preflight(&server, method, path, shop).await, "{method} {path}");
    }
    let origin = format!("Origin: {shop}");
    let opened = server.send("POST", conversations, &["Host: voice.example", &origin, &by_key], "{}").await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let readable = format!("access-control-allow-origin: {shop}\r\n");
    assert!(opened.head.contains(&readable), "{}", opened.head);
    let opened = opened.json();
    let (id, ticket) = (opened["id"].as_str().unwrap(), opened["ticket"].as_str().unwrap());
    let messages = format!("{conversations}/{id}/messages");
    assert!(
        preflight(&server, "POST", &messages, shop).await
            && !preflight(&server, "POST", &messages, evil).await
    );
    // Why a page was refused can be read by that page, and by no other.
    let refused =
        server.send("POST", conversations, &[HERE, &origin, "Authorization: Bearer pk_x"], "{}").await;
    assert_eq!((refused.status, refused.head.contains(&readable)), (401, true), "{}", refused.head);
    let foreign = ["Host: voice.example", &format!("Origin: {evil}"), &by_key];
    let foreign = server.send("POST", conversations, &foreign, "{}").await;
    assert_eq!((foreign.status, foreign.head.contains("access-control-allow-origin")), (403, false));
    let voice = format!("/voice/{id}?ticket={ticket}");
    let asked = server.ask("GET", &voice, &["Host: voice.example", &origin]).await;
    assert_eq!((asked.status, asked.head.contains(&readable)), (426, true), "{}", asked.head);
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &path, &[HERE, &bearer(&root)]).await.status, 204);
    assert!(!preflight(&server, "POST", conversations, shop).await, "revoked");
}

#[tokio::test]
async fn a_user_of_supabase_who_is_changed_here_is_read_anew_at_once() {
    let server = server(of_supabase()).await;
    user(&server, DEMO_ORGANIZATION, "root@example.com", Role::Admin).await;
    let root = signed_in(&server, "root@example.com").await;
    let app = json!({"organization_id": DEMO_ORGANIZATION});
    let token = supabase_token("gast@example.com", app, json!({}));
    let guest = json!({ "accessToken": token });
    let shown = server.ask("GET", "/api/v1/users/profile", &[HERE, &bearer(&guest)]).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let id = shown.json()["id"].as_str().unwrap().parse().unwrap();
    let made =
        async || server.send("POST", "/api/v1/conversations", &[HERE, &bearer(&guest)], "{}").await.status;
    assert_eq!(made().await, 201);
    assert_eq!(change(&server, &root, id, json!({"role": "viewer"})).await.status, 200);
    assert_eq!(made().await, 403, "the same token gives what the user may now");
    assert_eq!(change(&server, &root, id, json!({"disabled": true})).await.status, 200);
    assert_eq!(profile(&server, &guest).await.0, 403);
}
