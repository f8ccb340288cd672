//! Calls whose recogniser, answerer and voice are services in the cloud: stand-ins that speak their protocols on loopback.

use std::time::Duration;

use serde_json::Value;
use voice_fixtures::standin::{Answer, Answers, Cloud, Endpoint, LogEvent, Script, Transcripts};

use crate::caller::Caller;
use crate::server::{Folder, Server, ask as ask_for, conversation, has_weights, turns};
use crate::sound::{assert_understood, question, wav_messages};

const KEYS: [&str; 3] = ["key-of-elevenlabs-1", "key-of-deepgram-2", "sk-key-of-openai-3"];
const HEARD: &str = "Does the bungalow allow two cats?";
const ANSWER: &str = "Cats are welcome there. The yard is fenced too.";

fn script() -> Script {
    let mut script = Script::instant();
    script.stt.transcripts = Transcripts::Script(vec![HEARD.to_owned()]);
    script.llm.answers = Answers::Script(vec![Answer::text(ANSWER)]);
    script.llm.first_token = Duration::from_millis(20);
    script
}

/// Settings that point every service at `base`.
fn settings<'a>(base: &'a str, openai: &'a str, stt: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("ELEVENLABS_API_KEY", KEYS[0]),
        ("ELEVENLABS_BASE_URL", base),
        ("DEEPGRAM_API_KEY", KEYS[1]),
        ("DEEPGRAM_BASE_URL", base),
        ("OPENAI_API_KEY", KEYS[2]),
        ("OPENAI_BASE_URL", openai),
        ("VOICE_STT", stt),
        ("VOICE_LOG", "trace"),
    ]
}

/// One question by file; what was stored, and how many messages of sound came.
async fn ask(server: &Server, name: &str) -> (Value, usize) {
    ask_in(server, name, "", 1).await
}

/// The same with a query, until there are so many turns.
async fn ask_in(server: &Server, name: &str, query: &str, wanted: usize) -> (Value, usize) {
    let mut caller = Caller::basic(server.address, query).await;
    caller.send(&question(name).wav());
    turns(server.address, caller.id, wanted).await;
    let (got, _) = caller.hang_up().await;
    let stored = conversation(server.address, caller.id).await;
    let audible = wav_messages(&got).iter().filter(|message| message.peak > 1_000).count();
    (stored, audible)
}

