//! Access tokens of Supabase Auth: users of the project sign in there and come here with its token.
//!
//! A project signs with its secret (HS256) or with keys that it publishes (ES256, RS256, EdDSA). Which algorithm a key may be used
//! with is fixed by the key, never by the token: a public key is no secret for HMAC. Issuer, audience and role are checked; the
//! organization and the role here come from `app_metadata`, which the user cannot write. Callers: `identity`.

use std::time::Instant;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use uuid::Uuid;

use super::jwks::{Found, Jwks};
use super::tokens::{LONGEST, TokenError, check_times};
use crate::config::Secret;
use crate::data::Role;

/// The audience and role of a signed-in user's token.
const AUTHENTICATED: &str = "authenticated";

/// A user as Supabase tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its id there, which is also its id here where it was added from there.
    pub sub: Uuid,
    /// Its address, in small letters.
    pub email: Option<String>,
    /// The organization that the project's administrator put it in.
    pub organization: Option<Uuid>,
    /// The role that the project's administrator gave it.
    pub role: Option<Role>,
    /// The sign-in.
    pub session: Option<Uuid>,
    /// Whether the project's keys could not be read of late, so that nothing should be changed by this token.
    pub is_stale: bool,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: Uuid,
    exp: u64,
    iat: Option<u64>,
    nbf: Option<u64>,
    role: String,
    email: Option<String>,
    #[serde(default)]
    is_anonymous: bool,
    session_id: Option<Uuid>,
    #[serde(default)]
    app_metadata: AppMetadata,
}

#[derive(Default, Deserialize)]
struct AppMetadata {
    organization_id: Option<Uuid>,
    voice_role: Option<Role>,
}

/// Verifies the tokens of one project.
#[derive(Debug)]
pub struct Supabase {
    /// `None` where only the secret is known: then any project's issuer with that secret passes, and only that one has it.
    issuer: Option<String>,
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
}

impl Supabase {
    /// The project at `url`, whose secret may be known. `None` where neither is given.
    pub fn new(url: Option<&str>, secret: Option<&Secret>) -> Option<Self> {
        if url.is_none() && secret.is_none() {
            return None;
        }
        let issuer = url.map(|url| format!("{}/auth/v1", url.trim_end_matches('/')));
        let jwks = issuer.as_ref().map(|issuer| Jwks::new(format!("{issuer}/.well-known/jwks.json")));
        let secret = secret.map(|secret| DecodingKey::from_secret(secret.expose().as_bytes()));
        Some(Self { issuer, secret, jwks })
    }

