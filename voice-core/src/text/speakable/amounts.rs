//! Prices, rooms, areas and other measures.

use super::numbers::{cardinal, decimal};
use super::plain::{number_of, split_number, split_range};
use super::{Said, Word};

/// `$525,000`, `$1.2M`, `$1.2 million`, `$3,200/month`, `$400k-$450k`.
pub(super) fn money(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some((left, right)) = split_range(&word.core)
        && let Some(mut from) = Price::parse(left)
        && let Some(mut to) = Price::parse(right).or_else(|| Price::parse(&format!("{}{right}", from.sign)))
    {
        let mut taken = 1;
        to.take_words(words, at, &mut taken);
        from.scale = from.scale.or(if from.amount.contains(',') { None } else { to.scale });
        return Some(Said::new(format!("{} to {}", from.bare(), to.say()), taken));
    }
    let mut price = Price::parse(&word.core)?;
    let mut taken = 1;
    price.take_words(words, at, &mut taken);
    Some(Said::new(price.say(), taken))
}

struct Price {
    sign: char,
    amount: String,
    scale: Option<&'static str>,
    more: bool,
    per: Option<String>,
}

impl Price {
    fn parse(core: &str) -> Option<Self> {
        let core = core.strip_prefix("US").unwrap_or(core);
        let sign = core.chars().next().filter(|c| matches!(c, '$' | '€' | '£'))?;
        let (amount, rest) = split_number(&core[sign.len_utf8()..])?;
        let (rest, per) = match rest.split_once('/') {
            Some((rest, unit)) => (rest, Some(per(unit)?)),
            None => (rest, None),
        };
        let (rest, more) = rest.strip_suffix('+').map_or((rest, false), |rest| (rest, true));
        let scale = match rest.to_lowercase().as_str() {
            "" => None,
            "k" => Some("thousand"),
            "m" | "mm" | "mil" | "million" => Some("million"),
            "b" | "bn" | "billion" => Some("billion"),
            _ => return None,
        };
        Some(Self { sign, amount: amount.to_owned(), scale, more, per })
    }

    /// Takes in `million`, `/month` and `/ month` that stand apart.
    fn take_words(&mut self, words: &[Word], at: usize, taken: &mut usize) {
        let next = |taken: usize| words.get(at + taken).filter(|_| words[at + taken - 1].is_open());
        if self.scale.is_none()
            && self.per.is_none()
            && let Some(word) = next(*taken)
        {
            self.scale = match word.lower().as_str() {
                "thousand" => Some("thousand"),
                "million" | "mil" => Some("million"),
                "billion" => Some("billion"),
                _ => None,
            };
            *taken += usize::from(self.scale.is_some());
        }
        if self.per.is_none()
            && let Some(word) = next(*taken)
            && let Some(unit) = word.core.strip_prefix('/')
        {
            if !unit.is_empty() {
                self.per = per(unit);
                *taken += usize::from(self.per.is_some());
            } else if let Some(unit) = words.get(at + *taken + 1) {
                self.per = per(&unit.core);
                *taken += if self.per.is_some() { 2 } else { 0 };
            }
        }
        // `$285/sq ft`: the unit's second half.
        if self.per.as_deref() == Some("per square")
            && let Some(word) = words.get(at + *taken)
        {
            self.per = Some(
                if word.lower().starts_with('m') { "per square meter" } else { "per square foot" }.into(),
            );
            *taken += usize::from(matches!(word.lower().as_str(), "ft" | "foot" | "feet" | "m" | "meter"));
        }
    }

    /// The amount without its currency, as in "four hundred to".
    fn bare(&self) -> String {
        let scale = self.scale.map(|scale| format!(" {scale}")).unwrap_or_default();
        format!("{}{scale}", decimal(&self.amount))
    }

    fn say(&self) -> String {
        let (one, many, cent) = match self.sign {
            '€' => ("euro", "euros", "cents"),
            '£' => ("pound", "pounds", "pence"),
            _ => ("dollar", "dollars", "cents"),
        };
        let mut text = match self.amount.split_once('.') {
            Some((whole, cents)) if cents.len() == 2 && self.scale.is_none() => {
                let name = if whole == "1" { one } else { many };
                let part = cents.parse().map(cardinal).unwrap_or_default();
                let part = if cents == "01" && cent == "cents" {
                    "one cent".into()
                } else {
                    format!("{part} {cent}")
                };
                match (whole.chars().all(|c| matches!(c, '0' | ',')), cents == "00") {
                    (_, true) => format!("{} {name}", decimal(whole)),
                    (true, false) => part,
                    (false, false) => format!("{} {name} and {part}", decimal(whole)),
                }
            }
            _ if self.amount == "1" && self.scale.is_none() => format!("one {one}"),
            _ => format!("{} {many}", self.bare()),
        };
        if self.more {
            text += " or more";
        }
        if let Some(per) = &self.per {
            text = format!("{text} {per}");
        }
        text
    }
}

