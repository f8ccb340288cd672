//! Who a request comes from: the one extractor of every handler that is not public.
//!
//! A credential is looked for in this order: `Authorization: Bearer` with one of our access tokens, Supabase's, or an
//! organization's key; then the cookie of the pages. The first one that is there decides; a bad one is never passed over
//! for the next. A cookie counts on this server's own pages only, and for what changes something only with the word
//! that its page repeats. Nothing here is public: anonymous calls are the business of `caller` alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::connect_info::ConnectInfo;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use uuid::Uuid;

use super::denials::Grounds;
use super::rights::{Right, Standing};
use super::supabase::Told;
use super::tickets::{Purpose, Ticket};
use super::tokens::{Claims, TokenError};
use super::{Auth, address, cookies, demo, keys, origins, seconds_now};
use crate::app::App;
use crate::data::{ApiKey, DataError, KeyKind, NewUser, Role, Timestamp, User};
use crate::http::Problem;

/// Somebody who may do something. Fixed when the request is read.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The organization whose rows this request may see, and no other's.
    pub organization: Uuid,
    /// What the request comes as.
    pub standing: Standing,
    /// The user, where somebody signed in.
    pub user: Option<Uuid>,
    /// The key, where one was shown.
    pub key: Option<Arc<ApiKey>>,
    /// What all this rests on.
    pub grounds: Grounds,
    /// The client's address.
    pub address: IpAddr,
    /// Whether the sign-in service is down, so that this only reads.
    pub reads_only: bool,
}

impl Identity {
    /// Checks a right.
    ///
    /// # Errors
    /// 403 where this standing does not have it; 503 where it changes something while the sign-in service is down.
    pub fn may(&self, right: Right) -> Result<(), Problem> {
        if !self.standing.has(right) {
            let detail = match self.standing {
                Standing::User(role) => format!("the role {} does not allow this", role.as_str()),
                Standing::SecretKey => "a secret key does not allow this".to_owned(),
                Standing::PublishableKey => {
                    "a publishable key only makes conversations; use a secret key or sign in".to_owned()
                }
                Standing::Anonymous => "this needs sign-in".to_owned(),
            };
            return Err(Problem::forbidden(detail));
        }
        if self.reads_only && right.is_change() {
            return Err(Problem::unavailable(
                "sign_in_unavailable",
                "the sign-in service does not answer; reading works, changing must wait",
                30,
            ));
        }
        Ok(())
    }

    /// Who asks, as limits and kept answers tell askers apart.
    pub fn asker(&self) -> String {
        match (self.user, &self.key) {
            (Some(user), _) => format!("user:{user}"),
            (None, Some(key)) => format!("key:{}", key.id),
            (None, None) => format!("address:{}", address::group(self.address)),
        }
    }

    /// A ticket for this identity.
    pub fn ticket(&self, purpose: Purpose) -> Ticket {
        let key = self.key.as_deref();
        let publishable = key.filter(|key| key.kind == KeyKind::Publishable);
        Ticket {
            organization: self.organization,
            purpose,
            grounds: self.grounds,
            key_calls: key.and_then(|key| key.max_calls),
            key_spend: key.and_then(|key| key.daily_spend_micros),
            origins: publishable.map(|key| key.origins.clone()).unwrap_or_default(),
        }
    }
}

impl FromRequestParts<App> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match credential(parts)? {
            Some(shown) => identify(app, parts, shown).await,
            None => Err(nobody(app, parts)),
        }
    }
}

/// What a request shows.
#[derive(Clone, Copy)]
pub(super) enum Shown<'r> {
    /// In a header, or where a socket's address may hold it.
    Bearer(&'r str),
    /// In the cookie of the pages.
    Cookie(&'r str),
}

/// What a request shows, if anything.
///
/// # Errors
/// 401 for an `Authorization` that is no Bearer.
pub(super) fn credential(parts: &Parts) -> Result<Option<Shown<'_>>, Problem> {
    let mut lines = parts.headers.get_all(AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(cookies::value(&parts.headers, cookies::SESSION).map(Shown::Cookie)),
        (Some(line), None) => line
            .to_str()
            .ok()
            .and_then(|line| line.split_once(' '))
            .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
            .map(|(_, token)| Some(Shown::Bearer(token.trim())))
            .ok_or_else(|| Problem::unauthenticated("Authorization must be Bearer and a token")),
        _ => Err(Problem::unauthenticated("Authorization must be given once")),
    }
}

