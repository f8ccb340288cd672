//! Areas, lengths and other measures.

use super::Said;
use super::amount::{Amount, Decimals, amount, number_of, split_number};
use super::numbers::decimal;
use super::word::{Word, all_digits, lowered};

/// `1,850 sq ft`, `1850sqft`, `0.25 ac`, `12x14 ft`, `15 min`, `10'6"`, `72°F`, `per sq ft`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    sides(words, at).or_else(|| say_unit(words, at)).or_else(|| measured(words, at))
}

/// A unit: one of it, and several.
type Unit = (&'static str, &'static str);

/// Letters of the longest unit that is written without a number: `square` in `square ft`.
const LONGEST_UNIT: usize = 6;

/// A unit without a number of its own: "price per sq ft".
pub(super) fn say_unit(words: &[Word<'_>], at: usize) -> Option<Said> {
    if words[at].core.len() > LONGEST_UNIT {
        return None;
    }
    let before = at.checked_sub(1).map(|before| words[before].lower()).unwrap_or_default();
    let single = matches!(before.as_ref(), "per" | "a" | "each" | "every");
    if let Some((unit, taken)) = area_unit(words, at) {
        // Two letters alone may be anything.
        let sure = words[at].core.len() > 2 || taken > 1 || single;
        return sure.then(|| Said::abbreviation(if single { unit.0 } else { unit.1 }, taken));
    }
    let (unit, _) = unit(words[at].core).filter(|_| before == "per")?;
    Some(Said::abbreviation(unit, 1))
}

/// An amount and its unit.
fn measured(words: &[Word<'_>], at: usize) -> Option<Said> {
    let decimals = if counts_halves(words, at) { Decimals::Halves } else { Decimals::Digits };
    let Amount { text, one, words: taken, rest } = amount(words, at, decimals)?;
    let (rest, more) = rest.strip_suffix('+').map_or((rest, ""), |rest| (rest, " plus"));
    let last = &words[at + taken - 1];
    if !rest.is_empty() {
        if let Some(length) = feet_and_inches(rest) {
            let single = one || length.1.is_none() && heads(words, at + taken, last);
            return Some(Said::new(format!("{text} {}", length.say(single)), taken));
        }
        let hyphened = rest.strip_prefix('-');
        let (unit, taken) = match hyphened.and_then(|unit| area_half(words, at + taken, unit)) {
            Some(unit) => (unit, taken + 1),
            None => (unit(hyphened.unwrap_or(rest))?, taken),
        };
        // `72° F`.
        if rest == "°"
            && let Some(scale) = words.get(at + taken).filter(|_| last.trail.is_empty())
            && matches!(scale.core, "F" | "C")
        {
            let name = if scale.core == "F" { "degrees" } else { "degrees Celsius" };
            return Some(Said::new(format!("{text} {name}"), taken + 1));
        }
        let single = one || hyphened.is_some() || heads(words, at + taken, &words[at + taken - 1]);
        return Some(Said::abbreviation(format!("{text} {}{more}", pick(unit, single)), taken));
    }
    let next = words.get(at + taken).filter(|_| last.trail.is_empty())?;
    let (unit, more_taken) = match area_unit(words, at + taken) {
        Some(area) => area,
        // `5 mi` is a measure; `5 in Austin`, `2 m` and `4 F` are not worth a guess.
        // `12 in.` has the point that `12 in Austin` lacks.
        None if next.core == "in" && next.trail.starts_with('.') => (INCH, 1),
        None => (unit(next.core).filter(|_| next.core.len() > 1 || matches!(next.core, "'" | "°"))?, 1),
    };
    let taken = taken + more_taken;
    let last = &words[at + taken - 1];
    // `6 ft 2 in`.
    if unit.0 == "foot"
        && last.is_joined()
        && let Some([inches, mark]) = words.get(at + taken..at + taken + 2)
        && matches!(mark.core, "in" | "in.")
        && number_of(inches.core).is_some_and(|inches| inches.len() <= 2)
    {
        let said =
            format!("{text} {} {} {}", pick(unit, one), decimal(inches.core), plural(INCH, inches.core));
        return Some(Said::abbreviation(said, taken + 2));
    }
    let single = one || heads(words, at + taken, last);
    Some(Said::abbreviation(format!("{text}{more} {}", pick(unit, single)), taken))
}

const FOOT: Unit = ("foot", "feet");
const INCH: Unit = ("inch", "inches");

fn pick(unit: Unit, single: bool) -> &'static str {
    if single { unit.0 } else { unit.1 }
}

fn plural(unit: Unit, number: &str) -> &'static str {
    pick(unit, number == "1")
}

