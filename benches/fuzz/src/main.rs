//! One program for all entries under libFuzzer: `VOICE_FUZZ_ENTRY` names the one to run.
#![no_main]

#[path = "../../src/fuzz.rs"]
mod fuzz;
#[path = "../../src/socket.rs"]
mod socket;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static ENTRY: OnceLock<fuzz::Entry> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let entry = ENTRY.get_or_init(|| {
        let name = std::env::var("VOICE_FUZZ_ENTRY").unwrap_or_default();
        fuzz::entry(&name).expect("VOICE_FUZZ_ENTRY names an entry of benches/src/fuzz.rs")
    });
    (entry.run)(data);
});
