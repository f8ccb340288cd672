//! A call in virtual time: a caller, a link, the outside services, and between them the turn machine and the playout.
//!
//! The world does what the session's driver does, one happening at a time, and never waits. Every order is checked by a
//! [`Witness`]. The same scene gives the same call.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audio::SampleRate;
use crate::ids::{ReplyId, TurnId, UtteranceId};
use crate::playout::{Piece, Playout};
use crate::text::speakable::SpokenReply;
use crate::time::SessionTime;
use crate::turn::{Command, Dialogue, Event, Input};

use super::call::{Asked, Call, Left};
use super::caller::{Act, Track};
use super::listening::{Activity, Listening};
use super::scene::Scene;
use super::services::{Answerer, Later, Recogniser, Speaker, Spoken};
use super::witness::{Violation, Witness};

/// Why a simulated call was given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The turn machine broke a rule.
    #[error("the turn machine broke a rule")]
    Rule(#[from] Violation),
    /// The call did not come to rest within the steps allowed.
    #[error("the call does not come to rest; it is now {0:?}")]
    Restless(SessionTime),
}

/// One call.
#[derive(Debug)]
pub struct World {
    scene: Scene,
    now: SessionTime,
    agenda: BTreeMap<(SessionTime, u64), Happening>,
    planned: u64,
    dialogue: Dialogue,
    witness: Witness,
    playout: Playout,
    /// The piece that is encoded and waits for its moment, and how long it lasts.
    hand: Option<(Piece, Duration)>,
    track: Track,
    listening: Listening,
    recogniser: Recogniser,
    answerer: Answerer,
    speaker: Speaker,
    /// The reply as it is said.
    spoken: SpokenReply,
    microphone: Microphone,
    next_act: usize,
    acted: bool,
    awaiting: Option<Awaiting>,
    audio_ready: Option<ReplyId>,
    first_audio: Option<ReplyId>,
    rested_since: Option<SessionTime>,
    samples: Vec<i16>,
    call: Call,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Happening {
    Act,
    /// A slice is full: since when its microphone runs, by its number.
    Slice(u32),
    /// A message arrives that holds audio up to there.
    Message {
        from: SessionTime,
        to: SessionTime,
    },
    Tell(Input),
    Voice(ReplyId),
}

#[derive(Debug, Default)]
struct Microphone {
    on: bool,
    /// Number of this recording; slices of earlier ones do not come any more.
    recording: u32,
    slice_from: SessionTime,
    /// Least time that a message was under way: by it audio is dated.
    lag: Option<Duration>,
    taken: SessionTime,
    /// Up to there the recogniser has had the audio of utterances that are over.
    transcribed: SessionTime,
    over: bool,
}

/// What the caller waits for, and how much of it there was before.
#[derive(Clone, Copy, Debug)]
enum Awaiting {
    Answer,
    Turns(usize),
    Decisions(usize),
    Replies(usize),
}

impl World {
    /// A call in which nothing has happened.
    pub fn new(scene: Scene) -> Self {
        let mut world = Self {
            now: SessionTime::ZERO,
            agenda: BTreeMap::new(),
            planned: 0,
            dialogue: Dialogue::new(scene.policy.clone()),
            witness: Witness::default(),
            playout: Playout::new(scene.shape, RATE, scene.clears),
            hand: None,
            track: Track::default(),
            listening: Listening::default(),
            recogniser: Recogniser::new(scene.stt.clone()),
            answerer: Answerer::new(scene.llm.clone()),
            speaker: Speaker::new(scene.tts.clone()),
            spoken: SpokenReply::default(),
            microphone: Microphone::default(),
            next_act: 0,
            acted: false,
            awaiting: None,
            audio_ready: None,
            first_audio: None,
            rested_since: None,
            samples: Vec::new(),
            call: Call::default(),
            scene,
        };
        world.start_microphone();
        world.plan(Duration::ZERO, Happening::Act);
        world
    }

    /// Virtual time.
    pub fn now(&self) -> SessionTime {
        self.now
    }

    /// The machine under test.
    pub fn dialogue(&self) -> &Dialogue {
        &self.dialogue
    }

    /// What has happened so far.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Gives what has happened.
    pub fn into_call(mut self) -> Call {
        self.call.spoken = self.track.spans().to_vec();
        self.call
    }

