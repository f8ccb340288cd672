//! Readers that leave before everything is printed.

use std::process::Stdio;

use crate::program::{Ended, Running, bare, fixture, models, run, voice};
use crate::server::{Folder, has_weights};

/// Runs it with an output that nobody reads.
fn unread(mut command: std::process::Command) -> Ended {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer);
    Running::start(&mut command).end()
}

#[test]
fn an_output_that_nobody_reads_ends_quietly() {
    let folder = Folder::new();
    for arguments in [["models", "list"].as_slice(), &["models", "list", "--json"], &["config-table"]] {
        let ended = unread(bare(&folder, arguments));
        assert_eq!((ended.status, ended.errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn errors_that_nobody_reads_leave_the_status() {
    let folder = Folder::new();
    let wav = fixture("human", "go_forward.wav");
    // The last two tell that they fetch before they fail.
    for (arguments, status) in [
        (["replay", "nowhere.wav"], 2),
        (["replay", wav.to_str().expect("text")], 1),
        (["models", "pull"], 1),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = bare(&folder, &arguments);
        command.stderr(writer);
        assert_eq!(run(command).status, Some(status), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let folder = Folder::new();
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = bare(&folder, &["config-table"]);
    command.stdout(Stdio::from(full));
    let ended = run(command);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.errors.contains("the output cannot be written"), "{ended:?}");
}

#[test]
fn a_replay_that_nobody_reads_ends_quietly() {
    if !has_weights() {
        return;
    }
    let _models = models();
    let folder = Folder::new();
    let wav = fixture("human", "go_forward.wav");
    let ended = unread(voice(&folder, &["replay", "--json", wav.to_str().expect("text")]));
    assert_eq!((ended.status, ended.errors.as_str()), (Some(0), ""));
}
