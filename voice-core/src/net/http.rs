//! Requests over HTTP, each wait with a limit, each failure sorted by what its reader can do.
//!
//! Connections are kept open between requests, so that a question asks its model on a warm one. Redirects are not followed:
//! a key goes to the configured address and to no other.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, redirect};
use tokio::time::timeout;

use crate::error::ProviderError;

/// Connections, kept and shared. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient(Client);

/// The body of an answer, piece by piece as it comes.
pub type Body = BoxStream<'static, Result<Bytes, ProviderError>>;

impl HttpClient {
    /// A client with no connection open yet.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] where this machine has no certificates that TLS can trust.
    pub fn new() -> Result<Self, ProviderError> {
        // Another part of the program may have done so before; one provider of crypto is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("voice/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .redirect(redirect::Policy::none())
            .build();
        client.map(Self).map_err(|error| ProviderError::Misconfigured {
            provider: "https",
            detail: format!("no connection can be made from this machine: {error}"),
        })
    }

    /// Posts JSON and waits for the head of the answer at most `limit`.
    ///
    /// # Errors
    /// Nobody answers, or not in time. An answer of any status is none.
    pub(crate) async fn post_json(
        &self,
        provider: &'static str,
        url: &str,
        headers: impl Iterator<Item = (&'static str, String)>,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Response, ProviderError> {
        let kind = std::iter::once(("content-type", "application/json".to_owned()));
        self.post(provider, url, headers.chain(kind), body.into(), limit).await
    }

    /// Posts a body whose kind stands in the headers, and waits for the head of the answer at most `limit`.
    ///
    /// # Errors
    /// Nobody answers, or not in time. An answer of any status is none.
    pub(crate) async fn post(
        &self,
        provider: &'static str,
        url: &str,
        headers: impl Iterator<Item = (&'static str, String)>,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, ProviderError> {
        send(provider, self.0.post(url).headers(head(headers)?).body(body), limit).await
    }

    /// Gets what stands at an address; its head comes within `limit`.
    ///
    /// # Errors
    /// Nobody answers, or not in time. An answer of any status is none.
    pub(crate) async fn get(
        &self,
        provider: &'static str,
        url: &str,
        headers: impl Iterator<Item = (&'static str, String)>,
        limit: Duration,
    ) -> Result<Response, ProviderError> {
        send(provider, self.0.get(url).headers(head(headers)?), limit).await
    }
}

/// The body of an answer as it comes.
pub(crate) fn body(provider: &'static str, response: Response) -> Body {
    response.bytes_stream().map(move |piece| piece.map_err(|error| unreachable(provider, &error))).boxed()
}

/// A whole body that comes within `limit`. More than `most` bytes are cut off behind the first one too many, so that the
/// reader sees it.
///
/// # Errors
/// The body breaks off, or is not there in time.
pub(crate) async fn whole(
    provider: &'static str,
    response: Response,
    most: usize,
    limit: Duration,
) -> Result<Vec<u8>, ProviderError> {
    let mut pieces = body(provider, response);
    let mut taken = Vec::new();
    let all = async {
        while taken.len() <= most {
            let Some(piece) = pieces.next().await.transpose()? else { break };
            taken.extend_from_slice(&piece[..piece.len().min(most + 1 - taken.len())]);
        }
        Ok(())
    };
    match timeout(limit, all).await {
        Ok(read) => read.map(|()| taken),
        Err(_) => Err(ProviderError::TimedOut { provider, after: limit }),
    }
}

/// At most `most` bytes of a body, as far as they come within `limit`: enough of an error to sort it.
pub(crate) async fn beginning(response: Response, most: usize, limit: Duration) -> Vec<u8> {
    let mut pieces = response.bytes_stream();
    let mut taken = Vec::new();
    let all = async {
        while taken.len() < most {
            let Some(Ok(piece)) = pieces.next().await else { break };
            taken.extend_from_slice(&piece[..piece.len().min(most - taken.len())]);
        }
    };
    // What has come by then is sorted as it is.
    let _ = timeout(limit, all).await;
    taken
}

async fn send(
    provider: &'static str,
    request: RequestBuilder,
    limit: Duration,
) -> Result<Response, ProviderError> {
    match timeout(limit, request.send()).await {
        Ok(answer) => answer.map_err(|error| unreachable(provider, &error)),
        Err(_) => Err(ProviderError::TimedOut { provider, after: limit }),
    }
}

/// Headers, with the values kept out of debug output.
pub(super) fn head(
    headers: impl Iterator<Item = (&'static str, String)>,
) -> Result<HeaderMap, ProviderError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let mut value = HeaderValue::try_from(value).map_err(|_| ProviderError::Misconfigured {
            provider: "https",
            detail: format!("the setting behind the header {name} holds a character that no header may have"),
        })?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_static(name), value);
    }
    Ok(map)
}

/// What the transport says, without the address: its query may hold what nobody should read.
fn unreachable(provider: &'static str, error: &reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        return ProviderError::TimedOut { provider, after: CONNECT };
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let what = if error.is_connect() { "no connection" } else { "the connection broke" };
    ProviderError::Unreachable { provider, detail: format!("{what}: {deepest}") }
}

/// A reachable service accepts within a round trip or two; an absent one is known to be absent after this.
const CONNECT: Duration = Duration::from_secs(2);
/// Servers close idle connections after a minute or more; ours are gone before, so that none is used that is half closed.
const IDLE: Duration = Duration::from_secs(50);
