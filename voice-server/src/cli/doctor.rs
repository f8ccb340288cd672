//! `voice doctor`: tries what is configured, one line each, and says what to mend.
//!
//! It disturbs nothing: a server that runs on the address is asked for its health, and where
//! there is no database yet none is made.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use voice_core::error::ProviderError;
use voice_core::turn::Policy;

use super::print::say_line;
use crate::cache;
use crate::config::{Config, Flags, Secret};
use crate::data::postgres::Pooling;
use crate::data::{DataError, PostgresStore, SqliteStore, Upkeep as _};
use crate::engine;
use crate::error::Failure;
use crate::providers::{Cloud, PROBE_LIMIT};
use crate::storage::{Blobs, StorageError};
use crate::voice::call::Answerer as _;

/// Tries everything. Status 0 where all works, 2 where the settings are wrong, else 1.
pub(super) fn run(flags: &Flags) -> ExitCode {
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(error) => return super::fail(&error.into()),
    };
    say_line!("ok    settings");
    let healthy = match super::runtime() {
        Ok(runtime) => runtime.block_on(examine(&config)),
        Err(error) => return super::fail(&error.into()),
    };
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn examine(config: &Config) -> bool {
    let mut healthy = true;
    let mut say = |works: bool, what: &str, note: &str| {
        healthy &= works;
        let mark = if works { "ok   " } else { "fault" };
        if note.is_empty() { say_line!("{mark} {what}") } else { say_line!("{mark} {what}: {note}") }
    };
    let mut running = None;
    match TcpListener::bind(config.bind).await {
        Ok(_) => say(true, "address", &config.bind.to_string()),
        Err(error) => {
            if error.kind() == ErrorKind::AddrInUse {
                running = health_at(config.bind).await;
            }
            match &running {
                Some(health) => {
                    let note = format!("a voice server is running on {}, {}", config.bind, health.told());
                    say(health.is_healthy(), "address", &note);
                }
                None => {
                    let failure = Failure::Bind { address: config.bind, detail: error.to_string() };
                    say(false, "address", &failure.to_string());
                }
            }
        }
    }
    let (works, note) = match &config.database_url {
        Some(address) => postgres(address, config.database_pooling).await,
        None => database(&config.data, running.as_ref()).await,
    };
    say(works, "database", &note);
    let (works, note) = storage(config).await;
    say(works, "storage", &note);
    if let Some(url) = &config.redis_url {
        let (works, note) = redis(url).await;
        say(works, "redis", &note);
    }
    let built = match engine::build(config, Policy::default()).await {
        Ok(built) => built,
        Err(error) => {
            say(false, "engine", &error.to_string());
            return healthy;
        }
    };
    let (probes, notes) = Cloud::new(config).probes();
    notes.iter().for_each(|note| say(false, "providers", note));
    for probed in probes {
        let begun = Instant::now();
        let found = tokio::time::timeout(PROBE_LIMIT, (probed.probe)()).await;
        let took = begun.elapsed().as_millis();
        match found {
            Ok(Ok(())) => say(true, &probed.name, &format!("reachable and accepted, {took} ms")),
            Ok(Err(error)) => say(false, &probed.name, &format!("{error}; {}", mend(&error))),
            Err(_) => {
                say(false, &probed.name, &format!("no answer within {PROBE_LIMIT:?}; check the network"))
            }
        }
    }
    let mut told = String::new();
    for stage in built.stages() {
        // What several stages lack is often one thing, and then said once.
        let note = if stage.note.is_empty() || stage.note == told {
            stage.provider
        } else {
            told.clone_from(&stage.note);
            format!("{}, {}", stage.provider, stage.note)
        };
        say(stage.ready, stage.stage, &note);
    }
    for note in &config.notes {
        say_line!("note  {note}");
    }
    for name in &config.unused {
        say_line!("note  {name} is set and without effect in this version");
    }
    healthy
}

/// What to do about a provider that cannot be used.
fn mend(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Unreachable { .. } | ProviderError::TimedOut { .. } => {
            "check the network, and the address if one is set"
        }
        ProviderError::Unauthorised { .. } => "check the key, and what it may do",
        ProviderError::OutOfCredit { .. } => "add credit to the account",
        ProviderError::Misconfigured { .. } => "check the model, the voice and the address that are set",
        ProviderError::Limited { .. } => "wait, or have the account's limits raised",
        _ => "try again later; if it stays so, ask the service",
    }
}

