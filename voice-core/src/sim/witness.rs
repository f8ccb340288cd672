//! The rules that a turn machine never breaks, checked from outside on what it is told and what it orders.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::{ReplyId, TurnId, UtteranceId};
use crate::time::SessionTime;
use crate::turn::{Command, Dialogue, Event, Input, TurnRecord};

/// A broken rule, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} (at {at:?})")]
pub struct Violation {
    /// Which rule, and the case.
    pub rule: String,
    /// When.
    pub at: SessionTime,
}

/// Watches one [`Dialogue`].
#[derive(Debug, Default)]
pub struct Witness {
    now: SessionTime,
    outputs: usize,
    allowed: usize,
    /// Orders for words of a person, which are spoken some time later.
    sayings: usize,
    reply: Option<ReplyId>,
    cutting: Option<ReplyId>,
    newest_reply: ReplyId,
    written: String,
    spoken: String,
    finished: bool,
    turn: Option<TurnId>,
    /// Reply and turn that are not taken back any more.
    committed: Option<(ReplyId, TurnId)>,
    open: Option<UtteranceId>,
    newest_utterance: UtteranceId,
    awaited: BTreeSet<UtteranceId>,
    newest_ended: Option<TurnId>,
    closed: bool,
}

impl Witness {
    /// The reply that is being given, if one is.
    pub fn reply(&self) -> Option<ReplyId> {
        self.reply
    }

    /// The reply that is being cut and has not been answered with `Silenced`.
    pub fn cutting(&self) -> Option<ReplyId> {
        self.cutting
    }

    /// The utterance that takes audio.
    pub fn open(&self) -> Option<UtteranceId> {
        self.open
    }

    /// Utterances whose final transcript has been asked for and not been given.
    pub fn awaited(&self) -> &BTreeSet<UtteranceId> {
        &self.awaited
    }

    /// Whether the call has ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The machine is about to be told something.
    pub fn note_input(&mut self, input: &Input, now: SessionTime) {
        self.begin_step(now);
        match input {
            Input::Say { text } => {
                self.sayings += 2 * text.len();
                self.allowed += 2 * text.len();
            }
            Input::ReplyText { reply, delta } | Input::ReplyFiller { reply, text: delta }
                if self.reply == Some(*reply) =>
            {
                self.written.push_str(delta);
                self.allowed += 2 * delta.len();
            }
            Input::Final { utterance, .. } | Input::SttFailed { utterance } => {
                self.awaited.remove(utterance);
            }
            Input::Silenced { reply, .. } => {
                self.cutting.take_if(|c| *c == *reply);
            }
            _ => {}
        }
    }

    /// The machine is about to be told that time has passed.
    pub fn note_timeout(&mut self, now: SessionTime) {
        self.begin_step(now);
        self.allowed += MOST_OUTPUTS * 9;
    }

    fn begin_step(&mut self, now: SessionTime) {
        self.now = self.now.max(now);
        self.outputs = 0;
        self.allowed = MOST_OUTPUTS + self.sayings;
    }

    /// All orders have been drained after a timeout at the moment noted: no deadline may still lie in the past.
    ///
    /// # Errors
    /// One does.
    pub fn check_progress(&self, dialogue: &Dialogue) -> Result<(), Violation> {
        match dialogue.poll_timeout() {
            Some(at) if at <= self.now => self.broken(format!("a deadline at {at:?} stays in the past")),
            None if !dialogue.is_closed() => self.broken("an open call waits for nothing".into()),
            _ => Ok(()),
        }
    }

