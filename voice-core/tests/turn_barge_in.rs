//! Speech over the answer.

mod scenes;

use std::time::Duration;

use scenes::{ms, play, said};
use voice_core::playout::Shape;
use voice_core::sim::{Act, Call, Scene};
use voice_core::turn::{Event, Policy};

const QUESTION: &str = "how much is the house on maple street";

fn over_the_answer(words: &str, lasts: u64) -> Scene {
    Scene::default().say(QUESTION).await_answer().pause(1_500).speak(words, ms(lasts), 0.95)
}

/// From the first voiced moment of the caller's second contribution to the cut.
fn cut_after(call: &Call) -> Option<Duration> {
    let (at, _) = call.cancelled.first()?;
    Some(at.since(call.spoken[1].from))
}

#[test]
fn speech_that_lasts_cuts_the_answer() {
    let call = play(over_the_answer("no wait does it have a garage", 1_600).await_turn().await_turn());
    let cut = cut_after(&call).expect("cut");
    // A frame, a window and the network's two windows come on top where they take longer than the policy.
    assert!(cut <= Policy::default().interrupt + ms(20 + 32), "{cut:?}");
    let last = call.audible(call.asked[0].reply).expect("heard").1;
    assert!(last <= call.cancelled[0].0, "audio after the cut");
    assert_eq!(said(&call), [QUESTION, "no wait does it have a garage"]);
}

#[test]
fn what_was_heard_is_a_prefix_of_the_answer_within_a_word() {
    for pause in (200..5_000).step_by(150) {
        let scene = Scene::default().say(QUESTION).await_answer().pause(pause);
        let call =
            play(scene.speak("no wait does it have a garage", ms(1_600), 0.95).await_turn().await_turn());
        let turn = &call.turns()[0];
        assert!(turn.interrupted);
        assert!(turn.reply.starts_with(&turn.heard));
        // The voice speaks a byte in 66 ms. What had left and not been played is not heard.
        let (from, _) = call.audible(call.asked[0].reply).expect("audible");
        let played = call.cancelled[0].0.since(from).as_millis() as usize / 66;
        let heard = turn.heard.trim_end().len();
        let word = "thousand ".len() + 2;
        assert!(heard <= played + 2 && heard + word >= played, "{played} played, heard {:?}", turn.heard);
    }
}

#[test]
fn a_price_talked_over_is_booked_whole_or_not_at_all() {
    let answer = "It is listed at $1,250,000, has 3bd/2.5ba and stands at 1208 Barton Dr in Austin.";
    let words: Vec<&str> = answer.split(' ').collect();
    let mut lengths = Vec::new();
    for pause in (200..9_000).step_by(300) {
        let mut scene = Scene::default().say(QUESTION).await_answer().pause(pause);
        scene.llm.answers = vec![answer.to_owned()];
        let call =
            play(scene.speak("no wait does it have a garage", ms(1_600), 0.95).await_turn().await_turn());
        let turn = &call.turns()[0];
        assert!(turn.reply.starts_with(&turn.heard));
        let heard: Vec<&str> = turn.heard.split_whitespace().collect();
        assert_eq!(heard, words[..heard.len()], "a word is cut");
        lengths.push(heard.len());
    }
    assert!(lengths.is_sorted(), "{lengths:?}");
    // As long as the price is said, what was heard stays in front of it: 59 bytes at 66 ms each.
    let before_price = lengths.iter().filter(|words| **words == 4).count();
    assert!(before_price >= 10, "{lengths:?}");
    assert!(lengths.iter().any(|words| *words > 5), "{lengths:?}");
}

#[test]
fn the_caller_is_told_to_drop_what_is_buffered() {
    let call = play(over_the_answer("no wait does it have a garage", 1_600).await_turn().await_turn());
    let reply = call.asked[0].reply;
    assert!(call.events.iter().any(|(at, e)| *e == Event::Clear { reply } && *at == call.cancelled[0].0));
}

#[test]
fn the_next_turn_is_answered() {
    let call = play(over_the_answer("no wait does it have a garage", 1_600).await_turn().await_turn());
    let turn = call.turns()[1];
    assert_eq!(turn.turn.0, 2);
    assert!(turn.reply.starts_with("Yes, it does."));
    assert_eq!(turn.heard, turn.reply);
}

