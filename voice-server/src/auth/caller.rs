//! Who calls: the one decision of the voice socket, and the same for the events socket and for writing by ticket.
//!
//! A ticket, a token or key in a header, a token in the address, the pages' cookie, or nothing where an anonymous call is
//! allowed: the first one that is there decides. Every socket that a page opens is checked for its `Origin` as well, since
//! browsers let any page open one. What is found is fixed for the call. Callers: `voice::upgrade`, `api`.

use std::net::IpAddr;
use std::time::SystemTime;

use hyper::http::request::Parts;
use uuid::Uuid;

use super::denials::Grounds;
use super::identity::{self, Identity, Shown, client_address};
use super::limits::{CallPlace, Counted, Full, Spending};
use super::rights::Right;
use super::tickets::{Purpose, Spent, Ticket};
use super::{demo, keys, origins};
use crate::api::access;
use crate::app::App;
use crate::data::{self, Conversation, DataError, NewConversation, Status, Timestamp};
use crate::http::Problem;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Somebody who may talk in one conversation.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The organization that is called.
    pub organization: Uuid,
    /// The conversation.
    pub conversation: Uuid,
    /// The user who calls, or who made the conversation.
    pub user: Option<Uuid>,
    /// The key by which the conversation was made, or that calls.
    pub key: Option<Uuid>,
    /// Whether nobody vouches for this caller, who then may not join what exists.
    pub is_anonymous: bool,
    /// The client's address.
    pub address: IpAddr,
    counted: Counted,
    ticket: Option<String>,
}

/// Who calls by this request of `GET /voice/{conversation}`. Nothing is used up yet: see [`Caller::redeem`].
///
/// # Errors
/// 401 for a credential that does not count, 403 where one may not, 404 for a conversation that is not the caller's.
pub async fn caller_of(app: &App, parts: &Parts, conversation: Uuid) -> Result<Caller, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let address = client_address(app, parts);
    if let Some(text) = in_query(query, "ticket")? {
        let ticket = shown_ticket(app, parts, text).await?;
        if ticket.purpose != Purpose::Conversation(conversation) {
            return Err(Problem::forbidden("this ticket is for something else"));
        }
        return Ok(Caller::by_ticket(ticket, conversation, address, text));
    }
    if let Some(who) = shown(app, parts, query).await? {
        who.may(Right::Converse)?;
        origins::check(&app.config, parts, &[])?;
        return Ok(Caller::by_identity(&who, conversation));
    }
    access::may_call(&app.config, parts)?;
    Ok(Caller {
        organization: app.organization,
        conversation,
        user: None,
        key: None,
        is_anonymous: true,
        address,
        counted: Counted { by_address: true, ..Counted::default() },
        ticket: None,
    })
}

/// Who follows the live events by this request. A ticket is used up.
///
/// # Errors
/// 401 for a credential that is missing or does not count, 403 where one may not.
pub async fn follower_of(app: &App, parts: &Parts) -> Result<(Uuid, Grounds), Problem> {
    let query = parts.uri.query().unwrap_or_default();
    if let Some(text) = in_query(query, "ticket")? {
        let ticket = shown_ticket(app, parts, text).await?;
        if ticket.purpose != Purpose::Events {
            return Err(Problem::forbidden("this ticket is for something else"));
        }
        let taken = app.auth.tickets.take(text, &ticket.purpose, SystemTime::now()).await;
        let ticket = taken.map_err(not_good)?;
        return Ok((ticket.organization, ticket.grounds));
    }
    let Some(who) = shown(app, parts, query).await? else { return Err(identity::nobody(app, parts)) };
    who.may(Right::ReadEvents)?;
    origins::check(&app.config, parts, &[])?;
    Ok((who.organization, who.grounds))
}

/// Who writes in a conversation by this request: somebody signed in, a secret key, or the holder of its ticket.
///
/// # Errors
/// 401 for a credential that is missing or does not count, 403 where one may not.
pub async fn writer_of(app: &App, parts: &Parts, conversation: Uuid) -> Result<Caller, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    if let Some(text) = in_query(query, "ticket")? {
        let ticket = shown_ticket(app, parts, text).await?;
        if ![Purpose::Conversation(conversation), Purpose::Writing(conversation)].contains(&ticket.purpose) {
            return Err(Problem::forbidden("this ticket is for something else"));
        }
        let written = app.auth.tickets.write(text, conversation, SystemTime::now()).await;
        let ticket = written.map_err(not_good)?;
        return Ok(Caller {
            ticket: None,
            ..Caller::by_ticket(ticket, conversation, client_address(app, parts), "")
        });
    }
    let Some(shown) = identity::credential(parts)? else { return Err(identity::nobody(app, parts)) };
    let who = identity::identify(app, parts, shown).await?;
    who.may(Right::Converse)?;
    Ok(Caller::by_identity(&who, conversation))
}

