//! The books of one `multi-stream-input` socket: a context for each reply, and what to send when.
//!
//! Replies, messages and the time go in with `handle_*`; messages to send, speech and the end come out with `poll_*`;
//! `poll_timeout` says when to come back. It connects to nothing and waits for nothing. Invariants: never more
//! contexts than allowed, where one that is being closed counts until its final message; audio of a context that was
//! left is dropped by its id; every reply that is not cancelled ends with `Finished` or `Failed`, once. After
//! `Retired` or `Lost` the value is used up: make a new one with a new socket. Caller: the client.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::time::SessionTime;
use crate::tts::SpeechEvent;

use super::spoken::Spoken;
use super::wire::{self, ContextId, ServerMessage, SpeechPiece};
use super::{ElevenLabsConfig, PROVIDER};

/// Numbers of the service and our patience with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLimits {
    /// Contexts at a time. Default 5: with a sixth the service closes the socket.
    pub contexts: usize,
    /// Without text for this long a context of a reply that goes on is kept alive. Default 15 s; the service closes
    /// it after 20 s.
    pub keep_alive: Duration,
    /// Without contexts for this long the socket is retired. Default 15 s, for the same reason: at 20 s the reply
    /// that comes just then would be lost.
    pub idle: Duration,
    /// Longest wait for speech after text was flushed, or for the end after a close. Default 10 s, twice what the
    /// session waits: this is only so that nothing waits for ever.
    pub answer: Duration,
    /// Longest wait for a context while all are taken. Default 2 s: a new socket is there sooner.
    pub slot: Duration,
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self {
            contexts: 5,
            keep_alive: Duration::from_secs(15),
            idle: Duration::from_secs(15),
            answer: Duration::from_secs(10),
            slot: Duration::from_secs(2),
        }
    }
}

/// Text of one reply, 128 KiB: three times what the largest model takes. More is [`ProviderError::Rejected`].
const MOST_TEXT: usize = 128 << 10;
/// Replies that are under way or wait. A call has one, and for a moment the one before it.
const MOST_REPLIES: usize = 8;
/// Keep-alives of one context: five minutes in which a reply says nothing. Then it is given up.
const MOST_KEEP_ALIVES: u32 = 20;

