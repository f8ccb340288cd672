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
mod stages;
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
pub use stages::{LocalParts, LocalStages};
pub use weights::{Cache, ModelFiles};

#[cfg(test)]
pub(crate) mod testing {
    //! The weights of this machine and recorded speech for tests, or a loud line that the weights are missing.

    use std::path::Path;

    use super::*;

    /// The runtime and the files, or `None` after saying on stderr which test was left out.
    pub(crate) fn weights(test: &str) -> Option<(Runtime, ModelFiles)> {
        let found = Cache::of_user().filter(Cache::is_complete).map(|cache| cache.files());
        let Some(files) = found else {
            eprintln!("LEFT OUT: {test}: weights missing (`voice models pull` brings them)");
            return None;
        };
        let runtime = Runtime::load(&files.runtime).expect("the runtime is here and loads");
        Some((runtime, files))
    }

    /// A recording of a person.
    pub(crate) struct Clip {
        pub(crate) name: String,
        pub(crate) samples: Vec<i16>,
        pub(crate) words: String,
    }

    /// All of `fixtures/audio/human`, by name; 16 kHz mono, each with its words in a text file.
    pub(crate) fn human_clips() -> Vec<Clip> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/audio/human");
        let mut clips: Vec<Clip> = std::fs::read_dir(&folder)
            .expect("the repository has recordings in fixtures/audio/human")
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.extension().is_some_and(|e| e == "wav"))
            .map(|path| {
                let mut wav = hound::WavReader::open(&path).expect("a WAV file");
                assert_eq!((wav.spec().sample_rate, wav.spec().channels), (16_000, 1), "{}", path.display());
                Clip {
                    name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
                    samples: wav.samples::<i16>().map(|s| s.expect("samples")).collect(),
                    words: std::fs::read_to_string(path.with_extension("txt")).expect("its words"),
                }
            })
            .collect();
        assert!(!clips.is_empty(), "no recordings in {}", folder.display());
        clips.sort_by(|a, b| a.name.cmp(&b.name));
        clips
    }

    /// The recording of that name.
    pub(crate) fn human_clip(name: &str) -> Clip {
        human_clips().into_iter().find(|clip| clip.name == name).expect("a recording of that name")
    }

    /// Wrong words and all words: the least number of words to change, drop or add.
    pub(crate) fn word_errors(spoken: &str, heard: &str) -> (usize, usize) {
        let words = |text: &str| -> Vec<String> {
            text.to_lowercase()
                .split(|c: char| !c.is_alphanumeric() && c != '\'')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let (spoken, heard) = (words(spoken), words(heard));
        let mut row: Vec<usize> = (0..=heard.len()).collect();
        for (i, word) in spoken.iter().enumerate() {
            let mut corner = std::mem::replace(&mut row[0], i + 1);
            for (j, other) in heard.iter().enumerate() {
                let change = corner + usize::from(word != other);
                corner = row[j + 1];
                row[j + 1] = change.min(row[j] + 1).min(corner + 1);
            }
        }
        (row[heard.len()], spoken.len())
    }

    #[test]
    fn word_errors_are_counted_by_hand() {
        assert_eq!(word_errors("How much is it?", "how much is it"), (0, 4));
        assert_eq!(word_errors("how much is it", "how is that it now"), (3, 4));
        assert_eq!(word_errors("how much", ""), (2, 2));
    }
}
