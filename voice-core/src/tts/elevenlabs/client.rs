//! ElevenLabs' voice as a provider, and what all calls of a key share: connections, voices by name, the account's limits.
//!
//! `over_sockets` speaks with one warm socket a call, `over_http` with a request a clause. A reply that fails is told so and
//! not repeated: that, and who speaks instead, is decided above. Caller: `session`.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use hyper::header::HeaderMap;
use tokio::runtime::Handle;

use super::over_http::speak_over_http;
use super::over_sockets::Sockets;
use super::parked::Parked;
use super::{ContextLimits, ElevenLabsConfig, PROVIDER, Slots, VoiceRef, find_voice, wire};
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::metrics::{Count, Measure};
use crate::net::http::{HttpClient, beginning};
use crate::net::{Connector, SocketLimits};
use crate::resilience::Backoff;
use crate::tts::{AbsentVoice, SpeechEvent, TextToSpeech, Voice, VoiceOptions};
use crate::wire::{Concurrency, MOST_ERROR_BODY, parse_retry_after};

/// How long the voice's parts may take, and what they may cost.
#[derive(Clone, Copy, Debug)]
pub struct SpeechLimits {
    /// One socket.
    pub socket: SocketLimits,
    /// The contexts of a socket.
    pub contexts: ContextLimits,
    /// The waits before a socket is opened again.
    pub backoff: Backoff,
    /// After an error that no repetition mends the service is left alone for so long. Default 5 s.
    pub rest: Duration,
    /// How long a socket waits for the next call, if the service keeps it that long. Default 10 s.
    pub parked: Duration,
    /// From a request to the head of its answer. Default 3 s.
    pub head: Duration,
    /// From one piece of an answer to the next. Default 3 s.
    pub silence: Duration,
}

impl Default for SpeechLimits {
    fn default() -> Self {
        Self {
            socket: SocketLimits { message: wire::MOST_MESSAGE, ..SocketLimits::default() },
            contexts: ContextLimits::default(),
            backoff: Backoff::default(),
            rest: Duration::from_secs(5),
            parked: Duration::from_secs(10),
            head: Duration::from_secs(3),
            silence: Duration::from_secs(3),
        }
    }
}

/// ElevenLabs' voice, shared by all calls of a key. Cheap to clone.
#[derive(Clone)]
pub struct ElevenLabs(Arc<Shared>);

impl std::fmt::Debug for ElevenLabs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElevenLabs").finish_non_exhaustive()
    }
}

pub(super) struct Shared {
    config: ElevenLabsConfig,
    pub(super) connector: Connector,
    pub(super) http: HttpClient,
    pub(super) limits: SpeechLimits,
    over_http: bool,
    pub(super) parked: Parked,
    slots: Mutex<Slots>,
    /// Ids of voices by the names that were looked up.
    voices: Mutex<BTreeMap<String, String>>,
    pub(super) seed: AtomicU64,
}

impl ElevenLabs {
    /// Over sockets, where the model and the format have them.
    pub fn new(
        config: ElevenLabsConfig,
        connector: Connector,
        http: HttpClient,
        limits: SpeechLimits,
    ) -> Self {
        let over_http = !config.has_sockets();
        Self::made(config, connector, http, limits, over_http)
    }

    /// With a request a clause: slower to start, and a second road where sockets fail.
    pub fn over_http(
        config: ElevenLabsConfig,
        connector: Connector,
        http: HttpClient,
        limits: SpeechLimits,
    ) -> Self {
        Self::made(config, connector, http, limits, true)
    }

    /// Asks for the account's voices: costs nothing and shows whether the service is there and takes the key.
    ///
    /// # Errors
    /// Nobody answers, the key is refused, or something else answers at the address.
    pub async fn probe(&self) -> Result<(), ProviderError> {
        self.0.list_voices(&self.0.config).await.map(drop)
    }

    /// Sockets that calls have left and that wait for the next ones.
    pub fn waiting_sockets(&self) -> usize {
        self.0.parked.len()
    }