/// Whose credential it is.
///
/// # Errors
/// 401 for one that does not count, 403 for one that does not count here.
pub(super) async fn identify(app: &App, parts: &Parts, shown: Shown<'_>) -> Result<Identity, Problem> {
    let auth = &app.auth;
    let token = match shown {
        Shown::Bearer(token) if keys::is_key(token) => return by_key(app, parts, token).await,
        Shown::Bearer(token) | Shown::Cookie(token) => token,
    };
    let by_cookie = matches!(shown, Shown::Cookie(_));
    let kid = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
    // Each issuer's tokens are checked by its own keys alone. Our cookie never holds another's.
    let is_ours = kid.is_some_and(|kid| auth.ring.knows(&kid));
    match &auth.supabase {
        Some(supabase) if !is_ours && !by_cookie => {
            let told = supabase.verify(token, seconds_now()).await.map_err(refused)?;
            by_supabase(app, parts, told).await
        }
        _ => {
            let claims = auth.ring.verify(token, seconds_now()).map_err(refused)?;
            if by_cookie {
                check_cookie(app, parts, &claims)?;
            }
            by_claims(app, parts, &claims).await
        }
    }
}

/// Without a credential: where a demo user could sign in, that is asked for; elsewhere the setting is named.
pub(super) fn nobody(app: &App, parts: &Parts) -> Problem {
    if app.config.is_unconfigured()
        && let Err(problem) = demo::check(&app.config, parts)
    {
        return problem;
    }
    Problem::unauthenticated("signing in is required")
}

fn refused(error: TokenError) -> Problem {
    let code = match error {
        TokenError::Expired => "token_expired",
        TokenError::Invalid => "unauthenticated",
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, error.to_string())
}

async fn by_claims(app: &App, parts: &Parts, claims: &Claims) -> Result<Identity, Problem> {
    if demo::is_demo(claims.sub) {
        if !app.config.is_unconfigured() {
            return Err(refused(TokenError::Invalid));
        }
        demo::check(&app.config, parts)?;
    }
    let grounds =
        Grounds { session: Some(claims.sid), user: Some(claims.sub), revision: claims.rev, key: None };
    check_grounds(app, &grounds).await?;
    Ok(Identity {
        organization: claims.org,
        standing: Standing::User(claims.role),
        user: Some(claims.sub),
        key: None,
        grounds,
        address: client_address(app, parts),
        reads_only: false,
    })
}

/// Checks that what a permission rests on has not ended.
///
/// # Errors
/// 401.
pub(super) async fn check_grounds(app: &App, grounds: &Grounds) -> Result<(), Problem> {
    if app.auth.denials.ended(grounds).await {
        return Err(Problem::unauthenticated("this sign-in has ended"));
    }
    Ok(())
}

async fn by_key(app: &App, parts: &Parts, text: &str) -> Result<Identity, Problem> {
    let found = app.auth.keys.find(&*app.store, text).await?;
    let none = || Problem::unauthenticated("there is no such key, or it was revoked");
    let key = found.ok_or_else(none)?;
    let grounds = Grounds { key: Some(key.id), ..Grounds::default() };
    if app.auth.denials.ended(&grounds).await {
        return Err(none());
    }
    let (standing, may) = match (key.kind, origins::of(parts)) {
        (KeyKind::Publishable, origins::Said::One(origin)) => {
            (Standing::PublishableKey, key.origins.contains(&origin))
        }
        (KeyKind::Publishable, _) => (Standing::PublishableKey, false),
        // A page that shows a secret key has given it away to all its visitors.
        (KeyKind::Secret, origins::Said::Nothing) => (Standing::SecretKey, true),
        (KeyKind::Secret, _) => (Standing::SecretKey, false),
    };
    if !may {
        return Err(Problem::forbidden(match standing {
            Standing::SecretKey => "a secret key must not be used by a web page",
            _ => "this key is for pages of the origins that are listed with it",
        }));
    }
    Ok(Identity {
        organization: key.organization_id,
        standing,
        user: None,
        key: Some(key),
        grounds,
        address: client_address(app, parts),
        reads_only: false,
    })
}

