//! Threads for model inference, apart from the async workers.
//!
//! Light jobs (a voice activity window, 0.1 ms) have a thread to themselves and never wait behind heavy ones (a
//! transcription, 80 ms). Both queues are bounded; a full queue refuses, and the caller counts a drop. Queueing
//! allocates nothing: a job is an `Arc` that its owner keeps and sends again and again.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Something to compute on an inference thread. Runs to its end; must not block on anything but the processor.
pub trait Job: Send + Sync {
    /// Does the work and tells whoever waits for it.
    fn run(self: Arc<Self>);
}

/// How long a job computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Well under a millisecond.
    Light,
    /// Tens of milliseconds.
    Heavy,
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
                heavy: VecDeque::with_capacity(HEAVY_QUEUE),
                closed: false,
            }),
            light_came: Condvar::new(),
            heavy_came: Condvar::new(),
        });
        let mut pool = Self { shared, threads: Vec::new() };
        pool.spawn("infer-light".into(), Weight::Light)?;
        for i in 0..heavy.max(1) {
            pool.spawn(format!("infer-{i}"), Weight::Heavy)?;
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
        let (queue, limit, came) = match weight {
            Weight::Light => (&mut queues.light, LIGHT_QUEUE, &self.shared.light_came),
            Weight::Heavy => (&mut queues.heavy, HEAVY_QUEUE, &self.shared.heavy_came),
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

    fn spawn(&mut self, name: String, weight: Weight) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || shared.work(weight))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        queues.closed = true;
        queues.light.clear();
        queues.heavy.clear();
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
/// Heavy jobs waiting at most; more than this would be late by many seconds anyway.
const HEAVY_QUEUE: usize = 256;

struct Shared {
    queues: Mutex<Queues>,
    light_came: Condvar,
    heavy_came: Condvar,
}

struct Queues {
    light: VecDeque<Arc<dyn Job>>,
    heavy: VecDeque<Arc<dyn Job>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, weight: Weight) {
        loop {
            let job = {
                let mut queues = self.lock();
                loop {
                    let (queue, came) = match weight {
                        Weight::Light => (&mut queues.light, &self.light_came),
                        Weight::Heavy => (&mut queues.heavy, &self.heavy_came),
                    };
                    if let Some(job) = queue.pop_front() {
                        break job;
                    }
                    if queues.closed {
                        return;
                    }
                    queues = came.wait(queues).unwrap_or_else(PoisonError::into_inner);
                }
            };
            // A model that panics must not take the thread with it; whoever waits has a deadline of his own.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.run()));
        }
    }
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
        assert!(pool.submit_once(Weight::Heavy, move || {
            let _ = held.recv();
        }));
        let d = done.clone();
        assert!(pool.submit_once(Weight::Light, move || d.send("light").expect("receiver")));
        assert_eq!(heard.recv_timeout(Duration::from_secs(5)), Ok("light"));
        drop(release);
    }

    #[test]
    fn a_panicking_job_leaves_the_thread_alive() {
        let pool = Pool::start(1).expect("threads");
        let (done, heard) = mpsc::channel();
        assert!(pool.submit_once(Weight::Heavy, || panic!("on purpose")));
        assert!(pool.submit_once(Weight::Heavy, move || done.send(()).expect("receiver")));
        assert_eq!(heard.recv_timeout(Duration::from_secs(5)), Ok(()));
    }
}
