//! axe-core on every view of both pages, light and dark, on a desktop and on a telephone; and their pictures.

use std::path::Path;

use serde_json::{Value, json};

use crate::console_page::enter;
use crate::mock::Mock;
use crate::server::left_out;
use crate::webdriver::{Browser, Driver};

const SIZES: [(&str, (u32, u32)); 2] = [("desktop", (1280, 900)), ("phone", (390, 844))];
const CALL: &str = "cccccccc-0000-4000-8000-000000000001";
const VIEWS: [(&str, &str, &str); 6] = [
    ("calls", "calls", "Alder Lane"),
    ("conversations", "conversations", "555"),
    ("conversation", "conversations/aaaaaaaa-0000-4000-8000-000000000001", "What was said"),
    ("performance", "performance", "Viewings booked"),
    ("settings", "settings", "pk_9f2c"),
    ("status", "status", "Everything works"),
];

pub(crate) fn no_view_has_a_serious_fault(driver: &Driver) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../axe/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(&path) else {
        return left_out("axe-core is not installed; `.ci/setup test` brings it");
    };
    let mock = Mock::start();
    let browser = driver.browser("axe");
    browser.open(&mock.page("/"));
    check(&browser, &axe, "talk-idle");
    browser.write("#words", "Which homes have a garden?");
    browser.press("#form button");
    browser.wait("the latency", "return document.querySelectorAll('#bar span').length > 0");
    check(&browser, &axe, "talk-answered");
    browser.press("#talk");
    browser.open(&mock.page("/console"));
    browser.wait("the form", "return !!document.querySelector('[name=password]')");
    check(&browser, &axe, "console-sign-in");
    enter(&browser, &mock, "calls");
    mock.order("call", &json!({"id": CALL}));
    for (role, text) in [
        ("user", "Which homes have a garden?"),
        ("assistant", "A house on Alder Lane, and a bungalow by the park."),
    ] {
        let data = json!({"conversation": CALL, "turn": 1, "role": role, "text": text, "final": true});
        mock.order("event", &json!({"type": "transcript", "data": data}));
    }
    for (name, address, sign) in VIEWS {
        browser.run(&format!("location.hash = '#/{address}'"));
        browser.wait(name, &format!("return document.querySelector('#view').innerText.includes('{sign}')"));
        check(&browser, &axe, &format!("console-{name}"));
    }
}

fn check(browser: &Browser<'_>, axe: &str, name: &str) {
    browser.run(axe);
    for (device, size) in SIZES {
        for scheme in ["light", "dark"] {
            browser.screenshot(&format!("{name}-{device}-{scheme}"), size, scheme);
            let faults = browser.run_async(
                "const done = arguments[arguments.length - 1];
                 axe.run().then(({ violations, passes }) => done({ passes: passes.length, faults: violations
                   .filter(({ impact }) => impact === 'serious' || impact === 'critical')
                   .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' ')}`) }))",
            );
            assert_eq!(faults["faults"], Value::Array(Vec::new()), "{name} {device} {scheme}");
            assert!(
                faults["passes"].as_u64().is_some_and(|passes| passes > 10),
                "nothing was tried: {faults}"
            );
            let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_f64().is_some_and(|wide| wide <= 0.0), "{name} {device}: {wide} pixels too wide");
        }
    }
    browser.look(SIZES[0].1, "light");
}