/// The user that Supabase tells of: by its id, then by its address, added at first sight.
async fn by_supabase(app: &App, parts: &Parts, told: Told) -> Result<Identity, Problem> {
    let Some(organization) = told.organization else {
        return Err(Problem::forbidden(
            "this user belongs to no organization here; an administrator sets app_metadata.organization_id",
        ));
    };
    let of = |known: &Guest| Grounds {
        session: told.session,
        user: Some(known.user),
        revision: known.revision,
        key: None,
    };
    let mut known = app.auth.guests.get(&told.sub).filter(|known| known.organization == organization);
    if let Some(before) = &known
        && app.auth.denials.ended(&of(before)).await
    {
        // Perhaps the user was changed since; its token there says nothing of that.
        known = None;
    }
    let known = match known {
        Some(known) => known,
        None => {
            let user = guest(app, organization, &told).await?;
            let known = Guest { organization, user: user.id, role: user.role, revision: user.revision };
            app.auth.guests.insert(told.sub, known);
            known
        }
    };
    let grounds = of(&known);
    check_grounds(app, &grounds).await?;
    Ok(Identity {
        organization,
        // An admin of here is one by his password. Who lost his role over there has none left of it.
        standing: Standing::User(told.role.unwrap_or(known.role.min(Role::Agent))),
        user: Some(known.user),
        key: None,
        grounds,
        address: client_address(app, parts),
        reads_only: told.is_stale,
    })
}

/// A user of Supabase as it was found a moment ago.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    organization: Uuid,
    user: Uuid,
    role: Role,
    revision: i64,
}

async fn guest(app: &App, organization: Uuid, told: &Told) -> Result<User, Problem> {
    let store = &app.store;
    if let Some(user) = known_guest(app, told).await? {
        return check_guest(user, organization);
    }
    if store.organization(organization).await?.is_none() {
        return Err(Problem::forbidden("this user's organization does not exist here"));
    }
    let email = told
        .email
        .clone()
        .ok_or_else(|| Problem::forbidden("this user has no address, by which it could be added here"))?;
    let new = NewUser {
        id: told.sub,
        organization_id: organization,
        name: email.split('@').next().unwrap_or_default().to_owned(),
        email,
        role: told.role.unwrap_or(Role::Agent),
        password_hash: None,
        created_at: Timestamp::now(),
    };
    match store.add_user(new).await {
        Ok(user) => Ok(user),
        // Another request of the same moment was faster.
        Err(DataError::Exists) => match known_guest(app, told).await? {
            Some(user) => check_guest(user, organization),
            None => Err(Problem::internal()),
        },
        Err(error) => Err(error.into()),
    }
}

async fn known_guest(app: &App, told: &Told) -> Result<Option<User>, DataError> {
    if let Some(user) = app.store.user_by_id(told.sub).await? {
        return Ok(Some(user));
    }
    match &told.email {
        Some(email) => app.store.user_by_email(email.clone()).await,
        None => Ok(None),
    }
}

fn check_guest(user: User, organization: Uuid) -> Result<User, Problem> {
    // Found by an address that is another organization's: to say so would tell of that one.
    if user.organization_id != organization || user.disabled || demo::is_demo(user.id) {
        return Err(Problem::forbidden("this user may not sign in here"));
    }
    Ok(user)
}

/// The pages' cookie: from our own page, and with the page's word where something is changed.
fn check_cookie(app: &App, parts: &Parts, claims: &Claims) -> Result<(), Problem> {
    origins::check_own(&app.config, parts)?;
    // RFC 9110, section 9.2.1.
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let word = parts.headers.get(cookies::CSRF_HEADER).and_then(|word| word.to_str().ok());
    if word.is_some_and(|word| app.auth.ring.is_csrf(claims.sid, word)) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "csrf",
        "a change by cookie needs the header X-CSRF-Token with the value of the cookie voice_csrf",
    ))
}

/// The address that limits count.
pub(crate) fn client_address(app: &App, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    // The accept loop always says who the peer is.
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(peer)| peer.ip());
    address::client(peer, &parts.headers, &app.config.trusted_proxies)
}

/// An access token and a ticket-free description of a signed-in user, for `api::auth`.
pub(crate) fn access_token(auth: &Auth, user: &User, session: Uuid) -> Result<String, Problem> {
    let subject = super::tokens::Subject {
        user: user.id,
        organization: user.organization_id,
        role: user.role,
        session,
        revision: user.revision,
    };
    auth.ring.sign(subject, seconds_now()).map(|(token, _)| token).map_err(|error| {
        tracing::error!(%error, "an access token cannot be signed");
        Problem::internal()
    })
}
