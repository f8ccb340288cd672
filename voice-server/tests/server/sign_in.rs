//! Signing in over real HTTP: tokens, refreshing from many places at once, cookies, guessing, forgeries.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;
use voice_server::auth::password::Passwords;
use voice_server::auth::refresh::{self, Refreshed};
use voice_server::auth::tokens::{KeyRing, Subject};
use voice_server::auth::{demo, keys};
use voice_server::config::{Config, Secret};
use voice_server::data::{
    Accounts as _, DEMO_ORGANIZATION, KeyKind, NewUser, Role, SqliteStore, Timestamp, User, UserChange,
};

use crate::harness::{Answer, Server, Wish};

/// What the tests' servers sign with.
pub(crate) const SECRET: &str = "a secret of the tests that is long enough";
/// The password of the tests' users.
pub(crate) const PASSWORD: &str = "correct horse battery";
const HERE: &str = "Host: localhost";

/// Settings of a server whose users sign in from anywhere.
pub(crate) fn configured() -> Config {
    Config { auth_secret: Some(Secret::new(SECRET)), ..Config::default() }
}

/// What this server and Supabase Auth would share.
const JWT_SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters";

/// Settings of a server whose users may also come from Supabase Auth.
pub(crate) fn of_supabase() -> Config {
    Config {
        supabase_url: Some("http://127.0.0.1:1".into()),
        supabase_jwt_secret: Some(Secret::new(JWT_SECRET)),
        ..configured()
    }
}

