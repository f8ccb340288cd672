//! Storing an object piece by piece, in parts of 5 MiB.
//!
//! What fits one part is stored in one request when it is finished. Nobody sees an object before [`Upload::finish`].
//! Parts of an upload that a crash cut off lie in the service until [`super::Blobs::abort_upload`] takes them away by the
//! id that [`Upload::id`] told, or a lifecycle rule of the bucket does.

use bytes::Bytes;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, ObjectStoreExt as _, PutPayload};

use super::seal::Sealer;
use super::{Blobs, Place, SEALED, StorageError, path};

/// Bytes of each part but the last: S3's least, and some services want all of the same size.
const PART: usize = 5 << 20;

/// An object under way. Dropping it leaves nothing on disk, and in a service what [`super::Blobs::abort_upload`] takes
/// away.
#[derive(Debug)]
pub struct Upload {
    blobs: Blobs,
    path: Path,
    sealer: Option<Sealer>,
    /// Stored bytes that wait for a whole part.
    waiting: Vec<u8>,
    parts: Parts,
    /// Plain bytes so far.
    size: u64,
}

#[derive(Debug)]
enum Parts {
    /// Nothing has been sent.
    None,
    Disk(Box<dyn MultipartUpload>),
    S3 {
        id: MultipartId,
        sent: Vec<PartId>,
    },
}

impl Upload {
    pub(super) fn new(blobs: Blobs, name: &str) -> Result<Self, StorageError> {
        let path = path(name)?;
        let sealer = name.ends_with(SEALED).then(|| Sealer::new(&blobs.0.keys, name)).transpose()?;
        Ok(Self { blobs, path, sealer, waiting: Vec::new(), parts: Parts::None, size: 0 })
    }

    /// The service's name of this upload once parts have been sent, for [`super::Blobs::abort_upload`].
    pub fn id(&self) -> Option<&str> {
        match &self.parts {
            Parts::S3 { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Plain bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Begins at the service, so that [`Upload::id`] is known before the first part. Without this it is done when the
    /// first part is full.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn begin(&mut self) -> Result<(), StorageError> {
        if !matches!(self.parts, Parts::None) {
            return Ok(());
        }
        self.parts = match &self.blobs.0.place {
            Place::Disk(disk) => Parts::Disk(self.blobs.small(disk.put_multipart(&self.path)).await?),
            Place::S3(s3) => {
                let id = self.blobs.small(s3.create_multipart(&self.path)).await?;
                Parts::S3 { id, sent: Vec::new() }
            }
        };
        Ok(())
    }

    /// Adds bytes; sends every part that is full.
    ///
    /// # Errors
    /// See [`StorageError`]; the upload is of no use then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.size += bytes.len() as u64;
        // A piece at a time, so that no more than a part and a piece are held.
        for piece in bytes.chunks(PART) {
            match &mut self.sealer {
                Some(sealer) => sealer.push(piece, &mut self.waiting)?,
                None => self.waiting.extend_from_slice(piece),
            }
            while self.waiting.len() > PART {
                let rest = self.waiting.split_off(PART);
                let part = std::mem::replace(&mut self.waiting, rest);
                self.begin().await?;
                self.send(part.into()).await?;
            }
        }
        Ok(())
    }

    /// Stores what was written as one object, in place of one that has its name, and says how many plain bytes it has.
    ///
    /// # Errors
    /// See [`StorageError`]; there is no object then, and whatever parts there are are thrown away where that is possible.
    pub async fn finish(mut self) -> Result<u64, StorageError> {
        if let Some(sealer) = self.sealer.take() {
            sealer.finish(&mut self.waiting)?;
        }
        let rest = Bytes::from(std::mem::take(&mut self.waiting));
        if matches!(self.parts, Parts::None) && rest.len() <= PART {
            self.blobs.put_stored(&self.path, rest).await?;
            return Ok(self.size);
        }
        let stored = self.complete(rest).await;
        if stored.is_err() {
            // The parts are of no use; where they cannot be taken away now, the bucket's rules do it.
            let _ = self.abort().await;
        }
        stored
    }

    async fn complete(&mut self, rest: Bytes) -> Result<u64, StorageError> {
        self.begin().await?;
        let mut rest = rest;
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(PART));
            self.send(part).await?;
        }
        match (&mut self.parts, &self.blobs.0.place) {
            (Parts::Disk(upload), _) => self.blobs.large(upload.complete()).await.map(drop)?,
            (Parts::S3 { id, sent }, Place::S3(s3)) => {
                let sent = sent.clone();
                self.blobs.large(s3.complete_multipart(&self.path, id, sent)).await.map(drop)?;
            }
            _ => return Err(StorageError::Damaged),
        }
        Ok(self.size)
    }

    /// Throws away what was sent.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn abort(&mut self) -> Result<(), StorageError> {
        match std::mem::replace(&mut self.parts, Parts::None) {
            Parts::None => Ok(()),
            Parts::Disk(mut upload) => self.blobs.small(upload.abort()).await,
            Parts::S3 { id, .. } => abort(&self.blobs, &self.path, &id).await,
        }
    }

    async fn send(&mut self, part: Bytes) -> Result<(), StorageError> {
        let payload = PutPayload::from(part);
        match (&mut self.parts, &self.blobs.0.place) {
            (Parts::Disk(upload), _) => self.blobs.large(upload.put_part(payload)).await,
            (Parts::S3 { id, sent }, Place::S3(s3)) => {
                let put = s3.put_part(&self.path, id, sent.len(), payload);
                sent.push(self.blobs.large(put).await?);
                Ok(())
            }
            _ => Err(StorageError::Damaged),
        }
    }
}

pub(super) async fn abort(blobs: &Blobs, path: &Path, id: &str) -> Result<(), StorageError> {
    let Place::S3(s3) = &blobs.0.place else { return Ok(()) };
    match blobs.small(s3.abort_multipart(path, &id.to_owned())).await {
        Err(StorageError::NotFound) => Ok(()),
        other => other,
    }
}