/// What stands behind a slash after an amount.
pub(super) fn per(unit: &str) -> Option<String> {
    let unit = unit.trim_end_matches('.').to_lowercase();
    let name = match unit.as_str() {
        "mo" | "month" | "mth" => "month",
        "yr" | "year" => "year",
        "wk" | "week" => "week",
        "day" => "day",
        "night" | "nt" => "night",
        "hr" | "hour" => "hour",
        "sqft" | "sf" | "ft²" | "ft2" => "square foot",
        "sqm" | "m²" | "m2" => "square meter",
        "sq" => "square",
        "acre" | "ac" => "acre",
        "unit" | "person" | "guest" | "room" | "bedroom" | "quarter" => unit.as_str(),
        _ => return None,
    };
    Some(format!("per {name}"))
}

/// `3bd/2.5ba`, `3 bd`, `4BR`, `2.5 baths`, `3-bed`.
pub(super) fn rooms(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let parts: Vec<&str> = word.core.split('/').collect();
    let said: Vec<Option<String>> = parts.iter().map(|part| joined_rooms(part)).collect();
    if said.iter().any(Option::is_some) && parts.iter().all(|part| !part.is_empty()) {
        let said: Vec<String> = said
            .into_iter()
            .zip(&parts)
            .map(|(said, part)| said.unwrap_or_else(|| super::plain::letters(part)))
            .collect();
        return Some(Said::abbreviation(said.join(" , "), 1));
    }
    // `3 bd / 2 ba` and `3 bd`: the slash is a word of its own or begins the next.
    let next = words.get(at + 1).filter(|_| word.is_open())?;
    if !is_count(&word.core) {
        return None;
    }
    let (unit, rest) = next.core.split_once('/').map_or((next.core.as_str(), None), |(u, r)| (u, Some(r)));
    let room = room(unit)?;
    let text = format!("{} {}", count(&word.core), plural(room, &word.core));
    match rest {
        None if words.get(at + 2).is_some_and(|word| word.core == "/") => {
            Some(Said::abbreviation(text + " ,", 3))
        }
        None => Some(Said::abbreviation(text, 2)),
        // `3 bd/2 ba`: the second count is glued to the first unit.
        Some(rest) if is_count(rest) => {
            let unit = self::room(&words.get(at + 2)?.core)?;
            Some(Said::abbreviation(format!("{text} , {} {}", count(rest), plural(unit, rest)), 3))
        }
        Some("") => Some(Said::abbreviation(text, 2)),
        Some(rest) => Some(Said::abbreviation(format!("{text} , {}", joined_rooms(rest)?), 2)),
    }
}

/// `3bd`, `3-bed`, `2.5ba`.
fn joined_rooms(part: &str) -> Option<String> {
    let (amount, unit) = split_number(part)?;
    match unit.strip_prefix('-') {
        Some(unit) => Some(format!("{} {}", count(amount), room(unit)?)),
        None => Some(format!("{} {}", count(amount), plural(room(unit)?, amount))),
    }
}

/// The room that an abbreviation means, in the singular.
fn room(unit: &str) -> Option<&'static str> {
    Some(match unit.trim_end_matches('.').to_lowercase().as_str() {
        "bd" | "bds" | "br" | "brs" | "bdr" | "bdrm" | "bdrms" | "bedroom" | "bedrooms" => "bedroom",
        "bed" | "beds" => "bed",
        "ba" | "bas" | "bth" | "bths" | "bath" | "baths" => "bath",
        "bathroom" | "bathrooms" => "bathroom",
        _ => return None,
    })
}

