//! `load rest`: reads of REST at a fixed rate, mixed as a console and an assistant mix them, from a filled database.
//!
//! Open loop: a request is sent when its time has come, whether or not earlier ones are answered, and its time counts from
//! when it should have been sent. Gaps are exponential, as of many clients that know nothing of each other. Server and
//! client share the cores of the machine. After that each kind is asked of the store alone, one at a time.

mod fill;
mod made;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderValue;
use hyper::http::request::Builder;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use voice_server::app::App;
use voice_server::auth::demo;
use voice_server::data::{ConversationFilter, DEMO_ORGANIZATION, Store, Timestamp};
use voice_server::engine::Built;
use voice_server::shutdown;

use crate::figures::{Spread, write_result};
use crate::process;
use crate::scripted::Script;
use made::Dice;

/// What goes wrong here ends the run.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The embedded one.
    Sqlite,
    /// A private one, started for the run.
    Postgres,
}

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Which database.
    #[arg(long, value_enum, default_value = "sqlite")]
    pub database: Kind,
    /// Listings of the organization.
    #[arg(long, default_value_t = 1_000_000)]
    pub properties: u64,
    /// Its conversations.
    #[arg(long, default_value_t = 100_000)]
    pub conversations: u64,
    /// Requests a second.
    #[arg(long, default_value_t = 200)]
    pub rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
    /// Prints what each search of the published mix takes by itself, the slowest first, and asks nothing else.
    #[arg(long)]
    pub each: bool,
}

/// The published mix of searches.
const SEARCHES: &str = include_str!("../../data/property_queries.txt");
/// An answer comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests under way at most; one that finds so many is counted as an error.
const AT_ONCE: usize = 1_000;
/// Requests before those that count, in seconds of the rate.
const WARM_UP: u32 = 3;
/// How often a search is tried for `--each`.
const EACH_TIMES: usize = 7;
/// Searches of conversations for words among those for `--each`.
const WORD_SEARCHES: u64 = 200;
/// Reads of each kind from the store alone.
const ALONE: usize = 500;

/// Runs the load.
///
/// # Errors
/// The database cannot be filled, or the server not started.
pub fn run(options: &Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let filled = runtime.block_on(fill::filled(options))?;
    let engine = script().engine()?;
    let (trigger, shutdown) = shutdown::channel();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (store, config) = (filled.store.clone(), filled.config.clone());
    let answerer = Arc::new(Built::whole(engine));
    let app = runtime.block_on(App::new(config, store, answerer, shutdown))?;
    let serving = runtime.spawn(app.serve(listener));
    let result = super::on_one_thread(load(options, address))?;
    let mut result = result?;
    if !options.each {
        result["store_alone_ms"] = runtime.block_on(alone(options, &*filled.store))?;
        result["stored_per_second"] = json!(filled.properties_per_second.map(f64::round));
        println!("the store alone: {}", result["store_alone_ms"]);
        let name = format!("rest_{:?}", options.database).to_lowercase();
        write_result(&name, result)?;
    }
    trigger.begin();
    runtime.block_on(serving)?;
    Ok(())
}

/// Nobody calls, so this is all an engine has to be.
fn script() -> Script {
    Script {
        silence: 200,
        stt_final: 50,
        first_token: 50,
        token_every: 10,
        first_audio: 60,
        answer: 1_000,
        voice_rate: 16_000,
        no_network: true,
        cloud: None,
    }
}

fn searches() -> Vec<&'static str> {
    SEARCHES.lines().filter(|line| !line.starts_with('#')).collect()
}

/// What is asked, and the name under which it is counted.
#[derive(Clone, Debug)]
struct Ask {
    kind: &'static str,
    path: String,
}

/// The mix: searches with their second pages, listings, conversations, figures.
struct Mix {
    searches: Vec<String>,
    further: Vec<String>,
    properties: u64,
    conversations: u64,
}

impl Mix {
    fn ask(&self, number: u64) -> Ask {
        self.any(&mut Dice::of(10, number))
    }

    fn any(&self, dice: &mut Dice) -> Ask {
        let of = |kind, path| Ask { kind, path };
        match dice.roll(100) {
            // Of ten searches two are for a further page.
            0..40 if dice.roll(10) < 2 && !self.further.is_empty() => {
                of("search, further page", self.further[dice.roll(self.further.len())].clone())
            }
            0..40 => of("search", self.searches[dice.roll(self.searches.len())].clone()),
            40..60 => {
                let id = made::property_id(dice.roll(self.properties as usize) as u64);
                of("property", format!("/api/v1/properties/{id}"))
            }
            60..70 => of("conversations", "/api/v1/conversations".to_owned()),
            70..80 => {
                of("conversations with words", format!("/api/v1/conversations?q={}", made::asked(dice)))
            }
            80..95 => {
                let id = made::conversation_id(dice.roll(self.conversations as usize) as u64);
                of("conversation", format!("/api/v1/conversations/{id}"))
            }
            95..98 => of("profile", "/api/v1/users/profile".to_owned()),
            _ => {
                let (agent, month) = (made::agent_id(dice.roll(made::AGENTS) as u64), 1 + dice.roll(11));
                let period = format!("from=2025-{month:02}-01&to=2025-{month:02}-28&tz=America/Chicago");
                of("performance", format!("/api/v1/agents/{agent}/performance?{period}"))
            }
        }
    }
}

