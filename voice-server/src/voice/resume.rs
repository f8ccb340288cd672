//! A second socket for a call that is under way: who may go on with it, and handing the socket over.
//!
//! Whoever shows the call's token in a `resume`, or is the signed-in user who calls, takes the call over; everybody else is
//! told that there is none and learns nothing more. The token is 256 random bits; what is kept is a keyed digest of it.
//! Caller: `upgrade`; the socket goes to the call's own task (`actor`), which alone decides what happens with the first one.

use std::time::Duration;

use fastwebsockets::upgrade::UpgradeFut;
use futures::future::BoxFuture;
use hyper::header::{HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use uuid::Uuid;

use super::Limits;
use super::call::Profile;
use super::frames::{Broken, Incoming, Reader, Writer};
use super::link;
use super::messages::{self, Message, Request};
use super::registry::{Found, Live};
use crate::http::Problem;

/// How long a second socket may take to say what it wants.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The same where it need not say anything.
const VOUCHED_WAIT: Duration = Duration::from_secs(2);
/// Pings that are answered before that.
const MOST_PINGS: usize = 8;

/// Whose a call is, or who opens a second socket.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The organization that is called.
    pub organization: Uuid,
    /// The user who calls.
    pub user: Option<Uuid>,
    /// The organization's key by which the conversation was made.
    pub key: Option<Uuid>,
    /// Whether nobody vouches for the caller.
    pub is_anonymous: bool,
    /// The page that opened the socket.
    pub origin: Option<HeaderValue>,
}

impl Owner {
    /// A caller for whom nobody vouches.
    pub fn anonymous(organization: Uuid) -> Self {
        Self { organization, user: None, key: None, is_anonymous: true, origin: None }
    }

    /// The same, from the page that the request names.
    pub fn from_page(mut self, parts: &Parts) -> Self {
        self.origin = parts.headers.get(ORIGIN).cloned();
        self
    }

    /// Whether this one may take `other`'s call over without its token.
    fn is_same(&self, other: &Self) -> bool {
        let same = |ours: Option<Uuid>, theirs: Option<Uuid>| ours.is_some() && ours == theirs;
        !self.is_anonymous
            && !other.is_anonymous
            && self.organization == other.organization
            && (same(self.user, other.user) || (self.user.is_none() && same(self.key, other.key)))
    }
}

/// What a token is checked against.
#[derive(Debug)]
pub(super) struct Token {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Token {
    /// A new token, and what is kept of it. `None` where the system has no random bytes: then nobody can resume.
    pub(super) fn draw() -> Option<(String, Self)> {
        let (mut secret, mut key) = ([0_u8; 32], [0_u8; 32]);
        let random = SystemRandom::new();
        random.fill(&mut secret).and_then(|()| random.fill(&mut key)).ok()?;
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let tag = hmac::sign(&key, text.as_bytes());
        Some((text, Self { key, tag }))
    }

