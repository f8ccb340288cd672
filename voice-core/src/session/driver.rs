//! The task of one call: wait for one thing, hand it to the turn machine, drain its orders, carry them out.
//!
//! It holds no rule of turn-taking. What it decides is only how audio and time are handed in: a live call as it comes,
//! a recording at the pace that the machine allows. Ends by itself after the machine has closed the call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::audio::{FRAME_SAMPLES, Frame, SamplePos, SampleRate};
use crate::context::Conversation;
use crate::ids::{TurnId, UtteranceId};
use crate::infer::Weight;
use crate::ingress::IngressError;
use crate::llm::LlmEvent;
use crate::playout::{Playout, Shape};
use crate::stt::{SttEvent, SttOptions, SttStream};
use crate::time::SessionTime;
use crate::tts::{SpeechEvent, Voice};
use crate::turn::{CloseReason, Command, Dialogue, Event, Failure, Input, Pace};
use crate::vad::{GateState, VadFact};

use super::answer::{Answer, Progress};
use super::clock::Clock;
use super::encode::Encoder;
use super::engine::Parts;
use super::farewell::{self, FAREWELL};
use super::intake::{Intake, Taken};
use super::listen::Listener;
use super::mailbox::{Mailbox, Score};
use super::timeline::Timeline;
use super::{AudioMessage, Control, Incoming, PlayoutClock, SessionEnd, SessionOptions};

/// One call.
pub(super) struct Driver {
    parts: Arc<Parts>,
    options: SessionOptions,
    entries: Entries,
    exits: Exits,
    clock: Clock,
    timeline: Timeline,
    dialogue: Dialogue,
    intake: Intake,
    listener: Listener,
    bell: Arc<Notify>,
    mailbox: Arc<Mailbox>,
    stt: Box<dyn SttStream>,
    utterance: Option<UtteranceId>,
    /// Audio before this went to the recogniser with an utterance that is over.
    given: SamplePos,
    voice: Box<dyn Voice>,
    answer: Option<Answer>,
    playout: Playout,
    encoder: Encoder,
    conversation: Conversation,
    /// The turn whose words are the conversation's last of the caller.
    asked: Option<TurnId>,
    /// A judgement or a transcript is being made on the inference threads.
    judging: u32,
    muted: bool,
    input_over: Option<Over>,
    drained: bool,
    refused: Option<IngressError>,
    samples: Vec<i16>,
}

/// Where things come in: audio and its end in order, everything else past it.
pub(super) struct Entries {
    pub(super) incoming: mpsc::Receiver<Incoming>,
    pub(super) controls: mpsc::Receiver<Control>,
    pub(super) hangup: Arc<Notify>,
}

/// How the caller's input ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Answer what is there.
    Finished,
    /// Answer nothing more.
    HungUp,
}

/// Why the task woke.
enum Woke {
    Incoming(Option<Incoming>),
    Control(Control),
    Hangup,
    Bell,
    Progress(Progress),
    Time,
}

impl Driver {
    pub(super) fn new(
        parts: Arc<Parts>,
        options: SessionOptions,
        entries: Entries,
        exits: Exits,
    ) -> Result<Self, IngressError> {
        let bell = Arc::new(Notify::new());
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let history = if parts.turn_model.is_some() { TURN_MODEL_HISTORY } else { SHORT_HISTORY };
        let intake = Intake::new(options.input, parts.limits.clone(), history)?;
        let shape =
            if options.output.is_file() { Shape::Messages } else { Shape::Frames { lead: options.lead } };
        let stt_options = SttOptions { language: parts.language.clone(), key_terms: Vec::new() };
        Ok(Self {
            clock: Clock::start(),
            timeline: Timeline::default(),
            dialogue: Dialogue::new(parts.policy.clone()),
            intake,
            listener: Listener::new(&*parts.vad, bell.clone()),
            stt: parts.stt.open(stt_options, mailbox.clone()),
            utterance: None,
            given: SamplePos::ZERO,
            voice: parts.tts.open(parts.voice.clone()),
            answer: None,
            playout: Playout::new(shape, options.output.rate(), options.clears),
            encoder: Encoder::new(options.output),
            conversation: Conversation::new(parts.instructions.as_str()),
            asked: None,
            judging: 0,
            muted: false,
            input_over: None,
            drained: false,
            refused: None,
            samples: Vec::new(),
            bell,
            mailbox,
            parts,
            options,
            entries,
            exits,
        })
    }

