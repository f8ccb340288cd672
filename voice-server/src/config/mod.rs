//! Settings: what the operator says, checked once at the start.
//!
//! [`Config::load`] reads the TOML file, `.env`, the environment and the flags, refuses what the table of
//! [`keys`] does not know, and gives typed values; nothing after it reads the environment. Every value is checked,
//! also those that a later version will use. Secrets are [`Secret`], which nothing can print by accident.

pub mod keys;
mod parse;
mod providers;
mod secret;
mod sources;
pub mod table;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use keys::{Key, Kind};
pub(crate) use parse::origin as read_origin;
pub use providers::{CloudSettings, Stage};
pub use secret::Secret;
use sources::Given;

use crate::data::RecordingMode;
use crate::data::postgres::Pooling;
use crate::storage::S3Settings;

/// The checked settings of one server. Defaults are those of an unconfigured start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server listens. Default: 127.0.0.1:8000.
    pub bind: SocketAddr,
    /// Folder of the database and the files. Default: `./data`.
    pub data: PathBuf,
    /// Signs access tokens. Unset: drawn once and kept in the data folder.
    pub auth_secret: Option<Secret>,
    /// Secrets that signed before and still count.
    pub auth_previous_secrets: Vec<Secret>,
    /// Whether callers need no sign-in. Unset: only while unconfigured, from this machine.
    pub anonymous: Option<bool>,
    /// Organization of calls without a conversation. Unset: the demo organization.
    pub default_organization: Option<Uuid>,
    /// Web origins, in lower case, whose pages may ask and open sockets.
    pub allowed_origins: Vec<String>,
    /// Networks whose `Forwarded` headers are believed.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
    /// Calls at the same time from one address of another machine that nobody signed in for. Default: 20.
    pub calls_per_address: usize,
    /// The Supabase project whose users may sign in.
    pub supabase_url: Option<String>,
    /// That project's shared secret.
    pub supabase_jwt_secret: Option<Secret>,
    /// BCP 47 language of the calls. Default: `en`.
    pub language: String,
    /// Calls at the same time. Default: 300.
    pub max_calls: usize,
    /// HTTP connections at the same time. Default: 1,024.
    pub max_connections: usize,
    /// REST requests a second of one user; an address has as much as four users. Default: 300.
    pub requests_per_second: NonZeroU32,
    /// Filter of the log lines. Default: `info`.
    pub log: String,
    /// Postgres that holds the data. Unset: the embedded SQLite.
    pub database_url: Option<Secret>,
    /// How connections reach it.
    pub database_pooling: Pooling,
    /// Redis that several servers share. Unset: everything stays in this process.
    pub redis_url: Option<Secret>,
    /// MiB of memory for what can be loaded again. Default: 64.
    pub cache: usize,
    /// Where stored files lie, if not on the local disk.
    pub s3: S3Settings,
    /// Encrypts stored files. Unset: they lie as they are.
    pub storage_key: Option<Secret>,
    /// Earlier keys, which still decrypt.
    pub storage_previous_keys: Vec<Secret>,
    /// Whether calls are recorded where their organization does not say. Default: never.
    pub recording: RecordingMode,
    /// Recognisers in order. Unset: those with a key, then the local one.
    pub stt: Option<Vec<&'static str>>,
    /// Answerers in order. Unset: those with a key, then the concierge.
    pub llm: Option<Vec<&'static str>>,
    /// Voices in order. Unset: those with a key, then the local one.
    pub tts: Option<Vec<&'static str>>,
    /// MiB of memory for what the voice has said; 0 for none. Default: 32.
    pub phrase_cache: usize,
    /// Prices that come before the packaged ones. Unset: only those.
    pub prices: Option<PathBuf>,
    /// ElevenLabs, for speech and recognition.
    pub elevenlabs: CloudSettings,
    /// An OpenAI-compatible server, for answers and recognition.
    pub openai: CloudSettings,
    /// Deepgram, for recognition.
    pub deepgram: CloudSettings,
    /// Mirror of the local weights. Unset: none.
    pub models_url: Option<String>,
    /// Settings that were given and that this version does not use, by their names.
    pub unused: Vec<&'static str>,
    /// What of the settings this build cannot do though it starts, a sentence each.
    pub notes: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8_000)),
            data: PathBuf::from("./data"),
            auth_secret: None,
            auth_previous_secrets: Vec::new(),
            anonymous: None,
            default_organization: None,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            calls_per_address: 20,
            supabase_url: None,
            supabase_jwt_secret: None,
            language: "en".into(),
            max_calls: 300,
            max_connections: 1_024,
            requests_per_second: const { NonZeroU32::new(300).expect("not zero") },
            log: "info".into(),
            database_url: None,
            database_pooling: Pooling::Auto,
            redis_url: None,
            cache: 64,
            s3: S3Settings::default(),
            storage_key: None,
            storage_previous_keys: Vec::new(),
            recording: RecordingMode::Off,
            stt: None,
            llm: None,
            tts: None,
            phrase_cache: 32,
            prices: None,
            elevenlabs: CloudSettings::default(),
            openai: CloudSettings::default(),
            deepgram: CloudSettings::default(),
            models_url: None,
            unused: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// What the command line says about settings; it wins over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`: the TOML file.
    pub config: Option<PathBuf>,
    /// `--bind`.
    pub bind: Option<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
}

