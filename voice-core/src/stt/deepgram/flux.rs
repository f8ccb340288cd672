//! Deepgram's v2 protocol for one call: the Flux models, which detect turns themselves.
//!
//! Their turns are evidence for ours: an utterance may hold several of them, and ends when we say so, which ends the
//! service's turn too. What it thinks about the turn comes out as [`TurnSign`]. Pure; caller: the client.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::stt::backlog::encode_samples;
use crate::stt::{SttEvent, SttProtocol, Transmit, TurnSign};
use crate::time::SessionTime;

use super::DeepgramConfig;
use super::hearing::{Hearing, Step};
use super::wire::{self, FluxMessage, TurnEvent, TurnInfo};

/// Audio of one message: 80 ms, as the service asks for.
const CHUNK: usize = 1_280;
/// Without messages for this long some silence is sent: there is no keep-alive, and a connection without audio ends.
const QUIET: Duration = Duration::from_secs(4);
/// Signs that nobody took; the oldest go.
const MOST_SIGNS: usize = 16;

/// One call on the v2 protocol. See [`SttProtocol`].
#[derive(Debug)]
pub struct Flux {
    config: DeepgramConfig,
    hearing: Hearing,
    /// The first turn that is not over.
    turn: u64,
    signs: VecDeque<(UtteranceId, TurnSign)>,
    last_sent: SessionTime,
}

impl Flux {
    /// One call.
    pub fn new(config: DeepgramConfig) -> Self {
        let signs = VecDeque::new();
        Self { config, hearing: Hearing::new(), turn: 0, signs, last_sent: SessionTime::ZERO }
    }

    fn handle_turn(&mut self, info: &TurnInfo) {
        if info.turn < self.turn {
            return;
        }
        let end = self.hearing.position_of(info.end);
        if info.event == TurnEvent::EndOfTurn {
            self.turn = info.turn.saturating_add(1);
            self.hearing.settle(end, &info.transcript);
            if info.forced {
                self.hearing.answer(end);
            }
        } else {
            self.hearing.show(end, &info.transcript);
        }
        self.hearing.tell_done();
        let confidence = info.confidence;
        let sign = match info.event {
            TurnEvent::Update => None,
            TurnEvent::StartOfTurn => Some(TurnSign::Started),
            TurnEvent::EagerEndOfTurn => Some(TurnSign::ProbablyOver { confidence }),
            TurnEvent::TurnResumed => Some(TurnSign::Resumed),
            TurnEvent::EndOfTurn => Some(TurnSign::Over { confidence }),
        };
        if let (Some(sign), Some(open)) = (sign, self.hearing.open_at(end)) {
            if self.signs.len() >= MOST_SIGNS {
                self.signs.pop_front();
            }
            self.signs.push_back((open, sign));
        }
    }
}

impl SttProtocol for Flux {
    fn address(&self) -> String {
        wire::flux_address(&self.config)
    }

    fn authorisation(&self) -> (&'static str, String) {
        (wire::KEY_HEADER, format!("Token {}", self.config.key.reveal()))
    }

    fn parse_refusal(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
        wire::parse_refusal(status, retry_after, body)
    }

    fn handle_connected(&mut self, now: SessionTime) {
        self.hearing.connect(now);
        self.turn = 0;
        self.last_sent = now;
    }

    fn handle_closed(&mut self, code: Option<u16>, reason: &str) -> ProviderError {
        self.hearing.disconnect();
        wire::parse_close(code, reason)
    }

    fn handle_begin(&mut self, utterance: UtteranceId, _now: SessionTime) {
        self.hearing.begin(utterance);
    }

    fn handle_audio(&mut self, frame: &Frame, _now: SessionTime) {
        self.hearing.push(frame);
    }

    fn handle_finalise(&mut self, now: SessionTime) {
        self.hearing.finalise(now);
    }

    fn handle_message(&mut self, text: &str, _now: SessionTime) -> Result<(), ProviderError> {
        if !self.hearing.connected {
            return Ok(());
        }
        match wire::parse_flux(text) {
            Ok(FluxMessage::Turn(info)) => {
                self.handle_turn(&info);
                Ok(())
            }
            Ok(FluxMessage::Other) => Ok(()),
            Ok(FluxMessage::Refused(error)) | Err(error) => {
                self.hearing.disconnect();
                Err(error)
            }
        }
    }

    fn handle_timeout(&mut self, now: SessionTime) -> Result<(), ProviderError> {
        self.hearing.check(now)
    }

    fn fail(&mut self, error: &ProviderError) {
        self.hearing.fail(error);
    }

    fn poll_transmit(&mut self, now: SessionTime) -> Option<Transmit> {
        if !self.hearing.connected {
            return None;
        }
        let transmit = match self.hearing.next_step(CHUNK) {
            Step::Audio(samples) => Transmit::Binary(encode_samples(&samples)),
            Step::Finish => Transmit::Text(wire::FORCE_END_TURN.to_owned()),
            Step::Nothing if self.last_sent + QUIET <= now => {
                self.last_sent = now;
                Transmit::Binary(encode_samples(&self.hearing.silence(CHUNK)?))
            }
            Step::Nothing => return None,
        };
        self.last_sent = now;
        Some(transmit)
    }

    fn poll_event(&mut self) -> Option<SttEvent> {
        self.hearing.poll_event()
    }

    fn poll_turn_sign(&mut self) -> Option<(UtteranceId, TurnSign)> {
        self.signs.pop_front()
    }

    fn poll_timeout(&self) -> Option<SessionTime> {
        let quiet = self.last_sent + QUIET;
        self.hearing.connected.then(|| self.hearing.overdue_at().map_or(quiet, |at| at.min(quiet)))
    }

    fn farewell(&self) -> Option<Transmit> {
        Some(Transmit::Text(wire::CLOSE_STREAM.to_owned()))
    }

    fn sent_samples(&self) -> u64 {
        self.hearing.sent()
    }

    fn lost_samples(&self) -> u64 {
        self.hearing.lost()
    }
}
