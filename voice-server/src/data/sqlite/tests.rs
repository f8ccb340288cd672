//! What only the embedded database promises.

use std::path::PathBuf;

use sqlx::Row as _;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::super::{ConversationStore as _, Status, Upkeep as _, contract};
use super::*;

/// A folder that is gone when the value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("voice-store-{}", Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.0).await.expect("a new store");
    contract::keeps_the_contract(&store).await;
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_by_name_and_a_command_is_not() {
    let folder = Folder::new();
    let _first = SqliteStore::open(&folder.0).await.expect("a new store");
    let error = SqliteStore::open(&folder.0).await.err().expect("refused").to_string();
    assert!(error.contains("another voice server") && error.contains("VOICE_DATA"), "{error}");
    let beside = SqliteStore::attach(&folder.0).await.expect("attached");
    beside.open_conversation(contract::conversation(Uuid::new_v4(), 1)).await.expect("written beside");
}

#[tokio::test]
async fn turns_survive_and_what_was_left_active_is_ended_at_the_next_start() {
    let folder = Folder::new();
    let id = Uuid::new_v4();
    {
        let store = SqliteStore::open(&folder.0).await.expect("a new store");
        store.open_conversation(contract::conversation(id, 1_000)).await.expect("opened");
        store.append_turn(DEMO_ORGANIZATION, id, contract::turn(1)).await.expect("stored");
        // Dropped without closing, as a crash would leave it.
    }
    let store = SqliteStore::open(&folder.0).await.expect("the same store");
    assert_eq!(store.end_abandoned(Timestamp::now()).await.expect("ended"), 1);
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns, [contract::turn(1)]);
    assert_eq!(found.conversation.status, Status::Ended);
    assert!(found.conversation.ended_at >= Some(found.conversation.created_at));
}

#[tokio::test]
async fn every_commit_is_synced_to_the_disk() {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.0).await.expect("a new store");
    let synchronous: i64 =
        sqlx::query("PRAGMA synchronous").fetch_one(&store.writer).await.expect("read").get(0);
    let journal: String =
        sqlx::query("PRAGMA journal_mode").fetch_one(&store.writer).await.expect("read").get(0);
    assert_eq!((synchronous, journal.as_str()), (2, "wal"), "2 is FULL");
}

#[tokio::test]
async fn a_database_of_the_first_version_keeps_its_calls() {
    let folder = Folder::new();
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let id = Uuid::new_v4();
    {
        let options =
            SqliteConnectOptions::new().filename(folder.0.join("voice.sqlite3")).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.expect("a file");
        let first = MIGRATIONS.iter().filter(|m| m.version == 1).cloned().collect();
        let first = Migrator::with_migrations(first);
        first.run(&pool).await.expect("the first version's tables");
        for statement in [
            format!("INSERT INTO organizations VALUES ('{DEMO_ORGANIZATION}', 'Old', 1)"),
            format!(
                "INSERT INTO conversations VALUES ('{id}', '{DEMO_ORGANIZATION}', 'ended', NULL, 1000, 9000, '{{}}')"
            ),
            format!(
                "INSERT INTO turns VALUES ('{id}', 1, 'garden please', 'yes', 'yes', 1, 2, 0, '{{\"stt\":1.0}}', 1.0)"
            ),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.expect("a row");
        }
        pool.close().await;
    }
    let store = SqliteStore::open(&folder.0).await.expect("brought up to date");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns[0].said, "garden please");
    let filter = super::super::ConversationFilter { words: vec!["gard".into()], ..Default::default() };
    for left in [1, 0] {
        assert_eq!(store.index_words(10).await.expect("indexed"), left);
    }
    let page = store.conversations(DEMO_ORGANIZATION, filter, None, 5).await.expect("read");
    assert_eq!(page.items.len(), 1, "the words of old turns are found too");
}

/// A store that was of version `last` and had the rows.
async fn brought_up(folder: &Folder, last: i64, rows: Vec<String>) -> SqliteStore {
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let options =
        SqliteConnectOptions::new().filename(folder.0.join("voice.sqlite3")).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.expect("a file");
    let before = MIGRATIONS.iter().filter(|m| m.version <= last).cloned().collect();
    let before = Migrator::with_migrations(before);
    before.run(&pool).await.expect("the tables before");
    for statement in rows {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.expect("a row");
    }
    pool.close().await;
    SqliteStore::open(&folder.0).await.expect("brought up to date")
}

