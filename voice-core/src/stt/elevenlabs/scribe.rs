//! One call's Scribe: what to send when, and which utterance the words belong to.
//!
//! The service has one stream of audio and knows no utterances: each ends with a commit, commits are answered in
//! order, and so are their words given to the utterance that asked. A long utterance is committed on the way, before
//! the service does so by itself. Rules of the service kept here: no commit of less than 0.3 s of audio, each commit
//! counted once though it is answered twice where times are asked for, text from before only with the first chunk.
//! Pure; caller: the client.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::stt::backlog::Backlog;
use crate::stt::words::Words;
use crate::stt::{SttEvent, SttProtocol, Transmit};
use crate::time::SessionTime;
use crate::wire::account_refusal;

use super::wire::{self, ServerMessage};
use super::{PROVIDER, ScribeConfig};

/// Audio of one message: 100 ms. Less costs more than it gains, since partials come every few hundred ms.
const CHUNK: usize = 1_600;
/// The service ends the session on a commit of less: 0.3 s.
const SHORTEST_COMMIT: usize = 4_800;
/// From here on a pause is used for a commit on the way: 20 s. Words of longer stretches come late and change more.
const LONG: u64 = 20 * 16_000;
/// Here it is committed without a pause: 28 s. Below what the backlog holds, and far below the 90 s (36 s were seen)
/// at which the service commits by itself.
const TOO_LONG: u64 = 28 * 16_000;
/// Longest wait for the words of a commit. The session waits as long.
const ANSWER: Duration = Duration::from_secs(4);
/// Without audio for this long some silence is sent: sessions without any were seen to be closed after 15 s.
const QUIET: Duration = Duration::from_secs(5);
/// The silence: 20 ms, so that an idle call is billed 4 ms for each second.
const SILENCE: usize = 320;
/// Utterances that wait for their words. A call has one or two; more means that nothing is answered any more.
const MOST_WAITING: usize = 8;

/// One call's Scribe. See [`SttProtocol`].
#[derive(Debug)]
pub struct Scribe {
    config: ScribeConfig,
    previous: String,
    connected: bool,
    backlog: Backlog,
    /// Those that wait for words, oldest first; the open one is the last.
    utterances: VecDeque<Utterance>,
    serial: u64,
    /// Commits that are not answered, oldest first; the first `asked` of them were sent.
    commits: VecDeque<Commit>,
    asked: usize,
    /// Samples that the service has got since the last commit.
    uncommitted: usize,
    first_chunk: bool,
    /// Whether the last answer to a commit was the timed copy, where its twin has not come.
    twin_of: Option<bool>,
    last_sent: SessionTime,
    /// Since when the first commit that was sent is waited for.
    awaited: SessionTime,
    events: VecDeque<SttEvent>,
    /// Samples that were sent.
    sent: u64,
}

#[derive(Debug)]
struct Utterance {
    id: UtteranceId,
    /// Different for each, even where ids are not.
    serial: u64,
    words: Words,
    /// Where the part begins that no commit covers.
    from: u64,
    finalised: bool,
    /// Failed while it was open; told again when it is finalised.
    broken: Option<ProviderError>,
}

#[derive(Debug)]
struct Commit {
    /// Everything before this position.
    to: u64,
    /// Of which utterance; none where nobody wants the words.
    serial: Option<u64>,
    /// Nothing of the utterance comes after it.
    last: bool,
}

impl Scribe {
    /// One call. `previous` is what was said before, of which the service gets the end: it helps with the first words.
    pub fn new(config: ScribeConfig, previous: &str) -> Self {
        Self {
            config,
            previous: previous.to_owned(),
            connected: false,
            backlog: Backlog::default(),
            utterances: VecDeque::new(),
            serial: 0,
            commits: VecDeque::new(),
            asked: 0,
            uncommitted: 0,
            first_chunk: true,
            twin_of: None,
            last_sent: SessionTime::ZERO,
            awaited: SessionTime::ZERO,
            events: VecDeque::new(),
            sent: 0,
        }
    }

    fn open_mut(&mut self) -> Option<&mut Utterance> {
        self.utterances.back_mut().filter(|utterance| !utterance.finalised)
    }

    /// Leaves the open utterance. What the service got of it is committed, so that the next one begins afresh.
    fn abandon(&mut self) {
        let Some(open) = self.utterances.pop_back_if(|utterance| !utterance.finalised) else { return };
        for commit in self.commits.iter_mut().filter(|commit| commit.serial == Some(open.serial)) {
            commit.serial = None;
        }
        if self.backlog.sent() <= open.from {
            self.backlog.truncate(open.from);
        } else {
            self.commits.push_back(Commit { to: self.backlog.end(), serial: None, last: true });
        }
    }

