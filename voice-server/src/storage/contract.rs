//! What every storage keeps: one suite, run on local disk and on a real S3 server, plain and encrypted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::moto::Moto;
use super::seal::{Key, Keys};
use super::*;
use crate::config::Secret;

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("voice-blobs-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key(byte: u8) -> Keys {
    Keys::new(Some(Key::new([byte; 32])), Vec::new())
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|k| (k * 31 % 251) as u8).collect()
}

async fn keeps_the_contract(blobs: &Blobs) {
    objects_come_back_and_go(blobs).await;
    any_range_is_read_alone(blobs).await;
    uploads_in_parts_appear_whole(blobs).await;
    prefixes_are_whole_names(blobs).await;
    assert!(blobs.answers().await);
    blobs.check().await.expect("works");
}

async fn objects_come_back_and_go(blobs: &Blobs) {
    let key = blobs.key_for("one/a.ogg");
    assert!(matches!(blobs.get(&key, None).await, Err(StorageError::NotFound)));
    for content in [&b"first"[..], b"", b"and another, longer"] {
        blobs.put(&key, content).await.expect("is stored");
        assert_eq!(blobs.get(&key, None).await.expect("is there"), content);
        assert_eq!(blobs.open(&key).await.expect("is there").size(), content.len() as u64);
    }
    blobs.delete(&key).await.expect("is deleted");
    blobs.delete(&key).await.expect("again is no error");
    assert!(matches!(blobs.open(&key).await, Err(StorageError::NotFound)));
    for name in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a b", "a?b", "ä", &"x".repeat(600)] {
        assert!(matches!(blobs.put(name, b"x").await, Err(StorageError::Name)), "{name}");
    }
}

async fn any_range_is_read_alone(blobs: &Blobs) {
    let key = blobs.key_for("ranges/a.ogg");
    let content = bytes(200_000);
    blobs.put(&key, &content).await.expect("is stored");
    let reader = blobs.open(&key).await.expect("is there");
    for (from, to) in
        [(0, 1), (0, 65_536), (65_535, 65_537), (65_536, 131_072), (100, 199_999), (131_071, 200_000)]
    {
        let got = reader.read(from..to).await.expect("is read");
        assert_eq!(got, content[from as usize..to as usize], "{from}..{to}");
    }
    assert_eq!(reader.read(199_990..1_000_000).await.expect("up to the end"), content[199_990..]);
    assert!(reader.read(200_000..200_001).await.expect("nothing").is_empty());
    assert_eq!(blobs.get(&key, Some(5..9)).await.expect("is read"), content[5..9]);
    blobs.delete(&key).await.expect("is deleted");
}

async fn uploads_in_parts_appear_whole(blobs: &Blobs) {
    let key = blobs.key_for("parts/a.ogg");
    let content = bytes(11 * 1024 * 1024 + 123);
    let mut upload = blobs.upload(&key).expect("begins");
    for piece in content.chunks(700_001) {
        upload.write(piece).await.expect("is taken");
    }
    assert!(matches!(blobs.open(&key).await, Err(StorageError::NotFound)), "nothing is seen before its end");
    assert_eq!(upload.finish().await.expect("is stored"), content.len() as u64);
    let reader = blobs.open(&key).await.expect("is there");
    assert_eq!(reader.size(), content.len() as u64);
    let seam = 5 * 1024 * 1024;
    assert_eq!(
        reader.read(seam - 100..seam + 100).await.expect("is read"),
        content[seam as usize - 100..][..200]
    );
    let (mut at, mut whole) = (0, Vec::new());
    while at < reader.size() {
        whole.extend_from_slice(&reader.read(at..at + MOST_READ).await.expect("is read"));
        at += MOST_READ;
    }
    assert!(whole == content, "every byte comes back");
    assert!(matches!(reader.read(0..MOST_READ + 1).await, Err(StorageError::TooMuch)));

    // Given up, and cut off as by a crash.
    let other = blobs.key_for("parts/b.ogg");
    let mut upload = blobs.upload(&other).expect("begins");
    upload.write(&content).await.expect("is taken");
    let id = upload.id().map(str::to_owned);
    assert_eq!(id.is_some(), blobs.place() == "S3");
    upload.abort().await.expect("is given up");
    if let Some(id) = id {
        blobs.abort_upload(&other, &id).await.expect("what is gone is no error");
    }
    let mut upload = blobs.upload(&other).expect("begins");
    upload.write(&content).await.expect("is taken");
    let id = upload.id().map(str::to_owned);
    drop(upload);
    blobs.abort_upload(&other, id.as_deref().unwrap_or("none")).await.expect("is taken away");
    assert_eq!(blobs.list("parts", 10).await.expect("a list").len(), 1);
    blobs.delete_below("parts").await.expect("is deleted");
}

