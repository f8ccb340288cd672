//! One request, services that fail in every way: what is ordered, what the caller hears, how long it takes.

mod resilience_world;

use std::time::Duration;

use resilience_world::{Behaviour, PIECES, World, failed, limited, ms, rejected, unauthorised, unreachable};
use voice_core::error::ProviderError;
use voice_core::resilience::{
    AttemptId, BrokenOff, Deadlines, Input, Order, Planner, Rules, Seed, StageDeadlines,
};
use voice_core::turn::Policy;

fn stt() -> Rules {
    Rules::stt(&Deadlines::default())
}

fn llm() -> Rules {
    Rules::llm(&Deadlines::default())
}

fn tts() -> Rules {
    Rules::tts(&Deadlines::default())
}

const WELL: Behaviour = Behaviour::Well(ms(200));

#[test]
fn the_planner_gives_up_before_the_turn_machine_does() {
    let (deadlines, policy) = (Deadlines::default(), Policy::default());
    assert!(deadlines.stt().total < policy.stt_final);
    assert!(deadlines.llm().total < policy.reply_text);
    assert!(deadlines.tts().total < policy.speech);
    // Where a stream stalls, it is noticed early enough that somebody else can still continue.
    assert!(deadlines.llm().stall < policy.reply_text / 2);
    assert!(deadlines.tts().stall < policy.speech / 2);
    // An utterance lasts as long as a turn may, and its words may then take what they may.
    assert!(deadlines.stt().longest > policy.long_turn + deadlines.stt().total);
}

/// What is to be ordered, the pieces to be heard, and the longest time to the end.
struct Case {
    rules: fn() -> Rules,
    orders: &'static str,
    heard: u32,
    within: Duration,
}

#[track_caller]
fn check(case: Case, first: &[Behaviour], second: &[Behaviour]) {
    let name = format!("{first:?} then {second:?}");
    let services = [("a", first), ("b", second)];
    let count = if second.is_empty() { 1 } else { 2 };
    let told = World::new((case.rules)(), &services[..count]).ask();
    assert_eq!(told.orders.join(", "), case.orders, "{name}: {told:#?}");
    assert!(told.heard.iter().copied().eq(0..case.heard), "{name}: {told:#?}");
    assert!(told.took <= case.within, "{name} took {:?}", told.took);
}

#[test]
fn before_the_first_output_any_stage_gets_an_answer_elsewhere() {
    // An answer takes this from its attempt's start to its end; the wait before a retry is at most 100 ms.
    const END: Duration = ms(700);
    let cases = [
        (vec![WELL], "start a first", END),
        (
            vec![Behaviour::Error(ms(5), unreachable()), WELL],
            "start a first, start a retry",
            END + ms(5 + 100 + 100),
        ),
        (
            vec![Behaviour::Error(ms(5), failed())],
            "start a first, start a retry, start b fallback",
            END + ms(10 + 100 + 100),
        ),
        (vec![Behaviour::Error(ms(5), unauthorised())], "start a first, start b fallback", END + ms(105)),
        (vec![Behaviour::Error(ms(5), rejected())], "start a first, start b fallback", END + ms(105)),
        (vec![Behaviour::Error(ms(5), limited(None))], "start a first, start b fallback", END + ms(105)),
        (
            vec![Behaviour::Error(ms(5), limited(Some(ms(1))))],
            "start a first, start b fallback",
            END + ms(105),
        ),
        (
            vec![Behaviour::Empty(ms(50))],
            "start a first, start a retry, start b fallback",
            END + ms(100 + 100 + 100),
        ),
        (vec![Behaviour::Silent], "start a first, cancel, start b fallback", END + ms(2_500 + 100)),
        (vec![Behaviour::Absent], "start a first, cancel, start b fallback", END + ms(2_000 + 100)),
    ];
    for rules in [stt, llm, tts] {
        for (first, orders, within) in &cases {
            let case = Case { rules, orders, heard: PIECES, within: *within };
            check(case, first, &[WELL]);
        }
    }
}

