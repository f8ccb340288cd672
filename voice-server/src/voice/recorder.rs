//! Stores the turns of one call in their order, and its end.
//!
//! Runs beside the call, so that a slow disk never holds up audio. A write that fails is tried again; the turns
//! meanwhile wait, up to a limit. It outlives the socket by a while, never the limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::call::TurnRecord;
use super::dating::Dated;
use super::messages::ledger_ms;
use crate::cost::{Account, Cost};
use crate::data::{CallEnd, DataError, Store, Timestamp, Turn};
use crate::events::Publisher;

/// Turns that wait to be stored at most: about ten minutes of talk.
pub(super) const QUEUE: usize = 64;

/// Longest pause between two attempts.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);
/// How long one write is tried. A database that is away for longer loses the turn, and the log says so.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client that is refused waits for its empty conversation to go.
const FORGET: Duration = Duration::from_secs(2);

/// Who writes, and for which conversation.
#[derive(Clone)]
pub(super) struct Recorder {
    /// Where to.
    pub(super) store: Arc<dyn Store>,
    /// Whose conversation.
    pub(super) organization: Uuid,
    /// Which conversation.
    pub(super) conversation: Uuid,
    /// When it was created, by the wall and by the clock that never jumps.
    pub(super) created: (Timestamp, Instant),
    /// The number of the last turn that the conversation had before this call; its turns go on from there.
    pub(super) turns_before: u32,
    /// Whether the conversation was made for this call.
    pub(super) is_new: bool,
    /// What its providers cost.
    pub(super) account: Account,
    /// Tells those who watch; `None` where nobody can.
    pub(super) publisher: Option<Arc<Publisher>>,
}

impl Recorder {
    /// Stores what comes until the sender is dropped, then marks the conversation as ended. `tell` gets each turn
    /// once it is stored, or given up. Dropping the future leaves the turns that were not stored yet.
    pub(super) async fn run(self, mut turns: mpsc::Receiver<Dated>, tell: impl Fn(TurnRecord)) {
        let (created, begun) = self.created;
        let since_begin = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // A conversation that was made before its call is older than the clock of the turns.
        let earlier = since_begin();
        while let Some(dated) = turns.recv().await {
            let number = dated.record.turn;
            let now = since_begin();
            let from_begin = |ms: u64| ms.saturating_add(earlier).min(now);
            let mut turn = stored(Dated {
                started_ms: from_begin(dated.started_ms),
                reply_started_ms: from_begin(dated.reply_started_ms),
                ..dated.clone()
            });
            turn.turn = turn.turn.saturating_add(self.turns_before);
            let write = || self.store.append_turn(self.organization, self.conversation, turn.clone());
            let outcome = persist(write).await;
            // What was erased while the call goes on is not told to those who watch either, nor kept for them.
            let is_erased = matches!(outcome, Err(DataError::NotFound));
            match outcome {
                Ok(()) => {}
                Err(_) if is_erased => {
                    tracing::info!(conversation = %self.conversation, turn = number, "a turn is not kept: its conversation was erased");
                }
                Err(error) => {
                    tracing::error!(conversation = %self.conversation, turn = number, %error, "a turn was not stored");
                }
            }
            if let Some(publisher) = self.publisher.as_ref().filter(|_| !is_erased) {
                publisher.turn(&dated.record);
            }
            tell(dated.record);
        }
        // Turns are dated from the begin too: a wall clock that is set back in a call ends it not before its last turn.
        let at = created.plus_millis(since_begin());
        let Cost { report, micros } = self.account.cost();
        let end = CallEnd { at, cost: Some(report), cost_micros: micros };
        let write = || self.store.end_conversation(self.organization, self.conversation, end.clone());
        match persist(write).await {
            Ok(()) | Err(DataError::NotFound) => {}
            Err(error) => {
                tracing::error!(conversation = %self.conversation, %error, "the end of a call was not stored");
            }
        }
        if let Some(publisher) = &self.publisher {
            publisher.ended();
        }
    }
}

