//! Ogg/Opus: pages pushed in any split (RFC 3533), Opus inside them (RFC 7845).
//!
//! A page is used only when it is whole and its checksum fits; its packets are then decoded one by one. Page numbers
//! tell of lost pages, granule positions of how much was lost and of the end-trim. The first Opus stream is read, other
//! streams beside it are passed over. A new stream's first page ends this container; the next reader takes it. What
//! comes after our last page without being such a first page is the business of [`Between`](super::between::Between).

use crate::audio::SampleRate;

use super::byte_queue::ByteQueue;
use super::format::{Coding, Container, InputFormat};
use super::opus_head::OpusHead;
use super::opus_packet;
use super::opus_track::{MAX_GAP_48K, OpusTrack};
use super::ready::Ready;
use super::{IngressError, Limits, Step};

/// Bytes of a page header before its segment table (RFC 3533, section 6).
const HEADER_BYTES: usize = 27;

pub(super) const MAGIC: &[u8] = b"OggS";

/// Streams beside ours that are remembered, so that what is left of them after our end is known. Far more than a
/// recording has; the pages of one more count as rubbish.
const MAX_STREAMS: usize = 16;

const CONTINUED: u8 = 0x01;
pub(super) const FIRST: u8 = 0x02;
const LAST: u8 = 0x04;

/// A jump of granule positions below 2.5 ms, the shortest packet, is rounding and not a loss.
const MIN_GAP_48K: u64 = 120;

/// Parses one logical Ogg/Opus stream.
#[derive(Debug)]
pub(super) struct OggReader {
    format: Option<InputFormat>,
    track: Option<OpusTrack>,
    serial: u32,
    /// The serial numbers of all streams that have begun, ours among them.
    streams: Vec<u32>,
    /// The codec of a stream that is not Opus, for the error if no Opus follows.
    other: Option<String>,
    /// The number that the next page should have.
    sequence: Option<u32>,
    page: Page,
    packets: Packets,
    /// Where the last page ended, at 48 kHz.
    at_48k: Option<u64>,
    /// Bytes passed over since the last good page.
    stray: u64,
}

/// The page being read.
#[derive(Debug, Default)]
struct Page {
    flags: u8,
    granule: Option<u64>,
    lengths: Vec<u8>,
    body: Vec<u8>,
    next_segment: usize,
    next_byte: usize,
    /// Lost before this page.
    gap_48k: u64,
    /// How much of this page is heard, if it is the last.
    keep_48k: Option<u64>,
}

/// Packets put together from segments.
#[derive(Debug, Default)]
struct Packets {
    partial: Vec<u8>,
    /// What is being put together: a packet whose start was lost, or a comment header, which nobody needs.
    dropping: bool,
}

impl OggReader {
    pub(super) fn new() -> Self {
        Self {
            format: None,
            track: None,
            serial: 0,
            streams: Vec::new(),
            other: None,
            sequence: None,
            page: Page::default(),
            packets: Packets::default(),
            at_48k: None,
            stray: 0,
        }
    }

    pub(super) fn format(&self) -> Option<InputFormat> {
        self.format
    }

    /// Whether a stream with this serial number has begun in this container.
    pub(super) fn knows(&self, serial: u32) -> bool {
        self.streams.contains(&serial)
    }

    /// Whether this page, found behind our last one, has more of our stream: some writers mark a page as the last and
    /// go on (RFC 3533, section 6, forbids it, but the audio is there). Pages that came before do not count.
    pub(super) fn goes_on(&self, page: &FoundPage<'_>) -> bool {
        let Some(expected) = self.sequence.filter(|_| page.serial() == self.serial) else { return false };
        page.flags() & FIRST == 0
            && !page.lengths.is_empty()
            && page.sequence().wrapping_sub(expected) as i32 >= 0
    }

    /// Reads on behind a last page that was none.
    pub(super) fn go_on(&mut self) {
        self.page = Page::default();
    }

    pub(super) fn step(
        &mut self,
        bytes: &mut ByteQueue,
        limits: &Limits,
        ready: &mut Ready,
    ) -> Result<Step, IngressError> {
        if self.page.next_segment < self.page.lengths.len() {
            self.segments(limits, ready)?;
            return Ok(Step::Worked);
        }
        if self.page.flags & LAST != 0 {
            return Ok(Step::Ended);
        }
        self.next_page(bytes, limits)
    }

