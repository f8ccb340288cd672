//! ElevenLabs text-to-speech: the bytes that are sent, and what is read in those that come.

mod tables;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tables::{bytes_of, check_closes, check_error, check_refusals, for_each_damage, table};
use voice_core::error::ProviderError;
use voice_core::tts::elevenlabs::wire::{
    self, AudioDecoder, CharTimes, ContextId, ServerMessage, SpeechPiece,
};
use voice_core::tts::elevenlabs::{
    ElevenLabsConfig, OutputFormat, PronunciationDictionary, TextNormalisation, VoiceSettings,
};

const FOLDER: &str = "elevenlabs_tts";

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    base: Option<String>,
    voice: Option<String>,
    model: Option<String>,
    language: Option<String>,
    seed: Option<u32>,
    normalisation: Option<String>,
    format: Option<String>,
    logging: Option<bool>,
    settings: Option<Settings>,
    dictionaries: Vec<(String, Option<String>)>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    stability: Option<f32>,
    similarity_boost: Option<f32>,
    style: Option<f32>,
    use_speaker_boost: Option<bool>,
    speed: Option<f32>,
}

fn config(given: Config) -> ElevenLabsConfig {
    let mut builder = ElevenLabsConfig::builder("sk_hush");
    if let Some(base) = given.base {
        builder = builder.base_url(&base);
    }
    if let Some(voice) = given.voice {
        builder = builder.voice(&voice);
    }
    if let Some(model) = given.model {
        builder = builder.model(&model);
    }
    if let Some(language) = given.language {
        builder = builder.language(&language);
    }
    if let Some(seed) = given.seed {
        builder = builder.seed(seed);
    }
    if let Some(logging) = given.logging {
        builder = builder.logging(logging);
    }
    match given.normalisation.as_deref() {
        None => {}
        Some("on") => builder = builder.normalisation(TextNormalisation::On),
        Some("off") => builder = builder.normalisation(TextNormalisation::Off),
        Some(other) => panic!("{other}"),
    }
    match given.format.as_deref() {
        None => {}
        Some("pcm_8000") => builder = builder.format(OutputFormat::Pcm8000),
        Some("pcm_16000") => builder = builder.format(OutputFormat::Pcm16000),
        Some("pcm_48000") => builder = builder.format(OutputFormat::Pcm48000),
        Some("ulaw_8000") => builder = builder.format(OutputFormat::Ulaw8000),
        Some(other) => panic!("{other}"),
    }
    if let Some(Settings { stability, similarity_boost, style, use_speaker_boost, speed }) = given.settings {
        builder =
            builder.settings(VoiceSettings { stability, similarity_boost, style, use_speaker_boost, speed });
    }
    for (pronunciation_dictionary_id, version_id) in given.dictionaries {
        builder = builder.dictionary(PronunciationDictionary { pronunciation_dictionary_id, version_id });
    }
    builder.build().expect("good settings")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    config: Config,
    call: String,
    address: String,
}

#[test]
fn addresses_hold_what_is_configured_and_never_the_key() {
    for row in table::<Asked>(FOLDER, "addresses") {
        let config = config(row.config);
        let voice = config.voice().id().expect("a default voice").to_owned();
        let address = match row.call.as_str() {
            "multiStream" => wire::multi_stream_address(&config, &voice),
            "streamInput" => wire::stream_input_address(&config, &voice),
            "stream" => wire::stream_address(&config, &voice),
            "timedStream" => wire::timed_stream_address(&config, &voice),
            "voices" => wire::voices_address(&config),
            other => panic!("{other}"),
        };
        assert_eq!(address, row.address, "{}", row.name);
        assert!(!address.contains("hush"), "{}", row.name);
    }
}

#[test]
fn a_voice_id_cannot_leave_its_place_in_the_address() {
    let config = config(Config::default());
    let address = wire::stream_address(&config, "../../v1/voices?x=#");
    assert!(address.contains("/text-to-speech/..%2F..%2Fv1%2Fvoices%3Fx%3D%23/stream?"), "{address}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    name: String,
    config: Config,
    call: String,
    context: Option<u32>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    previous: String,
    #[serde(default)]
    flush: bool,
    sent: Value,
}

#[test]
fn messages_to_the_service_are_what_it_documents() {
    for row in table::<Sent>(FOLDER, "client") {
        let config = config(row.config);
        let context = row.context.map(ContextId);
        let message = match row.call.as_str() {
            "open" => wire::encode_open(&config, context),
            "text" => wire::encode_text(context, &row.text, row.flush),
            "flush" => wire::encode_flush(context),
            "keepAlive" => wire::encode_keep_alive(context),
            "end" => wire::encode_end(context),
            "closeSocket" => wire::encode_close_socket(),
            "request" => wire::encode_request(&config, &row.text, &row.previous).expect("short"),
            other => panic!("{other}"),
        };
        let message: Value = serde_json::from_str(&message).expect("JSON");
        assert_eq!(message, row.sent, "{}", row.name);
    }
}

#[test]
fn a_text_longer_than_the_model_takes_is_not_sent() {
    let config = config(Config { model: Some("eleven_multilingual_v2".into()), ..Config::default() });
    assert!(wire::encode_request(&config, &"ü".repeat(10_000), "").is_ok());
    let error = wire::encode_request(&config, &"ü".repeat(10_001), "").expect_err("too long");
    check_error("length", &error, "Rejected", None);
}

#[test]
fn only_the_end_of_what_was_said_before_is_sent() {
    let config = config(Config::default());
    let body = wire::encode_request(&config, "Yes.", &"é".repeat(5_000)).expect("short");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["previous_text"].as_str().map(|text| text.chars().count()), Some(200));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    message: Value,
    expect: Value,
}

