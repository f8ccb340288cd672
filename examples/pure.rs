//! The pure machine by itself: facts in, orders out, no clock, no sockets, no tokio.
//!
//! A caller says one sentence; this program plays the recogniser, the model, the voice and the clock.

use voice_core::ids::UtteranceId;
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Event, Input, Policy};

fn main() {
    let at = SessionTime::from_millis;
    let mut dialogue = Dialogue::new(Policy::default());
    let mut facts = std::collections::VecDeque::from([
        (at(1_100), Input::SpeechStarted { at: at(1_000) }),
        (at(2_600), Input::SpeechEnded { last_voiced: at(2_500) }),
        (at(2_640), Input::Scored { utterance: UtteranceId(1), last_voiced: at(2_500), complete: 0.97 }),
        (at(2_700), Input::Listened { until: at(2_700) }),
    ]);
    while let Some((now, fact)) = facts.pop_front() {
        println!("{now:?}  {fact:?}");
        dialogue.handle_input(fact, now);
        while let Some(command) = dialogue.poll_command() {
            println!("          → {command:?}");
            let soon = |ms| at(now.as_millis() + ms);
            match command {
                Command::FinaliseUtterance { utterance } => {
                    facts.push_back((
                        soon(30),
                        Input::Final { utterance, text: "Does it have a pool?".into() },
                    ));
                }
                Command::StartReply { reply, .. } => {
                    facts.push_back((soon(1), Input::ContextReady { reply }));
                    facts.push_back((soon(2), Input::ReplyText { reply, delta: "Yes, it does.".into() }));
                    facts.push_back((soon(2), Input::ReplyDone { reply }));
                }
                Command::FinishSpeech { reply } => {
                    facts.push_back((soon(60), Input::FirstAudio { reply }));
                    facts.push_back((soon(61), Input::AudioReady { reply }));
                    facts.push_back((soon(61), Input::AudioLeft { reply }));
                    facts.push_back((soon(90), Input::SpeechDone { reply }));
                    facts.push_back((soon(900), Input::Played { reply }));
                }
                Command::Emit(Event::TurnEnded(record)) => {
                    for (stage, time) in record.ledger.entries() {
                        println!("{:>10} {time:?}", stage.name());
                    }
                    println!("{:>10} {:?}", "total", record.ledger.total());
                }
                _ => {}
            }
        }
    }
    assert!(dialogue.is_idle(), "the turn has been answered");
}
