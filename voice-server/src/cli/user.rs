//! `voice user add` and `voice user list`: who may sign in.
//!
//! A password is asked for without showing it, read from the standard input, or drawn and told once. It is never an argument,
//! since other users of the machine see those.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use console::Term;
use uuid::Uuid;

use super::account::{failed, on_store, organization};
use super::print::{self, say_line};
use crate::auth::password::{LONGEST, PasswordError, Passwords, SHORTEST};
use crate::auth::secrets::random_text;
use crate::auth::{demo, email};
use crate::config::{Config, Flags, Secret};
use crate::data::{DataError, NewUser, Role, Store, Timestamp};

/// What `voice user` takes.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add somebody who may sign in
    Add(AddArgs),
    /// Show who may sign in
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Whose users [default: the server's organization]
        #[arg(long, value_name = "ID")]
        organization: Option<Uuid>,
    },
}

/// What `voice user add` takes.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The address to sign in with
    email: String,
    /// May do everything of the organization
    #[arg(long, conflicts_with = "role")]
    admin: bool,
    /// What the user may do
    #[arg(long, value_enum, default_value = "agent")]
    role: RoleName,
    /// For people
    #[arg(long, default_value = "")]
    name: String,
    /// Read the password from the standard input
    #[arg(long)]
    password_stdin: bool,
    /// Whose user [default: the server's organization]
    #[arg(long, value_name = "ID")]
    organization: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Admin,
    Agent,
    Viewer,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            Self::Admin => Role::Admin,
            Self::Agent => Role::Agent,
            Self::Viewer => Role::Viewer,
        }
    }
}

/// Runs the command and gives the status.
pub(super) fn run(command: UserCommand, flags: &Flags) -> ExitCode {
    match command {
        UserCommand::Add(args) => match Wanted::of(args) {
            Ok(wanted) => on_store(flags, async |config, store| add(&config, &*store, wanted).await),
            Err(sentence) => {
                print::error(sentence);
                ExitCode::from(2)
            }
        },
        UserCommand::List { json, organization } => {
            on_store(flags, async move |config, store| list(&config, &*store, organization, json).await)
        }
    }
}

/// A user as asked for, with a password.
struct Wanted {
    email: String,
    name: String,
    role: Role,
    password: Secret,
    /// Whether the password was drawn and must be told.
    is_drawn: bool,
    organization: Option<Uuid>,
}

impl Wanted {
    fn of(args: AddArgs) -> Result<Self, String> {
        let email = email::parse(&args.email).ok_or("the address must be like name@example.com")?;
        if args.name.len() > 200 || args.name.chars().any(char::is_control) {
            return Err("a name has 200 bytes at most, on one line".to_owned());
        }
        let (password, is_drawn) = password(args.password_stdin)?;
        if !(SHORTEST..=LONGEST).contains(&password.expose().len()) {
            return Err(format!("a password has {SHORTEST} to {LONGEST} bytes; take another"));
        }
        let role = if args.admin { Role::Admin } else { args.role.role() };
        Ok(Self { email, name: args.name, role, password, is_drawn, organization: args.organization })
    }
}

/// The new user's password, and whether it was drawn.
fn password(from_stdin: bool) -> Result<(Secret, bool), String> {
    let unreadable = |error: std::io::Error| format!("the password cannot be read: {error}");
    if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(4_096).read_to_string(&mut text).map_err(unreadable)?;
        return Ok((Secret::new(text.trim_end_matches(['\r', '\n'])), false));
    }
    let drawn = || random_text().map(|text| (Secret::new(&text[..20]), true)).map_err(|e| e.to_string());
    let terminal = Term::stderr();
    if !std::io::stdin().is_terminal() || !terminal.is_term() {
        return drawn();
    }
    let ask = |question: &str| {
        terminal.write_str(question).and_then(|()| terminal.read_secure_line()).map_err(unreadable)
    };
    let first = ask("Password (empty: one is drawn): ")?;
    if first.is_empty() {
        return drawn();
    }
    if ask("Once more: ")? != first {
        return Err("the two passwords differ; try again".to_owned());
    }
    Ok((Secret::new(first), false))
}

async fn add(config: &Config, store: &dyn Store, wanted: Wanted) -> Result<(), String> {
    let organization = organization(config, store, wanted.organization).await?;
    let hash =
        Passwords::new(1).hash(wanted.password.expose()).await.map_err(|e: PasswordError| e.to_string())?;
    let new = NewUser {
        id: Uuid::new_v4(),
        organization_id: organization,
        email: wanted.email,
        name: wanted.name,
        role: wanted.role,
        password_hash: Some(Secret::new(hash)),
        created_at: Timestamp::now(),
    };
    let user = store.add_user(new).await.map_err(|error| match error {
        DataError::Exists => "there is a user with this address already; take another".to_owned(),
        other => failed(&other),
    })?;
    say_line!("{} may sign in as {}", user.email, user.role.as_str());
    if wanted.is_drawn {
        say_line!("password {}", wanted.password.expose());
    }
    Ok(())
}

/// Users that are shown at most.
const SHOWN: u32 = 1_000;

async fn list(config: &Config, store: &dyn Store, named: Option<Uuid>, json: bool) -> Result<(), String> {
    let organization = organization(config, store, named).await?;
    let page = store.users(organization, None, SHOWN).await.map_err(|error| failed(&error))?;
    if json {
        let text = serde_json::to_string_pretty(&page.items).map_err(|error| error.to_string())?;
        say_line!("{text}");
        return Ok(());
    }
    for user in &page.items {
        let note = match () {
            () if user.disabled => "  disabled",
            () if demo::is_demo(user.id) && !config.is_unconfigured() => "  demo, cannot sign in any more",
            () if demo::is_demo(user.id) => "  demo, from this machine only",
            () => "",
        };
        say_line!("{:<32} {:<7} {}{note}", user.email, user.role.as_str(), user.name);
    }
    if page.items.is_empty() {
        say_line!("nobody may sign in; `voice user add --admin ADDRESS` adds somebody");
    }
    Ok(())
}
