//! The cache against a real Redis: the contract, two servers, and a Redis that dies, comes back and freezes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use uuid::Uuid;
use voice_fixtures::private::PrivateRedis;

use super::contract::tests::suite;
use super::link::Link;
use super::redis::RedisCache;
use super::*;
use crate::auth::denials::{Denials, Grounds};
use crate::config::Secret;
use crate::metrics::Metrics;

/// Longer than anything here takes: only a fault runs into it.
const LIMIT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);

pub(super) async fn soon<F: Future>(what: F) -> F::Output {
    timeout(LIMIT, what).await.expect("it does not come")
}

pub(super) async fn server(redis: &PrivateRedis) -> Caching {
    let caching = Caching::with_redis(8 << 20, &Secret::new(redis.url()), &Metrics::default());
    let caching = caching.expect("an address");
    soon(caching.whole()).await;
    caching
}

/// Waits until Redis is known to be gone, with a request now and then as the traffic of a server.
pub(super) async fn until_gone(caching: &Caching) {
    let gone = async {
        while caching.is_redis_up() == Some(true) {
            let _ = caching.look(&Key::new(Area::Context, Uuid::nil(), "traffic")).await;
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(gone).await;
}

pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(held).await;
}

fn entry(value: &str) -> Entry {
    Entry::new(Bytes::copy_from_slice(value.as_bytes()), LONG, LONG)
}

async fn value(caching: &Caching, key: &Key) -> Option<Bytes> {
    caching.look(key).await.expect("never away").entry.map(|entry| entry.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_and_both_layers_keep_the_contract() {
    let Some(redis) = PrivateRedis::start() else { return };
    let link = Link::new(&Secret::new(redis.url()), "test", Metrics::default().redis_failures("test"));
    let link = Arc::new(link.expect("an address"));
    link.adopt(soon(link.reach()).await);
    suite(Arc::new(RedisCache::new(link))).await;
    suite(Arc::new(server(&redis).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_is_an_error_that_does_not_show_it() {
    let Err(error) = Caching::with_redis(1, &Secret::new("redis://:word@"), &Metrics::default()) else {
        panic!("it is no address");
    };
    assert!(!error.contains("word"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_removes_another_shows_no_more() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let organization = Uuid::new_v4();
    let (a, b) = (Key::new(Area::Property, organization, "a"), Key::new(Area::Property, organization, "b"));
    for key in [&a, &b] {
        assert_eq!(one.put(key, entry("old"), None).await, Ok(true));
        assert_eq!(value(&two, key).await.as_deref(), Some(&b"old"[..]));
    }
    // Both have it in front by now, where nothing is asked of Redis: only the notice can end it in this time.
    let removed = Instant::now();
    one.remove(&a).await.expect("never away");
    until(async || value(&two, &a).await.is_none()).await;
    assert!(removed.elapsed() < Duration::from_secs(1), "{:?}", removed.elapsed());
    assert_eq!(value(&two, &b).await.as_deref(), Some(&b"old"[..]));
    two.remove_group(b.group).await.expect("never away");
    until(async || value(&one, &b).await.is_none()).await;
    assert!(removed.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_is_missed_by_nobody_and_comes_back_without_what_was_removed() {
    let Some(mut redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let keys: Vec<Key> = (0..3).map(|n| Key::new(Area::Property, Uuid::nil(), &n.to_string())).collect();
    for key in &keys {
        one.put(key, entry("old"), None).await.expect("never away");
    }
    redis.kill();
    until_gone(&one).await;
    // Memory goes on: reads, writes, removals, loads, counts.
    let begun = Instant::now();
    assert_eq!(value(&one, &keys[0]).await.as_deref(), Some(&b"old"[..]));
    assert_eq!(one.put(&keys[1], entry("new"), None).await, Ok(true));
    assert_eq!(value(&one, &keys[1]).await.as_deref(), Some(&b"new"[..]));
    one.remove(&keys[2]).await.expect("never away");
    assert_eq!(value(&one, &keys[2]).await, None);
    assert_eq!(one.add(&Key::new(Area::Count, Uuid::nil(), "n"), 1, LONG).await, Ok(1));
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    redis.restart();
    soon(one.whole()).await;
    until(async || one.is_redis_up() == Some(true) && two.is_redis_up() == Some(true)).await;
    // Shared again, without a word from anybody.
    let key = Key::new(Area::Context, Uuid::nil(), "after");
    one.put(&key, entry("shared"), None).await.expect("never away");
    // The other one may not have noticed the death; its first request does, and is answered all the same.
    until(async || value(&two, &key).await.as_deref() == Some(&b"shared"[..])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_freezes_slows_a_few_requests_and_never_brings_back_what_was_removed() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let key = Key::new(Area::Property, Uuid::nil(), "a");
    let denied = Grounds { session: Some(Uuid::new_v4()), ..Grounds::default() };
    one.put(&key, entry("old"), None).await.expect("never away");
    let frozen = redis.freeze();
    // Many at the same time: each waits for one deadline at most, and soon nobody does.
    let begun = Instant::now();
    let asked: Vec<_> = (0..200)
        .map(|n| {
            let one = one.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let key = Key::new(Area::Context, Uuid::nil(), &n.to_string());
                assert_eq!(value(&one, &key).await, None);
                begun.elapsed()
            })
        })
        .collect();
    for asked in asked {
        let took = soon(asked).await.expect("answered");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    until_gone(&one).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(value(&one, &key).await.as_deref(), Some(&b"old"[..]));
    }
    one.remove(&key).await.expect("never away");
    let denials = Denials::over(one.clone());
    denials.deny(denied.session.expect("set")).await;
    assert!(denials.ended(&denied).await);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    frozen.thaw();
    until(async || one.is_redis_up() == Some(true)).await;
    // Redis kept the old value through all this; what was owed went first.
    assert_eq!(value(&one, &key).await, None);
    until(async || two.is_redis_up() == Some(true)).await;
    until(async || value(&two, &key).await.is_none()).await;
    let denials = Denials::over(two);
    until(async || denials.ended(&denied).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_who_want_the_same_are_served_by_one_load() {
    let Some(redis) = PrivateRedis::start() else { return };
    let plan = Plan::new(Duration::from_millis(200), LONG);
    let in_memory = Caching::in_memory(1 << 20, &Metrics::default());
    for caching in [in_memory, server(&redis).await] {
        let loads = Arc::new(AtomicUsize::new(0));
        let key = Key::new(Area::Property, Uuid::nil(), "a");
        for round in 1..=2 {
            let asked: Vec<_> = (0..200)
                .map(|_| {
                    let (caching, key, loads) = (caching.clone(), key.clone(), loads.clone());
                    tokio::spawn(async move {
                        let load = move || async move {
                            loads.fetch_add(1, Ordering::SeqCst);
                            sleep(Duration::from_millis(50)).await;
                            Ok::<_, String>(Bytes::from_static(b"loaded"))
                        };
                        caching.fetch(&key, plan, load).await.expect("a value")
                    })
                })
                .collect();
            for asked in asked {
                let fetched = soon(asked).await.expect("answered");
                assert_eq!(fetched.value, Bytes::from_static(b"loaded"));
                assert_ne!(fetched.freshness, Freshness::Stale);
            }
            // In the second round nobody waits in vain: what is stale is given while one loads.
            assert_eq!(loads.load(Ordering::SeqCst), round);
            sleep(Duration::from_millis(250)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_or_hangs_is_covered_by_what_is_stale_and_that_is_said() {
    let caching = Caching::in_memory(1 << 20, &Metrics::default());
    let key = Key::new(Area::Property, Uuid::nil(), "a");
    let plan = Plan { wait: Duration::from_millis(200), ..Plan::new(Duration::from_millis(50), LONG) };
    let failing = async || Err::<Bytes, _>("the database is gone".to_owned());
    let Err(FetchError::Failed(error)) = caching.fetch(&key, plan, failing).await else {
        panic!("nothing is kept yet");
    };
    assert_eq!(*error, "the database is gone");
    let hanging = async || std::future::pending::<Result<Bytes, String>>().await;
    let other = Key::new(Area::Property, Uuid::nil(), "b");
    assert!(matches!(caching.fetch(&other, plan, hanging).await, Err(FetchError::Late)));
    let panicking = async || -> Result<Bytes, String> { panic!("a fault of ours") };
    let third = Key::new(Area::Property, Uuid::nil(), "c");
    assert!(matches!(caching.fetch(&third, plan, panicking).await, Err(FetchError::Late)));
    // Telling a panic with all its callers takes a while.
    until(async || !caching.inner().flights().contains_key(&third)).await;

    let working = async || Ok::<_, String>(Bytes::from_static(b"new"));
    let first = caching.fetch(&key, plan, working).await.expect("loaded");
    assert_eq!(first.freshness, Freshness::Fresh);
    assert_eq!(caching.fetch(&third, plan, working).await.expect("loaded").freshness, Freshness::Fresh);
    sleep(Duration::from_millis(60)).await;
    for load in [failing, failing] {
        let fetched = caching.fetch(&key, plan, load).await.expect("stale");
        assert_eq!(
            (fetched.freshness, fetched.at, &fetched.value[..]),
            (Freshness::Stale, first.at, &b"new"[..])
        );
    }
    // After a rest the source is asked again, and is back.
    sleep(Duration::from_millis(1_100)).await;
    let fetched = caching.fetch(&key, plan, working).await.expect("loaded");
    assert_eq!(fetched.freshness, Freshness::Fresh);
    assert!(fetched.at > first.at);
    sleep(Duration::from_millis(60)).await;
    let fetched = caching.fetch(&key, plan, hanging).await.expect("stale");
    assert_eq!(fetched.freshness, Freshness::Stale);
    caching.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_after_a_removal_joins_no_load_from_before_it() {
    let caching = Caching::in_memory(1 << 20, &Metrics::default());
    let key = Key::new(Area::Property, Uuid::nil(), "a");
    let plan = Plan::new(LONG, LONG);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let before = tokio::spawn({
        let (caching, key) = (caching.clone(), key.clone());
        async move {
            let load = move || async move {
                let _ = gone.await;
                Ok::<_, String>(Bytes::from_static(b"from before"))
            };
            caching.fetch(&key, plan, load).await.expect("a value").value
        }
    });
    until(async || !caching.inner().flights().is_empty()).await;
    caching.remove(&key).await.expect("never away");
    let after = async || Ok::<_, String>(Bytes::from_static(b"from after"));
    assert_eq!(
        caching.fetch(&key, plan, after).await.expect("a value").value,
        Bytes::from_static(b"from after")
    );
    go.send(()).expect("it waits");
    assert_eq!(soon(before).await.expect("answered"), Bytes::from_static(b"from before"));
    assert_eq!(value(&caching, &key).await.as_deref(), Some(&b"from after"[..]));
}
