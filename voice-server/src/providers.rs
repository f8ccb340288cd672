//! Who serves each stage: the providers that the settings name, in order, as one recogniser, one answerer, one voice.
//!
//! A provider whose settings cannot work is left out with a note; one alone serves as it is, several stand behind
//! `voice_core`'s line-ups with deadlines, breakers and fallback. Nothing is asked here; [`Cloud::probes`] are for whoever
//! wants to know. Caller: [`crate::engine`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use voice_core::error::ProviderError;
use voice_core::llm::concierge::{Concierge, Listings};
use voice_core::llm::openai::{ChatLimits, OpenAiChat, OpenAiConfig};
use voice_core::llm::{Candidate, LanguageModel, ResilientModel};
use voice_core::net::{Connector, HttpClient};
use voice_core::resilience::{Change, Deadlines, MemberStatus};
use voice_core::stt::deepgram::DeepgramConfig;
use voice_core::stt::elevenlabs::ScribeConfig;
use voice_core::stt::openai::{OpenAiTranscriber, TranscriberLimits, TranscriptionConfig};
use voice_core::stt::{RecogniserCandidate, ResilientRecogniser, SocketRecogniser, SpeechToText};
use voice_core::tts::elevenlabs::{ElevenLabs, ElevenLabsConfig, SpeechLimits};
use voice_core::tts::phrases::PhraseCache;
use voice_core::tts::{ResilientVoice, TextToSpeech, VoiceCandidate};

use crate::config::{CloudSettings, Config, Stage};
use crate::context::listings::told;

/// Asks a service whether it is there and takes the key. Spends no credit.
pub(crate) type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), ProviderError>> + Send + Sync>;

/// One provider of the cloud, to be tried.
pub(crate) struct Probed {
    /// The stage and the provider, such as `stt deepgram`.
    pub(crate) name: String,
    /// Tries it.
    pub(crate) probe: Probe,
}

/// A service in the cloud, and what was last found out about it.
pub(crate) struct Service {
    probe: Probe,
    /// When, and whether it was there. Whoever asks meanwhile waits for the probe under way.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Service {
    fn new(probe: Probe) -> Self {
        Self { probe, last: Mutex::new(None) }
    }

    /// Whether it answers and takes the key, as found out in the last half minute.
    pub(crate) async fn is_there(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, there)) = *last
            && at.elapsed() < FRESH
        {
            return there;
        }
        let there = matches!(tokio::time::timeout(SERVICE_LIMIT, (self.probe)()).await, Ok(Ok(())));
        *last = Some((Instant::now(), there));
        there
    }
}

/// How long what was found out about a service is told again.
const FRESH: Duration = Duration::from_secs(30);
/// `/health` answers within two seconds.
const SERVICE_LIMIT: Duration = Duration::from_secs(2);

/// Several providers of one stage.
#[derive(Clone)]
pub(crate) enum LineUp {
    /// Recognisers.
    Stt(ResilientRecogniser),
    /// Answerers.
    Llm(ResilientModel),
    /// Voices.
    Tts(ResilientVoice),
}

impl LineUp {
    /// Which stage.
    pub(crate) fn stage(&self) -> &'static str {
        match self {
            Self::Stt(_) => "stt",
            Self::Llm(_) => "llm",
            Self::Tts(_) => "tts",
        }
    }

    /// How each provider does, in order.
    pub(crate) fn status(&self) -> Vec<MemberStatus> {
        match self {
            Self::Stt(stage) => stage.status(),
            Self::Llm(stage) => stage.status(),
            Self::Tts(stage) => stage.status(),
        }
    }

    /// Whether nobody can be asked at the moment.
    pub(crate) fn is_down(&self) -> bool {
        match self {
            Self::Stt(stage) => stage.is_down(),
            Self::Llm(stage) => stage.is_down(),
            Self::Tts(stage) => stage.is_down(),
        }
    }

    /// Probes what failed, and logs what changes. Never ends.
    pub(crate) async fn watch(self) {
        let stage = self.stage();
        let told = move |change: Change| {
            tracing::warn!(
                stage,
                provider = change.provider,
                change = change.kind.as_str(),
                "a provider's state changed"
            );
        };
        match self {
            Self::Stt(stage) => stage.watch(told).await,
            Self::Llm(stage) => stage.watch(told).await,
            Self::Tts(stage) => stage.watch(told).await,
        }
    }
}

