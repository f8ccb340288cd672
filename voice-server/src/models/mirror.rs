//! A mirror of the weights: a folder, or an http(s) address, whose files are named by their SHA-256.
//!
//! A download goes into a `.part` file and is resumed by a byte range, within one pull and by the next one.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, StatusCode};
use tokio::io::AsyncWriteExt;
use voice_core::local::weights::ModelFile;

use super::progress::Progress;
use super::store::Store;
use super::{ModelsError, Trouble};

/// Where weights may lie beside the package index. Parse it from `VOICE_MODELS_URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// A folder on this machine.
    Folder(PathBuf),
    /// An http(s) address; a slash and the SHA-256 are put behind it.
    Http(String),
}

impl FromStr for Mirror {
    type Err = ModelsError;

    fn from_str(given: &str) -> Result<Self, ModelsError> {
        let bad = || ModelsError::MirrorAddress { given: given.to_owned() };
        match given.split_once("://") {
            Some(("http" | "https", rest)) if !rest.is_empty() => {
                Ok(Self::Http(given.trim_end_matches('/').to_owned()))
            }
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(_) => Err(bad()),
            None if given.trim().is_empty() => Err(bad()),
            None => Ok(Self::Folder(given.into())),
        }
    }
}

impl Mirror {
    pub(super) fn connect(&self) -> Connection<'_> {
        Connection { mirror: self, client: None, down: None }
    }
}

/// A mirror in use during one pull.
pub(super) struct Connection<'a> {
    mirror: &'a Mirror,
    client: Option<Client>,
    /// Why the mirror is not asked any more: the first time nobody answered.
    down: Option<String>,
}

impl Connection<'_> {
    /// Brings one file into the store.
    pub(super) async fn bring(
        &mut self,
        file: &ModelFile,
        store: &Store,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        match self.mirror {
            Mirror::Folder(folder) => {
                let from = folder.join(file.sha256);
                let facts = fs::metadata(&from)
                    .map_err(|_| Trouble::Next(format!("has no file {} for {}", file.sha256, file.name)))?;
                if facts.len() != file.size {
                    return Err(Trouble::Next(format!("gave {} with the wrong size", file.name)));
                }
                let _bar = progress.start("copying", file.name, file.size);
                let part = store.part(file);
                tokio::fs::copy(&from, &part).await.map_err(|error| store.error(&error))?;
                store.keep(file, &part).await
            }
            Mirror::Http(base) => {
                if let Some(why) = &self.down {
                    return Err(Trouble::Next(why.clone()));
                }
                let client = match self.client.take() {
                    Some(client) => client,
                    None => http_client().map_err(Trouble::Next)?,
                };
                let client = self.client.insert(client);
                match download(client, base, file, store, progress).await {
                    Ok(()) => store.keep(file, &store.part(file)).await,
                    Err(Broken::Down(why)) => {
                        self.down = Some(why.clone());
                        Err(Trouble::Next(why))
                    }
                    Err(Broken::Refused(why)) => Err(Trouble::Next(why)),
                    Err(Broken::Folder(error)) => Err(Trouble::Fatal(error)),
                }
            }
        }
    }
}

/// How often a broken download is taken up again within one pull.
const ATTEMPTS: usize = 4;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Longest silence in the middle of a download.
const READ_DEADLINE: Duration = Duration::from_secs(30);

enum Broken {
    /// Nobody answers there, or not to the end.
    Down(String),
    /// The mirror does not have it, or has something else.
    Refused(String),
    /// The fault is on this machine.
    Folder(ModelsError),
}

fn http_client() -> Result<Client, String> {
    // Fails if some other part of the program was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .read_timeout(READ_DEADLINE)
        .build()
        .map_err(|error| format!("cannot be asked: {}", innermost(&error)))
}

async fn download(
    client: &Client,
    base: &str,
    file: &ModelFile,
    store: &Store,
    progress: &Progress,
) -> Result<(), Broken> {
    let bar = progress.start("fetching", file.name, file.size);
    let part = store.part(file);
    let address = format!("{base}/{}", file.sha256);
    let folder = |error: std::io::Error| Broken::Folder(store.error(&error));
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        let mut done = fs::metadata(&part).map_or(0, |facts| facts.len());
        if done == file.size {
            return Ok(());
        }
        if done > file.size {
            fs::remove_file(&part).map_err(folder)?;
            done = 0;
        }
        let mut request = client.get(&address);
        if done > 0 {
            request = request.header(RANGE, format!("bytes={done}-"));
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(Broken::Down(format!("cannot be reached: {}", innermost(&error))));
            }
            Err(error) => {
                why = innermost(&error);
                continue;
            }
        };
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&answer, done) => {}
            // It knows no ranges and gives all of it.
            StatusCode::OK => done = 0,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if done > 0 => {
                fs::remove_file(&part).map_err(folder)?;
                why = "answered another range than was asked".into();
                continue;
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(Broken::Refused(format!("has no file {} for {}", file.sha256, file.name)));
            }
            status if status.is_server_error() => {
                why = format!("answered {status}");
                continue;
            }
            status => return Err(Broken::Refused(format!("answered {status} for {}", file.name))),
        }
        let too_big = || Broken::Refused(format!("gave more than the {} bytes of {}", file.size, file.name));
        if answer.content_length().is_some_and(|rest| done + rest > file.size) {
            return Err(too_big());
        }
        let mut out = tokio::fs::File::options()
            .create(true)
            .write(true)
            .append(done > 0)
            .truncate(done == 0)
            .open(&part)
            .await
            .map_err(folder)?;
        let mut body = answer.bytes_stream();
        why.clear();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => {
                    done += piece.len() as u64;
                    if done > file.size {
                        drop(out);
                        fs::remove_file(&part).map_err(folder)?;
                        return Err(too_big());
                    }
                    out.write_all(&piece).await.map_err(folder)?;
                    bar.reach(done);
                }
                Err(error) => {
                    why = innermost(&error);
                    break;
                }
            }
        }
        out.flush().await.map_err(folder)?;
        if done == file.size {
            return Ok(());
        }
        if why.is_empty() {
            // Ended by itself too early: what it holds is not what the manifest says.
            fs::remove_file(&part).map_err(folder)?;
            return Err(Broken::Refused(format!("gave {} with the wrong size", file.name)));
        }
    }
    Err(Broken::Down(format!(
        "broke off {} {ATTEMPTS} times ({why}); the next pull goes on from there",
        file.name
    )))
}

/// Whether a partial answer begins where the file on disk ends (RFC 9110, section 14.4).
fn starts_at(answer: &reqwest::Response, done: u64) -> bool {
    answer
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok())
        .is_some_and(|start: u64| start == done && done > 0)
}

/// The cause at the bottom, which says more than the layers above it; addresses stay out of it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(below) = at.source() {
        at = below;
    }
    at.to_string()
}
