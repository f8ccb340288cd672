//! The outside services of a simulated call, in virtual time: asked something, they say when they will answer what.
//!
//! Each gives a list of (delay, happening) for [`super::World`] to put on its agenda. Answers to a cancelled question
//! still come: that they change nothing is what the simulation is for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::{ReplyId, UtteranceId};
use crate::time::SessionTime;
use crate::turn::Input;

use super::caller::Track;
use super::scripts::{LlmFault, LlmScript, SttFault, SttScript, TtsFault, TtsScript};

/// Facts that become known after a delay.
pub(super) type Later = Vec<(Duration, Input)>;

/// The recogniser.
#[derive(Debug)]
pub(super) struct Recogniser {
    script: SttScript,
    open: Option<OpenUtterance>,
}

#[derive(Debug)]
struct OpenUtterance {
    id: UtteranceId,
    from: SessionTime,
    partial_at: SessionTime,
    partial: String,
    fault: SttFault,
}

impl Recogniser {
    pub(super) fn new(script: SttScript) -> Self {
        Self { script, open: None }
    }

    pub(super) fn begin(&mut self, id: UtteranceId, from: SessionTime) {
        let fault = self.script.faults.pop_front().unwrap_or_default();
        let partial_at = from + self.script.partial_every;
        self.open = Some(OpenUtterance { id, from, partial_at, partial: String::new(), fault });
    }

    /// Audio up to `taken` has been pushed.
    pub(super) fn handle_audio(&mut self, track: &Track, taken: SessionTime) -> Later {
        match &mut self.open {
            Some(open) if taken >= open.partial_at => {
                open.partial_at = taken + self.script.partial_every;
                self.partial(track, taken)
            }
            _ => Later::new(),
        }
    }

    pub(super) fn partial(&mut self, track: &Track, taken: SessionTime) -> Later {
        let Some(open) = self.open.as_mut().filter(|o| o.fault != SttFault::Mute) else {
            return Later::new();
        };
        let text = track.words(open.from, taken);
        if text == open.partial {
            return Later::new();
        }
        open.partial.clone_from(&text);
        vec![(self.script.partial_lag, Input::Partial { utterance: open.id, text })]
    }

    pub(super) fn finalise(&mut self, id: UtteranceId, track: &Track, taken: SessionTime) -> Later {
        let Some(open) = self.open.take_if(|o| o.id == id) else { return Later::new() };
        let text = track.words(open.from, taken);
        let delay = self.script.final_delay;
        match open.fault {
            SttFault::None => vec![(delay, Input::Final { utterance: id, text })],
            SttFault::Late(late) => vec![(delay + late, Input::Final { utterance: id, text })],
            SttFault::Fail => vec![(delay, Input::SttFailed { utterance: id })],
            SttFault::Silent | SttFault::Mute => Later::new(),
        }
    }

    pub(super) fn abandon(&mut self, id: UtteranceId) {
        self.open.take_if(|o| o.id == id);
    }
}

/// The language model.
#[derive(Debug)]
pub(super) struct Answerer {
    script: LlmScript,
    answered: usize,
}

impl Answerer {
    pub(super) fn new(script: LlmScript) -> Self {
        Self { script, answered: 0 }
    }

    pub(super) fn reply(&mut self, reply: ReplyId) -> Later {
        let fault = self.script.faults.pop_front().unwrap_or_default();
        let tokens = self.script.tokens(self.answered);
        self.answered += 1;
        let mut later = vec![(CONTEXT, Input::ContextReady { reply })];
        let mut at = CONTEXT + self.script.first_token;
        for (k, delta) in tokens.into_iter().enumerate() {
            match fault {
                LlmFault::Fail { after } if after == k => {
                    later.push((at, Input::ReplyFailed { reply }));
                    return later;
                }
                LlmFault::Stall { after } if after == k => return later,
                LlmFault::Empty => break,
                _ => later.push((at, Input::ReplyText { reply, delta })),
            }
            at += self.script.token_every;
        }
        later.push((at, Input::ReplyDone { reply }));
        later
    }
}

