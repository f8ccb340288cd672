//! What the turn machine orders, carried out: utterances and judgements asked for, answers looked up, spoken, played.
//!
//! The other half of the call's task; it decides nothing. Caller: [`super::Driver`], between two waits.

use crate::audio::{FRAME_SAMPLES, Frame, SampleRate};
use crate::ids::{ReplyId, UtteranceId};
use crate::infer::Weight;
use crate::llm::LlmEvent;
use crate::time::SessionTime;
use crate::tts::SpeechEvent;
use crate::turn::{CloseReason, Command, Event, Input};

use super::super::answer::{Answer, Progress};
use super::super::farewell::{self, FAREWELL};
use super::super::mailbox::Score;
use super::super::{AudioMessage, SessionEnd};
use super::{Driver, Over, TURN_MODEL_HISTORY};

impl Driver {
    pub(super) fn carry_out(&mut self, command: Command) {
        match command {
            Command::OpenUtterance { utterance, from } => self.open_utterance(utterance, from),
            Command::JudgePause { utterance, last_voiced } => self.judge_pause(utterance, last_voiced),
            Command::FinaliseUtterance { utterance } => {
                if self.utterance.take() == Some(utterance) {
                    self.given = self.intake.taken();
                    self.finals += 1;
                    self.stt.finalise();
                    self.listener.end_speech();
                }
            }
            Command::AbandonUtterance { utterance } => {
                if self.utterance == Some(utterance) {
                    self.utterance = None;
                }
            }
            // The call is at its end; what the machine still wants has no voice.
            Command::StartReply { .. } | Command::CommitReply { .. } | Command::Speak { .. }
                if self.farewell => {}
            Command::StartReply { reply, turn, said } => {
                // A turn that was taken back is asked again with all of its words.
                if self.asked.replace(turn) == Some(turn) {
                    self.conversation.amend_user(&said);
                } else {
                    self.conversation.push_user(&said);
                }
                let mut answer = Answer::new(reply, &self.parts.language);
                answer.look_up(self.lookahead.settle(&said, self.parts.context_deadline));
                self.answer = Some(answer);
            }
            Command::Speak { reply, clause } => {
                if self.answer.as_ref().is_none_or(|a| a.reply != reply) {
                    self.answer = Some(Answer::new(reply, &self.parts.language));
                }
                if let Some(answer) = &mut self.answer {
                    if answer.speech.is_none() && !answer.audio_came {
                        self.outgoing = None;
                        self.playout.begin(reply, self.dialogue.release_at());
                    }
                    let spoken = answer.speak(&mut *self.voice, &clause);
                    self.playout.announce_clause(reply, &clause, spoken);
                }
            }
            Command::CommitReply { reply } => {
                if let Some(answer) = self.answer.as_mut().filter(|a| a.reply == reply) {
                    answer.commit();
                }
            }
            Command::FinishSpeech { reply } => {
                if let Some(answer) = self.answer.as_mut().filter(|a| a.reply == reply) {
                    answer.finish_speech();
                }
            }
            Command::StopSpeech { reply } => {
                if let Some(answer) = self.answer.as_mut().filter(|a| a.reply == reply) {
                    answer.stop_speech();
                }
                self.silence(reply);
                self.say_farewell();
            }
            Command::CancelReply { reply } => {
                if self.answer.as_ref().is_some_and(|a| a.reply == reply) {
                    self.answer = None;
                }
                self.silence(reply);
            }
            Command::Emit(event) => {
                if let Event::TurnEnded(record) = &event {
                    // Where the voice was lost, the model may still be at work for a turn that was given up.
                    self.answer.take_if(|answer| Some(answer.reply) == record.reply_id);
                    if record.voice_lost {
                        self.say_farewell();
                    }
                }
                match &event {
                    Event::TurnEnded(record) => {
                        if self.asked != Some(record.turn) {
                            // A turn that the model was not asked about; the next one may refer to it.
                            self.conversation.push_user(&record.said);
                        }
                        self.conversation.push_heard(&record.heard);
                    }
                    Event::Transcript { turn, text, .. } => self.lookahead.handle_words(*turn, text),
                    Event::Closed(CloseReason::Idle) => self.exits.end = SessionEnd::Idle,
                    _ => {}
                }
                self.exits.put_event(event);
            }
        }
    }

