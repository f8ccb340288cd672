//! Listings as the concierge knows them: read from RESO Web API payloads by `reso`, checked once, then only looked up.
//!
//! Listings that may not be shown to the public, and those withdrawn in any way, are left out, so that nothing above can say
//! them. Sold, taken and coming homes stay, each with its [`Status`], because callers ask about
//! them. Invariant: every [`Listing`] has a price, an address and a city.

use std::sync::LazyLock;

use serde::Deserialize as _;

use super::reso::{self, Row};

/// Most listings read from one payload: a search looks at all of them, within a caller's pause.
pub(super) const MAX_LISTINGS: usize = 10_000;

/// Why listings could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// The payload is not JSON of the RESO shape: an object with an array `value`, or such an array.
    #[error("the listings are not a RESO payload")]
    Payload(#[source] serde_json::Error),
    /// A listing lacks a field or has an impossible value.
    #[error("listing {listing} cannot be used: {reason}")]
    Field {
        /// Its `ListingId` or its place in the payload.
        listing: String,
        /// What is wrong, naming the field.
        reason: String,
    },
    /// More listings than a search can look through in time.
    #[error("{0} listings are more than the {MAX_LISTINGS} that one answerer holds")]
    TooMany(usize),
}

/// What kind of home a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HomeKind {
    /// A house on its own lot.
    House,
    /// A condominium.
    Condo,
    /// A townhouse.
    Townhouse,
    /// An apartment.
    Apartment,
    /// Anything else, such as a duplex or land.
    Other,
}

impl HomeKind {
    /// The word for one, as spoken.
    pub fn noun(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Condo => "condo",
            Self::Townhouse => "townhouse",
            Self::Apartment => "apartment",
            Self::Other => "home",
        }
    }
}

/// Whose pool a home has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Its own.
    Private,
    /// One that the building or the residents share.
    Shared,
}

/// Whether a home can be had, of `StandardStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// On the market.
    Active,
    /// Announced, and not on the market yet.
    ComingSoon,
    /// `Active Under Contract`: taken, with conditions still open.
    UnderContract,
    /// Taken; only the closing is awaited.
    Pending,
    /// Sold, or rented.
    Closed,
}

impl Status {
    /// The status of a value in its spaced writing; `None` for homes that are withdrawn, expired, on hold or not
    /// complete.
    pub(super) fn read(value: &str) -> Option<Self> {
        Some(match value {
            "Active" => Self::Active,
            "Coming Soon" => Self::ComingSoon,
            "Active Under Contract" => Self::UnderContract,
            "Pending" => Self::Pending,
            "Closed" | "Sold" => Self::Closed,
            _ => return None,
        })
    }
}

/// One home for sale or rent.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The MLS number, `ListingId`.
    pub id: String,
    /// House number, such as `1208`.
    pub number: String,
    /// Street without its suffix, such as `Barton Hills`.
    pub street: String,
    /// Suffix as spoken, such as `Street`; may be empty.
    pub suffix: String,
    /// Unit number.
    pub unit: Option<String>,
    /// City.
    pub city: String,
    /// Part of town, `SubdivisionName`.
    pub area: Option<String>,
    /// What it is.
    pub kind: HomeKind,
    /// Whether it is called a bungalow.
    pub bungalow: bool,
    /// For rent, with a monthly price; otherwise for sale.
    pub lease: bool,
    /// Whether it can be had.
    pub status: Status,
    /// Price in whole dollars; of a rental, each month.
    pub price: u64,
    /// Bedrooms.
    pub beds: Option<u32>,
    /// Full bathrooms.
    pub full_baths: Option<u32>,
    /// Half bathrooms.
    pub half_baths: u32,
    /// Living area in square feet.
    pub area_sqft: Option<u64>,
    /// Lot in square feet.
    pub lot_sqft: Option<u64>,
    /// Year built.
    pub year: Option<u32>,
    /// Stories.
    pub stories: Option<u32>,
    /// Cars the garage takes; zero is no garage.
    pub garage: Option<u32>,
    /// The pool, or that there is none; `None` where the listing does not say.
    pub pool: Option<Option<Pool>>,
    /// Whether there is a fireplace.
    pub fireplace: Option<bool>,
    /// Association fee in whole dollars and how often it is due, such as `Monthly`.
    pub fee: Option<(u64, Option<String>)>,
    /// Property tax of a year in whole dollars.
    pub taxes: Option<u64>,
    /// Elementary, middle and high school.
    pub schools: Vec<String>,
    /// Which pets are allowed, in the words of the listing.
    pub pets: Vec<String>,
    /// The public description.
    pub remarks: Option<String>,
    /// The listing agent.
    pub agent: Option<String>,
}

impl Listing {
    /// Reads one RESO Property, whatever the types of its fields; `None` where it may not be shown.
    ///
    /// # Errors
    /// It is no object, or lacks a price, an address or a city, or has an impossible value.
    pub fn from_reso(property: &serde_json::Value) -> Result<Option<Self>, ListingError> {
        let row = Row::deserialize(property).map_err(ListingError::Payload)?;
        row.shown_status().map(|status| row.check(0, status)).transpose()
    }

