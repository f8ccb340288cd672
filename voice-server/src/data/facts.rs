//! What a search compares, worked out from a listing: whole numbers and words of small ASCII letters and digits.
//!
//! Both databases get the same numbers, so they give the same order. No database's collation, tokenizer or sine has a
//! say. Callers: the statements in `sql`.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Timestamp;
use super::records::{Circle, NewProperty, Reso};

/// Words that are kept of one listing at most; the rest is not found.
const MOST_WORDS: usize = 400;
/// Letters that are kept of one word.
const LONGEST_WORD: usize = 32;
/// Cells of a degree.
const CELLS: f64 = 20.0;
/// Cells round the earth.
const AROUND: i64 = 7_200;
/// Radius of the globe on which points are kept: its unit is 6.4 cm on the earth.
const GLOBE: f64 = 1e8;
/// Radius of the earth in kilometres.
const EARTH_KM: f64 = 6_371.008_8;

/// The columns of `property_facts`, but `number`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// In the order of [`Facts::COLUMNS`].
    pub(super) numbers: [i64; 14],
    pub(super) words: String,
}

impl Facts {
    pub(super) const COLUMNS: &'static str =
        "owner, place, shelf, listed, price, beds, half_baths, status, kind, sub_kind, cell, x, y, z, words";

    /// `came`: when the listing was first stored, which counts where it does not say when it came on the market.
    pub(super) fn of(organization: Uuid, new: &NewProperty, came: Timestamp) -> Self {
        let reso = Reso(&new.property_data);
        let number = |name: &str| reso.text(name).map_or(0, |text| few(&text));
        let status = number("StandardStatus");
        let (kind, sub_kind) = kinds(number("PropertyType"), number("PropertySubType"));
        let city = reso.text("City").unwrap_or_default();
        let [cell, x, y, z] = reso.point().map_or([-1, 0, 0, 0], |(latitude, longitude)| {
            let [x, y, z] = on_globe(latitude, longitude);
            [cell_of(latitude, longitude), x, y, z]
        });
        let numbers = [
            owner(organization),
            place(organization, &city),
            shelf(status, kind),
            reso.listed_at().unwrap_or(came).as_millis(),
            reso.price().map_or(-1, |price| (price * 100.0).round() as i64),
            reso.count("BedroomsTotal").unwrap_or(-1),
            reso.half_baths().unwrap_or(-1),
            status,
            kind,
            sub_kind,
            cell,
            x,
            y,
            z,
        ];
        Self { numbers, words: words_of(reso, new) }
    }
}

/// The words that a listing is found by, each once, with a space before and after it.
fn words_of(reso: Reso<'_>, new: &NewProperty) -> String {
    const FIELDS: [&str; 16] = [
        "UnparsedAddress",
        "StreetName",
        "StreetSuffix",
        "City",
        "StateOrProvince",
        "PostalCode",
        "SubdivisionName",
        "CountyOrParish",
        "PropertyType",
        "PropertySubType",
        "ElementarySchool",
        "MiddleOrJuniorSchool",
        "HighSchool",
        "ListAgentFullName",
        "ListOfficeName",
        "PublicRemarks",
    ];
    let mut seen = std::collections::HashSet::new();
    let mut text = String::from(" ");
    let fields = FIELDS.iter().filter_map(|field| reso.text(field));
    let first = new.mls_id.clone().into_iter().chain([new.address.clone()]);
    for word in first.chain(fields).flat_map(|field| words(&field)) {
        if seen.len() == MOST_WORDS {
            break;
        }
        if seen.insert(word.clone()) {
            text.push_str(&word);
            text.push(' ');
        }
    }
    text
}

/// The words of a text, folded. What separates words is all that is neither letter nor digit.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase).chain([' ']) {
        if is_mark(c) || c == '\'' || c == '\u{2019}' {
            // An accent that stands by itself, and the apostrophe of "owner's".
        } else if c.is_alphanumeric() {
            fold_into(c, &mut word);
        } else if !word.is_empty() {
            word.truncate(LONGEST_WORD);
            words.push(std::mem::take(&mut word));
        }
    }
    words
}

fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// A small letter without its accent; letters of other scripts by their code, so that every word is ASCII.
fn fold_into(c: char, word: &mut String) {
    use std::fmt::Write as _;
    let plain = match c {
        'a'..='z' | '0'..='9' => return word.push(c),
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        other => {
            let _ = write!(word, "u{:x}", u32::from(other));
            return;
        }
    };
    word.push_str(plain);
}

/// FNV-1a of 64 bits, with a mark between the parts.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        part.iter().copied().for_each(&mut take);
        take(0xff);
    }
    hash
}

/// An organization as a number: the first eight bytes of its id. `voice_owner()` of Postgres does the same.
pub(super) fn owner(organization: Uuid) -> i64 {
    organization.as_u64_pair().0.cast_signed()
}

/// A city of an organization as a number.
pub(super) fn place(organization: Uuid, city: &str) -> i64 {
    hash(&[organization.as_bytes(), words(city).join(" ").as_bytes()]).cast_signed()
}

/// A word with few values, such as a status, as a number of 31 bits; however it is spaced.
pub(super) fn few(text: &str) -> i64 {
    i64::from((hash(&[words(text).concat().as_bytes()]) >> 33) as u32)
}

/// States of a listing that is on the market.
const ON_MARKET: [&str; 4] = ["Active", "Active Under Contract", "Coming Soon", "Pending"];
/// RESO's types by what is offered: a home to buy, anything to rent, what else is sold. "Farm" is also a sub-type, so as a
/// type it says nothing of where a listing lies.
const OFFERS: [&[&str]; 3] = [
    &["Residential", "Residential Income", "Manufactured In Park"],
    &["Residential Lease", "Commercial Lease"],
    &["Land", "Commercial Sale", "Business Opportunity"],
];

/// RESO's sub-types: what stands there. "Farm" is also a type, so it is not told by its name.
const FORMS: [&str; 27] = [
    "Agriculture",
    "Apartment",
    "Boat Slip",
    "Business",
    "Cabin",
    "Condominium",
    "Deeded Parking",
    "Duplex",
    "Hotel/Motel",
    "Industrial",
    "Manufactured Home",
    "Manufactured On Land",
    "Mixed Use",
    "Mobile Home",
    "Multi Family",
    "Office",
    "Own Your Own",
    "Quadruplex",
    "Ranch",
    "Retail",
    "Single Family Residence",
    "Stock Cooperative",
    "Timeshare",
    "Townhouse",
    "Triplex",
    "Unimproved Land",
    "Warehouse",
];

/// How many shelves there are.
pub(super) const SHELVES: usize = 2 * OFFERS.len();

/// Every list's entries lie on shelves, by whether a listing is on the market and what is offered: a search walks only
/// those that can hold what it asks for. Rents, say, would stand before all prices.
fn shelf(status: i64, kind: i64) -> i64 {
    market(status) * OFFERS.len() as i64 + offer(kind).unwrap_or(OFFERS.len() as i64 - 1)
}

/// The shelves on which everything lies that has one of the states and is of one of the types, where any are given.
pub(super) fn shelves(statuses: &[String], kinds: &[String]) -> Vec<i64> {
    let markets: BTreeSet<i64> = statuses.iter().map(|status| market(few(status))).collect();
    // What is no type may be a sub-type of any.
    let offers: Option<BTreeSet<i64>> = kinds.iter().map(|kind| offer(few(kind))).collect();
    let offers = offers.filter(|offers| !offers.is_empty());
    (0..SHELVES as i64)
        .filter(|shelf| {
            let (market, offer) = (shelf / OFFERS.len() as i64, shelf % OFFERS.len() as i64);
            (markets.is_empty() || markets.contains(&market))
                && offers.as_ref().is_none_or(|offers| offers.contains(&offer))
        })
        .collect()
}

/// 0 on the market, 1 not.
fn market(status: i64) -> i64 {
    i64::from(!ON_MARKET.iter().any(|name| few(name) == status))
}