    /// Reads the next page of our stream, if it is whole.
    fn next_page(&mut self, bytes: &mut ByteQueue, limits: &Limits) -> Result<Step, IngressError> {
        let found = match look(bytes.as_slice(), bytes.is_closed()) {
            Front::Short => return Ok(Step::NeedMore),
            Front::Stray(count) => return self.pass_over(bytes, count, limits),
            Front::Page(found) => found,
        };
        let FoundPage { header, lengths, body } = found;
        let (flags, serial, total) = (found.flags(), found.serial(), found.total());
        self.stray = 0;
        if flags & FIRST != 0 {
            let opus = body.starts_with(OpusHead::MAGIC);
            if self.streams.len() < MAX_STREAMS && !self.streams.contains(&serial) {
                self.streams.push(serial);
            }
            match (&self.track, opus) {
                // Streams that begin together: ours is the first.
                (Some(_), true) if self.sequence.is_none() && serial != self.serial => {}
                (Some(_), true) => return Ok(Step::Ended),
                (Some(_), false) => {}
                (None, true) => {
                    let head = OpusHead::parse(body, "Ogg")?;
                    self.track = Some(OpusTrack::new(&head)?);
                    self.serial = serial;
                    self.format = Some(InputFormat {
                        container: Container::Ogg,
                        coding: Coding::Opus,
                        rate: SampleRate::HZ_48000,
                        channels: head.channels,
                    });
                }
                (None, false) => self.other = Some(codec_name(body)),
            }
            bytes.take(total);
            return Ok(Step::Worked);
        }
        if self.track.is_none() {
            return Err(match self.other.take() {
                Some(codec) => IngressError::Codec { container: "Ogg", codec },
                None => IngressError::StartMissing { container: "Ogg" },
            });
        }
        if serial == self.serial {
            let sequence = found.sequence();
            let granule = u64::from(u32_at(header, 6)) | u64::from(u32_at(header, 10)) << 32;
            // All ones: no packet ends on this page. Other values with the top bit set are nonsense.
            let granule = Some(granule).filter(|&granule| granule >> 63 == 0);
            let ahead = self.sequence.map_or(0, |expected| sequence.wrapping_sub(expected) as i32);
            let repeated = ahead < 0 && granule <= self.at_48k;
            if !repeated {
                self.page.open(flags, granule, lengths, body);
                self.sequence = Some(sequence.wrapping_add(1));
                self.place_page(ahead != 0);
            }
        }
        bytes.take(total);
        Ok(Step::Worked)
    }

    /// Works out what was lost before the page and how much of it is heard.
    fn place_page(&mut self, hole: bool) {
        let Self { page, packets, at_48k, .. } = self;
        let continued = page.flags & CONTINUED != 0;
        if hole || !continued {
            // A packet that should have gone on here is lost.
            packets.partial.clear();
            packets.dropping = hole && continued;
        } else if packets.partial.is_empty() {
            packets.dropping = true;
        }
        let Some(granule) = page.granule else { return };
        if page.body.starts_with(b"OpusTags") && !continued {
            return;
        }
        let duration = page.duration_48k(packets);
        if page.flags & LAST != 0 && !hole {
            // RFC 7845, 4.4: the last granule position says where the audio ends.
            page.keep_48k = Some(granule.saturating_sub(at_48k.unwrap_or(0)));
        } else if let Some(expected) = *at_48k
            && duration > 0
        {
            // The time of pages without audio, of empty packets, is part of the gap before the next with some.
            // Before a last page the hole looks shorter by what that page trims, which nobody can know here.
            let gap = granule.saturating_sub(duration).saturating_sub(expected);
            page.gap_48k = if gap >= MIN_GAP_48K { gap.min(MAX_GAP_48K) } else { 0 };
        }
        if duration > 0 {
            *at_48k = Some(granule);
        }
    }

    /// Takes the segments of one packet, or of the part of it that is on this page.
    fn segments(&mut self, limits: &Limits, ready: &mut Ready) -> Result<(), IngressError> {
        let Self { page, packets, track, .. } = self;
        let (piece, complete) = page.next_piece();
        if packets.partial.is_empty() && piece.starts_with(b"OpusTags") {
            packets.dropping = true;
        }
        if packets.dropping {
            packets.dropping = !complete;
            return Ok(());
        }
        if packets.partial.len() + piece.len() > limits.element_bytes {
            return Err(IngressError::TooLarge {
                container: "Ogg",
                what: "one packet",
                limit: limits.element_bytes as u64,
            });
        }
        packets.partial.extend_from_slice(piece);
        if !complete {
            return Ok(());
        }
        if let Some(track) = track {
            let packet = &packets.partial[..];
            if page.gap_48k > 0 {
                track.gap(page.gap_48k, packet, ready);
                page.gap_48k = 0;
            }
            // A packet that cannot be used still takes its time, as the granule positions count it (RFC 7845, 4.1).
            let duration = u64::from(opus_packet::claimed_48k(packet));
            if !track.packet(packet, page.keep_48k, limits, ready)? {
                track.gap(page.keep_48k.map_or(duration, |keep| keep.min(duration)), &[], ready);
            }
            if let Some(keep) = &mut page.keep_48k {
                *keep = keep.saturating_sub(duration);
            }
        }
        packets.partial.clear();
        Ok(())
    }

    fn pass_over(
        &mut self,
        bytes: &mut ByteQueue,
        count: usize,
        limits: &Limits,
    ) -> Result<Step, IngressError> {
        self.stray += bytes.take(count) as u64;
        if self.stray > limits.resync_bytes {
            return Err(IngressError::Malformed { container: "Ogg", detail: "no intact page follows" });
        }
        Ok(Step::Worked)
    }
}

