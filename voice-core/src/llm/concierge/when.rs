//! Days and times of day as callers name them, said back in words: "Saturday at ten in the morning".
//!
//! A number is a time only where something says so: a day or "at" before it, "pm" or "o'clock" behind it. "I am" is
//! no morning, and a house number no hour. Nothing is turned into a date: which Saturday is meant is for the team to
//! settle. Pure.

use crate::text::spoken_numbers::{SpokenNumber, read_number};

use super::criteria::phrase;
use super::streets::capitalised;

/// The day and time that the words name, ready to be spoken; `None` where neither is there. Words inside the `taken`
/// ranges are addresses and are passed over.
pub(super) fn read_when(words: &[String], taken: &[(usize, usize)]) -> Option<String> {
    let mut days: Vec<String> = Vec::new();
    for at in 0..words.len() {
        let Some(day) = read_day(words, at) else { continue };
        if !days.contains(&day) && days.len() < 2 {
            days.push(day);
        }
    }
    let clock = read_clock(words, taken);
    let mut when = days.join(" or ");
    let part = part_of_day(words);
    if let Some(clock) = clock {
        when.push(' ');
        when.push_str(&clock.spoken(part));
    } else if let Some(part) = part {
        when.push_str(if days.is_empty() { " in the " } else { " " });
        when.push_str(part);
    }
    let when = when.trim_start().to_owned();
    (!when.is_empty()).then_some(when)
}

/// Words that [`read_when`] puts before a time of day.
const HOWS: [&str; 4] = ["at ", "after ", "before ", "around "];

/// Whether a reading of [`read_when`] is a time of day without its day.
pub(super) fn is_clock(when: &str) -> bool {
    HOWS.iter().any(|how| when.starts_with(how))
}

/// Whether a reading of [`read_when`] has a time of day.
pub(super) fn has_clock(when: &str) -> bool {
    is_clock(when) || HOWS.iter().any(|how| when.contains(&format!(" {how}")))
}

/// The day that the word at `at` names.
fn read_day(words: &[String], at: usize) -> Option<String> {
    let word = &words[at];
    let stem = word.strip_suffix("'s").unwrap_or(word);
    let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
    let after = words.get(at + 1).map_or("", String::as_str);
    Some(match stem {
        _ if is_weekday(stem) && before == "next" => format!("next {}", capitalised(stem)),
        _ if is_weekday(stem) => capitalised(stem),
        "today" | "tomorrow" | "tonight" => stem.to_owned(),
        "weekend" => "the weekend".to_owned(),
        // "the 5th"; which month is for the team to ask.
        _ if is_date(stem)
            && matches!(before, "the" | "on")
            && !matches!(after, "one" | "home" | "floor" | "house") =>
        {
            format!("the {stem}")
        }
        "week" if before == "next" => "next week".to_owned(),
        _ => return None,
    })
}

/// A day of the month as recognisers write it: "5th".
fn is_date(word: &str) -> bool {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let ending = &word[digits.len()..];
    matches!(ending, "st" | "nd" | "rd" | "th") && digits.parse().is_ok_and(|day: u8| (1..=31).contains(&day))
}

fn is_weekday(word: &str) -> bool {
    matches!(word, "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday")
}

/// Whether a word names a day, so that a number behind it is an hour.
pub(super) fn is_day(word: &str) -> bool {
    is_weekday(word) || matches!(word, "today" | "tomorrow" | "tonight" | "morning" | "afternoon" | "evening")
}

fn part_of_day(words: &[String]) -> Option<&'static str> {
    let greets = phrase(words, &["good", "morning"])
        || phrase(words, &["good", "afternoon"])
        || phrase(words, &["good", "evening"]);
    let mut parts = words.iter().filter_map(|w| match w.as_str() {
        "morning" | "mornings" => Some("morning"),
        "afternoon" | "afternoons" => Some("afternoon"),
        "evening" | "evenings" => Some("evening"),
        _ => None,
    });
    // "Good morning, can I see it in the afternoon": the first one greets.
    parts.nth(usize::from(greets))
}

/// A time of day as it was said.
#[derive(Clone, Debug, PartialEq)]
struct Clock {
    /// "at", "after", "around": what stood before it.
    how: &'static str,
    /// 1 to 12; `None` is noon.
    hour: Option<usize>,
    minutes: &'static str,
    pm: Option<bool>,
}

