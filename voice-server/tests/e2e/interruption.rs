//! A caller who talks over the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::caller::{Caller, Got};
use crate::server::turns;
use crate::sound::{FRAME, FRAME_BYTES, assert_understood, question};

/// Where the speech of the synthetic questions begins.
const ONSET: Duration = Duration::from_millis(330);

pub(crate) async fn speech_over_the_answer_stops_it(address: SocketAddr) {
    let (first, second) = (question("q02"), question("q03"));
    let mut caller = Caller::basic(address, "?in=pcm16&out=pcm16").await;
    let id = caller.id;
    let silence = [0_u8; FRAME_BYTES];
    caller.send_paced(first.pcm().chunks(FRAME_BYTES), FRAME).await;
    // The microphone stays open: silence until the answer has been heard for 0.8 s.
    let mut sounded: Option<Instant> = None;
    let mut got = Vec::new();
    let mut due = tokio::time::Instant::now();
    while sounded.is_none_or(|at| at.elapsed() < Duration::from_millis(800)) {
        tokio::time::sleep_until(due).await;
        due += FRAME;
        caller.send(&silence);
        got.extend(caller.waiting());
        sounded = sounded.or_else(|| got.first().map(|(at, _)| *at));
        assert!(due.elapsed() < Duration::from_secs(1), "this side is too slow for real time");
    }
    let onset = Instant::now() + ONSET;
    caller.send_paced(second.pcm().chunks(FRAME_BYTES), FRAME).await;
    // Then silence again, until both turns are over.
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn({
        let over = over.clone();
        async move {
            let turns = turns(address, id, 2).await;
            over.store(true, Ordering::Relaxed);
            turns
        }
    });
    let mut due = tokio::time::Instant::now();
    while !over.load(Ordering::Relaxed) && !watching.is_finished() {
        tokio::time::sleep_until(due).await;
        due += FRAME;
        caller.send(&silence);
    }
    let turns = watching.await.expect("two turns");
    got.extend(caller.hang_up().await.0);

    // The old answer's last frame is the one before the first long pause behind the onset.
    let times: Vec<Instant> = got
        .iter()
        .map(|(at, got)| match got {
            Got::Binary(_) => *at,
            other => panic!("{other:?} where only audio may come"),
        })
        .collect();
    let pause = |pair: &&[Instant]| pair[1] > onset && pair[1] - pair[0] > Duration::from_millis(300);
    let pair = times.windows(2).find(pause).expect("the answer stops and another begins");
    let stopped = pair[0].saturating_duration_since(onset);
    println!(
        "  interruption: last frame {} ms after the onset as sent, the next answer's first {} ms later",
        stopped.as_millis(),
        (pair[1] - pair[0]).as_millis()
    );
    // 250 ms of the contract, 180 of which decide that it is no cough; the rest is room for the real models and the
    // machine.
    assert!(stopped < Duration::from_millis(600), "audio for {stopped:?} after the onset");
    assert_understood(&first.words, turns[0]["said"].as_str().unwrap());
    assert_understood(&second.words, turns[1]["said"].as_str().unwrap());
    let (reply, heard) = (turns[0]["reply"].as_str().unwrap(), turns[0]["heard"].as_str().unwrap());
    assert_eq!(turns[0]["interrupted"], true, "{}", turns[0]);
    assert!(
        !heard.is_empty() && heard.len() < reply.len() && reply.starts_with(heard),
        "{heard:?} of {reply:?}"
    );
    println!("  interruption: heard {heard:?} of {reply:?}");
    assert_eq!(turns[1]["interrupted"], false);
}
