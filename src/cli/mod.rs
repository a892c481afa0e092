//! The command line: one file a command.
//!
//! To add one: a file with its arguments and `run`, a variant of `Command`, a line in its `run`.

mod activate;
mod backup;
mod claim;
mod cluster;
mod completions;
mod conflicts;
mod demo;
mod explain;
mod export;
mod extend;
mod import;
mod init;
mod member;
mod namespace;
mod output;
mod recover;
mod rejoin;
mod release;
mod rename;
mod restore;
mod serve;
mod show;
mod status;
mod target;
mod token;
mod verify;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::client::{Client, ClientError};
use crate::model::{ClusterId, ProblemType};
use crate::node::offline::OfflineError;
use crate::replica::Status;

/// A masterless registry of unique names.
#[derive(Parser, Debug)]
#[command(
    name = "forename",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 name taken or registration rejected, 4 still pending at \
                  the timeout.\nLogs go to stderr; FORENAME_LOG sets what is logged, like info or forename=debug."
)]
pub struct Cli {
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
    /// Show a name, a registration, or what became of an owner's registrations
    Show(show::ShowArgs),
    /// Say why a name or a registration is where it is, and what it waits for
    Explain(explain::ExplainArgs),
    Conflicts(conflicts::ConflictsArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    /// Release a name, or all names of a registration
    Release(release::ReleaseArgs),
    /// Make a reservation permanent
    Activate(activate::ActivateArgs),
    /// Let a reservation last longer
    Extend(extend::ExtendArgs),
    /// Take a new name and give up the old one once the new one is confirmed
    Rename(rename::RenameArgs),
    /// Follow the event feed
    Watch(watch::WatchArgs),
    /// Show the cluster: members, promises, what is pending and waited for
    Status(status::StatusArgs),
    Cluster(cluster::ClusterArgs),
    /// List members, let new ones in, put one out, leave
    Member(member::MemberArgs),
    /// Make a token for callers of the HTTP interface
    Token(token::TokenArgs),
    /// Show or change the rules of a namespace: profile, lengths, reserved names
    Namespace(namespace::NamespaceArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Rejoin(rejoin::RejoinArgs),
    Recover(recover::RecoverArgs),
    Verify(verify::VerifyArgs),
    /// Watch three nodes settle who gets a name across a cut link
    Demo(demo::DemoArgs),
    /// Print a completion script
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// What is logged where `FORENAME_LOG` does not say.
    #[must_use]
    pub fn default_log(&self) -> &'static str {
        match self.command {
            Command::Serve(_) => "info",
            // The links that it cuts are part of the story, not news.
            Command::Demo(_) => "error",
            _ => "warn",
        }
    }

    /// Runs the command; its exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.command.run() {
            Ok(exit) => exit.into(),
            Err(failure) => {
                if !failure.message.is_empty() {
                    // Where stderr is gone too, the exit code has to do.
                    // In one piece, as a thread that ends may still log.
                    let _ =
                        io::stderr().write_all(format!("forename: {}\n", output::lines(&failure.message)).as_bytes());
                }
                failure.exit.into()
            }
        }
    }
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Init(args) => init::run(&args),
            Self::Serve(args) => serve::run(args),
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
            Self::Backup(args) => block_on(backup::run(args)),
            Self::Restore(args) => restore::run(&args),
            Self::Rejoin(args) => rejoin::run(&args),
            Self::Recover(args) => recover::run(&args),
            Self::Verify(args) => verify::run(&args),
            Self::Demo(args) => demo::run(&args),
            Self::Completions(args) => completions::run(&args),
        }
    }
}

/// Runs a client command; one thread is enough for one request.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(command)
}

/// Which node a client command asks.
#[derive(Args, Debug)]
struct NodeArgs {
    /// The node to ask
    #[arg(long = "node", value_name = "URL", env = "FORENAME_NODE", default_value = "http://127.0.0.1:7400")]
    address: String,
    /// Refuse to talk to a node of another cluster than this one
    #[arg(long, value_name = "ID", env = "FORENAME_CLUSTER")]
    cluster: Option<ClusterId>,
    /// What lets the caller in, where the node asks for API tokens; others on this machine can see it in the list of
    /// processes, so prefer the variable or the file
    #[arg(long, value_name = "SECRET", env = "FORENAME_API_TOKEN", hide_env_values = true)]
    api_token: Option<String>,
    /// A file with that and nothing else
    #[arg(long, value_name = "FILE", env = "FORENAME_API_TOKEN_FILE", conflicts_with = "api_token")]
    api_token_file: Option<PathBuf>,
}

/// Which node a client command asks, and how it answers.
#[derive(Args, Debug)]
struct ClientArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Which stopped node's directory a command works on, and how it tells the result.
#[derive(Args, Debug)]
struct OfflineArgs {
    /// Where the node kept its identity and its state; it must not run
    #[arg(long, value_name = "DIR", env = "FORENAME_DATA_DIR")]
    data_dir: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Format {
    Text,
    Json,
}

/// The formats of a command that prints rows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Tabular {
    Text,
    Json,
    Csv,
}

impl NodeArgs {
    fn client(&self) -> Result<Client, Failure> {
        let client = Client::new(&self.address)?;
        let client = match self.cluster {
            Some(cluster) => client.of_cluster(cluster),
            None => client,
        };
        let file = self.api_token_file.as_ref().map(|path| {
            let secret = std::fs::read_to_string(path);
            secret.map_err(|error| Failure::usage(format!("cannot read the API token in {}: {error}", path.display())))
        });
        match self.api_token.clone().or(file.transpose()?).filter(|secret| !secret.trim().is_empty()) {
            Some(secret) => Ok(client.with_token(secret.trim())?),
            None => Ok(client),
        }
    }
}

impl ClientArgs {
    /// A client that names an owner where a registration is changed by its id.
    fn client_for(&self, owner: Option<&str>) -> Result<Client, Failure> {
        let client = self.client()?;
        Ok(match owner {
            Some(owner) => client.for_owner(owner),
            None => client,
        })
    }

    fn client(&self) -> Result<Client, Failure> {
        self.node.client()
    }
}

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Taken = 3,
    Pending = 4,
}

impl Exit {
    /// Of a command that made a registration.
    fn of(status: Status, waited: bool) -> Self {
        match status {
            Status::Confirmed => Self::Done,
            Status::Rejected => Self::Taken,
            Status::Pending | Status::Contested if waited => Self::Pending,
            Status::Pending | Status::Contested => Self::Done,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that could not do what it was told.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

type Outcome = Result<Exit, Failure>;

impl Failure {
    fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Address { .. } | ClientError::Token => Exit::Usage,
            error if error.is_taken() => Exit::Taken,
            _ => Exit::Failed,
        };
        let message = match error.problem().map(|problem| problem.problem_type) {
            Some(ProblemType::Unauthorized | ProblemType::Forbidden) => {
                format!("{error}. Here it is given in FORENAME_API_TOKEN, --api-token-file or --api-token")
            }
            _ => error.to_string(),
        };
        Self { exit, message }
    }
}

impl From<OfflineError> for Failure {
    fn from(error: OfflineError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// Of printing. A reader that has seen enough, like `head`, is not an error.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, message: String::new() };
        }
        Self::failed(format!("cannot print: {error}"))
    }
}

#[cfg(test)]
mod tests;