fn times_json(times: Option<&CharTimes>) -> Value {
    let Some(times) = times else { return Value::Null };
    // Whole numbers as such, so that they equal those of the table.
    let ms = |time: Duration| match time.subsec_micros() % 1_000 {
        0 => json!(time.as_millis() as u64),
        _ => json!(time.as_secs_f64() * 1_000.0),
    };
    let spans: Vec<_> = times.spans.iter().map(|s| json!([s.upto, ms(s.start), ms(s.end)])).collect();
    json!({"text": times.text, "spans": spans})
}

fn piece_json(piece: &SpeechPiece<'_>) -> Value {
    json!({"speech": {
        "context": piece.context,
        "audio": piece.audio,
        "alignment": times_json(piece.alignment.as_ref()),
        "normalised": times_json(piece.normalised.as_ref()),
        "final": piece.is_final,
    }})
}

fn check(row: &Row, read: Result<Value, (&str, ProviderError)>) {
    match read {
        Ok(json) => assert_eq!(json, row.expect, "{}", row.name),
        Err((how, error)) => {
            let kind = row.expect["kind"].as_str().unwrap_or_else(|| panic!("{}: {error}", row.name));
            assert_eq!(how == "unreadable", kind == "unreadable", "{}: {how}", row.name);
            let kind = if kind == "unreadable" { "Failed" } else { kind };
            check_error(&row.name, &error, kind, row.expect["error"].as_str());
        }
    }
}

#[test]
fn every_message_is_read_in_every_spelling() {
    for row in table::<Row>(FOLDER, "server") {
        let text = bytes_of(&row.message);
        let read = match wire::parse_message(&text) {
            Ok(ServerMessage::Speech(piece)) => Ok(piece_json(&piece)),
            Ok(ServerMessage::Refused(error)) => Err(("refused", error)),
            Err(error) => Err(("unreadable", error)),
        };
        check(&row, read);
        for_each_damage(&text, |damaged| match wire::parse_message(damaged) {
            Ok(ServerMessage::Refused(error)) | Err(error) => {
                assert!(!error.to_string().contains("hush"), "{}: {error}", row.name);
            }
            Ok(ServerMessage::Speech(_)) => {}
        });
    }
}

#[test]
fn every_line_with_times_is_read() {
    for row in table::<Row>(FOLDER, "timed") {
        let text = bytes_of(&row.message);
        let how = if row.expect["kind"] == "unreadable" { "unreadable" } else { "refused" };
        let read = wire::parse_timed(text.as_bytes());
        check(&row, read.map(|piece| piece_json(&piece)).map_err(|error| (how, error)));
        for_each_damage(&text, |damaged| {
            if let Err(error) = wire::parse_timed(damaged.as_bytes()) {
                assert!(!error.to_string().contains("hush"), "{}: {error}", row.name);
            }
        });
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let audio = "A".repeat(wire::MOST_MESSAGE);
    let message = format!(r#"{{"audio":"{audio}"}}"#);
    let error = wire::parse_message(&message).expect_err("too large");
    assert_eq!(error.to_string(), "elevenlabs failed: a message of more than 4 MiB");
    assert!(wire::parse_timed(message.as_bytes()).is_err());
}

#[test]
fn every_refusal_says_what_can_be_done() {
    check_refusals(FOLDER, wire::parse_refusal);
}

#[test]
fn every_close_says_what_can_be_done() {
    check_closes(FOLDER, wire::parse_close);
}

#[test]
fn audio_in_any_split_is_the_same_samples() {
    let bytes: Vec<u8> = (0..=255).rev().collect();
    for format in [OutputFormat::Pcm24000, OutputFormat::Ulaw8000] {
        let mut whole = Vec::new();
        AudioDecoder::new(format).push_bytes(&bytes, &mut whole);
        assert_eq!(whole.len(), if format == OutputFormat::Ulaw8000 { 256 } else { 128 });
        for size in 1..=bytes.len() {
            let mut decoder = AudioDecoder::new(format);
            let mut parts = Vec::new();
            bytes.chunks(size).for_each(|part| decoder.push_bytes(part, &mut parts));
            assert_eq!(parts, whole, "{format:?} in parts of {size}");
        }
    }
}

#[test]
fn a_context_is_known_by_its_own_name_only() {
    assert_eq!(ContextId::parse("c7"), Some(ContextId(7)));
    for other in ["", "7", "c07", "c+7", "C7", "c7 ", "c4294967296", "hush"] {
        assert_eq!(ContextId::parse(other), None, "{other:?}");
    }
}
