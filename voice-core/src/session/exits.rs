//! Where a call's outputs leave: events, audio and the end, to whoever reads them.
//!
//! Nothing here waits for a reader but the close, which does for 2 s. A reader who is behind loses partial transcripts
//! and overtaken texts of an answer first; turns and the end are kept for him. What was dropped is counted.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::turn::Event;

use super::{AudioMessage, SessionEnd};

/// The ways out of one call.
pub(super) struct Exits {
    events: mpsc::Sender<Event>,
    audio: mpsc::Sender<AudioMessage>,
    end_sender: oneshot::Sender<SessionEnd>,
    pub(super) end: SessionEnd,
    waiting: VecDeque<Event>,
    pub(super) drops: Drops,
}

/// What was lost in a call, for its last line in the log.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// Pieces of audio before which the caller's player had run dry.
    pub(super) underruns: u32,
    /// Events that nobody read in time.
    pub(super) events: u32,
    /// Windows that no inference thread took or answered in time.
    pub(super) windows: u32,
    /// Pauses that the turn model did not judge.
    pub(super) scores: u32,
}

impl Drops {
    pub(super) fn any(&self) -> bool {
        self.underruns + self.events + self.windows + self.scores > 0
    }
}

impl Exits {
    pub(super) fn new(
        events: mpsc::Sender<Event>,
        audio: mpsc::Sender<AudioMessage>,
        end_sender: oneshot::Sender<SessionEnd>,
    ) -> Self {
        let (waiting, drops) = (VecDeque::new(), Drops::default());
        Self { events, audio, end_sender, end: SessionEnd::Done, waiting, drops }
    }

    /// Whether another audio message can leave.
    pub(super) fn has_room(&self) -> bool {
        self.audio.capacity() > 0 || self.audio.is_closed()
    }

    pub(super) fn put_audio(&mut self, message: AudioMessage) {
        // Room was checked; a closed channel means that nobody listens any more.
        let _ = self.audio.try_send(message);
    }

    /// Gives an event out, after those that still wait.
    pub(super) fn put_event(&mut self, event: Event) {
        self.waiting.push_back(event);
        self.flush();
        if self.waiting.len() > MOST_WAITING {
            self.make_room();
        }
    }

    /// Gives out what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting.push_front(event);
                break;
            }
        }
    }

    /// Whether events wait for their reader.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Leaves out what later events replace, and if that is not enough, all that is no turn and no end.
    fn make_room(&mut self) {
        let before = self.waiting.len();
        let newest = self.waiting.iter().rev().find_map(|e| match e {
            Event::Reply { turn, .. } => Some(*turn),
            _ => None,
        });
        let mut kept = false;
        // From the newest to the oldest, so that of an answer's texts the last one stays.
        let mut rest: VecDeque<Event> = VecDeque::with_capacity(before);
        for event in self.waiting.drain(..).rev() {
            let keep = match &event {
                Event::Transcript { is_final, .. } => *is_final,
                Event::Reply { turn, .. } => Some(*turn) == newest && !std::mem::replace(&mut kept, true),
                _ => true,
            };
            if keep {
                rest.push_front(event);
            }
        }
        if rest.len() > MOST_WAITING {
            rest.retain(|e| matches!(e, Event::TurnEnded(_) | Event::Closed(_)));
        }
        self.drops.events += (before - rest.len()) as u32;
        self.waiting = rest;
    }

    /// Gives out what is left and the end, waiting at most 2 s for a reader.
    pub(super) async fn close(self, end: SessionEnd) {
        let Self { events, end_sender, waiting, .. } = self;
        let rest = async {
            for event in waiting {
                if events.send(event).await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
        let _ = end_sender.send(end);
    }
}

/// Events kept for a reader who is behind.
const MOST_WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TurnId;
    use crate::turn::NoticeCode;

    fn reply(turn: u32, text: &str) -> Event {
        Event::Reply { turn: TurnId(turn), text: text.to_owned() }
    }

    #[test]
    fn a_reader_who_is_behind_gets_the_newest_text_and_every_end() {
        let (events, mut read) = mpsc::channel(1);
        let (audio, _heard) = mpsc::channel(1);
        let (end, _ended) = oneshot::channel();
        let mut exits = Exits::new(events, audio, end);
        exits.put_event(Event::SpeechStarted);
        for i in 0..200 {
            exits.put_event(Event::Transcript { turn: TurnId(1), text: i.to_string(), is_final: false });
            exits.put_event(reply(1, &i.to_string()));
        }
        let text = "a part was not understood".to_owned();
        exits.put_event(Event::Notice { code: NoticeCode::SttFailed, text });
        assert!(exits.is_behind() && exits.drops.events > 200 && exits.waiting.len() <= MOST_WAITING + 1);
        let mut replies = Vec::new();
        while let Ok(event) = read.try_recv() {
            if let Event::Reply { text, .. } = event {
                replies.push(text);
            }
            exits.flush();
        }
        assert_eq!(replies.last().map(String::as_str), Some("199"));
        assert!(!exits.is_behind());
    }
}
