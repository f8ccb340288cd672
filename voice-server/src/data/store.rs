//! The contract of every database, by subject. Dropping a future leaves a write either whole or not begun.
//!
//! Whatever names an organization sees and changes that organization's rows only. The few methods that do not are for what
//! comes before an organization is known (signing in, keys) or concerns the whole server, and say so.

use futures::future::BoxFuture;
use uuid::Uuid;

use super::{
    ApiKey, Begun, CallEnd, Caller, Consent, ConversationChange, ConversationDetail, ConversationFilter,
    Conversations, Cursor, DataError, NewApiKey, NewConversation, NewProperty, NewUser, Organization,
    OrganizationChange, Page, Performance, Property, PropertyCursor, PropertyFilter, PropertyPage,
    PropertySort, Recording, RefreshToken, Rotation, Saved, Timestamp, Turn, User, UserChange,
};

/// What a database answers.
pub type Answer<'s, T> = BoxFuture<'s, Result<T, DataError>>;

/// A whole database.
pub trait Store: Accounts + ConversationStore + Listings + Recordings + Upkeep {}

impl<T: Accounts + ConversationStore + Listings + Recordings + Upkeep> Store for T {}

/// Organizations, people, keys.
pub trait Accounts: Send + Sync {
    /// The organization with this id.
    fn organization(&self, id: Uuid) -> Answer<'_, Option<Organization>>;

    /// All organizations of the server, by name; at most 1,000.
    fn organizations(&self) -> Answer<'_, Vec<Organization>>;

    /// Adds an organization with default settings.
    ///
    /// # Errors
    /// [`DataError::Exists`] where one has this id.
    fn add_organization(&self, id: Uuid, name: String, at: Timestamp) -> Answer<'_, ()>;

    /// Changes an organization, and gives it back as it is then. `revision`, where given, must be the present one.
    ///
    /// # Errors
    /// [`DataError::NotFound`], or [`DataError::Changed`] where the revision is another.
    fn change_organization(
        &self,
        id: Uuid,
        change: OrganizationChange,
        revision: Option<i64>,
    ) -> Answer<'_, Organization>;

    /// Adds a user.
    ///
    /// # Errors
    /// [`DataError::Exists`] where any organization's user has this id or address; [`DataError::NotFound`] where there is
    /// no such organization.
    fn add_user(&self, new: NewUser) -> Answer<'_, User>;

