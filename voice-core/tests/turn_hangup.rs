//! Hanging up, in every phase of a call.

mod scenes;

use scenes::{ms, play, said};
use voice_core::sim::{Act, Call, LlmFault, Scene, SttFault, TtsFault};
use voice_core::turn::{CloseReason, Policy};

const QUESTION: &str = "how much is the house on maple street";

fn assert_closed_in_time(call: &Call) {
    let (at, why) = call.closed().expect("closed");
    assert_eq!(why, CloseReason::Ended);
    let hung_up = *call.acts.last().expect("acts");
    assert!(at.since(hung_up) <= Policy::default().close, "{:?}", at.since(hung_up));
    assert!(call.left.iter().all(|l| l.at <= hung_up), "audio after hanging up");
}

#[test]
fn before_a_word() {
    let call = play(Scene::default().pause(500).hang_up());
    assert_closed_in_time(&call);
    assert!(call.turns().is_empty());
}

#[test]
fn in_mid_speech() {
    let call = play(Scene::default().say(QUESTION).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);
    assert_eq!(call.turns()[0].reply, "");
}

#[test]
fn in_the_pause() {
    for pause in (20..600).step_by(20) {
        let call = play(Scene::default().say(QUESTION).pause(pause).hang_up());
        assert_closed_in_time(&call);
        assert_eq!(said(&call), [QUESTION], "after {pause} ms");
    }
}

#[test]
fn while_the_transcript_is_made() {
    let call = play(Scene::default().say(QUESTION).then(Act::AwaitDecision).pause(5).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);
}

#[test]
fn while_the_answer_is_made() {
    let call = play(Scene::default().say(QUESTION).then(Act::AwaitReply).pause(60).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);
    assert_eq!(call.turns()[0].heard, "");
}

#[test]
fn while_the_answer_is_heard() {
    let call = play(Scene::default().say(QUESTION).await_answer().pause(1_500).hang_up());
    assert_closed_in_time(&call);
    let turn = call.turns()[0];
    assert!(turn.interrupted);
    assert!(!turn.heard.is_empty() && turn.heard.len() < turn.reply.len());
}

#[test]
fn while_speaking_over_the_answer() {
    let scene = Scene::default().say(QUESTION).await_answer().pause(1_500);
    let call = play(scene.say("no does it have a garage").hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION, "no does it have a garage"]);
}

#[test]
fn after_everything() {
    let call = play(Scene::default().say(QUESTION).await_turn().pause(500).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);
    assert_eq!(call.turns()[0].heard, call.turns()[0].reply);
}

#[test]
fn with_long_slices_the_last_words_are_kept() {
    for slice in [100, 250, 300, 1_000] {
        let call = play(Scene::default().slices_of(slice).pause(2_100).say(QUESTION).hang_up());
        assert_closed_in_time(&call);
        assert_eq!(said(&call), [QUESTION], "{slice} ms slices");
    }
}

#[test]
fn with_a_recogniser_that_is_silent_the_partial_words_are_kept() {
    let mut scene = Scene::default();
    scene.stt.faults.push_back(SttFault::Silent);
    let call = play(scene.say(QUESTION).pause(150).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);
}

#[test]
fn with_a_stalled_model_or_voice() {
    let mut scene = Scene::default();
    scene.llm.faults.push_back(LlmFault::Stall { after: 0 });
    let call = play(scene.say(QUESTION).then(Act::AwaitReply).pause(1_000).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);

    let mut scene = Scene::default();
    scene.tts.faults.push_back(TtsFault::Stall { after: ms(0) });
    let call = play(scene.say(QUESTION).then(Act::AwaitReply).pause(1_000).hang_up());
    assert_closed_in_time(&call);
    assert_eq!(said(&call), [QUESTION]);
    assert!(call.turns()[0].reply.starts_with("The house"));
}

#[test]
fn at_any_moment_of_a_call_nothing_said_is_lost() {
    for at in (0..9_000).step_by(90) {
        let call = play(Scene::default().say(QUESTION).pause(at).hang_up());
        assert_closed_in_time(&call);
        assert_eq!(said(&call), [QUESTION], "after {at} ms");
    }
}
