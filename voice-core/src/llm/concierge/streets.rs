//! Street names as a recogniser hears them: finds the homes a text mentions, by spelling and by sound.
//!
//! "Make Pull Street" is Maple Street and "Perkin Court" Pecan Court, but "I'd like" is not Lake Avenue: the less a
//! name looks like a street, the more must stand around it (its number, its suffix, a preposition). Pure.

use std::collections::HashMap;

use crate::text::spoken_numbers::read_number;
use crate::text::words::split_words;

use super::listing::Listings;
use super::when::is_day;

/// The streets of all listings, prepared for comparing.
#[derive(Debug, Default)]
pub(super) struct Streets {
    streets: Vec<Street>,
}

#[derive(Debug)]
struct Street {
    /// As written, with its suffix apart.
    name: String,
    written_suffix: String,
    /// Letters of the name without spaces.
    letters: Vec<char>,
    mask: LetterMask,
    sound: Vec<char>,
    words: usize,
    suffix: String,
    /// House number, unit and place of each listing there.
    homes: Vec<(String, Option<String>, usize)>,
}

/// Homes that a stretch of words names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mention {
    /// Places in the listings; more than one where the street has several and nothing tells them apart.
    pub(super) homes: Vec<usize>,
    /// First word of the mention, the house number included.
    pub(super) start: usize,
    /// Word behind it, suffix and unit included.
    pub(super) end: usize,
    /// The address as said, where no listing has its house number or unit; `homes` are then those of the street,
    /// the nearest number first.
    pub(super) unlisted: Option<String>,
}

/// What stands around a name and says that it is a street.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Support {
    None,
    Preposition,
    AnySuffix,
    OwnSuffix,
    Number,
}

/// Words more than a street's name has, into which a recogniser may tear it: "sick a more" is Sycamore.
const TORN_INTO: usize = 2;
/// How alike a street nobody lists must sound to one of ours, for ours to be offered in its place.
const NEAR_SOUND: f64 = 0.5;

impl Streets {
    pub(super) fn new(listings: &Listings) -> Self {
        let mut streets: Vec<Street> = Vec::new();
        let mut known: HashMap<(Vec<char>, String), usize> = HashMap::new();
        for (place, listing) in listings.all().iter().enumerate() {
            let words = split_words(&listing.street);
            let letters: Vec<char> = words.concat().chars().collect();
            let suffix = split_words(&listing.suffix).concat();
            let suffix = suffix_of(&suffix).map_or(suffix.clone(), str::to_owned);
            let home = (listing.number.clone(), listing.unit.clone(), place);
            let at = *known.entry((letters.clone(), suffix.clone())).or_insert(streets.len());
            if let Some(street) = streets.get_mut(at) {
                street.homes.push(home);
                continue;
            }
            streets.push(Street {
                name: listing.street.clone(),
                written_suffix: listing.suffix.clone(),
                sound: sound_of(&letters),
                mask: LetterMask::of(&letters),
                letters,
                words: words.len(),
                suffix,
                homes: vec![home],
            });
        }
        Self { streets }
    }

    /// All homes that the words mention, in the order of the words.
    pub(super) fn find_mentions(&self, words: &[String]) -> Vec<Mention> {
        let mut found: Vec<(f64, Mention)> = Vec::new();
        for start in 0..words.len() {
            let numbers = numbers_before(words, start);
            for len in 1..=4 {
                let Some(window) = words.get(start..start + len) else { break };
                let letters: Vec<char> = window.concat().chars().collect();
                if letters.len() > 24 || letters.iter().any(char::is_ascii_digit) {
                    continue;
                }
                let (sound, mask) = (sound_of(&letters), LetterMask::of(&letters));
                for street in &self.streets {
                    if len <= street.words + TORN_INTO {
                        let window = Window { letters: &letters, mask, sound: &sound };
                        found.extend(street.weigh(words, (start, start + len), &numbers, &window));
                    }
                }
            }
        }
        // Best first; what overlaps a better one is that one, misread.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut mentions: Vec<Mention> = Vec::new();
        for (_, mention) in found {
            if mentions.iter().all(|m| mention.end <= m.start || m.end <= mention.start) {
                mentions.push(mention);
            }
        }
        mentions.sort_by_key(|m| m.start);
        mentions
    }