    /// Whether `text` is the token. Takes the same time whatever it is.
    fn is(&self, text: &str) -> bool {
        hmac::verify(&self.key, text.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

/// What comes first on a socket, and the reader behind it.
pub(super) type Coming = BoxFuture<'static, (Result<Incoming, Broken>, Reader)>;

/// A socket that goes on with a call.
pub(super) struct Handover {
    /// What it sends, from the first message that the call is to see.
    pub(super) coming: Coming,
    /// What is sent to it.
    pub(super) writer: Writer,
    /// The number of the last thing the client has got; unset where it does not say and gets what comes from now on.
    pub(super) last_seq: Option<u32>,
}

/// The next message or control frame of a reader.
pub(super) fn coming(mut reader: Reader) -> Coming {
    Box::pin(async move { (reader.next().await, reader) })
}

/// A socket that wants to go on with a call.
pub(super) struct Second {
    found: Found,
    /// It may without a token.
    vouched: bool,
}

impl Second {
    /// Decides whether a request may open a second socket on `found`. `who` is who asks, if anybody vouches for it. `None`:
    /// this is none of ours, and the request goes its usual way.
    ///
    /// # Errors
    /// 403 from another page than the call's, 409 where the two sockets do not speak the same.
    pub(super) fn of(
        found: Found,
        profile: Profile,
        parts: &Parts,
        who: Option<&Owner>,
    ) -> Result<Option<Self>, Problem> {
        let Found::Live(live) = &found else {
            return Ok((profile == Profile::Full).then_some(Self { found, vouched: false }));
        };
        if who.is_some_and(|who| !who.is_anonymous && who.organization != live.owner.organization) {
            return Err(Problem::not_found("there is no such call"));
        }
        let vouched = who.is_some_and(|who| who.is_same(&live.owner));
        match (profile, live.profile) {
            (Profile::Full, Profile::Full) => {}
            (Profile::Basic, Profile::Basic) if vouched => {}
            _ if vouched => {
                return Err(Problem::new(
                    hyper::StatusCode::CONFLICT,
                    "call_in_use",
                    "this call is under way in another form; end it first",
                ));
            }
            _ => return Err(Problem::not_found("there is no such call")),
        }
        // A token that a page of somebody else got hold of is worth nothing there.
        if parts.headers.get(ORIGIN) != live.owner.origin.as_ref() {
            return Err(Problem::forbidden("another page began this call"));
        }
        Ok(Some(Self { found, vouched }))
    }

    /// Whether the call was begun by somebody for whom nobody vouches.
    pub(super) fn is_anonymous(&self) -> bool {
        match &self.found {
            Found::Live(live) => live.owner.is_anonymous,
            Found::Ended => true,
        }
    }

    /// Opens the socket, hears what it wants, and hands it over or says why not.
    pub(super) async fn receive(self, upgrade: UpgradeFut, limits: Limits, _aside: OwnedSemaphorePermit) {
        let opened = timeout(limits.write, link::open(upgrade, limits)).await.ok().flatten();
        let Some((reader, mut writer)) = opened else { return };
        let live = match self.found {
            Found::Live(live) => Some(live),
            Found::Ended => None,
        };
        if let Some(live) = live.as_ref().filter(|live| live.profile == Profile::Basic) {
            return hand_over(live, Handover { coming: coming(reader), writer, last_seq: None }).await;
        }
        let wait = if self.vouched { VOUCHED_WAIT } else { FIRST_WAIT };
        let mut next = coming(reader);
        for _ in 0..MOST_PINGS {
            let Ok((first, reader)) = timeout(wait, &mut next).await else {
                return match live {
                    Some(live) if self.vouched => {
                        hand_over(&live, Handover { coming: next, writer, last_seq: None }).await
                    }
                    _ => refuse(writer, None, 4404, GONE).await,
                };
            };
            match first {
                Ok(Incoming::Ping(payload)) => {
                    if writer.pong(&payload).await.is_err() {
                        return;
                    }
                    next = coming(reader);
                }
                Ok(Incoming::Pong) => next = coming(reader),
                Ok(Incoming::Text(text)) if is_resume(&text) => {
                    let Ok(Request::Resume { token, last_seq }) = messages::parse(&text) else { return };
                    let Some(live) = live else { return refuse(writer, Some(reader), 4404, GONE).await };
                    if !live.token.as_ref().is_some_and(|held| held.is(&token)) {
                        return refuse(writer, Some(reader), 4401, WRONG).await;
                    }
                    if last_seq > live.outbox.last_seq() {
                        return refuse(writer, Some(reader), 4404, AHEAD).await;
                    }
                    let handover = Handover { coming: coming(reader), writer, last_seq: Some(last_seq) };
                    return hand_over(&live, handover).await;
                }
                Err(_) | Ok(Incoming::Close(_)) => return,
                Ok(first) => {
                    return match live {
                        Some(live) if self.vouched => {
                            let coming: Coming = Box::pin(std::future::ready((Ok(first), reader)));
                            hand_over(&live, Handover { coming, writer, last_seq: None }).await
                        }
                        _ => refuse(writer, Some(reader), 4404, GONE).await,
                    };
                }
            }
        }
        refuse(writer, None, 4404, GONE).await;
    }
}

fn is_resume(text: &str) -> bool {
    matches!(messages::parse(text), Ok(Request::Resume { .. }))
}

async fn hand_over(live: &Live, handover: Handover) {
    // A call that has ended meanwhile, or is beset by sockets, takes no more.
    if let Err(refused) = live.handovers.try_send(handover) {
        let (tokio::sync::mpsc::error::TrySendError::Full(handover)
        | tokio::sync::mpsc::error::TrySendError::Closed(handover)) = refused;
        refuse(handover.writer, None, 4404, GONE).await;
    }
}

/// Says why the call is not resumed, and closes.
pub(super) async fn refuse(mut writer: Writer, reader: Option<Reader>, code: u16, reason: &str) {
    let message = Message::Error { code: REFUSED.into(), text: reason.into() };
    if writer.text(&message.encode(1)).await.is_ok() {
        link::goodbye(reader, writer, code, reason).await;
    }
}

/// The code of the error that a refused `resume` is answered with.
pub(super) const REFUSED: &str = "resume_refused";
/// Why there is nothing to resume.
pub(super) const GONE: &str = "there is no such call under way; begin a new one";
const WRONG: &str = "the token is not that of this call; begin a new one";
const AHEAD: &str = "this call has not got that far; begin a new one";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_only_itself() {
        let (one, held) = Token::draw().expect("random");
        let (other, _) = Token::draw().expect("random");
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert!(held.is(&one));
        for wrong in ["", &other, &one[..63], &format!("{one}0")] {
            assert!(!held.is(wrong), "{wrong}");
        }
        assert!(!format!("{held:?}").contains(&one));
    }

    #[test]
    fn only_the_same_user_or_the_same_keys_customer_takes_over_without_a_token() {
        let (ours, theirs) = (Uuid::new_v4(), Uuid::new_v4());
        let (ann, bob, key) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let owner = |organization, user, key| Owner {
            user,
            key,
            is_anonymous: false,
            ..Owner::anonymous(organization)
        };
        for (one, other, may) in [
            (owner(ours, Some(ann), None), owner(ours, Some(ann), None), true),
            (owner(ours, Some(ann), None), owner(ours, Some(bob), None), false),
            (owner(ours, Some(ann), None), owner(theirs, Some(ann), None), false),
            (owner(ours, None, Some(key)), owner(ours, None, Some(key)), true),
            (owner(ours, Some(bob), Some(key)), owner(ours, Some(ann), Some(key)), false),
            (owner(ours, None, None), owner(ours, None, None), false),
            (Owner::anonymous(ours), Owner::anonymous(ours), false),
        ] {
            assert_eq!(one.is_same(&other), may, "{one:?} {other:?}");
        }
    }
}
