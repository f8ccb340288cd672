//! What happened in a simulated call, for tests to ask about.

use std::time::Duration;

use crate::ids::{ReplyId, TurnId, UtteranceId};
use crate::time::SessionTime;
use crate::turn::{CloseReason, Event, NoticeCode, TurnRecord};

use super::caller::Span;

/// A piece of audio that left for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// When.
    pub at: SessionTime,
    /// Of which reply.
    pub reply: ReplyId,
    /// How long it is played.
    pub lasts: Duration,
}

/// A request to the language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub at: SessionTime,
    /// For which reply.
    pub reply: ReplyId,
    /// About which turn.
    pub turn: TurnId,
    /// What the caller said.
    pub said: String,
}

/// Everything that came out of a call, in order.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Events with the moment at which they were given.
    pub events: Vec<(SessionTime, Event)>,
    /// Audio.
    pub left: Vec<Left>,
    /// Requests to the model.
    pub asked: Vec<Asked>,
    /// When which utterance was ended.
    pub decided: Vec<(SessionTime, UtteranceId)>,
    /// When which reply's effects were allowed.
    pub committed: Vec<(SessionTime, ReplyId)>,
    /// When which reply was cancelled.
    pub cancelled: Vec<(SessionTime, ReplyId)>,
    /// When the caller's bytes arrived.
    pub arrived: Vec<SessionTime>,
    /// When each act began.
    pub acts: Vec<SessionTime>,
    /// When the caller spoke what.
    pub spoken: Vec<Span>,
    /// Pieces of audio before which the player ran dry.
    pub underruns: u32,
}

impl Call {
    /// The finished turns.
    pub fn turns(&self) -> Vec<&TurnRecord> {
        self.events
            .iter()
            .filter_map(|(_, e)| if let Event::TurnEnded(t) = e { Some(&**t) } else { None })
            .collect()
    }

    /// When the finished turns ended.
    pub fn turn_ends(&self) -> Vec<SessionTime> {
        self.events.iter().filter(|(_, e)| matches!(e, Event::TurnEnded(_))).map(|(at, _)| *at).collect()
    }

    /// The notices.
    pub fn notices(&self) -> Vec<NoticeCode> {
        self.events
            .iter()
            .filter_map(|(_, e)| if let Event::Notice { code, .. } = e { Some(*code) } else { None })
            .collect()
    }

    /// When and why the call ended, if it did.
    pub fn closed(&self) -> Option<(SessionTime, CloseReason)> {
        self.events
            .iter()
            .find_map(|(at, e)| if let Event::Closed(why) = e { Some((*at, *why)) } else { None })
    }

    /// What the caller said in all turns, in one line.
    pub fn said(&self) -> String {
        self.turns().iter().map(|t| t.said.as_str()).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// What the caller spoke in truth, in one line.
    pub fn truth(&self) -> String {
        self.spoken.iter().flat_map(|s| &s.words).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// When the first and the last audio of a reply left.
    pub fn audible(&self, reply: ReplyId) -> Option<(SessionTime, SessionTime)> {
        let mut of = self.left.iter().filter(|l| l.reply == reply);
        let first = of.next()?.at;
        Some((first, of.next_back().map_or(first, |l| l.at)))
    }

    /// Whether audio left while the caller was speaking.
    pub fn talked_over(&self, span: &Span) -> bool {
        self.left.iter().any(|l| l.at >= span.from && l.at < span.to)
    }
}
