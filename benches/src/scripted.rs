//! The real server with a scripted engine: providers take the fixed times of the peers' fakes.
//!
//! The providers live in the server's process, so its processor time includes theirs: figures err on the high side.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use voice_core::audio::SampleRate;
use voice_core::error::ProviderError;
use voice_core::ids::ReplyId;
use voice_core::llm::openai::{ChatLimits, OpenAiChat, OpenAiConfig};
use voice_core::local::{Cache, Runtime, Silero};
use voice_core::net::{Connector, HttpClient};
use voice_core::session::Engine;
use voice_core::sim::{LlmScript, ScriptedLlm, ScriptedStt, ScriptedTts, SttScript, TtsScript};
use voice_core::stt::SocketRecogniser;
use voice_core::stt::deepgram::DeepgramConfig;
use voice_core::tts::elevenlabs::{ElevenLabs, ElevenLabsConfig, OutputFormat, SpeechLimits};
use voice_core::tts::{SpeechEvent, TextToSpeech, Voice, VoiceOptions};
use voice_core::turn::Policy;
use voice_core::vad::{EnergyVad, VadModel};
use voice_server::app::App;
use voice_server::config::Config;
use voice_server::data::SqliteStore;
use voice_server::engine::Built;
use voice_server::shutdown;

use crate::stamp;

/// What a scripted server is like.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Script {
    /// Silence that ends a turn, whether or not it sounds complete.
    #[arg(long, default_value_t = 200, value_name = "MS")]
    pub silence: u64,
    /// From the end of an utterance to its final transcript.
    #[arg(long, default_value_t = 50, value_name = "MS")]
    pub stt_final: u64,
    /// From the request to the first token.
    #[arg(long, default_value_t = 50, value_name = "MS")]
    pub first_token: u64,
    /// From one token, which is a word, to the next.
    #[arg(long, default_value_t = 10, value_name = "MS")]
    pub token_every: u64,
    /// From the first clause to its first audio.
    #[arg(long, default_value_t = 60, value_name = "MS")]
    pub first_audio: u64,
    /// How long an answer is spoken.
    #[arg(long, default_value_t = 3_100, value_name = "MS")]
    pub answer: u64,
    /// Rate of the voice. At the rate of the socket it marks its first samples with their moment.
    #[arg(long, default_value_t = 24_000, value_name = "HZ")]
    pub voice_rate: u32,
    /// Loudness instead of the network judges voice activity.
    #[arg(long)]
    pub no_network: bool,
    /// Real clients of services at this address, instead of scripted providers.
    #[arg(long, hide = true, value_name = "URL")]
    pub cloud: Option<String>,
}

impl Script {
    /// The arguments that give this script.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            ("silence", self.silence),
            ("stt-final", self.stt_final),
            ("first-token", self.first_token),
            ("token-every", self.token_every),
            ("first-audio", self.first_audio),
            ("answer", self.answer),
            ("voice-rate", u64::from(self.voice_rate)),
        ]
        .iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect();
        if self.no_network {
            arguments.push("--no-network".to_owned());
        }
        arguments.extend(self.cloud.iter().map(|base| format!("--cloud={base}")));
        arguments
    }

    /// From the last voiced sample to the first audio if nothing but the script took time: the clause that is spoken
    /// first ends with its seventh word or earlier, so this is what the providers must be waited for at least.
    pub fn least(&self) -> Duration {
        Duration::from_millis(self.silence + self.stt_final + self.first_token + self.first_audio)
    }

    /// Puts the engine together.
    ///
    /// # Errors
    /// The weights of the network are missing, or the system refuses threads.
    pub fn engine(&self) -> Result<Engine, Box<dyn std::error::Error + Send + Sync>> {
        let ms = Duration::from_millis;
        let rate = SampleRate::new(self.voice_rate)?;
        let silence = ms(self.silence);
        let policy = Policy { silence, unsure: silence, ..Policy::default() };
        if let Some(base) = &self.cloud {
            return self.cloud_engine(base, policy);
        }
        let mut stt = ScriptedStt::hearing([QUESTION]);
        // The whole question is known by the end of the shortest utterance, so that no pause looks like a half sentence.
        stt.per_word = ms(60);
        stt.script = SttScript {
            partial_every: ms(200),
            partial_lag: ms(40),
            final_delay: ms(self.stt_final),
            ..SttScript::default()
        };
        let llm = ScriptedLlm {
            script: LlmScript {
                first_token: ms(self.first_token),
                token_every: ms(self.token_every),
                answers: vec![ANSWER.to_owned()],
                ..LlmScript::default()
            },
        };
        let script = TtsScript {
            first_audio: ms(self.first_audio),
            speed: 5.0,
            per_byte: ms(self.answer) / ANSWER.len() as u32,
            ..TtsScript::default()
        };
        let tts = Stamping(ScriptedTts { script, rate, ..ScriptedTts::default() });
        Ok(Engine::builder()
            .vad(self.vad()?)
            .stt(Arc::new(stt))
            .llm(Arc::new(llm))
            .tts(Arc::new(tts))
            .policy(policy)
            .build()?)
    }

    /// Deepgram, an OpenAI-compatible model and ElevenLabs at one address, each alone in its stage.
    fn cloud_engine(
        &self,
        base: &str,
        policy: Policy,
    ) -> Result<Engine, Box<dyn std::error::Error + Send + Sync>> {
        const KEY: &str = "key-of-the-load-run";
        let (connector, http) = (Connector::new()?, HttpClient::new()?);
        let hearing = DeepgramConfig::builder(KEY).base_url(base).build()?;
        let answering = OpenAiConfig::builder().key(KEY).base_url(format!("{base}/v1")).build()?;
        // At the socket's rate samples pass unchanged.
        let format = if self.voice_rate == 16_000 { OutputFormat::Pcm16000 } else { OutputFormat::Pcm24000 };
        let speaking = ElevenLabsConfig::builder(KEY).base_url(base).format(format).build()?;
        let speech = ElevenLabs::new(speaking, connector.clone(), http.clone(), SpeechLimits::default());
        Ok(Engine::builder()
            .vad(self.vad()?)
            .stt(Arc::new(SocketRecogniser::deepgram(hearing, connector)))
            .llm(Arc::new(OpenAiChat::new(answering, http, ChatLimits::default())))
            .tts(Arc::new(speech))
            .policy(policy)
            .build()?)
    }

    fn vad(&self) -> Result<Arc<dyn VadModel>, Box<dyn std::error::Error + Send + Sync>> {
        if self.no_network {
            return Ok(Arc::new(EnergyVad));
        }
        let cache = Cache::of_user().filter(Cache::is_complete);
        let files =
            cache.ok_or("the weights are missing: run `voice models pull`, or give --no-network")?.files();
        let runtime = Runtime::load(&files.runtime)?;
        Ok(Arc::new(Silero::load(&runtime, &files.silero)?))
    }
}

