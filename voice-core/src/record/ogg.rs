//! Ogg/Opus written as it comes: pages of RFC 3533 with the headers and positions of RFC 7845.
//!
//! [`OggPages`] writes single pages; [`OggOpusWriter`] encodes a stream of any length into them, a page a second, so
//! that what has been taken out of it is a file that only lacks its end. Pure, no I/O. Callers: the playout's messages
//! and the server's recordings.

use crate::audio::{Channels, SampleRate};
use crate::codec::{CodecError, OpusEncoder};

/// Flag of a stream's first page.
pub const FIRST_PAGE: u8 = 2;
/// Flag of a stream's last page.
pub const LAST_PAGE: u8 = 4;
/// Most segments of one page.
const MOST_SEGMENTS: usize = 255;

/// Writes the pages of one logical stream, RFC 3533, section 6.
#[derive(Debug)]
pub struct OggPages {
    bytes: Vec<u8>,
    sequence: u32,
    serial: u32,
}

impl OggPages {
    /// A stream with this serial number, at its first page.
    pub const fn new(serial: u32) -> Self {
        Self { bytes: Vec::new(), sequence: 0, serial }
    }

    /// The two header pages of an Ogg/Opus stream, RFC 7845, section 5.
    pub fn put_headers(&mut self, channels: Channels, pre_skip: u16, rate: SampleRate) {
        let mut head = Vec::with_capacity(19);
        head.extend_from_slice(b"OpusHead\x01");
        head.push(channels.count() as u8);
        head.extend_from_slice(&pre_skip.to_le_bytes());
        head.extend_from_slice(&rate.hz().to_le_bytes());
        // No gain; mapping family 0: one stream, mono or left and right.
        head.extend_from_slice(&[0, 0, 0]);
        self.put(&[&head], 0, FIRST_PAGE);
        self.put(&[b"OpusTags\x05\0\0\0voice\0\0\0\0"], 0, 0);
    }

