//! Registrations: made, looked up, activated, released.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::extract::{Body, Id, NoParams, Params, Segments, internal, json};
use super::json::{Registration, RegistrationBody, Registrations, Span, Wait};
use super::problem::{Problem, ProblemType};
use super::{Api, DEFAULT_WAIT, MAX_WAIT};
use crate::replica::limits::MAX_PAGE;
use crate::replica::{Answer, RegistrationView, Request, Status};

/// Rows of a page where the client does not say.
pub(super) const DEFAULT_PAGE: usize = 100;

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    Params(NoParams {}): Params<NoParams>,
    headers: HeaderMap,
    Body(mut body): Body<RegistrationBody>,
) -> Result<Response, Box<Problem>> {
    if let Some(key) = idempotency_key(&headers)? {
        if body.id.is_some_and(|id| id != key) {
            return Err(invalid("the header Idempotency-Key and the member id differ; give one of them"));
        }
        body.id = Some(key);
    }
    if body.metadata.as_ref().is_some_and(|metadata| !metadata.is_object()) {
        return Err(invalid("metadata must be a JSON object"));
    }
    let wait = longest(body.wait, body.timeout);
    let answer = api.ask(Request::Register(body.into_request(wait))).await?;
    let registration = Registration::from(registration(answer)?);
    let location = format!("/v1/registrations/{}", registration.id);
    let mut response = match registration.status {
        Status::Confirmed => json(StatusCode::CREATED, &registration),
        Status::Pending | Status::Contested => json(StatusCode::ACCEPTED, &registration),
        Status::Rejected => Problem::rejected(registration).into_response(),
    };
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Bare, or quoted as a structured header (draft-ietf-httpapi-idempotency-key-header).
fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, Box<Problem>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match bare.parse() {
        Ok(id) => Ok(Some(id)),
        Err(error) => Err(invalid(&format!("the header Idempotency-Key must be a UUID, it becomes the id ({error})"))),
    }
}

/// After how many milliseconds to answer at the latest, where the client waits at all.
fn longest(wait: Option<Wait>, timeout: Option<Span>) -> Option<u64> {
    let timeout = timeout.map_or(DEFAULT_WAIT, |span| span.0).min(MAX_WAIT);
    (wait == Some(Wait::Final)).then(|| Span(timeout).millis())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowParams {
    wait: Option<Wait>,
    timeout: Option<Span>,
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Id(id): Id,
    Params(params): Params<ShowParams>,
) -> Result<Response, Box<Problem>> {
    let wait = longest(params.wait, params.timeout);
    one(api.ask(Request::Registration { id, wait }).await?)
}

pub(super) async fn activate(
    State(api): State<Arc<Api>>,
    Id(id): Id,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    one(api.ask(Request::Activate { id }).await?)
}

pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Id(id): Id,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    one(api.ask(Request::Release { id }).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnerParams {
    after: Option<Uuid>,
    limit: Option<usize>,
}

pub(super) async fn of_owner(
    State(api): State<Arc<Api>>,
    Segments(owner): Segments<String>,
    Params(params): Params<OwnerParams>,
) -> Result<Response, Box<Problem>> {
    let limit = page_limit(params.limit)?;
    match api.ask(Request::Owner { owner, after: params.after, limit }).await? {
        Answer::Registrations(views) => {
            let next = if views.len() < limit { None } else { views.last().map(|view| view.id) };
            let registrations = views.into_iter().map(Into::into).collect();
            Ok(json(StatusCode::OK, &Registrations { registrations, next }))
        }
        other => Err(unexpected(&other)),
    }
}

/// Rows of a page, checked.
pub(super) fn page_limit(limit: Option<usize>) -> Result<usize, Box<Problem>> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(invalid(&format!("limit must be from 1 to {MAX_PAGE}, not {limit}")))
}

/// The answer that is one registration.
pub(super) fn one(answer: Answer) -> Result<Response, Box<Problem>> {
    Ok(json(StatusCode::OK, &Registration::from(registration(answer)?)))
}

fn registration(answer: Answer) -> Result<RegistrationView, Box<Problem>> {
    match answer {
        Answer::Registration(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn unexpected(answer: &Answer) -> Box<Problem> {
    let kind = match answer {
        Answer::Registration(_) => "a registration",
        Answer::Name(_) => "a name",
        Answer::Registrations(_) => "registrations",
        Answer::Events(_) => "events",
        Answer::Cluster(_) => "the cluster",
        Answer::Namespace(_) => "a namespace",
    };
    internal(&format!("the node answered a different question, with {kind}"))
}

fn invalid(what: &str) -> Box<Problem> {
    Problem::boxed(ProblemType::InvalidRequest, format!("{what}; nothing was done"))
}
