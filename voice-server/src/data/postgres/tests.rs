//! What only Postgres promises, and the contract on it: direct and through a transaction pooler.

use futures::FutureExt as _;
use sqlx::migrate::Migrator;
use uuid::Uuid;
use voice_fixtures::left_out;
use voice_fixtures::private::{PrivatePgBouncer, PrivatePostgres};

use super::super::{
    Accounts as _, ConversationStore as _, DEMO_ORGANIZATION, Timestamp, Upkeep as _, contract,
};
use super::*;

const NO_POSTGRES: &str = "postgresql is not installed; `.ci/setup test` brings it";
const NO_POOLER: &str = "pgbouncer is not installed; `.ci/setup test` brings it";

fn postgres() -> Option<&'static PrivatePostgres> {
    let found = PrivatePostgres::shared();
    if found.is_none() {
        left_out(NO_POSTGRES);
    }
    found
}

/// A store in a database of its own, with the organization that the contract's tests use.
async fn store(address: &str) -> PostgresStore {
    let store = PostgresStore::open(&Secret::new(address), Pooling::Auto).await.expect("a store");
    contract::prepare(&store).await;
    store
}

/// A store that was of version `last` and had the rows.
async fn brought_up(server: &PrivatePostgres, last: i64, rows: Vec<String>) -> PostgresStore {
    let address = server.database().expect("a database");
    let before = MIGRATIONS.iter().filter(|m| m.version <= last).cloned().collect();
    let before = Migrator::with_migrations(before);
    // As the tables' owner, who like everybody sees no row of an organization that he did not name.
    let pool = PgPool::connect(&address).await.expect("connected");
    before.run(&pool).await.expect("the tables before");
    let mut kept = pool.begin().await.expect("begun");
    let scope = "SELECT set_config('voice.scope', 'system', TRUE)".to_owned();
    for statement in std::iter::once(scope).chain(rows) {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *kept).await.expect("a row");
    }
    kept.commit().await.expect("kept");
    pool.close().await;
    store(&address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_older_calls_count_where_a_secret_key_told_them() {
    let Some(server) = postgres() else { return };
    let store = brought_up(server, 2, contract::older_calls("now()")).await;
    contract::a_number_of_an_older_call_counts_where_a_secret_key_told_it(&store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_listings_are_found_by_state_and_type() {
    let Some(server) = postgres() else { return };
    let words_in = ["(number, words)", "array_to_tsvector(string_to_array(", ", ' '))"];
    let store = brought_up(server, 5, contract::older_listings("now()", words_in)).await;
    contract::older_listings_are_found_by_state_and_type(&store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_keeps_the_contract_after_the_tables_were_made_without_it() {
    let Some(server) = postgres() else { return };
    let Some(pooler) = PrivatePgBouncer::start(server).expect("starts") else { return left_out(NO_POOLER) };
    let address = server.database().expect("a database");
    let name = address.rsplit('/').next().expect("a name");
    let pooled = Secret::new(pooler.address(name));
    let error = PostgresStore::open(&pooled, Pooling::Transaction).await.err().expect("refused").to_string();
    assert!(error.contains("voice migrate") && error.contains("5432"), "{error}");
    store(&address).await.close().await;
    let store = PostgresStore::open(&pooled, Pooling::Transaction).await.expect("a store");
    contract::keeps_the_contract(&store).await;
    // Many at once share three connections of the server.
    let ids: Vec<Uuid> = (0..60).map(|_| Uuid::new_v4()).collect();
    let opened = futures::future::join_all(
        ids.iter().map(|id| store.open_conversation(contract::conversation(*id, 1))),
    );
    assert!(opened.await.iter().all(Result::is_ok));
    let read =
        futures::future::join_all(ids.iter().map(|id| store.conversation(DEMO_ORGANIZATION, *id))).await;
    assert!(read.iter().all(|found| matches!(found, Ok(Some(_)))));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_level_security_shows_a_transaction_its_organization_and_nothing_without_one() {
    let Some(server) = postgres() else { return };
    let store = store(&server.database().expect("a database")).await;
    let (mine, other) = (Uuid::new_v4(), Uuid::new_v4());
    store.open_conversation(contract::conversation(mine, 1)).await.expect("opened");
    store.append_turn(DEMO_ORGANIZATION, mine, contract::turn(1)).await.expect("stored");
    store.add_organization(other, "Other".into(), Timestamp::now()).await.expect("added");
    let tables: Vec<String> = sqlx::query(
        "SELECT table_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND column_name = 'organization_id'",
    )
    .fetch_all(&store.pool)
    .await
    .expect("read")
    .iter()
    .map(|row| row.get(0))
    .collect();
    assert!(tables.len() >= 8, "{tables:?}");
    // Statements that name no organization at all: what a forgotten condition would be.
    for table in &tables {
        let count = || AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let bare: i64 = sqlx::query(count()).fetch_one(&store.pool).await.expect("read").get(0);
        assert_eq!(bare, 0, "{table} without a setting");
        for scope in [Scope::Of(other), Scope::Of(Uuid::new_v4())] {
            let mut work = store.read(scope).await.expect("begun");
            let rows: i64 = sqlx::query(count()).fetch_one(work.on()).await.expect("read").get(0);
            assert_eq!(rows, 0, "{table} as another organization");
        }
    }
    let mut work = store.read(Scope::Of(DEMO_ORGANIZATION)).await.expect("begun");
    let turns: i64 =
        sqlx::query("SELECT count(*) FROM turns").fetch_one(work.on()).await.expect("read").get(0);
    assert_eq!(turns, 1, "its own are there");
    drop(work);
    // A connection that was used for an organization is used for nobody's afterwards.
    for _ in 0..50 {
        let bare: i64 =
            sqlx::query("SELECT count(*) FROM turns").fetch_one(&store.pool).await.expect("read").get(0);
        assert_eq!(bare, 0);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_given_up_at_its_begin_leaves_nothing_to_the_next_on_its_connection() {
    let Some(server) = postgres() else { return };
    let store = store(&server.database().expect("a database")).await;
    for polls in 1..6 {
        // As lookups whose time is over, or requests whose clients went, wherever that happens.
        let mut begun: Vec<_> = (0..KEPT).map(|_| Some(Box::pin(store.read(Scope::System)))).collect();
        for _ in 0..polls {
            for begun in &mut begun {
                begun.take_if(|begun| begun.as_mut().now_or_never().is_some());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(begun);
        // At the same time, so that every connection is among them.
        let mut all = Vec::new();
        for _ in 0..KEPT {
            let mut work = store.write(Scope::Of(DEMO_ORGANIZATION)).await.expect("begun");
            let found = sqlx::query(
                "SELECT coalesce(current_setting('voice.scope', TRUE), '') AS scope,
                 current_setting('transaction_read_only') AS read_only",
            );
            let found = found.fetch_one(work.on()).await.expect("read");
            assert_eq!(found.get::<String, _>("scope"), "", "everybody's rows may be seen");
            assert_eq!(found.get::<String, _>("read_only"), "off", "what is to write may only read");
            all.push(work);
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_and_a_stranger_who_may_read_the_tables_sees_no_row() {
    let Some(server) = postgres() else { return };
    let address = server.database().expect("a database");
    let name = address.rsplit('/').next().expect("a name");
    let store = store(&address).await;
    contract::keeps_the_contract(&store).await;
    // As Supabase has `anon`.
    let role = format!("stranger_of_{name}");
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'open'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    );
    server.sql(name, &make).expect("made");
    let stranger = format!("postgresql://{role}:open@127.0.0.1:{}/{name}", server.port());
    let stranger = PgPool::connect(&stranger).await.expect("connected");
    let tables = sqlx::query(
        "SELECT table_name::text FROM information_schema.tables
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> '_sqlx_migrations'",
    );
    let tables = tables.fetch_all(&store.pool).await.expect("read");
    assert!(tables.len() >= 13, "{}", tables.len());
    let mut full = 0;
    for table in &tables {
        let table: String = table.get(0);
        let count = || AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let mut work = store.read(Scope::System).await.expect("begun");
        let all: i64 = sqlx::query(count()).fetch_one(work.on()).await.expect("read").get(0);
        full += usize::from(all > 0);
        let seen: i64 = sqlx::query(count()).fetch_one(&stranger).await.expect("read").get(0);
        assert_eq!(seen, 0, "{table}");
    }
    assert!(full >= 10, "there was little to see: {full}");
    stranger.close().await;
    store.close().await;
    server.sql(name, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).expect("dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_earlier_version_keeps_its_calls_and_their_words() {
    let Some(server) = postgres() else { return };
    let address = server.database().expect("a database");
    let call = Uuid::new_v4();
    let pool = PgPool::connect(&address).await.expect("connected");
    let first = MIGRATIONS.iter().filter(|migration| migration.version <= 2).cloned().collect();
    Migrator::with_migrations(first).run(&pool).await.expect("the tables of then");
    let rows = format!(
        "BEGIN; SELECT set_config('voice.scope', 'system', TRUE);
         INSERT INTO organizations (id, name, created_at) VALUES ('{DEMO_ORGANIZATION}', 'Old', now());
         INSERT INTO conversations (id, organization_id, status, created_at)
             VALUES ('{call}', '{DEMO_ORGANIZATION}', 'active', now());
         INSERT INTO turns (organization_id, conversation_id, turn, said, reply, heard, started_ms, reply_started_ms,
                            interrupted, ledger, total_ms)
             VALUES ('{DEMO_ORGANIZATION}', '{call}', 1, 'garden please', 'yes', 'yes', 1, 2, FALSE, '{{}}', 1.0);
         COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&pool).await.expect("stored");
    pool.close().await;
    let store = PostgresStore::open(&Secret::new(address), Pooling::Auto).await.expect("brought up to date");
    for left in [1, 0] {
        assert_eq!(store.index_words(10).await.expect("indexed"), left);
    }
    let filter = super::super::ConversationFilter { words: vec!["gard".into()], ..Default::default() };
    let page = store.conversations(DEMO_ORGANIZATION, filter, None, 5).await.expect("read");
    assert_eq!(page.items.iter().map(|found| found.id).collect::<Vec<_>>(), [call]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_bring_the_tables_up_at_once_and_neither_fails() {
    let Some(server) = postgres() else { return };
    let address = Secret::new(server.database().expect("a database"));
    let open = || PostgresStore::open(&address, Pooling::Auto);
    let (first, second) = tokio::join!(open(), open());
    for store in [first.expect("opened"), second.expect("opened")] {
        store.ping().await.expect("answers");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_where_it_is_asked_for_and_an_unknown_certificate_is_refused() {
    let Some(server) = PrivatePostgres::with_tls().expect("starts") else { return left_out(NO_POSTGRES) };
    let address = server.database().expect("a database");
    let open = |query: String| {
        let address = Secret::new(format!("{address}?{query}"));
        async move { PostgresStore::open(&address, Pooling::Auto).await }
    };
    let store = open("sslmode=require".into()).await.expect("opened");
    let encrypted: bool = sqlx::query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&store.pool)
        .await
        .expect("read")
        .get(0);
    assert!(encrypted);
    store.close().await;
    assert!(open("sslmode=verify-full".into()).await.is_err(), "nobody vouches for it");
    let root = server.folder().join("ca.crt");
    let store = open(format!("sslmode=verify-full&sslrootcert={}", root.display())).await.expect("opened");
    store.ping().await.expect("answers");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_cut_are_noticed_before_they_are_used() {
    let Some(server) = postgres() else { return };
    let address = server.database().expect("a database");
    let store = store(&address).await;
    for _ in 0..3 {
        let name = address.rsplit('/').next().expect("a name");
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        server.sql("postgres", &cut).expect("cut");
        let asked = futures::future::join_all((0..40).map(|_| store.organization(DEMO_ORGANIZATION))).await;
        assert!(asked.iter().all(|found| matches!(found, Ok(Some(_)))), "{asked:?}");
    }
    let options = store.pool.options();
    assert_eq!((options.get_min_connections(), options.get_max_connections()), (20, 50));
    assert_eq!(options.get_max_lifetime(), Some(Duration::from_secs(300)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_refused_without_showing_its_password() {
    for address in ["postgresql://voice:hunter2@", "postgresql://voice:hunter2@127.0.0.1:notaport/x"] {
        let error =
            PostgresStore::connect(&Secret::new(address), Pooling::Auto).await.err().expect("refused");
        let told = format!("{error} {error:?}");
        assert!(!told.contains("hunter2") && told.contains("DATABASE_URL"), "{told}");
    }
}
