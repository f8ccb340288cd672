//! The keys that a sign-in service publishes (RFC 7517), kept for ten minutes.
//!
//! One request is under way at a time and takes two seconds at most. A service that is gone keeps the known keys working; a
//! name that nobody knows makes the set be read again, but not more often than each 15 s, whatever comes in. A key
//! that has vanished from the set works for one more [`FRESH`], since caches before the service lag.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Client;
use serde::Deserialize;

/// How long a set is not asked for again.
pub const FRESH: Duration = Duration::from_secs(10 * 60);
/// The least time between two requests.
const PAUSE: Duration = Duration::from_secs(15);
/// A service that takes longer does not answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Largest set that is read, in bytes.
const LARGEST: usize = 256 * 1024;
/// Keys of a set that are looked at.
const MOST_KEYS: usize = 64;
/// Longest name of a key.
const LONGEST_NAME: usize = 256;

/// A published key and the one algorithm it may be used with.
#[derive(Debug)]
pub struct PublicKey {
    /// Verifies signatures.
    pub verifies: DecodingKey,
    /// The algorithm.
    pub algorithm: Algorithm,
}

/// A key that was asked for.
#[derive(Clone, Debug)]
pub struct Found {
    /// The key.
    pub key: Arc<PublicKey>,
    /// Whether the service could not be asked lately.
    pub is_stale: bool,
}

#[derive(Debug)]
struct Known {
    key: Arc<PublicKey>,
    /// When it was last seen in the set.
    seen: Instant,
}

#[derive(Debug, Default)]
struct State {
    keys: HashMap<String, Known>,
    /// When the set was last read.
    read: Option<Instant>,
    /// When it was last asked for, with or without an answer.
    asked: Option<Instant>,
    /// Whether the last request failed.
    fails: bool,
}

/// The keys of one service.
#[derive(Debug)]
pub struct Jwks {
    url: String,
    client: Option<Client>,
    state: Mutex<State>,
    /// Held while a request is under way; it ends within its deadline.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
struct Set {
    // Each by itself: a key of a kind that is not known here must not spoil the others.
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    /// The set at `url`; nothing is asked yet.
    pub fn new(url: String) -> Self {
        // Another part of the program may have done so before; one provider of crypto is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("voice/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(DEADLINE)
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        if let Err(error) = &client {
            tracing::error!(%error, "the sign-in service's keys cannot be asked for from this machine");
        }
        Self { url, client: client.ok(), state: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The key of this name at `now`.
    pub async fn find(&self, name: &str, now: Instant) -> Option<Found> {
        if name.len() > LONGEST_NAME {
            return None;
        }
        let (known, wants) = self.look(name, now);
        match known {
            Some(found) if !wants => Some(found),
            // A known key waits for nobody: if somebody is asking already, it is used as it is.
            Some(found) => match self.asking.try_lock() {
                Ok(_asking) => {
                    self.ask(now).await;
                    self.look(name, now).0
                }
                Err(_) => Some(found),
            },
            None => {
                let _asking = self.asking.lock().await;
                // Whoever asked meanwhile asked for us too.
                let (known, wants) = self.look(name, now);
                if known.is_some() || !wants {
                    return known;
                }
                self.ask(now).await;
                self.look(name, now).0
            }
        }
    }

    /// The key as it is known, and whether the set should be read.
    fn look(&self, name: &str, now: Instant) -> (Option<Found>, bool) {
        let state = self.lock();
        let is_fresh = state.read.is_some_and(|at| now.saturating_duration_since(at) < FRESH);
        let may_ask = state.asked.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE);
        let found = state.keys.get(name).map(|known| Found { key: known.key.clone(), is_stale: state.fails });
        let wants = may_ask && (!is_fresh || found.is_none());
        (found, wants)
    }

    async fn ask(&self, now: Instant) {
        self.lock().asked = Some(now);
        let answer = tokio::time::timeout(DEADLINE, self.fetch()).await;
        let mut state = self.lock();
        match answer.ok().flatten() {
            Some(keys) => {
                state.read = Some(now);
                state.fails = false;
                state.keys.extend(keys.into_iter().map(|(name, key)| (name, Known { key, seen: now })));
                state.keys.retain(|_, known| now.saturating_duration_since(known.seen) < FRESH);
            }
            None => {
                if !state.fails {
                    tracing::warn!("the sign-in service does not give its keys; those known are used");
                }
                state.fails = true;
            }
        }
    }

    async fn fetch(&self) -> Option<HashMap<String, Arc<PublicKey>>> {
        let mut answer = self.client.as_ref()?.get(&self.url).send().await.ok()?.error_for_status().ok()?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.ok()? {
            if body.len() + part.len() > LARGEST {
                return None;
            }
            body.extend_from_slice(&part);
        }
        let set: Set = serde_json::from_slice(&body).ok()?;
        Some(set.keys.into_iter().take(MOST_KEYS).filter_map(read).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key for signatures of a kind that is used here; `None` for every other, symmetric ones among them.
fn read(value: serde_json::Value) -> Option<(String, Arc<PublicKey>)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let name = jwk.common.key_id.clone().filter(|name| name.len() <= LONGEST_NAME)?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, told) = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|named| named != told) {
        return None;
    }
    let verifies = DecodingKey::from_jwk(&jwk).ok()?;
    Some((name, Arc::new(PublicKey { verifies, algorithm })))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A service that publishes a set, which may change, and counts who asks.
    pub(in crate::auth) struct Published {
        port: u16,
        set: Arc<Mutex<Value>>,
        asked: Arc<AtomicUsize>,
        serving: JoinHandle<()>,
    }

    impl Published {
        pub(in crate::auth) async fn serve(set: Value) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let (set, asked) = (Arc::new(Mutex::new(set)), Arc::new(AtomicUsize::new(0)));
            let (shown, count) = (set.clone(), asked.clone());
            let serving = tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut head = vec![0; 4_096];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let path = String::from_utf8_lossy(&head[..read]).into_owned();
                    count.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = if path.starts_with("GET /auth/v1/.well-known/jwks.json ") {
                        ("200 OK", shown.lock().expect("unpoisoned").to_string())
                    } else {
                        ("404 Not Found", String::new())
                    };
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                         Connection: close\r\n\r\n{body}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
            Self { port, set, asked, serving }
        }

        pub(in crate::auth) fn url(&self) -> String {
            format!("http://127.0.0.1:{}", self.port)
        }

        pub(in crate::auth) fn stop(&self) {
            self.serving.abort();
        }

        fn jwks(&self) -> Jwks {
            Jwks::new(format!("{}/auth/v1/.well-known/jwks.json", self.url()))
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn key(name: &str) -> Value {
        // Any point of the curve will do: its generator.
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": name,
            "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
            "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
        })
    }

