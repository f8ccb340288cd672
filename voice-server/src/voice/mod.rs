//! The voice socket: `GET /voice/{session_id}`, as `docs/PROTOCOL.md` describes it.
//!
//! [`upgrade`] decides whether a request becomes a call; [`actor`] carries it, one task a call, between the frames of
//! the socket and the session of the engine behind [`call`]. A call of `voice.v1` outlives a connection that drops:
//! [`resume`] hands it the next one, [`registry`] knows it meanwhile. Turns are stored by the call itself, in order, before
//! the close is echoed.

pub mod actor;
mod backlog;
pub mod call;
mod dating;
pub mod engine;
pub(crate) mod frames;
pub(crate) mod headroom;
mod inbound;
mod link;
pub(crate) mod loading;
mod messages;
mod outbox;
#[cfg(test)]
mod protocol_tests;
mod query;
mod recorder;
pub mod registry;
pub mod resume;
pub mod upgrade;
pub mod writing;

use std::time::Duration;

/// Limits of one call. The defaults are those of the protocol's document.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one message from the client. Default: 64 MiB, an hour of recorded Opus or half an hour of WAV.
    pub message: usize,
    /// Bytes of audio that wait for the session. More ends the call: a client that sends faster than it can be heard
    /// would otherwise either fill the memory or hide its own close behind its audio. Default: 64 MiB, one recording.
    pub backlog: usize,
    /// A call without bytes and without speech ends after this. Default: 5 min.
    pub idle: Duration,
    /// A ping is sent this often. Default: 20 s.
    pub ping: Duration,
    /// A client of which nothing at all comes, not even a pong, is gone after this. Default: 60 s.
    pub dead: Duration,
    /// A call ends after this. Default: 4 h.
    pub whole: Duration,
    /// A frame that the client does not take within this means that it is gone. Default: 10 s.
    pub write: Duration,
    /// A client of `voice.v1` whose connection dropped is waited for. Default: 60 s.
    pub resume: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 << 20,
            backlog: 64 << 20,
            idle: Duration::from_secs(300),
            ping: Duration::from_secs(20),
            dead: Duration::from_secs(60),
            whole: Duration::from_secs(4 * 3_600),
            write: Duration::from_secs(10),
            resume: Duration::from_secs(60),
        }
    }
}
