//! Words that bridge a wait: spoken like an answer, never taken for one.

use std::time::Duration;

use voice_core::ids::ReplyId;
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Event, Failure, Input, Policy, TurnRecord};

const REPLY: ReplyId = ReplyId(1);
const FILLER: &str = "One moment, let me check. ";

struct Talk {
    dialogue: Dialogue,
    now: SessionTime,
    spoken: String,
    ended: Vec<TurnRecord>,
}

impl Talk {
    fn asked() -> Self {
        let dialogue = Dialogue::new(Policy::default());
        let now = SessionTime::from_millis(10);
        let mut talk = Self { dialogue, now, spoken: String::new(), ended: Vec::new() };
        talk.tell(Input::Typed { text: "book it".into() });
        talk.tell(Input::ContextReady { reply: REPLY });
        talk
    }

    fn drain(&mut self) {
        while let Some(command) = self.dialogue.poll_command() {
            match command {
                Command::Speak { clause, .. } => self.spoken.push_str(&clause),
                Command::Emit(Event::TurnEnded(record)) => self.ended.push(*record),
                _ => {}
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.dialogue.handle_input(input, self.now);
        self.drain();
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.dialogue.handle_timeout(self.now);
        self.drain();
    }

    fn filler(&mut self) {
        self.tell(Input::ReplyFiller { reply: REPLY, text: FILLER.into() });
    }

    fn says(&mut self, text: &str) {
        self.tell(Input::ReplyText { reply: REPLY, delta: text.into() });
    }

    /// The text is complete and all of it is played.
    fn finish(mut self) -> TurnRecord {
        for input in [
            Input::ReplyDone { reply: REPLY },
            Input::FirstAudio { reply: REPLY },
            Input::AudioLeft { reply: REPLY },
            Input::SpeechDone { reply: REPLY },
            Input::Played { reply: REPLY },
        ] {
            self.tell(input);
        }
        assert_eq!(self.ended.len(), 1);
        self.ended.remove(0)
    }
}

#[test]
fn a_filler_is_spoken_before_the_answer_is_there() {
    let mut talk = Talk::asked();
    talk.filler();
    assert_eq!(talk.spoken.trim_end(), FILLER.trim_end());
    talk.says("It is booked.");
    let turn = talk.finish();
    assert_eq!(turn.reply, "One moment, let me check. It is booked.");
    assert_eq!((turn.heard.as_str(), turn.failure), (turn.reply.as_str(), None));
}

#[test]
fn only_a_turn_that_begins_with_a_filler_is_marked() {
    let mut talk = Talk::asked();
    talk.filler();
    talk.says("It is booked.");
    assert!(talk.finish().bridged);
    let mut talk = Talk::asked();
    talk.says("Let me see. ");
    talk.filler();
    talk.says("It is booked.");
    assert!(!talk.finish().bridged);
}

#[test]
fn a_filler_is_waited_behind_as_long_as_behind_any_words() {
    let patience = Policy::default().reply_text;
    let mut talk = Talk::asked();
    talk.wait(patience - Duration::from_millis(1));
    talk.filler();
    talk.tell(Input::FirstAudio { reply: REPLY });
    talk.tell(Input::AudioLeft { reply: REPLY });
    talk.wait(patience - Duration::from_millis(1));
    talk.says("It is booked.");
    assert_eq!(talk.finish().failure, None);
}

#[test]
fn a_filler_without_an_answer_is_followed_by_an_excuse() {
    let ends: [fn(&mut Talk); 3] = [
        |talk| talk.tell(Input::ReplyDone { reply: REPLY }),
        |talk| talk.tell(Input::ReplyFailed { reply: REPLY }),
        |talk| talk.wait(Policy::default().reply_text),
    ];
    for end in ends {
        let mut talk = Talk::asked();
        talk.filler();
        end(&mut talk);
        let turn = talk.finish();
        assert!(turn.reply.starts_with("One moment, let me check. I'm sorry"), "{}", turn.reply);
        assert_eq!(turn.failure, Some(Failure::Llm));
    }
}

#[test]
fn fillers_without_end_fill_the_reply_and_still_end_it() {
    let mut talk = Talk::asked();
    for _ in 0..2_000 {
        talk.filler();
    }
    let turn = talk.finish();
    assert!(turn.reply.len() <= 16 * 1024);
    assert_eq!(turn.failure, Some(Failure::Llm));
}