/// Connections to the server that stay open.
struct Client {
    address: SocketAddr,
    /// `Bearer` and the access token, once signed in.
    bearer: HeaderValue,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// Signs the demo's admin in.
    async fn signed_in(address: SocketAddr) -> Result<Self, Error> {
        let mut client = Self { address, bearer: HeaderValue::from_static("none"), idle: Mutex::default() };
        let body = json!({"email": demo::USERS[0].email, "password": demo::PASSWORD}).to_string();
        let request = Request::post("/api/v1/auth/login").header("content-type", "application/json");
        let (status, body) = timeout(PATIENCE, client.send(request, body.into())).await??;
        if status != 200 {
            return Err(format!("sign-in answers {status}").into());
        }
        let signed_in: Value = serde_json::from_slice(&body)?;
        let token = signed_in["accessToken"].as_str().ok_or("sign-in gives no token")?;
        client.bearer = HeaderValue::from_str(&format!("Bearer {token}"))?;
        Ok(client)
    }

    async fn get(&self, path: &str) -> Result<(u16, Bytes), Error> {
        self.send(Request::get(path).header("authorization", &self.bearer), Bytes::new()).await
    }

    async fn send(&self, request: Builder, body: Bytes) -> Result<(u16, Bytes), Error> {
        let waiting = self.idle.lock().map_err(|_| "poisoned")?.pop();
        let mut connection = match waiting.filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                // It ends with its sender.
                tokio::spawn(driver);
                sender
            }
        };
        let request = request.header("host", "localhost").body(Full::new(body))?;
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        self.idle.lock().map_err(|_| "poisoned")?.push(connection);
        Ok((status, body))
    }
}

