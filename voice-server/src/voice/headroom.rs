//! How many calls this machine's own models can serve: a call past that is refused plainly instead of slowing all others.
//!
//! Looks at how busy the inference threads really are and adds what the calls that have just begun will need. Without
//! local models there is nothing to run out of and no [`Headroom`]. Caller: `engine`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use voice_core::infer::Pool;

/// What is left of the inference threads.
pub(crate) struct Headroom {
    pool: Arc<Pool>,
    calls: Mutex<Calls>,
}

/// One call's share; dropping it gives it back.
pub(crate) struct Share(Arc<Headroom>);

#[derive(Default)]
struct Calls {
    open: usize,
    /// When the calls began whose work the threads may not show yet, oldest first.
    begun: VecDeque<Instant>,
}

impl Headroom {
    pub(crate) fn new(pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { pool, calls: Mutex::default() })
    }

    /// A share for one more call, if there is room. An idle machine always has room for one.
    pub(crate) fn take(self: &Arc<Self>, now: Instant) -> Option<Share> {
        let busy = self.pool.load();
        let fits = self.lock().admit(now, busy, self.pool.heavy_threads());
        fits.then(|| Share(self.clone()))
    }

    /// Threads that compute, on average over the last seconds.
    pub(crate) fn load(&self) -> f64 {
        self.pool.load()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn admit(&mut self, now: Instant, busy: f64, threads: usize) -> bool {
        while self.begun.front().is_some_and(|begun| now.saturating_duration_since(*begun) >= UNSEEN) {
            self.begun.pop_front();
        }
        let coming = self.begun.len().min(self.open) + 1;
        let fits = busy + coming as f64 * A_CALL <= threads as f64 * MOST_BUSY;
        if fits || self.open == 0 {
            self.open += 1;
            self.begun.push_back(now);
            return true;
        }
        false
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
    }
}

/// What a call that has just begun will keep busy of one thread. One that asks and is answered without a break needs
/// 0.2 on slow cores (`load local`), but callers think, and listen to their answers.
const A_CALL: f64 = 0.1;
/// Beyond this share of the threads' time, jobs wait for each other and answers come late.
const MOST_BUSY: f64 = 0.9;
/// A call shows in the threads' load after about this time.
const UNSEEN: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_machine_takes_a_call_whatever_it_is() {
        let mut calls = Calls::default();
        assert!(calls.admit(Instant::now(), 5.0, 1));
        assert!(!calls.admit(Instant::now(), 5.0, 1));
    }

    #[test]
    fn a_burst_is_counted_before_it_shows() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        let taken = (0..100).filter(|_| calls.admit(now, 0.0, 2)).count();
        assert_eq!(taken, 18, "1.8 threads, a tenth each");
    }

    #[test]
    fn calls_that_only_listen_leave_room_for_more() {
        let (mut calls, start) = (Calls::default(), Instant::now());
        let taken = (0..100_u32).filter(|i| calls.admit(start + Duration::from_secs(2) * *i, 0.1, 2)).count();
        assert_eq!(taken, 100);
    }

    #[test]
    fn busy_threads_take_no_more_and_a_call_that_ends_gives_its_share_back() {
        let pool = Arc::new(Pool::start(2).expect("threads"));
        let room = Headroom::new(pool);
        let now = Instant::now();
        let mut shares: Vec<Share> = std::iter::from_fn(|| room.take(now)).take(100).collect();
        assert!(shares.len() < 100);
        assert!(room.take(now).is_none());
        shares.clear();
        assert!(room.take(now).is_some());
    }
}
