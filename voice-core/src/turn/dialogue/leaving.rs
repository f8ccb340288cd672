//! A client that drops and comes back, and a person of ours who steps in: what both do to the floor.
//!
//! While the client is away nothing is decided by absence and nothing unheard is late. An audio that breaks in the caller's
//! sentence leaves his turn open: it goes on when he does, and is decided a moment after he is back if he does not.

use crate::metrics::{Ledger, Stage};

use super::super::ear::{Forming, Part};
use super::super::heard::Reading;
use super::super::mouth::Mouth;
use super::super::output::Command;
use super::super::timer::Timer;
use super::Dialogue;

impl Dialogue {
    pub(super) fn handle_away(&mut self) {
        self.away = true;
        self.timers.set(Timer::Away, self.now + self.policy.away);
        self.rearm_end_of_turn();
    }

    /// The audio breaks. A caller who had plainly finished is answered; of any other the rest may come.
    pub(super) fn break_off(&mut self) {
        let Some(forming) = &mut self.forming else { return };
        let is_whole = |f: &Forming| f.reads() == Reading::Complete;
        if forming.open.as_ref().is_some_and(|u| !u.speaking) && is_whole(forming) {
            self.decide();
            return;
        }
        let Some(utterance) = forming.open.take() else { return };
        if !self.away {
            // That the client is away may be told a moment later, or it is back already: the rest has its time from here.
            self.back_at = self.now;
        }
        forming.parts.push(Part { utterance: utterance.id, partial: utterance.partial, text: None });
        for timer in [Timer::Interrupt, Timer::LongTurn] {
            self.timers.stop(timer);
        }
        self.timers.set(Timer::SttFinal, self.now + self.policy.stt_final);
        self.transcribed = self.listened;
        self.commands.push_back(Command::FinaliseUtterance { utterance: utterance.id });
        self.rearm_end_of_turn();
    }

    pub(super) fn handle_back(&mut self) {
        if !std::mem::take(&mut self.away) {
            return;
        }
        self.back_at = self.now;
        self.timers.stop(Timer::Away);
        let now = self.now;
        if let Mouth::Answering(answer) = &self.mouth
            && !answer.voice_lost
        {
            // Just what passed unheeded while nobody heard anything begins anew.
            if answer.left_at.is_some() || answer.speech_done {
                self.timers.set(Timer::Playout, now + self.policy.playout);
            } else if answer.first_audio {
                self.timers.set(Timer::Speech, now + self.policy.speech);
            }
        }
        self.rearm_end_of_turn();
    }

    /// Nothing followed what was broken off: it is the whole turn. Its account begins where the caller was back.
    pub(super) fn decide_broken_off(&mut self) {
        let zero = if self.away { self.now } else { self.back_at.min(self.now) };
        let Some(forming) = self.forming.as_mut().filter(|f| f.is_broken_off()) else { return };
        let mut ledger = Ledger::open(zero);
        ledger.book(Stage::Endpoint, self.now);
        forming.ledger = Some(ledger);
        self.decided_at = self.now;
    }

    /// A person of ours has something said. What the model is saying gives way to it.
    pub(super) fn handle_saying(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || self.closing || self.sayings.len() >= MOST_SAYINGS {
            return;
        }
        self.sayings.push_back(text.to_owned());
        self.silence_model();
    }

    pub(super) fn handle_attended(&mut self, on: bool) {
        self.attended = on;
        if on {
            self.silence_model();
        }
    }

    /// Stops the answer under way, unless a person gives it.
    fn silence_model(&mut self) {
        match &self.mouth {
            Mouth::Answering(answer) if answer.by_person => {}
            mouth if mouth.is_audible() => self.cut_answer(),
            _ => self.drop_unheard_answer(),
        }
    }

    /// Speaks what a person of ours wants said, once nobody else has the floor.
    pub(super) fn start_saying(&mut self) {
        if self.closing || self.forming.is_some() || !matches!(self.mouth, Mouth::Silent) {
            return;
        }
        let Some(text) = self.sayings.pop_front() else { return };
        self.last_turn = self.last_turn.next();
        let mut turn = Forming::new(self.last_turn, self.now);
        turn.ledger = Some(Ledger::open(self.now));
        self.say(turn, String::new(), &text, true);
    }
}

/// Words of a person that wait at most; nobody types faster than they are spoken for long.
const MOST_SAYINGS: usize = 8;
