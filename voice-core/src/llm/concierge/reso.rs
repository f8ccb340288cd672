//! RESO Web API payloads, read into listings. Pure; caller: `listing`.
//!
//! Servers differ in how they write: a number comes as text, a list as one text, an address in one line only. A field of
//! a kind that cannot be read is a field that is not there; only a listing without price, address or city is refused.
//! Field names follow the RESO Data Dictionary 2.0, resource Property. A listing that may not be shown
//! (`InternetEntireListingDisplayYN`, `InternetAddressDisplayYN`) or is withdrawn in any way has no status here.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::listing::{HomeKind, Listing, ListingError, MAX_LISTINGS, Pool, Status};

/// The listings of a payload: an object with an array `value`, or such an array.
pub(super) fn rows(json: &str) -> Result<Vec<Row>, ListingError> {
    let (Payload::Wrapped { value: rows } | Payload::Bare(rows)) =
        serde_json::from_str(json).map_err(ListingError::Payload)?;
    if rows.len() > MAX_LISTINGS {
        return Err(ListingError::TooMany(rows.len()));
    }
    Ok(rows)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Payload {
    Wrapped { value: Vec<Row> },
    Bare(Vec<Row>),
}

/// A Property of the Data Dictionary, as far as it is spoken about.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Row {
    #[serde(deserialize_with = "text_or_none")]
    listing_id: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    listing_key: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    standard_status: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    property_type: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    property_sub_type: Option<String>,
    #[serde(deserialize_with = "list_or_none")]
    architectural_style: Option<Vec<String>>,
    #[serde(deserialize_with = "number_or_none")]
    list_price: Option<f64>,
    #[serde(deserialize_with = "text_or_none")]
    street_number: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    street_dir_prefix: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    street_name: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    street_suffix: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    unit_number: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    city: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    unparsed_address: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    subdivision_name: Option<String>,
    #[serde(deserialize_with = "number_or_none")]
    bedrooms_total: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    bathrooms_total_integer: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    bathrooms_full: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    bathrooms_half: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    living_area: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    lot_size_square_feet: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    year_built: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    stories_total: Option<f64>,
    #[serde(deserialize_with = "number_or_none")]
    garage_spaces: Option<f64>,
    #[serde(rename = "PoolPrivateYN", deserialize_with = "flag_or_none")]
    pool_private: Option<bool>,
    #[serde(deserialize_with = "list_or_none")]
    pool_features: Option<Vec<String>>,
    #[serde(rename = "FireplaceYN", deserialize_with = "flag_or_none")]
    fireplace: Option<bool>,
    #[serde(deserialize_with = "number_or_none")]
    association_fee: Option<f64>,
    #[serde(deserialize_with = "text_or_none")]
    association_fee_frequency: Option<String>,
    #[serde(deserialize_with = "number_or_none")]
    tax_annual_amount: Option<f64>,
    #[serde(deserialize_with = "text_or_none")]
    elementary_school: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    middle_or_junior_school: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    high_school: Option<String>,
    #[serde(deserialize_with = "list_or_none")]
    pets_allowed: Option<Vec<String>>,
    #[serde(deserialize_with = "text_or_none")]
    public_remarks: Option<String>,
    #[serde(deserialize_with = "text_or_none")]
    list_agent_full_name: Option<String>,
    #[serde(rename = "InternetEntireListingDisplayYN", deserialize_with = "flag_or_none")]
    display: Option<bool>,
    #[serde(rename = "InternetAddressDisplayYN", deserialize_with = "flag_or_none")]
    display_address: Option<bool>,
}

impl Row {
    /// The status of a listing that may be shown.
    pub(super) fn shown_status(&self) -> Option<Status> {
        let status = match self.standard_status.as_deref() {
            Some(status) => Status::read(&spaced(status))?,
            None => Status::Active,
        };
        (self.display != Some(false) && self.display_address != Some(false)).then_some(status)
    }