#[test]
fn retries_leave_an_attempt_for_each_provider_behind() {
    let dead: &[Behaviour] = &[Behaviour::Error(ms(5), unreachable())];
    let well: &[Behaviour] = &[WELL];
    for (services, orders) in [
        (
            &[("a", dead), ("b", dead), ("c", well)][..],
            "start a first, start a retry, start b fallback, start c fallback",
        ),
        (
            &[("a", dead), ("b", dead), ("c", dead), ("d", well)][..],
            "start a first, start b fallback, start c fallback, start d fallback",
        ),
    ] {
        let told = World::new(stt(), services).ask();
        assert_eq!(told.orders.join(", "), orders, "{told:#?}");
        assert!(told.heard.iter().copied().eq(0..PIECES), "{told:#?}");
    }
}

#[test]
fn silence_is_ended_by_the_deadline_of_the_first_useful_output() {
    for (rules, first) in [(stt(), 1_500), (llm(), 2_500), (tts(), 1_500)] {
        let mut world = World::new(rules, &[("a", &[Behaviour::Silent]), ("b", &[WELL])]);
        assert_eq!(world.ask().first, Some(ms(first + 200)));
        let mut world = World::new(rules, &[("a", &[Behaviour::Absent]), ("b", &[WELL])]);
        assert_eq!(world.ask().first, Some(rules.deadlines.connect.min(ms(first)) + ms(200)));
    }
}

#[test]
fn where_nobody_else_is_left_the_same_one_is_asked_again_or_the_request_is_given_up() {
    let cases: [(Vec<Behaviour>, &str, u32); 7] = [
        (vec![Behaviour::Silent, WELL], "start a first, cancel, start a retry", PIECES),
        (vec![Behaviour::Error(ms(5), limited(Some(ms(300)))), WELL], "start a first, start a retry", PIECES),
        (
            vec![Behaviour::Error(ms(5), limited(Some(ms(20_000)))), WELL],
            "start a first, give up NobodyLeft",
            0,
        ),
        (vec![Behaviour::Error(ms(5), rejected()), WELL], "start a first, give up NobodyLeft", 0),
        (vec![Behaviour::Error(ms(5), unauthorised()), WELL], "start a first, give up NobodyLeft", 0),
        (vec![Behaviour::Error(ms(5), unreachable())], "start a first, start a retry, give up NobodyLeft", 0),
        (vec![Behaviour::Silent], "start a first, cancel, start a retry, cancel, give up NobodyLeft", 0),
    ];
    for (first, orders, heard) in cases {
        for rules in [stt, llm, tts] {
            check(Case { rules, orders, heard, within: ms(7_000) }, &first, &[]);
        }
    }
}

#[test]
fn a_model_that_breaks_off_is_never_asked_again() {
    for (first, orders) in [
        (Behaviour::Cut(2, unreachable()), "start a first, give up BrokenOff"),
        (Behaviour::Stall(2), "start a first, cancel, give up BrokenOff"),
    ] {
        let case = Case { rules: llm, orders, heard: 2, within: ms(200 + 2_500) };
        check(case, &[first, WELL], &[WELL]);
    }
}

#[test]
fn a_voice_or_recogniser_that_breaks_off_is_continued_where_it_was() {
    for rules in [stt, tts] {
        let cases: [(Vec<Behaviour>, &str); 4] = [
            (vec![Behaviour::Cut(2, unreachable()), WELL], "start a first, start a resume"),
            (
                vec![Behaviour::Cut(2, unreachable()), Behaviour::Cut(1, failed())],
                "start a first, start a resume, start b resume",
            ),
            (vec![Behaviour::Cut(3, limited(None))], "start a first, start b resume"),
            (vec![Behaviour::Stall(4)], "start a first, cancel, start b resume"),
        ];
        for (first, orders) in cases {
            let case = Case { rules, orders, heard: PIECES, within: ms(3_000) };
            check(case, &first, &[WELL]);
        }
    }
}

#[test]
fn a_successor_that_fails_at_once_is_followed_by_the_next() {
    let services: [(&str, &[Behaviour]); 3] = [
        ("a", &[Behaviour::Stall(1)]),
        ("b", &[Behaviour::Error(ms(5), rejected())]),
        ("local", &[Behaviour::Well(ms(50))]),
    ];
    let told = World::new(tts(), &services).ask();
    assert_eq!(told.orders.join(", "), "start a first, cancel, start b resume, start local fallback");
    assert!(told.is_whole(), "{told:#?}");
}