    fn commit_open(&mut self, last: bool) {
        let to = self.backlog.end();
        let Some(open) = self.open_mut() else { return };
        open.from = to;
        let commit = Commit { to, serial: Some(open.serial), last };
        self.commits.push_back(commit);
    }

    fn handle_committed(&mut self, text: &str, timed: bool, now: SessionTime) {
        if self.twin_of == Some(!timed) {
            self.twin_of = None;
            return;
        }
        self.twin_of = Some(timed);
        if self.asked == 0 {
            // The service committed by itself. How much it took is not known, so the next commit is padded.
            self.uncommitted = 0;
            let sent = self.backlog.sent();
            self.backlog.release(sent);
            let next = self.commits.front().map(|commit| commit.serial);
            let of = next.unwrap_or_else(|| self.open_mut().map(|open| open.serial));
            if let Some(utterance) = self.utterances.iter_mut().find(|u| Some(u.serial) == of) {
                utterance.words.settle(text);
            }
            self.tell_partial();
            return;
        }
        self.asked -= 1;
        self.awaited = now;
        let Some(commit) = self.commits.pop_front() else { return };
        self.backlog.release(commit.to);
        let place = self.utterances.iter().position(|u| Some(u.serial) == commit.serial);
        let Some(place) = place else { return };
        let utterance = &mut self.utterances[place];
        utterance.words.settle(text);
        if commit.last {
            let event = SttEvent::Final { utterance: utterance.id, text: utterance.words.all() };
            self.events.push_back(event);
            self.utterances.remove(place);
        } else {
            self.tell_partial();
        }
    }

    fn handle_partial(&mut self, text: &str) {
        // Until the words of a commit are there, partials are about what it covers, even where it is not sent yet.
        let serial = match self.commits.front() {
            Some(commit) => commit.serial,
            None => self.open_mut().map(|open| open.serial),
        };
        if let Some(open) = self.open_mut().filter(|open| Some(open.serial) == serial) {
            open.words.show(text);
            self.tell_partial();
        }
    }

    fn tell_partial(&mut self) {
        let Some(open) = self.open_mut().filter(|open| open.broken.is_none()) else { return };
        if let Some((text, stable)) = open.words.poll_partial() {
            let event = SttEvent::Partial { utterance: open.id, text, stable };
            self.events.push_back(event);
        }
    }

    fn disconnect(&mut self) {
        self.connected = false;
        self.asked = 0;
        self.uncommitted = 0;
        self.twin_of = None;
        self.first_chunk = true;
        self.backlog.rewind();
        for utterance in &mut self.utterances {
            utterance.words.drop_live();
        }
        self.drop_unwanted();
    }

    /// What nobody wants the words of is not sent, or not again. Only without a connection.
    fn drop_unwanted(&mut self) {
        while let Some(commit) = self.commits.pop_front_if(|commit| commit.serial.is_none()) {
            self.backlog.release(commit.to);
        }
    }

    fn send_audio(&mut self, samples: &[i16], now: SessionTime) -> Transmit {
        let previous = match self.open_mut().map(|open| open.words.settled()).filter(|text| !text.is_empty())
        {
            Some(settled) => settled.to_owned(),
            None => self.previous.clone(),
        };
        let first = std::mem::take(&mut self.first_chunk);
        self.uncommitted += samples.len();
        self.sent += samples.len() as u64;
        self.last_sent = now;
        Transmit::Text(wire::encode_audio(samples, first.then_some(previous.as_str())))
    }
}

impl SttProtocol for Scribe {
    fn address(&self) -> String {
        wire::realtime_address(&self.config)
    }

    fn authorisation(&self) -> (&'static str, String) {
        (wire::KEY_HEADER, self.config.key.reveal().to_owned())
    }

    fn parse_refusal(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
        account_refusal(PROVIDER, status, retry_after, body)
    }

    fn handle_connected(&mut self, now: SessionTime) {
        self.disconnect();
        self.connected = true;
        self.last_sent = now;
    }

    fn handle_closed(&mut self, code: Option<u16>, reason: &str) -> ProviderError {
        self.disconnect();
        wire::parse_close(code, reason)
    }

    fn handle_begin(&mut self, utterance: UtteranceId, _now: SessionTime) {
        self.abandon();
        if self.utterances.len() >= MOST_WAITING
            && let Some(oldest) = self.utterances.pop_front()
        {
            // It has waited longest and will not be used any more.
            let detail = "too many utterances wait for their words".to_owned();
            let error = ProviderError::Limited { provider: PROVIDER, detail, retry_after: None };
            self.events.push_back(SttEvent::Failed { utterance: oldest.id, error });
            for commit in self.commits.iter_mut().filter(|commit| commit.serial == Some(oldest.serial)) {
                commit.serial = None;
            }
        }
        // With a connection the service may have some of it already, which only a commit takes out of the next words.
        if !self.connected {
            self.drop_unwanted();
        }
        self.serial += 1;
        self.utterances.push_back(Utterance {
            id: utterance,
            serial: self.serial,
            words: Words::default(),
            from: self.backlog.end(),
            finalised: false,
            broken: None,
        });
    }

