//! Recordings and consents.

use uuid::Uuid;

use super::super::{
    Consent, ConsentKind, DEMO_ORGANIZATION, DataError, Recording, RecordingState, Store, Timestamp,
};
use super::conversation;

pub(super) async fn all(store: &dyn Store) {
    a_recording_is_kept_until_it_expires(store).await;
    consents_come_back_in_order(store).await;
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn a_recording_is_kept_until_it_expires(store: &dyn Store) {
    let call = Uuid::new_v4();
    store.open_conversation(conversation(call, 1)).await.expect("opened");
    let begun = Recording {
        id: Uuid::new_v4(),
        organization_id: DEMO_ORGANIZATION,
        conversation_id: call,
        object: "a/b.ogg".into(),
        state: RecordingState::Open,
        started_at: at(2),
        audio_ms: 0,
        bytes: 0,
        channels: 2,
        encrypted: false,
        expires_at: None,
    };
    store.add_recording(begun.clone()).await.expect("added");
    let lost = Recording { id: Uuid::new_v4(), conversation_id: Uuid::new_v4(), ..begun.clone() };
    assert!(matches!(store.add_recording(lost.clone()).await, Err(DataError::NotFound)));
    assert!(matches!(store.finish_recording(lost).await, Err(DataError::NotFound)));
    let done = Recording {
        state: RecordingState::Stored,
        audio_ms: 9_000,
        bytes: 123_456,
        encrypted: true,
        expires_at: Some(at(50)),
        ..begun
    };
    store.finish_recording(done.clone()).await.expect("finished");
    assert_eq!(store.recording(DEMO_ORGANIZATION, done.id).await.expect("read"), Some(done.clone()));
    assert_eq!(
        store.recordings(DEMO_ORGANIZATION, call).await.expect("read").as_slice(),
        std::slice::from_ref(&done)
    );
    assert!(!store.expired_recordings(at(49), 100).await.expect("read").contains(&done));
    assert!(store.expired_recordings(at(50), 100).await.expect("read").contains(&done));
    for _ in 0..2 {
        store.remove_recording(DEMO_ORGANIZATION, done.id).await.expect("removed");
    }
    assert_eq!(store.recording(DEMO_ORGANIZATION, done.id).await.expect("read"), None);
}

async fn consents_come_back_in_order(store: &dyn Store) {
    let call = Uuid::new_v4();
    store.open_conversation(conversation(call, 1)).await.expect("opened");
    let consent = |kind, given, millis| Consent {
        id: Uuid::new_v4(),
        conversation_id: call,
        kind,
        given,
        at: at(millis),
        audio_ms: millis,
        wording: "This call is recorded.".into(),
    };
    let told = consent(ConsentKind::Disclosure, true, 10);
    let refused = consent(ConsentKind::Recording, false, 20);
    for one in [&refused, &told] {
        store.add_consent(DEMO_ORGANIZATION, one.clone()).await.expect("added");
    }
    assert_eq!(store.consents(DEMO_ORGANIZATION, call).await.expect("read"), [told.clone(), refused]);
    let lost = Consent { id: Uuid::new_v4(), conversation_id: Uuid::new_v4(), ..told };
    assert!(matches!(store.add_consent(DEMO_ORGANIZATION, lost).await, Err(DataError::NotFound)));
}