    pub(super) async fn run(mut self) {
        if let Some(greeting) = self.options.greeting.take() {
            self.dialogue.greet(&greeting, self.clock.now());
        }
        loop {
            let more = self.work();
            if self.dialogue.is_closed() {
                break;
            }
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            match self.wait().await {
                Woke::Incoming(incoming) => self.handle_incoming(incoming),
                Woke::Control(control) => self.handle_control(control),
                Woke::Hangup => self.hang_up(),
                Woke::Bell | Woke::Time => {}
                Woke::Progress(progress) => self.handle_progress(progress),
            }
        }
        let end = match self.refused {
            Some(error @ (IngressError::TooLarge { .. } | IngressError::TooMuchQueued { .. })) => {
                SessionEnd::TooBig(error.close_reason())
            }
            Some(IngressError::Library(_)) => SessionEnd::Fault,
            Some(error) => SessionEnd::Unsupported(error.close_reason()),
            None => self.exits.end.clone(),
        };
        self.exits.close(end).await;
    }

    /// Does everything that can be done without waiting. `true`: there is more, after others have had their turn.
    fn work(&mut self) -> bool {
        for _ in 0..MOST_STEPS {
            self.drain_commands();
            if self.dialogue.is_closed() {
                return false;
            }
            let mut moved = self.take_results();
            moved |= self.advance_audio();
            moved |= self.play();
            let now = self.clock.now();
            if self.dialogue.poll_timeout().is_some_and(|at| at <= now) {
                self.dialogue.handle_timeout(now);
                moved = true;
            }
            moved |= self.finish_if_over();
            if !moved {
                self.drain_commands();
                return self.jump();
            }
        }
        true
    }

    async fn wait(&mut self) -> Woke {
        let speech_wanted = self.speech_wanted();
        let until = self.clock.instant_of(self.deadline());
        let takes_input = self.intake_has_room();
        let Self { entries: Entries { incoming, controls, hangup }, bell, answer, .. } = self;
        tokio::select! {
            biased;
            () = hangup.notified() => Woke::Hangup,
            Some(control) = controls.recv() => Woke::Control(control),
            incoming = incoming.recv(), if takes_input => Woke::Incoming(incoming),
            () = bell.notified() => Woke::Bell,
            progress = progress(answer, speech_wanted) => Woke::Progress(progress),
            () = tokio::time::sleep_until(until) => Woke::Time,
        }
    }

    /// The earliest moment at which something is due by itself.
    fn deadline(&self) -> SessionTime {
        let playout = if self.exits.has_room() {
            self.playout.poll_timeout()
        } else {
            Some(self.clock.now() + FULL_QUEUE_RETRY)
        };
        let played = self.playout.played_at().map(|(_, at)| at);
        let frame = self.next_frame_at();
        let judged = self.listener.overdue_at();
        [self.dialogue.poll_timeout(), playout, played, frame, judged]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(SessionTime::FAR)
    }

    /// Where nobody listens and nothing is under way, time goes straight to the next deadline.
    fn jump(&mut self) -> bool {
        let nobody_listens = self.options.playout == PlayoutClock::Skip && self.input_over.is_some();
        let speech_wanted = self.speech_wanted();
        let working = self.judging > 0
            || self.listener.is_busy()
            || self.answer.as_ref().is_some_and(|a| a.is_working(speech_wanted))
            || !self.exits.has_room();
        if !nobody_listens || working {
            return false;
        }
        let deadline = self.deadline();
        if deadline == SessionTime::FAR || deadline <= self.clock.now() {
            return false;
        }
        self.clock.jump_to(deadline);
        true
    }

    // What comes in.

