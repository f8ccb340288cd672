//! The local answerer speaks about the listings that are stored: each organization's about its own, as they are now.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use voice_core::llm::concierge::{Concierge, sample_listings, sample_listings_json};
use voice_core::session::Engine;
use voice_core::sim::{ScriptedStt, ScriptedTts};
use voice_server::config::{Config, Secret};
use voice_server::context::{ContextFactory, StoredListings};
use voice_server::data::{Accounts as _, DEMO_ORGANIZATION, Listings as _, NewProperty, Timestamp};
use voice_server::engine::Built;
use voice_server::metrics::Metrics;

use crate::harness::{Server, Wish};
use crate::rest::Api;

/// A change is heard after this; a server of a user takes 15 s.
const FRESH: Duration = Duration::from_millis(200);

/// A server whose calls are answered by the local answerer, made as the program makes it.
async fn server(config: Config) -> Server {
    let engine = Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["Hello"])))
        .llm(Arc::new(Concierge::with_samples()))
        .tts(Arc::new(ScriptedTts::default()))
        .build()
        .expect("an engine");
    let answerer = |store: Arc<crate::harness::HeldStore>| {
        let listings = Arc::new(StoredListings::fresh_within(store.clone(), FRESH));
        let context = ContextFactory::new(store, listings, Metrics::default());
        Arc::new(Built::whole(engine).with_context(context))
            as Arc<dyn voice_server::voice::call::AnyAnswerer>
    };
    Server::over(answerer, Wish { config, ..Wish::default() }).await
}

async fn save(server: &Server, organization: Uuid, listings: Vec<Value>) {
    let at = Timestamp::now();
    let new = listings.into_iter().map(|listing| NewProperty::from_reso(listing, at).expect("a listing"));
    server.store.save_properties(organization, new.collect()).await.expect("saved");
}

fn samples() -> Vec<Value> {
    let payload: Value = serde_json::from_str(sample_listings_json()).expect("JSON");
    payload["value"].as_array().expect("listings").clone()
}

fn foo_street(price: u64) -> Value {
    json!({
        "ListingId": "F12", "StreetNumber": "12", "StreetName": "Foo", "StreetSuffix": "St", "City": "Kyle",
        "ListPrice": price, "BedroomsTotal": 4, "BathroomsFull": 2, "PropertyType": "Residential",
        "PropertySubType": "Single Family Residence", "StandardStatus": "Active",
    })
}

/// A dialogue in writing.
struct Dialogue<'a> {
    api: &'a Api,
    path: String,
}

impl<'a> Dialogue<'a> {
    async fn open(api: &'a Api) -> Self {
        let made = api.post("/api/v1/conversations", json!({})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let id = made.body["id"].as_str().expect("an id");
        Self { api, path: format!("/api/v1/conversations/{id}/messages") }
    }

    async fn ask(&self, text: &str) -> String {
        let got = self.api.post(&self.path, json!({ "text": text })).await;
        assert_eq!(got.status, 200, "{text}: {}", got.body);
        got.body["reply"].as_str().expect("a reply").to_owned()
    }
}

/// A signed-in admin of a new organization, and that organization.
async fn office(server: &Server) -> (Api, Uuid) {
    let email = server.admin_of_another_organization().await;
    let user = server.store.user_by_email(email.clone()).await.expect("read").expect("a user");
    (Api::sign_in(server, &email).await, user.organization_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_server_answers_from_each_organizations_own_listings() {
    let config =
        Config { auth_secret: Some(Secret::new("a secret of some length for tests")), ..Config::default() };
    let server = server(config).await;
    let ((one, ones), (other, others)) = (office(&server).await, office(&server).await);
    save(&server, ones, vec![foo_street(412_000)]).await;
    let bar = json!({"ListingId": "B7", "UnparsedAddress": "7 Bar Lane, Buda, TX", "ListPrice": 299_000, "BedroomsTotal": 2});
    save(&server, others, vec![bar]).await;

    let talk = Dialogue::open(&one).await;
    let told = talk.ask("How much is 12 Foo Street?").await;
    assert!(told.contains("$412,000") && told.contains("12 Foo Street"), "{told}");
    let told = talk.ask("How many bedrooms has it?").await;
    assert!(told.contains("four bedrooms"), "{told}");
    let told = talk.ask("How many homes do you have?").await;
    assert!(told.contains("one home"), "{told}");
    for foreign in
        ["How much is 7 Bar Lane?", "How much is 1208 Maple Street?", "Do you have anything in Buda?"]
    {
        let told = talk.ask(foreign).await;
        assert!(
            !told.contains("299") && !told.contains("525") && !told.contains("Austin"),
            "{foreign}: {told}"
        );
    }
    let told = talk.ask("How much is 1208 Maple Street?").await;
    assert!(told.contains("1208 Maple Street is not on our list"), "{told}");

    let talk = Dialogue::open(&other).await;
    let told = talk.ask("What do you have in Buda?").await;
    assert!(told.contains("7 Bar Lane") && told.contains("$299,000"), "{told}");
    let told = talk.ask("And how much is 12 Foo Street?").await;
    assert!(told.contains("is not on our list") && !told.contains("412"), "{told}");

    // An organization without listings says so, and nothing of the samples.
    let (none, _) = office(&server).await;
    let told = Dialogue::open(&none).await.ask("What do you have for sale?").await;
    assert!(told.contains("no homes on our list"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_sample_listing_is_told_as_it_is_now_and_the_others_as_ever() {
    let server = server(Config::default()).await;
    let mut samples = samples();
    save(&server, DEMO_ORGANIZATION, samples.clone()).await;
    let api = Api::admin(&server).await;
    // What a fresh server says is what the answerer says by itself.
    let alone = Concierge::new(sample_listings().clone());
    for question in [
        "How much is 1208 Maple Street?",
        "What do you have under five hundred thousand?",
        "How many homes do you have?",
        "Which cities are you in?",
        "What is your cheapest home?",
        "Is 12 Elm Street for sale?",
    ] {
        let told = Dialogue::open(&api).await.ask(question).await;
        let message = voice_core::llm::Message::new(voice_core::llm::Role::User, question);
        assert_eq!(told, alone.answer(&[message]), "{question}");
    }
    samples[0]["ListPrice"] = json!(519_000);
    save(&server, DEMO_ORGANIZATION, samples).await;
    tokio::time::sleep(FRESH).await;
    let told = Dialogue::open(&api).await.ask("How much is 1208 Maple Street?").await;
    assert!(told.contains("$519,000") && !told.contains("525"), "{told}");
    // Taken off the list, it is not spoken about any more.
    server.store.remove_properties(DEMO_ORGANIZATION, vec!["A1001".into()]).await.expect("removed");
    tokio::time::sleep(FRESH).await;
    let told = Dialogue::open(&api).await.ask("How much is 1208 Maple Street?").await;
    assert!(told.contains("1208 Maple Street is not on our list"), "{told}");
}