/// All stages.
pub(crate) struct Stages {
    /// The recogniser, or why there is none.
    pub(crate) stt: Result<Arc<dyn SpeechToText>, ProviderError>,
    /// The answerer.
    pub(crate) llm: Arc<dyn LanguageModel>,
    /// The voice, or why there is none.
    pub(crate) tts: Result<Arc<dyn TextToSpeech>, ProviderError>,
    /// The stages with several providers.
    pub(crate) line_ups: Vec<LineUp>,
    /// The names of each stage's providers in order.
    pub(crate) names: [Vec<&'static str>; 3],
    /// ElevenLabs, where it serves a stage.
    pub(crate) elevenlabs: Option<Service>,
    /// What the voice has said; `None` where nothing is kept.
    pub(crate) phrases: Option<PhraseCache>,
    /// What a language model is told; empty where none is asked.
    pub(crate) instructions: String,
    /// What of the settings cannot work, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// The cloud's providers of a configuration.
pub(crate) struct Cloud<'c> {
    config: &'c Config,
    way: Option<(Connector, HttpClient)>,
    notes: Vec<String>,
}

impl<'c> Cloud<'c> {
    /// Of these settings. Opens no connection.
    pub(crate) fn new(config: &'c Config) -> Self {
        let needed = [Stage::Stt, Stage::Llm, Stage::Tts]
            .iter()
            .any(|stage| config.order(*stage).iter().any(|word| !matches!(*word, "local" | "concierge")));
        let mut notes = Vec::new();
        let way = needed.then(|| Ok::<_, ProviderError>((Connector::new()?, HttpClient::new()?)));
        let way = way.transpose().unwrap_or_else(|error| {
            notes.push(error.to_string());
            None
        });
        Self { config, way, notes }
    }

    /// Takes what works, or notes what does not.
    fn sound<T, E: std::fmt::Display>(&mut self, what: &str, built: Result<T, E>) -> Option<T> {
        built.map_err(|error| self.notes.push(format!("{what} is left out: {error}"))).ok()
    }

    fn speech(&mut self) -> Option<ElevenLabs> {
        let CloudSettings { key, base_url, model, voice, .. } = &self.config.elevenlabs;
        let mut builder = ElevenLabsConfig::builder(key.as_ref()?.expose());
        if let Some(base) = base_url {
            builder = builder.base_url(base);
        }
        if let Some(model) = model {
            builder = builder.model(model);
        }
        if let Some(voice) = voice {
            builder = builder.voice(voice);
        }
        let config = self.sound("elevenlabs", builder.build())?;
        let (connector, http) = self.way.clone()?;
        Some(ElevenLabs::new(config, connector, http, SpeechLimits::default()))
    }

    fn scribe(&mut self) -> Option<SocketRecogniser> {
        let CloudSettings { key, base_url, .. } = &self.config.elevenlabs;
        let mut builder = ScribeConfig::builder(key.as_ref()?.expose());
        if let Some(base) = base_url {
            builder = builder.base_url(base);
        }
        let config = self.sound("elevenlabs", builder.build())?;
        let (connector, _) = self.way.clone()?;
        Some(SocketRecogniser::scribe(config, connector))
    }

    fn deepgram(&mut self) -> Option<SocketRecogniser> {
        let CloudSettings { key, base_url, .. } = &self.config.deepgram;
        let mut builder = DeepgramConfig::builder(key.as_ref()?.expose());
        if let Some(base) = base_url {
            builder = builder.base_url(base);
        }
        let config = self.sound("deepgram", builder.build())?;
        let (connector, _) = self.way.clone()?;
        Some(SocketRecogniser::deepgram(config, connector))
    }

    fn chat(&mut self) -> Option<OpenAiChat> {
        let CloudSettings { key, base_url, model, .. } = &self.config.openai;
        let mut builder = OpenAiConfig::builder();
        if let Some(key) = key {
            builder = builder.key(key.expose());
        }
        if let Some(base) = base_url {
            builder = builder.base_url(base);
        }
        if let Some(model) = model {
            builder = builder.model(model);
        }
        let config = self.sound("openai", builder.build())?;
        let (_, http) = self.way.clone()?;
        Some(OpenAiChat::new(config, http, ChatLimits::default()))
    }

