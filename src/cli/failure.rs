//! How a command ends: its exit code, and what it says where it could not do what it was told.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use crate::client::ClientError;
use crate::model::{Problem, ProblemType, Status};
use crate::node::offline::OfflineError;

/// How a command ends. The numbers are what scripts see.
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
    /// What the codes mean, for `--help`.
    pub(super) const HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 name taken or registration rejected, 4 still \
                                   pending at the timeout, 5 no node could be reached, 6 not allowed, 10 'status --check' \
                                   found something wrong.\nWith --output json an error is a problem document on stdout. \
                                   Logs go to stderr; FORENAME_LOG sets what is logged, like info or forename=debug.";

    /// Of a command that made a registration.
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

/// A command that could not do what it was told.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// A sentence; empty where there is nobody left to read it.
    pub(super) message: String,
    /// What the node answered, where it did.
    problem: Option<Box<Problem>>,
    /// The command has printed its result, which says all that a program needs.
    printed: bool,
}

pub(super) type Outcome = Result<Exit, Failure>;

/// A failure as `--output json` prints it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Document<'a> {
    /// A node's own problem.
    Problem(&'a Problem),
    /// The command line's, with a type of its own and no HTTP status.
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

    /// The same after the command has printed its result.
    pub(super) fn after_result(self) -> Self {
        Self { printed: true, ..self }
    }

    /// The same in other words.
    pub(super) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// What a program is told of it; none where it was told already, or nobody reads it.
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
    /// Of printing. A reader that has seen enough, like `head`, is not an error.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::failed(format!("cannot print: {error}"))
    }
}
