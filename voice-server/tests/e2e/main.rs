//! Calls through the real program: its socket, the engine, the local models, the database.
//!
//! One server serves all scenarios, a few at a time, and one test runs them, so that the server's process has an owner
//! whatever fails. `E2E_ONLY=part-of-a-name` runs some of them. Deadlines are far above what anything takes; a time
//! decides only where the contract (DESIGN 2.4) gives one, and then with room for real models on a busy machine. The
//! numbers of the contract themselves are tested in `tests/server/contract_numbers.rs`, on a clock without noise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod caller;
mod cloud;
mod crash;
mod files;
mod full;
mod hang_up;
mod interruption;
mod live;
mod output;
mod refusals;
mod server;
mod sound;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use server::{Folder, Server, has_weights};

/// Scenarios under way at once: more would make two cores the subject of the test.
const AT_ONCE: u32 = 3;

struct Scenario {
    name: &'static str,
    /// Loads the machine so much by itself that nothing else may run beside it.
    alone: bool,
    run: fn(SocketAddr) -> BoxFuture<'static, ()>,
}

macro_rules! scenarios {
    ($alone:literal: $($room:ident :: $name:ident,)*) => {
        [$(Scenario { name: stringify!($name), alone: $alone, run: |address| Box::pin($room::$name(address)) }),*]
    };
}

fn scenarios() -> Vec<Scenario> {
    // The longest first, so that none is left alone at the end.
    let side_by_side = scenarios![false:
        files::two_questions_in_one_file_are_answered_in_order,
        live::a_wav_streamed_in_pieces_is_answered,
        interruption::speech_over_the_answer_stops_it,
        files::a_webm_of_chromium_is_answered,
        files::a_webm_of_firefox_is_answered,
        live::a_recorder_that_stops_is_answered,
        files::a_wav_is_answered_in_wav_messages,
        files::an_ogg_is_answered,
        output::ogg_messages_are_whole_files,
        output::raw_frames_are_paced,
        output::mu_law_frames_have_the_telephones_rate,
        full::a_call_tells_what_happens,
        full::an_interrupt_clears,
        full::what_cannot_be_read_is_no_end,
        hang_up::closing_in_mid_question_keeps_the_words,
        hang_up::closing_right_after_a_file_keeps_the_words,
        hang_up::closing_in_silence_is_echoed_at_once,
        files::what_is_no_audio_for_us_is_named,
        refusals::a_live_id_cannot_be_taken_over,
        refusals::a_stored_id_cannot_be_used_again,
        refusals::only_this_machine_may_call_and_read,
        refusals::unknown_and_malformed_ids_are_not_found,
    ];
    let alone = scenarios![true:
        live::declared_formats_are_understood,
        refusals::twenty_callers_connect_at_once,
        crash::a_turn_that_was_told_survives_a_crash,
    ];
    side_by_side.into_iter().chain(alone).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_through_the_real_server() {
    if !has_weights() {
        return;
    }
    let only = std::env::var("E2E_ONLY").unwrap_or_default();
    let folder = Folder::new();
    let server = Server::start(&folder);
    let address = server.address;
    let begun = Instant::now();
    let room = Arc::new(Semaphore::new(AT_ONCE as usize));
    let mut running = Vec::new();
    for scenario in scenarios().into_iter().filter(|scenario| scenario.name.contains(&only)) {
        // Places are taken here, so that the order is that of the list.
        let places = if scenario.alone { AT_ONCE } else { 1 };
        let place = room.clone().acquire_many_owned(places).await.expect("open");
        running.push(tokio::spawn(async move {
            let begun = Instant::now();
            // A task of its own, so that a failed assertion ends this scenario and no other.
            let well = tokio::spawn((scenario.run)(address)).await.is_ok();
            let outcome = if well { "ok    " } else { "FAILED" };
            println!("{:>6.1} s  {outcome}  {}", begun.elapsed().as_secs_f64(), scenario.name);
            drop(place);
            (scenario.name, well)
        }));
    }
    let mut failed = Vec::new();
    let mut count = 0;
    for run in running {
        let (name, well) = run.await.expect("not cancelled");
        count += 1;
        if !well {
            failed.push(name);
        }
    }
    println!("{count} scenarios in {:.1} s", begun.elapsed().as_secs_f64());
    let errors = server.errors();
    drop(server);
    assert!(count > 0, "no scenario is named like {only:?}");
    assert!(failed.is_empty(), "failed: {failed:?}; the server wrote:\n{errors}");
    assert!(!errors.contains("panicked"), "the server panicked:\n{errors}");
}
