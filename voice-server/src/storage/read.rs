//! Reading an object in pieces; of an encrypted one only the chunks that are needed.

use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange};

use super::seal::{CHUNK, HEADER, ObjectKey, TAG, plain_size};
use super::{Blobs, SEALED, StorageError, path};

/// Bytes that one read gives at most.
pub const MOST_READ: u64 = 8 << 20;

/// An object that is open for reading.
#[derive(Debug)]
pub struct Reader {
    blobs: Blobs,
    path: Path,
    size: u64,
    sealed: Option<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    key: ObjectKey,
    chunks: u64,
    stored: u64,
}

impl Reader {
    pub(super) async fn open(blobs: Blobs, name: &str) -> Result<Self, StorageError> {
        let path = path(name)?;
        if !name.ends_with(SEALED) {
            let meta = blobs.small(object_store::ObjectStoreExt::head(blobs.store(), &path)).await?;
            return Ok(Self { size: meta.size, blobs, path, sealed: None });
        }
        let (stored, header) = fetch(&blobs, &path, 0..HEADER as u64).await?;
        let (size, chunks) = plain_size(stored).ok_or(StorageError::Damaged)?;
        let key = blobs.0.keys.find(name, &header)?;
        Ok(Self { blobs, path, size, sealed: Some(Sealed { key, chunks, stored }) })
    }

    /// Plain bytes of the object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of `range`, of which what lies past the end is left out.
    ///
    /// # Errors
    /// See [`StorageError`]; [`StorageError::TooMuch`] past [`MOST_READ`].
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, StorageError> {
        let range = range.start..range.end.min(self.size);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end - range.start > MOST_READ {
            return Err(StorageError::TooMuch);
        }
        match &self.sealed {
            None => Ok(fetch(&self.blobs, &self.path, range).await?.1),
            Some(sealed) => self.unseal(sealed, range).await,
        }
    }

    async fn unseal(&self, sealed: &Sealed, range: Range<u64>) -> Result<Bytes, StorageError> {
        let (chunk, whole) = (CHUNK as u64, (CHUNK + TAG) as u64);
        let (first, last) = (range.start / chunk, (range.end - 1) / chunk);
        let from = HEADER as u64 + first * whole;
        let to = (HEADER as u64 + (last + 1) * whole).min(sealed.stored);
        let (stored, bytes) = fetch(&self.blobs, &self.path, from..to).await?;
        if stored != sealed.stored {
            // Another object lies there by now.
            return Err(StorageError::Damaged);
        }
        let mut plain = Vec::with_capacity((range.end - range.start) as usize);
        let mut opened = Vec::with_capacity(CHUNK + TAG);
        for (number, sealed_chunk) in (first..).zip(bytes.chunks(CHUNK + TAG)) {
            opened.clear();
            opened.extend_from_slice(sealed_chunk);
            let bytes = sealed.key.open(number, number + 1 == sealed.chunks, &mut opened)?;
            let start = number * chunk;
            let within =
                |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
            plain.extend_from_slice(&bytes[within(range.start)..within(range.end)]);
        }
        Ok(Bytes::from(plain))
    }
}

/// Stored bytes of `range`, and how many the object has in all.
async fn fetch(blobs: &Blobs, path: &Path, range: Range<u64>) -> Result<(u64, Bytes), StorageError> {
    let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
    let work = async {
        let got = blobs.store().get_opts(path, options).await?;
        let stored = got.meta.size;
        Ok((stored, got.bytes().await?))
    };
    let (stored, bytes) = blobs.large(work).await?;
    if bytes.len() as u64 != range.end - range.start {
        return Err(StorageError::Damaged);
    }
    Ok((stored, bytes))
}
