//! The end of a command: its exit code, and the message where it failed.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use crate::client::ClientError;
use crate::model::{Problem, ProblemType, Status};
use crate::node::offline::OfflineError;

/// The outcome of a command. The numbers are the exit codes that scripts see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Taken = 3,
    Pending = 4,
    Unreachable = 5,
    NotAllowed = 6,
    Unhealthy = 10,
}

impl Exit {
    /// The explanation of the exit codes for `--help`.
    pub(super) const HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 name taken or registration rejected, 4 still \
                                   pending at the timeout, 5 no node could be reached, 6 not allowed, 10 'status --check' \
                                   or '--ready' found something wrong.\nWith --output json an error is a problem document on stdout. \
                                   Logs go to stderr; FORENAME_LOG sets what is logged, like info or forename=debug.";

    /// Returns the exit code of a command that made a registration.
    pub(super) fn of(status: Status, waited: bool) -> Self {
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

/// The failure of a command.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// The message, a sentence; empty where there is nobody left to read it.
    pub(super) message: String,
    /// The problem document that the node sent; none where the failure is not from a node.
    problem: Option<Box<Problem>>,
    /// True where the command has printed its result, which says all that a program needs.
    printed: bool,
}

pub(super) type Outcome = Result<Exit, Failure>;

/// A failure as `--output json` prints it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Document<'a> {
    /// A problem document from a node.
    Problem(&'a Problem),
    /// A problem of the command line itself, with a type of its own and no HTTP status.
    Own {
        #[serde(rename = "type")]
        kind: String,
        title: &'static str,
        detail: &'a str,
    },
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), problem: None, printed: false }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Returns the same failure of a command that has printed its result.
    pub(super) fn after_result(self) -> Self {
        Self { printed: true, ..self }
    }

    /// Returns the same failure with another message.
    pub(super) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Returns the document for `--output json`; none where the result was printed already, or nobody reads it.
    pub(super) fn document(&self) -> Option<Document<'_>> {
        if self.printed || self.message.is_empty() {
            return None;
        }
        if let Some(problem) = self.problem.as_deref() {
            return Some(Document::Problem(problem));
        }
        let (name, title) = match self.exit {
            Exit::Unreachable => ("unreachable", "No node could be reached"),
            Exit::Usage => ("usage", "The command cannot be understood"),
            _ => ("failed", "The command failed"),
        };
        Some(Document::Own { kind: ProblemType::urn(name), title, detail: &self.message })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Address { .. } | ClientError::Token | ClientError::Ca(_) | ClientError::Path(_) => Exit::Usage,
            ClientError::Unreachable { .. } => Exit::Unreachable,
            ClientError::Problem(problem) if problem.is_taken() => Exit::Taken,
            ClientError::Problem(problem) if matches!(problem.status, 401 | 403) => Exit::NotAllowed,
            ClientError::Problem(_) | ClientError::Answer { .. } | ClientError::OtherCluster { .. } => Exit::Failed,
        };
        let message = match error.problem().map(|problem| problem.problem_type) {
            Some(ProblemType::Unauthorized | ProblemType::Forbidden) => {
                format!("{error}. Here it is given in FORENAME_API_TOKEN, --api-token-file or --api-token")
            }
            _ => error.to_string(),
        };
        let problem = if let ClientError::Problem(problem) = error { Some(problem) } else { None };
        Self { exit, message, problem, printed: false }
    }
}

impl From<OfflineError> for Failure {
    fn from(error: OfflineError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// Makes a failure of an error in printing. A reader that stops early, like `head`, is not an error.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::failed(format!("cannot print: {error}"))
    }
}
