//! Days and times of day as callers name them, said back in words: "Saturday at ten in the morning".
//!
//! Nothing is turned into a date: which Saturday is meant is for the team to settle. Pure.

use crate::text::spoken_numbers::read_number;

use super::streets::capitalised;

/// The day and time that the words name, ready to be spoken; `None` where neither is there.
pub(super) fn read_when(words: &[String]) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let stem = word.strip_suffix("'s").unwrap_or(word);
        let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
        let day = match stem {
            "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday" => {
                capitalised(stem)
            }
            "today" | "tomorrow" | "tonight" => stem.to_owned(),
            "weekend" => "the weekend".to_owned(),
            "week" if before == "next" => "next week".to_owned(),
            _ => continue,
        };
        let next = before == "next" && day.chars().next().is_some_and(char::is_uppercase);
        let day = if next { format!("next {day}") } else { day };
        if !parts.contains(&day) && parts.len() < 2 {
            parts.push(day);
        }
    }
    let mut when = parts.join(" or ");
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    let part_of_day = if has(&["morning", "am"]) || words.windows(2).any(|w| w == ["a", "m"]) {
        " in the morning"
    } else if has(&["afternoon"]) {
        " in the afternoon"
    } else if has(&["evening"]) {
        " in the evening"
    } else {
        ""
    };
    let clock = read_clock(words);
    let pm = has(&["pm"]) || words.windows(2).any(|w| w == ["p", "m"]);
    match clock {
        Some((hour, minutes)) => {
            when.push_str(" at ");
            when.push_str(HOURS[hour - 1]);
            if let Some(minutes) = minutes {
                when.push(' ');
                when.push_str(minutes);
            }
            when.push_str(match (part_of_day, pm) {
                ("", true) if (5..12).contains(&hour) => " in the evening",
                ("", true) => " in the afternoon",
                (part, _) => part,
            });
        }
        None if has(&["noon", "midday"]) => when.push_str(" at noon"),
        None if when.is_empty() => when.push_str(part_of_day),
        None => when.push_str(part_of_day.trim_start_matches(" in the")),
    }
    let when = when.trim_start().to_owned();
    (!when.is_empty()).then_some(when)
}

const HOURS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Hour of twelve and spoken minutes.
fn read_clock(words: &[String]) -> Option<(usize, Option<&'static str>)> {
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
        if let Some((hour, minutes)) = word.split_once(':')
            && let Some(time) = clock(hour.parse().ok()?, minutes.parse().ok()?)
        {
            return Some(time);
        }
        let Some(number) = read_number(words, at) else { continue };
        let after = words.get(at + number.words).map_or("", String::as_str);
        let then = words.get(at + number.words + 1).map_or("", String::as_str);
        let marked = matches!(after, "am" | "pm" | "o'clock" | "oclock" | "in")
            || matches!((after, then), ("a" | "p", "m"));
        let timed = matches!(before, "at" | "around" | "about" | "after" | "by" | "past");
        let day_before =
            before.ends_with("day") || before == "tomorrow" || matches!(before, "morning" | "afternoon");
        if !(marked || timed || day_before) || number.value.fract() != 0.0 {
            continue;
        }
        let value = number.value as u32;
        // "ten thirty" is read as 1030.
        let (hour, minutes) = if value > 24 { (value / 100, value % 100) } else { (value, 0) };
        let minutes = if before == "past" && at >= 2 && words[at - 2] == "half" { 30 } else { minutes };
        if let Some(time) = clock(hour, minutes) {
            return Some(time);
        }
    }
    None
}

fn clock(hour: u32, minutes: u32) -> Option<(usize, Option<&'static str>)> {
    let minutes = match minutes {
        0 => None,
        10 => Some("ten"),
        15 => Some("fifteen"),
        20 => Some("twenty"),
        30 => Some("thirty"),
        40 => Some("forty"),
        45 => Some("forty-five"),
        50 => Some("fifty"),
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
            ("sunday afternoon", Some("Sunday afternoon")),
            ("half past four on monday", Some("Monday at four thirty")),
            ("tomorrow at noon", Some("tomorrow at noon")),
            ("at the weekend", Some("the weekend")),
            ("can I see it", None),
            ("the home at 45 Lake Avenue", None),
        ] {
            assert_eq!(read_when(&split_words(text)).as_deref(), expected, "{text}");
        }
    }
}
