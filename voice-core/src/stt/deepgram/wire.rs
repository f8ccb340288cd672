//! Deepgram's two protocols on the wire: addresses, client messages, server messages, refusals.
//!
//! Times of the service are seconds of the audio that this connection got; they come out as samples at 16 kHz.
//! Invariants: no message that comes in can panic or grow beyond [`MOST_MESSAGE`](crate::stt::MOST_MESSAGE), and no
//! text of one gets into an error. Callers: `live`, `flux`, the stand-in's tests.

use std::time::Duration;

use serde::Deserialize;

use crate::error::ProviderError;
use crate::stt::MOST_MESSAGE;
use crate::wire::{MOST_ERROR_BODY, Target, close_refusal, machine_code, status_refusal};

use super::{DeepgramConfig, PROVIDER};

/// Header that carries the key, behind the word `Token`.
pub const KEY_HEADER: &str = "authorization";

/// Keeps a v1 connection open; the service closes it 10 s after the last message.
pub const KEEP_ALIVE: &str = r#"{"type":"KeepAlive"}"#;
/// v1: give the words of all audio so far.
pub const FINALIZE: &str = r#"{"type":"Finalize"}"#;
/// Both: no more audio comes.
pub const CLOSE_STREAM: &str = r#"{"type":"CloseStream"}"#;
/// v2: the turn is over.
pub const FORCE_END_TURN: &str = r#"{"type":"ForceEndTurn"}"#;

/// Address of the v1 socket.
pub fn live_address(config: &DeepgramConfig) -> String {
    let target = config.base.socket().segments("v1/listen");
    let target = audio(target.query("model", &config.model))
        .query("channels", "1")
        .query_if("language", config.language.as_deref())
        .query("interim_results", "true")
        // The end of a turn is ours to find.
        .query("endpointing", "false")
        .query("punctuate", "true")
        .query_if("smart_format", config.smart_format.then_some("true"));
    // Each generation has its own word for key terms; the older ones have none.
    let key = if config.model.starts_with("nova-3") {
        Some("keyterm")
    } else if config.model.starts_with("nova-2") {
        Some("keywords")
    } else {
        None
    };
    terms(opt_out(target, config), key, config)
}

/// Address of the v2 socket.
pub fn flux_address(config: &DeepgramConfig) -> String {
    let target = config.base.socket().segments("v2/listen");
    let thresholds = config.thresholds;
    let number = |value: Option<f32>| value.map(|value| value.to_string());
    let hint = config.language.as_deref().filter(|_| config.model.contains("multi"));
    let target = audio(target.query("model", &config.model))
        .query_if("language_hint", hint.and_then(crate::wire::language_subtag).as_deref())
        .query_if("eot_threshold", number(thresholds.end_of_turn).as_deref())
        .query_if("eager_eot_threshold", number(thresholds.eager).as_deref())
        .query_if("eot_timeout_ms", thresholds.timeout_ms.map(|ms| ms.to_string()).as_deref());
    terms(opt_out(target, config), Some("keyterm"), config)
}

fn audio(target: Target) -> Target {
    target.query("encoding", "linear16").query("sample_rate", "16000")
}

fn opt_out(target: Target, config: &DeepgramConfig) -> Target {
    target.query_if("mip_opt_out", config.opt_out.then_some("true"))
}

fn terms(target: Target, key: Option<&'static str>, config: &DeepgramConfig) -> String {
    let Some(key) = key else { return target.build() };
    config.key_terms.iter().fold(target, |target, term| target.query(key, term)).build()
}

/// One message of the v1 protocol.
#[derive(Clone, Debug)]
pub enum LiveMessage {
    /// Words of a segment.
    Results(Results),
    /// Nothing that matters here: voice activity, ends of utterances, metadata, and whatever is new.
    Other,
    /// The service gives up.
    Refused(ProviderError),
}

/// Words of a segment. Interim ones are replaced by the next of the same segment, final ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// First sample of the segment on this connection.
    pub start: u64,
    /// Sample behind the segment.
    pub end: u64,
    /// Whether the words stay.
    pub is_final: bool,
    /// Whether this answers [`FINALIZE`].
    pub from_finalize: bool,
    /// The words; often none.
    pub transcript: String,
}

/// Reads a message of the v1 protocol.
///
/// # Errors
/// [`ProviderError::Failed`]: no JSON object with a type, fields of other types, or more than 1 MiB.
pub fn parse_live(text: &str) -> Result<LiveMessage, ProviderError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        start: Option<f64>,
        #[serde(default)]
        duration: Option<f64>,
        #[serde(default)]
        is_final: Option<bool>,
        #[serde(default)]
        from_finalize: Option<bool>,
        // An array of numbers in the other kinds.
        #[serde(default)]
        channel: Option<serde_json::Value>,
        #[serde(default)]
        variant: Option<String>,
    }
    let raw: Raw = read(text)?;
    Ok(match raw.kind.as_str() {
        "Results" => {
            let channel = raw.channel.ok_or_else(|| failed("results without words"))?;
            let words = channel.pointer("/alternatives/0/transcript").and_then(serde_json::Value::as_str);
            let start = raw.start.unwrap_or(0.0);
            LiveMessage::Results(Results {
                start: samples(start),
                end: samples(start + raw.duration.unwrap_or(0.0)),
                is_final: raw.is_final == Some(true),
                from_finalize: raw.from_finalize == Some(true),
                transcript: words.unwrap_or_default().to_owned(),
            })
        }
        "Error" => LiveMessage::Refused(named(raw.variant.as_deref())),
        _ => LiveMessage::Other,
    })
}

