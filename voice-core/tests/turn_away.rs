//! A client that drops in mid-call and comes back, and a person of ours who steps in.

use voice_core::ids::{ReplyId, TurnId, UtteranceId};
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Event, Input, Policy, TurnRecord};

/// A dialogue that is told facts at moments in milliseconds.
struct Talk {
    dialogue: Dialogue,
    orders: Vec<Command>,
}

impl Talk {
    fn new() -> Self {
        Self { dialogue: Dialogue::new(Policy::default()), orders: Vec::new() }
    }

    /// Lets time pass to `ms`, and tells.
    fn tell(&mut self, ms: u64, input: Input) {
        self.pass(ms);
        self.dialogue.handle_input(input, at(ms));
        self.drain();
    }

    fn pass(&mut self, ms: u64) {
        while let Some(due) = self.dialogue.poll_timeout().filter(|due| *due <= at(ms)) {
            self.dialogue.handle_timeout(due);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(command) = self.dialogue.poll_command() {
            self.orders.push(command);
        }
    }

    /// The caller speaks from `ms` on, under way at the recogniser as `words`.
    fn speak(&mut self, ms: u64, utterance: u32, words: &str) {
        self.tell(ms, Input::Arrived);
        self.tell(ms, Input::SpeechStarted { at: at(ms) });
        self.tell(ms + 500, Input::Arrived);
        self.tell(ms + 500, Input::Partial { utterance: UtteranceId(utterance), text: words.into() });
        self.tell(ms + 500, Input::Listened { until: at(ms + 500) });
    }

    fn last(&mut self, ms: u64, utterance: u32, words: &str) {
        self.tell(ms, Input::Final { utterance: UtteranceId(utterance), text: words.into() });
    }

    fn asked(&self) -> Vec<&str> {
        self.orders
            .iter()
            .filter_map(|order| match order {
                Command::StartReply { said, .. } => Some(said.as_str()),
                _ => None,
            })
            .collect()
    }

    fn turns(&self) -> Vec<&TurnRecord> {
        self.orders
            .iter()
            .filter_map(|order| match order {
                Command::Emit(Event::TurnEnded(record)) => Some(&**record),
                _ => None,
            })
            .collect()
    }

    fn count(&self, wanted: impl Fn(&Command) -> bool) -> usize {
        self.orders.iter().filter(|order| wanted(order)).count()
    }

    /// The reply's audio comes and leaves.
    fn sound(&mut self, ms: u64, reply: u32) {
        let reply = ReplyId(reply);
        self.tell(ms, Input::FirstAudio { reply });
        self.tell(ms, Input::AudioLeft { reply });
    }

    fn answer(&mut self, ms: u64, reply: u32, text: &str) {
        let reply = ReplyId(reply);
        self.tell(ms, Input::ContextReady { reply });
        self.tell(ms, Input::ReplyText { reply, delta: text.into() });
        self.tell(ms, Input::ReplyDone { reply });
    }
}

fn at(ms: u64) -> SessionTime {
    SessionTime::from_millis(ms)
}

#[test]
fn a_sentence_that_the_network_broke_goes_on_as_one_turn() {
    let mut talk = Talk::new();
    talk.speak(1_000, 1, "I am looking for");
    talk.tell(1_600, Input::Away);
    talk.tell(1_600, Input::Broken);
    assert_eq!(talk.count(|o| matches!(o, Command::FinaliseUtterance { utterance: UtteranceId(1) })), 1);
    talk.last(1_900, 1, "I am looking for");
    // However long it lasts, the gap is no silence of the caller.
    talk.pass(50_000);
    assert!(talk.asked().is_empty(), "{:?}", talk.asked());
    talk.tell(50_000, Input::Back);
    talk.speak(50_300, 2, "a house with a garden");
    talk.tell(51_000, Input::SpeechEnded { last_voiced: at(50_900) });
    talk.tell(51_700, Input::Listened { until: at(51_700) });
    talk.last(51_800, 2, "a house with a garden");
    assert_eq!(talk.asked(), ["I am looking for a house with a garden"]);
}

/// The two facts come by two ways; either may be first.
#[test]
fn a_break_that_is_told_before_the_drop_decides_nothing() {
    let mut talk = Talk::new();
    talk.speak(1_000, 1, "I am looking for");
    talk.tell(1_600, Input::Broken);
    talk.pass(1_700);
    talk.tell(1_700, Input::Away);
    talk.last(1_900, 1, "I am looking for");
    talk.pass(50_000);
    assert!(talk.asked().is_empty(), "{:?}", talk.asked());
    talk.tell(50_000, Input::Back);
    talk.pass(50_700);
    assert_eq!(talk.asked(), ["I am looking for"]);
}

#[test]
fn a_caller_who_says_nothing_more_is_answered_a_moment_after_he_is_back() {
    let mut talk = Talk::new();
    talk.speak(1_000, 1, "how many rooms");
    talk.tell(1_600, Input::Away);
    talk.tell(1_600, Input::Broken);
    talk.last(1_900, 1, "how many rooms");
    talk.tell(20_000, Input::Back);
    for ms in (20_020..20_640).step_by(20) {
        talk.tell(ms, Input::Arrived);
        talk.tell(ms, Input::Listened { until: at(ms) });
    }
    assert!(talk.asked().is_empty());
    talk.tell(20_720, Input::Listened { until: at(20_720) });
    assert_eq!(talk.asked(), ["how many rooms"]);
    talk.answer(20_800, 1, "Three.");
    talk.sound(20_900, 1);
    talk.tell(21_000, Input::SpeechDone { reply: ReplyId(1) });
    talk.tell(22_000, Input::Played { reply: ReplyId(1) });
    // The gap belongs to nobody's account.
    assert_eq!(talk.turns()[0].ledger.zero(), at(20_000));
    assert_eq!(talk.turns()[0].said, "how many rooms");
}

#[test]
fn a_question_that_was_plainly_over_is_answered_while_the_client_is_away() {
    let mut talk = Talk::new();
    talk.speak(1_000, 1, "How many rooms does it have?");
    talk.tell(1_550, Input::SpeechEnded { last_voiced: at(1_500) });
    talk.tell(1_560, Input::Away);
    talk.tell(1_560, Input::Broken);
    talk.last(1_700, 1, "How many rooms does it have?");
    assert_eq!(talk.asked(), ["How many rooms does it have?"]);
}

#[test]
fn what_nobody_can_hear_is_not_late() {
    let mut talk = Talk::new();
    talk.tell(0, Input::Typed { text: "how many rooms".into() });
    talk.answer(100, 1, "It has three of them.");
    talk.tell(200, Input::Away);
    talk.tell(300, Input::FirstAudio { reply: ReplyId(1) });
    talk.tell(400, Input::SpeechDone { reply: ReplyId(1) });
    talk.pass(59_000);
    assert_eq!(talk.count(|o| matches!(o, Command::Emit(Event::Notice { .. }))), 0);
    talk.tell(59_000, Input::Back);
    talk.tell(59_100, Input::AudioLeft { reply: ReplyId(1) });
    talk.tell(61_000, Input::Played { reply: ReplyId(1) });
    assert_eq!((talk.turns()[0].heard.as_str(), talk.turns()[0].failure), ("It has three of them.", None));
}

#[test]
fn a_client_that_does_not_come_back_has_hung_up() {
    let mut talk = Talk::new();
    talk.speak(1_000, 1, "how many rooms");
    talk.tell(1_600, Input::Away);
    talk.tell(1_600, Input::Broken);
    talk.last(1_900, 1, "how many rooms");
    talk.tell(61_600, Input::Hangup);
    talk.tell(61_600, Input::AudioEnded);
    assert!(talk.dialogue.is_closed());
    assert_eq!(talk.turns()[0].said, "how many rooms");
    // Where nobody says so, the machine's own limit does.
    let mut talk = Talk::new();
    talk.tell(1_000, Input::Away);
    talk.pass(1_000 + 95_000);
    assert!(talk.dialogue.is_closed());
}

#[test]
fn a_persons_words_are_spoken_in_turn_and_cut_what_the_model_says() {
    let mut talk = Talk::new();
    talk.tell(0, Input::Typed { text: "how many rooms".into() });
    talk.answer(100, 1, "It has three rooms and a very long story.");
    talk.sound(200, 1);
    talk.tell(300, Input::Say { text: "Hello, this is Ann.".into() });
    talk.tell(300, Input::Say { text: "How can I help?".into() });
    talk.tell(310, Input::Silenced { reply: ReplyId(1), heard: "It has".into() });
    for (reply, ms) in [(2, 400), (3, 2_400)] {
        talk.sound(ms, reply);
        talk.tell(ms + 100, Input::SpeechDone { reply: ReplyId(reply) });
        talk.tell(ms + 1_900, Input::Played { reply: ReplyId(reply) });
    }
    let turns: Vec<_> = talk.turns().iter().map(|t| (t.turn, t.heard.as_str(), t.by_person)).collect();
    assert_eq!(
        turns,
        [
            (TurnId(1), "It has", false),
            (TurnId(2), "Hello, this is Ann.", true),
            (TurnId(3), "How can I help?", true)
        ]
    );
}

#[test]
fn while_a_person_answers_the_model_is_not_asked_and_turns_are_kept() {
    let mut talk = Talk::new();
    talk.tell(0, Input::Attend { on: true });
    talk.tell(100, Input::Typed { text: "is anybody there".into() });
    assert!(talk.asked().is_empty());
    assert_eq!((talk.turns()[0].said.as_str(), talk.turns()[0].reply.as_str()), ("is anybody there", ""));
    talk.tell(200, Input::Attend { on: false });
    talk.tell(300, Input::Typed { text: "how many rooms".into() });
    assert_eq!(talk.asked(), ["how many rooms"]);
}

#[test]
fn a_caller_who_speaks_before_a_persons_words_sound_does_not_lose_them() {
    let mut talk = Talk::new();
    talk.tell(0, Input::Say { text: "Hello, this is Ann.".into() });
    talk.tell(50, Input::SpeechStarted { at: at(50) });
    assert_eq!(talk.count(|o| matches!(o, Command::CancelReply { .. })), 0);
}
