//! Speech models that run on the CPU.
//!
//! ONNX Runtime is loaded once a process ([`Runtime`]); weights are shared by all calls, state belongs to a call.
//! Everything here computes on the calling thread; the shell calls it on the inference threads. Nothing here fetches
//! anything: a missing file is an error that names the command which brings it.

pub mod mel;
pub mod moonshine;
pub mod recogniser;
pub mod runtime;
pub mod silero;
pub mod smart_turn;
pub mod tokens;
mod utterance;

use std::path::{Path, PathBuf};

pub use moonshine::Moonshine;
pub use recogniser::{LocalRecogniser, Transcriber};
pub use runtime::Runtime;
pub use silero::Silero;
pub use smart_turn::SmartTurn;

/// Where each engine's files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// The ONNX Runtime library.
    pub runtime: PathBuf,
    /// Silero voice activity.
    pub silero: PathBuf,
    /// smart-turn end of turn.
    pub smart_turn: PathBuf,
    /// Moonshine's encoder.
    pub moonshine_encoder: PathBuf,
    /// Moonshine's decoder.
    pub moonshine_decoder: PathBuf,
    /// Moonshine's token table.
    pub moonshine_tokens: PathBuf,
}

impl ModelFiles {
    /// The files of a folder that `voice models pull` filled.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            runtime: folder.join("libonnxruntime-1.23.2.so"),
            silero: folder.join("silero_vad_16k_op15.onnx"),
            smart_turn: folder.join("smart-turn-v3.2-cpu.onnx"),
            moonshine_encoder: folder.join("moonshine-tiny-en-encoder.ort"),
            moonshine_decoder: folder.join("moonshine-tiny-en-decoder.ort"),
            moonshine_tokens: folder.join("moonshine-tiny-en-tokenizer.bin"),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! The weights of this machine for tests, or a loud line that they are missing.

    use super::*;

    /// The runtime and the files, or `None` after saying on stderr which test was left out.
    pub(crate) fn weights(test: &str) -> Option<(Runtime, ModelFiles)> {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let files = cache.map(|folder| ModelFiles::in_folder(&folder.join("voice").join("models")));
        let found = files.filter(|files| {
            [&files.runtime, &files.silero, &files.smart_turn, &files.moonshine_encoder]
                .into_iter()
                .chain([&files.moonshine_decoder, &files.moonshine_tokens])
                .all(|path| path.is_file())
        });
        let Some(files) = found else {
            eprintln!("LEFT OUT: {test}: weights missing (`voice models pull` brings them)");
            return None;
        };
        let runtime = Runtime::load(&files.runtime).expect("the runtime is here and loads");
        Some((runtime, files))
    }
}
