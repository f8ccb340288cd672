//! One way at a time in each conversation: a written message, so that none is answered without the one before, or a call, which
//! counts its turns by itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// How often a call looks whether the message before it is answered.
const AGAIN: Duration = Duration::from_millis(50);

/// The conversations that are being written or called in. Cheap to clone. Bounded by the requests and calls under way.
#[derive(Clone, Debug, Default)]
pub struct Writing(Arc<Mutex<HashMap<Uuid, Way>>>);

/// By which way somebody is in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A written message is being answered.
    Message,
    /// A call is under way, or about to begin.
    Call,
}

/// Nobody else writes or calls in the conversation while this lives.
#[derive(Debug)]
pub struct Alone {
    all: Writing,
    conversation: Uuid,
}

impl Writing {
    /// Takes a conversation.
    ///
    /// # Errors
    /// By which way somebody else has it.
    pub fn enter(&self, conversation: Uuid, way: Way) -> Result<Alone, Way> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(conversation) {
            Entry::Occupied(held) => Err(*held.get()),
            Entry::Vacant(free) => {
                free.insert(way);
                Ok(Alone { all: self.clone(), conversation })
            }
        }
    }

    /// Takes a conversation for a call, once the message before it is answered, at most `limit` from now.
    ///
    /// # Errors
    /// By which way somebody else has it: another call, or a message still.
    pub async fn enter_call(&self, conversation: Uuid, limit: Duration) -> Result<Alone, Way> {
        let last = Instant::now() + limit;
        loop {
            match self.enter(conversation, Way::Call) {
                Err(Way::Message) if Instant::now() < last => tokio::time::sleep(AGAIN).await,
                entered => return entered,
            }
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_conversation_is_taken_once_until_it_is_left() {
        let writing = Writing::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let alone = writing.enter(one, Way::Message).expect("free");
        assert_eq!(writing.enter(one, Way::Message).err(), Some(Way::Message));
        assert!(writing.enter(other, Way::Message).is_ok());
        let limit = Duration::from_secs(9);
        assert_eq!(writing.enter_call(one, limit).await.err(), Some(Way::Message), "it takes too long");
        let (called, ()) = tokio::join!(writing.enter_call(one, limit), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(alone);
        });
        let called = called.expect("the message is answered");
        assert_eq!(writing.enter(one, Way::Message).err(), Some(Way::Call));
        assert_eq!(writing.enter_call(one, limit).await.err(), Some(Way::Call), "no call waits for another");
        drop(called);
        assert!(writing.enter(one, Way::Message).is_ok());
    }
}
