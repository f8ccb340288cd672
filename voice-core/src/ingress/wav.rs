//! WAV: RIFF/WAVE and RF64, streamed, with a data length that may be missing or a lie.
//!
//! Recorders that do not know their length write 0, 0xFFFFFFFF or something huge; then the data lasts until the bytes
//! end or another WAV's header follows. Others write what they knew when they began. The stated end is told when it is
//! reached; what then follows directly and is neither a chunk nor a header is more of the data, heard as a recording of
//! unknown length. [`Between`](super::between::Between) finds that out. Chunks are skipped without being held.

use crate::audio::{Channels, SampleRate};
use crate::codec::SampleCoding;

use super::byte_queue::ByteQueue;
use super::format::{Coding, Container, InputFormat};
use super::raw::RawTrack;
use super::ready::Ready;
use super::sniff::{Verdict, sniff};
use super::{IngressError, Limits, Step};

/// Bytes of a RIFF header: "RIFF", its size, "WAVE".
pub(super) const HEADER_BYTES: usize = 12;

/// The part of a `fmt ` chunk that is looked at: all of WAVEFORMATEXTENSIBLE.
const FORMAT_BYTES: usize = 40;

const FORMAT_PCM: u16 = 0x0001;
const FORMAT_FLOAT: u16 = 0x0003;
const FORMAT_ALAW: u16 = 0x0006;
const FORMAT_ULAW: u16 = 0x0007;
const FORMAT_EXTENSIBLE: u16 = 0xFFFE;

/// Length that stands for "see ds64" in RF64 and for "not known" in streams.
const NO_LENGTH: u32 = u32::MAX;

/// Bytes that tell what follows data: the header of a chunk, and a byte of padding before it.
pub(super) const TELLING_BYTES: usize = 1 + CHUNK_HEADER_BYTES;

/// Name and size of a chunk.
const CHUNK_HEADER_BYTES: usize = 8;

/// Chunks that follow the data of real files and may be large: notes, tags with pictures, production notes.
const TRAILING_CHUNKS: &[&[u8; 4]] =
    &[b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"aXML", b"_PMX", b"cue ", b"smpl", b"JUNK", b"FLLR"];

/// Whether these 12 bytes start a WAV.
pub(super) fn is_header(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES
        && (bytes.starts_with(b"RIFF") || bytes.starts_with(b"RF64"))
        && &bytes[8..12] == b"WAVE"
}

/// Parses one WAV.
#[derive(Debug)]
pub(super) struct WavReader {
    state: State,
    format: Option<InputFormat>,
    track: Option<RawTrack>,
    /// The length of the data from a `ds64` chunk.
    long_length: Option<u64>,
    /// The length that the data was said to have, once that much has been read.
    stated: Option<u64>,
}

/// How data that goes on behind its stated end is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    format: InputFormat,
    coding: SampleCoding,
    /// The stated length.
    stated: u64,
}

impl Tail {
    /// Whether a byte of padding follows the data.
    pub(super) fn is_padded(&self) -> bool {
        self.stated % 2 == 1
    }
}

/// What follows the data of a WAV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// More bytes are needed to tell.
    Short,
    /// Padding, and then a container's header.
    PaddedHeader,
    /// So many bytes of padding and a chunk.
    Chunk(u64),
    Neither,
}

#[derive(Debug)]
enum State {
    Header,
    Chunk,
    Skip(u64),
    /// Left of a sample that the stated end has cut.
    Align(u64),
    Data {
        /// The stated length, if it is one.
        stated: u64,
        /// Bytes of data still to come; `None` where nobody knows.
        left: Option<u64>,
    },
}

impl WavReader {
    pub(super) fn new() -> Self {
        Self { state: State::Header, format: None, track: None, long_length: None, stated: None }
    }

    /// A reader of the data behind a stated end.
    pub(super) fn going_on(tail: &Tail) -> Self {
        let InputFormat { rate, channels, .. } = tail.format;
        let track = RawTrack::new(tail.coding, rate, channels);
        let block = track.block() as u64;
        let state = State::Align(tail.stated.next_multiple_of(block) - tail.stated);
        Self { state, format: Some(tail.format), track: Some(track), ..Self::new() }
    }

    /// Says how the data could go on, where it has ended because its stated length was over.
    pub(super) fn tail(&self) -> Option<Tail> {
        let (format, stated) = (self.format?, self.stated?);
        let Coding::Samples(coding) = format.coding else { return None };
        Some(Tail { format, coding, stated })
    }

    pub(super) fn format(&self) -> Option<InputFormat> {
        self.format
    }