/// Why the settings cannot be used. Each text names the setting and never shows a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read. Mend its path or its rights.
    #[error("the settings file {} cannot be read: {detail}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file is no TOML.
    #[error("the settings file {} is not valid TOML: {detail}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// Where and why.
        detail: String,
    },
    /// A TOML key that does not exist.
    #[error("unknown setting `{name}` in {}{}; voice-server/docs/CONFIG.md lists all settings", file.display(), hint(near))]
    UnknownKey {
        /// The key as it stands in the file.
        name: String,
        /// The file.
        file: PathBuf,
        /// The known key that is almost the same.
        near: Option<String>,
    },
    /// A `VOICE_*` variable that does not exist.
    #[error(
        "unknown variable {name}{}; unset it, or see voice-server/docs/CONFIG.md for all settings",
        hint(near)
    )]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The known variable that is almost the same.
        near: Option<String>,
    },
    /// A value that is not what the setting wants.
    #[error("the value of {name} is malformed: it must be {expected}")]
    Malformed {
        /// The name under which the value was given.
        name: String,
        /// What it must be.
        expected: String,
    },
    /// A value that is no text at all.
    #[error("the value of {name} is not UTF-8 text; set it again or unset it")]
    NotText {
        /// The name under which the value was given.
        name: String,
    },
    /// A list of providers of which none can serve.
    #[error("{name} names only {lacking}; what can serve is {served}: add it to the list or unset {name}")]
    Unserved {
        /// The name under which the list was given.
        name: String,
        /// Each of its providers, and what it lacks.
        lacking: String,
        /// The providers of that stage that could serve.
        served: String,
    },
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

