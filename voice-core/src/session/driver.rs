//! The task of one call: wait for one thing, hand it to the turn machine, drain its orders, carry them out.
//!
//! It holds no rule of turn-taking. What it decides is only how audio and time are handed in: a live call as it comes,
//! a recording at the pace that the machine allows. Ends by itself after the machine has closed the call.

mod orders;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc};

use crate::audio::{FRAME_SAMPLES, Frame, SamplePos};
use crate::context::Conversation;
use crate::ids::{TurnId, UtteranceId};
use crate::ingress::IngressError;
use crate::playout::{Piece, Playout, Shape};
use crate::stt::{SttEvent, SttOptions, SttStream};
use crate::time::SessionTime;
use crate::tts::{Voice, VoiceOptions};
use crate::turn::{Dialogue, Input, Pace};
use crate::vad::{GateState, VadFact};

use super::answer::{Answer, Progress};
use super::clock::Clock;
use super::encode::Encoder;
use super::engine::Parts;
use super::exits::Exits;
use super::intake::{Intake, Taken};
use super::listen::Listener;
use super::lookahead::Lookahead;
use super::mailbox::{Mailbox, Score};
use super::timeline::Timeline;
use super::{Control, Incoming, PlayoutClock, SessionEnd, SessionOptions};

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
    /// Encoded, and waiting for its moment.
    outgoing: Option<(Piece, Bytes)>,
    /// Its samples, where somebody listens in.
    tapped: Vec<i16>,
    conversation: Conversation,
    lookahead: Lookahead,
    /// The model gets ready for its first question.
    preparing: Option<BoxFuture<'static, ()>>,
    /// The turn whose words are the conversation's last of the caller.
    asked: Option<TurnId>,
    /// Final transcripts that are being made.
    finals: u32,
    /// The pause that the turn model judges.
    scoring: Option<SessionTime>,
    /// No voice can answer: the packaged sentence is being played, and nothing follows it.
    farewell: bool,
    muted: bool,
    /// The caller's bytes broke off, and what came before is still being taken.
    breaking: bool,
    input_over: Option<Over>,
    drained: bool,
    refused: Option<IngressError>,
    /// Bytes came that are too few to tell what they are; if nothing follows until then, they are refused.
    undecided: Option<SessionTime>,
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
        let stt_options = SttOptions {
            language: parts.language.clone(),
            key_terms: parts.key_terms.clone(),
            meter: options.meter.clone(),
        };
        let voice_options = VoiceOptions { meter: options.meter.clone(), ..parts.voice.clone() };
        Ok(Self {
            clock: Clock::start(),
            timeline: Timeline::default(),
            dialogue: Dialogue::new(parts.policy.clone()),
            intake,
            listener: Listener::new(parts.vad.clone(), bell.clone()),
            stt: parts.stt.open(stt_options, mailbox.clone()),
            utterance: None,
            given: SamplePos::ZERO,
            voice: parts.tts.open(voice_options),
            answer: None,
            playout: Playout::new(shape, options.output.rate(), options.clears),
            encoder: Encoder::new(options.output),
            outgoing: None,
            tapped: Vec::new(),
            conversation: Conversation::new(parts.instructions.as_str()),
            lookahead: Lookahead::new(options.context.clone().or_else(|| parts.context.clone()), options.id),
            preparing: Some(parts.llm.prepare(options.id)),
            asked: None,
            finals: 0,
            scoring: None,
            farewell: false,
            muted: false,
            breaking: false,
            input_over: None,
            drained: false,
            refused: None,
            undecided: None,
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
        if let Some(tap) = &self.options.tap {
            tap.ended(self.clock.now());
        }
        if self.exits.drops.any() {
            tracing::warn!(session = %self.options.id, drops = ?self.exits.drops, "something was lost in a call");
        }
        let end = match self.refused {
            Some(error @ (IngressError::TooLarge { .. } | IngressError::TooMuchQueued { .. })) => {
                SessionEnd::TooBig(error.close_reason())
            }
            Some(IngressError::Library(_)) => SessionEnd::Fault,
            Some(error) => SessionEnd::Unsupported(error.close_reason()),
            None => self.exits.end.clone(),
        };
        // What is given up is booked before the end is told.
        self.answer = None;
        self.exits.close(end).await;
    }

    /// Does everything that can be done without waiting. `true`: there is more, after others have had their turn.
    fn work(&mut self) -> bool {
        for _ in 0..MOST_STEPS {
            self.drain_commands();
            if self.dialogue.is_closed() {
                return false;
            }
            self.exits.flush();
            let mut moved = self.take_results();
            moved |= self.advance_audio();
            moved |= self.play();
            let now = self.clock.now();
            if self.dialogue.poll_timeout().is_some_and(|at| at <= now) {
                self.dialogue.handle_timeout(now);
                moved = true;
            }
            if self.undecided.take_if(|by| *by <= now).is_some() {
                if let Err(error) = self.intake.decide() {
                    self.refuse(error);
                }
                moved = true;
            }
            moved |= self.pass_break();
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
        let Self { entries, bell, answer, preparing, lookahead, .. } = self;
        let Entries { incoming, controls, hangup } = entries;
        tokio::select! {
            biased;
            () = hangup.notified() => Woke::Hangup,
            Some(control) = controls.recv() => Woke::Control(control),
            incoming = incoming.recv(), if takes_input => Woke::Incoming(incoming),
            () = bell.notified() => Woke::Bell,
            progress = progress(answer, speech_wanted) => Woke::Progress(progress),
            () = prepared(preparing) => Woke::Time,
            () = lookahead.progress() => Woke::Time,
            () = tokio::time::sleep_until(until) => Woke::Time,
        }
    }

    /// The earliest moment at which something is due by itself.
    fn deadline(&self) -> SessionTime {
        let playout = match &self.outgoing {
            _ if !self.exits.has_room() => Some(self.clock.now() + FULL_QUEUE_RETRY),
            Some(_) if self.playout.is_paused() => None,
            Some((piece, _)) => Some(piece.due),
            None => self.playout.poll_timeout(),
        };
        let played = self.playout.played_at().map(|(_, at)| at);
        let frame = self.next_frame_at();
        let judged = self.listener.overdue_at();
        let behind = self.exits.is_behind().then(|| self.clock.now() + FULL_QUEUE_RETRY);
        [self.dialogue.poll_timeout(), playout, played, frame, judged, behind, self.undecided]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(SessionTime::FAR)
    }

    /// Where nobody listens and nothing is under way, time goes straight to the next deadline.
    fn jump(&mut self) -> bool {
        // Audio that waits to be taken is a recording, and what comes behind it cannot matter yet.
        let nothing_comes = self.input_over.is_some() || !self.intake.has_room();
        let nobody_listens = self.options.playout == PlayoutClock::Skip && nothing_comes;
        let speech_wanted = self.speech_wanted();
        let working = self.finals > 0
            || self.scoring.is_some()
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
            Some(Incoming::Bytes(bytes, _room)) => self.handle_bytes(bytes),
            Some(Incoming::Break) => {
                if self.input_over.is_none() && self.refused.is_none() {
                    self.breaking = true;
                    self.undecided = None;
                    self.intake.break_off();
                }
            }
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
            if self.drained {
                // Said before; a hang-up waits for it again.
                self.tell(Input::AudioEnded);
            }
        }
    }

    fn handle_bytes(&mut self, bytes: Bytes) {
        if self.input_over.is_some() || self.refused.is_some() {
            return;
        }
        self.intake.push(bytes);
        if let Err(error) = self.intake.fill() {
            self.refuse(error);
        }
        let now = self.clock.now();
        self.undecided = self.intake.is_undecided().then(|| now + UNDECIDED);
        self.timeline.handle_arrival(now, self.clock.wall(), self.intake.end(), self.intake.taken());
        if !self.timeline.is_recording() {
            self.tell(Input::Arrived);
        }
    }

    fn handle_control(&mut self, control: Control) {
        match control {
            Control::Position { reply, played } => {
                let now = self.clock.now();
                self.playout.handle_position(reply, played, now);
                if !played.is_zero() {
                    self.tell(Input::PlaybackStarted { reply, at: now - played });
                }
            }
            Control::Interrupt => self.tell(Input::Interrupt),
            Control::Mute(on) => self.muted = on,
            Control::Text(text) => self.tell(Input::Typed { text }),
            Control::Away { silent } => {
                let now = self.clock.now();
                self.playout.pause(now - silent);
                self.tell(Input::Away);
            }
            Control::Back { received, again } => {
                let later = self.playout.resume(self.clock.now(), received, again);
                if let Some((piece, _)) = &mut self.outgoing {
                    piece.due += later;
                }
                self.tell(Input::Back);
            }
            Control::Say(text) => self.tell(Input::Say { text }),
            Control::Attend(on) => self.tell(Input::Attend { on }),
        }
    }

    /// Where the caller's bytes broke off and all before that has been judged: the recogniser's utterance ends there, and
    /// what comes is a new stream.
    fn pass_break(&mut self) -> bool {
        if !self.breaking {
            return false;
        }
        if self.input_over.is_some() {
            self.breaking = false;
            return true;
        }
        if self.listener.is_busy() || !self.intake.is_dry() {
            return false;
        }
        self.breaking = false;
        if let Err(error) = self.intake.reopen() {
            self.refuse(error);
            return true;
        }
        self.tell(Input::Broken);
        self.listener.end_speech();
        self.given = self.intake.taken();
        self.timeline.break_off(self.intake.end());
        true
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
                    self.finals = self.finals.saturating_sub(1);
                    self.tell(Input::Final { utterance, text });
                }
                SttEvent::Failed { utterance, error } => {
                    self.finals = self.finals.saturating_sub(1);
                    tracing::warn!(provider = error.provider(), %error, "transcription failed");
                    self.tell(Input::SttFailed { utterance });
                }
            }
        }
        if let Some(Score { utterance, last_voiced, complete }) = self.mailbox.take_score() {
            moved = true;
            self.scoring.take_if(|pause| *pause <= last_voiced);
            match complete {
                Some(complete) => self.tell(Input::Scored { utterance, last_voiced, complete }),
                None => self.exits.drops.scores += 1,
            }
        }
        if let Some((end, fact)) = self.listener.take() {
            moved = true;
            self.handle_listened(end, fact);
        } else if self.listener.overdue_at().is_some_and(|at| at <= self.clock.now()) {
            tracing::error!("voice activity gave no answer; its thread is stuck");
            self.exits.drops.windows += 1;
            self.listener.give_up();
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
            if !self.listener.judge(&self.parts.pool, self.clock.now()) {
                self.exits.drops.windows += 1;
            }
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
        if self.farewell {
            return false;
        }
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
                    let by = self.clock.now().since(now);
                    self.dialogue.handle_input(Input::Skipped { by }, self.clock.now());
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
        if self.farewell
            || !self.timeline.is_recording()
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
        if let Some(tap) = &self.options.tap {
            tap.caller(self.timeline.time_of(end - FRAME_SAMPLES as u64), frame);
        }
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
        let Some(over) = self.input_over.filter(|_| !self.farewell) else { return false };
        if !self.drained {
            if self.refused.is_none() {
                if !self.intake.is_finished() {
                    // What the decoder still held is taken in the next round.
                    self.intake.finish();
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

    fn speech_wanted(&self) -> bool {
        // A voice is not kept waiting for a client who is away; it would break off.
        self.playout.queued() < if self.playout.is_paused() { MOST_QUEUED_AWAY } else { MOST_QUEUED }
    }

    /// Whether another message of the caller may be taken: a recording waits in the channel while it is being answered.
    fn intake_has_room(&self) -> bool {
        self.input_over != Some(Over::HungUp) && self.intake.has_room() && !self.breaking
    }
}

async fn progress(answer: &mut Option<Answer>, speech_wanted: bool) -> Progress {
    match answer {
        Some(answer) => answer.progress(speech_wanted).await,
        None => std::future::pending().await,
    }
}

/// Ready once, when the model is. One that never gets ready is dropped with the call.
async fn prepared(preparing: &mut Option<BoxFuture<'static, ()>>) {
    match preparing {
        Some(future) => {
            future.await;
            *preparing = None;
        }
        None => std::future::pending().await,
    }
}

/// The same while the client is away.
const MOST_QUEUED_AWAY: Duration = Duration::from_secs(20);
/// What the turn model may look back to: 8 s.
const TURN_MODEL_HISTORY: usize = 8 * 16_000;
/// Enough for the recogniser's pre-roll.
const SHORT_HISTORY: usize = 16_000;
/// The voice is not asked for more while this much audio waits.
const MOST_QUEUED: Duration = Duration::from_millis(2_500);
/// Rounds of work before other calls have their turn.
const MOST_STEPS: usize = 64;
/// Frames taken in one round: 2 s.
const MOST_FRAMES: usize = 100;
/// A recorder's first bytes may come alone (Chromium sends one), but the next are never this late.
const UNDECIDED: Duration = Duration::from_secs(2);
/// The socket is slow: look again after one frame.
const FULL_QUEUE_RETRY: Duration = Duration::from_millis(20);
