//! The recording of one call: fed by its tap, steered by what caller and greeting said.
//!
//! A task beside the call takes what the tap kept once a second and has it encoded and written to the spool on a thread
//! for that; past 5 MiB it uploads parts while the call goes on. It ends by itself after the call, when the recording is
//! stored or left in the spool for later. Memory: the tap's queue, both tracks, the encoder: under 1.5 MiB at the worst,
//! some 400 KiB usually; parts of 5 MiB only while one is uploaded, a few at a time for the whole server.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;
use voice_core::session::Tap;
use voice_core::time::SessionTime;

use super::Archive;
use super::consent::{Consenting, Outcome, Wishes};
use super::maker::Maker;
use super::rescue::{Pages, RescueError, UnderWay, blocking};
use super::spool::{Meta, Record, file_of};
use super::tap::{CallTap, Piece, QUEUE};
use crate::data::{Consent, DataError, RecordingMode, RecordingState, Timestamp};
use crate::voice::call::Event;

/// Pieces are taken this often.
const TICK: Duration = Duration::from_secs(1);
/// Consents that wait to be stored at most; a call has three.
const CONSENTS: usize = 8;
/// How often a consent is tried to be stored, a tick apart.
const ATTEMPTS: u32 = 60;
/// How long a call may take after its last sound: storing its turns has a minute.
const LAST_WORDS: Duration = Duration::from_secs(90);
/// Pieces that are kept while a part is uploaded: 40 s of both sides, some 3 MiB.
const MOST_LEFT: usize = 8 * QUEUE;

/// What a call is recorded for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) archive: Archive,
    pub(super) wishes: Wishes,
    pub(super) organization: Uuid,
    pub(super) conversation: Uuid,
    pub(super) days: u32,
}

impl Plan {
    /// The greeting with what must be said to the caller.
    pub fn greeting(&self, plain: &str) -> String {
        self.wishes.greeting(plain)
    }

    /// What a caller who is not greeted is told in writing: that a machine answers.
    pub fn disclosure(&self) -> Option<&str> {
        self.wishes.disclosure.as_deref()
    }

    /// Begins with the call. `greets`: the caller gets [`Plan::greeting`]; else nothing is recorded.
    pub fn begin(self, greets: bool) -> CallRecording {
        let records = greets && self.wishes.mode != RecordingMode::Off;
        // With a notice the announcement itself is on the recording, as its proof.
        let (tap, pieces) = CallTap::new(records && self.wishes.mode == RecordingMode::Notice);
        let (tap, verdict) = (Arc::new(tap), Arc::new(AtomicU8::new(OPEN)));
        let (consents_in, consents) = mpsc::channel(CONSENTS);
        let consenting = Mutex::new(Consenting::new(self.wishes.clone(), greets));
        let (conversation, archive) = (self.conversation, self.archive.clone());
        let task = Task {
            plan: self,
            tap: Arc::downgrade(&tap),
            verdict: Arc::clone(&verdict),
            begun: Timestamp::now(),
            pieces,
            consents,
            left: Vec::new(),
            unstored: Vec::new(),
        };
        archive.spawn(task.run());
        CallRecording {
            tap,
            verdict,
            consenting,
            consents: consents_in,
            conversation,
            records,
            begun: Instant::now(),
        }
    }
}

/// What the call's task holds.
#[derive(Debug)]
pub struct CallRecording {
    tap: Arc<CallTap>,
    verdict: Arc<AtomicU8>,
    /// Held for a moment between two events of one call.
    consenting: Mutex<Consenting>,
    consents: mpsc::Sender<Consent>,
    conversation: Uuid,
    records: bool,
    begun: Instant,
}

/// Not decided yet.
const OPEN: u8 = 0;
/// The caller knows, or said yes.
const KEEP: u8 = 1;
/// Nothing may be kept.
const DROP: u8 = 2;

impl CallRecording {
    /// What listens in to the call; `None` where nothing is recorded whatever is said.
    pub fn tap(&self) -> Option<Arc<dyn Tap>> {
        self.records.then(|| Arc::clone(&self.tap) as Arc<dyn Tap>)
    }

