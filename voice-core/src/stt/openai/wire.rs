//! OpenAI's transcription on the wire: the form with its WAV file, the answer, the refusals of it and its relatives.
//!
//! Invariants: nothing in the audio or in a term can end its part of the form (RFC 2046, section 5.1.1), no answer can
//! panic or grow beyond [`MOST_MESSAGE`], and no text of one gets into an error. Callers:
//! `whole`, the client, the stand-in's tests.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::codec::pcm::encode_s16_into;
use crate::error::ProviderError;
use crate::stt::MOST_MESSAGE;
use crate::wire::{MOST_ERROR_BODY, machine_code, read_object, status_refusal};

use super::{PROVIDER, TranscriptionConfig};

/// Address of the request, a `POST`.
pub fn transcription_address(config: &TranscriptionConfig) -> String {
    config.base.http().segments("audio/transcriptions").build()
}

/// Address of the list of models, a `GET` that costs nothing.
pub fn models_address(config: &TranscriptionConfig) -> String {
    config.base.http().segments("models").build()
}

/// A form: what stands in `Content-Type`, and the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// With the boundary.
    pub content_type: String,
    /// All parts.
    pub body: Vec<u8>,
    /// Samples in it.
    pub samples: usize,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Form({} bytes)", self.body.len())
    }
}

/// The form for 16 kHz samples. Parts that say nothing are left out.
pub fn encode_form(config: &TranscriptionConfig, samples: &[i16]) -> Form {
    let wav = encode_wav(samples);
    let fields = [
        ("model", config.model.as_str()),
        ("response_format", "json"),
        ("language", config.language.as_deref().unwrap_or_default()),
        ("prompt", config.prompt.as_str()),
    ];
    let boundary = boundary_of(&wav, &fields);
    let mut body = Vec::with_capacity(wav.len() + 1_024 + config.prompt.len());
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        let part =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let file = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"audio.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\n"
    );
    body.extend_from_slice(file.as_bytes());
    body.extend_from_slice(&wav);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Form { content_type, body, samples: samples.len() }
}

/// A boundary that stands nowhere in the parts: a caller decides what is in the audio.
fn boundary_of(wav: &[u8], fields: &[(&str, &str)]) -> String {
    let stands_in =
        |boundary: &str, bytes: &[u8]| bytes.windows(boundary.len()).any(|w| w == boundary.as_bytes());
    let mut number = 0u32;
    loop {
        let boundary = format!("voice-form-{number:08x}");
        let taken =
            stands_in(&boundary, wav) || fields.iter().any(|(_, v)| stands_in(&boundary, v.as_bytes()));
        // There are more numbers than places in the parts, so this ends.
        if !taken {
            return boundary;
        }
        number = number.wrapping_add(1);
    }
}

/// A WAV file of 16 kHz mono 16-bit samples.
fn encode_wav(samples: &[i16]) -> Vec<u8> {
    // An utterance has a few MiB at most.
    let data = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX - 36);
    let mut wav = Vec::with_capacity(44 + samples.len() * 2);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(data + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16u32.to_le_bytes());
    // PCM, one channel.
    wav.extend_from_slice(&1u16.to_le_bytes());
    wav.extend_from_slice(&1u16.to_le_bytes());
    wav.extend_from_slice(&16_000u32.to_le_bytes());
    wav.extend_from_slice(&32_000u32.to_le_bytes());
    wav.extend_from_slice(&2u16.to_le_bytes());
    wav.extend_from_slice(&16u16.to_le_bytes());
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&data.to_le_bytes());
    encode_s16_into(samples, &mut wav);
    wav
}

/// The words of an answer, plain or verbose.
///
/// # Errors
/// [`ProviderError::Failed`]: no JSON object with a text, or more than 1 MiB.
pub fn parse_answer(body: &[u8]) -> Result<String, ProviderError> {
    #[derive(Deserialize)]
    struct Answer {
        text: String,
    }
    if body.len() > MOST_MESSAGE {
        return Err(failed("an answer of more than 1 MiB"));
    }
    let answer: Answer = read_object(body).ok_or_else(|| failed("an answer that is not readable"))?;
    Ok(answer.text.trim().to_owned())
}