/// Hours and years come in halves: "one and a half hours".
fn counts_halves(words: &[Word<'_>], at: usize) -> bool {
    let core = words[at].core;
    let unit_of =
        |core: &str| unit(core.trim_start_matches('-')).is_some_and(|unit| matches!(unit.0, "hour" | "year"));
    match split_number(core) {
        Some((_, "")) => words.get(at + 1).is_some_and(|next| unit_of(next.core)),
        Some((_, rest)) => unit_of(rest) || rest.starts_with("-story") || rest.starts_with("-acre"),
        None => false,
    }
}

/// Whether the word behind a measure is what it describes, so that the unit stays in the singular: "eight foot
/// ceilings".
fn heads(words: &[Word<'_>], at: usize, last: &Word<'_>) -> bool {
    let Some(next) = words.get(at).filter(|_| last.is_joined()) else { return false };
    let next = next.lower();
    HEADS.contains(&next.strip_suffix('s').unwrap_or(next.as_ref()))
}

/// What is measured in a listing, in the singular.
const HEADS: [&str; 44] = [
    "adjustable",
    "apartment",
    "backyard",
    "bungalow",
    "ceiling",
    "commute",
    "condo",
    "cottage",
    "deck",
    "drive",
    "duplex",
    "estate",
    "fence",
    "fixed",
    "garage",
    "home",
    "house",
    "island",
    "kitchen",
    "lease",
    "living",
    "loan",
    "lot",
    "mortgage",
    "office",
    "panel",
    "parcel",
    "patio",
    "pipe",
    "pool",
    "property",
    "radius",
    "ranch",
    "residence",
    "room",
    "setback",
    "solar",
    "storage",
    "system",
    "townhome",
    "townhouse",
    "trail",
    "walk",
    "yard",
];

/// A unit of area at this word, and how many words it is.
fn area_unit(words: &[Word<'_>], at: usize) -> Option<(Unit, usize)> {
    let word = words.get(at)?;
    let lower = word.lower();
    if let Some(unit) = area_half(words, at + 1, &lower).filter(|_| word.is_joined()) {
        return Some((unit, 2));
    }
    let unit = unit(&lower).filter(|unit| unit.0.starts_with("square") || unit.0.starts_with("cubic"))?;
    (word.core != "Sf").then_some((unit, 1))
}

/// `sq` or `cu`, and the unit at the word behind it.
fn area_half(words: &[Word<'_>], behind: usize, first: &str) -> Option<Unit> {
    let first = first.trim_end_matches('.');
    if !matches!(first, "sq" | "square" | "cu") {
        return None;
    }
    let next = words.get(behind)?.lower();
    Some(match (first, next.as_ref()) {
        ("sq" | "square", "ft" | "feet" | "foot") => ("square foot", "square feet"),
        ("sq" | "square", "m" | "meters" | "meter") => ("square meter", "square meters"),
        ("sq", "mi" | "miles" | "mile") => ("square mile", "square miles"),
        ("sq", "yd" | "yds" | "yards") => ("square yard", "square yards"),
        ("cu", "ft" | "feet") => ("cubic foot", "cubic feet"),
        ("cu", "yd" | "yds" | "yards") => ("cubic yard", "cubic yards"),
        _ => return None,
    })
}

/// A unit that follows a number.
fn unit(text: &str) -> Option<Unit> {
    // Where capitals matter.
    match text {
        "V" => return Some(("volt", "volts")),
        "MB" => return Some(("megabyte", "megabytes")),
        "GB" => return Some(("gigabyte", "gigabytes")),
        "TB" => return Some(("terabyte", "terabytes")),
        _ => {}
    }
    let lower = lowered(text.trim_end_matches('.'));
    Some(match lower.as_ref() {
        "sqft" | "sf" | "ft²" | "ft2" | "sq.ft" => ("square foot", "square feet"),
        "sqm" | "m²" | "m2" => ("square meter", "square meters"),
        "ft³" | "cuft" => ("cubic foot", "cubic feet"),
        "ft" | "'" => FOOT,
        "inch" => INCH,
        "ac" | "acs" => ("acre", "acres"),
        "ha" => ("hectare", "hectares"),
        "yd" | "yds" => ("yard", "yards"),
        "mi" => ("mile", "miles"),
        "km" => ("kilometer", "kilometers"),
        "cm" => ("centimeter", "centimeters"),
        "mm" => ("millimeter", "millimeters"),
        "mph" => ("mile per hour", "miles per hour"),
        "km/h" | "kph" => ("kilometer per hour", "kilometers per hour"),
        "sec" | "secs" => ("second", "seconds"),
        "min" | "mins" => ("minute", "minutes"),
        "hr" | "hrs" => ("hour", "hours"),
        "yr" | "yrs" => ("year", "years"),
        "mo" | "mos" => ("month", "months"),
        "wk" | "wks" => ("week", "weeks"),
        "lb" | "lbs" => ("pound", "pounds"),
        "oz" => ("ounce", "ounces"),
        "kg" | "kgs" => ("kilogram", "kilograms"),
        "kw" => ("kilowatt", "kilowatts"),
        "kwh" => ("kilowatt hour", "kilowatt hours"),
        "gal" | "gals" => ("gallon", "gallons"),
        "mbps" => ("megabit per second", "megabits per second"),
        "gbps" => ("gigabit per second", "gigabits per second"),
        "°f" | "°" => ("degree", "degrees"),
        "°c" => ("degree Celsius", "degrees Celsius"),
        _ => return None,
    })
}

/// What stands behind a slash after an amount; several slashes are several.
pub(super) fn per(units: &str) -> Option<String> {
    let names: Option<Vec<String>> = units.trim_matches('/').split('/').map(per_one).collect();
    names.map(|names| names.join(" "))
}

fn per_one(unit: &str) -> Option<String> {
    let unit = lowered(unit.trim_end_matches('.'));
    let name = match unit.as_ref() {
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
        "mi" | "mile" => "mile",
        "gal" => "gallon",
        "kwh" => "kilowatt hour",
        "unit" | "person" | "guest" | "room" | "bedroom" | "quarter" | "pet" => unit.as_ref(),
        _ => return None,
    };
    Some(format!("per {name}"))
}

/// A length that is marked with feet and inches: the inches behind the feet.
struct Length<'a>(Unit, Option<&'a str>);

impl Length<'_> {
    fn say(&self, single: bool) -> String {
        match self.1 {
            Some(inches) => format!("{} {} {}", pick(self.0, single), decimal(inches), plural(INCH, inches)),
            None => pick(self.0, single).to_owned(),
        }
    }
}

/// `'`, `"`, `'6"` behind a number.
fn feet_and_inches(rest: &str) -> Option<Length<'_>> {
    match rest {
        "\"" => return Some(Length(INCH, None)),
        "'" => return Some(Length(FOOT, None)),
        _ => {}
    }
    let inches = rest.strip_prefix('\'')?;
    let inches = inches.strip_suffix('"').unwrap_or(inches);
    (all_digits(inches) && inches.len() <= 2).then_some(Length(FOOT, Some(inches)))
}

/// One side of a room or a lot: its number, and its marks if it has any.
fn side(core: &str) -> Option<(&str, Option<Length<'_>>)> {
    let (number, rest) = split_number(core)?;
    match rest {
        "" => Some((number, None)),
        _ => Some((number, Some(feet_and_inches(rest)?))),
    }
}

/// `12x14`, `12' x 14'`, `12 x 14 ft`, `10'6" x 12'`.
fn sides(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let is_by = |core: &str| matches!(core, "x" | "X" | "×" | "by");
    let (left, right, mut taken) = match word.core.split_once(['x', 'X', '×']) {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => (left, right, 1),
        None if word.trail.is_empty() && is_by(words.get(at + 1)?.core) => {
            (word.core, words.get(at + 2)?.core, 3)
        }
        _ => return None,
    };
    let ((left, left_mark), (right, right_mark)) = (side(left)?, side(right)?);
    let last = &words[at + taken - 1];
    let named = words
        .get(at + taken)
        .filter(|_| last.trail.is_empty())
        .is_some_and(|unit| matches!(unit.lower().as_ref(), "ft" | "feet"));
    taken += usize::from(named);
    let inches =
        [&left_mark, &right_mark].iter().any(|mark| mark.as_ref().is_some_and(|mark| mark.1.is_some()));
    if inches {
        let say = |number: &str, mark: Option<Length<'_>>| {
            format!("{} {}", decimal(number), mark.unwrap_or(Length(FOOT, None)).say(number == "1"))
        };
        return Some(Said::new(format!("{} by {}", say(left, left_mark), say(right, right_mark)), taken));
    }
    let unit = left_mark.or(right_mark).map(|mark| mark.0).or(named.then_some(FOOT));
    let single = heads(words, at + taken, &words[at + taken - 1]);
    let unit = unit.map(|unit| format!(" {}", pick(unit, single))).unwrap_or_default();
    let text = format!("{} by {}{unit}", decimal(left), decimal(right));
    Some(if named { Said::abbreviation(text, taken) } else { Said::new(text, taken) })
}
