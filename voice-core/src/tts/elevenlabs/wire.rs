//! ElevenLabs' text-to-speech on the wire: addresses, client messages, server messages, audio.
//!
//! One set of messages serves both sockets: `multi-stream-input` names a context in each, `stream-input` has none.
//! Settings that are `None` are left out, since the service takes `null` for a value. Invariants: no message that
//! comes in can panic or grow beyond its limit, and no text of a message gets into an error. Callers: `contexts`, the
//! client, the stand-in's tests.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::codec::SampleCoding;
use crate::error::ProviderError;
use crate::wire::{Target, account_refusal, close_refusal, named_refusal};

use super::{
    ElevenLabsConfig, OutputFormat, PROVIDER, PronunciationDictionary, TextNormalisation, VoiceSettings,
};

/// Header that carries the key.
pub const KEY_HEADER: &str = "xi-api-key";

/// Bytes of one server message, 4 MiB. The longest is one piece of speech of a whole buffer (290 characters, about
/// 20 s), which at 44.1 kHz is 2.4 MB in base64, and its alignment.
pub const MOST_MESSAGE: usize = 4 << 20;

// Addresses.

/// Address of the socket that speaks many contexts.
pub fn multi_stream_address(config: &ElevenLabsConfig, voice_id: &str) -> String {
    socket(config, voice_id, "multi-stream-input")
}

/// Address of the socket that speaks one text.
pub fn stream_input_address(config: &ElevenLabsConfig, voice_id: &str) -> String {
    socket(config, voice_id, "stream-input")
}

/// Address of the request whose answer is the audio as it is made.
pub fn stream_address(config: &ElevenLabsConfig, voice_id: &str) -> String {
    let target = speech(config.base.http(), voice_id).segments("stream");
    logging(target.query("output_format", config.format.as_str()), config).build()
}

/// Address of the account's voices, for [`find_voice`](super::find_voice).
pub fn voices_address(config: &ElevenLabsConfig) -> String {
    config.base.http().segments("v1/voices").query("show_legacy", "false").build()
}

fn socket(config: &ElevenLabsConfig, voice_id: &str, kind: &'static str) -> String {
    let seed = config.seed.map(|seed| seed.to_string());
    let target = speech(config.base.socket(), voice_id)
        .segments(kind)
        .query("model_id", config.model.as_str())
        .query("output_format", config.format.as_str())
        // We send whole clauses, each with a flush: the service must not wait for more.
        .query("auto_mode", "true")
        // Without it some pieces of audio come without alignment.
        .query("sync_alignment", "true")
        .query_if("language_code", language(config))
        .query_if("apply_text_normalization", config.normalisation.map(TextNormalisation::as_str))
        .query_if("seed", seed.as_deref());
    logging(target, config).build()
}

fn speech(base: Target, voice_id: &str) -> Target {
    base.segments("v1/text-to-speech").segment(voice_id)
}

fn logging(target: Target, config: &ElevenLabsConfig) -> Target {
    target.query_if("enable_logging", (!config.logging).then_some("false"))
}

/// The language, where the model lets itself be told.
fn language(config: &ElevenLabsConfig) -> Option<&str> {
    config.language.as_deref().filter(|_| config.model.takes_language())
}

// What we send.

/// Name of a context on one socket. Never used twice, so that late audio is known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(pub u32);

impl ContextId {
    /// Reads what [`Display`](fmt::Display) wrote; `None` for anything else.
    pub fn parse(name: &str) -> Option<Self> {
        let number = name.strip_prefix('c')?.parse().ok()?;
        (Self(number).to_string() == name).then_some(Self(number))
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl Serialize for ContextId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Default, Serialize)]
struct ClientMessage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_id: Option<ContextId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice_settings: Option<VoiceSettings>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pronunciation_dictionary_locators: &'a [PronunciationDictionary],
    #[serde(skip_serializing_if = "is_false")]
    flush: bool,
    #[serde(skip_serializing_if = "is_false")]
    close_context: bool,
    #[serde(skip_serializing_if = "is_false")]
    close_socket: bool,
}

