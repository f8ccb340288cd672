//! Times of day and dates.

use super::numbers::{cardinal, minutes, ordinal, year};
use super::plain::split_range;
use super::{Said, Word};

/// `10:30`, `10:30 am`, `3pm`, `10am-5pm`, `1-4 pm`.
pub(super) fn time(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let after = words.get(at + 1).filter(|_| word.is_open()).and_then(|next| half(&next.core));
    if let Some((left, right)) = split_range(&word.core) {
        let (from, to) = (Clock::parse(left)?, Clock::parse(right)?);
        let taken = if to.half.is_none() && after.is_some() { 2 } else { 1 };
        let to = Clock { half: to.half.or(after), ..to };
        let sure = from.is_sure() || to.half.is_some();
        let ends = to.half.is_some();
        let from = Clock { full_hour: false, ..from };
        return sure
            .then(|| format!("{} to {}", from.say(), to.say()))
            .map(|text| if ends { Said::abbreviation(text, taken) } else { Said::new(text, taken) });
    }
    let clock = Clock::parse(&word.core)?;
    if clock.half.is_none()
        && let Some(half) = after
    {
        return Some(Said::abbreviation(Clock { half: Some(half), ..clock }.say(), 2));
    }
    clock.is_sure().then(|| match clock.half {
        Some(_) => Said::abbreviation(clock.say(), 1),
        None => Said::new(clock.say(), 1),
    })
}

struct Clock {
    hour: u64,
    minute: u64,
    /// Minutes were written, even if they are zero.
    full_hour: bool,
    half: Option<&'static str>,
}

impl Clock {
    fn parse(core: &str) -> Option<Self> {
        let lower = core.to_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_alphabetic() || c == '.');
        let half = match &lower[digits.len()..] {
            "" => None,
            mark => Some(half(mark)?),
        };
        let (hour, minute) = digits.split_once(':').map_or((digits, None), |(h, m)| (h, Some(m)));
        let number = |text: &str| (text.len() <= 2).then(|| text.parse::<u64>().ok()).flatten();
        let minute_number = match minute {
            Some(minute) if minute.len() == 2 => number(minute)?,
            Some(_) => return None,
            None => 0,
        };
        let hour = number(hour)?;
        let right = minute_number < 60 && if half.is_some() { (1..=12).contains(&hour) } else { hour < 24 };
        right.then_some(Self { hour, minute: minute_number, full_hour: minute.is_some(), half })
    }

    /// A bare number is a time only in company.
    fn is_sure(&self) -> bool {
        self.half.is_some() || self.full_hour
    }

    fn say(&self) -> String {
        let hour = cardinal(self.hour);
        let end = match (self.half, self.minute) {
            (Some(half), _) => format!(" {half}"),
            (None, 0) if self.full_hour && (1..=12).contains(&self.hour) => " o'clock".to_owned(),
            (None, 0) if self.full_hour => " hundred".to_owned(),
            _ => String::new(),
        };
        format!("{hour}{}{end}", minutes(self.minute))
    }
}

/// `am`, `p.m.` and their like.
fn half(mark: &str) -> Option<&'static str> {
    match mark.to_lowercase().trim_end_matches('.') {
        "am" | "a.m" => Some("AM"),
        "pm" | "p.m" => Some("PM"),
        _ => None,
    }
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
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `June 5`, `Jun. 5th, 2025`, `5 June`, `June 2025`, `2025-06-05`, `6/5/2025`, `Sat, Jun 7`.
pub(super) fn date(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some(text) = numeric_date(&word.core) {
        return Some(Said::new(text, 1));
    }
    if let Some(month) = month(&word.core) {
        let next = words.get(at + 1).filter(|_| word.trail.is_empty() || word.trail == ".");
        let Some(next) = next else { return None.or_else(|| long_form(word, month)) };
        if let Some(day) = day(&next.core) {
            let text = format!("{month} {}", ordinal(day));
            return Some(with_year(words, at, 2, text));
        }
        if let Some(number) = four_digits(&next.core) {
            return Some(Said::new(format!("{month} {}", year(number)), 2));
        }
        return long_form(word, month);
    }
    if let Some(day) = day(&word.core)
        && word.trail.is_empty()
        && let Some(month) = words.get(at + 1).and_then(|next| month(&next.core))
        // "5 May" is a date; "5 May be" would be odd English anyway.
        && words.get(at + 2).is_none_or(|word| day_is_absent(&word.core))
    {
        return Some(with_year(words, at, 2, format!("{month} {}", ordinal(day))));
    }
    let next = words.get(at + 1)?;
    let full = WEEKDAYS.iter().find(|full| is_short_for(&word.core, full, 3))?;
    let dated = month(&next.core).is_some() || next.core.starts_with(|c: char| c.is_ascii_digit());
    (dated || word.trail.starts_with('.')).then(|| Said::abbreviation(*full, 1))
}

fn day_is_absent(core: &str) -> bool {
    day(core).is_none()
}

/// An abbreviated month that stands alone; the full name needs no rule.
fn long_form(word: &Word, month: &str) -> Option<Said> {
    (word.core.len() < month.len() && word.trail.starts_with('.')).then(|| Said::abbreviation(month, 1))
}

fn with_year(words: &[Word], at: usize, taken: usize, text: String) -> Said {
    let last = &words[at + taken - 1];
    match words.get(at + taken).and_then(|word| four_digits(&word.core)) {
        Some(number) if last.trail.is_empty() || last.trail == "," => {
            Said::new(format!("{text} , {}", year(number)), taken + 1)
        }
        _ => Said::new(text, taken),
    }
}

fn month(core: &str) -> Option<&'static str> {
    MONTHS
        .into_iter()
        .find(|full| *full == core || is_short_for(core, full, 3))
        .or_else(|| (core == "Sept").then_some("September"))
}

/// `Sat` for `Saturday`, with a capital.
fn is_short_for(core: &str, full: &str, length: usize) -> bool {
    core.len() == length && full.starts_with(core)
        || core.len() == 4 && matches!((core, full), ("Tues", "Tuesday") | ("Thur", "Thursday"))
}

fn day(core: &str) -> Option<u64> {
    let digits = core.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let ending = &core[digits.len()..];
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 2)?;
    (matches!(ending, "" | "st" | "nd" | "rd" | "th") && (1..=31).contains(&number)).then_some(number)
}

fn four_digits(core: &str) -> Option<u64> {
    (core.len() == 4).then(|| core.parse().ok()).flatten().filter(|year| (1_000..3_000).contains(year))
}

fn numeric_date(core: &str) -> Option<String> {
    let parts: Vec<&str> = core.split(['-', '/']).collect();
    let [a, b, c] = parts[..] else { return None };
    if parts.iter().any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let (y, m, d) = match (a.len(), b.len(), c.len()) {
        (4, 1..=2, 1..=2) => (a.parse::<u64>().ok()?, b, c),
        (1..=2, 1..=2, 4) => (c.parse().ok()?, a, b),
        (1..=2, 1..=2, 2) if core.contains('/') => (2_000 + c.parse::<u64>().ok()?, a, b),
        _ => return None,
    };
    let month = MONTHS.get(m.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(format!("{month} {} , {}", ordinal(day(d)?), year(y)))
}
