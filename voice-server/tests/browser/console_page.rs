//! The console on a month of conversations: signing in, finding, reading, and what it does without a network.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::accessible::Checks;
use crate::past;
use crate::road::Road;
use crate::webdriver::{Browser, Driver, http, http_with};

const SAVE: &str = "form.card button.main";

/// Signs in as the demo administrator and opens a view.
pub(crate) fn enter(browser: &Browser<'_>, page: &str, view: &str) {
    browser.open(&format!("{page}#/{view}"));
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    sign_in(browser, "demo-password");
    browser.wait("the console", "return document.body.dataset.state === 'in'");
}

fn sign_in(browser: &Browser<'_>, password: &str) {
    browser.write("[name=email]", "admin@demo.example");
    browser.write("[name=password]", password);
    browser.press(".sign-in button");
}

pub(crate) fn shows(browser: &Browser<'_>, what: &str) {
    let script = format!("return document.querySelector('#view').innerText.includes({})", json!(what));
    browser.wait(what, &script);
}

fn banner(browser: &Browser<'_>, what: &str) {
    let script = format!("return document.querySelector('#banner').innerText.includes({})", json!(what));
    browser.wait(what, &script);
}

fn rows(browser: &Browser<'_>, count: usize) {
    let script = format!("return document.querySelectorAll('.rows li').length === {count}");
    browser.wait(&format!("{count} rows"), &script);
}

