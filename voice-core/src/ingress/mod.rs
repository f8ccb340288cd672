//! A caller's bytes to 20 ms frames of 16 kHz mono, pushed in any split.
//!
//! [`Ingress`] queues what is pushed and decodes it only as frames are pulled, so a recording of minutes in one message
//! waits as bytes. Readers look at the queue and take from it when a piece is whole; no result depends on how the bytes
//! were split into messages (only declared Opus packets use the messages as their framing).
//!
//! The map: `sniff` recognises, `wav` `ogg` `webm` read containers and `raw` plain samples, `opus_packet` knows a
//! packet's duration, `opus_track` turns packets into a gapless timeline, `ready` cuts it into frames, `between` finds
//! the next container. Everything is bounded by [`Limits`], nothing here reads a clock, and no input can panic.
//!
//! The samples of one `Ingress` are one timeline. A container that ends and another header that follows, or comes in
//! mid-stream because a recorder was started anew, go on where the last frame ended.

mod between;
mod byte_queue;
mod error;
mod exercise;
mod format;
mod limits;
mod ogg;
mod opus_head;
mod opus_packet;
mod opus_track;
mod packets;
mod raw;
mod ready;
mod sniff;
mod wav;
mod webm;

pub use error::IngressError;
#[doc(hidden)]
pub use exercise::exercise;
pub use format::{Coding, Container, Declared, InputFormat};
pub use limits::Limits;

use crate::audio::{Frame, SampleRate};
use crate::codec::SampleCoding;

use between::{Between, Found};
use byte_queue::ByteQueue;
use ogg::OggReader;
use packets::PacketReader;
use raw::RawTrack;
use ready::Ready;
use sniff::{Kind, Verdict};
use wav::WavReader;
use webm::WebmReader;

/// What [`Ingress::poll_frame`] put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// A frame of what the caller sent.
    Audio,
    /// A frame that mostly stands for something lost: guessed by the decoder, or silence.
    Concealed,
    /// A container has ended and all its audio is out; the frame buffer was not touched. Comes once for each
    /// container, and once for declared audio after [`Ingress::finish`].
    Ended,
}

/// What one step of a reader did.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Something was taken or put out; call again.
    Worked,
    /// Nothing can be done without more bytes.
    NeedMore,
    /// The container is over; what follows at the front of the queue is not part of it.
    Ended,
}

/// One caller's audio: bytes in, frames out.
///
/// ```
/// use voice_core::audio::{Channels, FRAME_SAMPLES, SampleRate};
/// use voice_core::ingress::{Declared, Ingress, Limits, Pulled};
///
/// let declared = Declared::Pcm16 { rate: SampleRate::HZ_16000, channels: Channels::Mono };
/// let mut ingress = Ingress::declared(declared, Limits::default())?;
/// ingress.push(&[0; 1_000])?;
/// let mut frame = [0; FRAME_SAMPLES];
/// assert_eq!(ingress.poll_frame(&mut frame)?, Some(Pulled::Audio));
/// assert_eq!(ingress.poll_frame(&mut frame)?, None);
/// ingress.finish()?;
/// assert_eq!(ingress.poll_frame(&mut frame)?, Some(Pulled::Audio));
/// assert_eq!(ingress.poll_frame(&mut frame)?, Some(Pulled::Ended));
/// # Ok::<(), voice_core::ingress::IngressError>(())
/// ```
#[derive(Debug)]
pub struct Ingress {
    limits: Limits,
    bytes: ByteQueue,
    ready: Ready,
    source: Source,
    format: Option<InputFormat>,
    /// A container is over, but its last samples or the news of it are not out yet.
    ending: bool,
    /// Messages came, empty or not.
    messaged: bool,
    fault: Option<IngressError>,
}

#[derive(Debug)]
enum Source {
    Sniffing,
    /// Nothing more will come.
    Done,
    Between(Between),
    Raw(Box<RawTrack>),
    Packets(Box<PacketReader>),
    Wav(Box<WavReader>),
    WebM(Box<WebmReader>),
    Ogg(Box<OggReader>),
}

