//! The client's side of one call: frames are sorted into audio and orders, and these are fed to the session.
//!
//! [`read`] owns the reader and never waits for the session except through the bounded queue of audio, so a hang-up
//! is seen while audio is held back. [`feed`] gives the session what was sorted; orders do not wait behind audio.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::call::{CallInput, Profile};
use super::frames::{Broken, Incoming, Reader};
use super::messages::{self, Message, Request};
use super::outbox::{Item, Outbox};

/// Messages of audio that wait for the session; the rest waits in the client's TCP window.
pub(super) const AUDIO_QUEUE: usize = 8;
/// Orders that wait for the session.
pub(super) const ORDER_QUEUE: usize = 32;
/// Messages that are no message of the protocol, before the call is closed.
const PATIENCE: u32 = 20;

/// How the client's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangup {
    /// By a close frame with this code.
    Closed(Option<u16>),
    /// Without one.
    Gone,
    /// By breaking the rules.
    Fault {
        /// The close code.
        code: u16,
        /// For people.
        reason: &'static str,
    },
}

/// When something last happened in a call.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    frame: AtomicU64,
    talk: AtomicU64,
}

impl Activity {
    /// Counts from now.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), frame: AtomicU64::new(0), talk: AtomicU64::new(0) }
    }

    /// Something came from the client, if only a pong.
    fn note_frame(&self) {
        self.frame.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes came, or somebody spoke.
    pub(super) fn note_talk(&self) {
        self.talk.store(self.now(), Ordering::Relaxed);
    }

    /// How long nothing came from the client.
    pub(super) fn since_frame(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.frame.load(Ordering::Relaxed)))
    }

    /// How long nobody spoke and no bytes came.
    pub(super) fn since_talk(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.talk.load(Ordering::Relaxed)))
    }

    /// How long the call is going on.
    pub(super) fn since_begin(&self) -> Duration {
        self.begun.elapsed()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Sorts frames until the client's side ends, and gives the reader back for draining. Poll it to its end: dropping
/// it loses the stream's sync.
pub(super) async fn read(
    mut reader: Reader,
    profile: Profile,
    audio: mpsc::Sender<Bytes>,
    orders: mpsc::Sender<Request>,
    outbox: &Outbox,
    activity: &Activity,
) -> (Hangup, Reader) {
    let mut heard_anything = false;
    let mut odd = 0;
    let hangup = loop {
        let incoming = match reader.next().await {
            Ok(incoming) => incoming,
            Err(Broken::Gone) => break Hangup::Gone,
            Err(Broken::Fault { code, reason }) => break Hangup::Fault { code, reason },
        };
        activity.note_frame();
        match incoming {
            Incoming::Binary(bytes) if bytes.is_empty() => {
                // Recorders end with an empty slice; a call that begins with one has no audio to offer.
                if !heard_anything {
                    break Hangup::Fault { code: 1003, reason: EMPTY };
                }
            }
            Incoming::Binary(bytes) => {
                heard_anything = true;
                activity.note_talk();
                // A session that has ended takes no more; what still comes is dropped.
                let _ = audio.send(bytes).await;
            }
            Incoming::Text(_) if profile == Profile::Basic => {
                break Hangup::Fault { code: 1003, reason: NO_TEXT };
            }
            Incoming::Text(text) => match messages::parse(&text) {
                Ok(request) => {
                    if matches!(request, Request::Control(_)) {
                        activity.note_talk();
                    }
                    let _ = orders.send(request).await;
                }
                Err(bad) => {
                    odd += 1;
                    if odd > PATIENCE {
                        break Hangup::Fault { code: 4429, reason: "too many messages that are no voice.v1" };
                    }
                    say(outbox, "bad_message", &bad.to_string());
                }
            },
            Incoming::Ping(payload) => {
                let _ = outbox.push(Item::Pong(payload));
            }
            Incoming::Pong => {}
            Incoming::Close(code) => break Hangup::Closed(code),
        }
    };
    (hangup, reader)
}

const EMPTY: &str =
    "an empty message is no audio; send WAV, WebM/Opus or Ogg/Opus, or declare raw audio with ?in=";
const NO_TEXT: &str =
    "this is text; audio is WAV, WebM/Opus, Ogg/Opus or declared, and text needs subprotocol voice.v1";

/// Gives the session what the client sent, until both queues are closed and empty.
pub(super) async fn feed<I: CallInput>(
    input: &I,
    first: First,
    mut audio: mpsc::Receiver<Bytes>,
    mut orders: mpsc::Receiver<Request>,
    outbox: &Outbox,
) {
    let audio = async {
        let mut next = first.audio;
        if next.is_none() {
            next = audio.recv().await;
        }
        while let Some(bytes) = next {
            // After its end the session takes nothing; the queue is still emptied, so that the reader goes on.
            let _ = input.push(bytes).await;
            next = audio.recv().await;
        }
    };
    let orders = async {
        let mut next = first.order;
        if next.is_none() {
            next = orders.recv().await;
        }
        while let Some(request) = next {
            match request {
                Request::Control(control) => input.control(control).await,
                Request::Start(_) => {
                    say(outbox, "already_started", "start must be the first message of a call")
                }
                Request::Resume => {
                    say(outbox, "resume_unavailable", "this version of the server cannot resume a call")
                }
            }
            next = orders.recv().await;
        }
    };
    tokio::join!(audio, orders);
}

/// What came before the session was open and is still to be given to it.
#[derive(Debug, Default)]
pub(super) struct First {
    /// A message of audio.
    pub(super) audio: Option<Bytes>,
    /// An order other than `start`.
    pub(super) order: Option<Request>,
}

fn say(outbox: &Outbox, code: &str, text: &str) {
    let message = Message::Error { code: code.into(), text: text.into() };
    let _ = outbox.push(Item::Message(Box::new(message)));
}

#[cfg(test)]
mod tests {
    use super::super::frames::REASON_LIMIT;
    use super::*;

    #[test]
    fn the_reasons_fit_in_a_close_frame() {
        assert!(EMPTY.len() <= REASON_LIMIT && NO_TEXT.len() <= REASON_LIMIT);
    }
}