    /// What a token says, if the project signed it and it is good at `now` in seconds since 1970.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn verify(&self, token: &str, now: u64) -> Result<Told, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // The one place where the header chooses, and it chooses among keys, each with its own algorithm.
        if header.alg == Algorithm::HS256 {
            let secret = self.secret.as_ref().ok_or(TokenError::Invalid)?;
            return self.read(token, secret, Algorithm::HS256, now, false);
        }
        let (Some(jwks), Some(kid)) = (&self.jwks, &header.kid) else { return Err(TokenError::Invalid) };
        let Found { key, is_stale } = jwks.find(kid, Instant::now()).await.ok_or(TokenError::Invalid)?;
        self.read(token, &key.verifies, key.algorithm, now, is_stale)
    }

    fn read(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
        now: u64,
        is_stale: bool,
    ) -> Result<Told, TokenError> {
        let mut expected = Validation::new(algorithm);
        expected.set_audience(&[AUTHENTICATED]);
        expected.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are checked below against the clock that was passed in.
        expected.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, key, &expected).map_err(|_| TokenError::Invalid)?.claims;
        let is_issuer = match &self.issuer {
            Some(issuer) => claims.iss == *issuer,
            None => claims.iss.ends_with("/auth/v1"),
        };
        if !is_issuer || claims.role != AUTHENTICATED || claims.is_anonymous {
            return Err(TokenError::Invalid);
        }
        check_times(claims.exp, claims.iat, claims.nbf, now)?;
        Ok(Told {
            sub: claims.sub,
            email: claims.email.map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty()),
            organization: claims.app_metadata.organization_id,
            role: claims.app_metadata.voice_role,
            session: claims.session_id,
            is_stale,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header};
    use ring::hmac;
    use ring::rand::{SecureRandom as _, SystemRandom};
    use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
    use rsa::pkcs8::EncodePrivateKey as _;
    use rsa::rand_core::{CryptoRng, RngCore};
    use rsa::traits::PublicKeyParts as _;
    use serde_json::{Value, json};

    use super::super::jwks::tests::Published;
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters";

    fn claims(issuer: &str) -> Value {
        json!({
            "iss": issuer,
            "sub": "7b0f6a2e-3f0c-4d6a-9d5e-0a1b2c3d4e5f",
            "aud": "authenticated",
            "exp": NOW + 3_600,
            "iat": NOW,
            "role": "authenticated",
            "email": "Agent@Example.com",
            "is_anonymous": false,
            "session_id": "00000000-0000-4000-8000-0000000000aa",
            "app_metadata": {
                "provider": "email",
                "organization_id": "00000000-0000-4000-8000-000000000001",
                "voice_role": "admin"
            },
            "user_metadata": {"organization_id": "00000000-0000-4000-8000-000000000666"}
        })
    }

    fn with(of: &Value, name: &str, value: Value) -> Value {
        let mut of = of.clone();
        of[name] = value;
        of
    }

    fn hs256(claims: &Value, secret: &[u8]) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
            .expect("signed")
    }

    /// The system's randomness as the generator of keys wants it.
    struct Drawn(SystemRandom);

    impl RngCore for Drawn {
        fn next_u32(&mut self) -> u32 {
            rsa::rand_core::impls::next_u32_via_fill(self)
        }

        fn next_u64(&mut self) -> u64 {
            rsa::rand_core::impls::next_u64_via_fill(self)
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            self.0.fill(bytes).expect("randomness");
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }

    impl CryptoRng for Drawn {}

    type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

    /// A pair of keys: its public half as published, and its signature of anything.
    struct Pair {
        jwk: Value,
        alg: &'static str,
        sign: Sign,
    }

    impl Pair {
        fn es256(kid: &str) -> Self {
            let (kind, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("made");
            let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("read");
            let point = pair.public_key().as_ref().to_vec();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]});
            let sign = move |bytes: &[u8]| pair.sign(&random, bytes).expect("signed").as_ref().to_vec();
            Self { jwk, alg: "ES256", sign: Box::new(sign) }
        }

        fn eddsa(kid: &str) -> Self {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("made");
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("read");
            let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            let jwk =
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig"});
            Self { jwk, alg: "EdDSA", sign: Box::new(move |bytes| pair.sign(bytes).as_ref().to_vec()) }
        }

        fn rs256(kid: &str) -> Self {
            let random = SystemRandom::new();
            let private = rsa::RsaPrivateKey::new(&mut Drawn(SystemRandom::new()), 2_048).expect("made");
            let part = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
            let jwk = json!({"kty": "RSA", "n": part(private.n()), "e": part(private.e()), "kid": kid, "alg": "RS256", "use": "sig"});
            // Another library signs than verifies.
            let pair =
                RsaKeyPair::from_pkcs8(private.to_pkcs8_der().expect("written").as_bytes()).expect("read");
            let sign = move |bytes: &[u8]| {
                let mut tag = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, bytes, &mut tag).expect("signed");
                tag
            };
            Self { jwk, alg: "RS256", sign: Box::new(sign) }
        }

        fn token(&self, kid: &str, claims: &Value) -> String {
            let header = json!({"alg": self.alg, "typ": "JWT", "kid": kid});
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&header), part(claims));
            let tag = (self.sign)(signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
        }
    }

    #[tokio::test]
    async fn a_token_of_the_project_s_secret_is_read() {
        let supabase =
            Supabase::new(Some("https://ref.supabase.co/"), Some(&Secret::new(SECRET))).expect("set");
        let good = claims("https://ref.supabase.co/auth/v1");
        let told = supabase.verify(&hs256(&good, SECRET.as_bytes()), NOW).await.expect("good");
        assert_eq!(
            told,
            Told {
                sub: "7b0f6a2e-3f0c-4d6a-9d5e-0a1b2c3d4e5f".parse().expect("an id"),
                email: Some("agent@example.com".into()),
                organization: Some("00000000-0000-4000-8000-000000000001".parse().expect("an id")),
                role: Some(Role::Admin),
                session: Some("00000000-0000-4000-8000-0000000000aa".parse().expect("an id")),
                is_stale: false,
            }
        );
        // The audience may be a list; what the user wrote of itself counts for nothing.
        let listed = with(&with(&good, "aud", json!(["authenticated"])), "app_metadata", json!({}));
        let told = supabase.verify(&hs256(&listed, SECRET.as_bytes()), NOW).await.expect("good");
        assert_eq!((told.organization, told.role), (None, None));
        for (name, value) in [
            ("iss", json!("https://other.supabase.co/auth/v1")),
            ("iss", json!("voice")),
            ("aud", json!("anon")),
            ("role", json!("service_role")),
            ("role", json!("anon")),
            ("is_anonymous", json!(true)),
            ("sub", json!("me")),
            ("iat", json!(NOW + 600)),
            ("nbf", json!(NOW + 600)),
        ] {
            let token = hs256(&with(&good, name, value.clone()), SECRET.as_bytes());
            assert_eq!(supabase.verify(&token, NOW).await, Err(TokenError::Invalid), "{name} {value}");
        }
        let token = hs256(&good, SECRET.as_bytes());
        assert!(supabase.verify(&token, NOW + 3_629).await.is_ok(), "clocks may differ a little");
        assert_eq!(supabase.verify(&token, NOW + 3_630).await, Err(TokenError::Expired));
        assert_eq!(supabase.verify(&hs256(&good, b"another"), NOW).await, Err(TokenError::Invalid));
    }

    #[tokio::test]
    async fn tokens_of_published_keys_are_read_and_no_key_passes_as_another_kind() {
        let (ec, ed, rs) = (Pair::es256("ec"), Pair::eddsa("ed"), Pair::rs256("rs"));
        let published = Published::serve(json!({"keys": [ec.jwk, ed.jwk, rs.jwk]})).await;
        let supabase = Supabase::new(Some(&published.url()), None).expect("set");
        let good = claims(&format!("{}/auth/v1", published.url()));
        for (pair, kid) in [(&ec, "ec"), (&ed, "ed"), (&rs, "rs")] {
            assert!(supabase.verify(&pair.token(kid, &good), NOW).await.is_ok(), "{kid}");
        }
        assert!(supabase.verify(&ec.token("ed", &good), NOW).await.is_err(), "another key's name");
        assert!(supabase.verify(&ec.token("unknown", &good), NOW).await.is_err());
        assert!(supabase.verify(&rs.token("ec", &good), NOW).await.is_err(), "another kind's name");
        let mut spoilt = rs.token("rs", &good).into_bytes();
        let at = spoilt.len() - 40;
        spoilt[at] = if spoilt[at] == b'A' { b'B' } else { b'A' };
        let spoilt = String::from_utf8(spoilt).expect("ASCII");
        assert_eq!(supabase.verify(&spoilt, NOW).await, Err(TokenError::Invalid), "a spoilt signature");
        let forged = Pair { alg: "RS512", ..Pair::rs256("rs") };
        assert!(supabase.verify(&forged.token("rs", &good), NOW).await.is_err(), "another algorithm and key");
        assert!(supabase.verify(&Pair::es256("ec").token("ec", &good), NOW).await.is_err(), "a foreign key");
        // The public key taken as a secret: as its document, its coordinate, its name.
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let secrets = [
            ("ec", ec.jwk.to_string()),
            ("ec", ec.jwk["x"].to_string()),
            ("ec", "ec".into()),
            ("ec", String::new()),
            ("rs", rs.jwk.to_string()),
            ("rs", rs.jwk["n"].as_str().expect("text").to_owned()),
        ];
        for (kid, secret) in secrets {
            for alg in ["HS256", "none"] {
                let signed = format!("{}.{}", part(&json!({"alg": alg, "kid": kid})), part(&good));
                let tag =
                    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert_eq!(supabase.verify(&token, NOW).await, Err(TokenError::Invalid), "{alg}");
            }
        }
        assert!(supabase.verify(&hs256(&good, SECRET.as_bytes()), NOW).await.is_err(), "no secret is set");
    }

    #[tokio::test]
    async fn a_key_set_that_is_gone_keeps_its_keys_working_and_says_so() {
        let ec = Pair::es256("ec");
        let published = Published::serve(json!({"keys": [ec.jwk]})).await;
        let supabase = Supabase::new(Some(&published.url()), None).expect("set");
        let token = ec.token("ec", &claims(&format!("{}/auth/v1", published.url())));
        assert!(!supabase.verify(&token, NOW).await.expect("good").is_stale);
        published.stop();
        let jwks = supabase.jwks.as_ref().expect("set");
        let later = Instant::now() + super::super::jwks::FRESH;
        let found = jwks.find("ec", later).await.expect("kept");
        assert!(found.is_stale);
        assert!(supabase.verify(&token, NOW).await.expect("still good").is_stale);
    }
}
