//! One written message at a time in each conversation, so that none is answered without the one before.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// The conversations that are being written in. Cheap to clone. Bounded by the requests under way.
#[derive(Clone, Debug, Default)]
pub struct Writing(Arc<Mutex<HashSet<Uuid>>>);

/// Nobody else writes in the conversation while this lives.
#[derive(Debug)]
pub struct Alone {
    all: Writing,
    conversation: Uuid,
}

impl Writing {
    /// Takes a conversation; `None` where somebody else has it.
    pub fn enter(&self, conversation: Uuid) -> Option<Alone> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(conversation);
        is_free.then(|| Alone { all: self.clone(), conversation })
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.conversation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_taken_once_until_it_is_left() {
        let writing = Writing::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let alone = writing.enter(one).expect("free");
        assert!(writing.enter(one).is_none() && writing.enter(other).is_some());
        drop(alone);
        assert!(writing.enter(one).is_some());
    }
}