pub(crate) fn conversations_are_paged_searched_and_filtered(server: SocketAddr, driver: &Driver) {
    let browser = driver.browser("console-read");
    browser.open(&format!("http://{server}/console#/conversations"));
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    sign_in(&browser, "wrong-password");
    shows(&browser, "do not belong together");
    browser.console_errors(); // The browser notes the refusal.
    sign_in(&browser, "demo-password");
    rows(&browser, 30);
    browser.press(".row.center button");
    rows(&browser, 60);
    browser.press(".row.center button");
    browser.wait("the last page", "return document.querySelector('.row.center button').hidden");
    let all = browser.run("return document.querySelectorAll('.rows li').length").as_u64().expect("a number");
    // Calls of now are there too.
    assert!(all >= past::COUNT as u64, "{all} conversations");
    browser.write("[name=q]", past::ONCE);
    browser.press(".filters button.main");
    rows(&browser, 1);
    browser.press(".rows a");
    shows(&browser, "It is for my sister and her children.");
    browser.press(".times summary");
    browser.wait("the waterfall", "return document.querySelectorAll('.times[open] .steps li').length === 9");
    shows(&browser, "deepgram");
    let total = browser.text_of(".figure");
    assert!(total.starts_with("$0.0") && total != "$0.0000", "the cost is {total}");
    browser.run("location.hash = '#/performance'");
    shows(&browser, "Viewings booked");
    browser.wait("the chart", "return document.querySelectorAll('.chart .column').length === 30");
    let days = browser.run("return [...document.querySelectorAll('.chart .column')].filter((bar) => bar.getAttribute('height') > 0).length");
    assert!(days.as_u64().is_some_and(|days| days > 15), "{days} days have calls");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

fn note(browser: &Browser<'_>, text: &str) {
    browser.write("[name=notes]", text);
    browser.press(SAVE);
}

/// Somebody else at the same server, by REST.
struct Other {
    server: SocketAddr,
    header: String,
}

impl Other {
    fn signed_in(server: SocketAddr) -> Self {
        let credentials = r#"{"email":"agent@demo.example","password":"demo-password"}"#;
        let (status, body) = http(server, "POST", "/api/v1/auth/login", credentials);
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let header = format!("Authorization: Bearer {}\r\n", body["accessToken"].as_str().expect("a token"));
        Self { server, header }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let (status, answer) = http_with(self.server, method, path, &self.header, &body);
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Waits until the server has these values: what a page shows as sent is under way a moment before.
    fn finds(&self, path: &str, expected: &Value) {
        let expected = expected.as_object().expect("fields");
        for _ in 0..150 {
            let now = self.ask("GET", path, &Value::Null);
            if expected.iter().all(|(name, value)| now[name] == *value) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{expected:?} does not come: {}", self.ask("GET", path, &Value::Null));
    }

    fn change(&self, path: &str, body: &Value) {
        self.ask("PATCH", path, body);
    }
}

/// The one conversation in which something is said.
fn found(other: &Other, word: &str) -> String {
    let list = other.ask("GET", &format!("/api/v1/conversations?q={word}"), &Value::Null);
    format!("/api/v1/conversations/{}", list["items"][0]["id"].as_str().expect("one"))
}

pub(crate) fn it_opens_without_a_network_and_sends_changes_later(
    server: SocketAddr,
    driver: &Driver,
    checks: Option<&Checks>,
) {
    let (road, other) = (Road::to(server), Other::signed_in(server));
    let path = found(&other, past::ONCE);
    let view = path.trim_start_matches("/api/v1/").to_owned();
    let browser = driver.browser("console-offline");
    enter(&browser, &road.page("/console"), &view);
    shows(&browser, "It is for my sister");
    browser.wait("the worker", "return !!navigator.serviceWorker.controller");
    road.cut();
    note(&browser, "Called back on Monday.");
    banner(&browser, "1 change will be sent when the server is back");
    browser.reload();
    banner(&browser, "Offline. You see what was known at");
    shows(&browser, "It is for my sister");
    assert_eq!(browser.text_of("#organization"), "Demo Realty");
    let kept = browser.run("return document.querySelector('[name=notes]').value");
    assert_eq!(kept, "Called back on Monday.", "the change lies over what was known");
    // A second change of the same thing joins the first.
    let lead = browser.run("return document.querySelector('[name=lead]').checked").as_bool().expect("a box");
    browser.press("[name=lead]");
    browser.press(SAVE);
    banner(&browser, "1 change will be sent");
    browser.open(&road.page("/"));
    assert_eq!(browser.text_of("h1"), "Ask about a home", "the other page opens too");
    browser.open(&road.page(&format!("/console#/{view}")));
    banner(&browser, "Offline");
    shows(&browser, "It is for my sister");
    if let Some(checks) = checks {
        checks.run(&browser, "console-offline");
    }
    road.mend();
    browser.wait("the network", "return document.querySelector('#banner').hidden");
    shows(&browser, "Sent.");
    other.finds(&path, &json!({"notes": "Called back on Monday.", "lead": !lead}));

    road.cut();
    // What was never opened cannot be seen, and what is under way is not known; both come with the network.
    browser.run("location.hash = '#/calls'");
    shows(&browser, "Live calls cannot be seen without the server.");
    let unknown = found(&other, past::COMMON);
    browser.run(&format!("location.hash = '#/{}'", unknown.trim_start_matches("/api/v1/")));
    shows(&browser, "has not been opened here before");
    road.mend();
    browser.wait("the network", "return document.querySelector('#banner').hidden");
    shows(&browser, "What was said");
    browser.run(&format!("location.hash = '#/{view}'"));
    shows(&browser, "It is for my sister");

    // Somebody else changes another field meanwhile: both stay.
    road.cut();
    note(&browser, "She prefers Sunday.");
    banner(&browser, "1 change will be sent");
    other.change(&path, &json!({"lead": lead}));
    road.mend();
    browser.wait("the network", "return document.querySelector('#banner').hidden");
    other.finds(&path, &json!({"notes": "She prefers Sunday.", "lead": lead}));

    // The same field: a person decides, and until then nothing is lost, also not by a reload.
    road.cut();
    note(&browser, "Call her on Tuesday.");
    banner(&browser, "1 change will be sent");
    other.change(&path, &json!({"notes": "Calls back herself."}));
    road.mend();
    shows(&browser, "Choose which one stays");
    banner(&browser, "1 change could not be saved");
    browser.reload();
    shows(&browser, "Calls back herself.");
    shows(&browser, "Call her on Tuesday.");
    if let Some(checks) = checks {
        checks.run(&browser, "console-conflict");
    }
    browser.press(".change button.main");
    browser.wait("the decision", "return !document.querySelector('.change')");
    other.finds(&path, &json!({"notes": "Call her on Tuesday."}));
    browser.wait("the network", "return document.querySelector('#banner').hidden");
    // What comes in while somebody types is crossed too, not overwritten.
    browser.write("[name=notes]", "Call her on");
    other.change(&path, &json!({"notes": "Has called."}));
    std::thread::sleep(std::time::Duration::from_millis(700));
    note(&browser, "Call her on Friday.");
    shows(&browser, "Choose which one stays");
    browser.press(".change button:not(.main)");
    browser.wait("the decision", "return !document.querySelector('.change')");
    browser.wait("theirs", "return document.querySelector('[name=notes]').value === 'Has called.'");
}

/// What the organization is, who works there, and its keys. What was typed wrong is said where it was typed.
pub(crate) fn settings_are_changed_and_keys_are_shown_once(server: SocketAddr, driver: &Driver) {
    let browser = driver.browser("console-settings");
    enter(&browser, &format!("http://{server}/console"), "settings");
    shows(&browser, "Demo Agent");
    browser.wait("the organization", "return document.querySelector('[name=name]').value !== ''");
    browser.write("[name=region]", "US-TX");
    browser.write("[name=retentionDays]", "60");
    browser.write("[name=facts]", "The office is open from 9 to 6. Parking is behind the building.");
    browser.press(SAVE);
    shows(&browser, "Saved at");
    browser.reload();
    browser.wait("what was saved", "return document.querySelector('[name=retentionDays]')?.value === '60'");
    browser.write("[name=timeZone]", "Nowhere/Land");
    browser.press(SAVE);
    shows(&browser, "The server refused it: timeZone must be an IANA time zone");
    browser.console_errors(); // The browser notes the refusal.
    browser.press(".change button.danger");
    browser.wait("the stored one", "return document.querySelector('[name=timeZone]').value === ''");

    browser.run("document.querySelectorAll('details').forEach((part) => (part.open = true))");
    browser.write(".adding [name=email]", "new@demo.example");
    browser.write(".adding [name=name]", "New Colleague");
    browser.write(".adding [name=password]", "a long password");
    browser.press(".adding:has([name=email]) button.main");
    shows(&browser, "new@demo.example");
    browser.write(".adding:has([name=kind]) [name=name]", "Web site");
    browser.write("[name=origins]", "https://www.agency.example");
    browser.write("[name=maxCalls]", "5");
    browser.write("[name=dailySpend]", "2.50");
    browser.press(".adding:has([name=kind]) button.main");
    browser.wait("the key", "return document.querySelector('.code')?.value.startsWith('pk_')");
    shows(&browser, "Web site");
    browser.reload();
    shows(&browser, "Web site");
    assert_eq!(browser.run("return document.querySelector('.code')"), Value::Null, "a key is shown once");
    browser.press("[aria-label='Revoke Web site']");
    browser.press("dialog button.danger");
    browser.wait("its end", "return !document.querySelector('#view').innerText.includes('Web site')");
    browser.press("[aria-label='Delete New Colleague']");
    browser.press("dialog button.danger");
    browser.wait("her end", "return !document.querySelector('#view').innerText.includes('new@demo.example')");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

/// A session that is over is renewed once for all that asks; one that was ended elsewhere asks to sign in, and loses
/// nothing; signing out leaves nothing behind.
pub(crate) fn a_session_expires_ends_and_is_left(server: SocketAddr, driver: &Driver) {
    let (road, other) = (Road::to(server), Other::signed_in(server));
    let page = road.page("/console");
    let path = found(&other, past::ONCE);
    let browser = driver.browser("console-session");
    browser.prepare(
        "window.opened = 0; const Socket = WebSocket;
         window.WebSocket = class extends Socket { constructor(...rest) { super(...rest); this.addEventListener('open', () => opened++); } }",
    );
    enter(&browser, &page, "status");
    shows(&browser, "Everything works");
    browser.tools("Network.deleteCookies", json!({"name": "voice_session", "url": page}));
    browser.tools(
        "Network.setCookie",
        json!({"name": "voice_session", "value": "over", "url": page, "httpOnly": true}),
    );
    // Its organization, its people and its keys are asked for at once.
    browser.run("performance.clearResourceTimings(); location.hash = '#/settings'");
    shows(&browser, "Demo Agent");
    let renewed = "return performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/auth/refresh')).length";
    assert_eq!(browser.run(renewed), 1, "refreshes");
    // The socket of live events comes back too, where nothing else asks for anything.
    road.cut();
    banner(&browser, "Offline");
    browser.tools(
        "Network.setCookie",
        json!({"name": "voice_session", "value": "over", "url": page, "httpOnly": true}),
    );
    let before = browser.run("return opened");
    road.mend();
    browser.wait("live events", &format!("return opened > {before}"));
    browser.wait("the network", "return document.querySelector('#banner').hidden");
    // The talk page goes along with the session, also with one that is over.
    browser.tools(
        "Network.setCookie",
        json!({"name": "voice_session", "value": "over", "url": page, "httpOnly": true}),
    );
    browser.open(&road.page("/"));
    browser.write("#words", "Which homes have a garden?");
    browser.press("#form button");
    browser.wait("an answer", "return !!document.querySelector('#log .answer')");
    browser.press("#talk");
    browser.open(&format!("{page}#/{}", path.trim_start_matches("/api/v1/")));
    shows(&browser, "It is for my sister");

    let token = browser.cookie("voice_refresh").expect("a refresh token");
    let (status, _) =
        http(server, "POST", "/api/v1/auth/logout", &json!({"refreshToken": token}).to_string());
    assert_eq!(status, 204, "signed out elsewhere");
    note(&browser, "Typed at the wrong moment.");
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    assert!(!browser.text_of("#view").contains("sister"), "the data is still shown");
    sign_in(&browser, "demo-password");
    shows(&browser, "It is for my sister");
    other.finds(&path, &json!({"notes": "Typed at the wrong moment."}));

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
      count().then((rows) => setTimeout(async () => done([rows, await count(), document.cookie]), 1000));
    ";
    assert_eq!(browser.run_async(LEFT), json!([0, 0, ""]));
    assert_eq!(browser.cookie("voice_session").or(browser.cookie("voice_refresh")), None);
    browser.reload();
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
}

/// Every view of the console, each checked and pictured.
pub(crate) fn no_view_has_a_serious_fault(server: SocketAddr, driver: &Driver, checks: &Checks) {
    let other = Other::signed_in(server);
    let one = found(&other, past::ONCE).trim_start_matches("/api/v1/").to_owned();
    let browser = driver.browser("axe");
    let page = format!("http://{server}/console");
    browser.open(&page);
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    checks.run(&browser, "console-sign-in");
    enter(&browser, &page, "calls");
    for (name, address, sign) in [
        ("conversations", "conversations", "+1512555"),
        ("past", one.as_str(), "It is for my sister"),
        ("performance", "performance", "Viewings booked"),
        ("settings", "settings", "Demo Agent"),
        ("status", "status", "Everything works"),
    ] {
        browser.run(&format!("location.hash = '#/{address}'"));
        shows(&browser, sign);
        checks.run(&browser, &format!("console-{name}"));
    }
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}
