//! Whole recordings in one message, from a caller who does nothing else: basic profile.

use std::net::SocketAddr;

use serde_json::Value;

use crate::caller::Caller;
use crate::server::{conversation, turns};
use crate::sound::{
    Message, assert_follows, assert_understood, decode, file, gaps, question, shown, wav_messages,
};

/// Sends one file, waits for the turns, hangs up and reads back what is stored right behind the echo.
async fn answered(address: SocketAddr, bytes: &[u8], questions: &[&str]) -> (Vec<Message>, Value) {
    let mut caller = Caller::basic(address, "").await;
    caller.send(bytes);
    turns(address, caller.id, questions.len()).await;
    let (got, echo) = caller.hang_up().await;
    let stored = conversation(address, caller.id).await;
    assert!(echo.as_secs_f64() < 2.0, "the echo took {echo:?}");
    let messages = wav_messages(&got);
    assert!(!messages.is_empty(), "no audio came");
    assert!(messages.iter().any(|message| message.peak > 1_000), "the answer is silence");
    assert_eq!(stored["status"], "ended");

    let transcript = stored["transcript"].as_array().expect("a transcript");
    let roles: Vec<_> = transcript.iter().map(|said| said["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant"].repeat(questions.len()), "{transcript:?}");
    for (words, said) in questions.iter().zip(transcript.iter().step_by(2)) {
        assert_understood(words, said["text"].as_str().unwrap());
    }
    for turn in stored["turns"].as_array().expect("turns") {
        assert_eq!((&turn["interrupted"], &turn["heard"]), (&Value::Bool(false), &turn["reply"]), "{turn}");
    }
    (messages, stored)
}

pub(crate) async fn a_wav_is_answered_in_wav_messages(address: SocketAddr) {
    let question = question("q02");
    let (messages, stored) = answered(address, &question.wav(), &[&question.words]).await;
    let reply = stored["transcript"][1]["text"].as_str().unwrap();
    assert!(reply.contains("525"), "the price of the house is not told: {reply}");

    let gaps = gaps(&messages);
    let lasts: Vec<f64> = messages.iter().map(|message| message.lasts.as_secs_f64() * 1_000.0).collect();
    println!(
        "  wav: messages of ms {}; each after its predecessor's end by ms {}",
        shown(&lasts),
        shown(&gaps)
    );
    // 40 ms of the contract, and the noise of the machine.
    assert_follows(&gaps, 45.0);
}

pub(crate) async fn a_webm_of_chromium_is_answered(address: SocketAddr) {
    let words = question("q07").words;
    let (messages, _) = answered(address, &file("browser", "chromium-webm-stop.webm"), &[&words]).await;
    println!("  chromium: gaps of ms {}", shown(&gaps(&messages)));
}

pub(crate) async fn a_webm_of_firefox_is_answered(address: SocketAddr) {
    let words = question("q07").words;
    answered(address, &file("browser", "firefox-webm-1000.webm"), &[&words]).await;
}

pub(crate) async fn an_ogg_is_answered(address: SocketAddr) {
    let words = question("q04").words;
    answered(address, &file("questions", "q04.ogg"), &[&words]).await;
}

pub(crate) async fn two_questions_in_one_file_are_answered_in_order(address: SocketAddr) {
    let questions = [question("q02").words, question("q03").words];
    let bytes = file("questions", "two_questions.wav");
    let (messages, stored) = answered(address, &bytes, &[&questions[0], &questions[1]]).await;
    let turns = stored["turns"].as_array().unwrap();
    assert_eq!((&turns[0]["turn"], &turns[1]["turn"]), (&Value::from(1), &Value::from(2)));
    let garage = turns[1]["reply"].as_str().unwrap().to_lowercase();
    assert!(garage.contains("garage"), "the second answer knows what `it` is: {garage}");
    let spoken: f64 = messages.iter().map(|message| message.lasts.as_secs_f64()).sum();
    println!(
        "  two questions: {:.1} s of file, {spoken:.1} s of answers",
        decode(&bytes).len() as f64 / 16_000.0
    );
}

pub(crate) async fn what_is_no_audio_for_us_is_named(address: SocketAddr) {
    for (bytes, name) in [
        (file("formats", "aac.mp4"), "mp4"),
        (file("browser", "chromium-mp4-250.mp4"), "mp4"),
        (file("formats", "mp3.mp3"), "mp3"),
        (file("formats", "flac.flac"), "flac"),
        (file("formats", "vorbis.ogg"), "vorbis"),
        (file("formats", "text.txt"), "text"),
        (Vec::new(), "empty"),
    ] {
        let mut caller = Caller::basic(address, "").await;
        caller.send(&bytes);
        let (got, _, code, reason) = caller.closed().await;
        assert_eq!((code, got.len()), (1003, 0), "{name}: {reason:?}");
        assert!(reason.to_lowercase().contains(name), "the reason does not name {name}: {reason:?}");
    }
}
