//! Times of day and spans of them.

use super::Said;
use super::amount::split_range;
use super::numbers::{cardinal, minutes};
use super::word::Word;

/// `10:30`, `10:30 am`, `3pm`, `10:30a`, `10am-5pm`, `1-4 pm`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let after = words.get(at + 1).filter(|_| word.trail.is_empty()).and_then(|next| half(next.core));
    if let Some((left, right)) = split_range(word.core) {
        let (from, to) = (Clock::parse(left)?, Clock::parse(right)?);
        let taken = if to.half.is_none() && after.is_some() { 2 } else { 1 };
        let to = Clock { half: to.half.or(after), ..to };
        if !from.is_sure() && !to.is_sure() || from.is_loose() != to.is_loose() && to.is_loose() {
            return None;
        }
        let text = format!("{} to {}", Clock { full_hour: false, ..from }.say(), to.say());
        return Some(if to.half.is_some() {
            Said::abbreviation(text, taken)
        } else {
            Said::new(text, taken)
        });
    }
    let clock = Clock::parse(word.core).filter(|clock| !clock.is_loose())?;
    if clock.half.is_none() && after.is_some() {
        return Some(Said::abbreviation(Clock { half: after, ..clock }.say(), 2));
    }
    clock.is_sure().then(|| match clock.half {
        Some(_) => Said::abbreviation(clock.say(), 1),
        None => Said::new(clock.say(), 1),
    })
}

/// Whether a word is a time of day, alone or with the `am` behind it. A bare hour is none.
pub(super) fn is_time(words: &[Word<'_>], at: usize) -> bool {
    say(words, at).is_some()
}

/// Whether a text is a bare hour: "10" of "10 - 11:30".
pub(super) fn is_hour(core: &str) -> bool {
    Clock::parse(core).is_some()
}

struct Clock {
    hour: u64,
    minute: u64,
    /// Minutes were written, even if they are zero.
    full_hour: bool,
    half: Option<&'static str>,
    /// The half of the day was one letter.
    short: bool,
}

impl Clock {
    fn parse(core: &str) -> Option<Self> {
        let lower = core.to_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_alphabetic() || c == '.');
        let mark = &lower[digits.len()..];
        let half = match mark {
            "" => None,
            "a" => Some("AM"),
            "p" => Some("PM"),
            mark => Some(half(mark)?),
        };
        let (hour, minute) =
            digits.split_once(':').map_or((digits, None), |(hour, minute)| (hour, Some(minute)));
        let number = |text: &str| {
            ((1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
                .then(|| text.parse::<u64>().ok())?
        };
        let minute_number = match minute {
            Some(minute) if minute.len() == 2 => number(minute)?,
            Some(_) => return None,
            None => 0,
        };
        let hour = number(hour)?;
        let right = minute_number < 60 && if half.is_some() { (1..=12).contains(&hour) } else { hour < 24 };
        let short = mark.len() == 1;
        right.then_some(Self { hour, minute: minute_number, full_hour: minute.is_some(), half, short })
    }

    /// A bare number is a time only in company.
    fn is_sure(&self) -> bool {
        self.half.is_some() || self.full_hour
    }

    /// `9a` is a time in "9a-5p"; alone it is a unit's number.
    fn is_loose(&self) -> bool {
        self.short && !self.full_hour
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
pub(super) fn half(mark: &str) -> Option<&'static str> {
    match mark.to_lowercase().trim_end_matches('.') {
        "am" | "a.m" => Some("AM"),
        "pm" | "p.m" => Some("PM"),
        _ => None,
    }
}