/// The longest sound in milliseconds that does not cut the answer by its length alone.
fn longest_patience(words: &str, interrupt: u64) -> u64 {
    let cuts = |lasts| {
        let mut scene = over_the_answer(words, lasts);
        scene.policy.interrupt = ms(interrupt);
        !play(scene.await_turn()).cancelled.is_empty()
    };
    (50..400).step_by(5).find(|lasts| cuts(*lasts)).expect("long sounds cut") - 5
}

#[test]
fn a_cough_does_not_cut_the_answer() {
    let call = play(over_the_answer("", 60).await_turn());
    assert!(call.cancelled.is_empty(), "{:?}", cut_after(&call));
    assert_eq!(said(&call), [QUESTION]);
    assert_eq!(call.turns()[0].heard, call.turns()[0].reply);
}

#[test]
fn a_sound_may_be_as_long_as_the_policy_less_what_it_takes_to_see_its_end() {
    // 96 ms of silence make an end, less half a window that does not count as voiced; a window and a frame pass until
    // that is known.
    for interrupt in [180, 230, 300] {
        let longest = longest_patience("", interrupt);
        assert!(longest + 96 + 32 + 20 >= interrupt && longest + 80 <= interrupt, "{longest} of {interrupt}");
    }
}

#[test]
fn a_murmur_does_not_cut_the_answer() {
    let mut scene = over_the_answer("mm-hm", 150);
    scene.policy.interrupt = ms(300);
    let call = play(scene.await_turn());
    assert!(call.cancelled.is_empty());
    assert_eq!(said(&call), [QUESTION]);
    assert_eq!(call.asked.len(), 1);
}

#[test]
fn a_short_word_that_means_something_cuts_the_answer() {
    let call = play(over_the_answer("wait", 150).await_turn().await_turn());
    assert_eq!(said(&call), [QUESTION, "wait"]);
    assert!(call.turns()[0].interrupted);
}

#[test]
fn stop_cuts_the_answer_at_once() {
    let call =
        play(Scene::default().say(QUESTION).await_answer().pause(1_000).then(Act::Interrupt).pause(500));
    let turn = call.turns()[0];
    assert!(turn.interrupted && !turn.heard.is_empty() && turn.heard.len() < turn.reply.len());
    assert_eq!(call.cancelled[0].0, call.acts[3]);
    assert!(call.left.iter().all(|l| l.at <= call.acts[3]));
}

#[test]
fn stop_before_the_answer_is_heard_leaves_nothing_heard() {
    let call =
        play(Scene::default().say(QUESTION).then(Act::AwaitReply).pause(50).then(Act::Interrupt).pause(500));
    let turn = call.turns()[0];
    assert_eq!((turn.said.as_str(), turn.heard.as_str(), turn.answered_at), (QUESTION, "", None));
    assert!(call.left.is_empty());
}

#[test]
fn the_message_in_flight_is_booked_as_heard_where_it_cannot_be_taken_back() {
    let scene = Scene { shape: Shape::Messages, clears: false, ..Scene::default() };
    let scene = scene.say(QUESTION).await_answer().pause(200);
    let call = play(scene.speak("no wait does it have a garage", ms(1_600), 0.95).await_turn().await_turn());
    let turn = call.turns()[0];
    let first = call.left.iter().filter(|l| l.reply == call.asked[0].reply).count();
    assert_eq!(first, 1, "nothing more leaves after the cut");
    let sent = call.left[0].lasts.as_millis() as usize / 66;
    assert!(turn.heard.trim_end().len() + 11 >= sent, "{sent} sent, heard {:?}", turn.heard);
    // The next answer waits for the player.
    assert!(call.left[1].at >= call.left[0].at + call.left[0].lasts);
}

#[test]
fn speech_over_the_very_end_is_the_next_turn_and_cuts_nothing() {
    let scene = Scene::default().say(QUESTION).await_answer();
    let whole = play(scene.clone().await_turn());
    let length = whole.turn_ends()[0].since(whole.left[0].at).as_millis() as u64;
    let call = play(scene.pause(length - 80).say("does it have a garage").await_turn().await_turn());
    assert_eq!(said(&call), [QUESTION, "does it have a garage"]);
    assert!(!call.turns()[0].interrupted);
    assert_eq!(call.turns()[0].heard, call.turns()[0].reply);
}
