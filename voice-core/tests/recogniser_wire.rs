//! Recognisers in the cloud: the bytes that are sent, and what is read in those that come.

mod tables;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tables::{bytes_of, check_closes, check_error, check_refusals, for_each_damage, table};
use voice_core::error::ProviderError;
use voice_core::stt::deepgram::wire::{FluxMessage, LiveMessage};
use voice_core::stt::deepgram::{self, DeepgramConfig, FluxThresholds};
use voice_core::stt::elevenlabs::wire::ServerMessage;
use voice_core::stt::elevenlabs::{self, ScribeConfig};
use voice_core::stt::openai::{self, TranscriptionConfig};
use voice_core::stt::{MOST_MESSAGE, SttOptions};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    base: Option<String>,
    model: Option<String>,
    language: String,
    key_terms: Vec<String>,
    background_filter: Option<bool>,
    verbatim: Option<bool>,
    logging: Option<bool>,
    smart_format: Option<bool>,
    opt_out: Option<bool>,
    end_of_turn: Option<f32>,
    eager: Option<f32>,
    timeout_ms: Option<u32>,
}

impl Config {
    fn options(&self) -> SttOptions {
        SttOptions {
            language: self.language.clone(),
            key_terms: self.key_terms.clone(),
            ..SttOptions::default()
        }
    }

    fn scribe(&self) -> ScribeConfig {
        let mut builder = ScribeConfig::builder("sk_hush");
        if let Some(base) = &self.base {
            builder = builder.base_url(base);
        }
        if let Some(on) = self.background_filter {
            builder = builder.background_filter(on);
        }
        if let Some(on) = self.verbatim {
            builder = builder.verbatim(on);
        }
        if let Some(on) = self.logging {
            builder = builder.logging(on);
        }
        builder.build().expect("good settings").for_call(&self.options())
    }

    fn deepgram(&self) -> DeepgramConfig {
        let (end_of_turn, eager, timeout_ms) = (self.end_of_turn, self.eager, self.timeout_ms);
        let mut builder =
            DeepgramConfig::builder("hush").thresholds(FluxThresholds { end_of_turn, eager, timeout_ms });
        if let Some(base) = &self.base {
            builder = builder.base_url(base);
        }
        if let Some(model) = &self.model {
            builder = builder.model(model);
        }
        if let Some(on) = self.smart_format {
            builder = builder.smart_format(on);
        }
        if let Some(on) = self.opt_out {
            builder = builder.opt_out(on);
        }
        builder.build().expect("good settings").for_call(&self.options())
    }

