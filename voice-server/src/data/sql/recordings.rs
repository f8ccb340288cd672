//! Recordings and consents.

use sqlx::Row as _;
use uuid::Uuid;

use super::super::super::types::{Id, Moment};
use super::super::super::{
    Answer, Consent, ConsentKind, DataError, Recording, RecordingState, Recordings, Scope, Timestamp, within,
};
use super::accounts::{id_of, maybe_moment_of, moment_of};
use super::{Database, Row};

/// Consents and recordings of one conversation at most.
const MOST: i64 = 1_000;

/// A SELECT of all that a record holds, with its tail.
macro_rules! of {
    (recording $tail:literal) => {
        concat!(
            "SELECT id, organization_id, conversation_id, object, state, started_at, audio_ms, bytes, channels, encrypted, \
             expires_at FROM recordings ",
            $tail
        )
    };
    (consent $tail:literal) => {
        concat!("SELECT id, conversation_id, kind, given, at, audio_ms, wording FROM consents ", $tail)
    };
}

impl Recordings for Database {
    fn add_recording(&self, recording: Recording) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(recording.organization_id)).await?;
            let query = work.query(
                "INSERT INTO recordings (id, organization_id, conversation_id, object, state, started_at, audio_ms, bytes,
                                         channels, encrypted, expires_at)
                 SELECT $1, organization_id, id, $4, $5, $6, $7, $8, $9, $10, $11 FROM conversations
                 WHERE organization_id = $2 AND id = $3",
            );
            let query = query
                .bind(Id(recording.id))
                .bind(Id(recording.organization_id))
                .bind(Id(recording.conversation_id))
                .bind(recording.object)
                .bind(recording.state.as_str())
                .bind(Moment(recording.started_at))
                .bind(recording.audio_ms)
                .bind(recording.bytes)
                .bind(recording.channels)
                .bind(recording.encrypted)
                .bind(recording.expires_at.map(Moment));
            if query.execute(work.on()).await?.rows_affected() == 0 {
                return Err(DataError::NotFound);
            }
            work.commit().await
        })
    }

    fn finish_recording(&self, recording: Recording) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(recording.organization_id)).await?;
            let query = work.query(
                "UPDATE recordings SET state = $3, audio_ms = $4, bytes = $5, encrypted = $6, expires_at = $7
                 WHERE id = $1 AND organization_id = $2",
            );
            let query = query
                .bind(Id(recording.id))
                .bind(Id(recording.organization_id))
                .bind(recording.state.as_str())
                .bind(recording.audio_ms)
                .bind(recording.bytes)
                .bind(recording.encrypted)
                .bind(recording.expires_at.map(Moment));
            if query.execute(work.on()).await?.rows_affected() == 0 {
                return Err(DataError::NotFound);
            }
            work.commit().await
        })
    }

    fn recording(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<Recording>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let query = work.query(of!(recording "WHERE id = $1 AND organization_id = $2"));
            let query = query.bind(Id(id)).bind(Id(organization));
            query.fetch_optional(work.on()).await?.as_ref().map(recording_of).transpose()
        })
    }

    fn recordings(&self, organization: Uuid, conversation: Uuid) -> Answer<'_, Vec<Recording>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let query = work.query(of!(recording
                "WHERE conversation_id = $1 AND organization_id = $2 ORDER BY started_at, id LIMIT $3"));
            let query = query.bind(Id(conversation)).bind(Id(organization)).bind(MOST);
            query.fetch_all(work.on()).await?.iter().map(recording_of).collect()
        })
    }

    fn expired_recordings(&self, now: Timestamp, limit: u32) -> Answer<'_, Vec<Recording>> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query(of!(recording "WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2"));
            let query = query.bind(Moment(now)).bind(i64::from(limit));
            query.fetch_all(work.on()).await?.iter().map(recording_of).collect()
        })
    }

    fn remove_recording(&self, organization: Uuid, id: Uuid) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let query = work.query("DELETE FROM recordings WHERE id = $1 AND organization_id = $2");
            query.bind(Id(id)).bind(Id(organization)).execute(work.on()).await?;
            work.commit().await
        })
    }

    fn add_consent(&self, organization: Uuid, consent: Consent) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let query = work.query(
                "INSERT INTO consents (id, organization_id, conversation_id, kind, given, at, audio_ms, wording)
                 SELECT $1, organization_id, id, $4, $5, $6, $7, $8 FROM conversations
                 WHERE organization_id = $2 AND id = $3",
            );
            let query = query
                .bind(Id(consent.id))
                .bind(Id(organization))
                .bind(Id(consent.conversation_id))
                .bind(consent.kind.as_str())
                .bind(consent.given)
                .bind(Moment(consent.at))
                .bind(consent.audio_ms)
                .bind(consent.wording);
            if query.execute(work.on()).await?.rows_affected() == 0 {
                return Err(DataError::NotFound);
            }
            work.commit().await
        })
    }

    fn consents(&self, organization: Uuid, conversation: Uuid) -> Answer<'_, Vec<Consent>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let query = work.query(of!(consent
                "WHERE conversation_id = $1 AND organization_id = $2 ORDER BY at, audio_ms, id LIMIT $3"));
            let query = query.bind(Id(conversation)).bind(Id(organization)).bind(MOST);
            query.fetch_all(work.on()).await?.iter().map(consent_of).collect()
        })
    }
}

fn recording_of(row: &Row) -> Result<Recording, DataError> {
    let state: String = row.try_get("state")?;
    Ok(Recording {
        id: id_of(row, "id")?,
        organization_id: id_of(row, "organization_id")?,
        conversation_id: id_of(row, "conversation_id")?,
        object: row.try_get("object")?,
        state: RecordingState::parse(&state).ok_or_else(|| DataError::Corrupt(format!("state {state:?}")))?,
        started_at: moment_of(row, "started_at")?,
        audio_ms: row.try_get("audio_ms")?,
        bytes: row.try_get("bytes")?,
        channels: row.try_get("channels")?,
        encrypted: row.try_get("encrypted")?,
        expires_at: maybe_moment_of(row, "expires_at")?,
    })
}

fn consent_of(row: &Row) -> Result<Consent, DataError> {
    let kind: String = row.try_get("kind")?;
    Ok(Consent {
        id: id_of(row, "id")?,
        conversation_id: id_of(row, "conversation_id")?,
        kind: ConsentKind::parse(&kind).ok_or_else(|| DataError::Corrupt(format!("kind {kind:?}")))?,
        given: row.try_get("given")?,
        at: moment_of(row, "at")?,
        audio_ms: row.try_get("audio_ms")?,
        wording: row.try_get("wording")?,
    })
}