    fn transcriber(&mut self) -> Option<OpenAiTranscriber> {
        let CloudSettings { key, base_url, stt_model, .. } = &self.config.openai;
        let mut builder = TranscriptionConfig::builder(key.as_ref().map(|key| key.expose()));
        if let Some(base) = base_url {
            builder = builder.base_url(base);
        }
        if let Some(model) = stt_model {
            builder = builder.model(model);
        }
        let config = self.sound("openai", builder.build())?;
        let (_, http) = self.way.clone()?;
        Some(OpenAiTranscriber::new(config, http, TranscriberLimits::default()))
    }

    /// A recogniser of the cloud, and how to try it.
    fn recogniser(&mut self, word: &str) -> Option<(Arc<dyn SpeechToText>, Probe)> {
        let socket = match word {
            "elevenlabs" => self.scribe()?,
            "deepgram" => self.deepgram()?,
            "openai" => {
                let transcriber = self.transcriber()?;
                let probe = probe_of_transcriber(&transcriber);
                return Some((Arc::new(transcriber), probe));
            }
            _ => return None,
        };
        let probe = probe_of_socket(&socket);
        Some((Arc::new(socket), probe))
    }

    /// Every provider of the cloud that may be asked, to be tried one by one.
    pub(crate) fn probes(mut self) -> (Vec<Probed>, Vec<String>) {
        let mut probes = Vec::new();
        let mut add = |stage: &str, word: &str, probe: Probe| {
            probes.push(Probed { name: format!("{stage} {word}"), probe });
        };
        for word in self.config.order(Stage::Stt) {
            if let Some((_, probe)) = self.recogniser(word) {
                add("stt", word, probe);
            }
        }
        if self.config.order(Stage::Llm).contains(&"openai")
            && let Some(chat) = self.chat()
        {
            add("llm", "openai", probe_of_model(&chat));
        }
        if self.config.order(Stage::Tts).contains(&"elevenlabs")
            && let Some(speech) = self.speech()
        {
            add("tts", "elevenlabs", probe_of_voice(&speech));
        }
        (probes, self.notes)
    }

    /// All stages, with the local providers where they are listed. `listings`: those that models are told of beforehand,
    /// where nothing is looked up for calls.
    pub(crate) fn stages(
        mut self,
        local_stt: Result<Arc<dyn SpeechToText>, ProviderError>,
        local_tts: Result<Arc<dyn TextToSpeech>, ProviderError>,
        concierge: Concierge,
        listings: Option<&Listings>,
    ) -> Stages {
        let mut line_ups = Vec::new();
        let (stt_names, stt) = self.stt(local_stt, &mut line_ups);
        let (llm_names, llm, instructions) = self.llm(concierge, listings, &mut line_ups);
        let most = (self.config.phrase_cache as u64) << 20;
        let phrases = (most > 0).then(|| PhraseCache::new(most));
        let (tts_names, tts) = self.tts(local_tts, phrases.as_ref(), &mut line_ups);
        let over = |voice| {
            phrases.as_ref().map_or_else(|| Arc::clone(&voice), |cache| cache.over(Arc::clone(&voice)))
        };
        let tts = tts.map(over);
        let names = [stt_names, llm_names, tts_names];
        let serves = [&names[0], &names[2]].iter().any(|names| names.contains(&"elevenlabs"));
        // Whatever it serves, the list of its voices tells whether it is there.
        let speech = if serves { self.speech() } else { None };
        let elevenlabs = speech.map(|speech| Service::new(probe_of_voice(&speech)));
        Stages { stt, llm, tts, line_ups, names, elevenlabs, phrases, instructions, notes: self.notes }
    }

