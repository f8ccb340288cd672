//! Callers who hang up: what they said is stored before the close is echoed, within 2 s.

use std::net::SocketAddr;
use std::time::Duration;

use crate::caller::Caller;
use crate::server::conversation;
use crate::sound::{FRAME, FRAME_BYTES, assert_understood, question};

pub(crate) async fn closing_in_mid_question_keeps_the_words(address: SocketAddr) {
    let question = question("q07");
    // The speech goes from 0.33 s to 3.52 s.
    let spoken = &question.pcm()[..2_400 * 32];
    let mut caller = Caller::basic(address, "?in=pcm16").await;
    caller.send_paced(spoken.chunks(FRAME_BYTES), FRAME).await;
    let (_, echo) = caller.hang_up().await;
    let stored = conversation(address, caller.id).await;
    let said = stored["transcript"][0]["text"].as_str().unwrap_or_default().to_lowercase();
    println!("  hung up in mid-question: echo after {:.0} ms, {said:?}", echo.as_secs_f64() * 1_000.0);
    assert!(said.contains("townhouse"), "{stored}");
    assert!(echo < Duration::from_secs(2), "{echo:?}");
    assert_eq!(stored["status"], "ended");
}

pub(crate) async fn closing_right_after_a_file_keeps_the_words(address: SocketAddr) {
    let question = question("q02");
    let mut caller = Caller::basic(address, "").await;
    caller.send(&question.wav());
    let (_, echo) = caller.hang_up().await;
    let stored = conversation(address, caller.id).await;
    println!("  hung up right behind a file: echo after {:.0} ms", echo.as_secs_f64() * 1_000.0);
    assert_understood(&question.words, stored["transcript"][0]["text"].as_str().unwrap_or_default());
    // 2 s of the contract, and the noise of the machine.
    assert!(echo < Duration::from_millis(2_200), "{echo:?}");
}

pub(crate) async fn closing_in_silence_is_echoed_at_once(address: SocketAddr) {
    let mut silent = Caller::basic(address, "").await;
    let mut listening = Caller::basic(address, "?in=pcm16").await;
    listening.send_paced([[0; FRAME_BYTES].as_slice(); 10], FRAME).await;
    for caller in [&mut silent, &mut listening] {
        let (_, echo) = caller.hang_up().await;
        assert!(echo < Duration::from_millis(1_000), "nothing is under way, and the echo took {echo:?}");
    }
}