    /// The machine orders something.
    ///
    /// # Errors
    /// The order breaks a rule.
    pub fn check_command(&mut self, command: &Command) -> Result<(), Violation> {
        self.outputs += 1;
        if self.outputs > self.allowed {
            return self.broken(format!("more than {} orders at one fact", self.allowed));
        }
        if self.closed {
            return self.broken(format!("{command:?} after the end"));
        }
        match command {
            Command::OpenUtterance { utterance, .. } => {
                if self.open.is_some() || *utterance <= self.newest_utterance {
                    return self.broken(format!("utterance {utterance} opened while {:?} is", self.open));
                }
                self.open = Some(*utterance);
                self.newest_utterance = *utterance;
                Ok(())
            }
            Command::JudgePause { utterance, .. } => self.check_open(*utterance),
            Command::FinaliseUtterance { utterance } => {
                self.check_open(*utterance)?;
                self.open = None;
                self.awaited.insert(*utterance);
                Ok(())
            }
            Command::AbandonUtterance { utterance } => {
                self.check_open(*utterance)?;
                self.open = None;
                Ok(())
            }
            Command::StartReply { reply, turn, said } => {
                if said.trim().is_empty() {
                    return self.broken(format!("reply {reply} to no words"));
                }
                self.begin_reply(*reply)?;
                if self.committed.is_some_and(|(_, committed)| committed == *turn) {
                    return self.broken(format!("turn {turn} is taken back although it was committed"));
                }
                self.turn = Some(*turn);
                if self.newest_ended.is_some_and(|ended| *turn <= ended) {
                    return self.broken(format!("turn {turn} is answered after its end"));
                }
                Ok(())
            }
            Command::Speak { reply, clause } => self.check_speak(*reply, clause),
            Command::CommitReply { reply } => {
                let done = self.committed.is_some_and(|(committed, _)| committed == *reply);
                let (true, false, Some(turn)) = (self.reply == Some(*reply), done, self.turn) else {
                    return self.broken(format!("{reply} committed while {:?} is given", self.reply));
                };
                self.committed = Some((*reply, turn));
                Ok(())
            }
            Command::FinishSpeech { reply } => {
                if self.reply != Some(*reply) || std::mem::replace(&mut self.finished, true) {
                    return self
                        .broken(format!("speech of {reply} finished while {:?} is given", self.reply));
                }
                Ok(())
            }
            Command::StopSpeech { reply } => {
                if self.reply != Some(*reply) || std::mem::replace(&mut self.finished, true) {
                    return self.broken(format!("speech of {reply} stopped while {:?} is given", self.reply));
                }
                self.cutting = Some(*reply);
                Ok(())
            }
            Command::CancelReply { reply } => {
                if self.reply != Some(*reply) {
                    return self.broken(format!("{reply} cancelled while {:?} is given", self.reply));
                }
                self.reply = None;
                self.cutting = Some(*reply);
                Ok(())
            }
            Command::Emit(event) => self.check_event(event),
        }
    }

    fn begin_reply(&mut self, reply: ReplyId) -> Result<(), Violation> {
        if let Some(given) = self.reply {
            return self.broken(format!("reply {reply} while {given} is given"));
        }
        if reply <= self.newest_reply {
            return self.broken(format!("the number {reply} is used again"));
        }
        self.reply = Some(reply);
        self.newest_reply = reply;
        self.written.clear();
        self.spoken.clear();
        self.finished = false;
        Ok(())
    }

    fn check_speak(&mut self, reply: ReplyId, clause: &str) -> Result<(), Violation> {
        if self.reply != Some(reply) {
            // The machine's own sentences are spoken without a request to the model.
            self.begin_reply(reply)?;
        }
        if self.finished {
            return self.broken(format!("a clause of {reply} after the last"));
        }
        if clause.trim().is_empty() {
            return self.broken(format!("an empty clause of {reply}"));
        }
        self.spoken.push_str(clause);
        Ok(())
    }

    fn check_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Clear { reply } if self.reply != Some(*reply) => {
                self.broken(format!("{reply} cleared while {:?} is given", self.reply))
            }
            Event::TurnEnded(record) => self.check_record(record),
            Event::Closed(_) => {
                if let Some(reply) = self.reply {
                    return self.broken(format!("closed while {reply} is given"));
                }
                if let Some(open) = self.open {
                    return self.broken(format!("closed while utterance {open} is open"));
                }
                self.closed = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_record(&mut self, record: &TurnRecord) -> Result<(), Violation> {
        let turn = record.turn;
        if self.newest_ended.is_some_and(|ended| turn <= ended) {
            return self.broken(format!("turn {turn} ends after {:?}", self.newest_ended));
        }
        self.newest_ended = Some(turn);
        if !record.reply.starts_with(&record.heard) {
            return self.broken(format!("{:?} heard of {:?}", record.heard, record.reply));
        }
        if !letters(&record.reply).starts_with(&letters(&self.spoken))
            && record.reply_id == Some(self.newest_reply)
        {
            return self.broken(format!("{:?} spoken of {:?}", self.spoken, record.reply));
        }
        if record.answered_at.is_none() && !record.heard.is_empty() {
            return self.broken(format!("{:?} heard of an answer that never left", record.heard));
        }
        let sum: Duration = record.ledger.entries().map(|(_, d)| d).sum();
        if sum != record.ledger.total() {
            return self.broken(format!("a ledger of {sum:?} for {:?}", record.ledger.total()));
        }
        if let Some(id) = record.reply_id
            && id != self.newest_reply
        {
            return self.broken(format!("turn {turn} ends with reply {id} and not {}", self.newest_reply));
        }
        self.reply = None;
        self.cutting = None;
        Ok(())
    }

    fn check_open(&self, utterance: UtteranceId) -> Result<(), Violation> {
        if self.open == Some(utterance) {
            Ok(())
        } else {
            self.broken(format!("an order about utterance {utterance} while {:?} is open", self.open))
        }
    }

    fn broken(&self, rule: String) -> Result<(), Violation> {
        Err(Violation { rule, at: self.now })
    }
}

/// Orders that one fact may cause, besides those in proportion to its text.
const MOST_OUTPUTS: usize = 24;

fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
