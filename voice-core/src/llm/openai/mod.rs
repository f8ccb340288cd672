//! OpenAI-compatible chat completions: the settings, and what is known of the servers that speak it.
//!
//! [`request`] writes the body, [`wire`] reads the streamed answer, [`failure`] sorts what is no answer, [`models`] reads
//! what a server offers. All of it is pure; who opens the connection asks [`OpenAiConfig`] for addresses and headers.
//! One format, several servers: [`Dialect`] says which differences are ours to bridge, the rest the reader tolerates
//! from everybody.

pub mod failure;
pub mod models;
pub mod request;
#[cfg(feature = "cloud")]
mod spent;
pub mod wire;

#[cfg(feature = "cloud")]
mod client;
mod sse;
mod thought;

#[cfg(feature = "cloud")]
pub use client::{ChatLimits, OpenAiChat};

use serde_json::{Map, Value};

use crate::wire::{Endpoint, Secret, SettingError, is_name};

/// Where OpenAI itself answers.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// The model where none is configured: small, quick to its first word, and good with tools.
pub const DEFAULT_MODEL: &str = "gpt-4o-mini";
/// Tokens of one answer unless configured: more than three minutes of talk.
const DEFAULT_MAX_TOKENS: u32 = 800;
/// Names of models have up to about a hundred bytes, with the path of a file behind some servers.
const LONGEST_NAME: usize = 256;

/// Which server answers, as far as that changes what we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI itself, and Azure's form of it. Limits tokens by `max_completion_tokens`, since its reasoning models
    /// refuse `max_tokens`.
    OpenAi,
    /// Ollama. Ignores `max_completion_tokens`, `tool_choice` and the key.
    Ollama,
    /// vLLM. Its templates can be strict about the order of messages.
    Vllm,
    /// The server of llama.cpp. Strict templates; `model` is ignored unless it routes.
    LlamaCpp,
    /// Anything else: `max_tokens`, which all but OpenAI's reasoning models know, and messages in the strictest order.
    Compatible,
}

impl Dialect {
    /// Name for logs, health, errors and the start-up page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Compatible => "openai",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::LlamaCpp => "llama.cpp",
        }
    }

    /// What an address suggests: OpenAI's own names, Ollama's port anywhere, the other usual ports on this machine.
    fn guess(endpoint: &Endpoint) -> Self {
        let (host, port) = match endpoint.authority().rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (endpoint.authority(), ""),
        };
        let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match port {
            _ if host.ends_with(".openai.com") || host.ends_with(".openai.azure.com") => Self::OpenAi,
            "11434" => Self::Ollama,
            "8000" if is_local => Self::Vllm,
            "8080" if is_local => Self::LlamaCpp,
            _ => Self::Compatible,
        }
    }
}

/// How to reach and ask a model. Checked; made by [`OpenAiConfig::builder`].
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    endpoint: Endpoint,
    dialect: Dialect,
    model: String,
    key: Option<Secret>,
    organization: Option<String>,
    project: Option<String>,
    temperature: Option<f32>,
    max_tokens: Option<u32>,
    reasoning_effort: Option<String>,
    extra: Map<String, Value>,
}

/// A setting that cannot work. Fix the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenAiConfigError {
    /// An address, key, name or number that is none.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An extra field that the request already has.
    #[error("the field {0} is set by the engine and cannot be an extra")]
    Extra(String),
}

impl OpenAiConfig {
    /// OpenAI itself with [`DEFAULT_MODEL`], no key, until told otherwise.
    ///
    /// ```
    /// use voice_core::llm::openai::{Dialect, OpenAiConfig};
    /// let config = OpenAiConfig::builder().base_url("http://127.0.0.1:11434/v1/").model("qwen3:4b").build()?;
    /// assert_eq!(config.dialect(), Dialect::Ollama);
    /// assert_eq!(config.chat_url(), "http://127.0.0.1:11434/v1/chat/completions");
    /// # Ok::<(), voice_core::llm::openai::OpenAiConfigError>(())
    /// ```
    pub fn builder() -> OpenAiConfigBuilder {
        OpenAiConfigBuilder::default()
    }

