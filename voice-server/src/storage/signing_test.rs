//! The signature covers the path that stands before the bucket, as Supabase's `/storage/v1/s3` does: checked against the
//! published rules of AWS Signature Version 4, computed here anew.

use ring::{digest, hmac};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::seal::Keys;
use super::{Blobs, Patience, S3Settings};
use crate::config::Secret;

const SECRET: &str = "a secret key";

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The signature that this request should have.
    fn signature(&self) -> String {
        let authorization = self.header("authorization");
        let field = |name: &str| {
            let rest = authorization.split_once(&format!("{name}=")).expect("a field").1;
            rest.split([',', ' ']).next().unwrap_or_default()
        };
        let signed = field("SignedHeaders");
        let scope = field("Credential").split_once('/').expect("a scope").1;
        let headers: String =
            signed.split(';').map(|name| format!("{name}:{}\n", self.header(name).trim())).collect();
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let canonical = format!(
            "{}\n{path}\n{query}\n{headers}\n{signed}\n{}",
            self.method,
            self.header("x-amz-content-sha256")
        );
        let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", self.header("x-amz-date"));
        let key = scope.split('/').fold(format!("AWS4{SECRET}").into_bytes(), |key, part| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec()
        });
        hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), to_sign.as_bytes()).as_ref())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn take(stream: &mut TcpStream) -> Request {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.lines();
    let mut first = lines.next().expect("a first line").split(' ');
    let (method, path) =
        (first.next().expect("a method").to_owned(), first.next().expect("a path").to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let request = Request { method, path, headers };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).await.expect("the body");
    request
}

#[tokio::test]
async fn the_path_before_the_bucket_is_signed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let request = take(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).await.expect("is told");
        request
    });
    let settings = S3Settings {
        endpoint: Some(format!("http://{address}/storage/v1/s3/")),
        bucket: Some("calls".into()),
        region: Some("eu-central-1".into()),
        access_key_id: Some(Secret::new("id")),
        secret_access_key: Some(Secret::new(SECRET)),
    };
    let blobs = Blobs::in_s3(&settings, Keys::default(), Patience::default()).expect("settings that fit");
    blobs.put("recordings/a-1.ogg", b"sound").await.expect("is stored");
    let request = serving.await.expect("a request");
    assert_eq!(request.path, "/storage/v1/s3/calls/recordings/a-1.ogg");
    let authorization = request.header("authorization");
    assert!(authorization.contains("/eu-central-1/s3/aws4_request"), "{authorization}");
    assert!(authorization.ends_with(&format!("Signature={}", request.signature())), "{authorization}");
}