/// The ticket in a request's address. It is not used up yet.
async fn shown_ticket(app: &App, parts: &Parts, text: &str) -> Result<Ticket, Problem> {
    let ticket = app.auth.tickets.peek(text, SystemTime::now()).await.map_err(not_good)?;
    origins::check(&app.config, parts, &ticket.origins)?;
    if ticket.grounds.user.is_some_and(demo::is_demo) {
        demo::check(&app.config, parts)?;
    }
    identity::check_grounds(app, &ticket.grounds).await?;
    Ok(ticket)
}

/// The identity that a socket's request shows, in a header, its address, or the cookie.
async fn shown(app: &App, parts: &Parts, query: &str) -> Result<Option<Identity>, Problem> {
    let in_address = in_query(query, "token")?;
    let shown = match (identity::credential(parts)?, in_address) {
        // The cookie goes along with whatever a page opens; what the page wrote itself counts first.
        (Some(Shown::Bearer(_)), Some(_)) => {
            return Err(Problem::unauthenticated("a token must be given once"));
        }
        // A key in an address would stay in logs for as long as it is good.
        (_, Some(token)) if keys::is_key(token) => {
            return Err(Problem::unauthenticated("a key must not stand in an address; send it in a header"));
        }
        (_, Some(token)) => Shown::Bearer(token),
        (Some(shown), None) => shown,
        (None, None) => return Ok(None),
    };
    identity::identify(app, parts, shown).await.map(Some)
}

/// The value of a name in a query. Tickets and tokens need no escapes, so none are read.
fn in_query<'q>(query: &'q str, name: &str) -> Result<Option<&'q str>, Problem> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    let first = values.next().map(|(_, value)| value);
    if values.next().is_some() {
        return Err(Problem::bad_value(name, format!("{name} is given twice")));
    }
    Ok(first)
}

fn not_good(spent: Spent) -> Problem {
    match spent {
        Spent::Unknown => Problem::unauthenticated(spent.to_string()),
        Spent::Unsure => Problem::unavailable("ticket_unsure", spent.to_string(), 1),
    }
}

fn unknown() -> Problem {
    Problem::not_found("there is no such call")
}

impl Caller {
    fn by_ticket(ticket: Ticket, conversation: Uuid, address: IpAddr, text: &str) -> Self {
        let counted = Counted {
            key: ticket.grounds.key,
            key_calls: ticket.key_calls,
            key_spend: ticket.key_spend,
            // Whoever shows a ticket of a key is that key's customer, and nobody knows him; a user is known.
            by_address: ticket.grounds.user.is_none(),
        };
        Self {
            organization: ticket.organization,
            conversation,
            user: ticket.grounds.user,
            key: ticket.grounds.key,
            is_anonymous: false,
            address,
            counted,
            ticket: Some(text.to_owned()),
        }
    }

    fn by_identity(who: &Identity, conversation: Uuid) -> Self {
        let key = who.key.as_deref();
        Self {
            organization: who.organization,
            conversation,
            user: who.user,
            key: key.map(|key| key.id),
            is_anonymous: false,
            address: who.address,
            counted: Counted {
                key: key.map(|key| key.id),
                key_calls: key.and_then(|key| key.max_calls),
                key_spend: key.and_then(|key| key.daily_spend_micros),
                // A carrier or an organization's server calls for many from one address.
                by_address: false,
            },
            ticket: None,
        }
    }

    /// Who this is for the record and for what is known of earlier calls. A number that the conversation names counts only
    /// where it was told by somebody who is believed about it, whoever talks now; one that does not count belongs to
    /// somebody, perhaps another than this user, so nobody is known then.
    pub fn known(&self, conversation: Option<&Conversation>) -> Option<data::Caller> {
        let told = conversation.and_then(|found| Some((found.client_phone.as_ref()?, found.phone_trusted)));
        match told {
            Some((phone, true)) => Some(data::Caller::Phone(phone.clone())),
            Some((_, false)) => None,
            None => self.user.map(data::Caller::User),
        }
    }

    /// A place among the calls of the caller's key and address. It must live as long as the call.
    ///
    /// # Errors
    /// 429 where a limit is reached; the database fails.
    pub async fn place(&self, app: &App) -> Result<CallPlace, Problem> {
        let (stored, day) = self.spent_today(app).await?;
        app.auth
            .limits
            .open(&self.counted, self.address, stored, day)
            .await
            .map_err(|full| Problem::limited("too_many_calls", full.to_string(), 30))
    }

    /// By whom an answer in writing is paid.
    ///
    /// # Errors
    /// 429 where today's calls have cost what they may; the database fails.
    pub async fn spending(&self, app: &App) -> Result<Spending, Problem> {
        let (stored, day) = self.spent_today(app).await?;
        let full = |full: Full| Problem::limited("too_many_calls", full.to_string(), 30);
        app.auth.limits.spend(&self.counted, self.address, stored, day).await.map_err(full)
    }

