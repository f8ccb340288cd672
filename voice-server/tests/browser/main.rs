//! The pages in a real Chromium with a microphone that speaks, driven over WebDriver.
//!
//! Needs Debian's `chromium` and `chromium-driver`, axe-core (`.ci/setup test`), and for the calls the local models; says loudly
//! what it leaves out without them. Screenshots of both pages lie in `target/screenshots` afterwards.
//!
//! Calls are tried against the real program. What the pages do when a network drops, a session expires or two people
//! change the same thing is tried against the server in `mock`, which can be told to do so at the right moment.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accessible;
mod basic_page;
mod console_page;
mod mock;
mod other_origin;
mod paint;
mod talk_page;
mod talk_resume;
mod webdriver;

// The same program as in the calls of `e2e`, started the same way.
#[allow(dead_code)]
#[path = "../e2e/server.rs"]
mod server;

use std::sync::{Mutex, PoisonError};

use mock::Mock;
use server::{Folder, Server, has_weights};
use webdriver::Driver;

/// Two browsers with a server each would be timed against one another.
static ALONE: Mutex<()> = Mutex::new(());

/// What the fake microphone says once, and then it is silent.
const MICROPHONE: (&str, &str) = ("mic.wav", "mic.txt");

#[test]
fn the_pages_work_in_chromium() {
    if !has_weights() || !Driver::is_installed() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let server = Server::start(&folder);
    let driver = Driver::start(folder.path());
    paint::both_pages_paint_within_300_ms(&server, &driver);
    talk_page::a_caller_speaks_and_hears_an_answer(&server, &driver);
    talk_page::a_caller_interrupts_with_the_button(&server, &driver);
    other_origin::a_page_of_another_origin_imports_the_client(&server, &driver);
    talk_page::a_refusal_is_shown_with_its_reason(&driver);
    basic_page::a_page_that_only_decodes_and_starts_plays_in_order(&server, &driver);
    let errors = server.errors();
    assert!(!errors.contains("panicked"), "the server panicked:\n{errors}");
}

#[test]
fn the_pages_outlive_what_goes_wrong() {
    if !Mock::is_installed() || !Driver::is_installed() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let driver = Driver::start(folder.path());
    talk_resume::a_dropped_call_comes_back_and_nothing_is_lost_or_doubled(&driver);
    talk_resume::a_reloaded_page_goes_on_with_its_call(&driver);
    talk_resume::a_call_that_is_over_is_not_continued(&driver);
    talk_resume::press_to_talk_sends_while_the_space_key_is_held_only(&driver);
    talk_resume::a_link_with_a_ticket_uses_it_once(&driver);
    console_page::a_person_signs_in_and_takes_a_call_over(&driver);
    console_page::a_conversation_is_found_read_and_played(&driver);
    console_page::it_opens_without_a_network_and_sends_changes_later(&driver);
    console_page::two_people_who_change_the_same_are_asked(&driver);
    console_page::an_expired_session_is_renewed_once(&driver);
    console_page::a_session_that_is_over_asks_to_sign_in_and_keeps_the_changes(&driver);
    console_page::signing_out_leaves_nothing_behind(&driver);
    accessible::no_view_has_a_serious_fault(&driver);
}

/// The words of the fake microphone.
fn spoken() -> String {
    let words = voice_fixtures::read("questions", MICROPHONE.1).expect("a fixture");
    String::from_utf8(words).expect("text").trim().to_owned()
}
