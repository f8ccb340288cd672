//! REST as a client uses it: lists and pages, entity tags, keys for repetition, writing, people, figures.

use serde_json::{Value, json};
use uuid::Uuid;
use voice_server::config::Config;

use crate::harness::{Server, Wish};

/// A plain HTTP client that is signed in.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What was answered.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) async fn sign_in(server: &Server, email: &str) -> Self {
        let mut api = Self::anonymous(server);
        let got = api
            .send(
                "POST",
                "/api/v1/auth/login",
                &[],
                Some(json!({"email": email, "password": "demo-password"})),
            )
            .await;
        assert_eq!(got.status, 200, "{}", got.body);
        api.token = got.body["accessToken"].as_str().map(str::to_owned);
        api
    }

    pub(crate) fn anonymous(server: &Server) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { http, base: format!("http://{}", server.address), token: None }
    }

    pub(crate) fn with_token(server: &Server, token: String) -> Self {
        Self { token: Some(token), ..Self::anonymous(server) }
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().expect("signed in")
    }

    pub(crate) async fn admin(server: &Server) -> Self {
        Self::sign_in(server, "admin@demo.example").await
    }

    pub(crate) async fn agent(server: &Server) -> Self {
        Self::sign_in(server, "agent@demo.example").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Got {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let etag = headers.get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let bytes = response.bytes().await.expect("a body");
        Got { status, etag, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send("GET", path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.send("POST", path, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Got {
        self.send("PATCH", path, &[], Some(body)).await
    }
}

fn id_of(got: &Got) -> String {
    got.body["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn conversations_are_made_listed_read_and_noted() {
    let server = Server::start().await;
    let api = Api::agent(&server).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let body = json!({"clientPhone": format!("+1555010{number}"), "metadata": {"n": number}});
        let got = api.post("/api/v1/conversations", body).await;
        assert_eq!(got.status, 201, "{}", got.body);
        assert!(got.body["ticket"].as_str().is_some_and(|ticket| ticket.len() > 20));
        assert!(got.body["ticketExpiresAt"].is_string());
        ids.push(id_of(&got));
    }
    let mut listed = Vec::new();
    let mut path = "/api/v1/conversations?limit=2".to_owned();
    loop {
        let got = api.get(&path).await;
        assert_eq!(got.status, 200);
        listed.extend(got.body["items"].as_array().expect("items").iter().map(|c| c["id"].clone()));
        let Some(next) = got.body["nextCursor"].as_str() else { break };
        path = format!("/api/v1/conversations?limit=2&cursor={next}");
    }
    listed.reverse();
    assert_eq!(json!(listed), json!(ids));
    let narrowed = api.get("/api/v1/conversations?clientPhone=%2B15550103").await;
    assert_eq!(narrowed.body["items"][0]["id"], json!(ids[3]));
    assert_eq!(narrowed.body["items"].as_array().map(Vec::len), Some(1));

    let path = format!("/api/v1/conversations/{}", ids[0]);
    let first = api.get(&path).await;
    assert_eq!(
        (first.status, &first.body["status"], &first.body["metadata"]),
        (200, &json!("active"), &json!({"n": 0}))
    );
    let tag = first.etag.expect("a tag");
    let again = api.send("GET", &path, &[("if-none-match", &tag)], None).await;
    assert_eq!(again.status, 304);
    let noted = api
        .send("PATCH", &path, &[("if-match", &tag)], Some(json!({"notes": "wants a garden", "lead": true})))
        .await;
    assert_eq!(
        (noted.status, &noted.body["notes"], &noted.body["lead"]),
        (200, &json!("wants a garden"), &json!(true))
    );
    let late = api.send("PATCH", &path, &[("if-match", &tag)], Some(json!({"notes": "other"}))).await;
    assert_eq!((late.status, &late.body["code"]), (412, &json!("changed")));
    assert_eq!(api.get(&path).await.body["notes"], "wants a garden");
    for (body, field) in [
        (json!({"clientPhone": "call me"}), "clientPhone"),
        (json!({"clientPhone": 1}), "clientPhone"),
        (json!({"metadata": []}), "metadata"),
        (json!({"metadata": {"x": "y".repeat(9_000)}}), "metadata"),
    ] {
        let got = api.post("/api/v1/conversations", body).await;
        assert_eq!((got.status, got.body["field"].as_str()), (422, Some(field)), "{}", got.body);
    }
}

#[tokio::test]
async fn what_is_repeated_with_its_key_is_done_once() {
    let server = Server::start().await;
    let api = Api::agent(&server).await;
    let key = [("idempotency-key", "order-1")];
    let body = Some(json!({"metadata": {"a": 1}}));
    let first = api.send("POST", "/api/v1/conversations", &key, body.clone()).await;
    let again = api.send("POST", "/api/v1/conversations", &key, body).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body["id"], again.body["id"]);
    // The first one may be over by now, or used.
    let tickets = [&first, &again].map(|answer| answer.body["ticket"].as_str().expect("a ticket"));
    assert_ne!(tickets[0], tickets[1]);
    let path = format!("/voice/{}?ticket={}", again.body["id"].as_str().expect("an id"), tickets[1]);
    assert_eq!(server.shake(&path, &["Host: localhost"]).await.0, 101, "the new one opens the socket");
    let other = api.send("POST", "/api/v1/conversations", &key, Some(json!({"metadata": {"a": 2}}))).await;
    assert_eq!((other.status, other.body["field"].as_str()), (422, Some("Idempotency-Key")));
    let list = api.get("/api/v1/conversations").await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1));
    let admin = Api::admin(&server).await;
    let same_key = admin.send("POST", "/api/v1/conversations", &key, Some(json!({}))).await;
    assert_eq!(same_key.status, 201, "another asker's key is another");
}

#[tokio::test]
async fn a_conversation_goes_on_in_writing_and_is_stored() {
    let server = Server::start().await;
    let api = Api::agent(&server).await;
    let made = api.post("/api/v1/conversations", json!({})).await;
    let id = id_of(&made);
    let path = format!("/api/v1/conversations/{id}/messages");
    let first = api.post(&path, json!({"text": " Is there a garden? "})).await;
    assert_eq!((first.status, &first.body["reply"]), (200, &json!("Is there a garden? after []")));
    let ticket = made.body["ticket"].as_str().expect("a ticket");
    let stranger = Api::anonymous(&server);
    let second = stranger.post(&format!("{path}?ticket={ticket}"), json!({"text": "And a pool?"})).await;
    assert_eq!(second.status, 200, "{}", second.body);
    let reply = second.body["reply"].as_str().expect("a reply");
    assert!(reply.starts_with("And a pool? after [(\"Is there a garden?\", "), "{reply}");
    let stored = api.get(&format!("/api/v1/conversations/{id}")).await.body;
    assert_eq!(stored["turns"].as_array().map(Vec::len), Some(2));
    assert_eq!(stored["transcript"][2]["text"], "And a pool?");
    let failed = api.post(&path, json!({"text": "fail"})).await;
    assert_eq!((failed.status, &failed.body["code"]), (503, &json!("answerer_unavailable")));
    assert!(failed.headers.contains_key("retry-after"));
    for text in ["", "  ", &"x".repeat(2_001)] {
        assert_eq!(api.post(&path, json!({ "text": text })).await.status, 422);
    }
    assert_eq!(stranger.post(&path, json!({"text": "hi"})).await.status, 401, "without a ticket");
    let found = api.get("/api/v1/conversations?q=pool").await;
    assert_eq!(found.body["items"][0]["id"], json!(id));
    for signs in ["%28", "%F0%9F%98%80", "%25"] {
        let found = api.get(&format!("/api/v1/conversations?q={signs}")).await;
        assert_eq!((found.status, &found.body["items"]), (200, &json!([])), "{signs}");
    }
    let wrong = api.patch(&format!("/api/v1/conversations/{id}"), json!({"status": "ended"})).await;
    assert_eq!((wrong.status, wrong.body["field"].as_str()), (422, Some("status")));
}

#[tokio::test]
async fn admins_manage_people_keys_and_the_organization_and_agents_do_not() {
    let server = Server::start().await;
    let (admin, agent) = (Api::admin(&server).await, Api::agent(&server).await);
    let new =
        json!({"email": "Bea@Example.com", "name": "Bea", "role": "viewer", "password": "a long password"});
    let added = admin.post("/api/v1/users", new.clone()).await;
    assert_eq!(
        (added.status, &added.body["email"], &added.body["role"]),
        (201, &json!("bea@example.com"), &json!("viewer"))
    );
    assert!(!added.body.to_string().contains("argon2"), "{}", added.body);
    assert_eq!(admin.post("/api/v1/users", new).await.status, 409);
    let path = format!("/api/v1/users/{}", id_of(&added));
    let changed = admin.patch(&path, json!({"role": "agent"})).await;
    assert_eq!((changed.status, &changed.body["role"]), (200, &json!("agent")));
    assert_eq!(admin.get("/api/v1/users").await.body["items"].as_array().map(Vec::len), Some(3));
    let me = admin.get("/api/v1/users/profile").await;
    let mine = format!("/api/v1/users/{}", id_of(&me));
    assert_eq!(admin.patch(&mine, json!({"role": "agent"})).await.status, 409, "no admin would be left");

    let named =
        admin.patch("/api/v1/organization", json!({"name": "Oak", "settings": {"retentionDays": 7}})).await;
    assert_eq!((named.status, &named.body["settings"]["retentionDays"]), (200, &json!(7)));
    let wrong = admin.patch("/api/v1/organization", json!({"settings": {"timeZone": "Mars"}})).await;
    assert_eq!((wrong.status, wrong.body["field"].as_str()), (422, Some("settings.timeZone")));
    for (path, body, field) in [
        ("/api/v1/organization", json!({"nmae": "Elm"}), "nmae"),
        (path.as_str(), json!({"email": "other@example.com"}), "email"),
    ] {
        let got = admin.patch(path, body).await;
        assert_eq!((got.status, got.body["field"].as_str()), (422, Some(field)), "{path}");
    }
    assert_eq!(agent.get("/api/v1/organization").await.body["name"], "Oak");

    let key = admin.post("/api/v1/keys", json!({"kind": "secret", "name": "crm"})).await;
    assert_eq!(key.status, 201);
    let secret = key.body["key"].as_str().expect("a key").to_owned();
    assert!(secret.starts_with("sk_"));
    let by_key = Api { token: Some(secret), ..Api::anonymous(&server) };
    assert_eq!(by_key.get("/api/v1/conversations").await.status, 200);
    assert!(
        !admin.get("/api/v1/keys").await.body.to_string().contains(by_key.token.as_ref().expect("a key"))
    );
    let gone = admin.send("DELETE", &format!("/api/v1/keys/{}", id_of(&key)), &[], None).await;
    assert_eq!(gone.status, 204);
    assert_eq!(by_key.get("/api/v1/conversations").await.status, 401);
    for origins in [json!([]), json!(["shop"]), json!(["https://shop.example/path"])] {
        let body = json!({"kind": "publishable", "name": "x", "origins": origins});
        let got = admin.post("/api/v1/keys", body).await;
        assert_eq!((got.status, got.body["field"].as_str()), (422, Some("origins")));
    }

    for (method, path) in [
        ("POST", "/api/v1/users"),
        ("PATCH", path.as_str()),
        ("PATCH", "/api/v1/organization"),
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys"),
        ("GET", &format!("/api/v1/agents/{}/performance", Uuid::new_v4())),
    ] {
        let got = agent.send(method, path, &[], Some(json!({}))).await;
        assert_eq!((got.status, &got.body["code"]), (403, &json!("forbidden")), "{method} {path}");
    }
}

#[tokio::test]
async fn figures_come_from_the_calls_of_that_user() {
    let server = Server::start().await;
    let (admin, agent) = (Api::admin(&server).await, Api::agent(&server).await);
    agent.post("/api/v1/conversations", json!({})).await; // Nobody calls in it.
    let made = agent.post("/api/v1/conversations", json!({})).await;
    agent.post(&format!("/api/v1/conversations/{}/messages", id_of(&made)), json!({"text": "hi"})).await;
    let me = id_of(&agent.get("/api/v1/users/profile").await);
    let got = admin.get(&format!("/api/v1/agents/{me}/performance?tz=America/New_York")).await;
    assert_eq!((got.status, &got.body["calls"]), (200, &json!(1)), "{}", got.body);
    assert!(got.body["responseMsP50"].is_number());
    assert_eq!(got.body["days"].as_array().map(Vec::len), Some(1));
    let before = admin.get(&format!("/api/v1/agents/{me}/performance?from=2020-01-01&to=2020-12-31")).await;
    assert_eq!((&before.body["calls"], &before.body["responseMsP50"]), (&json!(0), &Value::Null));
    let unknown = admin.get(&format!("/api/v1/agents/{}/performance", Uuid::new_v4())).await;
    assert_eq!(unknown.status, 404);
    for query in ["tz=Mars", "from=x", "from=2026-02-02&to=2026-02-01"] {
        assert_eq!(
            admin.get(&format!("/api/v1/agents/{me}/performance?{query}")).await.status,
            422,
            "{query}"
        );
    }
}

#[tokio::test]
async fn answers_are_compressed_where_that_is_wanted_and_too_many_requests_are_told_to_wait() {
    let config = Config { requests_per_second: 5.try_into().expect("not zero"), ..Config::default() };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    let api = Api::anonymous(&server);
    let plain = api.get("/api/openapi.json").await;
    assert!(plain.body["paths"]["/api/v1/conversations"]["post"].is_object());
    assert!(!plain.headers.contains_key("content-encoding"));
    let packed = api.send("GET", "/api/openapi.json", &[("accept-encoding", "gzip")], None).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut limited = None;
    for _ in 0..100 {
        let got = api.get("/api/v1/conversations").await;
        if got.status == 429 {
            limited = Some(got);
            break;
        }
        assert_eq!(got.status, 401);
    }
    let limited = limited.expect("stopped at some time");
    assert_eq!(limited.body["code"], "too_many_requests");
    assert!(limited.headers.contains_key("retry-after"));
    assert_eq!(api.get("/health").await.status, 200, "health is not counted");
}

/// Every operation of the document, asked with another organization's ids: nothing is found, and nothing is changed.
#[tokio::test]
async fn no_operation_finds_anything_by_another_organizations_ids() {
    let server = Server::start().await;
    let (admin, agent) = (Api::admin(&server).await, Api::agent(&server).await);
    let made = agent.post("/api/v1/conversations", json!({"metadata": {"mine": true}})).await;
    let key = admin.post("/api/v1/keys", json!({"kind": "secret", "name": "crm"})).await;
    let user = admin.get("/api/v1/users/profile").await;
    let mine = [id_of(&made), id_of(&key), id_of(&user)];
    let before = [
        admin.get(&format!("/api/v1/conversations/{}", mine[0])).await.body,
        admin.get("/api/v1/users").await.body,
        admin.get("/api/v1/keys").await.body,
    ];
    let foreign = Api::sign_in(&server, &server.admin_of_another_organization().await).await;
    assert_eq!(foreign.get("/api/v1/users/profile").await.status, 200, "it is signed in");

    let document = admin.get("/api/openapi.json").await.body;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in ["get", "post", "put", "patch", "delete"] {
            if item[method].is_null() || path.contains("/auth/") {
                continue;
            }
            let body = (method != "get").then(|| json!({"text": "hi", "notes": "x", "name": "x"}));
            let ids: &[String] = if path.contains('{') { &mine } else { &mine[..1] };
            for id in ids {
                let filled = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
                let filled = filled.collect::<Vec<_>>().join("/");
                let got = foreign.send(&method.to_uppercase(), &filled, &[], body.clone()).await;
                tried += 1;
                let told = got.body.to_string();
                assert!(!mine.iter().any(|id| told.contains(id)), "{method} {filled} told {told}");
                // Erasing says how much was found: nothing; most ids are no number at all.
                if path.contains("{phone}") && got.status != 422 {
                    assert_eq!(got.body, json!({"conversations": 0, "recordings": 0}));
                } else if path.contains('{') {
                    assert!(
                        [403, 404, 422].contains(&got.status),
                        "{method} {filled} answered {}: {told}",
                        got.status
                    );
                }
            }
        }
    }
    assert!(tried > 20, "only {tried} operations were tried");
    let after = [
        admin.get(&format!("/api/v1/conversations/{}", mine[0])).await.body,
        admin.get("/api/v1/users").await.body,
        admin.get("/api/v1/keys").await.body,
    ];
    assert_eq!(before, after, "nothing of it was changed");
}

