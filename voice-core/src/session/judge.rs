//! The voice activity network for all calls of an engine: windows that wait at the same moment are judged together.
//!
//! A network as small as this one spends half of its time on what a run costs whatever it judges. With few calls a
//! window is judged at once; with many, those share a run that come within a moment of the one before. Callers:
//! `listen`, which has at most one window under way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::infer::{Job, Pool, Weight};
use crate::vad::{VAD_WINDOW, VadModel, VadStream, VadTask};

/// The network, and the windows that wait for it.
pub(super) struct Judge {
    model: Arc<dyn VadModel>,
    waiting: Mutex<Waiting>,
    /// Calls that have a slot.
    calls: Arc<AtomicUsize>,
}

/// Invariant: while `running`, a job of this judge is in the pool or being run, and takes what waits.
struct Waiting {
    slots: Vec<Arc<VadSlot>>,
    running: bool,
    /// When the last run began.
    last: Option<Instant>,
}

/// One call's window and network state, lent to the judge again and again.
pub(super) struct VadSlot {
    pub(super) bell: Arc<Notify>,
    pub(super) work: Mutex<VadWork>,
    _call: Counted,
}

/// One more call, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(calls.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct VadWork {
    pub(super) stream: Box<dyn VadStream>,
    pub(super) window: [i16; VAD_WINDOW],
    pub(super) result: Option<f32>,
}

impl Judge {
    pub(super) fn new(model: Arc<dyn VadModel>) -> Arc<Self> {
        let slots = Vec::with_capacity(MOST_WAITING);
        let waiting = Mutex::new(Waiting { slots, running: false, last: None });
        Arc::new(Self { model, waiting, calls: Arc::default() })
    }

