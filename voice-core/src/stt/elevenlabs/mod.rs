//! ElevenLabs Scribe, realtime: configuration, and the map of this folder.
//!
//! `wire` builds the address and the messages and reads the answers, `scribe` drives one call: our own end of turn
//! commits, the service's voice activity is off. Pure; the socket is the client's.

mod scribe;
pub mod wire;

pub use scribe::Scribe;

use crate::wire::{Endpoint, Secret, SettingError, is_name, language_subtag};

use super::SttOptions;

/// Name of the provider in errors, logs and health.
pub const PROVIDER: &str = "elevenlabs";

/// How Scribe listens: checked, cheap enough to clone for a call.
#[derive(Clone, Debug)]
pub struct ScribeConfig {
    key: Secret,
    base: Endpoint,
    model: String,
    language: Option<String>,
    key_terms: Vec<String>,
    background_filter: bool,
    verbatim: bool,
    logging: bool,
}

impl ScribeConfig {
    /// Which model listens.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Starts a configuration with this key and defaults for everything else.
    pub fn builder(key: &str) -> ScribeBuilder {
        ScribeBuilder {
            key: key.to_owned(),
            base: "https://api.elevenlabs.io".to_owned(),
            model: "scribe_v2_realtime".to_owned(),
            background_filter: false,
            verbatim: true,
            logging: true,
        }
    }

    /// The same for one call. Key terms that the service would refuse are left out: longer than 20 characters, or
    /// behind the fiftieth. A language that is none is left to the service to find out.
    pub fn for_call(&self, options: &SttOptions) -> Self {
        let mut terms: Vec<String> = Vec::new();
        for term in options.key_terms.iter().map(|term| term.trim()) {
            let fits = is_name(term, 4 * LONGEST_TERM) && term.chars().count() <= LONGEST_TERM;
            if fits && terms.len() < MOST_TERMS && !terms.iter().any(|t| t.eq_ignore_ascii_case(term)) {
                terms.push(term.to_owned());
            }
        }
        Self { language: language_subtag(&options.language), key_terms: terms, ..self.clone() }
    }

    /// The key, for the header `xi-api-key`.
    pub fn key(&self) -> &Secret {
        &self.key
    }
}

/// Characters of a key term that the service takes.
const LONGEST_TERM: usize = 20;
/// Key terms that the service takes.
const MOST_TERMS: usize = 50;

/// Puts a [`ScribeConfig`] together.
#[derive(Clone)]
pub struct ScribeBuilder {
    key: String,
    base: String,
    model: String,
    background_filter: bool,
    verbatim: bool,
    logging: bool,
}

impl std::fmt::Debug for ScribeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScribeBuilder").finish_non_exhaustive()
    }
}

impl ScribeBuilder {
    /// Base address, with or without `/v1`. Default: `https://api.elevenlabs.io`.
    pub fn base_url(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Model. Default: `scribe_v2_realtime`.
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Whether the service takes background noise out first. Default: no.
    pub fn background_filter(mut self, on: bool) -> Self {
        self.background_filter = on;
        self
    }

    /// Whether hesitations and false starts are written. Default: yes, as the service has it.
    pub fn verbatim(mut self, on: bool) -> Self {
        self.verbatim = on;
        self
    }

    /// Whether the service keeps audio and words. Default: yes; no is for enterprise plans.
    pub fn logging(mut self, logging: bool) -> Self {
        self.logging = logging;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn build(self) -> Result<ScribeConfig, SettingError> {
        if !is_name(&self.model, 100) {
            return Err(SettingError::Name("the model"));
        }
        Ok(ScribeConfig {
            key: Secret::parse(&self.key)?,
            base: Endpoint::parse(&self.base)?.without("/v1"),
            model: self.model,
            language: None,
            key_terms: Vec::new(),
            background_filter: self.background_filter,
            verbatim: self.verbatim,
            logging: self.logging,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_terms_are_cut_to_what_the_service_takes() {
        let config = ScribeConfig::builder("k").build().expect("sound");
        let mut key_terms: Vec<String> = (0..60).map(|k| format!("Street {k}")).collect();
        key_terms.insert(0, "Barton Drive".into());
        key_terms.insert(1, "barton drive ".into());
        key_terms.insert(2, "a term of more than twenty characters".into());
        key_terms.insert(3, " ".into());
        let call =
            config.for_call(&SttOptions { language: "en-US".into(), key_terms, ..SttOptions::default() });
        assert_eq!(call.key_terms.len(), 50);
        assert_eq!(&call.key_terms[..2], ["Barton Drive", "Street 0"]);
        assert_eq!(call.language.as_deref(), Some("en"));
    }
}
