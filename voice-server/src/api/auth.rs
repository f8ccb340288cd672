//! `/api/v1/auth/*` and `GET /api/v1/users/profile`: signing in, staying signed in, signing out.
//!
//! A wrong password and an unusable refresh token answer 400, never 401: clients refresh and try again on exactly that. A page
//! signs in with `"cookie": true` and then needs no body for refreshing and signing out. The first admin of a server comes in by the
//! link that the start printed.

use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::Fields;
use crate::app::App;
use crate::auth::identity::{access_token, client_address};
use crate::auth::password::{LONGEST, PasswordError, SHORTEST};
use crate::auth::refresh::{self, RefreshError, Refreshed, SignedIn};
use crate::auth::throttle::Wait;
use crate::auth::tickets::Purpose;
use crate::auth::{Identity, Right, Standing, cookies, demo, email, origins, setup};
use crate::config::Secret;
use crate::data::{DataError, NewUser, Role, Timestamp, User};
use crate::http::Problem;

/// What `POST /api/v1/auth/login` takes.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it describes the body, whose fields are taken one by one")]
pub struct LoginRequest {
    /// The user's address.
    email: String,
    /// The user's password.
    password: String,
    /// Whether the session is to be held in cookies as well, as this server's pages want it.
    #[schema(required = false)]
    cookie: bool,
}

/// What `POST /api/v1/auth/refresh` and `/logout` take; with cookies nothing is needed.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "it describes the body, whose fields are taken one by one")]
pub struct RefreshRequest {
    /// The refresh token.
    #[schema(required = false)]
    refresh_token: String,
}

/// What `POST /api/v1/auth/setup` takes.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it describes the body, whose fields are taken one by one")]
pub struct SetupRequest {
    /// The secret of the link that the start printed.
    token: String,
    /// The admin's address.
    email: String,
    /// The admin's password.
    #[schema(min_length = 10, max_length = 256)]
    password: String,
    /// The admin's name.
    #[schema(required = false)]
    name: String,
    /// Whether the session is to be held in cookies as well.
    #[schema(required = false)]
    cookie: bool,
}

/// Somebody is signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedInAnswer {
    /// Goes into `Authorization: Bearer` for 15 minutes.
    access_token: String,
    /// Gives the next two tokens, once.
    refresh_token: String,
    /// Who it is.
    user: User,
}

/// A ticket for a socket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketAnswer {
    /// Goes into the address as `?ticket=`, once.
    ticket: String,
    /// When it is over.
    ticket_expires_at: Timestamp,
}

/// Signs in with address and password.
///
/// # Errors
/// 400 for a wrong address or password, 403 for a demo user from elsewhere, 422 for a bad value, 429 after too many failures.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "Signed in", body = SignedInAnswer),
        (status = 400, description = "`invalid_credentials`, or no JSON"),
        (status = 403, description = "A demo user from elsewhere"),
        (status = 422, description = "A value is not what it must be"),
        (status = 429, description = "Too many attempts; see `Retry-After`"),
        (status = 503, description = "Too much to do; see `Retry-After`"),
    ),
    security(()),
)]
pub async fn login(State(app): State<App>, parts: Parts, body: Bytes) -> Result<Response, Problem> {
    let address = admitted(&app, &parts)?;
    let mut fields = Fields::parse(&body)?;
    let (name, password) = (fields.needed("email")?, fields.needed("password")?);
    let cookie = wants_cookie(&app, &parts, &mut fields)?;
    let email = email::parse(&name);
    if email.as_deref().is_some_and(demo::is_demo_email) && app.config.is_unconfigured() {
        demo::check(&app.config, &parts)?;
    }
    let account = email.as_deref().unwrap_or(&name);
    let charge = app.auth.throttle.attempt(account, address, Instant::now()).map_err(too_often)?;
    let user = match email {
        Some(email) => app.store.user_by_email(email).await?,
        None => None,
    };
    let user =
        user.filter(|user| !user.disabled && (!demo::is_demo(user.id) || app.config.is_unconfigured()));
    let stored = user.as_ref().and_then(|user| user.password_hash.as_ref()).map(Secret::expose);
    let fits = match app.auth.passwords.check(&password, stored).await {
        Ok(fits) => fits,
        Err(error) => {
            // Nothing was tried.
            charge.forgive();
            return Err(not_checked(error));
        }
    };
    let Some(user) = user.filter(|_| fits) else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_credentials",
            "there is no user with this address and this password",
        ));
    };
    charge.forgive();
    sign_in(&app, &parts, user, StatusCode::OK, cookie).await
}