/// What came of it.
#[derive(Clone, Debug)]
pub enum ContextEvent {
    /// A piece of a reply's speech.
    Speech {
        /// Of which reply.
        reply: ReplyId,
        /// The piece.
        event: SpeechEvent,
    },
    /// All speech of a reply has been given.
    Finished {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The rest of a reply will not come.
    Failed {
        /// Of which reply.
        reply: ReplyId,
        /// Why.
        error: ProviderError,
    },
    /// The socket was idle for long, or has contexts that do not end. Send what is left, close it, have a new one.
    Retired,
    /// The socket is over. Where replies were under way, each failed before.
    Lost {
        /// Why.
        error: ProviderError,
    },
}

/// One socket's contexts.
#[derive(Debug)]
pub struct Contexts {
    config: ElevenLabsConfig,
    limits: ContextLimits,
    state: State,
    next: u32,
    /// In the order in which they began.
    replies: Vec<Reply>,
    live: Vec<Live>,
    outbox: VecDeque<String>,
    events: VecDeque<ContextEvent>,
    last_sent: SessionTime,
    /// When it was opened, and how long nothing had been sent over it before.
    opened: (SessionTime, Duration),
    /// A context that should have ended did not.
    worn: bool,
    dropped: u64,
    /// Characters that were given out to be sent.
    sent_chars: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Over,
}

#[derive(Debug)]
struct Reply {
    id: ReplyId,
    spoken: Spoken,
    unsent: VecDeque<String>,
    /// Bytes of all its text.
    text: usize,
    /// Something to speak was given.
    speaks: bool,
    /// No more clauses will come.
    ended: bool,
    context: Option<ContextId>,
    since: SessionTime,
}

#[derive(Debug)]
struct Live {
    id: ContextId,
    /// `None`: left, what comes is dropped.
    reply: Option<ReplyId>,
    closing: bool,
    last_sent: SessionTime,
    /// Since when speech or the end is waited for.
    awaited: Option<SessionTime>,
    keep_alives: u32,
}

impl Contexts {
    /// The books of a socket that is being opened. Replies may begin at once; what they say waits.
    pub fn new(config: ElevenLabsConfig, limits: ContextLimits) -> Self {
        Self {
            config,
            limits,
            state: State::Opening,
            next: 0,
            replies: Vec::new(),
            live: Vec::new(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            last_sent: SessionTime::ZERO,
            opened: (SessionTime::ZERO, Duration::ZERO),
            worn: false,
            dropped: 0,
            sent_chars: 0,
        }
    }

    /// The socket is open. On one that served before, `next` is the number of its next context and nothing has been sent
    /// for `idle`; both are zero on a new one.
    pub fn handle_opened(&mut self, next: u32, idle: Duration, now: SessionTime) {
        if self.state == State::Opening {
            self.state = State::Open;
            self.next = next;
            self.opened = (now, idle);
            self.last_sent = now;
            for reply in &mut self.replies {
                reply.since = now;
            }
            self.advance(now);
        }
    }

    /// Where the socket is open and nothing is under way on it: the number of its next context, and how long nothing was
    /// sent.
    pub fn rests(&self, now: SessionTime) -> Option<(u32, Duration)> {
        let quiet = self.replies.is_empty() && self.live.is_empty() && self.outbox.is_empty() && !self.worn;
        (self.state == State::Open && quiet).then(|| (self.next, self.idle(now)))
    }

    /// How long nothing has been sent.
    fn idle(&self, now: SessionTime) -> Duration {
        let (opened, before) = self.opened;
        let before = if self.last_sent == opened { before } else { Duration::ZERO };
        now.since(self.last_sent) + before
    }

    /// A reply begins. Its context is opened, so that it is ready when the first clause comes.
    pub fn handle_begin(&mut self, reply: ReplyId, now: SessionTime) {
        self.handle_cancel(reply, now);
        let refusal = if self.state == State::Over {
            let detail = "the socket is over".to_owned();
            Some(ProviderError::Unreachable { provider: PROVIDER, detail })
        } else if self.replies.len() >= MOST_REPLIES {
            Some(limited("more replies at once than a call has"))
        } else {
            None
        };
        if let Some(error) = refusal {
            self.events.push_back(ContextEvent::Failed { reply, error });
            return;
        }
        self.replies.push(Reply {
            id: reply,
            spoken: Spoken::new(&self.config),
            unsent: VecDeque::new(),
            text: 0,
            speaks: false,
            ended: false,
            context: None,
            since: now,
        });
        self.advance(now);
    }

    /// The next clause of a reply. For one that is over it does nothing.
    pub fn handle_clause(&mut self, reply: ReplyId, clause: &str, now: SessionTime) {
        let Some(entry) = self.reply_mut(reply).filter(|entry| !entry.ended) else { return };
        entry.text += clause.len();
        if entry.text > MOST_TEXT {
            let detail = "a reply of more than 128 KiB".to_owned();
            self.fail(reply, ProviderError::Rejected { provider: PROVIDER, detail }, now);
            return;
        }
        let nothing_before = entry.spoken.is_settled();
        entry.spoken.handle_clause(clause);
        // Signs alone would be waited for in vain, or spoken as a noise.
        if clause.contains(char::is_alphanumeric) {
            entry.speaks = true;
            entry.unsent.push_back(format!("{} ", clause.trim()));
        } else if nothing_before {
            let mut events = Vec::new();
            entry.spoken.skip_clause(&mut events);
            self.events.extend(events.into_iter().map(|event| ContextEvent::Speech { reply, event }));
        }
        self.advance(now);
    }

    /// No more clauses of a reply will come.
    pub fn handle_end(&mut self, reply: ReplyId, now: SessionTime) {
        if let Some(entry) = self.reply_mut(reply) {
            entry.ended = true;
            self.advance(now);
        }
    }

    /// A reply is not wanted any more. Nothing of it comes out after this.
    pub fn handle_cancel(&mut self, reply: ReplyId, now: SessionTime) {
        let of_it = |event: &ContextEvent| match event {
            ContextEvent::Speech { reply: of, .. }
            | ContextEvent::Finished { reply: of }
            | ContextEvent::Failed { reply: of, .. } => *of == reply,
            ContextEvent::Retired | ContextEvent::Lost { .. } => false,
        };
        self.events.retain(|event| !of_it(event));
        self.leave(reply, now);
        self.advance(now);
    }

    /// Takes one message of the service.
    pub fn handle_message(&mut self, text: &str, now: SessionTime) {
        if self.state == State::Over {
            return;
        }
        match wire::parse_message(text) {
            Ok(ServerMessage::Speech(piece)) => self.handle_piece(&piece, now),
            Ok(ServerMessage::Refused(error)) | Err(error) => self.lose(error),
        }
    }

    /// The socket could not be opened; [`wire::parse_refusal`] says why where there was an answer.
    pub fn handle_refused(&mut self, error: ProviderError) {
        self.lose(error);
    }

    /// The socket was closed, or broke where there is no code.
    pub fn handle_closed(&mut self, code: Option<u16>, reason: &str) {
        self.lose(wire::parse_close(code, reason));
    }

    /// The time has come that [`poll_timeout`](Self::poll_timeout) named, or any other.
    pub fn handle_timeout(&mut self, now: SessionTime) {
        for k in 0..self.live.len() {
            self.check_context(k, now);
        }
        let late = |entry: &&Reply| entry.context.is_none() && entry.since + self.limits.slot <= now;
        if self.state == State::Open
            && let Some(reply) = self.replies.iter().find(late).map(|entry| entry.id)
        {
            self.worn = true;
            self.fail(reply, limited("no context of the socket became free"), now);
        }
        let idle = self.live.is_empty() && self.idle(now) >= self.limits.idle;
        if self.state == State::Open && self.replies.is_empty() && (idle || self.worn) {
            self.state = State::Over;
            self.live.clear();
            self.outbox.push_back(wire::encode_close_socket());
            self.events.push_back(ContextEvent::Retired);
        }
    }

    /// The next message to send, in order.
    pub fn poll_message(&mut self) -> Option<String> {
        self.outbox.pop_front()
    }

    /// The next event, in order.
    pub fn poll_event(&mut self) -> Option<ContextEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing else happens.
    pub fn poll_timeout(&self) -> Option<SessionTime> {
        if self.state != State::Open {
            return None;
        }
        let waits = self.live.iter().flat_map(|live| {
            let answer = live.awaited.map(|since| since + self.limits.answer);
            let open = live.reply.is_some() && !live.closing;
            [answer, open.then(|| live.last_sent + self.limits.keep_alive)]
        });
        let slots =
            self.replies.iter().filter(|r| r.context.is_none()).map(|r| Some(r.since + self.limits.slot));
        let idle = self.live.is_empty() && self.replies.is_empty();
        let retire = match self.worn && self.replies.is_empty() {
            true => Some(SessionTime::ZERO),
            false => {
                idle.then(|| self.last_sent + self.limits.idle.saturating_sub(self.idle(self.last_sent)))
            }
        };
        waits.chain(slots).chain([retire]).flatten().min()
    }

    /// Contexts that the service counts, those being closed among them.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Whether the service is generating for this socket, which is when it counts against the account's concurrency.
    pub fn is_generating(&self) -> bool {
        self.live.iter().any(|live| live.awaited.is_some())
    }

    /// Whether it is used up.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Characters of text that were given out to be sent since this was asked last.
    pub fn take_sent_chars(&mut self) -> u64 {
        std::mem::take(&mut self.sent_chars)
    }

    /// Pieces that came for contexts that were left.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn reply_mut(&mut self, reply: ReplyId) -> Option<&mut Reply> {
        self.replies.iter_mut().find(|entry| entry.id == reply)
    }

