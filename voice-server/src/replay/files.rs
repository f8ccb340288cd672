//! Which files are replayed, their bytes in pieces, and the reference transcripts beside them.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;

use super::ReplayError;

/// One recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it lies, as the user named it.
    pub path: PathBuf,
    /// Its size in bytes when it was found; a pipe has none.
    pub size: u64,
    /// The words of `NAME.txt` beside it, if that is there.
    pub reference: Option<String>,
}

/// The largest recording: three hours of CD-quality sound.
const LARGEST: u64 = 2 << 30;
/// What is read and handed in at once: far below what a call queues, so that a file of any size passes.
const PIECE: usize = 1 << 20;

impl Recorded {
    fn at(path: PathBuf) -> Self {
        let size = fs::metadata(&path).map_or(0, |about| about.len());
        let reference = fs::read_to_string(path.with_extension("txt")).ok().map(|t| t.trim().to_owned());
        Self { path, size, reference: reference.filter(|t| !t.is_empty()) }
    }

    /// The file's own name.
    pub fn name(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Opens it for reading in pieces.
    pub(super) async fn open(&self) -> Result<Pieces, String> {
        if self.size > LARGEST {
            return Err(TOO_LARGE.to_owned());
        }
        let file = tokio::fs::File::open(&self.path).await.map_err(|e| unreadable(&e))?;
        Ok(Pieces { file, read: 0, begun: false })
    }
}

const TOO_LARGE: &str = "the file is larger than 2 GiB; cut it into shorter recordings";

fn unreadable(error: &std::io::Error) -> String {
    format!("the file cannot be read: {error}")
}

/// A file's bytes from the start on.
pub(super) struct Pieces {
    file: tokio::fs::File,
    read: u64,
    begun: bool,
}

impl Pieces {
    /// The next bytes; `None` after the last. An empty file is one empty piece, so that it is seen to be no audio.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut self.file).take(PIECE as u64).read_to_end(&mut piece).await.map_err(|e| unreadable(&e))?;
        self.read += piece.len() as u64;
        if self.read > LARGEST {
            return Err(TOO_LARGE.to_owned());
        }
        let begun = std::mem::replace(&mut self.begun, true);
        Ok((!begun || !piece.is_empty()).then(|| piece.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_comes_in_pieces_and_an_empty_one_as_one_empty_piece() {
        let folder = std::env::temp_dir().join(format!("voice-pieces-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).expect("a folder for temporary files");
        let bytes: Vec<u8> = (0..PIECE * 2 + 3).map(|i| (i % 251) as u8).collect();
        for (name, content, lengths) in
            [("long.wav", bytes.as_slice(), vec![PIECE, PIECE, 3]), ("empty.wav", &[], vec![0])]
        {
            let path = folder.join(name);
            fs::write(&path, content).expect("written");
            let recorded = Recorded::at(path);
            assert_eq!(recorded.size, content.len() as u64);
            let mut pieces = recorded.open().await.expect("opened");
            let mut got = Vec::new();
            while let Some(piece) = pieces.next().await.expect("read") {
                got.push(piece);
            }
            assert_eq!(got.iter().map(Bytes::len).collect::<Vec<_>>(), lengths, "{name}");
            assert_eq!(got.concat(), content, "{name}");
        }
        fs::remove_dir_all(&folder).expect("removed");
    }
}