    /// The address as spoken and written: `45 Lake Avenue Unit 12`.
    pub fn address(&self) -> String {
        let mut address = format!("{} {}", self.number, self.street);
        if !self.suffix.is_empty() {
            address.push(' ');
            address.push_str(&self.suffix);
        }
        if let Some(unit) = &self.unit {
            address.push_str(" Unit ");
            address.push_str(unit);
        }
        address
    }

    /// Whether it is on the market and nobody has taken it: only such a home may be offered.
    pub fn is_available(&self) -> bool {
        self.status == Status::Active
    }

    /// Bathrooms with halves counted as halves.
    pub fn baths(&self) -> Option<f64> {
        self.full_baths.map(|full| f64::from(full) + f64::from(self.half_baths) / 2.0)
    }

    /// Whether there is any pool.
    pub fn has_pool(&self) -> bool {
        matches!(self.pool, Some(Some(_)))
    }

    /// Whether there is a garage.
    pub fn has_garage(&self) -> bool {
        self.garage.is_some_and(|cars| cars > 0)
    }
}

/// All homes an answerer may speak about.
#[derive(Clone, Debug, Default)]
pub struct Listings {
    all: Vec<Listing>,
}

impl Listings {
    /// Reads a RESO payload. Listings that may not be shown are left out; a broken one is an error that names it.
    pub fn parse(json: &str) -> Result<Self, ListingError> {
        let rows = reso::rows(json)?;
        let mut all = Vec::with_capacity(rows.len());
        for (place, row) in rows.into_iter().enumerate() {
            if let Some(status) = row.shown_status() {
                all.push(row.check(place, status)?);
            }
        }
        Ok(Self { all })
    }

    /// These, at most 10,000 of them.
    pub fn of(listings: impl IntoIterator<Item = Listing>) -> Self {
        Self { all: listings.into_iter().take(MAX_LISTINGS).collect() }
    }

    /// Every listing, in the order of the payload.
    pub fn all(&self) -> &[Listing] {
        &self.all
    }

    /// The listing at a place of [`all`](Self::all).
    pub fn at(&self, place: usize) -> Option<&Listing> {
        self.all.get(place)
    }
}

/// The homes of the demo organization: Austin, Round Rock and Georgetown, Texas. None of them exists.
pub fn sample_listings() -> &'static Listings {
    static SAMPLE: LazyLock<Listings> = LazyLock::new(|| {
        // The file is part of the program; a test reads it, so the empty list is never seen.
        Listings::parse(sample_listings_json()).unwrap_or_default()
    });
    &SAMPLE
}

/// The same as the RESO payload they are read from.
pub fn sample_listings_json() -> &'static str {
    include_str!("sample.json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_the_homes_that_the_demo_promises() {
        let all = Listings::parse(sample_listings_json()).unwrap();
        for (address, price, beds, kind) in [
            ("1208 Maple Street", 525_000, 3, HomeKind::House),
            ("45 Lake Avenue Unit 12", 389_000, 2, HomeKind::Condo),
            ("310 Oak Drive", 749_000, 4, HomeKind::House),
            ("77 Cedar Lane", 459_000, 3, HomeKind::Townhouse),
            ("2201 Barton Hills Road", 1_150_000, 5, HomeKind::House),
            ("9 Pecan Court", 329_000, 2, HomeKind::House),
            ("600 Congress Avenue Unit 1804", 3_200, 1, HomeKind::Apartment),
        ] {
            let listing = all.all().iter().find(|l| l.address() == address).expect(address);
            assert_eq!((listing.price, listing.beds, listing.kind), (price, Some(beds), kind), "{address}");
        }
        assert_eq!(all.all().len(), 14);
        assert_eq!(sample_listings().all(), all.all());
    }

    #[test]
    fn broken_listings_are_named() {
        let error = |json: &str| Listings::parse(json).unwrap_err().to_string();
        assert_eq!(error("[{\"ListingId\":\"X\"}]"), "listing X cannot be used: ListPrice is missing");
        assert_eq!(error("[{}]"), "listing number 1 cannot be used: ListPrice is missing");
        let base = r#""ListPrice":1,"StreetNumber":"1","StreetName":"Elm","City":"Kyle""#;
        assert!(error(&format!("[{{{base},\"BedroomsTotal\":-2}}]")).contains("BedroomsTotal is -2"));
        assert!(error("{}").contains("RESO"));
        assert!(error("nonsense").contains("RESO"));
    }

    #[test]
    fn what_may_not_be_shown_is_not_known() {
        let row = |extra: &str| {
            format!(r#"{{"ListPrice":1,"StreetNumber":"1","StreetName":"Elm","City":"Kyle",{extra}}}"#)
        };
        let json = format!(
            r#"{{"value":[{},{},{},{},{},{}]}}"#,
            row(r#""StandardStatus":"Withdrawn""#),
            row(r#""StandardStatus":"Closed""#),
            row(r#""InternetEntireListingDisplayYN":false"#),
            row(r#""InternetAddressDisplayYN":false"#),
            row(r#""StandardStatus":"ComingSoon""#),
            row(r#""StandardStatus":"ActiveUnderContract""#),
        );
        let listings = Listings::parse(&json).unwrap();
        let statuses: Vec<Status> = listings.all().iter().map(|l| l.status).collect();
        assert_eq!(statuses, [Status::Closed, Status::ComingSoon, Status::UnderContract]);
    }
}
