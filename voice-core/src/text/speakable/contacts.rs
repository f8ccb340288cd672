//! Telephone numbers, e-mail and web addresses.

use super::numbers::digits;
use super::{Said, Word};

pub(super) fn say(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    if word.core.contains('@') {
        return email(&word.core).map(|text| Said::new(text, 1));
    }
    web(&word.core).map(|text| Said::new(text, 1)).or_else(|| telephone(words, at))
}

/// `maria.lopez@example.com`.
fn email(core: &str) -> Option<String> {
    let address = core.strip_prefix("mailto:").unwrap_or(core);
    let (name, host) = address.split_once('@')?;
    (!name.is_empty() && host.contains('.')).then(|| format!("{} at {}", marks(name), marks(host)))
}

/// `https://www.example.com/listings`, `example.com`.
fn web(core: &str) -> Option<String> {
    let bare = core.split_once("://").map(|(scheme, rest)| (matches!(scheme, "http" | "https"), rest));
    let (known, rest) = match bare {
        Some((known, rest)) => (known, rest),
        None => (false, core),
    };
    let rest = rest.strip_prefix("www.").unwrap_or(rest).trim_end_matches('/');
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let host = rest.split('/').next().unwrap_or(rest);
    let (front, ending) = host.rsplit_once('.')?;
    let named = ENDINGS.contains(&ending) && front.chars().any(char::is_alphabetic);
    (known || named || core.starts_with("www.")).then(|| marks(rest))
}

/// Endings that make a word with a point in it a web address even without `https`.
const ENDINGS: [&str; 10] = ["com", "org", "net", "io", "co", "us", "info", "gov", "edu", "homes"];

/// Points, dashes and the like by name; letters as they are, digits one by one.
fn marks(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '.' => out.push_str(" dot "),
            '-' => out.push_str(" dash "),
            '_' => out.push_str(" underscore "),
            '/' => out.push_str(" slash "),
            '+' => out.push_str(" plus "),
            '0'..='9' => out.push_str(&format!(" {} ", digits(&c.to_string()))),
            c if c.is_alphabetic() => out.push(c),
            _ => out.push(' '),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `(512) 555-0142`, `512-555-0142`, `512.555.0142`, `+1 512 555 0142`, `555-0142`: groups with a pause between.
fn telephone(words: &[Word], at: usize) -> Option<Said> {
    let mut groups: Vec<String> = Vec::new();
    for (taken, word) in words[at..].iter().take(5).enumerate() {
        let core = word.core.strip_prefix('+').unwrap_or(&word.core);
        // `(512)555-0142` in one piece.
        let parts: Vec<&str> =
            core.split(['-', '.', ')', '‑', '–']).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.iter().any(|part| !part.bytes().all(|b| b.is_ascii_digit())) {
            return None;
        }
        groups.extend(parts.iter().map(|part| (*part).to_owned()));
        if is_telephone(&groups, words[at].lead.contains('(') || words[at].core.starts_with('+')) {
            let text: Vec<String> = groups.iter().map(|group| digits(group)).collect();
            return Some(Said::new(text.join(" , "), taken + 1));
        }
        if !word.trail.is_empty() && word.trail != ")" {
            return None;
        }
    }
    None
}

/// Whether groups of digits have the lengths of a North American number.
fn is_telephone(groups: &[String], marked: bool) -> bool {
    let lengths: Vec<usize> = groups.iter().map(String::len).collect();
    match lengths[..] {
        [3, 3, 4] => true,
        [1, 3, 3, 4] => groups[0] == "1",
        [3, 4] => !marked && (groups[0] == "555" || groups[1].starts_with('0')),
        [10] => groups[0].starts_with(['2', '3', '4', '5', '6', '7', '8', '9']),
        _ => false,
    }
}