impl ClientMessage<'_> {
    fn encode(&self) -> String {
        // A struct of texts, numbers and booleans always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

// Serde hands a reference in.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Opens a context, or the only text of `stream-input`: how it sounds, and no text yet, which is written as one space.
pub fn encode_open(config: &ElevenLabsConfig, context: Option<ContextId>) -> String {
    let voice_settings = (!config.settings.is_default()).then_some(config.settings);
    let dictionaries = config.dictionaries.as_slice();
    ClientMessage {
        text: Some(" "),
        context_id: context,
        voice_settings,
        pronunciation_dictionary_locators: dictionaries,
        ..Default::default()
    }
    .encode()
}

/// More text. Texts are joined as they are, so it should end with a space. `flush`: speak all there is, wait for
/// nothing. An empty text would mean something else; it becomes a space.
pub fn encode_text(context: Option<ContextId>, text: &str, flush: bool) -> String {
    let text = if text.is_empty() { " " } else { text };
    ClientMessage { text: Some(text), context_id: context, flush, ..Default::default() }.encode()
}

/// Speak all there is.
pub fn encode_flush(context: Option<ContextId>) -> String {
    // `stream-input` wants a text in every message, and takes a space for none.
    let text = if context.is_none() { Some(" ") } else { None };
    ClientMessage { text, context_id: context, flush: true, ..Default::default() }.encode()
}

/// Resets the 20 s of inactivity. On `stream-input` that is a space, since an empty text ends it there.
pub fn encode_keep_alive(context: Option<ContextId>) -> String {
    let text = if context.is_none() { " " } else { "" };
    ClientMessage { text: Some(text), context_id: context, ..Default::default() }.encode()
}

/// No more text: what was flushed is still spoken, then the final message comes. On `stream-input` that ends the
/// socket.
pub fn encode_end(context: Option<ContextId>) -> String {
    match context {
        Some(_) => ClientMessage { context_id: context, close_context: true, ..Default::default() }.encode(),
        None => ClientMessage { text: Some(""), ..Default::default() }.encode(),
    }
}

/// Ends a multi-context socket after what was flushed.
pub fn encode_close_socket() -> String {
    ClientMessage { close_socket: true, ..Default::default() }.encode()
}

/// The body of a request to [`stream_address`].
///
/// # Errors
/// [`ProviderError::Rejected`] where the text is longer than the model takes.
pub fn encode_request(config: &ElevenLabsConfig, text: &str) -> Result<String, ProviderError> {
    #[derive(Serialize)]
    struct Request<'a> {
        text: &'a str,
        model_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        language_code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        voice_settings: Option<VoiceSettings>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        pronunciation_dictionary_locators: &'a [PronunciationDictionary],
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        apply_text_normalization: Option<TextNormalisation>,
    }
    let longest = config.model.longest_text();
    if text.chars().count() > longest {
        let detail = format!("a text of more than {longest} characters");
        return Err(ProviderError::Rejected { provider: PROVIDER, detail });
    }
    let request = Request {
        text,
        model_id: config.model.as_str(),
        language_code: language(config),
        voice_settings: (!config.settings.is_default()).then_some(config.settings),
        pronunciation_dictionary_locators: &config.dictionaries,
        seed: config.seed,
        apply_text_normalization: config.normalisation,
    };
    // As for a client message.
    Ok(serde_json::to_string(&request).unwrap_or_default())
}

// What comes back.

/// One message of a socket.
#[derive(Debug)]
pub enum ServerMessage<'a> {
    /// A piece of speech, or the end of it.
    Speech(SpeechPiece<'a>),
    /// The service gives up; the socket closes next.
    Refused(ProviderError),
}

/// A piece of speech.
#[derive(Debug, Default, PartialEq)]
pub struct SpeechPiece<'a> {
    /// Of which context; `None` on `stream-input`.
    pub context: Option<Cow<'a, str>>,
    /// Audio in base64, not yet decoded; see [`AudioDecoder`].
    pub audio: Option<Cow<'a, str>>,
    /// When the characters that we sent are spoken.
    pub alignment: Option<CharTimes>,
    /// When the characters that were spoken instead are: numbers written out, dictionary entries replaced.
    pub normalised: Option<CharTimes>,
    /// Nothing of this context follows.
    pub is_final: bool,
}

/// Times of characters. They count from the first sample of the piece they came with, but may reach beyond its audio:
/// some pieces carry the times of those after them, which then have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CharTimes {
    /// The characters one after the other.
    pub text: String,
    /// One entry a character, in order.
    pub spans: Vec<CharSpan>,
}

/// When one character is spoken. The service may put several letters into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CharSpan {
    /// Bytes of [`CharTimes::text`] up to and with this one.
    pub upto: usize,
    /// First moment.
    pub start: Duration,
    /// Last moment.
    pub end: Duration,
}

/// Reads one message. Both spellings of every field are taken.
///
/// # Errors
/// [`ProviderError::Failed`]: no JSON object, fields of other types, or more than [`MOST_MESSAGE`] bytes.
pub fn parse_message(text: &str) -> Result<ServerMessage<'_>, ProviderError> {
    if text.len() > MOST_MESSAGE {
        return Err(failed("a message of more than 4 MiB"));
    }
    let raw: Raw<'_> = serde_json::from_str(text).map_err(|_| failed("a message that is not readable"))?;
    let has_speech = raw.audio.is_some() || raw.is_final.is_some() || raw.is_final_snake.is_some();
    if raw.error.is_some() || (raw.message.is_some() && !has_speech) {
        return Ok(ServerMessage::Refused(socket_refusal(&raw)));
    }
    Ok(ServerMessage::Speech(SpeechPiece {
        context: raw.context.or(raw.context_snake),
        audio: raw.audio.filter(|audio| !audio.is_empty()),
        alignment: raw.alignment.and_then(Times::read),
        normalised: raw.normalised.or(raw.normalised_snake).and_then(Times::read),
        is_final: raw.is_final == Some(true) || raw.is_final_snake == Some(true),
    }))
}

/// What an answer that is no success means.
pub fn parse_refusal(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
    account_refusal(PROVIDER, status, retry_after, body)
}

