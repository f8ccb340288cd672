//! What waits to be written to a call's socket, in order and bounded, and what was written and may have to be again.
//!
//! Audio that became void is taken out before it is written (the last hop where a late answer is dropped by its id).
//! Nobody waits for room: a client that reads too slowly fills the box, and its call ends. In `voice.v1` everything gets
//! its number here, when it is taken to be written, and is kept for a client that drops and resumes: messages by bytes,
//! audio by time, less what the client says it has played.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::call::Profile;
use super::messages::Message;

/// Items that wait at most: 20 s of 20 ms frames.
const ITEMS: usize = 1_000;
/// Bytes of audio that wait at most: a minute and a half of 48 kHz samples.
const BYTES: usize = 8 << 20;
/// Bytes of written messages that are kept.
const KEPT_TEXT: usize = 64 * 1024;
/// Written audio that is kept, in time and in bytes (10 s of 48 kHz samples).
const KEPT_AUDIO: Duration = Duration::from_secs(10);
const KEPT_BYTES: usize = 960_000;
/// Audio that was written so long ago was heard or never will be: nobody may resume after that.
const OLDEST: Duration = Duration::from_secs(60);

/// One frame to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A message of audio.
    Audio(Audio),
    /// A JSON message.
    Message(Box<Message>),
    /// The answer to a ping.
    Pong(Bytes),
    /// A ping.
    Ping,
}

/// A message of audio.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Audio {
    /// Of which reply.
    pub(super) reply: u32,
    /// Its bytes.
    pub(super) payload: Bytes,
    /// Where in the reply's audio it begins.
    pub(super) from: Duration,
    /// Where in the reply's audio it ends.
    pub(super) upto: Duration,
}

/// What is written next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outgoing {
    /// A message of audio with its number.
    Audio(u32, Audio),
    /// A message of JSON, its number in it.
    Text(Bytes),
    /// The answer to a ping.
    Pong(Bytes),
    /// A ping.
    Ping,
}

/// What a client that resumes gets again, for the pacing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewound {
    /// Up to where the client has got the audio, and of which reply.
    pub(super) received: Option<(u32, Duration)>,
    /// How long the audio is that is written again.
    pub(super) again: Duration,
    /// Something that the client has not got is not there any more.
    pub(super) is_short: bool,
}

/// The box is full: the client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The box. Shared by the parts of one call.
#[derive(Debug)]
pub(super) struct Outbox {
    keeps: bool,
    inner: Mutex<Inner>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    finished: bool,
    /// The number given last.
    seq: u32,
    /// To be written again, before the items.
    again: VecDeque<Kept>,
    texts: VecDeque<(u32, Bytes)>,
    audio: VecDeque<(u32, Instant, Audio)>,
    text_bytes: usize,
    audio_bytes: usize,
    audio_time: Duration,
    /// The highest number of what was forgotten for want of room.
    forgotten: u32,
    /// Where the audio written last ends.
    newest: Option<(u32, Duration)>,
}

#[derive(Clone, Debug)]
enum Kept {
    Text(u32, Bytes),
    Audio(u32, Audio),
}

impl Kept {
    fn seq(&self) -> u32 {
        match self {
            Self::Text(seq, _) | Self::Audio(seq, _) => *seq,
        }
    }
}

impl Outbox {
    /// An empty box. What `voice.v1` wrote is kept; the basic profile has no numbers to ask for it by.
    pub(super) fn new(profile: Profile) -> Self {
        Self { keeps: profile == Profile::Full, inner: Mutex::default(), came: Notify::new() }
    }

