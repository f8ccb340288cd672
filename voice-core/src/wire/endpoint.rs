//! Base addresses and the addresses under them.
//!
//! An [`Endpoint`] is what a `..._BASE_URL` setting says, checked once; a [`Target`] is one address under it with its
//! parts escaped (RFC 3986). The socket scheme follows from the other one. Invariant: whatever is put into a path or
//! a query, the address names no other host, path or parameter.

use std::fmt::{self, Write as _};

/// Where a service lives: scheme, host, port and the path before its own paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    authority: String,
    path: String,
}

/// A base address that is none. Its text never repeats the address, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not `https`, `http`, `wss` or `ws`.
    #[error("an address starts with https://, http://, wss:// or ws://")]
    Scheme,
    /// No host, or a port that is none.
    #[error("the address names no host, or a port that is not one")]
    Host,
    /// A name or password before the host.
    #[error("an address holds no user name and no password")]
    UserInfo,
    /// A query or a fragment, which belong to single requests.
    #[error("a base address ends before any ? or #")]
    Query,
    /// Blanks, control or other characters that must be escaped, or an address of more than 2,048 bytes.
    #[error("the address is too long or has characters that do not belong there")]
    Characters,
}

/// Longer than any real base address; a bound on what a setting can hold.
const LONGEST_ADDRESS: usize = 2_048;

impl Endpoint {
    /// Reads a base address. Slashes at its end do not matter.
    ///
    /// ```
    /// use voice_core::wire::Endpoint;
    /// let base = Endpoint::parse("http://127.0.0.1:9000/").unwrap();
    /// assert_eq!(base.socket().segments("v1/listen").query("model", "a b").build(), "ws://127.0.0.1:9000/v1/listen?model=a%20b");
    /// ```
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn parse(address: &str) -> Result<Self, EndpointError> {
        let address = address.trim();
        if address.len() > LONGEST_ADDRESS || address.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err(EndpointError::Characters);
        }
        let (scheme, rest) = address.split_once("://").ok_or(EndpointError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(EndpointError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(EndpointError::Query);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        if !is_authority(authority) {
            return Err(EndpointError::Host);
        }
        if !path.bytes().all(|b| is_plain(b) || matches!(b, b'/' | b'%')) {
            return Err(EndpointError::Characters);
        }
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { secure, authority: authority.to_ascii_lowercase(), path })
    }

