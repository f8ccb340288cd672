//! Dates: days, months, weekdays and spans of them. What is all digits is read month first, unless it cannot be.

use super::amount::{fraction, is_denominator, leading_fraction, split_range};
use super::numbers::{ordinal, year};
use super::word::{Word, all_digits};
use super::{Point, Said, clock};

/// `June 5`, `Jun. 5th, 2025`, `5 June`, `June 5-7`, `2025-06-05`, `6/5/2025`, `on 6/15`, `Sat, Jun 7`, `Mon-Fri`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some(text) = numeric_date(word.core).or_else(|| timestamp(word.core)) {
        return Some(Said::new(text, 1));
    }
    month_and_day(words, at).or_else(|| day_first(words, at)).or_else(|| say_named(words, at))
}

/// What begins with the name of a month or a weekday: both have a capital.
pub(super) fn say_named(words: &[Word<'_>], at: usize) -> Option<Said> {
    if !words[at].is_capitalised() {
        return None;
    }
    month_first(words, at).or_else(|| weekdays(words, at))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn month_first(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let month = month(word.core)?;
    if let Some(next) = words.get(at + 1).filter(|_| word.is_joined()) {
        if let Some((days, taken)) = days(words, at + 1) {
            return Some(with_year(words, at, 1 + taken, format!("{month} {days}")));
        }
        if let Some(number) = four_digits(next.core) {
            return Some(Said::new(format!("{month} {}", year(number)), 2));
        }
    }
    // An abbreviated month that stands alone; the full name needs no rule.
    (word.core.len() < month.len() && word.trail.starts_with('.')).then(|| Said::abbreviation(month, 1))
}

/// `5`, `5th`, `5-7`, `5 - 7`.
fn days(words: &[Word<'_>], at: usize) -> Option<(String, usize)> {
    let word = words.get(at)?;
    if let Some((from, to)) = split_range(word.core) {
        return Some((format!("{} to {}", ordinal(day(from)?), ordinal(day(to)?)), 1));
    }
    let from = day(word.core)?;
    if word.trail.is_empty()
        && words.get(at + 1).is_some_and(|dash| dash.is_dash() && dash.trail.is_empty())
        && let Some(to) = words.get(at + 2).and_then(|to| day(to.core))
        && from < to
    {
        return Some((format!("{} to {}", ordinal(from), ordinal(to)), 3));
    }
    Some((ordinal(from), 1))
}

/// `5 May` is a date; `5 May 5` would be odd English anyway.
fn day_first(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let day_number = day(word.core).filter(|_| word.trail.is_empty())?;
    let month = month(words.get(at + 1)?.core)?;
    let alone = words.get(at + 2).is_none_or(|word| day(word.core).is_none());
    alone.then(|| with_year(words, at, 2, format!("{month} {}", ordinal(day_number))))
}

fn with_year(words: &[Word<'_>], at: usize, taken: usize, text: String) -> Said {
    let last = &words[at + taken - 1];
    match words.get(at + taken).and_then(|word| four_digits(word.core)) {
        Some(number) if matches!(last.trail, "" | ",") => {
            Said::new(format!("{text} , {}", year(number)), taken + 1)
        }
        _ => Said::new(text, taken),
    }
}

fn month(core: &str) -> Option<&'static str> {
    let short = |full: &&str| core.len() == 3 && full.starts_with(core);
    MONTHS
        .into_iter()
        .find(|full| *full == core || short(full))
        .or_else(|| (core == "Sept").then_some("September"))
}

fn day(core: &str) -> Option<u64> {
    let digits = core.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let ending = &core[digits.len()..];
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 2 && all_digits(digits))?;
    (matches!(ending, "" | "st" | "nd" | "rd" | "th") && (1..=31).contains(&number)).then_some(number)
}

fn four_digits(core: &str) -> Option<u64> {
    (core.len() == 4 && all_digits(core))
        .then(|| core.parse().ok())
        .flatten()
        .filter(|year| (1_000..3_000).contains(year))
}

/// `2025-06-15`, `6/15/2025`, `6/15/25`, `15.06.2025`.
fn numeric_date(core: &str) -> Option<String> {
    let mark = core.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
    let parts: Vec<&str> = core.split(mark).collect();
    let [a, b, c] = parts[..] else { return None };
    if !parts.iter().all(|part| all_digits(part)) {
        return None;
    }
    let (y, m, d) = match (a.len(), b.len(), c.len()) {
        (4, 1..=2, 1..=2) => (a.parse::<u64>().ok()?, b, c),
        (1..=2, 1..=2, 4) => (c.parse().ok()?, a, b),
        (1..=2, 1..=2, 2) if mark == '/' => (2_000 + c.parse::<u64>().ok()?, a, b),
        _ => return None,
    };
    let (m, d) = if day(m).is_some_and(|m| m > 12) { (d, m) } else { (m, d) };
    Some(format!("{} {} , {}", month_of(m)?, ordinal(day(d)?), year(y)))
}

/// `2025-06-15T14:30:00Z`, as programs write it: RFC 3339 section 5.6. Seconds are not for the ear.
fn timestamp(core: &str) -> Option<String> {
    let (date, time) = core.split_once('T')?;
    let zone = if time.ends_with('Z') { " UTC" } else { "" };
    let minute = clock::say(&[Word::bare(time.get(..5)?)], 0)?;
    Some(format!("{} at {}{zone}", numeric_date(date)?, minute.text))
}

fn month_of(digits: &str) -> Option<&'static str> {
    MONTHS.get(digits.parse::<usize>().ok()?.checked_sub(1)?).copied()
}

/// `on 6/15`, `Mon 6/1`, `6/15-6/20`: a day of the year, where it is no fraction.
fn month_and_day(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let parse = |core: &str| {
        let (m, d) = core.split_once('/').filter(|(m, d)| all_digits(m) && all_digits(d))?;
        Some(format!("{} {}", month_of(m)?, ordinal(day(d)?)))
    };
    if let Some((from, to)) = split_range(word.core) {
        return Some(Said::new(format!("{} to {}", parse(from)?, parse(to)?), 1));
    }
    let text = parse(word.core)?;
    let before = at.checked_sub(1).map(|before| &words[before]);
    let dated = before.is_some_and(|before| {
        let usual = leading_fraction(word.core).is_some();
        let lower = before.lower();
        DATED.contains(&lower.as_ref())
            || !usual && MAYBE_DATED.contains(&lower.as_ref())
            || weekday(before.core).is_some()
    });
    let (_, d) = word.core.split_once('/')?;
    let loan = words.get(at + 1).is_some_and(|next| next.core == "ARM");
    (!loan && (dated || fraction(word.core).is_none() && !is_denominator(d))).then(|| Said::new(text, 1))
}

/// Words that a day follows.
const DATED: [&str; 9] = ["on", "until", "till", "since", "starting", "through", "thru", "dated", "due"];
/// Words that a day or an amount follows.
const MAYBE_DATED: [&str; 6] = ["by", "before", "after", "from", "available", "date"];

const WEEKDAYS: [(&str, &[&str]); 7] = [
    ("Monday", &["Mon"]),
    ("Tuesday", &["Tue", "Tues"]),
    ("Wednesday", &["Wed"]),
    ("Thursday", &["Thu", "Thur", "Thurs"]),
    ("Friday", &["Fri"]),
    ("Saturday", &["Sat"]),
    ("Sunday", &["Sun"]),
];

/// The weekday that a word is, short or in full.
pub(super) fn weekday(core: &str) -> Option<&'static str> {
    WEEKDAYS.iter().find(|(full, short)| *full == core || short.contains(&core)).map(|(full, _)| *full)
}

