//! What servers behind one Redis share, against a real one: tickets, denials and leases, on two servers, with a Redis that
//! dies, comes back empty or with what it had, and freezes.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;
use uuid::Uuid;
use voice_fixtures::private::PrivateRedis;

use super::redis_tests::{server, soon, until, until_gone};
use super::*;
use crate::auth::denials::{Denials, Grounds};
use crate::auth::limits::{CallLimits, Counted, Full};
use crate::auth::tickets::{Purpose, Spent, Ticket, Tickets};

const CALL: Purpose = Purpose::Conversation(Uuid::from_u128(2));

fn ticket() -> Ticket {
    Ticket {
        organization: Uuid::from_u128(1),
        purpose: CALL,
        grounds: Grounds::default(),
        key_calls: None,
        key_spend: None,
        origins: Vec::new(),
    }
}

async fn issued(tickets: &Tickets) -> String {
    tickets.issue(ticket(), SystemTime::now()).await.expect("made").0
}

async fn taken(tickets: &Tickets, text: &str) -> Result<Ticket, Spent> {
    tickets.take(text, &CALL, SystemTime::now()).await
}

async fn until_back(caching: &Caching) {
    soon(caching.whole()).await;
    until(async || caching.is_redis_up() == Some(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_taken_once_on_whichever_server() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let (here, there) = (Tickets::over(one), Tickets::over(two));
    let now = SystemTime::now();
    let mut whole = 0;
    for _ in 0..50 {
        let text = issued(&here).await;
        // On a busy machine Redis may be late, and then nobody gets it; never do two.
        assert!(matches!(there.peek(&text, now).await, Ok(_) | Err(Spent::Unsure)));
        let takers = (0..10).map(|n| {
            let (tickets, text) = (if n % 2 == 0 { here.clone() } else { there.clone() }, text.clone());
            tokio::spawn(async move { taken(&tickets, &text).await.is_ok() })
        });
        let mut got = 0;
        for taker in futures::future::join_all(takers).await {
            got += usize::from(taker.expect("ran"));
        }
        assert!(got <= 1, "{got}");
        whole += got;
        if got == 1 {
            for tickets in [&here, &there] {
                assert!(taken(tickets, &text).await.is_err());
            }
        }
    }
    assert!(whole > 40, "{whole} of 50");
    for odd in ["", "x", &"A".repeat(65), &"x".repeat(65), &"x".repeat(100_000)] {
        assert_eq!(taken(&there, odd).await, Err(Spent::Unknown));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_for_writing_writes_on_every_server_and_opens_no_socket_on_any() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (here, there) = (Tickets::over(server(&redis).await), Tickets::over(server(&redis).await));
    let now = SystemTime::now();
    for (issuer, writer) in [(&here, &there), (&here, &here)] {
        let text = issued(issuer).await;
        let Purpose::Conversation(id) = CALL else { panic!("it is one") };
        writer.write(&text, id, now).await.expect("good");
        // The one that made it is told of that; until then it gives nothing away either.
        assert!(taken(issuer, &text).await.is_err());
        for tickets in [writer, issuer, &there, &here] {
            let written = tickets.write(&text, id, now).await.expect("good");
            assert_eq!(written.purpose, Purpose::Writing(id));
            assert!(taken(tickets, &text).await.is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_dead_a_ticket_is_good_where_it_was_made_and_stays_used_when_redis_is_back() {
    let Some(mut redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let (here, there) = (Tickets::over(one.clone()), Tickets::over(two.clone()));
    let mut before = Vec::new();
    for _ in 0..30 {
        before.push(issued(&here).await);
    }
    // Some are used on the other server in the last moment before the end.
    let mut used = Vec::new();
    for text in &before[..10] {
        if taken(&there, text).await.is_ok() {
            used.push(text);
        }
    }
    redis.kill();
    assert!(!used.is_empty());
    until_gone(&one).await;
    until(async || one.shared_home().is_none()).await;
    for text in &used {
        assert_eq!(taken(&here, text).await, Err(Spent::Unknown), "used there");
    }
    let begun = Instant::now();
    for text in &before[10..20] {
        assert!(taken(&here, text).await.is_ok(), "good where it was made");
    }
    let during = issued(&here).await;
    let later = issued(&here).await;
    assert!(taken(&here, &during).await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    until_gone(&two).await;
    assert_eq!(taken(&there, &before[20]).await, Err(Spent::Unsure), "not where it was not");
    redis.restart();
    until_back(&one).await;
    until_back(&two).await;
    // Whatever Redis still has of them: nobody else gets one, and each is good at home, once.
    for text in &before[10..] {
        assert!(taken(&there, text).await.is_err());
    }
    for text in used.into_iter().chain(&before[10..20]) {
        assert_eq!(taken(&here, text).await, Err(Spent::Unknown));
    }
    for text in before[20..].iter().chain([&later]) {
        assert!(taken(&here, text).await.is_ok());
        assert_eq!(taken(&here, text).await, Err(Spent::Unknown));
    }
    // Shared again.
    until(async || taken(&there, &issued(&here).await).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_hangs_no_ticket_is_given_twice_and_new_ones_are_good_at_home() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let (here, there) = (Tickets::over(one.clone()), Tickets::over(two));
    let unsure = issued(&here).await;
    let frozen = redis.freeze();
    assert_eq!(taken(&here, &unsure).await, Err(Spent::Unsure));
    assert_eq!(taken(&there, &unsure).await, Err(Spent::Unsure));
    let local = issued(&here).await;
    assert!(taken(&here, &local).await.is_ok());
    assert_eq!(taken(&here, &local).await, Err(Spent::Unknown));
    // In the end the connection is given up, and with it what the other one may have taken.
    let begun = Instant::now();
    until(async || one.shared_home().is_none()).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(taken(&here, &unsure).await.is_err());
    frozen.thaw();
    until_back(&one).await;
    let mut got = 0;
    for tickets in [&here, &there, &here, &there] {
        got += usize::from(taken(tickets, &unsure).await.is_ok());
    }
    assert!(got <= 1, "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_counts_on_every_server_at_once_and_outlives_a_redis_that_comes_back_empty() {
    let Some(mut redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let (here, there) = (Denials::over(one.clone()), Denials::over(two.clone()));
    let user = Uuid::new_v4();
    let of = |revision| Grounds { session: Some(Uuid::new_v4()), user: Some(user), revision, key: None };
    let (first, second) = (of(1), of(2));
    assert!(!there.ended(&first).await, "and that is remembered for a moment");
    let told = Instant::now();
    here.deny_before(user, 2).await;
    assert!(here.ended(&first).await && !here.ended(&second).await);
    until(async || there.ended(&first).await).await;
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    assert!(!there.ended(&second).await);
    // A later one replaces what the other one knows by heart.
    there.deny_before(user, 3).await;
    until(async || here.ended(&second).await).await;
    redis.kill();
    until_gone(&one).await;
    // Made while Redis is away.
    let away = of(7);
    here.deny(away.session.expect("set")).await;
    assert!(here.ended(&away).await && here.ended(&second).await);
    redis.restart();
    until_back(&one).await;
    until_back(&two).await;
    until(async || there.ended(&away).await).await;
    // A server that starts now learns what the others know.
    assert!(here.ended(&second).await && there.ended(&second).await);
    let third = Denials::over(server(&redis).await);
    until(async || here.ended(&second).await && third.ended(&second).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_s_calls_and_cost_are_counted_over_all_servers_and_those_of_a_dead_one_no_more() {
    let Some(redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    let (here, there) = (CallLimits::new(3, one.clone()), CallLimits::new(3, two.clone()));
    let address = "198.51.100.7".parse().expect("an address");
    let key = |calls, spend, by_address| Counted {
        key: Some(Uuid::new_v4()),
        key_calls: calls,
        key_spend: spend,
        by_address,
    };
    let calls = key(Some(2), None, false);
    let first = here.open(&calls, address, 0, 1).await.expect("room");
    let second = there.open(&calls, address, 0, 1).await.expect("room");
    for limits in [&here, &there] {
        assert_eq!(limits.open(&calls, address, 0, 1).await.err(), Some(Full::KeyCalls));
    }
    drop(first);
    until(async || there.open(&calls, address, 0, 1).await.is_ok()).await;
    drop(second);
    // Calls from one address, whatever their key.
    let anonymous = Counted { by_address: true, ..Counted::default() };
    let held = [
        here.open(&anonymous, address, 0, 1).await.expect("room"),
        here.open(&anonymous, address, 0, 1).await.expect("room"),
        there.open(&anonymous, address, 0, 1).await.expect("room"),
    ];
    for limits in [&here, &there] {
        assert_eq!(limits.open(&anonymous, address, 0, 1).await.err(), Some(Full::AddressCalls));
    }
    drop(held);
    // Cost, before the database knows of it.
    let cost = key(None, Some(1_000), true);
    let other = "198.51.101.7".parse().expect("an address");
    here.open(&cost, address, 0, 1).await.expect("room").spent(250).await;
    assert_eq!(there.open(&cost, address, 0, 1).await.err(), Some(Full::AddressSpend));
    here.open(&cost, other, 0, 1).await.expect("room").spent(750).await;
    assert_eq!(there.open(&cost, other, 0, 1).await.err(), Some(Full::KeySpend));
    assert!(there.open(&cost, other, 0, 2).await.is_ok(), "the next day");
    // A server that dies gives nothing back; what nobody renews ends by itself.
    let name = "calls=of a dead server";
    let lease = one.lease(name, 1).await.expect("room").expect("shared");
    one.close().await;
    assert_eq!(two.lease(name, 1).await.err(), Some(Taken));
    std::mem::forget(lease);
    let life = Instant::now();
    let freed = async {
        while two.lease(name, 1).await.is_err() {
            sleep(Duration::from_millis(250)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), freed).await.expect("it ends");
    assert!(life.elapsed() > Duration::from_secs(20), "{:?}", life.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_server_counts_for_itself_and_together_again_afterwards() {
    let Some(mut redis) = PrivateRedis::start() else { return };
    let (one, two) = (server(&redis).await, server(&redis).await);
    redis.kill();
    until_gone(&one).await;
    until_gone(&two).await;
    let (here, there) = (CallLimits::new(9, one.clone()), CallLimits::new(9, two.clone()));
    let address = "198.51.100.7".parse().expect("an address");
    let calls = Counted { key: Some(Uuid::new_v4()), key_calls: Some(1), ..Counted::default() };
    let held = here.open(&calls, address, 0, 1).await.expect("room");
    assert_eq!(here.open(&calls, address, 0, 1).await.err(), Some(Full::KeyCalls));
    assert!(there.open(&calls, address, 0, 1).await.is_ok());
    redis.restart();
    until_back(&one).await;
    until_back(&two).await;
    // With the next renewal the call that began without Redis counts there.
    until(async || there.open(&calls, address, 0, 1).await.is_err()).await;
    drop(held);
    until(async || there.open(&calls, address, 0, 1).await.is_ok()).await;
}
