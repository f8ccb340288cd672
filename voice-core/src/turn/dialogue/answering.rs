//! Our side of the dialogue: the answer's text, its clauses, its audio, and its end.

use std::time::Duration;

use crate::ids::ReplyId;
use crate::metrics::{Ledger, Stage};

use super::super::ear::Forming;
use super::super::mouth::{Answer, Mouth};
use super::super::output::{Command, Event, Failure, NoticeCode, TurnRecord};
use super::super::timer::Timer;
use super::{Dialogue, book};

impl Dialogue {
    /// Speaks a fixed text as the answer to `turn`.
    pub(super) fn say(&mut self, turn: Forming, said: String, text: &str, by_person: bool) {
        self.last_reply = self.last_reply.next();
        let reply = self.last_reply;
        let mut answer = Answer::new(reply, turn, said);
        answer.context_ready = true;
        answer.by_person = by_person;
        self.mouth = Mouth::Answering(Box::new(answer));
        self.handle_reply_text(reply, text);
        self.handle_reply_done(reply);
    }

    pub(super) fn handle_context_ready(&mut self, reply: ReplyId) {
        let now = self.now;
        if let Some(answer) = self.mouth.answering(reply)
            && !answer.context_ready
        {
            answer.context_ready = true;
            book(&mut answer.turn, Stage::Context, now);
            self.timers.set(Timer::ReplyText, now + self.policy.reply_text);
        }
    }