/// What is offered; `None` of what is no type.
fn offer(kind: i64) -> Option<i64> {
    let found = OFFERS.iter().position(|kinds| kinds.iter().any(|name| few(name) == kind));
    found.map(|offer| offer as i64)
}

/// The numbers of the sub-types, where only such are asked for.
pub(super) fn forms(kinds: &[String]) -> Option<BTreeSet<i64>> {
    let forms: Option<BTreeSet<i64>> =
        kinds.iter().map(|kind| Some(few(kind)).filter(|kind| is_form(*kind))).collect();
    forms.filter(|forms| !forms.is_empty())
}

fn is_form(kind: i64) -> bool {
    FORMS.iter().any(|name| few(name) == kind)
}

/// What stands in the other's place, type or sub-type, counts there where that is empty, and else for nothing; two in each
/// other's place count as what they are. So a type is found on its own shelves, and a sub-type in its own order.
fn kinds(kind: i64, sub_kind: i64) -> (i64, i64) {
    match (is_form(kind), offer(sub_kind).is_some()) {
        (true, true) => (sub_kind, kind),
        (true, false) if sub_kind == 0 => (0, kind),
        (true, false) => (0, sub_kind),
        (false, true) if kind == 0 => (sub_kind, 0),
        (false, true) => (kind, 0),
        (false, false) => (kind, sub_kind),
    }
}

/// What stands before each word of an organization in the index of words.
pub(super) fn word_mark(organization: Uuid) -> String {
    format!("{:08x}", owner(organization).cast_unsigned() >> 32)
}

/// The words of a listing as the index of words takes them.
pub(super) fn marked(organization: Uuid, words: &str) -> String {
    let mark = word_mark(organization);
    words.split_ascii_whitespace().map(|word| format!("{mark}{word}")).collect::<Vec<_>>().join(" ")
}

impl Facts {
    /// What stands among the words of a listing and is none, since words have small letters: its city, its shelf, and its
    /// region. So an index of words alone can find the words of one place. As [`marked`] has words, a space before each.
    pub(super) fn whereabouts(&self, organization: Uuid) -> String {
        let [_, place, shelf, .., cell, _, _, _] = self.numbers;
        let mark = word_mark(organization);
        let region =
            if cell < 0 { String::new() } else { format!(" {mark}{}", region_word(region_of(cell))) };
        format!(" {mark}{} {mark}{}{region}", place_word(place), shelf_word(shelf))
    }
}

pub(super) fn place_word(place: i64) -> String {
    format!("P{place:x}")
}

pub(super) fn shelf_word(shelf: i64) -> String {
    format!("S{shelf}")
}

pub(super) fn region_word(region: i64) -> String {
    format!("R{region}")
}

/// A region is so many cells wide and high.
const REGION: i64 = 10;

fn region_of(cell: i64) -> i64 {
    cell / AROUND / REGION * (AROUND / REGION) + cell % AROUND / REGION
}

/// The regions that a circle touches.
pub(super) fn regions_around(circle: Circle) -> BTreeSet<i64> {
    let ranges = cells_around(circle).into_iter();
    ranges.flat_map(|(first, last)| region_of(first)..=region_of(last)).collect()
}

/// A place as a point on the globe. Distances are compared as squares of straight lines through it, which order as the
/// ways along its surface do, and need nothing but whole numbers.
pub(super) fn on_globe(latitude: f64, longitude: f64) -> [i64; 3] {
    let ((sin, cos), (east_sin, east_cos)) =
        (latitude.to_radians().sin_cos(), longitude.to_radians().sin_cos());
    [cos * east_cos, cos * east_sin, sin].map(|part| (part * GLOBE).round() as i64)
}

pub(super) fn cell_of(latitude: f64, longitude: f64) -> i64 {
    cell(row_of(latitude), column_of(longitude))
}

fn row_of(latitude: f64) -> i64 {
    ((latitude + 90.0) * CELLS).floor() as i64
}

fn column_of(longitude: f64) -> i64 {
    ((longitude + 180.0) * CELLS).floor() as i64
}