#[test]
fn late_answers_of_cancelled_attempts_are_not_heard() {
    // The first one answers after its deadline, in the middle of the second one's answer.
    let services: [(&str, &[Behaviour]); 2] = [("a", &[Behaviour::Well(ms(1_600))]), ("b", &[WELL])];
    let told = World::new(tts(), &services).ask();
    assert!(told.is_whole(), "{told:#?}");
    assert_eq!(told.first, Some(ms(1_700)));
}

#[test]
fn a_reply_of_one_tool_call_is_an_answer() {
    // One useful output and the end: no text came, and nothing has failed.
    let mut world = World::new(llm(), &[("a", &[WELL]), ("b", &[WELL])]);
    for n in 0..20 {
        let (attempt, now) = (AttemptId(n), world.now);
        let mut planner = Planner::new(attempt, (), Seed(1), &mut world.line_up, now);
        for input in [Input::Wanted, Input::Useful { attempt, resume: () }, Input::Finished { attempt }] {
            planner.handle_input(input, &mut world.line_up, now);
        }
        assert!(planner.is_over());
        while let Some(order) = planner.poll_order() {
            assert!(!matches!(order, Order::GiveUp(_)), "{order:?}");
        }
    }
    let status = &world.line_up.status(world.now)[0];
    assert_eq!((status.counters.successes, status.counters.failures, status.in_a_row), (20, 0, 0));
}

#[test]
fn nothing_is_overdue_before_it_is_wanted() {
    // A recogniser is opened when speech starts; the utterance lasts six seconds.
    let services: [(&str, &[Behaviour]); 2] = [("a", &[Behaviour::Well(ms(6_300))]), ("b", &[WELL])];
    let told = World::new(stt(), &services).ask_and_want(ms(6_000));
    assert_eq!(told.orders, ["start a first"]);
    // A connection that does not come about is, though: nobody has to wait for it later.
    let services: [(&str, &[Behaviour]); 2] = [("a", &[Behaviour::Absent]), ("b", &[WELL])];
    let told = World::new(stt(), &services).ask_and_want(ms(6_000));
    assert_eq!(told.orders, ["start a first", "cancel", "start b fallback"]);
    assert_eq!(told.first, Some(ms(1_200)));
}

#[test]
fn an_attempt_beside_a_late_one_starts_at_the_usual_time_and_the_quicker_one_is_heard() {
    let mut world = World::new(llm(), &[("a", &[Behaviour::Well(ms(300))])]);
    (0..40).for_each(|_| assert!(world.ask().is_whole()));
    // The next one is slow, its second attempt is not.
    let mut world_after = |first: u64, second: u64| {
        world.change(0, Behaviour::Well(ms(first)));
        world.change_next(0, Behaviour::Well(ms(second)));
        world.ask()
    };
    let told = world_after(2_000, 300);
    assert_eq!(told.orders, ["start a first", "start a hedge", "cancel"]);
    assert_eq!(told.first, Some(ms(300 + 300)), "{told:#?}");
    assert!(told.is_whole(), "{told:#?}");
    // The first one may also win.
    let told = world_after(400, 300);
    assert_eq!(told.orders, ["start a first", "start a hedge", "cancel"]);
    assert_eq!(told.first, Some(ms(400)));
    assert!(told.is_whole(), "{told:#?}");
}

#[test]
fn a_hedge_that_fails_leaves_the_first_attempt_alone_and_the_other_way_round() {
    let mut world = World::new(llm(), &[("a", &[Behaviour::Well(ms(300))]), ("b", &[WELL])]);
    (0..40).for_each(|_| assert!(world.ask().is_whole()));
    world.change(0, Behaviour::Well(ms(800)));
    world.change_next(0, Behaviour::Error(ms(50), failed()));
    let told = world.ask();
    assert_eq!(told.orders, ["start a first", "start a hedge"]);
    assert!(told.is_whole() && told.first == Some(ms(800)), "{told:#?}");
    world.change(0, Behaviour::Error(ms(400), failed()));
    world.change_next(0, Behaviour::Well(ms(300)));
    let told = world.ask();
    assert_eq!(told.orders, ["start a first", "start a hedge"]);
    assert!(told.is_whole() && told.first == Some(ms(600)), "{told:#?}");
}

