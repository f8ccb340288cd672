//! What the command line refuses: with which status, by which name, and before any model is fetched.

use std::fs;

use crate::program::{bare, fixture, run};
use crate::server::Folder;

/// Refused with this status and a text that has these words; no model was thought of.
fn assert_refused(arguments: &[&str], settings: &[(&str, &str)], words: &[&str]) {
    let folder = Folder::new();
    fs::write(folder.path().join("words.txt"), "just words").expect("written");
    fs::write(folder.path().join("empty.toml"), "[srving]\n").expect("written");
    fs::write(folder.path().join("key.toml"), "[serving]\nbnid = '127.0.0.1:1'\n").expect("written");
    let mut command = bare(&folder, arguments);
    command.envs(settings.iter().copied());
    let ended = run(command);
    assert_eq!(ended.status, Some(2), "{arguments:?} {settings:?}: {ended:?}");
    for word in words {
        assert!(ended.errors.contains(word), "{word} in {ended:?}");
    }
    assert!(ended.out.is_empty(), "{ended:?}");
    assert!(!ended.errors.contains("fetching"), "{ended:?}");
    assert!(!folder.path().join("data").exists(), "a data folder was made");
}

#[test]
fn unusable_inputs_end_with_two_before_any_model_is_fetched() {
    let wav = fixture("human", "go_forward.wav");
    let wav = wav.to_str().expect("text");
    assert_refused(&["replay", "nowhere.wav"], &[], &["nowhere.wav", "cannot be opened"]);
    assert_refused(&["replay", "."], &[], &["nothing to replay"]);
    assert_refused(&["replay", wav, "--out", "nowhere/o.wav"], &[], &["nowhere/o.wav", "cannot be written"]);
    assert_refused(&["replay", wav, "--out", wav], &[], &["--out", "is one of the recordings"]);
    assert_refused(&["replay", wav, "--set", "no.such=1"], &[], &["no.such", "endpoint.silence_ms"]);
}

#[test]
fn what_is_no_journal_is_told_so() {
    let wav = fixture("human", "go_forward.wav");
    let plain = "this is no session journal, and --diff takes nothing else";
    assert_refused(&["replay", "--diff", wav.to_str().expect("text")], &[], &["go_forward.wav", plain]);
    assert_refused(&["replay", "--diff", "words.txt"], &[], &["words.txt", plain]);
    assert_refused(&["replay", "--diff", "."], &[], &["this is a folder"]);
    // The second is told as well.
    assert_refused(&["replay", "--diff", "words.txt", "gone"], &[], &["words.txt", "gone: the file cannot"]);
}

#[test]
fn unknown_and_unusable_settings_stop_the_start_by_their_names() {
    for (settings, words) in [
        (("VOICE_BNID", "127.0.0.1:1"), ["VOICE_BNID", "did you mean VOICE_BIND?"]),
        (("VOICE_BIND", "here"), ["VOICE_BIND", "address:port"]),
        (("VOICE_STT", "deepgram"), ["VOICE_STT", "what can serve is local"]),
        (("VOICE_LLM", "openai"), ["VOICE_LLM", "what can serve is concierge"]),
        (("VOICE_TTS", "elevenlabs"), ["VOICE_TTS", "what can serve is local"]),
        (("MLS_BASE_URL", "http://:"), ["MLS_BASE_URL", "malformed"]),
    ] {
        assert_refused(&["serve"], &[settings], &words);
    }
    assert_refused(&["serve", "--config", "key.toml"], &[], &["serving.bnid", "did you mean serving.bind?"]);
    assert_refused(&["serve", "--config", "empty.toml"], &[], &["srving", "did you mean serving?"]);
    assert_refused(&["serve", "--config", "none.toml"], &[], &["none.toml"]);
}

#[cfg(unix)]
#[test]
fn a_setting_that_is_no_text_stops_the_start_by_its_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let folder = Folder::new();
    let mut command = bare(&folder, &["doctor"]);
    command.env("VOICE_BIND", OsStr::from_bytes(b"\xff"));
    let ended = run(command);
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert!(ended.errors.contains("VOICE_BIND is not UTF-8"), "{ended:?}");
}

#[test]
fn flags_before_a_command_that_ignores_them_are_refused() {
    assert_refused(&["--bind", "127.0.0.1:1", "replay", "words.txt"], &[], &["--bind", "replay"]);
    assert_refused(&["--data", "d", "models", "list"], &[], &["--data", "models list"]);
}

#[test]
fn a_wrong_call_ends_with_two_and_help_with_zero() {
    assert_refused(&["fly"], &[], &["fly"]);
    assert_refused(&["replay"], &[], &["FILE|DIR"]);
    let folder = Folder::new();
    let help = run(bare(&folder, &["replay", "--help"]));
    assert!(help.status == Some(0) && help.out.contains("--realtime"), "{help:?}");
}
