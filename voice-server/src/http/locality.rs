//! Which requests come from this machine itself: the rule that guards what needs no sign-in.
//!
//! A loopback peer alone proves nothing: a reverse proxy on this host makes the whole internet one, and any web page
//! can open sockets to localhost. So all of these must hold: the server listens on loopback only, the peer is
//! loopback, `Host` names this machine (which stops names that an attacker points at 127.0.0.1), `Origin` is absent
//! or this machine's, and no header says that somebody forwarded the request. Pure; callers: `api` and `voice`.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};
use hyper::http::Uri;

/// Why a request does not count as this machine's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLocal {
    /// The server listens on an address that others can reach.
    #[error("the server listens on {0}, which is not a loopback address (VOICE_BIND)")]
    Bind(IpAddr),
    /// The peer is another machine.
    #[error("the request comes from another machine")]
    Peer,
    /// `Host`, or the address in the request line, is missing, given twice, or not this machine's.
    #[error("the Host of the request is not localhost, 127.0.0.1 or [::1]")]
    Host,
    /// A web page of another site sent it.
    #[error("the Origin of the request is not a page of this machine")]
    Origin,
    /// A proxy forwarded it.
    #[error("the request was forwarded by a proxy ({0})")]
    Forwarded(String),
}

/// Checks the rule for one request. `uri` is the request's target as it came.
///
/// # Errors
/// The first condition that does not hold.
pub fn check(bind: IpAddr, peer: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), NotLocal> {
    if !is_loopback(bind) {
        return Err(NotLocal::Bind(bind));
    }
    if !is_loopback(peer) {
        return Err(NotLocal::Peer);
    }
    if let Some(name) = forwarded_by(headers) {
        return Err(NotLocal::Forwarded(name.to_owned()));
    }
    if !host(uri, headers).is_some_and(names_this_machine) {
        return Err(NotLocal::Host);
    }
    match only(headers, ORIGIN.as_str()) {
        None => Ok(()),
        Some(Ok(origin)) if is_local_origin(origin) => Ok(()),
        Some(_) => Err(NotLocal::Origin),
    }
}

/// The header by which a proxy says that it forwarded a request, if one does.
pub fn forwarded_by(headers: &HeaderMap) -> Option<&str> {
    headers.keys().map(|name| name.as_str()).find(|name| is_forwarding(name))
}

/// The name and port by which the client reached the server; `None` where it is missing or told in two ways. RFC 9112,
/// section 3.2.2: an address in the request line counts before `Host`, so the two must not differ in naming us.
pub fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let host = only(headers, HOST.as_str())?.ok()?;
    match uri.authority() {
        Some(authority) if names_this_machine(authority.as_str()) && names_this_machine(host) => Some(host),
        Some(authority) => authority.as_str().eq_ignore_ascii_case(host).then_some(host),
        None => Some(host),
    }
}

