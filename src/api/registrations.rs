//! The calls about registrations: register, look up, activate, extend, release, list.

use std::pin::pin;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{self, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::auth::{Caller, forbidden};
use super::extract::{Body, Id, NoParams, Params, Segments, json, whole_json};
use super::grid::on_grid;
use super::header_names::IDEMPOTENCY_KEY;
use super::names::{looked_up, suggestions};
use super::routes::REGISTRATIONS;
use super::{Api, or_problem};
use crate::model::limits::{DEFAULT_PAGE, DEFAULT_WAIT, MAX_PAGE, MAX_SUGGESTIONS, MAX_WAIT};
use crate::model::{ExtensionBody, OwnerPlace, Registration, RegistrationBody, Span, Wait};
use crate::model::{NameRef, Scope, Status};
use crate::model::{Problem, ProblemType};
use crate::node::Handle;
use crate::replica::{AwaitFinal, Caller as By, Charge, Command, RegisterRequest, RegistrationsOf};

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
    IdempotencyKey(key): IdempotencyKey,
    Body(body): Body<RegistrationBody>,
) -> Response {
    answer(&api, &caller, key, body).await.map(axum::body::Body::from)
}

/// Registers names for a caller, under the id that its idempotency key stands for, where it has one.
pub(super) async fn answer(
    api: &Api,
    caller: &Caller,
    key: Option<Uuid>,
    mut body: RegistrationBody,
) -> http::Response<Vec<u8>> {
    if key.is_some() && body.id.is_some_and(|id| Some(id) != key) {
        return invalid("the header Idempotency-Key and the member id differ; give one of them").whole();
    }
    body.id = key.or(body.id);
    let (id, mut response) = match registered(&api.handle, Some(caller), body).await {
        Ok(registration) => (Some(registration.id), whole_json(accepted(&registration), &registration)),
        Err(problem) => (problem.registration.as_ref().map(|lost| lost.id), problem.whole()),
    };
    if let Some(location) = id.and_then(place) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Returns the path of a registration.
fn place(id: Uuid) -> Option<HeaderValue> {
    let mut text = Uuid::encode_buffer();
    let path = [REGISTRATIONS, "/", id.as_hyphenated().encode_lower(&mut text)].concat();
    HeaderValue::try_from(path).ok()
}

/// Returns the HTTP status for a registration that was not rejected.
pub(super) fn accepted(registration: &Registration) -> StatusCode {
    if registration.status == Status::Confirmed { StatusCode::CREATED } else { StatusCode::ACCEPTED }
}

/// Registers names for a caller, or for this process where there is no caller. A rejected registration is returned as a
/// problem.
pub(crate) async fn registered(
    handle: &Handle,
    caller: Option<&Caller>,
    body: RegistrationBody,
) -> Result<Registration, Box<Problem>> {
    // A rename also ends a claim that the node has yet to look up, and that claim may be to a private name.
    let renames = body.replaces.is_some();
    let discreet = caller.is_some_and(Caller::is_discreet);
    let namespaces: Vec<_> = body.names.iter().filter(|_| discreet).map(|name| name.namespace.clone()).collect();
    let is_private = |handle: &Handle| {
        namespaces.iter().any(|namespace| handle.is_private(namespace)) || renames && handle.has_private()
    };
    on_grid(handle, discreet, is_private, pin!(register_now(handle, caller, body))).await
}

async fn register_now(
    handle: &Handle,
    caller: Option<&Caller>,
    body: RegistrationBody,
) -> Result<Registration, Box<Problem>> {
    let suggest = checked_count(body.suggest)?;
    if body.replaces.is_some() && caller.is_some_and(|caller| !caller.may_rename) {
        return Err(forbidden("the API token", Scope::Claim));
    }
    let wait = longest(body.wait, body.timeout);
    let charge = caller.and_then(|caller| caller.charge.clone());
    let command = Command::Register(request_of(body, wait, charge));
    let by = caller.map_or(By::ANYBODY, Caller::asks);
    // The two rare outcomes are boxed. Unboxed, the future of every registration would be as large as the largest of them, and
    // it is copied on its way from call to call.
    match or_problem(handle.command(command, by.clone()).await) {
        Ok(registration) if registration.status != Status::Rejected => Ok(registration),
        Ok(rejected) => Err(Box::pin(why_rejected(handle, caller, by, rejected, suggest)).await),
        Err(refused) => Err(Box::pin(with_suggestions(handle, caller, by, refused, suggest)).await),
    }
}

/// Adds alternatives to a refusal, where they are asked for, and leaves out what the caller may not see.
async fn with_suggestions(
    handle: &Handle,
    caller: Option<&Caller>,
    by: By,
    mut problem: Box<Problem>,
    suggest: usize,
) -> Box<Problem> {
    for name in &mut problem.names {
        match suggestions(handle, &name.namespace, &name.name, suggest, by.clone()).await {
            Ok(found) => name.suggestions = found,
            Err(other) => return other,
        }
        if caller.is_some_and(|caller| !caller.sees_holders) {
            (name.registration, name.since) = (None, None);
        }
    }
    problem
}

/// Checks the number of alternatives that a client asks for.
pub(super) fn checked_count(suggest: Option<usize>) -> Result<usize, Box<Problem>> {
    let count = suggest.unwrap_or(0);
    if count <= MAX_SUGGESTIONS {
        return Ok(count);
    }
    Err(invalid(&format!("suggest must be at most {MAX_SUGGESTIONS}, not {count}")))
}

/// Makes the request to the registry from a body. `wait` is limited already.
fn request_of(body: RegistrationBody, wait: Option<AwaitFinal>, charge: Option<Charge>) -> RegisterRequest {
    let metadata = body.metadata.map(|metadata| metadata.as_str().to_owned());
    let RegistrationBody { id, owner, names, ttl, replaces, .. } = body;
    RegisterRequest { id, owner, names, ttl: ttl.map(Span::millis), replaces, metadata, wait, charge }
}

/// Returns the problem of a rejected registration as its client sees it, with alternatives where they are asked for.
async fn why_rejected(
    handle: &Handle,
    caller: Option<&Caller>,
    by: By,
    mut registration: Registration,
    suggest: usize,
) -> Box<Problem> {
    let sees_holders = caller.is_none_or(|caller| caller.sees_holders);
    let asks_for_name = suggest > 0 || !sees_holders;
    let lost = registration.rejected_by.as_ref().filter(|by| asks_for_name && !by.name.is_empty());
    let lost = lost.map(|by| NameRef { namespace: by.namespace.clone(), name: by.name.clone() });
    let detail = Problem::rejected(registration.clone()).detail;
    if !sees_holders {
        registration.rejected_by = None;
    }
    let mut problem = Problem { detail, ..Problem::rejected(registration) };
    if let Some(lost) = lost {
        let mut lost = match looked_up(handle, lost, suggest, by).await {
            Ok(lost) => lost,
            Err(other) => return other,
        };
        if !sees_holders {
            (lost.registration, lost.since) = (None, None);
        }
        problem.names = vec![lost];
    }
    Box::new(problem)
}

/// The namespace under which an idempotency key that is not a UUID is mapped to an id, as a UUID of version 5 (RFC
/// 9562).
const IDEMPOTENCY_KEYS: Uuid = Uuid::from_u128(0x7d0f_2c5e_91b4_4c1a_8f36_0b5f_64d2_a9c7);
/// The maximum length of an idempotency key in bytes.
const MAX_KEY: usize = 256;

/// The id that the request's idempotency key stands for, where it has one.
pub(super) struct IdempotencyKey(Option<Uuid>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Box<Problem>> {
        idempotency_key(&parts.headers).map(Self)
    }
}

/// Returns the id that an idempotency key stands for. The key may be bare, or quoted as a structured header
/// (draft-ietf-httpapi-idempotency-key-header).
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, Box<Problem>> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if values.next().is_some() || bare.is_empty() || bare.len() > MAX_KEY {
        let why = format!("the header Idempotency-Key must be given once, with 1 to {MAX_KEY} ASCII characters");
        return Err(invalid(&why));
    }
    Ok(Some(bare.parse().unwrap_or_else(|_| Uuid::new_v5(&IDEMPOTENCY_KEYS, bare.as_bytes()))))
}