impl Recorder {
    /// Takes the conversation back that was made for a socket which wanted none, where nothing was said in it.
    pub(super) async fn forget(&self) {
        if !self.is_new {
            return;
        }
        let forget = async {
            let found = self.store.conversation(self.organization, self.conversation).await?;
            if found.is_some_and(|found| found.turns.is_empty()) {
                self.store.erase_conversations(self.organization, vec![self.conversation]).await?;
            }
            Ok::<_, DataError>(())
        };
        match timeout(FORGET, forget).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(conversation = %self.conversation, %error, "an empty conversation stays");
            }
            Err(_) => tracing::warn!(conversation = %self.conversation, "an empty conversation stays"),
        }
    }
}

/// Tries until it works, the error cannot pass, or the patience ends.
async fn persist<'s, F>(write: impl Fn() -> F) -> Result<(), DataError>
where
    F: Future<Output = Result<(), DataError>> + Send + 's,
{
    let begun = Instant::now();
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

fn stored(Dated { record, started_ms, reply_started_ms }: Dated) -> Turn {
    let (ledger, total_ms) = ledger_ms(&record.ledger);
    Turn {
        turn: record.turn,
        said: record.said,
        reply: record.reply,
        heard: record.heard,
        started_ms,
        reply_started_ms,
        interrupted: record.interrupted,
        ledger,
        total_ms,
        by_person: record.by_person,
    }
}

#[cfg(test)]
mod tests {
    use voice_core::metrics::Measure;

    use super::*;
    use crate::cost::Prices;
    use crate::data::{ConversationStore as _, DEMO_ORGANIZATION, NewConversation, SqliteStore};

    #[tokio::test]
    async fn a_call_ends_after_its_last_turn_also_where_the_wall_clock_is_set_back_meanwhile() {
        let folder = std::env::temp_dir().join(format!("voice-recorder-{}", Uuid::new_v4()));
        let store = Arc::new(SqliteStore::open(&folder).await.expect("a store"));
        let organization = DEMO_ORGANIZATION;
        // The conversation was created by a clock that has been set back by an hour since.
        let created_at = Timestamp::now().plus_millis(3_600_000);
        let begun = Instant::now();
        let new = NewConversation::anonymous(Uuid::new_v4(), organization, created_at);
        let id = new.id;
        store.open_conversation(new).await.expect("a conversation");
        let (turns_in, turns) = mpsc::channel(QUEUE);
        let record = TurnRecord {
            turn: 1,
            said: "how much".into(),
            reply: "two".into(),
            heard: "two".into(),
            started_ms: 0,
            zero_ms: 0,
            ledger: vec![("endpoint", 0)],
            interrupted: false,
            by_person: false,
        };
        let now = u64::try_from(begun.elapsed().as_millis()).expect("a short test");
        turns_in.try_send(Dated { record, started_ms: now, reply_started_ms: now }).expect("room");
        drop(turns_in);
        let account = Account::start(Arc::new(Prices::load(None).expect("a table")));
        account.meter.count("deepgram", "nova-3", Measure::Audio, false).add(60 * 16_000);
        let recorder = Recorder {
            store: store.clone(),
            organization,
            conversation: id,
            created: (created_at, begun),
            turns_before: 0,
            is_new: true,
            account: account.clone(),
            publisher: None,
        };
        recorder.run(turns, |_| {}).await;
        let found = store.conversation(organization, id).await.expect("a store").expect("stored");
        let ended = found.conversation.ended_at.expect("ended");
        assert_eq!(found.transcript.len(), 2);
        assert_eq!(found.conversation.cost, Some(account.cost().report));
        assert!(
            found.transcript.iter().all(|line| created_at <= line.started_at && line.started_at <= ended)
        );
        let _ = std::fs::remove_dir_all(folder);
    }
}
