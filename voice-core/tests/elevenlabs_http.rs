//! A reply over HTTP: a request a clause, and speech from the answers in any split.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::tts::SpeechEvent;
use voice_core::tts::elevenlabs::{ElevenLabsConfig, HttpReply, OutputFormat, SpeechRequest};

fn reply(timed: bool) -> HttpReply {
    let config = ElevenLabsConfig::builder("sk_hush").format(OutputFormat::Pcm16000).build().expect("sound");
    HttpReply::new(config, timed)
}

fn asked(reply: &mut HttpReply) -> (u32, Value) {
    let SpeechRequest { id, body, .. } = reply.poll_request().expect("a request");
    (id, serde_json::from_str(&body).expect("JSON"))
}

/// Milliseconds of audio, `|` for an end, words for marks.
fn said(reply: &mut HttpReply) -> String {
    let one = |event: SpeechEvent| match event {
        SpeechEvent::Audio { rate, samples } => {
            rate.duration_of(samples.len() as u64).as_millis().to_string()
        }
        SpeechEvent::ClauseEnd => "|".to_owned(),
        SpeechEvent::Alignment(marks) => {
            let marks: Vec<_> =
                marks.iter().map(|m| format!("{}:{}@{}", m.clause, m.upto, m.start.as_millis())).collect();
            marks.join(",")
        }
    };
    std::iter::from_fn(|| reply.poll_event()).map(one).collect::<Vec<_>>().join(" ")
}

/// A line with 100 ms a character, its times counted from `from_ms`.
fn line(text: &str, from_ms: u32) -> String {
    let chars: Vec<String> = text.chars().map(String::from).collect();
    let time = |k: usize| f64::from(from_ms + 100 * k as u32) / 1_000.0;
    let audio = STANDARD.encode(vec![1u8; chars.len() * 3_200]);
    let starts: Vec<f64> = (0..chars.len()).map(time).collect();
    let ends: Vec<f64> = (1..=chars.len()).map(time).collect();
    let alignment = json!({"characters": chars, "character_start_times_seconds": starts, "character_end_times_seconds": ends});
    format!("{}\n", json!({"audio_base64": audio, "alignment": alignment, "normalized_alignment": null}))
}

#[test]
fn one_request_is_under_way_at_a_time_and_each_ends_a_clause() {
    let mut reply = reply(false);
    for clause in ["It has two rooms.", " — ", "And a pool."] {
        reply.handle_clause(clause).expect("short");
    }
    reply.handle_end();
    let (first, body) = asked(&mut reply);
    assert_eq!(body, json!({"text": "It has two rooms.", "model_id": "eleven_turbo_v2"}));
    assert_eq!(reply.poll_request(), None);
    reply.handle_bytes(first, &[1; 3_201]).expect("audio");
    reply.handle_bytes(first, &[1; 3_199]).expect("audio");
    reply.handle_answered(first).expect("complete");
    assert_eq!(said(&mut reply), "100 100 | |", "what has nothing to speak ends by itself");
    let (second, body) = asked(&mut reply);
    assert_eq!(body["previous_text"], "It has two rooms.");
    reply.handle_bytes(first, &[1; 3_200]).expect("late audio is dropped");
    assert!(!reply.is_over());
    reply.handle_bytes(second, &[1; 3_200]).expect("audio");
    reply.handle_answered(second).expect("complete");
    assert_eq!(said(&mut reply), "100 |");
    assert!(reply.is_over() && reply.poll_request().is_none());
}

#[test]
fn half_a_sample_at_the_end_of_an_answer_does_not_shift_the_next_one() {
    let mut reply = reply(false);
    for clause in ["One.", "Two."] {
        reply.handle_clause(clause).expect("short");
        let (id, _) = asked(&mut reply);
        reply.handle_bytes(id, &[1, 0, 2, 0, 7]).expect("audio");
        reply.handle_answered(id).expect("complete");
    }
    let samples: Vec<i16> = std::iter::from_fn(|| reply.poll_event())
        .filter_map(|event| if let SpeechEvent::Audio { samples, .. } = event { Some(samples) } else { None })
        .flatten()
        .collect();
    assert_eq!(samples, [1, 2, 1, 2]);
}

