//! Telephone numbers, digit by digit in groups, with their extensions.

use super::Said;
use super::numbers::digits;
use super::word::{Word, all_digits};

/// `(512) 555-0142`, `512.555.0142`, `+1 512 555 0142`, `5125550142`, `555-0142 x12`, `+44 20 7946 0958`, `call 911`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    // `512-555-0199x3`: the extension is glued to it.
    if let Some((front, line)) = words[at].core.split_once(['x', 'X'])
        && front.len() >= SHORTEST
        && all_digits(line)
        && line.len() <= 6
    {
        let said = say(&[Word::bare(front)], 0)?;
        return Some(Said { text: format!("{} , extension {}", said.text, digits(line)), ..said });
    }
    let (groups, taken) = number(words, at)?;
    let text: Vec<String> = groups.iter().map(|group| say_group(group)).collect();
    let mut text = text.join(" , ");
    if words[at].core.starts_with('+') && groups[0] != "1" {
        text = format!("plus {text}");
    }
    let (extension, more) = extension(words, at + taken).unwrap_or_default();
    Some(Said { quiet: true, ..Said::new(text + &extension, taken + more) })
}

fn say_group(group: &str) -> String {
    if group == "800" { "eight hundred".to_owned() } else { digits(group) }
}

/// Bytes of the shortest number with its area: `5125550199`.
const SHORTEST: usize = 10;

/// Words that a telephone number may take: country, area, exchange, line, and one for a stray space.
const LONGEST: usize = 5;

/// Groups of digits that are a telephone number, and how many words they take.
fn number<'a>(words: &[Word<'a>], at: usize) -> Option<(Vec<&'a str>, usize)> {
    let first = words[at].core;
    let first = first.strip_prefix("tel:").unwrap_or(first);
    let plus = first.starts_with('+');
    let before = at.checked_sub(1).map(|before| words[before].lower()).unwrap_or_default();
    let called =
        matches!(before.as_ref(), "call" | "dial" | "text" | "phone" | "tel" | "telephone" | "cell" | "fax");
    if called && matches!(first, "911" | "311" | "411") {
        return Some((vec![first], 1));
    }
    let mut groups: Vec<&str> = Vec::new();
    let mut abroad = None;
    for (i, word) in words[at..].iter().take(LONGEST).enumerate() {
        let core = if i == 0 { first.trim_start_matches('+') } else { word.core };
        // `(512)555-0142` in one piece; a dash of its own is no group.
        let parts = core.split(['-', '.', ')', '/', '(', '–']).filter(|part| !part.is_empty());
        for part in parts {
            if !all_digits(part) {
                return abroad;
            }
            groups.push(part);
        }
        if groups.is_empty() {
            return None;
        }
        if let Some(groups) = american(&groups, words[at].lead.contains('(') || plus, called) {
            return Some((groups, i + 1));
        }
        let total: usize = groups.iter().map(|group| group.len()).sum();
        // ITU-T E.164 section 6: at most 15 digits. Fewer than 8 are no number with a country's code.
        if plus && (8..=15).contains(&total) && groups[0] != "1" {
            abroad = Some((groups.clone(), i + 1));
        }
        if !matches!(word.trail, "" | ")") {
            break;
        }
    }
    abroad
}

/// The groups of a North American number, if their lengths are right.
fn american<'a>(groups: &[&'a str], marked: bool, called: bool) -> Option<Vec<&'a str>> {
    let ten = |number: &'a str| vec![&number[..3], &number[3..6], &number[6..]];
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    match lengths[..] {
        [3, 3, 4] => Some(groups.to_vec()),
        [1, 3, 3, 4] if groups[0] == "1" => Some(groups.to_vec()),
        [3, 4] if !marked && (called || groups[0] == "555" || groups[1].starts_with('0')) => {
            Some(groups.to_vec())
        }
        [10] if groups[0].starts_with(|c: char| matches!(c, '2'..='9')) => Some(ten(groups[0])),
        [11] if groups[0].starts_with('1') => Some([vec!["1"], ten(&groups[0][1..])].concat()),
        [1, 10] if groups[0] == "1" => Some([vec!["1"], ten(groups[1])].concat()),
        _ => None,
    }
}

/// `x12`, `x 12`, `ext. 12` behind a number: how it is said, and how many words it takes.
fn extension(words: &[Word<'_>], at: usize) -> Option<(String, usize)> {
    let word = words.get(at).filter(|_| matches!(words[at - 1].trail, "" | ","))?;
    let said = |number: &str, taken| {
        let right = all_digits(number) && number.len() <= 6;
        right.then(|| (format!(" , extension {}", digits(number)), taken))
    };
    let lower = word.lower();
    let glued =
        lower.strip_prefix("ext").or_else(|| lower.strip_prefix('x')).or_else(|| lower.strip_prefix('#'));
    if let Some(number) =
        glued.map(|number| number.trim_start_matches('.')).filter(|number| !number.is_empty())
    {
        return said(number, 1);
    }
    let named = matches!(lower.as_ref(), "x" | "ext" | "extension") && word.is_joined();
    said(words.get(at + 1).filter(|_| named)?.core, 2)
}
