//! OpenAI-compatible transcription of whole utterances: configuration, and the map of this folder.
//!
//! `wire` builds the form and reads the answer, `whole` keeps one call's utterances and says what to ask for; both are pure.
//! `client` sends the requests (feature `cloud`). OpenAI, Groq, vLLM, speaches and whisper servers take the same form.

#[cfg(feature = "cloud")]
mod client;
mod whole;
pub mod wire;

#[cfg(feature = "cloud")]
pub use client::{OpenAiTranscriber, TranscriberLimits};
pub use whole::{TranscriptionRequest, WholeUtterances};

use crate::wire::{Endpoint, Secret, SettingError, is_name, language_subtag};

use super::SttOptions;

/// Name of the provider in errors, logs and health.
pub const PROVIDER: &str = "openai";

/// How whole utterances are transcribed: checked, cheap enough to clone for a call.
#[derive(Clone, Debug)]
pub struct TranscriptionConfig {
    key: Option<Secret>,
    base: Endpoint,
    model: String,
    language: Option<String>,
    prompt: String,
    ahead: bool,
}

impl TranscriptionConfig {
    /// Which model listens.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Starts a configuration with this key, which local servers need not have, and defaults for everything else.
    pub fn builder(key: Option<&str>) -> TranscriptionBuilder {
        TranscriptionBuilder {
            key: key.map(str::to_owned),
            base: "https://api.openai.com/v1".to_owned(),
            model: "gpt-4o-mini-transcribe".to_owned(),
            ahead: true,
        }
    }

    /// The same for one call. Key terms become the prompt, most important first, up to a bound.
    pub fn for_call(&self, options: &SttOptions) -> Self {
        let mut prompt = String::new();
        for term in
            options.key_terms.iter().map(|term| term.trim()).filter(|term| is_name(term, LONGEST_PROMPT))
        {
            if prompt.len() + term.len() + 2 > LONGEST_PROMPT {
                break;
            }
            if !prompt.is_empty() {
                prompt.push_str(", ");
            }
            prompt.push_str(term);
        }
        Self { language: language_subtag(&options.language), prompt, ..self.clone() }
    }

    /// Name and value of the header that carries the key, where there is one.
    pub fn authorisation(&self) -> Option<(&'static str, String)> {
        self.key.as_ref().map(|key| ("authorization", format!("Bearer {}", key.reveal())))
    }
}

/// Bytes of a prompt: the models read its last 224 tokens.
const LONGEST_PROMPT: usize = 800;

/// Puts a [`TranscriptionConfig`] together.
#[derive(Clone)]
pub struct TranscriptionBuilder {
    key: Option<String>,
    base: String,
    model: String,
    ahead: bool,
}

impl std::fmt::Debug for TranscriptionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TranscriptionBuilder").finish_non_exhaustive()
    }
}

impl TranscriptionBuilder {
    /// Base address with its version. Default: `https://api.openai.com/v1`.
    pub fn base_url(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Model. Default: `gpt-4o-mini-transcribe`.
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Whether the words are asked for at a pause already, so that they are there when the turn is decided. Default:
    /// yes. A caller who pauses within a turn then costs up to three requests more.
    pub fn ahead(mut self, ahead: bool) -> Self {
        self.ahead = ahead;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn build(self) -> Result<TranscriptionConfig, SettingError> {
        if !is_name(&self.model, 200) {
            return Err(SettingError::Name("the model"));
        }
        Ok(TranscriptionConfig {
            key: self.key.as_deref().map(Secret::parse).transpose()?,
            base: Endpoint::parse(&self.base)?,
            model: self.model,
            language: None,
            prompt: String::new(),
            ahead: self.ahead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_terms_become_a_bounded_prompt() {
        let config = TranscriptionConfig::builder(None).build().expect("sound");
        let key_terms = (0..1_000).map(|k| format!("Street {k}")).collect();
        let call =
            config.for_call(&SttOptions { language: "en-GB".into(), key_terms, ..SttOptions::default() });
        assert!(call.prompt.starts_with("Street 0, Street 1, ") && call.prompt.len() <= LONGEST_PROMPT);
        assert_eq!(call.language.as_deref(), Some("en"));
        assert_eq!(config.authorisation(), None);
    }
}
