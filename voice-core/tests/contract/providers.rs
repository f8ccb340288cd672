//! The table: how each provider is set up for the suites. `None`: it cannot be tried here, and has said so.

use std::sync::Arc;
use std::time::Duration;

use voice_core::net::{Connector, HttpClient};
use voice_core::resilience::{Backoff, Deadlines};
use voice_core::stt::Reconnect;
use voice_core::tts::elevenlabs::SpeechLimits;
use voice_fixtures::standin::{Answer, Answers, ChatRequest, Cloud, Dialect, Keys, Script};

use crate::{PATIENCE, clips};

/// Any key that the stand-ins take.
const KEY: &str = "any";

/// Stand-ins that hear the recordings and answer what they are asked, without any waits.
async fn cloud(dialect: Dialect) -> Arc<Cloud> {
    Arc::new(Cloud::start(script(dialect)).await.unwrap())
}

fn script(dialect: Dialect) -> Script {
    let mut script = Script::instant();
    script.stt.transcripts = clips::known();
    // A partial a second: they are worked out without optimisation.
    script.stt.partial_every = Duration::from_secs(1);
    script.llm.answers = Answers::By(Arc::new(think));
    script.llm.context_tokens = 4_000;
    script.llm.dialect = dialect;
    script
}

/// Stand-ins whose final words come later than any recogniser waits.
async fn slow_cloud() -> Arc<Cloud> {
    let mut script = script(Dialect::OpenAi);
    script.stt.final_after = PATIENCE;
    Arc::new(Cloud::start(script).await.unwrap())
}

/// Stand-ins that take nobody's key.
async fn refusing_cloud() -> Arc<Cloud> {
    let script = Script { keys: Keys::Only(vec!["another".to_owned()]), ..Script::instant() };
    Arc::new(Cloud::start(script).await.unwrap())
}

/// What the model behind the stand-in says.
fn think(request: &ChatRequest) -> Answer {
    let asked = request.last_user.as_str();
    let messages = request.body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let said = |message: &serde_json::Value| message["content"].as_str().unwrap_or_default().to_owned();
    if asked == crate::model::NOTHING {
        return Answer::default();
    }
    if let Some(result) = messages.last().filter(|message| message["role"] == "tool") {
        return Answer::text(format!("There is one: {}.", said(result)));
    }
    if request.tools.iter().any(|name| name == "search_homes") && asked.contains("homes") {
        let answer = Answer::call("search_homes", serde_json::json!({"city": "Austin"}));
        return Answer { text: "Let me have a look.".to_owned(), ..answer };
    }
    if let Some((_, word)) = asked.split_once("this one word: ") {
        return Answer::text(word);
    }
    if asked.contains("What is my first colour") {
        let colours = messages.iter().filter(|message| message["role"] == "user").map(said);
        let mut named =
            colours.filter_map(|text| text.rsplit_once(" colour is ").map(|(_, rest)| rest.to_owned()));
        return Answer::text(named.next().unwrap_or_default());
    }
    Answer::text("Yes, I am here. What would you like to know? I have all afternoon.")
}

fn reconnect() -> Reconnect {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
    Reconnect { backoff, rest: Duration::from_millis(200), ..Reconnect::default() }
}

fn speech_limits() -> SpeechLimits {
    let (rest, parked) = (Duration::from_millis(200), Duration::ZERO);
    SpeechLimits { rest, parked, ..SpeechLimits::default() }
}

fn ways() -> (Connector, HttpClient) {
    (Connector::new().unwrap(), HttpClient::new().unwrap())
}

/// No deadline of a line-up decides a test.
fn patient() -> Deadlines {
    let builder = Deadlines::builder()
        .stt_connect(PATIENCE)
        .stt_slow(PATIENCE)
        .stt_final(PATIENCE)
        .stt_total(PATIENCE)
        .llm_connect(PATIENCE)
        .llm_slow(PATIENCE)
        .llm_first(PATIENCE)
        .llm_stall(PATIENCE)
        .llm_total(PATIENCE)
        .tts_connect(PATIENCE)
        .tts_slow(PATIENCE)
        .tts_first(PATIENCE)
        .tts_stall(PATIENCE)
        .tts_total(PATIENCE);
    builder.build().unwrap()
}

