//! Bytes that stop, and bytes that come in slices so long that silence and absence look alike.

mod scenes;

use std::time::Duration;

use scenes::{ms, play, said};
use voice_core::sim::{Act, Call, Scene};
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Input, Policy};

const SLICES: [u64; 5] = [20, 100, 250, 300, 1_000];
const LONG: &str = "I am looking for a house near the lake with a large garden and a garage for two cars because we have \
                    three children and a dog and my parents will come to live with us in the autumn";

/// From the last byte to the last decision.
fn decided_after(call: &Call) -> Duration {
    let last = *call.arrived.last().expect("bytes");
    call.decided.last().expect("a decision").0.since(last)
}

#[test]
fn a_recorder_that_stops_in_mid_speech_is_answered_within_the_limit() {
    for slice in SLICES {
        let scene = Scene::default().slices_of(slice).pause(400).say("how much is the house on maple street");
        // The recorder stops as the last word is spoken; slices that were full have been sent.
        let call = play(scene.then(Act::StopSending).await_turn());
        let after = decided_after(&call);
        assert!(after <= ms(700), "{slice} ms slices: {after:?}");
        assert_eq!(call.turns().len(), 1, "{slice} ms slices");
    }
}

#[test]
fn a_recorder_that_stops_in_the_pause_is_answered_within_the_limit() {
    for slice in SLICES {
        for pause in [50, 150, 290, 500] {
            let scene =
                Scene::default().slices_of(slice).pause(400).say("how much is the house on maple street");
            let call = play(scene.pause(pause).then(Act::StopSending).await_turn());
            let after = decided_after(&call);
            assert!(after <= ms(700), "{slice} ms slices, {pause} ms pause: {after:?}");
            assert_eq!(call.turns().len(), 1, "{slice} ms slices, {pause} ms pause");
        }
    }
}

#[test]
fn the_end_of_a_container_decides_at_once() {
    for slice in SLICES {
        let scene = Scene::default().slices_of(slice).pause(400).say("how much is the house on maple street");
        let call = play(scene.then(Act::EndAudio).await_turn());
        assert_eq!(call.decided.last().expect("decided").0, call.acts[2], "{slice} ms slices");
        assert_eq!(said(&call), ["how much is the house on maple street"], "{slice} ms slices");
        // Nothing is waited for that cannot come.
        assert!(call.left[0].at.since(call.acts[2]) < ms(700), "{slice} ms slices");
    }
}

#[test]
fn a_talker_in_slices_is_not_answered_in_mid_sentence() {
    for slice in SLICES {
        for before in [0, 330, 770, 2_000] {
            let scene = Scene::default().slices_of(slice).pause(before).say(LONG).await_turn();
            let call = play(scene);
            assert!(!call.talked_over(&call.spoken[0]), "{slice} ms slices after {before} ms");
            assert_eq!(call.said(), LONG, "{slice} ms slices after {before} ms");
            assert_eq!(call.turns().len(), 1, "{slice} ms slices after {before} ms");
        }
    }
}

#[test]
fn a_quick_answerer_does_not_talk_into_long_slices() {
    for before in [0, 300, 900, 2_300] {
        let mut scene = Scene::default().slices_of(1_000);
        scene.stt.final_delay = ms(5);
        scene.llm.first_token = ms(5);
        scene.llm.token_every = ms(1);
        scene.tts.first_audio = ms(5);
        let call = play(scene.pause(before).say(LONG).await_turn());
        assert!(!call.talked_over(&call.spoken[0]), "after {before} ms");
        assert_eq!(call.said(), LONG, "after {before} ms");
    }
}

#[test]
fn an_utterance_does_not_begin_in_audio_that_was_transcribed() {
    let mut dialogue = Dialogue::new(Policy::default());
    let at = SessionTime::from_millis;
    let mut orders = Vec::new();
    let facts = [
        (at(1_000), Input::Arrived),
        (at(1_000), Input::SpeechStarted { at: at(400) }),
        (at(1_000), Input::Listened { until: at(990) }),
        (at(2_000), Input::Arrived),
        (at(2_000), Input::SpeechStarted { at: at(1_001) }),
    ];
    for (now, fact) in facts {
        dialogue.handle_timeout(now);
        dialogue.handle_input(fact, now);
        orders.extend(std::iter::from_fn(|| dialogue.poll_command()));
    }
    let opened: Vec<_> = orders
        .iter()
        .filter_map(|order| match order {
            Command::OpenUtterance { from, .. } => Some(*from),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [at(100), at(990)]);
}

#[test]
fn no_length_of_slice_loses_or_doubles_a_word() {
    for slice in [20, 60, 100, 250, 300, 500, 750, 1_000] {
        for pause in (0..1_400).step_by(70) {
            let scene =
                Scene::default().slices_of(slice).pause(1_100).say("one two three four five six seven");
            let call = play(scene.pause(pause).say("eight nine ten eleven twelve").await_turn().pause(4_000));
            assert_eq!(call.said(), call.truth(), "{slice} ms slices, {pause} ms pause");
        }
    }
}

#[test]
fn long_slices_cost_no_more_than_the_limit_and_a_slice() {
    for slice in SLICES {
        let scene =
            Scene::default().slices_of(slice).pause(2_130).say("how much is the house on maple street");
        let call = play(scene.await_turn());
        let wait = call.left[0].at.since(call.spoken[0].to);
        assert!(wait <= ms(700 + 400 + slice + 150), "{slice} ms slices: {wait:?}");
    }
}

#[test]
fn a_recorder_that_starts_again_is_heard_again() {
    for slice in SLICES {
        let scene = Scene::default()
            .slices_of(slice)
            .say("how much is the house on maple street")
            .pause(1_000)
            .then(Act::StopSending)
            .await_turn()
            .pause(4_000)
            .then(Act::StartSending)
            .pause(500)
            .say("does it have a garage")
            .await_turn();
        let call = play(scene);
        assert_eq!(
            said(&call),
            ["how much is the house on maple street", "does it have a garage"],
            "{slice}"
        );
    }
}

#[test]
fn steady_frames_hold_no_answer_back() {
    let dialogue = Dialogue::new(Policy::default());
    assert_eq!(dialogue.release_at().as_millis(), 0);
}
