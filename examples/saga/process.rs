//! The process manager: it takes a sign-up from one step to the next, and forename is one of the steps.
//!
//! It keeps nothing of its own. What is to be done next follows from the accounts, and how far forename's feed was read
//! from the event store. So it can be stopped after any step, also between doing a thing and writing it down: the thing
//! is done again, and is the same, because the account's id is the registration's id.

use std::collections::BTreeSet;

use forename::Client;
use forename::model::{Cursor, EventQuery, EventType, Status};
use forename::model::{NameRef, Registration, RegistrationBody};
use forename::model::{Problem, ProblemType};
use uuid::Uuid;

use super::account::{Account, Command};
use super::store::{EventStore, Failure};

/// What one step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// forename was asked for the account's name.
    Asked(Uuid),
    /// forename told what became of a registration.
    Heard(Uuid),
    /// What the sign-up had done was undone.
    Compensated(Uuid),
    /// Events that would have come next are not kept any more; whoever still waits is asked for again.
    StartedOver,
    /// There is nothing to do until forename has something to tell.
    Idle,
}

pub(crate) struct ProcessManager {
    pub(crate) store: EventStore,
    node: Client,
    /// Those that this process has asked for: to spare requests, nothing hangs on it.
    asked: BTreeSet<Uuid>,
    /// How far the feed was read; none where it is to be read from its beginning.
    cursor: Option<Cursor>,
}

impl ProcessManager {
    pub(crate) fn new(store: EventStore, node: Client) -> Self {
        Self { cursor: store.cursor(), store, node, asked: BTreeSet::new() }
    }

    /// Does the next thing. After an error nothing is lost: call it again.
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

    /// Registers the account's name. Asked again, forename answers with what became of it.
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

    /// Reads on to the feed's next event about an account that waits. Not only of `local` origin: a node that is evicted and comes back is a new origin, and
    /// what others register in the same cluster is no account here.
    async fn listen(&mut self) -> Result<Step, Failure> {
        let types = vec![EventType::Confirmed, EventType::Rejected];
        let query = EventQuery { types, limit: Some(1), ..EventQuery::default() };
        loop {
            let page = match self.node.events(self.cursor, &query).await {
                Ok(page) => page,
                Err(error) => {
                    // The node has begun a new feed, or does not keep any more what would come next.
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

    /// Tells the account what became of its registration.
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

/// Why the account cannot get the name, however often it is asked for; none where it is worth asking again.
fn refusal(problem: &Problem) -> Option<String> {
    match problem.problem_type {
        ProblemType::NameTaken | ProblemType::RegistrationRejected => Some(FIRST.to_owned()),
        ProblemType::InvalidName => Some(problem.reason.as_ref().unwrap_or(&problem.detail).clone()),
        _ => None,
    }
}