    fn handle_incoming(&mut self, incoming: Option<Incoming>) {
        match incoming {
            Some(Incoming::Bytes(bytes)) => self.handle_bytes(&bytes),
            Some(Incoming::Finish) => {
                self.input_over.get_or_insert(Over::Finished);
            }
            None => self.hang_up(),
        }
    }

    fn hang_up(&mut self) {
        // What came before the hang-up was said; it only waited in another queue.
        while let Ok(incoming) = self.entries.incoming.try_recv() {
            self.handle_incoming(Some(incoming));
        }
        if self.input_over != Some(Over::HungUp) {
            self.input_over = Some(Over::HungUp);
            self.tell(Input::Hangup);
        }
    }

    fn handle_bytes(&mut self, bytes: &Bytes) {
        if self.input_over.is_some() || self.refused.is_some() {
            return;
        }
        if let Err(error) = self.intake.push(bytes).and_then(|()| self.intake.fill()) {
            self.refuse(error);
        }
        let now = self.clock.now();
        self.timeline.handle_arrival(now, self.clock.wall(), self.intake.end(), self.intake.taken());
        if !self.timeline.is_recording() {
            self.tell(Input::Arrived);
        }
    }

    fn handle_control(&mut self, control: Control) {
        match control {
            Control::Position { reply, played } => {
                self.playout.handle_position(reply, played, self.clock.now())
            }
            Control::Interrupt => self.tell(Input::Interrupt),
            Control::Mute(on) => self.muted = on,
            Control::Text(text) => self.tell(Input::Typed { text }),
        }
    }

    /// The caller's audio cannot be taken: what was said so far is kept, the call ends with the reason.
    fn refuse(&mut self, error: IngressError) {
        self.refused.get_or_insert(error);
        self.input_over = Some(Over::HungUp);
        self.tell(Input::Hangup);
    }

    fn take_results(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.mailbox.take_stt() {
            moved = true;
            match event {
                SttEvent::Partial { utterance, text, .. } => self.tell(Input::Partial { utterance, text }),
                SttEvent::Final { utterance, text } => {
                    self.judging = self.judging.saturating_sub(1);
                    self.tell(Input::Final { utterance, text });
                }
                SttEvent::Failed { utterance, error } => {
                    self.judging = self.judging.saturating_sub(1);
                    tracing::warn!(provider = error.provider(), %error, "transcription failed");
                    self.tell(Input::SttFailed { utterance });
                }
            }
        }
        if let Some(Score { utterance, last_voiced, complete }) = self.mailbox.take_score() {
            moved = true;
            self.judging = self.judging.saturating_sub(1);
            if let Some(complete) = complete {
                self.tell(Input::Scored { utterance, last_voiced, complete });
            }
        }
        if let Some((end, fact)) = self.listener.take() {
            moved = true;
            self.handle_listened(end, fact);
        } else if self.listener.overdue_at().is_some_and(|at| at <= self.clock.now()) {
            tracing::error!("voice activity gave no answer; its thread is stuck");
            self.listener.give_up(&*self.parts.vad);
        }
        moved
    }

    /// Takes frames as far as they may be taken, and hands windows to the voice activity network.
    fn advance_audio(&mut self) -> bool {
        if self.refused.is_some() {
            return false;
        }
        if let Err(error) = self.intake.fill() {
            self.refuse(error);
            return true;
        }
        let mut moved = false;
        let mut frame: Frame = [0; FRAME_SAMPLES];
        for _ in 0..MOST_FRAMES {
            self.listener.judge(&self.parts.pool, self.clock.now());
            if self.listener.is_busy() || !self.may_take_frame() {
                break;
            }
            match self.intake.take(&mut frame) {
                Some(Taken::Frame) => self.handle_frame(&mut frame),
                Some(Taken::End) => self.tell(Input::AudioEnded),
                None => break,
            }
            moved = true;
            if let Err(error) = self.intake.fill() {
                self.refuse(error);
                break;
            }
        }
        if self.timeline.is_recording() && self.intake.is_dry() && !self.listener.is_busy() {
            // The recording has been played in; from here on, absence is measured on the wall again.
            if self.timeline.handle_dry(self.clock.now(), self.clock.wall(), self.intake.end()) {
                self.tell(Input::Arrived);
            }
        }
        moved
    }

