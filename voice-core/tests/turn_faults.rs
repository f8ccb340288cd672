//! Services that fail, stall or answer nothing: the caller hears something, and soon.

mod scenes;

use scenes::{assert_near, ms, only_turn, play, said};
use voice_core::ids::ReplyId;
use voice_core::metrics::Stage;
use voice_core::sim::{Act, LlmFault, Scene, SttFault, TtsFault};
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Event, Failure, Input, NoticeCode, Policy};

const QUESTION: &str = "how much is the house on maple street";

fn with_stt(fault: SttFault) -> Scene {
    let mut scene = Scene::default();
    scene.stt.faults.push_back(fault);
    scene.say(QUESTION).await_turn()
}

fn with_llm(fault: LlmFault) -> Scene {
    let mut scene = Scene::default();
    scene.llm.faults.push_back(fault);
    scene.say(QUESTION).await_turn()
}

fn with_tts(fault: TtsFault) -> Scene {
    let mut scene = Scene::default();
    scene.tts.faults.push_back(fault);
    scene.say(QUESTION).await_turn()
}

#[test]
fn a_recogniser_without_a_final_word_is_taken_at_its_partial_one() {
    let call = play(with_stt(SttFault::Silent));
    let turn = only_turn(&call);
    assert_eq!(turn.said, QUESTION);
    assert_eq!(turn.failure, Some(Failure::Stt));
    assert_eq!(call.notices(), [NoticeCode::SttFailed]);
    assert_eq!(turn.ledger.of(Stage::Stt), Policy::default().stt_final);
    assert!(!turn.reply.is_empty());
}

#[test]
fn a_recogniser_that_fails_is_taken_at_its_partial_word_at_once() {
    let call = play(with_stt(SttFault::Fail));
    let turn = only_turn(&call);
    assert_eq!((turn.said.as_str(), turn.failure), (QUESTION, Some(Failure::Stt)));
    assert_near(turn.ledger.of(Stage::Stt), ms(80), ms(1));
}

#[test]
fn a_recogniser_that_hears_nothing_makes_us_ask_again() {
    let call = play(with_stt(SttFault::Mute));
    let turn = only_turn(&call);
    assert_eq!(turn.said, "");
    assert!(turn.reply.contains("say it again"));
    assert_eq!(turn.heard, turn.reply);
    assert_eq!(turn.failure, Some(Failure::Stt));
    assert!(call.asked.is_empty());
}

#[test]
fn a_transcript_after_its_deadline_changes_nothing() {
    let call = play(with_stt(SttFault::Late(ms(5_000))));
    assert_eq!(said(&call), [QUESTION]);
    assert_eq!(call.asked.len(), 1);
}

#[test]
fn a_transcript_that_is_late_but_in_time_is_taken() {
    let call = play(with_stt(SttFault::Late(ms(3_000))));
    assert_eq!((only_turn(&call).said.as_str(), only_turn(&call).failure), (QUESTION, None));
}

