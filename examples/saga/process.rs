//! The process manager. It takes a sign-up from one step to the next, and registering at forename is one of the steps.
//!
//! It keeps no state of its own. The next step follows from the accounts, and the position in forename's feed from the
//! event store. So it can be stopped at any moment, also between an action and its record. The action is then repeated
//! and has the same result, because the account's id is the registration's id.

use std::collections::BTreeSet;

use forename::Client;
use forename::model::{Cursor, EventQuery, EventType, Status};
use forename::model::{NameRef, Registration, RegistrationBody};
use forename::model::{Problem, ProblemType};
use uuid::Uuid;

use super::account::{Account, Command};
use super::store::{EventStore, Failure};

/// The result of one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// forename was asked for the account's name.
    Asked(Uuid),
    /// forename told the outcome of a registration.
    Heard(Uuid),
    /// The steps of the sign-up were undone.
    Compensated(Uuid),
    /// The next events of the feed are not kept any more, so the names of all waiting accounts are asked for again.
    StartedOver,
    /// There is nothing to do until forename has a new event.
    Idle,
}

pub(crate) struct ProcessManager {
    pub(crate) store: EventStore,
    node: Client,
    /// The accounts whose names this process has asked for. This only saves requests; nothing depends on it.
    asked: BTreeSet<Uuid>,
    /// The cursor up to which the feed was read; none for the beginning.
    cursor: Option<Cursor>,
}

impl ProcessManager {
    pub(crate) fn new(store: EventStore, node: Client) -> Self {
        Self { cursor: store.cursor(), store, node, asked: BTreeSet::new() }
    }

    /// Takes the next step. Nothing is lost by an error; call it again.
    pub(crate) async fn step(&mut self) -> Result<Step, Failure> {
        let rejected = self.store.accounts().find(|(_, account)| matches!(account, Account::Rejected { .. }));
        if let Some((id, _)) = rejected {
            self.store.dispatch(id, Command::Cancel, None)?;
            return Ok(Step::Compensated(id));
        }
        let waiting = self.store.accounts().find_map(|(id, account)| match account {
            Account::Waiting { name } if !self.asked.contains(&id) => Some((id, name.clone())),
            _ => None,
        });
        match waiting {
            Some((id, name)) => self.ask(id, name).await,
            None => self.listen().await,
        }
    }

    /// Registers the account's name. Where that was done before, forename answers with the registration as it is now.
    async fn ask(&mut self, id: Uuid, name: String) -> Result<Step, Failure> {
        let names = vec![NameRef { namespace: "username".to_owned(), name }];
        let body = RegistrationBody { id: Some(id), owner: id.to_string(), names, ..RegistrationBody::default() };
        match self.node.register(&body).await {
            Ok(registration) => self.hear(&registration, None)?,
            Err(error) => {
                let why = error.problem().and_then(refusal).ok_or(error)?;
                self.store.dispatch(id, Command::RejectName { why }, None)?;
            }
        }
        self.asked.insert(id);
        Ok(Step::Asked(id))
    }

    /// Reads the feed up to the next event about an account that waits. The query is not limited to `local` origin,
    /// because a node that comes back after an eviction is a new origin. Registrations of other applications in the
    /// same cluster match no account here.
    async fn listen(&mut self) -> Result<Step, Failure> {
        let types = vec![EventType::Confirmed, EventType::Rejected];
        let query = EventQuery { types, limit: Some(1), ..EventQuery::default() };
        loop {
            let page = match self.node.events(self.cursor, &query).await {
                Ok(page) => page,
                Err(error) => {
                    // The node has begun a new feed, or no longer keeps the events that come next.
                    let restart = error.problem().and_then(|problem| problem.restart).ok_or(error)?;
                    self.asked.clear();
                    self.cursor = Some(restart);
                    return Ok(Step::StartedOver);
                }
            };
            let about = page.events.first().map(|event| &event.data.registration);
            let news =
                about.filter(|registration| matches!(self.store.account(registration.id), Account::Waiting { .. }));
            if let Some(registration) = news {
                self.hear(registration, Some(page.next))?;
            }
            let is_new = self.cursor != Some(page.next);
            self.cursor = Some(page.next);
            match news {
                Some(registration) => return Ok(Step::Heard(registration.id)),
                None if is_new => {}
                None => return Ok(Step::Idle),
            }
        }
    }

    /// Gives the account the outcome of its registration.
    fn hear(&mut self, registration: &Registration, cursor: Option<Cursor>) -> Result<(), Failure> {
        let command = match registration.status {
            Status::Pending | Status::Contested => return Ok(()),
            Status::Confirmed => Command::ConfirmName,
            Status::Rejected => Command::RejectName { why: FIRST.to_owned() },
        };
        self.store.dispatch(registration.id, command, cursor)
    }
}

const FIRST: &str = "somebody else was first";

/// Returns the reason why the account can never get the name; none where it is worth asking again.
fn refusal(problem: &Problem) -> Option<String> {
    match problem.problem_type {
        ProblemType::NameTaken | ProblemType::RegistrationRejected => Some(FIRST.to_owned()),
        ProblemType::InvalidName => Some(problem.reason.as_ref().unwrap_or(&problem.detail).clone()),
        _ => None,
    }
}