/// Says that something is not tried on this machine; in the gate (`VOICE_GATE=1`) that is a failure.
fn left_out(why: &str) {
    let gate = std::env::var_os("VOICE_GATE").is_some_and(|set| set == "1");
    assert!(!gate, "{why}; with VOICE_GATE=1 nothing may be left out");
    eprintln!("LEFT OUT: {why}");
}

#[cfg(feature = "local")]
mod weights {
    //! The models of this machine, loaded once for all tests.

    use std::sync::{Arc, OnceLock};

    use voice_core::infer::Pool;
    use voice_core::local::{Cache, LocalStages};

    pub(super) fn stages() -> Option<&'static LocalStages> {
        static STAGES: OnceLock<Option<LocalStages>> = OnceLock::new();
        let load = || {
            let cache = Cache::of_user().filter(Cache::is_complete)?;
            Some(LocalStages::load(&cache.files(), &Arc::new(Pool::start(2).unwrap())).unwrap())
        };
        let stages = STAGES.get_or_init(load).as_ref();
        if stages.is_none() {
            super::left_out("the local models are not on this machine; `voice models pull` brings them");
        }
        stages
    }
}

#[cfg(not(feature = "local"))]
const NOT_BUILT: &str = "the local providers are not in this build; `cargo test --workspace` has them";

fn deepgram(cloud: &Cloud, model: &str) -> voice_core::stt::SocketRecogniser {
    use voice_core::stt::{SocketRecogniser, deepgram::DeepgramConfig};
    let config = DeepgramConfig::builder(KEY).base_url(&cloud.base_url()).model(model).build().unwrap();
    SocketRecogniser::deepgram(config, ways().0).with_reconnect(reconnect())
}

fn scribe(cloud: &Cloud) -> voice_core::stt::SocketRecogniser {
    use voice_core::stt::{SocketRecogniser, elevenlabs::ScribeConfig};
    let config = ScribeConfig::builder(KEY).base_url(&cloud.base_url()).build().unwrap();
    SocketRecogniser::scribe(config, ways().0).with_reconnect(reconnect())
}

fn transcriber(cloud: &Cloud) -> voice_core::stt::openai::OpenAiTranscriber {
    use voice_core::stt::openai::{OpenAiTranscriber, TranscriberLimits, TranscriptionConfig};
    let address = format!("{}/v1", cloud.base_url());
    let config = TranscriptionConfig::builder(Some(KEY)).base_url(&address).build().unwrap();
    OpenAiTranscriber::new(config, ways().1, TranscriberLimits::default())
}

fn in_line(
    recognisers: impl IntoIterator<Item = voice_core::stt::SocketRecogniser>,
) -> voice_core::stt::ResilientRecogniser {
    use voice_core::stt::{RecogniserCandidate, ResilientRecogniser};
    let candidate = |one| RecogniserCandidate { recogniser: Arc::new(one), probe: None };
    ResilientRecogniser::new(recognisers.into_iter().map(candidate).collect(), &patient(), 7).unwrap()
}

/// Recognisers that listen.
pub(crate) mod recognisers {
    use voice_core::sim::ScriptedStt;

    use super::*;
    use crate::recogniser::{Ear, Recogniser};

    pub(crate) async fn deepgram_live() -> Option<Recogniser> {
        let cloud = cloud(Dialect::OpenAi).await;
        Some(Recogniser::new(deepgram(&cloud, "nova-3")).of(cloud))
    }

    pub(crate) async fn deepgram_flux() -> Option<Recogniser> {
        let cloud = cloud(Dialect::OpenAi).await;
        Some(Recogniser::new(deepgram(&cloud, "flux-general-en")).of(cloud))
    }

    pub(crate) async fn scribe() -> Option<Recogniser> {
        let cloud = cloud(Dialect::OpenAi).await;
        Some(Recogniser::new(super::scribe(&cloud)).of(cloud))
    }

    pub(crate) async fn openai_transcription() -> Option<Recogniser> {
        let cloud = cloud(Dialect::OpenAi).await;
        let transcriber = Recogniser::new(transcriber(&cloud));
        // They stay with the client, for the next call.
        Some(Recogniser { keeps_connections: true, ..transcriber.of(cloud) })
    }

    pub(crate) async fn line_up() -> Option<Recogniser> {
        let cloud = cloud(Dialect::OpenAi).await;
        let line_up = in_line([deepgram(&cloud, "nova-3"), super::scribe(&cloud)]);
        Some(Recogniser::new(line_up).of(cloud))
    }

