//! The streamed answer: bytes in any split to events.
//!
//! Copes with OpenAI, Ollama, vLLM and the server of llama.cpp at once: content that is null or missing, chunks without
//! choices, tool calls whole or in fragments, with or without index and id, thoughts beside or within the text, errors
//! within the stream, and an end without `[DONE]`. Invariants: any split of the bytes gives the same events; at most
//! one end, and no [`LlmEvent::Done`] for an answer that was cut.

use std::collections::VecDeque;

use serde_json::Value;

use crate::error::ProviderError;
use crate::llm::{FinishReason, LlmEvent, ToolCall, Usage};

use super::failure::{is_failure, parse_stream_failure};
use super::sse::{SseEvent, SseReader};
use super::thought::ThoughtFilter;

/// Bytes of text of one answer: an hour of talk. What comes after is not said.
const MAX_TEXT: usize = 64 << 10;
/// Bytes of one tool call's arguments. A viewing or a search needs some hundred.
const MAX_ARGUMENTS: usize = 64 << 10;
/// Bytes of a tool call's name and id each. Names have at most 64, ids some 40.
const MAX_LABEL: usize = 256;
/// Tool calls of one answer; the loop answers far fewer.
const MAX_CALLS: usize = 64;

/// Reads one streamed answer.
///
/// ```
/// use voice_core::llm::openai::wire::ReplyReader;
/// use voice_core::llm::{FinishReason, LlmEvent};
/// let mut reader = ReplyReader::new("openai");
/// reader.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Yes.\"}}]}\n\n");
/// assert_eq!(reader.poll_event().unwrap().unwrap(), LlmEvent::Delta("Yes.".into()));
/// reader.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
/// assert_eq!(reader.poll_event().unwrap().unwrap(), LlmEvent::Done(FinishReason::Stop));
/// assert!(reader.is_over());
/// ```
#[derive(Debug)]
pub struct ReplyReader {
    /// Apart from the rest, so that its events can be handed on while it is reading.
    sse: SseReader,
    answer: Answer,
}

/// What has come of an answer so far.
#[derive(Debug)]
struct Answer {
    provider: &'static str,
    thoughts: ThoughtFilter,
    text_bytes: usize,
    calls: Vec<Call>,
    refused: bool,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    events: VecDeque<Result<LlmEvent, ProviderError>>,
    over: bool,
}

/// A tool call that is being put together.
#[derive(Debug)]
struct Call {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

impl ReplyReader {
    /// A reader for the body of a response with status 200. `provider` is named in errors.
    pub fn new(provider: &'static str) -> Self {
        let answer = Answer {
            provider,
            thoughts: ThoughtFilter::default(),
            text_bytes: 0,
            calls: Vec::new(),
            refused: false,
            finish: None,
            usage: None,
            events: VecDeque::new(),
            over: false,
        };
        Self { sse: SseReader::default(), answer }
    }

    /// Takes bytes of the body. Drain [`poll_event`](Self::poll_event) after each piece. After the end they are ignored.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { sse, answer } = self;
        if answer.over {
            return;
        }
        if sse.push(bytes, |event| answer.handle(&event, false)).is_err() {
            answer.fail("a message without end");
        }
    }

    /// The connection has ended, well or not.
    pub fn finish(&mut self) {
        let Self { sse, answer } = self;
        if answer.over {
            return;
        }
        if sse.finish(|event| answer.handle(&event, true)).is_err() {
            answer.fail("a message without end");
        }
        if answer.over {
            return;
        }
        if answer.finish.is_some() {
            answer.end();
        } else {
            answer.cut();
        }
    }

    /// The next event. After [`LlmEvent::Done`] or an error there is none.
    pub fn poll_event(&mut self) -> Option<Result<LlmEvent, ProviderError>> {
        self.answer.events.pop_front()
    }

    /// Whether everything that is said has come and only the cost and the end are missing: what is still open then
    /// deserves a short wait, not a whole deadline. Call [`finish`](Self::finish) when that is over.
    pub fn is_settled(&self) -> bool {
        self.answer.finish.is_some()
    }

