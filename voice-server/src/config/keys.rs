//! The one table of settings: name, environment variable, TOML key, default, unit, effect, and who uses it.
//!
//! The loader accepts exactly what stands here, and `docs/CONFIG.md` is written from it. A setting that nothing
//! uses yet says so in its `used` column; it is parsed and checked all the same.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Environment variable.
    pub env: &'static str,
    /// Another variable with the same meaning; `env` wins where both are set.
    pub alias: Option<&'static str>,
    /// Place in the TOML file, such as `serving.bind`.
    pub toml: &'static str,
    /// What the value must be.
    pub kind: Kind,
    /// What holds where it is unset.
    pub default: &'static str,
    /// Unit of a number, else empty.
    pub unit: &'static str,
    /// What it does, what raising it does, what unset means.
    pub effect: &'static str,
    /// Which part uses it.
    pub used: Used,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `address:port`.
    SocketAddress,
    /// A folder.
    Folder,
    /// A file.
    File,
    /// `true` or `false`.
    Switch,
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// Such a text of at least 32 bytes: HS256 wants a key as long as its digest (RFC 7518, section 3.2).
    SigningSecret,
    /// Such texts, separated by commas.
    Secrets,
    /// An address with one of these schemes. Never shown: it may hold a password.
    Url(&'static [&'static str]),
    /// Some of these words in order, separated by commas.
    Choices(&'static [&'static str]),
    /// Web origins (`https://example.com`), separated by commas.
    Origins,
    /// Addresses or networks (`10.0.0.0/8`), separated by commas.
    Networks,
    /// A language tag, such as `en` or `pt-BR`.
    Language,
    /// A UUID.
    Uuid,
    /// A whole number in this range.
    Count(u64, u64),
    /// A folder or a web address.
    FolderOrUrl,
    /// A filter of the `tracing` kind.
    LogFilter,
    /// Up to so many keys of 32 bytes in Base64, separated by commas. Never shown.
    Keys(usize),
}

impl Kind {
    /// The kind in words, for the table and for errors.
    pub fn describe(self) -> String {
        match self {
            Self::SocketAddress => "address:port".into(),
            Self::Folder => "folder".into(),
            Self::File => "file".into(),
            Self::Switch => "true or false".into(),
            Self::Text => "text".into(),
            Self::Secret => "secret text".into(),
            Self::SigningSecret => {
                "secret text of 32 characters or more, such as `openssl rand -base64 48` prints".into()
            }
            Self::Secrets => "list of secret texts".into(),
            Self::Url(schemes) => format!("{} address", schemes.join(" or ")),
            Self::Choices(words) => format!("ordered list of {}", words.join(", ")),
            Self::Origins => "list of web origins".into(),
            Self::Networks => "list of addresses or networks".into(),
            Self::Language => "language tag".into(),
            Self::Uuid => "UUID".into(),
            Self::Count(least, most) => format!("whole number from {least} to {most}"),
            Self::FolderOrUrl => "folder or http address".into(),
            Self::LogFilter => "log filter".into(),
            Self::Keys(1) => "32 bytes in Base64".into(),
            Self::Keys(most) => format!("list of up to {most} times 32 bytes in Base64"),
        }
    }
}

