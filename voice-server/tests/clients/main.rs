//! Clients as others write them, against the real server: stock axios and fetch on Node.js.
//!
//! `.ci/setup test` brings Node.js and axios; without them, and without `VOICE_GATE=1`, this is left out and says so.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use uuid::Uuid;
use voice_fixtures::left_out;
use voice_server::app::App;
use voice_server::auth::password::Passwords;
use voice_server::auth::tokens::{KeyRing, Subject};
use voice_server::config::{Config, Secret};
use voice_server::data::{Accounts as _, DEMO_ORGANIZATION, NewUser, Role, SqliteStore, Timestamp};
use voice_server::shutdown;
use voice_server::voice::call::{AnyAnswerer, NotWritten, StageStatus, Written};

/// Longer than any client takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
const SECRET: &str = "a secret for this test, long enough";
const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "a password for this test";

/// Nobody calls here.
struct Silent;

impl AnyAnswerer for Silent {
    fn carry(
        self: Arc<Self>,
        _socket: voice_server::voice::actor::Socket,
    ) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn stages(&self) -> Vec<StageStatus> {
        Vec::new()
    }

    fn services(&self) -> futures::future::BoxFuture<'_, Vec<(&'static str, bool)>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn vitals(&self) -> voice_server::metrics::Vitals {
        voice_server::metrics::Vitals::default()
    }

    fn write(
        &self,
        _written: Written,
        _limit: Duration,
    ) -> futures::future::BoxFuture<'_, Result<String, NotWritten>> {
        Box::pin(std::future::ready(Err(NotWritten::Failed)))
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn runs_well(script: &str) {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/npm/node_modules");
    if !modules.join("axios").is_dir() {
        return left_out("axios is not installed; `.ci/setup test` brings it");
    }
    let folder = Folder(std::env::temp_dir().join(format!("voice-clients-{}", Uuid::new_v4())));
    let store = Arc::new(SqliteStore::open(&folder.0).await.unwrap());
    let user = Uuid::new_v4();
    let hash = Passwords::new(1).hash(PASSWORD).await.unwrap();
    let new = NewUser {
        id: user,
        organization_id: DEMO_ORGANIZATION,
        email: EMAIL.into(),
        name: "Ann".into(),
        role: Role::Agent,
        password_hash: Some(Secret::new(&hash)),
        created_at: Timestamp::now(),
    };
    store.add_user(new).await.unwrap();
    let config =
        Config { data: folder.0.clone(), auth_secret: Some(Secret::new(SECRET)), ..Config::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (trigger, ends) = shutdown::channel();
    let app = App::new(config, store, Arc::new(Silent), ends).await.unwrap();
    let serving = tokio::spawn(app.serve(listener));
    // A token that was good an hour ago.
    let subject = Subject {
        user,
        organization: DEMO_ORGANIZATION,
        role: Role::Agent,
        session: Uuid::new_v4(),
        revision: 1,
    };
    let hour_ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 3_600;
    let (expired, _) = KeyRing::new(SECRET, []).sign(subject, hour_ago).unwrap();
    let ran = tokio::process::Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
        .env("BASE", base)
        .env("EMAIL", EMAIL)
        .env("PASSWORD", PASSWORD)
        .env("EXPIRED", expired)
        .env("MODULES", modules)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(LIMIT, ran).await.expect("the client does not end").unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.starts_with("ok"), "{out}\n{errors}");
    trigger.begin();
    tokio::time::timeout(LIMIT, serving).await.expect("the server ends").unwrap();
}

#[tokio::test]
async fn axios_with_a_refresh_interceptor_and_no_mutex_stays_signed_in() {
    runs_well("axios.mjs").await;
}

#[tokio::test]
async fn fetch_with_a_refresh_of_its_own_stays_signed_in() {
    runs_well("fetch.mjs").await;
}