    #[tokio::test]
    async fn a_set_is_asked_for_once_and_again_when_it_is_old() {
        let published = Published::serve(json!({"keys": [key("a")]})).await;
        let jwks = published.jwks();
        let begun = Instant::now();
        for seconds in [0, 1, 599] {
            assert!(jwks.find("a", begun + Duration::from_secs(seconds)).await.is_some());
        }
        assert_eq!(published.asked(), 1);
        assert!(jwks.find("a", begun + FRESH).await.is_some());
        assert_eq!(published.asked(), 2);
    }

    #[tokio::test]
    async fn a_new_key_is_found_by_its_name_and_an_old_one_works_on_for_a_while() {
        let published = Published::serve(json!({"keys": [key("a")]})).await;
        let jwks = published.jwks();
        let begun = Instant::now();
        assert!(jwks.find("a", begun).await.is_some());
        *published.set.lock().expect("unpoisoned") = json!({"keys": [key("b")]});
        let later = begun + PAUSE;
        assert!(jwks.find("b", later).await.is_some());
        assert!(jwks.find("a", later).await.is_some());
        let much_later = later + FRESH;
        assert!(jwks.find("b", much_later).await.is_some());
        assert!(jwks.find("a", much_later).await.is_none());
    }

    #[tokio::test]
    async fn unknown_names_do_not_make_a_flood_of_requests() {
        let published = Published::serve(json!({"keys": [key("a")]})).await;
        let jwks = Arc::new(published.jwks());
        let begun = Instant::now();
        let many = (0..50).map(|n| {
            let jwks = jwks.clone();
            async move { jwks.find(&format!("unknown {n}"), begun).await.is_none() }
        });
        assert!(futures::future::join_all(many).await.into_iter().all(|unknown| unknown));
        assert_eq!(published.asked(), 1);
        assert!(jwks.find("unknown", begun + PAUSE).await.is_none());
        assert_eq!(published.asked(), 2);
    }

    #[tokio::test]
    async fn keys_of_other_kinds_are_left_out_and_spoil_nothing() {
        let set = json!({"keys": [
            {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"},
            {"kty": "new", "kid": "unheard of"},
            "no object",
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "no point", "use": "enc"},
            key("a"),
        ]});
        let published = Published::serve(set).await;
        let jwks = published.jwks();
        let now = Instant::now();
        assert!(jwks.find("a", now).await.is_some());
        for name in ["symmetric", "unheard of", "no point", "", &"x".repeat(1_000)] {
            assert!(jwks.find(name, now).await.is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn nobody_answering_is_told_within_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // It accepts and says nothing.
        let silent = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        let jwks = Jwks::new(format!("http://127.0.0.1:{port}/jwks.json"));
        let begun = Instant::now();
        assert!(jwks.find("a", begun).await.is_none());
        assert!(begun.elapsed() < DEADLINE + Duration::from_secs(2), "{:?}", begun.elapsed());
        silent.abort();
    }
}