/// An access token of Supabase Auth for somebody it has not shown before. `app` is what only its administrators can
/// write, `user` what the user wrote himself.
pub(crate) fn supabase_token(email: &str, app: Value, user: Value) -> String {
    let claims = json!({
        "iss": "http://127.0.0.1:1/auth/v1", "sub": Uuid::new_v4(), "aud": "authenticated",
        "exp": seconds_now() + 600, "iat": seconds_now(), "role": "authenticated", "email": email,
        "app_metadata": app, "user_metadata": user,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

pub(crate) async fn server(config: Config) -> Server {
    Server::with(Wish { config, ..Wish::default() }).await
}

/// The database of a server, beside it.
pub(crate) async fn store(server: &Server) -> SqliteStore {
    SqliteStore::attach(&server.folder).await.unwrap()
}

pub(crate) async fn user(server: &Server, organization: Uuid, email: &str, role: Role) -> User {
    let hash = Passwords::new(1).hash(PASSWORD).await.unwrap();
    let new = NewUser {
        id: Uuid::new_v4(),
        organization_id: organization,
        email: email.into(),
        name: "Somebody".into(),
        role,
        password_hash: Some(Secret::new(hash)),
        created_at: Timestamp::now(),
    };
    store(server).await.add_user(new).await.unwrap()
}

/// An organization besides the demo one.
pub(crate) async fn organization(server: &Server) -> Uuid {
    let id = Uuid::new_v4();
    store(server).await.add_organization(id, "Another".into(), Timestamp::now()).await.unwrap();
    id
}

async fn log_in(server: &Server, email: &str, password: &str) -> Answer {
    server.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await
}

pub(crate) async fn signed_in(server: &Server, email: &str) -> Value {
    let answer = log_in(server, email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

pub(crate) fn bearer(signed_in: &Value) -> String {
    format!("Authorization: Bearer {}", signed_in["accessToken"].as_str().unwrap())
}

async fn refreshed_by(server: &Server, token: &Value) -> Answer {
    server.post("/api/v1/auth/refresh", &json!({"refreshToken": token})).await
}

/// Status and code of what somebody gets who asks for the profile.
async fn profile(server: &Server, header: &str) -> (u16, Value) {
    let answer = server.ask("GET", "/api/v1/users/profile", &[HERE, header]).await;
    let code = if answer.status == 200 { Value::Null } else { answer.json()["code"].clone() };
    (answer.status, code)
}

fn seconds_now() -> u64 {
    u64::try_from(Timestamp::now().as_millis() / 1_000).unwrap()
}

#[tokio::test]
async fn whoever_signs_in_reads_with_the_token_and_sees_who_it_is() {
    let server = server(configured()).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let answer = log_in(&server, " Anna@Example.com", PASSWORD).await.json();
    assert_eq!(answer["user"]["id"], anna.id.to_string());
    assert_eq!(answer["user"]["email"], "anna@example.com");
    assert_eq!(answer["user"]["role"], "agent");
    assert_eq!(answer["user"]["organizationId"], DEMO_ORGANIZATION.to_string());
    assert!(!answer.to_string().contains("argon2"), "{answer}");
    let own = server.ask("GET", "/api/v1/users/profile", &[HERE, &bearer(&answer)]).await;
    assert_eq!((own.status, own.json()), (200, answer["user"].clone()));
    let list = server.ask("GET", "/api/v1/conversations", &["Host: voice.example", &bearer(&answer)]).await;
    assert_eq!(list.status, 200, "from anywhere: {}", list.body);
}

#[tokio::test]
async fn a_wrong_password_answers_400_and_never_401() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let away = user(&server, DEMO_ORGANIZATION, "away@example.com", Role::Agent).await;
    let disable = UserChange { disabled: Some(true), ..UserChange::default() };
    store(&server).await.change_user(DEMO_ORGANIZATION, away.id, disable, None).await.unwrap();
    for (email, password) in [
        ("anna@example.com", "wrong"),
        ("anna@example.com", ""),
        ("anna@example.com", &"x".repeat(100_000)),
        ("nobody@example.com", PASSWORD),
        ("away@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("a\u{0}@example.com", PASSWORD),
        ("admin@demo.example", "demo-password"),
    ] {
        let answer = log_in(&server, email, password).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_credentials")), "{email}");
    }
    for (body, status, code, field) in [
        ("{", 400, "malformed_json", None),
        ("[]", 400, "malformed_json", None),
        ("{}", 422, "invalid_value", Some("email")),
        (r#"{"email":"a@b.c"}"#, 422, "invalid_value", Some("password")),
        (r#"{"email":7,"password":"x"}"#, 422, "invalid_value", Some("email")),
        (r#"{"email":"a@b.c","password":"x","cookie":"yes"}"#, 422, "invalid_value", Some("cookie")),
    ] {
        let answer = server.send("POST", "/api/v1/auth/login", &[HERE], body).await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{body}");
        assert_eq!(problem["field"].as_str(), field, "{body}");
    }
    for token in [json!("rt.no.token"), json!(""), json!(null), json!("x".repeat(10_000))] {
        for path in ["/api/v1/auth/refresh", "/api/v1/auth/logout"] {
            let answer = server.post(path, &json!({"refreshToken": token})).await;
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (400, &json!("invalid_refresh_token")),
                "{token}"
            );
        }
    }
}

#[tokio::test]
async fn twenty_refreshes_of_one_moment_all_stay_signed_in() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let mut token = signed_in(&server, "anna@example.com").await["refreshToken"].clone();
    for round in 0..3 {
        let answers = join_all((0..20).map(|_| refreshed_by(&server, &token))).await;
        let bodies: Vec<Value> = answers.iter().map(Answer::json).collect();
        assert!(answers.iter().all(|answer| answer.status == 200), "round {round}: {bodies:?}");
        let next: BTreeSet<&str> = bodies.iter().filter_map(|body| body["refreshToken"].as_str()).collect();
        assert_eq!(next.len(), 1, "round {round}: all got the same successor");
        for body in &bodies {
            assert_eq!(profile(&server, &bearer(body)).await.0, 200);
        }
        assert_ne!(bodies[0]["refreshToken"], token);
        token = bodies[0]["refreshToken"].clone();
    }
}

#[tokio::test]
async fn two_tabs_that_share_a_token_and_refresh_in_turn_both_go_on() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let first = signed_in(&server, "anna@example.com").await["refreshToken"].clone();
    let (mut one, mut other) = (first.clone(), first);
    for _ in 0..4 {
        // The first tab is a step ahead; the second one comes with what was just rotated.
        one = refreshed_by(&server, &one).await.json()["refreshToken"].clone();
        let late = refreshed_by(&server, &other).await;
        assert_eq!(late.status, 200, "{}", late.body);
        other = late.json()["refreshToken"].clone();
        assert_eq!(one, other);
    }
}

/// Lets the rotations of a server's refresh tokens have been so long ago.
async fn age_rotations(server: &Server, millis: i64) {
    let url = format!("sqlite://{}", server.folder.join("voice.sqlite3").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let aged =
        sqlx::query("UPDATE refresh_tokens SET rotated_at = rotated_at - $1 WHERE rotated_at IS NOT NULL")
            .bind(millis)
            .execute(&mut connection)
            .await
            .unwrap();
    assert!(aged.rows_affected() > 0);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_token_that_comes_again_later_ends_its_whole_family_and_no_other() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let phone = signed_in(&server, "anna@example.com").await;
    let stolen = signed_in(&server, "anna@example.com").await;
    let next = refreshed_by(&server, &stolen["refreshToken"]).await.json();
    age_rotations(&server, 29_000).await;
    assert_eq!(
        refreshed_by(&server, &stolen["refreshToken"]).await.json()["refreshToken"],
        next["refreshToken"]
    );
    age_rotations(&server, 2_000).await;
    assert_eq!(profile(&server, &bearer(&next)).await.0, 200);
    let reused = refreshed_by(&server, &stolen["refreshToken"]).await;
    assert_eq!((reused.status, &reused.json()["code"]), (400, &json!("invalid_refresh_token")));
    assert_eq!(refreshed_by(&server, &next["refreshToken"]).await.status, 400, "the thief or the owner");
    assert_eq!(profile(&server, &bearer(&next)).await, (401, json!("unauthenticated")), "at once");
    assert_eq!(
        refreshed_by(&server, &phone["refreshToken"]).await.status,
        200,
        "another sign-in is not touched"
    );
}

#[tokio::test]
async fn signing_out_ends_refresh_and_access_tokens_at_once() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let (one, other) =
        (signed_in(&server, "anna@example.com").await, signed_in(&server, "anna@example.com").await);
    let next = refreshed_by(&server, &one["refreshToken"]).await.json();
    let out = server.post("/api/v1/auth/logout", &json!({"refreshToken": next["refreshToken"]})).await;
    assert_eq!((out.status, out.body.as_str()), (204, ""));
    for body in [&one, &next] {
        assert_eq!(profile(&server, &bearer(body)).await, (401, json!("unauthenticated")));
        assert_eq!(refreshed_by(&server, &body["refreshToken"]).await.status, 400);
    }
    assert_eq!(profile(&server, &bearer(&other)).await.0, 200);
}

fn subject(user: &User) -> Subject {
    Subject {
        user: user.id,
        organization: user.organization_id,
        role: user.role,
        session: Uuid::new_v4(),
        revision: user.revision,
    }
}

#[tokio::test]
async fn only_a_missing_or_an_expired_token_answers_401_and_says_which() {
    let server = server(configured()).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let signed_at = |at| KeyRing::new(SECRET, []).sign(subject(&anna), at).unwrap().0;
    let header = |token: &str| format!("Authorization: Bearer {token}");
    assert_eq!(profile(&server, &header(&signed_at(seconds_now()))).await.0, 200);
    assert_eq!(profile(&server, &header(&signed_at(seconds_now() - 920))).await.0, 200, "the leeway");
    let over = header(&signed_at(seconds_now() - 1_000));
    assert_eq!(profile(&server, &over).await, (401, json!("token_expired")));
    let answer = server.ask("GET", "/api/v1/users/profile", &[HERE]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthenticated")));
    assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    for odd in
        ["Authorization: Basic YTpi", "Authorization: Bearer", "Authorization: Bearer ", "Authorization:"]
    {
        assert_eq!(profile(&server, odd).await, (401, json!("unauthenticated")), "{odd}");
    }
}

#[tokio::test]
async fn forged_tokens_are_nobody_s() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::hmac;

    let server = server(configured()).await;
    let anna = user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Admin).await;
    let good = KeyRing::new(SECRET, []).sign(subject(&anna), seconds_now()).unwrap().0;
    let decode = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(good.split('.').nth(at).unwrap()).unwrap()).unwrap()
    };
    let (header, claims) = (decode(0), decode(1));
    let made = |header: &Value, claims: &Value, secret: &str| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let with = |of: &Value, name: &str, value: &str| {
        let mut of = of.clone();
        of[name] = json!(value);
        of
    };
    assert_eq!(
        profile(&server, &format!("Authorization: Bearer {}", made(&header, &claims, SECRET))).await.0,
        200
    );
    let none = made(&with(&header, "alg", "none"), &claims, "");
    for (what, token) in [
        ("alg none, signed", none.clone()),
        ("alg none, unsigned", format!("{}.", none.rsplit_once('.').unwrap().0)),
        ("another algorithm", made(&with(&header, "alg", "RS256"), &claims, SECRET)),
        ("another secret", made(&header, &claims, "another secret")),
        ("the key's name as the secret", made(&header, &claims, header["kid"].as_str().unwrap())),
        ("an unknown key", made(&with(&header, "kid", "x"), &claims, SECRET)),
        ("another issuer", made(&header, &with(&claims, "iss", "https://evil.example"), SECRET)),
        ("another audience", made(&header, &with(&claims, "aud", "authenticated"), SECRET)),
        ("an unknown role", made(&header, &with(&claims, "role", "root"), SECRET)),
        ("a key of another server", KeyRing::new("x", []).sign(subject(&anna), seconds_now()).unwrap().0),
    ] {
        assert_eq!(
            profile(&server, &format!("Authorization: Bearer {token}")).await,
            (401, json!("unauthenticated")),
            "{what}"
        );
        let voice = format!("/voice/{}?token={token}", Uuid::new_v4());
        assert_eq!(server.refused(&voice, &[]).await.status, 401, "{what}");
    }
}

#[tokio::test]
async fn after_a_change_of_secret_everybody_stays_signed_in() {
    let before = server(configured()).await;
    user(&before, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let tokens = signed_in(&before, "anna@example.com").await;
    let config = Config {
        auth_secret: Some(Secret::new("the next secret, which is as long")),
        auth_previous_secrets: vec![Secret::new(SECRET)],
        ..Config::default()
    };
    let after = server(config).await;
    assert!(after.auth.ring.verify(tokens["accessToken"].as_str().unwrap(), seconds_now()).is_ok());
    let accounts = store(&before).await;
    let token = tokens["refreshToken"].as_str().unwrap();
    let refreshed = refresh::rotate(&after.auth.ring, &accounts, token, Timestamp::now()).await.unwrap();
    let Refreshed::Successor { token, .. } = refreshed else { panic!("signed out") };
    // A server that still has the old secret alone gives the same one at the same moment.
    let same = refreshed_by(&before, &tokens["refreshToken"]).await.json();
    assert_eq!(same["refreshToken"], token);
}

#[tokio::test]
async fn guessing_is_slowed_by_account_and_whoever_knows_it_waits_for_nothing() {
    let server = server(configured()).await;
    for email in ["anna@example.com", "ben@example.com"] {
        user(&server, DEMO_ORGANIZATION, email, Role::Agent).await;
    }
    for _ in 0..15 {
        assert_eq!(log_in(&server, "ben@example.com", PASSWORD).await.status, 200);
    }
    let guesses = join_all((0..14).map(|_| log_in(&server, "anna@example.com", "a guess"))).await;
    let slowed = guesses.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(slowed, 4, "ten at once, the others wait");
    let answer = log_in(&server, "anna@example.com", PASSWORD).await;
    assert_eq!((answer.status, &answer.json()["code"]), (429, &json!("too_many_attempts")));
    let wait = answer.head.split("retry-after: ").nth(1).unwrap().split("\r\n").next().unwrap();
    assert!((1..=31).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    assert_eq!(log_in(&server, "ben@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn guessing_is_slowed_by_the_address_that_a_trusted_proxy_tells() {
    let trusting = Config { trusted_proxies: vec![("127.0.0.1".parse().unwrap(), 32)], ..configured() };
    for (config, told_apart) in [(trusting, true), (configured(), false)] {
        let server = server(config).await;
        let guess = async |n: usize, client: &str| {
            let body = json!({"email": format!("{n}@example.com"), "password": "a guess"}).to_string();
            let from = format!("X-Forwarded-For: {n}.9.9.9, {client}");
            server.send("POST", "/api/v1/auth/login", &["Host: voice.example", &from], &body).await.status
        };
        for n in 0..30 {
            assert_eq!(guess(n, "198.51.100.1").await, 400, "{n}");
        }
        assert_eq!(guess(31, "198.51.100.1").await, 429);
        assert_eq!(guess(32, "198.51.100.2").await, if told_apart { 400 } else { 429 });
    }
}

/// Values of the cookies that an answer sets, by their names.
fn cookies(answer: &Answer) -> Vec<(String, String, String)> {
    let lines = answer.whole_head.lines().filter_map(|line| line.split_once(": "));
    let set = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    set.map(|(_, line)| {
        let (pair, rest) = line.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned(), rest.to_owned())
    })
    .collect()
}

/// The `Cookie` header and the word that a page would send back.
fn held(answer: &Answer) -> (String, String) {
    let cookies = cookies(answer);
    let pairs: Vec<String> = cookies.iter().map(|(name, value, _)| format!("{name}={value}")).collect();
    let word = &cookies.iter().find(|(name, ..)| name == "voice_csrf").unwrap().1;
    (format!("Cookie: {}", pairs.join("; ")), format!("X-CSRF-Token: {word}"))
}

#[tokio::test]
async fn a_cookie_reads_by_itself_and_changes_only_with_the_page_s_word() {
    let server = server(configured()).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let page = "Origin: http://localhost";
    let body = json!({"email": "anna@example.com", "password": PASSWORD, "cookie": true}).to_string();
    let login = async || server.send("POST", "/api/v1/auth/login", &[HERE, page], &body).await;
    let answer = login().await;
    for (name, _, rest) in cookies(&answer) {
        assert_eq!(rest.contains("HttpOnly"), name != "voice_csrf", "{name}{rest}");
        assert!(rest.contains("SameSite=Strict") && !rest.contains("Secure"), "{name}{rest}");
    }
    let (cookie, word) = held(&answer);
    let (_, other_word) = held(&login().await);
    assert_eq!(profile(&server, &cookie).await.0, 200);
    let ticket = async |headers: &[&str]| server.ask("POST", "/api/v1/auth/ticket", headers).await.status;
    for (headers, status) in [
        (&[HERE, &cookie, &word][..], 201),
        (&[HERE, page, &cookie, &word], 201),
        (&[HERE, page, &cookie], 403),
        (&[HERE, page, &cookie, &other_word], 403),
        (&[HERE, page, &cookie, "X-CSRF-Token:"], 403),
        (&[HERE, "Origin: https://evil.example", &cookie, &word], 403),
        (&[HERE, "Origin: null", &cookie, &word], 403),
        (&[HERE, "Origin: http://localhost:3000", &cookie, &word], 403),
        (&["Host: evil.example", "Origin: http://evil.example", &cookie, &word], 403),
        (&[HERE, page, &word], 401),
    ] {
        assert_eq!(ticket(headers).await, status, "{headers:?}");
    }
    // Refreshing and signing out by cookie need the word as well, and no body.
    for path in ["/api/v1/auth/refresh", "/api/v1/auth/logout"] {
        for headers in [&[HERE, page, &cookie][..], &[HERE, "Origin: https://evil.example", &cookie, &word]] {
            assert_eq!(server.send("POST", path, headers, "{}").await.status, 403, "{path} {headers:?}");
        }
    }
    let next = server.send("POST", "/api/v1/auth/refresh", &[HERE, page, &cookie, &word], "{}").await;
    assert_eq!(next.status, 200, "{}", next.body);
    let (cookie, word) = held(&next);
    let out = server.ask("POST", "/api/v1/auth/logout", &[HERE, page, &cookie, &word]).await;
    assert_eq!(out.status, 204);
    assert!(cookies(&out).iter().all(|(_, value, rest)| value.is_empty() && rest.contains("Max-Age=0")));
    assert_eq!(profile(&server, &cookie).await.0, 401);
}

#[tokio::test]
async fn cookies_are_kept_to_https_where_the_page_came_by_it() {
    let config = Config { allowed_origins: vec!["https://voice.example".into()], ..configured() };
    let server = server(config).await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let body = json!({"email": "anna@example.com", "password": PASSWORD, "cookie": true}).to_string();
    let headers = ["Host: voice.example", "Origin: https://voice.example"];
    let answer = server.send("POST", "/api/v1/auth/login", &headers, &body).await;
    assert_eq!(cookies(&answer).len(), 3);
    assert!(cookies(&answer).iter().all(|(.., rest)| rest.ends_with("; Secure")), "{}", answer.head);
    let foreign = ["Host: voice.example", "Origin: https://shop.example"];
    assert_eq!(server.send("POST", "/api/v1/auth/login", &foreign, &body).await.status, 403);
}

#[tokio::test]
async fn the_demo_users_are_for_this_machine_only_and_the_refusal_names_the_setting() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let body = json!({"email": "agent@demo.example", "password": "demo-password"}).to_string();
    let made = server.send("POST", "/api/v1/conversations", &[HERE, admin], "{}").await.json();
    let (id, ticket) = (made["id"].as_str().unwrap(), made["ticket"].as_str().unwrap());
    for headers in [
        &["Host: voice.example.com"][..],
        &["Host: evil.example:8000"],
        &[HERE, "X-Forwarded-For: 127.0.0.1"],
        &[HERE, "Forwarded: for=127.0.0.1"],
        &[HERE, "X-Forwarded-Proto: https"],
        &[HERE, "Origin: https://evil.example"],
        &[HERE, "Origin: null"],
    ] {
        let login = server.send("POST", "/api/v1/auth/login", headers, &body).await;
        let signed_in: Vec<&str> = headers.iter().copied().chain([admin]).collect();
        let read = server.ask("GET", "/api/v1/users/profile", &signed_in).await;
        // What they ask for goes no further than they do.
        let messages = format!("/api/v1/conversations/{id}/messages?ticket={ticket}");
        let written = server.send("POST", &messages, headers, r#"{"text": "Hello?"}"#).await;
        if !headers[0].starts_with("Origin") {
            assert_eq!(server.shake(&format!("/voice/{id}?ticket={ticket}"), headers).await.0, 403);
            assert_eq!(written.status, 403, "{headers:?} {}", written.body);
        }
        for answer in [login, read] {
            assert_eq!(answer.status, 403, "{headers:?} {}", answer.body);
            assert!(
                answer.json()["detail"].as_str().unwrap().contains("VOICE_AUTH_SECRET"),
                "{}",
                answer.body
            );
        }
    }
    let near =
        server.send("POST", "/api/v1/auth/login", &[HERE, "Origin: http://localhost:3000"], &body).await;
    assert_eq!(near.status, 200, "{}", near.body);
    assert_eq!(near.json()["user"]["role"], "agent");
}

#[tokio::test]
async fn once_configured_nobody_is_a_demo_user_whatever_was_stored_before() {
    let server = server(configured()).await;
    demo::prepare(&store(&server).await, &Passwords::new(1)).await.unwrap();
    let answer = log_in(&server, "admin@demo.example", "demo-password").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_credentials")));
    let subject = Subject {
        user: demo::USERS[0].id,
        organization: DEMO_ORGANIZATION,
        role: Role::Admin,
        session: Uuid::new_v4(),
        revision: 1,
    };
    let token = KeyRing::new(SECRET, []).sign(subject, seconds_now()).unwrap().0;
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(profile(&server, &header).await, (401, json!("unauthenticated")));
}

#[tokio::test]
async fn users_of_an_unconfigured_server_sign_in_from_anywhere() {
    let server = Server::start().await;
    user(&server, DEMO_ORGANIZATION, "anna@example.com", Role::Agent).await;
    let body = json!({"email": "anna@example.com", "password": PASSWORD}).to_string();
    let headers = ["Host: voice.example.com", "X-Forwarded-For: 9.9.9.9"];
    let answer = server.send("POST", "/api/v1/auth/login", &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let read =
        server.ask("GET", "/api/v1/conversations", &[headers[0], headers[1], &bearer(&answer.json())]).await;
    assert_eq!(read.status, 200, "{}", read.body);
}

#[tokio::test]
async fn the_link_of_the_start_makes_one_admin() {
    let server = server(configured()).await;
    let secret = server.auth.setup.open().unwrap();
    let ask = async |token: &str, email: &str, password: &str| {
        let body = json!({"token": token, "email": email, "password": password, "name": "First"});
        server.post("/api/v1/auth/setup", &body).await
    };
    for (token, email, password, status) in [
        ("wrong", "first@example.com", PASSWORD, 400),
        (&secret, "no address", PASSWORD, 422),
        (&secret, "first@example.com", "short", 422),
        (&secret, "first@example.com", PASSWORD, 201),
        (&secret, "second@example.com", PASSWORD, 400),
    ] {
        let answer = ask(token, email, password).await;
        assert_eq!(answer.status, status, "{email} {password}: {}", answer.body);
    }
    assert_eq!(signed_in(&server, "first@example.com").await["user"]["role"], "admin");
    // A link is worth nothing where somebody was added by other ways since.
    let late = server.auth.setup.open().unwrap();
    assert_eq!(ask(&late, "third@example.com", PASSWORD).await.status, 400);
}

#[tokio::test]
async fn users_of_supabase_come_with_its_token_and_are_added_at_first_sight() {
    let server = server(of_supabase()).await;
    let other = organization(&server).await;
    let known = user(&server, DEMO_ORGANIZATION, "known@example.com", Role::Viewer).await;
    let token = |email: &str, metadata: Value| {
        let claimed = json!({"organization_id": other, "voice_role": "admin"});
        format!("Authorization: Bearer {}", supabase_token(email, metadata, claimed))
    };
    let read = async |header: &str| server.ask("GET", "/api/v1/users/profile", &[HERE, header]).await;
    let new = token("new@example.com", json!({"organization_id": DEMO_ORGANIZATION}));
    for _ in 0..2 {
        let answer = read(&new).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            (&answer.json()["email"], &answer.json()["role"]),
            (&json!("new@example.com"), &json!("agent"))
        );
    }
    let by_address = token("known@example.com", json!({"organization_id": DEMO_ORGANIZATION}));
    assert_eq!(read(&by_address).await.json()["id"], known.id.to_string());
    // An admin of here is no admin by an address over there, and who lost a role there has it no more.
    user(&server, DEMO_ORGANIZATION, "boss@example.com", Role::Admin).await;
    let role = |role: &str| json!({"organization_id": DEMO_ORGANIZATION, "voice_role": role});
    let none = json!({"organization_id": DEMO_ORGANIZATION});
    for (metadata, expected, keys) in [
        (none.clone(), "agent", 403),
        (role("admin"), "admin", 200),
        (none, "agent", 403),
        (role("viewer"), "viewer", 403),
    ] {
        let header = token("boss@example.com", metadata);
        assert_eq!(read(&header).await.json()["role"], expected);
        assert_eq!(server.ask("GET", "/api/v1/keys", &[HERE, &header]).await.status, keys, "{expected}");
    }
    // A token would make a deleted one again.
    let (admin, path) = (token("boss@example.com", role("admin")), format!("/api/v1/users/{}", known.id));
    let refused = server.ask("DELETE", &path, &[HERE, &admin]).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("comes_back")));
    for (why, header) in [
        ("no organization", token("a@example.com", json!({}))),
        ("an unknown organization", token("b@example.com", json!({"organization_id": Uuid::new_v4()}))),
        ("another's user", token("known@example.com", json!({"organization_id": other}))),
    ] {
        assert_eq!(read(&header).await.status, 403, "{why}");
    }
}

#[tokio::test]
async fn other_sites_pages_read_answers_only_where_they_are_listed() {
    let config = Config { allowed_origins: vec!["https://shop.example".into()], ..configured() };
    let server = server(config).await;
    let preflight = async |origin: &str| {
        let headers = [
            "Host: voice.example",
            &format!("Origin: {origin}"),
            "Access-Control-Request-Method: PATCH",
            "Access-Control-Request-Headers: authorization,content-type,if-match,idempotency-key",
        ];
        server.ask("OPTIONS", "/api/v1/conversations", &headers).await
    };
    let listed = preflight("https://shop.example").await;
    assert!(listed.head.contains("access-control-allow-origin: https://shop.example\r\n"), "{}", listed.head);
    assert!(!listed.head.contains("access-control-allow-credentials"), "{}", listed.head);
    for origin in
        ["https://evil.example", "null", "https://shop.example.evil.example", "http://localhost:3000"]
    {
        let head = preflight(origin).await.head;
        assert!(!head.contains("access-control-allow-origin"), "{origin}: {head}");
    }
    let refused =
        server.ask("GET", "/api/v1/conversations", &["Host: v", "Origin: https://shop.example"]).await;
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("access-control-allow-origin: https://shop.example\r\n"),
        "{}",
        refused.head
    );
}

/// A key of the organization, and its text.
pub(crate) async fn key(
    server: &Server,
    organization: Uuid,
    kind: KeyKind,
    change: impl FnOnce(&mut keys::KeyWish),
) -> (Uuid, String) {
    let mut wish = keys::KeyWish {
        organization,
        kind,
        name: "shop".into(),
        origins: Vec::new(),
        max_calls: None,
        daily_spend_micros: None,
    };
    change(&mut wish);
    let (text, new) = keys::make(wish, Timestamp::now()).unwrap();
    let id = new.key.id;
    store(server).await.add_key(new).await.unwrap();
    (id, text)
}

#[tokio::test]
async fn a_secret_key_reads_its_organization_and_a_publishable_one_never_reads() {
    let server = server(configured()).await;
    let other = organization(&server).await;
    let (_, secret) = key(&server, DEMO_ORGANIZATION, KeyKind::Secret, |_| ()).await;
    let (foreign_id, foreign) = key(&server, other, KeyKind::Secret, |_| ()).await;
    let origins = vec!["https://shop.example".to_owned()];
    let (_, publishable) =
        key(&server, DEMO_ORGANIZATION, KeyKind::Publishable, |w| w.origins = origins).await;
    let list = async |text: &str, header: &str| {
        let authorization = format!("Authorization: Bearer {text}");
        server.ask("GET", "/api/v1/conversations", &["Host: v", &authorization, header]).await.status
    };
    assert_eq!(list(&secret, "Accept: */*").await, 200);
    assert_eq!(list(&secret, "Origin: https://shop.example").await, 403, "it is in a page");
    assert_eq!(list(&publishable, "Origin: https://shop.example").await, 403);
    assert_eq!(list(&publishable, "Accept: */*").await, 403);
    assert_eq!(list(&format!("{secret}x"), "Accept: */*").await, 401);
    assert_eq!(list(&secret.replace("sk_", "pk_"), "Accept: */*").await, 401);
    assert_eq!(profile(&server, &format!("Authorization: Bearer {secret}")).await.0, 403);
    assert_eq!(list(&foreign, "Accept: */*").await, 200);
    store(&server).await.revoke_key(other, foreign_id, Timestamp::now()).await.unwrap();
    server.auth.keys.forget();
    assert_eq!(list(&foreign, "Accept: */*").await, 401);
}