/// Gives the next tokens for a refresh token.
///
/// # Errors
/// 400 for a token that is unknown, used, revoked or over; 403 for a cookie from another page.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "The next tokens", body = SignedInAnswer),
        (status = 400, description = "`invalid_refresh_token`, or no JSON"),
        (status = 403, description = "A cookie from another page, or without the word against forgery"),
        (status = 422, description = "A value is not what it must be"),
        (status = 429, description = "Too many requests; see `Retry-After`"),
        (status = 503, description = "The database does not answer; see `Retry-After`"),
    ),
    security(()),
)]
pub async fn refresh(State(app): State<App>, parts: Parts, body: Bytes) -> Result<Response, Problem> {
    admitted(&app, &parts)?;
    let (token, by_cookie) = presented(&app, &parts, &body)?;
    let token = token.ok_or_else(unusable)?;
    let (whose, token) = match refresh::rotate(&app.auth.ring, &*app.store, &token, Timestamp::now()).await? {
        Refreshed::Successor { whose, token } => (whose, token),
        Refreshed::Reused { session } => {
            // Somebody has a token that somebody else has used: neither stays signed in.
            app.auth.denials.deny(session).await;
            tracing::warn!(%session, "a used refresh token came again; its sign-in has ended");
            return Err(unusable());
        }
        Refreshed::Unusable => return Err(unusable()),
    };
    let user = app.store.user(whose.organization, whose.user).await?;
    let user = user.filter(|user| !user.disabled).ok_or_else(unusable)?;
    if demo::is_demo(user.id) {
        if !app.config.is_unconfigured() {
            return Err(unusable());
        }
        demo::check(&app.config, &parts)?;
    }
    answer(&app, &parts, user, whose.session, token, StatusCode::OK, by_cookie)
}

