//! Names of calls, turns, utterances and replies: each an epoch, so that a late answer is known by its id.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One call, the id in `/voice/{session_id}` and of the stored conversation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// A fresh random id (UUID version 4).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The id after this one. Wraps after four billion, which no call reaches.
            pub const fn next(self) -> Self {
                Self(self.0.wrapping_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter! {
    /// One exchange: what the caller said and what was answered. The first turn of a call is 1.
    TurnId
}
counter! {
    /// One answer, as text and as speech. A cancelled reply's number is never used again.
    ReplyId
}
counter! {
    /// One stretch of the caller's speech as the recogniser sees it. A turn has one or, where the caller went on
    /// after a probable end, several.
    UtteranceId
}