    /// What conversations that the key made today have cost by the database, and today, counted in days since 1970.
    async fn spent_today(&self, app: &App) -> Result<(i64, u64), Problem> {
        let day = Timestamp::now().as_millis().div_euclid(DAY_MS);
        let stored = match (self.counted.key, self.counted.key_spend) {
            (Some(key), Some(_)) => {
                let since = Timestamp::from_millis(day * DAY_MS);
                app.store.spent_by_key(self.organization, key, since).await?
            }
            _ => 0,
        };
        Ok((stored, u64::try_from(day).unwrap_or_default()))
    }

    /// Looks whether the ticket, if that is how the caller came, is still good. It is not used up.
    ///
    /// # Errors
    /// 401 where it is not, 503 where that cannot be known.
    pub async fn is_still_good(&self, app: &App) -> Result<(), Problem> {
        match &self.ticket {
            None => Ok(()),
            Some(text) => app.auth.tickets.peek(text, SystemTime::now()).await.map(drop).map_err(not_good),
        }
    }

    /// Uses up the ticket, if that is how the caller came. To be called once nothing else can refuse the call.
    ///
    /// # Errors
    /// 401 where somebody else was faster, 503 where that cannot be known.
    pub async fn redeem(&self, app: &App) -> Result<(), Problem> {
        match &self.ticket {
            None => Ok(()),
            Some(text) => {
                let purpose = Purpose::Conversation(self.conversation);
                let taken = app.auth.tickets.take(text, &purpose, SystemTime::now()).await;
                taken.map(drop).map_err(not_good)
            }
        }
    }

    /// Opens the conversation of the call, or joins it where it was made before, and gives what is stored of it,
    /// if anything was, and the number of its last turn.
    ///
    /// # Errors
    /// 404 for one that is another's, that is over, or that this caller may not join; the database fails.
    pub async fn join(&self, app: &App, now: Timestamp) -> Result<Option<(Conversation, u32)>, Problem> {
        if !self.is_anonymous
            && let Some(found) = app.store.conversation(self.organization, self.conversation).await?
        {
            if found.conversation.status == Status::Ended {
                return Err(unknown());
            }
            let last = found.turns.last().map_or(0, |turn| turn.turn);
            return Ok(Some((found.conversation, last)));
        }
        if self.ticket.is_some() {
            return Err(unknown());
        }
        let new = NewConversation {
            user_id: self.user,
            key_id: self.key,
            ..NewConversation::anonymous(self.conversation, self.organization, now)
        };
        match app.store.open_conversation(new).await {
            Ok(()) => Ok(None),
            // Nobody may join what is another's, nor learn that it exists.
            Err(DataError::Exists) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_a_query_once() {
        for (query, expected) in [
            ("", Ok(None)),
            ("in=pcm16", Ok(None)),
            ("ticket=abc", Ok(Some("abc"))),
            ("in=pcm16&ticket=abc&out=wav", Ok(Some("abc"))),
            ("xticket=abc&ticket", Ok(None)),
            ("ticket=", Ok(Some(""))),
            ("ticket=a&ticket=b", Err(422)),
        ] {
            let found = in_query(query, "ticket").map_err(|problem| problem.status().as_u16());
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn a_caller_is_known_by_a_number_that_counts_or_as_the_user_and_never_by_a_claimed_number() {
        let user = Uuid::from_u128(7);
        let caller = |user| Caller {
            organization: Uuid::nil(),
            conversation: Uuid::nil(),
            user,
            key: None,
            is_anonymous: false,
            address: IpAddr::from([127, 0, 0, 1]),
            counted: Counted::default(),
            ticket: None,
        };
        let conversation = |phone: Option<&str>, phone_trusted| Conversation {
            id: Uuid::nil(),
            organization_id: Uuid::nil(),
            status: Status::Active,
            client_phone: phone.map(str::to_owned),
            phone_trusted,
            created_at: Timestamp::from_millis(0),
            ended_at: None,
            metadata: serde_json::json!({}),
            user_id: None,
            notes: String::new(),
            lead: false,
            viewings_booked: 0,
            cost: None,
            revision: 1,
        };
        let phone = || data::Caller::Phone("+15550100".to_owned());
        for (trusted, of, named, expected) in [
            (true, None, Some("+15550100"), Some(phone())),
            (true, Some(user), Some("+15550100"), Some(phone())),
            (true, None, None, None),
            (false, Some(user), None, Some(data::Caller::User(user))),
            (false, Some(user), Some("+15550100"), None),
            (false, None, Some("+15550100"), None),
        ] {
            let found = conversation(named, trusted);
            assert_eq!(caller(of).known(Some(&found)), expected, "{trusted} {of:?} {named:?}");
        }
        assert_eq!(caller(Some(user)).known(None), Some(data::Caller::User(user)));
        assert_eq!(caller(None).known(None), None);
    }
}