    /// Where answers are asked for, with POST.
    pub fn chat_url(&self) -> String {
        self.endpoint.http().segments("chat/completions").build()
    }

    /// Where the models are listed, with GET: costs nothing, so health looks there.
    pub fn models_url(&self) -> String {
        self.endpoint.http().segments("models").build()
    }

    /// The address, checked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Which server answers.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Which model is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Headers of each request, the key among them (RFC 6750, section 2.1): mark `authorization` as sensitive where the
    /// client can.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let authorization =
            self.key.as_ref().map(|key| ("authorization", ["Bearer ", key.reveal()].concat()));
        let organization = self.organization.clone().map(|name| ("openai-organization", name));
        let project = self.project.clone().map(|name| ("openai-project", name));
        [authorization, organization, project].into_iter().flatten()
    }
}

/// Settings that are not checked yet.
#[derive(Clone, Debug, Default)]
pub struct OpenAiConfigBuilder {
    base_url: Option<String>,
    dialect: Option<Dialect>,
    model: Option<String>,
    key: Option<Result<Secret, SettingError>>,
    organization: Option<String>,
    project: Option<String>,
    temperature: Option<f32>,
    max_tokens: Option<u32>,
    reasoning_effort: Option<String>,
    extra: Map<String, Value>,
}

impl OpenAiConfigBuilder {
    /// Everything before `/chat/completions`, usually ending in `/v1`. Default [`OPENAI_BASE_URL`].
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Which server answers there. Default: what the address suggests.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Which model to ask, as the server names it. Default [`DEFAULT_MODEL`].
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The key. Default, and where it is blank: none, as local servers want it.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.trim()).filter(|key| !key.is_empty()).map(Secret::parse);
        self
    }

    /// The organization that is billed, for keys of several. Default: the key's own.
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.organization = Some(organization.into());
        self
    }

    /// The project that is billed. Default: the key's own.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// How freely the model chooses its words, 0 to 2. Default: the server's own, since reasoning models take none.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Most tokens of one answer, at least 1. Default 800. With a reasoning model its thoughts count too: raise it.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// How long a reasoning model may think, such as `minimal` or `low`. Default: the server's own. Thinking is silence.
    pub fn reasoning_effort(mut self, effort: impl Into<String>) -> Self {
        self.reasoning_effort = Some(effort.into());
        self
    }

    /// A field that only some servers know, such as `chat_template_kwargs` with `{"enable_thinking": false}`.
    pub fn extra(mut self, field: impl Into<String>, value: Value) -> Self {
        self.extra.insert(field.into(), value);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn build(self) -> Result<OpenAiConfig, OpenAiConfigError> {
        let base_url = self.base_url.as_deref().unwrap_or(OPENAI_BASE_URL);
        let endpoint = Endpoint::parse(base_url).map_err(SettingError::from)?;
        let temperature = self.temperature.map(|t| if (0.0..=2.0).contains(&t) { Ok(t) } else { Err(()) });
        let temperature = temperature.transpose().map_err(|()| SettingError::Range {
            field: "temperature",
            low: "0",
            high: "2",
        })?;
        let max_tokens = Some(self.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS));
        if max_tokens == Some(0) {
            let range = SettingError::Range { field: "max tokens", low: "1", high: "4294967295" };
            return Err(range.into());
        }
        if let Some(field) = self.extra.keys().find(|field| request::FIELDS.contains(&field.as_str())) {
            return Err(OpenAiConfigError::Extra(field.clone()));
        }
        Ok(OpenAiConfig {
            dialect: self.dialect.unwrap_or_else(|| Dialect::guess(&endpoint)),
            endpoint,
            model: name("model", Some(self.model.unwrap_or_else(|| DEFAULT_MODEL.to_owned())))?
                .unwrap_or_default(),
            key: self.key.transpose()?,
            organization: name("organization", self.organization)?,
            project: name("project", self.project)?,
            temperature,
            max_tokens,
            reasoning_effort: name("reasoning effort", self.reasoning_effort)?,
            extra: self.extra,
        })
    }
}

