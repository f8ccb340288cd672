//! `voice key add|list|revoke`: keys of an organization, for its servers and for its web pages.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::timeout;
use uuid::Uuid;

use super::account::{failed, on_store, organization};
use super::print::{self, say_line};
use crate::auth::denials::Denials;
use crate::auth::keys::{self, KeyWish};
use crate::cache::Caching;
use crate::config::{Config, Flags, read_origin};
use crate::data::{KeyKind, Store, Timestamp};
use crate::metrics::Metrics;

/// What `voice key` takes.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and print it once
    Add(AddArgs),
    /// Show the keys; the keys themselves are stored nowhere
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Whose keys [default: the server's organization]
        #[arg(long, value_name = "ID")]
        organization: Option<Uuid>,
    },
    /// Make a key worth nothing
    Revoke {
        /// The key's id, as the list shows it
        id: Uuid,
        /// Whose key [default: the server's organization]
        #[arg(long, value_name = "ID")]
        organization: Option<Uuid>,
    },
}

/// What `voice key add` takes.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// For people
    name: String,
    /// For web pages: it only makes conversations, from the pages of --origin
    #[arg(long)]
    publishable: bool,
    /// A web origin whose pages may use it, such as https://example.com; may be given again
    #[arg(long = "origin", value_name = "ORIGIN", requires = "publishable")]
    origins: Vec<String>,
    /// Calls at the same time
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    max_calls: Option<i64>,
    /// Dollars that its calls may cost a day
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    daily_spend: Option<i64>,
    /// Whose key [default: the server's organization]
    #[arg(long, value_name = "ID")]
    organization: Option<Uuid>,
}

/// Dollars, such as `12.50`, in millionths.
fn dollars(text: &str) -> Result<i64, String> {
    let dollars: f64 = text.parse().map_err(|_| "it must be a number of dollars, such as 12.50")?;
    if !(0.0..=1_000_000.0).contains(&dollars) {
        return Err("it must be from 0 to 1000000".to_owned());
    }
    Ok((dollars * 1_000_000.0).round() as i64)
}

/// Runs the command and gives the status.
pub(super) fn run(command: KeyCommand, flags: &Flags) -> ExitCode {
    match command {
        KeyCommand::Add(args) => match checked(args) {
            Ok((args, origins)) => {
                on_store(flags, async move |config, store| add(&config, &*store, args, origins).await)
            }
            Err(sentence) => {
                print::error(sentence);
                ExitCode::from(2)
            }
        },
        KeyCommand::List { json, organization } => {
            on_store(flags, async move |config, store| list(&config, &*store, organization, json).await)
        }
        KeyCommand::Revoke { id, organization } => {
            on_store(flags, async move |config, store| revoke(&config, &*store, organization, id).await)
        }
    }
}

fn checked(args: AddArgs) -> Result<(AddArgs, Vec<String>), String> {
    if args.name.is_empty() || args.name.len() > 200 || args.name.chars().any(char::is_control) {
        return Err("a name has 1 to 200 bytes, on one line".to_owned());
    }
    if args.publishable && args.origins.is_empty() {
        return Err("a publishable key needs --origin, the address of the page that uses it".to_owned());
    }
    let read = |text: &String| {
        read_origin(text)
            .ok_or_else(|| format!("{text} is no web origin; it must be like https://example.com"))
    };
    let origins = args.origins.iter().map(read).collect::<Result<_, _>>()?;
    Ok((args, origins))
}

async fn add(config: &Config, store: &dyn Store, args: AddArgs, origins: Vec<String>) -> Result<(), String> {
    let organization = organization(config, store, args.organization).await?;
    let wish = KeyWish {
        organization,
        kind: if args.publishable { KeyKind::Publishable } else { KeyKind::Secret },
        name: args.name,
        origins,
        max_calls: args.max_calls,
        daily_spend_micros: args.daily_spend,
    };
    let (text, new) = keys::make(wish, Timestamp::now()).map_err(|error| error.to_string())?;
    let id = new.key.id;
    store.add_key(new).await.map_err(|error| failed(&error))?;
    say_line!("id  {id}");
    say_line!("key {text}");
    print::aside("note the key down now: it is stored nowhere and not shown again");
    Ok(())
}

async fn list(config: &Config, store: &dyn Store, named: Option<Uuid>, json: bool) -> Result<(), String> {
    let organization = organization(config, store, named).await?;
    let keys = store.keys(organization).await.map_err(|error| failed(&error))?;
    if json {
        let text = serde_json::to_string_pretty(&keys).map_err(|error| error.to_string())?;
        say_line!("{text}");
        return Ok(());
    }
    for key in &keys {
        let revoked = if key.revoked_at.is_some() { "  revoked" } else { "" };
        say_line!("{}  {:<11} {}…  {}{revoked}", key.id, key.kind.as_str(), key.hint, key.name);
    }
    if keys.is_empty() {
        say_line!("there are no keys; `voice key add NAME` makes one");
    }
    Ok(())
}

async fn revoke(config: &Config, store: &dyn Store, named: Option<Uuid>, id: Uuid) -> Result<(), String> {
    let organization = organization(config, store, named).await?;
    store.revoke_key(organization, id, Timestamp::now()).await.map_err(|error| failed(&error))?;
    if tell_servers(config, id).await {
        say_line!("{id} is revoked; running servers refuse it and its tickets from now on");
    } else {
        say_line!("{id} is revoked; running servers refuse it within {} seconds", keys::FRESH.as_secs());
    }
    Ok(())
}

/// Tells running servers at once, where they share a Redis and it answers.
async fn tell_servers(config: &Config, key: Uuid) -> bool {
    let Some(url) = &config.redis_url else { return false };
    let Ok(cache) = Caching::with_redis(1 << 20, url, &Metrics::default()) else { return false };
    let is_there = timeout(PATIENCE, cache.whole()).await.is_ok();
    if is_there {
        Denials::over(cache.clone()).deny_key(key).await;
    }
    cache.close().await;
    is_there
}

/// How long a Redis is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_into_millionths() {
        assert_eq!(dollars("12.5"), Ok(12_500_000));
        assert_eq!(dollars("0"), Ok(0));
        for bad in ["", "x", "-1", "nan", "inf", "1e9"] {
            assert!(dollars(bad).is_err(), "{bad}");
        }
    }
}
