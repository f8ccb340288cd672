//! Arbitrary facts in any order, and arbitrary callers on arbitrary links: the rules of the turn machine hold.

mod scenes;

use proptest::prelude::*;
use scenes::ms;
use voice_core::playout::Shape;
use voice_core::sim::{Act, Call, Link, LlmFault, Random, Scene, SttFault, TtsFault, exercise_turns};

#[test]
fn no_order_of_facts_breaks_a_rule() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let length = 2 + random.below(900);
        let data: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        if std::panic::catch_unwind(|| exercise_turns(&data)).is_err() {
            panic!("seed {seed}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_short_order_of_facts_breaks_a_rule(data in proptest::collection::vec(any::<u8>(), 0..60)) {
        exercise_turns(&data);
    }
}

#[test]
fn no_caller_breaks_a_rule() {
    for seed in 0..300 {
        let scene = random_scene(seed, true);
        let acts = scene.acts.clone();
        if let Err(broken) = scene.play() {
            panic!(
                "seed {seed}: {broken}: {:?} in {acts:#?}",
                std::error::Error::source(&broken).map(ToString::to_string)
            );
        }
    }
}

#[test]
fn no_word_is_lost_or_doubled_where_the_services_work() {
    for seed in 0..300 {
        let scene = random_scene(seed, false);
        let acts = scene.acts.clone();
        let call: Call = scene.play().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(call.said(), call.truth(), "seed {seed} in {acts:#?} with {:#?}", call.turns());
    }
}

/// A caller who says numbered words with arbitrary pauses; with `rude`, everything else that may happen in a call.
fn random_scene(seed: u64, rude: bool) -> Scene {
    let mut random = Random::new(seed);
    let r = &mut random;
    let mut scene = Scene::default().slices_of(*r.pick(&[20, 60, 100, 250, 300, 1_000]));
    scene.scored = r.one_in(2);
    scene.clears = r.one_in(2);
    if r.one_in(3) {
        scene.shape = Shape::Messages;
    }
    scene.stt.final_delay = r.up_to(ms(400));
    scene.llm.first_token = r.up_to(ms(600));
    scene.llm.token_every = r.up_to(ms(60));
    scene.tts.first_audio = r.up_to(ms(300));
    if rude {
        scene.link = match r.below(3) {
            0 => Link::stream(seed, ms(r.below(120)), ms(r.below(200)), 0.03),
            1 => Link::datagrams(seed, ms(r.below(120)), ms(r.below(200)), 0.05),
            _ => Link::perfect(),
        };
        if r.one_in(3) {
            scene.greeting = Some("Hello, how can I help you today?".to_owned());
        }
        for _ in 0..r.below(4) {
            let fault =
                [SttFault::None, SttFault::Fail, SttFault::Silent, SttFault::Mute, SttFault::Late(ms(900))];
            scene.stt.faults.push_back(*r.pick(&fault));
            let fault =
                [LlmFault::None, LlmFault::Empty, LlmFault::Fail { after: 2 }, LlmFault::Stall { after: 1 }];
            scene.llm.faults.push_back(*r.pick(&fault));
            let (fail, stall) = (TtsFault::Fail { after: ms(300) }, TtsFault::Stall { after: ms(700) });
            scene.tts.faults.push_back(*r.pick(&[TtsFault::None, TtsFault::Empty, fail, stall]));
        }
    }
    let mut word = 0;
    for _ in 0..2 + r.below(8) {
        let words = 1 + r.below(9);
        let text = (word..word + words).map(|k| format!("word{k}")).collect::<Vec<_>>().join(" ");
        word += words;
        scene = scene.speak(&text, ms(words * (150 + r.below(250))), *r.pick(&[0.04, 0.3, 0.95]));
        scene = scene.pause(60 + r.below(2_500));
        if r.one_in(4) {
            scene = scene.await_answer().pause(r.below(1_500));
        }
        if rude {
            scene = match r.below(12) {
                0 => scene.cough(30 + r.below(400)).pause(r.below(800)),
                1 => scene.then(Act::Type(format!("typed{word}"))),
                2 => scene.then(Act::Interrupt),
                3 => scene.then(Act::StopSending).pause(r.below(5_000)).then(Act::StartSending),
                4 => scene.then(Act::EndAudio).pause(r.below(3_000)).then(Act::StartSending),
                _ => scene,
            };
        }
    }
    scene = scene.pause(4_000);
    if rude && r.one_in(2) {
        scene = scene.hang_up();
    }
    scene
}