    /// Something happened in the call. Never waits.
    pub fn handle(&self, event: &Event) {
        let mut consenting = self.consenting.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = match event {
            Event::TurnEnded(record) => consenting.handle_heard(&record.said, &record.heard),
            Event::Transcript { turn, text, is_final: true } => consenting.handle_said(*turn, text),
            _ => return,
        };
        drop(consenting);
        for outcome in outcomes {
            match outcome {
                Outcome::Consent { kind, given, wording } => {
                    let now = self.tap.now().as_millis();
                    // Where nobody listens in, the clock on the wall is near enough.
                    let at = if now > 0 { now } else { self.begun.elapsed().as_millis() as u64 };
                    let consent = Consent {
                        id: Uuid::new_v4(),
                        conversation_id: self.conversation,
                        kind,
                        given,
                        at: Timestamp::now(),
                        audio_ms: i64::try_from(at).unwrap_or(i64::MAX),
                        wording,
                    };
                    if self.consents.try_send(consent).is_err() {
                        tracing::error!(conversation = %self.conversation, "a consent was not stored: too many wait");
                    }
                }
                Outcome::Keep => {
                    self.verdict.store(KEEP, Ordering::Release);
                    self.tap.switch(true);
                }
                Outcome::Drop => {
                    self.tap.switch(false);
                    self.verdict.store(DROP, Ordering::Release);
                }
            }
        }
    }
}

/// The task beside the call.
struct Task {
    plan: Plan,
    /// Gone when the call is, which also closes `pieces`.
    tap: Weak<CallTap>,
    verdict: Arc<AtomicU8>,
    begun: Timestamp,
    pieces: mpsc::Receiver<Piece>,
    consents: mpsc::Receiver<Consent>,
    /// Taken while a part was uploaded.
    left: Vec<Piece>,
    /// With how often each was tried.
    unstored: Vec<(Consent, u32)>,
}

/// A recording that has begun.
struct Running {
    maker: Maker,
    meta: Meta,
    agreed: bool,
    under_way: Option<UnderWay>,
    uploaded: u64,
    /// The storage failed; what is left is brought home after the call.
    upload_failed: bool,
    row_stored: bool,
}

impl Task {
    async fn run(mut self) {
        let mut running: Option<Running> = None;
        let mut broken = false;
        let mut batch = Vec::new();
        let mut lost = 0;
        loop {
            let closed = self.gather(&mut batch).await;
            if let Some(tap) = self.tap.upgrade() {
                lost = tap.dropped();
            }
            if self.verdict() == DROP || broken {
                batch.clear();
                if let Some(running) = running.take() {
                    self.discard(running).await;
                }
            }
            if !batch.is_empty() {
                let id = running.as_ref().map(|running| running.meta.id);
                match self.work(running.take(), &mut batch).await {
                    Ok(done) => running = done,
                    Err(error) => {
                        tracing::error!(
                            conversation = %self.plan.conversation, %error, "a recording broke off: its spool cannot be written"
                        );
                        broken = true;
                        // What is in the spool by now is brought home by the next round.
                        id.inspect(|id| self.plan.archive.release(*id));
                    }
                }
            }
            self.store_consents().await;
            if closed || running.as_ref().is_some_and(|running| running.maker.is_over()) {
                break;
            }
            if let Some(running) = &mut running {
                self.store_begin(running).await;
                self.upload_part(running).await;
            }
        }
        if lost > 0 {
            tracing::warn!(conversation = %self.plan.conversation, pieces = lost, "a recording lacks what found no room");
        }
        // The call may still tell its last turn while its sound is over; what that says counts.
        self.hear_the_end().await;
        if let Some(mut running) = running.take() {
            let noted = running.agreed || running.maker.note(&Record::Agreed).is_ok();
            if self.verdict() == KEEP && noted {
                self.finish(running).await;
            } else {
                self.discard(running).await;
            }
        }
        while !self.unstored.is_empty() {
            sleep(TICK).await;
            self.store_consents().await;
        }
    }

    fn verdict(&self) -> u8 {
        self.verdict.load(Ordering::Acquire)
    }

