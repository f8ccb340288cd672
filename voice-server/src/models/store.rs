//! The models folder while a pull works in it: the lock, checking, and putting a finished file in its place.
//!
//! Half-written files live in `.pull` below the folder and are moved by rename, so that a file with its final name
//! is always whole.

use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use voice_core::local::weights::{Cache, FileState, ModelFile};

use super::progress::{Bar, Progress};
use super::{ModelsError, Trouble};

/// The locked folder. Unlocks when dropped.
pub(super) struct Store {
    cache: Cache,
    work: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes the folder if need be and waits until no other pull works in it.
    pub(super) async fn open(
        cache: &Cache,
        deadline: Duration,
        progress: Progress,
    ) -> Result<Self, ModelsError> {
        let folder = cache.folder();
        let work = folder.join(".pull");
        let lock = fs::create_dir_all(&work)
            .and_then(|()| {
                File::options().create(true).truncate(false).write(true).open(folder.join(".lock"))
            })
            .map_err(|error| folder_error(cache, &error))?;
        let take = async {
            let mut told = false;
            loop {
                match lock.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => {
                        if !told {
                            progress.say("another pull is busy in the same folder; waiting for it");
                        }
                        told = true;
                        tokio::time::sleep(LOCK_STEP).await;
                    }
                    Err(TryLockError::Error(error)) => return Err(folder_error(cache, &error)),
                }
            }
        };
        match tokio::time::timeout(deadline, take).await {
            Ok(taken) => taken?,
            Err(_) => return Err(ModelsError::Busy { folder: folder.to_path_buf() }),
        }
        Ok(Self { cache: cache.clone(), work, _lock: lock })
    }

    /// Where half-written files live.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Where a download of this file grows. Named by content, so that a part of another version is never resumed.
    pub(super) fn part(&self, file: &ModelFile) -> PathBuf {
        self.work.join(format!("{}.part", file.sha256))
    }

    /// Whether the file is in its place and right; stamps it if so. A wrong one stays where it is until replaced.
    pub(super) async fn check(&self, file: &ModelFile, progress: &Progress) -> Result<bool, ModelsError> {
        match self.cache.state(file) {
            FileState::Ready => return Ok(true),
            FileState::Missing | FileState::OtherMachine => return Ok(false),
            FileState::Unchecked => {}
        }
        let bar = progress.start("checking", file.name, file.size);
        let sum = sha256_of(self.cache.path(file), bar).await.map_err(|error| self.error(&error))?;
        if sum != file.sha256 {
            return Ok(false);
        }
        self.cache.stamp(file).map_err(|error| self.error(&error))?;
        Ok(true)
    }

    /// Checks a finished file, moves it to its place, stamps it. A wrong one is removed.
    pub(super) async fn keep(&self, file: &ModelFile, whole: &Path) -> Result<(), Trouble> {
        let size = fs::metadata(whole).map_err(|error| self.error(&error))?.len();
        let hidden = Progress::Silent.start("", "", 0);
        let right = size == file.size
            && sha256_of(whole.to_path_buf(), hidden).await.map_err(|error| self.error(&error))?
                == file.sha256;
        if !right {
            let _ = fs::remove_file(whole);
            let what = if size == file.size { "another SHA-256 than the manifest" } else { "the wrong size" };
            return Err(Trouble::Next(format!("gave {} with {what}", file.name)));
        }
        let place = self.cache.path(file);
        File::open(whole)
            .and_then(|written| written.sync_all())
            .and_then(|()| fs::rename(whole, &place))
            .and_then(|()| sync_folder(self.cache.folder()))
            .and_then(|()| self.cache.stamp(file))
            .map_err(|error| self.error(&error).into())
    }

    /// An error of the folder, from what the system said.
    pub(super) fn error(&self, error: &std::io::Error) -> ModelsError {
        folder_error(&self.cache, error)
    }
}

/// How often a held lock is tried again.
const LOCK_STEP: Duration = Duration::from_millis(200);

fn folder_error(cache: &Cache, error: &std::io::Error) -> ModelsError {
    ModelsError::Folder { folder: cache.folder().to_path_buf(), detail: error.to_string() }
}

/// A rename is durable only once its folder is; not every system lets a folder be opened.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// SHA-256 of a file in lower-case hexadecimal, off the async workers.
pub(super) async fn sha256_of(path: PathBuf, bar: Bar) -> std::io::Result<String> {
    let bar = Arc::new(bar);
    let work = tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        let mut sum = Sha256::new();
        let mut block = vec![0; 1 << 18];
        let mut done = 0;
        loop {
            let read = file.read(&mut block)?;
            if read == 0 {
                return Ok(hex(&sum.finalize()));
            }
            sum.update(&block[..read]);
            done += read as u64;
            bar.reach(done);
        }
    });
    work.await.map_err(std::io::Error::other)?
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