impl Clock {
    fn spoken(&self, part: Option<&str>) -> String {
        let Some(hour) = self.hour else { return format!("{} noon", self.how) };
        let minutes = if self.minutes.is_empty() { String::new() } else { format!(" {}", self.minutes) };
        let part = part.or(match self.pm {
            Some(false) => Some("morning"),
            Some(true) if (5..12).contains(&hour) => Some("evening"),
            Some(true) => Some("afternoon"),
            None => None,
        });
        let part = part.map_or_else(String::new, |part| format!(" in the {part}"));
        format!("{} {}{minutes}{part}", self.how, HOURS[hour - 1])
    }
}

const HOURS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

fn read_clock(words: &[String], taken: &[(usize, usize)]) -> Option<Clock> {
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    let mut at = 0;
    while at < words.len() {
        if let Some((_, end)) = taken.iter().find(|(start, end)| (*start..*end).contains(&at)) {
            at = *end;
            continue;
        }
        let before = at.checked_sub(1).map_or("", word);
        if matches!(word(at), "noon" | "midday") && !matches!(before, "after" | "this") {
            return Some(Clock { how: how_of(before), hour: None, minutes: "", pm: None });
        }
        if let Some(time) = written(word(at)) {
            return Some(finish(words, at, 1, time));
        }
        let Some(number) = read_number(words, at) else {
            at += 1;
            continue;
        };
        let found = spoken(words, at, number);
        if let Some((first, length, time)) = found {
            return Some(finish(words, first, length, time));
        }
        at += number.words;
    }
    None
}

/// "10:30".
fn written(word: &str) -> Option<(usize, &'static str)> {
    let (hour, minutes) = word.split_once(':')?;
    clock(hour.parse().ok()?, minutes.parse().ok()?)
}

