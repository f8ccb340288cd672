//! Organizations, users, refresh tokens, keys.

use uuid::Uuid;

use super::super::{
    ApiKey, CallEnd, DEMO_ORGANIZATION, DataError, KeyKind, NewApiKey, NewConversation, NewUser,
    OrganizationChange, OrganizationSettings, RecordingMode, RefreshToken, Role, Rotation, Store, Timestamp,
    UserChange,
};
use super::{a_user, an_organization, new_user};
use crate::config::Secret;

pub(super) async fn all(store: &dyn Store) {
    the_demo_organization_is_there(store).await;
    an_organization_changes_by_revision(store).await;
    a_user_is_found_by_id_and_address_and_no_address_is_taken_twice(store).await;
    users_are_listed_in_pages_and_change_by_revision(store).await;
    a_refresh_token_has_one_successor_and_its_late_reuse_ends_the_family(store).await;
    two_that_rotate_at_once_get_one_successor(store).await;
    a_new_password_ends_all_sign_ins(store).await;
    a_deleted_user_leaves_conversations_and_no_sign_in(store).await;
    an_organization_keeps_an_admin(store).await;
    a_key_is_found_by_its_hash_until_it_is_revoked(store).await;
}

async fn the_demo_organization_is_there(store: &dyn Store) {
    let found = store.organization(DEMO_ORGANIZATION).await.expect("read");
    assert_eq!(found.map(|organization| organization.id), Some(DEMO_ORGANIZATION));
    assert_eq!(store.organization(Uuid::new_v4()).await.expect("read"), None);
}

async fn an_organization_changes_by_revision(store: &dyn Store) {
    let id = an_organization(store).await;
    let again = store.add_organization(id, "Again".into(), Timestamp::now()).await;
    assert!(matches!(again, Err(DataError::Exists)));
    let settings = OrganizationSettings {
        disclosure: Some("A machine answers.".into()),
        recording: Some(RecordingMode::Ask),
        retention_days: Some(7),
        facts: vec!["Open from nine.".into()],
        ..Default::default()
    };
    let change = OrganizationChange { name: Some("New".into()), settings: Some(settings.clone()) };
    let changed = store.change_organization(id, change, Some(1)).await.expect("changed");
    assert_eq!((changed.name.as_str(), &changed.settings, changed.revision), ("New", &settings, 2));
    let rename = |name: &str| OrganizationChange { name: Some(name.into()), settings: None };
    assert!(matches!(store.change_organization(id, rename("Late"), Some(1)).await, Err(DataError::Changed)));
    let kept = store.change_organization(id, rename("Third"), None).await.expect("changed");
    assert_eq!((kept.name.as_str(), &kept.settings), ("Third", &settings));
    assert_eq!(store.organization(id).await.expect("read"), Some(kept.clone()));
    assert!(store.organizations().await.expect("read").contains(&kept));
    let nowhere = store.change_organization(Uuid::new_v4(), rename("x"), None).await;
    assert!(matches!(nowhere, Err(DataError::NotFound)));
}

async fn a_user_is_found_by_id_and_address_and_no_address_is_taken_twice(store: &dyn Store) {
    let organization = an_organization(store).await;
    let before = store.count_users().await.expect("counted");
    let hash = Some(Secret::new("$argon2id$x"));
    let new = NewUser { password_hash: hash.clone(), ..new_user(organization, Uuid::new_v4(), Role::Admin) };
    let added = store.add_user(new.clone()).await.expect("added");
    assert_eq!(added.email, new.email.to_lowercase());
    assert_eq!((added.role, added.disabled, added.revision), (Role::Admin, false, 1));
    assert_eq!(added.password_hash, hash);
    assert_eq!(store.user(organization, new.id).await.expect("read"), Some(added.clone()));
    assert_eq!(store.user_by_id(new.id).await.expect("read"), Some(added.clone()));
    assert_eq!(store.user_by_email(new.email.to_uppercase()).await.expect("read"), Some(added));
    assert_eq!(store.user_by_email("nobody@example.com".into()).await.expect("read"), None);
    let other = an_organization(store).await;
    let taken = NewUser { id: Uuid::new_v4(), organization_id: other, ..new.clone() };
    assert!(matches!(store.add_user(taken).await, Err(DataError::Exists)));
    let homeless = new_user(Uuid::new_v4(), Uuid::new_v4(), Role::Agent);
    assert!(matches!(store.add_user(homeless).await, Err(DataError::NotFound)));
    assert_eq!(store.count_users().await.expect("counted"), before + 1);
}