    fn handle_audio(&mut self, frame: &Frame, _now: SessionTime) {
        if self.open_mut().is_none_or(|open| open.broken.is_some()) {
            return;
        }
        self.backlog.push(frame);
        let end = self.backlog.end();
        if self.open_mut().is_some_and(|open| end - open.from >= TOO_LONG) {
            self.commit_open(false);
        }
    }

    fn handle_pause(&mut self, _now: SessionTime) {
        let end = self.backlog.end();
        if self.open_mut().is_some_and(|open| end - open.from >= LONG) {
            self.commit_open(false);
        }
    }

    fn handle_finalise(&mut self, _now: SessionTime) {
        let end = self.backlog.end();
        let Some(open) = self.open_mut() else { return };
        let (serial, utterance, from) = (open.serial, open.id, open.from);
        if let Some(error) = open.broken.take() {
            self.utterances.pop_back();
            self.events.push_back(SttEvent::Failed { utterance, error });
            return;
        }
        if end > from {
            self.commit_open(true);
        } else if let Some(commit) = self.commits.iter_mut().rev().find(|c| c.serial == Some(serial)) {
            commit.last = true;
        } else {
            // Everything is answered, or nothing was ever said.
            let text = self.open_mut().map(|open| open.words.all()).unwrap_or_default();
            self.utterances.pop_back();
            self.events.push_back(SttEvent::Final { utterance, text });
            return;
        }
        if let Some(open) = self.open_mut() {
            open.finalised = true;
        }
    }

    fn handle_message(&mut self, text: &str, now: SessionTime) -> Result<(), ProviderError> {
        if !self.connected {
            return Ok(());
        }
        match wire::parse_message(text) {
            Ok(ServerMessage::Started | ServerMessage::Other) => Ok(()),
            Ok(ServerMessage::Partial { text }) => {
                self.handle_partial(&text);
                Ok(())
            }
            Ok(ServerMessage::Committed { text, timed }) => {
                self.handle_committed(&text, timed, now);
                Ok(())
            }
            Ok(ServerMessage::Refused(error)) | Err(error) => {
                self.disconnect();
                Err(error)
            }
        }
    }

    fn handle_timeout(&mut self, now: SessionTime) -> Result<(), ProviderError> {
        if self.connected && self.asked > 0 && self.awaited + ANSWER <= now {
            self.disconnect();
            return Err(ProviderError::TimedOut { provider: PROVIDER, after: ANSWER });
        }
        Ok(())
    }

    fn fail(&mut self, error: &ProviderError) {
        self.disconnect();
        self.commits.clear();
        let end = self.backlog.end();
        self.backlog.release(end);
        for utterance in self.utterances.iter().filter(|utterance| utterance.broken.is_none()) {
            self.events.push_back(SttEvent::Failed { utterance: utterance.id, error: error.clone() });
        }
        self.utterances.retain(|utterance| !utterance.finalised);
        if let Some(open) = self.open_mut() {
            open.broken = Some(error.clone());
            open.from = end;
        }
    }

    fn poll_transmit(&mut self, now: SessionTime) -> Option<Transmit> {
        if !self.connected {
            return None;
        }
        let next = self.commits.get(self.asked).map(|commit| commit.to);
        let until = next.unwrap_or(u64::MAX).min(self.backlog.end());
        let unsent = until.saturating_sub(self.backlog.sent()) as usize;
        if unsent >= CHUNK || (next.is_some() && unsent > 0) {
            let samples = self.backlog.take(CHUNK, until);
            return Some(self.send_audio(&samples, now));
        }
        if next.is_some() {
            if self.uncommitted < SHORTEST_COMMIT {
                let silence = vec![0; SHORTEST_COMMIT - self.uncommitted];
                return Some(self.send_audio(&silence, now));
            }
            if self.asked == 0 {
                self.awaited = now;
            }
            self.asked += 1;
            self.uncommitted = 0;
            self.last_sent = now;
            return Some(Transmit::Text(wire::encode_commit()));
        }
        if self.last_sent + QUIET <= now {
            return Some(self.send_audio(&[0; SILENCE], now));
        }
        None
    }

    fn poll_event(&mut self) -> Option<SttEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<SessionTime> {
        let answer = (self.asked > 0).then(|| self.awaited + ANSWER);
        let quiet = self.last_sent + QUIET;
        self.connected.then(|| answer.map_or(quiet, |answer| answer.min(quiet)))
    }

    fn sent_samples(&self) -> u64 {
        self.sent
    }

    fn lost_samples(&self) -> u64 {
        self.backlog.lost()
    }
}