    /// Steps until the caller has done everything and nothing is under way, or the call has ended.
    ///
    /// # Errors
    /// A rule was broken, or that takes more than `most_steps`.
    pub fn drive_bounded(&mut self, most_steps: usize) -> Result<(), Broken> {
        if let Some(greeting) = self.scene.greeting.take() {
            self.witness.note_input(&Input::Typed { text: String::new() }, self.now);
            self.dialogue.greet(&greeting, self.now);
            self.drain()?;
        }
        for _ in 0..most_steps {
            if !self.step()? {
                return Ok(());
            }
        }
        Err(Broken::Restless(self.now))
    }

    /// Does the next thing that is due. `false`: the call is over or at rest.
    ///
    /// # Errors
    /// The machine broke a rule.
    pub fn step(&mut self) -> Result<bool, Broken> {
        if self.dialogue.is_closed() || self.is_at_rest() {
            return Ok(false);
        }
        let happening = self.agenda.keys().next().map(|(at, _)| *at);
        let in_hand = self.hand.as_ref().map(|(piece, _)| piece.due);
        let playing = [self.playout.poll_timeout(), in_hand, self.playout.played_at().map(|(_, at)| at)];
        let timeout = self.dialogue.poll_timeout();
        let Some(next) = playing.into_iter().chain([happening, timeout]).flatten().min() else {
            return Ok(false);
        };
        self.now = self.now.max(next);
        if happening.is_some_and(|at| at <= self.now)
            && let Some((_, happening)) = self.agenda.pop_first()
        {
            self.carry_on(happening)?;
        }
        self.play()?;
        if self.dialogue.poll_timeout().is_some_and(|at| at <= self.now) {
            self.witness.note_timeout(self.now);
            self.dialogue.handle_timeout(self.now);
            self.drain()?;
            self.witness.check_progress(&self.dialogue)?;
        }
        self.release_caller();
        Ok(true)
    }

    fn is_at_rest(&mut self) -> bool {
        if !self.acted || !self.dialogue.is_idle() {
            self.rested_since = None;
            return false;
        }
        let since = *self.rested_since.get_or_insert(self.now);
        self.now.since(since) > REST
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.plan_at(self.now + after, happening);
    }

