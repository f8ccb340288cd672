//! Speech models that run on the CPU.
//!
//! ONNX Runtime is loaded once a process ([`Runtime`]); weights are shared by all calls, state belongs to a call.
//! Everything here computes on the calling thread; the shell calls it on the inference threads. Nothing here fetches
//! anything: a missing file is an error that names the command which brings it.

pub mod mel;
pub mod moonshine;
pub mod phonemes;
pub mod piper;
pub mod recogniser;
pub mod runtime;
pub mod silero;
pub mod smart_turn;
pub mod speaker;
pub mod spell;
pub mod tokens;
mod utterance;
pub mod weights;

pub use moonshine::Moonshine;
pub use piper::Piper;
pub use recogniser::{LocalRecogniser, Transcriber};
pub use runtime::Runtime;
pub use silero::Silero;
pub use smart_turn::SmartTurn;
pub use speaker::LocalVoice;
pub use weights::{Cache, ModelFiles};

#[cfg(test)]
pub(crate) mod testing {
    //! The weights of this machine for tests, or a loud line that they are missing.

    use std::path::PathBuf;

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