#[tokio::test]
async fn what_was_read_is_given_with_its_age_while_the_database_is_down() {
    let server = Server::start().await;
    let api = Api::agent(&server).await;
    let made = api.post("/api/v1/conversations", json!({"metadata": {"n": 1}})).await;
    let path = format!("/api/v1/conversations/{}", id_of(&made));
    let (one, list) = (api.get(&path).await, api.get("/api/v1/conversations?limit=5").await);
    assert!(one.body["meta"].is_null() && list.body["meta"].is_null());
    server.store.is_down.store(true, std::sync::atomic::Ordering::Relaxed);
    for (path, before) in [(path.as_str(), &one), ("/api/v1/conversations?limit=5", &list)] {
        let mut kept = api.get(path).await;
        assert_eq!((kept.status, &kept.body["meta"]["stale"]), (200, &json!(true)), "{}", kept.body);
        assert!(kept.body["meta"]["asOf"].is_string());
        kept.body.as_object_mut().expect("an object").remove("meta");
        assert_eq!(kept.body, before.body);
    }
    let never_read = api.get("/api/v1/conversations?limit=6").await;
    assert_eq!((never_read.status, &never_read.body["code"]), (503, &json!("database_unavailable")));
    let foreign = Api::sign_in(&server, &server.admin_of_another_organization().await).await;
    assert_eq!(foreign.get(&path).await.status, 503, "another organization gets nothing of it");
    server.store.is_down.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(api.get(&path).await.body["meta"].is_null());
}