    /// The listing, checked; `place` names it where it has no number.
    pub(super) fn check(self, place: usize, status: Status) -> Result<Listing, ListingError> {
        let id = self.listing_id.or(self.listing_key).unwrap_or_else(|| format!("number {}", place + 1));
        let lacking = |reason: &str| ListingError::Field { listing: id.clone(), reason: reason.to_owned() };
        let count = |name: &str, value: Option<f64>, most: f64| match value {
            Some(v) if !(0.0..=most).contains(&v) => Err(lacking(&format!("{name} is {v}"))),
            value => Ok(value.map(f64::round)),
        };
        let price = count("ListPrice", self.list_price, 1e10)?
            .filter(|price| *price > 0.0)
            .ok_or_else(|| lacking("ListPrice is missing"))? as u64;
        let line = text(self.unparsed_address).as_deref().and_then(AddressLine::read);
        let own = (text(self.street_number), text(self.street_name));
        let has_parts = own.0.is_some() && own.1.is_some();
        let (number, street, suffix, unit) = match (own, &line) {
            ((Some(number), Some(street)), _) => {
                (number, street, text(self.street_suffix), text(self.unit_number))
            }
            (_, Some(line)) => (
                line.number.clone(),
                line.street.clone(),
                line.suffix.clone(),
                text(self.unit_number).or_else(|| line.unit.clone()),
            ),
            ((None, _), None) => return Err(lacking("StreetNumber is missing")),
            (_, None) => return Err(lacking("StreetName is missing")),
        };
        let city = text(self.city).or_else(|| line.and_then(|line| line.city));
        let city = city.ok_or_else(|| lacking("City is missing"))?;
        let small = |name: &str, value| count(name, value, 1e4).map(|v| v.map(|v| v as u32));
        let large = |name: &str, value| count(name, value, 1e12).map(|v| v.map(|v| v as u64));
        let full_baths = match small("BathroomsFull", self.bathrooms_full)? {
            Some(full) => Some(full),
            // The total counts halves as whole ones, so it is exact only where no half is given.
            None => small("BathroomsTotalInteger", self.bathrooms_total_integer)?,
        };
        let shared = self.pool_features.as_ref().is_some_and(|features| {
            features.iter().any(|f| f.contains("Community") || f.contains("Association"))
        });
        let pool = match (self.pool_private, shared) {
            (Some(true), _) => Some(Some(Pool::Private)),
            (_, true) => Some(Some(Pool::Shared)),
            (Some(false), false) => Some(None),
            (None, false) => None,
        };
        let sub_type = self.property_sub_type.as_deref().map(spaced).unwrap_or_default();
        let fee = large("AssociationFee", self.association_fee)?.filter(|fee| *fee > 0);
        let street = match text(self.street_dir_prefix) {
            // An address in one line has its direction with it.
            Some(direction) if has_parts => format!("{} {street}", in_full(&direction, DIRECTIONS)),
            _ => street,
        };
        Ok(Listing {
            number,
            street,
            suffix: suffix.map(|suffix| in_full(&suffix, SUFFIXES)).unwrap_or_default(),
            unit,
            city,
            area: text(self.subdivision_name),
            kind: kind_of(&sub_type),
            bungalow: self
                .architectural_style
                .is_some_and(|styles| styles.iter().any(|s| s.contains("Bungalow"))),
            lease: self.property_type.as_deref().is_some_and(|t| t.contains("Lease")),
            status,
            price,
            beds: small("BedroomsTotal", self.bedrooms_total)?,
            full_baths,
            half_baths: small("BathroomsHalf", self.bathrooms_half)?.unwrap_or(0),
            area_sqft: large("LivingArea", self.living_area)?.filter(|area| *area > 0),
            lot_sqft: large("LotSizeSquareFeet", self.lot_size_square_feet)?.filter(|lot| *lot > 0),
            year: small("YearBuilt", self.year_built)?.filter(|year| *year > 0),
            stories: small("StoriesTotal", self.stories_total)?.filter(|stories| *stories > 0),
            garage: small("GarageSpaces", self.garage_spaces)?,
            pool,
            fireplace: self.fireplace,
            fee: fee.map(|fee| (fee, text(self.association_fee_frequency))),
            taxes: large("TaxAnnualAmount", self.tax_annual_amount)?.filter(|taxes| *taxes > 0),
            schools: [self.elementary_school, self.middle_or_junior_school, self.high_school]
                .into_iter()
                .filter_map(text)
                .collect(),
            pets: self.pets_allowed.unwrap_or_default(),
            remarks: text(self.public_remarks),
            agent: text(self.list_agent_full_name),
            id,
        })
    }
}

