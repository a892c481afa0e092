//! The command line, with one file for each command.
//!
//! A new command needs a file with its arguments and `run`, a variant of `Command`, and a line in `Command::run`.

mod activate;
mod args;
mod backup;
mod claim;
mod cluster;
mod completions;
mod config;
mod conflicts;
mod demo;
mod explain;
mod export;
mod extend;
mod failure;
mod groups;
mod import;
mod init;
mod logs;
mod man;
mod member;
mod namespace;
mod output;
mod recover;
mod rejoin;
mod release;
mod reload;
mod rename;
mod restore;
mod serve;
mod settings;
mod show;
mod signals;
mod status;
mod target;
mod token;
mod verify;
mod version;
mod watch;
mod webhook;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::args::{Format, Tabular};
use self::failure::{Exit, Failure, Outcome};
use self::logs::{LogFormat, Logs};

/// A masterless registry of unique names.
#[derive(Parser, Debug)]
#[command(
    name = "forename",
    version = version::VERSION.as_str(),
    propagate_version = true,
    max_term_width = 120,
    after_help = Exit::HELP
)]
pub struct Cli {
    /// The format of logs on stderr
    #[arg(long, value_enum, value_name = "FORMAT", global = true, env = "FORENAME_LOG_FORMAT", default_value_t = LogFormat::Text)]
    #[arg(hide_possible_values = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::InitArgs),
    /// Run a node
    Serve(serve::ServeArgs),
    /// Claim names, all or none
    Claim(claim::ClaimArgs),
    /// Show a name, a registration, or all registrations of an owner
    Show(show::ShowArgs),
    /// Explain what decides a name or a registration
    Explain(explain::ExplainArgs),
    Conflicts(conflicts::ConflictsArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    /// Release a name, or all names of a registration
    Release(release::ReleaseArgs),
    /// Make a reservation permanent
    Activate(activate::ActivateArgs),
    /// Extend a reservation
    Extend(extend::ExtendArgs),
    /// Take a new name, and release the old one once that is confirmed
    Rename(rename::RenameArgs),
    /// Follow the event feed
    Watch(watch::WatchArgs),
    Status(status::StatusArgs),
    Cluster(cluster::ClusterArgs),
    /// Check or show the settings of a node, without running it
    Config(config::ConfigArgs),
    /// List members, make join tokens, evict a member, leave
    Member(member::MemberArgs),
    /// Make a token for callers of the HTTP interface
    Token(token::TokenArgs),
    /// Show or change the rules of namespaces
    Namespace(namespace::NamespaceArgs),
    /// Make, list, test, replay or remove webhooks
    Webhook(webhook::WebhookArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Rejoin(rejoin::RejoinArgs),
    Recover(recover::RecoverArgs),
    Verify(verify::VerifyArgs),
    /// Watch three nodes settle who gets a name across a cut link
    Demo(demo::DemoArgs),
    /// Print a completion script
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Cli {
    /// Parses the command line. Where it cannot be understood, or asks for help, prints that and ends the process.
    #[must_use]
    pub fn typed() -> Self {
        let matches = groups::grouped(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Returns the default of `FORENAME_LOG`.
    fn default_log(&self) -> &'static str {
        match self.command {
            Command::Serve(_) => "info",
            // The demonstration cuts links on purpose, so warnings about them are no news.
            Command::Demo(_) => "error",
            _ => "warn",
        }
    }

    /// Runs the command and returns its exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let format = self.command.format();
        let logs = Logs::start(self.default_log(), self.log_format);
        match self.command.run(&logs) {
            Ok(exit) => exit.into(),
            Err(failure) => tell(&failure, format).into(),
        }
    }
}

/// Reports the failure of a command: a sentence on stderr, and for programs a document on stdout.
fn tell(failure: &Failure, format: Format) -> Exit {
    if let Some(document) = failure.document().filter(|_| format == Format::Json)
        && let Err(unprinted) = output::print_as(format, &document, |_| String::new())
        && unprinted.message.is_empty()
    {
        return failure.exit;
    }
    if !failure.message.is_empty() {
        // Where stderr is gone too, the exit code must suffice. The message is written in one piece, because a thread
        // that ends may still log.
        let _ = io::stderr().write_all(format!("forename: {}\n", output::lines(&failure.message)).as_bytes());
    }
    failure.exit
}

impl Command {
    /// Returns the format of the command's result, which is that of its errors too.
    fn format(&self) -> Format {
        match self {
            Self::Init(args) => args.output,
            Self::Claim(args) => args.client.output,
            Self::Show(args) => args.client.output,
            Self::Explain(args) => args.client.output,
            Self::Conflicts(args) if args.output == Tabular::Json => Format::Json,
            Self::Import(args) => args.client.output,
            Self::Release(args) => args.client.output,
            Self::Activate(args) => args.client.output,
            Self::Extend(args) => args.client.output,
            Self::Rename(args) => args.client.output,
            Self::Watch(args) => args.client.output,
            Self::Status(args) => args.client.output,
            Self::Member(args) => args.format(),
            Self::Cluster(args) => args.format(),
            Self::Config(args) => args.format(),
            Self::Token(args) => args.format(),
            Self::Namespace(args) => args.format(),
            Self::Webhook(args) => args.format(),
            Self::Backup(args) => args.client.output,
            Self::Restore(args) => args.offline.output,
            Self::Rejoin(args) => args.offline.output,
            Self::Recover(args) => args.offline.output,
            Self::Verify(args) => args.offline.output,
            Self::Serve(_)
            | Self::Conflicts(_)
            | Self::Export(_)
            | Self::Demo(_)
            | Self::Completions(_)
            | Self::Man(_) => Format::Text,
        }
    }

    fn run(self, logs: &Logs) -> Outcome {
        match self {
            Self::Init(args) => init::run(&args),
            Self::Serve(args) => serve::run(args, logs),
            Self::Config(args) => config::run(args),
            Self::Claim(args) => block_on(claim::run(args)),
            Self::Show(args) => block_on(show::run(args)),
            Self::Explain(args) => block_on(explain::run(args)),
            Self::Conflicts(args) => block_on(conflicts::run(args)),
            Self::Import(args) => block_on(import::run(args)),
            Self::Export(args) => block_on(export::run(args)),
            Self::Release(args) => block_on(release::run(args)),
            Self::Activate(args) => block_on(activate::run(args)),
            Self::Extend(args) => block_on(extend::run(args)),
            Self::Rename(args) => block_on(rename::run(args)),
            Self::Watch(args) => block_on(watch::run(args)),
            Self::Status(args) => block_on(status::run(args)),
            Self::Cluster(args) => block_on(cluster::run(args)),
            Self::Member(args) => block_on(member::run(args)),
            Self::Token(args) => token::run(args),
            Self::Namespace(args) => block_on(namespace::run(args)),
            Self::Webhook(args) => block_on(webhook::run(args)),
            Self::Backup(args) => block_on(backup::run(args)),
            Self::Restore(args) => restore::run(&args),
            Self::Rejoin(args) => rejoin::run(&args),
            Self::Recover(args) => recover::run(&args),
            Self::Verify(args) => verify::run(&args),
            Self::Demo(args) => demo::run(&args),
            Self::Completions(args) => completions::run(&args, Cli::command()),
            Self::Man(args) => man::run(&args, Cli::command()),
        }
    }
}

/// Runs a client command on one thread, which is enough for one request.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(command)
}

#[cfg(test)]
mod tests;
