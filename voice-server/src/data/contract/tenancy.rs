//! One organization's ids in another's hands: every method of the contract that names an organization, walked.
//!
//! The list of methods is read from the contract's own text, so a new method fails here until it is tried.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::{
    CallEnd, Caller, Consent, ConsentKind, ConversationChange, ConversationFilter, DEMO_ORGANIZATION,
    DataError, NewConversation, NewProperty, PropertyFilter, PropertySort, Recording, RecordingState, Role,
    Saved, Store, Timestamp, UserChange,
};
use super::{an_organization, new_user, turn};

/// Names of the contract's methods that take `organization: Uuid`.
fn scoped_methods() -> BTreeSet<&'static str> {
    let text = include_str!("../store.rs");
    let declared = text.split("    fn ").skip(1).filter_map(|rest| rest.split_once(';'));
    declared
        .filter(|(signature, _)| signature.contains("organization: Uuid"))
        .filter_map(|(signature, _)| signature.split('(').next())
        .collect()
}

pub(super) async fn nothing_of_one_organization_is_reached_from_another(store: &dyn Store) {
    let now = Timestamp::from_millis(1_000);
    let (mine, other) = (an_organization(store).await, an_organization(store).await);
    let user = store.add_user(new_user(mine, Uuid::new_v4(), Role::Admin)).await.expect("added");
    let new = NewConversation {
        client_phone: Some("+15550123".into()),
        user_id: Some(user.id),
        ..NewConversation::anonymous(Uuid::new_v4(), mine, now)
    };
    let call = new.id;
    store.open_conversation(new).await.expect("opened");
    store.append_turn(mine, call, turn(1)).await.expect("stored");
    let recording = Recording {
        id: Uuid::new_v4(),
        organization_id: mine,
        conversation_id: call,
        object: "x".into(),
        state: RecordingState::Stored,
        started_at: now,
        audio_ms: 1,
        bytes: 1,
        channels: 2,
        encrypted: false,
        expires_at: None,
    };
    store.add_recording(recording.clone()).await.expect("added");
    let key = Uuid::new_v4();
    store.begin_once(mine, "a".into(), key.to_string(), "f".into(), now).await.expect("begun");
    let before = store.conversation(mine, call).await.expect("read");

    let mut left = scoped_methods();
    assert!(left.len() > 20, "the contract's text was not understood: {left:?}");
    let not_found = |outcome: Result<(), DataError>| assert!(matches!(outcome, Err(DataError::NotFound)));
    let mut tried = |name: &str| assert!(left.remove(name), "{name} is no method that names an organization");

    tried("user");
    assert_eq!(store.user(other, user.id).await.expect("read"), None);
    tried("users");
    assert!(store.users(other, None, 10).await.expect("read").items.is_empty());
    tried("change_user");
    let change = UserChange { role: Some(Role::Viewer), ..Default::default() };
    not_found(store.change_user(other, user.id, change, None).await.map(drop));
    tried("remove_user");
    not_found(store.remove_user(other, user.id).await);
    tried("keys");
    assert!(store.keys(other).await.expect("read").is_empty());
    tried("revoke_key");
    not_found(store.revoke_key(other, key, now).await);
    tried("spent_by_key");
    assert_eq!(store.spent_by_key(other, key, now).await.expect("read"), 0);
    tried("append_turn");
    not_found(store.append_turn(other, call, turn(2)).await);
    tried("end_conversation");
    not_found(store.end_conversation(other, call, CallEnd::at(now)).await);
    tried("add_cost");
    not_found(store.add_cost(other, call, serde_json::json!({}), 5).await);
    tried("conversation");
    assert_eq!(store.conversation(other, call).await.expect("read"), None);
    tried("conversations");
    let all = ConversationFilter::default();
    assert!(store.conversations(other, all, None, 10).await.expect("read").items.is_empty());
    tried("change_conversation");
    let change = ConversationChange { notes: Some("x".into()), lead: None };
    not_found(store.change_conversation(other, call, change, None).await.map(drop));
    tried("history");
    for caller in [Caller::User(user.id), Caller::Phone("+15550123".into())] {
        assert!(store.history(other, caller, 5).await.expect("read").is_empty());
    }
    tried("performance");
    let (from, to) = (Timestamp::from_millis(0), Timestamp::from_millis(9_000));
    let utc = jiff::tz::TimeZone::UTC;
    assert_eq!(store.performance(other, user.id, from, to, utc).await.expect("read").calls, 0);
    tried("conversations_of_phone");
    assert!(store.conversations_of_phone(other, "+15550123".into(), 9).await.expect("read").is_empty());
    tried("erase_conversations");
    assert_eq!(store.erase_conversations(other, vec![call]).await.expect("nothing"), 0);
    tried("properties");
    let data =
        serde_json::json!({"ListingId": "T1", "City": "Austin", "ListPrice": 5, "PublicRemarks": "garden"});
    let listing = NewProperty::from_reso(data, now).expect("a listing");
    store.save_properties(mine, vec![listing.clone()]).await.expect("saved");
    let kept = store.property(mine, listing.id).await.expect("read").expect("found");
    for filter in [
        PropertyFilter::default(),
        PropertyFilter { city: Some("Austin".into()), ..Default::default() },
        PropertyFilter { words: vec!["garden".into()], ..Default::default() },
    ] {
        let own = store.properties(mine, filter.clone(), PropertySort::Newest, None, 9).await.expect("read");
        assert_eq!(own.items.len(), 1);
        let foreign = store.properties(other, filter, PropertySort::Newest, None, 9).await.expect("read");
        assert!(foreign.items.is_empty());
    }
    tried("property");
    assert_eq!(store.property(other, listing.id).await.expect("read"), None);
    tried("remove_properties");
    assert_eq!(store.remove_properties(other, vec!["T1".into()]).await.expect("nothing"), 0);
    tried("save_properties");
    let same_number = NewProperty { id: Uuid::new_v4(), ..listing.clone() };
    let saved = store.save_properties(other, vec![same_number]).await.expect("saved");
    assert_eq!(saved, Saved { added: 1, changed: 0 }, "another organization's number is another");
    let same_id = NewProperty { mls_id: Some("T2".into()), ..listing };
    assert!(matches!(store.save_properties(other, vec![same_id]).await, Err(DataError::Exists)));
    assert_eq!(store.property(mine, kept.id).await.expect("read"), Some(kept));
    tried("recording");
    assert_eq!(store.recording(other, recording.id).await.expect("read"), None);
    tried("recordings");
    assert!(store.recordings(other, call).await.expect("read").is_empty());
    tried("remove_recording");
    store.remove_recording(other, recording.id).await.expect("nothing");
    tried("add_consent");
    let consent = Consent {
        id: Uuid::new_v4(),
        conversation_id: call,
        kind: ConsentKind::Recording,
        given: true,
        at: now,
        audio_ms: 0,
        wording: String::new(),
    };
    not_found(store.add_consent(other, consent).await);
    tried("consents");
    assert!(store.consents(other, call).await.expect("read").is_empty());
    tried("begin_once");
    let begun = store.begin_once(other, "a".into(), key.to_string(), "g".into(), now).await.expect("begun");
    assert_eq!(begun, super::super::Begun::First, "another organization's key is another");
    tried("finish_once");
    store.finish_once(DEMO_ORGANIZATION, "a".into(), key.to_string(), None).await.expect("nothing");
    assert!(left.is_empty(), "methods that were not tried with another organization: {left:?}");

    // Written under another's name in the record itself, too.
    let foreign = Recording { organization_id: other, id: Uuid::new_v4(), ..recording.clone() };
    not_found(store.add_recording(foreign.clone()).await);
    not_found(store.finish_recording(Recording { id: recording.id, ..foreign }).await);

    assert_eq!(store.conversation(mine, call).await.expect("read"), before, "nothing changed");
    assert_eq!(store.recording(mine, recording.id).await.expect("read"), Some(recording));
    assert_eq!(store.user(mine, user.id).await.expect("read"), Some(user));
}
