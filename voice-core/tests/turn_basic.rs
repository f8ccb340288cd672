//! Questions and answers where nothing goes wrong.

mod scenes;

use std::time::Duration;

use scenes::{assert_near, first_sound, ms, only_turn, play, said, stage};
use voice_core::metrics::Stage;
use voice_core::playout::Shape;
use voice_core::sim::{Link, Scene};
use voice_core::turn::{Dialogue, Event, Input};

const QUESTION: &str = "how much is the house on maple street";

#[test]
fn a_question_is_answered() {
    let call = play(Scene::default().pause(500).say(QUESTION).await_turn());
    let turn = only_turn(&call);
    assert_eq!(turn.said, QUESTION);
    assert!(turn.reply.starts_with("The house on Maple Street"));
    assert_eq!(turn.heard, turn.reply);
    assert_near(turn.started_at.since_start(), ms(500), ms(32));
    assert_eq!(turn.answered_at, Some(first_sound(&call)));
    assert!(!turn.interrupted);
    assert_eq!(turn.failure, None);
    assert_eq!(call.underruns, 0);
}

#[test]
fn every_millisecond_of_the_wait_has_an_owner() {
    let call = play(Scene::default().pause(500).say(QUESTION).await_turn());
    let turn = only_turn(&call);
    let waited = first_sound(&call).since(call.spoken[0].to);
    assert_eq!(turn.ledger.zero(), call.spoken[0].to);
    assert_eq!(turn.ledger.total(), waited);
    let endpoint = turn.ledger.of(Stage::Endpoint);
    assert!(endpoint >= ms(200) && endpoint <= ms(200 + 32 + 20), "{endpoint:?}");
    assert_eq!(stage(turn, Stage::Stt), 80);
    assert_eq!(stage(turn, Stage::Context), 2);
    assert_eq!(stage(turn, Stage::Llm), 120);
    assert_eq!(stage(turn, Stage::Tts), 70);
    assert_eq!(turn.ledger.entries().map(|(_, d)| d).sum::<Duration>(), waited);
}

#[test]
fn words_and_answer_are_told_while_they_come() {
    let call = play(Scene::default().pause(500).say(QUESTION).await_turn());
    let mut partials = 0;
    let mut last = String::new();
    for (_, event) in &call.events {
        if let Event::Transcript { text, is_final: false, .. } = event {
            assert!(text.starts_with(&last), "{last} then {text}");
            last.clone_from(text);
            partials += 1;
        }
    }
    assert!(partials >= 5, "{partials}");
    let replies = call.events.iter().filter(|(_, e)| matches!(e, Event::Reply { .. })).count();
    assert!(replies >= 3, "{replies}");
}

#[test]
fn two_questions_get_two_answers_in_order() {
    let scene =
        Scene::default().say(QUESTION).await_turn().pause(700).say("does it have a garage").await_turn();
    let call = play(scene);
    assert_eq!(said(&call), [QUESTION, "does it have a garage"]);
    let turns = call.turns();
    assert_eq!([turns[0].turn.0, turns[1].turn.0], [1, 2]);
    assert!(turns[1].reply.starts_with("Yes, it does."));
    assert!(turns.iter().all(|t| t.heard == t.reply && !t.interrupted));
}

#[test]
fn without_a_turn_model_a_longer_silence_decides() {
    let scene = Scene { scored: false, ..Scene::default() };
    let call = play(scene.say(QUESTION).await_turn());
    assert_near(only_turn(&call).ledger.of(Stage::Endpoint), ms(480 + 16), ms(20));
}

#[test]
fn words_that_end_open_wait_for_the_limit() {
    let call = play(Scene::default().say("I would like to see the").await_turn());
    assert_near(only_turn(&call).ledger.of(Stage::Endpoint), ms(700 + 16), ms(20));
}

#[test]
fn a_sound_without_words_is_not_answered() {
    let call = play(Scene::default().cough(200).pause(6_000));
    assert_eq!(call.turns().len(), 0);
    assert!(call.left.is_empty());
}

#[test]
fn whole_messages_leave_one_after_another() {
    let scene = Scene { shape: Shape::Messages, clears: false, ..Scene::default() };
    let call = play(scene.say(QUESTION).await_turn());
    assert_eq!(only_turn(&call).heard, only_turn(&call).reply);
    for pair in call.left.windows(2) {
        let gap = pair[1].at.since(pair[0].at).saturating_sub(pair[0].lasts);
        assert!(pair[1].at >= pair[0].at + pair[0].lasts && gap <= ms(40), "{gap:?}");
    }
}

#[test]
fn a_bad_link_does_not_change_what_was_said() {
    for seed in 0..20 {
        let scene = Scene { link: Link::stream(seed, ms(40), ms(60), 0.02), ..Scene::default() };
        let call = play(
            scene.pause(300).say(QUESTION).await_turn().pause(400).say("does it have a garage").await_turn(),
        );
        assert_eq!(said(&call), [QUESTION, "does it have a garage"], "seed {seed}");
    }
}

#[test]
fn lost_and_overtaken_frames_do_not_stop_the_call() {
    for seed in 0..20 {
        let scene = Scene { link: Link::datagrams(seed, ms(40), ms(60), 0.05), ..Scene::default() };
        let call = play(scene.pause(300).say(QUESTION).await_turn());
        assert_eq!(said(&call), [QUESTION], "seed {seed}");
    }
}

#[test]
fn the_same_scene_gives_the_same_call() {
    let scene = || Scene { link: Link::datagrams(5, ms(40), ms(90), 0.1), ..Scene::default() };
    let call = || play(scene().say(QUESTION).await_answer().pause(300).say("wait a second").await_turn());
    assert_eq!(call().events, call().events);
    assert_eq!(call().left, call().left);
}

#[test]
fn nobody_there_ends_the_call() {
    let scene = Scene { policy: policy("deadline.idle_ms", "20000"), ..Scene::default() };
    let call = play(scene.say(QUESTION).await_turn().pause(30_000));
    let (at, _) = call.closed().expect("closed");
    assert_near(at.since(call.turn_ends()[0]), ms(20_000), ms(20));
}

#[test]
fn the_main_types_are_send_and_events_are_small() {
    fn send<T: Send>() {}
    send::<Dialogue>();
    send::<Input>();
    send::<Event>();
    send::<voice_core::playout::Playout>();
    assert!(size_of::<Event>() <= 64, "{}", size_of::<Event>());
    assert!(size_of::<Input>() <= 64, "{}", size_of::<Input>());
    assert!(size_of::<voice_core::turn::Command>() <= 80, "{}", size_of::<voice_core::turn::Command>());
}

fn policy(key: &str, value: &str) -> voice_core::turn::Policy {
    let mut policy = voice_core::turn::Policy::default();
    policy.set(key, value).expect("a key");
    policy
}