async fn load(options: &Options, address: SocketAddr) -> Result<Value, Error> {
    let client = Arc::new(Client::signed_in(address).await?);
    let mut mix = Mix {
        searches: searches().iter().map(|query| format!("/api/v1/properties?{query}")).collect(),
        further: Vec::new(),
        properties: options.properties,
        conversations: options.conversations,
    };
    let mut each = Vec::new();
    let (mut empty, mut short) = (0, 0);
    for path in &mix.searches {
        let begun = Instant::now();
        let (status, body) = timeout(PATIENCE, client.get(path)).await??;
        each.push((begun.elapsed(), path.clone()));
        if status != 200 {
            return Err(format!("{path} answers {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        let page: Value = serde_json::from_slice(&body)?;
        let items = page["items"].as_array().map_or(0, Vec::len);
        empty += usize::from(items == 0);
        if let Some(cursor) = page["nextCursor"].as_str() {
            short += usize::from(items < 20 && !path.contains("limit="));
            mix.further.push(format!("{path}&cursor={cursor}"));
        }
    }
    println!("of {} searches {empty} find nothing and {short} pages end early", each.len());
    if options.each {
        let words = (0..WORD_SEARCHES).map(|number| made::asked(&mut Dice::of(13, number)));
        each.extend(words.map(|words| (PATIENCE, format!("/api/v1/conversations?q={words}"))));
        // The best of several: what the search takes, not what else the machine does.
        for (took, path) in &mut each {
            for _ in 0..EACH_TIMES {
                let begun = Instant::now();
                timeout(PATIENCE, client.get(path)).await??;
                *took = begun.elapsed().min(*took);
            }
        }
        each.sort_by(|a, b| b.cmp(a));
        for (took, path) in each.iter().take(40) {
            println!("{:8.2} ms  {path}", took.as_secs_f64() * 1e3);
        }
        println!("{}", Spread::of(each.iter().map(|(took, _)| took.as_secs_f64() * 1e3).collect()));
        return Ok(json!({}));
    }
    let mix = Arc::new(mix);
    drive(options, &client, &mix, WARM_UP, 1 << 32).await?;
    let before = process::stolen()?;
    let (times, errors, late) = drive(options, &client, &mix, options.seconds, 0).await?;
    let [time, stolen] = process::stolen()?;
    let stolen = 100.0 * (stolen - before[1]) as f64 / (time - before[0]).max(1) as f64;
    let mut kinds = serde_json::Map::new();
    let mut all = Vec::new();
    for (kind, times) in times {
        all.extend_from_slice(&times);
        let spread = Spread::of(times);
        println!("{kind}: {spread}");
        kinds.insert(kind.to_owned(), serde_json::to_value(spread)?);
    }
    let (all, late) = (Spread::of(all), Spread::of(late));
    println!("all: {all}\nerrors: {errors}\nclient late: {late}");
    println!("of the cores' time the host gave {stolen:.1} % to others");
    Ok(json!({
        "database": format!("{:?}", options.database).to_lowercase(),
        "properties": options.properties,
        "conversations": options.conversations,
        "rate": options.rate,
        "seconds": options.seconds,
        "errors": errors,
        "all_ms": all,
        "by_kind_ms": kinds,
        "client_late_ms": late,
        "stolen_percent": (stolen * 10.0).round() / 10.0,
    }))
}

type Times = BTreeMap<&'static str, Vec<f64>>;

/// Asks at the rate for so many seconds. Times by kind, how many asks failed, and how late each was sent.
async fn drive(
    options: &Options,
    client: &Arc<Client>,
    mix: &Arc<Mix>,
    seconds: u32,
    from: u64,
) -> Result<(Times, u64, Vec<f64>), Error> {
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks: JoinSet<Option<(&'static str, f64)>> = JoinSet::new();
    let (mut dice, mut at) = (Dice::of(11, from), Instant::now());
    let (end, mut number) = (at + Duration::from_secs(seconds.into()), from);
    let (mut late, mut errors) = (Vec::new(), 0);
    while at < end {
        at += Duration::from_secs_f64(-(1.0 - dice.unit()).ln() / f64::from(options.rate));
        number += 1;
        sleep_until(at).await;
        late.push(at.elapsed().as_secs_f64() * 1e3);
        let Ok(permit) = free.clone().try_acquire_owned() else {
            errors += 1;
            continue;
        };
        let (client, mix) = (client.clone(), mix.clone());
        tasks.spawn(async move {
            let ask = mix.ask(number);
            let answer = timeout(PATIENCE, client.get(&ask.path)).await;
            drop(permit);
            matches!(answer, Ok(Ok((200, _)))).then(|| (ask.kind, at.elapsed().as_secs_f64() * 1e3))
        });
    }
    let mut times = Times::new();
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            Some((kind, took)) => times.entry(kind).or_default().push(took),
            None => errors += 1,
        }
    }
    Ok((times, errors, late))
}

/// The same reads from the store itself, one at a time.
async fn alone(options: &Options, store: &dyn Store) -> Result<Value, Error> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut dice = Dice::of(12, 0);
    for path in searches() {
        let asked = voice_server::api::properties::asked(path).map_err(|_| io::Error::other(path))?;
        let begun = Instant::now();
        store.properties(DEMO_ORGANIZATION, asked.0, asked.1, None, 20).await?;
        times.entry("search").or_default().push(begun.elapsed().as_secs_f64() * 1e3);
    }
    for _ in 0..ALONE {
        let id = made::property_id(dice.roll(options.properties as usize) as u64);
        let begun = Instant::now();
        let found = store.property(DEMO_ORGANIZATION, id).await?;
        times.entry("property").or_default().push(begun.elapsed().as_secs_f64() * 1e3);
        if found.is_none() {
            return Err("a made listing is not there".into());
        }
        for (kind, words) in [
            ("conversations", vec![]),
            ("conversations with words", made::asked(&mut dice).split('+').map(str::to_owned).collect()),
        ] {
            let filter = ConversationFilter { words, ..Default::default() };
            let begun = Instant::now();
            store.conversations(DEMO_ORGANIZATION, filter, None, 20).await?;
            times.entry(kind).or_default().push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let (agent, month) = (made::agent_id(dice.roll(made::AGENTS) as u64), dice.roll(11) as i64);
        let end = Timestamp::from_millis(made::NOW - month * 30 * 86_400_000);
        let begun = Instant::now();
        store
            .performance(
                DEMO_ORGANIZATION,
                agent,
                end.minus_millis(28 * 86_400_000),
                end,
                jiff::tz::TimeZone::UTC,
            )
            .await?;
        times.entry("performance").or_default().push(begun.elapsed().as_secs_f64() * 1e3);
        let id = made::conversation_id(dice.roll(options.conversations as usize) as u64);
        let begun = Instant::now();
        let found = store.conversation(DEMO_ORGANIZATION, id).await?;
        times.entry("conversation").or_default().push(begun.elapsed().as_secs_f64() * 1e3);
        if found.is_none() {
            return Err("a made conversation is not there".into());
        }
    }
    Ok(times
        .into_iter()
        .map(|(kind, times)| (kind.to_owned(), json!(Spread::of(times))))
        .collect::<serde_json::Map<_, _>>()
        .into())
}
