//! Object storage: recordings and what else is too large for a row, on local disk or in an S3-compatible service.
//!
//! [`Blobs`] is the one way in. It bounds every operation in time and tries again only what may be tried again. With a
//! key (`Keys`) objects lie encrypted: [`Blobs::key_for`] gives them another name, so that whoever can write in the
//! storage cannot pass a plain object off for an encrypted one. It refuses names that are no plain path, and knows
//! nothing of who may read what: that is for its callers, `recording` and `api::recordings`.

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod moto;
mod read;
mod seal;
#[cfg(test)]
mod signing_test;
mod upload;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};

pub use read::{MOST_READ, Reader};
pub(crate) use seal::{HEADER, Key, Keys, ObjectKey, derived};
pub use upload::Upload;

use crate::config::Config;

/// Why the storage did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no such object.
    #[error("there is no such object")]
    NotFound,
    /// The storage cannot be reached, or fails. Try again later.
    #[error("the storage does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than it may.
    #[error("the storage took too long")]
    TimedOut,
    /// The storage does not take these credentials, or they do not allow this. Mend the configuration.
    #[error("the storage refuses the key, or what is asked with it")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The object is not what was stored: cut, mixed up or changed.
    #[error("the stored object is damaged")]
    Damaged,
    /// The object is encrypted with a key that is not configured.
    #[error("the object is encrypted with a key that is not set; put it in VOICE_STORAGE_PREVIOUS_KEYS")]
    UnknownKey,
    /// More was asked for than is given at once: a bug of the caller.
    #[error("more bytes were asked for than one read gives")]
    TooMuch,
    /// The name is no plain path: a bug of the caller.
    #[error("this is no name of an object")]
    Name,
    /// The settings do not make a storage. Mend them.
    #[error("{0}")]
    Settings(String),
}

impl StorageError {
    /// Whether the same may work later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut)
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Self::Refused(Box::new(error))
            }
            object_store::Error::InvalidPath { .. } => Self::Name,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

/// Where an S3-compatible service is.
#[derive(Clone, Debug, Default)]
pub struct S3Settings {
    /// Its address, perhaps with a path before the bucket, such as Supabase's `/storage/v1/s3`. Unset: Amazon's.
    pub endpoint: Option<String>,
    /// The bucket. Unset: objects lie on the local disk.
    pub bucket: Option<String>,
    /// Its region. Unset: `us-east-1`.
    pub region: Option<String>,
    /// The name of the key.
    pub access_key_id: Option<crate::config::Secret>,
    /// The key.
    pub secret_access_key: Option<crate::config::Secret>,
}

/// Patience with the storage. The defaults are for a service in the same region.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a small request, its retries included. Default: 20 s.
    pub small: Duration,
    /// For one that carries a part of an upload, its retries included. Default: 90 s.
    pub large: Duration,
    /// Retries of one request; pauses grow from 0.2 to 5 s with jitter. Default: 4.
    pub retries: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { small: Duration::from_secs(20), large: Duration::from_secs(90), retries: 4 }
    }
}

/// The object storage. Cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    place: Place,
    keys: Keys,
    patience: Patience,
}

enum Place {
    Disk(LocalFileSystem),
    S3(AmazonS3),
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub key: String,
    /// Bytes as they are stored.
    pub stored: u64,
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Blobs {
    /// The storage that the settings name: a bucket where one is set, else `blobs` in the data folder, which is made
    /// with mode 0700.
    ///
    /// # Errors
    /// The settings contradict each other, or the folder cannot be made.
    pub fn of(config: &Config) -> Result<Self, StorageError> {
        let keys = Keys::of(config.storage_key.as_ref(), &config.storage_previous_keys)?;
        if config.s3.bucket.is_some() {
            Self::in_s3(&config.s3, keys, Patience::default())
        } else {
            let S3Settings { endpoint, access_key_id, secret_access_key, .. } = &config.s3;
            if endpoint.is_some() || access_key_id.is_some() || secret_access_key.is_some() {
                return Err(StorageError::Settings(
                    "an S3 address or key is set, but no bucket: set S3_BUCKET, or unset the other S3 settings".into(),
                ));
            }
            Self::on_disk(&config.data.join("blobs"), keys)
        }
    }

    pub(crate) fn on_disk(folder: &FilePath, keys: Keys) -> Result<Self, StorageError> {
        make_private(folder).map_err(|error| {
            StorageError::Settings(format!(
                "the folder {} of stored files cannot be made ({error}); choose another with --data or VOICE_DATA",
                folder.display()
            ))
        })?;
        let disk = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Self(Arc::new(Inner { place: Place::Disk(disk), keys, patience: Patience::default() })))
    }