    pub(crate) async fn line_up_whose_first_is_refused() -> Option<Recogniser> {
        let (refusing, cloud) = (refusing_cloud().await, cloud(Dialect::OpenAi).await);
        let line_up = in_line([deepgram(&refusing, "nova-3"), super::scribe(&cloud)]);
        Some(Recogniser::new(line_up).of(refusing).of(cloud))
    }

    pub(crate) async fn scripted() -> Option<Recogniser> {
        let words = clips::clips().iter().map(|clip| clip.words.clone());
        Some(Recogniser { ear: Ear::Scripted, ..Recogniser::new(ScriptedStt::hearing(words)) })
    }

    #[cfg(feature = "local")]
    pub(crate) async fn local() -> Option<Recogniser> {
        weights::stages().map(|stages| Recogniser::shared(stages.stt.clone()))
    }

    #[cfg(not(feature = "local"))]
    pub(crate) async fn local() -> Option<Recogniser> {
        left_out(NOT_BUILT);
        None
    }
}

/// Recognisers that lose the first utterance of a call.
pub(crate) mod lost_recognisers {
    use voice_core::error::ProviderError;
    use voice_core::sim::{ScriptedStt, SttFault};
    use voice_core::stt::AbsentRecogniser;

    use super::*;
    use crate::recogniser::Recogniser;

    fn early(recogniser: Recogniser) -> Option<Recogniser> {
        Some(Recogniser { fails_early: true, ..recogniser })
    }

    pub(crate) async fn deepgram_refused() -> Option<Recogniser> {
        let cloud = refusing_cloud().await;
        early(Recogniser::new(deepgram(&cloud, "nova-3")).of(cloud))
    }

    pub(crate) async fn scribe_refused() -> Option<Recogniser> {
        let cloud = refusing_cloud().await;
        early(Recogniser::new(scribe(&cloud)).of(cloud))
    }

    pub(crate) async fn openai_transcription_refused() -> Option<Recogniser> {
        let cloud = refusing_cloud().await;
        Some(Recogniser::new(transcriber(&cloud)).of(cloud))
    }

    pub(crate) async fn line_up_refused() -> Option<Recogniser> {
        let cloud = refusing_cloud().await;
        early(Recogniser::new(in_line([deepgram(&cloud, "nova-3"), scribe(&cloud)])).of(cloud))
    }

    pub(crate) async fn scripted_that_fails() -> Option<Recogniser> {
        let mut scripted = ScriptedStt::hearing(["one", "two"]);
        scripted.script.faults.push_back(SttFault::Fail);
        Some(Recogniser::new(scripted))
    }

    pub(crate) async fn absent() -> Option<Recogniser> {
        let detail = "as the test says".to_owned();
        let reason = ProviderError::Failed { provider: "none", detail };
        Some(Recogniser::new(AbsentRecogniser::new(reason)))
    }

    #[cfg(feature = "local")]
    pub(crate) async fn local_with_a_broken_model() -> Option<Recogniser> {
        let detail = "as the test says".to_owned();
        early(local_with(Err(ProviderError::Failed { provider: "scripted", detail })))
    }

    #[cfg(not(feature = "local"))]
    pub(crate) async fn local_with_a_broken_model() -> Option<Recogniser> {
        left_out(NOT_BUILT);
        None
    }
}

/// A local recogniser whose model gives the same for all audio.
#[cfg(feature = "local")]
fn local_with(outcome: Result<String, voice_core::error::ProviderError>) -> crate::recogniser::Recogniser {
    use std::sync::atomic::AtomicBool;

    use voice_core::error::ProviderError;
    use voice_core::infer::Pool;
    use voice_core::local::{LocalRecogniser, Transcriber};

    struct Same(Result<String, ProviderError>);

    impl Transcriber for Same {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn transcribe(&self, _audio: &[i16], _stop: &AtomicBool) -> Result<String, ProviderError> {
            self.0.clone()
        }
    }

    let pool = Arc::new(Pool::start(1).unwrap());
    crate::recogniser::Recogniser::new(LocalRecogniser::new(Arc::new(Same(outcome)), pool))
}