    /// The home on the street that sounds most like `said`, where any comes near.
    pub(super) fn nearest_to(&self, said: &str) -> Option<usize> {
        let mut words = split_words(said);
        words.retain(|w| w.chars().all(char::is_alphabetic));
        let suffix = words.pop()?;
        let letters: Vec<char> = words.concat().chars().collect();
        let sound = sound_of(&letters);
        let score = |street: &Street| {
            let score =
                f64::midpoint(similarity(&letters, &street.letters), similarity(&sound, &street.sound));
            score + if suffix_of(&suffix) == Some(&street.suffix) { 0.05 } else { 0.0 }
        };
        let best = self.streets.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
        (score(best) >= NEAR_SOUND).then(|| best.homes.first().map(|home| home.2))?
    }

    /// The home whose number alone is said, as in "what about 1208?". Short numbers mean too much else.
    pub(super) fn home_by_number(&self, number: &str) -> Option<usize> {
        if number.len() < 3 {
            return None;
        }
        let mut homes = self.streets.iter().flat_map(|s| &s.homes).filter(|home| home.0 == *number);
        match (homes.next(), homes.next()) {
            (Some(home), None) => Some(home.2),
            _ => None,
        }
    }
}

impl Street {
    /// How well the words from `start` to `end` name this street, with what they name. `None` where they do not.
    fn weigh(
        &self,
        words: &[String],
        (start, mut end): (usize, usize),
        numbers: &[HouseNumber],
        &Window { letters, mask, sound }: &Window<'_>,
    ) -> Option<(f64, Mention)> {
        // Lengths alone settle most pairs.
        let (short, long) = (letters.len().min(self.letters.len()), letters.len().max(self.letters.len()));
        if short * 2 < long {
            return None;
        }
        let len = end - start;
        let listed = numbers.iter().find(|number| self.homes.iter().any(|home| home.0 == number.digits));
        let numbered = listed.is_some();
        let suffix = words.get(end).and_then(|word| suffix_of(word));
        let before = start.checked_sub(1).and_then(|i| words.get(i)).map_or("", String::as_str);
        let after = words.get(end).map_or("", String::as_str);
        let support = if numbered {
            Support::Number
        } else if suffix.is_some_and(|suffix| suffix == self.suffix) {
            Support::OwnSuffix
        } else if suffix.is_some() {
            Support::AnySuffix
        } else if matches!(before, "on" | "at" | "about" | "of" | "for") {
            Support::Preposition
        } else {
            Support::None
        };
        if support == Support::None && short * 5 < long * 4 {
            return None;
        }
        // The least that the spelling must be like for the name to be accepted below, the sound being the same.
        let least = match support {
            Support::None => 0.8,
            Support::Preposition => 0.48,
            Support::AnySuffix => 0.36,
            Support::OwnSuffix | Support::Number => 0.3,
        };
        if mask.most_alike(self.mask, long) < least {
            return None;
        }
        end += usize::from(suffix.is_some());
        let spelled = similarity(letters, &self.letters);
        if spelled < 0.3 {
            return None;
        }
        let score = f64::midpoint(spelled, similarity(sound, &self.sound));
        if score < 0.45 {
            return None;
        }
        let same_start = sound.first() == self.sound.first();
        let exact = letters == self.letters;
        // "a lake", "near the lake": the thing, unless a word follows that makes it a name.
        let thing =
            matches!(before, "a" | "an" | "near" | "by" | "the" | "some" | "old" | "i" | "i'd" | "would")
                && support < Support::AnySuffix
                && !(before == "the"
                    && matches!(after, "one" | "condo" | "house" | "home" | "place" | "property"));
        let accepted = match support {
            Support::Number => score >= 0.45,
            Support::OwnSuffix => score >= 0.58 && (same_start || spelled >= 0.7),
            Support::AnySuffix => score >= 0.68 && same_start,
            Support::Preposition => exact || (score >= 0.74 && same_start && self.letters.len() >= 4),
            Support::None => (exact && !thing) || (spelled >= 0.8 && self.letters.len() >= 6),
        };
        if !accepted {
            return None;
        }
        let mut homes: Vec<&(String, Option<String>, usize)> = self.homes.iter().collect();
        let mut unlisted = None;
        let number = listed.or_else(|| numbers.iter().find(|number| number.said));
        let start = number.map_or(start, |number| number.start);
        if let Some(number) = listed {
            homes.retain(|home| home.0 == number.digits);
        } else if let Some(number) = number {
            // The house that was asked for is not the one we have in this street.
            let value = |digits: &str| digits.parse::<i64>().unwrap_or(i64::MAX);
            homes.sort_by_key(|home| value(&home.0).abs_diff(value(&number.digits)));
            unlisted = Some(format!("{} {}", number.digits, self.said_as(suffix)));
        }
        if let Some((unit, length)) = unit_after(words, end) {
            end += length;
            if homes.iter().any(|home| home.1.as_deref() == Some(&unit)) {
                homes.retain(|home| home.1.as_deref() == Some(&unit));
            } else if unlisted.is_none() {
                let number = homes.first().map_or("", |home| home.0.as_str());
                unlisted = Some(format!("{number} {} Unit {unit}", self.said_as(suffix)));
            }
        }
        let bonus = support as u8 as f64 * 0.1 + len as f64 * 0.01;
        let homes = homes.iter().map(|home| home.2).collect();
        Some((score + bonus, Mention { homes, start, end, unlisted }))
    }

