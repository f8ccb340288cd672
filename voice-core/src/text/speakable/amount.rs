//! Reading amounts out of a word: numbers, ranges, fractions, and what is glued to them.

use super::numbers::{cardinal, decimal, ordinal};
use super::word::{Word, all_digits};

/// The digits, commas and point at the start of a text, if they make a well-formed number, and what follows.
pub(super) fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.').unwrap_or(text.len());
    let number = text[..end].trim_end_matches(['.', ',']);
    (is_plain(number) || is_grouped(number, '.')).then(|| (number, &text[number.len()..]))
}

/// `1,234.5`, `.5`.
fn is_plain(number: &str) -> bool {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole_is_right =
        all_digits(whole) || is_grouped(whole, ',') || whole.is_empty() && !number.is_empty();
    whole_is_right && all_digits(fraction)
}

/// `1,250,000`, or `1.250.000` as on the European continent, where one point alone would be a decimal one.
fn is_grouped(number: &str, mark: char) -> bool {
    let mut groups = number.split(mark);
    let first = groups.next().unwrap_or_default();
    let mut count = 0;
    let right = groups.all(|group| {
        count += 1;
        group.len() == 3 && all_digits(group)
    });
    right && (1..=3).contains(&first.len()) && all_digits(first) && count >= if mark == '.' { 2 } else { 1 }
}

/// A text that is a number and nothing else.
pub(super) fn number_of(text: &str) -> Option<&str> {
    split_number(text).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

/// What a number is worth; only for comparing.
pub(super) fn value_of(number: &str) -> f64 {
    number.replace(',', "").parse().unwrap_or(0.0)
}

/// Digits in front of the point.
pub(super) fn whole_digits(number: &str) -> usize {
    let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
    whole.bytes().filter(u8::is_ascii_digit).count()
}

/// `1st` as 1.
pub(super) fn ordinal_of(core: &str) -> Option<u64> {
    let (number, ending) = split_number(core)?;
    matches!(ending, "st" | "nd" | "rd" | "th" | "ST" | "ND" | "RD" | "TH")
        .then(|| number.replace(',', "").parse().ok())
        .flatten()
}

/// Two sides of a dash.
pub(super) fn split_range(core: &str) -> Option<(&str, &str)> {
    let (left, right) = core.split_once(['-', '–', '—', '~'])?;
    (!left.is_empty() && !right.is_empty() && !right.contains(['-', '–', '—'])).then_some((left, right))
}

/// An amount in words, and what is glued to it.
#[derive(Debug)]
pub(super) struct Amount<'a> {
    pub(super) text: String,
    /// What it counts stands in the singular.
    pub(super) one: bool,
    /// How many words it takes.
    pub(super) words: usize,
    pub(super) rest: &'a str,
}

/// How decimals are said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decimals {
    /// 2.5 is "two point five".
    Digits,
    /// 2.5 is "two and a half": what comes in halves and quarters.
    Halves,
}

/// The amount at a word: `3`, `2.5`, `10-15`, `1/2`, `2½`, `2 1/2`.
pub(super) fn amount<'a>(words: &[Word<'a>], at: usize, decimals: Decimals) -> Option<Amount<'a>> {
    let word = &words[at];
    if word.trail.is_empty()
        && let Some(number) = number_of(word.core)
        && let Some((part, rest)) = words.get(at + 1).and_then(|next| leading_fraction(next.core))
    {
        return Some(Amount { text: format!("{} and {part}", decimal(number)), one: false, words: 2, rest });
    }
    leading_amount(word.core, decimals)
}

fn leading_amount(core: &str, decimals: Decimals) -> Option<Amount<'_>> {
    let say = |number: &str| if decimals == Decimals::Halves { count(number) } else { decimal(number) };
    let amount = |text, one, rest| Some(Amount { text, one, words: 1, rest });
    if let Some((part, rest)) = leading_fraction(core) {
        return amount(lone_fraction(part), true, rest);
    }
    let (number, rest) = split_number(core)?;
    if let Some((part, rest)) = leading_fraction(rest.strip_prefix('-').unwrap_or(rest)) {
        return amount(format!("{} and {part}", decimal(number)), false, rest);
    }
    if let Some((to, rest)) = rest.strip_prefix(['-', '–', '~']).and_then(split_number) {
        return amount(format!("{} to {}", say(number), say(to)), false, rest);
    }
    let part = decimals == Decimals::Halves && number.starts_with(['.', '0']);
    amount(say(number), part || matches!(number, "1" | "1.0"), rest)
}

/// A count with halves and quarters: 2.5 is "two and a half".
fn count(number: &str) -> String {
    let Some((whole, part)) = number.split_once('.') else { return decimal(number) };
    let part = match part {
        "0" | "00" => return decimal(whole),
        "5" | "50" => "a half",
        "25" => "a quarter",
        "75" => "three quarters",
        _ => return decimal(number),
    };
    if matches!(whole, "" | "0") { lone_fraction(part) } else { format!("{} and {part}", decimal(whole)) }
}

/// A usual fraction at the start of a text, as it is said behind "and", and what follows.
pub(super) fn leading_fraction(text: &str) -> Option<(&'static str, &str)> {
    FRACTIONS.iter().find_map(|(sign, written, said)| {
        let rest = text.strip_prefix(*sign).or_else(|| text.strip_prefix(*written))?;
        // `1/20` and `1/2/25` are no halves.
        (!rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '/' | '.' | ',')))
            .then_some((*said, rest))
    })
}

/// A fraction that no whole number stands before: "one half", "three quarters".
pub(super) fn lone_fraction(part: &str) -> String {
    match part.strip_prefix("a ").or_else(|| part.strip_prefix("an ")) {
        Some(part) => format!("one {part}"),
        None => part.to_owned(),
    }
}

const FRACTIONS: [(&str, &str, &str); 15] = [
    ("½", "1/2", "a half"),
    ("⅓", "1/3", "a third"),
    ("⅔", "2/3", "two thirds"),
    ("¼", "1/4", "a quarter"),
    ("¾", "3/4", "three quarters"),
    ("⅕", "1/5", "a fifth"),
    ("⅖", "2/5", "two fifths"),
    ("⅗", "3/5", "three fifths"),
    ("⅘", "4/5", "four fifths"),
    ("⅙", "1/6", "a sixth"),
    ("⅚", "5/6", "five sixths"),
    ("⅛", "1/8", "an eighth"),
    ("⅜", "3/8", "three eighths"),
    ("⅝", "5/8", "five eighths"),
    ("⅞", "7/8", "seven eighths"),
];

/// `7/16`: a part of a whole whose denominator is one that people measure in.
pub(super) fn fraction(core: &str) -> Option<String> {
    if let Some((part, "")) = leading_fraction(core) {
        return Some(lone_fraction(part));
    }
    let (part, whole) = core.split_once('/')?;
    if !all_digits(part) || !is_denominator(whole) || part.starts_with('0') {
        return None;
    }
    let (part, whole): (u64, u64) = (part.parse().ok()?, whole.parse().ok()?);
    let plural = if part == 1 { "" } else { "s" };
    (part < whole).then(|| format!("{} {}{plural}", cardinal(part), ordinal(whole)))
}

/// What a measured whole is cut into; other pairs of numbers are days, loans, scores.
pub(super) fn is_denominator(text: &str) -> bool {
    matches!(
        text,
        "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "10" | "12" | "16" | "20" | "32" | "64" | "100"
    )
}