fn is_count(text: &str) -> bool {
    split_number(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// A count with halves and quarters: 2.5 is "two and a half".
fn count(amount: &str) -> String {
    let Some((whole, part)) = amount.split_once('.') else { return decimal(amount) };
    let part = match part {
        "0" => "",
        "5" | "50" => "a half",
        "25" => "a quarter",
        "75" => "three quarters",
        _ => return decimal(amount),
    };
    match (whole, part) {
        (whole, "") => decimal(whole),
        ("0", "three quarters") => part.to_owned(),
        ("0", part) => format!("{part} of a"),
        (whole, part) => format!("{} and {part}", decimal(whole)),
    }
}

fn plural(noun: &str, amount: &str) -> String {
    let one = matches!(amount, "1" | "1.0") || amount.starts_with("0.");
    match noun {
        _ if one => noun.to_owned(),
        "foot" => "feet".to_owned(),
        "square foot" => "square feet".to_owned(),
        _ => format!("{noun}s"),
    }
}

/// `1,850 sq ft`, `1850sqft`, `0.25 ac`, `12x14 ft`, `15 min`.
pub(super) fn measures(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some(said) = sides(words, at) {
        return Some(said);
    }
    if let Some((unit, taken)) = area_unit(words, at) {
        // No number of its own: "price per sq ft".
        let single = at > 0 && matches!(words[at - 1].lower().as_str(), "per" | "a" | "each" | "every");
        let text = if single { unit.to_owned() } else { plural(unit, "2") };
        return Some(Said::abbreviation(text, taken));
    }
    let (text, amount, rest) = measured_amount(&word.core)?;
    let (rest, more) = rest.strip_suffix('+').map_or((rest, ""), |rest| (rest, " plus"));
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    if !rest.is_empty() {
        let unit = measure(rest)?;
        return Some(Said::abbreviation(format!("{text} {}{more}", plural(unit, amount)), 1));
    }
    if !word.is_open() {
        return None;
    }
    let (unit, taken) = match area_unit(words, at + 1) {
        Some(area) => area,
        None => {
            let next = words.get(at + 1)?;
            // `5 mi` is a measure; `5 in Austin` and `2 m` are not worth a guess.
            (measure(&next.core).filter(|_| next.core != "m" && next.core != "F")?, 1)
        }
    };
    Some(Said::abbreviation(format!("{text}{more} {}", plural(unit, amount)), 1 + taken))
}

/// A number or a range of numbers in front of a unit: its words, the amount that decides the plural, what follows.
fn measured_amount(core: &str) -> Option<(String, &str, &str)> {
    if let Some((left, right)) = split_range(core)
        && number_of(left).is_some()
        && let Some((amount, rest)) = split_number(right)
    {
        return Some((format!("{} to {}", decimal(left), decimal(amount)), "2", rest));
    }
    let (amount, rest) = split_number(core)?;
    Some((decimal(amount), amount, rest))
}

/// A unit of area at this word, in the singular, and how many words it is.
fn area_unit(words: &[Word], at: usize) -> Option<(&'static str, usize)> {
    let word = words.get(at)?;
    let next = words.get(at + 1).map(Word::lower).unwrap_or_default();
    match word.lower().as_str() {
        "sq" if matches!(next.as_str(), "ft" | "feet" | "foot") => Some(("square foot", 2)),
        "sq" if matches!(next.as_str(), "m" | "meters") => Some(("square meter", 2)),
        "sq" if matches!(next.as_str(), "mi" | "miles") => Some(("square mile", 2)),
        "sqft" | "sq.ft" | "ft²" => Some(("square foot", 1)),
        "sf" if word.core != "Sf" => Some(("square foot", 1)),
        "sqm" | "m²" => Some(("square meter", 1)),
        _ => None,
    }
}

/// A unit that follows a number, in the singular.
fn measure(unit: &str) -> Option<&'static str> {
    Some(match unit.trim_end_matches('.').to_lowercase().as_str() {
        "sqft" | "sf" | "ft²" | "ft2" => "square foot",
        "sqm" | "m²" | "m2" => "square meter",
        "ft" | "'" => "foot",
        "ac" => "acre",
        "mi" => "mile",
        "km" => "kilometer",
        "min" | "mins" => "minute",
        "hr" | "hrs" => "hour",
        "yr" | "yrs" => "year",
        "mo" | "mos" => "month",
        "wk" | "wks" => "week",
        "lb" | "lbs" => "pound",
        "kw" => "kilowatt",
        "gal" => "gallon",
        "°f" | "°c" | "°" => "degree",
        _ => return None,
    })
}

/// `12x14`, `12' x 14'`, `12 x 14 ft`.
fn sides(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let (left, right, mut taken) = match word.core.split_once(['x', '×']) {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => (left, right, 1),
        None if matches!(words.get(at + 1)?.core.as_str(), "x" | "×") => {
            (word.core.as_str(), words.get(at + 2)?.core.as_str(), 3)
        }
        _ => return None,
    };
    let feet = left.ends_with('\'') || word.trail.starts_with(['\'', '’']);
    let (left, right) = (number_of(left.trim_end_matches('\''))?, number_of(right.trim_end_matches('\''))?);
    let unit = words.get(at + taken).filter(|_| words[at + taken - 1].pause().is_none());
    let named = unit.is_some_and(|unit| matches!(unit.lower().as_str(), "ft" | "feet"));
    taken += usize::from(named);
    let text = format!("{} by {}{}", decimal(left), decimal(right), if feet || named { " feet" } else { "" });
    Some(Said::abbreviation(text, taken))
}
