//! Which web pages may use the server: `VOICE_ALLOWED_ORIGINS` for CORS and for every socket.
//!
//! A browser sends `Origin` with whatever a page does across sites and with every handshake of a socket. Allowed are the listed
//! origins, the server's own pages where their name is known, and pages of this machine while the request is of this
//! machine. A name that is not known proves nothing: anybody can point one at this server and serve a page under it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::connect_info::ConnectInfo;
use hyper::Method;
use hyper::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH,
    IF_NONE_MATCH, ORIGIN, RETRY_AFTER,
};
use hyper::http::request::Parts;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::cookies::CSRF_HEADER;
use crate::app::App;
use crate::config::Config;
use crate::http::locality::{self, NotLocal};
use crate::http::{Problem, layers};

/// How long a browser may remember what a preflight said.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Checks that a page may open a socket or use what only pages use; no `Origin` is no page. `also` are further origins.
///
/// # Errors
/// 403, naming the setting.
pub fn check(config: &Config, parts: &Parts, also: &[String]) -> Result<(), Problem> {
    match of(parts) {
        Said::Nothing => Ok(()),
        Said::One(origin) if is_allowed(config, parts, &origin) || also.contains(&origin) => Ok(()),
        _ => Err(Problem::forbidden(
            "pages of this Origin may not call; VOICE_ALLOWED_ORIGINS lists those that may, also where this \
             server's own page is opened by another name than localhost",
        )),
    }
}

/// Checks that what a cookie vouches for comes from this server's own page, or from no page.
///
/// # Errors
/// 403, naming the setting.
pub fn check_own(config: &Config, parts: &Parts) -> Result<(), Problem> {
    match of(parts) {
        Said::Nothing => Ok(()),
        Said::One(origin) if is_own_page(config, parts, &origin) => Ok(()),
        _ => Err(Problem::forbidden(
            "a cookie counts on this server's own pages only; VOICE_ALLOWED_ORIGINS must list the address by which \
             they are opened, unless it is localhost",
        )),
    }
}

/// What a request says of its page, in small letters.
pub(super) enum Said {
    Nothing,
    One(String),
    /// Twice, or no text.
    Odd,
}

pub(super) fn of(parts: &Parts) -> Said {
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Said::Nothing,
        (Some(origin), None) => {
            origin.to_str().map_or(Said::Odd, |origin| Said::One(origin.to_ascii_lowercase()))
        }
        _ => Said::Odd,
    }
}

fn is_allowed(config: &Config, parts: &Parts, origin: &str) -> bool {
    config.allowed_origins.iter().any(|allowed| allowed == origin)
        || is_own_page(config, parts, origin)
        || (of_this_machine(config, parts).is_ok() && locality::is_local_origin(origin))
}

/// Whether `origin`, in small letters, is that of a page which this very server gave: its host and port are those in
/// the request's `Host`, and that names this machine or is listed.
fn is_own_page(config: &Config, parts: &Parts, origin: &str) -> bool {
    let Some(host) = locality::host(&parts.uri, &parts.headers).map(str::to_ascii_lowercase) else {
        return false;
    };
    let known = locality::names_this_machine(&host)
        || config.allowed_origins.iter().any(|allowed| locality::authority_of(allowed) == Some(&host));
    known && locality::authority_of(origin) == Some(&host)
}

/// Whether a request is of this machine itself, see [`locality`].
///
/// # Errors
/// The first condition that does not hold.
pub fn of_this_machine(config: &Config, parts: &Parts) -> Result<(), NotLocal> {
    // A request whose peer is unknown cannot be shown to come from here.
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Err(NotLocal::Peer);
    };
    locality::check(config.bind.ip(), peer.ip(), &parts.uri, &parts.headers)
}

/// Whether a request, or what a browser asks about one, is something that a page does with a publishable key or a ticket of
/// it: making a conversation, writing in it, asking why its call was refused.
fn is_for_keys(parts: &Parts) -> bool {
    let asked = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| parts.method == Method::OPTIONS);
    let method = asked.map_or(parts.method.as_str().as_bytes(), HeaderValue::as_bytes);
    let path = parts.uri.path();
    match method {
        b"POST" => path
            .strip_prefix("/api/v1/conversations")
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('/') && rest.ends_with("/messages"))),
        b"GET" => path.starts_with("/voice/"),
        _ => false,
    }
}

/// The layer that answers browsers about other sites' pages: those that are listed, and for what a publishable key and its
/// tickets are good for, the pages of such keys. Cookies never cross sites.
pub fn cors(app: App) -> CorsLayer {
    let allowed = AllowOrigin::async_predicate(move |origin: HeaderValue, parts: &Parts| {
        let origin = origin.to_str().map(str::to_ascii_lowercase).unwrap_or_default();
        let is_listed = is_allowed(&app.config, parts, &origin);
        let may_be_of_a_key = !is_listed && is_for_keys(parts);
        async move { is_listed || (may_be_of_a_key && app.auth.keys.is_page(&*app.store, &origin).await) }
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            CSRF_HEADER,
            layers::CORRELATION,
        ])
        .expose_headers([ETAG, RETRY_AFTER, layers::CORRELATION])
        .max_age(REMEMBERED)
}
