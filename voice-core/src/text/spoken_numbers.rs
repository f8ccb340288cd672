//! Spoken numbers: reads "five hundred and twenty-five thousand", "twelve oh eight" or "1.2 million" from words.
//!
//! Takes the words that [`split_words`](super::words::split_words) gives. It says what a run of words is worth, not
//! what it means; a price or a bedroom count is the caller's reading. Pure; callers: `text::words`, the concierge.

use std::fmt;

/// A number found in a list of words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpokenNumber {
    /// Its value, finite and not negative.
    pub value: f64,
    /// How many words it takes.
    pub words: usize,
}

impl fmt::Display for SpokenNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ten decimals lose the noise of binary fractions, trimming leaves what was said.
        let text = format!("{:.10}", self.value);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Longest run of words read as one number; nobody says more, and a loop needs an end.
const MAX_WORDS: usize = 16;
/// Longest digit token read as a number: doubles hold fifteen digits exactly. Longer ones are codes.
const MAX_DIGITS: usize = 15;

/// Whether a word is written in digits and has a value.
pub fn is_number_token(word: &str) -> bool {
    digits_value(word).is_some()
}

/// Reads the number that starts at `words[at]`, as long as it goes. `None` where none starts there.
///
/// Pairs as in years and house numbers are read together ("nineteen ninety eight" is 1998, "five fifty" 550), single
/// digits from three on as a code ("one two oh eight" is 1208); two digits in a row stay two numbers.
pub fn read_number<W: AsRef<str>>(words: &[W], at: usize) -> Option<SpokenNumber> {
    let word = |i: usize| if i < at + MAX_WORDS { words.get(i).map(AsRef::as_ref) } else { None };
    read_fraction(&word, at).or_else(|| read_digit_run(&word, at)).or_else(|| read_cardinal(&word, at))
}

/// All numbers of a text, each with the index of its first word.
pub fn read_numbers<W: AsRef<str>>(words: &[W]) -> Vec<(usize, SpokenNumber)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match read_number(words, at) {
            Some(number) => {
                found.push((at, number));
                at += number.words;
            }
            None => at += 1,
        }
    }
    found
}

fn digits_value(word: &str) -> Option<f64> {
    let plain =
        word.bytes().all(|b| b.is_ascii_digit() || b == b'.') && word.bytes().any(|b| b.is_ascii_digit());
    if plain && word.len() <= MAX_DIGITS { word.parse().ok() } else { None }
}

fn unit(word: &str) -> Option<f64> {
    let value = match word {
        "zero" => 0.0,
        "one" => 1.0,
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "six" => 6.0,
        "seven" => 7.0,
        "eight" => 8.0,
        "nine" => 9.0,
        _ => return None,
    };
    Some(value)
}

fn teen(word: &str) -> Option<f64> {
    let value = match word {
        "ten" => 10.0,
        "eleven" => 11.0,
        "twelve" => 12.0,
        "thirteen" => 13.0,
        "fourteen" => 14.0,
        "fifteen" => 15.0,
        "sixteen" => 16.0,
        "seventeen" => 17.0,
        "eighteen" => 18.0,
        "nineteen" => 19.0,
        _ => return None,
    };
    Some(value)
}

fn tens(word: &str) -> Option<f64> {
    let value = match word {
        "twenty" => 20.0,
        "thirty" => 30.0,
        "forty" | "fourty" => 40.0,
        "fifty" => 50.0,
        "sixty" => 60.0,
        "seventy" => 70.0,
        "eighty" => 80.0,
        "ninety" => 90.0,
        _ => return None,
    };
    Some(value)
}

fn scale(word: &str) -> Option<f64> {
    match word {
        "thousand" | "thousands" | "grand" | "k" => Some(1e3),
        "million" | "millions" | "mil" | "mill" => Some(1e6),
        "billion" => Some(1e9),
        _ => None,
    }
}