/// Signs out: the refresh token, all that come from the same sign-in, and its access tokens end.
///
/// # Errors
/// 400 for a token that is unknown; 403 for a cookie from another page.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    request_body = RefreshRequest,
    responses(
        (status = 204, description = "Signed out"),
        (status = 400, description = "`invalid_refresh_token`, or no JSON"),
        (status = 403, description = "A cookie from another page, or without the word against forgery"),
        (status = 422, description = "A value is not what it must be"),
        (status = 429, description = "Too many requests; see `Retry-After`"),
        (status = 503, description = "The database does not answer; see `Retry-After`"),
    ),
    security(()),
)]
pub async fn logout(State(app): State<App>, parts: Parts, body: Bytes) -> Result<Response, Problem> {
    admitted(&app, &parts)?;
    let (token, by_cookie) = presented(&app, &parts, &body)?;
    let session = match token {
        Some(token) => refresh::end(&*app.store, &token, Timestamp::now()).await?,
        None => None,
    };
    if let Some(session) = session {
        app.auth.denials.deny(session).await;
    } else if !by_cookie {
        return Err(unusable());
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if by_cookie {
        cookies::clear(response.headers_mut(), cookies::is_https(&app.config, &parts));
    }
    Ok(response)
}

/// Makes the first admin, by the link that the start printed.
///
/// # Errors
/// 400 for a link that is used or no such link, 409 for an address that is taken, 422 for a bad value.
#[utoipa::path(
    post,
    path = "/api/v1/auth/setup",
    tag = "auth",
    request_body = SetupRequest,
    responses(
        (status = 201, description = "The admin is made and signed in", body = SignedInAnswer),
        (status = 400, description = "`invalid_setup_token`, or no JSON"),
        (status = 409, description = "The address is taken"),
        (status = 422, description = "A value is not what it must be"),
        (status = 429, description = "Too many requests; see `Retry-After`"),
        (status = 503, description = "Too much to do; see `Retry-After`"),
    ),
    security(()),
)]
pub async fn set_up(State(app): State<App>, parts: Parts, body: Bytes) -> Result<Response, Problem> {
    admitted(&app, &parts)?;
    let mut fields = Fields::parse(&body)?;
    let (token, address) = (fields.needed("token")?, fields.needed("email")?);
    let (password, name) = (fields.needed("password")?, fields.text("name")?.unwrap_or_default());
    let cookie = wants_cookie(&app, &parts, &mut fields)?;
    let email = email::parse(&address).ok_or_else(|| Problem::bad_value("email", "this is no address"))?;
    if name.len() > 200 || name.chars().any(char::is_control) {
        return Err(Problem::bad_value("name", "a name has 200 bytes at most, on one line"));
    }
    let no_link = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_setup_token",
            "this link is no good, was used, or somebody can sign in already; `voice user add --admin` makes further admins",
        )
    };
    // Hashing is work; whoever has no link shall not cause it.
    if !app.auth.setup.is(&token) {
        return Err(no_link());
    }
    // Somebody may have been added since by `voice user add`; then the link has nothing left to do.
    if !setup::is_wanted(&*app.store).await? {
        app.auth.setup.take(&token);
        return Err(no_link());
    }
    let hash = app.auth.passwords.hash(&password).await.map_err(not_checked)?;
    if !app.auth.setup.take(&token) {
        return Err(no_link());
    }
    let new = NewUser {
        id: Uuid::new_v4(),
        organization_id: app.organization,
        email,
        name,
        role: Role::Admin,
        password_hash: Some(Secret::new(hash)),
        created_at: Timestamp::now(),
    };
    let user = match app.store.add_user(new).await {
        Ok(user) => user,
        Err(error) => {
            // Nobody was made, so the link is as good as before.
            app.auth.setup.put_back(&token);
            return Err(match error {
                DataError::Exists => {
                    Problem::new(StatusCode::CONFLICT, "exists", "there is a user with this address")
                }
                other => other.into(),
            });
        }
    };
    tracing::info!("the first admin was made by the link of the start");
    sign_in(&app, &parts, user, StatusCode::CREATED, cookie).await
}

/// A ticket for the live events, for pages that hold no cookie of this server.
///
/// # Errors
/// 401 without sign-in, 403 where the role does not allow it.
#[utoipa::path(
    post,
    path = "/api/v1/auth/ticket",
    tag = "auth",
    responses(
        (status = 201, description = "A ticket for `GET /api/v1/events`", body = TicketAnswer),
        (status = 401, description = "Not signed in"),
        (status = 403, description = "Not allowed"),
        (status = 503, description = "Too much to do; see `Retry-After`"),
    ),
)]
pub async fn ticket(State(app): State<App>, who: Identity) -> Result<Response, Problem> {
    who.may(Right::ReadEvents)?;
    let (ticket, ticket_expires_at) = app
        .auth
        .tickets
        .issue(who.ticket(Purpose::Events), SystemTime::now())
        .await
        .map_err(|_| Problem::unavailable("no_ticket", "no ticket can be made now; try again", 5))?;
    Ok((StatusCode::CREATED, Json(TicketAnswer { ticket, ticket_expires_at })).into_response())
}

/// The user who is signed in.
///
/// # Errors
/// 401 without sign-in, 403 for a key.
#[utoipa::path(
    get,
    path = "/api/v1/users/profile",
    tag = "users",
    responses(
        (status = 200, description = "Who is signed in", body = User),
        (status = 401, description = "Not signed in"),
        (status = 403, description = "Not a user"),
        (status = 503, description = "The database does not answer; see `Retry-After`"),
    ),
)]
pub async fn profile(State(app): State<App>, who: Identity) -> Result<Json<User>, Problem> {
    who.may(Right::ReadProfile)?;
    let standing = who.standing;
    let gone = || Problem::unauthenticated("this user is no more");
    let id = who.user.ok_or_else(gone)?;
    let stored =
        app.store.user(who.organization, id).await?.filter(|user| !user.disabled).ok_or_else(gone)?;
    // What he may do by this sign-in: Supabase's token says a role of its own.
    let role = if let Standing::User(role) = standing { role } else { stored.role };
    Ok(Json(User { role, ..stored }))
}

