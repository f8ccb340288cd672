//! Stores the turns of one call in their order, and its end.
//!
//! Runs beside the call, so that a slow disk never holds up audio. A write that fails is tried again; the turns
//! meanwhile wait, up to a limit. It outlives the socket by a while, never the limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::call::TurnRecord;
use super::messages::ledger_ms;
use crate::data::{DataError, Store, Timestamp, Turn};

/// Turns that wait to be stored at most: about ten minutes of talk.
pub(super) const QUEUE: usize = 64;

/// Longest pause between two attempts.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);
/// How long one write is tried. A database that is away for longer loses the turn, and the log says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who writes, and for which conversation.
#[derive(Clone)]
pub(super) struct Recorder {
    /// Where to.
    pub(super) store: Arc<dyn Store>,
    /// Whose conversation.
    pub(super) organization: Uuid,
    /// Which conversation.
    pub(super) conversation: Uuid,
}

impl Recorder {
    /// Stores what comes until the sender is dropped, then marks the conversation as ended. `tell` gets each turn
    /// once it is stored, or given up. Dropping the future leaves the turns that were not stored yet.
    pub(super) async fn run(self, mut turns: mpsc::Receiver<TurnRecord>, tell: impl Fn(TurnRecord)) {
        while let Some(record) = turns.recv().await {
            let number = record.turn;
            let turn = stored(record.clone());
            let write = || self.store.append_turn(self.organization, self.conversation, turn.clone());
            if let Err(error) = persist(write).await {
                tracing::error!(conversation = %self.conversation, turn = number, %error, "a turn was not stored");
            }
            tell(record);
        }
        let at = Timestamp::now();
        let write = || self.store.end_conversation(self.organization, self.conversation, at);
        if let Err(error) = persist(write).await {
            tracing::error!(conversation = %self.conversation, %error, "the end of a call was not stored");
        }
    }
}

/// Tries until it works, the error cannot pass, or the patience ends.
async fn persist<'s, F>(write: impl Fn() -> F) -> Result<(), DataError>
where
    F: Future<Output = Result<(), DataError>> + Send + 's,
{
    let begun = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        match write().await {
            Err(DataError::Unavailable(cause)) if begun.elapsed() < PATIENCE => {
                tracing::warn!(error = %cause, "a write failed and is tried again");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LIMIT);
    }
}

fn stored(record: TurnRecord) -> Turn {
    let (ledger, total_ms) = ledger_ms(&record.ledger);
    Turn {
        turn: record.turn,
        said: record.said,
        reply: record.reply,
        heard: record.heard,
        started_ms: record.started_ms,
        reply_started_ms: record.zero_ms.saturating_add(total_ms.round() as u64),
        interrupted: record.interrupted,
        ledger,
        total_ms,
    }
}
