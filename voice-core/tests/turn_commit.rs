//! When what an answer wants done outside may be done: never for a turn that can still be taken back.

mod scenes;

use scenes::{first_sound, ms, only_turn, play};
use voice_core::ids::ReplyId;
use voice_core::sim::{Act, Scene, TtsFault};
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Event, Failure, Input, NoticeCode, Policy};

const QUESTION: &str = "book the house on maple street";

/// A model that is still writing when its first clause is heard.
fn slow_writer() -> Scene {
    let mut scene = Scene::default();
    scene.llm.token_every = ms(400);
    scene
}

#[test]
fn an_answer_is_committed_at_its_first_sound() {
    let call = play(slow_writer().say(QUESTION).await_turn());
    assert_eq!(call.committed, [(first_sound(&call), ReplyId(1))]);
}

#[test]
fn an_answer_whose_text_is_complete_wants_nothing_more_done() {
    let mut scene = Scene::default();
    scene.tts.first_audio = ms(2_000);
    let call = play(scene.say(QUESTION).await_turn());
    assert!(!call.left.is_empty());
    assert_eq!(call.committed, []);
}

#[test]
fn a_turn_that_goes_on_is_committed_with_all_of_its_words_only() {
    let scene = slow_writer().say("book the house").then(Act::AwaitReply).pause(40);
    let call = play(scene.say("no wait not that one").await_turn());
    assert!(call.asked.len() > 1, "it was taken back: {:?}", call.asked);
    let last = call.asked.last().expect("asked").reply;
    assert_eq!(call.committed, [(first_sound(&call), last)]);
}

#[test]
fn an_answer_that_the_caller_stops_before_it_is_heard_is_not_committed() {
    let scene = slow_writer().say(QUESTION).then(Act::AwaitReply).pause(40).then(Act::Interrupt);
    let call = play(scene.await_turn());
    assert_eq!(call.committed, []);
}

#[test]
fn without_a_voice_the_text_is_what_commits() {
    let mut scene = slow_writer();
    scene.tts.faults.push_back(TtsFault::Fail { after: ms(0) });
    let call = play(scene.say(QUESTION).await_turn());
    let is_loss = |event: &Event| matches!(event, Event::Notice { code: NoticeCode::TtsFailed, .. });
    let lost = call.events.iter().find(|(_, event)| is_loss(event)).expect("a notice").0;
    assert_eq!(call.committed, [(lost, ReplyId(1))]);
    assert_eq!(only_turn(&call).failure, Some(Failure::Tts));
}

#[test]
fn a_committed_answer_without_a_voice_is_not_taken_back() {
    let mut scene = slow_writer();
    scene.tts.faults.push_back(TtsFault::Fail { after: ms(0) });
    let scene = scene.say(QUESTION).then(Act::AwaitReply).pause(5_000);
    let call = play(scene.say("and the one on oak street").await_turn().await_turn());
    let said: Vec<&str> = call.turns().iter().map(|turn| turn.said.as_str()).collect();
    assert_eq!(said, [QUESTION, "and the one on oak street"]);
    assert_eq!(call.turns()[0].failure, Some(Failure::Tts));
}

#[test]
fn an_answer_that_is_excused_for_its_silence_is_not_committed_by_the_excuse() {
    let mut dialogue = Dialogue::new(Policy::default());
    let mut now = SessionTime::from_millis(10);
    let reply = ReplyId(1);
    dialogue.handle_input(Input::Typed { text: "book it".into() }, now);
    dialogue.handle_input(Input::ContextReady { reply }, now);
    now += Policy::default().reply_text;
    dialogue.handle_timeout(now);
    dialogue.handle_input(Input::FirstAudio { reply }, now);
    dialogue.handle_input(Input::AudioLeft { reply }, now);
    let orders: Vec<Command> = std::iter::from_fn(|| dialogue.poll_command()).collect();
    assert!(orders.contains(&Command::FinishSpeech { reply }), "{orders:?}");
    assert!(!orders.contains(&Command::CommitReply { reply }), "{orders:?}");
}
