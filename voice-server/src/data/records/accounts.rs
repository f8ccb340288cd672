//! Organizations, their people and their keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Timestamp;
use crate::config::Secret;

/// The organization that an unconfigured server makes at its first start.
pub const DEMO_ORGANIZATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);

/// Somebody whose calls, people and listings belong together.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How its calls are treated.
    pub settings: OrganizationSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change.
    pub revision: i64,
}

/// How an organization wants its calls treated. What is unset is as the server's settings say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct OrganizationSettings {
    /// Said first in every call: that a machine answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disclosure: Option<String>,
    /// Whether calls are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingMode>,
    /// Days for which recordings are kept. Unset: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Region by ISO 3166-2, such as `US-CA`, whose law decides what must be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// IANA name, such as `America/Los_Angeles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Sentences that the answerer may rely on, such as opening hours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

/// Whether calls are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingMode {
    /// Never.
    Off,
    /// After the caller said yes.
    Ask,
    /// From the greeting on, which says so.
    Notice,
}

/// What is to be changed of an organization; unset stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrganizationChange {
    /// Another name.
    pub name: Option<String>,
    /// All settings anew.
    pub settings: Option<OrganizationSettings>,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, takes part in calls, notes what came of them.
    Agent,
    /// Everything of the organization.
    Admin,
}

impl Role {
    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }

    /// Reads [`Role::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Agent, Self::Admin].into_iter().find(|role| role.as_str() == word)
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Whose people it is of.
    pub organization_id: Uuid,
    /// Address, in small letters.
    pub email: String,
    /// For people.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Whether signing in is refused.
    pub disabled: bool,
    /// When the user was added.
    pub created_at: Timestamp,
    /// Grows with each change.
    pub revision: i64,
    /// Argon2id in PHC form. `None`: another service signs this user in.
    #[serde(skip)]
    #[schema(ignore)]
    pub password_hash: Option<Secret>,
}

/// What is needed to add a user.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub organization_id: Uuid,
    /// Address; stored in small letters. No other user of any organization may have it.
    pub email: String,
    /// For people.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Argon2id in PHC form.
    pub password_hash: Option<Secret>,
    /// When.
    pub created_at: Timestamp,
}

/// What is to be changed of a user; unset stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// Another name.
    pub name: Option<String>,
    /// Another role.
    pub role: Option<Role>,
    /// Whether signing in is refused.
    pub disabled: Option<bool>,
    /// Another password's hash.
    pub password_hash: Option<Secret>,
    /// Whether no admin need be left: where a token says who is one, not the row.
    pub may_end_admins: bool,
}

/// A refresh token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of the token, in hexadecimal.
    pub hash: String,
    /// Whose.
    pub organization_id: Uuid,
    /// Who signed in.
    pub user_id: Uuid,
    /// All tokens that came from one sign-in.
    pub family: Uuid,
    /// When it was given out.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// What came of presenting a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was good and its successor is stored; or it was rotated a moment ago and its successor is the same.
    Rotated {
        /// Who signed in.
        user_id: Uuid,
        /// Whose.
        organization_id: Uuid,
        /// The sign-in.
        family: Uuid,
    },
    /// It was used long before: the whole family is revoked now.
    Reused {
        /// The sign-in that has ended.
        family: Uuid,
    },
    /// It is unknown, expired or revoked.
    Unusable,
}

/// Whether a key may be shown to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// `sk_…`, from server to server.
    Secret,
    /// `pk_…`, in web pages: only makes conversations.
    Publishable,
}

impl KeyKind {
    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Publishable => "publishable",
        }
    }

    /// Reads [`KeyKind::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Secret, Self::Publishable].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A key of an organization. The key itself is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub organization_id: Uuid,
    /// Whether it may be shown to the world.
    pub kind: KeyKind,
    /// For people.
    pub name: String,
    /// Its first characters, by which people tell keys apart.
    pub hint: String,
    /// Web origins whose pages may use it; empty: none for a publishable key.
    pub origins: Vec<String>,
    /// Calls at the same time. `null`: as many as the server takes.
    pub max_calls: Option<i64>,
    /// Millionths of a dollar that its calls may cost a day. `null`: no limit.
    pub daily_spend_micros: Option<i64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What is needed to add a key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The key without its secret.
    pub key: ApiKey,
    /// SHA-256 of the whole key, in hexadecimal.
    pub hash: String,
}
