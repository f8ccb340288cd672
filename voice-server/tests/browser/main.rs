//! The pages in a real Chromium with a microphone that speaks, driven over WebDriver.
//!
//! Needs Debian's `chromium` and `chromium-driver` and the local models; says loudly what it leaves out without them.
//! Screenshots of the talk page lie in `target/screenshots` afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod basic_page;
mod talk_page;
mod webdriver;

// The same program as in the calls of `e2e`, started the same way.
#[allow(dead_code)]
#[path = "../e2e/server.rs"]
mod server;

use server::{Folder, Server, has_weights};
use webdriver::Driver;

/// What the fake microphone says once, and then it is silent.
const MICROPHONE: (&str, &str) = ("mic.wav", "mic.txt");

#[test]
fn the_pages_work_in_chromium() {
    if !has_weights() || !Driver::is_installed() {
        return;
    }
    let folder = Folder::new();
    let server = Server::start(&folder);
    let driver = Driver::start(folder.path());
    talk_page::a_caller_speaks_and_hears_an_answer(&server, &driver);
    talk_page::a_refusal_is_shown_with_its_reason(&driver);
    basic_page::a_page_that_only_decodes_and_starts_plays_in_order(&server, &driver);
    let errors = server.errors();
    assert!(!errors.contains("panicked"), "the server panicked:\n{errors}");
}

/// The words of the fake microphone.
fn spoken() -> String {
    let words = voice_fixtures::read("questions", MICROPHONE.1).expect("a fixture");
    String::from_utf8(words).expect("text").trim().to_owned()
}
