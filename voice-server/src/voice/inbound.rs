//! The client's side of one call: frames are sorted into audio and orders, and these are fed to the session.
//!
//! [`read`] owns the reader and does not wait for the session to hear what came, so a ping or a hang-up behind audio
//! that is held back is seen at once; a client that fills the bounded queues ends its call. [`feed`] gives the session
//! what was sorted; orders do not wait behind audio, but for `end`, which stands behind what was said.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{Notify, mpsc};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::backlog::{Backlog, Full, Piece};
use super::call::{CallInput, Control, DeclaredInput, Profile};
use super::frames::{Broken, Incoming, Reader};
use super::link::Link;
use super::messages::{self, BadMessage, Message, Request};
use super::outbox::{Item, Outbox};
use super::query::Asked;
use super::resume::{Coming, GONE, REFUSED};

/// Orders that wait for the session, each of at most 2,000 characters.
pub(super) const ORDER_QUEUE: usize = 64;
/// The session takes orders at once; one that does not within this is stuck or flooded, and the reader must go on.
const ORDER_PATIENCE: Duration = Duration::from_millis(250);
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
    pub(super) fn note_frame(&self) {
        self.frame.store(self.now(), Ordering::Relaxed);
    }

    /// Bytes came, or somebody spoke.
    pub(super) fn note_talk(&self) {
        self.talk.store(self.now(), Ordering::Relaxed);
    }

    /// When the last thing came from the client.
    pub(super) fn frame_at(&self) -> Instant {
        self.begun + Duration::from_millis(self.frame.load(Ordering::Relaxed))
    }

    /// When somebody spoke or bytes came, last.
    pub(super) fn talk_at(&self) -> Instant {
        self.begun + Duration::from_millis(self.talk.load(Ordering::Relaxed))
    }

    /// When the call began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Milliseconds since the call began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Where a socket's frames go.
pub(super) struct Way<'a> {
    /// The socket.
    pub(super) link: Arc<Link>,
    /// What it speaks.
    pub(super) profile: Profile,
    /// How the call is to be: what the query said, or for a later socket what holds.
    pub(super) asked: Asked,
    /// Whether this is the call's first socket, which may say how the call is to be.
    pub(super) is_first: bool,
    /// Audio goes here,
    pub(super) audio: &'a Backlog,
    /// orders here,
    pub(super) orders: mpsc::Sender<Order>,
    /// and the answers to what is neither.
    pub(super) outbox: &'a Outbox,
    /// Kept up to date.
    pub(super) activity: &'a Activity,
}

/// Sorts frames until the client's side ends or the call has left the socket, and gives the reader back for draining. Poll
/// it to its end: dropping it loses the stream's sync.
pub(super) async fn read(coming: Coming, way: Way<'_>) -> (Hangup, Reader) {
    let Way { link, profile, asked, is_first: opens, audio, orders, outbox, activity } = way;
    let is_opus = |asked: &Asked| asked.input == Some(Some(DeclaredInput::Opus));
    let mut packets = is_opus(&asked);
    let (mut is_first, mut heard_anything) = (opens, !opens);
    let mut odd = 0;
    let (first, mut reader) = coming.await;
    let mut first = Some(first);
    let hangup = loop {
        let next = match first.take() {
            Some(first) => first,
            None => reader.next().await,
        };
        if link.is_over() {
            break Hangup::Gone;
        }
        let incoming = match next {
            Ok(incoming) => incoming,
            Err(Broken::Gone) => break Hangup::Gone,
            Err(Broken::Fault { code, reason }) => break Hangup::Fault { code, reason },
        };
        activity.note_frame();
        match incoming {
            Incoming::Binary(bytes) if bytes.is_empty() && !packets => {
                // Recorders end with an empty slice; a call that begins with one has no audio to offer.
                if !heard_anything {
                    break Hangup::Fault { code: 1003, reason: EMPTY };
                }
            }
            Incoming::Binary(bytes) => {
                (is_first, heard_anything) = (false, true);
                // An empty packet is one that was lost or not sent (RFC 6716, section 2.1.9): time, but no talk.
                if !bytes.is_empty() {
                    activity.note_talk();
                }
                if let Err(Full) = audio.push(bytes) {
                    break Hangup::Fault { code: 1009, reason: TOO_FAST };
                }
            }
            Incoming::Text(_) if profile == Profile::Basic => {
                break Hangup::Fault { code: 1003, reason: NO_TEXT };
            }
            Incoming::Text(text) => {
                let order =
                    Order { request: messages::parse(&text), is_first: std::mem::take(&mut is_first) };
                match &order.request {
                    Ok(Request::Control(control)) => {
                        activity.note_talk();
                        if *control == Control::End {
                            audio.finish();
                        }
                    }
                    Ok(Request::Start(said)) if order.is_first && asked.is_empty() => packets = is_opus(said),
                    // A call of that id would have been handed this socket; so there is none, and this one is not wanted.
                    Ok(Request::Resume { .. }) if order.is_first => {
                        say(outbox, REFUSED, GONE);
                        break Hangup::Fault { code: 4404, reason: GONE };
                    }
                    Ok(_) => {}
                    Err(_) => odd += 1,
                }
                if odd > PATIENCE {
                    break Hangup::Fault { code: 4429, reason: "too many messages that are no voice.v1" };
                }
                // A session that has ended takes no more; what still comes is dropped.
                if let Err(SendTimeoutError::Timeout(_)) = orders.send_timeout(order, ORDER_PATIENCE).await {
                    break Hangup::Fault {
                        code: 4429,
                        reason: "messages come faster than they can be followed",
                    };
                }
            }
            Incoming::Ping(payload) => {
                let _ = outbox.push(Item::Pong(payload));
            }
            Incoming::Pong => {}
            Incoming::Close(code) => break Hangup::Closed(code),
        }
    };
    (hangup, reader)
}

