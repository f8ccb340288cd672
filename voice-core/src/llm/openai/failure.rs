//! What is no answer: error bodies with a status, and error objects within a stream, sorted by what can be done.
//!
//! A known code or type decides, then the status. Of a server's sentences nothing is passed on, since they quote keys
//! and callers back; a few are recognised where the server has no code for what they say. Callers: the client, and
//! [`wire`](super::wire) for errors within a stream.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::error::ProviderError;
use crate::wire::{MOST_ERROR_BODY, machine_code, parse_retry_after, status_refusal};

/// Sorts a response whose status is no success. `header` looks a header up by its name in lower case; of `body` at
/// most [`MOST_ERROR_BODY`] bytes are read, and it may be anything.
///
/// ```
/// use voice_core::error::ProviderError;
/// use voice_core::llm::openai::failure::parse_failure;
/// let body = br#"{"error":{"message":"No.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
/// let error = parse_failure("openai", 429, |_| None, body);
/// assert!(matches!(error, ProviderError::OutOfCredit { .. }));
/// ```
pub fn parse_failure<'a>(
    provider: &'static str,
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
) -> ProviderError {
    let body = &body[..body.len().min(MOST_ERROR_BODY)];
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    Report::read(&body).sort(provider, Some(status), retry_after(&header))
}

/// Sorts an error object that came within a stream: the whole data of the event.
pub(super) fn parse_stream_failure(provider: &'static str, data: &Value) -> ProviderError {
    Report::read(data).sort(provider, None, None)
}

/// Whether an event's data is an error. Most servers put it into `error`, where null means none; older vLLM writes the
/// fields at the top.
pub(super) fn is_failure(data: &Value) -> bool {
    match data.get("error") {
        None | Some(Value::Null | Value::Bool(false)) => {
            data.get("object").and_then(Value::as_str) == Some("error")
        }
        Some(_) => true,
    }
}

/// When the service asks to come back. `retry-after-ms` is finer and wins; without either, a limit that is used up
/// tells when it is renewed.
fn retry_after<'a>(header: &impl Fn(&str) -> Option<&'a str>) -> Option<Duration> {
    let millis = header("retry-after-ms").and_then(parse_millis);
    let seconds = || header("retry-after").and_then(parse_retry_after);
    let renewed = || {
        let used_up = |left: &str| header(left).is_some_and(|left| left.trim() == "0");
        let requests =
            used_up("x-ratelimit-remaining-requests").then(|| header("x-ratelimit-reset-requests"));
        let tokens = used_up("x-ratelimit-remaining-tokens").then(|| header("x-ratelimit-reset-tokens"));
        [requests, tokens].into_iter().flatten().flatten().filter_map(parse_span).max()
    };
    millis.or_else(seconds).or_else(renewed)
}

fn parse_millis(value: &str) -> Option<Duration> {
    let millis: f64 = value.trim().parse().ok().filter(|ms: &f64| ms.is_finite() && *ms >= 0.0)?;
    Some(Duration::from_secs_f64(millis.min(LONGEST_SPAN_MS) / 1_000.0))
}

/// A span as OpenAI writes it: `6m0s`, `1.5s`, `20ms`.
fn parse_span(span: &str) -> Option<Duration> {
    let mut rest = span.trim();
    let mut millis = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        let factor = match &rest[end..unit_end] {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            _ => return None,
        };
        millis += number * factor;
        rest = &rest[unit_end..];
    }
    Some(Duration::from_secs_f64(millis.min(LONGEST_SPAN_MS) / 1_000.0))
}

/// An hour. Whoever asks for more is not coming back in this call.
const LONGEST_SPAN_MS: f64 = 3_600_000.0;

/// What a server says about an error, as far as it can be told apart.
struct Report<'a> {
    code: Option<&'a str>,
    kind: Option<&'a str>,
    parameter: Option<&'a str>,
    /// The status that an integer `code` repeats.
    status: Option<u16>,
    message: Cow<'a, str>,
}

