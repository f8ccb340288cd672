//! From a request to a call: who may, which conversation, in what form. Refusals are HTTP problems.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use fastwebsockets::upgrade::{self as handshake, UpgradeFut};
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{
    HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::actor::Socket;
use super::call::Profile;
use super::query;
use super::registry::Seat;
use super::resume::{Owner, Second};
use super::writing::{Alone, Way};
use crate::api::id_of;
use crate::app::App;
use crate::auth;
use crate::cost::Account;
use crate::data::Timestamp;
use crate::events::Publisher;
use crate::http::Problem;

/// The subprotocol with events.
const SUBPROTOCOL: &str = "voice.v1";

/// How long a call waits for the answer to a written message: longer than one takes.
const MESSAGE_LIMIT: Duration = Duration::from_secs(9);

/// Where a page asks by a plain request why its socket was refused, it says here what its `Origin` is: a browser adds
/// that to a socket's handshake, but not to a page's request of its own server.
const PAGE_ORIGIN: HeaderName = HeaderName::from_static("x-page-origin");

/// `GET /voice/{session_id}`: starts a call. A plain request is answered as its handshake would be, so that a page can
/// show why it may not call; where it may, the answer is 426.
///
/// # Errors
/// 401 or 403 where the caller may not, 404 for an id that is malformed or another's, 422 for a bad query, 429 where the key or
/// the address has as many calls as it may, 409 where another connection has the call, 503 where the server stops or cannot
/// store, 426 and 400 for what is no handshake.
pub async fn upgrade(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    mut request: Request,
) -> Result<Response, Problem> {
    let shakes_hands = handshake::is_upgrade_request(&request);
    let (mut parts, body) = request.into_parts();
    if !shakes_hands
        && !parts.headers.contains_key(ORIGIN)
        && let Some(origin) = parts.headers.get(PAGE_ORIGIN).cloned()
    {
        // This can only take a right away: without an `Origin` more is allowed than with one.
        parts.headers.insert(ORIGIN, origin);
    }
    let profile = profile(&parts.headers);
    let id = id_of(id).filter(|id| !id.is_nil());
    let allowed = auth::caller_of(&app, &parts, id.unwrap_or_default()).await;
    // A call that is under way here, or was a moment ago, may be resumed also by whoever may not begin one any more: a
    // ticket is used up by then.
    let found = if shakes_hands { id.and_then(|id| app.calls.find(id)) } else { None };
    let second = match found {
        Some(found) => Second::of(found, profile, &parts, allowed.as_ref().ok().map(owner).as_ref()),
        None => Ok(None),
    };
    let caller = match (allowed, &second) {
        (Err(_), Ok(Some(second))) if !second.is_anonymous() => None,
        (allowed, _) => Some(allowed?),
    };
    let second = second?;
    let unknown = || Problem::not_found("there is no such call");
    let id = id.ok_or_else(unknown)?;
    let asked = query::parse_query(parts.uri.query().unwrap_or_default())
        .map_err(|bad| Problem::bad_value(bad.field, format!("{bad}")))?;
    if app.shutdown.has_begun() {
        return Err(Problem::unavailable("stopping", "the server is stopping; call again in a moment", 5));
    }
    if let Some(refusal) = check_handshake_head(shakes_hands, &parts.headers)? {
        return Ok(refusal);
    }
    let busy = || Problem::unavailable("busy", "all lines are busy; call again in a moment", 5);
    if let Some(second) = second {
        let aside = app.calls.aside().ok_or_else(busy)?;
        request = Request::from_parts(parts, body);
        let (response, upgrade) = shake_hands(&mut request, profile)?;
        app.calls.spawn(second.receive(upgrade, app.limits, aside));
        return Ok(response);
    }
    let caller = caller.ok_or_else(unknown)?;
    let page = owner(&caller).from_page(&parts);
    let account = Account::start(app.prices.clone());
    let seat = app.calls.seat().ok_or_else(busy)?;

    request = Request::from_parts(parts, body);
    let (response, upgrade) = shake_hands(&mut request, profile)?;
    let mut created = (Timestamp::now(), Instant::now());
    let mut place = None;
    let mut known = caller.known(None);
    let (mut turns_before, mut is_new) = (0, false);
    let mut alone = None;
    if matches!(seat, Seat::Taken(_)) {
        alone = Some(alone_in(&app, &caller, id).await?);
        place = Some(caller.place(&app).await?);
        match caller.join(&app, created.0).await? {
            Some((before, turns)) => {
                turns_before = turns;
                created = (before.created_at, since(before.created_at, created));
                known = caller.known(Some(&before));
            }
            None => is_new = true,
        }
        caller.redeem(&app).await?;
    }
    let plan = match &seat {
        Seat::Taken(_) => app.archive.plan(caller.organization, id).await,
        Seat::Refused(_) => None,
    };
    let socket = Socket {
        plan,
        upgrade,
        seat,
        id,
        owner: page,
        calls: app.calls.clone(),
        caller: known,
        account: account.clone(),
        turns_before,
        is_new,
        created,
        store: app.store.clone(),
        publisher: Arc::new(Publisher::new(app.events.clone(), caller.organization, id)),
        profile,
        asked,
        metrics: app.metrics.clone(),
        limits: app.limits,
        shutdown: app.shutdown.clone(),
    };
    let carried = Arc::clone(&app.answerer).carry(socket);
    app.calls.spawn(async move {
        carried.await;
        drop(alone);
        if let Some(place) = place {
            place.spent(account.cost().micros).await;
        }
    });
    Ok(response)
}

/// Takes the conversation for this call, once a message that is written in it is answered: that is the turn before the call's.
///
/// # Errors
/// 404 where it is another's, 401 for a ticket that somebody took first, 409 where another connection has its call, 503 where the
/// answer takes too long.
async fn alone_in(app: &App, caller: &auth::Caller, id: Uuid) -> Result<Alone, Problem> {
    if let Ok(alone) = app.writing.enter(id, Way::Call) {
        return Ok(alone);
    }
    // Nobody waits at another's conversation, nor learns that it exists.
    let unknown = || Problem::not_found("there is no such call");
    if caller.is_anonymous {
        return Err(unknown());
    }
    app.store.conversation(caller.organization, id).await?.ok_or_else(unknown)?;
    match app.writing.enter_call(id, MESSAGE_LIMIT).await {
        Ok(alone) => Ok(alone),
        Err(way) => {
            caller.is_still_good(app).await?;
            Err(match way {
                Way::Message => {
                    let detail = "a written message is still being answered; call again in a moment";
                    Problem::unavailable("under_way", detail, 2)
                }
                Way::Call => {
                    let detail =
                        "this call begins or ends just now by another connection; try again in a moment";
                    Problem::new(StatusCode::CONFLICT, "call_in_use", detail)
                }
            })
        }
    }
}

/// Whose the call is.
fn owner(caller: &auth::Caller) -> Owner {
    Owner {
        organization: caller.organization,
        user: caller.user,
        key: caller.key,
        is_anonymous: caller.is_anonymous,
        origin: None,
    }
}

/// The answer that opens the socket, and what resolves to it.
fn shake_hands(request: &mut Request, profile: Profile) -> Result<(Response, UpgradeFut), Problem> {
    let (response, upgrade) =
        handshake::upgrade(request).map_err(|_| no_handshake("the WebSocket handshake cannot be read"))?;
    let mut response = response.map(|_| Body::empty());
    if profile == Profile::Full {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok((response, upgrade))
}

/// When a conversation began that was made before its call, by the clock that never jumps.
fn since(begun: Timestamp, (now, instant): (Timestamp, Instant)) -> Instant {
    let ago = u64::try_from(now.as_millis().saturating_sub(begun.as_millis())).unwrap_or_default();
    instant.checked_sub(Duration::from_millis(ago)).unwrap_or(instant)
}

/// Whether a request is a handshake that can be answered: `None` where it is, else the answer that says what it should be.
///
/// # Errors
/// 400 for a key that is none.
pub(crate) fn check_handshake(request: &Request) -> Result<Option<Response>, Problem> {
    check_handshake_head(handshake::is_upgrade_request(request), request.headers())
}

fn check_handshake_head(shakes_hands: bool, headers: &HeaderMap) -> Result<Option<Response>, Problem> {
    if !shakes_hands {
        return Ok(Some(not_a_socket(
            UPGRADE,
            "websocket",
            "this address is a WebSocket: open it with ws:// or wss://",
        )));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Ok(Some(not_a_socket(
            SEC_WEBSOCKET_VERSION,
            "13",
            "the WebSocket handshake must be of version 13",
        )));
    }
    if !has_key(headers) {
        return Err(no_handshake(
            "the WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes in Base64",
        ));
    }
    Ok(None)
}

/// RFC 6455, section 11.3.4: a list, perhaps over several headers.
fn profile(headers: &HeaderMap) -> Profile {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if offered.flat_map(|list| list.split(',')).any(|name| name.trim() == SUBPROTOCOL) {
        Profile::Full
    } else {
        Profile::Basic
    }
}

/// RFC 6455, section 4.2.1: once, 16 bytes in Base64.
fn has_key(headers: &HeaderMap) -> bool {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return false };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key.as_bytes(), [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(plain))
}

/// 400 with what the handshake lacks.
pub(crate) fn no_handshake(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_handshake", detail)
}

/// 426 with the header that says what is wanted.
fn not_a_socket(name: HeaderName, value: &'static str, detail: &str) -> Response {
    use axum::response::IntoResponse as _;

    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail).into_response();
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subprotocol_is_found_in_any_list() {
        for (offered, expected) in [
            (vec![], Profile::Basic),
            (vec!["other"], Profile::Basic),
            (vec!["voice.v10"], Profile::Basic),
            (vec!["voice.v1"], Profile::Full),
            (vec!["other, voice.v1"], Profile::Full),
            (vec!["other", "voice.v1 , more"], Profile::Full),
        ] {
            let mut headers = HeaderMap::new();
            for value in &offered {
                headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value));
            }
            assert_eq!(profile(&headers), expected, "{offered:?}");
        }
    }
}