/// Checks that the body of a successful answer is a list of models; which ones does not matter here.
///
/// # Errors
/// [`ProviderError::Misconfigured`]: something else answers at this address.
pub fn check_models(body: &[u8]) -> Result<(), ProviderError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(rename = "data")]
        _data: IgnoredAny,
    }
    check::<List>(body, "what answers at this address gives no list of models")
}

/// Checks that the body of an answer to a form without a recording comes from a server that knows such forms, where its
/// status does not tell: any object does.
///
/// # Errors
/// [`ProviderError::Misconfigured`]: something else answers at this address.
pub fn check_refused(body: &[u8]) -> Result<(), ProviderError> {
    check::<IgnoredAny>(body, "what answers at this address does not transcribe")
}

fn check<'a, T: Deserialize<'a>>(body: &'a [u8], otherwise: &str) -> Result<(), ProviderError> {
    let read = if body.len() <= MOST_MESSAGE { read_object::<T>(body) } else { None };
    let detail = otherwise.to_owned();
    read.map(drop).ok_or(ProviderError::Misconfigured { provider: PROVIDER, detail })
}

/// What an answer that is no success means. OpenAI has its error in `error`, vLLM at the top, others in `detail` or
/// nowhere.
pub fn parse_refusal(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
    let body: Value = serde_json::from_slice(&body[..body.len().min(MOST_ERROR_BODY)]).unwrap_or(Value::Null);
    let error = body.get("error").filter(|error| error.is_object()).unwrap_or(&body);
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let codes = [text("code"), text("type")];
    let provider = PROVIDER;
    for code in codes.into_iter().flatten() {
        let detail = code.to_owned();
        match code {
            "invalid_api_key" | "account_deactivated" | "permission_denied" => {
                return ProviderError::Unauthorised { provider, detail };
            }
            "insufficient_quota" | "billing_hard_limit_reached" => {
                return ProviderError::OutOfCredit { provider, detail };
            }
            "model_not_found" | "unsupported_model" => {
                return ProviderError::Misconfigured { provider, detail };
            }
            "rate_limit_exceeded" => return ProviderError::Limited { provider, detail, retry_after },
            "server_error" => return ProviderError::Failed { provider, detail },
            _ => {}
        }
    }
    let code = codes.into_iter().flatten().find(|code| machine_code(code).is_some());
    status_refusal(provider, status, code, retry_after)
}

fn failed(detail: &str) -> ProviderError {
    ProviderError::Failed { provider: PROVIDER, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stt::SttOptions;

    #[test]
    fn the_wav_file_is_one() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        let mut reader =
            hound::WavReader::new(std::io::Cursor::new(encode_wav(&samples))).expect("a WAV file");
        assert_eq!(
            (reader.spec().channels, reader.spec().sample_rate, reader.spec().bits_per_sample),
            (1, 16_000, 16)
        );
        let back: Vec<i16> = reader.samples().map(|sample| sample.expect("a sample")).collect();
        assert_eq!(back, samples);
    }

    #[test]
    fn a_list_of_models_is_told_from_other_pages() {
        for list in [&br#"{"object":"list","data":[{"id":"whisper-1"}]}"#[..], br#"{"data":null}"#] {
            assert!(check_models(list).is_ok());
        }
        let long = vec![b' '; MOST_MESSAGE + 1];
        for other in [&b""[..], b"<html>hush</html>", b"[{}]", b"{\"data\":", &long] {
            for error in
                [check_models(other), check_refused(other)].map(|checked| checked.expect_err("neither"))
            {
                assert!(matches!(error, ProviderError::Misconfigured { .. }));
                assert!(!error.to_string().contains("hush"));
            }
        }
        let refused = br#"{"error":"no 'file' field in the request"}"#;
        assert!(check_models(refused).is_err() && check_refused(refused).is_ok());
    }

    #[test]
    fn audio_cannot_end_its_part_of_the_form() {
        let config = TranscriptionConfig::builder(None).build().expect("sound");
        let evil =
            b"\r\n--voice-form-00000000\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n";
        let samples: Vec<i16> = evil.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
        let options = SttOptions { key_terms: vec!["voice-form-00000001".into()], ..SttOptions::default() };
        let form = encode_form(&config.for_call(&options), &samples);
        assert_eq!(form.content_type, "multipart/form-data; boundary=voice-form-00000002");
        let parts = form.body.windows(23).filter(|w| *w == b"--voice-form-00000002\r\n").count();
        assert_eq!(parts, 4, "model, format, prompt and file");
    }
}