#[test]
fn lines_in_any_split_give_the_same_words_and_audio() {
    // The second piece counts from the answer, the third from itself; both were seen.
    let body = format!("{}\n{}{}", line("Hi ", 0), line("you ", 300), line("two.", 0));
    let whole = {
        let mut reply = reply(true);
        reply.handle_clause("Hi you two.").expect("short");
        let (id, _) = asked(&mut reply);
        reply.handle_bytes(id, body.as_bytes()).expect("lines");
        reply.handle_answered(id).expect("complete");
        said(&mut reply)
    };
    assert_eq!(whole, "0:2@0 300 0:6@300 400 0:11@700 400 |");
    for size in [1, 2, 3, 7, 100, 4_097] {
        let mut reply = reply(true);
        reply.handle_clause("Hi you two.").expect("short");
        let (id, _) = asked(&mut reply);
        body.trim_end()
            .as_bytes()
            .chunks(size)
            .for_each(|part| reply.handle_bytes(id, part).expect("a part"));
        reply.handle_answered(id).expect("the last line needs no end");
        assert_eq!(said(&mut reply), whole, "parts of {size}");
    }
}

#[test]
fn the_second_answer_counts_from_its_own_start() {
    let mut reply = reply(true);
    for clause in ["Hi.", "Yes."] {
        reply.handle_clause(clause).expect("short");
        let (id, _) = asked(&mut reply);
        reply.handle_bytes(id, line(clause, 0).as_bytes()).expect("a line");
        reply.handle_answered(id).expect("complete");
    }
    assert_eq!(said(&mut reply), "0:3@0 300 | 1:4@300 400 |");
}

#[test]
fn a_word_that_was_spoken_otherwise_costs_no_end() {
    let mut reply = reply(true);
    for (clause, spoken) in [("It costs $5", "It costs five"), ("Yes.", "Yes."), ("No.", "No.")] {
        reply.handle_clause(clause).expect("short");
        let (id, _) = asked(&mut reply);
        reply.handle_bytes(id, line(spoken, 0).as_bytes()).expect("a line");
        reply.handle_answered(id).expect("complete");
    }
    reply.handle_end();
    let said = said(&mut reply);
    assert_eq!(said, "0:2@0,0:8@300 1300 | 1:4@1300 400 | 2:3@1700 300 |");
}

#[test]
fn what_is_no_speech_ends_the_reply_once() {
    let kind = |result: Result<(), ProviderError>| result.map_err(|error| error.to_string());
    for (body, error) in [
        ("", "elevenlabs failed: an answer without audio"),
        ("<html>hush</html>\n", "elevenlabs failed: a line that is not readable"),
        ("{\"audio_base64\":\"!!\"}\n", "elevenlabs failed: audio that is not base64"),
        (
            "{\"detail\":{\"status\":\"quota_exceeded\",\"message\":\"hush\"}}",
            "elevenlabs has no credit left: quota_exceeded",
        ),
    ] {
        let mut reply = reply(true);
        reply.handle_clause("One.").expect("short");
        reply.handle_clause("Two.").expect("short");
        let (id, _) = asked(&mut reply);
        let read = reply.handle_bytes(id, body.as_bytes()).and_then(|()| reply.handle_answered(id));
        assert_eq!(kind(read), Err(error.to_owned()));
        assert!(reply.is_over() && reply.poll_request().is_none());
        assert_eq!(kind(reply.handle_answered(id)), Ok(()), "once");
        reply.handle_clause("Three.").expect("nothing comes of it");
        assert_eq!(reply.poll_request(), None);
    }
}

#[test]
fn a_line_without_an_end_is_bounded() {
    let mut reply = reply(true);
    reply.handle_clause("One.").expect("short");
    let (id, _) = asked(&mut reply);
    let megabyte = vec![b' '; 1 << 20];
    let failed = (0..5).find_map(|_| reply.handle_bytes(id, &megabyte).err()).expect("too much");
    assert_eq!(failed.to_string(), "elevenlabs failed: a line of more than 4 MiB");
}

#[test]
fn a_reply_of_too_much_text_is_refused() {
    let mut reply = reply(false);
    let clause = "word ".repeat(4_000);
    let failed = (0..10).find_map(|_| reply.handle_clause(&clause).err()).expect("too much");
    assert!(matches!(failed, ProviderError::Rejected { .. }));
    assert!(reply.is_over());
}
