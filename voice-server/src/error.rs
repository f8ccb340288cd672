//! What stops the program: one plain sentence each, with what to do next.

use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::data::DataError;
use crate::storage::StorageError;

/// Why a command ended without doing what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The price table cannot be used.
    #[error(transparent)]
    Prices(#[from] crate::cost::PricesError),
    /// The database cannot be opened.
    #[error("{}", Self::sentence(.0))]
    Data(#[from] DataError),
    /// There is no object storage.
    #[error("{}", storage(.0))]
    Storage(#[from] StorageError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {detail}; choose another address with --bind or VOICE_BIND")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        detail: String,
    },
    /// Sign-in cannot be set up.
    #[error("sign-in cannot be set up: {0}")]
    Auth(String),
    /// The default organization does not exist.
    #[error("VOICE_DEFAULT_ORGANIZATION names an organization that does not exist; correct or unset it")]
    Organization,
    /// The address of Redis cannot be used.
    #[error("the address in REDIS_URL cannot be used ({0}); correct it or unset it")]
    Redis(String),
    /// The engine cannot be put together.
    #[error("the engine cannot start: {0}; free some memory or threads and try again")]
    Engine(#[from] voice_core::session::EngineError),
    /// The operating system refused something every program needs.
    #[error("the system refused to start the program: {0}; free some memory or threads and try again")]
    System(#[from] std::io::Error),
}

impl Failure {
    /// True where the fault is in how the command was called: exit status 2 instead of 1.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::Organization
                | Self::Prices(_)
                | Self::Redis(_)
                | Self::Storage(StorageError::Settings(_))
        )
    }

    /// What the database did not do, and what to do next.
    pub(crate) fn sentence(error: &DataError) -> String {
        match error {
            DataError::Folder(sentence) => sentence.clone(),
            DataError::Migration(cause) => format!(
                "the tables of the database cannot be brought up to date: {cause}; use the version that wrote them, or \
                 another folder with --data"
            ),
            DataError::Unavailable(cause) => format!("the database does not answer: {cause}; try again"),
            other => format!("the database failed: {other}; `voice doctor` says more"),
        }
    }
}

fn storage(error: &StorageError) -> String {
    match error {
        StorageError::Settings(sentence) => sentence.clone(),
        other => format!("the object storage cannot be used: {other}; check the S3 settings"),
    }
}
