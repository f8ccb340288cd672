//! WebM/Opus as browsers record it (RFC 9559 on RFC 8794), pushed in any split.
//!
//! Sizes of Segment and Cluster may be unknown, and a live stream may be broken: messages get lost or come twice, a
//! recorder starts anew in mid-stream. Only small leaf elements are ever held, one at a time; the rest is skipped as it
//! flows by. Where elements stop making sense, the reader searches for the next Cluster, SimpleBlock or EBML header that
//! does. A new EBML header ends this container, unless it is a first message that came twice; the next reader takes it.

mod block;
mod clock;
mod ebml;
mod orphan;
mod repeat;
mod tracks;

use std::ops::Range;

use crate::audio::SampleRate;

use super::byte_queue::ByteQueue;
use super::format::{Coding, Container, InputFormat};
use super::opus_packet;
use super::opus_track::OpusTrack;
use super::ready::Ready;
use super::{IngressError, Limits, Step};
use block::BlockHead;
use clock::{Arrival, BlockClock};
use ebml::{EBML, Read, elements, read_id, read_size, starts_document, unsigned};
use repeat::{Again, Beginning};

pub(super) use orphan::begins_inside;

const DOC_TYPE: u32 = 0x4282;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114D_9B74;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const CUES: u32 = 0x1C53_BB6B;
const TAGS: u32 = 0x1254_C367;
const CHAPTERS: u32 = 0x1043_A770;
const ATTACHMENTS: u32 = 0x1941_A469;
const SIMPLE_BLOCK_ID_BYTES: usize = 1;
const TIMESTAMP: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const DISCARD_PADDING: u32 = 0x75A2;
const POSITION: u32 = 0xA7;
const PREV_SIZE: u32 = 0xAB;
const ENCRYPTED_BLOCK: u32 = 0xAF;
const SILENT_TRACKS: u32 = 0x5854;
const VOID: u32 = 0xEC;
const CRC_32: u32 = 0xBF;

/// A cluster's timestamp beyond this is nonsense: it would be eight years in milliseconds.
const MAX_TIMESTAMP: u64 = 1 << 38;

/// An unknown element inside a cluster is believed up to this size, because lost bytes look like one.
const BELIEVED_UNKNOWN: u64 = 4_096;

/// A block is believed up to this size where the stream is broken. Real ones have a few hundred bytes.
const BELIEVED_BLOCK: u64 = 8_192;

/// Parses one WebM stream.
#[derive(Debug)]
pub(super) struct WebmReader {
    format: Option<InputFormat>,
    number: u64,
    /// Whether there are tracks beside ours, whose blocks are passed over.
    has_others: bool,
    track: Option<OpusTrack>,
    scale_ns: u64,
    place: Place,
    /// Where the segment ends, if it says so.
    segment_end: Option<u64>,
    cluster_end: Option<u64>,
    cluster_timestamp: u64,
    /// Whether a cluster was seen, so that there is something to go on with where the stream breaks.
    clustered: bool,
    /// Left of an element that is skipped.
    skip: u64,
    /// How far the block at the front was searched for an EBML header.
    searched: usize,
    /// Bytes passed over in search of something that makes sense; `None` while all does.
    lost: Option<u64>,
    block: Block,
    clock: BlockClock,
    beginning: Beginning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// After the EBML header.
    Document,
    Segment,
    Cluster,
}

/// The block being played.
#[derive(Debug, Default)]
struct Block {
    payload: Vec<u8>,
    frames: Vec<Range<usize>>,
    next: usize,
    gap_48k: u64,
    /// How much of the block is heard, if it says that its end is padding.
    keep_48k: Option<u64>,
}