    /// A user of the organization.
    fn user(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<User>>;

    /// The organization's users, newest first.
    fn users(&self, organization: Uuid, cursor: Option<Cursor>, limit: u32) -> Answer<'_, Page<User>>;

    /// The user with this address, of whatever organization.
    fn user_by_email(&self, email: String) -> Answer<'_, Option<User>>;

    /// The user with this id, of whatever organization.
    fn user_by_id(&self, id: Uuid) -> Answer<'_, Option<User>>;

    /// Users of the whole server; tells whether somebody can sign in at all.
    fn count_users(&self) -> Answer<'_, i64>;

    /// Changes a user, and gives it back as it is then. A changed password or a disabled user revokes all refresh tokens.
    ///
    /// # Errors
    /// [`DataError::NotFound`], [`DataError::Changed`] where the revision is another, or [`DataError::LastAdmin`].
    fn change_user(
        &self,
        organization: Uuid,
        id: Uuid,
        change: UserChange,
        revision: Option<i64>,
    ) -> Answer<'_, User>;

    /// Deletes a user, and with that all of the user's sign-ins. The conversations stay, as nobody's.
    ///
    /// # Errors
    /// [`DataError::NotFound`], or [`DataError::LastAdmin`].
    fn remove_user(&self, organization: Uuid, id: Uuid) -> Answer<'_, ()>;

    /// Stores the first refresh token of a sign-in.
    fn add_refresh_token(&self, token: RefreshToken) -> Answer<'_, ()>;

    /// Takes the token with this hash for its successor's, at `now`. Presented again within `grace_ms` of its rotation it
    /// gives the same successor; later it ends its family. `successor` is stored with `expires_at`.
    fn rotate_refresh_token(
        &self,
        hash: String,
        successor: String,
        now: Timestamp,
        expires_at: Timestamp,
        grace_ms: u64,
    ) -> Answer<'_, Rotation>;

    /// Ends the sign-in that the token with this hash belongs to; `None` where the token is unknown.
    fn revoke_family(&self, hash: String, now: Timestamp) -> Answer<'_, Option<Uuid>>;

    /// Adds a key.
    fn add_key(&self, new: NewApiKey) -> Answer<'_, ()>;

    /// The organization's keys, newest first, the revoked ones too; at most 1,000.
    fn keys(&self, organization: Uuid) -> Answer<'_, Vec<ApiKey>>;

    /// The origins of all publishable keys that are not revoked, of whatever organization; of at most 10,000 keys.
    fn publishable_origins(&self) -> Answer<'_, Vec<String>>;

    /// The key with this hash that is not revoked, of whatever organization.
    fn key_by_hash(&self, hash: String) -> Answer<'_, Option<ApiKey>>;

    /// Revokes a key; one that is revoked keeps its first end.
    ///
    /// # Errors
    /// [`DataError::NotFound`].
    fn revoke_key(&self, organization: Uuid, id: Uuid, now: Timestamp) -> Answer<'_, ()>;

    /// Millionths of a dollar that calls of this key cost since `since`.
    fn spent_by_key(&self, organization: Uuid, key: Uuid, since: Timestamp) -> Answer<'_, i64>;
}

/// Calls and what was said in them.
pub trait ConversationStore: Send + Sync {
    /// Stores a new, active conversation.
    ///
    /// # Errors
    /// [`DataError::Exists`] where any organization has a conversation with this id.
    fn open_conversation(&self, new: NewConversation) -> Answer<'_, ()>;

    /// Stores one turn. It is on the disk when this returns. The same turn may be given again: the last one holds.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn append_turn(&self, organization: Uuid, conversation: Uuid, turn: Turn) -> Answer<'_, ()>;

    /// Marks a conversation as ended; an ended one keeps its first end. Its cost is added to what it cost before.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn end_conversation(&self, organization: Uuid, conversation: Uuid, end: CallEnd) -> Answer<'_, ()>;

    /// Adds what a written answer cost: `report` as [`CallEnd`] has it, and millionths of a dollar.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn add_cost(
        &self,
        organization: Uuid,
        conversation: Uuid,
        report: serde_json::Value,
        micros: i64,
    ) -> Answer<'_, ()>;

