//! The command line: `voice` and its commands. Parses, runs, and turns failures into one sentence and a status.
//!
//! Status 2 for a wrong call or wrong settings, 1 for a failure, 0 else. Nothing here knows how a command works.

mod account;
mod doctor;
mod key;
#[cfg(feature = "local")]
mod models;
pub(crate) mod print;
mod sim;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Flags, table};
use crate::data::{PostgresStore, SqliteStore, Upkeep as _};
use crate::error::Failure;
use crate::replay::{ReplayError, Worst};
use crate::{app, engine, replay, telemetry};
use print::say;

/// A real-time voice engine for the calls of real estate businesses.
#[derive(Debug, Parser)]
#[command(name = "voice", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve calls, the pages and the REST surface (the default)
    Serve(ServeArgs),
    /// Run recorded audio through the whole pipeline
    Replay(ReplayArgs),
    /// Bring or list the weights of the local models
    #[cfg(feature = "local")]
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Bring the tables of the database up to this version
    Migrate(ServeArgs),
    /// Add or show who may sign in
    #[command(subcommand)]
    User(user::UserCommand),
    /// Make, show or revoke keys for an organization's servers and pages
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Try everything that is configured and say what to mend
    Doctor(ServeArgs),
    /// Run stand-ins of the outside services on this machine
    Sim(sim::SimArgs),
    /// Write the table of settings
    #[command(hide = true)]
    ConfigTable,
}

/// What `voice serve` takes.
#[derive(Clone, Debug, Default, Args)]
struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<String>,
    /// Settings file in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the database and the files [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl ServeArgs {
    fn flags(self) -> Flags {
        Flags { config: self.config, bind: self.bind, data: self.data }
    }
}

/// What `voice replay` takes.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReplayArgs {
    /// Recordings (WAV, Ogg/Opus, WebM/Opus), or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Write what is answered to this WAV file
    #[arg(long, value_name = "FILE.wav")]
    pub out: Option<PathBuf>,
    /// Play the recordings as fast as they were spoken instead of as fast as possible
    #[arg(long)]
    pub realtime: bool,
    /// Show where the replay first differs from the journal
    #[arg(long)]
    pub diff: bool,
    /// Change one value of the turn rules, such as endpoint.silence_ms=300
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub set: Vec<(String, String)>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be KEY=VALUE".into()),
    }
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    // A wrong call prints to the error stream and ends with 2, help and version with 0: clap's own rule.
    let Cli { command, serve: before } = Cli::parse();
    if let Some((flag, name)) = command.as_ref().and_then(|command| unused(&before, command)) {
        print::error(format_args!("{flag} has no effect on `voice {name}`; leave it out"));
        return ExitCode::from(2);
    }
    let status = match command {
        None => serve(before),
        Some(Command::Serve(args)) => serve(merge(before, args)),
        Some(Command::Replay(args)) => replay(args, &before.flags()),
        #[cfg(feature = "local")]
        Some(Command::Models(command)) => models::run(command, &before.flags()),
        Some(Command::Migrate(args)) => migrate(merge(before, args)),
        Some(Command::User(command)) => user::run(command, &before.flags()),
        Some(Command::Key(command)) => key::run(command, &before.flags()),
        Some(Command::Doctor(args)) => doctor::run(&merge(before, args).flags()),
        Some(Command::Sim(args)) => sim::run(&args),
        Some(Command::ConfigTable) => {
            say!("{}", table::document());
            ExitCode::SUCCESS
        }
    };
    // What could not be written was told already.
    if status == ExitCode::SUCCESS && print::has_failed() { ExitCode::FAILURE } else { status }
}

/// A flag of `voice serve` that stands before a command which has no use for it, and that command.
fn unused(before: &ServeArgs, command: &Command) -> Option<(&'static str, &'static str)> {
    let (name, reads_settings) = match command {
        Command::Serve(_) | Command::Migrate(_) | Command::Doctor(_) => return None,
        // They need the database, and with it everything but the address.
        Command::User(_) | Command::Key(_) => {
            let name = if matches!(command, Command::User(_)) { "user" } else { "key" };
            return before.bind.is_some().then_some(("--bind", name));
        }
        Command::Replay(_) => ("replay", true),
        #[cfg(feature = "local")]
        Command::Models(models::ModelsCommand::Pull) => ("models pull", true),
        #[cfg(feature = "local")]
        Command::Models(models::ModelsCommand::List { .. }) => ("models list", false),
        Command::Sim(_) => ("sim", false),
        Command::ConfigTable => ("config-table", false),
    };
    let flags = [
        ("--bind", before.bind.is_some()),
        ("--data", before.data.is_some()),
        ("--config", before.config.is_some() && !reads_settings),
    ];
    flags.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| (flag, name))
}

/// Flags may stand before or after the command's name; the later one wins.
fn merge(before: ServeArgs, after: ServeArgs) -> ServeArgs {
    ServeArgs {
        bind: after.bind.or(before.bind),
        config: after.config.or(before.config),
        data: after.data.or(before.data),
    }
}

