//! One call's audio, utterances and requests to finish, as both protocols need them.
//!
//! The service gets one stream of audio and says at which time of it words were spoken; utterances are stretches of
//! that stream, so words find theirs by time, and those of one that was left find none. A request to finish belongs to
//! a place in the stream: it is sent when the audio before it is, and one that was sent at a pause serves for the end
//! of the utterance too, as long as nothing voiced came after. Pure; callers: `live`, `flux`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::stt::SttEvent;
use crate::stt::backlog::{Backlog, VoicedEnd};
use crate::stt::words::Words;
use crate::time::SessionTime;

use super::PROVIDER;

/// Longest wait for an answer to a request to finish: 1.5 s. None comes where little audio was left, so what is
/// known by then is taken, if it reaches near the end.
const ANSWER: Duration = Duration::from_millis(1_500);
/// Words that reach this near to the last voiced sample are all words: 400 ms, since interim ones lag behind.
const NEAR: u64 = 6_400;
/// Times of the service are rounded: 40 ms.
const SLACK: u64 = 640;
/// Utterances that wait for their words. A call has one or two; more means that nothing is answered any more.
const MOST_WAITING: usize = 8;
/// Requests to finish that are not answered; of more, the oldest will not be.
const MOST_MARKS: usize = 16;

#[derive(Debug)]
pub(super) struct Hearing {
    pub(super) connected: bool,
    backlog: Backlog,
    /// Position of the first sample that this connection got.
    origin: u64,
    /// Samples of silence that this connection got before them.
    lead: u64,
    /// Those that wait for words, oldest first; the open one is the last.
    utterances: VecDeque<Utterance>,
    marks: VecDeque<Mark>,
    events: VecDeque<SttEvent>,
    /// Samples that were given out to be sent.
    sent: u64,
}

#[derive(Debug)]
struct Utterance {
    id: UtteranceId,
    from: u64,
    /// Where it ends, once it is finalised.
    to: Option<u64>,
    voiced: VoicedEnd,
    words: Words,
    /// Words before this position are settled.
    covered: u64,
    /// Words before this position were seen.
    seen: u64,
    /// Since when its words are waited for.
    since: SessionTime,
    /// Failed while it was open; told again when it is finalised.
    broken: Option<ProviderError>,
}

/// A request to finish everything before a position.
#[derive(Clone, Copy, Debug)]
struct Mark {
    to: u64,
    sent: bool,
}

/// What to send next.
pub(super) enum Step {
    Audio(Vec<i16>),
    Finish,
    Nothing,
}

impl Utterance {
    /// Up to where words must be known.
    fn needed(&self) -> u64 {
        // Where nothing was loud the words may still be soft.
        if self.voiced.end() > self.from { self.voiced.end() } else { self.to.unwrap_or(u64::MAX) }
    }

    fn is_done(&self) -> bool {
        self.to.is_some() && self.covered + SLACK >= self.needed()
    }
}

impl Hearing {
    pub(super) fn new() -> Self {
        Self {
            connected: false,
            backlog: Backlog::default(),
            origin: 0,
            lead: 0,
            utterances: VecDeque::new(),
            marks: VecDeque::new(),
            events: VecDeque::new(),
            sent: 0,
        }
    }

    pub(super) fn connect(&mut self, now: SessionTime) {
        self.disconnect();
        self.connected = true;
        self.origin = self.backlog.start();
        for utterance in &mut self.utterances {
            utterance.since = now;
        }
    }

    /// The connection is gone. What it had not settled is sent again over the next one.
    pub(super) fn disconnect(&mut self) {
        self.connected = false;
        self.lead = 0;
        // What is left of an utterance that was abandoned is not wanted.
        let wanted = self.utterances.front().map_or(self.backlog.end(), |utterance| utterance.covered);
        self.backlog.release(wanted);
        self.backlog.rewind();
        self.marks.clear();
        let mut upto = self.backlog.start();
        for utterance in &mut self.utterances {
            utterance.words.drop_live();
            utterance.seen = utterance.covered;
            // An abandoned one may lie between two others, and its words are not to stand in one segment with theirs.
            let gap = (utterance.from > upto).then_some(utterance.from);
            let ends = gap.into_iter().chain(utterance.to);
            self.marks.extend(ends.map(|to| Mark { to, sent: false }));
            upto = utterance.to.unwrap_or(upto);
        }
    }

