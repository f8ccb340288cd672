//! The talk page at `/`: press, speak, hear, see words and latency.

use voice_core::text::words::word_error_rate;

use crate::server::{Folder, Server};
use crate::spoken;
use crate::webdriver::{Browser, Driver};

/// Listens to whatever the page plays: what goes to a destination also goes to a meter.
const METER: &str = r"
  window.loudest = 0;
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
      const meter = new AnalyserNode(this.context, { fftSize: 2048 });
      const samples = new Float32Array(2048);
      connect.call(this, meter);
      setInterval(() => {
        meter.getFloatTimeDomainData(samples);
        for (const sample of samples) window.loudest = Math.max(window.loudest, Math.abs(sample));
      }, 30);
    }
    return connect.call(this, to, ...rest);
  };
";
/// The words of one side, without the name for screen readers before them.
const WORDS: &str = r"
  const words = (who) => [...document.querySelectorAll(`#log .${who}`)].map((line) => {
    const copy = line.cloneNode(true);
    copy.querySelector('.who').remove();
    return copy.textContent;
  }).join(' ');
";

pub(crate) fn a_caller_speaks_and_hears_an_answer(server: &Server, driver: &Driver) {
    let browser = driver.browser("talk");
    browser.prepare(METER);
    browser.open(&format!("http://{}/", server.address));
    pictures(&browser, "idle");
    browser.press("#talk");
    browser.wait(
        "the end of the caller's words",
        "return !!document.querySelector('#log .caller:not(.partial)')",
    );
    browser.wait("an answer", "return !!document.querySelector('#log .answer')");
    browser.wait("sound", "return window.loudest > 0.02");
    pictures(&browser, "answering");
    browser.wait("the latency", "return document.querySelectorAll('#bar span').length > 0");

    let said = browser.run(&format!("{WORDS} return words('caller')"));
    let errors = word_error_rate(&spoken(), said.as_str().unwrap());
    assert!(errors.rate() < 0.2, "the page shows {said} for {:?}", spoken());
    let answer = browser.run(&format!("{WORDS} return words('answer')"));
    let answer = answer.as_str().unwrap();
    assert!(answer.contains('$') && answer.contains("three-bedroom"), "not about the listings: {answer}");
    let loudest = browser.run("return window.loudest").as_f64().unwrap();
    let total = browser.run("return document.querySelector('#total').textContent");
    println!("  talk page: {said}, answered {answer:?}, loudest sample {loudest:.2}, {total}");
    assert!(total.as_str().unwrap().contains(" ms "), "{total}");
    let bar = browser.run("return document.querySelector('#bar').getBoundingClientRect().width");
    assert!(bar.as_f64().unwrap() > 100.0, "the waterfall is {bar} wide");
    pictures(&browser, "answered");

    browser.press("#talk");
    browser.wait("the end of the call", "return document.body.dataset.state === 'idle'");
    let alert = browser.run("return document.querySelector('#alert').textContent");
    assert_eq!(alert, "", "nothing went wrong");
    assert_eq!(browser.console_errors(), Vec::<serde_json::Value>::new());
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
    assert_eq!(browser.console_errors(), Vec::<serde_json::Value>::new());
}

/// The server refuses, and the page says so in the server's words.
pub(crate) fn a_refusal_is_shown_with_its_reason(driver: &Driver) {
    let folder = Folder::new();
    let server = Server::start_with(&folder, &[("VOICE_ANONYMOUS", "false")]);
    let browser = driver.browser("refused");
    browser.open(&format!("http://{}/", server.address));
    browser.press("#talk");
    browser.wait("the reason", "return !document.querySelector('#alert').hidden");
    let alert = browser.run("return document.querySelector('#alert').textContent");
    assert!(alert.as_str().unwrap().contains("VOICE_ANONYMOUS"), "the page says {alert}");
    browser.wait("the end of the attempt", "return document.body.dataset.state === 'idle'");
}

fn pictures(browser: &Browser<'_>, when: &str) {
    for (device, size) in [("desktop", (1280, 900)), ("mobile", (390, 844))] {
        for scheme in ["light", "dark"] {
            browser.screenshot(&format!("talk-{when}-{device}-{scheme}"), size, scheme);
        }
    }
    let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_f64().unwrap() <= 0.0, "on a telephone the page is {wide} pixels too wide");
}
