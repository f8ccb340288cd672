//! Makes the sound of one recording: pieces of a call in, pages in a spool out.
//!
//! Blocking (encoding, disk), a second of a call at a time, on a thread for that. Memory: both tracks and the encoder, at
//! most 600 KiB, usually a third of it. Caller: [`super::call`].

use std::io;
use std::path::PathBuf;

use voice_core::codec::OpusEncoder;
use voice_core::record::ogg::OggOpusWriter;
use voice_core::time::SessionTime;

use super::spool::{Meta, Record, Writer};
use super::tap::Piece;
use super::track::{FRAME, RATE, Tracks};
use crate::storage::Keys;

/// Bits per second of both sides together while both speak; silence takes next to none of them.
const BITRATE: i32 = 48_000;
/// Each file is a stream of its own, so one serial number serves all.
const SERIAL: u32 = 0x5649_4345;

/// One recording in the making.
pub(super) struct Maker {
    tracks: Tracks,
    writer: OggOpusWriter,
    spool: Writer,
    ended: Option<SessionTime>,
    frames: u64,
    /// Bytes of pages.
    bytes: u64,
    /// Frames that libopus did not take.
    failed: u64,
}

impl Maker {
    /// A recording of what comes from `zero` on.
    pub(super) fn new(path: PathBuf, keys: &Keys, meta: &Meta, zero: SessionTime) -> io::Result<Self> {
        let opus = OpusEncoder::two_channels(RATE, BITRATE).map_err(io::Error::other)?;
        let writer = OggOpusWriter::new(opus, SERIAL).map_err(io::Error::other)?;
        let spool = Writer::create(path, keys, meta)?;
        let mut maker =
            Self { tracks: Tracks::new(zero), writer, spool, ended: None, frames: 0, bytes: 0, failed: 0 };
        maker.save()?;
        Ok(maker)
    }

    /// Takes pieces in their order; what is certain by then goes into the spool.
    pub(super) fn take(&mut self, pieces: &mut Vec<Piece>) -> io::Result<()> {
        for piece in pieces.drain(..) {
            if let Piece::Caller { at, .. } | Piece::Sent { at, .. } = &piece {
                self.tracks.advance(*at);
                self.encode_ready()?;
            }
            match piece {
                Piece::Caller { at, frame } => self.tracks.caller(at, &frame),
                Piece::Sent { at, rate, samples } => self.tracks.sent(at, rate, &samples),
                Piece::Cleared { at } => self.tracks.cleared(at),
                Piece::Ended { at } => self.ended = Some(at),
            }
        }
        self.save()
    }

    /// Whether the call has said that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Bytes of sound in the spool.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes something between the pages.
    pub(super) fn note(&mut self, record: &Record) -> io::Result<()> {
        self.spool.put(record)
    }

    /// Writes the rest and the end.
    pub(super) fn finish(mut self) -> io::Result<Finished> {
        let end = self.tracks.end(self.ended);
        let mut frame = [0; 2 * FRAME];
        while self.tracks.drain(end, &mut frame) {
            self.encode(&frame);
            self.save()?;
        }
        let whole = self.writer.finish(end);
        self.save()?;
        if self.failed > 0 || whole.is_err() {
            tracing::error!(frames = self.failed, "a recording lacks frames that could not be encoded");
        }
        Ok(Finished { lost_ms: RATE.duration_of(self.tracks.lost()).as_millis() as u64 })
    }

    /// Where the spool is.
    pub(super) fn path(&self) -> PathBuf {
        self.spool.path().to_owned()
    }

    fn encode_ready(&mut self) -> io::Result<()> {
        let mut frame = [0; 2 * FRAME];
        while self.tracks.poll(&mut frame) {
            self.encode(&frame);
            self.save()?;
        }
        Ok(())
    }

    fn encode(&mut self, frame: &[i16; 2 * FRAME]) {
        self.frames += 1;
        if self.writer.push(frame).is_err() {
            self.failed += 1;
        }
    }

    fn save(&mut self) -> io::Result<()> {
        let pages = self.writer.take();
        if !pages.is_empty() {
            self.bytes += pages.len() as u64;
            self.spool.put(&Record::Page(pages))?;
        }
        Ok(())
    }
}

/// How a recording came out.
pub(super) struct Finished {
    /// Sound that found no place.
    pub(super) lost_ms: u64,
}