impl Config {
    /// Reads the settings of this process: the file that `flags` names, `.env` in the working directory, the
    /// environment, the flags.
    ///
    /// # Errors
    /// See [`ConfigError`]; the first trouble is reported.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let environment = sources::texts(std::env::vars_os())?;
        Self::from_sources(flags, sources::read_dotenv(Path::new(".env"))?, environment)
    }

    /// The same from given pairs instead of this process's environment.
    ///
    /// # Errors
    /// See [`ConfigError`]; the first trouble is reported.
    pub fn from_sources(
        flags: &Flags,
        dotenv: impl IntoIterator<Item = (String, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut given = Given::default();
        if let Some(file) = &flags.config {
            let text = std::fs::read_to_string(file)
                .map_err(|error| ConfigError::Unreadable { file: file.clone(), detail: error.to_string() })?;
            given.add_toml(&text, file)?;
        }
        given.add_environment(dotenv)?;
        given.add_environment(environment)?;
        let not_text = || ConfigError::NotText { name: "--data".to_owned() };
        let data = flags.data.as_ref().map(|data| data.to_str().map(str::to_owned).ok_or_else(not_text));
        for (env, flag, text) in
            [("VOICE_BIND", "--bind", flags.bind.clone()), ("VOICE_DATA", "--data", data.transpose()?)]
        {
            if let (Some(key), Some(text)) = (keys::by_env(env), text) {
                given.set(key, flag, text);
            }
        }
        Self::from_given(&given)
    }

    /// True while neither a database nor an auth secret is given: only then does anything work without sign-in.
    pub fn is_unconfigured(&self) -> bool {
        self.database_url.is_none() && self.auth_secret.is_none()
    }

    fn from_given(given: &Given) -> Result<Self, ConfigError> {
        for key in keys::KEYS {
            if let Some(raw) = given.of(key)
                && !is_sound(key.kind, &raw.text)
            {
                return Err(ConfigError::Malformed { name: raw.name.clone(), expected: key.kind.describe() });
            }
        }
        // From here on every text is known to be sound, so `None` means that the setting is unset.
        let text = |env: &str| keys::by_env(env).and_then(|key| given.of(key)).map(|raw| raw.text.as_str());
        let choice = |env: &str| match keys::by_env(env).map(|key| key.kind) {
            Some(Kind::Choices(words)) => text(env).and_then(|value| parse::choices(value, words)),
            _ => None,
        };
        let size = |env: &str, otherwise: usize| text(env).and_then(|n| n.parse().ok()).unwrap_or(otherwise);
        let own = |env: &str| text(env).map(str::to_owned);
        // A key that is empty is none: `.env` files name what they leave open.
        let key = |env: &str| text(env).filter(|key| !key.trim().is_empty()).map(Secret::new);
        let plain = Self::default();
        let config = Self {
            bind: text("VOICE_BIND").and_then(parse::socket_address).unwrap_or(plain.bind),
            data: text("VOICE_DATA").map(PathBuf::from).unwrap_or(plain.data),
            auth_secret: text("VOICE_AUTH_SECRET").map(Secret::new),
            auth_previous_secrets: text("VOICE_AUTH_PREVIOUS_SECRETS")
                .map(|value| parse::list(value).map(Secret::new).collect())
                .unwrap_or_default(),
            anonymous: text("VOICE_ANONYMOUS").and_then(parse::switch),
            default_organization: text("VOICE_DEFAULT_ORGANIZATION").and_then(|id| id.parse().ok()),
            allowed_origins: text("VOICE_ALLOWED_ORIGINS")
                .map(|value| parse::list(value).filter_map(parse::origin).collect())
                .unwrap_or_default(),
            trusted_proxies: text("VOICE_TRUSTED_PROXIES")
                .map(|value| parse::list(value).filter_map(parse::network).collect())
                .unwrap_or_default(),
            calls_per_address: size("VOICE_CALLS_PER_ADDRESS", plain.calls_per_address),
            supabase_url: own("SUPABASE_URL"),
            supabase_jwt_secret: key("SUPABASE_JWT_SECRET"),
            language: text("VOICE_LANGUAGE").and_then(parse::language).unwrap_or(plain.language),
            max_calls: size("VOICE_MAX_CALLS", plain.max_calls),
            max_connections: size("VOICE_MAX_CONNECTIONS", plain.max_connections),
            requests_per_second: text("VOICE_REQUESTS_PER_SECOND")
                .and_then(|n| n.parse().ok())
                .unwrap_or(plain.requests_per_second),
            log: text("VOICE_LOG").map(str::to_owned).unwrap_or(plain.log),
            database_url: text("SUPABASE_CONNECTION_STRING").map(Secret::new),
            database_pooling: match choice("VOICE_DATABASE_POOLING").as_deref() {
                Some(["session", ..]) => Pooling::Session,
                Some(["transaction", ..]) => Pooling::Transaction,
                _ => Pooling::Auto,
            },
            redis_url: text("REDIS_URL").map(Secret::new),
            cache: size("VOICE_CACHE", plain.cache),
            s3: S3Settings {
                endpoint: own("S3_ENDPOINT"),
                bucket: own("S3_BUCKET").filter(|name| !name.trim().is_empty()),
                region: own("S3_REGION"),
                access_key_id: key("S3_ACCESS_KEY_ID"),
                secret_access_key: key("S3_SECRET_ACCESS_KEY"),
            },
            storage_key: key("VOICE_STORAGE_KEY"),
            storage_previous_keys: text("VOICE_STORAGE_PREVIOUS_KEYS")
                .map(|value| parse::list(value).map(Secret::new).collect())
                .unwrap_or_default(),
            recording: match choice("VOICE_RECORDING").as_deref() {
                Some(["notice", ..]) => RecordingMode::Notice,
                Some(["ask", ..]) => RecordingMode::Ask,
                _ => RecordingMode::Off,
            },
            stt: choice("VOICE_STT"),
            llm: choice("VOICE_LLM"),
            tts: choice("VOICE_TTS"),
            phrase_cache: size("VOICE_PHRASE_CACHE", plain.phrase_cache),
            prices: text("VOICE_PRICES").map(PathBuf::from),
            elevenlabs: CloudSettings {
                key: key("ELEVENLABS_API_KEY"),
                base_url: own("ELEVENLABS_BASE_URL"),
                model: own("ELEVENLABS_MODEL"),
                voice: own("ELEVENLABS_VOICE"),
                ..CloudSettings::default()
            },
            openai: CloudSettings {
                key: key("OPENAI_API_KEY"),
                base_url: own("OPENAI_BASE_URL"),
                model: own("OPENAI_MODEL"),
                stt_model: own("OPENAI_STT_MODEL"),
                ..CloudSettings::default()
            },
            deepgram: CloudSettings {
                key: key("DEEPGRAM_API_KEY"),
                base_url: own("DEEPGRAM_BASE_URL"),
                ..CloudSettings::default()
            },
            models_url: own("VOICE_MODELS_URL"),
            unused: keys::KEYS
                .iter()
                .filter(|key| matches!(key.used, keys::Used::Later(_)) && given.of(key).is_some())
                .map(|key: &Key| key.env)
                .collect(),
            notes: Vec::new(),
        };
        let notes = providers::check(&config, |env| {
            keys::by_env(env).and_then(|key| given.of(key)).map_or(env, |raw| raw.name.as_str())
        })?;
        Ok(Self { notes, ..config })
    }
}

