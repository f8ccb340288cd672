//! What every store must do, as one suite that each database's tests run.

use serde_json::json;
use uuid::Uuid;

use super::{
    CallEnd, ConversationFilter, Cursor, DEMO_ORGANIZATION, DataError, NewConversation, Speaker, Status,
    Store, Timestamp, Turn,
};

/// A conversation of the demo organization, created at `millis`.
pub(super) fn conversation(id: Uuid, millis: i64) -> NewConversation {
    NewConversation::anonymous(id, DEMO_ORGANIZATION, Timestamp::from_millis(millis))
}

/// A turn whose every field is different from its default.
pub(super) fn turn(number: u32) -> Turn {
    Turn {
        turn: number,
        said: format!("question {number}"),
        reply: format!("answer {number}"),
        heard: "answer".into(),
        started_ms: 1_000 * u64::from(number),
        reply_started_ms: 1_000 * u64::from(number) + 350,
        interrupted: true,
        ledger: json!({"endpoint": 200.5, "stt": 50.0}),
        total_ms: 250.5,
    }
}

/// Runs the whole suite on a fresh store.
pub(super) async fn keeps_the_contract(store: &dyn Store) {
    store.ping().await.expect("answers");
    the_demo_organization_is_there(store).await;
    a_conversation_reads_back_as_it_was_opened(store).await;
    an_id_is_taken_once(store).await;
    turns_come_back_in_order_and_the_last_write_of_one_holds(store).await;
    a_transcript_holds_both_sides_and_leaves_out_empty_words(store).await;
    an_end_is_kept(store).await;
    another_organization_sees_and_changes_nothing(store).await;
    pages_hold_every_conversation_once_newest_first(store).await;
    odd_text_comes_back_as_it_went_in(store).await;
}

async fn the_demo_organization_is_there(store: &dyn Store) {
    let found = store.organization(DEMO_ORGANIZATION).await.expect("read");
    assert_eq!(found.map(|organization| organization.id), Some(DEMO_ORGANIZATION));
    assert_eq!(store.organization(Uuid::new_v4()).await.expect("read"), None);
}

async fn a_conversation_reads_back_as_it_was_opened(store: &dyn Store) {
    let id = Uuid::new_v4();
    let mut new = conversation(id, 1_700_000_000_123);
    new.client_phone = Some("+1 555 0100".into());
    new.metadata = json!({"campaign": {"name": "spring"}});
    store.open_conversation(new.clone()).await.expect("opened");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.conversation.status, Status::Active);
    assert_eq!(found.conversation.client_phone, new.client_phone);
    assert_eq!(found.conversation.metadata, new.metadata);
    assert_eq!(found.conversation.created_at, new.created_at);
    assert_eq!(found.conversation.ended_at, None);
    assert!(found.turns.is_empty() && found.transcript.is_empty());
}

async fn an_id_is_taken_once(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    assert!(matches!(store.open_conversation(conversation(id, 2)).await, Err(DataError::Exists)));
}

async fn turns_come_back_in_order_and_the_last_write_of_one_holds(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    for number in [2, 1, 3, 2] {
        store.append_turn(DEMO_ORGANIZATION, id, turn(number)).await.expect("stored");
    }
    let amended = Turn { said: "amended".into(), ..turn(3) };
    store.append_turn(DEMO_ORGANIZATION, id, amended.clone()).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns, [turn(1), turn(2), amended]);
    let unknown = store.append_turn(DEMO_ORGANIZATION, Uuid::new_v4(), turn(1)).await;
    assert!(matches!(unknown, Err(DataError::NotFound)));
}

async fn a_transcript_holds_both_sides_and_leaves_out_empty_words(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 10_000)).await.expect("opened");
    let greeting = Turn { said: String::new(), ..turn(1) };
    let unanswered = Turn { reply: String::new(), heard: String::new(), ..turn(2) };
    for turn in [greeting, unanswered] {
        store.append_turn(DEMO_ORGANIZATION, id, turn).await.expect("stored");
    }
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    let read: Vec<_> = found
        .transcript
        .iter()
        .map(|u| (u.role, u.text.as_str(), u.heard.as_str(), u.started_at.as_millis()))
        .collect();
    assert_eq!(
        read,
        [
            (Speaker::Assistant, "answer 1", "answer", 11_350),
            (Speaker::User, "question 2", "question 2", 12_000)
        ]
    );
}

async fn an_end_is_kept(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    for at in [50, 60] {
        store
            .end_conversation(DEMO_ORGANIZATION, id, CallEnd::at(Timestamp::from_millis(at)))
            .await
            .expect("ended");
    }
    // A turn whose writing was delayed past the end is still stored.
    store.append_turn(DEMO_ORGANIZATION, id, turn(1)).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.conversation.status, Status::Ended);
    assert_eq!(found.conversation.ended_at, Some(Timestamp::from_millis(50)));
    assert_eq!(found.turns.len(), 1);
}

async fn another_organization_sees_and_changes_nothing(store: &dyn Store) {
    let (id, other) = (Uuid::new_v4(), Uuid::new_v4());
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    assert_eq!(store.conversation(other, id).await.expect("read"), None);
    assert!(
        store
            .conversations(other, ConversationFilter::default(), None, 10)
            .await
            .expect("read")
            .items
            .is_empty()
    );
    assert!(matches!(store.append_turn(other, id, turn(1)).await, Err(DataError::NotFound)));
    let end = store.end_conversation(other, id, CallEnd::at(Timestamp::from_millis(5))).await;
    assert!(matches!(end, Err(DataError::NotFound)));
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!((found.conversation.status, found.turns.len()), (Status::Active, 0));
}

async fn pages_hold_every_conversation_once_newest_first(store: &dyn Store) {
    // Two of each moment, so that pages end between equals.
    for millis in 0..5 {
        for _ in 0..2 {
            store.open_conversation(conversation(Uuid::new_v4(), 5_000 + millis)).await.expect("opened");
        }
    }
    let whole = store
        .conversations(DEMO_ORGANIZATION, ConversationFilter::default(), None, 1_000)
        .await
        .expect("read");
    assert_eq!(whole.next, None);
    let order: Vec<_> = whole.items.iter().map(|c| (c.created_at, c.id)).collect();
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "newest first, ids break ties");
    for limit in [1, 2, 3, 7] {
        let mut paged = Vec::new();
        let mut cursor = None;
        loop {
            let page = store
                .conversations(DEMO_ORGANIZATION, ConversationFilter::default(), cursor, limit)
                .await
                .expect("read");
            assert!(page.items.len() <= limit as usize);
            paged.extend(page.items);
            let Some(next) = page.next else { break };
            cursor = Some(Cursor::parse(&next.encode()).expect("a cursor reads back"));
            assert!(paged.len() <= whole.items.len(), "the list does not end");
        }
        assert_eq!(paged, whole.items, "pages of {limit}");
    }
}

async fn odd_text_comes_back_as_it_went_in(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    let odd = Turn { said: "'; DROP TABLE turns; -- \u{1F3E0} \"\\\n".into(), ..turn(1) };
    store.append_turn(DEMO_ORGANIZATION, id, odd.clone()).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns, [odd]);
}