/// Counts a request against its address.
fn admitted(app: &App, parts: &Parts) -> Result<IpAddr, Problem> {
    let address = client_address(app, parts);
    app.auth.throttle.request(address).map_err(too_often)?;
    Ok(address)
}

fn too_often(wait: Wait) -> Problem {
    Problem::limited("too_many_attempts", "too many attempts; wait before the next one", wait.seconds())
}

pub(super) fn not_checked(error: PasswordError) -> Problem {
    match error {
        PasswordError::Length => Problem::bad_value(
            "password",
            format!("a password has {SHORTEST} to {LONGEST} bytes; take a longer or a shorter one"),
        ),
        PasswordError::Busy => Problem::unavailable("busy", "too many sign in at this moment; try again", 2),
        other => {
            tracing::error!(error = %other, "a password cannot be hashed");
            Problem::internal()
        }
    }
}

fn unusable() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid_refresh_token",
        "this refresh token is unknown, used or over; sign in again",
    )
}

/// Whether cookies are wanted, and may be: only this server's own pages hold them.
fn wants_cookie(app: &App, parts: &Parts, fields: &mut Fields) -> Result<bool, Problem> {
    let wanted = fields.switch("cookie")?;
    if wanted {
        origins::check_own(&app.config, parts)?;
    }
    Ok(wanted)
}

/// The refresh token of the body, else that of the cookie, and whether the cookie was used.
fn presented(app: &App, parts: &Parts, body: &Bytes) -> Result<(Option<String>, bool), Problem> {
    if let Some(token) = Fields::parse(body)?.text("refreshToken")? {
        return Ok((Some(token), false));
    }
    let Some(token) = cookies::value(&parts.headers, cookies::REFRESH) else { return Ok((None, false)) };
    origins::check_own(&app.config, parts)?;
    // The access token may be over, so the word is compared with its cookie, which only our own page can read.
    let word = parts.headers.get(cookies::CSRF_HEADER).and_then(|word| word.to_str().ok());
    if word.is_none() || word != cookies::value(&parts.headers, cookies::CSRF) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "csrf",
            "a change by cookie needs the header X-CSRF-Token with the value of the cookie voice_csrf",
        ));
    }
    Ok((Some(token.to_owned()), true))
}

async fn sign_in(
    app: &App,
    parts: &Parts,
    user: User,
    status: StatusCode,
    cookie: bool,
) -> Result<Response, Problem> {
    let session = Uuid::new_v4();
    let whose = SignedIn { user: user.id, organization: user.organization_id, session };
    let token = refresh::begin(&app.auth.ring, &*app.store, whose, Timestamp::now()).await;
    let token = token.map_err(|error| match error {
        RefreshError::Data(error) => error.into(),
        other => {
            tracing::error!(error = %other, "a refresh token cannot be made");
            Problem::internal()
        }
    })?;
    answer(app, parts, user, session, token, status, cookie)
}

fn answer(
    app: &App,
    parts: &Parts,
    user: User,
    session: Uuid,
    refresh_token: String,
    status: StatusCode,
    cookie: bool,
) -> Result<Response, Problem> {
    let access_token = access_token(&app.auth, &user, session)?;
    let csrf = cookie.then(|| app.auth.ring.csrf(session));
    let body = SignedInAnswer { access_token, refresh_token, user };
    let mut response = (status, Json(&body)).into_response();
    if let Some(csrf) = csrf {
        let is_https = cookies::is_https(&app.config, parts);
        cookies::set(response.headers_mut(), &body.access_token, &body.refresh_token, &csrf, is_https);
    }
    Ok(response)
}
