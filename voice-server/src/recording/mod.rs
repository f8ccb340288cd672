//! Recordings of calls: two channels of Ogg/Opus, the caller left as he was heard, right what was played to him.
//!
//! Nothing is recorded without both configuration and consent ([`consent`]). The call is never held up: its tap drops what
//! has no room. Sound goes into a spool in the data folder first and from there into the storage, in parts while the call
//! goes on; what a crash leaves is brought home at the next start (`rescue`). The [`Archive`] owns all of this for one
//! server, deletes what is past its time ([`keep`]) and makes links to what may be heard ([`link`]).

mod call;
pub mod consent;
pub mod keep;
pub mod link;
mod maker;
mod rescue;
mod spool;
mod tap;
#[cfg(test)]
mod tests;
mod track;

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

pub use call::{CallRecording, Plan};
use consent::Wishes;
use rescue::{Home, RescueError, UnderWay};

use crate::config::Config;
use crate::data::{RecordingMode, Store};
use crate::disclosure;
use crate::shutdown::Shutdown;
use crate::storage::{Blobs, Keys, StorageError, make_private};

/// Parts that are uploaded at the same time by all calls; each is in memory once.
const UPLOADS: usize = 4;
/// Sound that waits in a spool before a part is uploaded: 14 minutes of both sides talking.
const PART: u64 = 5 << 20;
/// Sound that may wait on disk for a storage that is away. Past it no further call is recorded.
const SPOOL_LIMIT: u64 = 8 << 30;
/// What is left over, and what is past its time, is looked for this often.
const ROUND: Duration = Duration::from_secs(60);
/// A call's opening waits this long at most to learn whether it is recorded.
const PLAN_LIMIT: Duration = Duration::from_millis(500);
/// Days for which recordings are kept where the organization says nothing.
const DAYS: u32 = 30;

/// All recordings of one server. Cheap to clone.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    home: Home,
    folder: PathBuf,
    mode: RecordingMode,
    /// Of the calls, and so of what is said in them.
    language: String,
    /// Recordings that a call of this process works on.
    held: Mutex<HashSet<Uuid>>,
    uploads: Semaphore,
    /// Bytes of sound after which a part is uploaded while the call goes on.
    part: u64,
    /// The tasks of calls, so that an end waits for them.
    tasks: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("mode", &self.0.mode).finish_non_exhaustive()
    }
}

impl Archive {
    /// The archive of this server, its spools in `spool` in the data folder.
    ///
    /// # Errors
    /// The folder cannot be made, or a storage key is malformed.
    pub fn open(config: &Config, blobs: Blobs, store: Arc<dyn Store>) -> Result<Self, StorageError> {
        let keys = Keys::of(config.storage_key.as_ref(), &config.storage_previous_keys)?;
        let folder = config.data.join("spool");
        make_private(&folder).map_err(|error| {
            StorageError::Settings(format!(
                "the folder {} cannot be made ({error}); choose another with --data or VOICE_DATA",
                folder.display()
            ))
        })?;
        Ok(Self(Arc::new(Inner {
            home: Home { blobs, keys, store },
            folder,
            mode: config.recording,
            language: config.language.clone(),
            held: Mutex::default(),
            uploads: Semaphore::new(UPLOADS),
            part: PART,
            tasks: Mutex::default(),
        })))
    }

    /// What is to be said in a call of this organization and recorded of it. `None`: nothing; also where the database
    /// does not tell in time, since nothing is recorded without knowing.
    pub async fn plan(&self, organization: Uuid, conversation: Uuid) -> Option<Plan> {
        let settings = match timeout(PLAN_LIMIT, self.0.home.store.organization(organization)).await {
            Ok(Ok(Some(organization))) => organization.settings,
            Ok(Ok(None)) => return None,
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(%conversation, "a call is not recorded: its organization's settings cannot be read");
                return None;
            }
        };
        let wishes = Wishes {
            mode: settings.recording.unwrap_or(self.0.mode),
            disclosure: disclosure::first_words(&settings, &self.0.language),
        };
        let days = settings.retention_days.unwrap_or(DAYS);
        (!wishes.is_empty()).then(|| Plan { archive: self.clone(), wishes, organization, conversation, days })
    }

    /// Brings home what is left over and deletes what is past its time, until the server's end begins. The first round
    /// is at once: it has what a crash left.
    pub async fn tend(self, shutdown: Shutdown) {
        let rounds = async {
            loop {
                self.bring_left_over().await;
                keep::delete_expired(&*self.0.home.store, &self.0.home.blobs, crate::data::Timestamp::now())
                    .await;
                sleep(ROUND).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            () = shutdown.begun() => {}
        }
    }

    /// Waits until the recordings of ended calls are stored, at most `limit`. What is not by then waits in its spool.
    pub async fn drain(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut tasks = std::mem::take(&mut *lock(&self.0.tasks));
        while let Ok(Some(_)) = timeout_at(until, tasks.join_next()).await {}
        if !tasks.is_empty() {
            tracing::warn!(recordings = tasks.len(), "recordings wait for the next start to be stored");
        }
    }

    /// Brings home every spool that no call of this process works on; for `tend`, and for tests.
    async fn bring_left_over(&self) {
        let waiting = match spool::waiting(&self.0.folder) {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the folder of spools cannot be read");
                return;
            }
        };
        for id in waiting {
            if lock(&self.0.held).insert(id) {
                self.bring_home(id, spool::file_of(&self.0.folder, id), None).await;
                self.release(id);
            }
        }
    }

    /// Stores one recording. What fails stays in its spool and is tried again in the next round.
    async fn bring_home(&self, id: Uuid, path: PathBuf, under_way: Option<UnderWay>) {
        let Ok(_turn) = self.0.uploads.acquire().await else { return };
        match self.0.home.bring(path, under_way).await {
            Ok(stored) => {
                tracing::info!(recording = %id, ms = stored.audio_ms, bytes = stored.bytes, "a recording was stored");
            }
            Err(RescueError::Empty) => tracing::info!(recording = %id, "a recording was not kept"),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(recording = %id, %error, cause, "a recording waits to be stored");
            }
        }
    }

    fn home(&self) -> &Home {
        &self.0.home
    }

    fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn part(&self) -> u64 {
        self.0.part
    }

    fn uploads(&self) -> &Semaphore {
        &self.0.uploads
    }

    /// Blocking.
    fn has_room(&self) -> io::Result<()> {
        if spool::size(&self.0.folder)? < SPOOL_LIMIT {
            Ok(())
        } else {
            Err(io::Error::other("too much waits on disk to be stored"))
        }
    }

    fn hold(&self, id: Uuid) {
        lock(&self.0.held).insert(id);
    }

    fn release(&self, id: Uuid) {
        lock(&self.0.held).remove(&id);
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.0.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Locks what is held for a moment only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