impl Page {
    fn open(&mut self, flags: u8, granule: Option<u64>, lengths: &[u8], body: &[u8]) {
        self.flags = flags;
        self.granule = granule;
        self.lengths.clear();
        self.lengths.extend_from_slice(lengths);
        self.body.clear();
        self.body.extend_from_slice(body);
        (self.next_segment, self.next_byte) = (0, 0);
        (self.gap_48k, self.keep_48k) = (0, None);
    }

    /// The rest of a packet on this page, and whether the packet ends here.
    fn next_piece(&mut self) -> (&[u8], bool) {
        let start = self.next_byte;
        let mut complete = false;
        while let Some(&length) = self.lengths.get(self.next_segment) {
            self.next_segment += 1;
            self.next_byte += usize::from(length);
            if length < 255 {
                complete = true;
                break;
            }
        }
        (&self.body[start..self.next_byte], complete)
    }

    /// How long the packets that end on this page play, without one whose start was lost.
    fn duration_48k(&self, packets: &Packets) -> u64 {
        let (mut duration, mut start, mut end) = (0, 0, 0);
        let mut carried = &packets.partial[..];
        let mut dropped = packets.dropping;
        for &length in &self.lengths {
            end += usize::from(length);
            if length == 255 {
                continue;
            }
            let mut first_two = carried.iter().chain(&self.body[start..end]).copied();
            if let (Some(toc), second, false) = (first_two.next(), first_two.next(), dropped) {
                duration += u64::from(opus_packet::duration_48k(toc, second).unwrap_or(0));
            }
            (start, carried, dropped) = (end, &[], false);
        }
        duration
    }
}

/// What stands at the front of bytes among pages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Front<'a> {
    /// A whole page whose checksum fits.
    Page(FoundPage<'a>),
    /// More bytes are needed to tell.
    Short,
    /// So many bytes are no part of a page.
    Stray(usize),
}

/// A whole page.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundPage<'a> {
    header: &'a [u8],
    lengths: &'a [u8],
    body: &'a [u8],
}

impl FoundPage<'_> {
    pub(super) fn flags(&self) -> u8 {
        self.header[5]
    }

    pub(super) fn serial(&self) -> u32 {
        u32_at(self.header, 14)
    }

    fn sequence(&self) -> u32 {
        u32_at(self.header, 18)
    }

    /// Bytes of the whole page, at most 65,307.
    pub(super) fn total(&self) -> usize {
        HEADER_BYTES + self.lengths.len() + self.body.len()
    }
}

/// Looks for a page at the front (RFC 3533, section 6); `closed` says that no more bytes will come.
pub(super) fn look(seen: &[u8], closed: bool) -> Front<'_> {
    if !seen.starts_with(MAGIC) {
        return match find_magic(seen) {
            0 => Front::Short,
            stray => Front::Stray(stray),
        };
    }
    // The version is 0 and five flags are not in use; anything else only looks like a page.
    if seen.get(4).is_some_and(|&version| version != 0) || seen.get(5).is_some_and(|&flags| flags > 7) {
        return Front::Stray(MAGIC.len());
    }
    let Some((header, lengths, body)) = split_page(seen) else {
        return if closed { Front::Stray(MAGIC.len()) } else { Front::Short };
    };
    let page = FoundPage { header, lengths, body };
    if checksum(&seen[..page.total()]) != u32_at(header, 22) {
        // Only the mark is given up: a whole page may begin inside what this one claims to be.
        return Front::Stray(MAGIC.len());
    }
    Front::Page(page)
}

/// A page's header, segment lengths and body, if it is whole.
fn split_page(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let (lengths, rest) = rest.split_at_checked(header[26].into())?;
    let body: usize = lengths.iter().map(|&length| usize::from(length)).sum();
    Some((header, lengths, rest.get(..body)?))
}

/// Bytes before the next page mark, or before what may become one.
fn find_magic(bytes: &[u8]) -> usize {
    (0..bytes.len()).find(|&at| bytes[at..].iter().zip(MAGIC).all(|(a, b)| a == b)).unwrap_or(bytes.len())
}

fn codec_name(first_packet: &[u8]) -> String {
    const MARKS: &[(&[u8], &str)] = &[
        (b"\x01vorbis", "Vorbis"),
        (b"\x7FFLAC", "FLAC"),
        (b"Speex   ", "Speex"),
        (b"\x80theora", "Theora"),
        (b"fishead\0", "Skeleton"),
    ];
    let known = MARKS.iter().find(|(mark, _)| first_packet.starts_with(mark));
    known.map_or("an unknown codec", |(_, name)| name).to_owned()
}

/// The page's checksum, its own field taken as zero (RFC 3533, section 6).
fn checksum(page: &[u8]) -> u32 {
    const FIELD: std::ops::Range<usize> = 22..26;
    page.iter().enumerate().fold(0, |crc, (at, &byte)| {
        let byte = if FIELD.contains(&at) { 0 } else { byte };
        (crc << 8) ^ CRC[usize::from((crc >> 24) as u8 ^ byte)]
    })
}

static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
