//! Minutes of a stage whose services go down and come back: who is asked, who pays for finding out, what is told.

mod resilience_world;

use std::time::Duration;

use resilience_world::{Behaviour, World, failed, limited, ms, rejected, unauthorised, unreachable};
use voice_core::error::ProviderError;
use voice_core::resilience::{
    AttemptId, BreakerState, ChangeKind, Deadlines, Input, LineUp, LineUpError, Member, Order, Planner,
    Rules, Seed,
};
use voice_core::time::ProcessTime;

const WELL: Behaviour = Behaviour::Well(ms(200));
const SECONDS_30: Duration = Duration::from_secs(30);

fn down() -> Behaviour {
    Behaviour::Error(ms(5), failed())
}

fn tts() -> Rules {
    let mut rules = Rules::tts(&Deadlines::default());
    // One attempt at each service, so that attempts can be counted as requests.
    rules.retry = rules.retry.with_per_provider(1);
    rules
}

fn world(first: Behaviour) -> World {
    World::new(tts(), &[("a", &[first]), ("b", &[WELL])])
}

fn state(world: &World, service: usize) -> BreakerState {
    world.line_up.status(world.now)[service].state
}

fn changes(world: &mut World) -> Vec<(&'static str, &'static str)> {
    std::iter::from_fn(|| world.line_up.poll_change()).map(|c| (c.provider, c.kind.as_str())).collect()
}

/// What the prober of the shell does, with a service that is well or not.
fn probe(world: &mut World, well: bool) -> usize {
    let mut probes = 0;
    while let Some(probe) = world.line_up.poll_probe(world.now) {
        probes += 1;
        let result = if well { Ok(()) } else { Err(unreachable()) };
        world.line_up.handle_probe(probe, result, world.now);
    }
    probes
}

#[test]
fn five_failures_in_a_row_and_nobody_has_to_wait_for_it_any_more() {
    for behaviour in [down(), Behaviour::Silent, Behaviour::Well(ms(1_000)), Behaviour::Empty(ms(5))] {
        let mut world = world(behaviour.clone());
        for n in 0..5 {
            assert_eq!(state(&world, 0), BreakerState::Closed, "{behaviour:?} after {n}");
            let told = world.ask();
            assert_eq!(told.orders[0], "start a first");
            assert!(told.is_whole(), "{told:#?}");
        }
        assert_eq!(state(&world, 0), BreakerState::Open, "{behaviour:?}");
        for _ in 0..20 {
            assert_eq!(world.ask().orders, ["start b first"], "{behaviour:?}");
        }
        assert_eq!(changes(&mut world), [("a", "opened")]);
    }
}

#[test]
fn a_request_that_is_at_fault_itself_or_a_full_service_opens_nothing() {
    let errors = [rejected(), limited(None), limited(Some(ms(300)))];
    for error in errors {
        let mut world = world(Behaviour::Error(ms(5), error.clone()));
        for _ in 0..20 {
            assert!(world.ask().is_whole());
            world.wait(Duration::from_secs(3));
        }
        assert_eq!(state(&world, 0), BreakerState::Closed, "{error}");
        assert_eq!(world.ask().orders[0], "start a first", "{error}");
    }
}

#[test]
fn a_wrong_key_is_tried_once_and_not_four_times_more() {
    let mut world = world(Behaviour::Error(ms(5), unauthorised()));
    assert_eq!(world.ask().orders, ["start a first", "start b fallback"]);
    assert_eq!(world.ask().orders, ["start b first"]);
}

#[test]
fn a_full_service_is_left_alone_as_long_as_it_asks() {
    let mut world = world(Behaviour::Error(ms(5), limited(Some(Duration::from_secs(20)))));
    let begun = world.now;
    assert!(world.ask().is_whole());
    world.change(0, WELL);
    let mut asked_again = None;
    while asked_again.is_none() {
        if world.ask().orders == ["start a first"] {
            asked_again = Some(world.now.since(begun));
        }
    }
    // Each request takes 700 ms, and the wait is spread by up to 250 ms.
    let after = asked_again.unwrap_or_default();
    assert!(after > Duration::from_secs(20) && after < Duration::from_millis(21_700), "{after:?}");
    assert_eq!(changes(&mut world), [("a", "resting")]);
}

#[test]
fn a_full_service_that_does_not_say_how_long_is_left_alone_for_longer_each_time() {
    let mut world = world(Behaviour::Error(ms(5), limited(None)));
    let mut rests = Vec::new();
    for _ in 0..6 {
        let asked = world.now + ms(5);
        assert!(world.ask().is_whole());
        let until = world.line_up.poll_change().map(|change| change.kind);
        let Some(ChangeKind::Resting(until)) = until else { panic!("{until:?}") };
        rests.push(until.since(asked));
        world.wait(Duration::from_secs(10));
    }
    for (rest, most) in rests.iter().zip([250, 500, 1_000, 2_000, 2_000, 2_000]) {
        assert!(*rest >= ms(most / 2) && *rest <= ms(most), "{rests:?}");
    }
}

