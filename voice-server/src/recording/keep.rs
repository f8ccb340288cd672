//! The end of recordings: past their time, or because a caller wants his data deleted.
//!
//! Objects go first and rows after them, so that a crash in between leaves rows that are tried again and never sound that
//! nobody knows of. Everything here may be repeated. Callers: [`super::Archive`], `api::recordings`.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::data::{DataError, Store, Timestamp};
use crate::events::Hub;
use crate::storage::{Blobs, StorageError};

/// Recordings of one batch.
const BATCH: u32 = 50;
/// Batches of one round; what is left is done in the next.
const BATCHES: usize = 40;

/// Why a caller's data was not deleted, or not all of it. The same again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The storage did not delete an object.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database did not delete a row.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// What was deleted of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    /// Conversations with their turns and consents.
    pub conversations: u64,
    /// Objects with sound.
    pub recordings: u64,
}

/// Deletes recordings of all organizations whose time is over by `now`, and says how many.
pub async fn delete_expired(store: &dyn Store, blobs: &Blobs, now: Timestamp) -> u64 {
    let mut deleted = 0;
    for _ in 0..BATCHES {
        let expired = match store.expired_recordings(now, BATCH).await {
            Ok(expired) => expired,
            Err(error) => {
                tracing::warn!(%error, "recordings that are to be deleted cannot be found");
                return deleted;
            }
        };
        let found = expired.len();
        let before = deleted;
        for recording in expired {
            if let Err(error) = blobs.delete(&recording.object).await {
                tracing::warn!(recording = %recording.id, %error, "a recording past its time was not deleted");
                continue;
            }
            match store.remove_recording(recording.organization_id, recording.id).await {
                Ok(()) => deleted += 1,
                Err(error) => {
                    tracing::warn!(recording = %recording.id, %error, "the row of a deleted recording stays for now");
                }
            }
        }
        // What cannot be deleted now would be found again at once.
        if found < BATCH as usize || deleted == before {
            break;
        }
    }
    deleted
}

/// Deletes everything of the caller with this number in the organization, whoever told the number: sound, transcripts,
/// consents, kept answers, and what was told to those who watch and is held for those who come back. A call of his that is
/// going on loses what it stores afterwards by itself.
///
/// # Errors
/// See [`EraseError`]; what was deleted by then stays so, and the same again deletes the rest.
pub async fn erase_caller(
    store: &dyn Store,
    blobs: &Blobs,
    events: &Hub,
    organization: Uuid,
    phone: &str,
) -> Result<Erased, EraseError> {
    let mut erased = Erased::default();
    loop {
        let ids = store.conversations_of_phone(organization, phone.to_owned(), BATCH).await?;
        if ids.is_empty() {
            return Ok(erased);
        }
        for id in &ids {
            for recording in store.recordings(organization, *id).await? {
                blobs.delete(&recording.object).await?;
                erased.recordings += 1;
            }
            // Objects whose row was never written.
            erased.recordings += blobs.delete_below(&format!("recordings/{organization}/{id}")).await?;
        }
        // Before the rows, since after them nobody knows any more what is to be erased; and behind them, since a turn that
        // was stored meanwhile was told as well.
        events.erase(organization, &ids).await;
        let gone = store.erase_conversations(organization, ids.clone()).await?;
        if !events.erase(organization, &ids).await {
            tracing::warn!("Redis does not answer; a caller's last turns are erased there when it is back");
        }
        erased.conversations += gone;
        if gone == 0 {
            // Somebody else deletes the same; there is nothing left to do here.
            return Ok(erased);
        }
    }
}