    /// The same without `suffix` at the end of its path: some settings are written with the version, some without.
    pub fn without(mut self, suffix: &str) -> Self {
        if let Some(rest) = self.path.strip_suffix(suffix) {
            self.path = rest.trim_end_matches('/').to_owned();
        }
        self
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host, and port where one is given, as in a `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Starts the address of a request.
    pub fn http(&self) -> Target {
        self.start(if self.secure { "https" } else { "http" })
    }

    /// Starts the address of a socket (RFC 6455, section 3).
    pub fn socket(&self) -> Target {
        self.start(if self.secure { "wss" } else { "ws" })
    }

    fn start(&self, scheme: &str) -> Target {
        Target { text: format!("{scheme}://{}{}", self.authority, self.path), has_query: false }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.http().build())
    }
}

/// An address being put together: segments first, then parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    has_query: bool,
}

impl Target {
    /// Adds segments that are written in the code, such as `v1/listen`, as they are.
    pub fn segments(mut self, path: &'static str) -> Self {
        self.text.push('/');
        self.text.push_str(path);
        self
    }

    /// Adds one segment of any text, escaped; `.` and `..` too, which would otherwise name another path.
    pub fn segment(mut self, name: &str) -> Self {
        self.text.push('/');
        match name {
            "." => self.text.push_str("%2E"),
            ".." => self.text.push_str("%2E%2E"),
            _ => escape_into(name, &mut self.text),
        }
        self
    }

    /// Adds a parameter of any text, escaped. The same key may come again.
    pub fn query(mut self, key: &'static str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(key);
        self.text.push('=');
        escape_into(value, &mut self.text);
        self
    }

    /// Adds a parameter where there is a value.
    pub fn query_if(self, key: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// The whole address.
    pub fn build(self) -> String {
        self.text
    }
}

/// RFC 3986, section 2.3: what needs no escape anywhere.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn escape_into(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// RFC 3986, section 3.2: a name, an address, or an IPv6 address in brackets, and maybe a port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else { return false };
            let is_host =
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
            if !is_host {
                return false;
            }
            match port {
                "" => return true,
                _ => ("bracketed", port.strip_prefix(':').unwrap_or("no port")),
            }
        }
        None => match authority.split_once(':') {
            Some(parts) => parts,
            None => (authority, "1"),
        },
    };
    let is_host = !host.is_empty() && host.bytes().all(is_plain);
    is_host && port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_take_the_scheme_that_goes_with_the_address() {
        for (given, http, socket) in [
            ("https://api.elevenlabs.io", "https://api.elevenlabs.io/v1", "wss://api.elevenlabs.io/v1"),
            ("http://127.0.0.1:9000//", "http://127.0.0.1:9000/v1", "ws://127.0.0.1:9000/v1"),
            ("wss://Host.Example/base/", "https://host.example/base/v1", "wss://host.example/base/v1"),
            ("ws://[::1]:80", "http://[::1]:80/v1", "ws://[::1]:80/v1"),
            ("HTTPS://[2001:db8::1]", "https://[2001:db8::1]/v1", "wss://[2001:db8::1]/v1"),
        ] {
            let endpoint = Endpoint::parse(given).expect(given);
            assert_eq!(endpoint.http().segments("v1").build(), http);
            assert_eq!(endpoint.socket().segments("v1").build(), socket);
        }
    }

    #[test]
    fn a_version_at_the_end_may_be_there_or_not() {
        for given in ["https://a.example/v1/", "https://a.example/v1", "https://a.example"] {
            let endpoint = Endpoint::parse(given).expect(given).without("/v1");
            assert_eq!(endpoint.to_string(), "https://a.example");
        }
    }

    #[test]
    fn what_is_no_base_address_is_told_without_repeating_it() {
        for (given, error) in [
            ("api.elevenlabs.io", EndpointError::Scheme),
            ("ftp://a.example", EndpointError::Scheme),
            ("https://", EndpointError::Host),
            ("https:///path", EndpointError::Host),
            ("https://a.example:", EndpointError::Host),
            ("https://a.example:0", EndpointError::Host),
            ("https://a.example:65536", EndpointError::Host),
            ("https://a.example:+1", EndpointError::Host),
            ("https://[::1", EndpointError::Host),
            ("https://[]:1", EndpointError::Host),
            ("https://[::1]x", EndpointError::Host),
            ("https://user:hush@a.example", EndpointError::UserInfo),
            ("https://a.example/?key=hush", EndpointError::Query),
            ("https://a.example#x", EndpointError::Query),
            ("https://a exa", EndpointError::Characters),
            ("https://a.example/\"", EndpointError::Characters),
            ("https://bücher.example", EndpointError::Characters),
        ] {
            let found = Endpoint::parse(given).expect_err(given);
            assert_eq!(found, error, "{given}");
            assert!(!found.to_string().contains("hush"));
        }
        assert_eq!(
            Endpoint::parse(&format!("https://{}", "a".repeat(3_000))),
            Err(EndpointError::Characters)
        );
    }

    #[test]
    fn no_value_breaks_out_of_its_place() {
        let target = Endpoint::parse("https://a.example").expect("an address").socket();
        let text = target
            .segments("v1/voices")
            .segment("../x?y=1#z")
            .segment("..")
            .query("q", "a&b=c d+é")
            .query_if("none", None)
            .query("q", "")
            .build();
        assert_eq!(text, "wss://a.example/v1/voices/..%2Fx%3Fy%3D1%23z/%2E%2E?q=a%26b%3Dc%20d%2B%C3%A9&q=");
    }
}
