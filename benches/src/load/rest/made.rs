//! The listings and conversations of a filled database: made from their number alone, the same on every machine.
//!
//! Distributions are those of a large MLS: few cities have most listings, most listings are closed, prices spread by
//! factors, a description has some sixty words of which few are frequent.

use serde_json::{Value, json};
use uuid::Uuid;
use voice_server::data::{NewProperty, Timestamp};

/// When the made world ends; the newest listing is a few minutes older.
pub(super) const NOW: i64 = 1_764_000_000_000;

/// A small generator of numbers, split off for each thing so that it depends on nothing but its number.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// For thing `number` of a kind.
    pub(super) fn of(kind: u64, number: u64) -> Self {
        let mut dice =
            Self(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to before 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to before `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        (self.unit() * sides as f64) as usize
    }

    /// Around 0, mostly within 1: the sum of uniform ones is nearly normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A rank from 0, each about as frequent as 1 / (rank + 1).
    fn ranked(&mut self, ranks: usize) -> usize {
        (((ranks as f64 + 1.0).powf(self.unit())) - 1.0) as usize
    }

    fn one_of<T: Copy>(&mut self, weighted: &[(T, usize)]) -> T {
        let mut left = self.roll(weighted.iter().map(|(_, weight)| weight).sum());
        for (value, weight) in weighted {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        weighted[0].0
    }
}

/// Cities, the largest first.
pub(super) const CITIES: usize = 120;
const REAL: [(&str, f64, f64); 12] = [
    ("Houston", 29.76, -95.37),
    ("San Antonio", 29.42, -98.49),
    ("Dallas", 32.78, -96.80),
    ("Austin", 30.27, -97.74),
    ("Fort Worth", 32.75, -97.33),
    ("El Paso", 31.76, -106.49),
    ("Round Rock", 30.51, -97.68),
    ("Georgetown", 30.63, -97.68),
    ("Plano", 33.02, -96.70),
    ("Lubbock", 33.58, -101.86),
    ("Corpus Christi", 27.80, -97.40),
    ("Galveston", 29.30, -94.80),
];
const BEGINS: [&str; 12] =
    ["Oak", "Cedar", "Stone", "River", "Mesa", "Pecan", "Lake", "Bluff", "Fair", "Hill", "Sandy", "Cole"];
const ENDS: [&str; 10] =
    ["ville", "ton", " Springs", " Creek", "wood", "field", " Park", "dale", "port", " Grove"];

/// A city's name and middle.
pub(super) fn city(rank: usize) -> (String, f64, f64) {
    if let Some((name, latitude, longitude)) = REAL.get(rank) {
        return ((*name).to_owned(), *latitude, *longitude);
    }
    let mut dice = Dice::of(1, rank as u64);
    let name = format!("{}{}", BEGINS[rank % BEGINS.len()], ENDS[rank / BEGINS.len() % ENDS.len()]);
    (name, 28.0 + dice.unit() * 5.5, -102.0 + dice.unit() * 7.0)
}

/// Words of descriptions, the frequent ones first; behind them come street and family names.
pub(super) const WORDS: [&str; 96] = [
    "home",
    "kitchen",
    "room",
    "large",
    "bedroom",
    "new",
    "floor",
    "living",
    "garage",
    "yard",
    "open",
    "area",
    "primary",
    "bath",
    "light",
    "space",
    "pool",
    "park",
    "close",
    "updated",
    "counters",
    "patio",
    "quiet",
    "street",
    "school",
    "fenced",
    "windows",
    "hardwood",
    "granite",
    "fireplace",
    "closet",
    "downtown",
    "garden",
    "community",
    "shopping",
    "study",
    "stone",
    "trees",
    "covered",
    "lake",
    "views",
    "office",
    "dining",
    "island",
    "pantry",
    "corner",
    "storage",
    "roof",
    "stainless",
    "walk",
    "upstairs",
    "balcony",
    "breakfast",
    "laundry",
    "natural",
    "ceilings",
    "private",
    "spacious",
    "remodeled",
    "move",
    "ready",
    "appliances",
    "tile",
    "carpet",
    "sprinkler",
    "landscaped",
    "deck",
    "hill",
    "country",
    "trail",
    "greenbelt",
    "vaulted",
    "bungalow",
    "loft",
    "solar",
    "panels",
    "guest",
    "suite",
    "workshop",
    "barn",
    "acre",
    "horses",
    "creek",
    "dock",
    "waterfront",
    "elevator",
    "concierge",
    "terrace",
    "skyline",
    "wine",
    "cellar",
    "sauna",
    "theater",
    "courtyard",
    "orchard",
    "observatory",
];

fn name_of(number: usize) -> String {
    const PARTS: [&str; 20] = [
        "bar", "len", "mor", "wick", "tal", "ros", "den", "har", "win", "ket", "sul", "ash", "bur", "cor",
        "fen", "gar", "hol", "lin", "mar", "nor",
    ];
    let mut name = String::new();
    for part in [number % 20, number / 20 % 20, number / 400 % 20] {
        name.push_str(PARTS[part]);
    }
    name[..1].to_ascii_uppercase() + &name[1..]
}

fn remarks(dice: &mut Dice, words: usize) -> String {
    let mut text = String::with_capacity(words * 8);
    for at in 0..words {
        if at > 0 {
            text.push_str(if at % 11 == 0 { ". " } else { " " });
        }
        // Of each ten words one is a name.
        if dice.roll(10) == 0 {
            text.push_str(&name_of(dice.ranked(8_000)));
        } else {
            text.push_str(WORDS[dice.ranked(WORDS.len())]);
        }
    }
    text.push('.');
    text
}

/// What somebody looks for among conversations, with a `+` between words: frequent words and names, and two of them.
pub(super) fn asked(dice: &mut Dice) -> String {
    let mut one = || {
        if dice.roll(2) == 0 {
            return WORDS[dice.roll(WORDS.len())].to_owned();
        }
        name_of(dice.ranked(8_000))
    };
    let word = one();
    if one().len() % 3 == 0 { format!("{word}+{}", one()) } else { word }
}

/// The id of listing `number`.
pub(super) fn property_id(number: u64) -> Uuid {
    id(2, number)
}

/// The id of conversation `number`.
pub(super) fn conversation_id(number: u64) -> Uuid {
    id(3, number)
}

/// Agents of the organization.
pub(super) const AGENTS: usize = 40;

/// The id of agent `number`.
pub(super) fn agent_id(number: u64) -> Uuid {
    id(7, number)
}

fn id(kind: u64, number: u64) -> Uuid {
    let mut dice = Dice::of(kind, number);
    uuid::Builder::from_random_bytes((u128::from(dice.next()) << 64 | u128::from(dice.next())).to_be_bytes())
        .into_uuid()
}

/// Listing `number` of `total`, about 2 KB.
pub(super) fn property(number: u64, total: u64) -> NewProperty {
    let mut dice = Dice::of(4, number);
    let (city, latitude, longitude) = city(dice.ranked(CITIES));
    let kinds: &[((&str, &str), usize)] = &[
        (("Residential", "Single Family Residence"), 58),
        (("Residential", "Condominium"), 12),
        (("Residential", "Townhouse"), 10),
        (("Residential Lease", "Apartment"), 6),
        (("Residential Lease", "Single Family Residence"), 3),
        (("Land", "Unimproved Land"), 7),
        (("Residential Income", "Duplex"), 2),
        (("Commercial Sale", "Office"), 2),
    ];
    let (kind, sub_kind) = dice.one_of(kinds);
    let status = dice.one_of(&[
        ("Closed", 62),
        ("Active", 22),
        ("Pending", 6),
        ("Expired", 4),
        ("Active Under Contract", 3),
        ("Withdrawn", 2),
        ("Coming Soon", 1),
    ]);
    let is_land = kind == "Land";
    let beds = dice.one_of(&[(1, 8), (2, 18), (3, 38), (4, 26), (5, 8), (6, 2)]);
    let full = 1 + dice.roll(beds);
    let price = (350_000.0 * (dice.normal() * 0.55).exp() / 100.0).round() * 100.0;
    let price = if kind.contains("Lease") { (price / 180.0 / 5.0).round() * 5.0 } else { price };
    // Arrived over ten years, in the order of their numbers, more or less.
    let age_days = (1.0 - (number as f64 + dice.unit() * 500.0) / (total as f64 + 500.0)) * 3_650.0;
    let listed = Timestamp::from_millis(NOW - (age_days * 86_400_000.0) as i64);
    let street = name_of(dice.roll(3_000));
    let words = 40 + dice.roll(50);
    let mut data = json!({
        "ListingKey": format!("K{number}"), "ListingId": format!("M{number}"), "StandardStatus": status, "PropertyType": kind,
        "PropertySubType": sub_kind, "ListPrice": price, "OriginalListPrice": price, "StreetNumber": (1 + dice.roll(9_900)).to_string(),
        "StreetName": street, "StreetSuffix": dice.one_of(&[("Street", 4), ("Avenue", 2), ("Drive", 3), ("Lane", 2), ("Court", 1)]),
        "City": city, "StateOrProvince": "TX", "PostalCode": (75_000 + dice.ranked(4_000)).to_string(), "CountyOrParish": "Travis",
        "SubdivisionName": format!("{} {}", name_of(dice.roll(600)), dice.one_of(&[("Heights", 1), ("Estates", 1), ("Park", 1)])),
        "LivingArea": 500 + dice.roll(3_500), "LotSizeSquareFeet": 3_000 + dice.roll(20_000), "YearBuilt": 1_930 + dice.roll(95),
        "Latitude": ((latitude + dice.normal() * 0.09) * 1e6).round() / 1e6,
        "Longitude": ((longitude + dice.normal() * 0.1) * 1e6).round() / 1e6,
        "OnMarketTimestamp": listed.to_string(), "ModificationTimestamp": listed.to_string(), "PublicRemarks": remarks(&mut dice, words),
        "ListAgentFullName": format!("{} {}", name_of(dice.roll(900)), name_of(dice.roll(2_000))), "ListOfficeName": "Made Realty",
        "Appliances": ["Dishwasher", "Disposal", "Gas Range", "Microwave", "Refrigerator"], "Heating": ["Central", "Natural Gas"],
        "Cooling": ["Ceiling Fan(s)", "Central Air"], "InteriorFeatures": ["Breakfast Bar", "High Ceilings", "Recessed Lighting"],
        "ElementarySchool": format!("{} Elementary", name_of(dice.roll(300))), "PhotosCount": 2,
        "Media": (0..2).map(|n| json!({"MediaURL": format!("https://media.example/{number}/{n}.jpg"), "Order": n})).collect::<Value>(),
    });
    if !is_land {
        data["BedroomsTotal"] = json!(beds);
        data["BathroomsFull"] = json!(full);
        data["BathroomsHalf"] = json!(dice.roll(2));
    }
    let at = Timestamp::from_millis(NOW);
    let new = NewProperty::from_reso(data, at);
    NewProperty { id: property_id(number), ..new.unwrap_or_else(|| unreachable!("it has a number")) }
}

/// What was said and answered in turn `turn` of conversation `number`.
pub(super) fn exchange(number: u64, turn: u64) -> (String, String) {
    let mut dice = Dice::of(5, number * 64 + turn);
    let (said, reply) = (6 + dice.roll(10), 15 + dice.roll(25));
    (remarks(&mut dice, said), remarks(&mut dice, reply))
}

/// Turns of conversation `number`: 2 to 9.
pub(super) fn turns(number: u64) -> u64 {
    2 + Dice::of(6, number).roll(8) as u64
}

/// When conversation `number` of `total` began: within the last year, in the order of their numbers.
pub(super) fn began(number: u64, total: u64) -> i64 {
    NOW - (365.0 * 86_400_000.0 * (1.0 - number as f64 / total as f64)) as i64 - 600_000
}