/// What the look-up before a request takes.
const CONTEXT: Duration = Duration::from_millis(2);

/// The voice, speaking one reply at a time.
#[derive(Debug)]
pub(super) struct Speaker {
    script: TtsScript,
    speech: Option<Speech>,
}

#[derive(Debug)]
struct Speech {
    reply: ReplyId,
    clauses: VecDeque<Duration>,
    current: Option<Duration>,
    given: Duration,
    finished: bool,
    /// No step is on the agenda: the next clause or the end brings one.
    waits: bool,
    fault: TtsFault,
}

/// What the voice does at a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// Gives audio; it ends a clause or does not. The next step follows after the delay.
    Audio { lasts: Duration, first: bool, ends_clause: bool, next: Duration },
    /// Has given everything.
    Done,
    /// Fails.
    Failed,
    /// Nothing for now.
    Nothing,
}

impl Speaker {
    pub(super) fn new(script: TtsScript) -> Self {
        Self { script, speech: None }
    }

    pub(super) fn is_speaking(&self, reply: ReplyId) -> bool {
        self.speech.as_ref().is_some_and(|s| s.reply == reply)
    }

    /// Takes a clause. Gives the delay of the next step, if one must be put on the agenda.
    pub(super) fn speak(&mut self, reply: ReplyId, clause: &str) -> Option<Duration> {
        if !self.is_speaking(reply) {
            let fault = self.script.faults.pop_front().unwrap_or_default();
            self.speech = Some(Speech {
                reply,
                clauses: VecDeque::new(),
                current: None,
                given: Duration::ZERO,
                finished: false,
                waits: true,
                fault,
            });
        }
        let length = self.script.length_of(clause);
        let speech = self.speech.as_mut()?;
        speech.clauses.push_back(length);
        let first = speech.given == Duration::ZERO;
        std::mem::take(&mut speech.waits).then_some(if first {
            self.script.first_audio
        } else {
            LATER_CLAUSE
        })
    }

    /// No more clauses come. Gives the delay of the next step, if one must be put on the agenda.
    pub(super) fn finish(&mut self, reply: ReplyId) -> Option<Duration> {
        let speech = self.speech.as_mut().filter(|s| s.reply == reply)?;
        speech.finished = true;
        std::mem::take(&mut speech.waits).then_some(Duration::ZERO)
    }

    pub(super) fn cancel(&mut self, reply: ReplyId) {
        self.speech.take_if(|s| s.reply == reply);
    }

    pub(super) fn step(&mut self, reply: ReplyId) -> Spoken {
        let Some(speech) = self.speech.as_mut().filter(|s| s.reply == reply) else { return Spoken::Nothing };
        match speech.fault {
            TtsFault::Fail { after } if speech.given >= after => {
                self.speech = None;
                return Spoken::Failed;
            }
            TtsFault::Stall { after } if speech.given >= after => return Spoken::Nothing,
            TtsFault::Empty => {
                speech.clauses.clear();
                speech.waits = !speech.finished;
                return if speech.finished { Spoken::Done } else { Spoken::Nothing };
            }
            _ => {}
        }
        let Some(rest) = speech.current.take().or_else(|| speech.clauses.pop_front()) else {
            speech.waits = !speech.finished;
            return if speech.finished { Spoken::Done } else { Spoken::Nothing };
        };
        let lasts = rest.min(PIECE);
        let first = speech.given == Duration::ZERO;
        speech.given += lasts;
        speech.current = Some(rest - lasts).filter(|rest| *rest > Duration::ZERO);
        let next = lasts.div_f64(self.script.speed.max(0.01));
        Spoken::Audio { lasts, first, ends_clause: speech.current.is_none(), next }
    }
}

/// The voice gives audio in pieces this long.
const PIECE: Duration = Duration::from_millis(100);
/// What the first audio of a clause after a wait takes.
const LATER_CLAUSE: Duration = Duration::from_millis(20);