/// Recognisers that hear no word in anything.
pub(crate) mod deaf_recognisers {
    use super::*;
    use crate::recogniser::Recogniser;

    #[cfg(feature = "local")]
    pub(crate) async fn local_that_understands_nothing() -> Option<Recogniser> {
        Some(local_with(Ok(String::new())))
    }

    #[cfg(not(feature = "local"))]
    pub(crate) async fn local_that_understands_nothing() -> Option<Recogniser> {
        left_out(NOT_BUILT);
        None
    }
}

/// Recognisers behind which final words do not come in time.
pub(crate) mod slow_recognisers {
    use super::*;
    use crate::recogniser::Recogniser;

    pub(crate) async fn deepgram_live() -> Option<Recogniser> {
        let cloud = slow_cloud().await;
        Some(Recogniser::new(deepgram(&cloud, "nova-3")).of(cloud))
    }

    pub(crate) async fn deepgram_flux() -> Option<Recogniser> {
        let cloud = slow_cloud().await;
        Some(Recogniser::new(deepgram(&cloud, "flux-general-en")).of(cloud))
    }

    pub(crate) async fn scribe() -> Option<Recogniser> {
        let cloud = slow_cloud().await;
        Some(Recogniser::new(super::scribe(&cloud)).of(cloud))
    }
}

/// Language models.
pub(crate) mod models {
    use voice_core::llm::concierge::Concierge;
    use voice_core::llm::openai::{ChatLimits, Dialect as Spoken, OpenAiChat, OpenAiConfig};
    use voice_core::llm::{Candidate, ResilientModel};
    use voice_core::sim::ScriptedLlm;

    use super::*;
    use crate::model::Model;

    fn chat(cloud: &Cloud, dialect: Spoken) -> OpenAiChat {
        let config = OpenAiConfig::builder()
            .base_url(format!("{}/v1", cloud.base_url()))
            .dialect(dialect)
            .model("gpt-4o-mini")
            .key(KEY)
            .build()
            .unwrap();
        OpenAiChat::new(config, ways().1, ChatLimits { tail: PATIENCE, ..ChatLimits::default() })
    }

    async fn behind(shown: Dialect, spoken: Spoken) -> Option<Model> {
        let cloud = cloud(shown).await;
        Some(Model { understands: true, uses_tools: true, ..Model::new(chat(&cloud, spoken)) }.of(cloud))
    }

    pub(crate) async fn openai() -> Option<Model> {
        behind(Dialect::OpenAi, Spoken::OpenAi).await
    }

    pub(crate) async fn ollama() -> Option<Model> {
        behind(Dialect::Ollama, Spoken::Ollama).await
    }

    pub(crate) async fn llama_cpp() -> Option<Model> {
        behind(Dialect::LlamaCpp, Spoken::LlamaCpp).await
    }

    pub(crate) async fn vllm() -> Option<Model> {
        behind(Dialect::Vllm, Spoken::Vllm).await
    }

    pub(crate) async fn any_compatible_server() -> Option<Model> {
        behind(Dialect::OpenAi, Spoken::Compatible).await
    }

    fn in_line(models: impl IntoIterator<Item = OpenAiChat>) -> Model {
        let candidate = |one| Candidate { model: Arc::new(one), hedged: false, probe: None };
        let line_up =
            ResilientModel::new(models.into_iter().map(candidate).collect(), &patient(), 7).unwrap();
        Model { understands: true, uses_tools: true, ..Model::new(line_up) }
    }

    pub(crate) async fn line_up() -> Option<Model> {
        let cloud = cloud(Dialect::OpenAi).await;
        Some(in_line([chat(&cloud, Spoken::OpenAi), chat(&cloud, Spoken::Compatible)]).of(cloud))
    }

    pub(crate) async fn line_up_whose_first_is_refused() -> Option<Model> {
        let (refusing, cloud) = (refusing_cloud().await, cloud(Dialect::OpenAi).await);
        let line_up = in_line([chat(&refusing, Spoken::OpenAi), chat(&cloud, Spoken::OpenAi)]);
        Some(line_up.of(refusing).of(cloud))
    }

    pub(crate) async fn scripted() -> Option<Model> {
        let mut scripted = ScriptedLlm::default();
        scripted.script.first_token = Duration::from_millis(1);
        scripted.script.token_every = Duration::from_millis(1);
        Some(Model::new(scripted))
    }

