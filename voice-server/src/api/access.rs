//! Who may call without signing in. Nothing else is given to anybody without sign-in.
//!
//! Nothing here ever widens a right by what a request claims: an unconfigured server takes calls of this machine alone, a
//! configured one none, except where the operator says so with `VOICE_ANONYMOUS`.

use hyper::http::request::Parts;

use crate::auth::origins;
use crate::config::Config;
use crate::http::Problem;

/// Checks that a request may start an anonymous call.
///
/// # Errors
/// 401 where anonymous calls are off; 403, naming the setting, where they are for this machine only or the page's
/// origin is not allowed.
pub fn may_call(config: &Config, parts: &Parts) -> Result<(), Problem> {
    match config.anonymous {
        Some(false) => Err(Problem::unauthenticated("anonymous calls are switched off by VOICE_ANONYMOUS")),
        None if !config.is_unconfigured() => {
            Err(Problem::unauthenticated("anonymous calls are off on a configured server; VOICE_ANONYMOUS=true allows them"))
        }
        None => origins::of_this_machine(config, parts).map_err(|reason| {
            Problem::forbidden(format!(
                "anonymous calls are taken from this machine only, and {reason}; VOICE_ANONYMOUS=true takes them \
                 from anywhere"
            ))
        }),
        Some(true) => origins::check(config, parts, &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::connect_info::ConnectInfo;
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
    fn the_table_of_who_may_call_without_sign_in_holds() {
        let secret = Some(Secret::new("s"));
        let local = request("127.0.0.1", &[("host", "localhost:8000")]);
        let far = request("10.0.0.9", &[("host", "voice.example.com")]);
        let page = request("10.0.0.9", &[("host", "voice.example.com"), ("origin", "https://Shop.example")]);
        let other = request("127.0.0.1", &[("host", "localhost"), ("origin", "https://evil.example")]);
        let own = request("127.0.0.1", &[("host", "localhost"), ("origin", "http://localhost:3000")]);
        // Setting, then the statuses for: local, far, page, other, own.
        for (anonymous, auth_secret, calling) in [
            (None, None, [200, 403, 403, 403, 200]),
            (None, secret.clone(), [401; 5]),
            (Some(false), None, [401; 5]),
            (Some(true), None, [200, 200, 200, 403, 200]),
            (Some(true), secret, [200, 200, 200, 403, 200]),
        ] {
            let config = Config {
                anonymous,
                auth_secret,
                allowed_origins: vec!["https://shop.example".into()],
                ..Config::default()
            };
            for (i, parts) in [&local, &far, &page, &other, &own].into_iter().enumerate() {
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
        assert_eq!(status(may_call(&Config::default(), &parts)), 403);
    }
}
