//! The aggregate: an account decides commands by the events that it has seen, and does not depend on forename.

use serde::{Deserialize, Serialize};

/// A command to an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    /// Open the account under this name.
    SignUp {
        name: String,
    },
    ConfirmName,
    RejectName {
        why: String,
    },
    /// Undo the steps that the sign-up has done so far.
    Cancel,
}

/// An event of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event")]
pub(crate) enum Event {
    SignUpRequested { name: String },
    NameConfirmed,
    NameRejected { why: String },
    SignUpCancelled { letter: String },
}

/// A command that makes no sense for the account as it is.
#[derive(Debug, thiserror::Error)]
#[error("{command:?} cannot be done, as the account is {account:?}; nothing was changed")]
pub(crate) struct Refused {
    command: Command,
    account: Account,
}

/// The state of an account, as its events made it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Account {
    #[default]
    New,
    /// The saga is under way.
    Waiting {
        name: String,
    },
    Active {
        name: String,
    },
    /// The name belongs to somebody else, so the steps of the sign-up are to be undone.
    Rejected {
        name: String,
        why: String,
    },
    Cancelled,
}

impl Account {
    /// Returns the event that a command leads to; none where the command was done already, so that every command may be
    /// given again.
    pub(crate) fn decide(&self, command: Command) -> Result<Option<Event>, Refused> {
        let event = match (self, command) {
            (Self::New, Command::SignUp { name }) => Event::SignUpRequested { name },
            (Self::Waiting { name: asked }, Command::SignUp { name }) if *asked == name => return Ok(None),
            (Self::Waiting { .. }, Command::ConfirmName) => Event::NameConfirmed,
            (Self::Active { .. }, Command::ConfirmName) => return Ok(None),
            (Self::Waiting { .. }, Command::RejectName { why }) => Event::NameRejected { why },
            (Self::Rejected { .. } | Self::Cancelled, Command::RejectName { .. }) => return Ok(None),
            (Self::Rejected { name, why }, Command::Cancel) => {
                Event::SignUpCancelled { letter: format!("Sorry, you could not become {name}: {why}.") }
            }
            (Self::Cancelled, Command::Cancel) => return Ok(None),
            (account, command) => return Err(Refused { command, account: account.clone() }),
        };
        Ok(Some(event))
    }

    /// Returns the account after one more event.
    pub(crate) fn apply(self, event: &Event) -> Self {
        match (self, event) {
            (Self::New, Event::SignUpRequested { name }) => Self::Waiting { name: name.clone() },
            (Self::Waiting { name }, Event::NameConfirmed) => Self::Active { name },
            (Self::Waiting { name }, Event::NameRejected { why }) => Self::Rejected { name, why: why.clone() },
            (Self::Rejected { .. }, Event::SignUpCancelled { .. }) => Self::Cancelled,
            // `decide` returns no other event for this state.
            (account, _) => account,
        }
    }
}
