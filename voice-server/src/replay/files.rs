//! Which files are replayed, and the reference transcripts beside them.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::ReplayError;

/// One recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it lies, as the user named it.
    pub path: PathBuf,
    /// The words of `NAME.txt` beside it, if that is there.
    pub reference: Option<String>,
}

/// The largest recording: three hours of CD-quality sound.
const LARGEST: u64 = 2 << 30;

impl Recorded {
    fn at(path: PathBuf) -> Self {
        let reference = fs::read_to_string(path.with_extension("txt")).ok().map(|t| t.trim().to_owned());
        Self { path, reference: reference.filter(|t| !t.is_empty()) }
    }

    /// The file's own name.
    pub fn name(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Its bytes.
    ///
    /// # Errors
    /// The file cannot be read or is too large.
    pub fn read(&self) -> Result<Bytes, ReplayError> {
        let failed =
            |e: std::io::Error| ReplayError::Input(format!("{} cannot be read: {e}", self.path.display()));
        let size = fs::metadata(&self.path).map_err(failed)?.len();
        if size > LARGEST {
            return Err(ReplayError::Input(format!("{} is larger than 2 GiB", self.path.display())));
        }
        Ok(Bytes::from(fs::read(&self.path).map_err(failed)?))
    }
}

/// The recordings that the paths name: files as they are, folders searched through, in order of name.
///
/// # Errors
/// A path that does not exist, or nothing at all to replay.
pub fn collect(paths: &[PathBuf]) -> Result<Vec<Recorded>, ReplayError> {
    let mut found = Vec::new();
    for path in paths {
        let kind = fs::metadata(path)
            .map_err(|e| ReplayError::Input(format!("{} cannot be opened: {e}", path.display())))?;
        if kind.is_dir() {
            search(path, &mut found, 0)?;
        } else {
            found.push(Recorded::at(path.clone()));
        }
    }
    if found.is_empty() {
        return Err(ReplayError::Input(
            "there is nothing to replay: name a .wav, .ogg, .opus or .webm file, or a folder with some"
                .to_owned(),
        ));
    }
    Ok(found)
}

/// Folders nested deeper than this are a loop.
const DEEPEST: u32 = 16;

fn search(folder: &Path, found: &mut Vec<Recorded>, depth: u32) -> Result<(), ReplayError> {
    if depth > DEEPEST {
        return Ok(());
    }
    let failed = |e: std::io::Error| ReplayError::Input(format!("{} cannot be read: {e}", folder.display()));
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).map_err(failed)?.filter_map(|e| e.ok().map(|e| e.path())).collect();
    entries.sort();
    for path in entries {
        let is_audio = path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| ["wav", "ogg", "opus", "webm"].contains(&e.to_ascii_lowercase().as_str()));
        if path.is_dir() {
            search(&path, found, depth + 1)?;
        } else if is_audio {
            found.push(Recorded::at(path));
        }
    }
    Ok(())
}
