//! Running the program to its end, with or without the models of this machine.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::server::{Folder, program};

/// Longer than any run takes on a busy machine: only a fault runs into it.
const LIMIT: Duration = Duration::from_secs(240);
/// How often a running program is looked at.
const STEP: Duration = Duration::from_millis(20);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) errors: String,
}

/// A program that runs in a folder.
pub(crate) struct Running {
    child: Child,
    out: JoinHandle<String>,
    errors: JoinHandle<String>,
}

/// The program in `folder`, with the models of this machine.
pub(crate) fn voice(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .args(arguments)
        .current_dir(folder.path())
        .env("VOICE_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The same without any model, and without a way to fetch one.
pub(crate) fn bare(folder: &Folder, arguments: &[&str]) -> Command {
    let mirror = folder.path().join("mirror");
    fs::create_dir_all(&mirror).expect("a folder");
    let mut command = voice(folder, arguments);
    command
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .env("VOICE_MODELS_URL", mirror)
        .env("PATH", folder.path().join("nothing"));
    command
}

/// Held by each run that computes with the models: two at once would make two cores the subject of the test.
static MODELS: Mutex<()> = Mutex::new(());

/// Waits until no other test computes with the models.
pub(crate) fn models() -> MutexGuard<'static, ()> {
    MODELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs it to its end.
pub(crate) fn run(mut command: Command) -> Ended {
    Running::start(&mut command).end()
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let out = read(child.stdout.take());
        let errors = read_errors(child.stderr.take());
        Self { child, out, errors }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; ends a program that does not come to one.
    pub(crate) fn end(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if begun.elapsed() > LIMIT => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    panic!("the program does not end");
                }
                None => std::thread::sleep(STEP),
            }
        };
        let out = self.out.join().expect("read");
        let errors = self.errors.join().expect("read");
        assert!(!errors.contains("panicked"), "{errors}");
        Ended { status: status.code(), out, errors }
    }
}

// Read beside the program, so that it never waits for room in a pipe.

fn read(pipe: Option<ChildStdout>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).expect("text");
        }
        text
    })
}

fn read_errors(pipe: Option<ChildStderr>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).expect("text");
        }
        text
    })
}

/// Where a recording lies.
pub(crate) fn fixture(group: &str, name: &str) -> PathBuf {
    voice_fixtures::folder(group).join(name)
}