    /// Sends what can be sent, oldest reply first.
    fn advance(&mut self, now: SessionTime) {
        let mut done = Vec::new();
        for entry in &mut self.replies {
            if entry.ended && !entry.speaks {
                done.push(entry.id);
                continue;
            }
            if self.state != State::Open {
                continue;
            }
            let id = match entry.context {
                Some(id) => id,
                None if self.live.len() >= self.limits.contexts => continue,
                None => {
                    let id = ContextId(self.next);
                    self.next = self.next.wrapping_add(1);
                    entry.context = Some(id);
                    self.outbox.push_back(wire::encode_open(&self.config, Some(id)));
                    self.last_sent = now;
                    self.live.push(Live {
                        id,
                        reply: Some(entry.id),
                        closing: false,
                        last_sent: now,
                        awaited: None,
                        keep_alives: 0,
                    });
                    id
                }
            };
            let Some(live) = self.live.iter_mut().find(|live| live.id == id) else { continue };
            while let Some(text) = entry.unsent.pop_front() {
                self.outbox.push_back(wire::encode_text(Some(id), &text, true));
                self.sent_chars += text.chars().count() as u64;
                live.note_sent(now);
                self.last_sent = now;
            }
            if entry.ended && !live.closing {
                self.outbox.push_back(wire::encode_end(Some(id)));
                live.closing = true;
                live.note_sent(now);
                self.last_sent = now;
            }
        }
        for reply in done {
            self.finish(reply, now);
        }
    }

