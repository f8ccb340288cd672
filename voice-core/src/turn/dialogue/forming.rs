//! The caller's side of the dialogue: speech, pauses, transcripts, and the decision that a turn is over.

use std::time::Duration;

use crate::ids::UtteranceId;
use crate::metrics::{Ledger, Stage};
use crate::time::SessionTime;

use super::super::ear::{Forming, Part, Utterance};
use super::super::endpoint::{Evidence, required_silence};
use super::super::output::{Command, Event, Failure, NoticeCode};
use super::super::timer::Timer;
use super::Dialogue;

impl Dialogue {
    pub(super) fn handle_speech_started(&mut self, at: SessionTime) {
        self.audio_over = false;
        if self.forming.is_none() && !self.mouth.is_audible() {
            self.take_back();
        }
        let turn = self.last_turn.next();
        let forming = self.forming.get_or_insert_with(|| Forming::new(turn, at));
        match &mut forming.open {
            Some(utterance) => {
                utterance.speaking = true;
                utterance.complete = None;
                utterance.unread = false;
            }
            None => {
                // A turn that was decided goes on; its account starts anew at the next decision.
                forming.ledger = None;
                let first = forming.parts.is_empty();
                self.open_utterance(
                    if first { at - self.policy.pre_roll } else { at - self.policy.silence },
                    at,
                );
            }
        }
        self.timers.stop(Timer::EndOfTurn);
        if self.mouth.is_audible() {
            self.timers.set(Timer::Interrupt, (at + self.policy.interrupt).max(self.now));
        }
        self.rearm_end_of_turn();
        self.emit(Event::SpeechStarted);
    }

    pub(super) fn open_utterance(&mut self, from: SessionTime, voiced: SessionTime) {
        self.last_utterance = self.last_utterance.next();
        let id = self.last_utterance;
        self.timers.set(Timer::LongTurn, self.now + self.policy.long_turn);
        if let Some(forming) = &mut self.forming {
            forming.open = Some(Utterance {
                id,
                last_voiced: voiced,
                speaking: true,
                complete: None,
                unread: false,
                partial: String::new(),
            });
            let from = from.max(self.transcribed);
            self.commands.push_back(Command::OpenUtterance { utterance: id, from });
        }
    }

    pub(super) fn handle_speech_ended(&mut self, last_voiced: SessionTime) {
        self.timers.stop(Timer::Interrupt);
        let Some(utterance) = self.forming.as_mut().and_then(|f| f.open.as_mut()) else { return };
        utterance.speaking = false;
        utterance.complete = None;
        utterance.last_voiced = last_voiced.max(utterance.last_voiced);
        let judge = Command::JudgePause { utterance: utterance.id, last_voiced: utterance.last_voiced };
        self.commands.push_back(judge);
        self.emit(Event::SpeechEnded);
        self.decide_if_silent();
        self.rearm_end_of_turn();
    }

    pub(super) fn handle_score(&mut self, id: UtteranceId, last_voiced: SessionTime, complete: f32) {
        let Some(utterance) = self.forming.as_mut().and_then(|f| f.open.as_mut()) else { return };
        if utterance.id != id || utterance.speaking || utterance.last_voiced != last_voiced {
            return;
        }
        utterance.complete = Some(complete);
        self.decide_if_silent();
        self.rearm_end_of_turn();
    }

    pub(super) fn handle_pause_unread(&mut self, id: UtteranceId) {
        if let Some(utterance) = self.forming.as_mut().and_then(|f| f.open.as_mut())
            && utterance.id == id
            && !utterance.speaking
        {
            utterance.unread = true;
            self.rearm_end_of_turn();
        }
    }

    pub(super) fn handle_partial(&mut self, id: UtteranceId, text: String) {
        let Some(forming) = &mut self.forming else { return };
        match &mut forming.open {
            Some(utterance) if utterance.id == id => {
                let was_unread = std::mem::take(&mut utterance.unread);
                if utterance.partial == text {
                    if was_unread {
                        self.decide_if_silent();
                        self.rearm_end_of_turn();
                    }
                    return;
                }
                utterance.partial = text;
            }
            _ => match forming.awaited(id) {
                Some(part) => part.partial = text,
                None => return,
            },
        }
        forming.read();
        let event = Event::Transcript { turn: forming.turn, text: forming.words(), is_final: false };
        self.emit(event);
        self.decide_if_silent();
        self.rearm_end_of_turn();
    }

    pub(super) fn handle_final(&mut self, id: UtteranceId, text: Option<String>) {
        let Some(part) = self.forming.as_mut().and_then(|f| f.awaited(id)) else { return };
        let failed = text.is_none();
        part.text = Some(text.unwrap_or_else(|| std::mem::take(&mut part.partial)));
        if let Some(forming) = &mut self.forming {
            forming.read();
        }
        if failed {
            self.note_stt_failure();
        }
    }

    pub(super) fn note_stt_failure(&mut self) {
        if let Some(forming) = &mut self.forming {
            forming.failure.get_or_insert(Failure::Stt);
        }
        self.notice(NoticeCode::SttFailed, "A part of what was said could not be transcribed.");
    }

    /// Ends the turn if the silence that its evidence asks for has been heard.
    pub(super) fn decide_if_silent(&mut self) {
        let Some(forming) = &self.forming else { return };
        let Some(utterance) = forming.open.as_ref().filter(|u| !u.speaking) else { return };
        let needed = self.silence_needed(forming, utterance);
        if self.listened.since(utterance.last_voiced) >= needed {
            self.decide();
        }
    }

