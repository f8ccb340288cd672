//! The commit barrier: what keeps tools with effects back until the caller's turn is certain.
//!
//! An answer may start before that, and may be taken back. The session keeps the [`CommitBarrier`] and opens or drops
//! it; the [`Commit`] travels with the request. Invariant: without an opened barrier nothing is ever committed.

use std::fmt;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

/// The side that knows when a turn is certain. Dropping it without opening it means: never.
#[derive(Debug)]
pub struct CommitBarrier {
    opener: oneshot::Sender<()>,
    commit: Commit,
}

impl CommitBarrier {
    /// A closed barrier.
    pub fn new() -> Self {
        let (opener, opened) = oneshot::channel();
        Self { opener, commit: Commit { opened: opened.shared() } }
    }

    /// What the request carries.
    pub fn commit(&self) -> Commit {
        self.commit.clone()
    }

    /// The turn is certain.
    pub fn open(self) {
        // Nobody waits any more: then there is nothing to commit.
        let _ = self.opener.send(());
    }
}

impl Default for CommitBarrier {
    fn default() -> Self {
        Self::new()
    }
}

/// The side that waits.
#[derive(Clone)]
pub struct Commit {
    opened: Shared<oneshot::Receiver<()>>,
}

impl Commit {
    /// A barrier that is open from the start: for questions that cannot be taken back, such as typed ones.
    pub fn opened() -> Self {
        let barrier = CommitBarrier::new();
        let commit = barrier.commit();
        barrier.open();
        commit
    }

    /// A barrier that never opens.
    pub fn never() -> Self {
        CommitBarrier::new().commit()
    }

    /// Whether it is open now.
    pub fn is_open(&self) -> bool {
        self.opened.clone().now_or_never() == Some(Ok(()))
    }

    /// Waits until it opens; `false`: it never will. The waiter owns the deadline. Dropping the future loses nothing.
    pub async fn wait(&self) -> bool {
        self.opened.clone().await.is_ok()
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("open", &self.is_open()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_sees_the_barrier_open() {
        let barrier = CommitBarrier::new();
        let (one, two) = (barrier.commit(), barrier.commit());
        assert!(!one.is_open());
        assert_eq!(one.wait().now_or_never(), None);
        barrier.open();
        assert!(one.is_open() && two.clone().is_open());
        assert_eq!(two.wait().now_or_never(), Some(true));
    }

    #[test]
    fn a_dropped_barrier_never_opens_and_says_so() {
        let barrier = CommitBarrier::new();
        let commit = barrier.commit();
        drop(barrier);
        assert!(!commit.is_open());
        assert_eq!(commit.wait().now_or_never(), Some(false));
        assert_eq!(Commit::never().wait().now_or_never(), Some(false));
        assert_eq!(Commit::opened().wait().now_or_never(), Some(true));
    }
}
