//! Recordings through crashes, a storage that is away, their end of keeping, and a caller's wish to be forgotten.

use std::time::Duration;

use voice_core::audio::{FRAME_SAMPLES, SampleRate};
use voice_core::ingress::{Ingress, Limits, Pulled};
use voice_core::session::Tap;
use voice_core::time::SessionTime;

use super::consent::NOTICE;
use super::*;
use crate::data::{
    ConsentKind, ConversationStore as _, DEMO_ORGANIZATION, NewConversation, Recording, RecordingState,
    Recordings as _, SqliteStore, Timestamp,
};
use crate::events::{Hub, HubLimits};
use crate::metrics::Metrics;
use crate::storage::{Key, Patience, S3Settings, moto::Moto};
use crate::voice::call::{Event, TurnRecord};

/// One server's data folder, gone with the value.
struct World {
    folder: PathBuf,
    store: Arc<SqliteStore>,
    keys: Keys,
    conversation: Uuid,
}

impl World {
    async fn new(keys: Keys) -> Self {
        let folder = std::env::temp_dir().join(format!("voice-recording-{}", Uuid::new_v4()));
        let store = Arc::new(SqliteStore::open(&folder).await.expect("a store"));
        let world = Self { folder, store, keys, conversation: Uuid::new_v4() };
        world.open_conversation(world.conversation).await;
        world
    }

    async fn open_conversation(&self, id: Uuid) {
        let new = NewConversation {
            client_phone: Some("+15125550100".into()),
            ..NewConversation::anonymous(id, DEMO_ORGANIZATION, Timestamp::now())
        };
        self.store.open_conversation(new).await.expect("a conversation");
    }

    fn disk(&self) -> Blobs {
        Blobs::on_disk(&self.folder.join("blobs"), self.keys.clone()).expect("a storage")
    }

    /// A server's archive on this data, as after a start.
    fn archive(&self, blobs: Blobs, part: u64) -> Archive {
        let folder = self.folder.join("spool");
        make_private(&folder).expect("a folder");
        Archive(Arc::new(Inner {
            home: Home { blobs, keys: self.keys.clone(), store: self.store.clone() },
            folder,
            language: "en".to_owned(),
            mode: RecordingMode::Off,
            held: Mutex::default(),
            uploads: Semaphore::new(UPLOADS),
            part,
            tasks: Mutex::default(),
        }))
    }

    fn begin(&self, archive: &Archive) -> CallRecording {
        let plan = Plan {
            archive: archive.clone(),
            wishes: Wishes { mode: RecordingMode::Notice, disclosure: None },
            organization: DEMO_ORGANIZATION,
            conversation: self.conversation,
            days: 30,
        };
        plan.begin(true)
    }

    async fn recordings(&self) -> Vec<Recording> {
        self.store.recordings(DEMO_ORGANIZATION, self.conversation).await.expect("rows")
    }

    fn spools(&self) -> usize {
        spool::waiting(&self.folder.join("spool")).expect("a list").len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Both sides of `seconds` of a call, loud on both. More than five at once find no room.
fn talk(tap: &dyn Tap, from: u64, seconds: u64) {
    let mut seed = 7_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 18) as i16 - 8_000
    };
    for second in from..from + seconds {
        let ours: Vec<i16> = (0..24_000).map(|_| noise()).collect();
        tap.sent(SessionTime::from_millis(second * 1_000), SampleRate::HZ_24000, &ours);
        for k in 0..50 {
            let frame = std::array::from_fn(|_| noise());
            tap.caller(SessionTime::from_millis(second * 1_000 + k * 20), &frame);
        }
    }
}

/// The greeting was heard to its end.
fn notify(recording: &CallRecording) {
    let heard = format!("{NOTICE} Hello.");
    recording.handle(&Event::TurnEnded(TurnRecord {
        turn: 1,
        said: String::new(),
        reply: heard.clone(),
        heard,
        started_ms: 0,
        zero_ms: 0,
        ledger: Vec::new(),
        interrupted: false,
        by_person: false,
    }));
}