fn is_sound(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::SocketAddress => parse::socket_address(text).is_some(),
        Kind::Folder | Kind::File | Kind::Text | Kind::Secret | Kind::Secrets => !text.contains('\0'),
        // Where a key that is empty is none, it is not too short either.
        Kind::SigningSecret => text.trim().is_empty() || (text.len() >= 32 && !text.contains('\0')),
        Kind::Switch => parse::switch(text).is_some(),
        Kind::Url(schemes) => parse::url(text, schemes).is_some(),
        Kind::Choices(words) => parse::choices(text, words).is_some(),
        Kind::Origins => parse::list(text).all(|item| parse::origin(item).is_some()),
        Kind::Networks => parse::list(text).all(|item| parse::network(item).is_some()),
        Kind::Language => parse::language(text).is_some(),
        Kind::Uuid => text.parse::<Uuid>().is_ok(),
        Kind::Count(least, most) => parse::count(text, least, most).is_some(),
        Kind::FolderOrUrl => {
            let folder = text.strip_prefix("file://").unwrap_or(text);
            !folder.contains("://") || parse::url(text, &["http", "https"]).is_some()
        }
        Kind::LogFilter => text.parse::<tracing_subscriber::EnvFilter>().is_ok(),
        Kind::Keys(most) => {
            let keys = || parse::list(text);
            keys().count() <= most && keys().all(|key| crate::storage::Key::parse(key).is_some())
        }
    }
}