    fn made(
        config: ElevenLabsConfig,
        connector: Connector,
        http: HttpClient,
        limits: SpeechLimits,
        over_http: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            config,
            connector,
            http,
            limits,
            over_http,
            parked: Parked::default(),
            slots: Mutex::default(),
            voices: Mutex::default(),
            seed: AtomicU64::new(1),
        }))
    }
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the service said about the account beside an answer.
    pub(super) fn handle_headers(&self, headers: &HeaderMap) {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.slots().handle_headers(Concurrency::from_headers(header));
    }

    async fn list_voices(&self, config: &ElevenLabsConfig) -> Result<Vec<u8>, ProviderError> {
        let key = std::iter::once((wire::KEY_HEADER, config.key().reveal().to_owned()));
        let answer = self.http.get(PROVIDER, &wire::voices_address(config), key, self.limits.head).await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let success = answer.status().is_success();
        let most = if success { MOST_VOICES } else { MOST_ERROR_BODY };
        let body = beginning(answer, most, self.limits.head).await;
        if !success {
            return Err(wire::parse_refusal(status, retry_after(&headers), &body));
        }
        Ok(body)
    }

    /// The id of a call's voice; a name that is no default voice's is asked for once.
    ///
    /// # Errors
    /// The account has no such voice, or cannot be asked.
    pub(super) async fn voice_id(&self, config: &ElevenLabsConfig) -> Result<String, ProviderError> {
        let name = match config.voice() {
            VoiceRef::Id(id) => return Ok(id.clone()),
            VoiceRef::Name(name) => name,
        };
        let known = self.voices.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(id) = known {
            return Ok(id);
        }
        let body = self.list_voices(config).await?;
        let id = find_voice(name, &body)?;
        let mut voices = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        if voices.len() < MOST_NAMES {
            voices.insert(name.clone(), id.clone());
        }
        Ok(id)
    }
}

/// Bytes of a list of voices, 4 MiB: an account with a thousand of them.
const MOST_VOICES: usize = 4 << 20;
/// Names that are remembered; a deployment has a handful.
const MOST_NAMES: usize = 64;

pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after").and_then(|value| value.to_str().ok()).and_then(parse_retry_after)
}

/// One reply's place among those that the account may have spoken at a time; given back when dropped.
pub(super) struct Slot(Arc<Shared>);

impl Slot {
    /// # Errors
    /// [`ProviderError::Limited`]: all are taken.
    pub(super) fn take(shared: &Arc<Shared>) -> Result<Self, ProviderError> {
        if shared.slots().take() {
            return Ok(Self(shared.clone()));
        }
        let detail = "as many replies as the account allows are being spoken".to_owned();
        Err(ProviderError::Limited { provider: PROVIDER, detail, retry_after: None })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.slots().give_back();
    }
}

impl TextToSpeech for ElevenLabs {
    fn name(&self) -> &'static str {
        PROVIDER
    }

    fn sound(&self, options: &VoiceOptions) -> Option<String> {
        self.0.config.for_call(options).ok().map(|config| config.sound())
    }

    /// Connects at once, or takes a socket that a call has left, so that the first reply finds an open one. Dropping
    /// the voice leaves it to the next call for some seconds.
    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        let config = match self.0.config.for_call(&options) {
            Ok(config) => config,
            Err(error) => {
                let detail = error.to_string();
                return Box::new(AbsentVoice::new(ProviderError::Misconfigured {
                    provider: PROVIDER,
                    detail,
                }));
            }
        };
        let spoken = options.meter.count(PROVIDER, config.model().as_str(), Measure::Characters, false);
        if self.0.over_http {
            return Box::new(Requests { shared: self.0.clone(), config, spoken });
        }
        let Ok(runtime) = Handle::try_current() else {
            let detail = "it was opened outside a runtime".to_owned();
            return Box::new(AbsentVoice::new(ProviderError::Failed { provider: PROVIDER, detail }));
        };
        Box::new(Sockets::open(self.0.clone(), config, spoken, &runtime))
    }
}

/// One call's voice with a request a clause.
struct Requests {
    shared: Arc<Shared>,
    config: ElevenLabsConfig,
    spoken: Count,
}

impl Voice for Requests {
    fn speak(
        &mut self,
        _reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        speak_over_http(self.shared.clone(), self.config.clone(), clauses, self.spoken.clone())
    }
}
