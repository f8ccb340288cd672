//! Text typed instead of spoken.

mod scenes;

use scenes::{play, said};
use voice_core::sim::{Act, Scene};

fn typed(text: &str) -> Act {
    Act::Type(text.to_owned())
}

#[test]
fn a_typed_question_is_answered() {
    let call = play(Scene::default().pause(300).then(typed("  how much is it? ")).await_turn());
    let turn = call.turns()[0];
    assert_eq!(turn.said, "how much is it?");
    assert_eq!(turn.heard, turn.reply);
    assert_eq!(call.asked[0].at, call.acts[1]);
}

#[test]
fn nothing_typed_is_nothing() {
    let call = play(Scene::default().then(typed("  \n ")).pause(500));
    assert!(call.turns().is_empty() && call.asked.is_empty());
}

#[test]
fn typing_over_the_answer_cuts_it() {
    let scene = Scene::default().say("how much is the house").await_answer().pause(1_000);
    let call = play(scene.then(typed("does it have a garage")).await_turn().await_turn());
    assert_eq!(said(&call), ["how much is the house", "does it have a garage"]);
    assert!(call.turns()[0].interrupted && !call.turns()[0].heard.is_empty());
}

#[test]
fn typing_before_the_answer_is_heard_replaces_it() {
    let scene = Scene::default().say("how much is the house").then(Act::AwaitReply).pause(40);
    let call = play(scene.then(typed("does it have a garage")).await_turn().pause(500));
    assert_eq!(said(&call), ["how much is the house", "does it have a garage"]);
    assert_eq!(call.turns()[0].heard, "");
}

#[test]
fn typing_twice_loses_neither() {
    let scene = Scene::default().say("how much is the house").await_answer().pause(1_000);
    let call = play(
        scene
            .then(typed("does it have a garage"))
            .then(typed("and a garden"))
            .await_turn()
            .await_turn()
            .pause(8_000),
    );
    assert_eq!(call.said(), "how much is the house does it have a garage and a garden");
}

#[test]
fn typing_while_the_transcript_is_made_keeps_what_was_said() {
    let scene = Scene::default().say("how much is the house").then(Act::AwaitDecision).pause(20);
    let call = play(scene.then(typed("on maple street")).await_turn());
    assert_eq!(said(&call), ["how much is the house on maple street"]);
}

#[test]
fn typing_while_speaking_counts_what_is_typed() {
    let call = play(
        Scene::default().say("how much is").then(typed("how much is the house on maple street")).await_turn(),
    );
    assert_eq!(call.turns().last().expect("a turn").said, "how much is the house on maple street");
}

#[test]
fn speech_after_typing_is_the_next_turn() {
    let scene = Scene::default().then(typed("how much is the house")).await_turn();
    let call = play(scene.pause(300).say("does it have a garage").await_turn());
    assert_eq!(said(&call), ["how much is the house", "does it have a garage"]);
}
