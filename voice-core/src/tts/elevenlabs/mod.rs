//! ElevenLabs' voice: configuration, and the map of this folder.
//!
//! `wire` builds addresses and messages and reads answers, `voices` knows the default voices, `contexts` keeps the
//! books of one socket with a context for each reply, `http` speaks a reply without a socket, `spoken` turns answers into
//! speech events, `slots` counts what the account may do at a time. All of that is pure. `client`, `over_sockets` and
//! `over_http` are the shell around it (feature `cloud`). What a configuration says is checked once, in [`ElevenLabsBuilder::build`] and [`ElevenLabsConfig::for_call`].

#[cfg(feature = "cloud")]
mod client;
mod contexts;
mod http;
#[cfg(feature = "cloud")]
mod over_http;
#[cfg(feature = "cloud")]
mod over_sockets;
#[cfg(feature = "cloud")]
mod parked;
mod slots;
mod spoken;
mod tracker;
mod voices;
pub mod wire;

use serde::Serialize;

#[cfg(feature = "cloud")]
pub use client::{ElevenLabs, SpeechLimits};
pub use contexts::{ContextEvent, ContextLimits, Contexts};
pub use http::{HttpReply, SpeechRequest};
pub use slots::Slots;
pub use voices::{DEFAULT_VOICES, VoiceRef, find_voice};

use crate::audio::SampleRate;
use crate::codec::SampleCoding;
use crate::wire::{Endpoint, Secret, SettingError, is_name, language_subtag};

use super::VoiceOptions;

/// Name of the provider in errors, logs and health.
pub const PROVIDER: &str = "elevenlabs";

/// How ElevenLabs speaks: checked, cheap enough to clone for a call.
#[derive(Clone, Debug)]
pub struct ElevenLabsConfig {
    key: Secret,
    base: Endpoint,
    voice: VoiceRef,
    model: SpeechModel,
    language: Option<String>,
    settings: VoiceSettings,
    seed: Option<u32>,
    dictionaries: Vec<PronunciationDictionary>,
    normalisation: Option<TextNormalisation>,
    format: OutputFormat,
    logging: bool,
}

impl ElevenLabsConfig {
    /// Starts a configuration with this key and defaults for everything else.
    pub fn builder(key: &str) -> ElevenLabsBuilder {
        ElevenLabsBuilder {
            key: key.to_owned(),
            base: DEFAULT_BASE.to_owned(),
            voice: DEFAULT_VOICE.to_owned(),
            model: DEFAULT_MODEL.to_owned(),
            language: String::new(),
            settings: VoiceSettings::default(),
            seed: None,
            dictionaries: Vec::new(),
            normalisation: None,
            format: OutputFormat::Pcm24000,
            logging: true,
        }
    }

    /// Everything but the text that decides how it sounds; no secret.
    #[cfg(feature = "cloud")]
    pub(super) fn sound(&self) -> String {
        let Self {
            base, voice, model, language, settings, seed, dictionaries, normalisation, format, ..
        } = self;
        format!(
            "{PROVIDER} {base:?} {voice:?} {model:?} {language:?} {settings:?} {seed:?} {dictionaries:?} \
             {normalisation:?} {format:?}"
        )
    }

    /// The same for one call, with the voice and the language that the call asks for.
    ///
    /// # Errors
    /// The voice is no name, the language no language, or the model does not speak it.
    pub fn for_call(&self, options: &VoiceOptions) -> Result<Self, SettingError> {
        let mut config = self.clone();
        if !options.voice.trim().is_empty() {
            config.voice = VoiceRef::parse(&options.voice)?;
        }
        if !options.language.trim().is_empty() {
            config.language = Some(config.model.checked_language(&options.language)?);
        }
        Ok(config)
    }

    /// The key, for the header [`wire::KEY_HEADER`].
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Where the service lives.
    pub fn base(&self) -> &Endpoint {
        &self.base
    }

    /// Which voice speaks. A name that is not a default voice's must be looked up first, see [`VoiceRef::id`].
    pub fn voice(&self) -> &VoiceRef {
        &self.voice
    }

    /// The same with a voice that was looked up.
    pub fn with_voice(mut self, voice: VoiceRef) -> Self {
        self.voice = voice;
        self
    }

    /// Which model speaks.
    pub fn model(&self) -> &SpeechModel {
        &self.model
    }

    /// How samples come.
    pub fn format(&self) -> OutputFormat {
        self.format
    }

