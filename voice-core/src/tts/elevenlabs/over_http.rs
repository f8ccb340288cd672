//! One reply over HTTP: the shell around [`HttpReply`], which sends its requests one after the other.
//!
//! Dropping the stream drops the request that is under way, which ends the generation.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::time::timeout;

use super::client::{Shared, Slot, retry_after};
use super::{ElevenLabsConfig, HttpReply, PROVIDER, wire};
use crate::error::ProviderError;
use crate::metrics::Count;
use crate::net::http::{Body, beginning, body};
use crate::tts::SpeechEvent;
use crate::wire::MOST_ERROR_BODY;

/// Speaks one reply with a request a clause.
pub(super) fn speak_over_http(
    shared: Arc<Shared>,
    config: ElevenLabsConfig,
    clauses: BoxStream<'static, String>,
    spoken: Count,
) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
    let reply = HttpReply::new(config.clone(), true);
    let speech = Speech {
        shared,
        config,
        clauses,
        reply,
        spoken,
        slot: None,
        address: None,
        answer: None,
        over: false,
    };
    stream::unfold(speech, |mut speech| async move { speech.next().await.map(|piece| (piece, speech)) })
        .boxed()
}

struct Speech {
    shared: Arc<Shared>,
    config: ElevenLabsConfig,
    clauses: BoxStream<'static, String>,
    reply: HttpReply,
    /// Where what the service takes is counted.
    spoken: Count,
    slot: Option<Slot>,
    address: Option<String>,
    /// The answer that is being read, and the request it is to.
    answer: Option<(u32, Body)>,
    over: bool,
}

impl Speech {
    async fn next(&mut self) -> Option<Result<SpeechEvent, ProviderError>> {
        loop {
            if let Some(event) = self.reply.poll_event() {
                return Some(Ok(event));
            }
            if self.over || self.reply.is_over() {
                return None;
            }
            if let Err(error) = self.step().await {
                self.over = true;
                self.answer = None;
                return Some(Err(error));
            }
        }
    }

    /// Reads, asks, or waits for a clause.
    async fn step(&mut self) -> Result<(), ProviderError> {
        if let Some((request, body)) = &mut self.answer {
            let request = *request;
            let limit = self.shared.limits.silence;
            return match timeout(limit, body.next()).await {
                Err(_) => Err(ProviderError::TimedOut { provider: PROVIDER, after: limit }),
                Ok(Some(bytes)) => self.reply.handle_bytes(request, &bytes?),
                Ok(None) => {
                    self.answer = None;
                    self.slot = None;
                    self.reply.handle_answered(request)
                }
            };
        }
        if let Some(request) = self.reply.poll_request() {
            self.slot = Some(Slot::take(&self.shared)?);
            let body = self.ask(request.body).await?;
            self.spoken.add(request.chars as u64);
            self.answer = Some((request.id, body));
            return Ok(());
        }
        match self.clauses.next().await {
            Some(clause) => self.reply.handle_clause(&clause),
            None => {
                self.reply.handle_end();
                Ok(())
            }
        }
    }

    async fn ask(&mut self, question: String) -> Result<Body, ProviderError> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => {
                let voice = self.shared.voice_id(&self.config).await?;
                self.address.insert(self.reply.address(&voice)).clone()
            }
        };
        let key = std::iter::once((wire::KEY_HEADER, self.config.key().reveal().to_owned()));
        let limits = self.shared.limits;
        let answer =
            self.shared.http.post_json(PROVIDER, &address, key, question.into_bytes(), limits.head).await?;
        self.shared.handle_headers(answer.headers());
        if answer.status().is_success() {
            return Ok(body(PROVIDER, answer));
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let words = beginning(answer, MOST_ERROR_BODY, limits.head).await;
        Err(wire::parse_refusal(status, retry_after(&headers), &words))
    }
}
