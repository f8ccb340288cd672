//! A caller who pauses, and one who goes on after a pause that seemed to be the end.

mod scenes;

use scenes::{ms, only_turn, play, said};
use voice_core::sim::{Act, Scene};

#[test]
fn a_pause_that_sounds_unfinished_does_not_end_the_turn() {
    let call = play(
        Scene::default().trail_off("I am looking for a house").pause(550).say("near the lake").await_turn(),
    );
    assert_eq!(said(&call), ["I am looking for a house near the lake"]);
    assert_eq!(call.asked.len(), 1);
    assert_eq!(call.decided.len(), 1);
}

#[test]
fn a_pause_after_unfinished_words_does_not_end_the_turn() {
    // The turn model errs; the words know better.
    let call =
        play(Scene::default().say("I am looking for a").pause(550).say("house near the lake").await_turn());
    assert_eq!(said(&call), ["I am looking for a house near the lake"]);
    assert_eq!(call.decided.len(), 1);
}

#[test]
fn going_on_before_the_transcript_is_there_makes_one_turn() {
    let mut scene = Scene::default().say("I am looking for a house").then(Act::AwaitDecision).pause(10);
    scene.stt.final_delay = ms(400);
    let call = play(scene.say("near the lake").await_turn());
    assert_eq!(said(&call), ["I am looking for a house near the lake"]);
    assert_eq!(call.asked.len(), 1);
}

#[test]
fn going_on_before_the_answer_can_be_heard_makes_one_turn() {
    let scene = Scene::default().say("I am looking for a house").then(Act::AwaitReply).pause(40);
    let call = play(scene.say("near the lake").await_turn());
    assert_eq!(said(&call), ["I am looking for a house near the lake"]);
    assert_eq!(call.asked.len(), 2, "the first question was taken back");
    assert_eq!(call.asked[0].turn, call.asked[1].turn);
    let first = call.asked[0].reply;
    assert_eq!(call.audible(first), None, "nothing of the first answer was heard");
    assert!(!call.talked_over(&call.spoken[1]));
}

#[test]
fn a_turn_taken_back_twice_keeps_all_its_words() {
    let scene = Scene::default()
        .say("I am looking for a house")
        .then(Act::AwaitReply)
        .pause(40)
        .say("near the lake")
        .then(Act::AwaitReply)
        .pause(40)
        .say("with a garden")
        .await_turn();
    let call = play(scene);
    assert_eq!(said(&call), ["I am looking for a house near the lake with a garden"]);
}

#[test]
fn a_cough_before_the_answer_only_delays_it() {
    let call =
        play(Scene::default().say("how much is it").then(Act::AwaitReply).pause(40).cough(150).await_turn());
    assert_eq!(said(&call), ["how much is it"]);
    assert_eq!(only_turn(&call).heard, only_turn(&call).reply);
}

#[test]
fn going_on_after_the_answer_is_heard_makes_the_next_turn() {
    let scene =
        Scene::default().say("I am looking for a house").await_answer().pause(300).say("near the lake");
    let call = play(scene.await_turn().await_turn());
    assert_eq!(said(&call), ["I am looking for a house", "near the lake"]);
    assert!(call.turns()[0].interrupted);
    assert!(!call.turns()[1].interrupted);
}

#[test]
fn no_pause_of_any_length_loses_or_doubles_a_word() {
    for pause in (0..1_500).step_by(20) {
        for scored in [false, true] {
            let scene = Scene { scored, ..Scene::default() };
            let call = play(
                scene
                    .say("one two three four five six")
                    .pause(pause)
                    .say("seven eight nine ten")
                    .await_turn()
                    .pause(3_000),
            );
            assert_eq!(call.said(), call.truth(), "pause of {pause} ms, scored {scored}");
        }
    }
}

#[test]
fn the_answer_waits_for_a_pause_and_not_for_the_last_word() {
    let call = play(
        Scene::default()
            .trail_off("well")
            .pause(300)
            .trail_off("I am")
            .pause(300)
            .say("looking for a condo")
            .await_turn(),
    );
    for span in &call.spoken {
        assert!(!call.talked_over(span));
    }
    assert!(call.left[0].at.since(call.spoken[2].to) < ms(700));
}
