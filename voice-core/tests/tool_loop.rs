//! What the tool loop does with models, tools and callers of every kind, in virtual time.

mod desk;

use std::time::Duration;

use desk::{BOOK, Desk, NOTIFY, SEARCH, SLOW, call};
use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::llm::tools::{ToolError, ToolLimits};
use voice_core::llm::{FinishReason, LlmEvent, Role, ToolUse, Usage};

const FILLER: &str = "[One moment, let me check. ]";

fn desk() -> Desk {
    Desk::new(ToolLimits::default())
}

fn error(why: &str) -> String {
    json!({ "error": why }).to_string()
}

#[test]
fn an_answer_without_tools_passes_through() {
    let usage = Usage { input: 10, output: 2, ..Usage::default() };
    let mut desk = desk();
    desk.says("It ").says("does.").event(LlmEvent::Usage(usage)).done(FinishReason::Length);
    let delta = |text: &str| LlmEvent::Delta(text.to_owned());
    let expected =
        [delta("It "), delta("does."), LlmEvent::Usage(usage), LlmEvent::Done(FinishReason::Length)];
    assert_eq!(desk.events, expected);
    assert_eq!(desk.asks.len(), 1);
    assert!(desk.rounds.is_over());
    assert_eq!(desk.rounds.poll_timeout(), None);
}