#[tokio::test]
async fn numbers_of_older_calls_count_where_a_secret_key_told_them() {
    let folder = Folder::new();
    let store = brought_up(&folder, 3, contract::older_calls("1")).await;
    contract::a_number_of_an_older_call_counts_where_a_secret_key_told_it(&store).await;
}

#[tokio::test]
async fn older_listings_are_found_by_state_and_type() {
    let folder = Folder::new();
    let store = brought_up(&folder, 6, contract::older_listings("1", ["(rowid, words)", "", ""])).await;
    contract::older_listings_are_found_by_state_and_type(&store).await;
}

#[tokio::test]
async fn a_server_that_knows_no_shelves_stores_nothing_that_nobody_finds() {
    let folder = Folder::new();
    let store = brought_up(&folder, 6, Vec::new()).await;
    for statement in contract::older_listings("1", ["(rowid, words)", "", ""]).into_iter().skip(1).take(2) {
        let done = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&store.writer).await;
        match done {
            Ok(_) => assert!(statement.contains("INTO properties "), "{statement}"),
            Err(error) => assert!(error.to_string().contains("start it anew"), "{error}"),
        }
    }
    let stored = sqlx::query("SELECT count(*) FROM property_facts").fetch_one(&store.writer).await;
    assert_eq!(stored.expect("read").get::<i64, _>(0), 0);
}

#[tokio::test]
async fn what_a_caller_said_before_is_found_by_the_index_of_numbers_that_count() {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.0).await.expect("a new store");
    let plan = sqlx::query(
        "EXPLAIN QUERY PLAN SELECT id FROM conversations WHERE organization_id = 'a' AND phone_trusted
         AND status = 'ended' AND client_phone = 'b' ORDER BY created_at DESC, id DESC LIMIT 5",
    );
    let plan: Vec<String> =
        plan.fetch_all(&store.readers).await.expect("a plan").iter().map(|row| row.get("detail")).collect();
    assert!(plan.len() == 1 && plan[0].contains("conversations_of_trusted_phone"), "{plan:?}");
}

/// Not a test of speed: prints what a durable turn costs on this machine. Run it by name with `--nocapture`.
#[tokio::test]
#[ignore = "measures this machine's disk; run by whoever states the number"]
async fn cost_of_a_durable_turn() {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.0).await.expect("a new store");
    let id = Uuid::new_v4();
    store.open_conversation(contract::conversation(id, 1_000)).await.expect("opened");
    let mut took: Vec<Duration> = Vec::new();
    for number in 1..=500 {
        let begun = std::time::Instant::now();
        store.append_turn(DEMO_ORGANIZATION, id, contract::turn(number)).await.expect("stored");
        took.push(begun.elapsed());
    }
    took.sort();
    println!("append_turn p50 {:?} p99 {:?} max {:?}", took[250], took[495], took[499]);
}

#[tokio::test]
async fn no_sentence_and_no_number_that_was_erased_is_left_in_the_files() {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.0).await.expect("a new store");
    let organization = DEMO_ORGANIZATION;
    let id = Uuid::new_v4();
    let new = super::super::NewConversation {
        client_phone: Some("+15557770001".into()),
        ..contract::conversation(id, 1)
    };
    store.open_conversation(new).await.expect("opened");
    for number in 1..40 {
        let said = format!("my secret word is xylophonist {}", "and so on ".repeat(60));
        let turn = super::super::Turn { said, ..contract::turn(number) };
        store.append_turn(organization, id, turn).await.expect("stored");
    }
    // Names of the files that hold it.
    let holding = |what: &str| -> Vec<String> {
        let files = std::fs::read_dir(&folder.0).expect("a folder").map(|file| file.expect("a file").path());
        files
            .filter(|file| {
                let bytes = std::fs::read(file).unwrap_or_default();
                bytes.windows(what.len()).any(|part| part == what.as_bytes())
            })
            .map(|file| file.display().to_string())
            .collect()
    };
    let secrets = ["xylophonist and so", "15557770001"];
    assert!(secrets.iter().all(|secret| !holding(secret).is_empty()), "it was written");
    assert_eq!(store.erase_conversations(organization, vec![id]).await.expect("erased"), 1);
    for secret in secrets {
        assert_eq!(holding(secret), Vec::<String>::new(), "{secret}");
    }
}