#[test]
fn not_more_than_one_request_in_ten_is_hedged() {
    let mut world = World::new(llm(), &[("a", &[Behaviour::Well(ms(300))])]);
    (0..20).for_each(|_| assert!(world.ask().is_whole()));
    // Suddenly everything is late; the usual time follows, but slowly.
    world.change(0, Behaviour::Well(ms(700)));
    let hedged = (0..400).filter(|_| world.ask().orders.contains(&"start a hedge".to_owned())).count();
    assert!((2..=42).contains(&hedged), "{hedged}");
    assert_eq!(world.line_up.hedges().taken(), hedged as u64);
}

#[test]
fn one_processor_is_not_hedged_with_itself() {
    let mut world = World::new(llm(), &[("local", &[Behaviour::Well(ms(300))])]);
    (0..40).for_each(|_| assert!(world.ask().is_whole()));
    world.change(0, Behaviour::Well(ms(1_500)));
    assert_eq!(world.ask().orders, ["start local first"]);
}

#[test]
fn whatever_services_do_a_request_ends_in_time_and_nothing_is_said_twice() {
    let behaviours = [
        WELL,
        Behaviour::Well(ms(2_000)),
        Behaviour::Silent,
        Behaviour::Absent,
        Behaviour::Empty(ms(30)),
        Behaviour::Stall(2),
        Behaviour::Cut(1, failed()),
        Behaviour::Cut(PIECES, unreachable()),
        Behaviour::Error(ms(1), unreachable()),
        Behaviour::Error(ms(900), failed()),
        Behaviour::Error(ms(1), rejected()),
        Behaviour::Error(ms(1), unauthorised()),
        Behaviour::Error(ms(1), limited(None)),
        Behaviour::Error(ms(1), limited(Some(ms(400)))),
        Behaviour::Error(ms(1), limited(Some(Duration::MAX))),
    ];
    for rules in [stt(), llm(), tts()] {
        let StageDeadlines { total, stall, .. } = rules.deadlines;
        for a in &behaviours {
            for b in &behaviours {
                for again in [a, &WELL] {
                    let script = [a.clone(), again.clone()];
                    let services: [(&str, &[Behaviour]); 2] =
                        [("a", &script), ("b", std::slice::from_ref(b))];
                    let told = World::new(rules, &services).ask();
                    let name = format!("{a:?}, {again:?}; {b:?}: {told:#?}");
                    assert!(told.is_prefix(), "{name}");
                    assert!(told.first.is_none_or(|first| first <= total), "{name}");
                    // At most four attempts, each with its pieces and its silence.
                    assert!(told.took <= total + 4 * (stall + ms(500) + total), "{name}");
                    assert!(told.given_up.is_some() || told.is_whole(), "{name}");
                    // A second service that answers in time is found, unless words of the first were given out.
                    let second_answers =
                        matches!(b, Behaviour::Well(after) if *after < rules.deadlines.first);
                    let goes_on = rules.broken_off == BrokenOff::Resume;
                    assert!(!(second_answers && goes_on) || told.is_whole(), "{name}");
                }
            }
        }
    }
}

#[test]
fn the_last_error_is_the_one_that_is_reported() {
    let services: [(&str, &[Behaviour]); 2] =
        [("a", &[Behaviour::Error(ms(1), unauthorised())]), ("b", &[Behaviour::Error(ms(1), rejected())])];
    let told = World::new(tts(), &services).ask();
    let given_up = told.given_up.expect("nobody was left");
    assert!(matches!(given_up.error, ProviderError::Rejected { .. }), "{given_up:?}");
    assert_eq!(told.notices.len(), 2, "both are told: {:?}", told.notices);
    assert!(!given_up.down, "the second one is well, it only does not take this");
}