    fn may_take_frame(&mut self) -> bool {
        if !self.timeline.is_recording() {
            return true;
        }
        if self.intake.is_dry() {
            return false;
        }
        let now = self.clock.now();
        match self.dialogue.pace() {
            Pace::Hold => {
                self.timeline.hold();
                false
            }
            Pace::Free => {
                if self.input_over == Some(Over::HungUp) {
                    // The end is promised on the wall, so what is left is dated as it is taken, without jumps.
                    self.timeline.hold();
                    self.timeline.release(now, self.intake.taken());
                    return true;
                }
                self.timeline.release(now, self.intake.taken());
                if !self.intake.at_end() {
                    let at = self.timeline.time_of(self.intake.taken() + FRAME_SAMPLES as u64);
                    self.clock.jump_to(at);
                }
                true
            }
            Pace::RealTime => {
                self.timeline.release(now, self.intake.taken());
                self.next_frame_at().is_none_or(|at| at <= now)
            }
        }
    }

    /// When the next frame of a recording is due, where it is waited for.
    fn next_frame_at(&self) -> Option<SessionTime> {
        if !self.timeline.is_recording()
            || self.intake.is_dry()
            || self.intake.at_end()
            || self.listener.is_busy()
        {
            return None;
        }
        match self.dialogue.pace() {
            Pace::Hold => None,
            Pace::Free => Some(self.clock.now()),
            Pace::RealTime => Some(self.timeline.time_of(self.intake.taken() + FRAME_SAMPLES as u64)),
        }
    }

    fn handle_frame(&mut self, frame: &mut Frame) {
        if self.muted {
            frame.fill(0);
        }
        let end = self.intake.taken();
        if self.utterance.is_some() {
            self.stt.push(frame);
        }
        let (state, fact) = self.listener.handle_frame(frame);
        if state == GateState::Shut {
            self.handle_listened(end, fact);
        }
    }

    fn handle_listened(&mut self, end: SamplePos, fact: Option<VadFact>) {
        match fact {
            Some(VadFact::SpeechStarted { at }) => {
                let at = self.timeline.time_of(at);
                self.tell(Input::SpeechStarted { at });
            }
            Some(VadFact::SpeechEnded { last_voiced }) => {
                let last_voiced = self.timeline.time_of(last_voiced);
                self.tell(Input::SpeechEnded { last_voiced });
            }
            None => {}
        }
        let until = self.timeline.time_of(end);
        self.tell(Input::Listened { until });
    }

    /// After the last byte: flush the decoder, say that the audio is over, and end the call once all is answered.
    fn finish_if_over(&mut self) -> bool {
        let Some(over) = self.input_over else { return false };
        if !self.drained {
            if self.refused.is_none() {
                if !self.intake.is_finished() {
                    // What the decoder still held is taken in the next round.
                    if let Err(error) = self.intake.finish() {
                        self.refuse(error);
                    }
                    return true;
                }
                if self.listener.is_busy() || !self.intake.is_dry() {
                    return false;
                }
            }
            self.drained = true;
            self.tell(Input::AudioEnded);
            return true;
        }
        if over == Over::Finished && self.dialogue.is_idle() {
            self.input_over = Some(Over::HungUp);
            self.tell(Input::Hangup);
            self.tell(Input::AudioEnded);
            return true;
        }
        false
    }

    // What the machine orders.

    fn tell(&mut self, input: Input) {
        self.dialogue.handle_input(input, self.clock.now());
        self.drain_commands();
    }

