//! The server as a whole: what its parts share, which routes there are, how it starts and stops.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use uuid::Uuid;
use voice_core::llm::concierge::sample_listings_json;

use crate::api::{events, health};
use crate::auth::{self, Auth};
use crate::cache::Caching;
use crate::cli::print::say;
use crate::config::Config;
use crate::context::{ContextFactory, StoredListings};
use crate::cost::Prices;
use crate::data::{
    DEMO_ORGANIZATION, DataError, NewProperty, PostgresStore, PropertyFilter, PropertySort, SqliteStore,
    Store, Timestamp,
};
use crate::engine;
use crate::error::Failure;
use crate::events::{Hub, HubLimits};
use crate::http::quota::Quotas;
use crate::http::{Problem, layers, server};
use crate::metrics::Metrics;
use crate::providers;
use crate::recording::Archive;
use crate::recording::link::Links;
use crate::shutdown::{self, Shutdown};
use crate::storage::Blobs;
use crate::upkeep;
use crate::voice::call::{Answerer, AnyAnswerer, StageStatus};
use crate::voice::loading;
use crate::voice::registry::Registry;
use crate::voice::writing::Writing;
use crate::voice::{Limits, upgrade};
use crate::web;

/// What every request may need. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Organization of requests without sign-in.
    pub organization: Uuid,
    /// Who somebody is.
    pub auth: Arc<Auth>,
    /// Who answers calls.
    pub answerer: Arc<dyn AnyAnswerer>,
    /// The calls under way.
    pub calls: Registry,
    /// Limits of each call.
    pub limits: Limits,
    /// How often each may ask.
    pub quotas: Quotas,
    /// The conversations in which a written message is being answered.
    pub writing: Writing,
    /// What is kept for a while, here or in Redis.
    pub cache: Caching,
    /// Who watches what happens.
    pub events: Hub,
    /// Limits of each socket that watches.
    pub event_limits: events::Limits,
    /// The health of the parts.
    pub health: health::Health,
    /// What providers charge.
    pub prices: Arc<Prices>,
    /// What is counted.
    pub metrics: Metrics,
    /// The object storage.
    pub blobs: Blobs,
    /// The recordings of calls.
    pub archive: Archive,
    /// Links to recordings.
    pub links: Links,
    /// The end of the server.
    pub shutdown: Shutdown,
}

/// How long calls may take to end once the server is to stop: each cuts its answer short, stores its turn and closes.
const CALLS_DRAIN: Duration = Duration::from_secs(15);
/// How long the last events may take to other servers.
const EVENTS_DRAIN: Duration = Duration::from_secs(1);
/// How long their recordings may take to be stored after that. What is not waits in the data folder for the next start.
const RECORDINGS_DRAIN: Duration = Duration::from_secs(10);

impl App {
    /// Joins the parts.
    ///
    /// # Errors
    /// The default organization does not exist, the database fails, or no secret for sign-in can be kept.
    pub async fn new(
        config: Config,
        store: Arc<dyn Store>,
        answerer: Arc<dyn AnyAnswerer>,
        shutdown: Shutdown,
    ) -> Result<Self, Failure> {
        let organization = config.default_organization.unwrap_or(DEMO_ORGANIZATION);
        if store.organization(organization).await?.is_none() {
            return Err(Failure::Organization);
        }
        let prices = Arc::new(Prices::load(config.prices.as_deref())?);
        let metrics = Metrics::default();
        let (cache, hub) = shared(&config, &metrics).map_err(Failure::Redis)?;
        let auth = Auth::new(&config, &cache).map_err(Failure::Auth)?;
        if config.is_unconfigured() {
            auth::demo::prepare(&*store, &auth.passwords).await.map_err(|error| match error {
                auth::demo::DemoError::Data(error) => Failure::Data(error),
                other => Failure::Auth(other.to_string()),
            })?;
        }
        let blobs = Blobs::of(&config)?;
        let archive = Archive::open(&config, blobs.clone(), store.clone())?;
        Ok(Self {
            links: Links::new(auth.ring.links()),
            blobs,
            archive,
            auth: Arc::new(auth),
            calls: Registry::new(config.max_calls),
            quotas: Quotas::new(config.requests_per_second),
            config: Arc::new(config),
            store,
            organization,
            answerer,
            limits: Limits::default(),
            writing: Writing::default(),
            cache,
            events: hub,
            event_limits: events::Limits::default(),
            health: health::Health::default(),
            prices,
            metrics,
            shutdown,
        })
    }