#[test]
fn a_service_comes_back_by_a_probe_and_one_request() {
    let mut world = world(down());
    (0..5).for_each(|_| assert!(world.ask().is_whole()));
    let opened = world.now;
    assert_eq!(probe(&mut world, true), 0, "not before its time");
    let due = world.line_up.poll_timeout().expect("a probe is planned");
    assert!(due.since(opened) <= SECONDS_30, "{due:?}");
    world.wait(due.since(world.now));
    // Still down: it is left alone for another half minute, and no request has paid for finding out.
    assert_eq!(probe(&mut world, false), 1);
    assert_eq!(state(&world, 0), BreakerState::Open);
    assert_eq!(world.ask().orders, ["start b first"]);
    world.wait(SECONDS_30);
    assert_eq!(state(&world, 0), BreakerState::HalfOpen);
    assert_eq!(world.ask().orders, ["start b first"], "requests wait for the probe");
    assert_eq!(probe(&mut world, true), 1);
    world.change(0, WELL);
    assert_eq!(world.ask().orders, ["start a first"]);
    assert_eq!(state(&world, 0), BreakerState::Closed);
    assert_eq!(world.line_up.poll_timeout(), None);
    assert_eq!(changes(&mut world), [("a", "opened"), ("a", "opened"), ("a", "closed")]);
}

#[test]
fn a_service_that_passes_probes_and_fails_requests_costs_one_request_in_half_a_minute() {
    let mut world = world(down());
    let mut asked = 0;
    let begun = world.now;
    while world.now.since(begun) < Duration::from_secs(600) {
        probe(&mut world, true);
        let told = world.ask();
        asked += told.orders.iter().filter(|order| order.starts_with("start a")).count();
        assert!(told.is_whole());
    }
    assert!((15..=25).contains(&asked), "{asked} in ten minutes");
}

#[test]
fn a_service_comes_back_also_where_nobody_probes() {
    let mut world = world(down());
    (0..5).for_each(|_| assert!(world.ask().is_whole()));
    world.change(0, WELL);
    world.wait(Duration::from_secs(34));
    // After half a minute and a grace of five seconds for the prober.
    let firsts: Vec<_> = (0..4).map(|_| world.ask().orders[0].clone()).collect();
    assert!(firsts[0] == "start b first" && firsts[3] == "start a first", "{firsts:?}");
    assert_eq!(state(&world, 0), BreakerState::Closed);
}

#[test]
fn a_probe_that_is_never_answered_blocks_nothing() {
    let mut world = world(down());
    (0..5).for_each(|_| assert!(world.ask().is_whole()));
    world.change(0, WELL);
    world.wait(SECONDS_30);
    let lost = world.line_up.poll_probe(world.now).expect("a probe is due");
    assert!(world.line_up.poll_probe(world.now).is_none(), "one at a time");
    drop(lost);
    world.wait(SECONDS_30 + Duration::from_secs(6));
    assert_eq!(world.ask().orders, ["start a first"]);
    assert_eq!(state(&world, 0), BreakerState::Closed);
}

#[test]
fn where_everybody_is_down_the_request_ends_at_once_in_text_and_knows_when_to_come_back() {
    let mut world = World::new(tts(), &[("a", &[down()]), ("b", &[down()])]);
    for _ in 0..5 {
        assert!(world.ask().given_up.is_some_and(|given_up| given_up.back_at.is_some()));
    }
    let told = world.ask();
    assert_eq!(told.orders, ["give up NobodyLeft"]);
    assert_eq!(told.took, Duration::ZERO);
    let given_up = told.given_up.expect("nobody was left");
    assert!(given_up.down);
    let back_at = given_up.back_at.expect("it knows when");
    let wait = back_at.since(world.now);
    assert!(wait > Duration::from_secs(20) && wait <= SECONDS_30, "{wait:?}");
    assert!(matches!(given_up.error, ProviderError::Failed { .. }));
    let seen = changes(&mut world);
    assert_eq!(seen, [("a", "opened"), ("b", "opened"), ("a", "stage_down")]);
    // At that moment a request is the trial, since there is nobody else to ask.
    world.wait(wait);
    world.change(0, WELL);
    assert!(world.ask().is_whole());
    assert_eq!(changes(&mut world), [("a", "closed"), ("a", "stage_back")]);
}

#[test]
fn a_short_wait_for_the_only_service_is_waited_and_a_long_one_is_not() {
    let mut world = World::new(tts(), &[("a", &[down()])]);
    (0..5).for_each(|_| assert!(world.ask().given_up.is_some()));
    world.change(0, WELL);
    let back_at = world.line_up.poll_timeout().expect("a probe is planned");
    world.wait(back_at.since(world.now) - ms(1_100));
    assert_eq!(world.ask().orders, ["give up NobodyLeft"]);
    world.wait(ms(200));
    let told = world.ask();
    assert!(told.is_whole() && told.first <= Some(ms(1_100 + 200)), "{told:#?}");
}

