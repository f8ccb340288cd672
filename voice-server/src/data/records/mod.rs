//! What is stored, in the shapes in which it is read and written. No queries here.

mod accounts;
mod conversations;
mod listings;
mod recordings;

pub use accounts::{
    ApiKey, DEMO_ORGANIZATION, KeyKind, NewApiKey, NewUser, Organization, OrganizationChange,
    OrganizationSettings, RecordingMode, RefreshToken, Role, Rotation, User, UserChange,
};
pub use conversations::{
    CallEnd, Caller, Conversation, ConversationChange, ConversationDetail, ConversationFilter, Conversations,
    Cursor, DayFigures, NewConversation, Page, Performance, Speaker, Status, Turn, Utterance,
};
pub use listings::{
    Circle, NewProperty, Property, PropertyCursor, PropertyFilter, PropertyPage, PropertySort, Saved,
};
pub(super) use listings::{Reso, StoredProperty};
pub use recordings::{Begun, Consent, ConsentKind, Recording, RecordingState};