impl Ingress {
    /// An ingress that recognises WAV, WebM/Opus and Ogg/Opus from their bytes.
    pub fn sniffing(limits: Limits) -> Self {
        Self::new(Source::Sniffing, None, limits)
    }

    /// An ingress for audio whose format the caller has declared. Fails only if libopus cannot be set up.
    pub fn declared(declared: Declared, limits: Limits) -> Result<Self, IngressError> {
        let (coding, rate, channels) = match declared {
            Declared::Pcm16 { rate, channels } => (SampleCoding::S16, rate, channels),
            Declared::Ulaw { rate, channels } => (SampleCoding::Ulaw, rate, channels),
            Declared::Alaw { rate, channels } => (SampleCoding::Alaw, rate, channels),
            Declared::OpusPackets { channels } => {
                let reader = Box::new(PacketReader::new(channels)?);
                let (container, coding, rate) = (Container::Raw, Coding::Opus, SampleRate::HZ_48000);
                let format = InputFormat { container, coding, rate, channels };
                return Ok(Self::new(Source::Packets(reader), Some(format), limits));
            }
        };
        let format =
            InputFormat { container: Container::Raw, coding: Coding::Samples(coding), rate, channels };
        Ok(Self::new(Source::Raw(Box::new(RawTrack::new(coding, rate, channels))), Some(format), limits))
    }

    fn new(source: Source, format: Option<InputFormat>, limits: Limits) -> Self {
        Self {
            limits,
            bytes: ByteQueue::default(),
            ready: Ready::default(),
            source,
            format,
            ending: false,
            messaged: false,
            fault: None,
        }
    }