/// What the caller says.
const QUESTION: &str = "How much is the house on Maple Street?";
/// 40 words in three sentences; the first has 13.
const ANSWER: &str = "The white house on Maple Street has three bedrooms and two large baths. \
    It is listed at four hundred thousand dollars and has been on the market since April. \
    The owners can show it on Friday if you like it.";

/// The scripted voice, with the moment of its first samples in them.
#[derive(Clone, Debug)]
struct Stamping(ScriptedTts);

impl TextToSpeech for Stamping {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        Box::new(StampingVoice(self.0.open(options)))
    }
}

struct StampingVoice(Box<dyn Voice>);

impl Voice for StampingVoice {
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let mut first = true;
        let stamp = move |event| match event {
            Ok(SpeechEvent::Audio { rate, mut samples }) if std::mem::take(&mut first) => {
                stamp::write(&mut samples, stamp::wall_ns());
                Ok(SpeechEvent::Audio { rate, samples })
            }
            other => other,
        };
        self.0.speak(reply, clauses).map(stamp).boxed()
    }
}

/// Serves calls on a free port until standard input ends. Prints the address; each line that comes is answered with
/// the calls and the tasks there are.
///
/// # Errors
/// The engine or the server cannot be started.
pub fn serve(script: &Script) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let engine = script.engine()?;
    // As the real server's: one worker for each core it may use.
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let folder = Folder::new()?;
        let store = Arc::new(SqliteStore::open(&folder.0).await?);
        let config =
            Config { data: folder.0.clone(), max_calls: 2_000, max_connections: 4_000, ..Config::default() };
        let built = Built::whole(engine);
        let (trigger, shutdown) = shutdown::channel();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let app = App::new(config, store, Arc::new(built), shutdown).await?;
        let calls = app.calls.clone();
        let (asked, mut asks) = mpsc::channel::<()>(1);
        std::thread::spawn(move || {
            let asked = asked;
            io::stdin().lock().lines().map_while(Result::ok).all(|_| asked.blocking_send(()).is_ok())
        });
        tokio::spawn(async move {
            while asks.recv().await.is_some() {
                let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
                println!("{} {tasks}", calls.active());
                let _ = io::stdout().flush();
            }
            trigger.begin();
        });
        app.serve(listener).await;
        Ok(())
    })
}

/// A folder that is gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("voice-load-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_peers_answer_in_shape() {
        let sentences: Vec<usize> =
            ANSWER.split_inclusive('.').map(|s| s.split_whitespace().count()).collect();
        assert_eq!(sentences.len(), 3);
        assert_eq!((sentences[0], sentences.iter().sum::<usize>()), (13, 40));
    }
}
