//! Which of the listed providers this build has: the one place that knows.
//!
//! A list may name providers that come with a later version, as long as one of it can serve; what cannot is told at the
//! start. A provider is added by its word in [`STAGES`]. Caller: [`super::Config`].

use super::{Config, ConfigError};

/// Words of `VOICE_STT` and `VOICE_TTS` that the local models serve.
const LOCAL: &[&str] = if cfg!(feature = "local") { &["local"] } else { &[] };

/// The setting of each stage, and the words of its list that this build serves.
const STAGES: [(&str, &[&str]); 3] =
    [("VOICE_STT", LOCAL), ("VOICE_LLM", &["concierge"]), ("VOICE_TTS", LOCAL)];

/// The language of the local models.
const LOCAL_LANGUAGE: &str = "en";

/// What of the lists and the language this build cannot serve, a sentence each. `given_as` tells the name under which
/// a setting was given.
///
/// # Errors
/// A list without any provider of this build.
pub(super) fn check<'n>(
    config: &Config,
    given_as: impl Fn(&'static str) -> &'n str,
) -> Result<Vec<String>, ConfigError> {
    let mut notes = Vec::new();
    for ((env, served), list) in STAGES.into_iter().zip([&config.stt, &config.llm, &config.tts]) {
        let Some(list) = list else { continue };
        let (has, lacks): (Vec<&str>, Vec<&str>) =
            list.iter().copied().partition(|word| served.contains(word));
        if has.is_empty() {
            let served = if served.is_empty() { "none for this stage".to_owned() } else { served.join(", ") };
            return Err(ConfigError::Unserved { name: given_as(env).to_owned(), served });
        }
        if !lacks.is_empty() {
            notes.push(format!(
                "{} names {}, which this version does not have; {} serves",
                given_as(env),
                lacks.join(", "),
                has.join(", ")
            ));
        }
    }
    // Every recogniser and voice of this build is local.
    let primary = config.language.split('-').next().unwrap_or_default();
    if !primary.eq_ignore_ascii_case(LOCAL_LANGUAGE) {
        notes.push(format!(
            "{} is {}, but the local models hear and speak English only",
            given_as("VOICE_LANGUAGE"),
            config.language
        ));
    }
    Ok(notes)
}
