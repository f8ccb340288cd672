//! OpenAI-compatible chat over HTTP: asks, reads the answer as it streams, and sorts what is no answer.
//!
//! One request an answer, no retry: that and the fallback are decided in one place above. Every wait has a limit. Dropping
//! an answer's stream closes its connection, which ends the generation at every server that we know.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tokio::time::timeout;

use super::OpenAiConfig;
use super::failure::parse_failure;
use super::models::{MOST_MODELS_BODY, parse_models};
use super::request::encode_request;
use super::spent::Spent;
use super::wire::ReplyReader;
use crate::error::ProviderError;
use crate::ids::SessionId;
use crate::llm::{LanguageModel, LlmEvent, LlmRequest};
use crate::net::http::{Body, HttpClient, beginning, body};
use crate::wire::MOST_ERROR_BODY;

/// How long the parts of an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct ChatLimits {
    /// From the request to the head of the answer. Default 5 s: local servers load a model first.
    pub head: Duration,
    /// From one piece of the answer to the next. Default 6 s: less than what a call waits for text.
    pub silence: Duration,
    /// For the cost and the end after everything has been said. Default 300 ms.
    pub tail: Duration,
}

impl Default for ChatLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            silence: Duration::from_secs(6),
            tail: Duration::from_millis(300),
        }
    }
}

/// A model behind an OpenAI-compatible address.
#[derive(Clone, Debug)]
pub struct OpenAiChat {
    config: Arc<OpenAiConfig>,
    http: HttpClient,
    limits: ChatLimits,
}

impl OpenAiChat {
    /// Asks as `config` says.
    pub fn new(config: OpenAiConfig, http: HttpClient, limits: ChatLimits) -> Self {
        Self { config: Arc::new(config), http, limits }
    }

    /// What the server offers: costs nothing and shows whether it is there and takes the key.
    ///
    /// # Errors
    /// Nobody answers, the key is refused, or something else answers at the address.
    pub async fn models(&self) -> Result<Vec<String>, ProviderError> {
        let provider = self.config.dialect().name();
        let (url, headers) = (self.config.models_url(), self.config.headers());
        let response = self.http.get(provider, &url, headers, self.limits.head).await?;
        if !response.status().is_success() {
            return Err(self.sorted(response).await);
        }
        parse_models(provider, &beginning(response, MOST_MODELS_BODY, self.limits.head).await)
    }

    async fn ask(&self, request: &LlmRequest) -> Result<Body, ProviderError> {
        let provider = self.config.dialect().name();
        let question = encode_request(&self.config, request);
        let (url, headers) = (self.config.chat_url(), self.config.headers());
        let response = self.http.post_json(provider, &url, headers, question, self.limits.head).await?;
        if response.status().is_success() {
            return Ok(body(provider, response));
        }
        Err(self.sorted(response).await)
    }

    /// Why there is no answer.
    async fn sorted(&self, response: reqwest::Response) -> ProviderError {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let words = beginning(response, MOST_ERROR_BODY, ERROR_BODY).await;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        parse_failure(self.config.dialect().name(), status, header, &words)
    }
}

/// One answer under way.
struct Reply {
    chat: OpenAiChat,
    reader: ReplyReader,
    state: State,
    spent: Spent,
}

enum State {
    Asking(Box<LlmRequest>),
    Reading(Body),
    Over,
}

impl Reply {
    async fn next(&mut self) -> Option<Result<LlmEvent, ProviderError>> {
        loop {
            if let Some(event) = self.reader.poll_event() {
                self.spent.note_event(&event);
                return Some(event);
            }
            if self.reader.is_over() {
                self.state = State::Over;
            }
            match &mut self.state {
                State::Over => return None,
                State::Asking(request) => match self.chat.ask(request).await {
                    Ok(body) => {
                        self.spent.note_asked();
                        self.state = State::Reading(body);
                    }
                    Err(error) => {
                        self.state = State::Over;
                        return Some(Err(error));
                    }
                },
                State::Reading(body) => {
                    let limits = &self.chat.limits;
                    let limit = if self.reader.is_settled() { limits.tail } else { limits.silence };
                    match timeout(limit, body.next()).await {
                        Ok(Some(Ok(piece))) => self.reader.push(&piece),
                        // A server that is settled may close as it likes; the reader knows.
                        Ok(None) | Ok(Some(Err(_))) | Err(_) if self.reader.is_settled() => {
                            self.reader.finish()
                        }
                        Ok(None) => self.reader.finish(),
                        Ok(Some(Err(error))) => return self.fail(error),
                        Err(_) => {
                            let provider = self.chat.config.dialect().name();
                            return self.fail(ProviderError::TimedOut { provider, after: limit });
                        }
                    }
                }
            }
        }
    }

    fn fail(&mut self, error: ProviderError) -> Option<Result<LlmEvent, ProviderError>> {
        self.state = State::Over;
        Some(Err(error))
    }
}

impl LanguageModel for OpenAiChat {
    fn name(&self) -> &'static str {
        self.config.dialect().name()
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let reader = ReplyReader::new(self.config.dialect().name());
        let spent = Spent::new(self.name(), self.config.model(), &request);
        let reply = Reply { chat: self.clone(), reader, state: State::Asking(Box::new(request)), spent };
        stream::unfold(reply, |mut reply| async move { reply.next().await.map(|event| (event, reply)) })
            .boxed()
    }

    /// Opens a connection, so that the first question needs none.
    fn prepare(&self, _session: SessionId) -> BoxFuture<'static, ()> {
        let chat = self.clone();
        Box::pin(async move {
            if let Err(error) = chat.models().await {
                tracing::debug!(provider = error.provider(), %error, "the model could not be prepared");
            }
        })
    }
}

/// What an error says of itself comes with its head, or at once after it.
const ERROR_BODY: Duration = Duration::from_secs(2);