    pub(crate) fn in_s3(settings: &S3Settings, keys: Keys, patience: Patience) -> Result<Self, StorageError> {
        let missing = |name: &str| {
            StorageError::Settings(format!("S3_BUCKET is set and {name} is not; set it, or unset S3_BUCKET"))
        };
        let bucket = settings.bucket.as_deref().ok_or_else(|| missing("S3_BUCKET"))?;
        let id = settings.access_key_id.as_ref().ok_or_else(|| missing("S3_ACCESS_KEY_ID"))?;
        let secret = settings.secret_access_key.as_ref().ok_or_else(|| missing("S3_SECRET_ACCESS_KEY"))?;
        // Where nobody has chosen a provider of TLS yet, it is the one that everything else here uses.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(200),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: patience.retries,
            retry_timeout: patience.large,
        };
        let client = ClientOptions::new()
            .with_connect_timeout(patience.small / 4)
            .with_timeout(patience.large)
            .with_allow_http(true);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(settings.region.as_deref().unwrap_or("us-east-1"))
            .with_access_key_id(id.expose())
            .with_secret_access_key(secret.expose())
            // The bucket in the path: the only form that addresses of self-hosted services and of Supabase have.
            .with_virtual_hosted_style_request(false)
            .with_retry(retry)
            .with_client_options(client);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let s3 = builder.build().map_err(|error| StorageError::Settings(error.to_string()))?;
        Ok(Self(Arc::new(Inner { place: Place::S3(s3), keys, patience })))
    }

    /// Where objects lie, for people.
    pub fn place(&self) -> &'static str {
        match &self.0.place {
            Place::Disk(_) => "local disk",
            Place::S3(_) => "S3",
        }
    }

    /// Whether what is stored from now on is encrypted.
    pub fn encrypts(&self) -> bool {
        self.0.keys.current().is_some()
    }

    /// The name under which `path` is stored from now on, for everything else here. Keep it: with encryption switched on
    /// or off it is another one.
    pub fn key_for(&self, path: &str) -> String {
        if self.encrypts() { format!("{path}{SEALED}") } else { path.to_owned() }
    }

    /// Stores an object at once, in place of one that has this name.
    ///
    /// # Errors
    /// See [`StorageError`]; nothing is stored then, or all of it.
    pub async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let mut upload = self.upload(key)?;
        upload.write(bytes).await?;
        upload.finish().await.map(drop)
    }

    /// Begins an object that is given piece by piece.
    ///
    /// # Errors
    /// The name is none, or is for encryption without a key.
    pub fn upload(&self, key: &str) -> Result<Upload, StorageError> {
        Upload::new(self.clone(), key)
    }

    /// Throws away the parts of an upload that a crash cut off. What is gone already is no error.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn abort_upload(&self, key: &str, id: &str) -> Result<(), StorageError> {
        upload::abort(self, &path(key)?, id).await
    }

    /// Opens an object for reading in pieces.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn open(&self, key: &str) -> Result<Reader, StorageError> {
        Reader::open(self.clone(), key).await
    }

    /// Bytes of an object, all or those of `range`, of which what lies past the end is left out. At most [`MOST_READ`].
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StorageError> {
        let reader = self.open(key).await?;
        let range = range.unwrap_or(0..reader.size());
        reader.read(range).await
    }

    /// Deletes an object. One that is gone already is no error.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let path = path(key)?;
        match self.small(self.store().delete(&path)).await {
            Err(StorageError::NotFound) => Ok(()),
            other => other,
        }
    }

    /// Deletes all objects below `prefix` (whole names between slashes), and says how many they were.
    ///
    /// # Errors
    /// See [`StorageError`]; some may be gone then, and the same again deletes the rest.
    pub async fn delete_below(&self, prefix: &str) -> Result<u64, StorageError> {
        let mut deleted = 0;
        loop {
            let batch = self.list(prefix, BATCH).await?;
            for blob in &batch {
                self.delete(&blob.key).await?;
            }
            deleted += batch.len() as u64;
            if batch.len() < BATCH {
                return Ok(deleted);
            }
        }
    }

    /// Objects below `prefix`, at most `most`, in no order.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn list(&self, prefix: &str, most: usize) -> Result<Vec<Blob>, StorageError> {
        let prefix = path(prefix)?;
        let found = async {
            let mut listed = self.store().list(Some(&prefix)).take(most);
            let mut blobs = Vec::new();
            while let Some(meta) = listed.next().await {
                let meta = meta?;
                blobs.push(Blob { key: meta.location.to_string(), stored: meta.size });
            }
            Ok(blobs)
        };
        self.small(found).await
    }

    /// Whether the storage answers: a round of a small file on disk, a list in a service, which costs next to nothing.
    pub async fn answers(&self) -> bool {
        match &self.0.place {
            Place::Disk(_) => self.check().await.is_ok(),
            Place::S3(_) => self.list("health", 1).await.is_ok(),
        }
    }

    /// Writes, reads and removes a small object.
    ///
    /// # Errors
    /// What does not work.
    pub async fn check(&self) -> Result<(), StorageError> {
        let key = self.key_for(&format!("health/{}", uuid::Uuid::new_v4()));
        self.put(&key, b"ok").await?;
        let read = self.get(&key, None).await;
        self.delete(&key).await?;
        if read? == b"ok"[..] { Ok(()) } else { Err(StorageError::Damaged) }
    }

    fn store(&self) -> &dyn ObjectStore {
        match &self.0.place {
            Place::Disk(disk) => disk,
            Place::S3(s3) => s3,
        }
    }

    async fn put_stored(&self, path: &Path, bytes: Bytes) -> Result<(), StorageError> {
        self.large(self.store().put(path, PutPayload::from(bytes))).await.map(drop)
    }

    async fn small<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> Result<T, StorageError> {
        within(self.0.patience.small, work).await
    }

    async fn large<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> Result<T, StorageError> {
        within(self.0.patience.large, work).await
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StorageError> {
    tokio::time::timeout(limit, work).await.map_err(|_| StorageError::TimedOut)?.map_err(StorageError::from)
}

/// Ends the names of encrypted objects.
const SEALED: &str = ".sealed";
/// Objects that are deleted between two lists.
const BATCH: usize = 256;

/// The object's path, where `key` is one: words of letters, digits and `-_.` between single slashes.
fn path(key: &str) -> Result<Path, StorageError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let sound = key.len() <= 512
        && key.split('/').all(|word| word.chars().all(plain) && !matches!(word, "" | "." | ".."));
    if sound { Path::parse(key).map_err(|_| StorageError::Name) } else { Err(StorageError::Name) }
}

/// Makes a folder that only this user may enter.
pub(crate) fn make_private(folder: &FilePath) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
