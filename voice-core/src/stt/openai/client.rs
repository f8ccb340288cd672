//! OpenAI-compatible transcription over HTTP: the shell around [`WholeUtterances`], one task a call.
//!
//! It sends what the machine asks for, a few requests at once, and gives up what nobody waits for any more. A request is
//! sent once more where that may help at once, and a service that is full is left alone for as long as it asks. Whether
//! another recogniser should be asked instead is decided above. Caller: `session`, through [`SpeechToText`].

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::wire::{
    Form, check_models, check_refused, models_address, parse_answer, parse_refusal, transcription_address,
};
use super::{PROVIDER, TranscriptionConfig, WholeUtterances};
use crate::error::ProviderError;
use crate::metrics::{Count, Measure};
use crate::net::HttpClient;
use crate::net::http::{beginning, whole};
use crate::resilience::{Backoff, Fraction, Remedy, Seed, judge};
use crate::stt::told::{MOST_TOGETHER, Told, telling};
use crate::stt::{AbsentRecogniser, MOST_MESSAGE, SpeechToText, SttEvents, SttOptions, SttStream};
use crate::time::SessionTime;
use crate::wire::{MOST_ERROR_BODY, parse_retry_after};

/// How a call deals with requests.
#[derive(Clone, Copy, Debug)]
pub struct TranscriberLimits {
    /// From a request to the head of its answer; the recording is sent and transcribed meanwhile. Default 8 s: a call
    /// waits less.
    pub head: Duration,
    /// From the head to the end of the answer. Default 2 s: it is a sentence.
    pub body: Duration,
    /// Requests of one call at once, at least one; one more waits. Default 3: the words of the utterance before, a piece
    /// and what is asked at a pause.
    pub at_once: usize,
    /// The wait before a request is sent once more. Default 50 to 100 ms.
    pub backoff: Backoff,
}

impl Default for TranscriberLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(8),
            body: Duration::from_secs(2),
            at_once: 3,
            backoff: Backoff::default(),
        }
    }
}

/// A recogniser behind an OpenAI-compatible address, shared by all calls.
#[derive(Clone, Debug)]
pub struct OpenAiTranscriber {
    config: TranscriptionConfig,
    http: HttpClient,
    limits: TranscriberLimits,
    seed: Arc<AtomicU64>,
}

impl OpenAiTranscriber {
    /// Asks as `config` says.
    pub fn new(config: TranscriptionConfig, http: HttpClient, limits: TranscriberLimits) -> Self {
        Self { config, http, limits, seed: Arc::new(AtomicU64::new(1)) }
    }