    /// Whether the end has come. Events may still wait to be polled; nothing more needs to be read.
    pub fn is_over(&self) -> bool {
        self.answer.over
    }
}

impl Answer {
    fn handle(&mut self, event: &SseEvent, at_end: bool) {
        if self.over {
            return;
        }
        let data = event.data.trim_ascii();
        if data.starts_with(b"[DONE]") {
            self.end();
            return;
        }
        if data.is_empty() && !event.is_error {
            return;
        }
        match serde_json::from_slice::<Value>(data) {
            Ok(value) if event.is_error || is_failure(&value) => {
                self.break_off(parse_stream_failure(self.provider, &value));
            }
            Ok(value) if value.is_object() => self.handle_chunk(&value),
            _ if event.is_error => self.fail("an error that cannot be read"),
            // The last message has no end of line because it is cut.
            _ if at_end => self.cut(),
            _ => self.fail("a message that is not JSON"),
        }
    }

    fn handle_chunk(&mut self, chunk: &Value) {
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            // With continuous statistics each chunk has the sum so far.
            self.usage = Some(read_usage(usage));
        }
        let choices = chunk.get("choices").and_then(Value::as_array);
        // One answer is asked for; where there is no index, it is that one.
        let is_first = |choice: &&Value| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0;
        for choice in choices.into_iter().flatten().filter(is_first) {
            // A server that does not stream writes the whole message at once.
            let delta = choice.get("delta").or_else(|| choice.get("message"));
            if self.finish.is_none() {
                if let Some(delta) = delta {
                    self.handle_delta(delta);
                }
                if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str)
                    && !self.over
                {
                    self.handle_finish(read_reason(reason));
                }
            }
        }
    }

    fn handle_delta(&mut self, delta: &Value) {
        match delta.get("content") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.say(text),
            // Parts: only those of text are said.
            Some(Value::Array(parts)) => {
                for text in parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)) {
                    self.say(text);
                }
            }
            Some(_) => return self.fail("a text that is none"),
        }
        if let Some(refusal) = delta.get("refusal").and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.refused = true;
            self.say(refusal);
        }
        let fragments = delta.get("tool_calls").and_then(Value::as_array);
        for fragment in fragments.into_iter().flatten() {
            if !self.over {
                self.take_fragment(fragment);
            }
        }
    }

    fn say(&mut self, text: &str) {
        let text = self.thoughts.push(text);
        self.put_text(text);
    }

    fn put_text(&mut self, mut text: String) {
        text.truncate(text.floor_char_boundary(MAX_TEXT - self.text_bytes));
        self.text_bytes += text.len();
        if !text.is_empty() {
            self.events.push_back(Ok(LlmEvent::Delta(text)));
        }
        if MAX_TEXT - self.text_bytes < 4 && self.finish.is_none() {
            // The caller has had enough; nobody waits for the rest.
            self.finish = Some(FinishReason::Length);
            self.calls.clear();
            self.end();
        }
    }

    fn take_fragment(&mut self, fragment: &Value) {
        let function = fragment.get("function").unwrap_or(&Value::Null);
        let text = |from: &Value, name: &str| from.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let (id, name) = (text(fragment, "id"), text(function, "name"));
        let arguments = match function.get("arguments") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            // Some servers write the object itself.
            Some(whole) => whole.to_string(),
        };
        let index = fragment.get("index").and_then(Value::as_u64).unwrap_or(0);
        let call = match self.calls.iter().rposition(|call| call.index == index) {
            Some(at) if !self.calls[at].is_followed_by(&id, &name, &arguments) => &mut self.calls[at],
            _ if self.calls.len() == MAX_CALLS => return self.fail("tool calls without end"),
            _ => {
                let call = Call { index, id: String::new(), name: String::new(), arguments: String::new() };
                self.calls.push(call);
                // Pushed just now.
                let last = self.calls.len() - 1;
                &mut self.calls[last]
            }
        };
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        if call.id.len().max(call.name.len()) > MAX_LABEL
            || call.arguments.len() + arguments.len() > MAX_ARGUMENTS
        {
            return self.fail("a tool call without end");
        }
        call.arguments.push_str(&arguments);
    }

    /// The answer's words are complete.
    fn handle_finish(&mut self, reason: FinishReason) {
        let rest = self.thoughts.finish();
        self.put_text(rest);
        if self.over {
            return;
        }
        let mut calls = std::mem::take(&mut self.calls);
        calls.sort_by_key(|call| call.index);
        if calls.iter().any(|call| call.name.is_empty()) {
            return self.fail("a tool call without a name");
        }
        self.finish = Some(match reason {
            // Some servers end a message of tool calls like any other.
            FinishReason::Stop | FinishReason::ToolCalls if !calls.is_empty() => FinishReason::ToolCalls,
            FinishReason::ToolCalls => FinishReason::Stop,
            FinishReason::Stop if self.refused => FinishReason::Refused,
            other => other,
        });
        let cut = self.finish == Some(FinishReason::Length);
        let last = calls.len().saturating_sub(1);
        for (at, call) in calls.into_iter().enumerate() {
            self.events.push_back(Ok(LlmEvent::ToolCall(call.complete(at, cut && at == last))));
        }
    }

    /// The end that was meant.
    fn end(&mut self) {
        if self.finish.is_none() {
            self.handle_finish(FinishReason::Stop);
        }
        if self.over {
            return;
        }
        if let Some(usage) = self.usage.take() {
            self.events.push_back(Ok(LlmEvent::Usage(usage)));
        }
        self.events.push_back(Ok(LlmEvent::Done(self.finish.unwrap_or(FinishReason::Stop))));
        self.over = true;
    }

    /// The end that was not meant.
    fn cut(&mut self) {
        if self.finish.is_some() {
            // Only the cost was still to come.
            return self.end();
        }
        let detail = "the connection ended before the answer did".to_owned();
        self.break_off(ProviderError::Unreachable { provider: self.provider, detail });
    }

    fn fail(&mut self, what: &str) {
        let detail = format!("it sent {what}");
        self.break_off(ProviderError::Failed { provider: self.provider, detail });
    }

    fn break_off(&mut self, error: ProviderError) {
        if !self.over {
            self.over = true;
            self.calls.clear();
            self.events.push_back(Err(error));
        }
    }
}