fn text(value: Option<String>) -> Option<String> {
    value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

/// Lookup values come spaced or in one word (`ActiveUnderContract`), depending on the server: spaced here.
fn spaced(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 4);
    for c in value.trim().chars() {
        if c.is_uppercase() && out.chars().next_back().is_some_and(char::is_lowercase) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

fn kind_of(sub_type: &str) -> HomeKind {
    match sub_type {
        "Single Family Residence" | "House" => HomeKind::House,
        "Condominium" => HomeKind::Condo,
        "Townhouse" => HomeKind::Townhouse,
        "Apartment" => HomeKind::Apartment,
        _ => HomeKind::Other,
    }
}

/// An address as it stands in one line: `45 Lake Avenue Unit 12, Austin, TX 78703`.
#[derive(Debug, PartialEq)]
struct AddressLine {
    number: String,
    street: String,
    suffix: Option<String>,
    unit: Option<String>,
    city: Option<String>,
}

impl AddressLine {
    fn read(line: &str) -> Option<Self> {
        let mut parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
        let first = parts.next()?.replace('#', " # ");
        let mut words: Vec<&str> = first.split_whitespace().collect();
        let mut unit = None;
        if let Some(at) = words.iter().skip(1).position(|word| is_unit(word)) {
            unit = words.get(at + 2).map(|word| (*word).to_owned());
            words.truncate(at + 1);
        }
        let number = (*words.first()?).to_owned();
        if !number.starts_with(|c: char| c.is_ascii_digit()) || words.len() < 2 {
            return None;
        }
        let last = words.last()?;
        let suffix = in_full(last, SUFFIXES);
        let known = SUFFIXES.iter().any(|(_, full)| *full == suffix) && words.len() > 2;
        let street = &words[1..words.len() - usize::from(known)];
        let mut city = parts.next();
        if let Some(part) = city.filter(|part| part.split([' ', '#']).next().is_some_and(is_unit)) {
            unit = unit.or_else(|| part.split([' ', '#']).next_back().map(str::to_owned));
            city = parts.next();
        }
        Some(Self {
            number,
            street: street.join(" "),
            suffix: known.then_some(suffix),
            unit: unit.filter(|unit| !unit.is_empty()),
            city: city.filter(|city| !city.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned),
        })
    }
}

fn is_unit(word: &str) -> bool {
    matches!(
        word.trim_end_matches('.').to_ascii_lowercase().as_str(),
        "" | "#" | "unit" | "apt" | "apartment" | "suite" | "ste"
    )
}

/// What is written short, in full: an address is spoken as it is told here.
const SUFFIXES: &[(&str, &str)] = &[
    ("st", "Street"),
    ("ave", "Avenue"),
    ("av", "Avenue"),
    ("ln", "Lane"),
    ("dr", "Drive"),
    ("ct", "Court"),
    ("rd", "Road"),
    ("trl", "Trail"),
    ("rdg", "Ridge"),
    ("blvd", "Boulevard"),
    ("cir", "Circle"),
    ("pl", "Place"),
    ("ter", "Terrace"),
    ("pkwy", "Parkway"),
    ("hwy", "Highway"),
    ("cv", "Cove"),
    ("lp", "Loop"),
    ("wy", "Way"),
];
const DIRECTIONS: &[(&str, &str)] = &[
    ("n", "North"),
    ("s", "South"),
    ("e", "East"),
    ("w", "West"),
    ("ne", "Northeast"),
    ("nw", "Northwest"),
    ("se", "Southeast"),
    ("sw", "Southwest"),
];

fn in_full(word: &str, known: &[(&str, &str)]) -> String {
    let small = word.trim_end_matches('.').to_lowercase();
    let full = known.iter().find(|(short, full)| *short == small || full.to_lowercase() == small);
    full.map_or_else(|| word.to_owned(), |(_, full)| (*full).to_owned())
}

fn text_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn number_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

fn flag_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Bool(flag) => Some(flag),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "1" => Some(true),
            "false" | "no" | "n" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => number.as_i64().map(|number| number != 0),
        _ => None,
    })
}

fn list_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(values) => {
            Some(values.into_iter().filter_map(|value| value.as_str().map(str::to_owned)).collect())
        }
        Value::String(text) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Listing;
    use super::*;

    #[test]
    fn a_listing_is_read_whatever_the_types_of_its_fields() {
        let listing = Listing::from_reso(&json!({
            "ListingId": 77, "ListPrice": "450000", "StreetNumber": 12, "StreetDirPrefix": "N", "StreetName": "Foo",
            "StreetSuffix": "St.", "City": "Kyle", "BedroomsTotal": "3", "PoolPrivateYN": "Y", "PetsAllowed": "Cats,Dogs",
            "LivingArea": {"odd": true}, "StandardStatus": "ActiveUnderContract",
        }));
        let listing = listing.expect("a listing").expect("shown");
        assert_eq!((listing.id.as_str(), listing.address().as_str()), ("77", "12 North Foo Street"));
        assert_eq!((listing.price, listing.beds, listing.area_sqft), (450_000, Some(3), None));
        assert_eq!((listing.has_pool(), listing.status), (true, Status::UnderContract));
        assert_eq!(listing.pets, ["Cats", "Dogs"]);
        let hidden = json!({"ListPrice": 1, "InternetAddressDisplayYN": "false"});
        assert_eq!(Listing::from_reso(&hidden).expect("read"), None);
        assert!(Listing::from_reso(&json!({"City": "Kyle"})).is_err());
        assert!(Listing::from_reso(&json!("A1")).is_err());
    }

    #[test]
    fn an_address_in_one_line_is_taken_apart() {
        for (line, address, city) in [
            ("45 Lake Ave Unit 12, Austin, TX 78703", Some("45 Lake Avenue Unit 12"), "Austin"),
            ("12 Foo Street, Round Rock, TX", Some("12 Foo Street"), "Round Rock"),
            ("600 Congress Ave, #1804, Austin, TX", Some("600 Congress Avenue Unit 1804"), "Austin"),
            ("600 Congress Ave #1804, Austin", Some("600 Congress Avenue Unit 1804"), "Austin"),
            ("3 Broadway, Georgetown", Some("3 Broadway"), "Georgetown"),
            ("7 Court, Kyle", Some("7 Court"), "Kyle"),
            ("Lot on the lake, Kyle", None, ""),
            ("12", None, ""),
            (", ,", None, ""),
        ] {
            let listing = Listing::from_reso(&json!({"ListPrice": 5, "UnparsedAddress": line}));
            let listing = listing.ok().flatten();
            assert_eq!(listing.as_ref().map(Listing::address).as_deref(), address, "{line}");
            assert_eq!(listing.map(|home| home.city).unwrap_or_default(), city, "{line}");
        }
    }
}