/// Longitudes 180 west and east are one.
fn cell(row: i64, column: i64) -> i64 {
    row * AROUND + column.rem_euclid(AROUND)
}

/// The square of the straight line through the globe that belongs to a way along its surface.
pub(super) fn square_of_km(km: f64) -> i64 {
    let half_angle = (km / EARTH_KM / 2.0).clamp(0.0, std::f64::consts::FRAC_PI_2);
    (2.0 * half_angle.sin() * GLOBE).powi(2).round() as i64
}

/// And back.
pub(super) fn km_of_square(square: i64) -> f64 {
    2.0 * ((square as f64).sqrt() / 2.0 / GLOBE).clamp(0.0, 1.0).asin() * EARTH_KM
}

/// The cells that a circle touches, as ranges of their numbers, first and last.
pub(super) fn cells_around(circle: Circle) -> Vec<(i64, i64)> {
    let angle = (circle.radius_km / EARTH_KM).to_degrees() + 1e-6;
    let (south, north) = ((circle.latitude - angle).max(-90.0), (circle.latitude + angle).min(90.0));
    // How far a circle reaches east: sin(angle) / cos(latitude); over a pole, all round.
    let ratio = angle.to_radians().sin() / circle.latitude.to_radians().cos();
    let over_pole = circle.latitude.abs() + angle >= 90.0 || ratio >= 1.0;
    let reach = if over_pole { 180.0 } else { ratio.asin().to_degrees() + 1e-6 };
    let (west, east) = (column_of(circle.longitude - reach), column_of(circle.longitude + reach));
    let columns: Vec<(i64, i64)> = if east - west + 1 >= AROUND {
        vec![(0, AROUND - 1)]
    } else {
        let (west, east) = (west.rem_euclid(AROUND), east.rem_euclid(AROUND));
        if west <= east { vec![(west, east)] } else { vec![(0, east), (west, AROUND - 1)] }
    };
    (row_of(south)..=row_of(north))
        .flat_map(|row| columns.iter().map(move |(first, last)| (cell(row, *first), cell(row, *last))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_small_plain_letters_whatever_the_script_and_the_writing() {
        for (text, expected) in [
            ("San José", vec!["san", "jose"]),
            ("SAN JOSE\u{301}", vec!["san", "jose"]),
            ("St. Paul's/East-Side", vec!["st", "pauls", "east", "side"]),
            ("Straße 12b", vec!["strasse", "12b"]),
            ("\u{6771}\u{4eac}", vec!["u6771u4eac"]),
            ("\u{130}zmir", vec!["izmir"]),
            (" , ", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_eq!(few("ActiveUnderContract"), few("Active Under Contract"));
        assert_ne!(few("Active"), few("Pending"));
        assert!((0..1_i64 << 31).contains(&few("Active")));
    }

    #[test]
    fn types_and_sub_types_count_as_what_they_are_wherever_they_stand() {
        for ([kind, sub_kind], expected) in [
            (["Residential", "Townhouse"], ["Residential", "Townhouse"]),
            (["Townhouse", "Residential"], ["Residential", "Townhouse"]),
            (["Townhouse", ""], ["", "Townhouse"]),
            (["Townhouse", "Condominium"], ["", "Condominium"]),
            (["", "Land"], ["Land", ""]),
            (["Residential", "Land"], ["Residential", ""]),
            (["Farm", "Ranch"], ["Farm", "Ranch"]),
            (["Farm", ""], ["Farm", ""]),
            (["Villa", "Chalet"], ["Villa", "Chalet"]),
            (["", ""], ["", ""]),
        ] {
            let number = |word: &str| if word.is_empty() { 0 } else { few(word) };
            let found = kinds(number(kind), number(sub_kind));
            assert_eq!(found, (number(expected[0]), number(expected[1])), "{kind} {sub_kind}");
        }
    }

    #[test]
    fn what_is_asked_for_lies_on_the_shelves_that_are_walked() {
        let types =
            ["", "Residential", "ResidentialLease", "Land", "Farm", "Townhouse", "Boat Slip", "Villa"];
        let states = ["", "Active", "Pending", "Closed", "Hold"];
        let some = |word: &str| if word.is_empty() { 0 } else { few(word) };
        for state in states {
            for (kind, sub_kind) in types.iter().flat_map(|kind| types.map(|sub_kind| (*kind, sub_kind))) {
                let (kind, sub_kind) = kinds(some(kind), some(sub_kind));
                let lies = shelf(some(state), kind);
                for (asked_state, asked_type) in states.iter().flat_map(|s| types.map(|t| (*s, t))) {
                    let given = |word: &str| if word.is_empty() { vec![] } else { vec![word.to_owned()] };
                    let matches = (asked_state.is_empty() || asked_state == state)
                        && (asked_type.is_empty() || [kind, sub_kind].contains(&few(asked_type)));
                    let walked = shelves(&given(asked_state), &given(asked_type));
                    assert!(!matches || walked.contains(&lies), "{state} {kind} {sub_kind}: {asked_type}");
                    let form = forms(&given(asked_type));
                    assert!(
                        !matches || form.is_none_or(|form| form.contains(&sub_kind)),
                        "{kind} {asked_type}"
                    );
                }
            }
        }
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(shelves(&words(&["Active", "Pending"]), &words(&["Residential"])), [0]);
        assert_eq!(shelves(&words(&["Closed"]), &words(&["Residential Lease", "Land"])), [4, 5]);
        assert_eq!(forms(&words(&["Townhouse", "Condominium"])).map(|forms| forms.len()), Some(2));
        assert_eq!(forms(&words(&["Townhouse", "Farm"])), None);
        assert_eq!(forms(&[]), None);
        assert_eq!(shelves(&words(&["Active", "Closed"]), &words(&["Land", "Farm"])), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn squares_of_lines_are_ways_along_the_earth() {
        // Austin's Capitol to Round Rock: 26.6 km by the great circle.
        let (a, b) = (on_globe(30.2747, -97.7404), on_globe(30.5083, -97.6789));
        let square: i64 = a.iter().zip(b).map(|(a, b)| (a - b).pow(2)).sum();
        assert!((km_of_square(square) - 26.63).abs() < 0.1, "{}", km_of_square(square));
        for km in [0.001, 1.0, 50.0, 5_000.0, 20_015.0] {
            assert!((km_of_square(square_of_km(km)) - km).abs() < km * 1e-3 + 1e-4, "{km}");
        }
    }

    #[test]
    fn every_point_of_a_circle_lies_in_one_of_its_cells() {
        for latitude in [-90.0, -89.99, -60.0, 0.0, 30.27, 89.0, 90.0] {
            for longitude in [-180.0, -179.99, -97.7, 0.0, 179.99, 180.0] {
                for radius_km in [0.1, 5.0, 50.0, 200.0] {
                    let cells = cells_around(Circle { latitude, longitude, radius_km });
                    let regions = regions_around(Circle { latitude, longitude, radius_km });
                    let limit = square_of_km(radius_km);
                    let middle = on_globe(latitude, longitude);
                    let span = radius_km / 111.0 * 1.2;
                    for step in 0..400 {
                        let (up, right) =
                            (f64::from(step / 20) / 9.5 - 1.0, f64::from(step % 20) / 9.5 - 1.0);
                        let up = (latitude + up * span).clamp(-90.0, 90.0);
                        let right = longitude + right * span / up.to_radians().cos().max(1e-3);
                        let right = (right + 540.0).rem_euclid(360.0) - 180.0;
                        let square: i64 =
                            middle.iter().zip(on_globe(up, right)).map(|(a, b)| (a - b).pow(2)).sum();
                        let here = cell_of(up, right);
                        let found = cells.iter().any(|(first, last)| (*first..=*last).contains(&here));
                        assert!(found || square > limit, "{latitude} {longitude} {radius_km}: {up} {right}");
                        assert!(!found || regions.contains(&region_of(here)));
                    }
                }
            }
        }
    }
}
