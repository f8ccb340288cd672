//! Scribe realtime on the wire: address, client messages, server messages.
//!
//! Invariants: no message that comes in can panic or grow beyond [`MOST_MESSAGE`](crate::stt::MOST_MESSAGE), and no
//! text of one gets into an error. Callers: `scribe`, the stand-in's tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::ProviderError;
use crate::stt::MOST_MESSAGE;
use crate::stt::backlog::encode_samples;
use crate::wire::{close_refusal, named_refusal};

use super::{PROVIDER, ScribeConfig};

/// Header that carries the key.
pub const KEY_HEADER: &str = "xi-api-key";

/// Characters of text from before that the service takes with the first chunk.
pub const LONGEST_PREVIOUS: usize = 50;

/// Address of the socket.
pub fn realtime_address(config: &ScribeConfig) -> String {
    let target = config.base.socket().segments("v1/speech-to-text/realtime");
    let target = target
        .query("model_id", &config.model)
        .query("audio_format", "pcm_16000")
        .query("commit_strategy", "manual")
        .query_if("language_code", config.language.as_deref())
        .query_if("filter_background_audio", config.background_filter.then_some("true"))
        .query_if("no_verbatim", (!config.verbatim).then_some("true"))
        .query_if("enable_logging", (!config.logging).then_some("false"));
    config.key_terms.iter().fold(target, |target, term| target.query("keyterms", term)).build()
}

#[derive(Serialize)]
struct AudioChunk<'a> {
    message_type: &'static str,
    audio_base_64: String,
    commit: bool,
    sample_rate: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_text: Option<&'a str>,
}

/// A chunk of 16 kHz audio. `previous_text` goes with the first chunk of a connection and with no other; what is too
/// long is cut to its end.
pub fn encode_audio(samples: &[i16], previous_text: Option<&str>) -> String {
    encode(samples, false, previous_text.map(tail).filter(|text| !text.is_empty()))
}

/// Asks for the words of all audio since the last commit.
pub fn encode_commit() -> String {
    encode(&[], true, None)
}

fn encode(samples: &[i16], commit: bool, previous_text: Option<&str>) -> String {
    let chunk = AudioChunk {
        message_type: "input_audio_chunk",
        audio_base_64: STANDARD.encode(encode_samples(samples)),
        commit,
        sample_rate: 16_000,
        previous_text,
    };
    // A struct of texts, numbers and booleans always has a JSON form.
    serde_json::to_string(&chunk).unwrap_or_default()
}

/// The end of a text, from a word on where one begins in it.
fn tail(text: &str) -> &str {
    let text = text.trim();
    let Some((at, _)) = text.char_indices().rev().nth(LONGEST_PREVIOUS - 1) else { return text };
    let end = &text[at..];
    let cuts_word = text[..at].chars().next_back().is_some_and(|c| !c.is_whitespace());
    match end.split_once(char::is_whitespace) {
        Some((_, rest)) if cuts_word => rest.trim_start(),
        _ => end.trim_start(),
    }
}

/// One message of the service.
#[derive(Clone, Debug)]
pub enum ServerMessage {
    /// The session began.
    Started,
    /// The words since the last commit; each replaces the one before.
    Partial {
        /// The words.
        text: String,
    },
    /// The words of a commit; empty where nothing was understood.
    Committed {
        /// The words.
        text: String,
        /// Whether this is the copy with times, which comes beside the plain one where times were asked for.
        timed: bool,
    },
    /// Nothing that matters here: warnings, entities, edits, and whatever is new.
    Other,
    /// The service gives up.
    Refused(ProviderError),
}

/// Reads one message.
///
/// # Errors
/// [`ProviderError::Failed`]: no JSON object with a kind, fields of other types, or more than 1 MiB.
pub fn parse_message(text: &str) -> Result<ServerMessage, ProviderError> {
    #[derive(Deserialize)]
    struct Raw {
        message_type: String,
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        error: Option<serde_json::Value>,
    }
    if text.len() > MOST_MESSAGE {
        return Err(failed("a message of more than 1 MiB"));
    }
    let raw: Raw = serde_json::from_str(text).map_err(|_| failed("a message that is not readable"))?;
    let words = raw.text.unwrap_or_default();
    Ok(match raw.message_type.as_str() {
        "session_started" => ServerMessage::Started,
        "partial_transcript" => ServerMessage::Partial { text: words },
        "committed_transcript" => ServerMessage::Committed { text: words, timed: false },
        "committed_transcript_with_timestamps" => ServerMessage::Committed { text: words, timed: true },
        // The kinds of errors are the account's codes.
        kind => match named_refusal(PROVIDER, kind, None) {
            Some(error) => ServerMessage::Refused(error),
            None if raw.error.is_some() || kind.ends_with("error") => {
                ServerMessage::Refused(failed("an error of a kind that is not known"))
            }
            None => ServerMessage::Other,
        },
    })
}

/// What a close means. A normal one too: the service ends sessions that are quiet or old.
pub fn parse_close(code: Option<u16>, reason: &str) -> ProviderError {
    let words = reason.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named = words.filter(|word| word.contains('_')).find_map(|word| named_refusal(PROVIDER, word, None));
    named.unwrap_or_else(|| close_refusal(PROVIDER, code, Some(reason)))
}

fn failed(detail: &str) -> ProviderError {
    ProviderError::Failed { provider: PROVIDER, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_before_is_cut_to_whole_words() {
        assert_eq!(tail(" short one "), "short one");
        let long = "This is a sentence that has quite a lot more than fifty characters in it.";
        assert_eq!(tail(long), "a lot more than fifty characters in it.");
        assert!(tail(long).chars().count() <= LONGEST_PREVIOUS);
        let unbroken = "ü".repeat(80);
        assert_eq!(tail(&unbroken).chars().count(), 50);
        assert_eq!(tail("   "), "");
    }
}