    /// The street with the suffix that was said, where one was.
    fn said_as(&self, suffix: Option<&str>) -> String {
        match suffix {
            Some(suffix) if suffix != self.suffix => format!("{} {}", self.name, capitalised(suffix)),
            _ => format!("{} {}", self.name, self.written_suffix).trim_end().to_owned(),
        }
    }
}

/// The unit named from `at` on, and how many words that takes.
fn unit_after(words: &[String], at: usize) -> Option<(String, usize)> {
    if !matches!(words.get(at)?.as_str(), "unit" | "apartment" | "number" | "suite") {
        return None;
    }
    let unit = read_number(words, at + 1)?;
    let counted = words.get(at + 1 + unit.words).is_some_and(|w| {
        matches!(w.as_str(), "bed" | "beds" | "bedroom" | "bedrooms" | "bath" | "baths" | "of" | "square")
    });
    (!counted).then(|| (unit.to_string(), 1 + unit.words))
}

/// A way to read the words before a street's name as its house number.
struct HouseNumber {
    digits: String,
    start: usize,
    /// Said as one number, so it was meant even where no listing has it. The other readings count only where a
    /// listing has them: numbers that the recogniser tore apart ("12 08", "one to oh ate").
    said: bool,
}

/// Largest house number that is taken for one; prices are larger.
const MAX_HOUSE_NUMBER: f64 = 99_999.0;
/// Words of a house number looked at: "one thousand two hundred and eight".
const MAX_NUMBER_WORDS: usize = 6;