    /// Every route, with what each request passes.
    pub fn routes(&self) -> Router {
        let routes = crate::api::routes::routes()
            .route("/api/v1/events", get(events::watch))
            .route("/voice/{session_id}", get(upgrade::upgrade))
            .merge(web::routes())
            .fallback(async || Problem::not_found("there is nothing at this address"))
            .with_state(self.clone());
        layers::wrap(routes, auth::origins::cors(self.clone()), self.clone())
    }

    /// Serves on `listener` until the end begins, then lets requests and calls finish and closes the database.
    pub async fn serve(self, listener: TcpListener) {
        let tending = tokio::spawn(self.archive.clone().tend(self.shutdown.clone()));
        let serving =
            server::serve(listener, self.routes(), self.config.max_connections, self.shutdown.clone());
        tokio::select! {
            () = serving => {}
            () = upkeep::keep(&self) => {}
        }
        self.calls.drain(CALLS_DRAIN).await;
        self.archive.drain(RECORDINGS_DRAIN).await;
        tending.abort();
        self.events.close(EVENTS_DRAIN).await;
        self.cache.close().await;
        self.store.close().await;
    }

    /// The secret of the link for the first admin, where nobody can sign in from where the server is reached.
    async fn setup_secret(&self) -> Result<Option<String>, Failure> {
        let has_demo = self.config.is_unconfigured() && self.config.bind.ip().to_canonical().is_loopback();
        if has_demo || !auth::setup::is_wanted(&*self.store).await? {
            return Ok(None);
        }
        self.auth.setup.open().map(Some).map_err(|error| Failure::Auth(error.to_string()))
    }

    /// What the start prints: where to go and who may. Who serves what follows when the engine is there.
    fn greeting(&self, address: SocketAddr, setup: Option<&str>) -> String {
        let mut text = String::new();
        let shown =
            if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        let shown = if shown.contains(':') { format!("[{shown}]") } else { shown };
        let _ = writeln!(text, "voice {} is serving", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "  open     http://{shown}:{}/", address.port());
        let _ = writeln!(text, "  data     {}", self.config.data.display());
        for note in &self.config.notes {
            let _ = writeln!(text, "  note     {note}");
        }
        if !self.config.unused.is_empty() {
            let _ = writeln!(
                text,
                "  note     set, and without effect in this version: {}",
                self.config.unused.join(", ")
            );
        }
        let [calls, sign_in] = access(&self.config);
        let _ = writeln!(text, "  access   {calls}\n           {sign_in}");
        if let Some(secret) = setup {
            let _ = writeln!(text, "  first    http://{shown}:{}/setup?token={secret}", address.port());
            let _ = writeln!(text, "           makes the first admin, once; nobody can sign in yet");
        }
        text
    }
}

/// Who may call without sign-in, as `api::access` decides it, and who may sign in, a sentence each.
/// What all servers share where there is a Redis, and this one has for itself where there is none.
fn shared(config: &Config, metrics: &Metrics) -> Result<(Caching, Hub), String> {
    let (bytes, limits) = ((config.cache as u64) << 20, HubLimits::default());
    Ok(match &config.redis_url {
        None => (Caching::in_memory(bytes, metrics), Hub::new(limits, metrics)),
        Some(url) => (Caching::with_redis(bytes, url, metrics)?, Hub::with_redis(limits, url, metrics)?),
    })
}

