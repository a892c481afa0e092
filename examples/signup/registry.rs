//! The requests to forename, at any node that answers.

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::client::ClientError;
use forename::model::{NameRef, Registration, RegistrationBody, Span, Wait};
use forename::model::{Problem, ProblemType};

use crate::database::SignUp;
use crate::{App, Failure};

/// The number of free alternatives that a visitor is shown.
const SUGGESTIONS: usize = 3;
/// The time between two searches for sign-ups that no node has answered, and the age that these must have. The age is
/// longer than a visitor's own request can last.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const UNANSWERED_AFTER: Duration = Duration::from_secs(120);

/// The answer of forename to a sign-up.
pub(crate) enum Answer {
    /// A node has accepted the registration. Its status may still be `pending`.
    Accepted(Box<Registration>),
    /// No node has the registration, or it lost for good: a name is taken or is not valid.
    Refused(Box<Problem>),
    /// Some node may have the registration, and none can be asked now.
    Unknown,
}

impl SignUp {
    /// The registration, which claims both names or none. With an e-mail address it is a reservation, which the link in
    /// the mail makes permanent. Where nobody follows the link, both names become free again by themselves.
    pub(crate) fn body(&self, app: &App) -> RegistrationBody {
        let name = |namespace: &str, name: &str| NameRef { namespace: namespace.to_owned(), name: name.to_owned() };
        let email = self.email.as_ref().map(|email| name("email", email));
        RegistrationBody {
            id: Some(self.registration),
            owner: self.owner.to_string(),
            names: [name("username", &self.username)].into_iter().chain(email).collect(),
            ttl: self.email.as_ref().map(|_| Span(app.verify_within)),
            wait: Some(Wait::Final),
            timeout: Some(Span(app.answer_within)),
            suggest: Some(SUGGESTIONS),
            ..RegistrationBody::default()
        }
    }
}

/// Registers at the first node that answers. It is safe to ask again, here or at another node, because the id makes it
/// one registration however often it arrives.
pub(crate) async fn ask(nodes: &Client, body: &RegistrationBody, asked_before: bool) -> Answer {
    let asked = if asked_before { nodes.register_again(body).await } else { nodes.register(body).await };
    match asked {
        Ok(registration) => Answer::Accepted(Box::new(registration)),
        Err(ClientError::Problem(problem)) if refuses(&problem) => Answer::Refused(problem),
        Err(error) => {
            tracing::warn!("a sign-up has no answer yet: {error}");
            Answer::Unknown
        }
    }
}

/// True where the refusal is about the request itself, so that a retry gets the same answer.
fn refuses(problem: &Problem) -> bool {
    (400..500).contains(&problem.status) && problem.status != 429 && problem.problem_type != ProblemType::IdReused
}

/// Makes a reservation permanent, at the first node that can. Returns false where the reservation has ended or lost.
pub(crate) async fn activate(nodes: &Client, sign_up: &SignUp) -> Result<bool, Failure> {
    match nodes.clone().for_owner(&sign_up.owner.to_string()).activate(sign_up.registration).await {
        Ok(_) => Ok(true),
        Err(ClientError::Problem(problem)) if problem.problem_type == ProblemType::TooLate => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Asks again for sign-ups that no node is known to have accepted or refused, because the application was killed before
/// it had an answer, or no node could give one. At the start these are all such sign-ups, and later those for which no
/// visitor waits any more.
pub(crate) async fn ask_again(app: Arc<App>) {
    let mut unanswered_for = Duration::ZERO;
    loop {
        match ask_for_all(&app, unanswered_for).await {
            Ok(()) => unanswered_for = UNANSWERED_AFTER,
            Err(error) => tracing::warn!("sign-ups without an answer are asked for later: {error}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn ask_for_all(app: &App, unanswered_for: Duration) -> Result<(), Failure> {
    let mut database = app.database.connect().await?;
    for sign_up in database.unanswered(unanswered_for).await? {
        let body = RegistrationBody { wait: Some(Wait::None), timeout: None, ..sign_up.body(app) };
        // The feed will tell the events of those that were accepted.
        if let Answer::Refused(problem) = ask(&app.front, &body, true).await {
            database.refused_unseen(sign_up.registration, &problem.detail).await?;
        }
    }
    Ok(())
}
