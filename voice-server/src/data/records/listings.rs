//! Listings: what is stored, in RESO's words, and what a search may ask.
//!
//! A listing is its `property_data`, a RESO Property; all the rest is read from that, here and nowhere else. Field names
//! follow the Data Dictionary 2.0.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Timestamp;

/// A listing.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Property {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub organization_id: Uuid,
    /// The MLS number, RESO's `ListingId`.
    pub mls_id: Option<String>,
    /// The address as people write it.
    pub address: String,
    /// City.
    pub city: Option<String>,
    /// State or province.
    pub state_or_province: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Price; of a rental, each month.
    pub list_price: Option<f64>,
    /// Bedrooms.
    pub bedrooms_total: Option<i64>,
    /// Bathrooms, a half one counted as one.
    pub bathrooms_total_integer: Option<i64>,
    /// Bathrooms, a half one counted as half.
    pub bathrooms_total_decimal: Option<f64>,
    /// Such as `Residential`.
    pub property_type: Option<String>,
    /// Such as `Condominium`.
    pub property_sub_type: Option<String>,
    /// Such as `Active`.
    pub standard_status: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Living area, in square feet where the listing says nothing else.
    pub living_area: Option<f64>,
    /// When it came on the market, else when it came here.
    pub listed_at: Timestamp,
    /// When it came here.
    pub created_at: Timestamp,
    /// When it last changed here.
    pub updated_at: Timestamp,
    /// Grows with each change.
    pub revision: i64,
    /// Kilometres from the point of the search, where it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_km: Option<f64>,
    /// The listing in RESO's words.
    #[schema(value_type = Object)]
    pub property_data: Value,
}

/// What the database keeps of a listing.
#[derive(Clone, Debug)]
pub(in super::super) struct StoredProperty {
    pub(in super::super) id: Uuid,
    pub(in super::super) organization_id: Uuid,
    pub(in super::super) mls_id: Option<String>,
    pub(in super::super) address: String,
    pub(in super::super) property_data: Value,
    pub(in super::super) created_at: Timestamp,
    pub(in super::super) updated_at: Timestamp,
    pub(in super::super) revision: i64,
}

impl From<StoredProperty> for Property {
    fn from(stored: StoredProperty) -> Self {
        let reso = Reso(&stored.property_data);
        let half_baths = reso.half_baths();
        Self {
            city: reso.text("City"),
            state_or_province: reso.text("StateOrProvince"),
            postal_code: reso.text("PostalCode"),
            list_price: reso.price(),
            bedrooms_total: reso.count("BedroomsTotal"),
            bathrooms_total_integer: reso.all_baths(),
            bathrooms_total_decimal: half_baths.map(|half| half as f64 / 2.0),
            property_type: reso.text("PropertyType"),
            property_sub_type: reso.text("PropertySubType"),
            standard_status: reso.text("StandardStatus"),
            latitude: reso.point().map(|(latitude, _)| latitude),
            longitude: reso.point().map(|(_, longitude)| longitude),
            living_area: reso.number("LivingArea").filter(|area| *area > 0.0),
            listed_at: reso.listed_at().unwrap_or(stored.created_at),
            distance_km: None,
            id: stored.id,
            organization_id: stored.organization_id,
            mls_id: stored.mls_id,
            address: stored.address,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            revision: stored.revision,
            property_data: stored.property_data,
        }
    }
}

/// A listing to be stored. One with the organization's `mls_id` takes the place of the one that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewProperty {
    /// Its id, if it is new.
    pub id: Uuid,
    /// The MLS number; without one it is always new.
    pub mls_id: Option<String>,
    /// The address as people write it.
    pub address: String,
    /// The listing in RESO's words.
    pub property_data: Value,
    /// When it comes.
    pub at: Timestamp,
}

/// An MLS number has at most this many characters.
const MLS_ID_LONGEST: usize = 50;

impl NewProperty {
    /// Takes a RESO Property. `None`: it is no object, or has neither number nor address.
    pub fn from_reso(property_data: Value, at: Timestamp) -> Option<Self> {
        property_data.as_object()?;
        let reso = Reso(&property_data);
        let mls_id = reso.text("ListingId").or_else(|| reso.text("ListingKey"));
        let mls_id = mls_id.filter(|id| id.chars().count() <= MLS_ID_LONGEST);
        let address = reso.address();
        if mls_id.is_none() && address.is_empty() {
            return None;
        }
        Some(Self { id: Uuid::new_v4(), mls_id, address, property_data, at })
    }
}

/// What became of listings that were stored; one that is as it was counts as neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// New ones.
    pub added: u64,
    /// Ones that changed.
    pub changed: u64,
}