    pub(super) fn begin(&mut self, id: UtteranceId) {
        self.abandon();
        if self.utterances.len() >= MOST_WAITING
            && let Some(oldest) = self.utterances.pop_front()
        {
            let detail = "too many utterances wait for their words".to_owned();
            let error = ProviderError::Limited { provider: PROVIDER, detail, retry_after: None };
            self.events.push_back(SttEvent::Failed { utterance: oldest.id, error });
        }
        self.release();
        let from = self.backlog.end();
        self.utterances.push_back(Utterance {
            id,
            from,
            to: None,
            voiced: VoicedEnd::new(from),
            words: Words::default(),
            covered: from,
            seen: from,
            since: SessionTime::ZERO,
            broken: None,
        });
    }

    fn abandon(&mut self) {
        let Some(open) = self.utterances.pop_back_if(|utterance| utterance.to.is_none()) else { return };
        if self.backlog.sent() <= open.from {
            self.backlog.truncate(open.from);
            self.marks.retain(|mark| mark.to <= open.from);
        } else {
            // Its words and those of the next one are not to stand in one segment.
            self.mark();
        }
    }

    pub(super) fn push(&mut self, frame: &Frame) {
        let Some(open) = self.utterances.back_mut().filter(|u| u.to.is_none() && u.broken.is_none()) else {
            return;
        };
        self.backlog.push(frame);
        open.voiced.note(frame, self.backlog.end());
    }

    /// The caller seems to have stopped: the words of what was voiced are asked for now.
    pub(super) fn pause(&mut self) {
        let Some(open) = self.utterances.back().filter(|u| u.to.is_none() && u.broken.is_none()) else {
            return;
        };
        let voiced = open.voiced.end();
        if voiced > open.covered && !self.is_marked(voiced) {
            self.mark();
        }
    }

    pub(super) fn finalise(&mut self, now: SessionTime) {
        let end = self.backlog.end();
        let Some(open) = self.utterances.back_mut().filter(|utterance| utterance.to.is_none()) else {
            return;
        };
        if let Some(error) = open.broken.take() {
            let utterance = open.id;
            self.utterances.pop_back();
            self.events.push_back(SttEvent::Failed { utterance, error });
            return;
        }
        open.to = Some(end);
        open.since = now;
        let needed = if open.from == end { end } else { open.needed() };
        if open.from == end {
            open.covered = end;
        }
        if !open.is_done() && !self.is_marked(needed) {
            self.mark();
        }
        self.tell_done();
    }

    fn is_marked(&self, position: u64) -> bool {
        self.marks.iter().any(|mark| mark.to >= position)
    }

