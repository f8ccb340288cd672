//! The pages in a real Chromium with a microphone that speaks, on the real program, driven over WebDriver.
//!
//! Needs Debian's `chromium` and `chromium-driver`, axe-core (`.ci/setup test`), and the local models; says loudly what it
//! leaves out without them. Screenshots of all pages lie in `target/screenshots` afterwards.
//!
//! Only what the client does to the sample and to the frame, when its socket drops at a chosen moment, is tried against the
//! server in `mock`, which can be told to do so and counts what it gets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accessible;
mod basic_page;
mod console_page;
mod journey;
mod microphone;
mod mock;
mod other_origin;
mod paint;
mod past;
mod road;
mod setup_page;
mod talk_page;
mod talk_resume;
mod webdriver;

// The same program as in the calls of `e2e`, started the same way.
#[allow(dead_code)]
#[path = "../e2e/server.rs"]
mod server;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use accessible::Checks;
use mock::Mock;
use server::{Folder, Server, has_weights};
use webdriver::Driver;

/// Two browsers with a server each would be timed against one another.
static ALONE: Mutex<()> = Mutex::new(());

/// What the fake microphone says once, and then it is silent.
const MICROPHONE: (&str, &str) = ("mic.wav", "mic.txt");

/// A server with the models, recording calls that were told so, and a browser; `None` where something is missing.
fn with_server(try_it: impl FnOnce(&Server, &Driver, &Folder, Option<&Checks>)) {
    if !has_weights() || !Driver::is_installed() {
        return;
    }
    let checks = Checks::load();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let server = Server::start_with(&folder, &[("VOICE_RECORDING", "notice")]);
    let driver = Driver::start(folder.path());
    try_it(&server, &driver, &folder, checks.as_ref());
    let errors = server.errors();
    assert!(!errors.contains("panicked"), "the server panicked:\n{errors}");
}

#[test]
fn the_talk_page_and_other_clients_work_in_chromium() {
    with_server(|server, driver, _, checks| {
        timed("paint", || paint::both_pages_paint_soon(server, driver));
        timed("speaking", || talk_page::a_caller_speaks_and_hears_an_answer(server, driver, checks));
        timed("button", || talk_page::a_caller_interrupts_with_the_button(server, driver));
        timed("ticket", || talk_page::a_link_with_a_ticket_uses_it_once(server, driver));
        timed("other origin", || other_origin::a_page_of_another_origin_imports_the_client(server, driver));
        timed("basic", || basic_page::a_page_that_only_decodes_and_starts_plays_in_order(server, driver));
    });
}

#[test]
fn a_call_goes_from_the_talk_page_to_the_console() {
    with_server(|server, driver, folder, checks| {
        let address = server.address;
        past::store(folder);
        timed("journey", || journey::a_call_is_talked_through_and_found_again(address, driver, checks));
        timed("reading", || console_page::conversations_are_paged_searched_and_filtered(address, driver));
        timed("offline", || {
            console_page::it_opens_without_a_network_and_sends_changes_later(address, driver, checks)
        });
        timed("settings", || console_page::settings_are_changed_and_keys_are_shown_once(address, driver));
        timed("session", || console_page::a_session_expires_ends_and_is_left(address, driver));
        if let Some(checks) = checks {
            timed("views", || console_page::no_view_has_a_serious_fault(address, driver, checks));
        }
    });
}

/// Says how long a part took, so that one sees where a slow run was slow. No time decides a test.
fn timed(part: &str, act: impl FnOnce()) {
    let begun = Instant::now();
    act();
    println!("  {part}: {:.1} s", begun.elapsed().as_secs_f64());
}

#[test]
fn a_configured_server_lets_its_first_admin_in() {
    if !Driver::is_installed() {
        return;
    }
    let checks = Checks::load();
    let folder = Folder::new();
    let driver = Driver::start(folder.path());
    setup_page::the_first_admin_comes_in_by_the_link_once(&driver, checks.as_ref());
}

#[test]
fn the_client_loses_and_doubles_nothing() {
    if !Mock::is_installed() || !Driver::is_installed() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let driver = Driver::start(folder.path());
    talk_resume::a_dropped_call_comes_back_and_nothing_is_lost_or_doubled(&driver);
    talk_resume::a_reloaded_page_goes_on_with_its_call(&driver);
    talk_resume::a_call_that_is_over_is_not_continued(&driver);
    talk_resume::what_is_done_while_the_connection_is_away_reaches_the_call(&driver);
    talk_resume::press_to_talk_sends_while_the_space_key_is_held_only(&driver);
}

/// The words of the fake microphone.
fn spoken() -> String {
    let words = voice_fixtures::read("questions", MICROPHONE.1).expect("a fixture");
    String::from_utf8(words).expect("text").trim().to_owned()
}