    pub(super) fn flush(&mut self, ready: &mut Ready) {
        if let Some(track) = &mut self.track {
            track.flush(ready);
        }
    }

    pub(super) fn step(
        &mut self,
        bytes: &mut ByteQueue,
        limits: &Limits,
        ready: &mut Ready,
    ) -> Result<Step, IngressError> {
        match &mut self.state {
            State::Header => {
                if bytes.len() < HEADER_BYTES {
                    return Ok(Step::NeedMore);
                }
                bytes.take(HEADER_BYTES);
                self.state = State::Chunk;
                Ok(Step::Worked)
            }
            State::Skip(left) => {
                bytes.skip(left);
                if *left > 0 {
                    return Ok(Step::NeedMore);
                }
                self.state = State::Chunk;
                Ok(Step::Worked)
            }
            State::Align(left) => {
                bytes.skip(left);
                if *left > 0 {
                    return Ok(Step::NeedMore);
                }
                self.state = State::Data { stated: 0, left: None };
                Ok(Step::Worked)
            }
            State::Chunk => self.chunk(bytes, limits),
            State::Data { stated, left } => {
                let Some(track) = &mut self.track else { return Err(malformed("data without a format")) };
                let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
                if most < track.block() {
                    // An incomplete last block is no sample; it is taken so that what follows is found.
                    let rest = most.min(bytes.len());
                    bytes.take(rest);
                    if rest < most {
                        *left = Some((most - rest) as u64);
                        return Ok(Step::NeedMore);
                    }
                    self.stated = Some(*stated);
                    return Ok(Step::Ended);
                }
                // A recorder that was started anew sends another header into data of unknown or overstated length.
                // Only what may be decoded now is searched, and a header's length beyond it.
                let seen = bytes.as_slice();
                let window = &seen[..seen.len().min(track.frame_bytes() + HEADER_BYTES)];
                let clear = match next_header(window, bytes.is_closed() || window.len() < seen.len()) {
                    Some(0) if is_header(window) => return Ok(Step::Ended),
                    Some(at) => at,
                    None => window.len(),
                };
                let took = track.take(bytes, most.min(clear), ready);
                if let Some(left) = left {
                    *left -= took as u64;
                }
                if took > 0 {
                    return Ok(Step::Worked);
                }
                if clear < bytes.len() && is_header(&bytes.as_slice()[clear..]) {
                    bytes.take(clear);
                    return Ok(Step::Ended);
                }
                Ok(Step::NeedMore)
            }
        }
    }

    fn chunk(&mut self, bytes: &mut ByteQueue, limits: &Limits) -> Result<Step, IngressError> {
        let seen = bytes.as_slice();
        let Some((head, body)) = seen.split_at_checked(8) else { return Ok(Step::NeedMore) };
        let (id, size) = ([head[0], head[1], head[2], head[3]], u32_at(head, 4));
        // Chunks start on even bytes; the padding is not in their size.
        let padded = u64::from(size) + u64::from(size & 1);
        match &id {
            b"fmt " => {
                if size as usize > limits.element_bytes {
                    return Err(too_large("the format chunk", limits.element_bytes));
                }
                let looked_at = FORMAT_BYTES.min(size as usize);
                if body.len() < looked_at {
                    return Ok(Step::NeedMore);
                }
                let format = parse_format(&body[..looked_at])?;
                if let Coding::Samples(coding) = format.coding {
                    self.track = Some(RawTrack::new(coding, format.rate, format.channels));
                }
                self.format = Some(format);
            }
            b"ds64" => {
                if body.len() < 16 {
                    return Ok(Step::NeedMore);
                }
                // riffSize, then dataSize, each 64 bits.
                self.long_length = Some(u64::from(u32_at(body, 8)) | u64::from(u32_at(body, 12)) << 32);
            }
            b"data" => {
                if self.track.is_none() {
                    return Err(malformed("its data comes before its format"));
                }
                bytes.take(8);
                let left = match size {
                    0 => None,
                    NO_LENGTH => self.long_length.filter(|&length| length > 0),
                    size => Some(size.into()),
                };
                self.state = State::Data { stated: left.unwrap_or(0), left };
                return Ok(Step::Worked);
            }
            _ if is_chunk_name(&id) => {}
            _ => return Err(malformed("a chunk has no readable name")),
        }
        bytes.take(8);
        self.state = State::Skip(padded);
        Ok(Step::Worked)
    }
}