#[test]
fn a_reply_of_tool_calls_only_is_a_success() {
    let mut desk = desk();
    desk.calls([call("a", "search", r#"{"n":1}"#)]).ready(SEARCH, json!({"homes": 2}));
    assert!(desk.failure.is_none());
    assert_eq!(desk.told(), [("a".to_owned(), r#"{"homes":2}"#.to_owned())]);
    desk.says("Two.").done(FinishReason::Stop);
    assert_eq!(desk.events.last(), Some(&LlmEvent::Done(FinishReason::Stop)));
    assert_eq!(desk.words(), "Two.");
}

#[test]
fn looking_starts_at_once_and_together_and_results_keep_the_order_of_the_calls() {
    let mut desk = desk();
    desk.says("Let me see.").calls([call("a", "search", r#"{"n":1}"#), call("b", "slow", "")]);
    assert_eq!(desk.places(), [SEARCH, SLOW]);
    assert!(!desk.rounds.awaits_commit());
    desk.ready(SLOW, json!(2));
    assert_eq!(desk.asks.len(), 1);
    desk.ready(SEARCH, json!(1));
    assert_eq!(desk.told(), [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    let (exchange, tool_use) = &desk.asks[1];
    assert_eq!(*tool_use, ToolUse::Allowed);
    assert_eq!((exchange[0].role, exchange[0].text.as_str()), (Role::Assistant, "Let me see."));
    assert_eq!(exchange[0].calls, [call("a", "search", r#"{"n":1}"#), call("b", "slow", "{}")]);
}

#[test]
fn effects_wait_for_the_barrier_and_run_one_after_the_other() {
    let mut desk = desk();
    desk.calls([call("a", "book", r#"{"n":1}"#), call("b", "search", "{}"), call("c", "notify", "{}")]);
    assert_eq!(desk.places(), [SEARCH]);
    assert!(desk.rounds.awaits_commit());
    desk.ready(SEARCH, json!([]));
    assert!(desk.running.is_empty());
    desk.commit(true);
    assert_eq!(desk.places(), [BOOK]);
    assert!(!desk.rounds.awaits_commit());
    desk.ready(BOOK, json!("booked"));
    assert_eq!(desk.places(), [NOTIFY]);
    desk.ready(NOTIFY, json!("sent"));
    assert_eq!(desk.told().len(), 3);
    // The barrier stays open for the rounds that follow.
    desk.calls([call("d", "book", r#"{"n":2}"#)]);
    assert_eq!(desk.places(), [BOOK]);
}

#[test]
fn behind_a_barrier_that_never_opens_nothing_is_done() {
    let why = error("not done: it did not become certain that the caller wants it");
    let mut desk = desk();
    desk.calls([call("a", "book", "{}"), call("b", "search", "{}")]).commit(false).ready(SEARCH, json!(1));
    assert_eq!(desk.told(), [("a".to_owned(), why.clone()), ("b".to_owned(), "1".to_owned())]);
    // The model tries again.
    desk.calls([call("c", "book", "{}")]);
    assert_eq!(desk.told_of("c"), why);
    assert_eq!(desk.started, [(SEARCH, json!({}))]);
}

#[test]
fn the_wait_for_the_barrier_ends() {
    let mut desk = desk();
    desk.calls([call("a", "book", "{}")]).wait(5_999);
    assert_eq!(desk.asks.len(), 1);
    desk.wait(1);
    assert_eq!(desk.asks.len(), 2);
    desk.commit(true).says("That did not work.").done(FinishReason::Stop);
    assert!(desk.started.is_empty());
}

#[test]
fn the_same_effect_is_not_done_twice_in_one_answer() {
    let mut desk = desk();
    desk.commit(true);
    desk.calls([call("a", "book", r#"{"n":1}"#), call("b", "book", r#"{ "n": 1 }"#)]);
    desk.ready(BOOK, json!("slot 7"));
    assert_eq!((desk.told_of("a"), desk.told_of("b")), (r#""slot 7""#.to_owned(), r#""slot 7""#.to_owned()));
    desk.calls([call("c", "book", r#"{"n":1}"#)]);
    assert_eq!(desk.told_of("c"), r#""slot 7""#);
    desk.calls([call("d", "book", r#"{"n":2}"#)]);
    assert_eq!(desk.started, [(BOOK, json!({"n": 1})), (BOOK, json!({"n": 2}))]);
}

#[test]
fn an_effect_whose_outcome_is_unknown_is_not_tried_again() {
    let mut desk = desk();
    desk.commit(true).calls([call("a", "book", "{}")]).wait(5_000);
    let unknown = error("no result within 5 s; it may or may not have been done");
    assert_eq!(desk.told_of("a"), unknown);
    desk.calls([call("b", "book", "{}")]);
    assert_eq!(desk.told_of("b"), unknown);
    assert_eq!(desk.started.len(), 1);
}

#[test]
fn what_builds_on_a_failed_effect_is_not_done() {
    let mut desk = desk();
    desk.commit(true).calls([call("a", "book", "{}"), call("b", "notify", "{}"), call("c", "search", "{}")]);
    let key = desk.key_of(BOOK);
    desk.result(key, Err(ToolError("that time is taken".to_owned()))).ready(SEARCH, json!(1));
    assert_eq!(desk.told_of("a"), error("that time is taken"));
    assert_eq!(desk.told_of("b"), error("not done, because the one before it failed"));
    assert_eq!(desk.told_of("c"), "1");
}

#[test]
fn wrong_calls_are_explained_to_the_model_and_never_run() {
    for (name, arguments, why) in [
        ("sell", "{}", "there is no such tool, only search, slow, book, notify"),
        ("search\n", "{}", "there is no such tool, only search, slow, book, notify"),
        ("", "{}", "there is no such tool, only search, slow, book, notify"),
        ("search", r#"{"n":"#, "the arguments are not a JSON object"),
        ("search", "[1]", "the arguments are not a JSON object"),
        ("search", r#""n""#, "the arguments are not a JSON object"),
        ("search", r#"{"n":"three"}"#, "n must be an integer"),
        ("search", r#"{"m":1}"#, "there is an argument that is none of n"),
    ] {
        let mut desk = desk();
        desk.commit(true).calls([call("a", name, arguments)]);
        assert!(desk.started.is_empty(), "{name} {arguments}");
        assert_eq!(desk.told_of("a"), error(why), "{name} {arguments}");
        // What goes back is what every server takes.
        let kept = &desk.asks[1].0[0].calls[0];
        assert!(serde_json::from_str::<Value>(&kept.arguments).expect("JSON").is_object());
        assert!(!kept.name.is_empty() && !kept.name.contains('\n'));
    }
}

#[test]
fn too_long_arguments_are_not_read() {
    let mut desk = desk();
    desk.calls([call("a", "search", &format!(r#"{{"n":1{}}}"#, " ".repeat(70_000)))]);
    assert_eq!(desk.told_of("a"), error("the arguments are not a JSON object"));
}

#[test]
fn calls_beyond_the_limit_are_answered_and_not_run() {
    let limits = ToolLimits { calls: 2, ..ToolLimits::default() };
    let mut desk = Desk::new(limits);
    desk.calls((0..100).map(|n| call(&n.to_string(), "search", "{}")));
    assert_eq!(desk.started.len(), 2);
    desk.ready(SEARCH, json!(1)).ready(SEARCH, json!(1));
    assert_eq!(desk.told().len(), 64);
    assert_eq!(desk.told_of("63"), error("not done: at most 2 calls at a time"));
}

#[test]
fn ids_are_made_where_they_are_missing_or_come_again() {
    let mut desk = desk();
    desk.calls([call("a", "sell", ""), call("a", "sell", ""), call("", "sell", "")]);
    desk.calls([call("a", "sell", ""), call(&"x".repeat(500), "sell", "")]);
    let mut ids: Vec<&str> = desk.asks[2].0.iter().flat_map(|m| &m.calls).map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["a", "again0000", "again0001", "again0002", "again0003"]);
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn a_slow_tool_is_cancelled_and_the_model_is_told() {
    let mut desk = desk();
    desk.calls([call("a", "search", "{}"), call("b", "slow", "{}")]);
    let late = desk.key_of(SEARCH);
    desk.wait(4_999);
    assert!(desk.cancelled.is_empty());
    desk.wait(1);
    assert_eq!(desk.cancelled, [late]);
    // Its own limit is longer.
    assert_eq!(desk.places(), [SLOW]);
    desk.wait(3_000);
    assert_eq!(desk.told_of("a"), error("no result within 5 s"));
    assert_eq!(desk.told_of("b"), error("no result within 8 s"));
    // A late result changes nothing.
    desk.result(late, Ok(json!("late"))).says("Sorry.").done(FinishReason::Stop);
    assert_eq!(desk.asks.len(), 2);
    assert!(!format!("{:?}", desk.asks).contains("late"));
}

#[test]
fn a_result_that_is_too_long_is_not_cut_but_refused() {
    let limits = ToolLimits { result_bytes: 20, ..ToolLimits::default() };
    let mut desk = Desk::new(limits);
    desk.commit(true).calls([
        call("a", "search", "{}"),
        call("b", "search", "{}"),
        call("c", "book", "{}"),
        call("d", "slow", "{}"),
    ]);
    desk.ready(SEARCH, json!("x".repeat(18))).ready(SEARCH, json!("x".repeat(19)));
    desk.ready(BOOK, json!("x".repeat(19)));
    let key = desk.key_of(SLOW);
    desk.result(key, Err(ToolError("ü".repeat(100))));
    assert_eq!(desk.told_of("a").len(), 20);
    assert_eq!(desk.told_of("b"), error("the result is too long to show; ask for less at a time"));
    assert_eq!(desk.told_of("c"), error("it was done, but the result is too long to show"));
    assert_eq!(desk.told_of("d"), error(&"ü".repeat(10)));
}

#[test]
fn rounds_are_bounded_and_the_last_word_is_the_models() {
    let limits = ToolLimits { rounds: 2, ..ToolLimits::default() };
    let mut desk = Desk::new(limits);
    for n in 0..2 {
        assert_eq!(desk.asks.last().expect("asked").1, ToolUse::Allowed);
        desk.calls([call(&n.to_string(), "search", "{}")]).ready(SEARCH, json!(n));
    }
    assert_eq!(desk.asks.last().expect("asked").1, ToolUse::Forbidden);
    // It asks again all the same, but has said something.
    desk.says("I found two.").calls([call("3", "search", "{}")]);
    assert_eq!((desk.asks.len(), desk.started.len()), (3, 2));
    assert_eq!(desk.events.last(), Some(&LlmEvent::Done(FinishReason::Stop)));
}

#[test]
fn a_model_that_only_ever_asks_fails() {
    let mut desk = Desk::new(ToolLimits { rounds: 1, ..ToolLimits::default() });
    desk.calls([call("a", "search", "{}")]).ready(SEARCH, json!(1)).calls([call("b", "search", "{}")]);
    assert!(matches!(desk.failure, Some(ProviderError::Failed { provider: "scripted", .. })));
    assert!(desk.rounds.is_over());
}

#[test]
fn with_no_rounds_the_model_sees_tools_but_may_not_ask() {
    let desk = Desk::new(ToolLimits { rounds: 0, ..ToolLimits::default() });
    assert_eq!(desk.asks, [(Vec::new(), ToolUse::Forbidden)]);
}

#[test]
fn a_filler_bridges_a_slow_round_and_does_not_come_in_each() {
    let mut desk = desk();
    desk.calls([call("a", "search", "{}")]).wait(699);
    assert_eq!(desk.words(), "");
    desk.wait(1);
    assert_eq!(desk.words(), FILLER);
    desk.wait(2_000).ready(SEARCH, json!(1)).calls([call("b", "search", "{}")]).wait(2_999);
    desk.ready(SEARCH, json!(1)).says("Two.").done(FinishReason::Stop);
    assert_eq!(desk.words(), format!("{FILLER}Two."));
}

#[test]
fn a_caller_who_waits_long_is_told_again_and_again() {
    const AGAIN: &str = "[Still checking, one more moment. ]";
    let limits = ToolLimits { time: Duration::from_secs(60), ..ToolLimits::default() };
    let mut desk = Desk::new(limits);
    desk.calls([call("a", "search", "{}")]).wait(700).wait(4_999);
    assert_eq!(desk.words(), FILLER);
    desk.wait(1).wait(5_000);
    assert_eq!(desk.words(), [FILLER, AGAIN, AGAIN].concat());
    // The next round goes on counting where this one ended.
    desk.wait(2_000).ready(SEARCH, json!(1)).calls([call("b", "search", "{}")]).wait(2_999);
    assert_eq!(desk.words(), [FILLER, AGAIN, AGAIN].concat());
    desk.wait(1).ready(SEARCH, json!(1)).says("Two.").done(FinishReason::Stop);
    assert_eq!(desk.words(), [FILLER, AGAIN, AGAIN, AGAIN, "Two."].concat());
}

#[test]
fn fillers_never_crowd_and_may_be_switched_off_one_by_one() {
    let limits = ToolLimits { filler_every: Duration::ZERO, ..ToolLimits::default() };
    let mut desk = Desk::new(limits);
    desk.calls([call("a", "slow", "{}")]).wait(0).wait(1_999);
    assert_eq!(desk.words(), FILLER);
    let limits = ToolLimits { filler_again: " ".to_owned(), ..ToolLimits::default() };
    let mut desk = Desk::new(limits);
    desk.calls([call("a", "slow", "{}")]).wait(0).wait(7_999);
    assert_eq!(desk.words(), FILLER);
}

#[test]
fn a_fast_round_has_no_filler() {
    let mut desk = desk();
    desk.calls([call("a", "search", "{}")]).wait(600).ready(SEARCH, json!(1)).wait(5_000);
    desk.says("One.").done(FinishReason::Stop);
    assert_eq!(desk.words(), "One.");
    // Neither has one in which nothing runs.
    let mut desk = self::desk();
    desk.calls([call("a", "sell", "{}")]).wait(5_000);
    assert_eq!(desk.words(), "");
}

#[test]
fn a_tool_known_to_be_slow_is_announced_at_once() {
    let mut desk = desk();
    desk.calls([call("a", "slow", "{}")]).wait(0);
    assert_eq!(desk.words(), FILLER);
}

#[test]
fn after_words_of_the_model_the_filler_comes_later_and_does_not_stick_to_them() {
    let mut desk = desk();
    desk.says("Let me see.").calls([call("a", "search", "{}")]).wait(2_699);
    assert_eq!(desk.words(), "Let me see.");
    desk.wait(1).ready(SEARCH, json!(1)).says("Two.");
    assert_eq!(desk.words(), "Let me see.[ One moment, let me check. ]Two.");
}

#[test]
fn the_filler_also_bridges_the_wait_for_the_barrier() {
    let mut desk = desk();
    desk.calls([call("a", "book", "{}")]).wait(700);
    assert_eq!(desk.words(), FILLER);
    assert!(desk.rounds.awaits_commit());
}

#[test]
fn without_filler_text_there_is_no_filler() {
    let mut desk = Desk::new(ToolLimits { filler: String::new(), ..ToolLimits::default() });
    desk.calls([call("a", "slow", "{}")]).wait(4_000);
    assert!(desk.events.is_empty());
}

#[test]
fn the_words_of_two_rounds_do_not_run_together() {
    let mut desk = desk();
    desk.says("Let me see.").calls([call("a", "search", "{}")]).ready(SEARCH, json!(1));
    desk.says("").says("There").says(" are two.").done(FinishReason::Stop);
    assert_eq!(desk.words(), "Let me see. There are two.");
}

#[test]
fn costs_of_all_rounds_come_as_one_sum() {
    let usage = |input, output| LlmEvent::Usage(Usage { input, output, ..Usage::default() });
    let mut desk = desk();
    desk.event(usage(100, 5)).calls([call("a", "search", "{}")]).ready(SEARCH, json!(1));
    desk.says("Two.").event(usage(120, 3)).done(FinishReason::Stop);
    assert_eq!(desk.events[1..], [usage(220, 8), LlmEvent::Done(FinishReason::Stop)]);
}

#[test]
fn what_a_refused_or_withheld_answer_asked_for_is_not_done() {
    for reason in [FinishReason::Refused, FinishReason::Filtered] {
        let mut desk = desk();
        desk.commit(true).event(LlmEvent::ToolCall(call("a", "book", "{}"))).done(reason);
        assert_eq!(desk.events, [LlmEvent::Done(reason)]);
        assert!(desk.started.is_empty());
    }
}

#[test]
fn a_call_that_was_cut_off_is_not_done() {
    let mut desk = desk();
    desk.commit(true).event(LlmEvent::ToolCall(call("a", "book", r#"{"n""#))).done(FinishReason::Length);
    assert_eq!(desk.told_of("a"), error("the arguments are not a JSON object"));
    assert!(desk.started.is_empty());
    // Neither is the last one where not even its arguments were begun; those before it are whole.
    let mut desk = self::desk();
    desk.commit(true).event(LlmEvent::ToolCall(call("a", "search", "")));
    desk.event(LlmEvent::ToolCall(call("b", "book", ""))).done(FinishReason::Length);
    assert_eq!(desk.places(), [SEARCH]);
    desk.ready(SEARCH, json!(1));
    assert_eq!(desk.told_of("b"), error("the arguments are not a JSON object"));
    assert_eq!(desk.started, [(SEARCH, json!({}))]);
}

#[test]
fn a_broken_model_ends_the_answer_with_its_error() {
    let lost = || ProviderError::Unreachable { provider: "scripted", detail: "gone".to_owned() };
    let mut desk = desk();
    desk.event(LlmEvent::ToolCall(call("a", "search", "{}"))).broken(Some(lost()));
    assert!(matches!(desk.failure, Some(ProviderError::Unreachable { .. })));
    assert!(desk.started.is_empty() && desk.rounds.is_over());
    let mut desk = self::desk();
    desk.says("It").broken(None);
    assert!(matches!(desk.failure, Some(ProviderError::Failed { .. })));
}

#[test]
fn a_silent_model_is_not_waited_for_without_end() {
    let mut desk = desk();
    desk.wait(5_000).says("It ").wait(5_999);
    assert!(desk.failure.is_none());
    desk.wait(1);
    let after = Duration::from_secs(6);
    assert!(matches!(desk.failure, Some(ProviderError::TimedOut { after: a, .. }) if a == after));
}