fn said(stored: &Value, at: usize) -> &str {
    stored["transcript"][at]["text"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_the_cloud_is_answered_and_its_log_has_no_key_and_no_word() {
    if !has_weights() {
        return;
    }
    let recognisers = [
        ("deepgram", Endpoint::DeepgramLive),
        ("elevenlabs", Endpoint::ScribeRealtime),
        ("openai", Endpoint::Transcription),
    ];
    for (stt, hearing) in recognisers {
        let cloud = Cloud::start(script()).await.expect("stand-ins");
        let folder = Folder::new();
        let (base, openai) = (cloud.base_url(), format!("{}/v1", cloud.base_url()));
        let server = Server::start_with(&folder, &settings(&base, &openai, stt));
        let (stored, audible) = ask(&server, "q02").await;
        assert_eq!((said(&stored, 0), said(&stored, 1)), (HEARD, ANSWER), "{stt}: {stored}");
        assert!(audible > 0, "{stt}: no sound");
        for endpoint in [hearing, Endpoint::Chat, Endpoint::TtsMulti] {
            assert!(cloud.seen().requests(endpoint) > 0, "{stt}: {endpoint:?} was not asked");
        }
        assert_cost(&stored, &cloud, stt, hearing);
        let health = ask_for(server.address, "/health", &["Host: localhost"]).await.body;
        assert!(
            health.contains("\"elevenlabs\":true") && health.contains("\"status\":\"healthy\""),
            "{health}"
        );
        let metrics = ask_for(server.address, "/metrics", &["Host: localhost"]).await.body;
        let voice = "voice_provider_up{stage=\"tts\",provider=\"elevenlabs\"} 1";
        for line in [voice, "voice_turns_total 1"] {
            assert!(metrics.lines().any(|told| told == line), "{line} is missing: {metrics}");
        }
        let forwarded = ["Host: localhost", "X-Forwarded-For: 192.0.2.7"];
        assert_eq!(ask_for(server.address, "/metrics", &forwarded).await.status, 403);
        let log = server.errors();
        assert!(
            log.lines().count() > 10,
            "{stt}: too little is logged for the check to mean something: {log}"
        );
        for secret in KEYS.iter().chain(&[HEARD, ANSWER, "bungalow", "fenced"]) {
            assert!(!log.contains(secret), "{stt}: {secret} stands in the log");
        }
    }
}

/// The report tells what reached the stand-ins for the call, to the character and the sample; the greeting that is made ready at
/// the start is no call's.
fn assert_cost(stored: &Value, cloud: &Cloud, stt: &str, hearing: Endpoint) {
    let items = stored["cost"]["items"].as_array().expect("items");
    let of = |provider: &str, what: &str| {
        let found = items.iter().find(|item| item["provider"] == provider && item["what"] == what);
        found.unwrap_or_else(|| panic!("{stt}: no {what} of {provider}: {stored}"))
    };
    let quantity = |item: &Value| item["quantity"].as_f64().expect("a number");
    let spoken: usize = cloud
        .seen()
        .messages(Endpoint::TtsMulti)
        .iter()
        .filter_map(|message| serde_json::from_str::<Value>(message).ok())
        .filter_map(|message| {
            message["text"]
                .as_str()
                .filter(|text| !text.trim().is_empty() && ANSWER.contains(text.trim()))
                .map(str::to_owned)
        })
        .map(|text| text.chars().count())
        .sum();
    assert!(spoken >= ANSWER.len());
    assert_eq!(quantity(of("elevenlabs", "speech")) as usize, spoken, "{stt}: {stored}");
    let heard = quantity(of(stt, "recognition"));
    let bytes: u64 = cloud
        .seen()
        .entries()
        .iter()
        .filter(|entry| entry.endpoint == hearing)
        .map(|entry| if let LogEvent::Audio { bytes, .. } = entry.event { bytes } else { 0 })
        .sum();
    if hearing == Endpoint::Transcription {
        assert!(heard > 0.5, "{stored}");
    } else {
        assert!((heard - bytes as f64 / 32_000.0).abs() < 0.001, "{stt}: {bytes} bytes came: {stored}");
    }
    for what in ["input", "output"] {
        let item = of("openai", what);
        assert!(quantity(item) > 0.0 && item.get("estimated").is_none(), "{stored}");
    }
    let sum: f64 = items.iter().map(|item| item["usd"].as_f64().expect("a price")).sum();
    let total = stored["cost"]["totalUsd"].as_f64().expect("a total");
    assert!(total > 0.0 && (total - sum).abs() < 1e-6, "{stored}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_service_gone_the_local_providers_answer() {
    if !has_weights() {
        return;
    }
    let mut cloud = Cloud::start(script()).await.expect("stand-ins");
    cloud.close_port().await;
    let folder = Folder::new();
    let (base, openai) = (cloud.base_url(), format!("{}/v1", cloud.base_url()));
    let server = Server::start_with(&folder, &settings(&base, &openai, "deepgram,openai,local"));
    let (stored, audible) = ask(&server, "q02").await;
    assert_understood(&question("q02").words, said(&stored, 0));
    assert!(said(&stored, 1).contains("525") && audible > 0, "{stored}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_once_is_said_again_without_asking_the_service() {
    if !has_weights() {
        return;
    }
    let cloud = Cloud::start(script()).await.expect("stand-ins");
    let folder = Folder::new();
    let (base, openai) = (cloud.base_url(), format!("{}/v1", cloud.base_url()));
    let settings = settings(&base, &openai, "deepgram");
    let asked = |words: &str| {
        let messages = cloud.seen().messages(Endpoint::TtsMulti);
        messages.iter().filter(|message| message.contains(words)).count()
    };
    for start in 1..=2 {
        let server = Server::start_with(&folder, &settings);
        let greeting_kept = async {
            while folder.path().join("data/phrases").read_dir().map_or(0, Iterator::count) < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), greeting_kept)
            .await
            .expect("the greeting is made ready");
        for call in 1..=3 - start {
            let (stored, audible) = ask_in(&server, "q02", "?greeting=1", 2).await;
            assert!(audible > 0, "start {start}, call {call}: {stored}");
            assert!(stored["transcript"].to_string().contains("The yard is fenced too."), "{stored}");
        }
        assert_eq!(asked("Which home can I tell you about?"), 1, "start {start}: the greeting");
        assert_eq!(
            asked("The yard is fenced too."),
            start,
            "start {start}: an answer is kept for one process"
        );
    }
}
