//! The engine with scripted providers: what a caller gets who sends one recording and nothing else.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::session::{Engine, Output, PlayoutClock, Session, SessionEnd, SessionOptions};
use voice_core::sim::{ScriptedLlm, ScriptedStt, ScriptedTts};
use voice_core::tts::{AbsentVoice, TextToSpeech};
use voice_core::turn::{Event, Failure, TurnRecord};

fn engine(tts: Arc<dyn TextToSpeech>) -> Engine {
    Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["How much is it?", "Does it have a garage?"])))
        .llm(Arc::new(ScriptedLlm::default()))
        .tts(tts)
        .build()
        .unwrap()
}

fn options() -> SessionOptions {
    let mut options = SessionOptions::new(SessionId::random());
    options.playout = PlayoutClock::Skip;
    options
}

fn two_questions() -> Bytes {
    Bytes::from(voice_fixtures::read("questions", "two_questions.wav").unwrap())
}

async fn outcome(mut call: Session) -> (usize, Vec<TurnRecord>, SessionEnd) {
    let (mut messages, mut turns) = (0, Vec::new());
    loop {
        match call.next().await.expect("an end before nothing") {
            Output::Audio(message) => {
                assert_eq!(&message.payload[..4], b"RIFF");
                messages += 1;
            }
            Output::Event(Event::TurnEnded(turn)) => turns.push(*turn),
            Output::Ended(end) => return (messages, turns, end),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_recorded_questions_get_two_answers_in_order() {
    let call = engine(Arc::new(ScriptedTts::default())).open(options()).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (messages, turns, end) = outcome(call).await;
    let said: Vec<&str> = turns.iter().map(|t| t.said.as_str()).collect();
    assert_eq!(said, ["How much is it?", "Does it have a garage?"]);
    assert!(turns.iter().all(|t| t.heard == t.reply && !t.heard.is_empty() && t.failure.is_none()));
    assert!(messages >= 2);
    assert_eq!(end, SessionEnd::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_without_a_voice_to_answer_hears_so_and_the_call_ends() {
    let reason = ProviderError::Unreachable { provider: "voice", detail: "nobody there".into() };
    let call = engine(Arc::new(AbsentVoice::new(reason))).open(options()).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (messages, turns, end) = outcome(call).await;
    assert!(messages >= 2, "the packaged sentence lasts over three seconds: {messages} messages");
    assert_eq!(turns[0].failure, Some(Failure::Tts));
    assert_eq!((turns[0].said.as_str(), turns[0].heard.as_str()), ("How much is it?", ""));
    assert_eq!(end, SessionEnd::VoiceLost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_one_call_form_streams_audio_for_audio() {
    let pieces: Vec<Bytes> = two_questions().chunks(1_000).map(Bytes::copy_from_slice).collect();
    let engine = engine(Arc::new(ScriptedTts::default()));
    let mut answers = engine.converse(options(), futures::stream::iter(pieces)).unwrap();
    let mut messages = 0;
    while let Some(answer) = answers.next().await {
        assert_eq!(&answer.unwrap()[..4], b"RIFF");
        messages += 1;
    }
    assert!(messages >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hang_up_right_after_the_recording_keeps_the_words() {
    let call =
        engine(Arc::new(ScriptedTts::default())).open(SessionOptions::new(SessionId::random())).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().close();
    let (_, turns, end) = outcome(call).await;
    // Without time to wait out the pause between them, the two questions are one utterance: the script's first.
    let said: Vec<&str> = turns.iter().map(|t| t.said.as_str()).collect();
    assert_eq!(said, ["How much is it?"]);
    assert!(turns[0].reply.is_empty(), "nothing is answered any more");
    assert_eq!(end, SessionEnd::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_audio_ends_the_call_with_its_name() {
    let call = engine(Arc::new(ScriptedTts::default())).open(options()).unwrap();
    call.sender().push(Bytes::from(voice_fixtures::read("formats", "aac.mp4").unwrap())).await.unwrap();
    let (messages, turns, end) = outcome(call).await;
    assert_eq!((messages, turns.len()), (0, 0));
    assert!(matches!(&end, SessionEnd::Unsupported(reason) if reason.contains("MP4")), "{end:?}");
}
