//! The words of a text as the rules see them.
//!
//! A word is cut into what opens it, its core and what closes it. Signs in front of an amount (`-5`, `~300`) become
//! words of their own, so that no rule must know them, and so do the sides of `3bd/2ba`.

use std::borrow::Cow;

use super::rooms;

/// One word of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    /// Brackets and quotes in front.
    pub(super) lead: &'a str,
    pub(super) core: &'a str,
    /// Punctuation behind.
    pub(super) trail: &'a str,
    /// Where the text goes on behind it, in bytes.
    pub(super) end: usize,
}

const OPENING: [char; 8] = ['(', '[', '{', '"', '\'', '«', '¿', '¡'];
const CLOSING: [char; 15] = ['.', ',', ';', ':', '!', '?', ')', ']', '}', '"', '\'', '»', '…', '*', '_'];

/// All words of a line.
pub(super) fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut quotes = Quotes::default();
    let mut from = 0;
    for raw in line.split_whitespace() {
        // The words come in order, so each is found behind the one before.
        from += line[from..].find(raw).unwrap_or(0);
        let end = from + raw.len();
        push_word(cut(raw, end, &mut quotes), &mut words);
        from = end;
    }
    words
}

/// Which quotes are open: a mark behind a digit closes one, or else means feet or inches.
#[derive(Default)]
struct Quotes {
    single: bool,
    double: bool,
}

fn cut<'a>(raw: &'a str, end: usize, quotes: &mut Quotes) -> Word<'a> {
    let inner = raw.trim_start_matches(OPENING);
    let lead = &raw[..raw.len() - inner.len()];
    let mut core = inner.trim_end_matches(CLOSING);
    // `'90s` opens nothing.
    quotes.single |= lead.contains('\'') && !core.starts_with(|c: char| c.is_ascii_digit());
    quotes.double |= lead.contains('"');
    let mut trail = &inner[core.len()..];
    let measured = core.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '½' | '¼' | '¾'));
    let mark = trail.chars().next().filter(|_| measured);
    if mark == Some('\'') && !quotes.single || mark == Some('"') && !quotes.double {
        core = &inner[..core.len() + 1];
        trail = &inner[core.len()..];
    }
    quotes.single &= !trail.contains('\'');
    quotes.double &= !trail.contains('"');
    Word { lead, core, trail, end }
}

fn push_word<'a>(word: Word<'a>, words: &mut Vec<Word<'a>>) {
    let Word { lead, core, trail, end } = word;
    let silent = |core, lead| Word { lead, core, trail: "", end };
    if let Some((sign, rest)) = sign(core) {
        // `$400k -$450k` is a range with a space too few.
        let range = sign == "minus" && words.last().is_some_and(|word| word.is_open() && word.ends_amount());
        words.push(silent(if range { "-" } else { sign }, lead));
        push_word(Word { lead: "", core: rest, trail, end }, words);
    } else if let Some(rest) = core.strip_suffix('±').or_else(|| core.strip_suffix("+/-"))
        && begins_amount(rest)
    {
        words.push(silent("about", lead));
        words.push(Word { lead: "", core: rest, trail, end });
    } else if let Some((half, dash, rest)) = split_half(core) {
        words.push(silent(half, lead));
        words.push(silent(dash, ""));
        words.push(Word { lead: "", core: rest, trail, end });
    } else if let Some(rest) = core.strip_suffix(['-', '–'])
        && begins_amount(rest)
    {
        words.push(silent(rest, lead));
        words.push(Word { lead: "", core: &core[rest.len()..], trail, end });
    } else if core.contains('/') && rooms::lists_rooms(core) {
        let parts: Vec<&str> = core.split('/').filter(|part| !part.is_empty()).collect();
        for (i, part) in parts.iter().enumerate() {
            let lead = if i == 0 { lead } else { "" };
            let trail = if i + 1 == parts.len() { trail } else { "," };
            words.push(Word { lead, core: part, trail, end });
        }
    } else {
        words.push(word);
    }
}