    /// Throws away the audio of a reply and says what of it was heard.
    fn silence(&mut self, reply: ReplyId) {
        self.outgoing.take_if(|(piece, _)| piece.reply == reply);
        let heard = self.playout.clear(reply, self.clock.now());
        // A client that cannot clear plays to its end what it has got.
        if let Some(tap) = self.options.tap.as_ref().filter(|_| self.options.clears) {
            tap.cleared(self.clock.now());
        }
        self.dialogue.handle_input(Input::Silenced { reply, heard }, self.clock.now());
    }

    /// Where the caller gets audio only and there is no voice: a packaged sentence, then the end.
    fn say_farewell(&mut self) {
        if !self.options.clears && !self.farewell && self.input_over != Some(Over::HungUp) {
            self.farewell = true;
            self.exits.end = SessionEnd::VoiceLost;
            self.outgoing = None;
            self.playout.begin(FAREWELL, SessionTime::ZERO);
            self.playout.push(FAREWELL, &farewell::samples(self.playout.rate()));
            self.playout.finish(FAREWELL);
        }
    }

    fn open_utterance(&mut self, utterance: UtteranceId, from: SessionTime) {
        self.stt.begin(utterance);
        self.utterance = Some(utterance);
        // From the pre-roll to the present, in whole frames.
        let taken = self.intake.taken();
        let oldest = self.intake.oldest();
        let from = self.timeline.position_of(from).max(oldest).max(self.given).min(taken);
        let mut at = from + taken.since(from) % FRAME_SAMPLES as u64;
        let mut frame: Frame = [0; FRAME_SAMPLES];
        while at < taken {
            self.intake.read(at, &mut frame);
            self.stt.push(&frame);
            at += FRAME_SAMPLES as u64;
        }
    }