    /// Waits until the call has told everything.
    async fn hear_the_end(&mut self) {
        let all = async {
            while let Some(consent) = self.consents.recv().await {
                self.unstored.push((consent, 0));
            }
        };
        if timeout(LAST_WORDS, all).await.is_err() {
            tracing::error!(conversation = %self.plan.conversation, "a call does not let go of its recording");
        }
        self.store_consents().await;
    }

    /// Takes pieces until a tick has passed, there are many, or the call is over. `true`: it is.
    async fn gather(&mut self, batch: &mut Vec<Piece>) -> bool {
        let until = Instant::now() + TICK;
        batch.append(&mut self.left);
        if batch.iter().any(|piece| matches!(piece, Piece::Ended { .. })) {
            return false;
        }
        loop {
            tokio::select! {
                piece = self.pieces.recv() => match piece {
                    Some(piece) => {
                        let over = matches!(piece, Piece::Ended { .. });
                        batch.push(piece);
                        if over || batch.len() >= QUEUE {
                            return false;
                        }
                    }
                    None => return true,
                },
                () = sleep_until(until) => return false,
            }
        }
    }

    async fn work(
        &mut self,
        running: Option<Running>,
        batch: &mut Vec<Piece>,
    ) -> std::io::Result<Option<Running>> {
        let mut pieces = std::mem::take(batch);
        let agrees = self.verdict() == KEEP;
        let mut running = match running {
            Some(running) => running,
            None => {
                let Some(zero) = first_sound(&pieces) else { return Ok(None) };
                self.open(zero).await?
            }
        };
        let mut maker = running.maker;
        let notes = agrees && !running.agreed;
        (maker, *batch) = blocking(move || {
            if notes {
                maker.note(&Record::Agreed)?;
            }
            maker.take(&mut pieces)?;
            Ok((maker, pieces))
        })
        .await?;
        running.maker = maker;
        running.agreed |= agrees;
        Ok(Some(running))
    }

    async fn open(&self, zero: SessionTime) -> std::io::Result<Running> {
        let plan = &self.plan;
        let id = Uuid::new_v4();
        let path = format!("recordings/{}/{}/{id}.ogg", plan.organization, plan.conversation);
        let meta = Meta {
            id,
            organization: plan.organization,
            conversation: plan.conversation,
            object: plan.archive.home().blobs.key_for(&path),
            started_at: self.begun.plus_millis(zero.as_millis()).as_millis(),
            days: plan.days,
        };
        let (archive, made) = (plan.archive.clone(), meta.clone());
        archive.hold(id);
        let maker = blocking(move || {
            archive.has_room()?;
            let path = file_of(archive.folder(), made.id);
            Maker::new(path, &archive.home().keys, &made, zero)
        })
        .await
        .inspect_err(|_| plan.archive.release(id))?;
        Ok(Running {
            maker,
            meta,
            agreed: false,
            under_way: None,
            uploaded: 0,
            upload_failed: false,
            row_stored: false,
        })
    }

    /// Stores the row of a recording that may be kept. Where that fails, its end does it.
    async fn store_begin(&self, running: &mut Running) {
        if running.agreed && !running.row_stored {
            running.row_stored = true;
            let home = self.plan.archive.home();
            let row = home.row(&running.meta, RecordingState::Open, 0, 0);
            if let Err(error) = home.store.add_recording(row).await {
                tracing::warn!(conversation = %self.plan.conversation, %error, "the begin of a recording was not stored");
            }
        }
    }