impl Call {
    /// Whether a fragment of the same index begins another call. Some servers number none of their calls, or all of
    /// them 0: then another id or, without ids, a name and arguments after arguments that are complete.
    fn is_followed_by(&self, id: &str, name: &str, arguments: &str) -> bool {
        if !id.is_empty() && !self.id.is_empty() {
            return id != self.id;
        }
        !name.is_empty()
            && !self.name.is_empty()
            && !arguments.trim().is_empty()
            && serde_json::from_str::<serde::de::IgnoredAny>(&self.arguments).is_ok()
    }

    /// The call as it is passed on. `cut`: the answer ended in it, so that nothing may be made up for its arguments.
    fn complete(self, at: usize, cut: bool) -> ToolCall {
        // Nine letters and digits: the form that the strictest template (Mistral's) asks for.
        let id = if self.id.is_empty() { format!("call{at:05}") } else { self.id };
        let whole = !cut && self.arguments.trim().is_empty();
        let arguments = if whole { "{}".to_owned() } else { self.arguments };
        ToolCall { id, name: self.name, arguments }
    }
}

fn read_reason(reason: &str) -> FinishReason {
    match reason {
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::Filtered,
        // `stop`, and whatever else a server calls an ordinary end.
        _ => FinishReason::Stop,
    }
}

fn read_usage(usage: &Value) -> Usage {
    let number = |from: Option<&Value>, name: &str| {
        from.and_then(|from| from.get(name)).and_then(Value::as_u64).unwrap_or(0)
    };
    Usage {
        input: number(Some(usage), "prompt_tokens"),
        cached: number(usage.get("prompt_tokens_details"), "cached_tokens"),
        output: number(Some(usage), "completion_tokens"),
        reasoning: number(usage.get("completion_tokens_details"), "reasoning_tokens"),
    }
}