/// Who may call and who may read without sign-in, as `api::access` decides it, a sentence each.
fn access(config: &Config) -> [String; 2] {
    let bind = config.bind.ip();
    let is_loopback = bind.to_canonical().is_loopback();
    let calls = match config.anonymous {
        Some(false) => "calls: from nobody, since VOICE_ANONYMOUS is false".to_owned(),
        Some(true) if is_loopback => {
            format!("calls: from whatever reaches {bind}, without sign-in (VOICE_ANONYMOUS is true)")
        }
        Some(true) => "calls: from anywhere, without sign-in (VOICE_ANONYMOUS is true)".to_owned(),
        None if !config.is_unconfigured() => {
            "calls: from nobody without sign-in; VOICE_ANONYMOUS=true takes them from anywhere".to_owned()
        }
        None if is_loopback => "calls: from this machine only, without sign-in".to_owned(),
        None => format!(
            "calls: from nobody, since {bind} is no loopback address; VOICE_ANONYMOUS=true takes them from anywhere"
        ),
    };
    let sign_in = if !config.is_unconfigured() {
        "sign-in: users of this server; `voice user add` makes one".to_owned()
    } else if is_loopback {
        let [admin, agent] = auth::demo::USERS.map(|user| user.email);
        format!("sign-in: {admin} or {agent}, password {}, from this machine only", auth::demo::PASSWORD)
    } else {
        format!(
            "sign-in: users of this server; `voice user add` makes one; not the demo users, since {bind} is no loopback address"
        )
    };
    [calls, sign_in]
}

/// The database that the settings name, brought up to this version; what a crash left active is ended.
///
/// # Errors
/// It cannot be reached or used.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let (store, carried_since): (Arc<dyn Store>, _) = match &config.database_url {
        None => (Arc::new(SqliteStore::open(&config.data).await?), Timestamp::now()),
        Some(address) => {
            let store = PostgresStore::open(address, config.database_pooling).await?;
            // Other servers may carry calls of this database; none lasts as long as this.
            (Arc::new(store), Timestamp::now().minus_millis(LONGEST_CALL_MS))
        }
    };
    store.end_abandoned(carried_since).await?;
    first_organization(&*store).await?;
    if config.is_unconfigured() {
        give_samples(&*store).await?;
    }
    Ok(store)
}

/// The sample listings for the demo organization, if it has none: those that the local answerer speaks about.
async fn give_samples(store: &dyn Store) -> Result<(), DataError> {
    let all = PropertyFilter::default();
    let found = store.properties(DEMO_ORGANIZATION, all, PropertySort::default(), None, 1).await?;
    if !found.items.is_empty() {
        return Ok(());
    }
    let payload: serde_json::Value = serde_json::from_str(sample_listings_json())
        .map_err(|error| DataError::Corrupt(format!("the sample listings: {error}")))?;
    let rows = payload.get("value").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let now = Timestamp::now();
    let listings = rows.into_iter().filter_map(|row| NewProperty::from_reso(row, now)).collect();
    store.save_properties(DEMO_ORGANIZATION, listings).await.map(drop)
}

