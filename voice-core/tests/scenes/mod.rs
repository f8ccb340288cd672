//! What the scenarios of turn-taking share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::time::Duration;

use voice_core::metrics::Stage;
use voice_core::sim::{Call, Scene};
use voice_core::time::SessionTime;
use voice_core::turn::TurnRecord;

/// Plays a scene that must keep all rules and come to rest.
pub fn play(scene: Scene) -> Call {
    match scene.play() {
        Ok(call) => call,
        Err(broken) => panic!("{broken}: {:?}", std::error::Error::source(&broken).map(ToString::to_string)),
    }
}

/// What the caller said in each finished turn.
pub fn said(call: &Call) -> Vec<&str> {
    call.turns().iter().map(|t| t.said.as_str()).collect()
}

/// The only turn.
#[track_caller]
pub fn only_turn(call: &Call) -> &TurnRecord {
    let turns = call.turns();
    assert_eq!(turns.len(), 1, "{turns:#?}");
    turns[0]
}

/// When the first byte of any answer left.
#[track_caller]
pub fn first_sound(call: &Call) -> SessionTime {
    call.left.first().expect("an answer").at
}

/// A stage of a turn in milliseconds.
pub fn stage(turn: &TurnRecord, stage: Stage) -> u128 {
    turn.ledger.of(stage).as_millis()
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Whether `value` lies within `tolerance` of `wanted`.
#[track_caller]
pub fn assert_near(value: Duration, wanted: Duration, tolerance: Duration) {
    assert!(value.abs_diff(wanted) <= tolerance, "{value:?} is not {wanted:?} within {tolerance:?}");
}