/// Whether Postgres answers and has tables to work with, and what is to be said about it. Nothing is changed in it.
async fn postgres(address: &Secret, pooling: Pooling) -> (bool, String) {
    let begun = Instant::now();
    let asked = async {
        let store = PostgresStore::connect(address, pooling).await?;
        let current = store.has_current_tables().await;
        let migrates = store.migrates_when_opened();
        store.close().await;
        Ok::<_, DataError>((current?, migrates))
    };
    match tokio::time::timeout(PROBE_LIMIT, asked).await {
        Ok(Ok((true, _))) => {
            (true, format!("Postgres, reachable and accepted, {} ms", begun.elapsed().as_millis()))
        }
        Ok(Ok((false, true))) => {
            (true, "Postgres, reachable; the next start brings its tables up to this version".to_owned())
        }
        Ok(Ok((false, false))) => (
            false,
            "Postgres, reachable; its tables are of another version: run `voice migrate` with the direct or the session \
             pooler's address"
                .to_owned(),
        ),
        Ok(Err(error)) => (
            false,
            format!(
                "{}; check SUPABASE_CONNECTION_STRING or DATABASE_URL, its password and the network",
                Failure::from(error)
            ),
        ),
        Err(_) => (
            false,
            format!(
                "no answer within {PROBE_LIMIT:?}; check the network and SUPABASE_CONNECTION_STRING or DATABASE_URL"
            ),
        ),
    }
}

/// Whether the embedded database works, and what is to be said about it.
async fn database(folder: &Path, running: Option<&Health>) -> (bool, String) {
    let shown = folder.display();
    if !folder.join("voice.sqlite3").exists() {
        return match writable(folder) {
            Ok(()) => (true, format!("{shown}, made at the first start")),
            Err(detail) => (
                false,
                format!(
                    "the data folder {shown} cannot be made or written ({detail}); choose another with --data or \
                     VOICE_DATA"
                ),
            ),
        };
    }
    if let Some(health) = running
        && is_locked(folder)
    {
        return (health.works("database"), format!("{shown}, in use by the running server"));
    }
    match SqliteStore::open(folder).await {
        Ok(store) => {
            let answer = store.ping().await.map_err(Failure::from);
            store.close().await;
            match answer {
                Ok(()) => (true, shown.to_string()),
                Err(failure) => (false, failure.to_string()),
            }
        }
        Err(error) => (false, Failure::from(error).to_string()),
    }
}

/// Whether files can be stored and read again. On disk that is what the data folder's own check has told, unless the
/// server has made its folder already.
async fn storage(config: &Config) -> (bool, String) {
    if config.s3.bucket.is_none() && !config.data.join("blobs").exists() {
        let encrypted = if config.storage_key.is_some() { ", encrypted" } else { "" };
        return (true, format!("local disk, made at the first start{encrypted}"));
    }
    let blobs = match Blobs::of(config) {
        Ok(blobs) => blobs,
        Err(error) => return (false, error.to_string()),
    };
    let encrypted = if blobs.encrypts() { ", encrypted" } else { "" };
    match blobs.check().await {
        Ok(()) => (true, format!("{}{encrypted}, written and read", blobs.place())),
        Err(error) => {
            let mend = match &error {
                StorageError::Refused(_) => {
                    "check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY and what they may do"
                }
                StorageError::NotFound => "check S3_BUCKET",
                _ if config.s3.bucket.is_some() => "check the network, S3_ENDPOINT, S3_BUCKET and S3_REGION",
                _ => "check the rights and the room of the data folder",
            };
            (false, format!("{}: {error}; {mend}", blobs.place()))
        }
    }
}

/// Whether Redis works, and what is to be said about it.
async fn redis(url: &Secret) -> (bool, String) {
    match cache::probe(url).await {
        Ok(took) => (true, format!("reachable and accepted, {} ms", took.as_millis())),
        Err(why) => (
            false,
            format!(
                "{why}; check REDIS_URL, its password and the network. Servers go on without it, each by itself"
            ),
        ),
    }
}