/// A time around the number at `at`: its first word, how many words it takes, and hour with minutes.
fn spoken(
    words: &[String],
    at: usize,
    number: SpokenNumber,
) -> Option<(usize, usize, (usize, &'static str))> {
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    let back = |n: usize| at.checked_sub(n).map_or("", word);
    let end = at + number.words;
    // "half past two", "a quarter to three", "ten past two".
    if matches!(back(1), "past" | "to" | "till" | "until") && at >= 2 {
        let past = back(1) == "past";
        let minutes = match back(2) {
            "half" if past => Some("thirty"),
            "quarter" if past => Some("fifteen"),
            "quarter" => Some("forty-five"),
            "ten" | "10" if past => Some("ten"),
            "twenty" | "20" if past => Some("twenty"),
            "ten" | "10" => Some("fifty"),
            "twenty" | "20" => Some("forty"),
            _ => None,
        };
        if let Some(minutes) = minutes
            && number.value.fract() == 0.0
            && (1.0..=12.0).contains(&number.value)
        {
            let hour = number.value as usize;
            let hour = if past { hour } else { (hour + 10) % 12 + 1 };
            let first = if back(3) == "a" { at - 3 } else { at - 2 };
            return Some((first, end - first, (hour, minutes)));
        }
    }
    let (after, then) = (word(end), word(end + 1));
    let marked = matches!(after, "am" | "pm" | "o'clock" | "oclock" | "ish" | "sharp")
        || matches!((after, then), ("a" | "p", "m") | ("o", "clock"))
        || after == "in" && then == "the" && matches!(word(end + 2), "morning" | "afternoon" | "evening");
    // What may follow an hour. A noun would be counted: "about three bedrooms".
    let ends = matches!(
        after,
        "" | "on"
            | "in"
            | "this"
            | "next"
            | "then"
            | "or"
            | "and"
            | "would"
            | "works"
            | "is"
            | "if"
            | "for"
            | "to"
            | "at"
            | "with"
            | "please"
            | "today"
            | "tomorrow"
            | "tonight"
            | "the"
            | "do"
            | "can"
            | "does"
    ) || is_day(after)
        || written(after).is_some();
    let day_before = is_day(back(1));
    let timed = back(1) == "at"
        || matches!(back(1), "around" | "about" | "after" | "by" | "before" | "between" | "from")
            && number.value <= 12.0;
    if !(marked || (timed || day_before) && ends) {
        return None;
    }
    // "10.30" is a time too, where it is said to be one.
    if number.words == 1 && number.value.fract() != 0.0 {
        let (hour, minutes) = words[at].split_once('.')?;
        let time = clock(hour.parse().ok()?, minutes.parse().ok().filter(|_| minutes.len() == 2)?)?;
        return Some((at, 1, time));
    }
    if number.value.fract() != 0.0 || number.value > 1259.0 {
        return None;
    }
    let value = number.value as u32;
    // "ten thirty" is read as 1030; "five hundred" is no time.
    let (hour, minutes) = if value > 24 { (value / 100, value % 100) } else { (value, 0) };
    if value > 24 && minutes == 0 {
        return None;
    }
    clock(hour, minutes).map(|time| (at, number.words, time))
}

/// The time with what stands before and behind it.
fn finish(words: &[String], first: usize, length: usize, (hour, minutes): (usize, &'static str)) -> Clock {
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    let end = first + length;
    // Only right behind the hour: "I am looking" is no time of day.
    let pm = match (word(end), word(end + 1)) {
        ("am", _) | ("a", "m") => Some(false),
        ("pm", _) | ("p", "m") => Some(true),
        _ => None,
    };
    // "twelve noon"
    let noon = hour == 12 && minutes.is_empty() && word(end) == "noon";
    let how = how_of(first.checked_sub(1).map_or("", word));
    Clock { how, hour: (!noon).then_some(hour), minutes, pm }
}

fn how_of(before: &str) -> &'static str {
    match before {
        "after" | "from" => "after",
        "before" | "by" => "before",
        "around" | "about" => "around",
        _ => "at",
    }
}

fn clock(hour: u32, minutes: u32) -> Option<(usize, &'static str)> {
    let minutes = match minutes {
        0 => "",
        5 => "oh five",
        10 => "ten",
        15 => "fifteen",
        20 => "twenty",
        25 => "twenty-five",
        30 => "thirty",
        35 => "thirty-five",
        40 => "forty",
        45 => "forty-five",
        50 => "fifty",
        55 => "fifty-five",
        _ => return None,
    };
    match hour {
        1..=12 => Some((hour as usize, minutes)),
        13..=23 => Some((hour as usize - 12, minutes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words::split_words;

    #[test]
    fn days_and_times_are_said_back_in_words() {
        for (text, expected) in [
            ("can I see it on Saturday at ten", Some("Saturday at ten")),
            ("Saturday at 10 a.m.", Some("Saturday at ten in the morning")),
            ("tomorrow at 3pm", Some("tomorrow at three in the afternoon")),
            ("next Tuesday, ten thirty in the morning", Some("next Tuesday at ten thirty in the morning")),
            ("Friday 10:30", Some("Friday at ten thirty")),
            ("Friday at 10.30", Some("Friday at ten thirty")),
            ("sunday afternoon", Some("Sunday afternoon")),
            ("half past four on monday", Some("Monday at four thirty")),
            ("a quarter to three on monday", Some("Monday at two forty-five")),
            ("quarter past one tomorrow", Some("tomorrow at one fifteen")),
            ("ten to one on friday", Some("Friday at twelve fifty")),
            ("tomorrow at noon", Some("tomorrow at noon")),
            ("twelve noon tomorrow", Some("tomorrow at noon")),
            ("at the weekend", Some("the weekend")),
            ("around six on thursday", Some("Thursday around six")),
            ("see it on the 5th at 2", Some("the 5th at two")),
            ("friday after five", Some("Friday after five")),
            ("good morning can I see it at 5 o'clock", Some("at five")),
            ("nine forty five am on sunday", Some("Sunday at nine forty-five in the morning")),
        ] {
            assert_eq!(read_when(&split_words(text), &[]).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_read_as_one() {
        for text in [
            "can I see it",
            "the home at 45 Lake Avenue",
            "I am looking for a house",
            "I am at work",
            "what am I paying",
            "something around three bedrooms",
            "about five hundred thousand",
            "around 500",
            "built after 2010",
            "good morning",
            "two in Austin",
        ] {
            assert_eq!(read_when(&split_words(text), &[]), None, "{text}");
        }
        assert_eq!(
            read_when(&split_words("see the house at 9 in the morning"), &[(4, 5)]).as_deref(),
            Some("in the morning")
        );
    }
}
