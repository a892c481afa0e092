//! Registers names at any of several nodes.

use std::time::Duration;

use reqwest::{Method, Request};
use uuid::Uuid;

use super::{Client, ClientError, PATIENCE, Result};
use crate::model::limits::DEFAULT_WAIT;
use crate::model::{Problem, ProblemType, Registration, RegistrationBody, Wait};

impl Client {
    /// Claims names, all or none. With several nodes the next one is asked where one does not answer, under the same
    /// id, so that it stays one registration.
    ///
    /// # Errors
    /// A rejected registration is an error too ([`ClientError::is_taken`]), and its problem has the registration.
    /// [`ClientError::Uncertain`] where a node may have taken it and did not answer, and the others refuse it.
    pub async fn register(&self, body: &RegistrationBody) -> Result<Registration> {
        self.register_at_any(body, false).await
    }

    /// Claims names with a request that may have been sent before under this id without an answer. A refusal counts
    /// only where all nodes refuse, because the node that took the request would confirm it.
    ///
    /// # Errors
    /// The same as those of [`register`](Self::register).
    pub async fn register_again(&self, body: &RegistrationBody) -> Result<Registration> {
        self.register_at_any(body, true).await
    }

    async fn register_at_any(&self, body: &RegistrationBody, asked_before: bool) -> Result<Registration> {
        let waits = body.wait.is_some_and(Wait::waits);
        let wait = if waits { body.timeout.map_or(DEFAULT_WAIT, |span| span.0) } else { Duration::ZERO };
        // A request that one node may have taken may go to another node only under the same id.
        #[expect(clippy::disallowed_methods, reason = "the client is no pure part; an id is chosen once")]
        let id = match body.id {
            None if self.nodes.are_several() => Some(Uuid::new_v4()),
            id => id,
        };
        let body = RegistrationBody { id, ..body.clone() };
        let request = self.call(Method::POST, &["v1", "registrations"], &[])?.json(&body);
        let request = self.meant(request.timeout(wait.saturating_add(PATIENCE))).build();
        let request = request.map_err(|error| self.unreachable(&error))?;
        let (mut refusal, mut unanswered, mut failures) = (None, false, Vec::new());
        for (index, node) in self.nodes.in_turn() {
            let Some(attempt) = request.try_clone() else { break };
            match self.registered_at(index, node, attempt).await {
                Err(error) if error.is_unreachable() || error.is_passing() => {
                    unanswered |= asked_before || error.is_unreachable() && !error.is_unsent();
                    failures.push(error);
                }
                Err(ClientError::Problem(problem)) if settles(&problem) && (asked_before || unanswered) => {
                    refusal.get_or_insert(problem);
                }
                answer => return answer,
            }
        }
        Err(match refusal {
            Some(refusal) if unanswered => ClientError::Uncertain { id: id.unwrap_or_default(), refusal },
            Some(refusal) => ClientError::Problem(refusal),
            None => ClientError::all(failures),
        })
    }

    async fn registered_at(&self, index: usize, node: &reqwest::Url, attempt: Request) -> Result<Registration> {
        let response = self.send_to(node, attempt).await?;
        self.nodes.answered(index);
        self.read(response).await
    }
}

/// Returns true where this refusal is the outcome, unless another node has taken the same request.
fn settles(problem: &Problem) -> bool {
    let answers = (400..500).contains(&problem.status) && !matches!(problem.status, 401 | 403 | 429);
    answers && !matches!(problem.problem_type, ProblemType::IdReused | ProblemType::RegistrationRejected)
}