    fn mark(&mut self) {
        if self.marks.len() >= MOST_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { to: self.backlog.end(), sent: false });
    }

    /// No connection will come.
    pub(super) fn fail(&mut self, error: &ProviderError) {
        self.disconnect();
        self.marks.clear();
        for utterance in self.utterances.iter().filter(|utterance| utterance.broken.is_none()) {
            self.events.push_back(SttEvent::Failed { utterance: utterance.id, error: error.clone() });
        }
        self.utterances.retain(|utterance| utterance.to.is_none());
        if let Some(open) = self.utterances.back_mut() {
            open.broken = Some(error.clone());
        }
        let end = self.backlog.end();
        self.backlog.release(end);
    }

    /// Silence that is sent without being part of an utterance; possible only while none waits for words.
    pub(super) fn silence(&mut self, samples: usize) -> Option<Vec<i16>> {
        let possible = self.utterances.is_empty() || (self.lead == 0 && self.backlog.sent() == self.origin);
        possible.then(|| {
            self.lead += samples as u64;
            self.sent += samples as u64;
            vec![0; samples]
        })
    }

    pub(super) fn next_step(&mut self, chunk: usize) -> Step {
        if !self.connected {
            return Step::Nothing;
        }
        let next = self.marks.iter_mut().find(|mark| !mark.sent);
        let until = next.as_ref().map_or(u64::MAX, |mark| mark.to).min(self.backlog.end());
        let unsent = until.saturating_sub(self.backlog.sent()) as usize;
        if unsent >= chunk || (next.is_some() && unsent > 0) {
            let samples = self.backlog.take(chunk, until);
            self.sent += samples.len() as u64;
            return Step::Audio(samples);
        }
        match next {
            Some(mark) => {
                mark.sent = true;
                Step::Finish
            }
            None => Step::Nothing,
        }
    }

    /// Position of a sample that the service counted.
    pub(super) fn position_of(&self, counted: u64) -> u64 {
        self.origin + counted.saturating_sub(self.lead)
    }

    /// The utterance that words belong to which reach to `end`. Nothing is asked to finish in the middle of a word, so
    /// no stretch of words belongs to two; rounding may put its end a little behind that of its utterance.
    fn at(&mut self, end: u64) -> Option<&mut Utterance> {
        self.utterances.iter_mut().find(|u| u.from + SLACK < end && u.to.is_none_or(|to| end <= to + SLACK))
    }

    /// Words that may still change, reaching to `end`.
    pub(super) fn show(&mut self, end: u64, text: &str) {
        if let Some(utterance) = self.at(end) {
            utterance.words.show(text);
            utterance.seen = utterance.seen.max(end);
        }
    }

    /// Words that stay.
    pub(super) fn settle(&mut self, end: u64, text: &str) {
        if let Some(utterance) = self.at(end) {
            utterance.words.settle(text);
            utterance.covered = utterance.covered.max(end.min(utterance.to.unwrap_or(u64::MAX)));
            utterance.seen = utterance.seen.max(utterance.covered);
        }
    }

    /// A request to finish was answered, with words up to `end`. Answers come in order, but some do not come: requests
    /// well before `end` will not be answered any more, and of those near it the first is.
    pub(super) fn answer(&mut self, end: u64) {
        let mut passed = false;
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.sent && mark.to + SLACK < end) {
            passed = true;
            self.cover(mark.to);
        }
        if let Some(mark) = self.marks.pop_front_if(|mark| mark.sent && (!passed || mark.to <= end + SLACK)) {
            self.cover(mark.to);
        }
    }

    /// Everything before a position is settled, whatever was found in it.
    fn cover(&mut self, position: u64) {
        for utterance in self.utterances.iter_mut().filter(|utterance| utterance.from < position) {
            let upto = position.min(utterance.to.unwrap_or(u64::MAX));
            utterance.covered = utterance.covered.max(upto);
            utterance.seen = utterance.seen.max(upto);
        }
    }

    /// Gives out what is complete. Call it after every message.
    pub(super) fn tell_done(&mut self) {
        while let Some(utterance) = self.utterances.pop_front_if(|utterance| utterance.is_done()) {
            self.events.push_back(SttEvent::Final { utterance: utterance.id, text: utterance.words.all() });
        }
        self.tell_partial();
        self.release();
    }

    fn tell_partial(&mut self) {
        let Some(open) = self.utterances.back_mut().filter(|u| u.to.is_none() && u.broken.is_none()) else {
            return;
        };
        if let Some((text, stable)) = open.words.poll_partial() {
            self.events.push_back(SttEvent::Partial { utterance: open.id, text, stable });
        }
    }

    fn release(&mut self) {
        let sent = self.backlog.sent();
        let upto = self.utterances.front().map_or(sent, |utterance| utterance.covered);
        self.backlog.release(upto.min(sent));
    }

    /// Takes what is known of an utterance whose request was not answered, if that is enough.
    pub(super) fn check(&mut self, now: SessionTime) -> Result<(), ProviderError> {
        while self.connected && self.overdue_at().is_some_and(|at| at <= now) {
            let Some(oldest) = self.utterances.front() else { break };
            if oldest.seen + NEAR < oldest.needed() {
                self.disconnect();
                return Err(ProviderError::TimedOut { provider: PROVIDER, after: ANSWER });
            }
            let (utterance, text) = (oldest.id, oldest.words.all());
            self.utterances.pop_front();
            self.events.push_back(SttEvent::Final { utterance, text });
        }
        self.release();
        Ok(())
    }

    /// When the oldest utterance will have waited too long.
    pub(super) fn overdue_at(&self) -> Option<SessionTime> {
        let oldest = self.utterances.front().filter(|oldest| self.connected && oldest.to.is_some())?;
        Some(oldest.since + ANSWER)
    }

    /// The utterance that takes audio, if this position lies in it.
    pub(super) fn open_at(&self, position: u64) -> Option<UtteranceId> {
        let open = self.utterances.back().filter(|open| open.to.is_none() && open.broken.is_none())?;
        (open.from < position).then_some(open.id)
    }

    pub(super) fn poll_event(&mut self) -> Option<SttEvent> {
        self.events.pop_front()
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn lost(&self) -> u64 {
        self.backlog.lost()
    }
}
