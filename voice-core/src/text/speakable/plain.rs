//! Numbers of no special kind, common abbreviations, and whatever is left: only letters and pauses come out.

use super::amounts::per;
use super::numbers::{cardinal, decimal, digits, year};
use super::places::ordinal_word;
use super::{Said, Word};

/// The digits, commas and point at the start of a text, if they make a well-formed number, and what follows.
pub(super) fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.').unwrap_or(text.len());
    let number = text[..end].trim_end_matches(['.', ',']);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let groups: Vec<&str> = whole.split(',').collect();
    let grouped =
        groups.len() == 1 || groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let whole_is_right =
        groups.iter().all(|group| digits(group)) || whole.is_empty() && number.starts_with('.');
    (grouped && whole_is_right && digits(fraction)).then(|| (number, &text[number.len()..]))
}

/// A text that is a number and nothing else.
pub(super) fn number_of(text: &str) -> Option<&str> {
    split_number(text).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

/// `1st` as 1.
pub(super) fn ordinal_of(core: &str) -> Option<u64> {
    let (number, ending) = split_number(core)?;
    matches!(ending, "st" | "nd" | "rd" | "th").then(|| number.replace(',', "").parse().ok()).flatten()
}

/// Two sides of a dash.
pub(super) fn split_range(core: &str) -> Option<(&str, &str)> {
    let (left, right) = core.split_once(['-', '–', '—', '‑'])?;
    (!left.is_empty() && !right.is_empty() && !right.contains(['-', '–', '—'])).then_some((left, right))
}

/// Percentages, ordinals, fractions, ranges, decades, years, counts.
pub(super) fn number(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let core = word.core.as_str();
    if let Some(text) = ordinal_word(core).or_else(|| decade(word)) {
        return Some(Said::new(text, 1));
    }
    // `2 1/2` and `2½`.
    if let Some((left, right)) = mixed(core) {
        return Some(Said::new(format!("{left} and {right}"), 1));
    }
    if number_of(core).is_some()
        && word.trail.is_empty()
        && let Some(part) = words.get(at + 1).and_then(|next| fraction(&next.core))
    {
        return Some(Said::new(format!("{} and {part}", decimal(core)), 2));
    }
    if let Some(part) = fraction(core) {
        return Some(Said::new(
            part.strip_prefix("a ").map_or(part.to_owned(), |part| format!("one {part}")),
            1,
        ));
    }
    if core == "24/7" {
        return Some(Said::new("twenty four seven", 1));
    }
    let (sign, bare) = match core.chars().next()? {
        '-' | '−' => ("minus ", core.trim_start_matches(['-', '−'])),
        '~' | '≈' => ("about ", core.trim_start_matches(['~', '≈'])),
        '+' => ("plus ", core.trim_start_matches('+')),
        '<' => ("under ", core.trim_start_matches('<')),
        _ => ("", core),
    };
    if let Some((left, right)) = split_range(bare) {
        let (from, (to, end)) = (number_of(left.strip_suffix('%').unwrap_or(left))?, split_number(right)?);
        let end = ending(end)?;
        // Groups of very different length are a code, not a range.
        if from.len() + 3 < to.len() || from.len() > to.len() + 1 || from.starts_with('0') {
            return Some(Said::new(format!("{} , {}{end}", digits(from), digits(to)), 1));
        }
        return Some(Said::new(format!("{sign}{} to {}{end}", quantity(from), quantity(to)), 1));
    }
    let (number, end) = split_number(bare)?;
    let end = ending(end)?;
    if end == " percent" || sign == "minus " {
        return Some(Said::new(format!("{sign}{}{end}", decimal(number)), 1));
    }
    Some(Said::new(format!("{sign}{}{end}", quantity(number)), 1))
}

/// What may be glued to a number.
fn ending(text: &str) -> Option<String> {
    Some(match text {
        "" => String::new(),
        "%" => " percent".into(),
        "+" => " plus".into(),
        "k" | "K" => " thousand".into(),
        "M" => " million".into(),
        "x" | "X" => " times".into(),
        _ => match text.strip_prefix('/') {
            Some(unit) => format!(" {}", per(unit)?),
            None => return None,
        },
    })
}

/// A count; four digits without a comma in the range of years are read as a year.
fn quantity(number: &str) -> String {
    match number.parse::<u64>() {
        Ok(value @ 1_100..=2_099) if number.len() == 4 => year(value),
        // A run of digits that long is a code, not a count.
        Ok(_) if number.len() >= 7 => digits(number),
        _ => decimal(number),
    }
}

/// `1990s`, `'90s`.
fn decade(word: &Word) -> Option<String> {
    let digits = word.core.strip_suffix('s').map(|core| core.trim_end_matches('\''))?;
    let number: u64 = digits.parse().ok().filter(|number| number % 10 == 0)?;
    let words = match digits.len() {
        4 => year(number),
        2 => cardinal(number),
        _ => return None,
    };
    Some(words.strip_suffix('y').map_or_else(|| format!("{words}s"), |stem| format!("{stem}ies")))
}

fn mixed(core: &str) -> Option<(String, &'static str)> {
    let last = core.chars().next_back()?;
    let part = fraction(last.encode_utf8(&mut [0; 4]))?;
    Some((decimal(number_of(&core[..core.len() - last.len_utf8()])?), part))
}

fn fraction(core: &str) -> Option<&'static str> {
    Some(match core {
        "1/2" | "½" => "a half",
        "1/3" | "⅓" => "a third",
        "2/3" | "⅔" => "two thirds",
        "1/4" | "¼" => "a quarter",
        "3/4" | "¾" => "three quarters",
        "1/8" | "⅛" => "an eighth",
        _ => return None,
    })
}