/// What a close means that came instead of the rest of the speech. The reason may hold the code of the error.
pub fn parse_close(code: Option<u16>, reason: &str) -> ProviderError {
    let words = reason.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '+')));
    let named = words.filter(|word| word.contains('_')).find_map(|word| named_refusal(PROVIDER, word, None));
    named.unwrap_or_else(|| close_refusal(PROVIDER, code, Some(reason)))
}

fn socket_refusal(raw: &Raw<'_>) -> ProviderError {
    let code = raw.error.as_deref().unwrap_or_default();
    let close = match raw.code {
        Some(serde_json::Value::Number(ref number)) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        _ => None,
    };
    named_refusal(PROVIDER, code, None)
        .unwrap_or_else(|| close_refusal(PROVIDER, close.or(Some(1008)), Some(code)))
}

fn failed(detail: &str) -> ProviderError {
    ProviderError::Failed { provider: PROVIDER, detail: detail.to_owned() }
}

/// Every field in every spelling that was documented or seen. Two spellings in one message are no error.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    audio: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "contextId")]
    context: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "context_id")]
    context_snake: Option<Cow<'a, str>>,
    #[serde(default, rename = "isFinal")]
    is_final: Option<bool>,
    #[serde(default, rename = "is_final")]
    is_final_snake: Option<bool>,
    #[serde(default)]
    alignment: Option<Times>,
    #[serde(default, rename = "normalizedAlignment")]
    normalised: Option<Times>,
    #[serde(default, rename = "normalized_alignment")]
    normalised_snake: Option<Times>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    code: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Times {
    #[serde(default)]
    chars: Vec<String>,
    #[serde(default, rename = "charStartTimesMs")]
    starts: Option<Vec<f64>>,
    #[serde(default, rename = "charsStartTimesMs")]
    starts_plural: Option<Vec<f64>>,
    #[serde(default, rename = "char_start_times_ms")]
    starts_snake: Option<Vec<f64>>,
    #[serde(default, rename = "charDurationsMs")]
    durations: Option<Vec<f64>>,
    #[serde(default, rename = "charsDurationsMs")]
    durations_plural: Option<Vec<f64>>,
    #[serde(default, rename = "char_durations_ms")]
    durations_snake: Option<Vec<f64>>,
}

impl Times {
    /// Characters that lack a time are left out; none at all are no alignment.
    fn read(self) -> Option<CharTimes> {
        let starts = self.starts.or(self.starts_plural).or(self.starts_snake)?;
        let durations = self.durations.or(self.durations_plural).or(self.durations_snake)?;
        let mut times = CharTimes::default();
        for ((char, start), duration) in self.chars.iter().zip(starts).zip(durations) {
            times.text.push_str(char);
            let start = milliseconds(start);
            let end = start + milliseconds(duration);
            times.spans.push(CharSpan { upto: times.text.len(), start, end });
        }
        (!times.spans.is_empty()).then_some(times)
    }
}

/// A time of the service; what is no time is zero, what is longer than any piece of speech is cut.
fn milliseconds(ms: f64) -> Duration {
    if ms.is_finite() { Duration::from_secs_f64(ms.clamp(0.0, LONGEST_MS) / 1_000.0) } else { Duration::ZERO }
}

/// Ten minutes: no piece of speech is that long.
const LONGEST_MS: f64 = 600_000.0;

/// Padding or none: the service pads, a proxy may not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Turns the audio of one context, or of one HTTP answer, into samples. A sample that is split between two pieces is
/// put together again.
#[derive(Clone, Debug)]
pub struct AudioDecoder {
    coding: SampleCoding,
    /// The first byte of a sample whose second has not come.
    carry: Option<u8>,
    bytes: Vec<u8>,
}

impl AudioDecoder {
    /// A decoder for one stream in this format.
    pub fn new(format: OutputFormat) -> Self {
        Self { coding: format.coding(), carry: None, bytes: Vec::new() }
    }

    /// Appends the samples of a piece in base64.
    ///
    /// # Errors
    /// [`ProviderError::Failed`]: it is none. Nothing was appended.
    pub fn push_base64(&mut self, audio: &str, out: &mut Vec<i16>) -> Result<(), ProviderError> {
        self.start();
        let before = self.bytes.len();
        if BASE64.decode_vec(audio, &mut self.bytes).is_err() {
            self.bytes.truncate(before);
            self.carry = self.bytes.first().copied();
            return Err(failed("audio that is not base64"));
        }
        self.finish(out);
        Ok(())
    }

    /// Appends the samples of a piece of an HTTP answer.
    pub fn push_bytes(&mut self, audio: &[u8], out: &mut Vec<i16>) {
        self.start();
        self.bytes.extend_from_slice(audio);
        self.finish(out);
    }

    fn start(&mut self) {
        self.bytes.clear();
        self.bytes.extend(self.carry.take());
    }

    fn finish(&mut self, out: &mut Vec<i16>) {
        let whole = self.bytes.len() / self.coding.width() * self.coding.width();
        self.coding.decode_into(&self.bytes[..whole], out);
        // The formats have one or two bytes a sample, so at most one is left.
        self.carry = self.bytes.get(whole).copied();
    }
}
