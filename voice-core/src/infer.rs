//! Threads for model inference, apart from the async workers.
//!
//! Light jobs (a voice activity window, 0.1 ms) have a thread to themselves and never wait behind heavy ones (a
//! transcription, 80 ms). Among heavy jobs those go first that a caller waits for in silence; see [`Weight`]. Queues
//! are bounded; a full one refuses, and the caller counts a drop. Queueing allocates nothing: a job is an `Arc` that
//! its owner keeps and sends again and again.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Something to compute on an inference thread. Runs to its end; must not block on anything but the processor.
pub trait Job: Send + Sync {
    /// Does the work and tells whoever waits for it.
    fn run(self: Arc<Self>);
}

/// How long a job computes, and who waits for it. Heavy jobs are taken in the order of the variants, those of one
/// kind in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Well under a millisecond; has a thread of its own.
    Light,
    /// Tens of milliseconds, and a caller waits in silence: a final transcript, the end of a turn, the first clause.
    Urgent,
    /// Tens of milliseconds, ahead of need: the clauses of an answer that is being heard.
    Ahead,
    /// Tens of milliseconds, and nothing is lost if it comes late: a partial transcript.
    Spare,
}

/// A fixed set of inference threads. Dropping it lets running jobs end and joins the threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `heavy` threads (at least one) that take heavy jobs, and one that takes light jobs.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start(heavy: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queues: Mutex::new(Queues {
                light: VecDeque::with_capacity(LIGHT_QUEUE),
                heavy: std::array::from_fn(|_| VecDeque::with_capacity(HEAVY_QUEUE)),
                closed: false,
            }),
            light_came: Condvar::new(),
            heavy_came: Condvar::new(),
            load: Mutex::new(Load { busy: 0.0, at: Instant::now() }),
        });
        let mut pool = Self { shared, threads: Vec::new() };
        pool.spawn("infer-light".into(), Shared::work_light)?;
        for i in 0..heavy.max(1) {
            pool.spawn(format!("infer-{i}"), Shared::work_heavy)?;
        }
        Ok(pool)
    }

    /// How many threads take heavy jobs.
    pub fn heavy_threads(&self) -> usize {
        self.threads.len() - 1
    }

    /// Queues a job. `false`: the queue is full or the pool is closing, and the job will not run.
    pub fn submit(&self, weight: Weight, job: Arc<dyn Job>) -> bool {
        let mut queues = self.shared.lock();
        if queues.closed {
            return false;
        }
        let (queue, limit, came) = match weight.rank() {
            None => (&mut queues.light, LIGHT_QUEUE, &self.shared.light_came),
            Some(rank) => (&mut queues.heavy[rank], HEAVY_QUEUE, &self.shared.heavy_came),
        };
        if queue.len() >= limit {
            return false;
        }
        queue.push_back(job);
        came.notify_one();
        true
    }

    /// Runs a closure once as a heavy or light job; for work that is rare enough to allocate.
    pub fn submit_once(&self, weight: Weight, work: impl FnOnce() + Send + 'static) -> bool {
        self.submit(weight, Arc::new(Once(Mutex::new(Some(Box::new(work))))))
    }

    /// How many heavy threads were computing over the last seconds, on average: 0 idle, [`Self::heavy_threads`] all
    /// busy all the time.
    pub fn load(&self) -> f64 {
        self.shared.load().now(Instant::now())
    }

    fn spawn(&mut self, name: String, work: fn(&Shared)) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || work(&shared))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        queues.closed = true;
        queues.light.clear();
        queues.heavy.iter_mut().for_each(VecDeque::clear);
        drop(queues);
        self.shared.light_came.notify_all();
        self.shared.heavy_came.notify_all();
        for thread in self.threads.drain(..) {
            // The pool may be dropped by a job that held the last reference; a thread cannot join itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Light jobs waiting at most: one a call for 4,096 calls.
const LIGHT_QUEUE: usize = 4_096;
/// Heavy jobs of one kind waiting at most; more than this would be late by many seconds anyway.
const HEAVY_QUEUE: usize = 256;
/// Kinds of heavy jobs.
const RANKS: usize = 3;

impl Weight {
    /// Place among the heavy kinds, the first being taken first; `None` for light jobs.
    const fn rank(self) -> Option<usize> {
        match self {
            Self::Light => None,
            Self::Urgent => Some(0),
            Self::Ahead => Some(1),
            Self::Spare => Some(2),
        }
    }
}

struct Shared {
    queues: Mutex<Queues>,
    light_came: Condvar,
    heavy_came: Condvar,
    load: Mutex<Load>,
}

struct Queues {
    light: VecDeque<Arc<dyn Job>>,
    heavy: [VecDeque<Arc<dyn Job>>; RANKS],
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_light(&self) {
        while let Some(job) = self.next(&self.light_came, |queues| queues.light.pop_front()) {
            run(job);
        }
    }

    fn work_heavy(&self) {
        let first = |queues: &mut Queues| queues.heavy.iter_mut().find_map(VecDeque::pop_front);
        while let Some(job) = self.next(&self.heavy_came, first) {
            let began = Instant::now();
            run(job);
            let done = Instant::now();
            self.load().add(done - began, done);
        }
    }

    /// Waits for a job; `None` once the pool is closed and nothing is left.
    fn next(
        &self,
        came: &Condvar,
        take: impl Fn(&mut Queues) -> Option<Arc<dyn Job>>,
    ) -> Option<Arc<dyn Job>> {
        let mut queues = self.lock();
        loop {
            if let Some(job) = take(&mut queues) {
                return Some(job);
            }
            if queues.closed {
                return None;
            }
            queues = came.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Busy threads, averaged over the last seconds with what is long past counting less and less.
struct Load {
    busy: f64,
    at: Instant,
}

impl Load {
    fn now(&self, now: Instant) -> f64 {
        self.busy * (-now.saturating_duration_since(self.at).as_secs_f64() / LOAD_SPAN.as_secs_f64()).exp()
    }

    fn add(&mut self, worked: Duration, now: Instant) {
        self.busy = self.now(now) + worked.as_secs_f64() / LOAD_SPAN.as_secs_f64();
        self.at = now;
    }
}

/// A caller's question and its answer last about so long.
const LOAD_SPAN: Duration = Duration::from_secs(5);

/// A model that panics must not take the thread with it; whoever waits has a deadline of his own.
fn run(job: Arc<dyn Job>) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.run()));
}

struct Once(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Job for Once {
    fn run(self: Arc<Self>) {
        let work = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_light_job_does_not_wait_for_heavy_ones() {
        let pool = Pool::start(1).expect("threads");
        let (release, held) = mpsc::channel::<()>();
        let (done, heard) = mpsc::channel();
        assert!(pool.submit_once(Weight::Urgent, move || {
            let _ = held.recv();
        }));
        let d = done.clone();
        assert!(pool.submit_once(Weight::Light, move || d.send("light").expect("receiver")));
        assert_eq!(heard.recv_timeout(Duration::from_secs(5)), Ok("light"));
        drop(release);
    }

    #[test]
    fn whom_a_caller_waits_for_goes_first() {
        let pool = Pool::start(1).expect("threads");
        let (release, held) = mpsc::channel::<()>();
        let (done, heard) = mpsc::channel();
        let (running, runs) = mpsc::channel();
        assert!(pool.submit_once(Weight::Spare, move || {
            running.send(()).expect("receiver");
            let _ = held.recv();
        }));
        runs.recv_timeout(Duration::from_secs(5)).expect("the first job runs");
        for (weight, name) in [
            (Weight::Spare, "partial"),
            (Weight::Ahead, "second clause"),
            (Weight::Urgent, "final"),
            (Weight::Urgent, "first clause"),
        ] {
            let done = done.clone();
            assert!(pool.submit_once(weight, move || done.send(name).expect("receiver")));
        }
        drop(release);
        let order: Vec<_> =
            (0..4).map(|_| heard.recv_timeout(Duration::from_secs(5)).expect("runs")).collect();
        assert_eq!(order, ["final", "first clause", "second clause", "partial"]);
    }

    #[test]
    fn the_load_is_the_share_of_time_computed() {
        let start = Instant::now();
        let mut load = Load { busy: 0.0, at: start };
        // Half of each 200 ms for a minute, then nothing.
        for i in 1..=300 {
            load.add(Duration::from_millis(100), start + Duration::from_millis(200) * i);
        }
        let end = start + Duration::from_secs(60);
        assert!((0.45..0.55).contains(&load.now(end)), "{}", load.now(end));
        assert!(load.now(end + Duration::from_secs(30)) < 0.01);
    }

    #[test]
    fn a_panicking_job_leaves_the_thread_alive() {
        let pool = Pool::start(1).expect("threads");
        let (done, heard) = mpsc::channel();
        assert!(pool.submit_once(Weight::Urgent, || panic!("on purpose")));
        assert!(pool.submit_once(Weight::Urgent, move || done.send(()).expect("receiver")));
        assert_eq!(heard.recv_timeout(Duration::from_secs(5)), Ok(()));
    }
}