    /// One conversation with its turns; `None` where the organization has none of this id.
    fn conversation(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<ConversationDetail>>;

    /// The organization's conversations that pass `filter`, newest first, after `cursor` or from the newest.
    fn conversations(
        &self,
        organization: Uuid,
        filter: ConversationFilter,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'_, Conversations>;

    /// Changes what people note about a conversation, and gives it back as it is then.
    ///
    /// # Errors
    /// [`DataError::NotFound`], or [`DataError::Changed`] where the revision is another.
    fn change_conversation(
        &self,
        organization: Uuid,
        id: Uuid,
        change: ConversationChange,
        revision: Option<i64>,
    ) -> Answer<'_, super::Conversation>;

    /// The last conversations of this caller that are over, newest first, with their turns. Those with a number count for
    /// it where [`Conversation::phone_trusted`](super::Conversation::phone_trusted).
    fn history(&self, organization: Uuid, caller: Caller, limit: u32) -> Answer<'_, Vec<ConversationDetail>>;

    /// What a user's calls came to from `from` until before `to`, by days of `zone` (an IANA name that was checked).
    fn performance(
        &self,
        organization: Uuid,
        user: Uuid,
        from: Timestamp,
        to: Timestamp,
        zone: jiff::tz::TimeZone,
    ) -> Answer<'_, Performance>;

    /// Ids of the organization's conversations with the digits of this number, whoever told it and however it is written, at
    /// most `limit`: what is to be erased.
    fn conversations_of_phone(&self, organization: Uuid, phone: String, limit: u32) -> Answer<'_, Vec<Uuid>>;

    /// Erases conversations with turns, recordings' rows, consents, and the kept answers of askers whose name begins with the
    /// conversation's id and a colon. What is gone already is no error.
    fn erase_conversations(&self, organization: Uuid, ids: Vec<Uuid>) -> Answer<'_, u64>;
}

/// Listings and their search.
pub trait Listings: Send + Sync {
    /// The organization's listings that pass `filter`, in the order of `sort`, after `cursor` or from the first. With
    /// [`PropertySort::Nearest`] the filter must have a circle, else nothing is found.
    fn properties(
        &self,
        organization: Uuid,
        filter: PropertyFilter,
        sort: PropertySort,
        cursor: Option<PropertyCursor>,
        limit: u32,
    ) -> Answer<'_, PropertyPage>;

    /// One listing of the organization.
    fn property(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<Property>>;

    /// Stores listings, all or none. One with an MLS number that the organization has takes that one's place and keeps its
    /// id; of several with the same number the last holds.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where there is no such organization; [`DataError::Exists`] where a new one's id is taken.
    fn save_properties(&self, organization: Uuid, listings: Vec<NewProperty>) -> Answer<'_, Saved>;

    /// Removes the organization's listings with these MLS numbers. What is gone already is no error.
    fn remove_properties(&self, organization: Uuid, mls_ids: Vec<String>) -> Answer<'_, u64>;
}

/// Recordings and consents.
pub trait Recordings: Send + Sync {
    /// Stores a recording that begins.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn add_recording(&self, recording: Recording) -> Answer<'_, ()>;

    /// Stores how a recording came out: state, length, size, encryption and end of keeping.
    ///
    /// # Errors
    /// [`DataError::NotFound`].
    fn finish_recording(&self, recording: Recording) -> Answer<'_, ()>;

    /// One recording of the organization.
    fn recording(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<Recording>>;

    /// The recordings of a conversation, oldest first.
    fn recordings(&self, organization: Uuid, conversation: Uuid) -> Answer<'_, Vec<Recording>>;

    /// Recordings of all organizations that are to be deleted by `now`, at most `limit`.
    fn expired_recordings(&self, now: Timestamp, limit: u32) -> Answer<'_, Vec<Recording>>;

    /// Forgets a recording whose object is gone.
    fn remove_recording(&self, organization: Uuid, id: Uuid) -> Answer<'_, ()>;

    /// Stores what a caller was told or agreed to.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn add_consent(&self, organization: Uuid, consent: Consent) -> Answer<'_, ()>;

    /// The consents of a conversation in order.
    fn consents(&self, organization: Uuid, conversation: Uuid) -> Answer<'_, Vec<Consent>>;
}

/// What keeps the database well.
pub trait Upkeep: Send + Sync {
    /// Answers if the database can be read.
    fn ping(&self) -> Answer<'_, ()>;

    /// Ends conversations that were created before `before` and that no server carries any more, as a crash leaves them.
    fn end_abandoned(&self, before: Timestamp) -> Answer<'_, u64>;

    /// Notes that a request with this key is being worked on, or says what is known of it. What is older than a day
    /// counts as never come.
    fn begin_once(
        &self,
        organization: Uuid,
        asker: String,
        key: String,
        fingerprint: String,
        now: Timestamp,
    ) -> Answer<'_, Begun>;

    /// Stores the answer to a request of [`Upkeep::begin_once`]; `None` forgets the request, so that it may come again.
    fn finish_once(
        &self,
        organization: Uuid,
        asker: String,
        key: String,
        answer: Option<(u16, String)>,
    ) -> Answer<'_, ()>;

    /// Removes what has expired: refresh tokens, kept answers.
    fn sweep(&self, now: Timestamp) -> Answer<'_, ()>;

    /// Puts the words of at most `most` conversations into the index that were stored before there was one. Gives how many
    /// these were; 0 once all are in it.
    fn index_words(&self, most: u32) -> Answer<'_, u64>;

    /// Writes what is pending and closes. Later calls fail.
    fn close(&self) -> BoxFuture<'_, ()>;
}
