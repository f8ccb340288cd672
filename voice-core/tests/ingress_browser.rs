//! What browsers recorded, against words, lengths and places that lie beside the recordings. No other program is needed.
//!
//! The questions that were spoken into the browsers are the reference: they must be heard where the stored figures say.
#![allow(clippy::unwrap_used)]

mod common;

use std::f64::consts::TAU;

use common::{Heard, hear, hear_whole, likeness};
use voice_core::ingress::IngressError;

/// Samples in a millisecond at 16 kHz.
const PER_MS: usize = 16;

/// One recording with the messages that the browser sent.
struct Recorded {
    name: String,
    bytes: Vec<u8>,
    blobs: Vec<usize>,
    /// The numbers of the messages that begin a new file.
    restarts: Vec<usize>,
    parts: Vec<Part>,
}

/// What is known of one file of a recording.
struct Part {
    decoded_ms: usize,
    text: String,
    speech_ms: std::ops::Range<usize>,
}

impl Recorded {
    fn messages(&self) -> Vec<&[u8]> {
        let mut rest = &self.bytes[..];
        let cut = |&size: &usize| {
            let (message, after) = rest.split_at(size);
            rest = after;
            message
        };
        self.blobs.iter().map(cut).collect()
    }

    fn is_webm(&self) -> bool {
        self.name.ends_with(".webm")
    }
}

/// All recordings in containers that are taken.
fn recordings() -> Vec<Recorded> {
    let mut found: Vec<Recorded> = std::fs::read_dir(voice_fixtures::folder("browser"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "webm" || e == "ogg"))
        .map(|path| {
            let told = std::fs::read(path.with_extension("json")).unwrap();
            let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
            let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
            let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
            let part = |part: &serde_json::Value| Part {
                decoded_ms: number(&part["decoded_ms"]),
                text: part["text"].as_str().unwrap().to_owned(),
                speech_ms: number(&part["speech_start_ms"])..number(&part["speech_end_ms"]),
            };
            Recorded {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                bytes: std::fs::read(&path).unwrap(),
                blobs: list("blobs").iter().map(number).collect(),
                restarts: list("restarts").iter().map(number).collect(),
                parts: list("parts").iter().map(part).collect(),
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() >= 12, "{} recordings", found.len());
    found
}

/// The spoken questions: their words and the samples of the speech alone.
fn questions() -> Vec<(String, Vec<i16>)> {
    let zeros: serde_json::Value =
        serde_json::from_slice(&voice_fixtures::read("questions", "zeros.json").unwrap()).unwrap();
    let cut = |file: &str, about: &serde_json::Value| {
        let heard = hear_whole(&voice_fixtures::read("questions", file).unwrap());
        assert_eq!(heard.error, None, "{file}");
        let at = |key: &str| about[key].as_u64().unwrap() as usize * PER_MS;
        heard.samples[at("speech_start_ms")..at("speech_end_ms")].to_vec()
    };
    let words = String::from_utf8(voice_fixtures::read("questions", "q07.txt").unwrap()).unwrap();
    let mut found = vec![(words.trim().to_owned(), cut("q07.ogg", &zeros["files"]["q07.ogg"]))];
    for about in zeros["files"]["two_questions.wav"]["utterances"].as_array().unwrap() {
        found.push((about["text"].as_str().unwrap().to_owned(), cut("two_questions.wav", about)));
    }
    found
}

/// What was heard of each file of a recording.
fn parts(heard: &Heard) -> Vec<&[i16]> {
    let mut from = 0;
    let cut = |&end: &usize| &heard.samples[std::mem::replace(&mut from, end) * 320..end * 320];
    heard.ends.iter().map(cut).collect()
}

#[test]
fn every_question_is_heard_whole_and_where_it_was_spoken() {
    let questions = questions();
    let mut checked = 0;
    for recorded in recordings() {
        let name = &recorded.name;
        let heard = hear(None, recorded.messages());
        assert_eq!(heard.error, None, "{name}");
        assert_eq!(heard.ends.len(), 1 + recorded.restarts.len(), "{name}");
        for (samples, part) in parts(&heard).into_iter().zip(&recorded.parts) {
            // The last frame is padded.
            let off = samples.len() as isize - (part.decoded_ms * PER_MS) as isize;
            assert!((-40..=360).contains(&off), "{name}: {off} samples longer than the stored length");
            let (_, speech) = questions.iter().find(|(text, _)| *text == part.text).unwrap();
            let found = &samples[part.speech_ms.start * PER_MS..part.speech_ms.end * PER_MS];
            let (score, shift) = likeness(found, speech, 24);
            assert!(score > 0.93 && shift.abs() <= 20, "{name}: likeness {score} at {shift}");
            checked += 1;
        }
    }
    assert!(checked >= 13, "{checked} questions");
}

#[test]
fn a_tone_is_heard_as_that_tone() {
    let all = recordings();
    let recorded = all.iter().find(|r| r.name == "firefox-webm-250-tone.webm").unwrap();
    let heard = hear(None, recorded.messages());
    assert_eq!((heard.error.clone(), heard.concealed_frames()), (None, 0));
    let second = &heard.samples[4_000..20_000];
    let (mut sine, mut cosine, mut energy) = (0.0, 0.0, 0.0);
    for (i, &sample) in second.iter().enumerate() {
        let (angle, sample) = (i as f64 / 16_000.0 * 1_000.0 * TAU, f64::from(sample));
        sine += sample * angle.sin();
        cosine += sample * angle.cos();
        energy += sample * sample;
    }
    let share = 2.0 * (sine * sine + cosine * cosine) / (second.len() as f64 * energy);
    assert!(share > 0.98, "{share} of the energy is at 1000 Hz");
}

#[test]
fn it_does_not_matter_how_the_bytes_are_cut() {
    for recorded in recordings() {
        let whole = hear_whole(&recorded.bytes);
        assert!(hear(None, recorded.messages()) == whole, "{}: as the browser cut it", recorded.name);
        for size in [1, 7, 255, 4_096] {
            assert!(hear(None, recorded.bytes.chunks(size)) == whole, "{}: {size} bytes", recorded.name);
        }
    }
}

#[test]
fn a_first_message_that_comes_twice_is_heard_once() {
    for recorded in recordings() {
        let messages = recorded.messages();
        // One message is the whole recording, and one byte is no header.
        if messages.len() < 2 || messages[0].len() < 2 {
            continue;
        }
        let once = hear(None, messages.iter().copied());
        let twice = hear(None, std::iter::once(messages[0]).chain(messages.iter().copied()));
        assert_eq!(twice.error, None, "{}", recorded.name);
        assert!(twice.samples == once.samples, "{}: {} bytes twice", recorded.name, messages[0].len());
    }
}

#[test]
fn a_lost_first_message_is_named() {
    for recorded in recordings() {
        let messages = recorded.messages();
        if messages.len() < 2 || messages[0].len() < 2 {
            continue;
        }
        let container = if recorded.is_webm() { "WebM" } else { "Ogg" };
        for lost in 1..=3.min(messages.len() - 1) {
            let heard = hear(None, messages[lost..].iter().copied());
            let expected = IngressError::StartMissing { container };
            assert_eq!(heard.error, Some(expected), "{} without {lost} messages", recorded.name);
        }
    }
}