    /// Puts an item at the end. After [`Outbox::finish`] it is dropped.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn push(&self, item: Item) -> Result<(), Full> {
        let mut inner = self.lock();
        if inner.finished {
            return Ok(());
        }
        let size = size(&item);
        if inner.items.len() >= ITEMS || inner.bytes + size > BYTES {
            return Err(Full);
        }
        inner.bytes += size;
        inner.items.push_back(item);
        drop(inner);
        self.came.notify_one();
        Ok(())
    }

    /// Takes out the audio of `reply` that was not written, or would be again. Gives how many messages it was.
    pub(super) fn clear(&self, reply: u32) -> usize {
        let mut inner = self.lock();
        let before = inner.items.len() + inner.again.len();
        inner.items.retain(|item| !matches!(item, Item::Audio(audio) if audio.reply == reply));
        inner.bytes = inner.items.iter().map(size).sum();
        inner.again.retain(|kept| !matches!(kept, Kept::Audio(_, audio) if audio.reply == reply));
        let left = inner.items.len() + inner.again.len();
        inner.retain_audio(|audio| audio.reply != reply);
        before - left
    }

    /// The client has played `reply` as far as `played`: it does not need that again.
    pub(super) fn note_played(&self, reply: u32, played: Duration) {
        let mut inner = self.lock();
        if inner.audio.front().is_some_and(|(_, _, audio)| audio.is_before(reply, played)) {
            inner.retain_audio(|audio| !audio.is_before(reply, played));
        }
    }

    /// The number given last.
    pub(super) fn last_seq(&self) -> u32 {
        self.lock().seq
    }

    /// Another socket of the same client goes on behind `last_seq`, or without one behind all that was written: what was
    /// written after that is written again, with its numbers.
    pub(super) fn rewind(&self, last_seq: Option<u32>) -> Rewound {
        let mut inner = self.lock();
        let last = last_seq.unwrap_or(inner.seq);
        let texts = std::mem::take(&mut inner.texts).into_iter().map(|(seq, text)| Kept::Text(seq, text));
        let audio =
            std::mem::take(&mut inner.audio).into_iter().map(|(seq, _, audio)| Kept::Audio(seq, audio));
        let mut again: Vec<Kept> = texts
            .chain(audio)
            .chain(std::mem::take(&mut inner.again))
            .filter(|kept| kept.seq() > last)
            .collect();
        again.sort_by_key(Kept::seq);
        (inner.text_bytes, inner.audio_bytes, inner.audio_time) = (0, 0, Duration::ZERO);
        // Answers to the pings of another socket are nobody's.
        inner.items.retain(|item| !matches!(item, Item::Pong(_) | Item::Ping));
        inner.bytes = inner.items.iter().map(size).sum();
        let sounds = || {
            again.iter().filter_map(|kept| if let Kept::Audio(_, audio) = kept { Some(audio) } else { None })
        };
        let rewound = Rewound {
            received: sounds().next().map(|audio| (audio.reply, audio.from)).or(inner.newest),
            again: sounds().map(Audio::lasts).sum(),
            is_short: inner.forgotten > last,
        };
        // What the client has said it has is not asked for again.
        inner.forgotten = inner.forgotten.max(last);
        inner.again = again.into();
        drop(inner);
        self.came.notify_one();
        rewound
    }

    /// Takes no more; what is inside is still given. With `discard` that is dropped, too.
    pub(super) fn finish(&self, discard: bool) {
        let mut inner = self.lock();
        inner.finished = true;
        if discard {
            inner.items.clear();
            inner.again.clear();
            inner.bytes = 0;
        }
        drop(inner);
        self.came.notify_one();
    }

    /// The next item in order; `None` when the box is finished and empty. For one waiting part at a time; dropping
    /// the future loses nothing.
    pub(super) async fn next(&self) -> Option<Outgoing> {
        loop {
            {
                let mut inner = self.lock();
                if let Some(next) = inner.take(self.keeps) {
                    return Some(next);
                }
                if inner.finished {
                    return None;
                }
            }
            // A notice that came between the look and here is kept, so nothing is missed.
            self.came.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audio {
    fn lasts(&self) -> Duration {
        self.upto.saturating_sub(self.from)
    }

    fn is_before(&self, reply: u32, played: Duration) -> bool {
        self.reply < reply || (self.reply == reply && self.upto <= played)
    }
}

impl Inner {
    fn take(&mut self, keeps: bool) -> Option<Outgoing> {
        if let Some(kept) = self.again.pop_front() {
            return Some(match kept {
                Kept::Text(seq, text) => self.keep_text(seq, text),
                Kept::Audio(seq, audio) => self.keep_audio(seq, audio),
            });
        }
        let item = self.items.pop_front()?;
        self.bytes -= size(&item);
        let numbered = matches!(item, Item::Audio(_) | Item::Message(_));
        self.seq = self.seq.wrapping_add(u32::from(numbered));
        let seq = self.seq;
        Some(match item {
            Item::Pong(payload) => Outgoing::Pong(payload),
            Item::Ping => {
                self.forget_old();
                Outgoing::Ping
            }
            Item::Audio(audio) if !keeps => Outgoing::Audio(seq, audio),
            Item::Audio(audio) => {
                self.newest = Some((audio.reply, audio.upto));
                self.keep_audio(seq, audio)
            }
            Item::Message(message) => self.keep_text(seq, Bytes::from(message.encode(seq))),
        })
    }

    fn keep_text(&mut self, seq: u32, text: Bytes) -> Outgoing {
        self.text_bytes += text.len();
        self.texts.push_back((seq, text.clone()));
        while self.text_bytes > KEPT_TEXT
            && let Some((seq, text)) = self.texts.pop_front()
        {
            self.text_bytes -= text.len();
            self.forgotten = self.forgotten.max(seq);
        }
        Outgoing::Text(text)
    }

    fn keep_audio(&mut self, seq: u32, audio: Audio) -> Outgoing {
        self.audio_bytes += audio.payload.len();
        self.audio_time += audio.lasts();
        self.audio.push_back((seq, Instant::now(), audio.clone()));
        while self.audio_time > KEPT_AUDIO || self.audio_bytes > KEPT_BYTES {
            if !self.forget_audio() {
                break;
            }
        }
        Outgoing::Audio(seq, audio)
    }

    fn forget_old(&mut self) {
        while self.audio.front().is_some_and(|(_, at, _)| at.elapsed() > OLDEST) && self.forget_audio() {}
    }

    fn forget_audio(&mut self) -> bool {
        let Some((seq, _, audio)) = self.audio.pop_front() else { return false };
        self.audio_bytes -= audio.payload.len();
        self.audio_time = self.audio_time.saturating_sub(audio.lasts());
        self.forgotten = self.forgotten.max(seq);
        true
    }

    fn retain_audio(&mut self, wanted: impl Fn(&Audio) -> bool) {
        self.audio.retain(|(_, _, audio)| wanted(audio));
        self.audio_bytes = self.audio.iter().map(|(_, _, audio)| audio.payload.len()).sum();
        self.audio_time = self.audio.iter().map(|(_, _, audio)| audio.lasts()).sum();
    }
}

fn size(item: &Item) -> usize {
    match item {
        Item::Audio(audio) => audio.payload.len(),
        Item::Pong(payload) => payload.len(),
        Item::Message(_) | Item::Ping => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn audio(reply: u32, bytes: usize) -> Item {
        frame(reply, 0, bytes)
    }

    /// The `n`th 20 ms of a reply.
    fn frame(reply: u32, n: u32, bytes: usize) -> Item {
        let (from, upto) = (FRAME * n, FRAME * (n + 1));
        Item::Audio(Audio { reply, payload: Bytes::from(vec![0; bytes]), from, upto })
    }

    const FRAME: Duration = Duration::from_millis(20);

    fn basic() -> Outbox {
        Outbox::new(Profile::Basic)
    }

    /// A box of `voice.v1` from which all of `items` was written.
    fn written(items: impl IntoIterator<Item = Item>) -> Outbox {
        let outbox = Outbox::new(Profile::Full);
        for item in items {
            outbox.push(item).expect("room");
            outbox.next().now_or_never().expect("it is there");
        }
        outbox
    }

    fn numbers(outbox: &Outbox) -> Vec<u32> {
        let seq = |out| match out {
            Outgoing::Audio(seq, _) => seq,
            Outgoing::Text(text) => {
                let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                u32::try_from(value["seq"].as_u64().expect("a number")).expect("small")
            }
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| outbox.next().now_or_never().flatten().map(seq)).collect()
    }

    fn message() -> Item {
        Item::Message(Box::new(Message::SpeechStarted))
    }

    #[test]
    fn items_come_out_in_order_and_then_the_end() {
        let outbox = basic();
        assert_eq!(outbox.next().now_or_never(), None, "waits while empty");
        outbox.push(audio(1, 1)).expect("room");
        outbox.push(Item::Ping).expect("room");
        outbox.finish(false);
        outbox.push(audio(2, 1)).expect("dropped silently");
        assert!(matches!(outbox.next().now_or_never(), Some(Some(Outgoing::Audio(1, _)))));
        assert_eq!(outbox.next().now_or_never(), Some(Some(Outgoing::Ping)));
        assert_eq!(outbox.next().now_or_never(), Some(None));
    }

    #[test]
    fn clearing_takes_out_one_replys_audio_and_its_bytes() {
        let outbox = basic();
        for item in [audio(1, BYTES / 2), Item::Ping, audio(2, BYTES / 2)] {
            outbox.push(item).expect("room");
        }
        assert_eq!(outbox.push(audio(3, 1)), Err(Full));
        assert_eq!(outbox.clear(1), 1);
        assert_eq!(outbox.push(audio(3, 1)), Ok(()), "the bytes are free again");
        assert_eq!(outbox.next().now_or_never(), Some(Some(Outgoing::Ping)));
        assert!(
            matches!(outbox.next().now_or_never(), Some(Some(Outgoing::Audio(_, audio))) if audio.reply == 2)
        );
    }

    #[test]
    fn neither_items_nor_bytes_grow_without_end() {
        let outbox = basic();
        for _ in 0..ITEMS {
            outbox.push(Item::Ping).expect("room");
        }
        assert_eq!(outbox.push(Item::Ping), Err(Full));
        assert_eq!(basic().push(audio(1, BYTES + 1)), Err(Full));
    }

    #[test]
    fn discarding_leaves_nothing_to_write() {
        let outbox = basic();
        outbox.push(audio(1, 1)).expect("room");
        outbox.finish(true);
        assert_eq!(outbox.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_rewound_box_gives_what_is_missing_once_in_order_and_then_goes_on() {
        let outbox = written([message(), frame(1, 0, 9), message(), frame(1, 1, 9), frame(1, 2, 9)]);
        outbox.push(message()).expect("room");
        let rewound = outbox.rewind(Some(2));
        let received = Some((1, FRAME));
        assert_eq!(rewound, Rewound { received, again: 2 * FRAME, is_short: false });
        // The second socket drops as well, after two of them.
        for _ in 0..2 {
            outbox.next().now_or_never().expect("it is there");
        }
        assert_eq!(outbox.rewind(Some(3)).again, 2 * FRAME);
        assert_eq!(numbers(&outbox), [4, 5, 6]);
        assert_eq!(outbox.last_seq(), 6);
        // The client goes back behind what it has said it has.
        assert!(outbox.rewind(Some(1)).is_short);
    }

    #[test]
    fn nothing_missing_is_nothing_again_and_the_audios_end_is_known() {
        let outbox = written([frame(1, 0, 9), frame(1, 1, 9), message()]);
        for last in [Some(3), None] {
            let rewound = outbox.rewind(last);
            assert_eq!(
                rewound,
                Rewound { received: Some((1, 2 * FRAME)), again: Duration::ZERO, is_short: false }
            );
            assert_eq!(numbers(&outbox), [] as [u32; 0]);
        }
    }

    #[test]
    fn void_and_played_audio_is_not_written_again() {
        let outbox = written([frame(1, 0, 9), frame(2, 0, 9), frame(2, 1, 9), message()]);
        outbox.note_played(2, FRAME);
        assert!(!outbox.rewind(Some(0)).is_short, "what was played is not missed");
        outbox.clear(2);
        assert_eq!(numbers(&outbox), [4]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_forgotten_is_known() {
        let long = written((0..1_000).map(|n| frame(1, n, 960)));
        assert_eq!(
            long.rewind(Some(500)),
            Rewound { received: Some((1, FRAME * 500)), again: KEPT_AUDIO, is_short: false }
        );
        let long = written((0..1_000).map(|n| frame(1, n, 960)));
        assert!(long.rewind(Some(499)).is_short);
        assert_eq!(numbers(&long).len(), 500);
        // Bytes bound audio of a richer form, and messages.
        let rich = written((0..100).map(|n| frame(1, n, 20_000)));
        rich.rewind(Some(0));
        assert_eq!(numbers(&rich).len(), KEPT_BYTES / 20_000);
        let chatty = written((0..4_000).map(|_| message()));
        assert!(chatty.rewind(Some(0)).is_short);
        assert!(numbers(&chatty).len() < 2_000);
    }

    #[test]
    fn the_basic_profile_keeps_nothing() {
        let outbox = basic();
        outbox.push(audio(1, 9)).expect("room");
        outbox.next().now_or_never().expect("it is there");
        assert_eq!(outbox.rewind(Some(0)).again, Duration::ZERO);
    }
}
