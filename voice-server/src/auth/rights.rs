//! The one table of who may do what.
//!
//! Somebody's standing is fixed when the request is read; nothing that a request says later, and nothing that a caller says or
//! a listing holds, raises it. Callers: `Identity::may`, and through it every handler.

use crate::data::Role;

/// What a request comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A signed-in user.
    User(Role),
    /// An organization's server with its `sk_` key.
    SecretKey,
    /// A web page with an organization's `pk_` key.
    PublishableKey,
    /// A caller without sign-in.
    Anonymous,
}

/// Something that one may do or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Read one's own profile.
    ReadProfile,
    /// Read conversations, their recordings and their reports.
    ReadConversations,
    /// Make conversations and get tickets for them.
    OpenConversations,
    /// Take a call by voice, or write in a conversation.
    Converse,
    /// Note what came of conversations.
    ChangeConversations,
    /// Listen to live calls as text, speak in them, end them.
    ControlCalls,
    /// Read listings.
    ReadProperties,
    /// Follow live events.
    ReadEvents,
    /// Read how users did.
    ReadPerformance,
    /// Read the organization and its settings.
    ReadOrganization,
    /// Read who the organization's people are.
    ReadUsers,
    /// Change the organization's settings.
    ChangeOrganization,
    /// Add, change and delete users.
    ManageUsers,
    /// Make and revoke keys.
    ManageKeys,
    /// Erase what is stored of a caller.
    EraseCallers,
    /// Say which phone number a caller has, and be believed.
    VouchForPhone,
}

impl Right {
    /// All rights, in the order of the table.
    pub const ALL: [Self; 16] = [
        Self::ReadProfile,
        Self::ReadConversations,
        Self::OpenConversations,
        Self::Converse,
        Self::ChangeConversations,
        Self::ControlCalls,
        Self::ReadProperties,
        Self::ReadEvents,
        Self::ReadPerformance,
        Self::ReadOrganization,
        Self::ReadUsers,
        Self::ChangeOrganization,
        Self::ManageUsers,
        Self::ManageKeys,
        Self::EraseCallers,
        Self::VouchForPhone,
    ];

    /// Whether using it changes what is stored by people's hands. Calls are not among it: they go on in any trouble.
    pub const fn is_change(self) -> bool {
        matches!(
            self,
            Self::ChangeConversations
                | Self::ChangeOrganization
                | Self::ManageUsers
                | Self::ManageKeys
                | Self::EraseCallers
        )
    }

    /// Who has it: a line of the table, by admin, agent, viewer, secret key, publishable key, anonymous.
    const fn line(self) -> [bool; 6] {
        const Y: bool = true;
        const N: bool = false;
        match self {
            //                           admin agent viewer sk pk anonymous
            Self::ReadProfile =>
            /*        */
            {
                [Y, Y, Y, N, N, N]
            }
            Self::ReadConversations =>
            /*  */
            {
                [Y, Y, Y, Y, N, N]
            }
            Self::OpenConversations =>
            /*  */
            {
                [Y, Y, N, Y, Y, N]
            }
            Self::Converse =>
            /*           */
            {
                [Y, Y, N, Y, N, Y]
            }
            Self::ChangeConversations =>
            /**/
            {
                [Y, Y, N, Y, N, N]
            }
            Self::ControlCalls =>
            /*       */
            {
                [Y, Y, N, Y, N, N]
            }
            Self::ReadProperties =>
            /*     */
            {
                [Y, Y, Y, Y, N, N]
            }
            Self::ReadEvents =>
            /*         */
            {
                [Y, Y, Y, Y, N, N]
            }
            Self::ReadPerformance =>
            /*    */
            {
                [Y, N, N, N, N, N]
            }
            Self::ReadOrganization =>
            /*   */
            {
                [Y, Y, Y, Y, N, N]
            }
            Self::ReadUsers =>
            /*          */
            {
                [Y, Y, Y, N, N, N]
            }
            Self::ChangeOrganization =>
            /* */
            {
                [Y, N, N, N, N, N]
            }
            Self::ManageUsers =>
            /*        */
            {
                [Y, N, N, N, N, N]
            }
            Self::ManageKeys =>
            /*         */
            {
                [Y, N, N, N, N, N]
            }
            Self::EraseCallers =>
            /*       */
            {
                [Y, N, N, Y, N, N]
            }
            Self::VouchForPhone =>
            /*      */
            {
                [N, N, N, Y, N, N]
            }
        }
    }
}

impl Standing {
    /// Whether this standing has the right.
    pub const fn has(self, right: Right) -> bool {
        let column = match self {
            Self::User(Role::Admin) => 0,
            Self::User(Role::Agent) => 1,
            Self::User(Role::Viewer) => 2,
            Self::SecretKey => 3,
            Self::PublishableKey => 4,
            Self::Anonymous => 5,
        };
        right.line()[column]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights_of(standing: Standing) -> Vec<Right> {
        Right::ALL.into_iter().filter(|right| standing.has(*right)).collect()
    }

    #[test]
    fn every_right_stands_in_the_list_once() {
        for (at, right) in Right::ALL.iter().enumerate() {
            assert_eq!(*right as usize, at, "{right:?}");
        }
    }

    #[test]
    fn each_role_has_what_the_lower_one_has_and_more() {
        let [viewer, agent, admin] =
            [Role::Viewer, Role::Agent, Role::Admin].map(Standing::User).map(rights_of);
        assert!(viewer.iter().all(|right| agent.contains(right)) && viewer.len() < agent.len());
        assert!(agent.iter().all(|right| admin.contains(right)) && agent.len() < admin.len());
        assert!(viewer.iter().all(|right| !right.is_change()));
    }

    #[test]
    fn a_publishable_key_only_opens_conversations_and_an_anonymous_caller_only_talks() {
        assert_eq!(rights_of(Standing::PublishableKey), [Right::OpenConversations]);
        assert_eq!(rights_of(Standing::Anonymous), [Right::Converse]);
    }

    #[test]
    fn only_an_admin_reads_performance_and_manages_people_and_keys() {
        for right in
            [Right::ReadPerformance, Right::ManageUsers, Right::ManageKeys, Right::ChangeOrganization]
        {
            for standing in [
                Standing::User(Role::Agent),
                Standing::User(Role::Viewer),
                Standing::SecretKey,
                Standing::PublishableKey,
                Standing::Anonymous,
            ] {
                assert!(!standing.has(right), "{standing:?} {right:?}");
            }
            assert!(Standing::User(Role::Admin).has(right));
        }
    }

    #[test]
    fn only_a_secret_key_is_believed_about_a_phone_number() {
        for role in [Role::Admin, Role::Agent, Role::Viewer] {
            assert!(!Standing::User(role).has(Right::VouchForPhone));
        }
        assert!(Standing::SecretKey.has(Right::VouchForPhone));
    }
}