/// Which listings a list shows; unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PropertyFilter {
    /// In this city, whatever its capitals and accents.
    pub city: Option<String>,
    /// At least this price, in cents.
    pub min_price: Option<i64>,
    /// At most this price, in cents.
    pub max_price: Option<i64>,
    /// At least so many bedrooms.
    pub min_beds: Option<i64>,
    /// At least so many bathrooms, in halves.
    pub min_half_baths: Option<i64>,
    /// One of these types or sub-types; none: any. A type in place of a sub-type counts where there is no type.
    pub kinds: Vec<String>,
    /// One of these statuses; none: any.
    pub statuses: Vec<String>,
    /// With all of these words; the last one may be the begin of a word, from three letters on.
    pub words: Vec<String>,
    /// Not further away than this.
    pub circle: Option<Circle>,
}

/// A place on the earth and what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circle {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Kilometres.
    pub radius_km: f64,
}

/// In which order listings come. Where it leaves two equal, the order of their arrival decides, turned round with it. What a
/// listing does not say counts as less than everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PropertySort {
    /// `listed`: longest on the market first.
    Oldest,
    /// `-listed`: newest on the market first.
    #[default]
    Newest,
    /// `price`: cheapest first.
    Cheapest,
    /// `-price`: dearest first.
    Dearest,
    /// `beds`: fewest bedrooms first.
    FewestBeds,
    /// `-beds`: most bedrooms first.
    MostBeds,
    /// `distance`: nearest to the middle of the circle first.
    Nearest,
}

impl PropertySort {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Oldest, "listed"),
        (Self::Newest, "-listed"),
        (Self::Cheapest, "price"),
        (Self::Dearest, "-price"),
        (Self::FewestBeds, "beds"),
        (Self::MostBeds, "-beds"),
        (Self::Nearest, "distance"),
    ];

    /// Reads the word of a query.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(sort, _)| *sort)
    }
}

/// Where the next page of a list goes on: behind the listing with this key and number, or behind the last one that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertyCursor {
    /// What it was ordered by.
    pub key: i64,
    /// Its place in the order of arrival.
    pub number: i64,
}

impl PropertyCursor {
    /// The cursor as text for an address; it fits this search alone.
    pub fn encode(self, filter: &PropertyFilter, sort: PropertySort) -> String {
        format!("{:016x}{:016x}{:016x}", search_mark(filter, sort), self.key, self.number)
    }

    /// Reads what [`PropertyCursor::encode`] wrote for the same search. `None`: it is something else.
    pub fn parse(text: &str, filter: &PropertyFilter, sort: PropertySort) -> Option<Self> {
        if text.len() != 48 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let part = |at: usize| u64::from_str_radix(text.get(at..at + 16)?, 16).ok();
        let (mark, key, number) = (part(0)?, part(16)?, part(32)?);
        let cursor = Self { key: key.cast_signed(), number: number.cast_signed() };
        (mark == search_mark(filter, sort)).then_some(cursor)
    }
}

fn search_mark(filter: &PropertyFilter, sort: PropertySort) -> u64 {
    super::super::facts::hash(&[format!("{filter:?} {sort:?}").as_bytes()])
}

/// A part of a list of listings. A search that had to look at too many may stop early, with a cursor and fewer entries than
/// asked, even none: the next page goes on where it stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyPage {
    /// The entries.
    pub items: Vec<Property>,
    /// Where the next page goes on; `None` at the end of the list.
    pub next: Option<PropertyCursor>,
}

/// A RESO Property, read field by field: what has another type than it should is not there.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Reso<'v>(pub(in super::super) &'v Value);

