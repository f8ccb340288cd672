//! Which of the listed providers can serve: the one place that knows what each needs.
//!
//! A list may name providers that cannot serve, as long as one of it can; what cannot is told at the start, with what it
//! lacks. Without a list those with a key serve, then the local one. A provider is added by its word in [`lack`] and
//! [`Config::order`]. Caller: [`super::Config`].

use super::{Config, ConfigError, Secret};

/// A stage that providers serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Recognition.
    Stt,
    /// Answers.
    Llm,
    /// Speech.
    Tts,
}

/// All stages, with the setting of their list and their words in the order that holds without one.
const STAGES: [(Stage, &str, &[&str]); 3] = [
    (Stage::Stt, "VOICE_STT", &["elevenlabs", "deepgram", "openai", "local"]),
    (Stage::Llm, "VOICE_LLM", &["openai", "concierge"]),
    (Stage::Tts, "VOICE_TTS", &["elevenlabs", "local"]),
];

/// The language of the local models.
const LOCAL_LANGUAGE: &str = "en";

/// How a service in the cloud is reached.
#[derive(Clone, Debug, Default)]
pub struct CloudSettings {
    /// Its key. Unset: it is not used unless a list names it and its address needs none.
    pub key: Option<Secret>,
    /// Another address than the service's own, such as a stand-in's.
    pub base_url: Option<String>,
    /// The model. Unset: the provider's usual one.
    pub model: Option<String>,
    /// The model that transcribes, where it is another one. Unset: the provider's usual one.
    pub stt_model: Option<String>,
    /// The voice, by name or id. Unset: `Sarah`.
    pub voice: Option<String>,
}

/// What a provider lacks to serve a stage; `None` where it can.
fn lack(config: &Config, stage: Stage, word: &str) -> Option<&'static str> {
    let keyed = |settings: &CloudSettings, name| settings.key.is_none().then_some(name);
    match (stage, word) {
        (_, "local") => (!cfg!(feature = "local")).then_some("a build with the feature `local`"),
        (Stage::Llm, "concierge") => None,
        // A server of one's own wants no key.
        (Stage::Stt | Stage::Llm, "openai") if config.openai.base_url.is_some() => None,
        (Stage::Stt | Stage::Llm, "openai") => keyed(&config.openai, "OPENAI_API_KEY or OPENAI_BASE_URL"),
        (Stage::Stt | Stage::Tts, "elevenlabs") => keyed(&config.elevenlabs, "ELEVENLABS_API_KEY"),
        (Stage::Stt, "deepgram") => keyed(&config.deepgram, "DEEPGRAM_API_KEY"),
        _ => Some("a later version"),
    }
}

impl Config {
    /// Who serves a stage, in order; the later ones are fallbacks.
    pub fn order(&self, stage: Stage) -> Vec<&'static str> {
        let list = match stage {
            Stage::Stt => &self.stt,
            Stage::Llm => &self.llm,
            Stage::Tts => &self.tts,
        };
        let usual = STAGES.iter().find(|(of, ..)| *of == stage).map_or(&[][..], |(_, _, words)| words);
        let can = |word: &&'static str| lack(self, stage, word).is_none();
        match list {
            Some(list) => list.iter().copied().filter(can).collect(),
            // A server that needs no key is used only where it is asked for.
            None => usual
                .iter()
                .copied()
                .filter(can)
                .filter(|word| *word != "openai" || self.openai.key.is_some())
                .collect(),
        }
    }
}

/// What of the lists and the language cannot be served, a sentence each. `given_as` tells the name under which a setting
/// was given.
///
/// # Errors
/// A list without any provider that can serve.
pub(super) fn check<'n>(
    config: &Config,
    given_as: impl Fn(&'static str) -> &'n str,
) -> Result<Vec<String>, ConfigError> {
    let mut notes = Vec::new();
    for ((stage, env, words), list) in STAGES.into_iter().zip([&config.stt, &config.llm, &config.tts]) {
        let Some(list) = list else { continue };
        let lacking: Vec<String> = list
            .iter()
            .filter_map(|word| lack(config, stage, word).map(|what| format!("{word}, which needs {what}")))
            .collect();
        let serving = config.order(stage);
        if serving.is_empty() {
            let could: Vec<&str> =
                words.iter().copied().filter(|word| lack(config, stage, word).is_none()).collect();
            let served = if could.is_empty() { "none for this stage".to_owned() } else { could.join(", ") };
            return Err(ConfigError::Unserved {
                name: given_as(env).to_owned(),
                lacking: lacking.join(" and "),
                served,
            });
        }
        if !lacking.is_empty() {
            notes.push(format!(
                "{} names {}; {} serves",
                given_as(env),
                lacking.join(" and "),
                serving.join(", ")
            ));
        }
    }
    let primary = config.language.split('-').next().unwrap_or_default();
    let local = [Stage::Stt, Stage::Tts].iter().any(|stage| config.order(*stage).first() == Some(&"local"));
    if local && !primary.eq_ignore_ascii_case(LOCAL_LANGUAGE) {
        notes.push(format!(
            "{} is {}, but the local models hear and speak English only",
            given_as("VOICE_LANGUAGE"),
            config.language
        ));
    }
    Ok(notes)
}
