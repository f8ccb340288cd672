//! Fills a database for [`super`], once: it stays under `target/rest`, and later runs use it again.

use std::fmt::Write as _;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use voice_fixtures::private::PrivatePostgres;
use voice_server::config::{Config, Secret};
use voice_server::data::{
    DEMO_ORGANIZATION, NewProperty, NewUser, PostgresStore, Role, SqliteStore, Store, Timestamp,
};

use super::{Error, Kind, Options, made};

/// Changes with what is made, so that nobody measures an old filling.
const VERSION: &str = "2";
/// Listings in one transaction.
const AT_ONCE: u64 = 2_000;
/// Conversations in one statement.
const CONVERSATIONS_AT_ONCE: u64 = 250;
/// Conversations whose words are indexed in one transaction.
const INDEXED_AT_ONCE: u32 = 500;
/// One client asks here as many would.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

/// A filled database. The Postgres that holds one ends with it.
pub(super) struct Filled {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Config,
    /// Listings that were stored in a second; `None` where the database was there.
    pub(super) properties_per_second: Option<f64>,
    _postgres: Option<PrivatePostgres>,
}

/// The database of these options, filled if it is not.
pub(super) async fn filled(options: &Options) -> Result<Filled, Error> {
    let Options { properties, conversations, .. } = *options;
    let name = format!("{:?}-{properties}-{conversations}-v{VERSION}", options.database).to_lowercase();
    let folder = target()?.join("rest").join(name);
    let marker = folder.join("filled");
    let is_filled = marker.exists();
    if !is_filled && folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let config = Config {
        data: folder.clone(),
        max_connections: 2_000,
        requests_per_second: REQUESTS_PER_SECOND,
        ..Config::default()
    };
    let begun = Instant::now();
    let mut filled = match options.database {
        Kind::Sqlite => {
            let store = Arc::new(SqliteStore::open(&folder).await?);
            let mut speed = None;
            if !is_filled {
                speed = Some(fill(&*store, options).await?);
                add_agents(&*store).await?;
                let file = format!("sqlite://{}", folder.join("voice.sqlite3").display());
                let mut connection = SqliteConnection::connect(&file).await?;
                for part in parts(conversations, CONVERSATIONS_AT_ONCE) {
                    let text = conversations_of(part, conversations, options.database);
                    connection.execute(AssertSqlSafe(format!("BEGIN; {text}; COMMIT"))).await?;
                }
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
                connection.close().await?;
            }
            // Also where the database was filled before there was an index.
            index_words(&*store).await?;
            Filled { store, config, properties_per_second: speed, _postgres: None }
        }
        Kind::Postgres => {
            // Nothing here must outlive a power cut; reading does not sync anyway.
            let settings = ["-c", "shared_buffers=1GB", "-c", "fsync=off", "-c", "max_wal_size=4GB"];
            let lacking = || io::Error::other("postgresql is not installed; `.ci/setup test` brings it");
            let server = PrivatePostgres::start_in(&folder, &settings)?.ok_or_else(lacking)?;
            let address = if is_filled { server.address("rest") } else { server.database_named("rest")? };
            let store =
                Arc::new(PostgresStore::open(&Secret::new(address.clone()), Default::default()).await?);
            let mut speed = None;
            if !is_filled {
                voice_server::data::Accounts::add_organization(
                    &*store,
                    DEMO_ORGANIZATION,
                    "Demo Realty".to_owned(),
                    Timestamp::from_millis(made::NOW),
                )
                .await?;
                speed = Some(fill(&*store, options).await?);
                add_agents(&*store).await?;
                let mut connection = PgConnection::connect(&address).await?;
                connection.execute("SELECT set_config('voice.scope', 'system', FALSE)").await?;
                for part in parts(conversations, CONVERSATIONS_AT_ONCE) {
                    let text = conversations_of(part, conversations, options.database);
                    connection.execute(AssertSqlSafe(text)).await?;
                }
                connection.close().await?;
            }
            if index_words(&*store).await? > 0 {
                server.sql("rest", "VACUUM ANALYZE")?;
            }
            Filled { store, config, properties_per_second: speed, _postgres: Some(server) }
        }
    };
    if !is_filled {
        std::fs::write(&marker, "")?;
        println!("filled in {:.0} s: {}", begun.elapsed().as_secs_f64(), folder.display());
    }
    // The server's own samples are no part of it.
    filled.config.allowed_origins.clear();
    Ok(filled)
}