#[test]
fn an_outage_under_load_is_found_once_and_a_recovery_is_tried_by_one() {
    // A hundred requests at the same time, each with a planner of its own.
    let members = ["a", "b"].map(|name| Member { name, hedged: true });
    let mut line_up = LineUp::new(&members, tts(), Seed(3)).expect("a line-up");
    let start = ProcessTime::from_millis(1_000);
    let begin = |line_up: &mut LineUp, now| {
        let planners = (0..100).map(|n| Planner::new(AttemptId(0), (), Seed(n), line_up, now));
        planners.collect::<Vec<_>>()
    };
    let started_at = |planner: &mut Planner<()>| {
        let orders = std::iter::from_fn(|| planner.poll_order());
        orders
            .filter_map(|order| match order {
                Order::Start { provider, attempt, .. } => Some((provider.get(), attempt)),
                _ => None,
            })
            .last()
    };
    let mut planners = begin(&mut line_up, start);
    for planner in &mut planners {
        let (provider, attempt) = started_at(planner).expect("an attempt");
        assert_eq!(provider, 0);
        planner.handle_input(Input::Failed { attempt, error: unreachable() }, &mut line_up, start + ms(50));
        // All of them fail over, none of them asks the same service again.
        let (provider, attempt) = started_at(planner).expect("another attempt");
        assert_eq!(provider, 1);
        planner.handle_input(Input::Useful { attempt, resume: () }, &mut line_up, start + ms(90));
        planner.handle_input(Input::Finished { attempt }, &mut line_up, start + ms(99));
    }
    assert_eq!(line_up.status(start + ms(99))[0].counters.opened, 1);
    // Half a minute later the probe is good: of a hundred new requests one tries the service, the others do not.
    let later = start + Duration::from_secs(31);
    let probe = line_up.poll_probe(later).expect("a probe is due");
    line_up.handle_probe(probe, Ok(()), later);
    let mut planners = begin(&mut line_up, later);
    let asked: Vec<_> = planners.iter_mut().filter_map(started_at).map(|(provider, _)| provider).collect();
    assert_eq!(asked.iter().filter(|provider| **provider == 0).count(), 1);
    assert_eq!(asked.len(), 100);
    // It answers, and from then on everybody asks it again.
    planners[0].handle_input(Input::Useful { attempt: AttemptId(0), resume: () }, &mut line_up, later);
    let asked: Vec<_> = begin(&mut line_up, later).iter_mut().filter_map(started_at).collect();
    assert!(asked.iter().all(|(provider, _)| *provider == 0), "{asked:?}");
}

#[test]
fn retries_stay_a_share_of_the_requests_while_everything_fails() {
    let mut rules = Rules::llm(&Deadlines::default());
    // The breaker would end the test too soon.
    rules.breaker.failures = u32::MAX;
    let mut world = World::new(rules, &[("a", &[down()])]);
    let retries = |world: &mut World| {
        let told = world.ask();
        told.orders.iter().filter(|order| order.contains("retry")).count()
    };
    let first: usize = (0..100).map(|_| retries(&mut world)).sum();
    assert!((20..=30).contains(&first), "{first}");
    let second: usize = (0..1_000).map(|_| retries(&mut world)).sum();
    assert!((190..=200).contains(&second), "{second}");
    assert!(world.line_up.retries().denied() > 0);
}

#[test]
fn changes_that_nobody_reads_are_bounded_and_counted() {
    let mut world = world(down());
    for _ in 0..200 {
        (0..5).for_each(|_| assert!(world.ask().is_whole()));
        world.wait(Duration::from_secs(36));
    }
    let left = changes(&mut world).len();
    assert!(left <= 64, "{left}");
    assert!(world.line_up.changes_lost() > 0);
}

#[test]
fn a_line_up_has_one_to_eight_services() {
    let of = |count| LineUp::new(&vec![Member { name: "a", hedged: false }; count], tts(), Seed(0)).err();
    assert_eq!(of(0), Some(LineUpError::Empty));
    assert_eq!((of(1), of(8)), (None, None));
    assert_eq!(of(9), Some(LineUpError::TooMany(9)));
}

#[test]
fn what_is_shared_between_calls_can_be_sent_and_stays_small() {
    fn can_be_sent<T: Send + 'static>() {}
    can_be_sent::<LineUp>();
    can_be_sent::<Planner<u64>>();
    assert!(size_of::<Order<u64>>() <= 96, "{}", size_of::<Order<u64>>());
    assert!(size_of::<Planner<u64>>() <= 512, "{}", size_of::<Planner<u64>>());
}