#[tokio::test]
async fn calls_under_way_are_listed_and_taken_in_hand_by_their_own_organization() {
    let mut server = Server::start().await;
    let (agent, foreign) = (
        Api::agent(&server).await,
        Api::sign_in(&server, &server.admin_of_another_organization().await).await,
    );
    let (_client, mut line, id) = server.call_v1("?in=pcm16").await;
    let listed = agent.get("/api/v1/calls").await;
    assert_eq!((listed.status, &listed.body["items"][0]["id"]), (200, &json!(id)), "{}", listed.body);
    assert_eq!(listed.body["items"][0]["attended"], false);
    assert_eq!(foreign.get("/api/v1/calls").await.body["items"], json!([]));
    let path = format!("/api/v1/calls/{id}");
    for (order, body) in
        [("end", json!({})), ("say", json!({"text": "Hello."})), ("attend", json!({"on": true}))]
    {
        assert_eq!(foreign.post(&format!("{path}/{order}"), body.clone()).await.status, 404, "{order}");
    }
    assert_eq!(agent.post(&format!("{path}/attend"), json!({"on": true})).await.status, 202);
    assert_eq!(agent.post(&format!("{path}/say"), json!({"text": "A person here."})).await.status, 202);
    let mut said = false;
    for _ in 0..4 {
        let seen = format!("{:?}", line.next_seen().await);
        said |= seen.contains("A person here.");
        if said {
            break;
        }
    }
    assert!(said, "the call was told what to say");
    for (order, body, field) in [("say", json!({"text": ""}), "text"), ("attend", json!({}), "on")] {
        let got = agent.post(&format!("{path}/{order}"), body).await;
        assert_eq!((got.status, got.body["field"].as_str()), (422, Some(field)), "{order}");
    }
    // What is written here would be lost among the call's turns.
    for (who, expected) in [(&agent, (409, "call_is_live")), (&foreign, (404, "not_found"))] {
        let written =
            who.post(&format!("/api/v1/conversations/{id}/messages"), json!({"text": "Hello?"})).await;
        assert_eq!((written.status, written.body["code"].as_str()), (expected.0, Some(expected.1)));
    }
    let unknown = format!("/api/v1/calls/{}/end", Uuid::new_v4());
    assert_eq!(agent.post(&unknown, json!({})).await.status, 404);
}
