//! What a session tells a recogniser's task, and the end of the queue that the session holds.
//!
//! Telling never blocks: what finds the queue full is dropped and counted, audio first, so that an utterance that began
//! also ends. Frames may be told some at a time, since each wakes the task. The task ends when the stream is dropped, for
//! then nobody tells it anything any more. Callers: the shells of this folder.

use tokio::sync::mpsc;

use super::SttStream;
use crate::audio::{FRAME_SAMPLES, Frame};
use crate::ids::UtteranceId;

/// What is told. A frame stands in the queue itself: none is allocated for.
#[expect(clippy::large_enum_variant)]
pub(super) enum Told {
    Begin(UtteranceId),
    Audio(Frame),
    Pause,
    Finalise,
}

/// The session's end.
pub(super) struct TellingStream {
    told: mpsc::Sender<Told>,
    /// How many frames are told together.
    together: usize,
    /// Frames that go with the next one, in the first `count` places.
    gathered: [Frame; MOST_TOGETHER],
    count: usize,
    dropped: u64,
}

/// Frames that are told together at most.
pub(super) const MOST_TOGETHER: usize = 4;
/// Places that audio leaves free for the beginnings and ends of utterances.
const RESERVED: usize = 64;

/// Both ends of a queue with this many places and some for beginnings and ends; room is taken as it is needed. So many
/// frames are told `together` while the caller talks; at a pause and at the end none is held back.
pub(super) fn telling(places: usize, together: usize) -> (TellingStream, mpsc::Receiver<Told>) {
    let (told, orders) = mpsc::channel(places + RESERVED);
    let together = together.clamp(1, MOST_TOGETHER);
    let gathered = [[0; FRAME_SAMPLES]; MOST_TOGETHER];
    (TellingStream { told, together, gathered, count: 0, dropped: 0 }, orders)
}

impl TellingStream {
    fn tell(&mut self, told: Told) {
        if self.told.try_send(told).is_err() {
            self.dropped += 1;
        }
    }

    /// Nobody else tells anything, so the room that is seen stays.
    fn tell_if_there_is_room(&mut self, told: Told) {
        if self.told.capacity() > RESERVED {
            self.tell(told);
        } else {
            self.dropped += 1;
        }
    }

    /// Frames go before whatever comes after them.
    fn tell_gathered(&mut self) {
        for k in 0..std::mem::take(&mut self.count) {
            self.tell_if_there_is_room(Told::Audio(self.gathered[k]));
        }
    }
}

impl SttStream for TellingStream {
    fn begin(&mut self, utterance: UtteranceId) {
        self.tell_gathered();
        self.tell(Told::Begin(utterance));
    }

    fn push(&mut self, frame: &Frame) {
        self.gathered[self.count] = *frame;
        self.count += 1;
        if self.count == self.together {
            self.tell_gathered();
        }
    }

    /// Always `false`: whether a partial transcript follows is known behind the queue only.
    fn hint_pause(&mut self) -> bool {
        self.tell_gathered();
        self.tell_if_there_is_room(Told::Pause);
        false
    }

    fn finalise(&mut self) {
        self.tell_gathered();
        self.tell(Told::Finalise);
    }
}

impl Drop for TellingStream {
    fn drop(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(dropped = self.dropped, "a recogniser's task took what it was told too late");
        }
    }
}