    fn plan_at(&mut self, at: SessionTime, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), happening);
    }

    fn plan_all(&mut self, later: Later) {
        for (after, input) in later {
            self.plan(after, Happening::Tell(input));
        }
    }

    fn carry_on(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Act => self.act()?,
            Happening::Slice(recording) => self.end_slice(recording),
            Happening::Message { from, to } => self.take_message(from, to)?,
            Happening::Tell(input) => {
                // The driver draws a last line at the caller's audio once it is in.
                let ended = matches!(input, Input::AudioEnded | Input::Hangup);
                self.tell(input)?;
                if ended && self.microphone.over {
                    self.microphone.on = false;
                }
            }
            Happening::Voice(reply) => self.speak(reply)?,
        }
        Ok(())
    }

    // The caller.

    fn act(&mut self) -> Result<(), Violation> {
        let Some(act) = self.scene.acts.get(self.next_act).cloned() else {
            self.acted = true;
            return Ok(());
        };
        self.next_act += 1;
        self.call.acts.push(self.now);
        match act {
            Act::Say { text, lasts, complete } => {
                self.track.speak(self.now, lasts, &text, complete);
                self.plan(lasts, Happening::Act);
                return Ok(());
            }
            Act::Pause(lasts) => {
                self.plan(lasts, Happening::Act);
                return Ok(());
            }
            Act::AwaitAnswer => self.awaiting = Some(Awaiting::Answer),
            Act::AwaitTurn => self.awaiting = Some(Awaiting::Turns(self.call.turn_ends().len())),
            Act::AwaitDecision => self.awaiting = Some(Awaiting::Decisions(self.call.decided.len())),
            Act::AwaitReply => self.awaiting = Some(Awaiting::Replies(self.call.asked.len())),
            Act::Type(text) => self.tell(Input::Typed { text })?,
            Act::Interrupt => self.tell(Input::Interrupt)?,
            Act::StopSending => self.microphone.on = false,
            Act::StartSending => self.start_microphone(),
            Act::EndAudio => {
                let at = self.send_rest();
                self.plan_at(at, Happening::Tell(Input::AudioEnded));
                self.microphone.on = false;
            }
            Act::HangUp => {
                let at = self.send_rest();
                self.microphone.over = true;
                self.plan_at(at, Happening::Tell(Input::Hangup));
                self.plan_at(at, Happening::Tell(Input::AudioEnded));
            }
        }
        if self.awaiting.is_none() {
            self.plan(Duration::ZERO, Happening::Act);
        }
        Ok(())
    }

    /// Lets the caller go on when what he waits for is there.
    fn release_caller(&mut self) {
        let there = match self.awaiting {
            None => return,
            Some(Awaiting::Answer) => {
                let playing = self.witness.reply();
                playing.is_some() && self.call.left.last().map(|l| l.reply) == playing
            }
            Some(Awaiting::Turns(n)) => self.call.turn_ends().len() > n,
            Some(Awaiting::Decisions(n)) => self.call.decided.len() > n,
            Some(Awaiting::Replies(n)) => self.call.asked.len() > n,
        };
        if there {
            self.awaiting = None;
            self.plan(Duration::ZERO, Happening::Act);
        }
    }

    fn start_microphone(&mut self) {
        self.microphone.on = true;
        self.microphone.recording += 1;
        self.microphone.slice_from = self.now;
        self.plan(self.scene.slice, Happening::Slice(self.microphone.recording));
    }

    fn end_slice(&mut self, recording: u32) {
        if !self.microphone.on || self.microphone.over || recording != self.microphone.recording {
            return;
        }
        self.send();
        self.plan(self.scene.slice, Happening::Slice(recording));
    }

    /// Sends what the recorder has. Gives the arrival, if it does arrive.
    fn send(&mut self) -> Option<SessionTime> {
        let from = std::mem::replace(&mut self.microphone.slice_from, self.now);
        let arrival = self.scene.link.carry(self.now);
        if let Some(at) = arrival {
            self.plan_at(at, Happening::Message { from, to: self.now });
        }
        arrival
    }

    fn send_rest(&mut self) -> SessionTime {
        if !self.microphone.on {
            return self.now;
        }
        self.send().unwrap_or(self.now)
    }

    // The way in.

    fn take_message(&mut self, from: SessionTime, to: SessionTime) -> Result<(), Violation> {
        if to <= self.microphone.taken {
            // Overtaken by a later one.
            return Ok(());
        }
        let late = self.now.since(to);
        let lag = self.microphone.lag.map_or(late, |lag| lag.min(late));
        self.microphone.lag = Some(lag);
        self.call.arrived.push(self.now);
        self.tell(Input::Arrived)?;
        if from.since(self.microphone.taken) > GAP {
            // A new recording: what was not sent is not heard.
            self.listening.skip_to(from);
            self.microphone.taken = from;
        }
        while self.microphone.taken < to {
            self.microphone.taken = (self.microphone.taken + FRAME).min(to);
            let taken = self.microphone.taken;
            let later = self.recogniser.handle_audio(&self.track, taken);
            self.plan_all(later);
            while let Some(activity) = self.listening.judge(&self.track, taken) {
                match activity {
                    Some(Activity::Started { at }) => self.tell(Input::SpeechStarted { at: at + lag })?,
                    Some(Activity::Ended { last_voiced }) => {
                        self.tell(Input::SpeechEnded { last_voiced: last_voiced + lag })?;
                    }
                    None => {}
                }
                self.tell(Input::Listened { until: self.listening.judged() + lag })?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, input: Input) -> Result<(), Violation> {
        self.witness.note_input(&input, self.now);
        self.dialogue.handle_input(input, self.now);
        self.drain()
    }

    // The machine's orders.

    fn drain(&mut self) -> Result<(), Violation> {
        while let Some(command) = self.dialogue.poll_command() {
            self.witness.check_command(&command)?;
            self.carry_out(command)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, command: Command) -> Result<(), Violation> {
        match command {
            Command::OpenUtterance { utterance, from } => {
                let lag = self.microphone.lag.unwrap_or_default();
                self.recogniser.begin(utterance, (from - lag).max(self.microphone.transcribed));
            }
            Command::JudgePause { utterance, last_voiced } => self.judge_pause(utterance, last_voiced),
            Command::FinaliseUtterance { utterance } => {
                self.call.decided.push((self.now, utterance));
                let later = self.recogniser.finalise(utterance, &self.track, self.microphone.taken);
                self.plan_all(later);
                self.microphone.transcribed = self.microphone.taken;
                self.listening.end_speech();
            }
            Command::AbandonUtterance { utterance } => self.recogniser.abandon(utterance),
            Command::StartReply { reply, turn, said } => self.ask(reply, turn, said),
            Command::Speak { reply, clause } => {
                if !self.speaker.is_speaking(reply) {
                    self.hand = None;
                    self.playout.begin(reply, self.dialogue.release_at());
                    self.spoken = SpokenReply::default();
                }
                let spoken = self.spoken.push_clause(&clause);
                if let Some(after) = self.speaker.speak(reply, spoken.text()) {
                    self.plan(after, Happening::Voice(reply));
                }
                self.playout.announce_clause(reply, &clause, spoken);
            }
            Command::CommitReply { reply } => self.call.committed.push((self.now, reply)),
            Command::FinishSpeech { reply } => {
                if let Some(after) = self.speaker.finish(reply) {
                    self.plan(after, Happening::Voice(reply));
                }
            }
            Command::StopSpeech { reply } | Command::CancelReply { reply } => {
                if matches!(command, Command::CancelReply { .. }) {
                    self.call.cancelled.push((self.now, reply));
                }
                self.speaker.cancel(reply);
                self.hand.take_if(|(piece, _)| piece.reply == reply);
                let heard = self.playout.clear(reply, self.now);
                let silenced = Input::Silenced { reply, heard };
                self.witness.note_input(&silenced, self.now);
                self.dialogue.handle_input(silenced, self.now);
            }
            Command::Emit(event) => {
                if let Event::Closed(_) = event {
                    self.awaiting = None;
                }
                self.call.events.push((self.now, event));
            }
        }
        Ok(())
    }

    fn judge_pause(&mut self, utterance: UtteranceId, last_voiced: SessionTime) {
        let later = self.recogniser.partial(&self.track, self.microphone.taken);
        self.plan_all(later);
        if self.scene.scored {
            let lag = self.microphone.lag.unwrap_or_default();
            let complete = self.track.completeness(last_voiced - lag);
            self.plan(SCORING, Happening::Tell(Input::Scored { utterance, last_voiced, complete }));
        }
    }

    fn ask(&mut self, reply: ReplyId, turn: TurnId, said: String) {
        self.call.asked.push(Asked { at: self.now, reply, turn, said });
        let later = self.answerer.reply(reply);
        self.plan_all(later);
    }

    // The way out.

    fn speak(&mut self, reply: ReplyId) -> Result<(), Violation> {
        if self.playout.queued() >= MOST_QUEUED {
            self.plan(FRAME, Happening::Voice(reply));
            return Ok(());
        }
        match self.speaker.step(reply) {
            Spoken::Nothing => Ok(()),
            Spoken::Failed => self.tell(Input::SpeechFailed { reply }),
            Spoken::Done => {
                self.playout.finish(reply);
                self.tell(Input::SpeechDone { reply })
            }
            Spoken::Audio { lasts, first, ends_clause, next } => {
                if first {
                    self.first_audio = Some(reply);
                    self.tell(Input::FirstAudio { reply })?;
                }
                let samples = vec![LOUDNESS; RATE.samples_in(lasts) as usize];
                self.playout.push(reply, &samples);
                if ends_clause {
                    self.playout.close_clause(reply);
                }
                self.plan(next, Happening::Voice(reply));
                Ok(())
            }
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        if let Some(reply) = self.first_audio
            && self.audio_ready != Some(reply)
            && self.playout.poll_timeout().is_some()
        {
            self.audio_ready = Some(reply);
            self.tell(Input::AudioReady { reply })?;
        }
        let mut samples = std::mem::take(&mut self.samples);
        loop {
            if self.hand.is_none() {
                let piece = self.playout.poll(self.now, &mut samples);
                self.hand = piece.map(|piece| (piece, RATE.duration_of(samples.len() as u64)));
            }
            let Some((piece, lasts)) = self.hand.take_if(|(piece, _)| piece.due <= self.now) else { break };
            self.call.left.push(Left { at: self.now, reply: piece.reply, lasts });
            self.call.underruns += u32::from(self.playout.handle_left(piece, self.now));
            self.tell(Input::AudioLeft { reply: piece.reply })?;
        }
        self.samples = samples;
        if let Some((reply, at)) = self.playout.played_at()
            && at <= self.now
        {
            self.playout.end(reply);
            self.tell(Input::Played { reply })?;
        }
        Ok(())
    }
}

/// Rate of all audio in a simulated call; low, since nobody listens.
const RATE: SampleRate = SampleRate::HZ_8000;
/// A sample that is not silence.
const LOUDNESS: i16 = 1_000;
/// What the recogniser takes at once.
const FRAME: Duration = Duration::from_millis(20);
/// A hole in the caller's audio longer than this is a new recording and not a lost message.
const GAP: Duration = Duration::from_millis(1_500);
/// What the turn model takes.
const SCORING: Duration = Duration::from_millis(35);
/// The voice is not asked for more while this much audio waits.
const MOST_QUEUED: Duration = Duration::from_millis(2_500);
/// A call in which nothing has been under way for so long has come to rest.
const REST: Duration = Duration::from_millis(1_600);