#[test]
fn a_model_without_an_answer_is_excused_aloud() {
    let cases =
        [(LlmFault::Fail { after: 0 }, 500), (LlmFault::Empty, 500), (LlmFault::Stall { after: 0 }, 8_500)];
    for (fault, within) in cases {
        let call = play(with_llm(fault));
        let turn = only_turn(&call);
        assert!(turn.reply.starts_with("I'm sorry"), "{fault:?}");
        assert_eq!(turn.heard, turn.reply, "{fault:?}");
        assert_eq!(turn.failure, Some(Failure::Llm), "{fault:?}");
        assert_eq!(call.notices(), [NoticeCode::LlmFailed], "{fault:?}");
        assert!(!turn.interrupted, "{fault:?}");
        assert!(call.left[0].at.since(call.decided[0].0) <= ms(within), "{fault:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_spoken_as_far_as_it_goes_and_the_caller_is_told() {
    for fault in [LlmFault::Fail { after: 6 }, LlmFault::Stall { after: 6 }] {
        let call = play(with_llm(fault));
        let turn = only_turn(&call);
        let (said, told) = turn.reply.split_once(" ... ").expect("both");
        assert_eq!(said, "The house on Maple Street has", "{fault:?}");
        assert_eq!(told, "Sorry, I lost my thread. Could you ask me that again?", "{fault:?}");
        assert_eq!(turn.heard, turn.reply, "{fault:?}");
        assert_eq!(turn.failure, Some(Failure::Llm), "{fault:?}");
    }
}

#[test]
fn a_voice_that_fails_leaves_the_text() {
    for (fault, within) in
        [(TtsFault::Fail { after: ms(0) }, 1_000), (TtsFault::Stall { after: ms(0) }, 6_500)]
    {
        let call = play(with_tts(fault));
        let turn = only_turn(&call);
        assert!(turn.reply.starts_with("The house on Maple Street"), "{fault:?}");
        assert_eq!((turn.heard.as_str(), turn.answered_at), ("", None), "{fault:?}");
        assert_eq!(turn.failure, Some(Failure::Tts), "{fault:?}");
        assert!(!turn.interrupted, "{fault:?}");
        assert_eq!(call.notices(), [NoticeCode::TtsFailed], "{fault:?}");
        assert!(call.turn_ends()[0].since(call.decided[0].0) <= ms(within), "{fault:?}");
    }
}

#[test]
fn a_voice_lost_while_the_text_still_comes_leaves_all_of_the_text() {
    let slow = |tts: Vec<TtsFault>| {
        let mut scene = Scene::default();
        scene.llm.token_every = ms(250);
        scene.tts.faults.extend(tts);
        play(scene.say(QUESTION).await_turn())
    };
    let whole = slow(Vec::new());
    let call = slow(vec![TtsFault::Fail { after: ms(300) }]);
    let (turn, whole) = (only_turn(&call), only_turn(&whole));
    assert_eq!(turn.reply, whole.reply);
    assert!(turn.voice_lost && !turn.interrupted);
    assert!(turn.heard.len() < turn.reply.len() / 2, "{:?}", turn.heard);
    assert_eq!(call.notices(), [NoticeCode::TtsFailed]);
    let mut shown = call.events.iter().filter_map(|(_, event)| match event {
        Event::Reply { text, .. } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(shown.next_back(), Some(turn.reply.as_str()), "the caller reads what he cannot hear");
    let end = call.turn_ends()[0];
    assert!(call.left.iter().all(|left| left.at < end - ms(1_000)), "no sound after the loss");
}

#[test]
fn a_client_that_says_when_it_began_to_play_has_a_stage_of_its_own() {
    let mut dialogue = Dialogue::new(Policy::default());
    let at = SessionTime::from_millis;
    let reply = ReplyId(1);
    dialogue.handle_input(Input::Typed { text: "hello".into() }, at(100));
    dialogue.handle_input(Input::ReplyText { reply, delta: "Hello. ".into() }, at(200));
    dialogue.handle_input(Input::ReplyDone { reply }, at(200));
    dialogue.handle_input(Input::FirstAudio { reply }, at(300));
    dialogue.handle_input(Input::AudioLeft { reply }, at(310));
    dialogue.handle_input(Input::SpeechDone { reply }, at(400));
    dialogue.handle_input(Input::PlaybackStarted { reply, at: at(375) }, at(450));
    // A later report of the same reply changes nothing.
    dialogue.handle_input(Input::PlaybackStarted { reply, at: at(500) }, at(600));
    dialogue.handle_input(Input::Played { reply }, at(900));
    let record = std::iter::from_fn(|| dialogue.poll_command()).find_map(|command| match command {
        Command::Emit(Event::TurnEnded(record)) => Some(record),
        _ => None,
    });
    let ledger = record.expect("the turn is over").ledger;
    assert_eq!(ledger.of(Stage::Client), ms(65));
    assert_eq!(ledger.total(), ms(275));
}

#[test]
fn a_voice_that_ends_without_a_sound_has_failed() {
    let call = play(with_tts(TtsFault::Empty));
    let turn = only_turn(&call);
    assert_eq!(turn.heard, "");
    assert_eq!(turn.failure, Some(Failure::Tts));
    assert_eq!(call.notices(), [NoticeCode::TtsFailed]);
}

#[test]
fn a_voice_that_breaks_off_is_booked_as_far_as_it_was_heard() {
    for fault in [TtsFault::Fail { after: ms(2_000) }, TtsFault::Stall { after: ms(2_000) }] {
        let call = play(with_tts(fault));
        let turn = only_turn(&call);
        assert!(turn.heard.len() < turn.reply.len(), "{fault:?}");
        assert_eq!(turn.failure, Some(Failure::Tts), "{fault:?}");
        assert!(!turn.interrupted, "{fault:?}");
        assert_eq!(call.notices(), [NoticeCode::TtsFailed], "{fault:?}");
        assert!(
            call.turn_ends()[0].since(call.left[0].at) <= ms(2_000) + Policy::default().playout,
            "{fault:?}"
        );
    }
}

#[test]
fn the_voice_failing_at_an_excuse_is_no_interruption() {
    let mut scene = with_llm(LlmFault::Empty);
    scene.tts.faults.push_back(TtsFault::Fail { after: ms(0) });
    let call = play(scene);
    let turn = only_turn(&call);
    assert_eq!(turn.failure, Some(Failure::Llm), "the first failure is the one that counts");
    assert!(!turn.interrupted);
}

#[test]
fn after_any_fault_the_next_question_is_answered() {
    let scenes = [
        with_stt(SttFault::Silent),
        with_stt(SttFault::Mute),
        with_llm(LlmFault::Stall { after: 3 }),
        with_tts(TtsFault::Stall { after: ms(0) }),
        with_tts(TtsFault::Empty),
    ];
    for scene in scenes {
        let call = play(scene.pause(500).say("does it have a garage").await_turn());
        let turn = call.turns()[1].clone();
        assert_eq!((turn.said.as_str(), turn.failure), ("does it have a garage", None));
        assert_eq!(turn.heard, turn.reply);
    }
}

#[test]
fn a_fault_of_everything_still_ends_the_turn() {
    let mut scene = Scene::default();
    scene.stt.faults.push_back(SttFault::Silent);
    scene.llm.faults.push_back(LlmFault::Stall { after: 0 });
    scene.tts.faults.push_back(TtsFault::Stall { after: ms(0) });
    let call = play(scene.say(QUESTION).await_turn());
    let policy = Policy::default();
    let most = policy.stt_final + policy.reply_text + policy.speech + ms(1_000);
    assert!(call.turn_ends()[0].since(call.decided[0].0) <= most);
}

#[test]
fn speaking_into_a_stalled_model_takes_the_turn_back() {
    let mut scene = Scene::default();
    scene.llm.faults.push_back(LlmFault::Stall { after: 0 });
    let call =
        play(scene.say(QUESTION).then(Act::AwaitReply).pause(3_000).say("hello are you there").await_turn());
    assert_eq!(call.said(), format!("{QUESTION} hello are you there"));
}

#[test]
fn a_model_that_never_ends_is_cut() {
    let mut dialogue = Dialogue::new(Policy::default());
    let now = SessionTime::from_millis(10);
    dialogue.handle_input(Input::Typed { text: "hello".into() }, now);
    let reply = ReplyId(1);
    for _ in 0..20_000 {
        dialogue.handle_input(Input::ReplyText { reply, delta: "on and on, ".into() }, now);
    }
    let orders: Vec<_> = std::iter::from_fn(|| dialogue.poll_command()).collect();
    assert_eq!(orders.iter().filter(|o| **o == Command::FinishSpeech { reply }).count(), 1);
}

#[test]
fn deadlines_of_zero_do_not_make_time_stand_still() {
    let mut policy = Policy::default();
    for (key, _) in Policy::KEYS {
        policy.set(key, "0").expect("a key");
    }
    let mut dialogue = Dialogue::new(policy);
    let mut now = SessionTime::from_millis(10);
    dialogue.handle_input(Input::Typed { text: "hello".into() }, now);
    dialogue.handle_input(Input::SpeechStarted { at: now }, now);
    for _ in 0..64 {
        let Some(at) = dialogue.poll_timeout() else { break };
        now = now.max(at);
        dialogue.handle_timeout(now);
        assert!(dialogue.poll_timeout().is_none_or(|next| next > now));
    }
    assert!(dialogue.is_closed());
}

#[test]
fn a_fact_from_the_future_counts_as_now() {
    let mut dialogue = Dialogue::new(Policy::default());
    let now = SessionTime::from_millis(1_000);
    for fact in [
        Input::Listened { until: SessionTime::FAR },
        Input::SpeechStarted { at: SessionTime::FAR },
        Input::SpeechEnded { last_voiced: SessionTime::FAR },
    ] {
        dialogue.handle_input(fact, now);
    }
    let next = dialogue.poll_timeout().expect("a deadline");
    assert!(next.since(now) <= Policy::default().limit, "{next:?}");
}
