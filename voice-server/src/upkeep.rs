//! What the server does for its data now and then: expired rows are removed, and calls that nobody carries any more are ended.
//!
//! Owned by `App::serve` and ended with it. A round that fails is told in the log and comes again.

use std::time::Duration;

use crate::app::{App, LONGEST_CALL_MS};
use crate::data::Timestamp;

/// Time between two rounds. A server that restarts often does its first one soon.
const EVERY: Duration = Duration::from_secs(600);
const FIRST: Duration = Duration::from_secs(20);
/// Conversations of before whose words go into the index in one transaction, and the pause for others between two.
const INDEXED_AT_ONCE: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(50);

/// Goes on until it is dropped.
pub(crate) async fn keep(app: &App) {
    tokio::time::sleep(FIRST).await;
    loop {
        let now = Timestamp::now();
        if let Err(error) = app.store.sweep(now).await {
            tracing::warn!(%error, "expired rows were not removed; it is tried again");
        }
        // Also those that were made and never called, and those of a server that is gone.
        match app.store.end_abandoned(now.minus_millis(LONGEST_CALL_MS)).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "conversations that nobody carried any more were ended"),
            Err(error) => tracing::warn!(%error, "abandoned conversations were not ended; it is tried again"),
        }
        index_words(app).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// What was stored before words had an index can be searched after this.
async fn index_words(app: &App) {
    let mut indexed = 0;
    loop {
        match app.store.index_words(INDEXED_AT_ONCE).await {
            Ok(0) => break,
            Ok(more) => indexed += more,
            Err(error) => {
                tracing::warn!(%error, "words of older conversations were not indexed; it is tried again");
                break;
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
    if indexed > 0 {
        tracing::info!(indexed, "the words of older conversations can be searched now");
    }
}