/// "half a million", "a quarter of a million", "three quarters of a million".
fn read_fraction<'a>(word: &impl Fn(usize) -> Option<&'a str>, at: usize) -> Option<SpokenNumber> {
    let mut next = at;
    if word(next) == Some("a") {
        next += 1;
    }
    let share = match (word(next)?, word(next + 1)) {
        ("half", _) => 0.5,
        ("quarter", _) => 0.25,
        ("three", Some("quarters")) => {
            next += 1;
            0.75
        }
        _ => return None,
    };
    next += 1;
    for filler in ["of", "a"] {
        if word(next) == Some(filler) {
            next += 1;
        }
    }
    let scale = word(next).and_then(scale).filter(|scale| *scale >= 1e6)?;
    Some(SpokenNumber { value: share * scale, words: next + 1 - at })
}

/// Three or more single digits in a row: "one two oh eight".
fn read_digit_run<'a>(word: &impl Fn(usize) -> Option<&'a str>, at: usize) -> Option<SpokenNumber> {
    let digit = |i: usize| {
        let word = word(i)?;
        if i > at && matches!(word, "oh" | "o") { Some(0.0) } else { unit(word) }
    };
    let mut value = 0.0;
    let mut next = at;
    while let Some(d) = digit(next).filter(|_| next - at < MAX_DIGITS) {
        value = value * 10.0 + d;
        next += 1;
    }
    let goes_on = word(next).is_some_and(|w| scale(w).is_some() || matches!(w, "hundred" | "point"));
    (next - at >= 3 && !goes_on).then_some(SpokenNumber { value, words: next - at })
}

/// What the words of a cardinal have been worth so far.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// Nothing that a number may follow directly.
    Closed,
    /// A unit or a teen.
    Small,
    /// Twenty to ninety: a unit may follow.
    Tens,
    /// Hundred: anything below may follow, also after "and".
    Hundred,
    /// A number in digits.
    Digits,
}

