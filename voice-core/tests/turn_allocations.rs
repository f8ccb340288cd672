//! Turn-taking allocates nothing for a frame in which nothing happens.
#![allow(clippy::unwrap_used)]

use voice_core::ids::UtteranceId;
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Input, Policy};
use voice_fixtures::allocations::{Counting, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Frames of 20 ms from `from` on for `ms`, and what they allocate. Orders are taken as they come.
fn listen(dialogue: &mut Dialogue, from: u64, ms: u64) -> usize {
    let before = count();
    for at in (from..from + ms).step_by(20) {
        let now = SessionTime::from_millis(at);
        dialogue.handle_input(Input::Arrived, now);
        dialogue.handle_input(Input::Listened { until: now }, now);
        if let Some(order) = dialogue.poll_command() {
            panic!("{order:?} at {at} ms");
        }
    }
    count() - before
}

#[test]
fn silence_speech_and_a_pause_with_words_run_without_allocating() {
    let mut policy = Policy::default();
    // A pause long enough to look at.
    for key in ["sure_ms", "silence_ms", "likely_ms", "unsure_ms", "limit_ms"] {
        policy.set(&format!("endpoint.{key}"), "4000").unwrap();
    }
    let mut dialogue = Dialogue::new(policy);
    let at = SessionTime::from_millis;
    assert_eq!(listen(&mut dialogue, 0, 1_000), 0, "in silence");
    dialogue.handle_input(Input::SpeechStarted { at: at(1_000) }, at(1_000));
    // The turn opens once the sound has lasted long enough to be speech.
    dialogue.handle_input(Input::Listened { until: at(1_500) }, at(1_500));
    let utterance = std::iter::from_fn(|| dialogue.poll_command())
        .find_map(|command| match command {
            Command::OpenUtterance { utterance, .. } => Some(utterance),
            _ => None,
        })
        .unwrap();
    assert_eq!(utterance, UtteranceId(1));
    while dialogue.poll_command().is_some() {}
    assert_eq!(listen(&mut dialogue, 1_500, 1_500), 0, "in speech");
    let text = "how much is the house on maple street and is there a".to_owned();
    dialogue.handle_input(Input::Partial { utterance, text }, at(3_000));
    dialogue.handle_input(Input::SpeechEnded { last_voiced: at(2_900) }, at(3_000));
    while dialogue.poll_command().is_some() {}
    assert_eq!(listen(&mut dialogue, 3_000, 3_000), 0, "in a pause with words");
}