/// Returns for how long and for what the client waits, where it waits at all.
pub(crate) fn longest(wait: Option<Wait>, timeout: Option<Span>) -> Option<AwaitFinal> {
    let at_most = Span(timeout.map_or(DEFAULT_WAIT, |span| span.0).min(MAX_WAIT)).millis();
    match wait? {
        Wait::None => None,
        Wait::Final => Some(AwaitFinal::in_reach(at_most)),
        Wait::Always => Some(AwaitFinal::always(at_most)),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowParams {
    /// When to answer.
    wait: Option<Wait>,
    /// How long to wait at most; 5 s by default, 60 s at most.
    timeout: Option<Span>,
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(params): Params<ShowParams>,
) -> Result<Response, Box<Problem>> {
    let wait = longest(params.wait, params.timeout);
    Ok(json(StatusCode::OK, &or_problem(api.handle.outcome(id, wait, caller.asks()).await)?))
}

pub(super) async fn activate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(ForOwner { owner }): Params<ForOwner>,
) -> Result<Response, Box<Problem>> {
    changed(&api, Command::Activate { id }, caller.changes(owner)).await
}

pub(super) async fn extend(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(ForOwner { owner }): Params<ForOwner>,
    Body(ExtensionBody { ttl }): Body<ExtensionBody>,
) -> Result<Response, Box<Problem>> {
    changed(&api, Command::Extend { id, ttl: ttl.millis() }, caller.changes(owner)).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ForOwner {
    /// Whose registration it is; refused where it is another one's. A token with the scope `claim` has to say it.
    owner: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseParams {
    /// Whose registration it is; refused where it is another one's. A token with the scope `claim` has to say it.
    owner: Option<String>,
    /// Whether owner, names and metadata are erased at all nodes, too.
    #[serde(default)]
    erase: bool,
}

pub(super) async fn release(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(ReleaseParams { owner, erase }): Params<ReleaseParams>,
) -> Result<Response, Box<Problem>> {
    let command = if erase { Command::Erase { id } } else { Command::Release { id } };
    changed(&api, command, caller.changes(owner)).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnerParams {
    /// Where the page begins: the `next` of the page before.
    after: Option<OwnerPlace>,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

pub(super) async fn of_owner(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments(owner): Segments<String>,
    Params(params): Params<OwnerParams>,
) -> Result<Response, Box<Problem>> {
    let limit = page_limit(params.limit)?;
    Ok(json(StatusCode::OK, &api.query(RegistrationsOf::new(owner, params.after, limit), &caller).await?))
}

/// Checks the number of rows that a page shall have.
pub(crate) fn page_limit(limit: Option<usize>) -> Result<usize, Box<Problem>> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(invalid(&format!("limit must be from 1 to {MAX_PAGE}, not {limit}")))
}

/// Makes a change to a registration, and answers with the registration.
pub(super) async fn changed(api: &Api, command: Command, by: By) -> Result<Response, Box<Problem>> {
    // Only the node's look-up shows whether the registration exists and has private names.
    let discreet = !by.reads;
    let answer = on_grid(&api.handle, discreet, Handle::has_private, api.handle.command(command, by)).await;
    Ok(json(StatusCode::OK, &or_problem(answer)?))
}

pub(super) fn invalid(what: &str) -> Box<Problem> {
    Problem::boxed(ProblemType::InvalidRequest, format!("{what}; nothing was done"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_becomes_a_request() {
        let text = r#"{
            "owner": "o", "ttl": "1h30m", "names": [{"namespace": "username", "name": "alice"}],
            "replaces": {"registration": "00000000-0000-0000-0000-000000000006", "namespace": "username", "name": "al"},
            "metadata": {"a": 1}
        }"#;
        let request = request_of(serde_json::from_str(text).unwrap(), Some(AwaitFinal::in_reach(9)), None);
        assert_eq!(request.ttl, Some(5_400_000));
        assert_eq!(request.metadata.as_deref(), Some("{\"a\":1}"));
        assert_eq!(request.replaces.unwrap().name, "al");
        assert_eq!(request.wait, Some(AwaitFinal::in_reach(9)));
    }
}