async fn users_are_listed_in_pages_and_change_by_revision(store: &dyn Store) {
    let organization = an_organization(store).await;
    for _ in 0..5 {
        a_user(store, organization).await;
    }
    let whole = store.users(organization, None, 10).await.expect("read");
    assert_eq!((whole.items.len(), whole.next), (5, None));
    let first = store.users(organization, None, 3).await.expect("read");
    let rest = store.users(organization, first.next, 3).await.expect("read");
    assert_eq!(rest.next, None);
    assert_eq!([first.items, rest.items].concat(), whole.items);
    let user = &whole.items[0];
    let change = UserChange { name: Some("Bea".into()), role: Some(Role::Viewer), ..Default::default() };
    let changed = store.change_user(organization, user.id, change, Some(1)).await.expect("changed");
    assert_eq!((changed.name.as_str(), changed.role, changed.revision), ("Bea", Role::Viewer, 2));
    let late = UserChange { name: Some("Cleo".into()), ..Default::default() };
    let late = store.change_user(organization, user.id, late, Some(1)).await;
    assert!(matches!(late, Err(DataError::Changed)));
}

fn token(organization_id: Uuid, user_id: Uuid, hash: &str) -> RefreshToken {
    RefreshToken {
        hash: hash.into(),
        organization_id,
        user_id,
        family: Uuid::new_v4(),
        created_at: at(0),
        expires_at: at(1_000_000),
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn rotate(store: &dyn Store, hash: &str, successor: &str, now: i64) -> Rotation {
    let (hash, successor) = (hash.to_owned(), successor.to_owned());
    store.rotate_refresh_token(hash, successor, at(now), at(now + 1_000_000), 30_000).await.expect("rotated")
}

async fn a_refresh_token_has_one_successor_and_its_late_reuse_ends_the_family(store: &dyn Store) {
    let organization = an_organization(store).await;
    let user = a_user(store, organization).await;
    let [a, b, c] = [0; 3].map(|_| Uuid::new_v4().to_string());
    let first = token(organization, user, &a);
    let family = first.family;
    store.add_refresh_token(first).await.expect("added");
    let good = Rotation::Rotated { user_id: user, organization_id: organization, family };
    assert_eq!(rotate(store, &a, &b, 1_000).await, good);
    assert_eq!(rotate(store, &a, &b, 31_000).await, good, "within 30 s it is the same");
    assert_eq!(rotate(store, &b, &c, 32_000).await, good);
    assert_eq!(rotate(store, &a, &b, 31_001).await, Rotation::Reused { family });
    for hash in [&a, &b, &c] {
        assert_eq!(rotate(store, hash, "x", 33_000).await, Rotation::Unusable, "the family has ended");
    }
    assert_eq!(rotate(store, "unknown", "x", 1).await, Rotation::Unusable);
    let (old, next) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    store.add_refresh_token(token(organization, user, &old)).await.expect("added");
    assert_eq!(rotate(store, &old, &next, 1_000_000).await, Rotation::Unusable, "it has expired");
    let out = Uuid::new_v4().to_string();
    let last = token(organization, user, &out);
    let family = last.family;
    store.add_refresh_token(last).await.expect("added");
    assert_eq!(store.revoke_family(out.clone(), at(5)).await.expect("revoked"), Some(family));
    assert_eq!(rotate(store, &out, "x", 6).await, Rotation::Unusable);
    assert_eq!(store.revoke_family("unknown".into(), at(5)).await.expect("nothing"), None);
}

async fn two_that_rotate_at_once_get_one_successor(store: &dyn Store) {
    let organization = an_organization(store).await;
    let user = a_user(store, organization).await;
    let (a, b) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    store.add_refresh_token(token(organization, user, &a)).await.expect("added");
    let at_once = futures::future::join_all((0..20).map(|_| rotate(store, &a, &b, 1_000))).await;
    assert!(at_once.iter().all(|one| matches!(one, Rotation::Rotated { .. })), "{at_once:?}");
}

async fn a_new_password_ends_all_sign_ins(store: &dyn Store) {
    let organization = an_organization(store).await;
    let user = a_user(store, organization).await;
    for change in [
        UserChange { password_hash: Some(Secret::new("h")), ..Default::default() },
        UserChange { disabled: Some(true), ..Default::default() },
    ] {
        let hash = Uuid::new_v4().to_string();
        store.add_refresh_token(token(organization, user, &hash)).await.expect("added");
        store.change_user(organization, user, change, None).await.expect("changed");
        assert_eq!(rotate(store, &hash, "x", 1).await, Rotation::Unusable);
    }
}

async fn a_deleted_user_leaves_conversations_and_no_sign_in(store: &dyn Store) {
    let organization = an_organization(store).await;
    let (gone, stays) = (a_user(store, organization).await, a_user(store, organization).await);
    let hash = Uuid::new_v4().to_string();
    store.add_refresh_token(token(organization, gone, &hash)).await.expect("added");
    let (hers, his) = (Uuid::new_v4(), Uuid::new_v4());
    for (id, user) in [(hers, gone), (his, stays)] {
        let new = NewConversation::anonymous(id, organization, at(1));
        store.open_conversation(NewConversation { user_id: Some(user), ..new }).await.expect("opened");
    }
    store.remove_user(organization, gone).await.expect("removed");
    assert_eq!(store.user(organization, gone).await.expect("read"), None);
    assert_eq!(rotate(store, &hash, "x", 1).await, Rotation::Unusable);
    let of =
        async |id| store.conversation(organization, id).await.expect("read").expect("there").conversation;
    assert_eq!((of(hers).await.user_id, of(hers).await.revision), (None, 2));
    assert_eq!((of(his).await.user_id, of(his).await.revision), (Some(stays), 1));
    let again = store.remove_user(organization, gone).await;
    assert!(matches!(again, Err(DataError::NotFound)));
}

async fn an_organization_keeps_an_admin(store: &dyn Store) {
    let organization = an_organization(store).await;
    let admin = async || {
        let new = new_user(organization, Uuid::new_v4(), Role::Admin);
        store.add_user(new).await.expect("added").id
    };
    let demoted = || UserChange { role: Some(Role::Agent), ..Default::default() };
    let barred = || UserChange { disabled: Some(true), ..Default::default() };
    let only = admin().await;
    let is_last = |outcome: &Result<(), DataError>| matches!(outcome, Err(DataError::LastAdmin));
    let change = async |id, change| store.change_user(organization, id, change, None).await.map(drop);
    assert!(is_last(&change(only, demoted()).await));
    assert!(is_last(&change(only, barred()).await));
    assert!(is_last(&store.remove_user(organization, only).await));
    let left = store.user(organization, only).await.expect("read").expect("there");
    assert_eq!((left.role, left.disabled, left.revision), (Role::Admin, false, 1));
    change(only, UserChange { name: Some("Bea".into()), ..Default::default() }).await.expect("changed");
    change(only, UserChange { may_end_admins: true, ..barred() }).await.expect("a token says who is one");
    // Two at once, each the other: by whatever means, one stays.
    for _ in 0..5 {
        let (one, other) = (admin().await, admin().await);
        let outcomes = tokio::join!(store.remove_user(organization, one), change(other, demoted()));
        let refused = [&outcomes.0, &outcomes.1].map(is_last);
        assert_ne!(refused[0], refused[1], "{outcomes:?}");
        assert!(outcomes.0.is_ok() || outcomes.1.is_ok(), "{outcomes:?}");
        let stayed = if refused[0] { one } else { other };
        change(stayed, UserChange { may_end_admins: true, ..barred() }).await.expect("barred");
    }
}

async fn a_key_is_found_by_its_hash_until_it_is_revoked(store: &dyn Store) {
    let organization = an_organization(store).await;
    let key = ApiKey {
        id: Uuid::new_v4(),
        organization_id: organization,
        kind: KeyKind::Publishable,
        name: "Shop".into(),
        hint: "pk_abc".into(),
        origins: vec!["https://shop.example".into()],
        max_calls: Some(3),
        daily_spend_micros: Some(5_000_000),
        created_at: at(1),
        revoked_at: None,
    };
    let hash = Uuid::new_v4().to_string();
    store.add_key(NewApiKey { key: key.clone(), hash: hash.clone() }).await.expect("added");
    assert_eq!(store.key_by_hash(hash.clone()).await.expect("read"), Some(key.clone()));
    for micros in [40, 2] {
        let new = NewConversation {
            key_id: Some(key.id),
            ..NewConversation::anonymous(Uuid::new_v4(), organization, at(micros))
        };
        let id = new.id;
        store.open_conversation(new).await.expect("opened");
        let end = CallEnd { at: at(100), cost: Some(serde_json::json!({})), cost_micros: micros };
        store.end_conversation(organization, id, end).await.expect("ended");
    }
    let origin = "https://shop.example".to_owned();
    assert!(store.publishable_origins().await.expect("read").contains(&origin));
    let spent = async |since| store.spent_by_key(organization, key.id, at(since)).await.expect("summed");
    assert_eq!((spent(0).await, spent(3).await, spent(41).await), (42, 40, 0));
    for millis in [8, 9] {
        store.revoke_key(organization, key.id, at(millis)).await.expect("revoked");
    }
    assert_eq!(store.key_by_hash(hash).await.expect("read"), None);
    assert!(!store.publishable_origins().await.expect("read").contains(&origin));
    let listed = store.keys(organization).await.expect("read");
    assert_eq!(listed, [ApiKey { revoked_at: Some(at(8)), ..key }]);
    let unknown = store.revoke_key(organization, Uuid::new_v4(), at(1)).await;
    assert!(matches!(unknown, Err(DataError::NotFound)));
}
