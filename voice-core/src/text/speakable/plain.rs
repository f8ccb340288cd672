//! Numbers of no special kind, spans of them, and whatever is left: only letters and pauses come out.

use super::amount::{
    fraction, leading_fraction, number_of, ordinal_of, split_number, split_range, value_of, whole_digits,
};
use super::contacts::is_letter;
use super::numbers::{cardinal, decimal, digits, ordinal, year};
use super::word::{Word, all_digits};
use super::{Said, calendar, clock, measures, rules};

pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if word.is_dash() {
        return Some(dash(words, at));
    }
    let core = word.core;
    // `'05`.
    if word.lead.ends_with('\'') && core.len() == 2 && core.starts_with('0') && all_digits(core) {
        return Some(Said::new(format!("oh {}", digits(&core[1..])), 1));
    }
    // `2nd-floor`.
    if let Some((number, noun)) = core.split_once('-')
        && let Some(number) = ordinal_of(number)
        && noun.starts_with(is_letter)
    {
        return Some(Said::new(format!("{} {}", ordinal(number), rest(noun)), 1));
    }
    if let Some(text) =
        ordinal_of(core).map(ordinal).or_else(|| decade(core)).or_else(|| shorthand(words, at))
    {
        return Some(Said::new(text, 1));
    }
    part(words, at).or_else(|| number(word))
}

/// A dash between words: "to" between the ends of a span, else a pause.
fn dash(words: &[Word<'_>], at: usize) -> Said {
    let neighbours = at.checked_sub(1).map(|before| &words[before]).zip(words.get(at + 1));
    let Some((before, next)) =
        neighbours.filter(|(before, _)| before.is_open() && words[at].trail.is_empty())
    else {
        return Said::new(" , ", 1);
    };
    // `2- or 3-bedroom`.
    if matches!(next.core, "or" | "and" | "to") && before.starts_with_digit() {
        return Said::new("", 1);
    }
    let side = |core: &str| split_number(core).map(|(number, _)| (value_of(number), whole_digits(number)));
    let days = calendar::is_named_day(before.core) && calendar::is_named_day(next.core);
    let dates = calendar::is_named_day(next.core) && before.starts_with_digit();
    let from_time = clock::half(before.core).is_some() || clock::is_time(words, at - 1);
    let to_time = clock::is_time(words, at + 1);
    let times = from_time && (to_time || clock::is_hour(next.core)) || to_time && clock::is_hour(before.core);
    let rises = side(before.core)
        .zip(side(next.core))
        .is_some_and(|((from, digits), (to, more))| from < to && more <= digits + 1);
    let ends = before.core.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '%' | 'k' | 'K'));
    Said::new(if days || dates || times || rises && ends { "to" } else { " , " }, 1)
}