/// The folder of build products that this program lies in.
fn target() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent);
    folder
        .map(Path::to_owned)
        .ok_or_else(|| io::Error::other("this program lies in no folder of build products"))
}

fn parts(total: u64, size: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..total).step_by(size.max(1) as usize).map(move |from| from..(from + size).min(total))
}

/// Puts the words of all conversations into their index, as a server does with those of before there was one.
async fn index_words(store: &dyn Store) -> Result<u64, Error> {
    let (begun, mut indexed) = (Instant::now(), 0);
    loop {
        match store.index_words(INDEXED_AT_ONCE).await? {
            0 => break,
            more => indexed += more,
        }
    }
    if indexed > 0 {
        println!("  words of {indexed} conversations, {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(indexed)
}

/// Whose conversations they are.
async fn add_agents(store: &dyn Store) -> Result<(), Error> {
    for number in 0..made::AGENTS as u64 {
        let agent = NewUser {
            id: made::agent_id(number),
            organization_id: DEMO_ORGANIZATION,
            email: format!("agent{number}@made.example"),
            name: format!("Agent {number}"),
            role: Role::Agent,
            password_hash: None,
            created_at: Timestamp::from_millis(made::NOW),
        };
        store.add_user(agent).await?;
    }
    Ok(())
}

/// Stores the listings as a sync does; in a second.
async fn fill(store: &dyn Store, options: &Options) -> Result<f64, Error> {
    let total = options.properties;
    let begun = Instant::now();
    let mut storing = std::time::Duration::ZERO;
    for (at, part) in parts(total, AT_ONCE).enumerate() {
        let listings: Vec<NewProperty> = part.clone().map(|number| made::property(number, total)).collect();
        let stored = Instant::now();
        store.save_properties(DEMO_ORGANIZATION, listings).await?;
        storing += stored.elapsed();
        if at % 25 == 24 {
            println!("  {} listings, {:.0} s", part.end, begun.elapsed().as_secs_f64());
        }
    }
    Ok(total as f64 / storing.as_secs_f64())
}

/// Statements that store a part of the conversations. Made words have no quotes.
fn conversations_of(part: std::ops::Range<u64>, total: u64, kind: Kind) -> String {
    let moment = |millis: i64| match kind {
        Kind::Sqlite => millis.to_string(),
        Kind::Postgres => format!("to_timestamp({millis} / 1000.0)"),
    };
    let truth = |is: bool| match kind {
        Kind::Sqlite => u8::from(is).to_string(),
        Kind::Postgres => is.to_string(),
    };
    let mut heads = String::from(
        "INSERT INTO conversations (id, organization_id, user_id, client_phone, status, created_at, ended_at, lead) \
         VALUES ",
    );
    let mut owed = String::from("INSERT INTO words_owed (conversation_id, organization_id) VALUES ");
    let mut turns = String::from(
        "INSERT INTO turns (organization_id, conversation_id, turn, said, reply, heard, started_ms, reply_started_ms, \
         interrupted, ledger, total_ms) VALUES ",
    );
    let mut is_first_turn = true;
    for number in part.clone() {
        let (id, began, count) =
            (made::conversation_id(number), made::began(number, total), made::turns(number));
        let comma = if number == part.start { "" } else { ", " };
        let _ = write!(
            heads,
            "{comma}('{id}', '{DEMO_ORGANIZATION}', '{}', '+1555{:07}', 'ended', {}, {}, {})",
            made::agent_id(number % made::AGENTS as u64),
            number % 40_000,
            moment(began),
            moment(began + 9_000 * count as i64),
            truth(number % 17 == 0)
        );
        let _ = write!(owed, "{comma}('{id}', '{DEMO_ORGANIZATION}')");
        for turn in 1..=count {
            let (said, reply) = made::exchange(number, turn);
            let comma = if is_first_turn { "" } else { ", " };
            is_first_turn = false;
            let _ = write!(
                turns,
                "{comma}('{DEMO_ORGANIZATION}', '{id}', {turn}, '{said}', '{reply}', '{reply}', {}, {}, {}, \
                 '{{\"endpoint\": 200.0, \"stt\": 50.0, \"llm\": 170.0, \"tts\": 60.0}}', 480.0)",
                8_500 * turn,
                8_500 * turn + 3_600,
                truth((number + turn) % 11 == 0)
            );
        }
    }
    format!("{heads}; {turns}; {owed}")
}