    pub(super) fn silence_needed(&self, forming: &Forming, utterance: &Utterance) -> Duration {
        let evidence =
            Evidence { complete: utterance.complete, reads: forming.reads(), unread: utterance.unread };
        required_silence(evidence, &self.policy)
    }

    /// Sets the deadline by which a turn ends when bytes stay away. Absence counts as silence, but not before the
    /// call's own cadence says that something is missing, and at the latest [`Policy::limit`] after the last byte.
    pub(super) fn rearm_end_of_turn(&mut self) {
        if self.away {
            // Nothing can come; that says nothing about the caller.
            self.timers.stop(Timer::EndOfTurn);
            return;
        }
        if self.forming.as_ref().is_some_and(Forming::is_broken_off) {
            self.timers.set(Timer::EndOfTurn, (self.back_at + self.policy.limit).max(self.now));
            return;
        }
        let Some((forming, utterance)) = self.forming.as_ref().and_then(|f| Some((f, f.open.as_ref()?)))
        else {
            self.timers.stop(Timer::EndOfTurn);
            return;
        };
        let last_byte = self.cadence.last().max(self.listened);
        let at = if utterance.speaking {
            last_byte + self.policy.limit
        } else {
            let silent = utterance.last_voiced + self.silence_needed(forming, utterance);
            silent.max(last_byte + self.cadence.patience()).min(last_byte + self.policy.limit)
        };
        self.timers.set(Timer::EndOfTurn, at.max(self.now));
    }

    /// The caller's turn is over: ask for the final transcript.
    pub(super) fn decide(&mut self) {
        self.timers.stop(Timer::EndOfTurn);
        self.timers.stop(Timer::Interrupt);
        let Some(forming) = &mut self.forming else { return };
        let Some(utterance) = forming.open.take() else {
            self.decide_broken_off();
            return;
        };
        let zero =
            if utterance.speaking { self.listened.max(utterance.last_voiced) } else { utterance.last_voiced };
        let mut ledger = Ledger::open(zero.min(self.now));
        ledger.book(Stage::Endpoint, self.now);
        forming.ledger = Some(ledger);
        self.decided_at = self.now;
        forming.parts.push(Part { utterance: utterance.id, partial: utterance.partial, text: None });
        self.timers.stop(Timer::LongTurn);
        self.timers.set(Timer::SttFinal, self.now + self.policy.stt_final);
        self.transcribed = self.listened;
        self.commands.push_back(Command::FinaliseUtterance { utterance: utterance.id });
    }

    /// A very long turn is transcribed piece by piece, and ends after as many pieces as anybody would listen to.
    pub(super) fn split_long_turn(&mut self) {
        let Some(forming) = &mut self.forming else { return };
        if forming.parts.len() + 1 >= MAX_PARTS {
            self.decide();
            return;
        }
        let Some(utterance) = forming.open.take() else { return };
        forming.parts.push(Part { utterance: utterance.id, partial: utterance.partial, text: None });
        self.transcribed = self.listened;
        self.commands.push_back(Command::FinaliseUtterance { utterance: utterance.id });
        self.timers.set(Timer::SttFinal, self.now + self.policy.stt_final);
        // Speech that goes on is reported as a new start; until then the piece counts as a pause, so that a caller who
        // fell silent just now is not waited for.
        let last_voiced = if utterance.speaking { self.listened } else { utterance.last_voiced };
        self.open_utterance(self.listened, last_voiced);
        if let Some(open) = self.forming.as_mut().and_then(|f| f.open.as_mut()) {
            open.speaking = false;
            open.complete = utterance.complete;
            open.unread = utterance.unread;
        }
        self.rearm_end_of_turn();
    }

    pub(super) fn give_up_finals(&mut self) {
        let Some(forming) = &mut self.forming else { return };
        let mut lost = false;
        for part in forming.parts.iter_mut().filter(|p| p.text.is_none()) {
            part.text = Some(std::mem::take(&mut part.partial));
            lost = true;
        }
        if lost {
            self.note_stt_failure();
        }
    }

    pub(super) fn handle_audio_ended(&mut self) {
        self.audio_over = true;
        self.decide();
    }

    pub(super) fn handle_typed(&mut self, text: String) {
        let text = text.trim();
        if text.is_empty() || self.closing {
            return;
        }
        // What is being spoken is replaced by what is typed; what was said or typed before and not answered stays.
        let mut unanswered = self.forming.take();
        if let Some(open) = unanswered.as_mut().and_then(|f| f.open.take()) {
            self.commands.push_back(Command::AbandonUtterance { utterance: open.id });
        }
        if self.mouth.is_audible() {
            self.cut_answer();
        } else {
            self.drop_unheard_answer();
        }
        let mut forming = unanswered.unwrap_or_else(|| Forming::new(self.last_turn.next(), self.now));
        forming.ledger = Some(Ledger::open(self.now));
        let part = Part { utterance: UtteranceId(0), partial: String::new(), text: Some(text.to_owned()) };
        forming.parts.push(part);
        forming.read();
        if forming.is_awaiting() {
            self.timers.set(Timer::SttFinal, self.now + self.policy.stt_final);
        }
        self.forming = Some(forming);
    }
}

/// Pieces of [`Policy::long_turn`] after which a turn is answered although the caller goes on.
const MAX_PARTS: usize = 10;