impl Reso<'_> {
    pub(in super::super) fn text(self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A number, also where it comes as text.
    pub(in super::super) fn number(self, name: &str) -> Option<f64> {
        let value = self.0.get(name)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        number.is_finite().then_some(number)
    }

    /// A small whole number; some servers send `3.0`.
    pub(in super::super) fn count(self, name: &str) -> Option<i64> {
        self.number(name).filter(|n| (0.0..=1_000.0).contains(n)).map(|n| n.round() as i64)
    }

    pub(in super::super) fn price(self) -> Option<f64> {
        self.number("ListPrice").filter(|price| (0.0..=1e12).contains(price) && *price > 0.0)
    }

    /// Bathrooms in halves. A three-quarter bathroom counts as a whole one.
    pub(in super::super) fn half_baths(self) -> Option<i64> {
        if let Some(full) = self.count("BathroomsFull") {
            let more = self.count("BathroomsThreeQuarter").unwrap_or(0);
            return Some(2 * (full + more) + self.count("BathroomsHalf").unwrap_or(0));
        }
        let decimal = self.number("BathroomsTotalDecimal").filter(|n| (0.0..=1_000.0).contains(n));
        let decimal = decimal.map(|n| (2.0 * n).round() as i64);
        decimal.or_else(|| self.count("BathroomsTotalInteger").map(|n| 2 * n))
    }

    fn all_baths(self) -> Option<i64> {
        self.count("BathroomsTotalInteger").or_else(|| {
            let kinds = ["BathroomsFull", "BathroomsThreeQuarter", "BathroomsHalf"];
            let counts: Vec<i64> = kinds.iter().filter_map(|kind| self.count(kind)).collect();
            (!counts.is_empty()).then(|| counts.iter().sum())
        })
    }

    /// Latitude and longitude. (0, 0), in the sea, is what systems write that know neither.
    pub(in super::super) fn point(self) -> Option<(f64, f64)> {
        let (latitude, longitude) = (self.number("Latitude")?, self.number("Longitude")?);
        let sound = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        (sound && (latitude, longitude) != (0.0, 0.0)).then_some((latitude, longitude))
    }

    /// When it came on the market: a moment, or the start of a day in UTC.
    pub(in super::super) fn listed_at(self) -> Option<Timestamp> {
        ["OnMarketTimestamp", "OnMarketDate", "ListingContractDate", "OriginalEntryTimestamp"]
            .into_iter()
            .filter_map(|name| self.text(name))
            .find_map(|text| {
                Timestamp::parse(&text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")))
            })
    }

    /// The address in one line.
    fn address(self) -> String {
        if let Some(address) = self.text("UnparsedAddress") {
            return address;
        }
        let parts = ["StreetNumber", "StreetDirPrefix", "StreetName", "StreetSuffix", "StreetDirSuffix"];
        let mut street = parts.iter().filter_map(|part| self.text(part)).collect::<Vec<_>>().join(" ");
        if let Some(unit) = self.text("UnitNumber") {
            street.push_str(" Unit ");
            street.push_str(&unit);
        }
        let state = ["StateOrProvince", "PostalCode"].iter().filter_map(|part| self.text(part));
        let state = state.collect::<Vec<_>>().join(" ");
        let lines = [street, self.text("City").unwrap_or_default(), state];
        lines.into_iter().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listing_is_read_from_resos_words_whatever_their_types() {
        let data = json!({
            "ListingId": "A1", "StreetNumber": "45", "StreetName": "Lake", "StreetSuffix": "Avenue", "UnitNumber": "12",
            "City": "Austin", "StateOrProvince": "TX", "PostalCode": "78703", "ListPrice": "389000.50", "BedroomsTotal": 3.0,
            "BathroomsFull": 2, "BathroomsHalf": 1, "Latitude": 0, "Longitude": 0, "ListingContractDate": "2024-05-01",
            "LivingArea": true
        });
        let new = NewProperty::from_reso(data, Timestamp::from_millis(5)).expect("a listing");
        assert_eq!(
            (new.mls_id.as_deref(), new.address.as_str()),
            (Some("A1"), "45 Lake Avenue Unit 12, Austin, TX 78703")
        );
        let reso = Reso(&new.property_data);
        assert_eq!(
            (reso.price(), reso.count("BedroomsTotal"), reso.half_baths()),
            (Some(389_000.5), Some(3), Some(5))
        );
        assert_eq!((reso.all_baths(), reso.point(), reso.number("LivingArea")), (Some(3), None, None));
        assert_eq!(reso.listed_at().map(|at| at.to_string()).as_deref(), Some("2024-05-01T00:00:00.000Z"));
        assert_eq!(NewProperty::from_reso(json!({"City": 5}), Timestamp::from_millis(5)), None);
        assert_eq!(NewProperty::from_reso(json!("A1"), Timestamp::from_millis(5)), None);
    }

    #[test]
    fn a_cursor_fits_its_own_search_alone() {
        let filter = PropertyFilter { city: Some("Austin".into()), ..Default::default() };
        let cursor = PropertyCursor { key: -1, number: 7 };
        let text = cursor.encode(&filter, PropertySort::Cheapest);
        assert_eq!(PropertyCursor::parse(&text, &filter, PropertySort::Cheapest), Some(cursor));
        assert_eq!(PropertyCursor::parse(&text, &filter, PropertySort::Dearest), None);
        assert_eq!(PropertyCursor::parse(&text, &PropertyFilter::default(), PropertySort::Cheapest), None);
        for broken in
            ["", "x", &text[1..], &format!("{text}0"), &text.replace('f', "+"), "\u{e9}".repeat(24).as_str()]
        {
            assert_eq!(PropertyCursor::parse(broken, &filter, PropertySort::Cheapest), None, "{broken}");
        }
    }
}