impl WebmReader {
    pub(super) fn new() -> Self {
        Self {
            format: None,
            number: 0,
            has_others: false,
            track: None,
            scale_ns: tracks::DEFAULT_SCALE,
            place: Place::Start,
            segment_end: None,
            cluster_end: None,
            cluster_timestamp: 0,
            clustered: false,
            skip: 0,
            searched: 0,
            lost: None,
            block: Block::default(),
            clock: BlockClock::default(),
            beginning: Beginning::new(),
        }
    }

    /// Whether a header waits for the bytes that tell whether it came before.
    pub(super) fn is_undecided(&self) -> bool {
        self.beginning.is_comparing()
    }

    /// Says that such a header has waited long enough.
    pub(super) fn decide(&mut self) {
        self.beginning.settle();
    }

    pub(super) fn format(&self) -> Option<InputFormat> {
        self.format
    }

    pub(super) fn step(
        &mut self,
        bytes: &mut ByteQueue,
        limits: &Limits,
        ready: &mut Ready,
    ) -> Result<Step, IngressError> {
        if self.block.next < self.block.frames.len() {
            self.play_frame(limits, ready)?;
            return Ok(Step::Worked);
        }
        if self.skip > 0 {
            let seen = bytes.as_slice();
            let skipped = usize::try_from(self.skip).map_or(seen.len(), |skip| seen.len().min(skip));
            self.beginning.note(&seen[..skipped]);
            bytes.skip(&mut self.skip);
            return Ok(if self.skip > 0 { Step::NeedMore } else { Step::Worked });
        }
        if let Some(passed) = self.lost {
            return self.resync(bytes, passed, limits);
        }
        let ended = |end: Option<u64>| end.is_some_and(|end| bytes.position() >= end);
        if self.place == Place::Cluster && ended(self.cluster_end) {
            self.place = Place::Segment;
        }
        if self.place != Place::Start && ended(self.segment_end) {
            return Ok(Step::Ended);
        }
        self.element(bytes, limits)
    }

    /// Reads the element at the front, or its header if it holds others.
    fn element(&mut self, bytes: &mut ByteQueue, limits: &Limits) -> Result<Step, IngressError> {
        let seen = bytes.as_slice();
        let (id, id_length) = match read_id(seen) {
            Read::Got(id, length) => (id, length),
            Read::Short => return Ok(Step::NeedMore),
            Read::Invalid => return self.break_off(bytes),
        };
        if id == EBML && self.place != Place::Start {
            return Ok(self.another_header(bytes));
        }
        let (size, size_length) = match read_size(&seen[id_length..]) {
            Read::Got(size, length) => (size, length),
            Read::Short => return Ok(Step::NeedMore),
            Read::Invalid => return self.break_off(bytes),
        };
        let start = id_length + size_length;
        let end = size.map(|size| bytes.position() + start as u64 + size);
        if is_top_level(id) && self.place == Place::Cluster {
            // Nothing of this level is inside a cluster, whatever size the cluster claimed.
            self.place = Place::Segment;
        }
        match (id, self.place) {
            (SEGMENT, _) => {
                self.take(bytes, start);
                (self.place, self.segment_end) = (Place::Segment, end);
                return Ok(Step::Worked);
            }
            (CLUSTER, Place::Segment) => {
                if self.track.is_none() {
                    return Err(malformed("its clusters come before its tracks"));
                }
                self.take(bytes, start);
                self.beginning.mark_element(id);
                (self.place, self.cluster_end, self.cluster_timestamp) = (Place::Cluster, end, 0);
                self.clustered = true;
                return Ok(Step::Worked);
            }
            (SIMPLE_BLOCK | BLOCK_GROUP, Place::Cluster) => {
                return self.block_element(bytes, id, start, size, limits);
            }
            _ => {}
        }
        let Some(size) = size else {
            // RFC 9559, section 4.5: only Segment and Cluster may leave their size open.
            return self.break_off(bytes);
        };
        let held = usize::try_from(size).ok().filter(|&size| size <= limits.element_bytes);
        match (id, self.place, held) {
            (EBML, _, None) | (INFO | TRACKS, Place::Segment, None) => Err(IngressError::TooLarge {
                container: "WebM",
                what: "its header",
                limit: limits.element_bytes as u64,
            }),
            (EBML, ..) | (INFO | TRACKS, Place::Segment, _) | (TIMESTAMP, Place::Cluster, Some(..=8)) => {
                let Some(body) = seen.get(start..start + held.unwrap_or(0)) else {
                    return Ok(Step::NeedMore);
                };
                if !self.leaf(id, body, limits)? {
                    return self.break_off(bytes);
                }
                self.take(bytes, start + held.unwrap_or(0));
                self.beginning.mark_element(id);
                Ok(Step::Worked)
            }
            (TIMESTAMP, Place::Cluster, _) => self.break_off(bytes),
            (POSITION | PREV_SIZE | CRC_32, Place::Cluster, _) if size > 8 => self.break_off(bytes),
            (POSITION | PREV_SIZE | CRC_32, Place::Cluster, _) => self.skip_element(bytes, start, size),
            // Where audio has begun, anything unusual may be what lost bytes look like.
            _ if self.clustered && !is_top_level(id) => self.unusual(bytes, start, size),
            _ => self.skip_element(bytes, start, size),
        }
    }

