//! The machine: facts in, orders out.
//!
//! Two sides with one floor: `forming` is the caller's turn that is not answered, `mouth` our answer. A turn passes from
//! one to the other when it is decided and transcribed. Speech before the answer can be heard takes the turn back;
//! speech over an audible answer forms the next turn and, if it lasts or means something, cuts the answer.

mod answering;
mod forming;
mod leaving;

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::{ReplyId, TurnId, UtteranceId};
use crate::metrics::{Ledger, Stage};
use crate::time::SessionTime;

use super::ear::{Cadence, Forming};
use super::heard::is_acknowledgement;
use super::input::Input;
use super::mouth::{Answer, Mouth};
use super::output::{CloseReason, Command, Event, NoticeCode};
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
    /// The client's connection dropped.
    away: bool,
    /// When it was there again, last, or its audio broke off meanwhile.
    back_at: SessionTime,
    /// A person of ours answers.
    attended: bool,
    /// Words of that person that wait to be spoken.
    sayings: VecDeque<String>,
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
            away: false,
            back_at: SessionTime::ZERO,
            attended: false,
            sayings: VecDeque::new(),
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
            Input::PauseUnread { utterance } => self.handle_pause_unread(utterance),
            Input::Partial { utterance, text } => self.handle_partial(utterance, text),
            Input::Final { utterance, text } => self.handle_final(utterance, Some(text)),
            Input::SttFailed { utterance } => self.handle_final(utterance, None),
            Input::Scored { utterance, last_voiced, complete } => {
                self.handle_score(utterance, last_voiced, complete)
            }
            Input::ContextReady { reply } => self.handle_context_ready(reply),
            Input::ReplyText { reply, delta } => self.handle_reply_text(reply, &delta),
            Input::ReplyFiller { reply, text } => self.handle_reply_filler(reply, &text),
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
            Input::PlaybackStarted { reply, at } => {
                if let Some(answer) = self.mouth.answering(reply)
                    && answer.left_at.is_some()
                    && !std::mem::replace(&mut answer.client_booked, true)
                {
                    book(&mut answer.turn, Stage::Client, at.min(self.now));
                }
            }
            Input::Skipped { by } => self.timers.put_off(Timer::Idle, by),
            Input::Away => self.handle_away(),
            Input::Broken => self.break_off(),
            Input::Back => self.handle_back(),
            Input::Say { text } => self.handle_saying(&text),
            Input::Attend { on } => self.handle_attended(on),
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
        self.say(turn, String::new(), text, false);
    }

    /// How fast a recording may be played in.
    pub fn pace(&self) -> Pace {
        if self.closing {
            return Pace::Free;
        }
        match (&self.mouth, &self.forming) {
            (mouth, _) if mouth.is_audible() => Pace::Hold,
            (Mouth::Silent, None) => Pace::Free,
            // The recogniser has its time on the wall: an earlier part's words must not be given up because the session
            // has jumped.
            (Mouth::Silent, Some(f)) if f.is_awaiting() => Pace::RealTime,
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
            // Nobody hears anything: what waits to be heard is not late.
            Timer::Speech if self.away && self.mouth.has_sound() => {}
            Timer::Playout if self.away => {}
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
            Timer::Away => self.handle_hangup(),
            Timer::Close => self.close_with_what_is_there(),
        }
    }

    // The floor passes.

    /// Takes back a turn whose answer cannot have been heard: the caller went on speaking.
    fn take_back(&mut self) {
        if !matches!(&self.mouth, Mouth::Answering(a) if a.turn.turn != TurnId(0) && !a.by_person) {
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
        self.start_saying();
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
                self.say(forming, String::new(), PLEASE_REPEAT, false);
            }
            return;
        }
        self.last_turn = forming.turn;
        self.emit(Event::Transcript { turn: forming.turn, text: words.clone(), is_final: true });
        if self.closing || self.attended {
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
/// An idle limit under this would fire again and again while something is under way.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);

fn book(turn: &mut Forming, stage: Stage, now: SessionTime) {
    if let Some(ledger) = &mut turn.ledger {
        ledger.book(stage, now);
    }
}
