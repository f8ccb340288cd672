//! The greeting, which is turn 0.

mod scenes;

use scenes::{ms, play, said};
use voice_core::sim::{Scene, TtsFault};
use voice_core::turn::Policy;

const GREETING: &str = "Hello, this is Sarah from Lakeside Homes. How can I help you today?";

fn greeted() -> Scene {
    Scene { greeting: Some(GREETING.to_owned()), ..Scene::default() }
}

#[test]
fn a_greeting_is_spoken_first_and_is_turn_zero() {
    let call = play(greeted().await_turn().pause(300).say("how much is the house").await_turn());
    let turns = call.turns();
    assert_eq!([turns[0].turn.0, turns[1].turn.0], [0, 1]);
    assert_eq!((turns[0].said.as_str(), turns[0].heard.as_str()), ("", GREETING));
    assert_eq!(turns[1].said, "how much is the house");
    assert!(call.left[0].at.since_start() <= ms(100));
}

#[test]
fn a_caller_who_speaks_over_the_greeting_cuts_it() {
    let call =
        play(greeted().await_answer().pause(800).say("how much is the house").await_turn().await_turn());
    let turns = call.turns();
    assert!(turns[0].interrupted && turns[0].heard.len() < GREETING.len());
    assert_eq!(said(&call), ["", "how much is the house"]);
}

#[test]
fn a_caller_who_speaks_before_the_greeting_is_heard_is_not_talked_over() {
    let mut scene = greeted();
    scene.tts.first_audio = ms(400);
    let call = play(scene.say("how much is the house on maple street please").await_turn().await_turn());
    let spoken = &call.spoken[0];
    let over: Vec<_> = call.left.iter().filter(|l| l.at < spoken.to).collect();
    let most = Policy::default().interrupt + ms(100 + 20 + 32);
    assert!(over.len() <= most.as_millis() as usize / 20, "{} frames over the caller", over.len());
    assert_eq!(call.said(), "how much is the house on maple street please");
}

#[test]
fn a_greeting_without_a_voice_does_not_hold_up_the_call() {
    let mut scene = greeted();
    scene.tts.faults.push_back(TtsFault::Stall { after: ms(0) });
    let call = play(scene.pause(500).say("how much is the house").await_turn().await_turn());
    assert_eq!(call.said(), "how much is the house");
    assert_eq!(call.turns().last().expect("a turn").heard, call.turns().last().expect("a turn").reply);
}

#[test]
fn hanging_up_during_the_greeting_ends_the_call() {
    let call = play(greeted().await_answer().pause(500).hang_up());
    assert!(call.closed().is_some());
    assert!(call.turns()[0].interrupted);
}
