//! From the spool to the storage: the end of every recording, whether its call ended well or a crash cut it off.
//!
//! The same steps serve both, and may be repeated at any point: upload, row, then the spool goes. A spool without the
//! caller's agreement is thrown away; one that broke off gets its last page marked as the last. Callers:
//! [`super::call`] at a call's end, [`super::Archive`] for what is left over.

use std::io;
use std::path::{Path, PathBuf};

use voice_core::record::ogg;

use super::spool::{Meta, Reader, Record};
use crate::data::{DataError, Recording, RecordingState, Store, Timestamp};
use crate::storage::{Blobs, Keys, StorageError, Upload};

/// Why a recording has not got into the storage. Unless it says so, the spool stays and is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RescueError {
    /// The spool cannot be read.
    #[error("the spool cannot be read")]
    Spool(#[from] io::Error),
    /// The storage does not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Its row cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nothing of it can be used; the spool is gone.
    #[error("nothing of it can be used")]
    Empty,
}

/// What a spool holds besides sound.
pub(super) struct Survey {
    pub(super) meta: Option<Meta>,
    agreed: bool,
    /// Uploads that were begun, the last one last.
    uploads: Vec<String>,
    /// Position of the last page, at 48 kHz; zero where there are only headers.
    end: u64,
}

/// Reads a spool through once.
pub(super) fn survey(path: &Path, keys: &Keys) -> io::Result<Survey> {
    let mut reader = Reader::open(path, keys)?;
    let mut survey = Survey { meta: None, agreed: false, uploads: Vec::new(), end: 0 };
    while let Some(record) = reader.next()? {
        match record {
            Record::Meta(meta) => survey.meta = Some(meta),
            Record::Agreed => survey.agreed = true,
            Record::Upload(id) => survey.uploads.push(id),
            Record::Page(page) => survey.end = ogg::granule(last_page(&page)),
        }
    }
    Ok(survey)
}

/// The last page of a record, which is a few whole ones.
fn last_page(pages: &[u8]) -> &[u8] {
    let start = pages.windows(4).rposition(|bytes| bytes == b"OggS").unwrap_or(0);
    &pages[start..]
}

/// Sound of a spool in order, and where it has got to. Kept between the parts of an upload that runs with its call.
#[derive(Debug)]
pub(super) struct Pages {
    reader: Reader,
    /// The last record read, kept back because it may be the last of all.
    held: Option<Vec<u8>>,
}

impl Pages {
    pub(super) fn open(path: &Path, keys: &Keys) -> io::Result<Self> {
        Ok(Self { reader: Reader::open(path, keys)?, held: None })
    }

    /// Up to about `most` bytes more, without the last record there is.
    pub(super) fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            match self.reader.next()? {
                Some(Record::Page(page)) => bytes.append(&mut self.held.replace(page).unwrap_or_default()),
                Some(_) => {}
                None => break,
            }
        }
        Ok(bytes)
    }

    /// The last record, its last page marked as the last of the stream.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let mut bytes = self.held.take().unwrap_or_default();
        let start = bytes.len() - last_page(&bytes).len();
        ogg::end_stream(&mut bytes[start..]);
        bytes
    }
}

/// An upload that has begun while its call goes on.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) upload: Upload,
    pub(super) pages: Pages,
}

/// Everything that is needed to bring a spool home.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) blobs: Blobs,
    pub(super) keys: Keys,
    pub(super) store: std::sync::Arc<dyn Store>,
}

/// Bytes of a spool that are in memory at once.
const STEP: usize = 512 * 1024;

impl Home {
    /// Uploads the spool at `path`, stores its row and deletes it. `under_way` goes on where there is one.
    pub(super) async fn bring(
        &self,
        path: PathBuf,
        under_way: Option<UnderWay>,
    ) -> Result<Recording, RescueError> {
        let (surveyed, keys) = (path.clone(), self.keys.clone());
        let found = match blocking(move || survey(&surveyed, &keys)).await {
            // Cut off before its header was written.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                remove(path).await?;
                return Err(RescueError::Empty);
            }
            found => found?,
        };
        let Some(meta) = found.meta.as_ref().filter(|_| found.agreed && found.end > 0) else {
            if let Some(meta) = &found.meta {
                self.store.remove_recording(meta.organization, meta.id).await?;
            }
            remove(path).await?;
            return Err(RescueError::Empty);
        };
        let fresh = under_way.is_none();
        let UnderWay { mut upload, mut pages } = match under_way {
            Some(under_way) => under_way,
            None => {
                let (opened, keys) = (path.clone(), self.keys.clone());
                let pages = blocking(move || Pages::open(&opened, &keys)).await?;
                UnderWay { upload: self.blobs.upload(&meta.object)?, pages }
            }
        };
        loop {
            let (bytes, rest) = blocking(move || pages.read(STEP).map(|bytes| (bytes, pages))).await?;
            pages = rest;
            if bytes.is_empty() {
                break;
            }
            upload.write(&bytes).await?;
        }
        upload.write(&pages.end()).await?;
        let bytes = upload.finish().await?;
        if fresh {
            // Parts that an earlier attempt left. Where they cannot be taken away, the bucket's rules do it.
            for id in &found.uploads {
                let _ = self.blobs.abort_upload(&meta.object, id).await;
            }
        }
        let recording = self.row(meta, RecordingState::Stored, audio_ms(found.end), bytes);
        self.store_row(&recording).await?;
        remove(path).await?;
        Ok(recording)
    }

    pub(super) fn row(&self, meta: &Meta, state: RecordingState, audio_ms: i64, bytes: u64) -> Recording {
        let started_at = Timestamp::from_millis(meta.started_at);
        Recording {
            id: meta.id,
            organization_id: meta.organization,
            conversation_id: meta.conversation,
            object: meta.object.clone(),
            state,
            started_at,
            audio_ms,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            channels: 2,
            encrypted: self.blobs.encrypts(),
            expires_at: Some(started_at.plus_millis(u64::from(meta.days) * DAY_MS)),
        }
    }

    /// Stores the row, also where that of the begin is missing. Where the conversation was erased meanwhile, the sound
    /// goes too.
    async fn store_row(&self, recording: &Recording) -> Result<(), RescueError> {
        let outcome = match self.store.finish_recording(recording.clone()).await {
            Err(DataError::NotFound) => self.store.add_recording(recording.clone()).await,
            other => other,
        };
        match outcome {
            Err(DataError::NotFound) => Ok(self.blobs.delete(&recording.object).await?),
            other => Ok(other?),
        }
    }
}

const DAY_MS: u64 = 24 * 3_600_000;

/// Milliseconds of sound before a position at 48 kHz that has the pre-skip in it; that is a few milliseconds.
fn audio_ms(end: u64) -> i64 {
    i64::try_from(end / 48).unwrap_or(i64::MAX)
}

async fn remove(path: PathBuf) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs what blocks on a thread for that. A panic in it is an error like others.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