fn serve(args: ServeArgs) -> ExitCode {
    let served = Config::load(&args.flags()).map_err(Failure::from).and_then(|config| {
        telemetry::start(&config.log);
        runtime()?.block_on(app::run(config))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// Brings the tables up to date and says so. A server does the same at its start, unless a transaction pooler is between.
fn migrate(args: ServeArgs) -> ExitCode {
    let migrated = Config::load(&args.flags()).map_err(Failure::from).and_then(|config| {
        telemetry::start(&config.log);
        runtime()?.block_on(async {
            match &config.database_url {
                Some(address) => {
                    let store = PostgresStore::connect(address, config.database_pooling).await?;
                    store.migrate().await?;
                    store.close().await;
                }
                None => SqliteStore::attach(&config.data).await?.close().await,
            }
            Ok(())
        })
    });
    match migrated {
        Ok(()) => {
            say!("the tables are up to date\n");
            ExitCode::SUCCESS
        }
        Err(failure) => fail(&failure),
    }
}

/// Status 0 where all went well, 1 where the pipeline failed on anything, else 2 where what was asked cannot be done.
fn replay(args: ReplayArgs, flags: &Flags) -> ExitCode {
    let config = match Config::load(flags) {
        Ok(config) => config,
        Err(error) => return fail(&error.into()),
    };
    telemetry::start(&config.log);
    let worst = replayed(args, &config).unwrap_or_else(|error| {
        print::error(&error);
        let mut worst = Worst::default();
        worst.add(&error);
        worst
    });
    ExitCode::from(worst.status())
}

/// What can be refused is refused before any model is fetched or loaded.
fn replayed(args: ReplayArgs, config: &Config) -> Result<Worst, ReplayError> {
    let (options, policy) = replay::options(args)?;
    if options.diff {
        return Ok(replay::diff(&options, &policy));
    }
    let prepared = replay::prepare(&options)?;
    config.notes.iter().for_each(print::error);
    let runtime = runtime().map_err(|e| ReplayError::Pipeline(e.to_string()))?;
    runtime.block_on(async {
        // What is measured is how long it takes to say something, not to say it again.
        let config = Config { phrase_cache: 0, ..config.clone() };
        let mut built =
            engine::ready(&config, policy).await.map_err(|e| ReplayError::Pipeline(e.to_string()))?;
        built.warm().await;
        if !built.hears || !built.speaks {
            return Err(ReplayError::Pipeline(built.notes.join("; ")));
        }
        Ok(replay::run(&built.engine, prepared).await.1)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// One sentence to the error stream, and the status.
fn fail(failure: &Failure) -> ExitCode {
    print::error(failure);
    ExitCode::from(if failure.is_usage() { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_program_serves() {
        let cli = Cli::try_parse_from(["voice", "--bind", "127.0.0.1:1"]).expect("parsed");
        assert!(cli.command.is_none() && cli.serve.bind.as_deref() == Some("127.0.0.1:1"));
        let cli = Cli::try_parse_from(["voice", "serve", "--data", "d"]).expect("parsed");
        assert!(matches!(cli.command, Some(Command::Serve(ServeArgs { data: Some(_), .. }))));
    }

    #[test]
    fn replay_takes_what_the_contract_lists() {
        let line = "voice replay a.wav dir --json --out o.wav --realtime --diff --set endpoint.silence_ms=300 --set a=b=c";
        let cli = Cli::try_parse_from(line.split(' ')).expect("parsed");
        let Some(Command::Replay(args)) = cli.command else { panic!("another command") };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(args.set, [pair("endpoint.silence_ms", "300"), pair("a", "b=c")]);
        assert_eq!(args.inputs.len(), 2);
        assert!(args.json && args.realtime && args.diff && args.out.is_some());
    }

    #[test]
    fn a_flag_before_a_command_is_used_or_refused() {
        for (line, refused) in [
            ("voice --bind 127.0.0.1:1 --data d --config f serve", None),
            ("voice --bind 127.0.0.1:1 --data d --config f doctor", None),
            ("voice --bind 127.0.0.1:1 replay a.wav", Some(("--bind", "replay"))),
            ("voice --data d replay a.wav", Some(("--data", "replay"))),
            ("voice --config f replay a.wav", None),
            ("voice --data d config-table", Some(("--data", "config-table"))),
            ("voice --config f config-table", Some(("--config", "config-table"))),
            #[cfg(feature = "local")]
            ("voice --bind 127.0.0.1:1 models list", Some(("--bind", "models list"))),
            #[cfg(feature = "local")]
            ("voice --config f models list", Some(("--config", "models list"))),
            #[cfg(feature = "local")]
            ("voice --config f models pull", None),
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(unused(&cli.serve, &cli.command.expect("a command")), refused, "{line}");
        }
    }

    #[test]
    fn a_wrong_call_ends_with_two() {
        for line in
            ["voice replay", "voice fly", "voice replay a.wav --set x", "voice models", "voice serve x"]
        {
            let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
