//! A real S3 server for the tests: moto, which checks signatures and rights, started on a free port.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::seal::Keys;
use super::{Blobs, Patience, S3Settings};
use crate::config::Secret;

/// A running server. It ends with the value.
pub(crate) struct Moto {
    child: Child,
    port: u16,
    /// Where it is, with a key that it takes.
    pub(crate) settings: S3Settings,
}

const BUCKET: &str = "voice-test";

impl Moto {
    /// `None` where it is not installed; in the gate (`VOICE_GATE=1`) that is a failure.
    pub(crate) async fn start() -> Option<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
        let program = target.join("moto-venv/bin/moto_server");
        if !program.exists() {
            let gate = std::env::var_os("VOICE_GATE").is_some_and(|set| set == "1");
            assert!(!gate, "no S3 server is installed; with VOICE_GATE=1 nothing may be left out");
            eprintln!("NOT TRIED: no S3 server is installed; `.ci/setup test` brings it");
            return None;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            // Making the key, its rights and the bucket; from then on every request must be signed.
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "4")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the S3 server starts");
        let mut moto = Self { child, port, settings: S3Settings::default() };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the S3 server does not listen");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        moto.make_key_and_bucket().await;
        Some(moto)
    }

    pub(crate) fn blobs(&self, keys: Keys) -> Blobs {
        // It is on this machine: what does not come at once does not come.
        let patience =
            Patience { small: Duration::from_secs(10), large: Duration::from_secs(10), retries: 2 };
        Blobs::in_s3(&self.settings, keys, patience).expect("settings that fit")
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn make_key_and_bucket(&mut self) {
        let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                      %22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        self.ask("iam", "POST", "/", "Action=CreateUser&UserName=u&Version=2010-05-08".into()).await;
        let put = format!(
            "Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}&Version=2010-05-08"
        );
        self.ask("iam", "POST", "/", put).await;
        let key =
            self.ask("iam", "POST", "/", "Action=CreateAccessKey&UserName=u&Version=2010-05-08".into()).await;
        let field = |name: &str| {
            let rest = key.split_once(&format!("<{name}>")).expect("a field of the key").1;
            Secret::new(rest.split('<').next().unwrap_or_default())
        };
        self.settings = S3Settings {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            bucket: Some(BUCKET.into()),
            region: Some("us-east-1".into()),
            access_key_id: Some(field("AccessKeyId")),
            secret_access_key: Some(field("SecretAccessKey")),
        };
        self.ask("s3", "PUT", &format!("/{BUCKET}"), String::new()).await;
    }

    /// A request before signatures count; its header only says which service is meant.
    async fn ask(&self, service: &str, method: &str, path: &str, body: String) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let mut stream =
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=x/20200101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}