/// Judges what follows the data of a WAV, or a chunk behind it. `padded`: a byte of padding should come first.
///
/// A chunk has a readable name, and unless the name is a known one, a size within [`Limits::resync_bytes`]. Loud audio
/// may have four readable bytes, but hardly two near-silent samples right after them.
pub(super) fn judge(seen: &[u8], padded: bool, closed: bool, limits: &Limits) -> Follows {
    for padding in 0..=usize::from(padded && seen.first() == Some(&0)) {
        let rest = &seen[padding..];
        match sniff(rest) {
            Verdict::Accepted(_) if padding > 0 => return Follows::PaddedHeader,
            Verdict::Undecided if !closed => return Follows::Short,
            _ => {}
        }
        let Some((head, _)) = rest.split_at_checked(CHUNK_HEADER_BYTES) else { continue };
        let size = u32_at(head, 4);
        let known = TRAILING_CHUNKS.iter().any(|name| head.starts_with(*name));
        if known || is_chunk_name(&head[..4]) && u64::from(size) <= limits.resync_bytes {
            return Follows::Chunk(padding as u64 + 8 + u64::from(size) + u64::from(size & 1));
        }
    }
    if seen.len() < TELLING_BYTES && !closed { Follows::Short } else { Follows::Neither }
}

fn is_chunk_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (0x20..0x7F).contains(byte))
}

/// Where in the data a new WAV header starts, or may start because the bytes end there.
fn next_header(bytes: &[u8], closed: bool) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&b| b == b'R') {
        let rest = &bytes[from + at..];
        let could_be = |pattern: &[u8]| rest.iter().zip(pattern).all(|(a, b)| a == b);
        if could_be(b"RIFF") || could_be(b"RF64") {
            let undecided = !closed
                && rest.len() < HEADER_BYTES
                && rest.get(8..).is_none_or(|kind| kind.iter().zip(b"WAVE").all(|(a, b)| a == b));
            if is_header(rest) || undecided {
                return Some(from + at);
            }
        }
        from += at + 1;
    }
    None
}

fn parse_format(chunk: &[u8]) -> Result<InputFormat, IngressError> {
    if chunk.len() < 14 {
        return Err(malformed("its format chunk is too short"));
    }
    let channels = u16_at(chunk, 2);
    let block = usize::from(u16_at(chunk, 12));
    // Plain G.711 headers may leave the bits out.
    let bits = if chunk.len() >= 16 { u16_at(chunk, 14) } else { 8 };
    let mut tag = u16_at(chunk, 0);
    if tag == FORMAT_EXTENSIBLE && chunk.len() >= 26 {
        // The first two bytes of the sub-format's GUID are the tag it stands for.
        tag = u16_at(chunk, 24);
    }
    let coding = match (tag, bits.div_ceil(8)) {
        (FORMAT_PCM, 1) => SampleCoding::U8,
        (FORMAT_PCM, 2) => SampleCoding::S16,
        (FORMAT_PCM, 3) => SampleCoding::S24,
        (FORMAT_PCM, 4) => SampleCoding::S32,
        (FORMAT_FLOAT, 4) => SampleCoding::F32,
        (FORMAT_FLOAT, 8) => SampleCoding::F64,
        (FORMAT_ULAW, _) => SampleCoding::Ulaw,
        (FORMAT_ALAW, _) => SampleCoding::Alaw,
        (tag, _) => return Err(IngressError::Codec { container: "WAV", codec: codec_name(tag, bits) }),
    };
    let format_error = |source| IngressError::Format { container: "WAV", source };
    let rate = SampleRate::new(u32_at(chunk, 4)).map_err(format_error)?;
    let channels = Channels::new(channels).map_err(format_error)?;
    if block != 0 && block != coding.width() * channels.count() {
        return Err(malformed("its block size does not fit its sample size"));
    }
    Ok(InputFormat { container: Container::Wav, coding: Coding::Samples(coding), rate, channels })
}

fn codec_name(tag: u16, bits: u16) -> String {
    match tag {
        FORMAT_PCM => format!("PCM {bits}-bit"),
        FORMAT_FLOAT => format!("float {bits}-bit"),
        0x0002 => "MS ADPCM".to_owned(),
        0x0011 => "IMA ADPCM".to_owned(),
        0x0031 => "GSM".to_owned(),
        0x0050 => "MPEG".to_owned(),
        0x0055 => "MP3".to_owned(),
        tag => format!("codec {tag:#06x}"),
    }
}

fn malformed(detail: &'static str) -> IngressError {
    IngressError::Malformed { container: "WAV", detail }
}

fn too_large(what: &'static str, limit: usize) -> IngressError {
    IngressError::TooLarge { container: "WAV", what, limit: limit as u64 }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