/// One message of the v2 protocol.
#[derive(Clone, Debug)]
pub enum FluxMessage {
    /// What is known of the turn.
    Turn(TurnInfo),
    /// Nothing that matters here.
    Other,
    /// The service gives up.
    Refused(ProviderError),
}

/// What is known of a turn: all of it, not what is new.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnInfo {
    /// What happened.
    pub event: TurnEvent,
    /// Which turn of this connection.
    pub turn: u64,
    /// Sample behind the audio that was judged.
    pub end: u64,
    /// All words of the turn.
    pub transcript: String,
    /// How sure the service is that the turn is over, 0 to 1.
    pub confidence: f32,
    /// Whether this answers [`FORCE_END_TURN`].
    pub forced: bool,
}

/// What happened to a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEvent {
    /// More audio was judged.
    Update,
    /// The caller began to speak.
    StartOfTurn,
    /// The turn is probably over.
    EagerEndOfTurn,
    /// It was not.
    TurnResumed,
    /// The turn is over; its words stay.
    EndOfTurn,
}

/// Reads a message of the v2 protocol.
///
/// # Errors
/// As [`parse_live`].
pub fn parse_flux(text: &str) -> Result<FluxMessage, ProviderError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        event: Option<String>,
        #[serde(default)]
        turn_index: Option<u64>,
        #[serde(default)]
        audio_window_end: Option<f64>,
        #[serde(default)]
        transcript: Option<String>,
        #[serde(default)]
        end_of_turn_confidence: Option<f32>,
        #[serde(default)]
        trigger: Option<String>,
        #[serde(default)]
        code: Option<String>,
    }
    let raw: Raw = read(text)?;
    Ok(match raw.kind.as_str() {
        "TurnInfo" => {
            let event = match raw.event.as_deref() {
                Some("Update") => TurnEvent::Update,
                Some("StartOfTurn") => TurnEvent::StartOfTurn,
                Some("EagerEndOfTurn") => TurnEvent::EagerEndOfTurn,
                Some("TurnResumed") => TurnEvent::TurnResumed,
                Some("EndOfTurn") => TurnEvent::EndOfTurn,
                Some(_) => return Ok(FluxMessage::Other),
                None => return Err(failed("a turn without an event")),
            };
            let confidence = raw.end_of_turn_confidence.filter(|c| c.is_finite()).unwrap_or(0.0);
            FluxMessage::Turn(TurnInfo {
                event,
                turn: raw.turn_index.unwrap_or(0),
                end: samples(raw.audio_window_end.unwrap_or(0.0)),
                transcript: raw.transcript.unwrap_or_default(),
                confidence: confidence.clamp(0.0, 1.0),
                forced: raw.trigger.as_deref() == Some("manual"),
            })
        }
        "Error" => FluxMessage::Refused(named(raw.code.as_deref())),
        _ => FluxMessage::Other,
    })
}

/// What a refused handshake means. Everything in the address is configuration, so a bad request is one of those.
pub fn parse_refusal(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        err_code: Option<String>,
        #[serde(default)]
        category: Option<String>,
    }
    let body: Option<Body> = serde_json::from_slice(&body[..body.len().min(MOST_ERROR_BODY)]).ok();
    let code = body.and_then(|body| body.err_code.or(body.category));
    match status_refusal(PROVIDER, status, code.as_deref(), retry_after) {
        ProviderError::Rejected { provider, detail } if status == 400 => {
            ProviderError::Misconfigured { provider, detail }
        }
        error => error,
    }
}

/// What a close means. The reason begins with a code of the service.
pub fn parse_close(code: Option<u16>, reason: &str) -> ProviderError {
    let word = reason.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or_default();
    let provider = PROVIDER;
    match word {
        "DATA-0000" => {
            ProviderError::Rejected { provider, detail: "DATA-0000: the audio was not readable".to_owned() }
        }
        "NET-0000" => ProviderError::Unreachable { provider, detail: "NET-0000: no words in time".to_owned() },
        "NET-0001" => ProviderError::Unreachable { provider, detail: "NET-0001: no audio in time".to_owned() },
        word => close_refusal(provider, code, Some(word)),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ProviderError> {
    if text.len() > MOST_MESSAGE {
        return Err(failed("a message of more than 1 MiB"));
    }
    serde_json::from_str(text).map_err(|_| failed("a message that is not readable"))
}

/// Seconds of the service as samples at 16 kHz; a day at most, and no time is zero.
fn samples(seconds: f64) -> u64 {
    const DAY_SECONDS: f64 = 86_400.0;
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, DAY_SECONDS) } else { 0.0 };
    (seconds * 16_000.0).round() as u64
}

fn named(code: Option<&str>) -> ProviderError {
    failed(code.and_then(machine_code).unwrap_or("an error without a code"))
}

fn failed(detail: &str) -> ProviderError {
    ProviderError::Failed { provider: PROVIDER, detail: detail.to_owned() }
}
