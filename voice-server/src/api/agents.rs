//! `/api/v1/agents/{id}/performance`: what a user's calls came to, from the calls and turns themselves.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use hyper::http::request::Parts;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::asked::Asked;
use super::id_of;
use crate::app::App;
use crate::auth::{Identity, Right};
use crate::data::{Performance, Timestamp};
use crate::http::Problem;

/// A period without a begin is this long.
const DEFAULT_DAYS: i64 = 30;
/// Longest period: its days are counted one by one.
const MOST_DAYS: i64 = 1_100;

/// What a user's calls came to in a period.
///
/// # Errors
/// The request may not read, a value of the query is malformed, there is no such user, or the database fails.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/performance",
    tag = "agents",
    params(
        ("id" = Uuid, Path, description = "The user"),
        ("from" = Option<String>, Query, description = "Begin: a date of the time zone, or a moment. Default: 30 days before `to`"),
        ("to" = Option<String>, Query, description = "End: a date, which is still in the period, or a moment, which is not. Default: now"),
        ("tz" = Option<String>, Query, description = "IANA time zone. Default: the organization's, else UTC"),
    ),
    responses(
        (status = 200, description = "Figures of the period and of each of its days that had calls", body = Performance),
        (status = 404, description = "There is no such user, or it is another organization's"),
    ),
)]
pub async fn performance(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    parts: Parts,
) -> Result<Json<Performance>, Problem> {
    who.may(Right::ReadPerformance)?;
    let unknown = || Problem::not_found("there is no such agent");
    let id = id_of(id).ok_or_else(unknown)?;
    let asked = Asked::of(&parts)?;
    let named =
        asked.read("tz", "an IANA time zone, such as America/New_York", |name| TimeZone::get(name).ok())?;
    app.store.user(who.organization, id).await?.ok_or_else(unknown)?;
    let zone = match named {
        Some(zone) => zone,
        None => {
            let organization = app.store.organization(who.organization).await?;
            let name = organization.and_then(|organization| organization.settings.time_zone);
            name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
        }
    };
    let (from, to) = period(&asked, &zone, Timestamp::now())?;
    Ok(Json(app.store.performance(who.organization, id, from, to, zone).await?))
}

/// One end of a period as it was asked for.
enum End {
    Day(Date),
    Moment(Timestamp),
}

fn end(text: &str) -> Option<End> {
    // A date alone is ten characters; whatever is longer must be a whole moment.
    if text.len() == 10 { text.parse().ok().map(End::Day) } else { Timestamp::parse(text).map(End::Moment) }
}

fn period(asked: &Asked, zone: &TimeZone, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
    const MUST_BE: &str = "a date such as 2026-01-31, or a moment by RFC 3339";
    let too_far = |name: &str| Problem::bad_value(name, format!("{name} is too far away"));
    let to = match asked.read("to", MUST_BE, end)? {
        None => now,
        Some(End::Moment(moment)) => moment,
        // The day named is still in the period, however many hours it has.
        Some(End::Day(day)) => {
            day.tomorrow().ok().and_then(|next| midnight(next, zone)).ok_or_else(|| too_far("to"))?
        }
    };
    let from = match asked.read("from", MUST_BE, end)? {
        None => to.minus_millis(DEFAULT_DAYS.unsigned_abs() * 86_400_000),
        Some(End::Moment(moment)) => moment,
        Some(End::Day(day)) => midnight(day, zone).ok_or_else(|| too_far("from"))?,
    };
    if from >= to {
        return Err(Problem::bad_value("from", "from must be before to"));
    }
    if to.as_millis() - from.as_millis() > MOST_DAYS * 86_400_000 {
        return Err(Problem::bad_value("from", format!("the period must be at most {MOST_DAYS} days")));
    }
    Ok((from, to))
}

/// The first moment of a day, which in some zones and years is not midnight.
fn midnight(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let moment = day.to_zoned_datetime(zone.clone()).ok()?.start_of_day().ok()?.timestamp();
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn asked(query: &str) -> Asked {
        let (parts, ()) =
            Request::builder().uri(format!("/?{query}")).body(()).expect("a request").into_parts();
        Asked::of(&parts).expect("a query")
    }

    #[test]
    fn a_period_follows_the_days_of_its_time_zone() {
        let now = Timestamp::parse("2026-11-27T12:00:00Z").expect("a moment");
        for (query, zone, from, to) in [
            (
                "from=2026-03-08&to=2026-03-08",
                "America/New_York",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
            ),
            (
                "from=2026-11-01&to=2026-11-01",
                "America/New_York",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            ("from=2026-01-01&to=2026-01-31", "UTC", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("from=2026-01-01&to=2026-01-31", "Asia/Kolkata", "2025-12-31T18:30:00Z", "2026-01-31T18:30:00Z"),
            ("", "UTC", "2026-10-28T12:00:00Z", "2026-11-27T12:00:00Z"),
            (
                "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00%2B02:00",
                "UTC",
                "2026-01-01T00:00:00Z",
                "2026-01-01T22:00:00Z",
            ),
        ] {
            let zone = TimeZone::get(zone).expect("a zone");
            let moment = |text: &str| Timestamp::parse(text).expect("a moment");
            assert_eq!(period(&asked(query), &zone, now).ok(), Some((moment(from), moment(to))), "{query}");
        }
        for query in
            ["from=2026-02-02&to=2026-02-01", "from=2020-01-01&to=2026-01-01", "to=tomorrow", "to=2026-02-30"]
        {
            assert!(period(&asked(query), &TimeZone::UTC, now).is_err(), "{query}");
        }
    }
}
