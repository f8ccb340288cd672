//! Numbers that name and do not count: listings, licences, parcels, whatever stands behind `#`.

use super::Said;
use super::numbers::{digits, house};
use super::word::Word;

/// `#12`, `# 12`, `MLS# 1234567`, `MLS#1234567`, `MLS: 1234567`, `APN 123-45-678`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some((front, number)) = word.core.split_once('#')
        && front.chars().all(char::is_alphabetic)
    {
        let (number, taken) = match number {
            "" => (words.get(at + 1).filter(|_| word.is_open())?.core, 2),
            number => (number, 1),
        };
        return Some(Said::new(format!("{front} number {}", code(number)?), taken));
    }
    let fewest = fewest_digits(words, at)?;
    let is_code = word.core.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let count = word.core.bytes().filter(u8::is_ascii_digit).count();
    if !is_code || count < fewest {
        return None;
    }
    let mut out = String::new();
    for c in word.core.chars() {
        match c {
            '-' => out.push_str(" , "),
            '0'..='9' => {
                out.push(' ');
                out.push_str(&digits(c.encode_utf8(&mut [0; 4])));
                out.push(' ');
            }
            c => out.push(c),
        }
    }
    Some(Said::new(out, 1))
}

/// How many digits make a code of the word, by what stands before it; `None` if nothing there names one.
fn fewest_digits(words: &[Word<'_>], at: usize) -> Option<usize> {
    for before in words[..at].iter().rev().take(3) {
        if !matches!(before.trail, "" | ":" | ".") {
            return None;
        }
        let lower = before.lower();
        match lower.trim_end_matches('#') {
            "code" | "pin" | "gate" | "lockbox" | "confirmation" | "ref" | "reference" | "ticket" => {
                return Some(3);
            }
            "apn" | "parcel" | "permit" | "lic" | "license" | "licence" | "account" => return Some(4),
            "mls" | "listing" | "id" => return Some(5),
            // Three groups of digits are no count whatever they are.
            "number" | "no" | "num" | "is" | "" => {}
            _ => return None,
        }
    }
    None
}

/// The number of a unit or a listing: `12`, `4B`, `B12`, `1234567`.
pub(super) fn code(text: &str) -> Option<String> {
    let lot = text.split_once(['x', 'X']).is_some_and(|(left, right)| {
        let digit = |c: char| c.is_ascii_digit();
        left.ends_with(digit) && right.starts_with(digit)
    });
    if lot
        || !text.contains(|c: char| c.is_ascii_digit())
        || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(run);
        if !first.is_ascii_digit() {
            let letters = part.chars().filter(char::is_ascii_alphabetic);
            out.extend(letters.map(|c| c.to_ascii_uppercase().to_string()));
        } else if part.len() > 4 || part.starts_with('0') {
            out.push(digits(part));
        } else {
            out.extend(part.parse().map(house));
        }
        rest = behind;
    }
    Some(out.join(" "))
}
