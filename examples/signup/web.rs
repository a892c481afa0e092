//! The handlers of the pages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use forename::model::{Problem, ProblemType};
use serde::Deserialize;
use uuid::Uuid;

use crate::database::{SignUp, Written};
use crate::registry::{self, Answer};
use crate::{App, Failure, pages};

pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(form).post(sign_up))
        .route("/account/{owner}", get(account))
        .route("/verify/{secret}", get(ask_to_verify).post(verify))
        .route("/outbox", get(outbox))
        .with_state(app)
}

/// A failure that a visitor cannot do anything about.
struct Broken(Failure);

impl<E: Into<Failure>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Broken {
    fn into_response(self) -> Response {
        tracing::error!("a page could not be given: {}", self.0);
        let text = "We could not do that just now. Nothing is lost; please try again.";
        html(StatusCode::SERVICE_UNAVAILABLE, pages::plain("Sorry", text))
    }
}

type Answered = Result<Response, Broken>;

fn html(status: StatusCode, page: String) -> Response {
    (status, Html(page)).into_response()
}

/// The form contains the owner of the future sign-up, so that sending it twice is one sign-up. Nobody can guess the
/// owner, and whoever knows it has access to the account. An application with logins would take it from the session.
async fn form() -> Response {
    let form = pages::Form { owner: Uuid::new_v4(), ..pages::Form::default() };
    html(StatusCode::OK, pages::sign_up(&form))
}

#[derive(Deserialize)]
struct Fields {
    owner: Uuid,
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    display_name: String,
}

impl Fields {
    fn into_sign_up(self) -> SignUp {
        // Control characters are dropped: browsers send none in a field of one line, and PostgreSQL's text cannot hold
        // all of them.
        let line = |text: &str| text.trim().chars().filter(|character| !character.is_control()).collect::<String>();
        let (username, email) = (line(&self.username), line(&self.email));
        let display_name: String = line(&self.display_name).chars().take(100).collect();
        SignUp {
            owner: self.owner,
            registration: Uuid::new_v4(),
            display_name: if display_name.is_empty() { username.clone() } else { display_name },
            username,
            email: (!email.is_empty()).then_some(email),
        }
    }
}

async fn sign_up(State(app): State<Arc<App>>, Form(fields): Form<Fields>) -> Answered {
    let mut sign_up = fields.into_sign_up();
    let mut database = app.database.connect().await?;
    let asked_before = match database.write(&sign_up).await? {
        Written::New => false,
        Written::Again(registration) => {
            sign_up.registration = registration;
            true
        }
        Written::Other => return Ok(Redirect::to(&format!("/account/{}", sign_up.owner)).into_response()),
    };
    let answer = registry::ask(&app.front, &sign_up.body(&app), asked_before).await;
    let SignUp { owner, username, email, display_name, .. } = &sign_up;
    // The feed sets the standing of an account whose registration was accepted, here as after a crash.
    let (status, page) = match answer {
        Answer::Accepted(registration) if registration.status.is_final() => {
            (StatusCode::CREATED, pages::welcome(*owner, display_name, email.is_some()))
        }
        Answer::Accepted(_) | Answer::Unknown => {
            (StatusCode::ACCEPTED, pages::we_will_tell_you(*owner, username, email.is_some()))
        }
        Answer::Refused(problem) => {
            database.refused(sign_up.registration).await?;
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::CONFLICT);
            (status, not_available(&sign_up, &problem))
        }
    };
    Ok(html(status, page))
}

/// Makes the form again, with the reason and free names.
fn not_available(sign_up: &SignUp, problem: &Problem) -> String {
    let names: Vec<_> = problem.names.iter().map(|name| name.name.as_str()).collect();
    let why = match problem.problem_type {
        ProblemType::InvalidName => {
            let name = problem.name.as_deref().unwrap_or_default();
            format!("{name} cannot be used: {}", problem.reason.as_deref().unwrap_or("it breaks a rule"))
        }
        _ if names.len() > 1 => format!("{} are not available", names.join(" and ")),
        _ if names.len() == 1 => format!("{} is not available", names.join("")),
        _ => problem.detail.clone(),
    };
    let alternatives: Vec<_> = problem.names.iter().flat_map(|name| name.suggestions.clone()).collect();
    let SignUp { owner, username, email, display_name, .. } = sign_up;
    let form = pages::Form { owner: *owner, username, email: email.as_deref().unwrap_or_default(), display_name };
    pages::refused(&pages::Sorry { why: &why, alternatives: &alternatives }, &form)
}

async fn account(State(app): State<Arc<App>>, Path(owner): Path<Uuid>) -> Answered {
    Ok(match app.database.connect().await?.account(owner).await? {
        Some(account) => html(StatusCode::OK, pages::account(&account)),
        None => html(StatusCode::NOT_FOUND, pages::plain("No such account", "Have you signed up?")),
    })
}

async fn ask_to_verify(State(app): State<Arc<App>>, Path(secret): Path<Uuid>) -> Answered {
    Ok(match app.database.connect().await?.by_secret(secret).await? {
        Some(sign_up) => html(StatusCode::OK, pages::verify(secret, sign_up.email.as_deref().unwrap_or_default())),
        None => unknown_link(),
    })
}

/// Activates the reservation, at any node. It does no harm to follow the link again.
async fn verify(State(app): State<Arc<App>>, Path(secret): Path<Uuid>) -> Answered {
    let Some(sign_up) = app.database.connect().await?.by_secret(secret).await? else { return Ok(unknown_link()) };
    if registry::activate(&app.nodes, &sign_up).await? {
        let text = format!("{} is yours.", sign_up.username);
        return Ok(html(StatusCode::OK, pages::plain("Thank you", &text)));
    }
    let text = "The link has come too late: the name is free again. Please sign up once more.";
    Ok(html(StatusCode::GONE, pages::plain("Too late", text)))
}

fn unknown_link() -> Response {
    let text = "This link is not, or no longer, one of ours.";
    html(StatusCode::NOT_FOUND, pages::plain("No such link", text))
}

/// Shows the mails in place of a mail server, for people who try the example. Visitors must not see this page.
async fn outbox(State(app): State<Arc<App>>) -> Answered {
    Ok(html(StatusCode::OK, pages::outbox(&app.database.connect().await?.outbox().await?)))
}