fn read_cardinal<'a>(word: &impl Fn(usize) -> Option<&'a str>, at: usize) -> Option<SpokenNumber> {
    let (mut total, mut lowest_scale) = (0.0, f64::INFINITY);
    let mut current: Option<f64> = None;
    let mut last = Last::Closed;
    let mut next = at;
    if word(at) == Some("a") {
        let follows = word(at + 1)?;
        if follows != "hundred" && scale(follows).is_none() || follows == "k" {
            return None;
        }
        current = Some(1.0);
        next += 1;
        last = Last::Small;
    }
    while let Some(w) = word(next) {
        let value = current.unwrap_or(0.0);
        if let Some(v) = digits_value(w) {
            if current.is_some() {
                break;
            }
            current = Some(v);
            last = Last::Digits;
        } else if let Some(v) = unit(w) {
            match (current, last) {
                (None, _) => last = Last::Small,
                (Some(_), Last::Tens | Last::Hundred) if v > 0.0 => last = Last::Small,
                _ => break,
            }
            current = Some(value + v);
        } else if let Some((v, kind)) =
            teen(w).map(|v| (v, Last::Small)).or_else(|| tens(w).map(|v| (v, Last::Tens)))
        {
            current = match (current, last) {
                (None, _) => Some(v),
                (Some(c), Last::Hundred) => Some(c + v),
                // "nineteen ninety", "five fifty": a pair. Round and large ones are two numbers.
                (Some(c), Last::Small | Last::Tens) if (1.0..100.0).contains(&c) => Some(c * 100.0 + v),
                _ => break,
            };
            last = kind;
        } else if matches!(w, "oh" | "o") && matches!(last, Last::Small | Last::Tens) && value < 100.0 {
            // "twelve oh eight"
            let Some(v) = word(next + 1).and_then(unit) else { break };
            current = Some(value * 100.0 + v);
            last = Last::Closed;
            next += 1;
        } else if w == "hundred" {
            match current {
                Some(c) if (1.0..100.0).contains(&c) => current = Some(c * 100.0),
                _ => break,
            }
            last = Last::Hundred;
        } else if let Some(s) = scale(w) {
            if current.is_none() || s >= lowest_scale {
                break;
            }
            total += value * s;
            lowest_scale = s;
            current = None;
            last = Last::Closed;
        } else if w == "m" && last == Last::Digits {
            total += value * 1e6;
            lowest_scale = 1e6;
            current = None;
            last = Last::Closed;
        } else if w == "point" && current.is_some() {
            let (mut fraction, mut place, mut read) = (0.0, 0.1, 0);
            while let Some(d) = word(next + 1 + read).and_then(unit).filter(|_| read < 6) {
                fraction += d * place;
                place /= 10.0;
                read += 1;
            }
            if read == 0 {
                let Some(v) = word(next + 1).and_then(digits_value).filter(|v| *v < 10.0 && v.fract() == 0.0)
                else {
                    break;
                };
                fraction = v / 10.0;
                read = 1;
            }
            current = Some(value + fraction);
            last = Last::Closed;
            next += read;
        } else if w == "and" {
            let rest = (word(next + 1), word(next + 2));
            if rest == (Some("a"), Some("half")) && (current.is_some() || lowest_scale.is_finite()) {
                // "two and a half", "a million and a half"
                match current {
                    Some(c) => current = Some(c + 0.5),
                    None => total += lowest_scale * 0.5,
                }
                last = Last::Closed;
                next += 2;
            } else {
                let small =
                    rest.0.is_some_and(|w| unit(w).is_some() || teen(w).is_some() || tens(w).is_some());
                let joins = last == Last::Hundred || (current.is_none() && lowest_scale.is_finite());
                // "a thousand and four hundred" is rare, "between one and five hundred" is not.
                if !joins
                    || !small
                    || rest.1.is_some_and(|w| w == "hundred" || scale(w).is_some()) && current.is_none()
                {
                    break;
                }
            }
        } else {
            break;
        }
        next += 1;
    }
    if next == at || (current.is_none() && !lowest_scale.is_finite()) {
        return None;
    }
    Some(SpokenNumber { value: total + current.unwrap_or(0.0), words: next - at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words::split_words;

    fn values(text: &str) -> Vec<f64> {
        read_numbers(&split_words(text)).into_iter().map(|(_, n)| n.value).collect()
    }

    #[test]
    fn spoken_and_written_numbers_have_their_values() {
        for (text, expected) in [
            ("five hundred thousand", 500_000.0),
            ("five hundred and twenty-five thousand", 525_000.0),
            ("half a million", 500_000.0),
            ("a quarter of a million", 250_000.0),
            ("three quarters of a million", 750_000.0),
            ("1.2 million", 1_200_000.0),
            ("one point two million", 1_200_000.0),
            ("one point one five million", 1_150_000.0),
            ("a million and a half", 1_500_000.0),
            ("one and a half million", 1_500_000.0),
            ("a million", 1_000_000.0),
            ("$500,000", 500_000.0),
            ("500k", 500_000.0),
            ("1.2m", 1_200_000.0),
            ("400 grand", 400_000.0),
            ("five fifty", 550.0),
            ("five twenty five", 525.0),
            ("nineteen ninety eight", 1998.0),
            ("twenty fifteen", 2015.0),
            ("two thousand fifteen", 2015.0),
            ("two thousand and fifteen", 2015.0),
            ("twelve oh eight", 1208.0),
            ("one two oh eight", 1208.0),
            ("twenty two oh one", 2201.0),
            ("forty five", 45.0),
            ("eighteen hundred", 1800.0),
            ("two and a half", 2.5),
            ("one million one hundred fifty thousand", 1_150_000.0),
            ("a hundred and five", 105.0),
        ] {
            assert_eq!(values(text), [expected], "{text}");
        }
    }

    #[test]
    fn numbers_side_by_side_stay_apart() {
        assert_eq!(values("three bedrooms and two baths"), [3.0, 2.0]);
        assert_eq!(values("between four and five hundred thousand"), [4.0, 500_000.0]);
        assert_eq!(values("two three bedroom homes"), [2.0, 3.0]);
        assert_eq!(values("300 400"), [300.0, 400.0]);
        assert!(values("a home and another").is_empty());
        assert!(values("1234567890123456789").is_empty());
    }
}
