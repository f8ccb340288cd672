//! Texts of settings to checked values. Pure; each function answers `None` where the text is malformed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::http::Uri;

/// `address:port`; the bare word `localhost` stands for 127.0.0.1.
pub(super) fn socket_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// `true` or `false`; also `1` and `0`, as environments like to write it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number within the range.
pub(super) fn count(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

/// An address with one of the schemes and a host. A database may have several hosts, separated by commas.
pub(super) fn url(text: &str, schemes: &[&str]) -> Option<()> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let hosts = authority.rsplit('@').next()?;
    let sound = hosts.split(',').all(is_host) && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    (schemes.contains(&scheme) && sound).then_some(())
}

/// RFC 3986, section 3.2.2: a name or an address, an IPv6 one in brackets, with or without a port.
fn is_host(text: &str) -> bool {
    let (sound, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
            (name.chars().all(plain) && name.starts_with(char::is_alphanumeric), port)
        }
    };
    let sound_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    sound && (port.is_empty() || port.strip_prefix(':').is_some_and(sound_port))
}

/// Items of a list, without the empty ones.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Words of a fixed vocabulary, at least one, none twice.
pub(super) fn choices(text: &str, words: &[&'static str]) -> Option<Vec<&'static str>> {
    let mut chosen: Vec<&'static str> = Vec::new();
    for item in list(text) {
        let word = words.iter().find(|word| **word == item)?;
        if chosen.contains(word) {
            return None;
        }
        chosen.push(word);
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// A web origin: scheme, host, perhaps a port, nothing after it. Gives it in lower case.
pub(crate) fn origin(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.ends_with('/');
    (matches!(scheme, "http" | "https") && bare && is_host(authority.as_str()))
        .then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}

/// An address, or a network as address and prefix length.
pub(super) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?),
        None => {
            let address: IpAddr = text.parse().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}

/// A language tag as BCP 47 shapes it: a language of two or three letters and further parts of up to eight.
pub(super) fn language(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let first = parts.next()?;
    let sound = (2..=3).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    sound.then(|| text.to_owned())
}
