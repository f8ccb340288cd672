//! The same sentences on the services themselves, with `VOICE_LIVE=1` and the usual keys; whoever has an account runs it:
//!
//! `VOICE_LIVE=1 cargo test --workspace --test contract -- live:: --nocapture`
//!
//! `ELEVENLABS_API_KEY`, `DEEPGRAM_API_KEY` and `OPENAI_API_KEY` say who is tried, `..._BASE_URL` where, `OPENAI_MODEL` what. It takes
//! minutes, since recordings are said as fast as people speak, and costs some cents. A base address on this machine is taken
//! for `voice sim`, whose words are those of its script.

use std::time::Duration;

use voice_core::llm::openai::{ChatLimits, OpenAiChat, OpenAiConfig};
use voice_core::net::{Connector, HttpClient};
use voice_core::stt::SocketRecogniser;
use voice_core::stt::deepgram::DeepgramConfig;
use voice_core::stt::elevenlabs::ScribeConfig;
use voice_core::tts::elevenlabs::{ElevenLabs, ElevenLabsConfig, SpeechLimits};

use crate::model::{self, Model};
use crate::recogniser::{self, Ear, Recogniser};
use crate::voice::{self, Voice};
use crate::{Sentence, broken};

/// An account, and where it is asked for.
struct Service {
    key: String,
    base: Option<String>,
}

impl Service {
    /// The one whose settings begin with `prefix`; without its key it is left out, and says so.
    fn of(prefix: &str) -> Option<Self> {
        let set =
            |name: &str| std::env::var(format!("{prefix}_{name}")).ok().filter(|value| !value.is_empty());
        let Some(key) = set("API_KEY") else {
            println!("LEFT OUT: {prefix}_API_KEY is not set");
            return None;
        };
        Some(Self { key, base: set("BASE_URL") })
    }

    fn is_nearby(&self) -> bool {
        let here =
            |base: &String| ["//127.0.0.1", "//localhost", "//[::1]"].iter().any(|host| base.contains(host));
        self.base.as_ref().is_some_and(here)
    }

    fn recogniser(&self, stt: SocketRecogniser) -> Recogniser {
        let ear = if self.is_nearby() { Ear::Unknown } else { Ear::Listens };
        Recogniser { ear, pace: Duration::from_millis(20), ..Recogniser::new(stt) }
    }
}

fn wanted() -> bool {
    let wanted = std::env::var_os("VOICE_LIVE").is_some_and(|set| set == "1");
    if !wanted {
        println!("LEFT OUT: the services themselves; VOICE_LIVE=1 and their keys try them");
    }
    wanted
}

fn deepgram(model: &str) -> Option<Recogniser> {
    let service = Service::of("DEEPGRAM")?;
    let mut builder = DeepgramConfig::builder(&service.key).model(model);
    if let Some(base) = &service.base {
        builder = builder.base_url(base);
    }
    let recogniser = SocketRecogniser::deepgram(builder.build().unwrap(), Connector::new().unwrap());
    Some(service.recogniser(recogniser))
}

fn scribe() -> Option<Recogniser> {
    let service = Service::of("ELEVENLABS")?;
    let mut builder = ScribeConfig::builder(&service.key);
    if let Some(base) = &service.base {
        builder = builder.base_url(base);
    }
    let recogniser = SocketRecogniser::scribe(builder.build().unwrap(), Connector::new().unwrap());
    Some(service.recogniser(recogniser))
}

fn chat() -> Option<Model> {
    let service = Service::of("OPENAI")?;
    let mut builder = OpenAiConfig::builder().key(&service.key);
    if let Some(base) = &service.base {
        builder = builder.base_url(base);
    }
    if let Ok(model) = std::env::var("OPENAI_MODEL") {
        builder = builder.model(model);
    }
    let chat = OpenAiChat::new(builder.build().unwrap(), HttpClient::new().unwrap(), ChatLimits::default());
    let understands = !service.is_nearby();
    Some(Model { understands, uses_tools: understands, ..Model::new(chat) })
}

fn speech(over_requests: bool) -> Option<Voice> {
    let service = Service::of("ELEVENLABS")?;
    let mut builder = ElevenLabsConfig::builder(&service.key);
    if let Some(base) = &service.base {
        builder = builder.base_url(base);
    }
    let make = if over_requests { ElevenLabs::over_http } else { ElevenLabs::new };
    let (connector, http) = (Connector::new().unwrap(), HttpClient::new().unwrap());
    Some(Voice::new(make(builder.build().unwrap(), connector, http, SpeechLimits::default())))
}

/// Tries one service, one sentence at a time, and adds what does not hold.
async fn try_it<P: Send + Sync + 'static>(
    name: &'static str,
    sentences: &[Sentence<P>],
    make: impl Fn() -> Option<P>,
    failed: &mut Vec<(&'static str, Vec<&'static str>)>,
) {
    let broken = broken(name, sentences, || std::future::ready(make())).await;
    if !broken.is_empty() {
        failed.push((name, broken));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recognisers() {
    if !wanted() {
        return;
    }
    let mut failed = Vec::new();
    try_it("deepgram_live", recogniser::SENTENCES, || deepgram("nova-3"), &mut failed).await;
    try_it("deepgram_flux", recogniser::SENTENCES, || deepgram("flux-general-en"), &mut failed).await;
    try_it("scribe", recogniser::SENTENCES, scribe, &mut failed).await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models() {
    if !wanted() {
        return;
    }
    let mut failed = Vec::new();
    try_it("openai", model::SENTENCES, chat, &mut failed).await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voices() {
    if !wanted() {
        return;
    }
    let mut failed = Vec::new();
    try_it("elevenlabs_over_sockets", voice::SENTENCES, || speech(false), &mut failed).await;
    try_it("elevenlabs_over_requests", voice::SENTENCES, || speech(true), &mut failed).await;
    assert!(failed.is_empty(), "{failed:?}");
}
