//! What ElevenLabs' voice and its recogniser share: codes of refusals, error bodies, and the account's concurrency.
//!
//! One account, one table: a code means the same over HTTP, in a socket message and as a kind of message of Scribe.
//! Callers: `tts::elevenlabs`, `stt::elevenlabs`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::error::ProviderError;

use super::refusal::{MOST_ERROR_BODY, machine_code, status_refusal};

/// What a known code means, by what can be done about it. `None`: the code is not one that is documented or was seen.
pub fn named_refusal(
    provider: &'static str,
    code: &str,
    retry_after: Option<Duration>,
) -> Option<ProviderError> {
    // Said in our own words where the code alone does not say what to do.
    let said = |more: &str| if more.is_empty() { code.to_owned() } else { format!("{code}: {more}") };
    Some(match code {
        "invalid_api_key" | "auth_error" => ProviderError::Unauthorised { provider, detail: said("") },
        "missing_permissions" => {
            ProviderError::Unauthorised { provider, detail: said("give the key this permission") }
        }
        "needs_authorization" => ProviderError::Unauthorised { provider, detail: said("no key arrived") },
        "only_for_creator+" => {
            ProviderError::Unauthorised { provider, detail: said("the plan is too small for this") }
        }
        "unaccepted_terms" => {
            ProviderError::Unauthorised { provider, detail: said("accept the terms in the account") }
        }
        "quota_exceeded" => ProviderError::OutOfCredit { provider, detail: said("") },
        "voice_not_found"
        | "voice_id_does_not_exist"
        | "model_not_found"
        | "unsupported_model"
        | "unsupported_output_format" => ProviderError::Misconfigured { provider, detail: said("") },
        "output_format_not_allowed" => {
            ProviderError::Misconfigured { provider, detail: said("the plan has not this format") }
        }
        "max_character_limit_exceeded"
        | "text_too_long"
        | "invalid_parameters"
        | "validation_error"
        | "input_error"
        | "invalid_request"
        | "chunk_size_exceeded" => ProviderError::Rejected { provider, detail: said("") },
        "too_many_concurrent_requests" | "concurrent_limit_exceeded" => {
            ProviderError::Limited { provider, detail: said("wait for a free slot"), retry_after }
        }
        "rate_limit_exceeded"
        | "rate_limited"
        | "system_busy"
        | "resource_exhausted"
        | "queue_overflow"
        | "commit_throttled" => ProviderError::Limited { provider, detail: said("back off"), retry_after },
        "max_active_conversations" => {
            ProviderError::Limited { provider, detail: said("too many contexts on one socket"), retry_after }
        }
        // The session is over and a new one will do.
        "input_timeout_exceeded" | "session_time_limit_exceeded" | "insufficient_audio_activity" => {
            ProviderError::Unreachable { provider, detail: said("") }
        }
        "transcriber_error" | "error" => ProviderError::Failed { provider, detail: said("") },
        _ => return None,
    })
}

/// Reads an HTTP answer that is no success. `detail` of the body may be an object with a new `code` and a legacy
/// `status`, a list of validation errors, or a text; a body that is none of these leaves the status to decide.
pub fn account_refusal(
    provider: &'static str,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> ProviderError {
    let body = &body[..body.len().min(MOST_ERROR_BODY)];
    let detail = serde_json::from_slice::<Body>(body).map(|body| body.detail).unwrap_or_default();
    match &detail {
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            let codes = [text("code"), text("status"), text("type")];
            let known =
                codes.into_iter().flatten().find_map(|code| named_refusal(provider, code, retry_after));
            let unknown = || {
                let code = codes.into_iter().flatten().find(|code| machine_code(code).is_some());
                status_refusal(provider, status, code, retry_after)
            };
            known.unwrap_or_else(unknown)
        }
        Value::Array(entries) => {
            // FastAPI's validation errors: the place names one of our fields, the input beside it is the caller's.
            let place = entries.first().and_then(|entry| entry.get("loc")).and_then(Value::as_array);
            let field = place.and_then(|place| place.iter().rev().find_map(Value::as_str));
            status_refusal(provider, status, field, retry_after)
        }
        Value::String(text) => named_refusal(provider, text, retry_after)
            .unwrap_or_else(|| status_refusal(provider, status, Some(text), retry_after)),
        _ => status_refusal(provider, status, None, retry_after),
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    detail: Value,
}

/// How many requests of the account are under way and may be, as response headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Concurrency {
    /// Under way when the answer was made, that request among them.
    pub current: Option<u32>,
    /// Most at a time.
    pub maximum: Option<u32>,
}

impl Concurrency {
    /// Header of [`Concurrency::current`].
    pub const CURRENT_HEADER: &'static str = "current-concurrent-requests";
    /// Header of [`Concurrency::maximum`].
    pub const MAXIMUM_HEADER: &'static str = "maximum-concurrent-requests";

    /// Reads the headers through a look-up by name. What is missing or no number is `None`.
    pub fn from_headers<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let number = |name: &str| header(name).and_then(|value| value.trim().parse().ok());
        Self { current: number(Self::CURRENT_HEADER), maximum: number(Self::MAXIMUM_HEADER) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_wins_over_the_status_and_nothing_said_is_repeated() {
        // Out of credit comes as 401.
        let body =
            br#"{"detail":{"status":"quota_exceeded","message":"Dear Bob, 3 credits of sk_12ab left"}}"#;
        let error = account_refusal("elevenlabs", 401, None, body);
        assert!(matches!(error, ProviderError::OutOfCredit { .. }));
        assert_eq!(error.to_string(), "elevenlabs has no credit left: quota_exceeded");
    }

    #[test]
    fn a_validation_error_names_the_field_and_not_the_input() {
        let body = br#"{"detail":[{"loc":["body","voice_settings","speed"],"msg":"Bob","input":"Bob"}]}"#;
        let error = account_refusal("elevenlabs", 422, None, body);
        assert_eq!(error.to_string(), "elevenlabs does not take the request: speed (status 422)");
    }

    #[test]
    fn headers_that_are_no_numbers_say_nothing() {
        let header = |name: &str| match name {
            "maximum-concurrent-requests" => Some(" 10 "),
            "current-concurrent-requests" => Some("many"),
            _ => None,
        };
        assert_eq!(Concurrency::from_headers(header), Concurrency { current: None, maximum: Some(10) });
    }
}