impl<'a> Report<'a> {
    /// Reads `{"error": {...}}`, `{"error": "text"}` or the fields without anything around them.
    fn read(body: &'a Value) -> Self {
        let fields = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let number = fields.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let message = fields.as_str().or_else(|| text("message")).unwrap_or_default();
        Self {
            // A number that is written as a text is a status too.
            code: text("code").filter(|code| code.parse::<u16>().is_err()),
            kind: text("type"),
            parameter: text("param"),
            status: number.or_else(|| text("code")?.parse().ok()).filter(|status| *status >= 300),
            message: message.to_ascii_lowercase().into(),
        }
    }

    fn sort(
        &self,
        provider: &'static str,
        status: Option<u16>,
        retry_after: Option<Duration>,
    ) -> ProviderError {
        let detail = self.detail(status);
        let hinted = |hint: &str| format!("{hint} ({detail})");
        let known = [self.code, self.kind].into_iter().flatten().find_map(Meaning::of);
        match known.or_else(|| self.meaning_of_message()) {
            Some(Meaning::Key) => ProviderError::Unauthorised { provider, detail },
            Some(Meaning::Credit) => ProviderError::OutOfCredit { provider, detail },
            Some(Meaning::Limit) => ProviderError::Limited { provider, detail, retry_after },
            Some(Meaning::Model) => ProviderError::Misconfigured {
                provider,
                detail: hinted("there is no such model, or the key may not use it"),
            },
            Some(Meaning::Tools) => ProviderError::Misconfigured {
                provider,
                detail: hinted("the model or the server is not set up for tools"),
            },
            Some(Meaning::Parameter) => ProviderError::Misconfigured {
                provider,
                detail: match self.parameter.and_then(machine_code) {
                    Some(name) => hinted(&format!("it does not take the parameter {name} like this")),
                    None => hinted("it does not take a parameter like this"),
                },
            },
            Some(Meaning::Length) => {
                ProviderError::Rejected { provider, detail: hinted("the conversation is too long") }
            }
            Some(Meaning::Content) => {
                ProviderError::Rejected { provider, detail: hinted("its filter withholds the answer") }
            }
            None => match status.or(self.status) {
                Some(status) => status_refusal(provider, status, self.name(), retry_after),
                None => ProviderError::Failed { provider, detail },
            },
        }
    }

    /// The server's name for it, which is passed on only where it can be nothing but a name.
    fn name(&self) -> Option<&'a str> {
        [self.code, self.kind].into_iter().flatten().find_map(machine_code)
    }

    fn detail(&self, status: Option<u16>) -> String {
        match (self.name(), status.or(self.status)) {
            (Some(name), Some(status)) => format!("{name}, status {status}"),
            (Some(name), None) => name.to_owned(),
            (None, Some(status)) => format!("status {status}"),
            (None, None) => "an error within the answer".to_owned(),
        }
    }

    /// What servers say only in words.
    fn meaning_of_message(&self) -> Option<Meaning> {
        let says = |words: &[&str]| words.iter().all(|word| self.message.contains(word));
        if says(&["model", "not found"]) || says(&["model", "does not exist"]) {
            Some(Meaning::Model)
        } else if says(&["does not support tools"])
            || says(&["tool choice requires"])
            || says(&["tools", "--jinja"])
        {
            Some(Meaning::Tools)
        } else if says(&["maximum context length"]) || says(&["exceeds", "context size"]) {
            Some(Meaning::Length)
        } else {
            None
        }
    }
}

/// What a code or type means where it means one thing with any status.
#[derive(Clone, Copy)]
enum Meaning {
    Key,
    Credit,
    Limit,
    Model,
    Tools,
    Parameter,
    Length,
    Content,
}

impl Meaning {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "invalid_api_key"
            | "authentication_error"
            | "permission_error"
            | "permission_denied"
            | "account_deactivated"
            | "invalid_organization" => Self::Key,
            "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => Self::Credit,
            "rate_limit_exceeded"
            | "rate_limit_error"
            | "unavailable_error"
            | "overloaded_error"
            | "server_overloaded"
            | "engine_overloaded" => Self::Limit,
            "model_not_found" => Self::Model,
            "unsupported_parameter" | "unsupported_value" | "unknown_parameter" => Self::Parameter,
            "context_length_exceeded" | "exceed_context_size_error" | "string_above_max_length" => {
                Self::Length
            }
            "content_filter" | "content_policy_violation" => Self::Content,
            _ => return None,
        })
    }
}
