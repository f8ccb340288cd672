//! The tool loop around a language model: carries the orders of [`ToolLoop`] out, nothing else.
//!
//! Retries, hedges and fallbacks belong around the model inside, never around this: there they would do effects twice.
//! Dropping the stream of an answer drops the model's stream and every tool that is running.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::error::ProviderError;
use crate::ids::SessionId;
use crate::llm::{LanguageModel, LlmEvent, LlmRequest};
use crate::time::SessionTime;

use super::{CallKey, Invocation, ToolError, ToolLimits, ToolLoop, ToolOrder, Toolbox};

/// A language model that uses tools: to whoever asks, a model that answers.
#[derive(Clone)]
pub struct ToolUser {
    model: Arc<dyn LanguageModel>,
    toolbox: Toolbox,
    limits: ToolLimits,
}

impl ToolUser {
    /// Gives `model` the tools in `toolbox`. Tools in a request are replaced by these.
    pub fn new(model: Arc<dyn LanguageModel>, toolbox: Toolbox, limits: ToolLimits) -> Self {
        Self { model, toolbox, limits }
    }
}

impl LanguageModel for ToolUser {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn reply(&self, mut request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        request.tools = self.toolbox.specs();
        let answer = Answer {
            rounds: ToolLoop::new(
                self.toolbox.clone(),
                self.limits.clone(),
                self.model.name(),
                SessionTime::ZERO,
            ),
            user: self.clone(),
            request,
            start: Instant::now(),
            text: None,
            runs: Vec::new(),
        };
        stream::unfold(answer, |mut answer| async move { answer.next().await.map(|event| (event, answer)) })
            .boxed()
    }

    fn prepare(&self, session: SessionId) -> BoxFuture<'static, ()> {
        self.model.prepare(session)
    }
}

type ToolResult = Result<Value, ToolError>;

/// One answer under way.
struct Answer {
    rounds: ToolLoop,
    user: ToolUser,
    request: LlmRequest,
    start: Instant,
    text: Option<BoxStream<'static, Result<LlmEvent, ProviderError>>>,
    /// At most as many as calls of a round.
    runs: Vec<(CallKey, BoxFuture<'static, ToolResult>)>,
}

/// Why the answer woke.
enum Woke {
    Text(Option<Result<LlmEvent, ProviderError>>),
    Result(CallKey, ToolResult),
    Commit(bool),
    Time,
}

impl Answer {
    async fn next(&mut self) -> Option<Result<LlmEvent, ProviderError>> {
        loop {
            while let Some(order) = self.rounds.poll_order() {
                match order {
                    ToolOrder::Ask { exchange, tool_use } => {
                        let mut request = self.request.clone();
                        request.messages.extend(exchange);
                        request.tool_use = tool_use;
                        self.text = Some(self.user.model.reply(request));
                    }
                    ToolOrder::Run { key, place, arguments } => self.run(key, place, arguments),
                    ToolOrder::Cancel { key } => self.runs.retain(|(running, _)| *running != key),
                    ToolOrder::Emit(event) => return Some(Ok(event)),
                    ToolOrder::Fail(error) => return Some(Err(error)),
                }
            }
            if self.rounds.is_over() {
                self.text = None;
                self.runs.clear();
                return None;
            }
            let woke = self.wait().await;
            let now = SessionTime::from_start(self.start.elapsed());
            match woke {
                Woke::Text(event) => {
                    if matches!(event, None | Some(Ok(LlmEvent::Done(_)) | Err(_))) {
                        self.text = None;
                    }
                    self.rounds.handle_event(event, now);
                }
                Woke::Result(key, result) => self.rounds.handle_result(key, result, now),
                Woke::Commit(opened) => self.rounds.handle_commit(opened, now),
                Woke::Time => self.rounds.handle_timeout(now),
            }
        }
    }

    async fn wait(&mut self) -> Woke {
        let until = self.rounds.poll_timeout().map(|at| self.start + at.since_start());
        let awaits_commit = self.rounds.awaits_commit();
        let Self { text, runs, request, .. } = self;
        tokio::select! {
            biased;
            (key, result) = poll_fn(|cx| poll_runs(runs, cx)) => Woke::Result(key, result),
            event = next(text), if text.is_some() => Woke::Text(event),
            opened = request.commit.wait(), if awaits_commit => Woke::Commit(opened),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => Woke::Time,
        }
    }

    fn run(&mut self, key: CallKey, place: usize, arguments: Value) {
        let Some(tool) = self.user.toolbox.tool(place).cloned() else { return };
        let invocation =
            Invocation { session: self.request.session, language: self.request.language.clone(), arguments };
        // A tool is somebody else's code: its panic must not end the call.
        let run = async move { tool.call(invocation).await };
        let run = AssertUnwindSafe(run)
            .catch_unwind()
            .map(|result| result.unwrap_or_else(|_| Err(ToolError("the tool is broken".to_owned()))));
        self.runs.push((key, run.boxed()));
    }
}

fn poll_runs(
    runs: &mut Vec<(CallKey, BoxFuture<'static, ToolResult>)>,
    cx: &mut Context<'_>,
) -> Poll<(CallKey, ToolResult)> {
    for at in 0..runs.len() {
        if let Poll::Ready(result) = runs[at].1.poll_unpin(cx) {
            let (key, _) = runs.swap_remove(at);
            return Poll::Ready((key, result));
        }
    }
    Poll::Pending
}

async fn next<T>(stream: &mut Option<BoxStream<'static, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