    fn handle_piece(&mut self, piece: &SpeechPiece<'_>, now: SessionTime) {
        let found = match &piece.context {
            Some(name) => self.live.iter().position(|live| live.id.to_string() == **name),
            None if self.live.len() == 1 => Some(0),
            None => None,
        };
        let Some(k) = found else {
            self.dropped += 1;
            return;
        };
        let live = &mut self.live[k];
        if piece.audio.is_some() {
            live.awaited = live.closing.then_some(now);
        }
        let (reply, closing) = (live.reply, live.closing);
        if piece.is_final {
            self.live.swap_remove(k);
        }
        match reply {
            None => self.dropped += u64::from(piece.audio.is_some()),
            Some(reply) => self.give(reply, piece, closing, now),
        }
        if piece.is_final {
            self.advance(now);
        }
    }

    fn give(&mut self, reply: ReplyId, piece: &SpeechPiece<'_>, closing: bool, now: SessionTime) {
        let Some(entry) = self.reply_mut(reply) else { return };
        let mut events = Vec::new();
        let heard = entry.spoken.handle_piece(piece, &mut events);
        self.events.extend(events.into_iter().map(|event| ContextEvent::Speech { reply, event }));
        match heard {
            Err(error) => self.fail(reply, error, now),
            Ok(()) if !piece.is_final => {}
            Ok(()) if closing => self.finish(reply, now),
            Ok(()) => {
                let detail = "the context was closed before its text was complete".to_owned();
                self.fail(reply, ProviderError::Unreachable { provider: PROVIDER, detail }, now);
            }
        }
    }

    /// Keeps a context alive or gives it up, if it is time.
    fn check_context(&mut self, k: usize, now: SessionTime) {
        let live = &mut self.live[k];
        let overdue = live.awaited.is_some_and(|since| since + self.limits.answer <= now);
        let quiet = live.reply.is_some() && !live.closing && live.last_sent + self.limits.keep_alive <= now;
        if overdue {
            match live.reply {
                Some(reply) => {
                    // The end that is now asked for is waited for as long again.
                    let after = self.limits.answer;
                    live.awaited = Some(now);
                    self.fail(reply, ProviderError::TimedOut { provider: PROVIDER, after }, now);
                }
                None => {
                    live.awaited = None;
                    self.worn = true;
                }
            }
        } else if quiet {
            live.keep_alives += 1;
            live.last_sent = now;
            self.last_sent = now;
            let (id, given_up) = (live.id, live.keep_alives > MOST_KEEP_ALIVES);
            match live.reply.filter(|_| given_up) {
                Some(reply) => {
                    let after = self.limits.keep_alive * MOST_KEEP_ALIVES;
                    self.fail(reply, ProviderError::TimedOut { provider: PROVIDER, after }, now);
                }
                None => self.outbox.push_back(wire::encode_keep_alive(Some(id))),
            }
        }
    }

    /// All speech of the reply is there.
    fn finish(&mut self, reply: ReplyId, now: SessionTime) {
        let mut events = Vec::new();
        if let Some(entry) = self.reply_mut(reply) {
            entry.spoken.finish(&mut events);
        }
        self.events.extend(events.into_iter().map(|event| ContextEvent::Speech { reply, event }));
        self.leave(reply, now);
        self.events.push_back(ContextEvent::Finished { reply });
    }

    fn fail(&mut self, reply: ReplyId, error: ProviderError, now: SessionTime) {
        self.leave(reply, now);
        self.events.push_back(ContextEvent::Failed { reply, error });
    }

    /// Forgets a reply; its context, if it has one, is told to end.
    fn leave(&mut self, reply: ReplyId, now: SessionTime) {
        self.replies.retain(|entry| entry.id != reply);
        for live in self.live.iter_mut().filter(|live| live.reply == Some(reply)) {
            live.reply = None;
            if !live.closing {
                live.closing = true;
                live.note_sent(now);
                self.last_sent = now;
                self.outbox.push_back(wire::encode_end(Some(live.id)));
            }
        }
    }

    fn lose(&mut self, error: ProviderError) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        self.live.clear();
        self.outbox.clear();
        for entry in self.replies.drain(..) {
            self.events.push_back(ContextEvent::Failed { reply: entry.id, error: error.clone() });
        }
        self.events.push_back(ContextEvent::Lost { error });
    }
}

impl Live {
    /// Something was sent that must be answered.
    fn note_sent(&mut self, now: SessionTime) {
        self.last_sent = now;
        self.awaited = Some(now);
        self.keep_alives = 0;
    }
}

fn limited(detail: &str) -> ProviderError {
    ProviderError::Limited { provider: PROVIDER, detail: detail.to_owned(), retry_after: None }
}