/// A message of text.
#[derive(Debug)]
pub(super) struct Order {
    /// What it asks, or why it is none of ours. That is told in its turn, behind `session`.
    pub(super) request: Result<Request, BadMessage>,
    /// Whether it is the first message of the call, of text and audio alike.
    pub(super) is_first: bool,
}

const EMPTY: &str =
    "an empty message is no audio; send WAV, WebM/Opus or Ogg/Opus, or declare raw audio with ?in=";
const NO_TEXT: &str =
    "this is text; audio is WAV, WebM/Opus, Ogg/Opus or declared, and text needs subprotocol voice.v1";
const TOO_FAST: &str =
    "too much audio waits to be heard; send recordings of at most 64 MiB, one after the other";

/// Gives the session what the client sent, until both queues are finished and empty.
pub(super) async fn feed<I: CallInput>(
    input: &I,
    first: First,
    audio: &Backlog,
    mut orders: mpsc::Receiver<Order>,
    outbox: &Outbox,
) {
    let heard = Notify::new();
    let audio = async {
        let mut next = first.audio;
        if next.is_none() {
            next = audio.next().await;
        }
        while let Some(piece) = next {
            match piece {
                // After its end the session takes nothing; the queue is still emptied, so that the reader goes on.
                Piece::Audio(bytes) => drop(input.push(bytes).await),
                Piece::Break => input.break_off().await,
            }
            next = audio.next().await;
        }
        heard.notify_one();
    };
    let orders = async {
        let mut next = first.order;
        let (mut asked_to_end, mut told) = (false, false);
        loop {
            let order = match next.take() {
                Some(order) => Some(order),
                None => tokio::select! {
                    biased;
                    order = unconstrained(orders.recv()) => order,
                    // What was said before it came first; other orders went on meanwhile.
                    () = heard.notified(), if asked_to_end && !told => {
                        told = true;
                        input.control(Control::End).await;
                        continue;
                    }
                },
            };
            match order.map(|order| order.request) {
                None => break,
                Some(Ok(Request::Control(Control::End))) => asked_to_end = true,
                Some(Ok(Request::Control(control))) => {
                    if let Control::Position { reply, played_ms } = control {
                        outbox.note_played(reply, Duration::from_millis(played_ms));
                    }
                    input.control(control).await;
                }
                Some(Ok(Request::Start(_))) => {
                    say(outbox, "already_started", "start must be the first message of a call")
                }
                Some(Ok(Request::Resume { .. })) => {
                    say(outbox, "already_started", "resume must be the first message of a socket")
                }
                Some(Err(bad)) => say(outbox, "bad_message", &bad.to_string()),
            }
        }
    };
    // Orders first, also where the task's budget is used up: an order is not overtaken by the audio behind it.
    tokio::join!(biased; orders, audio);
}

/// What came before the session was open and is still to be given to it.
#[derive(Debug, Default)]
pub(super) struct First {
    /// A message of audio.
    pub(super) audio: Option<Piece>,
    /// An order other than `start`.
    pub(super) order: Option<Order>,
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
        assert!([EMPTY, NO_TEXT, TOO_FAST].iter().all(|reason| reason.len() <= REASON_LIMIT));
    }
}