    /// Writes one page of whole packets, which must need at most 255 segments.
    pub fn put(&mut self, packets: &[&[u8]], granule: u64, flags: u8) {
        let start = self.bytes.len();
        let mut lacing = Vec::new();
        for packet in packets {
            lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
            lacing.push((packet.len() % 255) as u8);
        }
        debug_assert!(lacing.len() <= MOST_SEGMENTS, "one page holds at most 255 segments");
        self.bytes.extend_from_slice(b"OggS\0");
        self.bytes.push(flags);
        self.bytes.extend_from_slice(&granule.to_le_bytes());
        self.bytes.extend_from_slice(&self.serial.to_le_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.push(lacing.len() as u8);
        self.bytes.extend_from_slice(&lacing);
        packets.iter().for_each(|p| self.bytes.extend_from_slice(p));
        seal(&mut self.bytes[start..]);
        self.sequence += 1;
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// Makes `page` the last of its stream, as a recording that broke off needs it. `false`: these bytes are no whole page.
pub fn end_stream(page: &mut [u8]) -> bool {
    if !is_page(page) {
        return false;
    }
    page[FLAGS] |= LAST_PAGE;
    seal(page);
    true
}

/// Whether the bytes are exactly one page, and undamaged.
pub fn is_page(page: &[u8]) -> bool {
    let Some(&segments) = page.get(SEGMENTS) else { return false };
    let Some(lacing) = page.get(SEGMENTS + 1..SEGMENTS + 1 + usize::from(segments)) else { return false };
    let body: usize = lacing.iter().map(|n| usize::from(*n)).sum();
    page.starts_with(b"OggS\0")
        && page.len() == SEGMENTS + 1 + lacing.len() + body
        && page[CHECKSUM..CHECKSUM + 4] == checksum(page).to_le_bytes()
}

/// The position that a page ends at, in samples at 48 kHz with the pre-skip. Of no meaning for what is no page.
pub fn granule(page: &[u8]) -> u64 {
    page.get(6..14).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

const FLAGS: usize = 5;
const CHECKSUM: usize = 22;
const SEGMENTS: usize = 26;

fn seal(page: &mut [u8]) {
    let crc = checksum(page);
    page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum of RFC 3533, section 6, over a page whose own field counts as zero: polynomial 0x04C11DB7, no
/// reflection, no final inversion.
fn checksum(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0, |crc: u32, (at, byte)| {
        let byte = if (CHECKSUM..CHECKSUM + 4).contains(&at) { 0 } else { *byte };
        TABLE[usize::from((crc >> 24) as u8 ^ byte)] ^ (crc << 8)
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            crc = if crc & 0x8000_0000 != 0 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Encodes a stream of 20 ms frames into pages of a second.
#[derive(Debug)]
pub struct OggOpusWriter {
    opus: OpusEncoder,
    pages: OggPages,
    pre_skip: u16,
    /// Encoded, and not in a page yet.
    waiting: Vec<Vec<u8>>,
    segments: usize,
    /// Spent packets, whose room is used again.
    spare: Vec<Vec<u8>>,
    /// Packets so far.
    packets: u64,
}

impl OggOpusWriter {
    /// A stream of what `opus` encodes, its headers written.
    ///
    /// # Errors
    /// libopus does not say what it delays by.
    pub fn new(mut opus: OpusEncoder, serial: u32) -> Result<Self, CodecError> {
        let pre_skip = opus.pre_skip()?;
        let mut pages = OggPages::new(serial);
        pages.put_headers(opus.channels(), pre_skip, opus.rate());
        Ok(Self { opus, pages, pre_skip, waiting: Vec::new(), segments: 0, spare: Vec::new(), packets: 0 })
    }

    /// Encodes one frame of [`OpusEncoder::frame_samples`] samples.
    ///
    /// # Errors
    /// The frame has another length, or libopus fails; the stream goes on without it.
    pub fn push(&mut self, frame: &[i16]) -> Result<(), CodecError> {
        let mut packet = self.spare.pop().unwrap_or_default();
        self.opus.encode_into(frame, &mut packet)?;
        let segments = packet.len() / 255 + 1;
        // A full page stays until something follows it, so that no stream ends with an empty one.
        if self.segments + segments > MOST_SEGMENTS || self.waiting.len() >= PACKETS_A_PAGE {
            self.flush(0, None);
        }
        self.segments += segments;
        self.waiting.push(packet);
        self.packets += 1;
        Ok(())
    }

    /// Whole pages since the last time, empty where there are none. Each call's pages stand for themselves in a file
    /// that is written on.
    pub fn take(&mut self) -> Vec<u8> {
        self.pages.take()
    }

    /// Ends the stream after `samples` of a channel, counted at the encoder's rate from its start; what [`take`] gives
    /// then is the end of the file.
    ///
    /// [`take`]: Self::take
    ///
    /// # Errors
    /// libopus fails; the stream then ends where it is.
    pub fn finish(&mut self, samples: u64) -> Result<(), CodecError> {
        let scale = u64::from(48_000 / self.opus.rate().hz());
        let wanted = samples * scale + u64::from(self.pre_skip);
        let silence = vec![0; self.opus.frame_samples()];
        let mut outcome = Ok(());
        // The encoder is behind by the pre-skip: what it still holds comes out with silence (RFC 7845, 4.4).
        while self.packets * PACKET_SAMPLES < wanted && outcome.is_ok() {
            outcome = self.push(&silence);
        }
        self.flush(LAST_PAGE, Some(wanted));
        outcome
    }

    fn flush(&mut self, flags: u8, granule: Option<u64>) {
        let encoded = self.packets * PACKET_SAMPLES;
        let packets: Vec<&[u8]> = self.waiting.iter().map(Vec::as_slice).collect();
        self.pages.put(&packets, granule.map_or(encoded, |at| at.min(encoded)), flags);
        self.spare.append(&mut self.waiting);
        self.spare.truncate(PACKETS_A_PAGE);
        self.segments = 0;
    }
}

/// Samples of a packet of 20 ms at the 48 kHz that positions are counted in.
const PACKET_SAMPLES: u64 = 960;
/// A second: what a program that breaks off loses at most, and short enough to seek by.
const PACKETS_A_PAGE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_SAMPLES;
    use crate::ingress::{Ingress, Limits, Pulled};

    /// A file of `frames` frames of a tone, and its pages as they came.
    fn written(frames: usize, samples: u64) -> Vec<Vec<u8>> {
        let opus = OpusEncoder::two_channels(SampleRate::HZ_24000, 48_000).expect("an encoder");
        let mut writer = OggOpusWriter::new(opus, 7).expect("a writer");
        let mut pages = vec![writer.take()];
        for k in 0..frames {
            let frame: Vec<i16> =
                (0..960).map(|i| (((k * 480 + i / 2) as f64 * 0.1).sin() * 8_000.0) as i16).collect();
            writer.push(&frame).expect("encodes");
            pages.push(writer.take());
        }
        writer.finish(samples).expect("ends");
        pages.push(writer.take());
        pages.retain(|page| !page.is_empty());
        pages
    }

    /// Samples at 16 kHz that our own demuxer finds, and whether it saw the end.
    fn read(bytes: &[u8]) -> (usize, bool) {
        let mut ingress = Ingress::sniffing(Limits::default());
        ingress.push(bytes).expect("is taken");
        ingress.finish().expect("ends");
        let (mut samples, mut ended, mut frame) = (0, false, [0; FRAME_SAMPLES]);
        while let Some(pulled) = ingress.poll_frame(&mut frame).expect("is understood") {
            match pulled {
                Pulled::Ended => ended = true,
                _ => samples += FRAME_SAMPLES,
            }
        }
        (samples, ended)
    }

    #[test]
    fn a_stream_lasts_as_long_as_its_samples_say() {
        for (frames, samples) in [(1, 480), (50, 24_000), (51, 24_400), (175, 84_000)] {
            let (heard, ended) = read(&written(frames, samples).concat());
            let expected = samples as usize * 16 / 24;
            assert!(ended && heard.abs_diff(expected) <= FRAME_SAMPLES, "{heard} for {expected}");
        }
    }

    #[test]
    fn pages_leave_every_second_and_each_is_whole() {
        let pages = written(175, 84_000);
        // Both headers, three of a second, the rest.
        assert_eq!(pages.len(), 5);
        assert!(pages[1..].iter().all(|page| is_page(page)));
        let ends: Vec<u64> = pages[1..4].iter().map(|page| granule(page)).collect();
        assert_eq!(ends, [48_000, 96_000, 144_000]);
    }

    #[test]
    fn a_stream_that_broke_off_gets_its_end_and_damage_is_seen() {
        let mut pages = written(175, 84_000);
        pages.truncate(3);
        let last = pages.last_mut().expect("a page");
        assert!(end_stream(last));
        let (heard, ended) = read(&pages.concat());
        assert!(ended && heard.abs_diff(32_000) <= 2 * FRAME_SAMPLES, "{heard}");
        let mut page = pages[2].clone();
        for at in [0, 5, 30, page.len() - 1] {
            page[at] ^= 1;
            assert!(!is_page(&page) && !end_stream(&mut page));
            page[at] ^= 1;
        }
        assert!(!is_page(&page[..page.len() - 1]) && !is_page(&[]));
    }
}
