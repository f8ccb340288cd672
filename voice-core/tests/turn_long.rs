//! A caller who does not stop.

mod scenes;

use scenes::{ms, play};
use voice_core::sim::{Act, Scene};
use voice_core::turn::Policy;

/// Numbered words, so that a lost or doubled one shows.
fn monologue(words: usize) -> String {
    (0..words).map(|k| format!("word{k}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn three_minutes_without_a_breath_are_transcribed_piece_by_piece() {
    let text = monologue(480);
    let call = play(Scene::default().speak(&text, ms(180_000), 0.95).await_turn());
    assert_eq!(call.turns().len(), 1);
    assert_eq!(call.said(), text);
    assert!(call.decided.len() >= 3, "{:?}", call.decided);
    assert!(!call.talked_over(&call.spoken[0]));
}

#[test]
fn a_monologue_with_breaths_loses_nothing() {
    for breath in [100, 250, 400, 600] {
        let mut scene = Scene::default();
        let words = monologue(480);
        let words: Vec<_> = words.split(' ').collect();
        for sentence in words.chunks(12) {
            scene = scene.speak(&sentence.join(" "), ms(4_300), 0.04).pause(breath);
        }
        let call = play(scene.await_turn());
        assert_eq!(call.said(), words.join(" "), "breaths of {breath} ms");
    }
}

#[test]
fn a_piece_that_ends_in_a_breath_does_not_hold_up_the_answer() {
    // Breaths at every distance from the moment at which the piece is cut.
    for early in (0..400).step_by(16) {
        let text = monologue(160);
        let call = play(Scene::default().speak(&text, ms(60_000 - early), 0.95).await_turn());
        assert_eq!(call.said(), text, "{early} ms before");
        let wait = call.left[0].at.since(call.spoken[0].to);
        assert!(wait <= ms(1_500), "{early} ms before the cut: {wait:?}");
    }
}

#[test]
fn a_turn_that_was_reopened_is_still_split() {
    let text = monologue(480);
    let mut scene = Scene::default().say("well you know").then(Act::AwaitDecision).pause(10);
    scene.stt.final_delay = ms(400);
    let call = play(scene.speak(&text, ms(180_000), 0.95).await_turn());
    let longest = call.decided.windows(2).map(|pair| pair[1].0.since(pair[0].0)).max().expect("pieces");
    assert!(longest <= Policy::default().long_turn + ms(1_000), "{longest:?}");
    assert_eq!(call.said(), format!("well you know {text}"));
}

#[test]
fn twelve_minutes_are_transcribed_in_pieces_and_then_answered() {
    let text = monologue(2_000);
    let call = play(Scene::default().speak(&text, ms(720_000), 0.95).await_turn());
    let longest = call.decided.windows(2).map(|pair| pair[1].0.since(pair[0].0)).max().expect("pieces");
    assert!(longest <= Policy::default().long_turn + ms(1_000), "{longest:?}");
    assert_eq!(call.said(), text);
}
