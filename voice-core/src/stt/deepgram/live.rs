//! Deepgram's v1 protocol for one call: Nova and older models.
//!
//! Interim results are assembled into one utterance's text; `Finalize` is sent at a pause and at the end of an
//! utterance, and what it answers settles the words before it. Pure; caller: the client.

use std::time::Duration;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::stt::backlog::encode_samples;
use crate::stt::{SttEvent, SttProtocol, Transmit};
use crate::time::SessionTime;

use super::DeepgramConfig;
use super::hearing::{Hearing, Step};
use super::wire::{self, LiveMessage, Results};

/// Audio of one message: 40 ms. The service asks for 20 to 250.
const CHUNK: usize = 640;
/// Silence at the start of a connection: 20 ms. One that only ever got keep-alives is closed all the same.
const LEAD: usize = 320;
/// Without messages for this long a keep-alive is sent; the service asks for one every 3 to 5 s.
const QUIET: Duration = Duration::from_secs(4);

/// One call on the v1 protocol. See [`SttProtocol`].
#[derive(Debug)]
pub struct Live {
    config: DeepgramConfig,
    hearing: Hearing,
    greeted: bool,
    last_sent: SessionTime,
}

impl Live {
    /// One call.
    pub fn new(config: DeepgramConfig) -> Self {
        Self { config, hearing: Hearing::new(), greeted: false, last_sent: SessionTime::ZERO }
    }

    fn handle_results(&mut self, results: &Results) {
        let hearing = &mut self.hearing;
        let end = hearing.position_of(results.end);
        if results.is_final {
            hearing.settle(end, &results.transcript);
        } else {
            hearing.show(end, &results.transcript);
        }
        if results.from_finalize {
            hearing.answer(end);
        }
        hearing.tell_done();
    }
}

impl SttProtocol for Live {
    fn address(&self) -> String {
        wire::live_address(&self.config)
    }

    fn authorisation(&self) -> (&'static str, String) {
        (wire::KEY_HEADER, format!("Token {}", self.config.key.reveal()))
    }

    fn parse_refusal(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError {
        wire::parse_refusal(status, retry_after, body)
    }

    fn handle_connected(&mut self, now: SessionTime) {
        self.hearing.connect(now);
        self.greeted = false;
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

    fn handle_pause(&mut self, _now: SessionTime) {
        self.hearing.pause();
    }

    fn handle_finalise(&mut self, now: SessionTime) {
        self.hearing.finalise(now);
    }

    fn handle_message(&mut self, text: &str, _now: SessionTime) -> Result<(), ProviderError> {
        if !self.hearing.connected {
            return Ok(());
        }
        match wire::parse_live(text) {
            Ok(LiveMessage::Results(results)) => {
                self.handle_results(&results);
                Ok(())
            }
            Ok(LiveMessage::Other) => Ok(()),
            Ok(LiveMessage::Refused(error)) | Err(error) => {
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
        let lead = if std::mem::replace(&mut self.greeted, true) { None } else { self.hearing.silence(LEAD) };
        let transmit = match lead.map_or_else(|| self.hearing.next_step(CHUNK), Step::Audio) {
            Step::Audio(samples) => Transmit::Binary(encode_samples(&samples)),
            Step::Finish => Transmit::Text(wire::FINALIZE.to_owned()),
            Step::Nothing if self.last_sent + QUIET <= now => Transmit::Text(wire::KEEP_ALIVE.to_owned()),
            Step::Nothing => return None,
        };
        self.last_sent = now;
        Some(transmit)
    }

    fn poll_event(&mut self) -> Option<SttEvent> {
        self.hearing.poll_event()
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
