//! Kept answers, abandoned calls, sweeping.

use uuid::Uuid;

use super::super::{Begun, DEMO_ORGANIZATION, Status, Store, Timestamp};
use super::{conversation, turn};

pub(super) async fn all(store: &dyn Store) {
    store.ping().await.expect("answers");
    a_request_that_comes_twice_is_answered_once(store).await;
    what_a_crash_left_active_is_ended_at_its_last_turn(store).await;
}

const DAY: i64 = 24 * 3_600_000;

async fn a_request_that_comes_twice_is_answered_once(store: &dyn Store) {
    let key = Uuid::new_v4().to_string();
    let begin = async |print: &str, millis: i64| {
        let now = Timestamp::from_millis(millis);
        store
            .begin_once(DEMO_ORGANIZATION, "ann".into(), key.clone(), print.into(), now)
            .await
            .expect("looked up")
    };
    let finish = async |answer: Option<(u16, String)>| {
        store.finish_once(DEMO_ORGANIZATION, "ann".into(), key.clone(), answer).await.expect("stored");
    };
    assert_eq!(begin("a", 0).await, Begun::First);
    assert_eq!(begin("a", 1).await, Begun::UnderWay);
    assert_eq!(begin("b", 1).await, Begun::Other);
    assert_eq!(begin("a", 60_001).await, Begun::First, "what broke off may come again");
    finish(None).await;
    assert_eq!(begin("c", 60_002).await, Begun::First, "what failed is forgotten");
    finish(Some((201, "{}".into()))).await;
    assert_eq!(begin("c", 60_003).await, Begun::Answered { status: 201, body: "{}".into() });
    let at_once = futures::future::join_all((0..20).map(|_| {
        let now = Timestamp::from_millis(0);
        store.begin_once(DEMO_ORGANIZATION, "bob".into(), key.clone(), "a".into(), now)
    }));
    let firsts = at_once.await.into_iter().filter(|one| matches!(one, Ok(Begun::First))).count();
    assert_eq!(firsts, 1, "another's key is another, and of many at once one is first");
    store.sweep(Timestamp::from_millis(60_003 + DAY)).await.expect("swept");
    assert_eq!(begin("d", 60_003 + DAY).await, Begun::First);
}

async fn what_a_crash_left_active_is_ended_at_its_last_turn(store: &dyn Store) {
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    store.open_conversation(conversation(old, 1_000)).await.expect("opened");
    store.append_turn(DEMO_ORGANIZATION, old, turn(3)).await.expect("stored");
    store.open_conversation(conversation(new, 2_000)).await.expect("opened");
    store.end_abandoned(Timestamp::from_millis(2_000)).await.expect("ended");
    let found = store.conversation(DEMO_ORGANIZATION, old).await.expect("read").expect("found");
    assert_eq!(found.conversation.status, Status::Ended);
    assert_eq!(found.conversation.ended_at, Some(Timestamp::from_millis(1_000 + 3_350)));
    let found = store.conversation(DEMO_ORGANIZATION, new).await.expect("read").expect("found");
    assert_eq!(found.conversation.status, Status::Active);
}
