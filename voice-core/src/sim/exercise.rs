//! Arbitrary facts for the turn machine: bytes become a list of inputs, and the rules are checked after each.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::{ReplyId, UtteranceId};
use crate::time::SessionTime;
use crate::turn::{Command, Dialogue, Input, Policy};

use super::witness::{Violation, Witness};

/// Decodes `data` into facts with valid, stale and absurd ids and times, tells them to a [`Dialogue`], and then lets
/// time pass until the call has ended. For fuzzing.
///
/// # Panics
/// The machine breaks a rule of [`Witness`], lets a stale fact change something, or does not come to rest.
#[doc(hidden)]
pub fn exercise_turns(data: &[u8]) {
    let mut exercise = Exercise::new(Bytes(data));
    if let Err(violation) = exercise.run() {
        panic!("{violation}");
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }
}

struct Exercise<'a> {
    bytes: Bytes<'a>,
    now: SessionTime,
    dialogue: Dialogue,
    witness: Witness,
    transcribed: BTreeSet<UtteranceId>,
    silences: bool,
}

impl<'a> Exercise<'a> {
    fn new(mut bytes: Bytes<'a>) -> Self {
        let kind = bytes.byte();
        let mut policy = Policy::default();
        if kind % 8 == 7 {
            // Every number zero but the ones that would end the call at once.
            for (key, _) in Policy::KEYS {
                let value = if key.ends_with("idle_ms") && kind < 128 { "1" } else { "0" };
                // The keys come from the policy itself.
                let _ = policy.set(key, value);
            }
        }
        let dialogue = Dialogue::new(policy);
        Self {
            bytes,
            now: SessionTime::ZERO,
            dialogue,
            witness: Witness::default(),
            transcribed: BTreeSet::new(),
            silences: !kind.is_multiple_of(3),
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        if self.bytes.byte().is_multiple_of(4) {
            self.witness.note_input(&Input::Arrived, self.now);
            self.dialogue.greet("Hello. How can I help you?", self.now);
            self.drain()?;
        }
        while let Some(op) = self.bytes.next() {
            self.operate(op)?;
        }
        self.come_to_rest()
    }

    fn operate(&mut self, op: u8) -> Result<(), Violation> {
        if op >= 200 {
            // Time passes, and deadlines fire as they come.
            let ms = u64::from(op - 199) * u64::from(self.bytes.byte());
            return self.pass(Duration::from_millis(ms));
        }
        let input = self.input(op);
        if self.is_stale(&input) {
            return self.tell_stale(input);
        }
        if let Input::Final { utterance, .. } | Input::SttFailed { utterance } = &input {
            self.transcribed.insert(*utterance);
        }
        self.tell(input)
    }

    fn input(&mut self, op: u8) -> Input {
        match op % 25 {
            0 => Input::Arrived,
            1 | 2 => Input::Listened { until: self.time() },
            3 | 4 => Input::SpeechStarted { at: self.time() },
            5 | 6 => Input::SpeechEnded { last_voiced: self.time() },
            7 if op < 50 => Input::AudioEnded,
            8 if op >= 150 => Input::PauseUnread { utterance: self.utterance() },
            7 | 8 => Input::Partial { utterance: self.utterance(), text: self.text() },
            9 | 10 => Input::Final { utterance: self.utterance(), text: self.text() },
            11 => Input::SttFailed { utterance: self.utterance() },
            12 => {
                let complete =
                    [0.0, 0.3, 0.9, f32::NAN, f32::INFINITY, -1.0][usize::from(self.bytes.byte() % 6)];
                Input::Scored { utterance: self.utterance(), last_voiced: self.time(), complete }
            }
            13 => Input::ContextReady { reply: self.reply() },
            15 if op >= 150 => Input::ReplyFiller { reply: self.reply(), text: self.text() },
            14 | 15 => Input::ReplyText { reply: self.reply(), delta: self.text() },
            16 => Input::ReplyDone { reply: self.reply() },
            17 => Input::ReplyFailed { reply: self.reply() },
            18 => Input::FirstAudio { reply: self.reply() },
            19 => Input::AudioReady { reply: self.reply() },
            20 => Input::AudioLeft { reply: self.reply() },
            21 => Input::SpeechDone { reply: self.reply() },
            22 if op < 100 => Input::SpeechFailed { reply: self.reply() },
            22 => Input::Played { reply: self.reply() },
            23 => Input::Silenced { reply: self.reply(), heard: self.text() },
            24 if op >= 170 => match self.bytes.byte() % 6 {
                0 => Input::Away,
                1 | 2 => Input::Back,
                3 => Input::Broken,
                4 => Input::Say { text: self.text() },
                _ => Input::Attend { on: self.bytes.byte() < 128 },
            },
            _ if op < 50 => Input::Typed { text: self.text() },
            _ if op < 150 => Input::Interrupt,
            _ if self.bytes.byte() < 40 => Input::Hangup,
            _ => Input::Arrived,
        }
    }

    fn time(&mut self) -> SessionTime {
        let byte = self.bytes.byte();
        match byte {
            0 => SessionTime::ZERO,
            1 => SessionTime::FAR,
            2 => self.now + Duration::from_secs(3_600),
            3..=20 => self.now + Duration::from_millis(u64::from(byte)),
            _ => self.now - Duration::from_millis(u64::from(byte - 20) * 4),
        }
    }

    fn utterance(&mut self) -> UtteranceId {
        let byte = self.bytes.byte();
        let awaited = self.witness.awaited();
        match byte % 8 {
            0 => UtteranceId(u32::from(byte)),
            1 => UtteranceId(u32::MAX - u32::from(byte)),
            2 => self.witness.open().unwrap_or_default(),
            3 => awaited.first().copied().unwrap_or_default(),
            _ => awaited.last().copied().or(self.witness.open()).unwrap_or_default(),
        }
    }

    fn reply(&mut self) -> ReplyId {
        let byte = self.bytes.byte();
        match byte % 8 {
            0 => ReplyId(u32::from(byte)),
            1 => ReplyId(u32::MAX - u32::from(byte)),
            2 => self.witness.cutting().unwrap_or_default(),
            _ => self.witness.reply().or(self.witness.cutting()).unwrap_or_default(),
        }
    }

    fn text(&mut self) -> String {
        let byte = self.bytes.byte();
        TEXTS[usize::from(byte) % TEXTS.len()].repeat(if byte > 250 { 2_000 } else { 1 })
    }

    /// Whether the fact belongs to something that the machine has left or never began.
    fn is_stale(&self, input: &Input) -> bool {
        let given = |reply: &ReplyId| self.witness.reply() == Some(*reply);
        match input {
            Input::Final { utterance, .. } | Input::SttFailed { utterance } => {
                self.transcribed.contains(utterance) || !self.witness.awaited().contains(utterance)
            }
            Input::Partial { utterance, .. } => {
                self.witness.open() != Some(*utterance) && !self.witness.awaited().contains(utterance)
            }
            Input::Scored { utterance, .. } => self.witness.open() != Some(*utterance),
            Input::ContextReady { reply }
            | Input::ReplyText { reply, .. }
            | Input::ReplyFiller { reply, .. }
            | Input::ReplyDone { reply }
            | Input::ReplyFailed { reply }
            | Input::FirstAudio { reply }
            | Input::AudioReady { reply }
            | Input::AudioLeft { reply }
            | Input::SpeechDone { reply }
            | Input::SpeechFailed { reply }
            | Input::Played { reply } => !given(reply),
            Input::Silenced { reply, .. } => self.witness.cutting() != Some(*reply),
            _ => self.witness.is_closed(),
        }
    }

    /// A stale fact leaves the machine as it is and orders nothing.
    fn tell_stale(&mut self, input: Input) -> Result<(), Violation> {
        // Whatever the moment alone brings about happens first.
        self.tell(Input::Listened { until: SessionTime::ZERO })?;
        let before = format!("{:?}", self.dialogue);
        self.dialogue.handle_input(input.clone(), self.now);
        let command = self.dialogue.poll_command();
        let after = format!("{:?}", self.dialogue);
        if command.is_some() || before != after {
            let rule = format!("{input:?} is stale and changed {before} to {after} with {command:?}");
            return Err(Violation { rule, at: self.now });
        }
        Ok(())
    }

    fn tell(&mut self, input: Input) -> Result<(), Violation> {
        self.witness.note_input(&input, self.now);
        self.dialogue.handle_input(input, self.now);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Violation> {
        while let Some(command) = self.dialogue.poll_command() {
            self.witness.check_command(&command)?;
            if let Command::CancelReply { reply } | Command::StopSpeech { reply } = command
                && self.silences
            {
                let silenced = Input::Silenced { reply, heard: String::new() };
                self.witness.note_input(&silenced, self.now);
                self.dialogue.handle_input(silenced, self.now);
            }
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.now + time;
        while let Some(at) = self.dialogue.poll_timeout().filter(|at| *at <= until) {
            self.fire(at)?;
        }
        self.now = until;
        Ok(())
    }

    fn fire(&mut self, at: SessionTime) -> Result<(), Violation> {
        self.now = self.now.max(at);
        self.witness.note_timeout(self.now);
        self.dialogue.handle_timeout(self.now);
        // Before the answers to its orders: with deadlines of no time at all these set new ones for the same moment.
        self.witness.check_progress(&self.dialogue)?;
        self.drain()
    }

    /// With no more facts, deadlines alone lead to rest, and rest to the end.
    fn come_to_rest(&mut self) -> Result<(), Violation> {
        self.tell(Input::Back)?;
        let start = self.now;
        for _ in 0..MOST_DEADLINES {
            if self.dialogue.is_closed() || self.dialogue.is_idle() {
                break;
            }
            if let Some(at) = self.dialogue.poll_timeout() {
                self.fire(at)?;
            }
        }
        let rested = self.dialogue.is_closed() || self.dialogue.is_idle();
        if !rested || self.now.since(start) > LONGEST_UNREST {
            let rule =
                format!("no rest {:?} after the last fact: {:?}", self.now.since(start), self.dialogue);
            return Err(Violation { rule, at: self.now });
        }
        for _ in 0..MOST_DEADLINES {
            let Some(at) = self.dialogue.poll_timeout() else { break };
            self.fire(at)?;
        }
        if !self.dialogue.is_closed() {
            return Err(Violation { rule: "an idle call never ends".into(), at: self.now });
        }
        self.tell(Input::SpeechStarted { at: self.now })
    }
}

/// Facts' texts: words, nothing, listeners' sounds, open ends, and what is not ASCII.
const TEXTS: &[&str] = &[
    "how much is the house",
    "",
    "mm-hm",
    "I would like to see the",
    "Yes, it does. It has two, ",
    "  \n",
    "größe, 価格? ",
    "wait",
];
/// Deadlines that may pass between the last fact and rest.
const MOST_DEADLINES: usize = 64;
/// Longest time from the last fact to rest: an end of turn, a transcript, an answer, its speech and its playout, twice.
const LONGEST_UNREST: Duration = Duration::from_secs(90);
