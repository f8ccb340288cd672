//! RESO Web API payloads, read into listings. Pure; caller: `listing`.
//!
//! Field names follow the RESO Data Dictionary 2.0, resource Property. A listing that may not be shown
//! (`InternetEntireListingDisplayYN`, `InternetAddressDisplayYN`) or is withdrawn in any way has no status here.

use serde::Deserialize;

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
    listing_id: Option<String>,
    listing_key: Option<String>,
    standard_status: Option<String>,
    property_type: Option<String>,
    property_sub_type: Option<String>,
    architectural_style: Option<Vec<String>>,
    list_price: Option<f64>,
    street_number: Option<String>,
    street_dir_prefix: Option<String>,
    street_name: Option<String>,
    street_suffix: Option<String>,
    unit_number: Option<String>,
    city: Option<String>,
    subdivision_name: Option<String>,
    bedrooms_total: Option<f64>,
    bathrooms_total_integer: Option<f64>,
    bathrooms_full: Option<f64>,
    bathrooms_half: Option<f64>,
    living_area: Option<f64>,
    lot_size_square_feet: Option<f64>,
    year_built: Option<f64>,
    stories_total: Option<f64>,
    garage_spaces: Option<f64>,
    #[serde(rename = "PoolPrivateYN")]
    pool_private: Option<bool>,
    pool_features: Option<Vec<String>>,
    #[serde(rename = "FireplaceYN")]
    fireplace: Option<bool>,
    association_fee: Option<f64>,
    association_fee_frequency: Option<String>,
    tax_annual_amount: Option<f64>,
    elementary_school: Option<String>,
    middle_or_junior_school: Option<String>,
    high_school: Option<String>,
    pets_allowed: Option<Vec<String>>,
    public_remarks: Option<String>,
    list_agent_full_name: Option<String>,
    #[serde(rename = "InternetEntireListingDisplayYN")]
    display: Option<bool>,
    #[serde(rename = "InternetAddressDisplayYN")]
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
        let number = text(self.street_number).ok_or_else(|| lacking("StreetNumber is missing"))?;
        let street = text(self.street_name).ok_or_else(|| lacking("StreetName is missing"))?;
        let city = text(self.city).ok_or_else(|| lacking("City is missing"))?;
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
            Some(direction) => format!("{direction} {street}"),
            None => street,
        };
        Ok(Listing {
            number,
            street,
            suffix: text(self.street_suffix).unwrap_or_default(),
            unit: text(self.unit_number),
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
