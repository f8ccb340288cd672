//! What `voice user` and `voice key` share: the settings, the database beside a running server, and the organization meant.

use std::process::ExitCode;
use std::sync::Arc;

use uuid::Uuid;

use super::print;
use crate::config::{Config, Flags};
use crate::data::{DEMO_ORGANIZATION, DataError, PostgresStore, SqliteStore, Store};
use crate::error::Failure;

/// Runs a command on the database that the settings name. A sentence that it gives is its failure.
pub(super) fn on_store<F>(flags: &Flags, work: impl FnOnce(Config, Arc<dyn Store>) -> F) -> ExitCode
where
    F: Future<Output = Result<(), String>>,
{
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(error) => return super::fail(&error.into()),
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error.into()),
    };
    runtime.block_on(async {
        let store = match open(&config).await {
            Ok(store) => store,
            Err(error) => return super::fail(&Failure::from(error)),
        };
        let done = work(config, store.clone()).await;
        store.close().await;
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                print::error(sentence);
                ExitCode::FAILURE
            }
        }
    })
}

async fn open(config: &Config) -> Result<Arc<dyn Store>, DataError> {
    Ok(match &config.database_url {
        None => Arc::new(SqliteStore::attach(&config.data).await?),
        Some(address) => {
            let store = PostgresStore::open(address, config.database_pooling).await?;
            crate::app::first_organization(&store).await?;
            Arc::new(store)
        }
    })
}

/// The organization that is meant: the one named, else the server's.
pub(super) async fn organization(
    config: &Config,
    store: &dyn Store,
    named: Option<Uuid>,
) -> Result<Uuid, String> {
    let id = named.or(config.default_organization).unwrap_or(DEMO_ORGANIZATION);
    match store.organization(id).await {
        Ok(Some(_)) => Ok(id),
        Ok(None) => Err(format!("there is no organization {id}; name another with --organization")),
        Err(error) => Err(failed(&error)),
    }
}

/// What the database did not do, in a sentence.
pub(super) fn failed(error: &DataError) -> String {
    match error {
        DataError::NotFound => "there is no such thing; look at the list".to_owned(),
        other => Failure::sentence(other),
    }
}