    /// Name of the model.
    pub(super) fn name(&self) -> &'static str {
        self.model.name()
    }

    /// A call's slot, as if silence had come before.
    pub(super) fn open(&self, bell: Arc<Notify>) -> Arc<VadSlot> {
        let work = VadWork { stream: self.model.open(), window: [0; VAD_WINDOW], result: None };
        Arc::new(VadSlot { bell, work: Mutex::new(work), _call: Counted::new(&self.calls) })
    }

    /// Queues the window in a slot. `false`: too many wait or there is no thread, and it will not be judged.
    pub(super) fn submit(self: &Arc<Self>, pool: &Pool, slot: Arc<VadSlot>) -> bool {
        let mut waiting = self.lock();
        if waiting.slots.len() >= MOST_WAITING {
            return false;
        }
        waiting.slots.push(slot);
        if !waiting.running {
            waiting.running = pool.submit(Weight::Light, self.clone());
            if !waiting.running {
                waiting.slots.pop();
                return false;
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets windows come together where a run has only just been: the thread sleeps, it does not compute.
    fn gather(&self) {
        if self.calls.load(Ordering::Relaxed) < CROWD {
            return;
        }
        let now = Instant::now();
        let last = self.lock().last.replace(now);
        let early = last.map_or(Duration::ZERO, |last| EVERY.saturating_sub(now - last));
        if !early.is_zero() {
            std::thread::sleep(early);
            self.lock().last = Some(now + early);
        }
    }

    /// What waits, as far as one run takes it, oldest first. Empty: the judge has stopped.
    fn take(&self) -> SmallVec<[Arc<VadSlot>; MOST_TOGETHER]> {
        let mut waiting = self.lock();
        let together = waiting.slots.len().min(MOST_TOGETHER);
        if together == 0 {
            waiting.running = false;
        }
        waiting.slots.drain(..together).collect()
    }
}

/// Windows waiting at most: one a call for 4,096 calls.
const MOST_WAITING: usize = 4_096;
/// With many calls a run begins no sooner than this after the one before: 2 ms, of windows that come every 32 ms a call.
const EVERY: Duration = Duration::from_millis(2);
/// So many calls have windows to share a run often enough. A recording that is played in fast is one call, and not held up.
const CROWD: usize = 16;
/// Windows judged in one run. More of them gain little, and the first would wait for the last.
const MOST_TOGETHER: usize = 16;

impl Job for Judge {
    fn run(self: Arc<Self>) {
        loop {
            self.gather();
            let slots = self.take();
            if slots.is_empty() {
                return;
            }
            let mut work: SmallVec<[MutexGuard<'_, VadWork>; MOST_TOGETHER]> =
                slots.iter().map(|slot| slot.work.lock().unwrap_or_else(PoisonError::into_inner)).collect();
            let mut probabilities = [0.0; MOST_TOGETHER];
            let mut tasks: SmallVec<[VadTask<'_>; MOST_TOGETHER]> = work
                .iter_mut()
                .zip(&mut probabilities)
                .map(|(work, probability)| {
                    let VadWork { stream, window, .. } = &mut **work;
                    VadTask { stream: &mut **stream, window, probability }
                })
                .collect();
            // A model that panics takes the windows of this run with it: their calls wait for them, and begin afresh.
            let judged = catch_unwind(AssertUnwindSafe(|| self.model.judge(&mut tasks))).is_ok();
            drop(tasks);
            if judged {
                for (work, probability) in work.iter_mut().zip(probabilities) {
                    work.result = Some(probability);
                }
            }
            drop(work);
            if judged {
                slots.iter().for_each(|slot| slot.bell.notify_one());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Answers with the first sample, counts its runs, and panics at a window of the number -1.
    #[derive(Default)]
    struct Counting {
        runs: AtomicUsize,
        held: Mutex<Option<mpsc::Receiver<()>>>,
    }

    struct Nothing;

    impl VadStream for Nothing {
        fn probability(&mut self, window: &[i16; VAD_WINDOW]) -> f32 {
            f32::from(window[0])
        }

        fn reset(&mut self) {}
    }

    impl VadModel for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn open(&self) -> Box<dyn VadStream> {
            Box::new(Nothing)
        }

        fn judge(&self, batch: &mut [VadTask<'_>]) {
            self.runs.fetch_add(1, Ordering::Relaxed);
            if let Some(held) = self.held.lock().expect("whole").take() {
                let _ = held.recv_timeout(Duration::from_secs(10));
            }
            for task in batch {
                assert_ne!(task.window[0], -1, "on purpose");
                *task.probability = task.stream.probability(task.window);
            }
        }
    }

    fn slot(judge: &Arc<Judge>, number: i16) -> Arc<VadSlot> {
        let slot = judge.open(Arc::new(Notify::new()));
        slot.work.lock().expect("whole").window[0] = number;
        slot
    }

    fn result(slot: &VadSlot) -> Option<f32> {
        slot.work.lock().unwrap_or_else(PoisonError::into_inner).result
    }

    async fn rung(slot: &VadSlot) -> bool {
        tokio::time::timeout(Duration::from_secs(10), slot.bell.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn windows_that_wait_together_share_a_run_and_each_gets_its_own_answer() {
        let pool = Pool::start(1).expect("threads");
        let (release, held) = mpsc::channel();
        let model = Arc::new(Counting { held: Mutex::new(Some(held)), ..Counting::default() });
        let judge = Judge::new(model.clone());
        let first = slot(&judge, 1);
        assert!(judge.submit(&pool, first.clone()));
        while model.runs.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..40).map(|number| slot(&judge, number)).collect();
        assert!(others.iter().all(|other| judge.submit(&pool, other.clone())));
        release.send(()).expect("the model waits");
        for (other, number) in others.iter().zip(2_i16..) {
            assert!(rung(other).await);
            assert_eq!(result(other), Some(f32::from(number)));
        }
        assert_eq!(result(&first), Some(1.0));
        assert_eq!(model.runs.load(Ordering::Relaxed), 1 + 38_usize.div_ceil(MOST_TOGETHER));
    }

    #[tokio::test]
    async fn a_model_that_panics_judges_later_windows() {
        let pool = Pool::start(1).expect("threads");
        let judge = Judge::new(Arc::new(Counting::default()));
        let broken = slot(&judge, -1);
        assert!(judge.submit(&pool, broken.clone()));
        // One that comes into the run that panics is lost with it; whoever waits for it asks again.
        let mut judged = false;
        for _ in 0..200 {
            let later = slot(&judge, 7);
            assert!(judge.submit(&pool, later.clone()));
            if tokio::time::timeout(Duration::from_millis(100), later.bell.notified()).await.is_ok() {
                judged = result(&later) == Some(7.0);
                break;
            }
        }
        assert!(judged);
        assert!(!broken.work.is_poisoned() && result(&broken).is_none(), "it is not taken for an answer");
    }

    #[test]
    fn without_a_thread_nothing_is_kept() {
        let judge = Judge::new(Arc::new(Counting::default()));
        let pool = Pool::start(1).expect("threads");
        judge.lock().slots.extend((0..MOST_WAITING).map(|_| slot(&judge, 1)));
        assert!(!judge.submit(&pool, slot(&judge, 2)), "too many wait");
    }
}