    fn transcription(&self) -> TranscriptionConfig {
        let mut builder = TranscriptionConfig::builder(Some("sk-hush"));
        if let Some(base) = &self.base {
            builder = builder.base_url(base);
        }
        if let Some(model) = &self.model {
            builder = builder.model(model);
        }
        builder.build().expect("good settings").for_call(&self.options())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    config: Config,
    #[serde(default)]
    flux: bool,
    address: String,
}

#[test]
fn addresses_hold_what_is_configured_and_never_the_key() {
    for row in table::<Asked>("elevenlabs_scribe", "addresses") {
        let address = elevenlabs::wire::realtime_address(&row.config.scribe());
        assert_eq!(address, row.address, "{}", row.name);
        assert!(!address.contains("hush"));
    }
    for row in table::<Asked>("deepgram", "addresses") {
        let config = row.config.deepgram();
        assert_eq!(config.is_flux(), row.flux, "{}", row.name);
        let address = deepgram::wire::live_address;
        let address = if row.flux { deepgram::wire::flux_address(&config) } else { address(&config) };
        assert_eq!(address, row.address, "{}", row.name);
        assert!(!address.contains("hush"));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    name: String,
    call: String,
    samples: Vec<i16>,
    previous: Option<String>,
    sent: Value,
}

#[test]
fn messages_to_scribe_are_what_it_documents() {
    for row in table::<Sent>("elevenlabs_scribe", "client") {
        let message = match row.call.as_str() {
            "audio" => elevenlabs::wire::encode_audio(&row.samples, row.previous.as_deref()),
            "commit" => elevenlabs::wire::encode_commit(),
            other => panic!("{other}"),
        };
        let message: Value = serde_json::from_str(&message).expect("JSON");
        assert_eq!(message, row.sent, "{}", row.name);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    name: String,
    call: String,
    sent: Value,
}

#[test]
fn orders_to_deepgram_are_what_it_documents() {
    for row in table::<Order>("deepgram", "client") {
        let message = match row.call.as_str() {
            "finalize" => deepgram::wire::FINALIZE,
            "keep_alive" => deepgram::wire::KEEP_ALIVE,
            "close_stream" => deepgram::wire::CLOSE_STREAM,
            "force_end_turn" => deepgram::wire::FORCE_END_TURN,
            other => panic!("{other}"),
        };
        let message: Value = serde_json::from_str(message).expect("JSON");
        assert_eq!(message, row.sent, "{}", row.name);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    message: Value,
    expect: Value,
}

/// Reads each row of a table, and each damaged form of it.
fn check(folder: &str, name: &str, read: impl Fn(&str) -> Result<Value, (&'static str, ProviderError)>) {
    for row in table::<Row>(folder, name) {
        let text = bytes_of(&row.message);
        match read(&text) {
            Ok(json) => assert_eq!(json, row.expect, "{}", row.name),
            Err((how, error)) => {
                assert_eq!(row.expect["is"], how, "{}: {error}", row.name);
                let kind = row.expect["kind"].as_str().expect("a kind");
                check_error(&row.name, &error, kind, row.expect["error"].as_str());
            }
        }
        for_each_damage(&text, |damaged| {
            if let Err((_, error)) = read(damaged) {
                assert!(!error.to_string().contains("hush"), "{}: {error}", row.name);
            }
        });
    }
    let (how, error) = read(&" ".repeat(MOST_MESSAGE + 1)).expect_err("too large");
    assert!(how == "unreadable" && error.to_string().ends_with("a message of more than 1 MiB"), "{error}");
}

#[test]
fn every_message_of_scribe_is_read() {
    check("elevenlabs_scribe", "server", |text| match elevenlabs::wire::parse_message(text) {
        Ok(ServerMessage::Started) => Ok(json!({"is": "started"})),
        Ok(ServerMessage::Partial { text }) => Ok(json!({"is": "partial", "text": text})),
        Ok(ServerMessage::Committed { text, timed }) => {
            Ok(json!({"is": "committed", "text": text, "timed": timed}))
        }
        Ok(ServerMessage::Other) => Ok(json!({"is": "other"})),
        Ok(ServerMessage::Refused(error)) => Err(("refused", error)),
        Err(error) => Err(("unreadable", error)),
    });
}

#[test]
fn every_message_of_deepgram_live_is_read() {
    check("deepgram", "live", |text| match deepgram::wire::parse_live(text) {
        Ok(LiveMessage::Results(r)) => Ok(json!({
            "is": "results", "text": r.transcript, "start": r.start, "end": r.end, "final": r.is_final,
            "finalize": r.from_finalize,
        })),
        Ok(LiveMessage::Other) => Ok(json!({"is": "other"})),
        Ok(LiveMessage::Refused(error)) => Err(("refused", error)),
        Err(error) => Err(("unreadable", error)),
    });
}

#[test]
fn every_message_of_flux_is_read() {
    check("deepgram", "flux", |text| match deepgram::wire::parse_flux(text) {
        Ok(FluxMessage::Turn(t)) => Ok(json!({
            "is": "turn", "event": format!("{:?}", t.event), "turn": t.turn, "end": t.end, "text": t.transcript,
            "confidence": t.confidence, "forced": t.forced,
        })),
        Ok(FluxMessage::Other) => Ok(json!({"is": "other"})),
        Ok(FluxMessage::Refused(error)) => Err(("refused", error)),
        Err(error) => Err(("unreadable", error)),
    });
}

#[test]
fn every_refusal_says_what_can_be_done() {
    check_refusals("deepgram", deepgram::wire::parse_refusal);
    check_refusals("elevenlabs_scribe", |status, after, body| {
        voice_core::wire::account_refusal(elevenlabs::PROVIDER, status, after, body)
    });
    check_refusals("openai_transcription", openai::wire::parse_refusal);
}

#[test]
fn every_close_says_what_can_be_done() {
    check_closes("deepgram", deepgram::wire::parse_close);
    check_closes("elevenlabs_scribe", elevenlabs::wire::parse_close);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormRow {
    name: String,
    config: Config,
    address: String,
    fields: BTreeMap<String, String>,
}

#[test]
fn a_form_holds_its_fields_and_a_wav_file() {
    for row in table::<FormRow>("openai_transcription", "forms") {
        let config = row.config.transcription();
        assert_eq!(openai::wire::transcription_address(&config), row.address, "{}", row.name);
        let form = openai::wire::encode_form(&config, &[256, -2]);
        let boundary = form.content_type.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
        let body: String = form.body.iter().map(|byte| char::from(*byte)).collect();
        let mut parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
        assert_eq!((parts.remove(0), parts.pop()), ("", Some("--\r\n")), "{}", row.name);
        let mut fields = BTreeMap::new();
        for part in parts {
            let (head, value) =
                part.strip_suffix("\r\n").and_then(|p| p.split_once("\r\n\r\n")).expect("a part");
            let name = head.split('"').nth(1).expect("a name").to_owned();
            if name == "file" {
                assert!(head.contains("filename=\"audio.wav\"\r\nContent-Type: audio/wav"), "{head}");
                assert!(
                    value.starts_with("RIFF") && value.ends_with("data\x04\0\0\0\0\x01\u{fe}\u{ff}"),
                    "{value:?}"
                );
            } else {
                // Back from bytes to text.
                let bytes: Vec<u8> = value.chars().map(|c| c as u8).collect();
                fields.insert(name, String::from_utf8(bytes).expect("UTF-8"));
            }
        }
        assert_eq!(fields, row.fields, "{}", row.name);
        assert!(!body.contains("hush"));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    name: String,
    body: Value,
    text: Option<String>,
    error: Option<String>,
}

#[test]
fn the_words_of_every_answer_are_read() {
    for row in table::<Answer>("openai_transcription", "answers") {
        let body = bytes_of(&row.body);
        match openai::wire::parse_answer(body.as_bytes()) {
            Ok(text) => assert_eq!(Some(text), row.text, "{}", row.name),
            Err(error) => {
                check_error(&row.name, &error, "Failed", Some(row.error.as_deref().expect("words")))
            }
        }
        for_each_damage(&body, |damaged| {
            if let Err(error) = openai::wire::parse_answer(damaged.as_bytes()) {
                assert!(!error.to_string().contains("hush"));
            }
        });
    }
    let error = openai::wire::parse_answer(&vec![b' '; MOST_MESSAGE + 1]).expect_err("too large");
    check_error("size", &error, "Failed", Some("openai failed: an answer of more than 1 MiB"));
}