    fn skip_element(&mut self, bytes: &mut ByteQueue, start: usize, size: u64) -> Result<Step, IngressError> {
        self.take(bytes, start);
        self.skip = size;
        Ok(Step::Worked)
    }

    /// Takes bytes that make sense.
    fn take(&mut self, bytes: &mut ByteQueue, count: usize) {
        self.beginning.note(&bytes.as_slice()[..count]);
        bytes.take(count);
    }

    /// Passes over a header and what follows it as far as it came before; any other ends this container.
    fn another_header(&mut self, bytes: &mut ByteQueue) -> Step {
        match self.beginning.judge(bytes.as_slice(), bytes.is_closed()) {
            Again::New => Step::Ended,
            Again::Short => Step::NeedMore,
            Again::Repeated(count) => {
                bytes.take(count);
                for end in [&mut self.segment_end, &mut self.cluster_end].into_iter().flatten() {
                    *end += count as u64;
                }
                Step::Worked
            }
        }
    }

    /// Reads a whole small element. `false`: its content is nonsense.
    fn leaf(&mut self, id: u32, body: &[u8], limits: &Limits) -> Result<bool, IngressError> {
        match id {
            EBML => {
                let doc_type =
                    elements(body).find(|&(id, _)| id == DOC_TYPE).map_or(&b""[..], |(_, body)| body);
                if !doc_type.starts_with(b"webm") && !doc_type.starts_with(b"matroska") {
                    return Err(IngressError::Foreign("EBML, but not WebM"));
                }
                self.place = Place::Document;
            }
            INFO => self.scale_ns = tracks::parse_scale(body).unwrap_or(tracks::DEFAULT_SCALE),
            TRACKS if self.track.is_none() => {
                let track = tracks::parse_tracks(body, limits)?;
                (self.number, self.has_others) = (track.number, track.has_others);
                self.track = Some(OpusTrack::new(&track.head)?);
                self.format = Some(InputFormat {
                    container: Container::WebM,
                    coding: Coding::Opus,
                    rate: SampleRate::HZ_48000,
                    channels: track.head.channels,
                });
            }
            TIMESTAMP => match unsigned(body).filter(|&timestamp| timestamp <= MAX_TIMESTAMP) {
                Some(timestamp) => self.cluster_timestamp = timestamp,
                None => return Ok(false),
            },
            _ => {}
        }
        Ok(true)
    }

