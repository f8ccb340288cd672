//! What is kept where: the area decides who may push it out, the organization whose it is.
//!
//! A key never holds a secret or what a caller said in a form that can be read back: an id that is long or has odd
//! characters is kept as its SHA-256.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What a kept value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// What a conversation's model is told.
    Context,
    /// One listing, or a page of them.
    Property,
    /// A token that is not valid any more. Never pushed out by what can be loaded again.
    Denial,
    /// A ticket for one socket. Never pushed out by what can be loaded again.
    Ticket,
    /// Counts within a time. Never pushed out by what can be loaded again.
    Count,
    /// The sound of a phrase.
    Phrase,
    /// An answer to a read, for when the database is down.
    Read,
}

impl Area {
    /// The word in Redis and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Property => "property",
            Self::Denial => "denial",
            Self::Ticket => "ticket",
            Self::Count => "count",
            Self::Phrase => "phrase",
            Self::Read => "read",
        }
    }

    /// Whether losing it changes what somebody may do: it has a store of its own and is not kept in front of Redis.
    pub(crate) const fn is_precious(self) -> bool {
        matches!(self, Self::Denial | Self::Ticket | Self::Count)
    }

    fn of(word: &str) -> Option<Self> {
        let all = [
            Self::Context,
            Self::Property,
            Self::Denial,
            Self::Ticket,
            Self::Count,
            Self::Phrase,
            Self::Read,
        ];
        all.into_iter().find(|area| area.as_str() == word)
    }
}

/// Everything of one area and organization: what is removed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// What it is for.
    pub area: Area,
    /// Whose it is; nil where it is nobody's in particular.
    pub organization: Uuid,
}

impl fmt::Display for Group {
    /// The name in Redis. The braces keep an organization's names on one node of a cluster.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "voice:{{{}}}:{}", self.organization, self.area.as_str())
    }
}

/// One kept value's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Area and organization.
    pub group: Group,
    id: Box<str>,
}

/// Characters of an id that is kept as it is.
const MOST_ID: usize = 128;

impl Key {
    /// The place of `id`.
    pub fn new(area: Area, organization: Uuid, id: &str) -> Self {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'&');
        let id = if (1..=MOST_ID).contains(&id.len()) && id.bytes().all(plain) {
            id.into()
        } else {
            let sum = Sha256::digest(id.as_bytes());
            sum.iter().fold(String::from("#"), |name, byte| format!("{name}{byte:02x}")).into()
        };
        Self { group: Group { area, organization }, id }
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.id.len()
    }
}

impl fmt::Display for Key {
    /// The name in Redis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.group, self.id)
    }
}

/// A key or a whole group, as other servers are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    One(Key),
    All(Group),
}

impl Place {
    /// From the name in Redis; `None` for what is no name of ours.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (organization, rest) = name.strip_prefix("voice:{")?.split_once("}:")?;
        let organization = organization.parse().ok()?;
        let (area, id) = rest.split_once(':').map_or((rest, None), |(area, id)| (area, Some(id)));
        let group = Group { area: Area::of(area)?, organization };
        Some(match id {
            None => Self::All(group),
            Some(id) => Self::One(Key { group, id: id.into() }),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(key) => key.fmt(f),
            Self::All(group) => group.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_odd_ids_are_hidden() {
        let organization = Uuid::from_u128(7);
        for id in ["a", "city=Graz&limit=20", "words of a caller", "", "x:y", &"z".repeat(500)] {
            let key = Key::new(Area::Property, organization, id);
            let name = key.to_string();
            assert!(name.len() < 200 && !name.contains(' '), "{name}");
            assert_eq!(Place::parse(&name), Some(Place::One(key)), "{name}");
        }
        let group = Group { area: Area::Context, organization };
        assert_eq!(Place::parse(&group.to_string()), Some(Place::All(group)));
        for odd in [
            "",
            "voice:{}:context",
            "voice:{x}:context:a",
            "other",
            "voice:{00000000-0000-0000-0000-000000000007}:no:a",
        ] {
            assert_eq!(Place::parse(odd), None, "{odd}");
        }
        assert_ne!(
            Key::new(Area::Context, organization, "a b"),
            Key::new(Area::Context, organization, "a c")
        );
    }
}
