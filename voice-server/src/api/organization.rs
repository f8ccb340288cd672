//! `/api/v1/organization`: the caller's own organization and how its calls are treated.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use hyper::http::request::Parts;
use serde_json::Value;

use super::fields::Fields;
use super::kept::or_kept;
use super::revision;
use crate::app::App;
use crate::auth::{Identity, Right};
use crate::data::{Organization, OrganizationChange, OrganizationSettings};
use crate::http::Problem;

/// Characters of a name at most.
const NAME_LIMIT: usize = 255;
/// Bytes of all settings at most, as JSON.
const SETTINGS_LIMIT: usize = 64 * 1024;
/// Characters of one sentence at most.
const SENTENCE_LIMIT: usize = 500;
/// Facts at most.
const MOST_FACTS: usize = 200;
/// Days that recordings may be kept: ten years.
const MOST_DAYS: u32 = 3_653;

/// The organization that the request belongs to.
///
/// # Errors
/// The request may not read, or the database fails.
#[utoipa::path(
    get,
    path = "/api/v1/organization",
    tag = "organization",
    responses(
        (status = 200, description = "With its settings; `ETag` is for `If-Match`", body = Organization),
        (status = 304, description = "As `If-None-Match` has it"),
    ),
)]
pub async fn one(State(app): State<App>, who: Identity, parts: Parts) -> Result<Response, Problem> {
    who.may(Right::ReadOrganization)?;
    let read = async { Ok(app.store.organization(who.organization).await?.ok_or_else(gone)?) };
    or_kept(&app, &parts, who.organization, read, |found: &Organization| Some(found.revision)).await
}

/// Changes the organization.
///
/// # Errors
/// The request may not, a field is malformed, somebody else changed it meanwhile, or the database fails.
#[utoipa::path(
    patch,
    path = "/api/v1/organization",
    tag = "organization",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that the change was made from")),
    request_body = OrganizationChange,
    responses(
        (status = 200, description = "As it is now", body = Organization),
        (status = 412, description = "Somebody else changed it meanwhile"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    who: Identity,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Problem> {
    who.may(Right::ChangeOrganization)?;
    let mut fields = Fields::parse(&body)?;
    let name = fields.text("name")?;
    if name.as_ref().is_some_and(|name| name.trim().is_empty() || !is_text(name, NAME_LIMIT)) {
        return Err(Problem::bad_value("name", format!("name must have 1 to {NAME_LIMIT} characters")));
    }
    let settings = fields.object("settings", SETTINGS_LIMIT)?.map(settings).transpose()?;
    fields.nothing_else()?;
    let expected = revision::expected(&parts.headers)?;
    let changed = app
        .store
        .change_organization(who.organization, OrganizationChange { name, settings }, expected)
        .await?;
    Ok(revision::with_revision(&changed, changed.revision))
}

fn settings(object: serde_json::Map<String, Value>) -> Result<OrganizationSettings, Problem> {
    let bad = |field: &str, must_be: &str| {
        Problem::bad_value(format!("settings.{field}"), format!("{field} must be {must_be}"))
    };
    let read = |object| serde_json::from_value::<OrganizationSettings>(Value::Object(object));
    for (name, value) in &object {
        // Each by itself, so that the fault has a name.
        read(serde_json::Map::from_iter([(name.clone(), value.clone())])).map_err(|_| {
            let name: String = name.chars().take(64).collect();
            Problem::bad_value(
                format!("settings.{name}"),
                "there is no such setting, or not with such a value",
            )
        })?;
    }
    let settings = read(object).map_err(|_| Problem::bad_value("settings", "settings cannot be read"))?;
    let sentence = format!("at most {SENTENCE_LIMIT} characters");
    if settings.disclosure.as_ref().is_some_and(|text| !is_text(text, SENTENCE_LIMIT)) {
        return Err(bad("disclosure", &sentence));
    }
    if settings.facts.len() > MOST_FACTS || settings.facts.iter().any(|fact| !is_text(fact, SENTENCE_LIMIT)) {
        return Err(bad("facts", &format!("at most {MOST_FACTS} sentences of {sentence}")));
    }
    if settings.retention_days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(bad("retentionDays", &format!("from 1 to {MOST_DAYS}")));
    }
    if settings.region.as_ref().is_some_and(|region| !is_region(region)) {
        return Err(bad("region", "a country or a part of it by ISO 3166, such as US or US-CA"));
    }
    if settings.time_zone.as_ref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        return Err(bad("timeZone", "an IANA time zone, such as America/Los_Angeles"));
    }
    Ok(settings)
}

fn is_text(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.contains('\0')
}

/// Two letters, and perhaps a hyphen and one to three letters or digits (ISO 3166-1 and -2).
fn is_region(text: &str) -> bool {
    let (country, part) = text.split_once('-').map_or((text, None), |(country, part)| (country, Some(part)));
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && part.is_none_or(|part| {
            (1..=3).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })
}

fn gone() -> Problem {
    Problem::not_found("there is no such organization")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_checked_by_field() {
        let read = |value: Value| match value {
            Value::Object(object) => settings(object).map_err(|problem| format!("{problem:?}")),
            _ => panic!("no object"),
        };
        assert!(read(json!({})).is_ok());
        let all = json!({"disclosure": "A machine.", "recording": "ask", "retentionDays": 30, "region": "US-CA",
                         "timeZone": "America/New_York", "facts": ["Open."]});
        assert!(read(all).is_ok());
        for (value, field) in [
            (json!({"disclosure": "x".repeat(501)}), "settings.disclosure"),
            (json!({"retentionDays": 0}), "settings.retentionDays"),
            (json!({"region": "California"}), "settings.region"),
            (json!({"region": "us"}), "settings.region"),
            (json!({"timeZone": "Mars/Olympus"}), "settings.timeZone"),
            (json!({"facts": vec!["x"; 201]}), "settings.facts"),
            (json!({"retentionDays": -1}), "settings.retentionDays"),
            (json!({"recording": "always"}), "settings.recording"),
            (json!({"region": "US", "color": "red"}), "settings.color"),
        ] {
            let told = read(value.clone()).expect_err("refused");
            assert!(told.contains(&format!("{field:?}")), "{value} {told}");
        }
    }
}