/// Waits until the spool has grown to this.
async fn written(world: &World, bytes: u64) {
    let begun = Instant::now();
    while spool::size(&world.folder.join("spool")).expect("a size") < bytes {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is written");
        sleep(Duration::from_millis(50)).await;
    }
    // What the storage and the database get from it is on its way, too.
    sleep(Duration::from_millis(300)).await;
}

/// Ends the tasks as a crash does.
async fn crash(archive: Archive, recording: CallRecording) {
    let mut tasks = std::mem::take(&mut *lock(&archive.0.tasks));
    tasks.shutdown().await;
    drop(recording);
}

/// Seconds that our own demuxer hears, and whether it saw the end of the stream.
fn heard(bytes: &[u8]) -> (f64, bool) {
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(bytes).expect("is taken");
    ingress.finish().expect("ends");
    let (mut frames, mut ended, mut frame) = (0, false, [0; FRAME_SAMPLES]);
    while let Some(pulled) = ingress.poll_frame(&mut frame).expect("is understood") {
        match pulled {
            Pulled::Ended => ended = true,
            _ => frames += 1,
        }
    }
    (f64::from(frames) / 50.0, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_crash_leaves_is_stored_at_the_next_start_but_for_some_seconds() {
    for keys in [Keys::default(), Keys::new(Some(Key::new([1; 32])), Vec::new())] {
        let world = World::new(keys).await;
        let archive = world.archive(world.disk(), PART);
        let recording = world.begin(&archive);
        let tap = recording.tap().expect("it records");
        talk(&*tap, 0, 4);
        notify(&recording);
        written(&world, 2_000).await;
        talk(&*tap, 4, 4);
        written(&world, 20_000).await;
        crash(archive, recording).await;
        let before = world.recordings().await;
        assert!(before.iter().all(|one| one.state == RecordingState::Open), "{before:?}");
        assert_eq!(world.spools(), 1);
        // The last write was torn.
        let file = spool::file_of(&world.folder.join("spool"), before.first().expect("a row").id);
        let mut bytes = std::fs::read(&file).expect("a spool");
        bytes.extend_from_slice(&[40, 0, 0, 0, 1, 79]);
        std::fs::write(&file, bytes).expect("written");

        let archive = world.archive(world.disk(), PART);
        archive.bring_left_over().await;
        let after = world.recordings().await;
        assert_eq!((after.len(), after[0].state), (1, RecordingState::Stored));
        assert!((4_000..=8_000).contains(&after[0].audio_ms), "{after:?}");
        assert_eq!(after[0].encrypted, world.keys.current().is_some());
        assert_eq!(world.spools(), 0);
        let sound = world.disk().get(&after[0].object, None).await.expect("an object");
        assert_eq!(sound.len() as i64, after[0].bytes);
        let (seconds, ended) = heard(&sound);
        assert!(ended && (seconds * 1_000.0 - after[0].audio_ms as f64).abs() < 60.0, "{seconds}");
        let consents = world.store.consents(DEMO_ORGANIZATION, world.conversation).await.expect("rows");
        let told: Vec<_> = consents.iter().map(|one| (one.kind, one.given)).collect();
        assert_eq!(told, [(ConsentKind::Recording, true)]);
        archive.bring_left_over().await;
        assert_eq!(world.recordings().await, after, "again changes nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_crash_before_the_notice_was_heard_leaves_nothing() {
    let world = World::new(Keys::default()).await;
    let archive = world.archive(world.disk(), PART);
    let recording = world.begin(&archive);
    talk(&*recording.tap().expect("it records"), 0, 5);
    written(&world, 2_000).await;
    crash(archive, recording).await;
    assert_eq!(world.spools(), 1);
    world.archive(world.disk(), PART).bring_left_over().await;
    assert!(world.spools() == 0 && world.recordings().await.is_empty());
    assert!(world.disk().list("recordings", 1).await.expect("a list").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_storage_that_is_away_keeps_nobody_waiting_and_gets_the_recording_later() {
    let world = World::new(Keys::default()).await;
    let settings = S3Settings {
        // Nobody listens there.
        endpoint: Some("http://127.0.0.1:1".into()),
        bucket: Some("calls".into()),
        access_key_id: Some(crate::config::Secret::new("id")),
        secret_access_key: Some(crate::config::Secret::new("key")),
        region: None,
    };
    let patience = Patience { small: Duration::from_secs(2), large: Duration::from_secs(2), retries: 0 };
    let away = Blobs::in_s3(&settings, Keys::default(), patience).expect("settings that fit");
    let archive = world.archive(away, 4_000);
    let recording = world.begin(&archive);
    let tap = recording.tap().expect("it records");
    notify(&recording);
    talk(&*tap, 0, 4);
    written(&world, 4_000).await;
    talk(&*tap, 4, 3);
    tap.ended(SessionTime::from_millis(7_000));
    drop((tap, recording));
    archive.drain(Duration::from_secs(20)).await;
    assert_eq!(world.spools(), 1);
    assert_eq!(world.recordings().await.first().map(|one| one.state), Some(RecordingState::Open));
    let archive = world.archive(world.disk(), PART);
    archive.bring_left_over().await;
    let stored = world.recordings().await.remove(0);
    assert_eq!((stored.state, world.spools()), (RecordingState::Stored, 0));
    assert!(stored.audio_ms.abs_diff(7_000) < 20, "{stored:?}");
    let (seconds, ended) = heard(&world.disk().get(&stored.object, None).await.expect("an object"));
    assert!(ended && (seconds - 7.0).abs() < 0.05, "{seconds}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn parts_leave_for_a_real_s3_server_while_the_call_goes_on_and_a_crash_among_them_loses_none() {
    let Some(moto) = Moto::start().await else { return };
    let keys = Keys::new(Some(Key::new([1; 32])), Vec::new());
    for crashes in [false, true] {
        let world = World::new(keys.clone()).await;
        let blobs = moto.blobs(keys.clone());
        let archive = world.archive(blobs.clone(), 4_000);
        let recording = world.begin(&archive);
        let tap = recording.tap().expect("it records");
        notify(&recording);
        for round in 0..3 {
            talk(&*tap, round * 4, 4);
            written(&world, 4_000 + round * 20_000).await;
        }
        sleep(Duration::from_millis(1_500)).await;
        // The upload has begun: its id is in the spool.
        let id = world.recordings().await.first().expect("a row").id;
        let file = spool::file_of(&world.folder.join("spool"), id);
        let mut reader = spool::Reader::open(&file, &keys).expect("a spool");
        let mut records = std::iter::from_fn(|| reader.next().expect("reads"));
        assert!(records.any(|record| matches!(record, spool::Record::Upload(_))));
        if crashes {
            drop(tap);
            crash(archive, recording).await;
            world.archive(blobs.clone(), PART).bring_left_over().await;
        } else {
            tap.ended(SessionTime::from_millis(12_000));
            drop((tap, recording));
            archive.drain(Duration::from_secs(20)).await;
        }
        let stored = world.recordings().await.remove(0);
        assert_eq!((stored.state, world.spools()), (RecordingState::Stored, 0));
        let least = if crashes { 7_000 } else { 11_990 };
        assert!((least..=12_020).contains(&stored.audio_ms), "{stored:?}");
        let (seconds, ended) = heard(&blobs.get(&stored.object, None).await.expect("an object"));
        assert!(ended && (seconds * 1_000.0 - stored.audio_ms as f64).abs() < 60.0, "{seconds}");
    }
}

/// A row with its object.
async fn stored(world: &World, blobs: &Blobs, conversation: Uuid, expires_at: Timestamp) -> Recording {
    let id = Uuid::new_v4();
    let recording = Recording {
        id,
        organization_id: DEMO_ORGANIZATION,
        conversation_id: conversation,
        object: blobs.key_for(&format!("recordings/{DEMO_ORGANIZATION}/{conversation}/{id}.ogg")),
        state: RecordingState::Stored,
        started_at: Timestamp::from_millis(1_000),
        audio_ms: 1,
        bytes: 5,
        channels: 2,
        encrypted: false,
        expires_at: Some(expires_at),
    };
    blobs.put(&recording.object, b"sound").await.expect("is stored");
    world.store.add_recording(recording.clone()).await.expect("a row");
    recording
}

#[tokio::test]
async fn what_is_past_its_time_goes_object_and_row_and_the_rest_stays() {
    let world = World::new(Keys::default()).await;
    let blobs = world.disk();
    let now = Timestamp::from_millis(1_000_000);
    for k in 0..120 {
        stored(&world, &blobs, world.conversation, Timestamp::from_millis(999_000 + k)).await;
    }
    let kept = stored(&world, &blobs, world.conversation, Timestamp::from_millis(1_000_001)).await;
    assert_eq!(keep::delete_expired(&*world.store, &blobs, now).await, 120);
    assert_eq!(world.recordings().await, std::slice::from_ref(&kept));
    let left = blobs.list("recordings", 1_000).await.expect("a list");
    assert_eq!(left.iter().map(|blob| blob.key.as_str()).collect::<Vec<_>>(), [kept.object]);
    assert_eq!(keep::delete_expired(&*world.store, &blobs, now).await, 0);
}

#[tokio::test]
async fn a_caller_who_wants_to_be_forgotten_is_forgotten_everywhere_and_nobody_else_is() {
    let world = World::new(Keys::default()).await;
    let blobs = world.disk();
    let later = Timestamp::now().plus_millis(1_000_000);
    stored(&world, &blobs, world.conversation, later).await;
    let second = Uuid::new_v4();
    world.open_conversation(second).await;
    // Whose object is gone already, as where a crash cut an earlier attempt off, and one that no row knows.
    let gone = stored(&world, &blobs, second, later).await;
    blobs.delete(&gone.object).await.expect("is deleted");
    blobs.put(&format!("recordings/{DEMO_ORGANIZATION}/{second}/x.ogg"), b"sound").await.expect("is stored");
    let other = Uuid::new_v4();
    let new = NewConversation::anonymous(other, DEMO_ORGANIZATION, Timestamp::now());
    world.store.open_conversation(new).await.expect("a conversation");
    let kept = stored(&world, &blobs, other, later).await;

    let events = Hub::new(HubLimits::default(), &Metrics::default());
    let erase = || keep::erase_caller(&*world.store, &blobs, &events, DEMO_ORGANIZATION, "+15125550100");
    let foreign = keep::erase_caller(&*world.store, &blobs, &events, Uuid::new_v4(), "+15125550100").await;
    assert_eq!(foreign.expect("works"), keep::Erased::default());
    assert_eq!(erase().await.expect("works").conversations, 2);
    for id in [world.conversation, second] {
        assert!(world.store.conversation(DEMO_ORGANIZATION, id).await.expect("a store").is_none());
    }
    let left = blobs.list("recordings", 10).await.expect("a list");
    assert_eq!(left.iter().map(|blob| blob.key.as_str()).collect::<Vec<_>>(), [kept.object]);
    assert_eq!(erase().await.expect("again is no error"), keep::Erased::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_recording_whose_conversation_is_erased_meanwhile_goes_too() {
    let world = World::new(Keys::default()).await;
    let archive = world.archive(world.disk(), PART);
    let recording = world.begin(&archive);
    let tap = recording.tap().expect("it records");
    notify(&recording);
    talk(&*tap, 0, 4);
    written(&world, 2_000).await;
    world.store.erase_conversations(DEMO_ORGANIZATION, vec![world.conversation]).await.expect("is erased");
    tap.ended(SessionTime::from_millis(4_000));
    drop((tap, recording));
    archive.drain(Duration::from_secs(20)).await;
    assert_eq!(world.spools(), 0);
    assert!(world.disk().list("recordings", 1).await.expect("a list").is_empty());
}