/// Host and port of an origin, as they stand there.
pub fn authority_of(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// True for `http://` or `https://` and a name of this machine, with any port and nothing else.
pub fn is_local_origin(origin: &str) -> bool {
    authority_of(origin).is_some_and(names_this_machine)
}

/// Whether an address is of this machine itself, also where it comes in IPv6 clothes.
pub fn is_loopback(address: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is what a dual-stack socket calls 127.0.0.1.
    address.to_canonical().is_loopback()
}

fn is_forwarding(header: &str) -> bool {
    header == "forwarded" || header.starts_with("x-forwarded-")
}

/// `localhost`, `127.0.0.1` or `[::1]`, with or without a port.
pub fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        // The last colon of a bare `[::1]` belongs to the address.
        Some((name, port)) if !port.ends_with(']') => {
            if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
                return false;
            }
            name
        }
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// The header's one value: `None` where it is absent, `Err` where it comes twice or is no text.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<Result<&'h str, ()>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(match (first.to_str(), values.next()) {
        (Ok(text), None) => Ok(text),
        _ => Err(()),
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const LOOPBACK: &str = "127.0.0.1";

    fn checked(bind: &str, peer: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), NotLocal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
                HeaderValue::from_str(value).expect("a header value"),
            );
        }
        check(
            bind.parse().expect("an address"),
            peer.parse().expect("an address"),
            &uri.parse().expect("a target"),
            &map,
        )
    }

    #[test]
    fn only_loopback_addresses_on_both_sides_pass() {
        for (bind, peer, passes) in [
            (LOOPBACK, LOOPBACK, true),
            ("127.9.9.9", "127.0.0.2", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("0.0.0.0", LOOPBACK, false),
            ("::", "::1", false),
            ("192.168.0.2", LOOPBACK, false),
            (LOOPBACK, "192.168.0.3", false),
            ("::1", "::ffff:10.0.0.1", false),
            ("::1", "fe80::1", false),
        ] {
            assert_eq!(checked(bind, peer, "/", &[("host", "localhost")]).is_ok(), passes, "{bind} {peer}");
        }
    }

    #[test]
    fn only_three_hosts_with_any_port_pass() {
        for (host, passes) in [
            ("localhost", true),
            ("LocalHost:8000", true),
            ("localhost:1", true),
            ("127.0.0.1", true),
            ("127.0.0.1:65535", true),
            ("[::1]", true),
            ("[::1]:8000", true),
            ("", false),
            ("localhost:", false),
            ("localhost:80x", false),
            ("localhost:999999", false),
            ("localhost.", false),
            ("localhost.example.com", false),
            ("127.0.0.2", false),
            ("127.0.0.1.nip.io", false),
            ("::1", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[::2]:80", false),
            ("0.0.0.0", false),
            ("example.com", false),
            ("user@localhost", false),
            ("localhost, example.com", false),
        ] {
            let found = checked(LOOPBACK, LOOPBACK, "/", &[("host", host)]);
            assert_eq!(found, if passes { Ok(()) } else { Err(NotLocal::Host) }, "{host:?}");
        }
    }

    #[test]
    fn a_missing_or_doubled_host_is_refused() {
        assert_eq!(checked(LOOPBACK, LOOPBACK, "/", &[]), Err(NotLocal::Host));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(checked(LOOPBACK, LOOPBACK, "/", &twice), Err(NotLocal::Host));
    }

    #[test]
    fn an_address_in_the_request_line_must_be_ours_too() {
        let host = [("host", "localhost")];
        assert_eq!(checked(LOOPBACK, LOOPBACK, "http://localhost:8000/x", &host), Ok(()));
        assert_eq!(checked(LOOPBACK, LOOPBACK, "http://example.com/x", &host), Err(NotLocal::Host));
    }

    #[test]
    fn an_origin_passes_when_absent_or_of_this_machine_on_any_port() {
        for (origin, passes) in [
            ("http://localhost:3000", true),
            ("https://localhost", true),
            ("http://127.0.0.1:8000", true),
            ("http://[::1]:5173", true),
            ("null", false),
            ("", false),
            ("http://example.com", false),
            ("http://localhost.example.com", false),
            ("http://localhost@example.com", false),
            ("http://localhost/", false),
            ("file://", false),
            ("chrome-extension://localhost", false),
        ] {
            let found = checked(LOOPBACK, LOOPBACK, "/", &[("host", "localhost"), ("origin", origin)]);
            assert_eq!(found, if passes { Ok(()) } else { Err(NotLocal::Origin) }, "{origin:?}");
        }
        let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost")];
        assert_eq!(checked(LOOPBACK, LOOPBACK, "/", &twice), Err(NotLocal::Origin));
    }

    #[test]
    fn any_forwarding_header_is_refused_by_its_name() {
        for name in
            ["forwarded", "x-forwarded-for", "X-Forwarded-Host", "x-forwarded-proto", "x-forwarded-anything"]
        {
            let found = checked(LOOPBACK, LOOPBACK, "/", &[("host", "localhost"), (name, "")]);
            assert_eq!(found, Err(NotLocal::Forwarded(name.to_ascii_lowercase())));
        }
        for name in ["x-forward", "x-request-id", "via"] {
            assert_eq!(
                checked(LOOPBACK, LOOPBACK, "/", &[("host", "localhost"), (name, "1")]),
                Ok(()),
                "{name}"
            );
        }
    }
}