/// Whether a server holds the folder.
fn is_locked(folder: &Path) -> bool {
    let lock = File::options().write(true).open(folder.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// Whether files can be made in the folder, or in the nearest one above it that is there. Leaves nothing behind.
fn writable(folder: &Path) -> std::io::Result<()> {
    let whole = std::path::absolute(folder)?;
    let there = whole.ancestors().find(|folder| folder.exists()).unwrap_or(&whole);
    let probe = there.join(format!(".voice-doctor-{}", uuid::Uuid::new_v4()));
    File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

/// What a voice server says of itself.
#[derive(Debug, Deserialize)]
struct Health {
    status: String,
    checks: std::collections::BTreeMap<String, bool>,
}

impl Health {
    fn is_healthy(&self) -> bool {
        self.status == "healthy"
    }

    fn works(&self, component: &str) -> bool {
        self.checks.get(component).copied().unwrap_or_default()
    }

    fn told(&self) -> String {
        let failing: Vec<&str> =
            self.checks.iter().filter(|(_, works)| !**works).map(|(name, _)| &**name).collect();
        if failing.is_empty() {
            self.status.clone()
        } else {
            format!("and not working: {}", failing.join(", "))
        }
    }
}

/// A server tries its parts for up to two seconds before it answers.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// Far more than a report takes; whatever else listens there may send more.
const HEALTH_BYTES: u64 = 64 * 1024;

/// The health of the voice server that listens on `bind`; `None` where something else does.
async fn health_at(bind: SocketAddr) -> Option<Health> {
    // Who listens on every address also listens on loopback.
    let ip = match bind {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => bind.ip(),
    };
    let address = SocketAddr::new(ip, bind.port());
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(HEALTH_BYTES).read_to_end(&mut answer).await.ok()?;
        parse_health(&answer)
    };
    tokio::time::timeout(HEALTH_LIMIT, asked).await.ok().flatten()
}

fn parse_health(answer: &[u8]) -> Option<Health> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let is_report = head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 503");
    let health: Health = is_report.then(|| serde_json::from_str(body).ok()).flatten()?;
    // These two every voice server has; another program's report with the same fields would lack them.
    (health.checks.contains_key("database") && health.checks.contains_key("tts")).then_some(health)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_voice_servers_report_counts() {
        let report = |status: &str, body: &str| {
            parse_health(format!("HTTP/1.1 {status}\r\nserver: x\r\n\r\n{body}").as_bytes())
        };
        let sick = r#"{"status":"unhealthy","checks":{"database":true,"tts":false}}"#;
        let sick = report("503 Service Unavailable", sick).expect("a report");
        assert!(!sick.is_healthy() && sick.works("database"));
        assert_eq!(sick.told(), "and not working: tts");
        let well = r#"{"status":"healthy","checks":{"database":true,"tts":true}}"#;
        assert!(report("200 OK", well).is_some_and(|health| health.is_healthy()));
        assert!(report("404 Not Found", well).is_none());
        assert!(report("200 OK", r#"{"status":"healthy","checks":{}}"#).is_none());
        assert!(report("200 OK", "hello").is_none());
        assert!(parse_health(b"SSH-2.0-x").is_none() && parse_health(&[0xff]).is_none());
    }

    #[tokio::test]
    async fn a_redis_is_told_to_work_or_what_to_mend_and_its_address_is_not_shown() {
        let (works, note) = redis(&Secret::new("redis://:hush@127.0.0.1:1/")).await;
        assert!(!works && note.contains("REDIS_URL") && !note.contains("hush"), "{note}");
        let Some(mut running) = voice_fixtures::private::PrivateRedis::start() else { return };
        let (works, note) = redis(&Secret::new(running.url())).await;
        assert!(works, "{note}");
        let frozen = running.freeze();
        let (works, note) = redis(&Secret::new(running.url())).await;
        assert!(!works && note.contains("no answer"), "{note}");
        frozen.thaw();
        running.kill();
        assert!(!redis(&Secret::new(running.url())).await.0);
    }

    #[tokio::test]
    async fn a_postgres_is_told_to_work_or_what_to_mend_and_its_address_is_not_shown() {
        let nobody = Secret::new("postgresql://voice:hush@127.0.0.1:1/voice");
        let (works, note) = postgres(&nobody, Pooling::Auto).await;
        assert!(!works && note.contains("DATABASE_URL") && !note.contains("hush"), "{note}");
        let Some(server) = voice_fixtures::private::PrivatePostgres::shared() else { return };
        let address = Secret::new(server.database().expect("a database"));
        let (works, note) = postgres(&address, Pooling::Auto).await;
        assert!(works && note.contains("the next start"), "{note}");
        let (works, note) = postgres(&address, Pooling::Transaction).await;
        assert!(!works && note.contains("voice migrate"), "{note}");
        PostgresStore::open(&address, Pooling::Auto).await.expect("its tables").close().await;
        let (works, note) = postgres(&address, Pooling::Transaction).await;
        assert!(works && note.contains("accepted"), "{note}");
        let wrong = Secret::new(address.expose().replace("voice", "stranger"));
        assert!(!postgres(&wrong, Pooling::Auto).await.0);
    }

    #[test]
    fn trying_a_fresh_folder_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("voice-doctor-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("a folder for temporary files");
        writable(&folder.join("deep/data")).expect("writable");
        assert_eq!(std::fs::read_dir(&folder).expect("readable").count(), 0);
        let file = folder.join("file");
        std::fs::write(&file, "x").expect("written");
        assert!(writable(&file).is_err(), "a file is no folder");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
