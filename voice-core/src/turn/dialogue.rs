//! The machine: facts in, orders out.
//!
//! Two sides with one floor: `forming` is the caller's turn that is not answered, `mouth` our answer. A turn passes from
//! one to the other when it is decided and transcribed. Speech before the answer can be heard takes the turn back;
//! speech over an audible answer forms the next turn and, if it lasts or means something, cuts the answer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::{ReplyId, TurnId, UtteranceId};
use crate::metrics::{Ledger, Stage};
use crate::time::SessionTime;

use super::ear::{Cadence, Forming, Part, Utterance};
use super::endpoint::{Evidence, required_silence};
use super::heard::is_acknowledgement;
use super::input::Input;
use super::mouth::{Answer, Mouth};
use super::output::{CloseReason, Command, Event, Failure, NoticeCode, TurnRecord};
use super::policy::Policy;
use super::timer::{Timer, Timers};

/// How a recording should be played into the session; a live call goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it can be judged.
    Free,
    /// Not ahead of session time: something is under way that a live caller would talk during.
    RealTime,
    /// Not at all: an answer is being prepared or heard, and nothing in a recording interrupts.
    Hold,
}

/// The turn-taking of one call.
#[derive(Debug)]
pub struct Dialogue {
    policy: Policy,
    now: SessionTime,
    timers: Timers,
    commands: VecDeque<Command>,
    cadence: Cadence,
    listened: SessionTime,
    decided_at: SessionTime,
    /// Up to there the audio belongs to utterances that are over.
    transcribed: SessionTime,
    forming: Option<Forming>,
    mouth: Mouth,
    last_turn: TurnId,
    last_utterance: UtteranceId,
    last_reply: ReplyId,
    closing: bool,
    audio_over: bool,
    closed: bool,
}

impl Dialogue {
    /// A call that starts now, at [`SessionTime::ZERO`], with nobody speaking.
    pub fn new(policy: Policy) -> Self {
        let policy = Policy { idle: policy.idle.max(SHORTEST_IDLE), ..policy };
        let mut timers = Timers::default();
        timers.set(Timer::Idle, SessionTime::ZERO + policy.idle);
        Self {
            policy,
            now: SessionTime::ZERO,
            timers,
            commands: VecDeque::with_capacity(16),
            cadence: Cadence::default(),
            listened: SessionTime::ZERO,
            decided_at: SessionTime::ZERO,
            transcribed: SessionTime::ZERO,
            forming: None,
            mouth: Mouth::Silent,
            last_turn: TurnId(0),
            last_utterance: UtteranceId(0),
            last_reply: ReplyId(0),
            closing: false,
            audio_over: false,
            closed: false,
        }
    }