    /// Reads a SimpleBlock or BlockGroup once it is whole.
    fn block_element(
        &mut self,
        bytes: &mut ByteQueue,
        id: u32,
        start: usize,
        size: Option<u64>,
        limits: &Limits,
    ) -> Result<Step, IngressError> {
        let Some(whole) = size else { return self.break_off(bytes) };
        let held = usize::try_from(whole).ok().filter(|&size| size <= limits.element_bytes);
        let seen = &bytes.as_slice()[start..];
        // Lost bytes make blocks of any size, so its first bytes must make sense before a block is waited for.
        if id == SIMPLE_BLOCK {
            let head_bytes = held.unwrap_or(usize::MAX).min(BlockHead::MAX_BYTES);
            let Some(head) = seen.get(..head_bytes) else { return Ok(Step::NeedMore) };
            match BlockHead::parse(head) {
                // What another track sends may be large and is never held.
                Some(head)
                    if head.track != self.number
                        && self.has_others
                        // A block cut off after its ID, where a recorder starts anew, seems to have a size of 172 MB.
                        && starts_document(&bytes.as_slice()[SIMPLE_BLOCK_ID_BYTES..]) == Read::Invalid =>
                {
                    return self.skip_element(bytes, start, whole);
                }
                Some(head) if head.track == self.number && (head.is_laced() || whole <= BELIEVED_BLOCK) => {}
                _ => return self.break_off(bytes),
            }
        } else {
            match read_id(seen) {
                Read::Got(child, _) if is_group_child(child) => {}
                Read::Short => return Ok(Step::NeedMore),
                _ => return self.break_off(bytes),
            }
        }
        let Some(size) = held else { return self.break_off(bytes) };
        let body = &seen[..size.min(seen.len())];
        // After lost bytes a block may claim what is not its own: the header of a recorder that starts anew, or the next
        // cluster. A block that ends like one of those waits for the bytes that tell.
        while self.searched < body.len() {
            match starts_landmark(&seen[self.searched..]) {
                Read::Got(..) => {
                    bytes.take(start + self.searched);
                    self.searched = 0;
                    self.beginning.break_off();
                    return Ok(Step::Worked);
                }
                Read::Short if !bytes.is_closed() => return Ok(Step::NeedMore),
                _ => self.searched += 1,
            }
        }
        if body.len() < size {
            return Ok(Step::NeedMore);
        }
        self.searched = 0;
        let (payload, discarded_ns) = match id {
            SIMPLE_BLOCK => (body, 0),
            _ => open_group(body),
        };
        let Some(head) = BlockHead::parse(payload) else { return self.break_off(bytes) };
        let mut played = None;
        if head.track == self.number {
            if head.frames(payload, &mut self.block.frames).is_none() {
                self.block.frames.clear();
                return self.break_off(bytes);
            }
            let stamp = self.stamp_48k(head.timestamp);
            let duration: u32 = self
                .block
                .frames
                .iter()
                .filter_map(|frame| opus_packet::parse(&payload[frame.clone()]))
                .map(|shape| shape.duration_48k)
                .sum();
            self.block.next = self.block.frames.len();
            played = Some(u64::from(duration));
            if duration == 0 {
                // An empty frame is no damage: the next timestamp tells how long it was.
                let damaged = self.block.frames.iter().any(|frame| !frame.is_empty());
                if let Some(track) = self.track.as_mut().filter(|_| damaged) {
                    track.refuse(limits)?;
                }
            } else if let Arrival::Play { gap_48k } =
                self.clock.arrive(stamp, duration.into(), clock::mark(payload))
            {
                self.block.next = 0;
                self.block.gap_48k = gap_48k;
                self.block.keep_48k = (discarded_ns > 0)
                    .then(|| u64::from(duration).saturating_sub(discarded_ns.saturating_mul(48) / 1_000_000));
                self.block.payload.clear();
                self.block.payload.extend_from_slice(payload);
            }
        }
        self.take(bytes, start + size);
        if let Some(duration) = played {
            self.beginning.mark_block(duration);
        }
        Ok(Step::Worked)
    }

