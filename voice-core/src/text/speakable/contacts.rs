//! E-mail and web addresses, and names of files.

use super::Said;
use super::numbers::digits;
use super::word::Word;

/// `maria.lopez@example.com`, `https://www.example.com/listings`, `example.com`, `floorplan.pdf`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let core = words[at].core;
    let text = if core.contains('@') { email(core) } else { web(core).or_else(|| file(core)) };
    text.map(|text| Said::new(text, 1))
}

fn email(core: &str) -> Option<String> {
    let address = core.strip_prefix("mailto:").unwrap_or(core);
    let (name, host) = address.split_once('@')?;
    (!name.is_empty() && host.contains('.')).then(|| format!("{} at {}", marks(name), marks(host)))
}

fn web(core: &str) -> Option<String> {
    let (known, rest) = match core.split_once("://") {
        Some((scheme, rest)) => (scheme.bytes().all(|b| b.is_ascii_alphabetic()), rest),
        None => (false, core),
    };
    let named = known || rest.starts_with("www.");
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    // What a page is asked is not for the ear.
    let rest = rest.split(['?', '#']).next().unwrap_or(rest).trim_end_matches('/');
    let host = rest.split(['/', ':']).next().unwrap_or(rest);
    if named {
        return host.contains(char::is_alphanumeric).then(|| marks(rest));
    }
    let (front, ending) = host.rsplit_once('.')?;
    let ending = ending.to_lowercase();
    (ENDINGS.contains(&ending.as_str()) && front.chars().any(char::is_alphabetic)).then(|| marks(rest))
}

/// Endings that make a word with a point in it a web address even without `https`.
const ENDINGS: [&str; 22] = [
    "com", "org", "net", "io", "co", "us", "info", "gov", "edu", "homes", "house", "realtor", "estate",
    "app", "dev", "ai", "biz", "uk", "ca", "de", "eu", "example",
];

fn file(core: &str) -> Option<String> {
    let (front, ending) = core.rsplit_once('.')?;
    let known = matches!(
        ending.to_lowercase().as_str(),
        "pdf"
            | "html"
            | "htm"
            | "doc"
            | "docx"
            | "xls"
            | "xlsx"
            | "csv"
            | "txt"
            | "jpg"
            | "jpeg"
            | "png"
            | "zip"
    );
    (known && front.chars().any(char::is_alphanumeric)).then(|| marks(core))
}

/// Points, dashes and the like by name; letters as they are, digits one by one.
fn marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '.' => out.push_str(" dot "),
            '-' => out.push_str(" dash "),
            '_' => out.push_str(" underscore "),
            '/' => out.push_str(" slash "),
            '+' => out.push_str(" plus "),
            '0'..='9' => {
                out.push(' ');
                out.push_str(&digits(c.encode_utf8(&mut [0; 4])));
                out.push(' ');
            }
            c if is_letter(c) => out.push(c),
            _ => out.push(' '),
        }
    }
    out
}

/// A letter with a sound: some numerals count as letters too.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !c.is_numeric()
}