    /// Queues one message of the caller. Nothing is decoded here. An empty message changes nothing, since recorders
    /// send such; only where a message is one Opus packet it stands for a lost one.
    ///
    /// Fails when more waits than [`Limits`] allow, after [`finish`](Self::finish), and after an earlier error.
    pub fn push(&mut self, message: &[u8]) -> Result<(), IngressError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.bytes.is_closed() {
            return Err(IngressError::AfterEnd);
        }
        self.messaged = true;
        if message.len() > self.limits.queued_bytes.saturating_sub(self.bytes.len()) {
            return Err(IngressError::TooMuchQueued { limit: self.limits.queued_bytes });
        }
        if let Source::Packets(reader) = &mut self.source {
            reader.note(message.len(), &self.limits)?;
        }
        self.bytes.push(message);
        Ok(())
    }

    /// Puts the next 20 ms into `out`, or says that a container has ended. `None` means that more bytes are needed,
    /// or after [`finish`](Self::finish) that all is out. Allocates nothing per frame once a stream is running.
    ///
    /// An error is final: every later call gives it again.
    pub fn poll_frame(&mut self, out: &mut Frame) -> Result<Option<Pulled>, IngressError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        loop {
            if let Some(pulled) = self.ready.pull(out) {
                return Ok(Some(pulled));
            }
            if self.ending {
                if let Some(pulled) = self.ready.pull_padded(out) {
                    return Ok(Some(pulled));
                }
                self.ending = false;
                return Ok(Some(Pulled::Ended));
            }
            match self.step() {
                Ok(Step::Worked) => {}
                Ok(Step::Ended) => self.end_source(),
                Ok(Step::NeedMore) if self.bytes.is_closed() && self.source.is_open() => {
                    self.end_source();
                    // What is still queued is a piece that will never be whole.
                    self.source = Source::Done;
                    self.bytes.take(usize::MAX);
                }
                Ok(Step::NeedMore) => return Ok(None),
                Err(error) => {
                    self.fault = Some(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Says that no more bytes will come: the next polls give what is left, the last frame padded with silence, and
    /// then [`Pulled::Ended`] for what was still open.
    ///
    /// Fails if messages came and all of them were empty. A caller who never sent anything is no error.
    pub fn finish(&mut self) -> Result<(), IngressError> {
        self.bytes.close();
        if self.messaged && self.bytes.len() == 0 && self.bytes.position() == 0 {
            self.fault.get_or_insert(IngressError::Empty);
            return Err(IngressError::Empty);
        }
        Ok(())
    }

    /// Whether bytes came that are too few to tell what they are.
    pub fn is_undecided(&self) -> bool {
        matches!(self.source, Source::Sniffing) && self.bytes.len() > 0
    }

    /// Names what is undecided: nothing more came for so long that nothing more is to be expected.
    ///
    /// Fails where there is something undecided, and every later call does too.
    pub fn decide(&mut self) -> Result<(), IngressError> {
        if !self.is_undecided() {
            return Ok(());
        }
        let error = foreign(&self.bytes);
        self.fault.get_or_insert(error.clone());
        Err(error)
    }

    /// What comes in, once it is known. With several containers, the latest.
    pub fn format(&self) -> Option<InputFormat> {
        self.format
    }

    /// Bytes that were pushed and are not decoded yet.
    pub fn buffered_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn step(&mut self) -> Result<Step, IngressError> {
        let Self { limits, bytes, ready, source, format, .. } = self;
        match source {
            Source::Sniffing => match sniff::sniff(bytes.as_slice()) {
                Verdict::Accepted(kind) => {
                    *source = Source::reader(kind);
                    Ok(Step::Worked)
                }
                _ if bytes.len() == 0 => Ok(Step::NeedMore),
                Verdict::Refused if sniff::is_nameable(bytes.as_slice()) => Err(foreign(bytes)),
                _ if bytes.is_closed() => Err(foreign(bytes)),
                _ => Ok(Step::NeedMore),
            },
            Source::Done => Ok(Step::NeedMore),
            Source::Between(between) => match between.search(bytes, limits)? {
                Found::Header(kind) => {
                    *source = Source::reader(kind);
                    Ok(Step::Worked)
                }
                Found::NeedMore => Ok(Step::NeedMore),
            },
            Source::Raw(track) => {
                let took = track.take(bytes, usize::MAX, ready);
                Ok(if took > 0 { Step::Worked } else { Step::NeedMore })
            }
            Source::Packets(reader) => reader.step(bytes, limits, ready),
            Source::WebM(reader) => {
                let step = reader.step(bytes, limits, ready)?;
                *format = reader.format().or(*format);
                Ok(step)
            }
            Source::Ogg(reader) => {
                let step = reader.step(bytes, limits, ready)?;
                *format = reader.format().or(*format);
                Ok(step)
            }
            Source::Wav(reader) => {
                let step = reader.step(bytes, limits, ready)?;
                *format = reader.format().or(*format);
                Ok(step)
            }
        }
    }

    fn end_source(&mut self) {
        self.source.flush(&mut self.ready);
        self.source = Source::Between(Between::after(self.source.kind()));
        self.ending = true;
    }
}

impl Source {
    fn reader(kind: Kind) -> Self {
        match kind {
            Kind::Wav => Self::Wav(Box::new(WavReader::new())),
            Kind::WebM => Self::WebM(Box::new(WebmReader::new())),
            Kind::Ogg => Self::Ogg(Box::new(OggReader::new())),
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Wav(_) => Some(Kind::Wav),
            Self::WebM(_) => Some(Kind::WebM),
            Self::Ogg(_) => Some(Kind::Ogg),
            _ => None,
        }
    }

    /// Whether something is being read whose end has not been told yet.
    fn is_open(&self) -> bool {
        !matches!(self, Self::Sniffing | Self::Done | Self::Between(_))
    }

    fn flush(&mut self, ready: &mut Ready) {
        match self {
            // Decoded Opus has no tail inside the decoder.
            Self::Packets(_) | Self::WebM(_) | Self::Ogg(_) => {}
            Self::Sniffing | Self::Done | Self::Between(_) => {}
            Self::Raw(track) => track.flush(ready),
            Self::Wav(reader) => reader.flush(ready),
        }
    }
}

fn foreign(bytes: &ByteQueue) -> IngressError {
    sniff::name_foreign(bytes.as_slice()).map_or(IngressError::Unrecognised, IngressError::Foreign)
}
