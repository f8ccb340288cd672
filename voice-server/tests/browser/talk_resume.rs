//! The talk page when the network drops or the page is reloaded, and its other ways to talk.

use serde_json::{Value, json};

use crate::mock::Mock;
use crate::webdriver::{Browser, Driver};

/// What the mock answers with: 150 frames of 20 ms.
const ANSWER_MS: f64 = 3_000.0;
/// One message of the worklet's clock, of which a reload may hear one twice.
const SLACK_MS: f64 = 60.0;

fn ask(browser: &Browser<'_>, question: &str) {
    browser.write("#words", question);
    browser.press("#form button");
    browser.wait("sound", "return !document.querySelector('#interrupt').disabled");
}

fn call(mock: &Mock) -> Value {
    mock.seen()["calls"][0].clone()
}

/// What the page reported as played of a reply, in order.
fn played(call: &Value, reply: u64) -> Vec<f64> {
    let positions = call["positions"].as_array().map(Vec::as_slice).unwrap_or_default();
    positions.iter().filter(|one| one["reply"] == reply).filter_map(|one| one["playedMs"].as_f64()).collect()
}

fn wait_for_the_end_of_the_answer(browser: &Browser<'_>) {
    browser.wait("the latency", "return document.querySelectorAll('#bar span').length > 0");
    browser.wait("silence", "return document.querySelector('#interrupt').disabled");
}

pub(crate) fn a_dropped_call_comes_back_and_nothing_is_lost_or_doubled(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("dropped");
    browser.open(&mock.page("/"));
    ask(&browser, "Which homes have a garden?");
    for _ in 0..3 {
        mock.order("drop", &json!({}));
        browser.wait("the attempt", "return document.querySelector('#link').textContent === 'Reconnecting…'");
        browser.wait("the call", "return document.querySelector('#link').textContent === 'Connected'");
    }
    wait_for_the_end_of_the_answer(&browser);
    let call = call(&mock);
    assert_eq!(call["resumed"], 3);
    let played = played(&call, 1);
    assert!(played.is_sorted(), "the position went back: {played:?}");
    let total = *played.last().expect("positions");
    assert!((total - ANSWER_MS).abs() < SLACK_MS, "{total} ms of {ANSWER_MS} were played");
    let lines = browser.run("return [...document.querySelectorAll('#log li')].map((line) => line.className)");
    assert_eq!(lines, json!(["caller", "answer"]), "each line once");
}

pub(crate) fn a_reloaded_page_goes_on_with_its_call(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("reloaded");
    browser.open(&mock.page("/"));
    ask(&browser, "Which homes have a garden?");
    browser.wait(
        "a second of sound",
        "return JSON.parse(sessionStorage['voice.call']).position?.playedMs > 1000",
    );
    browser.reload();
    browser.wait("the call", "return document.querySelector('#link').textContent === 'Connected'");
    wait_for_the_end_of_the_answer(&browser);
    let call = call(&mock);
    assert_eq!(call["resumed"], 1);
    let played = played(&call, 1);
    assert!(played.is_sorted(), "the position went back: {played:?}");
    let total = *played.last().expect("positions");
    assert!((total - ANSWER_MS).abs() < SLACK_MS, "{total} ms of {ANSWER_MS} were played");
    let lines = browser.run("return [...document.querySelectorAll('#log li')].map((line) => line.className)");
    assert_eq!(lines, json!(["caller", "answer"]), "what was said before is there, once");
    browser.press("#talk");
    browser.wait("the end of the call", "return document.body.dataset.state === 'idle'");
    browser.reload();
    browser.wait("the page", "return document.body.dataset.state === 'idle'");
    assert_eq!(mock.seen()["calls"], json!([]), "a call that was hung up is not taken up again");
}

pub(crate) fn a_call_that_is_over_is_not_continued(driver: &Driver) {
    let mut mock = Mock::start();
    let browser = driver.browser("over");
    browser.open(&mock.page("/"));
    ask(&browser, "Which homes have a garden?");
    mock.order("forget", &json!({}));
    browser.wait("the end", "return document.body.dataset.state === 'idle'");
    assert!(browser.text_of("#alert").contains("The call is over"), "{}", browser.text());
    // A new one begins.
    ask(&browser, "Is one near a school?");
    assert_eq!(call(&mock)["turn"], 1);
    mock.stop();
    browser.wait("the attempt", "return document.querySelector('#link').textContent === 'Reconnecting…'");
    browser.press("#talk");
    browser.wait("the end", "return document.body.dataset.state === 'idle'");
}

pub(crate) fn what_is_done_while_the_connection_is_away_reaches_the_call(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("away");
    browser.open(&mock.page("/"));
    browser.press("#talk");
    browser.wait("the microphone", "return !document.querySelector('#mute').disabled");
    browser.press("#mute");
    until(&mock, |call| call["muted"] == true);
    assert_eq!(browser.text_of("#status"), "You are muted.");
    // In the moment in which the page shows that the connection is away.
    browser.run(
        "const link = document.querySelector('#link');
         const seen = new MutationObserver(() => {
           if (link.textContent !== 'Reconnecting…') return;
           seen.disconnect();
           document.querySelector('#mute').click();
           document.querySelector('#words').value = 'Is there a pool?';
           document.querySelector('#form').requestSubmit();
         });
         seen.observe(link, { childList: true });",
    );
    mock.order("drop", &json!({}));
    browser
        .wait("the question", "return document.querySelector('#log').innerText.includes('Is there a pool?')");
    until(&mock, |call| call["muted"] == false);
    assert_eq!(call(&mock)["resumed"], 1);
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

pub(crate) fn press_to_talk_sends_while_the_space_key_is_held_only(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("pressing");
    browser.open(&mock.page("/"));
    browser.press("#press");
    browser.press("#talk");
    browser.wait("the button", "return !document.querySelector('#hold').hidden");
    browser.wait("the microphone", "return document.querySelector('#status').textContent.startsWith('Hold')");
    let before = until(&mock, |call| call["muted"] == true);
    browser.run("document.activeElement.blur()");
    browser.key(" ", true);
    let talking = until(&mock, |call| frames(call) >= frames(&before) + 20);
    assert_eq!(talking["muted"], false);
    browser.key(" ", false);
    let after = until(&mock, |call| call["muted"] == true);
    browser.wait("half a second", "return (window.since ??= performance.now()) + 500 < performance.now()");
    assert!(frames(&call(&mock)) <= frames(&after) + 2, "the microphone stayed open");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

fn frames(call: &Value) -> u64 {
    call["frames"].as_u64().unwrap_or(0)
}

/// Asks the mock until its call is as it should be.
fn until(mock: &Mock, good: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..300 {
        let call = call(mock);
        if good(&call) {
            return call;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the call does not come to it: {}", call(mock));
}