    /// Plays the next frame of the current block.
    fn play_frame(&mut self, limits: &Limits, ready: &mut Ready) -> Result<(), IngressError> {
        let Self { block, track, .. } = self;
        let packet = &block.payload[block.frames[block.next].clone()];
        block.next += 1;
        let Some(track) = track else { return Ok(()) };
        if block.gap_48k > 0 {
            track.gap(block.gap_48k, packet, ready);
            block.gap_48k = 0;
        }
        track.packet(packet, block.keep_48k, limits, ready)?;
        if let Some(keep) = &mut block.keep_48k {
            let duration = opus_packet::parse(packet).map_or(0, |shape| shape.duration_48k);
            *keep = keep.saturating_sub(duration.into());
        }
        Ok(())
    }

    /// Skips an element that has no business between blocks if something known follows it; otherwise bytes were lost.
    fn unusual(&mut self, bytes: &mut ByteQueue, start: usize, size: u64) -> Result<Step, IngressError> {
        let end = start as u64 + size;
        let parent_end = if self.place == Place::Cluster { self.cluster_end } else { self.segment_end };
        if size > BELIEVED_UNKNOWN {
            if parent_end.is_none_or(|parent_end| bytes.position() + end > parent_end) {
                return self.break_off(bytes);
            }
        } else if parent_end.is_none_or(|parent_end| bytes.position() + end != parent_end) {
            match bytes.as_slice().get(end as usize..).map(read_id) {
                Some(Read::Got(id, _)) if is_cluster_child(id) || is_top_level(id) => {}
                None | Some(Read::Short) if !bytes.is_closed() => return Ok(Step::NeedMore),
                _ => return self.break_off(bytes),
            }
        }
        self.skip_element(bytes, start, size)
    }

    /// Gives up the byte at the front, where no element starts, and searches from there.
    fn break_off(&mut self, bytes: &mut ByteQueue) -> Result<Step, IngressError> {
        if !self.clustered {
            return Err(malformed("its header does not make sense"));
        }
        bytes.take(1);
        self.beginning.break_off();
        self.searched = 0;
        self.lost = Some(1);
        Ok(Step::Worked)
    }

    /// Searches for something that makes sense.
    fn resync(&mut self, bytes: &mut ByteQueue, passed: u64, limits: &Limits) -> Result<Step, IngressError> {
        let seen = bytes.as_slice();
        let mut at = 0;
        let found = loop {
            if at == seen.len() {
                break None;
            }
            match self.judge(&seen[at..], bytes.is_closed()) {
                Read::Got(id, _) => break Some(id),
                Read::Short if !bytes.is_closed() => break None,
                _ => at += 1,
            }
        };
        bytes.take(at);
        let passed = passed + at as u64;
        if passed > limits.resync_bytes {
            return Err(malformed("it broke off and nothing usable follows"));
        }
        let Some(id) = found else {
            self.lost = Some(passed);
            return Ok(Step::NeedMore);
        };
        self.lost = None;
        self.place = if id == CLUSTER { Place::Segment } else { Place::Cluster };
        if id == SIMPLE_BLOCK {
            self.cluster_end = None;
        }
        Ok(Step::Worked)
    }