    fn stt(
        &mut self,
        local: Result<Arc<dyn SpeechToText>, ProviderError>,
        line_ups: &mut Vec<LineUp>,
    ) -> (Vec<&'static str>, Result<Arc<dyn SpeechToText>, ProviderError>) {
        let mut candidates: Vec<RecogniserCandidate> = Vec::new();
        let mut missing = None;
        for word in self.config.order(Stage::Stt) {
            if let Some((recogniser, probe)) = self.recogniser(word) {
                candidates.push(RecogniserCandidate { recogniser, probe: Some(probe) });
            } else if word == "local" {
                match &local {
                    Ok(recogniser) => {
                        candidates.push(RecogniserCandidate { recogniser: recogniser.clone(), probe: None });
                    }
                    Err(error) => missing = Some(error.clone()),
                }
            }
        }
        let names = candidates.iter().map(|candidate| candidate.recogniser.name()).collect();
        if candidates.len() < 2 {
            let only = candidates.pop().map(|candidate| candidate.recogniser);
            return (names, only.ok_or_else(|| missing.unwrap_or_else(|| nobody("stt"))));
        }
        match ResilientRecogniser::new(candidates, &Deadlines::default(), seed()) {
            Ok(line_up) => {
                line_ups.push(LineUp::Stt(line_up.clone()));
                (names, Ok(Arc::new(line_up)))
            }
            Err(error) => {
                self.notes.push(error.to_string());
                (names, local)
            }
        }
    }

    fn llm(
        &mut self,
        concierge: Concierge,
        listings: Option<&Listings>,
        line_ups: &mut Vec<LineUp>,
    ) -> (Vec<&'static str>, Arc<dyn LanguageModel>, String) {
        let mut candidates: Vec<Candidate> = Vec::new();
        let concierge: Arc<dyn LanguageModel> = Arc::new(concierge);
        let mut instructions = String::new();
        for word in self.config.order(Stage::Llm) {
            match word {
                "concierge" => {
                    candidates.push(Candidate { model: concierge.clone(), hedged: false, probe: None });
                }
                _ => {
                    let Some(chat) = self.chat() else { continue };
                    instructions = brief(listings);
                    let probe = Some(probe_of_model(&chat));
                    candidates.push(Candidate { model: Arc::new(chat), hedged: true, probe });
                }
            }
        }
        let names: Vec<&'static str> = candidates.iter().map(|candidate| candidate.model.name()).collect();
        if candidates.len() < 2 {
            let only = candidates.pop().map_or(concierge, |candidate| candidate.model);
            return (vec![only.name()], only, instructions);
        }
        match ResilientModel::new(candidates, &Deadlines::default(), seed()) {
            Ok(line_up) => {
                line_ups.push(LineUp::Llm(line_up.clone()));
                (names, Arc::new(line_up), instructions)
            }
            Err(error) => {
                self.notes.push(error.to_string());
                (vec![concierge.name()], concierge, instructions)
            }
        }
    }

