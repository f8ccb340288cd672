//! What a user's calls came to, from the calls and turns themselves.
//!
//! Percentiles are nearest-rank over every turn of the period that the model answered; what a person said in its place is
//! nobody's figure. Days are those of the period's time zone, also
//! where a day has 23 or 25 hours, since each call is put into its day by the calendar and not by dividing.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use jiff::tz::TimeZone;
use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::super::types::{Id, Moment};
use super::super::super::{DataError, DayFigures, Performance, Timestamp};
use super::accounts::{maybe_moment_of, moment_of};
use super::{Db, Work, dialect};

pub(super) async fn of(
    work: &mut Work,
    organization: Uuid,
    user: Uuid,
    from: Timestamp,
    to: Timestamp,
    zone: &TimeZone,
) -> Result<Performance, DataError> {
    let mut sums = Performance::default();
    let mut days: BTreeMap<String, (i64, Vec<f64>)> = BTreeMap::new();
    // One row a call, with the times of its answers as text. A greeting answers nobody, what stayed unanswered has
    // no time, and what a person answered is not the agent's.
    let mut query = QueryBuilder::<Db>::new(
        "SELECT c.created_at, c.ended_at, c.lead, c.viewings_booked,
             count(t.conversation_id) AS turns,
             count(*) FILTER (WHERE t.interrupted AND NOT t.by_person) AS interruptions,
             string_agg(CAST(t.total_ms AS TEXT), ',')
                 FILTER (WHERE t.answered AND NOT t.by_person) AS answers
         FROM conversations c",
    );
    query.push(dialect::by_index("conversations_of_user"));
    query.push(" LEFT JOIN turns t ON t.conversation_id = c.id WHERE c.organization_id = ");
    query.push_bind(Id(organization)).push(" AND c.user_id = ").push_bind(Id(user));
    query.push(" AND c.created_at >= ").push_bind(Moment(from));
    query.push(" AND c.created_at < ").push_bind(Moment(to)).push(" GROUP BY c.id");
    let query = work.built(&mut query);
    let mut rows = query.fetch(work.on());
    while let Some(row) = rows.try_next().await? {
        let (begun, ended) = (moment_of(&row, "created_at")?, maybe_moment_of(&row, "ended_at")?);
        if row.try_get::<i64, _>("turns")? == 0 {
            // Made, and nothing was said or written in it; such ones are ended some day.
            continue;
        }
        sums.calls += 1;
        sums.leads += i64::from(row.try_get::<bool, _>("lead")?);
        sums.viewings_booked += row.try_get::<i64, _>("viewings_booked")?;
        sums.interruptions += row.try_get::<i64, _>("interruptions")?;
        if let Some(ended) = ended {
            sums.talk_seconds += (ended.as_millis() - begun.as_millis()).max(0) as f64 / 1_000.0;
        }
        let of_day = days.entry(day(begun, zone)).or_default();
        of_day.0 += 1;
        let answers: Option<String> = row.try_get("answers")?;
        for text in answers.iter().flat_map(|answers| answers.split(',')) {
            let took = text.parse().map_err(|_| DataError::Corrupt(format!("a turn's time {text:?}")))?;
            of_day.1.push(took);
        }
    }
    drop(rows);
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