    /// Whether a header, a cluster or a block of ours starts here, judged by more than its ID.
    fn judge(&self, bytes: &[u8], closed: bool) -> Read<u32> {
        match starts_landmark(bytes) {
            Read::Invalid => {}
            landmark => return landmark,
        }
        let Read::Got(SIMPLE_BLOCK, id_length) = read_id(bytes) else { return Read::Invalid };
        let (size, size_length) = match read_size(&bytes[id_length..]) {
            Read::Got(size, length) => (size, length),
            Read::Short => return Read::Short,
            Read::Invalid => return Read::Invalid,
        };
        let body = &bytes[id_length + size_length..];
        let Some(size) = size.filter(|&size| size <= BELIEVED_BLOCK) else { return Read::Invalid };
        let size = size as usize;
        if body.len() < size.min(BlockHead::MAX_BYTES) {
            return Read::Short;
        }
        let believed = BlockHead::parse(&body[..size.min(body.len())]).is_some_and(|head| {
            head.track == self.number && self.clock.believes(self.stamp_48k(head.timestamp))
        });
        if !believed {
            return Read::Invalid;
        }
        match body.get(size..).map(read_id) {
            Some(Read::Got(next, _)) if is_cluster_child(next) || is_top_level(next) => {
                Read::Got(SIMPLE_BLOCK, id_length)
            }
            // The last block of all has nothing after it.
            Some(Read::Short) if closed && body.len() == size => Read::Got(SIMPLE_BLOCK, id_length),
            None | Some(Read::Short) => Read::Short,
            _ => Read::Invalid,
        }
    }

    /// A block's timestamp as samples at 48 kHz.
    fn stamp_48k(&self, relative: i16) -> i64 {
        let stamp = i128::from(self.cluster_timestamp) + i128::from(relative);
        let at = stamp * i128::from(self.scale_ns) * 48 / 1_000_000;
        // Far from overflowing in everything that is done with it.
        at.clamp(i128::from(i64::MIN / 4), i128::from(i64::MAX / 4)) as i64
    }
}

/// Whether an EBML header or a cluster starts here, judged by more than its ID, which may turn up in audio.
fn starts_landmark(bytes: &[u8]) -> Read<u32> {
    match starts_document(bytes) {
        Read::Got((), length) => return Read::Got(EBML, length),
        Read::Short => return Read::Short,
        Read::Invalid => {}
    }
    let id = CLUSTER.to_be_bytes();
    if !bytes.iter().zip(id).all(|(&a, b)| a == b) {
        return Read::Invalid;
    }
    let Some(rest) = bytes.get(id.len()..) else { return Read::Short };
    match read_size(rest) {
        Read::Got(_, length) => match read_id(&rest[length..]) {
            Read::Got(child, _) if is_cluster_child(child) => Read::Got(CLUSTER, id.len()),
            Read::Short => Read::Short,
            _ => Read::Invalid,
        },
        Read::Short => Read::Short,
        Read::Invalid => Read::Invalid,
    }
}

/// The block in a BlockGroup and how many nanoseconds of its end are padding.
fn open_group(group: &[u8]) -> (&[u8], u64) {
    let (mut payload, mut discarded) = (&b""[..], 0);
    for (id, body) in elements(group) {
        match id {
            BLOCK => payload = body,
            // A signed number; negative padding is at the start, which no Opus encoder writes.
            DISCARD_PADDING if body.first().is_some_and(|first| first >> 7 == 0) => {
                discarded = unsigned(body).unwrap_or(0);
            }
            _ => {}
        }
    }
    (payload, discarded)
}

/// Whether this element is a child of the Segment, or even above it.
fn is_top_level(id: u32) -> bool {
    matches!(id, EBML | SEGMENT | SEEK_HEAD | INFO | TRACKS | CLUSTER | CUES | TAGS | CHAPTERS | ATTACHMENTS)
}

fn is_cluster_child(id: u32) -> bool {
    matches!(
        id,
        TIMESTAMP
            | SIMPLE_BLOCK
            | BLOCK_GROUP
            | POSITION
            | PREV_SIZE
            | ENCRYPTED_BLOCK
            | SILENT_TRACKS
            | VOID
            | CRC_32
    )
}

/// Whether a BlockGroup may begin with this: its block, durations, references, additions, padding.
fn is_group_child(id: u32) -> bool {
    matches!(id, BLOCK | DISCARD_PADDING | VOID | CRC_32 | 0x9B | 0xFB | 0xFA | 0xA4 | 0x75A1)
}

fn malformed(detail: &'static str) -> IngressError {
    IngressError::Malformed { container: "WebM", detail }
}
