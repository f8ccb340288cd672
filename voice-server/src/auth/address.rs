//! Which address a request comes from, and whether it came to the outermost proxy by https.
//!
//! A forwarding header is believed only where the peer is a proxy of `VOICE_TRUSTED_PROXIES`; then the list in it is read from the
//! right, and the first address that is no trusted proxy is the client's. Whatever stands further left was written
//! by the client itself. Pure. Callers: `throttle` and `limits` through `Identity`, `cookies`.

use std::net::{IpAddr, Ipv6Addr};

use hyper::HeaderMap;

/// Hops that are looked at; a longer list is no honest one.
const MOST_HOPS: usize = 32;

/// The client's address.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[(IpAddr, u8)]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let told =
        [hops(headers, "forwarded", for_of), hops(headers, "x-forwarded-for", |hop| parse(hop.trim()))];
    match told {
        [None, None] => peer,
        [Some(hops), None] | [None, Some(hops)] => walk(peer, hops, trusted),
        [Some(one), Some(other)] => {
            // A proxy writes one of the two and passes the other on as the client sent it; which is which cannot be known.
            let (one, other) = (walk(peer, one, trusted), walk(peer, other, trusted));
            if one == other { one } else { peer }
        }
    }
}

/// Whether a trusted proxy says that the client came by https.
pub fn came_by_https(peer: IpAddr, headers: &HeaderMap, trusted: &[(IpAddr, u8)]) -> bool {
    if !is_trusted(peer.to_canonical(), trusted) {
        return false;
    }
    let last = |name: &str| headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next();
    let plain = last("x-forwarded-proto").map(str::trim);
    let told = plain.or_else(|| last("forwarded").and_then(|hop| parameter(hop, "proto")));
    told.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// What limits count as one client: an IPv4 address, or the network of 64 bits that one IPv6 line gets.
pub fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

fn is_trusted(address: IpAddr, networks: &[(IpAddr, u8)]) -> bool {
    networks.iter().any(|(network, bits)| match (address, network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32_u32.saturating_sub(u32::from(*bits));
            (u64::from(a.to_bits()) >> shift) == (u64::from(n.to_bits()) >> shift)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let shift = 128_u32.saturating_sub(u32::from(*bits));
            // A shift by the whole width would be an overflow; it means that every address is in.
            a.to_bits().checked_shr(shift) == n.to_bits().checked_shr(shift)
        }
        _ => false,
    })
}

/// The hops that a header lists, the nearest one first; `None` within for what is no address.
fn hops(
    headers: &HeaderMap,
    name: &str,
    read: impl Fn(&str) -> Option<IpAddr>,
) -> Option<Vec<Option<IpAddr>>> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    if lines.is_empty() {
        return None;
    }
    let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    Some(hops.take(MOST_HOPS).map(read).collect())
}

fn walk(peer: IpAddr, hops: Vec<Option<IpAddr>>, trusted: &[(IpAddr, u8)]) -> IpAddr {
    let mut last = peer;
    for hop in hops {
        // What cannot be read ends what can be known: then the proxy that wrote it stands for its client.
        let Some(hop) = hop else { return last };
        last = hop;
        if !is_trusted(hop, trusted) {
            return hop;
        }
    }
    last
}

/// RFC 7239, section 4: `for=192.0.2.43;proto=https`, `for="[2001:db8::1]:4711"`.
fn for_of(hop: &str) -> Option<IpAddr> {
    parse(parameter(hop, "for")?)
}

fn parameter<'h>(hop: &'h str, name: &str) -> Option<&'h str> {
    hop.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// An address, perhaps with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => IpAddr::V4(text.rsplit_once(':')?.0.parse().ok()?),
        },
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        map
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_up_to_the_first_stranger() {
        let trusted = [(ip("10.0.0.0"), 8), (ip("2001:db8::"), 32)];
        for (peer, headers, expected) in [
            // No proxy of ours: whatever it says is its own.
            ("203.0.113.9", vec![("x-forwarded-for", "1.2.3.4")], "203.0.113.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
            ("::ffff:10.0.0.1", vec![("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
            // The client wrote 6.6.6.6 itself.
            ("10.0.0.1", vec![("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")], "1.2.3.4"),
            ("10.0.0.1", vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
            ("10.0.0.1", vec![("x-forwarded-for", "1.2.3.4:5678")], "1.2.3.4"),
            ("10.0.0.1", vec![("x-forwarded-for", "unknown")], "10.0.0.1"),
            ("10.0.0.1", vec![("x-forwarded-for", "1.2.3.4, unknown, 10.0.0.7")], "10.0.0.7"),
            ("10.0.0.1", vec![("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", vec![("forwarded", "for=6.6.6.6, for=1.2.3.4;proto=https")], "1.2.3.4"),
            ("10.0.0.1", vec![("forwarded", "For=\"[2001:4860::1]:47011\"")], "2001:4860::1"),
            ("10.0.0.1", vec![("forwarded", "for=_hidden")], "10.0.0.1"),
            ("2001:db8::7", vec![("forwarded", "for=1.2.3.4")], "1.2.3.4"),
            // Both headers: only what both say.
            ("10.0.0.1", vec![("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
            ("10.0.0.1", vec![("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "10.0.0.1"),
        ] {
            assert_eq!(client(ip(peer), &map(&headers), &trusted), ip(expected), "{peer} {headers:?}");
        }
    }

    #[test]
    fn networks_hold_by_their_bits() {
        for (network, bits, address, within) in [
            ("10.0.0.0", 8, "10.255.0.1", true),
            ("10.0.0.0", 8, "11.0.0.1", false),
            ("0.0.0.0", 0, "1.2.3.4", true),
            ("192.0.2.7", 32, "192.0.2.7", true),
            ("192.0.2.7", 32, "192.0.2.6", false),
            ("::", 0, "2001:db8::1", true),
            ("::", 0, "1.2.3.4", false),
            ("2001:db8::", 32, "2001:db8:1::1", true),
            ("2001:db8::", 32, "2001:db9::1", false),
        ] {
            assert_eq!(
                is_trusted(ip(address), &[(ip(network), bits)]),
                within,
                "{address} in {network}/{bits}"
            );
        }
    }

    #[test]
    fn https_is_believed_of_a_trusted_proxy_only() {
        let trusted = [(ip("10.0.0.0"), 8)];
        for (peer, headers, expected) in [
            ("10.0.0.1", vec![("x-forwarded-proto", "https")], true),
            ("10.0.0.1", vec![("x-forwarded-proto", "https, http")], false),
            ("10.0.0.1", vec![("forwarded", "for=1.2.3.4;proto=HTTPS")], true),
            ("10.0.0.1", vec![], false),
            ("9.9.9.9", vec![("x-forwarded-proto", "https")], false),
        ] {
            assert_eq!(came_by_https(ip(peer), &map(&headers), &trusted), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn one_ipv6_line_is_one_client() {
        assert_eq!(group(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(group(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
    }
}
