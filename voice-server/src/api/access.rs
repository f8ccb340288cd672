//! Who may read and who may call without signing in.
//!
//! Nothing here ever widens a right by what a request claims: an unconfigured server serves this machine alone, a
//! configured one serves nobody without sign-in, except calls where the operator says so with `VOICE_ANONYMOUS`.

use std::net::SocketAddr;

use axum::extract::connect_info::ConnectInfo;
use hyper::StatusCode;
use hyper::header::ORIGIN;
use hyper::http::request::Parts;

use crate::config::Config;
use crate::http::Problem;
use crate::http::locality::{self, NotLocal};

/// Checks that a request may read the default organization's conversations without signing in.
///
/// # Errors
/// 401 where sign-in is configured; 403, naming the setting, where the request is not of this machine.
pub fn may_read(config: &Config, parts: &Parts) -> Result<(), Problem> {
    if !config.is_unconfigured() {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "signing in is required, because VOICE_AUTH_SECRET or a database is configured",
        ));
    }
    local(config, parts).map_err(|reason| {
        Problem::forbidden(format!(
            "without sign-in conversations are read from this machine only, and {reason}; to read them from \
             elsewhere set VOICE_AUTH_SECRET and sign in"
        ))
    })
}

/// Checks that a request may start an anonymous call.
///
/// # Errors
/// 401 where anonymous calls are off; 403, naming the setting, where they are for this machine only or the page's
/// origin is not allowed.
pub fn may_call(config: &Config, parts: &Parts) -> Result<(), Problem> {
    match config.anonymous {
        Some(false) => Err(unauthenticated("anonymous calls are switched off by VOICE_ANONYMOUS")),
        None if !config.is_unconfigured() => {
            Err(unauthenticated("anonymous calls are off on a configured server; VOICE_ANONYMOUS=true allows them"))
        }
        None => local(config, parts).map_err(|reason| {
            Problem::forbidden(format!(
                "anonymous calls are taken from this machine only, and {reason}; VOICE_ANONYMOUS=true takes them \
                 from anywhere"
            ))
        }),
        Some(true) => {
            let mut origins = parts.headers.get_all(ORIGIN).iter();
            let allowed = match (origins.next(), origins.next()) {
                (None, _) => true,
                (Some(origin), None) => origin.to_str().is_ok_and(|origin| {
                    let origin = origin.to_ascii_lowercase();
                    config.allowed_origins.contains(&origin)
                        || is_own_page(config, parts, &origin)
                        || (local(config, parts).is_ok() && locality::is_local_origin(&origin))
                }),
                _ => false,
            };
            if allowed {
                Ok(())
            } else {
                Err(Problem::forbidden(
                    "pages of this Origin may not call; VOICE_ALLOWED_ORIGINS lists those that may, also where this \
                     server's own page is opened by another name than localhost",
                ))
            }
        }
    }
}

/// Whether `origin`, in small letters, is that of a page which this very server gave: its host and port are those in
/// the request's `Host`, and that names this machine or is listed. An unlisted name proves nothing: anybody can point one
/// at this server and serve a page under it.
fn is_own_page(config: &Config, parts: &Parts, origin: &str) -> bool {
    let Some(host) = locality::host(&parts.uri, &parts.headers).map(str::to_ascii_lowercase) else {
        return false;
    };
    let known = locality::names_this_machine(&host)
        || config.allowed_origins.iter().any(|allowed| locality::authority_of(allowed) == Some(&host));
    known && locality::authority_of(origin) == Some(&host)
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

fn local(config: &Config, parts: &Parts) -> Result<(), NotLocal> {
    // A request whose peer is unknown cannot be shown to come from here.
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Err(NotLocal::Peer);
    };
    locality::check(config.bind.ip(), peer.ip(), &parts.uri, &parts.headers)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::config::Secret;

    fn request(peer: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder().uri("/");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (mut parts, ()) = builder.body(()).expect("a request").into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().expect("an address"), 9)));
        parts
    }

    fn status(outcome: Result<(), Problem>) -> u16 {
        outcome.map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn the_table_of_who_may_read_and_call_holds() {
        let secret = Some(Secret::new("s"));
        let local = request("127.0.0.1", &[("host", "localhost:8000")]);
        let far = request("10.0.0.9", &[("host", "voice.example.com")]);
        let page = request("10.0.0.9", &[("host", "voice.example.com"), ("origin", "https://Shop.example")]);
        let other = request("127.0.0.1", &[("host", "localhost"), ("origin", "https://evil.example")]);
        let own = request("127.0.0.1", &[("host", "localhost"), ("origin", "http://localhost:3000")]);
        // Setting, then the statuses of reading and of calling for: local, far, page, other, own.
        for (anonymous, auth_secret, reading, calling) in [
            (None, None, [200, 403, 403, 403, 200], [200, 403, 403, 403, 200]),
            (None, secret.clone(), [401; 5], [401; 5]),
            (Some(false), None, [200, 403, 403, 403, 200], [401; 5]),
            (Some(true), None, [200, 403, 403, 403, 200], [200, 200, 200, 403, 200]),
            (Some(true), secret, [401; 5], [200, 200, 200, 403, 200]),
        ] {
            let config = Config {
                anonymous,
                auth_secret,
                allowed_origins: vec!["https://shop.example".into()],
                ..Config::default()
            };
            for (i, parts) in [&local, &far, &page, &other, &own].into_iter().enumerate() {
                assert_eq!(status(may_read(&config, parts)), reading[i], "reading {i} {config:?}");
                assert_eq!(status(may_call(&config, parts)), calling[i], "calling {i} {config:?}");
            }
        }
    }

    #[test]
    fn a_page_of_this_very_server_may_call_where_its_name_is_known() {
        let config = Config {
            anonymous: Some(true),
            bind: "0.0.0.0:8000".parse().expect("an address"),
            allowed_origins: vec!["https://voice.example".into()],
            ..Config::default()
        };
        for (host, origin, expected) in [
            ("localhost:8000", "http://localhost:8000", 200),
            ("LOCALHOST:8000", "http://localhost:8000", 200),
            ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
            ("[::1]:8000", "http://[::1]:8000", 200),
            ("voice.example", "https://voice.example", 200),
            // A name that an attacker points at this server.
            ("evil.example:8000", "http://evil.example:8000", 403),
            ("10.0.0.1:8000", "http://10.0.0.1:8000", 403),
            // Pages of others, on this machine or not.
            ("localhost:8000", "http://localhost:3000", 403),
            ("localhost:8000", "http://127.0.0.1:8000", 403),
            ("localhost:8000", "http://evil.example", 403),
            ("localhost:8000", "null", 403),
            ("localhost:8000", "http://localhost:8000/", 403),
            ("localhost:8000", "localhost:8000", 403),
        ] {
            let parts = request("10.0.0.9", &[("host", host), ("origin", origin)]);
            assert_eq!(status(may_call(&config, &parts)), expected, "{host} {origin}");
        }
        let twice =
            request("10.0.0.9", &[("host", "a"), ("host", "localhost"), ("origin", "http://localhost")]);
        assert_eq!(status(may_call(&config, &twice)), 403);
    }

    #[test]
    fn a_request_without_a_known_peer_is_not_local() {
        let (parts, ()) =
            Request::builder().header("host", "localhost").body(()).expect("a request").into_parts();
        assert_eq!(status(may_read(&Config::default(), &parts)), 403);
    }
}