    /// Uploads a part where one is full. Sound that comes meanwhile is kept for the next round.
    async fn upload_part(&mut self, running: &mut Running) {
        let archive = self.plan.archive.clone();
        let full = running.maker.bytes() >= running.uploaded + archive.part();
        if !running.agreed || running.upload_failed || !full {
            return;
        }
        let Ok(_turn) = archive.uploads().try_acquire() else { return };
        let path = running.maker.path();
        let home = archive.home();
        let under_way = running.under_way.take();
        let object = running.meta.object.clone();
        let sending = async {
            let mut under_way = match under_way {
                Some(under_way) => under_way,
                None => {
                    let keys = home.keys.clone();
                    let pages = blocking(move || Pages::open(&path, &keys)).await?;
                    let mut upload = home.blobs.upload(&object)?;
                    upload.begin().await?;
                    UnderWay { upload, pages }
                }
            };
            let mut pages = under_way.pages;
            let most = usize::try_from(archive.part()).unwrap_or(usize::MAX);
            let (bytes, pages) = blocking(move || pages.read(most).map(|bytes| (bytes, pages))).await?;
            under_way.pages = pages;
            let sent = bytes.len() as u64;
            // The id is noted before parts are sent, so that a crash leaves none that nobody knows.
            let id = under_way.upload.id().map(str::to_owned);
            Ok::<_, RescueError>((under_way, bytes, sent, id))
        };
        let outcome = match sending.await {
            Ok((mut under_way, bytes, sent, id)) => {
                let noted = match id.filter(|_| running.uploaded == 0) {
                    Some(id) => running.maker.note(&Record::Upload(id)).map_err(Into::into),
                    None => Ok(()),
                };
                let mut sending = Box::pin(async move {
                    let outcome = under_way.upload.write(&bytes).await;
                    (under_way, outcome)
                });
                let (under_way, outcome) = loop {
                    tokio::select! {
                        done = &mut sending => break done,
                        Some(piece) = self.pieces.recv(), if self.left.len() < MOST_LEFT => self.left.push(piece),
                    }
                };
                running.uploaded += sent;
                running.under_way = Some(under_way);
                noted.and(outcome.map_err(RescueError::from))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(conversation = %self.plan.conversation, %error, "a part of a recording was not uploaded; it is tried after the call");
            running.upload_failed = true;
        }
    }

    async fn finish(&self, running: Running) {
        let Running { maker, meta, under_way, upload_failed, .. } = running;
        let archive = &self.plan.archive;
        let path = maker.path();
        let finished = blocking(move || maker.finish()).await;
        match finished {
            Ok(finished) if finished.lost_ms > 0 => {
                tracing::warn!(recording = %meta.id, ms = finished.lost_ms, "a recording lacks sound that found no place");
            }
            Ok(_) => {}
            // What is in the spool is whole up to there.
            Err(error) => {
                tracing::error!(recording = %meta.id, %error, "the end of a recording was not written")
            }
        }
        let under_way = match under_way {
            Some(mut under_way) if upload_failed => {
                let _ = under_way.upload.abort().await;
                None
            }
            other => other,
        };
        archive.bring_home(meta.id, path, under_way).await;
        archive.release(meta.id);
    }

    async fn discard(&self, running: Running) {
        let Running { maker, meta, under_way, row_stored, .. } = running;
        let archive = &self.plan.archive;
        let path = maker.path();
        drop(maker);
        if let Some(mut under_way) = under_way {
            let _ = under_way.upload.abort().await;
        }
        if let Err(error) = tokio::fs::remove_file(path).await {
            tracing::error!(recording = %meta.id, %error, "a recording that may not be kept was not removed");
        }
        if row_stored {
            let removed = archive.home().store.remove_recording(meta.organization, meta.id).await;
            if let Err(error) = removed {
                tracing::warn!(recording = %meta.id, %error, "the row of a recording that is not kept stays");
            }
        }
        archive.release(meta.id);
    }

    async fn store_consents(&mut self) {
        while let Ok(consent) = self.consents.try_recv() {
            self.unstored.push((consent, 0));
        }
        let mut left = Vec::new();
        for (consent, tried) in std::mem::take(&mut self.unstored) {
            let store = &self.plan.archive.home().store;
            match store.add_consent(self.plan.organization, consent.clone()).await {
                Ok(()) | Err(DataError::Exists) => {}
                Err(DataError::Unavailable(_)) if tried < ATTEMPTS => left.push((consent, tried + 1)),
                Err(error) => {
                    tracing::error!(conversation = %self.plan.conversation, %error, "a consent was not stored");
                }
            }
        }
        self.unstored = left;
    }
}

/// When the first sound of the pieces was.
fn first_sound(pieces: &[Piece]) -> Option<SessionTime> {
    let times = pieces.iter().filter_map(|piece| match piece {
        Piece::Caller { at, .. } | Piece::Sent { at, .. } => Some(*at),
        _ => None,
    });
    times.min()
}
