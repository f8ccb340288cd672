//! `--out`: what was answered, written to one WAV file as it comes.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use voice_core::audio::SampleRate;

use super::{Recorded, ReplayError};

/// The file's rate, and the one at which answers are asked for.
pub(super) const RATE: SampleRate = SampleRate::HZ_24000;
/// Silence between two answers, in samples: half a second.
const PAUSE: usize = 24_000 / 2;

/// The open file. A failure of writing is kept and told by [`OutFile::finish`].
pub(super) struct OutFile {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    failure: Option<hound::Error>,
}

impl std::fmt::Debug for OutFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OutFile {
    /// Makes the file, or empties one that is there.
    ///
    /// # Errors
    /// It cannot be written, or is one of the recordings.
    pub(super) fn create(path: &Path, recordings: &[Recorded]) -> Result<Self, ReplayError> {
        let is_same =
            |other: &Path| path.canonicalize().is_ok_and(|own| other.canonicalize().is_ok_and(|o| own == o));
        if recordings.iter().any(|recorded| is_same(&recorded.path)) {
            return Err(ReplayError::Input(format!(
                "--out {} is one of the recordings; choose another file",
                path.display()
            )));
        }
        let spec = WavSpec {
            channels: 1,
            sample_rate: RATE.hz(),
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let writer = WavWriter::create(path, spec).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), writer, failure: None })
    }

    /// Adds signed 16-bit little-endian samples.
    pub(super) fn write(&mut self, payload: &[u8]) {
        for pair in payload.chunks_exact(2) {
            self.sample(i16::from_le_bytes([pair[0], pair[1]]));
        }
    }

    /// Adds the silence behind an answer.
    pub(super) fn pause(&mut self) {
        for _ in 0..PAUSE {
            self.sample(0);
        }
    }

    fn sample(&mut self, sample: i16) {
        if self.failure.is_none() {
            self.failure = self.writer.write_sample(sample).err();
        }
    }

    /// Writes the lengths into the head.
    ///
    /// # Errors
    /// Something could not be written.
    pub(super) fn finish(self) -> Result<(), ReplayError> {
        let Self { path, writer, failure } = self;
        let finished = writer.finalize();
        match failure.map_or(finished, Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }
}

fn unwritable(path: &Path, error: &hound::Error) -> ReplayError {
    ReplayError::Input(format!("{} cannot be written: {error}", path.display()))
}
