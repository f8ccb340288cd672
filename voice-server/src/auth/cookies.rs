//! Cookies of the pages: the session and the refresh token, which no script reads, and a word that the page must repeat.
//!
//! `voice_session` holds the access token, `voice_refresh` the refresh token (for `/api/v1/auth` alone), both `HttpOnly`; `voice_csrf` holds a
//! word bound to the sign-in that the page sends back as `X-CSRF-Token` with whatever changes something. All are
//! `SameSite=Strict`, and `Secure` where the page came by https. They last as long as the refresh token, so that an access token
//! that is over is told apart from none.

use std::net::SocketAddr;

use axum::extract::connect_info::ConnectInfo;
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use hyper::http::request::Parts;

use super::address::came_by_https;
use super::{origins, refresh};
use crate::config::Config;

/// The access token.
pub const SESSION: &str = "voice_session";
/// The refresh token.
pub const REFRESH: &str = "voice_refresh";
/// The word against forgery.
pub const CSRF: &str = "voice_csrf";
/// The header that repeats it.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// The only requests that get the refresh token.
const REFRESH_PATH: &str = "/api/v1/auth";

/// The value of a cookie; `None` where it is absent or comes twice, as when another site of the domain sets one too.
pub fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let first = values.next();
    if values.next().is_some() { None } else { first.filter(|value| !value.is_empty()) }
}

/// Whether cookies may be marked `Secure`: the page came by https.
pub fn is_https(config: &Config, parts: &Parts) -> bool {
    if let origins::Said::One(origin) = origins::of(parts) {
        return origin.starts_with("https://");
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| came_by_https(peer.ip(), &parts.headers, &config.trusted_proxies))
}

/// Adds the cookies of a sign-in.
pub fn set(headers: &mut HeaderMap, access: &str, refresh: &str, csrf: &str, is_https: bool) {
    let lasts = refresh::LIFETIME.as_secs();
    add(headers, SESSION, access, "/", lasts, true, is_https);
    add(headers, REFRESH, refresh, REFRESH_PATH, lasts, true, is_https);
    add(headers, CSRF, csrf, "/", lasts, false, is_https);
}

/// Takes them away.
pub fn clear(headers: &mut HeaderMap, is_https: bool) {
    for (name, path) in [(SESSION, "/"), (REFRESH, REFRESH_PATH), (CSRF, "/")] {
        add(headers, name, "", path, 0, name != CSRF, is_https);
    }
}

fn add(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
    path: &str,
    seconds: u64,
    http_only: bool,
    is_https: bool,
) {
    let http_only = if http_only { "; HttpOnly" } else { "" };
    let secure = if is_https { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path={path}; Max-Age={seconds}; SameSite=Strict{http_only}{secure}");
    // Tokens are letters, digits, dots and hyphens; nothing else can come here.
    if let Ok(mut line) = HeaderValue::from_str(&line) {
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others_and_a_doubtful_one_is_none() {
        for (lines, expected) in [
            (vec![], None),
            (vec!["a=1; voice_session=t.o.k; b=2"], Some("t.o.k")),
            (vec!["a=1", "voice_session=t"], Some("t")),
            (vec!["voice_session="], None),
            (vec!["xvoice_session=t; voice_sessions=t"], None),
            (vec!["voice_session=one; voice_session=two"], None),
            (vec!["voice_session=one", "voice_session=one"], None),
        ] {
            assert_eq!(value(&with(&lines), SESSION), expected, "{lines:?}");
        }
    }

    #[test]
    fn no_script_reads_the_tokens_and_https_keeps_them_to_itself() {
        for (is_https, mark) in [(false, ""), (true, "; Secure")] {
            let mut headers = HeaderMap::new();
            set(&mut headers, "access", "refresh", "word", is_https);
            let lines: Vec<_> =
                headers.get_all(SET_COOKIE).iter().map(|l| l.to_str().expect("text")).collect();
            assert_eq!(
                lines,
                [
                    format!("voice_session=access; Path=/; Max-Age=2592000; SameSite=Strict; HttpOnly{mark}"),
                    format!(
                        "voice_refresh=refresh; Path=/api/v1/auth; Max-Age=2592000; SameSite=Strict; HttpOnly{mark}"
                    ),
                    format!("voice_csrf=word; Path=/; Max-Age=2592000; SameSite=Strict{mark}"),
                ]
            );
        }
    }
}