/// A name that may stand in a header or a body.
fn name(field: &'static str, name: Option<String>) -> Result<Option<String>, SettingError> {
    let Some(name) = name else { return Ok(None) };
    let name = name.trim();
    let fits = is_name(name, LONGEST_NAME) && name.is_ascii();
    if fits { Ok(Some(name.to_owned())) } else { Err(SettingError::Name(field)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn build(
        set: impl FnOnce(OpenAiConfigBuilder) -> OpenAiConfigBuilder,
    ) -> Result<OpenAiConfig, OpenAiConfigError> {
        set(OpenAiConfig::builder()).build()
    }

    #[test]
    fn the_address_suggests_the_server() {
        for (url, dialect) in [
            (OPENAI_BASE_URL, Dialect::OpenAi),
            ("https://eu.api.openai.com/v1", Dialect::OpenAi),
            ("https://mine.openai.azure.com/openai/v1", Dialect::OpenAi),
            ("https://openai.com.example/v1", Dialect::Compatible),
            ("http://127.0.0.1:11434/v1", Dialect::Ollama),
            ("http://gpu.example:11434/v1", Dialect::Ollama),
            ("http://localhost:8000/v1", Dialect::Vllm),
            ("http://[::1]:8080/v1", Dialect::LlamaCpp),
            ("http://[::1]/v1", Dialect::Compatible),
            ("http://gpu.example:8000/v1", Dialect::Compatible),
        ] {
            assert_eq!(build(|b| b.base_url(url)).expect(url).dialect(), dialect, "{url}");
        }
        let told = build(|b| b.base_url("http://gpu.example:9/v1").dialect(Dialect::Vllm)).expect("fine");
        assert_eq!(told.dialect().name(), "vllm");
    }

    #[test]
    fn addresses_and_headers_follow_from_the_settings() {
        let config = build(|b| b.key(" sk-1 \n").organization("org-1").project("p")).expect("fine");
        assert_eq!(config.chat_url(), "https://api.openai.com/v1/chat/completions");
        assert_eq!(config.models_url(), "https://api.openai.com/v1/models");
        let headers: Vec<_> = config.headers().collect();
        let expected =
            [("authorization", "Bearer sk-1"), ("openai-organization", "org-1"), ("openai-project", "p")];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(build(|b| b.key("  ")).expect("no key").headers().count(), 0);
    }

    #[test]
    fn the_key_is_never_printed() {
        let builder = OpenAiConfig::builder().key("sk-hush");
        assert!(!format!("{builder:?}").contains("hush"));
        assert!(!format!("{:?}", builder.build().expect("fine")).contains("hush"));
        let error = build(|b| b.key("sk hush")).expect_err("a blank in it");
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let message =
            |result: Result<OpenAiConfig, OpenAiConfigError>| result.expect_err("wrong").to_string();
        assert!(message(build(|b| b.model(" "))).starts_with("model is empty"));
        assert!(message(build(|b| b.project("a\nb"))).starts_with("project is empty"));
        assert!(message(build(|b| b.temperature(2.5))).starts_with("temperature must be"));
        assert!(message(build(|b| b.temperature(f32::NAN))).starts_with("temperature must be"));
        assert!(message(build(|b| b.max_tokens(0))).starts_with("max tokens must be"));
        assert!(message(build(|b| b.extra("stream", json!(false)))).starts_with("the field stream"));
        assert!(matches!(
            build(|b| b.base_url("ftp://a")),
            Err(OpenAiConfigError::Setting(SettingError::Endpoint(_)))
        ));
    }
}
