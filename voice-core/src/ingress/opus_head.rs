//! The OpusHead: first packet of Ogg/Opus and codec header of WebM/Opus (RFC 7845, section 5.1).

use crate::audio::Channels;

use super::IngressError;

/// Length of an OpusHead of mapping family 0.
const SHORT_BYTES: usize = 19;

/// What a decoder must know before the first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpusHead {
    pub(super) channels: Channels,
    /// Samples at 48 kHz that are decoded but not heard.
    pub(super) pre_skip_48k: u32,
    /// Output gain in 1/256 dB.
    pub(super) gain_q8: i16,
}

impl OpusHead {
    pub(super) const MAGIC: &'static [u8] = b"OpusHead";

    /// Parses an OpusHead; `container` is for the error.
    pub(super) fn parse(bytes: &[u8], container: &'static str) -> Result<Self, IngressError> {
        let malformed = |detail| IngressError::Malformed { container, detail };
        let Some(head) = bytes.first_chunk::<SHORT_BYTES>().filter(|h| h.starts_with(Self::MAGIC)) else {
            return Err(malformed("its OpusHead is cut or missing"));
        };
        // The upper half of the version is the incompatible part.
        if head[8] >> 4 != 0 {
            return Err(malformed("its OpusHead has an unknown version"));
        }
        let (count, family) = (head[9], head[18]);
        let one_stream = family == 0 || bytes.get(SHORT_BYTES) == Some(&1);
        let channels = Channels::new(count.into())
            .ok()
            .filter(|_| one_stream)
            .ok_or_else(|| IngressError::Codec { container, codec: format!("Opus with {count} channels") })?;
        Ok(Self {
            channels,
            pre_skip_48k: u16::from_le_bytes([head[10], head[11]]).into(),
            gain_q8: i16::from_le_bytes([head[16], head[17]]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(channels: u8, family: u8, more: &[u8]) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.extend([channels, 0x38, 0x01, 0x80, 0xBB, 0, 0, 0x00, 0xFF, family]);
        bytes.extend(more);
        bytes
    }

    #[test]
    fn pre_skip_and_gain_are_read() {
        let parsed = OpusHead::parse(&head(1, 0, &[]), "Ogg").expect("valid");
        assert_eq!(parsed, OpusHead { channels: Channels::Mono, pre_skip_48k: 312, gain_q8: -256 });
    }

    #[test]
    fn one_stream_is_taken_in_any_mapping_and_more_are_named() {
        assert!(OpusHead::parse(&head(2, 1, &[1, 1, 0, 1]), "Ogg").is_ok());
        assert!(OpusHead::parse(&head(2, 1, &[2, 0, 0, 1]), "Ogg").is_err());
        let error = OpusHead::parse(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5]), "Ogg").expect_err("six channels");
        assert!(error.to_string().contains("Opus with 6 channels"), "{error}");
    }

    #[test]
    fn cut_or_newer_heads_are_errors() {
        let whole = head(1, 0, &[]);
        assert!((0..whole.len()).all(|cut| OpusHead::parse(&whole[..cut], "Ogg").is_err()));
        let mut newer = whole;
        newer[8] = 0x10;
        assert!(OpusHead::parse(&newer, "Ogg").is_err());
    }
}