    fn tts(
        &mut self,
        local: Result<Arc<dyn TextToSpeech>, ProviderError>,
        phrases: Option<&PhraseCache>,
        line_ups: &mut Vec<LineUp>,
    ) -> (Vec<&'static str>, Result<Arc<dyn TextToSpeech>, ProviderError>) {
        let keeping = |voice: Arc<dyn TextToSpeech>| match phrases {
            Some(cache) => cache.keeping(voice),
            None => voice,
        };
        let mut candidates: Vec<VoiceCandidate> = Vec::new();
        let mut missing = None;
        for word in self.config.order(Stage::Tts) {
            if word == "elevenlabs" {
                let Some(speech) = self.speech() else { continue };
                let probe = Some(probe_of_voice(&speech));
                candidates.push(VoiceCandidate { voice: keeping(Arc::new(speech)), probe });
            } else {
                match &local {
                    Ok(voice) => {
                        candidates.push(VoiceCandidate { voice: keeping(voice.clone()), probe: None })
                    }
                    Err(error) => missing = Some(error.clone()),
                }
            }
        }
        let names = candidates.iter().map(|candidate| candidate.voice.name()).collect();
        if candidates.len() < 2 {
            let only = candidates.pop().map(|candidate| candidate.voice);
            return (names, only.ok_or_else(|| missing.unwrap_or_else(|| nobody("tts"))));
        }
        match ResilientVoice::new(candidates, &Deadlines::default(), seed()) {
            Ok(line_up) => {
                line_ups.push(LineUp::Tts(line_up.clone()));
                (names, Ok(Arc::new(line_up)))
            }
            Err(error) => {
                self.notes.push(error.to_string());
                (names, local)
            }
        }
    }
}

fn probe_of_socket(recogniser: &SocketRecogniser) -> Probe {
    let recogniser = recogniser.clone();
    Arc::new(move || {
        let recogniser = recogniser.clone();
        async move { recogniser.probe().await }.boxed()
    })
}

fn probe_of_transcriber(transcriber: &OpenAiTranscriber) -> Probe {
    let transcriber = transcriber.clone();
    Arc::new(move || {
        let transcriber = transcriber.clone();
        async move { transcriber.probe().await }.boxed()
    })
}

fn probe_of_model(chat: &OpenAiChat) -> Probe {
    let chat = chat.clone();
    Arc::new(move || {
        let chat = chat.clone();
        async move { chat.models().await.map(drop) }.boxed()
    })
}

fn probe_of_voice(speech: &ElevenLabs) -> Probe {
    let speech = speech.clone();
    Arc::new(move || {
        let speech = speech.clone();
        async move { speech.probe().await }.boxed()
    })
}

fn nobody(stage: &'static str) -> ProviderError {
    let detail = "none of the listed providers can serve".to_owned();
    ProviderError::Misconfigured { provider: stage, detail }
}

/// Where the waits of retries come from: servers that start together go apart.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

/// What a language model is told: who it is and how it speaks. `listings`: everything it may say about homes, where nothing
/// is looked up for its calls; else it may say what is looked up.
fn brief(listings: Option<&Listings>) -> String {
    let mut text = String::from(
        "You answer callers of a real estate office by telephone. Answer in one to three short spoken sentences, without \
         lists, Markdown or emoji. Say about homes only what the listings say that you are given; where they do not say it, say \
         that you do not know and that you will pass the question on. Offer only homes that are active. Never invent a home, a \
         price or an appointment.",
    );
    match listings {
        None => text.push_str(
            " The listings that fit the caller's words are looked up and given to you before them.",
        ),
        Some(listings) => {
            text.push_str(" Listings:");
            for home in listings.all() {
                text.push_str("\n- ");
                text.push_str(&told(home));
            }
        }
    }
    text
}

/// Where OpenAI-compatible servers of one's own usually listen: Ollama, a llama.cpp server, vLLM.
const USUAL: [&str; 3] =
    ["http://127.0.0.1:11434/v1", "http://127.0.0.1:8080/v1", "http://127.0.0.1:8000/v1"];
/// A server on this machine answers at once or is none.
const NEARBY_LIMIT: Duration = Duration::from_millis(500);

/// A model server on this machine that is not used, with the line that would use it. It is asked for its models only.
pub(crate) async fn nearby(config: &Config) -> Option<String> {
    let own = format!(":{}/", config.bind.port());
    let others: Vec<&str> = USUAL.into_iter().filter(|base| !base.contains(&own)).collect();
    if config.order(Stage::Llm).contains(&"openai") { None } else { answering(&others).await }
}

async fn answering(bases: &[&str]) -> Option<String> {
    let http = HttpClient::new().ok()?;
    for base in bases {
        let Ok(config) = OpenAiConfig::builder().base_url(*base).build() else { continue };
        let chat = OpenAiChat::new(config, http.clone(), ChatLimits::default());
        let Ok(Ok(models)) = tokio::time::timeout(NEARBY_LIMIT, chat.models()).await else { continue };
        // A name that a shell would read otherwise is left for its owner to write.
        let plain = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c));
        let model = models.iter().find(plain).map(|name| format!(" OPENAI_MODEL={name}")).unwrap_or_default();
        return Some(format!(
            "a model server answers on {base}; to use it: VOICE_LLM=openai,concierge OPENAI_BASE_URL={base}{model}"
        ));
    }
    None
}