/// The readings of the number that ends right before `at`, the most likely first; none where there is no number.
fn numbers_before(words: &[String], at: usize) -> Vec<HouseNumber> {
    let mut found = Vec::new();
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    for start in at.saturating_sub(MAX_NUMBER_WORDS)..at {
        let Some(number) = read_number(words, start).filter(|n| start + n.words == at) else { continue };
        if number.value.fract() != 0.0 || !(1.0..=MAX_HOUSE_NUMBER).contains(&number.value) {
            continue;
        }
        let before = start.checked_sub(1).map_or("", word);
        // "Saturday at ten, Maple Street" has an hour, "the one Maple Street" and "under 500" no house number.
        let hour = number.value <= 12.0
            && (before == "at" && start >= 2 && is_day(word(start - 2)) || is_day(before));
        let price = matches!(before, "$" | "under" | "over" | "below" | "above");
        let said = (number.words > 1 || word(start) != "one") && !price && !hour;
        found.push(HouseNumber { digits: number.to_string(), start, said });
    }
    let mut digits = String::new();
    for start in (at.saturating_sub(MAX_NUMBER_WORDS)..at).rev() {
        let Some(part) = digits_of(word(start)) else { break };
        digits.insert_str(0, &part);
        found.push(HouseNumber { digits: digits.clone(), start, said: false });
    }
    found
}

/// The digits that a word may stand for inside a house number, also where it was misheard.
fn digits_of(word: &str) -> Option<String> {
    if !word.is_empty() && word.len() <= 5 && word.bytes().all(|b| b.is_ascii_digit()) {
        return Some(word.to_owned());
    }
    match word {
        "oh" | "o" | "owe" => return Some("0".into()),
        "to" | "too" => return Some("2".into()),
        "for" => return Some("4".into()),
        "ate" => return Some("8".into()),
        "won" => return Some("1".into()),
        _ => {}
    }
    let number = read_number(&[word], 0)?;
    (number.value < 100.0 && number.value.fract() == 0.0).then(|| number.to_string())
}

/// The suffix that a word is, also as commonly written short or misheard.
pub(super) fn suffix_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "street" | "st" | "streets" | "straight" | "strait" | "treat" => "street",
        "avenue" | "ave" | "av" | "avenues" | "evenue" => "avenue",
        "lane" | "ln" | "lain" | "line" | "lanes" => "lane",
        "drive" | "dr" | "drives" | "derive" => "drive",
        "court" | "ct" | "cord" | "caught" | "quart" | "courts" => "court",
        "road" | "rd" | "rode" | "roads" => "road",
        "trail" | "trl" | "trial" | "trails" => "trail",
        "ridge" | "rdg" => "ridge",
        "boulevard" | "blvd" => "boulevard",
        "circle" | "cir" => "circle",
        "place" | "pl" => "place",
        "way" => "way",
        "terrace" | "ter" => "terrace",
        "parkway" | "pkwy" => "parkway",
        "highway" | "hwy" => "highway",
        "cove" => "cove",
        _ => return None,
    })
}

/// A street that the words name and no listing has, as it may be said back: "Elm Street", "12 Elm Street".
pub(super) fn unknown_street(words: &[String], mentions: &[Mention]) -> Option<String> {
    for (at, word) in words.iter().enumerate().skip(1) {
        let suffix = match word.as_str() {
            "street" | "avenue" | "lane" | "drive" | "court" | "road" | "boulevard" | "trail" | "circle" => {
                word
            }
            _ => continue,
        };
        if mentions.iter().any(|m| m.start <= at && at < m.end) {
            continue;
        }
        let name = words[at - 1].as_str();
        let plain = matches!(
            name,
            "the"
                | "a"
                | "my"
                | "your"
                | "this"
                | "that"
                | "what"
                | "which"
                | "quiet"
                | "busy"
                | "same"
                | "main"
                | "to"
                | "on"
                | "off"
                | "of"
                | "end"
                | "tennis"
                | "food"
                | "nice"
                | "i"
                | "can"
                | "we"
                | "and"
                | "for"
                | "is"
                | "will"
                | "would"
                | "could"
                | "should"
                | "long"
                | "short"
                | "across"
                | "test"
        );
        let numbered = read_number(words, at.saturating_sub(1)).is_some();
        if !plain && !numbered && name.len() > 1 && name.chars().all(char::is_alphabetic) {
            // A name of two words ("West Lynn") is known as such by the number before it.
            let mut numbers = [1, 2].into_iter().filter_map(|length| {
                let first = at.checked_sub(length)?;
                numbers_before(words, first).into_iter().find(|n| n.said).map(|n| (n, first))
            });
            return Some(match numbers.next_back() {
                Some((number, first)) => {
                    let name: Vec<String> = words[first..=at].iter().map(|w| capitalised(w)).collect();
                    format!("{} {}", number.digits, name.join(" "))
                }
                None => format!("{} {}", capitalised(name), capitalised(suffix)),
            });
        }
    }
    None
}