    pub(super) fn handle_reply_text(&mut self, reply: ReplyId, delta: &str) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done || delta.is_empty() {
            return;
        }
        answer.own_words |= !delta.trim().is_empty();
        self.write(reply, delta);
    }

    pub(super) fn handle_reply_filler(&mut self, reply: ReplyId, text: &str) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done || text.trim().is_empty() {
            return;
        }
        answer.bridged |= !answer.own_words;
        self.write(reply, text);
    }

    /// Appends to the text of a reply that is being written.
    fn write(&mut self, reply: ReplyId, delta: &str) {
        let now = self.now;
        let Some(answer) = self.mouth.answering(reply) else { return };
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

    pub(super) fn handle_reply_done(&mut self, reply: ReplyId) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done {
            return;
        }
        if !answer.own_words {
            // An answer without words of its own is no answer.
            self.handle_reply_failed(reply);
            return;
        }
        answer.text_done = true;
        answer.chunker.finish();
        self.timers.stop(Timer::ReplyText);
        self.speak_clauses(reply);
        if self.mouth.answering(reply).is_some_and(|a| a.voice_lost) {
            self.end_unspoken_answer();
            return;
        }
        // Also where the text holds nothing that can be spoken: the voice's silence ends the turn.
        if self.mouth.answering(reply).is_some_and(|a| !a.first_audio) {
            self.timers.set(Timer::Speech, self.now + self.policy.speech);
        }
        self.commands.push_back(Command::FinishSpeech { reply });
    }

    pub(super) fn speak_clauses(&mut self, reply: ReplyId) {
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
            if !answer.voice_lost {
                self.commands.push_back(Command::Speak { reply, clause });
            }
        }
        if spoken {
            let event = Event::Reply { turn: answer.turn.turn, text: answer.text.clone() };
            if !answer.first_audio && !answer.voice_lost {
                self.timers.set(Timer::Speech, now + self.policy.speech);
            }
            self.emit(event);
        }
    }

    pub(super) fn handle_reply_failed(&mut self, reply: ReplyId) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.text_done {
            return;
        }
        self.timers.stop(Timer::ReplyText);
        answer.turn.failure.get_or_insert(Failure::Llm);
        // Whoever hears the call only hears no notice.
        let told = if answer.own_words { BROKEN_OFF } else { CANNOT_ANSWER };
        self.notice(NoticeCode::LlmFailed, "The answer could not be completed.");
        self.handle_reply_text(reply, told);
        self.handle_reply_done(reply);
    }

    pub(super) fn handle_audio_left(&mut self, reply: ReplyId) {
        let now = self.now;
        let playout = now + self.policy.playout;
        if let Some(answer) = self.mouth.answering(reply) {
            if answer.left_at.is_none() {
                book(&mut answer.turn, Stage::Pacing, now);
                answer.left_at = Some(now);
                // A lost voice has committed already.
                if !answer.text_done && !answer.voice_lost {
                    self.commands.push_back(Command::CommitReply { reply });
                }
                // Only a greeting and a person's words become audible over a caller who is speaking already.
                let speaking = self.forming.as_ref().and_then(|f| f.open.as_ref()).filter(|u| u.speaking);
                if let Some(utterance) = speaking {
                    let meant = utterance.last_voiced + self.policy.interrupt;
                    self.timers.set(Timer::Interrupt, meant.max(now));
                }
            }
            if answer.voice_lost {
                // The last sound of a voice that is stopped already: only the text is waited for.
                self.timers.stop(Timer::Interrupt);
                return;
            }
            self.timers.stop(Timer::Speech);
            self.timers.set(Timer::Playout, playout);
        }
    }

    pub(super) fn handle_speech_done(&mut self, reply: ReplyId) {
        let playout = self.now + self.policy.playout;
        let Some(answer) = self.mouth.answering(reply) else { return };
        if !answer.first_audio || !answer.text_done {
            // A voice without a sound, or one that ends before its text, has failed, whatever it says of itself.
            self.handle_speech_failed(reply);
            return;
        }
        answer.speech_done = true;
        self.timers.stop(Timer::Speech);
        self.timers.set(Timer::Playout, playout);
    }

    pub(super) fn handle_speech_failed(&mut self, reply: ReplyId) {
        let Some(answer) = self.mouth.answering(reply) else { return };
        if answer.speech_done || answer.voice_lost {
            return;
        }
        let unheard = answer.left_at.is_none();
        answer.speech_done = true;
        answer.voice_lost = true;
        answer.turn.failure.get_or_insert(Failure::Tts);
        self.notice(NoticeCode::TtsFailed, "The voice failed; the answer is given as text.");
        // What was queued is cut too: half a sentence followed by nothing is worse than its text.
        if self.mouth.answering(reply).is_some_and(|a| a.text_done) {
            self.cut_answer();
            return;
        }
        for timer in [Timer::Speech, Timer::Playout, Timer::Interrupt] {
            self.timers.stop(timer);
        }
        self.emit(Event::Clear { reply });
        self.commands.push_back(Command::StopSpeech { reply });
        if unheard {
            self.commands.push_back(Command::CommitReply { reply });
        }
    }

    /// The voice was lost and the text has come to its end.
    fn end_unspoken_answer(&mut self) {
        if let Mouth::Answering(mut answer) = std::mem::take(&mut self.mouth) {
            let heard = answer.heard.take().unwrap_or_default();
            self.end_turn(*answer, &heard, false);
        }
    }

    pub(super) fn handle_played(&mut self, reply: ReplyId) {
        if self.mouth.answering(reply).is_none_or(|a| !a.speech_done) {
            return;
        }
        if let Mouth::Answering(answer) = std::mem::take(&mut self.mouth) {
            let heard = answer.text.clone();
            self.end_turn(*answer, &heard, false);
        }
    }

    /// Stops the answer under way, if there is one; what was heard of it comes back as `Silenced`.
    pub(super) fn cut_answer(&mut self) {
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

    pub(super) fn handle_silenced(&mut self, reply: ReplyId, heard: &str) {
        if let Some(answer) = self.mouth.answering(reply).filter(|a| a.voice_lost) {
            answer.heard.get_or_insert_with(|| heard.to_owned());
            return;
        }
        if !matches!(&self.mouth, Mouth::Cutting(answer) if answer.reply == reply) {
            return;
        }
        if let Mouth::Cutting(answer) = std::mem::take(&mut self.mouth) {
            self.timers.stop(Timer::Silence);
            let interrupted = !answer.voice_lost;
            let before = answer.heard.clone();
            self.end_turn(*answer, before.as_deref().unwrap_or(heard), interrupted);
        }
    }

    pub(super) fn stop_answer_timers(&mut self) {
        for timer in [Timer::ReplyText, Timer::Speech, Timer::Playout, Timer::Silence, Timer::Interrupt] {
            self.timers.stop(timer);
        }
    }

    pub(super) fn end_turn(&mut self, answer: Answer, heard: &str, interrupted: bool) {
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
            bridged: answer.bridged,
            failure: answer.turn.failure,
            voice_lost: answer.voice_lost,
            by_person: answer.by_person,
        };
        self.emit(Event::TurnEnded(Box::new(record)));
    }
}

/// What is said when the model gives no answer.
const CANNOT_ANSWER: &str = "I'm sorry, I can't answer that right now. Please try again in a moment.";
/// Said behind an answer that breaks off.
const BROKEN_OFF: &str = "... Sorry, I lost my thread. Could you ask me that again?";
/// The longest reply in bytes, about ten minutes of speech; a model that goes on is cut.
const MAX_REPLY: usize = 16 * 1024;
/// The session answers a cancellation at once; this only keeps a broken one from hanging.
const CUT_DEADLINE: Duration = Duration::from_secs(1);

/// The longest prefix that both have, cut at a character.
fn common_prefix<'a>(text: &'a str, heard: &str) -> &'a str {
    let same = text.bytes().zip(heard.bytes()).take_while(|(a, b)| a == b).count();
    &text[..text.floor_char_boundary(same)]
}