/// Makes an organization where there is none yet: a new Postgres has no demo, but somebody who is to sign in.
pub(crate) async fn first_organization(store: &dyn Store) -> Result<(), DataError> {
    if !store.organizations().await?.is_empty() {
        return Ok(());
    }
    // Several may start on the empty database at the same time.
    match store.add_organization(DEMO_ORGANIZATION, "My organization".into(), Timestamp::now()).await {
        Ok(()) | Err(DataError::Exists) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A call that was begun this long ago is carried by nobody any more.
pub(crate) const LONGEST_CALL_MS: u64 = 5 * 3_600_000;

/// Starts the server of `config` and serves until SIGTERM or ctrl-c.
///
/// # Errors
/// Something the server needs cannot be had; see [`Failure`].
pub async fn run(config: Config) -> Result<(), Failure> {
    let (trigger, shutdown) = shutdown::channel();
    // The address first: a server that is already running on it is the likeliest trouble.
    let address = config.bind;
    let unbound = |error: std::io::Error| Failure::Bind { address, detail: error.to_string() };
    let listener = TcpListener::bind(address).await.map_err(unbound)?;
    let address = listener.local_addr().map_err(unbound)?;
    let store = open_store(&config).await?;
    let (loading, arrival) = loading::channel();
    let app = App::new(config.clone(), store, Arc::new(loading), shutdown).await?;
    let setup = app.setup_secret().await?;
    say!("{}", app.greeting(address, setup.as_deref()));
    let cache = app.cache.clone();
    let listings = Arc::new(StoredListings::new(app.store.clone()));
    let context = ContextFactory::new(app.store.clone(), listings, app.metrics.clone());
    let signals = tokio::spawn(shutdown::on_signal(trigger));
    // Pages, data and health are there at once; the models come a moment later, and calls wait for them.
    let begun = Instant::now();
    let engine = async {
        let (built, nearby) =
            tokio::join!(engine::start(&config, &arrival, &cache, context), providers::nearby(&config));
        let built = built?;
        say!("{}", told(&Answerer::stages(&*built), nearby.as_deref(), begun.elapsed()));
        std::future::pending::<Result<Infallible, Failure>>().await
    };
    let served = tokio::select! {
        () = app.serve(listener) => Ok(()),
        Err(failure) = engine => Err(failure),
    };
    signals.abort();
    served
}

/// Who serves each stage, and that calls are answered from now on.
fn told(stages: &[StageStatus], nearby: Option<&str>, took: Duration) -> String {
    let mut text = String::new();
    for stage in stages {
        let state = if stage.ready { "" } else { "  not working" };
        let _ = writeln!(text, "  {:<8} {}{state}", stage.stage, stage.provider);
    }
    // What several stages lack is often one thing, and then said once.
    let mut notes: Vec<&str> = Vec::new();
    for note in stages.iter().map(|stage| stage.note.as_str()) {
        if !note.is_empty() && !notes.contains(&note) {
            notes.push(note);
            let _ = writeln!(text, "  note     {note}");
        }
    }
    if let Some(nearby) = nearby {
        let _ = writeln!(text, "  note     {nearby}");
    }
    let _ = writeln!(text, "  ready    calls are answered ({:.1} s after the start)", took.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use axum::extract::connect_info::ConnectInfo;
    use hyper::Request;
    use hyper::http::request::Parts;

    use super::*;
    use crate::api::access::may_call;
    use crate::auth::demo;
    use crate::config::Secret;

    fn request(peer: &str, host: &str) -> Parts {
        let (mut parts, ()) =
            Request::builder().uri("/").header("host", host).body(()).expect("a request").into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().expect("an address"), 9)));
        parts
    }

    #[tokio::test]
    async fn an_unconfigured_server_has_the_sample_listings_once_and_a_configured_one_none() {
        let folder = std::env::temp_dir().join(format!("voice-samples-{}", Uuid::new_v4()));
        let secret = Some(Secret::new("s"));
        for (auth_secret, part, times) in [(None, "open", 2), (secret, "closed", 1)] {
            let config = Config { data: folder.join(part), auth_secret, ..Config::default() };
            for _ in 0..times {
                let store = open_store(&config).await.expect("a store");
                let all = PropertyFilter::default();
                let page = store.properties(DEMO_ORGANIZATION, all, PropertySort::default(), None, 100).await;
                let numbers: Vec<_> =
                    page.expect("read").items.into_iter().filter_map(|property| property.mls_id).collect();
                let expected = if config.is_unconfigured() {
                    sample_listings_json().matches("ListingId").count()
                } else {
                    0
                };
                assert_eq!(numbers.len(), expected, "{numbers:?}");
                store.close().await;
            }
        }
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn the_start_tells_the_access_that_requests_have() {
        let near = request("127.0.0.1", "localhost");
        let far = request("10.0.0.9", "voice.example.com");
        for bind in ["127.0.0.1:1", "[::1]:1", "0.0.0.0:1", "192.168.0.2:1"] {
            for anonymous in [None, Some(false), Some(true)] {
                for auth_secret in [None, Some(Secret::new("s"))] {
                    let bind = bind.parse().expect("an address");
                    let config = Config { bind, anonymous, auth_secret, ..Config::default() };
                    let [calls, sign_in] = access(&config);
                    let told = |line: &str, allowed: [bool; 2]| match allowed {
                        [false, false] => line.contains("nobody"),
                        [true, false] => line.contains("this machine only"),
                        [true, true] => {
                            line.contains("from anywhere,") || line.contains("from whatever reaches")
                        }
                        [false, true] => false,
                    };
                    let allowed = [&near, &far].map(|parts| may_call(&config, parts).is_ok());
                    assert!(told(&calls, allowed), "{calls}: {allowed:?} {config:?}");
                    // Where the demo users are told, they can sign in from here, and nowhere from elsewhere.
                    let demo_users = [&near, &far]
                        .map(|parts| config.is_unconfigured() && demo::check(&config, parts).is_ok());
                    assert_eq!(demo_users, [sign_in.contains(demo::PASSWORD), false], "{sign_in} {config:?}");
                }
            }
        }
    }
}