pub(super) fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// How alike two words are, from 0 to 1: one less the edits between them for each letter of the longer.
pub(super) fn similarity(a: &[char], b: &[char]) -> f64 {
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 1.0;
    }
    1.0 - edits(a, b) as f64 / longer as f64
}

/// Words that may name a street.
struct Window<'w> {
    letters: &'w [char],
    mask: LetterMask,
    sound: &'w [char],
}

/// Which letters a word has: tells without counting edits that two words are too far apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LetterMask(u32);

impl LetterMask {
    pub(super) fn of(letters: &[char]) -> Self {
        // Letters that share a bit only make words seem more alike than they are.
        Self(letters.iter().fold(0, |mask, c| mask | 1 << (u32::from(*c) % 32)))
    }

    /// The most that [`similarity`] can be, where the longer word has `longer` letters: each letter that only one of them has
    /// takes an edit.
    pub(super) fn most_alike(self, other: Self, longer: usize) -> f64 {
        let edits = (self.0 & !other.0).count_ones().max((other.0 & !self.0).count_ones());
        1.0 - f64::from(edits) / longer.max(1) as f64
    }
}

/// Letters compared; no street name is longer.
const MAX_LETTERS: usize = 31;

/// Fewest insertions, deletions and replacements between two words. Beyond [`MAX_LETTERS`] nothing is alike.
fn edits(a: &[char], b: &[char]) -> usize {
    if a.len() > MAX_LETTERS || b.len() > MAX_LETTERS {
        return a.len().max(b.len());
    }
    let mut row = [0_usize; MAX_LETTERS + 1];
    for (cost, cell) in row.iter_mut().enumerate() {
        *cell = cost;
    }
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The consonants as English sounds them; vowels count only at the start. Voiced and unvoiced pairs that
/// recognisers confuse are one.
pub(super) fn sound_of(letters: &[char]) -> Vec<char> {
    let mut out: Vec<char> = Vec::with_capacity(letters.len());
    let mut at = 0;
    while let Some(&c) = letters.get(at) {
        let next = letters.get(at + 1).copied().unwrap_or(' ');
        let soft = matches!(next, 'e' | 'i' | 'y');
        let (sound, taken) = match (c, next) {
            ('p', 'h') => ('f', 2),
            ('s' | 'c', 'h') => ('x', 2),
            ('t', 'h') => ('t', 2),
            ('c', 'k') => ('k', 2),
            ('g', 'h') if at > 0 => (' ', 2),
            ('k', 'n') | ('w', 'r') if at == 0 => (' ', 1),
            ('c', _) if soft => ('s', 1),
            ('c' | 'q', _) => ('k', 1),
            ('g', _) if soft => ('j', 1),
            ('d', _) => ('t', 1),
            ('v', _) => ('f', 1),
            ('z', _) => ('s', 1),
            ('x', _) => ('s', 1),
            ('a' | 'e' | 'i' | 'o' | 'u' | 'y', _) => (if at == 0 { 'a' } else { ' ' }, 1),
            ('h' | 'w', _) => (if at == 0 { c } else { ' ' }, 1),
            _ => (c, 1),
        };
        if sound != ' ' && out.last() != Some(&sound) {
            out.push(sound);
        }
        at += taken;
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::listing::sample_listings;
    use super::*;

    fn mentioned(text: &str) -> Vec<String> {
        let listings = sample_listings();
        Streets::new(listings)
            .find_mentions(&split_words(text))
            .iter()
            .map(|m| m.homes.iter().map(|h| listings.at(*h).unwrap().address()).collect::<Vec<_>>().join("|"))
            .collect()
    }

    #[test]
    fn misheard_streets_are_found() {
        for (text, address) in [
            ("how much is 1208 Make Pull Street", "1208 Maple Street"),
            ("twelve oh eight maple st", "1208 Maple Street"),
            ("12 08 maple", "1208 Maple Street"),
            ("the May pole street house", "1208 Maple Street"),
            ("nine Perkin Court", "9 Pecan Court"),
            ("tell me about pekan caught", "9 Pecan Court"),
            ("77 seeder lane", "77 Cedar Lane"),
            ("forty five leak avenue unit twelve", "45 Lake Avenue Unit 12"),
            ("45 Lake Ave, number 12", "45 Lake Avenue Unit 12"),
            ("310 Oke Drive", "310 Oak Drive"),
            ("the one on Oak", "310 Oak Drive"),
            ("twenty two oh one Barton Hill Road", "2201 Barton Hills Road"),
            ("bartonhills", "2201 Barton Hills Road"),
            ("six hundred congress", "600 Congress Avenue Unit 1804"),
            ("congres avenue", "600 Congress Avenue Unit 1804"),
            ("one to oh ate maple street", "1208 Maple Street"),
            ("12 oh eight maple street", "1208 Maple Street"),
            ("1 2 0 8 maple street", "1208 Maple Street"),
            ("600 congress avenue unit 1804", "600 Congress Avenue Unit 1804"),
        ] {
            assert_eq!(mentioned(text), [address], "{text}");
        }
        assert_eq!(mentioned("Maple street or Oak drive"), ["1208 Maple Street", "310 Oak Drive"]);
    }

    #[test]
    fn everyday_words_are_not_streets() {
        for text in [
            "I would like a house",
            "do you have anything near the lake",
            "what does it look like",
            "can you make it cheaper",
            "is there a pool in the court",
            "please tell me about the garage",
            "a home with two baths on a quiet street",
        ] {
            assert!(mentioned(text).is_empty(), "{text}: {:?}", mentioned(text));
        }
    }

    #[test]
    fn streets_nobody_lists_are_noticed() {
        let unknown = |text: &str| {
            let words = split_words(text);
            unknown_street(&words, &Streets::new(sample_listings()).find_mentions(&words))
        };
        assert_eq!(unknown("how much is 12 Elm Street").as_deref(), Some("12 Elm Street"));
        assert_eq!(unknown("how much is 1208 Maple Street"), None);
        assert_eq!(unknown("is it on a quiet street"), None);
        assert_eq!(unknown("how much is 500 West Lynn Street").as_deref(), Some("500 West Lynn Street"));
    }

    #[test]
    fn a_number_that_no_listing_has_is_not_another_house() {
        let unlisted = |text: &str| {
            let words = split_words(text);
            Streets::new(sample_listings()).find_mentions(&words).into_iter().find_map(|m| m.unlisted)
        };
        for (text, said) in [
            ("how much is 1210 Maple Street", Some("1210 Maple Street")),
            ("twelve ten maple street", Some("1210 Maple Street")),
            ("is 312 oke drive for sale", Some("312 Oak Drive")),
            ("45 oak avenue", Some("45 Oak Avenue")),
            ("can I see it tomorrow 1212 Maple Street", Some("1212 Maple Street")),
            ("45 lake avenue unit fourteen", Some("45 Lake Avenue Unit 14")),
            ("1208 Maple Street", None),
            ("the one Maple Street", None),
            ("saturday at ten Maple Street", None),
            ("600 congress apartment one bedroom", None),
        ] {
            assert_eq!(unlisted(text).as_deref(), said, "{text}");
        }
    }
}