/// How long `voice doctor` waits for one service.
pub(crate) const PROBE_LIMIT: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use voice_core::llm::concierge::sample_listings;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_model_without_look_ups_is_told_every_home_and_one_with_them_none() {
        let told = brief(Some(sample_listings()));
        for home in sample_listings().all() {
            assert!(told.contains(&home.address()) && told.contains(&home.price.to_string()));
        }
        assert!(told.len() < 8_000, "{} bytes are paid for with each answer", told.len());
        assert!(!brief(None).contains(&sample_listings().all()[0].street));
    }

    #[test]
    fn keys_add_providers_before_the_local_ones() {
        let key = || Some(Secret::new("key-1"));
        let mut config = Config::default();
        assert_eq!(config.order(Stage::Llm), ["concierge"]);
        config.elevenlabs.key = key();
        config.openai.key = key();
        config.deepgram.key = key();
        let local = if cfg!(feature = "local") { &["local"][..] } else { &[] };
        assert_eq!(config.order(Stage::Stt), [&["elevenlabs", "deepgram", "openai"], local].concat());
        assert_eq!(config.order(Stage::Llm), ["openai", "concierge"]);
        assert_eq!(config.order(Stage::Tts), [&["elevenlabs"], local].concat());
        config.stt = Some(vec!["openai", "deepgram"]);
        assert_eq!(config.order(Stage::Stt), ["openai", "deepgram"]);
        let (probes, notes) = Cloud::new(&config).probes();
        let names: Vec<&str> = probes.iter().map(|probed| probed.name.as_str()).collect();
        assert_eq!(names, ["stt openai", "stt deepgram", "llm openai", "tts elevenlabs"]);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn a_server_without_a_key_is_used_only_where_it_is_asked_for() {
        let mut config = Config::default();
        config.openai.base_url = Some("http://127.0.0.1:11434/v1".to_owned());
        assert_eq!(config.order(Stage::Llm), ["concierge"]);
        assert!(!config.order(Stage::Stt).contains(&"openai"));
        config.llm = Some(vec!["openai", "concierge"]);
        assert_eq!(config.order(Stage::Llm), ["openai", "concierge"]);
        config.stt = Some(vec!["openai"]);
        assert_eq!(config.order(Stage::Stt), ["openai"]);
        let (probes, notes) = Cloud::new(&config).probes();
        let names: Vec<&str> = probes.iter().map(|probed| probed.name.as_str()).collect();
        assert_eq!(names, ["stt openai", "llm openai"]);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[tokio::test]
    async fn a_model_server_on_this_machine_is_named_with_the_line_that_uses_it() {
        let script = voice_fixtures::standin::Script::instant();
        let cloud = voice_fixtures::standin::Cloud::start(script).await.expect("a stand-in");
        let base = format!("{}/v1", cloud.base_url());
        // The stand-in wants a key, as a server of one's own does not: what refuses is not offered.
        assert_eq!(answering(&[&base]).await, None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let serving = async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.expect("a client");
            let _ = stream.read(&mut [0; 1_024]).await.expect("a request");
            let body = r#"{"object":"list","data":[{"id":"bad name"},{"id":"qwen2.5:3b"}]}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + body).as_bytes()).await.expect("sent");
        };
        let bases = [base.as_str()];
        let (told, ()) = tokio::join!(answering(&bases), serving);
        let told = told.expect("a server");
        assert!(told.contains(&format!("OPENAI_BASE_URL={base} OPENAI_MODEL=qwen2.5:3b")), "{told}");
        drop(listener);
        assert_eq!(answering(&bases).await, None);
    }

    #[test]
    fn a_setting_that_cannot_work_leaves_its_provider_out_with_a_note() {
        let mut config = Config::default();
        config.elevenlabs.key = Some(Secret::new("key-1"));
        config.elevenlabs.voice = Some("\u{7}".to_owned());
        let (_, notes) = Cloud::new(&config).probes();
        assert!(
            notes.len() == 1 && notes[0].contains("elevenlabs") && !notes[0].contains("key-1"),
            "{notes:?}"
        );
        let mut config = Config::default();
        config.openai.key = Some(Secret::new("key-1"));
        config.openai.stt_model = Some("\u{7}".to_owned());
        let (probes, notes) = Cloud::new(&config).probes();
        assert!(probes.iter().all(|probed| probed.name != "stt openai"));
        assert!(notes.len() == 1 && notes[0].contains("openai") && notes[0].contains("model"), "{notes:?}");
    }
}