    /// Whether the sockets can be used: not every model and not every format comes over them. HTTP always can.
    pub fn has_sockets(&self) -> bool {
        self.model.has_sockets() && self.format.has_sockets()
    }

    /// Whether the spoken text may differ from the one that was sent, so that its alignment must be used instead.
    pub(crate) fn rewrites_text(&self) -> bool {
        !self.dictionaries.is_empty()
    }
}

const DEFAULT_BASE: &str = "https://api.elevenlabs.io";
const DEFAULT_VOICE: &str = "Sarah";
const DEFAULT_MODEL: &str = "eleven_turbo_v2";

/// Puts an [`ElevenLabsConfig`] together.
#[derive(Clone)]
pub struct ElevenLabsBuilder {
    key: String,
    base: String,
    voice: String,
    model: String,
    language: String,
    settings: VoiceSettings,
    seed: Option<u32>,
    dictionaries: Vec<PronunciationDictionary>,
    normalisation: Option<TextNormalisation>,
    format: OutputFormat,
    logging: bool,
}

impl std::fmt::Debug for ElevenLabsBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElevenLabsBuilder").finish_non_exhaustive()
    }
}

impl ElevenLabsBuilder {
    /// Base address, with or without `/v1`. Default: `https://api.elevenlabs.io`.
    pub fn base_url(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Name or id of the voice. Default: `Sarah`.
    pub fn voice(mut self, voice: &str) -> Self {
        voice.clone_into(&mut self.voice);
        self
    }

    /// Model. Default: `eleven_turbo_v2`, which speaks English. The `_v2_5` models speak 32 languages and the flash
    /// ones answer soonest.
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// BCP 47 language. Empty (default): what the text is written in.
    pub fn language(mut self, language: &str) -> Self {
        language.clone_into(&mut self.language);
        self
    }

    /// How the voice sounds. Default: as it was stored with the voice.
    pub fn settings(mut self, settings: VoiceSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Makes the same text sound nearly the same each time. Default: chance.
    pub fn seed(mut self, seed: u32) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Adds a pronunciation dictionary of the account; up to three.
    pub fn dictionary(mut self, dictionary: PronunciationDictionary) -> Self {
        self.dictionaries.push(dictionary);
        self
    }

    /// Whether the service writes numbers out before it speaks. Default: the service's own choice, which for the
    /// fast models is not to, so that what they get must be speakable already.
    pub fn normalisation(mut self, normalisation: TextNormalisation) -> Self {
        self.normalisation = Some(normalisation);
        self
    }

    /// How samples come. Default: [`OutputFormat::Pcm24000`]. A higher rate costs bandwidth, mu-law quality.
    pub fn format(mut self, format: OutputFormat) -> Self {
        self.format = format;
        self
    }

    /// Whether the service keeps texts and audio. Default: yes; no is for enterprise plans.
    pub fn logging(mut self, logging: bool) -> Self {
        self.logging = logging;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn build(self) -> Result<ElevenLabsConfig, SettingError> {
        self.settings.check()?;
        if self.dictionaries.len() > MOST_DICTIONARIES {
            return Err(SettingError::TooMany {
                field: "pronunciation dictionaries",
                most: MOST_DICTIONARIES,
            });
        }
        for dictionary in &self.dictionaries {
            let version = dictionary.version_id.as_deref();
            let fits = is_id(&dictionary.pronunciation_dictionary_id) && version.is_none_or(is_id);
            if !fits {
                return Err(SettingError::Name("a pronunciation dictionary"));
            }
        }
        let model = SpeechModel::parse(&self.model)?;
        let language = match self.language.trim() {
            "" => None,
            tag => Some(model.checked_language(tag)?),
        };
        Ok(ElevenLabsConfig {
            key: Secret::parse(&self.key)?,
            base: Endpoint::parse(&self.base)?.without("/v1"),
            voice: VoiceRef::parse(&self.voice)?,
            model,
            language,
            settings: self.settings,
            seed: self.seed,
            dictionaries: self.dictionaries,
            normalisation: self.normalisation,
            format: self.format,
            logging: self.logging,
        })
    }
}

/// The service takes no more in one request.
const MOST_DICTIONARIES: usize = 3;

/// Ids of the service are letters and digits of about 20 characters; room for longer ones.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// How a voice sounds. What is `None` is as stored with the voice, and is not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct VoiceSettings {
    /// 0 to 1: more is steadier and flatter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stability: Option<f32>,
    /// 0 to 1: more is closer to the original voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity_boost: Option<f32>,
    /// 0 to 1: more is livelier, and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<f32>,
    /// Closer to the original voice, and a little later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_speaker_boost: Option<bool>,
    /// 0.7 to 1.2: how fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
}

impl VoiceSettings {
    fn check(&self) -> Result<(), SettingError> {
        let units = [
            ("stability", self.stability),
            ("similarity_boost", self.similarity_boost),
            ("style", self.style),
        ];
        for (field, value) in units {
            if value.is_some_and(|v| !(0.0..=1.0).contains(&v)) {
                return Err(SettingError::Range { field, low: "0", high: "1" });
            }
        }
        if self.speed.is_some_and(|v| !(0.7..=1.2).contains(&v)) {
            return Err(SettingError::Range { field: "speed", low: "0.7", high: "1.2" });
        }
        Ok(())
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A dictionary of the account that says how words are pronounced. Named as the service names its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PronunciationDictionary {
    /// Which one.
    pub pronunciation_dictionary_id: String,
    /// Which version. `None`: the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// Whether the service writes numbers, dates and the like out before it speaks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TextNormalisation {
    /// As the service thinks best for the model.
    Auto,
    /// Always; later, and with the fast models for enterprise plans only.
    On,
    /// Never.
    Off,
}

impl TextNormalisation {
    /// As written in a query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// How samples come: mono without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// 16 bits at 8 kHz.
    Pcm8000,
    /// 16 bits at 16 kHz.
    Pcm16000,
    /// 16 bits at 22.05 kHz.
    Pcm22050,
    /// 16 bits at 24 kHz.
    Pcm24000,
    /// 16 bits at 32 kHz; HTTP only.
    Pcm32000,
    /// 16 bits at 44.1 kHz; for larger plans.
    Pcm44100,
    /// 16 bits at 48 kHz; HTTP only.
    Pcm48000,
    /// G.711 mu-law at 8 kHz, as telephones have it.
    Ulaw8000,
}

impl OutputFormat {
    /// As written in a query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcm8000 => "pcm_8000",
            Self::Pcm16000 => "pcm_16000",
            Self::Pcm22050 => "pcm_22050",
            Self::Pcm24000 => "pcm_24000",
            Self::Pcm32000 => "pcm_32000",
            Self::Pcm44100 => "pcm_44100",
            Self::Pcm48000 => "pcm_48000",
            Self::Ulaw8000 => "ulaw_8000",
        }
    }

    /// Rate of the samples.
    pub const fn rate(self) -> SampleRate {
        let hz = match self {
            Self::Pcm8000 | Self::Ulaw8000 => return SampleRate::HZ_8000,
            Self::Pcm16000 => return SampleRate::HZ_16000,
            Self::Pcm24000 => return SampleRate::HZ_24000,
            Self::Pcm48000 => return SampleRate::HZ_48000,
            Self::Pcm22050 => 22_050,
            Self::Pcm32000 => 32_000,
            Self::Pcm44100 => 44_100,
        };
        match SampleRate::new(hz) {
            Ok(rate) => rate,
            Err(_) => SampleRate::HZ_24000,
        }
    }

    /// Coding of the samples.
    pub const fn coding(self) -> SampleCoding {
        match self {
            Self::Ulaw8000 => SampleCoding::Ulaw,
            _ => SampleCoding::S16,
        }
    }

    const fn has_sockets(self) -> bool {
        !matches!(self, Self::Pcm32000 | Self::Pcm48000)
    }
}

/// A model by its id, with what is known about it. An unknown one is taken for a multilingual one with a short limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeechModel(String);

impl SpeechModel {
    /// Checks that it can be an id.
    ///
    /// # Errors
    /// It cannot.
    pub fn parse(id: &str) -> Result<Self, SettingError> {
        let id = id.trim();
        if is_id(id) { Ok(Self(id.to_owned())) } else { Err(SettingError::Name("the model")) }
    }

    /// Its id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Characters that one request may have.
    pub fn longest_text(&self) -> usize {
        match self.as_str() {
            "eleven_flash_v2_5" | "eleven_turbo_v2_5" => 40_000,
            "eleven_flash_v2" | "eleven_turbo_v2" => 30_000,
            "eleven_multilingual_v2" => 10_000,
            _ => 3_000,
        }
    }

    fn speaks_english_only(&self) -> bool {
        matches!(self.as_str(), "eleven_flash_v2" | "eleven_turbo_v2")
    }

    /// Whether a language may be asked for; others find it out from the text, and refuse to be told.
    fn takes_language(&self) -> bool {
        matches!(self.as_str(), "eleven_flash_v2_5" | "eleven_turbo_v2_5" | "eleven_v3")
    }

    fn has_sockets(&self) -> bool {
        self.as_str() != "eleven_v3"
    }

    /// Whether it may be told what was said before. Not documented as impossible for v3, but refused by it.
    fn takes_previous(&self) -> bool {
        self.as_str() != "eleven_v3"
    }

    fn checked_language(&self, tag: &str) -> Result<String, SettingError> {
        let language = language_subtag(tag).ok_or(SettingError::Name("the language"))?;
        if self.speaks_english_only() && language != "en" {
            let with = format!("the language {language}; one that ends in _v2_5 can");
            return Err(SettingError::Model { model: self.0.clone(), with });
        }
        Ok(language)
    }
}

/// Whether a voice name can be one: what people type, up to 100 bytes.
fn is_voice_name(name: &str) -> bool {
    is_name(name, 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ElevenLabsBuilder {
        ElevenLabsConfig::builder("sk_test")
    }

    #[test]
    fn the_defaults_are_those_of_the_platform() {
        let config = builder().build().expect("defaults");
        assert_eq!(config.voice().id(), Some("EXAVITQu4vr4xnSDxMaL"));
        assert_eq!(config.model().as_str(), "eleven_turbo_v2");
        assert_eq!(config.base().to_string(), "https://api.elevenlabs.io");
        assert!(config.has_sockets());
        assert!(!format!("{config:?} {:?}", builder()).contains("sk_test"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let settings = |settings| builder().settings(settings).build().map(|_| ());
        let range = |field| Err(SettingError::Range { field, low: "0", high: "1" });
        assert_eq!(settings(VoiceSettings { style: Some(1.01), ..Default::default() }), range("style"));
        let nan = VoiceSettings { stability: Some(f32::NAN), ..Default::default() };
        assert_eq!(settings(nan), range("stability"));
        let fast = VoiceSettings { speed: Some(1.3), ..Default::default() };
        assert!(settings(fast).is_err());
        assert!(builder().model("no model").build().is_err());
        assert!(builder().voice(" ").build().is_err());
        assert!(builder().base_url("localhost").build().is_err());
        assert!(ElevenLabsConfig::builder("").build().is_err());
        let dictionary =
            PronunciationDictionary { pronunciation_dictionary_id: "d1".into(), version_id: None };
        let mut many = builder();
        for _ in 0..4 {
            many = many.dictionary(dictionary.clone());
        }
        assert!(matches!(many.build(), Err(SettingError::TooMany { most: 3, .. })));
    }

    #[test]
    fn an_english_model_is_not_asked_for_german() {
        let error = builder().language("de-DE").build().expect_err("it cannot");
        assert!(error.to_string().contains("eleven_turbo_v2") && error.to_string().contains("_v2_5"));
        let config = builder().model("eleven_flash_v2_5").build().expect("fine");
        let options =
            VoiceOptions { voice: "george".into(), language: "de-AT".into(), ..VoiceOptions::default() };
        let call = config.for_call(&options).expect("fine");
        assert_eq!(call.voice().id(), Some("JBFqnCBsd6RMkjVDRZzb"));
        assert_eq!(call.language.as_deref(), Some("de"));
        assert_eq!(config.for_call(&VoiceOptions::default()).expect("fine").language, None);
    }

    #[test]
    fn what_sockets_do_not_carry_goes_over_http() {
        assert!(!builder().model("eleven_v3").build().expect("fine").has_sockets());
        assert!(!builder().format(OutputFormat::Pcm48000).build().expect("fine").has_sockets());
    }

    #[test]
    fn every_format_has_the_rate_of_its_name() {
        use OutputFormat as F;
        for format in [
            F::Pcm8000,
            F::Pcm16000,
            F::Pcm22050,
            F::Pcm24000,
            F::Pcm32000,
            F::Pcm44100,
            F::Pcm48000,
            F::Ulaw8000,
        ] {
            assert!(format.as_str().ends_with(&format!("_{}", format.rate().hz())), "{format:?}");
        }
    }
}