/// Abbreviations of every kind, with the next word where it decides.
pub(super) fn abbreviation(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let dotted = word.trail.starts_with('.');
    let next = words.get(at + 1);
    let numbered = next.is_some_and(|next| next.core.starts_with(|c: char| c.is_ascii_digit()));
    let text = match word.lower().as_str() {
        "&" | "+" if next.is_some() => "and",
        "w/" => "with",
        "w/o" => "without",
        "w/d" => "washer and dryer",
        "a/c" => "AC",
        "and/or" => "and or",
        "n/a" => "not available",
        "approx" => "approximately",
        "avg" => "average",
        "etc" => "et cetera",
        "vs" => "versus",
        "incl" => "including",
        "e.g" => "for example",
        "i.e" => "that is",
        "est" if dotted && numbered => "established",
        "no" if dotted && numbered => "number",
        "bldg" => "building",
        "mgmt" => "management",
        "dept" => "department",
        "hoa" if word.core != "HOA" => "H O A",
        "mr" if dotted => "Mister",
        "mrs" if dotted => "Missus",
        "ms" if dotted => "Miz",
        "jr" if dotted => "Junior",
        "sr" if dotted => "Senior",
        "dr" if dotted => "Doctor",
        "inc" if dotted => "Incorporated",
        "bd" | "bds" | "br" | "brs" | "bdrm" => "bedrooms",
        "ba" => "baths",
        "ft" if dotted => "feet",
        _ => {
            let unit = word.core.strip_prefix('/').filter(|unit| !unit.is_empty())?;
            return Some(Said::abbreviation(per(unit)?, 1));
        }
    };
    let title = matches!(text, "Mister" | "Missus" | "Miz" | "Doctor");
    Some(Said { is_title: title, ..Said::abbreviation(text, 1) })
}

/// Everything else: letters stay, digits and symbols are named, what has no sound goes.
pub(super) fn letters(core: &str) -> String {
    let mut out = String::with_capacity(core.len());
    let mut rest = core;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '0'..='9' => {
                let run = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number = &rest[..run];
                let words =
                    if run <= 4 && !number.starts_with('0') { quantity(number) } else { digits(number) };
                out.push_str(&format!(" {words} "));
                taken = run;
            }
            c if c.is_alphabetic() => out.push(c),
            '\'' => out.push('\''),
            '-' | '‑' if out.ends_with(char::is_alphabetic) && next_is_letter(&rest[taken..]) => {
                out.push('-')
            }
            '.' if next_is_letter(&rest[taken..]) && out.ends_with(char::is_alphabetic) => {
                // `U.S` and `p.m` are letters one by one; `end.Next` is a missing space.
                out.push_str(if out.chars().rev().nth(1).is_none_or(|c| c == ' ') { " " } else { " , " });
            }
            '—' | '–' | ';' | ':' | '|' | '•' | '·' | '…' | ',' | '!' | '?' => out.push_str(" , "),
            '&' => out.push_str(" and "),
            '+' => out.push_str(" plus "),
            '=' => out.push_str(" equals "),
            '@' => out.push_str(" at "),
            '%' => out.push_str(" percent "),
            '$' => out.push_str(" dollars "),
            '°' => out.push_str(" degrees "),
            '→' => out.push_str(" to "),
            '²' => out.push_str(" squared "),
            _ => out.push(' '),
        }
        rest = &rest[taken..];
    }
    out
}

fn next_is_letter(rest: &str) -> bool {
    rest.starts_with(char::is_alphabetic)
}
