//! A scene: everything that decides how a simulated call goes, put together in the order in which it is read.

use std::time::Duration;

use crate::playout::Shape;
use crate::turn::Policy;

use super::Call;
use super::caller::Act;
use super::link::Link;
use super::scripts::{LlmScript, SttScript, TtsScript};
use super::world::{Broken, World};

/// A call to be played in virtual time.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The numbers of turn-taking.
    pub policy: Policy,
    /// How much audio the caller's recorder puts in one message.
    pub slice: Duration,
    /// The way from the caller.
    pub link: Link,
    /// The recogniser.
    pub stt: SttScript,
    /// The language model.
    pub llm: LlmScript,
    /// The voice.
    pub tts: TtsScript,
    /// Whether a turn model judges the pauses.
    pub scored: bool,
    /// In which pieces audio leaves.
    pub shape: Shape,
    /// Whether the client can throw away what it has buffered.
    pub clears: bool,
    /// What is said first.
    pub greeting: Option<String>,
    /// What the caller does.
    pub acts: Vec<Act>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            slice: Duration::from_millis(20),
            link: Link::perfect(),
            stt: SttScript::default(),
            llm: LlmScript::default(),
            tts: TtsScript::default(),
            scored: true,
            shape: Shape::Frames { lead: Duration::from_millis(100) },
            clears: true,
            greeting: None,
            acts: Vec::new(),
        }
    }
}

impl Scene {
    /// The caller says something that sounds finished, at a usual rate.
    pub fn say(self, text: &str) -> Self {
        self.speak(text, usual_length(text), 0.95)
    }

    /// The caller says something and trails off: it does not sound finished.
    pub fn trail_off(self, text: &str) -> Self {
        self.speak(text, usual_length(text), 0.04)
    }

    /// The caller says something that takes so long and sounds so complete.
    pub fn speak(self, text: &str, lasts: Duration, complete: f32) -> Self {
        self.then(Act::Say { text: text.to_owned(), lasts, complete })
    }

    /// The caller makes a sound without words.
    pub fn cough(self, ms: u64) -> Self {
        self.speak("", Duration::from_millis(ms), 0.5)
    }

    /// The caller is silent for so many milliseconds.
    pub fn pause(self, ms: u64) -> Self {
        self.then(Act::Pause(Duration::from_millis(ms)))
    }

    /// The caller listens until the answer can be heard.
    pub fn await_answer(self) -> Self {
        self.then(Act::AwaitAnswer)
    }

    /// The caller listens until the turn is over.
    pub fn await_turn(self) -> Self {
        self.then(Act::AwaitTurn)
    }

    /// The caller hangs up.
    pub fn hang_up(self) -> Self {
        self.then(Act::HangUp)
    }

    /// The caller does this next.
    pub fn then(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }

    /// Sets the length of the recorder's time slice in milliseconds.
    pub fn slices_of(mut self, ms: u64) -> Self {
        self.slice = Duration::from_millis(ms);
        self
    }

    /// Plays the call until the caller has done everything and nothing is under way any more, or the call has ended.
    ///
    /// # Errors
    /// A rule of the turn machine was broken, or the call does not come to rest.
    pub fn play(self) -> Result<Call, Broken> {
        let mut world = World::new(self);
        world.drive_bounded(MOST_STEPS)?;
        Ok(world.into_call())
    }
}

/// Conversational English: about fifteen bytes a second.
fn usual_length(text: &str) -> Duration {
    Duration::from_millis(text.len() as u64 * 66)
}

/// Enough for ten minutes of 20 ms messages and all that follows from them.
const MOST_STEPS: usize = 400_000;
