//! What a user's calls came to, from the calls and turns themselves.
//!
//! Percentiles are nearest-rank over every turn of the period that the model answered; what a person said in its place is
//! nobody's figure. Days are those of the period's time zone, also
//! where a day has 23 or 25 hours, since each call is put into its day by the calendar and not by dividing.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use jiff::tz::TimeZone;
use sqlx::Row as _;
use uuid::Uuid;

use super::super::super::types::{Id, Moment};
use super::super::super::{DataError, DayFigures, Performance, Timestamp};
use super::Work;
use super::accounts::{id_of, maybe_moment_of, moment_of};

/// One call that began in the period.
struct Call {
    day: String,
    answers: Vec<f64>,
}

pub(super) async fn of(
    work: &mut Work,
    organization: Uuid,
    user: Uuid,
    from: Timestamp,
    to: Timestamp,
    zone: &TimeZone,
) -> Result<Performance, DataError> {
    let mut sums = Performance::default();
    let mut calls: BTreeMap<Uuid, Call> = BTreeMap::new();
    let query = work
        .query(
            "SELECT id, created_at, ended_at, lead, viewings_booked FROM conversations
             WHERE organization_id = $1 AND user_id = $2 AND created_at >= $3 AND created_at < $4",
        )
        .bind(Id(organization))
        .bind(Id(user))
        .bind(Moment(from))
        .bind(Moment(to));
    {
        let mut rows = query.fetch(work.on());
        while let Some(row) = rows.try_next().await? {
            let begun = moment_of(&row, "created_at")?;
            sums.calls += 1;
            sums.leads += i64::from(row.try_get::<bool, _>("lead")?);
            sums.viewings_booked += row.try_get::<i64, _>("viewings_booked")?;
            if let Some(ended) = maybe_moment_of(&row, "ended_at")? {
                sums.talk_seconds += (ended.as_millis() - begun.as_millis()).max(0) as f64 / 1_000.0;
            }
            calls.insert(id_of(&row, "id")?, Call { day: day(begun, zone), answers: Vec::new() });
        }
    }
    let query = work
        .query(
            "SELECT t.conversation_id, t.said, t.reply, t.total_ms, t.interrupted, t.by_person
             FROM conversations c JOIN turns t ON t.conversation_id = c.id
             WHERE c.organization_id = $1 AND c.user_id = $2 AND c.created_at >= $3 AND c.created_at < $4",
        )
        .bind(Id(organization))
        .bind(Id(user))
        .bind(Moment(from))
        .bind(Moment(to));
    {
        let mut rows = query.fetch(work.on());
        while let Some(row) = rows.try_next().await? {
            if row.try_get("by_person")? {
                continue;
            }
            sums.interruptions += i64::from(row.try_get::<bool, _>("interrupted")?);
            // A greeting answers nobody, and what stayed unanswered has no time.
            let answered = !row.try_get::<String, _>("said")?.is_empty()
                && !row.try_get::<String, _>("reply")?.is_empty();
            if answered && let Some(call) = calls.get_mut(&id_of(&row, "conversation_id")?) {
                call.answers.push(row.try_get("total_ms")?);
            }
        }
    }
    let mut days: BTreeMap<String, (i64, Vec<f64>)> = BTreeMap::new();
    for call in calls.into_values() {
        let of_day = days.entry(call.day).or_default();
        of_day.0 += 1;
        of_day.1.extend(call.answers);
    }
    let mut all: Vec<f64> = days.values().flat_map(|(_, answers)| answers.iter().copied()).collect();
    [sums.response_ms_p50, sums.response_ms_p95] = percentiles(&mut all);
    sums.days = days
        .into_iter()
        .map(|(date, (calls, mut answers))| {
            let [response_ms_p50, response_ms_p95] = percentiles(&mut answers);
            DayFigures { date, calls, response_ms_p50, response_ms_p95 }
        })
        .collect();
    Ok(sums)
}

/// The day of a moment in a time zone.
fn day(moment: Timestamp, zone: &TimeZone) -> String {
    let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or_default();
    zone.to_datetime(moment).date().to_string()
}

/// Median and 95th percentile by nearest rank.
fn percentiles(values: &mut [f64]) -> [Option<f64>; 2] {
    values.sort_by(f64::total_cmp);
    [50, 95].map(|percent| {
        let rank = (values.len() * percent).div_ceil(100);
        values.get(rank.checked_sub(1)?).copied()
    })
}