/// Which part of the program uses a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// This part, today.
    By(&'static str),
    /// Checked at the start, without effect yet; this part will use it.
    Later(&'static str),
}

const HTTP: Kind = Kind::Url(&["http", "https"]);

const fn key(
    env: &'static str,
    toml: &'static str,
    kind: Kind,
    default: &'static str,
    used: Used,
    effect: &'static str,
) -> Key {
    Key { env, alias: None, toml, kind, default, unit: "", effect, used }
}

impl Key {
    const fn or(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    const fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

use Used::{By, Later};

/// Every setting, in the order of the documentation.
pub const KEYS: &[Key] = &[
    // Serving.
    key(
        "VOICE_BIND",
        "serving.bind",
        Kind::SocketAddress,
        "127.0.0.1:8000",
        By("http"),
        "Where the server listens. Anything but a loopback address switches off what needs no sign-in: reading \
         conversations and, unless `VOICE_ANONYMOUS` is true, calls.",
    ),
    key(
        "VOICE_DATA",
        "serving.data",
        Kind::Folder,
        "./data",
        By("data"),
        "Folder of the embedded database and the stored files. Made with mode 0700. One server at a time uses it.",
    ),
    key(
        "VOICE_AUTH_SECRET",
        "serving.auth_secret",
        Kind::SigningSecret,
        "drawn at the first start",
        By("auth"),
        "Signs access tokens. A shorter one is refused at the start. Setting it ends the unconfigured state, so that nothing is answered \
         without sign-in. Unset: drawn once and kept in the data folder, file `auth_secret` with mode 0600. Several servers of \
         one database need the same one.",
    ),
    key(
        "VOICE_AUTH_PREVIOUS_SECRETS",
        "serving.auth_previous_secrets",
        Kind::Secrets,
        "none",
        By("auth"),
        "Secrets that were `VOICE_AUTH_SECRET` before. What they signed is still good, so that a change signs nobody out; \
         leave one out when it is a month old, or at once when it has become known.",
    ),
    key(
        "VOICE_ANONYMOUS",
        "serving.anonymous",
        Kind::Switch,
        "as unconfigured",
        By("voice"),
        "Whether callers need no sign-in. Unset: only while unconfigured, and only from this machine. `true`: from \
         anywhere, with an allowed or no `Origin`. `false`: never.",
    ),
    key(
        "VOICE_DEFAULT_ORGANIZATION",
        "serving.default_organization",
        Kind::Uuid,
        "the demo organization",
        By("voice"),
        "Organization of calls that nobody made a conversation for.",
    ),
    key(
        "VOICE_ALLOWED_ORIGINS",
        "serving.allowed_origins",
        Kind::Origins,
        "none",
        By("auth"),
        "Web origins whose pages may ask the REST surface (CORS) and open sockets, besides this machine's own. List the \
         server's own address too where its pages are opened by another name than localhost.",
    ),
    key(
        "VOICE_TRUSTED_PROXIES",
        "serving.trusted_proxies",
        Kind::Networks,
        "none",
        By("auth"),
        "Proxies whose `Forwarded` and `X-Forwarded-*` headers are believed: limits then count the client's address, and \
         cookies are kept to https where the client came by it.",
    ),
    key(
        "VOICE_CALLS_PER_ADDRESS",
        "serving.calls_per_address",
        Kind::Count(1, 100_000),
        "20",
        By("auth"),
        "Anonymous calls and calls by a publishable key at the same time from one address of another machine; one more is \
         refused with 429.",
    )
    .in_unit("calls"),
    key(
        "VOICE_LANGUAGE",
        "serving.language",
        Kind::Language,
        "en",
        By("engine"),
        "Language of the calls. The local models hear and speak English only; the start says so for another one.",
    ),
    key(
        "VOICE_MAX_CALLS",
        "serving.max_calls",
        Kind::Count(1, 100_000),
        "300",
        By("voice"),
        "Calls at the same time; one more is closed with 1013. Raising it raises memory and processor use.",
    )
    .in_unit("calls"),
    key(
        "VOICE_MAX_CONNECTIONS",
        "serving.max_connections",
        Kind::Count(8, 1_000_000),
        "1024",
        By("http"),
        "HTTP connections at the same time, calls not counted; one more waits to be accepted.",
    )
    .in_unit("connections"),
    key(
        "VOICE_REQUESTS_PER_SECOND",
        "serving.requests_per_second",
        Kind::Count(1, 1_000_000),
        "300",
        By("http"),
        "REST requests of one user, for a moment twice as many; an address has as much as four users. One more is answered 429 \
         with `Retry-After`.",
    )
    .in_unit("requests a second"),
    key(
        "VOICE_LOG",
        "serving.log",
        Kind::LogFilter,
        "info",
        By("telemetry"),
        "Which log lines are written, such as `info` or `voice_server=debug`.",
    ),
    key(
        "VOICE_LIVE",
        "serving.live",
        Kind::Text,
        "unset",
        By("tests"),
        "`1` lets tests call live services. The server itself ignores it.",
    ),
    key(
        "VOICE_GATE",
        "serving.gate",
        Kind::Text,
        "unset",
        By("tests"),
        "`1` makes tests fail that would be left out for want of models or a browser. The server itself ignores it.",
    ),
    // Data.
    key(
        "SUPABASE_CONNECTION_STRING",
        "data.database_url",
        Kind::Url(&["postgres", "postgresql"]),
        "the embedded SQLite",
        By("data"),
        "Postgres 15 or newer that holds the data. Setting it ends the unconfigured state. Direct, or through a session or a \
         transaction pooler, see `VOICE_DATABASE_POOLING`. Add `?sslmode=verify-full` to insist on TLS and a known name.",
    )
    .or("DATABASE_URL"),
    key(
        "VOICE_DATABASE_POOLING",
        "data.database_pooling",
        Kind::Choices(&["auto", "session", "transaction"]),
        "auto",
        By("data"),
        "How Postgres is reached. `session`: direct or through a session pooler. `transaction`: through a transaction pooler; \
         the tables are then brought up to date by `voice migrate` with another address. `auto`: `transaction` where the port \
         is 6543, as Supabase has it, else `session`.",
    ),
    key(
        "SUPABASE_URL",
        "data.supabase_url",
        HTTP,
        "unset",
        By("auth"),
        "Address of the Supabase project whose users' access tokens are taken. Their organization stands in \
         `app_metadata.organization_id`, their role in `app_metadata.voice_role` (`agent` if unset, \
         or `viewer` where the user is one here).",
    ),
    key(
        "SUPABASE_JWT_SECRET",
        "data.supabase_jwt_secret",
        Kind::SigningSecret,
        "unset",
        By("auth"),
        "The project's shared secret (HS256). Unset: only keys that the project publishes count.",
    ),
    key(
        "REDIS_URL",
        "data.redis_url",
        Kind::Url(&["redis", "rediss"]),
        "in process",
        By("cache"),
        "Redis for what several servers share: the cache, live events, tickets, ended sign-ins, and the calls and spend \
         of keys and addresses. While it does not answer, each server goes on by itself: a ticket is good only where it was \
         made, a sign-in that ends is refused on other servers when Redis is back, and each server counts calls for itself.",
    ),
    key(
        "VOICE_CACHE",
        "data.cache",
        Kind::Count(1, 65_536),
        "64",
        By("cache"),
        "Memory for what can be loaded again, also in front of Redis. Raising it saves reads of the database.",
    )
    .in_unit("MiB"),
    key(
        "S3_ENDPOINT",
        "s3.endpoint",
        HTTP,
        "Amazon's own",
        By("storage"),
        "Address of an S3-compatible service, with whatever path stands before the bucket; Supabase's ends in \
         `/storage/v1/s3`. The bucket is addressed in the path.",
    ),
    key(
        "S3_BUCKET",
        "s3.bucket",
        Kind::Text,
        "unset",
        By("storage"),
        "Bucket of the stored files. Unset: they lie in `blobs` in the data folder. Give it a rule that ends unfinished \
         uploads after a day.",
    ),
    key("S3_REGION", "s3.region", Kind::Text, "us-east-1", By("storage"), "Region of the bucket."),
    key("S3_ACCESS_KEY_ID", "s3.access_key_id", Kind::Secret, "unset", By("storage"), "Key's name."),
    key("S3_SECRET_ACCESS_KEY", "s3.secret_access_key", Kind::Secret, "unset", By("storage"), "Key."),
    key(
        "VOICE_STORAGE_KEY",
        "storage.key",
        Kind::Keys(1),
        "unset",
        By("storage"),
        "Encrypts stored files from now on, and what of a recording waits on disk; `openssl rand -base64 32` makes one. \
         Who loses it loses the files. Unset: they lie as they are.",
    ),
    key(
        "VOICE_STORAGE_PREVIOUS_KEYS",
        "storage.previous_keys",
        Kind::Keys(16),
        "none",
        By("storage"),
        "Earlier keys, with which files are still read.",
    ),
    key(
        "VOICE_RECORDING",
        "storage.recording",
        Kind::Choices(&["off", "ask", "notice"]),
        "off",
        By("recording"),
        "Whether calls are recorded, unless an organization's settings say otherwise. `notice`: the greeting says so. \
         `ask`: the greeting asks, and what comes after a yes is recorded. A call without a greeting is never recorded.",
    ),
    // Providers.
    key(
        "VOICE_STT",
        "providers.stt",
        Kind::Choices(&["elevenlabs", "deepgram", "openai", "local"]),
        "those with a key, then local",
        By("engine"),
        "Recognisers in order; the later ones are fallbacks. What lacks its key is named at the start and left out; a \
         list of which nothing can serve is refused. `openai` hears utterances as a whole and also stands for a server of \
         one's own, see `OPENAI_BASE_URL`.",
    ),
    key(
        "VOICE_LLM",
        "providers.llm",
        Kind::Choices(&["openai", "concierge"]),
        "those with a key, then concierge",
        By("engine"),
        "Answerers in order; the later ones are fallbacks. What lacks its key is named at the start and left out; a list \
         of which nothing can serve is refused.",
    ),
    key(
        "VOICE_TTS",
        "providers.tts",
        Kind::Choices(&["elevenlabs", "local"]),
        "those with a key, then local",
        By("engine"),
        "Voices in order; the later ones are fallbacks. What lacks its key is named at the start and left out; a list of \
         which nothing can serve is refused.",
    ),
    key(
        "VOICE_PHRASE_CACHE",
        "providers.phrase_cache",
        Kind::Count(0, 4_096),
        "32",
        By("engine"),
        "Memory for what the voice has said: the greeting and repeated clauses are spoken from it at once and without a \
         request. 0: none.",
    )
    .in_unit("MiB"),
    key(
        "VOICE_PRICES",
        "providers.prices",
        Kind::File,
        "unset",
        By("cost"),
        "TOML file with what providers charge, taken before the packaged price table, whose form it has. Unset: the \
         packaged prices alone.",
    ),
    key(
        "ELEVENLABS_API_KEY",
        "elevenlabs.api_key",
        Kind::Secret,
        "unset",
        By("engine"),
        "Key for speech and recognition by ElevenLabs.",
    ),
    key(
        "ELEVENLABS_BASE_URL",
        "elevenlabs.base_url",
        HTTP,
        "the service's own",
        By("engine"),
        "Another address for it, such as a stand-in.",
    ),
    key("ELEVENLABS_VOICE", "elevenlabs.voice", Kind::Text, "Sarah", By("engine"), "Name or id of the voice."),
    key(
        "ELEVENLABS_MODEL",
        "elevenlabs.model",
        Kind::Text,
        "eleven_turbo_v2",
        By("engine"),
        "Speech model.",
    ),
    key(
        "OPENAI_API_KEY",
        "openai.api_key",
        Kind::Secret,
        "unset",
        By("engine"),
        "Key for an OpenAI-compatible service.",
    ),
    key(
        "OPENAI_BASE_URL",
        "openai.base_url",
        HTTP,
        "the service's own",
        By("engine"),
        "Another address for it: Ollama, vLLM, a llama.cpp server for answers; speaches, vLLM, a whisper server for \
         recognition. With it no key is needed, but then `VOICE_LLM` or `VOICE_STT` must name `openai`. With a key it \
         serves both, unless one of these lists leaves it out.",
    ),
    key("OPENAI_MODEL", "openai.model", Kind::Text, "gpt-4o-mini", By("engine"), "Language model."),
    key(
        "OPENAI_STT_MODEL",
        "openai.stt_model",
        Kind::Text,
        "gpt-4o-mini-transcribe",
        By("engine"),
        "Model that transcribes, such as `whisper-1` or `Systran/faster-whisper-small`.",
    ),
    key("DEEPGRAM_API_KEY", "deepgram.api_key", Kind::Secret, "unset", By("engine"), "Key for Deepgram."),
    key(
        "DEEPGRAM_BASE_URL",
        "deepgram.base_url",
        HTTP,
        "the service's own",
        By("engine"),
        "Another address for it.",
    ),
    key(
        "VOICE_MODELS_URL",
        "models.url",
        Kind::FolderOrUrl,
        "unset",
        By("models"),
        "A mirror of the local weights, asked before `pip`: files named by SHA-256. A start that lacks weights \
         brings them.",
    ),
    // Field.
    key("MLS_API_KEY", "mls.api_key", Kind::Secret, "unset", Later("mls"), "Key for the listings service."),
    key("MLS_BASE_URL", "mls.base_url", HTTP, "unset", Later("mls"), "Address of its RESO Web API."),
    key("GOOGLE_CLIENT_ID", "google.client_id", Kind::Text, "unset", Later("calendar"), "OAuth client."),
    key("GOOGLE_CLIENT_SECRET", "google.client_secret", Kind::Secret, "unset", Later("calendar"), "Its secret."),
    key("GOOGLE_BASE_URL", "google.base_url", HTTP, "the service's own", Later("calendar"), "Another address."),
    key("CALDAV_URL", "caldav.url", HTTP, "unset", Later("calendar"), "Calendar, with its user and password."),
    key(
        "SMTP_URL",
        "smtp.url",
        Kind::Url(&["smtp", "smtps"]),
        "unset",
        Later("notify"),
        "Mail server, with its user and password.",
    ),
    key("TWILIO_ACCOUNT_SID", "twilio.account_sid", Kind::Text, "unset", Later("notify"), "Twilio account."),
    key("TWILIO_AUTH_TOKEN", "twilio.auth_token", Kind::Secret, "unset", Later("notify"), "Its token."),
    key("TWILIO_FROM", "twilio.from", Kind::Text, "unset", Later("notify"), "Number that messages come from."),
    key("TWILIO_BASE_URL", "twilio.base_url", HTTP, "the service's own", Later("notify"), "Another address."),
    key(
        "PAGERDUTY_ROUTING_KEY",
        "pagerduty.routing_key",
        Kind::Secret,
        "unset",
        Later("notify"),
        "Where critical faults are reported.",
    ),
    key("PAGERDUTY_BASE_URL", "pagerduty.base_url", HTTP, "the service's own", Later("notify"), "Another address."),
    key(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "otel.endpoint",
        HTTP,
        "unset",
        Later("telemetry"),
        "Collector of traces.",
    ),
];

/// The setting of this environment variable, by its name or its alias.
pub fn by_env(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.env == name || key.alias == Some(name))
}

/// The setting at this place of the TOML file.
pub fn by_toml(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.toml == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            for name in [Some(key.env), key.alias, Some(key.toml)].into_iter().flatten() {
                assert!(seen.insert(name), "{name} stands twice");
            }
        }
    }

    #[test]
    fn every_toml_key_has_one_section() {
        for key in KEYS {
            assert_eq!(key.toml.split('.').count(), 2, "{}", key.toml);
        }
    }
}
