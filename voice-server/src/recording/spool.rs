//! A recording on its way: a file in the data folder that outlives the process.
//!
//! Records follow each other: what the recording is, pages of sound, that the caller agreed, the id of an upload under
//! way. A crash of the program loses what had not become a page, a second or two; of a torn last record nothing is
//! taken. A crash of the machine also loses what the system had not written yet. With a storage key every record is
//! encrypted by itself. Blocking: called on threads for that. Callers: [`super::maker`] writes, [`super::rescue`] reads.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::{HEADER, Keys, ObjectKey, StorageError};

/// What a recording is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) id: Uuid,
    pub(super) organization: Uuid,
    pub(super) conversation: Uuid,
    /// Its name in the storage.
    pub(super) object: String,
    /// When its first sample was, in milliseconds of 1970.
    pub(super) started_at: i64,
    /// Days for which it is kept.
    pub(super) days: u32,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Meta(Meta),
    Page(Vec<u8>),
    /// It may be kept.
    Agreed,
    /// The upload under way.
    Upload(String),
}

/// Begins a file without encryption.
const PLAIN: &[u8; 8] = b"voicesp1";
/// Far more than a page of Ogg can have.
const MOST_BYTES: usize = 128 * 1024;
/// Ends the names of spools.
const ENDING: &str = "spool";

/// The file of the recording `id` in `folder`.
pub(super) fn file_of(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(format!("{id}.{ENDING}"))
}

/// The recordings that wait in `folder`.
pub(super) fn waiting(folder: &Path) -> io::Result<Vec<Uuid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING)
            && let Some(id) =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok())
        {
            found.push(id);
        }
    }
    Ok(found)
}

/// Bytes of all that waits in `folder`.
pub(super) fn size(folder: &Path) -> io::Result<u64> {
    std::fs::read_dir(folder)?.map(|entry| entry?.metadata().map(|meta| meta.len())).sum()
}

fn failed(error: StorageError) -> io::Error {
    io::Error::other(error)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Writes a spool.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    key: Option<ObjectKey>,
    number: u64,
}

impl Writer {
    /// Makes the file, which must not be there yet.
    pub(super) fn create(path: PathBuf, keys: &Keys, meta: &Meta) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let (key, header) = match keys.current() {
            Some(_) => {
                keys.fresh(&name_of(&path)).map(|(key, header)| (Some(key), header)).map_err(failed)?
            }
            None => {
                let mut header = [0; HEADER];
                header[..PLAIN.len()].copy_from_slice(PLAIN);
                (None, header)
            }
        };
        file.write_all(&header)?;
        let mut writer = Self { path, file, key, number: 0 };
        writer.put(&Record::Meta(meta.clone()))?;
        Ok(writer)
    }

    pub(super) fn put(&mut self, record: &Record) -> io::Result<()> {
        let mut plain = Vec::new();
        match record {
            Record::Meta(meta) => {
                plain.push(0);
                serde_json::to_writer(&mut plain, meta)?;
            }
            Record::Page(page) => {
                plain.push(1);
                plain.extend_from_slice(page);
            }
            Record::Agreed => plain.push(2),
            Record::Upload(id) => {
                plain.push(3);
                plain.extend_from_slice(id.as_bytes());
            }
        }
        let mut bytes = vec![0; 4];
        match &self.key {
            Some(key) => key.seal(self.number, false, &plain, &mut bytes).map_err(failed)?,
            None => bytes.append(&mut plain),
        }
        let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        self.number += 1;
        // One write, so that a crash between two leaves whole records.
        self.file.write_all(&bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a spool from its begin, also while it is being written.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    key: Option<ObjectKey>,
    number: u64,
    at: u64,
}

impl Reader {
    pub(super) fn open(path: &Path, keys: &Keys) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        let key = if header.starts_with(PLAIN) {
            None
        } else {
            Some(keys.find(&name_of(path), &header).map_err(failed)?)
        };
        Ok(Self { file, key, number: 0, at: HEADER as u64 })
    }

    /// The next record. `None`: no whole one follows, or not yet.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut length = [0; 4];
        if !read_whole(&mut self.file, &mut length)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST_BYTES {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        if !read_whole(&mut self.file, &mut bytes)? {
            return Ok(None);
        }
        let plain = match &self.key {
            Some(key) => match key.open(self.number, false, &mut bytes) {
                Ok(plain) => &*plain,
                Err(_) => return Ok(None),
            },
            None => &bytes,
        };
        let record = match plain.split_first() {
            Some((0, json)) => serde_json::from_slice(json).ok().map(Record::Meta),
            Some((1, page)) => Some(Record::Page(page.to_vec())),
            Some((2, [])) => Some(Record::Agreed),
            Some((3, id)) => String::from_utf8(id.to_vec()).ok().map(Record::Upload),
            _ => None,
        };
        if record.is_some() {
            self.number += 1;
            self.at += 4 + length as u64;
        }
        Ok(record)
    }
}

fn read_whole(file: &mut File, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Key;

    fn meta(id: Uuid) -> Meta {
        Meta {
            id,
            organization: Uuid::new_v4(),
            conversation: Uuid::new_v4(),
            object: "recordings/a.ogg".into(),
            started_at: 1_000,
            days: 30,
        }
    }

    fn all(path: &Path, keys: &Keys) -> Vec<Record> {
        let mut reader = Reader::open(path, keys).expect("opens");
        std::iter::from_fn(|| reader.next().expect("reads")).collect()
    }

    #[test]
    fn whole_records_survive_a_file_that_is_cut_anywhere_plain_and_encrypted() {
        for keys in [Keys::default(), Keys::new(Some(Key::new([1; 32])), Vec::new())] {
            let folder = std::env::temp_dir().join(format!("voice-spool-{}", Uuid::new_v4()));
            crate::storage::make_private(&folder).expect("a folder");
            let id = Uuid::new_v4();
            let path = file_of(&folder, id);
            let records = [
                Record::Meta(meta(id)),
                Record::Page(b"a page with words".repeat(20)),
                Record::Agreed,
                Record::Upload("id".into()),
                Record::Page(vec![9; 100]),
            ];
            let mut writer = Writer::create(path.clone(), &keys, &meta(id)).expect("is made");
            let Record::Meta(first) = &records[0] else { unreachable!("it is the first") };
            let mut lengths = vec![std::fs::metadata(&path).expect("there").len() as usize];
            for record in &records[1..] {
                writer.put(record).expect("is written");
                lengths.push(std::fs::metadata(&path).expect("there").len() as usize);
            }
            assert!(Writer::create(path.clone(), &keys, first).is_err(), "it is there already");
            assert_eq!(waiting(&folder).expect("a list"), [id]);
            let whole = std::fs::read(&path).expect("bytes");
            assert_eq!(size(&folder).expect("a size"), whole.len() as u64);
            assert_eq!(whole.windows(5).any(|w| w == b"words"), keys.current().is_none());
            for cut in HEADER..=whole.len() {
                std::fs::write(&path, &whole[..cut]).expect("written");
                let expected = lengths.iter().filter(|length| **length <= cut).count();
                let found = all(&path, &keys);
                assert_eq!(found.len(), expected, "cut at {cut}");
                assert_eq!(found.get(1..).unwrap_or_default(), records.get(1..expected).unwrap_or_default());
            }
            std::fs::write(&path, &whole[..20]).expect("written");
            assert!(Reader::open(&path, &keys).is_err());
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
