//! Names what bytes are by how they begin.
//!
//! Accepted containers are recognised as soon as nothing else can be meant; anything else is named only when enough
//! bytes are there to name it well, because its name ends up in front of a person.

use super::wav;

/// A foreign beginning is named from this many bytes on, or from fewer when no more come.
const NAMED_FROM: usize = 16;

/// How much of a foreign beginning is looked at.
const LOOKED_AT: usize = 4_096;

/// How far the codec of an MP4 is searched: its description may come after the audio.
const SEARCHED: usize = 1 << 20;

const EBML: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// A container that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Wav,
    WebM,
    Ogg,
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted(Kind),
    /// Not taken, whatever follows.
    Refused,
    /// May still become an accepted container.
    Undecided,
}

/// Judges by the first bytes.
pub(super) fn sniff(bytes: &[u8]) -> Verdict {
    if bytes.starts_with(&EBML) {
        return Verdict::Accepted(Kind::WebM);
    }
    if bytes.starts_with(b"OggS") {
        return Verdict::Accepted(Kind::Ogg);
    }
    if wav::is_header(bytes) {
        return Verdict::Accepted(Kind::Wav);
    }
    let begins = |pattern: &[u8]| bytes.iter().zip(pattern).all(|(a, b)| a == b);
    let riff = (begins(b"RIFF") || begins(b"RF64"))
        && bytes.get(8..).is_none_or(|kind| kind.iter().zip(b"WAVE").all(|(a, b)| a == b));
    if begins(&EBML) || begins(b"OggS") || riff { Verdict::Undecided } else { Verdict::Refused }
}

/// Whether a refused beginning is long enough to be named.
pub(super) fn is_nameable(bytes: &[u8]) -> bool {
    bytes.len() >= NAMED_FROM
}

/// What a foreign beginning is, or `None` where it has no mark.
pub(super) fn name_foreign(bytes: &[u8]) -> Option<&'static str> {
    let whole = &bytes[..bytes.len().min(SEARCHED)];
    let bytes = &bytes[..bytes.len().min(LOOKED_AT)];
    let at = |offset: usize, mark: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    let holds = |mark: &[u8]| whole.windows(mark.len()).any(|window| window == mark);
    if at(4, b"ftyp") || at(4, b"styp") || at(4, b"moof") {
        return Some(match () {
            () if holds(b"Opus") => "MP4/Opus",
            () if holds(b"alac") => "MP4/ALAC",
            // The brand of audio files says AAC where the codec's own entry has not come yet.
            () if holds(b"mp4a") || at(8, b"M4A ") => "MP4/AAC",
            () => "MP4",
        });
    }
    if at(0, b"RIFF") || at(0, b"RF64") {
        return Some(match () {
            () if at(8, b"AVI ") => "AVI",
            () if at(8, b"WEBP") => "a WebP picture",
            () => "RIFF, but not WAV",
        });
    }
    const MARKS: &[(&[u8], &str)] = &[
        (b"ID3", "MP3"),
        (b"fLaC", "FLAC"),
        (b"FORM", "AIFF"),
        (b"caff", "CAF"),
        (b".snd", "AU"),
        (b"#!AMR", "AMR"),
        (b"FLV", "FLV"),
        (b"ADIF", "AAC"),
        (b"wvpk", "WavPack"),
        (b"OpusHead", "a bare OpusHead without a container"),
        (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "WMA"),
        (b"\x89PNG", "a PNG picture"),
        (b"\xFF\xD8\xFF", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1F\x8B", "gzip"),
        (b"\x7FELF", "a program"),
    ];
    if let Some((_, name)) = MARKS.iter().find(|(mark, _)| at(0, mark)) {
        return Some(name);
    }
    if let [0xFF, second, third, ..] = *bytes {
        // ISO/IEC 13818-7: 12 sync bits, then a layer of 0.
        if second & 0xF6 == 0xF0 {
            return Some("AAC");
        }
        // ISO/IEC 11172-3: 11 sync bits; version, layer, bit rate and sample rate have forbidden values.
        let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
        if second & 0xE0 == 0xE0 && version != 1 && layer != 0 && third >> 4 != 15 && third >> 2 & 3 != 3 {
            return Some("MP3");
        }
    }
    if at(0, b"G") && at(188, b"G") && at(376, b"G") {
        return Some("MPEG-TS");
    }
    name_text(bytes)
}

fn name_text(bytes: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A character may be cut at the end of what is looked at.
        Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => {
            std::str::from_utf8(&bytes[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{FEFF}');
    if text.is_empty() || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return None;
    }
    let start = text.trim_start();
    let lower: String = start.chars().take(16).collect::<String>().to_ascii_lowercase();
    Some(match () {
        () if lower.starts_with("<!doctype html") || lower.starts_with("<html") => "HTML",
        () if lower.starts_with("<?xml") || lower.starts_with("<svg") => "XML",
        () if start.starts_with(['{', '[']) => "JSON",
        () if lower.starts_with("data:") => "a data URL as text",
        () if lower.starts_with("uklg") => "base64 text of a WAV",
        () => "text",
    })
}
