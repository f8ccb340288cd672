//! The console: calls as they happen, conversations, and what it does without a server.

use serde_json::{Value, json};

use crate::mock::Mock;
use crate::webdriver::{Browser, Driver};

const CALL: &str = "cccccccc-0000-4000-8000-000000000001";
const LONG: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const SAVE: &str = "form.card button.main";

/// Signs in as the demo administrator and opens a view.
pub(crate) fn enter(browser: &Browser<'_>, mock: &Mock, view: &str) {
    browser.open(&mock.page(&format!("/console#/{view}")));
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    sign_in(browser, "demo-password");
    browser.wait("the console", "return document.body.dataset.state === 'in'");
}

fn sign_in(browser: &Browser<'_>, password: &str) {
    browser.write("[name=email]", "admin@demo.example");
    browser.write("[name=password]", password);
    browser.press(".sign-in button");
}

fn shows(browser: &Browser<'_>, what: &str) {
    let script = format!("return document.querySelector('#view').innerText.includes({})", json!(what));
    browser.wait(what, &script);
}

fn banner(browser: &Browser<'_>, what: &str) {
    let script = format!("return document.querySelector('#banner').innerText.includes({})", json!(what));
    browser.wait(what, &script);
}

pub(crate) fn a_person_signs_in_and_takes_a_call_over(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-calls");
    browser.open(&mock.page("/console"));
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    sign_in(&browser, "wrong-password");
    shows(&browser, "do not belong together");
    browser.console_errors(); // The browser notes the refusal.
    sign_in(&browser, "demo-password");
    shows(&browser, "Nobody is calling");
    mock.order("call", &json!({"id": CALL}));
    shows(&browser, "1 now");
    for (turn, role, text, last) in [
        (1, "user", "which homes have", false),
        (1, "user", "Which homes have a garden?", true),
        (1, "assistant", "A house on Alder Lane, and a bungalow by the park.", true),
        (2, "user", "and how much is", false),
    ] {
        let data = json!({"conversation": CALL, "turn": turn, "role": role, "text": text, "final": last});
        mock.order("event", &json!({"type": "transcript", "data": data}));
    }
    browser.wait("what is said", "return document.querySelectorAll('.call .said li').length === 3");
    let partial = browser.text_of(".said .partial");
    assert!(partial.contains("how much is"), "{partial}");
    browser.press(".call button[aria-pressed]");
    shows(&browser, "You answer");
    browser.write(".say input", "One moment, I will look.");
    browser.press(".say button");
    shows(&browser, "One moment, I will look.");
    browser.press(".call button.danger");
    browser.press("dialog button.danger");
    shows(&browser, "Nobody is calling");
    let orders = json!([{"order": "attend", "on": true}, {"order": "say", "text": "One moment, I will look."}, {"order": "end"}]);
    assert_eq!(mock.seen()["orders"], orders);
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

pub(crate) fn a_conversation_is_found_read_and_played(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-read");
    enter(&browser, &mock, "conversations");
    browser.wait("the first page", "return document.querySelectorAll('.rows li').length === 30");
    browser.press(".row.center button");
    browser.wait("the second page", "return document.querySelectorAll('.rows li').length === 60");
    browser.press(".row.center button");
    browser.wait("the last page", "return document.querySelectorAll('.rows li').length === 64");
    browser.write("[name=q]", "sister");
    browser.press(".filters button.main");
    browser.wait("what is sought", "return document.querySelectorAll('.rows li').length === 1");
    browser.press(".rows a");
    browser.wait("the words", "return document.querySelectorAll('.whole > li').length === 10");
    browser.press("#turn1 .times summary");
    browser.wait("the waterfall", "return document.querySelectorAll('#turn1 .steps li').length === 9");
    shows(&browser, "$0.0422");
    browser.press("#turn1 .place");
    browser.wait(
        "sound from there",
        "const a = document.querySelector('audio'); return !a.paused && a.currentTime > 3.8",
    );
    browser.wait("the line that is heard", "return document.querySelector('li.now')?.id === 'turn1'");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

fn note(browser: &Browser<'_>, text: &str) {
    browser.write("[name=notes]", text);
    browser.press(SAVE);
}

pub(crate) fn it_opens_without_a_network_and_sends_changes_later(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-offline");
    enter(&browser, &mock, &format!("conversations/{LONG}"));
    shows(&browser, "Alder Lane");
    browser.wait("the worker", "return !!navigator.serviceWorker.controller");
    mock.order("offline", &json!({"on": true}));
    note(&browser, "Called back on Monday.");
    banner(&browser, "1 change will be sent when the server is back");
    browser.reload();
    banner(&browser, "Offline. You see what was known at");
    shows(&browser, "Alder Lane");
    let kept = browser.run("return document.querySelector('[name=notes]').value");
    assert_eq!(kept, "Called back on Monday.", "the change lies over what was known");
    // A second change of the same thing joins the first.
    browser.press("[name=lead]");
    browser.press(SAVE);
    banner(&browser, "1 change will be sent");
    browser.open(&mock.page("/"));
    assert_eq!(browser.text_of("h1"), "Ask about a home", "the other page opens too");
    browser.open(&mock.page(&format!("/console#/conversations/{LONG}")));
    banner(&browser, "Offline");
    browser.screenshot("console-offline-desktop-light", (1280, 900), "light");
    mock.order("offline", &json!({"on": false}));
    browser.wait("the network", "return document.querySelector('#banner').hidden");
    shows(&browser, "Sent.");
    let seen = mock.seen();
    assert_eq!(seen["patches"], json!([{"notes": "Called back on Monday.", "lead": false}]));
    assert_eq!(seen["conflicts"], 0);
}

/// Loads the page again and waits until it has what the server says now.
fn fresh(browser: &Browser<'_>) {
    browser.reload();
    let asked = format!(
        "return performance.getEntriesByType('resource').some(({{ name, responseEnd }}) => name.endsWith('{LONG}') && responseEnd > 0)"
    );
    browser.wait("the answer", &asked);
    shows(browser, "Alder Lane");
    std::thread::sleep(std::time::Duration::from_millis(300));
}

pub(crate) fn two_people_who_change_the_same_are_asked(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-conflict");
    enter(&browser, &mock, &format!("conversations/{LONG}"));
    shows(&browser, "Alder Lane");
    fresh(&browser);
    // Of another field: both stay.
    mock.order("others", &json!({"path": LONG, "body": {"lead": false}}));
    note(&browser, "She prefers Sunday.");
    shows(&browser, "Saved at");
    let seen = mock.seen();
    assert_eq!(
        (&seen["conversation"]["notes"], &seen["conversation"]["lead"]),
        (&json!("She prefers Sunday."), &json!(false))
    );
    fresh(&browser);
    // Of the same: a person decides, and until then nothing is lost, also not by a reload.
    mock.order("others", &json!({"path": LONG, "body": {"notes": "Calls back herself."}}));
    note(&browser, "Call her on Tuesday.");
    shows(&browser, "Choose which one stays");
    banner(&browser, "1 change could not be saved");
    browser.reload();
    shows(&browser, "Calls back herself.");
    shows(&browser, "Call her on Tuesday.");
    browser.screenshot("console-conflict-desktop-light", (1280, 900), "light");
    browser.press(".change button.main");
    browser.wait("the decision", "return !document.querySelector('.change')");
    assert_eq!(mock.seen()["conversation"]["notes"], "Call her on Tuesday.");
    fresh(&browser);
    // What comes in while somebody types is crossed too, not overwritten.
    browser.write("[name=notes]", "Call her on");
    mock.order("others", &json!({"path": LONG, "body": {"notes": "Calls back herself."}}));
    mock.order("event", &json!({"type": "conversation.updated", "data": {"conversation": LONG}}));
    std::thread::sleep(std::time::Duration::from_millis(700));
    note(&browser, "Call her on Friday.");
    shows(&browser, "Choose which one stays");
    browser.press(".change button:not(.main)");
    browser.wait("the decision", "return !document.querySelector('.change')");
    browser.wait("theirs", "return document.querySelector('[name=notes]').value === 'Calls back herself.'");
}

pub(crate) fn an_expired_session_is_renewed_once(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-expired");
    enter(&browser, &mock, "status");
    shows(&browser, "Everything works");
    mock.order("expire", &json!({}));
    // Its organization, its people and its keys are asked for at once.
    browser.run("location.hash = '#/settings'");
    shows(&browser, "pk_9f2c");
    shows(&browser, "agent@demo.example");
    assert_eq!(mock.seen()["refreshes"], 1);
}

pub(crate) fn a_session_that_is_over_asks_to_sign_in_and_keeps_the_changes(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-over");
    enter(&browser, &mock, &format!("conversations/{LONG}"));
    shows(&browser, "Alder Lane");
    mock.order("sign-out", &json!({}));
    note(&browser, "Typed at the wrong moment.");
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    assert!(!browser.text_of("#view").contains("Alder Lane"), "the data is still shown");
    sign_in(&browser, "demo-password");
    shows(&browser, "Alder Lane");
    for _ in 0..100 {
        if mock.seen()["conversation"]["notes"] == "Typed at the wrong moment." {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the change is lost: {}", mock.seen()["conversation"]);
}

pub(crate) fn signing_out_leaves_nothing_behind(driver: &Driver) {
    let mock = Mock::start();
    let browser = driver.browser("console-out");
    enter(&browser, &mock, "settings");
    shows(&browser, "pk_9f2c");
    browser.press("#out");
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    const LEFT: &str = r"
      const done = arguments[arguments.length - 1];
      const count = async () => {
        if (!(await indexedDB.databases()).length) return 0;
        const base = await new Promise((resolve) => (indexedDB.open('voice-console').onsuccess = ({ target }) => resolve(target.result)));
        const tables = [...base.objectStoreNames].map((name) => new Promise((resolve) => (base.transaction(name).objectStore(name).count().onsuccess = ({ target }) => resolve(target.result))));
        return (await Promise.all(tables)).reduce((sum, n) => sum + n, 0);
      };
      count().then((rows) => setTimeout(async () => done([rows, await count(), localStorage.length, sessionStorage.length, document.cookie]), 1000));
    ";
    assert_eq!(browser.run_async(LEFT), json!([0, 0, 0, 0, ""]));
    browser.reload();
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
}