    /// Takes one fact that became known at `now`. A `now` before an earlier one counts as the earlier one, a
    /// moment after `now` as `now`.
    pub fn handle_input(&mut self, input: Input, now: SessionTime) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        match input {
            Input::Arrived => {
                self.cadence.handle_arrival(self.now);
                self.rearm_end_of_turn();
            }
            Input::Listened { until } => {
                self.cadence.handle_first_burst(self.now.since(until).min(self.now.since(self.listened)));
                self.listened = self.listened.max(until.min(self.now));
                self.decide_if_silent();
                self.rearm_end_of_turn();
            }
            Input::SpeechStarted { at } => self.handle_speech_started(at.min(self.now)),
            Input::SpeechEnded { last_voiced } => self.handle_speech_ended(last_voiced.min(self.now)),
            Input::AudioEnded => self.handle_audio_ended(),
            Input::Partial { utterance, text } => self.handle_partial(utterance, text),
            Input::Final { utterance, text } => self.handle_final(utterance, Some(text)),
            Input::SttFailed { utterance } => self.handle_final(utterance, None),
            Input::Scored { utterance, last_voiced, complete } => {
                self.handle_score(utterance, last_voiced, complete)
            }
            Input::ContextReady { reply } => self.handle_context_ready(reply),
            Input::ReplyText { reply, delta } => self.handle_reply_text(reply, &delta),
            Input::ReplyDone { reply } => self.handle_reply_done(reply),
            Input::ReplyFailed { reply } => self.handle_reply_failed(reply),
            Input::FirstAudio { reply } => {
                let now = self.now;
                if let Some(answer) = self.mouth.answering(reply)
                    && !answer.first_audio
                {
                    answer.first_audio = true;
                    book(&mut answer.turn, Stage::Tts, now);
                    self.timers.set(Timer::Speech, now + self.policy.speech);
                }
            }
            Input::AudioReady { reply } => {
                let now = self.now;
                if let Some(answer) = self.mouth.answering(reply)
                    && answer.left_at.is_none()
                {
                    book(&mut answer.turn, Stage::Engine, now);
                }
            }
            Input::AudioLeft { reply } => self.handle_audio_left(reply),
            Input::SpeechDone { reply } => self.handle_speech_done(reply),
            Input::SpeechFailed { reply } => self.handle_speech_failed(reply),
            Input::Played { reply } => self.handle_played(reply),
            Input::Silenced { reply, heard } => self.handle_silenced(reply, &heard),
            Input::Typed { text } => self.handle_typed(text),
            Input::Interrupt => self.cut_answer(),
            Input::Hangup => self.handle_hangup(),
        }
        self.settle();
    }

    /// Fires every deadline that has passed at `now`.
    pub fn handle_timeout(&mut self, now: SessionTime) {
        self.now = self.now.max(now);
        while !self.closed {
            let Some(timer) = self.timers.take_expired(self.now) else { break };
            self.handle_timer(timer);
            self.settle();
        }
    }

    /// The next order. Drain until `None` after every input and timeout.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called next. `None` once the call is closed.
    pub fn poll_timeout(&self) -> Option<SessionTime> {
        if self.closed { None } else { self.timers.next() }
    }

    /// Speaks a greeting as turn 0. Does nothing once anybody has spoken.
    pub fn greet(&mut self, text: &str, now: SessionTime) {
        self.now = self.now.max(now);
        if self.last_reply != ReplyId(0) || self.forming.is_some() || self.closed || text.trim().is_empty() {
            return;
        }
        let mut turn = Forming::new(TurnId(0), self.now);
        turn.ledger = Some(Ledger::open(self.now));
        self.say(turn, String::new(), text);
    }

    /// How fast a recording may be played in.
    pub fn pace(&self) -> Pace {
        if self.closing {
            return Pace::Free;
        }
        match (&self.mouth, &self.forming) {
            (mouth, _) if mouth.is_audible() => Pace::Hold,
            (Mouth::Silent, None) => Pace::Free,
            (Mouth::Silent, Some(f)) if f.open.as_ref().is_some_and(|u| u.speaking) => Pace::Free,
            (Mouth::Silent, Some(f)) if f.open.is_some() => Pace::RealTime,
            // For a moment a recorded speaker may go on after a pause, as a live one may; a slow machine must not make
            // that moment longer, or two recorded questions become one.
            _ if self.now < self.decided_at + self.policy.limit => Pace::RealTime,
            _ => Pace::Hold,
        }
    }

    /// Before this moment the first audio of an answer should not leave: bytes come in slices longer than the silence
    /// limit, and the next slice may show that the caller went on.
    pub fn release_at(&self) -> SessionTime {
        if self.audio_over {
            return SessionTime::ZERO;
        }
        self.cadence.next_burst(self.policy.limit).unwrap_or(SessionTime::ZERO)
    }

    /// Whether nobody speaks, nothing is awaited and nothing is being answered.
    pub fn is_idle(&self) -> bool {
        self.forming.is_none() && matches!(self.mouth, Mouth::Silent)
    }

    /// Whether the call has ended; nothing more will come out but queued commands.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::EndOfTurn => self.decide(),
            Timer::Interrupt => {
                if self.forming.as_ref().and_then(|f| f.open.as_ref()).is_some_and(|u| u.speaking) {
                    self.cut_answer();
                }
            }
            Timer::LongTurn => self.split_long_turn(),
            Timer::SttFinal => self.give_up_finals(),
            Timer::ReplyText => {
                if let Mouth::Answering(answer) = &self.mouth {
                    self.handle_reply_failed(answer.reply);
                }
            }
            Timer::Speech => {
                if let Mouth::Answering(answer) = &self.mouth {
                    self.handle_speech_failed(answer.reply);
                }
            }
            Timer::Playout => {
                if let Mouth::Answering(answer) = &mut self.mouth {
                    // Where the voice is done, it is the playout that hangs; the caller is told the same.
                    answer.speech_done = false;
                    let reply = answer.reply;
                    self.handle_speech_failed(reply);
                }
            }
            Timer::Silence => {
                if let Mouth::Cutting(answer) = &self.mouth {
                    self.handle_silenced(answer.reply, "");
                }
            }
            Timer::Idle => {
                if self.forming.is_none() && matches!(self.mouth, Mouth::Silent) {
                    self.close(CloseReason::Idle);
                } else {
                    self.timers.set(Timer::Idle, self.now + self.policy.idle);
                }
            }
            Timer::Close => self.close_with_what_is_there(),
        }
    }

    // The caller's side.

    fn handle_speech_started(&mut self, at: SessionTime) {
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

    fn open_utterance(&mut self, from: SessionTime, voiced: SessionTime) {
        self.last_utterance = self.last_utterance.next();
        let id = self.last_utterance;
        self.timers.set(Timer::LongTurn, self.now + self.policy.long_turn);
        if let Some(forming) = &mut self.forming {
            forming.open = Some(Utterance {
                id,
                last_voiced: voiced,
                speaking: true,
                complete: None,
                partial: String::new(),
            });
            let from = from.max(self.transcribed);
            self.commands.push_back(Command::OpenUtterance { utterance: id, from });
        }
    }

    fn handle_speech_ended(&mut self, last_voiced: SessionTime) {
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

    fn handle_score(&mut self, id: UtteranceId, last_voiced: SessionTime, complete: f32) {
        let Some(utterance) = self.forming.as_mut().and_then(|f| f.open.as_mut()) else { return };
        if utterance.id != id || utterance.speaking || utterance.last_voiced != last_voiced {
            return;
        }
        utterance.complete = Some(complete);
        self.decide_if_silent();
        self.rearm_end_of_turn();
    }

    fn handle_partial(&mut self, id: UtteranceId, text: String) {
        let Some(forming) = &mut self.forming else { return };
        match &mut forming.open {
            Some(utterance) if utterance.id == id => {
                if utterance.partial == text {
                    return;
                }
                utterance.partial = text;
            }
            _ => match forming.awaited(id) {
                Some(part) => part.partial = text,
                None => return,
            },
        }
        let event = Event::Transcript { turn: forming.turn, text: forming.words(), is_final: false };
        self.emit(event);
        self.decide_if_silent();
        self.rearm_end_of_turn();
    }

    fn handle_final(&mut self, id: UtteranceId, text: Option<String>) {
        let Some(part) = self.forming.as_mut().and_then(|f| f.awaited(id)) else { return };
        let failed = text.is_none();
        part.text = Some(text.unwrap_or_else(|| std::mem::take(&mut part.partial)));
        if failed {
            self.note_stt_failure();
        }
    }

    fn note_stt_failure(&mut self) {
        if let Some(forming) = &mut self.forming {
            forming.failure.get_or_insert(Failure::Stt);
        }
        self.notice(NoticeCode::SttFailed, "A part of what was said could not be transcribed.");
    }

    /// Ends the turn if the silence that its evidence asks for has been heard.
    fn decide_if_silent(&mut self) {
        let Some(forming) = &self.forming else { return };
        let Some(utterance) = forming.open.as_ref().filter(|u| !u.speaking) else { return };
        let needed = self.silence_needed(forming, utterance);
        if self.listened.since(utterance.last_voiced) >= needed {
            self.decide();
        }
    }

    fn silence_needed(&self, forming: &Forming, utterance: &Utterance) -> Duration {
        let words = if utterance.partial.is_empty() { String::new() } else { forming.words() };
        required_silence(Evidence { complete: utterance.complete, words: &words }, &self.policy)
    }

    /// Sets the deadline by which a turn ends when bytes stay away. Absence counts as silence, but not before the
    /// call's own cadence says that something is missing, and at the latest [`Policy::limit`] after the last byte.
    fn rearm_end_of_turn(&mut self) {
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
    fn decide(&mut self) {
        self.timers.stop(Timer::EndOfTurn);
        self.timers.stop(Timer::Interrupt);
        let Some(forming) = &mut self.forming else { return };
        let Some(utterance) = forming.open.take() else { return };
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
    fn split_long_turn(&mut self) {
        let Some(forming) = &mut self.forming else { return };
        if forming.parts.len() + 1 >= MAX_PARTS {
            self.decide();
            return;
        }
        let Some(utterance) = forming.open.take() else { return };
        forming.parts.push(Part { utterance: utterance.id, partial: utterance.partial, text: None });
        self.transcribed = self.listened;
        self.commands.push_back(Command::FinaliseUtterance { utterance: utterance.id });
        // Speech that goes on is reported as a new start; until then the piece counts as a pause, so that a caller who
        // fell silent just now is not waited for.
        let last_voiced = if utterance.speaking { self.listened } else { utterance.last_voiced };
        self.open_utterance(self.listened, last_voiced);
        if let Some(open) = self.forming.as_mut().and_then(|f| f.open.as_mut()) {
            open.speaking = false;
            open.complete = utterance.complete;
        }
        self.rearm_end_of_turn();
    }

    fn give_up_finals(&mut self) {
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

    fn handle_audio_ended(&mut self) {
        self.audio_over = true;
        self.decide();
    }

    fn handle_typed(&mut self, text: String) {
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
        self.forming = Some(forming);
    }

    // The floor passes.

    /// Takes back a turn whose answer cannot have been heard: the caller went on speaking.
    fn take_back(&mut self) {
        if !matches!(&self.mouth, Mouth::Answering(a) if a.turn.turn != TurnId(0)) {
            return;
        }
        let Mouth::Answering(answer) = std::mem::take(&mut self.mouth) else { return };
        self.stop_answer_timers();
        self.commands.push_back(Command::CancelReply { reply: answer.reply });
        self.last_turn = TurnId(answer.turn.turn.0 - 1);
        self.forming = Some(Forming { ledger: None, ..answer.turn });
    }

    /// An answer that nobody heard is replaced; its turn ends as it is.
    fn drop_unheard_answer(&mut self) {
        let Mouth::Answering(answer) = std::mem::take(&mut self.mouth) else { return };
        self.stop_answer_timers();
        self.commands.push_back(Command::CancelReply { reply: answer.reply });
        self.end_turn(*answer, "", true);
    }

    /// Carries on whatever has become possible.
    fn settle(&mut self) {
        self.start_settled_turn();
        if self.closing
            && !self.closed
            && self.audio_over
            && self.forming.is_none()
            && matches!(self.mouth, Mouth::Silent)
        {
            self.close(CloseReason::Ended);
        }
        if self.forming.is_some() || !matches!(self.mouth, Mouth::Silent) {
            self.timers.set(Timer::Idle, self.now + self.policy.idle);
        }
    }

    fn start_settled_turn(&mut self) {
        if !self.forming.as_ref().is_some_and(Forming::is_settled) {
            return;
        }
        let words = self.forming.as_ref().map(Forming::words).unwrap_or_default();
        if matches!(self.mouth, Mouth::Answering(_)) {
            // Speech over an answer that did not last long enough to stop it: its words decide.
            if words.is_empty() || (is_acknowledgement(&words) && !self.closing) {
                self.forming = None;
                self.timers.stop(Timer::SttFinal);
            } else {
                self.cut_answer();
            }
            return;
        }
        if !matches!(self.mouth, Mouth::Silent) {
            return;
        }
        self.timers.stop(Timer::SttFinal);
        let Some(mut forming) = self.forming.take() else { return };
        book(&mut forming, Stage::Stt, self.now);
        if words.is_empty() {
            if forming.failure.is_some() && !self.closing {
                self.last_turn = forming.turn;
                self.say(forming, String::new(), PLEASE_REPEAT);
            }
            return;
        }
        self.last_turn = forming.turn;
        self.emit(Event::Transcript { turn: forming.turn, text: words.clone(), is_final: true });
        if self.closing {
            let answer = Answer::new(self.last_reply, forming, words);
            self.end_turn(answer, "", false);
            return;
        }
        self.last_reply = self.last_reply.next();
        let reply = self.last_reply;
        self.commands.push_back(Command::StartReply { reply, turn: forming.turn, said: words.clone() });
        self.mouth = Mouth::Answering(Box::new(Answer::new(reply, forming, words)));
        self.timers.set(Timer::ReplyText, self.now + self.policy.reply_text);
    }

    // Our side.

    /// Speaks a fixed text as the answer to `turn`.
    fn say(&mut self, turn: Forming, said: String, text: &str) {
        self.last_reply = self.last_reply.next();
        let reply = self.last_reply;
        let mut answer = Answer::new(reply, turn, said);
        answer.context_ready = true;
        self.mouth = Mouth::Answering(Box::new(answer));
        self.handle_reply_text(reply, text);
        self.handle_reply_done(reply);
    }

    fn handle_context_ready(&mut self, reply: ReplyId) {
        let now = self.now;
        if let Some(answer) = self.mouth.answering(reply)
            && !answer.context_ready
        {
            answer.context_ready = true;
            book(&mut answer.turn, Stage::Context, now);
            self.timers.set(Timer::ReplyText, now + self.policy.reply_text);
        }
    }

    fn handle_reply_text(&mut self, reply: ReplyId, delta: &str) {
        let now = self.now;
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done || delta.is_empty() {
            return;
        }
        let room = MAX_REPLY.saturating_sub(answer.text.len());
        let whole = delta.len();
        let delta = &delta[..delta.floor_char_boundary(room)];
        let cut = delta.len() < whole;
        if answer.text.is_empty() {
            book(&mut answer.turn, Stage::Llm, now);
        }
        answer.text.push_str(delta);
        answer.chunker.push_delta(delta);
        self.timers.set(Timer::ReplyText, now + self.policy.reply_text);
        self.speak_clauses(reply);
        if cut {
            self.handle_reply_done(reply);
        }
    }

    fn handle_reply_done(&mut self, reply: ReplyId) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done {
            return;
        }
        if answer.text.trim().is_empty() {
            // An answer without words is no answer.
            self.handle_reply_failed(reply);
            return;
        }
        answer.text_done = true;
        answer.chunker.finish();
        self.timers.stop(Timer::ReplyText);
        self.speak_clauses(reply);
        // Also where the text holds nothing that can be spoken: the voice's silence ends the turn.
        if self.mouth.answering(reply).is_some_and(|a| !a.first_audio) {
            self.timers.set(Timer::Speech, self.now + self.policy.speech);
        }
        self.commands.push_back(Command::FinishSpeech { reply });
    }

    fn speak_clauses(&mut self, reply: ReplyId) {
        let now = self.now;
        let Some(answer) = self.mouth.answering(reply) else { return };
        let mut spoken = false;
        while let Some(clause) = answer.chunker.poll_clause() {
            if clause.trim().is_empty() {
                continue;
            }
            if !answer.speaking {
                answer.speaking = true;
                book(&mut answer.turn, Stage::Clause, now);
            }
            spoken = true;
            self.commands.push_back(Command::Speak { reply, clause });
        }
        if spoken {
            let event = Event::Reply { turn: answer.turn.turn, text: answer.text.clone() };
            if !answer.first_audio {
                self.timers.set(Timer::Speech, now + self.policy.speech);
            }
            self.emit(event);
        }
    }

    fn handle_reply_failed(&mut self, reply: ReplyId) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done {
            return;
        }
        self.timers.stop(Timer::ReplyText);
        answer.turn.failure.get_or_insert(Failure::Llm);
        let nothing_said = answer.text.trim().is_empty();
        self.notice(NoticeCode::LlmFailed, "The answer could not be completed.");
        if nothing_said {
            self.handle_reply_text(reply, CANNOT_ANSWER);
        }
        self.handle_reply_done(reply);
    }

    fn handle_audio_left(&mut self, reply: ReplyId) {
        let now = self.now;
        let playout = now + self.policy.playout;
        if let Some(answer) = self.mouth.answering(reply) {
            if answer.left_at.is_none() {
                book(&mut answer.turn, Stage::Pacing, now);
                answer.left_at = Some(now);
                // Only a greeting becomes audible over a caller who is speaking already.
                let speaking = self.forming.as_ref().and_then(|f| f.open.as_ref()).filter(|u| u.speaking);
                if let Some(utterance) = speaking {
                    let meant = utterance.last_voiced + self.policy.interrupt;
                    self.timers.set(Timer::Interrupt, meant.max(now));
                }
            }
            self.timers.stop(Timer::Speech);
            self.timers.set(Timer::Playout, playout);
        }
    }

    fn handle_speech_done(&mut self, reply: ReplyId) {
        let playout = self.now + self.policy.playout;
        let Some(answer) = self.mouth.answering(reply) else { return };
        if !answer.first_audio {
            // A voice without a sound has failed, whatever it says of itself.
            self.handle_speech_failed(reply);
            return;
        }
        answer.speech_done = true;
        self.timers.stop(Timer::Speech);
        self.timers.set(Timer::Playout, playout);
    }

    fn handle_speech_failed(&mut self, reply: ReplyId) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.speech_done {
            return;
        }
        answer.speech_done = true;
        answer.voice_lost = true;
        answer.turn.failure.get_or_insert(Failure::Tts);
        self.notice(NoticeCode::TtsFailed, "The voice failed; the answer is given as text.");
        // What was queued is cut too: half a sentence followed by nothing is worse than its text.
        self.cut_answer();
    }

    fn handle_played(&mut self, reply: ReplyId) {
        if self.mouth.answering(reply).is_none_or(|a| !a.speech_done) {
            return;
        }
        if let Mouth::Answering(answer) = std::mem::take(&mut self.mouth) {
            let heard = answer.text.clone();
            self.end_turn(*answer, &heard, false);
        }
    }

    /// Stops the answer under way, if there is one; what was heard of it comes back as `Silenced`.
    fn cut_answer(&mut self) {
        match std::mem::take(&mut self.mouth) {
            Mouth::Answering(answer) => {
                self.stop_answer_timers();
                self.emit(Event::Clear { reply: answer.reply });
                self.commands.push_back(Command::CancelReply { reply: answer.reply });
                self.timers.set(Timer::Silence, self.now + CUT_DEADLINE);
                self.mouth = Mouth::Cutting(answer);
            }
            other => self.mouth = other,
        }
    }

    fn handle_silenced(&mut self, reply: ReplyId, heard: &str) {
        if !matches!(&self.mouth, Mouth::Cutting(answer) if answer.reply == reply) {
            return;
        }
        if let Mouth::Cutting(answer) = std::mem::take(&mut self.mouth) {
            self.timers.stop(Timer::Silence);
            let interrupted = !answer.voice_lost;
            self.end_turn(*answer, heard, interrupted);
        }
    }

    fn stop_answer_timers(&mut self) {
        for timer in [Timer::ReplyText, Timer::Speech, Timer::Playout, Timer::Silence, Timer::Interrupt] {
            self.timers.stop(timer);
        }
    }

    fn end_turn(&mut self, answer: Answer, heard: &str, interrupted: bool) {
        self.stop_answer_timers();
        let ledger = answer.turn.ledger.unwrap_or_else(|| Ledger::open(self.now));
        let heard = if answer.left_at.is_some() { heard } else { "" };
        let record = TurnRecord {
            turn: answer.turn.turn,
            reply_id: (!answer.text.is_empty()).then_some(answer.reply),
            said: answer.said,
            heard: common_prefix(&answer.text, heard).to_owned(),
            reply: answer.text,
            started_at: answer.turn.started_at,
            answered_at: answer.left_at,
            ledger,
            interrupted,
            failure: answer.turn.failure,
        };
        self.emit(Event::TurnEnded(Box::new(record)));
    }

    // The end.

    fn handle_hangup(&mut self) {
        if self.closing {
            return;
        }
        self.closing = true;
        self.audio_over = false;
        self.timers.set(Timer::Close, self.now + self.policy.close);
        self.cut_answer();
    }

    fn close_with_what_is_there(&mut self) {
        if let Mouth::Answering(answer) | Mouth::Cutting(answer) = std::mem::take(&mut self.mouth) {
            self.end_turn(*answer, "", true);
        }
        self.decide();
        self.give_up_finals();
        self.start_settled_turn();
        self.close(CloseReason::Ended);
    }

    fn close(&mut self, reason: CloseReason) {
        self.emit(Event::Closed(reason));
        self.timers = Timers::default();
        self.closed = true;
    }

    fn emit(&mut self, event: Event) {
        self.commands.push_back(Command::Emit(event));
    }

    fn notice(&mut self, code: NoticeCode, text: &str) {
        self.emit(Event::Notice { code, text: text.to_owned() });
    }
}

/// What is said when the recogniser lost the caller's words.
const PLEASE_REPEAT: &str = "Sorry, I didn't catch that. Could you say it again?";
/// What is said when the model gives no answer.
const CANNOT_ANSWER: &str = "I'm sorry, I can't answer that right now. Please try again in a moment.";
/// The longest reply in bytes, about ten minutes of speech; a model that goes on is cut.
const MAX_REPLY: usize = 16 * 1024;
/// Pieces of [`Policy::long_turn`] after which a turn is answered although the caller goes on.
const MAX_PARTS: usize = 10;
/// An idle limit under this would fire again and again while something is under way.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
/// The session answers a cancellation at once; this only keeps a broken one from hanging.
const CUT_DEADLINE: Duration = Duration::from_secs(1);

fn book(turn: &mut Forming, stage: Stage, now: SessionTime) {
    if let Some(ledger) = &mut turn.ledger {
        ledger.book(stage, now);
    }
}

/// The longest prefix that both have, cut at a character.
fn common_prefix<'a>(text: &'a str, heard: &str) -> &'a str {
    let same = text.bytes().zip(heard.bytes()).take_while(|(a, b)| a == b).count();
    &text[..text.floor_char_boundary(same)]
}
