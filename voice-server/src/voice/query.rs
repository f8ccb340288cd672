//! The query of the voice socket, and the same words in a `start` message. Pure.

use std::fmt;

use super::call::{DeclaredInput, OutputFormat};

/// What the caller asked for; each part is unset where nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Declared input. `Some(None)`: to be recognised from its bytes, said explicitly.
    pub(super) input: Option<Option<DeclaredInput>>,
    /// Wanted output.
    pub(super) output: Option<OutputFormat>,
    /// Whether to greet.
    pub(super) greeting: Option<bool>,
}

impl Asked {
    /// True where nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This, and where it says nothing, `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            greeting: self.greeting.or(other.greeting),
        }
    }
}

/// A malformed value and the field it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadValue {
    /// The field's name.
    pub(super) field: &'static str,
    /// What it must be.
    pub(super) detail: &'static str,
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail)
    }
}

/// The words of a query or of a `start` message before they are checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words<'a> {
    /// `in`.
    pub(super) input: Option<&'a str>,
    /// `rate`.
    pub(super) rate: Option<&'a str>,
    /// `channels`.
    pub(super) channels: Option<&'a str>,
    /// `out`.
    pub(super) output: Option<&'a str>,
    /// `out_rate`.
    pub(super) out_rate: Option<&'a str>,
    /// `greeting`.
    pub(super) greeting: Option<&'a str>,
}

/// Rate of declared PCM where none is given.
const PCM_RATE: u32 = 16_000;
/// Rate of G.711, in and out, where none is given.
const G711_RATE: u32 = 8_000;
/// Rate of `out=pcm16` where none is given: what browsers and voices handle well.
const OUT_RATE: u32 = 24_000;

/// Reads a query string. Names that are not ours (a token, a ticket) are left alone.
pub(super) fn parse_query(query: &str) -> Result<Asked, BadValue> {
    let mut words = Words::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (slot, field) = match name {
            "in" => (&mut words.input, "in"),
            "rate" => (&mut words.rate, "rate"),
            "channels" => (&mut words.channels, "channels"),
            "out" => (&mut words.output, "out"),
            "out_rate" => (&mut words.out_rate, "out_rate"),
            "greeting" => (&mut words.greeting, "greeting"),
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(BadValue { field, detail: "is given twice" });
        }
    }
    parse_words(words)
}

/// Checks the words.
pub(super) fn parse_words(words: Words<'_>) -> Result<Asked, BadValue> {
    Ok(Asked {
        input: input(words)?,
        output: output(words)?,
        greeting: match words.greeting {
            None => None,
            Some("1" | "true") => Some(true),
            Some("0" | "false") => Some(false),
            Some(_) => return Err(BadValue { field: "greeting", detail: "must be 1 or 0" }),
        },
    })
}

fn input(words: Words<'_>) -> Result<Option<Option<DeclaredInput>>, BadValue> {
    let declared = match words.input {
        None | Some("auto" | "opus") => None,
        Some("pcm16") => Some(PCM_RATE),
        Some("ulaw" | "alaw") => Some(G711_RATE),
        Some(_) => return Err(BadValue { field: "in", detail: "must be auto, pcm16, ulaw, alaw or opus" }),
    };
    let Some(usual) = declared else {
        // A rate without a form would be believed and ignored; it is refused instead.
        for (field, given) in [("rate", words.rate), ("channels", words.channels)] {
            if given.is_some() {
                return Err(BadValue { field, detail: "is taken only with in=pcm16, ulaw or alaw" });
            }
        }
        return Ok(match words.input {
            None => None,
            Some("opus") => Some(Some(DeclaredInput::Opus)),
            Some(_) => Some(None),
        });
    };
    let rate = rate("rate", words.rate, usual)?;
    let channels = match words.channels {
        None | Some("1") => 1,
        Some("2") => 2,
        Some(_) => return Err(BadValue { field: "channels", detail: "must be 1 or 2" }),
    };
    Ok(Some(Some(match words.input {
        Some("ulaw") => DeclaredInput::Ulaw { rate, channels },
        Some("alaw") => DeclaredInput::Alaw { rate, channels },
        _ => DeclaredInput::Pcm16 { rate, channels },
    })))
}

fn output(words: Words<'_>) -> Result<Option<OutputFormat>, BadValue> {
    let format = match words.output {
        Some("pcm16") => OutputFormat::Pcm16 { rate: rate("out_rate", words.out_rate, OUT_RATE)? },
        Some("ulaw") => OutputFormat::Ulaw { rate: rate("out_rate", words.out_rate, G711_RATE)? },
        other => {
            if words.out_rate.is_some() {
                return Err(BadValue { field: "out_rate", detail: "is taken only with out=pcm16 or ulaw" });
            }
            match other {
                None => return Ok(None),
                Some("wav") => OutputFormat::Wav,
                Some("ogg") => OutputFormat::Ogg,
                Some(_) => return Err(BadValue { field: "out", detail: "must be wav, ogg, pcm16 or ulaw" }),
            }
        }
    };
    Ok(Some(format))
}

fn rate(field: &'static str, given: Option<&str>, usual: u32) -> Result<u32, BadValue> {
    match given {
        None => Ok(usual),
        Some(text) => text
            .parse()
            .ok()
            .filter(|rate| (8_000..=48_000).contains(rate))
            .ok_or(BadValue { field, detail: "must be a whole number from 8000 to 48000" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_its_usual_rate() {
        let input = |query| parse_query(query).map(|asked| asked.input);
        assert_eq!(input(""), Ok(None));
        assert_eq!(input("in=auto"), Ok(Some(None)));
        assert_eq!(input("in=opus"), Ok(Some(Some(DeclaredInput::Opus))));
        let pcm = DeclaredInput::Pcm16 { rate: 16_000, channels: 1 };
        assert_eq!(input("in=pcm16"), Ok(Some(Some(pcm))));
        let stereo = DeclaredInput::Alaw { rate: 8_000, channels: 2 };
        assert_eq!(input("channels=2&in=alaw"), Ok(Some(Some(stereo))));
        let output = |query| parse_query(query).map(|asked| asked.output);
        assert_eq!(output("out=ogg&greeting=1"), Ok(Some(OutputFormat::Ogg)));
        assert_eq!(output("out=pcm16"), Ok(Some(OutputFormat::Pcm16 { rate: 24_000 })));
        assert_eq!(output("out=ulaw&out_rate=16000"), Ok(Some(OutputFormat::Ulaw { rate: 16_000 })));
    }

    #[test]
    fn a_bad_value_is_reported_with_its_field() {
        for (query, field) in [
            ("in=mp3", "in"),
            ("in=", "in"),
            ("in=pcm16&rate=7999", "rate"),
            ("in=pcm16&rate=1e4", "rate"),
            ("in=pcm16&channels=3", "channels"),
            ("in=pcm16&in=ulaw", "in"),
            ("rate=16000", "rate"),
            ("in=opus&channels=2", "channels"),
            ("out=mp3", "out"),
            ("out=wav&out_rate=8000", "out_rate"),
            ("out_rate=8000", "out_rate"),
            ("out=pcm16&out_rate=96000", "out_rate"),
            ("greeting=yes", "greeting"),
        ] {
            assert_eq!(parse_query(query).map_err(|bad| bad.field), Err(field), "{query}");
        }
    }

    #[test]
    fn names_of_others_are_left_alone() {
        assert_eq!(parse_query("token=abc&ticket=x&&utm"), Ok(Asked::default()));
    }
}
