//! The talk page at `/`: press, speak, hear, see words and latency.

use std::time::Duration;

use serde_json::Value;
use voice_core::text::words::word_error_rate;

use crate::accessible::Checks;
use crate::journey::WORDS;
use crate::microphone::METER;
use crate::server::Server;
use crate::spoken;
use crate::webdriver::{Driver, http, http_with};

/// How often the page is looked at for the rest of a sentence: for 15 s.
const LOOKS: usize = 60;

pub(crate) fn a_caller_speaks_and_hears_an_answer(server: &Server, driver: &Driver, checks: Option<&Checks>) {
    let browser = driver.browser("talk");
    browser.prepare(METER);
    browser.open(&format!("http://{}/", server.address));
    if let Some(checks) = checks {
        checks.run(&browser, "talk-idle");
    }
    browser.press("#talk");
    browser.wait(
        "the end of the caller's words",
        "return !!document.querySelector('#log .caller:not(.partial)')",
    );
    browser.wait("an answer", "return !!document.querySelector('#log .answer')");
    browser.wait("sound", "return window.loudest > 0.02");
    browser.wait("the latency", "return document.querySelectorAll('#bar span').length > 0");

    // Whoever draws breath in mid-sentence may be answered there; then the rest is another turn, which comes too.
    let mut said = browser.run(&format!("{WORDS} return words('caller')"));
    for _ in 0..LOOKS {
        if word_error_rate(&spoken(), said.as_str().unwrap()).rate() < 0.2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
        said = browser.run(&format!("{WORDS} return words('caller')"));
    }
    let errors = word_error_rate(&spoken(), said.as_str().unwrap());
    assert!(errors.rate() < 0.2, "the page shows {said} for {:?}", spoken());
    browser.wait(
        "an answer about the listings",
        &format!("{WORDS} return words('answer').includes('$') && words('answer').includes('three-bedroom')"),
    );
    let answer = browser.run(&format!("{WORDS} return words('answer')"));
    let answer = answer.as_str().unwrap();
    assert!(answer.contains('$') && answer.contains("three-bedroom"), "not about the listings: {answer}");
    let loudest = browser.run("return window.loudest").as_f64().unwrap();
    let total = browser.run("return document.querySelector('#total').textContent");
    println!("  talk page: {said}, answered {answer:?}, loudest sample {loudest:.2}, {total}");
    assert!(total.as_str().unwrap().contains(" ms "), "{total}");
    let bar = browser.run("return document.querySelector('#bar').getBoundingClientRect().width");
    assert!(bar.as_f64().unwrap() > 100.0, "the waterfall is {bar} wide");
    if let Some(checks) = checks {
        checks.run(&browser, "talk-answered");
    }

    browser.press("#talk");
    browser.wait("the end of the call", "return document.body.dataset.state === 'idle'");
    let alert = browser.run("return document.querySelector('#alert').textContent");
    assert_eq!(alert, "", "nothing went wrong");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

/// The answer stops, and what was not heard of it is struck through.
pub(crate) fn a_caller_interrupts_with_the_button(server: &Server, driver: &Driver) {
    let browser = driver.browser("interrupting");
    browser.open(&format!("http://{}/", server.address));
    browser.write("#words", "Which homes have a garden?");
    browser.press("#form button");
    browser.wait("sound", "return !document.querySelector('#interrupt').disabled");
    browser.press("#interrupt");
    browser.wait("what was not heard", "return !!document.querySelector('#log .unheard:not(:empty)')");
    browser.wait("silence", "return document.querySelector('#interrupt').disabled");
    let unheard = browser.text_of("#log .unheard:not(:empty)");
    println!("  talk page: interrupted before {unheard:?}");
    browser.press("#talk");
    browser.wait("the end of the call", "return document.body.dataset.state === 'idle'");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

/// A link that names a conversation and has its ticket opens exactly that one, and the ticket leaves the address.
pub(crate) fn a_link_with_a_ticket_uses_it_once(server: &Server, driver: &Driver) {
    let credentials = r#"{"email":"agent@demo.example","password":"demo-password"}"#;
    let (_, body) = http(server.address, "POST", "/api/v1/auth/login", credentials);
    let signed_in: Value = serde_json::from_str(&body).expect("JSON");
    let header = format!("Authorization: Bearer {}\r\n", signed_in["accessToken"].as_str().expect("a token"));
    let (status, body) = http_with(server.address, "POST", "/api/v1/conversations", &header, "{}");
    assert_eq!(status, 201, "{body}");
    let made: Value = serde_json::from_str(&body).expect("JSON");
    let (id, ticket) = (made["id"].as_str().expect("an id"), made["ticket"].as_str().expect("a ticket"));
    let link = format!("http://{}/?conversation={id}&ticket={ticket}", server.address);
    let browser = driver.browser("linked");
    browser.open(&link);
    assert_eq!(browser.run("return location.search"), "", "the ticket stays in the address");
    browser.write("#words", "Which homes have a garden?");
    browser.press("#form button");
    browser.wait("an answer", "return !!document.querySelector('#log .answer')");
    browser.press("#talk");
    browser.wait("the end of the call", "return document.body.dataset.state === 'idle'");
    let path = format!("/api/v1/conversations/{id}");
    // The turn is stored when the call is closed, which the page does not wait for.
    let stored = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        http_with(server.address, "GET", &path, &header, "").1.contains("Which homes have a garden?")
    });
    assert!(stored, "the call went elsewhere");
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
    browser.open(&link);
    browser.write("#words", "Which homes have a garden?");
    browser.press("#form button");
    browser.wait("the refusal", "return !document.querySelector('#alert').hidden");
    assert!(browser.text_of("#alert").contains("used"), "{}", browser.text());
}