/// `AM–8` of `8 AM–8 PM`: the half of a day, the dash, and the next hour.
fn split_half(core: &str) -> Option<(&str, &str, &str)> {
    let half = core.get(..2).filter(|half| matches!(*half, "AM" | "PM" | "am" | "pm"))?;
    let rest = core[2..].strip_prefix(['-', '–']).filter(|rest| begins_amount(rest))?;
    Some((half, &core[2..core.len() - rest.len()], rest))
}

/// The sign in front of an amount as it is said, and the amount.
fn sign(core: &str) -> Option<(&'static str, &str)> {
    let (said, rest) = match core.strip_prefix("+/-") {
        Some(rest) => ("plus or minus", rest),
        None => {
            let first = core.chars().next()?;
            (sign_name(first)?, &core[first.len_utf8()..])
        }
    };
    begins_amount(rest).then_some((said, rest))
}

/// What a sign in front of an amount means.
pub(super) fn sign_name(sign: char) -> Option<&'static str> {
    Some(match sign {
        '-' => "minus",
        '~' | '≈' => "about",
        '<' => "under",
        '>' => "over",
        '≤' => "at most",
        '≥' => "at least",
        '±' => "plus or minus",
        _ => return None,
    })
}

fn begins_amount(text: &str) -> bool {
    let text = text.strip_prefix(['$', '€', '£']).unwrap_or(text);
    let text = text.strip_prefix('.').unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '½' | '¼' | '¾'))
}

/// The pause that marks behind a word make: the strongest of them.
pub(super) fn pause_of(trail: &str) -> Option<char> {
    ['?', '!', '.', ';', ':', ','].into_iter().find(|mark| trail.contains(*mark))
}

impl<'a> Word<'a> {
    /// A word without marks, for a part of another.
    pub(super) fn bare(core: &'a str) -> Self {
        Self { lead: "", core, trail: "", end: 0 }
    }

    pub(super) fn pause(&self) -> Option<char> {
        pause_of(self.trail)
    }

    /// A bracket or an ellipsis behind it makes a pause if anything follows.
    pub(super) fn closes_softly(&self) -> bool {
        self.trail.contains([')', ']', '…'])
    }

    pub(super) fn opens_bracket(&self) -> bool {
        self.lead.contains(['(', '['])
    }

    /// Nothing stands between this word and the next.
    pub(super) fn is_open(&self) -> bool {
        self.pause().is_none() && !self.closes_softly()
    }

    /// Nothing but the point of an abbreviation stands between this word and the next.
    pub(super) fn is_joined(&self) -> bool {
        matches!(self.trail, "" | ".")
    }

    pub(super) fn has_sound(&self) -> bool {
        self.core.contains(|c: char| c.is_ascii() || c.is_alphanumeric())
    }

    pub(super) fn is_capitalised(&self) -> bool {
        self.core.starts_with(|c: char| c.is_uppercase())
    }

    /// A capital and small letters, as names have.
    pub(super) fn is_name(&self) -> bool {
        self.is_capitalised() && self.core.contains(|c: char| c.is_lowercase())
    }

    pub(super) fn lower(&self) -> Cow<'a, str> {
        lowered(self.core)
    }

    /// Letters only: no rule about amounts, addresses of the web or signs needs to look at it.
    pub(super) fn is_plain(&self) -> bool {
        !self.core.is_empty() && self.core.bytes().all(|b| b.is_ascii_alphabetic())
    }

    pub(super) fn starts_with_digit(&self) -> bool {
        self.core.starts_with(|c: char| c.is_ascii_digit())
    }

    /// A number is written at its end, or a thousand or a million of them.
    fn ends_amount(&self) -> bool {
        self.starts_with_digit() && self.core.ends_with(|c: char| c.is_ascii_digit() || "kKmM%".contains(c))
            || begins_amount(self.core) && self.core.starts_with(['$', '€', '£'])
    }

    pub(super) fn is_dash(&self) -> bool {
        matches!(self.core, "-" | "–")
    }
}

/// Digits, at least one, and nothing else.
pub(super) fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A text in small letters; most are already.
pub(super) fn lowered(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}