async fn prefixes_are_whole_names(blobs: &Blobs) {
    for name in ["p/a/1", "p/a/2", "p/a/deep/3", "p/ab/4"] {
        blobs.put(name, b"x").await.expect("is stored");
    }
    let mut found: Vec<String> =
        blobs.list("p/a", 10).await.expect("a list").into_iter().map(|blob| blob.key).collect();
    found.sort();
    assert_eq!(found, ["p/a/1", "p/a/2", "p/a/deep/3"]);
    assert_eq!(blobs.list("p", 2).await.expect("a list").len(), 2);
    assert_eq!(blobs.delete_below("p/a").await.expect("is deleted"), 3);
    assert_eq!(blobs.delete_below("p/a").await.expect("nothing is left"), 0);
    assert_eq!(blobs.delete_below("p").await.expect("is deleted"), 1);
}

#[tokio::test]
async fn local_disk_keeps_the_contract_plain_and_encrypted() {
    let folder = Folder::new();
    keeps_the_contract(&Blobs::on_disk(&folder.0, Keys::default()).expect("a folder")).await;
    keeps_the_contract(&Blobs::on_disk(&folder.0, key(1)).expect("a folder")).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&folder.0).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_real_s3_server_keeps_the_contract_plain_and_encrypted() {
    let Some(moto) = Moto::start().await else { return };
    keeps_the_contract(&moto.blobs(Keys::default())).await;
    keeps_the_contract(&moto.blobs(key(1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_dies_in_an_upload_is_noticed_in_time_and_a_wrong_key_at_once() {
    let Some(mut moto) = Moto::start().await else { return };
    let mut wrong = moto.settings.clone();
    wrong.secret_access_key = Some(Secret::new("wrong"));
    let wrong = Blobs::in_s3(&wrong, Keys::default(), Patience::default()).expect("settings that fit");
    assert!(matches!(wrong.put("a", b"x").await, Err(StorageError::Refused(_))), "the signature is checked");
    assert!(!wrong.answers().await);

    let blobs = moto.blobs(Keys::default());
    let mut upload = blobs.upload("a.ogg").expect("begins");
    upload.write(&bytes(6 << 20)).await.expect("a part is taken");
    moto.kill();
    let begun = Instant::now();
    let failed = upload.write(&bytes(6 << 20)).await.expect_err("nobody is there");
    assert!(failed.is_passing(), "{failed:?}");
    assert!(upload.finish().await.is_err());
    assert!(!blobs.answers().await);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn encrypted_objects_lie_unreadable_and_cannot_be_passed_off() {
    let folder = Folder::new();
    let blobs = Blobs::on_disk(&folder.0, key(1)).expect("a folder");
    let name = blobs.key_for("a.ogg");
    let content = b"a caller's words".repeat(10_000);
    blobs.put(&name, &content).await.expect("is stored");
    let file = folder.0.join(&name);
    let stored = std::fs::read(&file).expect("a file");
    assert!(!stored.windows(8).any(|w| w == b"caller's"));

    // After a change of keys, and after encryption was switched off.
    let rotated = Keys::new(Some(Key::new([2; 32])), vec![Key::new([1; 32])]);
    for keys in [rotated, Keys::new(None, vec![Key::new([1; 32])])] {
        let later = Blobs::on_disk(&folder.0, keys).expect("a folder");
        assert_eq!(later.get(&name, None).await.expect("is read"), content);
    }
    let stranger = Blobs::on_disk(&folder.0, key(3)).expect("a folder");
    assert!(matches!(stranger.get(&name, None).await, Err(StorageError::UnknownKey)));

    std::fs::write(&file, b"plain, by somebody else").expect("written");
    assert!(matches!(blobs.get(&name, None).await, Err(StorageError::Damaged)));
    std::fs::write(&file, &stored[..stored.len() - 20]).expect("written");
    let reader = blobs.open(&name).await.expect("the header is whole");
    assert!(matches!(reader.read(159_900..160_000).await, Err(StorageError::Damaged)));
}

#[test]
fn half_a_bucket_is_refused_with_the_missing_name() {
    let settings = S3Settings { bucket: Some("b".into()), ..S3Settings::default() };
    let error = Blobs::in_s3(&settings, Keys::default(), Patience::default()).expect_err("no key");
    assert!(error.to_string().contains("S3_ACCESS_KEY_ID"), "{error}");
    let s3 = S3Settings { endpoint: Some("http://127.0.0.1:1".into()), ..S3Settings::default() };
    let error = Blobs::of(&Config { s3, ..Config::default() }).expect_err("no bucket");
    assert!(error.to_string().contains("S3_BUCKET"), "{error}");
}