    fn drain_commands(&mut self) {
        while let Some(command) = self.dialogue.poll_command() {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::OpenUtterance { utterance, from } => self.open_utterance(utterance, from),
            Command::JudgePause { utterance, last_voiced } => self.judge_pause(utterance, last_voiced),
            Command::FinaliseUtterance { utterance } => {
                if self.utterance.take() == Some(utterance) {
                    self.given = self.intake.taken();
                    self.judging += 1;
                    self.stt.finalise();
                    self.listener.end_speech();
                }
            }
            Command::AbandonUtterance { utterance } => {
                if self.utterance == Some(utterance) {
                    self.utterance = None;
                }
            }
            Command::StartReply { reply, turn, said } => {
                // A turn that was taken back is asked again with all of its words.
                if self.asked.replace(turn) == Some(turn) {
                    self.conversation.amend_user(&said);
                } else {
                    self.conversation.push_user(&said);
                }
                let mut answer = Answer::new(reply);
                let deadline = self.parts.context_deadline;
                answer.look_up(self.parts.context.as_ref(), self.options.id, &said, deadline);
                self.answer = Some(answer);
            }
            Command::Speak { reply, clause } => {
                if self.answer.as_ref().is_none_or(|a| a.reply != reply) {
                    self.answer = Some(Answer::new(reply));
                }
                if let Some(answer) = &mut self.answer {
                    if answer.speech.is_none() && !answer.audio_came {
                        self.playout.begin(reply, self.dialogue.release_at());
                    }
                    self.playout.announce_clause(reply, &clause);
                    answer.speak(&mut *self.voice, clause);
                }
            }
            Command::FinishSpeech { reply } => {
                if let Some(answer) = self.answer.as_mut().filter(|a| a.reply == reply) {
                    answer.finish_speech();
                }
            }
            Command::CancelReply { reply } => {
                if self.answer.as_ref().is_some_and(|a| a.reply == reply) {
                    self.answer = None;
                }
                let heard = self.playout.clear(reply, self.clock.now());
                self.dialogue.handle_input(Input::Silenced { reply, heard }, self.clock.now());
            }
            Command::Emit(event) => {
                if let Event::TurnEnded(record) = &event
                    && record.failure == Some(Failure::Tts)
                    && !self.options.clears
                {
                    self.say_farewell();
                }
                match &event {
                    Event::TurnEnded(record) if !record.heard.is_empty() => {
                        self.conversation.push_heard(&record.heard);
                    }
                    Event::Closed(CloseReason::Idle) => self.exits.end = SessionEnd::Idle,
                    _ => {}
                }
                self.exits.put_event(event);
            }
        }
    }

    /// The caller gets audio only and there is no voice: a packaged sentence, then the end.
    fn say_farewell(&mut self) {
        if self.exits.end == SessionEnd::Done && self.input_over != Some(Over::HungUp) {
            self.exits.end = SessionEnd::VoiceLost;
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
            self.stt.hint_pause();
            return;
        };
        let end = self.intake.taken();
        let samples = (end.since(self.intake.oldest()) as usize).min(TURN_MODEL_HISTORY);
        let mut audio = vec![0; samples];
        self.intake.read(end - samples as u64, &mut audio);
        let mailbox = self.mailbox.clone();
        let queued = self.parts.pool.submit_once(Weight::Heavy, move || {
            let complete = model.score(&audio);
            mailbox.put_score(Score { utterance, last_voiced, complete });
        });
        if queued {
            self.judging += 1;
        }
        self.stt.hint_pause();
    }

    // The answer.