    pub(crate) async fn concierge() -> Option<Model> {
        Some(Model::new(Concierge::with_samples()))
    }
}

/// Voices.
pub(crate) mod voices {
    use voice_core::sim::ScriptedTts;
    use voice_core::tts::elevenlabs::{ElevenLabs, ElevenLabsConfig};
    use voice_core::tts::phrases::PhraseCache;
    use voice_core::tts::{ResilientVoice, TextToSpeech, VoiceCandidate, VoiceOptions};

    use super::*;
    use crate::voice::{CLAUSES, Voice};

    fn config(cloud: &Cloud) -> ElevenLabsConfig {
        ElevenLabsConfig::builder(KEY).base_url(&cloud.base_url()).build().unwrap()
    }

    fn over_sockets(cloud: &Cloud) -> ElevenLabs {
        let (connector, http) = ways();
        ElevenLabs::new(config(cloud), connector, http, speech_limits())
    }

    fn over_requests(cloud: &Cloud) -> ElevenLabs {
        let (connector, http) = ways();
        ElevenLabs::over_http(config(cloud), connector, http, speech_limits())
    }

    pub(crate) async fn elevenlabs_over_sockets() -> Option<Voice> {
        let cloud = cloud(Dialect::OpenAi).await;
        Some(Voice::new(over_sockets(&cloud)).of(cloud))
    }

    pub(crate) async fn elevenlabs_over_requests() -> Option<Voice> {
        let cloud = cloud(Dialect::OpenAi).await;
        // Its connections stay with the client, for the next call.
        Some(Voice { keeps_connections: true, ..Voice::new(over_requests(&cloud)).of(cloud) })
    }

    fn in_line(voices: impl IntoIterator<Item = ElevenLabs>) -> ResilientVoice {
        let candidate = |one| VoiceCandidate { voice: Arc::new(one), probe: None };
        ResilientVoice::new(voices.into_iter().map(candidate).collect(), &patient(), 7).unwrap()
    }

    pub(crate) async fn line_up() -> Option<Voice> {
        let cloud = cloud(Dialect::OpenAi).await;
        Some(Voice::new(in_line([over_sockets(&cloud), over_requests(&cloud)])).of(cloud))
    }

    pub(crate) async fn line_up_whose_first_is_refused() -> Option<Voice> {
        let (refusing, cloud) = (refusing_cloud().await, cloud(Dialect::OpenAi).await);
        let line_up = in_line([over_sockets(&refusing), over_sockets(&cloud)]);
        Some(Voice::new(line_up).of(refusing).of(cloud))
    }

    /// Behind a phrase cache that has every other of the suite's clauses.
    async fn remembering(voice: Arc<dyn TextToSpeech>) -> Arc<dyn TextToSpeech> {
        let cache = PhraseCache::new(1 << 20);
        let voice = cache.over(cache.keeping(voice));
        for said in CLAUSES.iter().step_by(2) {
            let options = VoiceOptions { language: "en".to_owned(), ..VoiceOptions::default() };
            assert_eq!(cache.warm(&*voice, &options, said, None).await.unwrap(), 1);
        }
        voice
    }

    pub(crate) async fn partly_from_memory() -> Option<Voice> {
        let cloud = cloud(Dialect::OpenAi).await;
        let voice = remembering(Arc::new(over_sockets(&cloud))).await;
        Some(Voice::shared(voice).of(cloud))
    }

    #[cfg(feature = "local")]
    pub(crate) async fn local_partly_from_memory() -> Option<Voice> {
        Some(Voice::shared(remembering(weights::stages()?.tts.clone()).await))
    }

    #[cfg(not(feature = "local"))]
    pub(crate) async fn local_partly_from_memory() -> Option<Voice> {
        left_out(NOT_BUILT);
        None
    }

    pub(crate) async fn scripted() -> Option<Voice> {
        let mut scripted = ScriptedTts::default();
        scripted.script.speed = 200.0;
        Some(Voice::new(scripted))
    }

    #[cfg(feature = "local")]
    pub(crate) async fn local() -> Option<Voice> {
        weights::stages().map(|stages| Voice::shared(stages.tts.clone()))
    }

    #[cfg(not(feature = "local"))]
    pub(crate) async fn local() -> Option<Voice> {
        left_out(NOT_BUILT);
        None
    }
}
