//! One recogniser's side of a socket, without the socket.
//!
//! Audio, messages and the time go in with `handle_*`; what to send and what was understood come out with `poll_*`;
//! `poll_timeout` says when to come back. The client connects, reads and writes, and knows nothing of the protocol. A
//! value serves one call over as many connections as it takes: what a lost connection had not confirmed is sent again
//! on the next one, from a backlog of its own. Invariant: each finalised utterance ends in `Final` or `Failed`, once
//! `fail` is called where no connection comes about.

use std::time::Duration;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::time::SessionTime;

use super::SttEvent;

/// What to send.
#[derive(Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text message.
    Text(String),
    /// A binary message. Never empty: an empty one ends some protocols.
    Binary(Vec<u8>),
}

impl std::fmt::Debug for Transmit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Texts may hold key terms and transcripts.
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// What a recogniser with turn detection of its own thinks about the turn: evidence, never a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TurnSign {
    /// The caller began to speak.
    Started,
    /// The turn is probably over; work that can be taken back may start.
    ProbablyOver {
        /// How sure, 0 to 1.
        confidence: f32,
    },
    /// It was not: the caller went on.
    Resumed,
    /// The turn is over.
    Over {
        /// How sure, 0 to 1.
        confidence: f32,
    },
}

/// A recogniser that is spoken to over a WebSocket.
pub trait SttProtocol: Send {
    /// Where to connect to.
    fn address(&self) -> String;

    /// The header that carries the key: its name and its value, which must not be logged.
    fn authorisation(&self) -> (&'static str, String);

    /// What a refused handshake means.
    fn parse_refusal(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> ProviderError;

    /// A connection is there; everything that is not confirmed is sent over it.
    fn handle_connected(&mut self, now: SessionTime);

    /// The connection was closed, or broke where there is no code. Tells what that means; nothing is lost yet.
    fn handle_closed(&mut self, code: Option<u16>, reason: &str) -> ProviderError;

    /// An utterance starts; an unfinished one before it is abandoned.
    fn handle_begin(&mut self, utterance: UtteranceId, now: SessionTime);

    /// The next 20 ms of the open utterance.
    fn handle_audio(&mut self, frame: &Frame, now: SessionTime);

    /// The caller seems to have stopped; the utterance stays open.
    fn handle_pause(&mut self, _now: SessionTime) {}

    /// No more audio for the open utterance.
    fn handle_finalise(&mut self, now: SessionTime);

    /// Takes one text message.
    ///
    /// # Errors
    /// The connection is of no more use: close it and connect again if the error says that this may help, else call
    /// [`fail`](Self::fail).
    fn handle_message(&mut self, text: &str, now: SessionTime) -> Result<(), ProviderError>;

    /// The time has come that [`poll_timeout`](Self::poll_timeout) named, or any other.
    ///
    /// # Errors
    /// As for [`handle_message`](Self::handle_message).
    fn handle_timeout(&mut self, now: SessionTime) -> Result<(), ProviderError>;

    /// No connection will come: every utterance that is under way has failed. One that is still open is told to have
    /// failed at once and again when it is finalised.
    fn fail(&mut self, error: &ProviderError);

    /// The next message to send, in order. Nothing without a connection.
    fn poll_transmit(&mut self, now: SessionTime) -> Option<Transmit>;

    /// The next event, in order.
    fn poll_event(&mut self) -> Option<SttEvent>;

    /// The next sign of the recogniser's own turn detection, if it has one.
    fn poll_turn_sign(&mut self) -> Option<(UtteranceId, TurnSign)> {
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing else happens.
    fn poll_timeout(&self) -> Option<SessionTime>;

    /// What to send before the socket is closed for good.
    fn farewell(&self) -> Option<Transmit> {
        None
    }

    /// Samples that were sent up to now, over all connections: silence and what was sent again among them.
    fn sent_samples(&self) -> u64;

    /// Samples that no connection took in time and that were dropped.
    fn lost_samples(&self) -> u64;
}

/// Bytes of one server message, 1 MiB. A transcript of a long utterance with times for each word has some 100 KiB.
pub const MOST_MESSAGE: usize = 1 << 20;