    fn handle_progress(&mut self, progress: Progress) {
        let Some(answer) = &mut self.answer else { return };
        let reply = answer.reply;
        match progress {
            Progress::Context(facts) => {
                answer.end_look_up();
                let request = self.conversation.request(self.options.id, &self.parts.language, &facts);
                answer.text = Some(self.parts.llm.reply(request));
                self.tell(Input::ContextReady { reply });
            }
            Progress::Text(Some(Ok(LlmEvent::Delta(delta)))) => self.tell(Input::ReplyText { reply, delta }),
            Progress::Text(Some(Ok(LlmEvent::Done)) | None) => {
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
            Progress::Speech(Some(Ok(SpeechEvent::Alignment(_)))) => {}
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
    fn play(&mut self) -> bool {
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
        while self.exits.has_room() {
            let now = self.clock.now();
            let Some(sent) = self.playout.poll(now, &mut self.samples) else { break };
            let payload = self.encoder.encode(&self.samples);
            self.exits.put_audio(AudioMessage { reply: sent.reply, payload });
            self.playout.handle_left(now, self.clock.now());
            if sent.underrun {
                self.exits.underruns += 1;
            }
            self.tell(Input::AudioLeft { reply: sent.reply });
            moved = true;
        }
        if let Some((reply, at)) = self.playout.played_at()
            && at <= self.clock.now()
            && self.answer.as_ref().is_none_or(|a| a.speech.is_none())
        {
            self.playout.end(reply);
            if reply == FAREWELL {
                self.hang_up();
            } else {
                self.answer = None;
                self.tell(Input::Played { reply });
            }
            moved = true;
        }
        moved
    }

    fn speech_wanted(&self) -> bool {
        self.playout.queued() < MOST_QUEUED
    }

    /// Whether another message of the caller may be taken: a recording waits in the channel while it is being answered.
    fn intake_has_room(&self) -> bool {
        self.input_over != Some(Over::HungUp) && self.intake.buffered_bytes() < MOST_BUFFERED
    }
}

async fn progress(answer: &mut Option<Answer>, speech_wanted: bool) -> Progress {
    match answer {
        Some(answer) => answer.progress(speech_wanted).await,
        None => std::future::pending().await,
    }
}

/// What the turn model may look back to: 8 s.
const TURN_MODEL_HISTORY: usize = 8 * 16_000;
/// Enough for the recogniser's pre-roll.
const SHORT_HISTORY: usize = 16_000;
/// The voice is not asked for more while this much audio waits.
const MOST_QUEUED: Duration = Duration::from_millis(2_500);
/// Encoded audio of a recording that waits; beyond that the sender waits.
const MOST_BUFFERED: usize = 16 << 20;
/// Rounds of work before other calls have their turn.
const MOST_STEPS: usize = 64;
/// Frames taken in one round: 2 s.
const MOST_FRAMES: usize = 100;
/// The socket is slow: look again after one frame.
const FULL_QUEUE_RETRY: Duration = Duration::from_millis(20);

/// Where a call's outputs leave.
pub(super) struct Exits {
    events: mpsc::Sender<Event>,
    audio: mpsc::Sender<AudioMessage>,
    end_sender: oneshot::Sender<SessionEnd>,
    pub(super) end: SessionEnd,
    waiting: VecDeque<Event>,
    pub(super) underruns: u32,
}

impl Exits {
    pub(super) fn new(
        events: mpsc::Sender<Event>,
        audio: mpsc::Sender<AudioMessage>,
        end_sender: oneshot::Sender<SessionEnd>,
    ) -> Self {
        Self { events, audio, end_sender, end: SessionEnd::Done, waiting: VecDeque::new(), underruns: 0 }
    }

    /// Whether another audio message can leave.
    fn has_room(&self) -> bool {
        self.audio.capacity() > 0 || self.audio.is_closed()
    }

    fn put_audio(&mut self, message: AudioMessage) {
        // Room was checked; a closed channel means that nobody listens any more.
        let _ = self.audio.try_send(message);
    }

    /// Gives an event out, after those that still wait. Where nobody reads, partial transcripts are left out.
    fn put_event(&mut self, event: Event) {
        self.waiting.push_back(event);
        while let Some(event) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting.push_front(event);
                break;
            }
        }
        if self.waiting.len() > MOST_WAITING {
            self.waiting.retain(|e| !matches!(e, Event::Transcript { is_final: false, .. }));
        }
    }

    /// Gives out what is left and the end, waiting at most 2 s for a reader.
    async fn close(self, end: SessionEnd) {
        let Self { events, end_sender, waiting, .. } = self;
        let rest = async {
            for event in waiting {
                if events.send(event).await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
        let _ = end_sender.send(end);
    }
}

/// Events kept for a reader who is behind.
const MOST_WAITING: usize = 64;