/// Whether a word names a month or a weekday.
pub(super) fn is_named_day(core: &str) -> bool {
    weekday(core).is_some() || month(core).is_some()
}

/// `Mon`, `Mon-Fri`, `Sat.`; `Wed`, `Sat` and `Sun` only in company, for they are words too.
fn weekdays(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some((from, to)) = split_range(word.core) {
        let days = (weekday(from.trim_end_matches('.')), weekday(to));
        let (from, to) = match (from, to) {
            ("M", "F") => ("Monday", "Friday"),
            _ => (days.0?, days.1?),
        };
        return Some(Said::abbreviation(format!("{from} to {to}"), 1));
    }
    let full = weekday(word.core).filter(|full| *full != word.core)?;
    let company = !matches!(word.core, "Wed" | "Sat" | "Sun")
        || word.trail.starts_with('.')
        || words.get(at + 1).is_some_and(|next| follows_day(words, at + 1, next))
        || at > 0 && precedes_day(words, at);
    // The point of `Tues. June 10` ends nothing.
    let dated = words.get(at + 1).is_some_and(|next| is_named_day(next.core));
    let point = if dated { Point::Title } else { Point::Abbreviation };
    company.then(|| Said { point, ..Said::new(full, 1) })
}

fn follows_day(words: &[Word<'_>], at: usize, next: &Word<'_>) -> bool {
    let named = words.get(at + 1).is_some_and(|behind| weekday(behind.core).is_some());
    is_named_day(next.core)
        || next.starts_with_digit()
        || matches!(next.core, "at" | "@" | "morning" | "afternoon" | "evening" | "noon")
        || named && (next.is_dash() || matches!(next.core, "&" | "and" | "or" | "to" | "through" | "thru"))
}

fn precedes_day(words: &[Word<'_>], at: usize) -> bool {
    let before = &words[at - 1];
    let named_before = at > 1 && weekday(words[at - 2].core).is_some();
    let leads_name = words.get(at + 1).is_some_and(|next| words[at].is_open() && next.is_capitalised());
    weekday(before.core).is_some()
        || named_before
            && (before.is_dash() || matches!(before.core, "&" | "and" | "or" | "to" | "through" | "thru"))
        || !leads_name && matches!(before.lower().as_ref(), "on" | "this" | "next" | "every" | "by" | "until")
}