    /// Asks for the list of models: costs nothing and shows whether the server is there and takes the key. A server
    /// without such a list is sent a form without a recording, which it must refuse for that.
    ///
    /// # Errors
    /// Nobody answers, the key is refused, or something else answers at the address.
    pub async fn probe(&self) -> Result<(), ProviderError> {
        match self.models().await {
            Ok(list) => check_models(&list),
            Err(ProviderError::Misconfigured { .. }) => {
                let answer = self.send(EMPTY_FORM.0, Bytes::from_static(EMPTY_FORM.1)).await;
                match answer {
                    // Older whisper.cpp servers refuse with status 200.
                    Ok(body) => check_refused(&body),
                    Err(ProviderError::Rejected { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn models(&self) -> Result<Vec<u8>, ProviderError> {
        let url = models_address(&self.config);
        let headers = self.config.authorisation().into_iter();
        let response = self.http.get(PROVIDER, &url, headers, self.limits.head).await?;
        self.read(response).await
    }

    /// Sends a form, and once more where that may help at once: a transcription changes nothing at the service.
    async fn ask(&self, form: Form, fraction: Fraction, heard: Count) -> Result<String, ProviderError> {
        let samples = form.samples as u64;
        heard.add(samples);
        let body = Bytes::from(form.body);
        match self.ask_once(&form.content_type, body.clone()).await {
            Err(error) if judge(&error).0 == Remedy::Again => {
                tracing::debug!(provider = PROVIDER, %error, "a transcription is asked for once more");
                sleep(self.limits.backoff.delay(1, fraction, None)).await;
                heard.add(samples);
                self.ask_once(&form.content_type, body).await
            }
            answer => answer,
        }
    }

    async fn ask_once(&self, content_type: &str, body: Bytes) -> Result<String, ProviderError> {
        parse_answer(&self.send(content_type, body).await?)
    }

    async fn send(&self, content_type: &str, body: Bytes) -> Result<Vec<u8>, ProviderError> {
        let url = transcription_address(&self.config);
        let kind = std::iter::once(("content-type", content_type.to_owned()));
        let headers = kind.chain(self.config.authorisation());
        let response = self.http.post(PROVIDER, &url, headers, body, self.limits.head).await?;
        self.read(response).await
    }

    /// The body of a success, or why there is none.
    async fn read(&self, response: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
        let status = response.status();
        if status.is_success() {
            return whole(PROVIDER, response, MOST_MESSAGE, self.limits.body).await;
        }
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(parse_retry_after);
        let words = beginning(response, MOST_ERROR_BODY, self.limits.body).await;
        Err(parse_refusal(status.as_u16(), after, &words))
    }
}

/// Content type and body of a form without any part.
const EMPTY_FORM: (&str, &[u8]) = ("multipart/form-data; boundary=voice-form", b"--voice-form--\r\n");

impl SpeechToText for OpenAiTranscriber {
    fn name(&self) -> &'static str {
        PROVIDER
    }

    /// Opens a connection at once, so that the first words find one. Dropping the stream gives up what is under way.
    fn open(&self, options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        let Ok(runtime) = Handle::try_current() else {
            let detail = "it was opened outside a runtime".to_owned();
            let reason = ProviderError::Failed { provider: PROVIDER, detail };
            return AbsentRecogniser::new(reason).open(options, events);
        };
        let config = self.config.for_call(&options);
        let (stream, orders) = telling(WAITING, MOST_TOGETHER);
        let line = Line {
            machine: WholeUtterances::new(config.clone()),
            transcriber: Self { config, ..self.clone() },
            events,
            begun: Instant::now(),
            // Calls that were refused together come back apart.
            seed: Seed(self.seed.fetch_add(1, Ordering::Relaxed)),
            asked: Vec::new(),
            warming: None,
            used: Instant::now(),
            full: None,
            heard: options.meter.count(PROVIDER, self.config.model(), Measure::Audio, false),
        };
        // It ends with the stream: then nobody tells it anything any more.
        runtime.spawn(line.run(orders));
        Box::new(stream)
    }
}

/// 80 s of audio: an utterance that another recogniser had is played in at once.
const WAITING: usize = 4_000;
/// A connection that was not used for so long may be closed, at either end; a new one is opened while the caller speaks.
const COOL: Duration = Duration::from_secs(40);
/// A service that asks to be left alone for longer is asked again all the same, so that no call is lost to one header.
const MOST_REST: Duration = Duration::from_secs(30);

/// A request under way.
struct Asked {
    id: u64,
    answer: BoxFuture<'static, Result<String, ProviderError>>,
}

/// Why the task goes on; lives for a moment.
#[expect(clippy::large_enum_variant)]
enum Woken {
    Told(Option<Told>),
    Answered(u64, Result<String, ProviderError>),
    Warm,
    Timer,
}

/// One call's recogniser: the machine and its requests.
struct Line {
    /// As configured for this call.
    transcriber: OpenAiTranscriber,
    machine: WholeUtterances,
    events: Arc<dyn SttEvents>,
    begun: Instant,
    seed: Seed,
    asked: Vec<Asked>,
    /// A connection being opened.
    warming: Option<BoxFuture<'static, ()>>,
    /// When a connection was last used.
    used: Instant,
    /// The service asked to be left alone until then, with this error.
    full: Option<(Instant, ProviderError)>,
    /// Where what is sent is counted.
    heard: Count,
}

impl Line {
    async fn run(mut self, mut orders: mpsc::Receiver<Told>) {
        self.warm_up();
        loop {
            match self.wait(&mut orders).await {
                Woken::Told(None) => break,
                Woken::Told(Some(told)) => {
                    self.handle_told(told);
                    while let Ok(told) = orders.try_recv() {
                        self.handle_told(told);
                    }
                }
                Woken::Answered(request, answer) => self.handle_answer(request, answer),
                Woken::Warm => {
                    self.warming = None;
                    self.used = Instant::now();
                }
                Woken::Timer => self.machine.handle_timeout(self.now()),
            }
            self.drain();
        }
    }

    /// Waits for one thing. The futures in it lose nothing when they are dropped.
    async fn wait(&mut self, orders: &mut mpsc::Receiver<Told>) -> Woken {
        let timer = self.machine.poll_timeout().map(|at| self.begun + at.since_start());
        let at = timer.unwrap_or(self.begun);
        let warming = async {
            match &mut self.warming {
                Some(warming) => warming.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = orders.recv() => Woken::Told(told),
            (request, answer) = answered(&mut self.asked) => Woken::Answered(request, answer),
            () = warming => Woken::Warm,
            () = sleep_until(at), if timer.is_some() => Woken::Timer,
        }
    }

    fn now(&self) -> SessionTime {
        SessionTime::from_start(self.begun.elapsed())
    }

    fn handle_told(&mut self, told: Told) {
        match told {
            Told::Begin(utterance) => {
                self.machine.handle_begin(utterance);
                if self.warming.is_none() && self.used.elapsed() >= COOL {
                    self.warm_up();
                }
            }
            Told::Audio(frame) => self.machine.handle_audio(&frame),
            Told::Pause => self.machine.handle_pause(),
            Told::Finalise => self.machine.handle_finalise(self.now()),
        }
    }

    fn handle_answer(&mut self, request: u64, answer: Result<String, ProviderError>) {
        self.used = Instant::now();
        if let Err(error) = &answer {
            tracing::debug!(provider = PROVIDER, %error, "a transcription failed");
            if let ProviderError::Limited { retry_after: Some(after), .. } = error {
                self.full = Some((self.used + (*after).min(MOST_REST), error.clone()));
            }
        }
        self.machine.handle_answer(request, answer);
    }

    /// Opens a connection; what the list of models says does not matter.
    fn warm_up(&mut self) {
        let transcriber = self.transcriber.clone();
        self.warming = Some(Box::pin(async move {
            if let Err(error) = transcriber.models().await {
                tracing::debug!(provider = PROVIDER, %error, "no connection could be prepared");
            }
        }));
    }

    /// Hands on what the machine has to say, both ways.
    fn drain(&mut self) {
        // To give a request up is to drop it, which closes its connection.
        self.asked.retain(|asked| self.machine.is_wanted(asked.id));
        while self.asked.len() < self.transcriber.limits.at_once.max(1)
            && let Some(request) = self.machine.poll_request()
        {
            if let Some((until, error)) = &self.full
                && Instant::now() < *until
            {
                // Told at once, so that whoever can helps the caller elsewhere.
                self.machine.handle_answer(request.id, Err(error.clone()));
                continue;
            }
            let (transcriber, fraction) = (self.transcriber.clone(), self.seed.next_fraction());
            let heard = self.heard.clone();
            let answer = Box::pin(async move { transcriber.ask(request.form, fraction, heard).await });
            self.asked.push(Asked { id: request.id, answer });
        }
        while let Some(event) = self.machine.poll_event() {
            self.events.handle_stt_event(event);
        }
    }
}

/// The next answer of those that are under way; without any it never comes.
async fn answered(asked: &mut Vec<Asked>) -> (u64, Result<String, ProviderError>) {
    poll_fn(|context| {
        for at in 0..asked.len() {
            if let Poll::Ready(answer) = asked[at].answer.as_mut().poll(context) {
                return Poll::Ready((asked.swap_remove(at).id, answer));
            }
        }
        Poll::Pending
    })
    .await
}
