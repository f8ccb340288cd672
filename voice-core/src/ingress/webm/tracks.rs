//! Info and Tracks: which track is Opus and how its timestamps count (RFC 9559, sections 5.1.2 and 5.1.4).

use crate::audio::Channels;

use super::super::opus_head::OpusHead;
use super::super::{IngressError, Limits};
use super::ebml::{elements, unsigned};

const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
const TRACK_ENTRY: u32 = 0xAE;
const TRACK_NUMBER: u32 = 0xD7;
const TRACK_TYPE: u32 = 0x83;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63A2;
const CODEC_DELAY: u32 = 0x56AA;
const CONTENT_ENCODINGS: u32 = 0x6D80;
const AUDIO: u32 = 0xE1;
const CHANNELS: u32 = 0x9F;

const TYPE_AUDIO: u64 = 2;

/// Nanoseconds of a timestamp where Info does not say: a millisecond.
pub(super) const DEFAULT_SCALE: u64 = 1_000_000;

/// The track that is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) number: u64,
    pub(super) head: OpusHead,
    /// Whether there are tracks beside it.
    pub(super) has_others: bool,
}

/// The timestamp scale of an Info element, in nanoseconds.
pub(super) fn parse_scale(info: &[u8]) -> Option<u64> {
    let (_, body) = elements(info).find(|&(id, _)| id == TIMESTAMP_SCALE)?;
    unsigned(body).filter(|scale| (1..=1_000_000_000).contains(scale))
}

/// The first Opus track of a Tracks element.
pub(super) fn parse_tracks(tracks: &[u8], limits: &Limits) -> Result<Track, IngressError> {
    let mut other = None;
    let entries = elements(tracks).filter(|&(id, _)| id == TRACK_ENTRY);
    let has_others = entries.clone().count() > 1;
    for (_, entry) in entries {
        let entry = Entry::parse(entry);
        if entry.codec == b"A_OPUS" && !entry.encoded {
            return entry.into_track(has_others, limits);
        }
        if entry.kind == TYPE_AUDIO || other.is_none() {
            other = Some(entry.codec_name());
        }
    }
    let codec = other.unwrap_or_else(|| "no track".to_owned());
    Err(IngressError::Codec { container: "WebM", codec })
}

#[derive(Default)]
struct Entry<'a> {
    number: u64,
    kind: u64,
    codec: &'a [u8],
    private: Option<&'a [u8]>,
    delay_ns: u64,
    channels: u64,
    /// Compressed or encrypted by the container.
    encoded: bool,
}

impl<'a> Entry<'a> {
    fn parse(entry: &'a [u8]) -> Self {
        let mut parsed = Self { channels: 1, ..Self::default() };
        for (id, body) in elements(entry) {
            match id {
                TRACK_NUMBER => parsed.number = unsigned(body).unwrap_or(0),
                TRACK_TYPE => parsed.kind = unsigned(body).unwrap_or(0),
                // Strings may be padded with zeros (RFC 8794, section 7.4).
                CODEC_ID => parsed.codec = body.split(|&b| b == 0).next().unwrap_or_default(),
                CODEC_PRIVATE => parsed.private = Some(body),
                CODEC_DELAY => parsed.delay_ns = unsigned(body).unwrap_or(0),
                CONTENT_ENCODINGS => parsed.encoded = true,
                AUDIO => {
                    let count = elements(body).find(|&(id, _)| id == CHANNELS);
                    parsed.channels = count.and_then(|(_, body)| unsigned(body)).unwrap_or(1);
                }
                _ => {}
            }
        }
        parsed
    }

    fn into_track(self, has_others: bool, limits: &Limits) -> Result<Track, IngressError> {
        let private = self.private.unwrap_or_default();
        if private.len() > limits.codec_private_bytes {
            return Err(IngressError::TooLarge {
                container: "WebM",
                what: "the codec header",
                limit: limits.codec_private_bytes as u64,
            });
        }
        let mut head = if private.is_empty() {
            let count = u16::try_from(self.channels).unwrap_or(u16::MAX);
            let channels =
                Channels::new(count).map_err(|source| IngressError::Format { container: "WebM", source })?;
            OpusHead { channels, pre_skip_48k: 0, gain_q8: 0 }
        } else {
            OpusHead::parse(private, "WebM")?
        };
        if head.pre_skip_48k == 0 {
            // CodecDelay is the pre-skip said again, so it counts only where the head says none. At most a second.
            head.pre_skip_48k = (self.delay_ns.min(1_000_000_000) * 48 / 1_000_000) as u32;
        }
        Ok(Track { number: self.number, head, has_others })
    }

    /// The codec's ID fit for a message: printable and short.
    fn codec_name(&self) -> String {
        let name: String =
            self.codec.iter().filter(|b| b.is_ascii_graphic()).take(20).map(|&b| char::from(b)).collect();
        match name.as_str() {
            "" => "an unnamed codec".to_owned(),
            "A_OPUS" => "compressed or encrypted Opus".to_owned(),
            "A_VORBIS" => "Vorbis".to_owned(),
            _ => name,
        }
    }
}