/// `24/7`, `401(k)`, `1031 exchange`, `30/360`: what has a name of its own.
fn shorthand(words: &[Word<'_>], at: usize) -> Option<String> {
    let core = words[at].core;
    Some(match core {
        "24/7" => "twenty four seven".to_owned(),
        "401k" | "401(k" | "401K" => "four oh one K".to_owned(),
        "1031" if words.get(at + 1).is_some_and(|next| next.lower().starts_with("exchange")) => {
            "ten thirty one".to_owned()
        }
        // An adjustable loan: the years fixed, and how often it changes then.
        _ if words.get(at + 1).is_some_and(|next| next.core == "ARM") => {
            let (fixed, then) = core.split_once('/').filter(|(a, b)| all_digits(a) && all_digits(b))?;
            format!("{} {}", decimal(fixed), decimal(then))
        }
        // `4.5/5`, `8/10`, `4/5 stars`: marks that are given.
        _ if core.contains('/') => {
            let (mark, most) = core.split_once('/').filter(|(_, most)| all_digits(most))?;
            let mark = number_of(mark)?;
            let stars = words.get(at + 1).is_some_and(|next| next.lower().starts_with("star"));
            let given = mark.contains('.') || stars || matches!(most, "10" | "100") && mark != "1";
            given.then(|| format!("{} out of {}", decimal(mark), decimal(most)))?
        }
        // `16:9`, `2:1`: what is no time is a ratio.
        _ => {
            let (left, right) = core.split_once(':').filter(|(a, b)| all_digits(a) && all_digits(b))?;
            format!("{} to {}", decimal(left), decimal(right))
        }
    })
}

/// Fractions: `1/2`, `2 1/2`, `2½`, `1/2-acre`.
fn part(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some(text) = fraction(word.core) {
        return Some(Said::new(text, 1));
    }
    if let Some((part, rest)) = leading_fraction(word.core) {
        // "a half acre lot", "a three quarter acre lot".
        let noun = rest.strip_prefix('-').filter(|noun| noun.chars().all(is_letter))?;
        let part = part.trim_start_matches("a ").trim_end_matches('s');
        let noun = measures::say(&[Word::bare("1"), Word::bare(noun)], 0)
            .map_or(noun.to_owned(), |said| said.text.trim_start_matches("one ").to_owned());
        return Some(Said::new(format!("{part} {noun}"), 1));
    }
    let (number, rest) = split_number(word.core)?;
    if let Some((part, "")) = leading_fraction(rest.strip_prefix('-').unwrap_or(rest)) {
        return Some(Said::new(format!("{} and {part}", decimal(number)), 1));
    }
    let next = words.get(at + 1).filter(|_| rest.is_empty() && word.trail.is_empty())?;
    match leading_fraction(next.core) {
        Some((part, "")) => Some(Said::new(format!("{} and {part}", decimal(number)), 2)),
        _ => None,
    }
}

/// Counts, percentages, spans, years, codes.
fn number(word: &Word<'_>) -> Option<Said> {
    let (sign, core) = word.core.strip_prefix('+').map_or(("", word.core), |core| ("plus ", core));
    let said = |text: String| Some(Said::new(format!("{sign}{text}"), 1));
    if let Some((left, right)) = split_range(core) {
        let (from, (to, end)) = (number_of(left.strip_suffix('%').unwrap_or(left))?, split_number(right)?);
        let end = ending(end)?;
        return said(format!("{}{end}", span(from, to)));
    }
    if core.contains('.') && core.split('.').count() > 2 && core.split('.').all(all_digits) {
        if let Some(number) = number_of(core) {
            return said(decimal(number));
        }
        return said(core.split('.').map(decimal).collect::<Vec<_>>().join(" point "));
    }
    if core.split('-').count() > 2 && core.split('-').all(all_digits) {
        return said(core.split('-').map(digits).collect::<Vec<_>>().join(" , "));
    }
    let (number, end) = split_number(core)?;
    let end = ending(end)?;
    if end == " percent" {
        said(format!("{}{end}", decimal(number)))
    } else {
        said(format!("{}{end}", quantity(number)))
    }
}

/// Both ends of a span; groups of digits that cannot be one are a code.
fn span(from: &str, to: &str) -> String {
    let years = from.len() == 4 && to.len() == 2 && matches!(from.parse(), Ok(1_800..=2_099));
    if years && from[2..] < *to {
        return format!("{} to {}", quantity(from), decimal(to));
    }
    let (left, right) = (whole_digits(from), whole_digits(to));
    let leading_zero = from.starts_with('0') && left > 1;
    if left + 2 < right || left > right + 1 || leading_zero {
        return format!("{} , {}", digits(from), digits(to));
    }
    format!("{} to {}", quantity(from), quantity(to))
}

/// What may be glued to a number.
fn ending(text: &str) -> Option<String> {
    Some(match text {
        "" => String::new(),
        "%" => " percent".into(),
        "+" => " plus".into(),
        "%+" | "+%" => " percent plus".into(),
        "k" | "K" => " thousand".into(),
        "M" => " million".into(),
        "x" | "X" => " times".into(),
        _ => format!(" {}", measures::per(text.strip_prefix('/')?)?),
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

/// `1990s`, `'90s`, `low 500s`.
fn decade(core: &str) -> Option<String> {
    let digits = core.strip_suffix('s').map(|core| core.trim_end_matches('\''))?;
    let number: u64 = digits.parse().ok().filter(|number| number % 10 == 0)?;
    let words = match digits.len() {
        4 => year(number),
        2 | 3 => cardinal(number),
        _ => return None,
    };
    Some(words.strip_suffix('y').map_or_else(|| format!("{words}s"), |stem| format!("{stem}ies")))
}

/// A word that no rule knows. Where signs join several words in it, each is said by the rules for itself.
pub(super) fn rest(core: &str) -> String {
    let mut out = String::with_capacity(core.len());
    let mut rest = core;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .find_map(|(at, c)| joins(&rest[..at], c, &rest[at + c.len_utf8()..]).map(|_| at));
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if part.len() == core.len() {
            return letters(core);
        }
        if !part.is_empty() {
            out.push_str(&rules(&[Word::bare(part)], 0).text);
        }
        let Some(c) = behind.chars().next() else { break };
        let after = &behind[c.len_utf8()..];
        out.push_str(joins(part, c, after).unwrap_or(" "));
        rest = if c == '.' { after.trim_start_matches('.') } else { after };
    }
    out
}

/// Bytes of the longest unit behind a slash: `bedroom`. Longer text need not be looked up from each of its slashes.
const LONGEST_PER: usize = 7;

/// What a sign between two parts of a word says; `None` where it belongs to one of them.
fn joins(before: &str, c: char, after: &str) -> Option<&'static str> {
    let digit = |c: char| c.is_ascii_digit();
    Some(match c {
        '/' if after.starts_with(digit) && before.ends_with(is_letter) => " , ",
        // `7 days/week`.
        '/' if (before.ends_with('s') || matches!(before, "Price" | "price"))
            && after.len() <= LONGEST_PER
            && measures::per(after).is_some() =>
        {
            " per "
        }
        '/' | '\\' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '_' | '*' | '#' | '^' | '~' | '<' | '>' => " ",
        '—' | '–' | ';' | ':' | '|' | '•' | '·' | '…' | '!' | '?' | '\t' => " , ",
        ',' | '.' if before.ends_with(digit) && after.starts_with(digit) => return None,
        // `U.S` are letters one by one; `end.Next` is a missing space.
        '.' if before.ends_with(digit) && after.starts_with('.') => " to ",
        '.' if before.chars().count() == 1 && after.starts_with(is_letter) => " ",
        '.' if !before.is_empty() && after.starts_with(is_letter) => " , ",
        '.' if after.starts_with(digit) && before.is_empty() => return None,
        '.' => " ",
        ',' => " , ",
        '&' => " and ",
        '+' => " plus ",
        '=' => " equals ",
        '@' => " at ",
        '→' | '➡' => " to ",
        '×' => " by ",
        '-' if before.ends_with(is_letter) && after.starts_with(is_letter) => return None,
        '-' => " ",
        _ => return None,
    })
}

/// Letters stay, digits and symbols are named, what has no sound goes.
fn letters(core: &str) -> String {
    let mut out = String::with_capacity(core.len());
    let mut rest = core;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '0'..='9' => {
                let run = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number = &rest[..run];
                let code = run > 4 || number.starts_with('0');
                out.push(' ');
                out.push_str(&if code { digits(number) } else { quantity(number) });
                out.push(' ');
                taken = run;
                // `v2.0`.
                if rest[run..].starts_with('.') && rest[run + 1..].starts_with(|c: char| c.is_ascii_digit()) {
                    out.push_str("point ");
                    taken += 1;
                }
            }
            c if is_letter(c) => out.push(c),
            '\'' => out.push('\''),
            '-' if out.ends_with(char::is_alphabetic) && rest[taken..].starts_with(is_letter) => {
                out.push('-')
            }
            c => out.push_str(symbol(c)),
        }
        rest = &rest[taken..];
    }
    out
}

fn symbol(c: char) -> &'static str {
    match c {
        ',' => " , ",
        '&' => " and ",
        '+' => " plus ",
        '=' => " equals ",
        '@' => " at ",
        '%' => " percent ",
        '$' => " dollars ",
        '€' => " euros ",
        '£' => " pounds ",
        '¢' => " cents ",
        '°' => " degrees ",
        '→' | '➡' => " to ",
        '×' => " by ",
        '÷' => " divided by ",
        '²' => " squared ",
        '³' => " cubed ",
        '§' => " section ",
        '№' => " number ",
        '½' => " one half ",
        '¼' => " one quarter ",
        '¾' => " three quarters ",
        _ => " ",
    }
}