    fn judge_pause(&mut self, utterance: UtteranceId, last_voiced: SessionTime) {
        let Some(model) = self.parts.turn_model.clone() else {
            self.read_pause(utterance);
            return;
        };
        let end = self.intake.taken();
        let samples = (end.since(self.intake.oldest()) as usize).min(TURN_MODEL_HISTORY);
        let mut audio = vec![0; samples];
        self.intake.read(end - samples as u64, &mut audio);
        let mailbox = self.mailbox.clone();
        let queued = self.parts.pool.submit_once(Weight::Urgent, move || {
            // A model that panics has no judgement.
            let scored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.score(&audio)));
            let complete = scored.ok().flatten();
            mailbox.put_score(Score { utterance, last_voiced, complete });
        });
        if queued {
            self.scoring = Some(last_voiced);
        } else {
            self.exits.drops.scores += 1;
        }
        self.read_pause(utterance);
    }

    /// Has the words up to a pause read, and says so where they are going to come.
    fn read_pause(&mut self, utterance: UtteranceId) {
        if self.stt.hint_pause() {
            self.dialogue.handle_input(Input::PauseUnread { utterance }, self.clock.now());
        }
    }

    // The answer.

    pub(super) fn handle_progress(&mut self, progress: Progress) {
        let Some(answer) = &mut self.answer else { return };
        let reply = answer.reply;
        match progress {
            Progress::Context(facts) => {
                answer.end_look_up();
                let mut request = self.conversation.request(self.options.id, &self.parts.language, &facts);
                request.meter = self.options.meter.clone();
                request.homes = self.lookahead.homes();
                answer.ask(&*self.parts.llm, request);
                self.tell(Input::ContextReady { reply });
            }
            Progress::Text(Some(Ok(LlmEvent::Delta(delta)))) => self.tell(Input::ReplyText { reply, delta }),
            Progress::Text(Some(Ok(LlmEvent::Filler(text)))) => self.tell(Input::ReplyFiller { reply, text }),
            // Calls are answered within the stream, by the tool loop; without one there is nothing to answer them.
            Progress::Text(Some(Ok(LlmEvent::ToolCall(_) | LlmEvent::Usage(_)))) => {}
            Progress::Text(Some(Ok(LlmEvent::Done(_))) | None) => {
                answer.text = None;
                self.tell(Input::ReplyDone { reply });
            }
            Progress::Text(Some(Err(error))) => {
                answer.text = None;
                tracing::warn!(provider = error.provider(), %error, "the answer failed");
                self.tell(Input::ReplyFailed { reply });
            }
            Progress::Speech(Some(Ok(SpeechEvent::Audio { rate, samples }))) => {
                self.queue_audio(rate, &samples)
            }
            Progress::Speech(Some(Ok(SpeechEvent::ClauseEnd))) => self.playout.close_clause(reply),
            Progress::Speech(Some(Ok(SpeechEvent::Alignment(marks)))) => {
                for mark in marks {
                    self.playout.place_word(reply, mark.clause, mark.upto, mark.end);
                }
            }
            Progress::Speech(None) => {
                answer.speech = None;
                answer.convert_rest(&mut self.samples);
                self.playout.push(reply, &self.samples);
                self.playout.finish(reply);
                self.tell(Input::SpeechDone { reply });
            }
            Progress::Speech(Some(Err(error))) => {
                answer.speech = None;
                tracing::warn!(provider = error.provider(), %error, "the voice failed");
                self.tell(Input::SpeechFailed { reply });
            }
        }
    }

    fn queue_audio(&mut self, rate: SampleRate, samples: &[i16]) {
        let Some(answer) = &mut self.answer else { return };
        let reply = answer.reply;
        let first = !std::mem::replace(&mut answer.audio_came, true);
        if first {
            self.dialogue.handle_input(Input::FirstAudio { reply }, self.clock.now());
        }
        answer.convert(rate, self.playout.rate(), samples, &mut self.samples);
        self.playout.push(reply, &self.samples);
    }

    /// Sends what is due, and tells when a reply has been played.
    pub(super) fn play(&mut self) -> bool {
        let mut moved = false;
        if let Some(answer) = &mut self.answer
            && answer.audio_came
            && !answer.audio_ready
            && self.playout.poll_timeout().is_some()
        {
            answer.audio_ready = true;
            let reply = answer.reply;
            self.tell(Input::AudioReady { reply });
        }
        while self.exits.has_room() && !self.playout.is_paused() {
            let now = self.clock.now();
            if self.outgoing.is_none() {
                let piece = self.playout.poll(now, &mut self.samples);
                if self.options.tap.is_some() && piece.is_some() {
                    self.tapped.clone_from(&self.samples);
                }
                self.outgoing = piece.map(|piece| (piece, self.encoder.encode(&self.samples)));
            }
            // Encoding took its time; what is due now is due.
            let now = self.clock.now();
            let Some((piece, payload)) = self.outgoing.take_if(|(piece, _)| piece.due <= now) else { break };
            let reply = piece.reply;
            let (from, upto) = self.playout.span(piece);
            self.exits.put_audio(AudioMessage { reply, payload, from, upto });
            if self.playout.handle_left(piece, now) {
                self.exits.drops.underruns += 1;
            }
            if let Some(tap) = &self.options.tap {
                let rate = self.playout.rate();
                let lasts = rate.duration_of(self.tapped.len() as u64);
                tap.sent(self.playout.busy_until() - lasts, rate, &self.tapped);
            }
            self.tell(Input::AudioLeft { reply });
            moved = true;
        }
        if let Some((reply, at)) = self.playout.played_at()
            && at <= self.clock.now()
            && self.answer.as_ref().is_none_or(|a| a.speech.is_none())
        {
            self.playout.end(reply);
            if reply == FAREWELL {
                self.farewell = false;
                self.hang_up();
            } else {
                self.answer = None;
                self.tell(Input::Played { reply });
            }
            moved = true;
        }
        moved
    }
}
