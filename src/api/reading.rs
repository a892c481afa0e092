//! Reports and look-ups of many names: histories, conflicts, explanations and lists.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Caller;
use super::extract::{Body, Id, NoParams, Params, Segments, json};
use super::registrations::{invalid, page_limit};
use super::{Api, or_problem};
use crate::model::Problem;
use crate::model::{CheckedName, CheckedNames, ClaimPlace, Explanation, Name, NameRef, Place, Time};
use crate::name::check_namespace;
use crate::node::Handle;
use crate::replica::{
    Caller as By, ConflictsOf, ExplainName, ExplainRegistration, HistoryOf, NamesOf, NamesTaken, Refusal,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryParams {
    /// Where the page begins: the `next` of the page before.
    after: Option<ClaimPlace>,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

pub(super) async fn history(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments((namespace, name)): Segments<(String, String)>,
    Params(params): Params<HistoryParams>,
) -> Result<Response, Box<Problem>> {
    let (after, limit) = (params.after, page_limit(params.limit)?);
    let name = NameRef { namespace, name };
    Ok(json(StatusCode::OK, &api.query(HistoryOf { name, after, limit }, &caller).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ConflictParams {
    /// Only names of this namespace.
    namespace: Option<String>,
    /// Only claims that were accepted at or after this time.
    since: Option<Time>,
    /// Where the page begins: the `next` of the page before.
    after: Option<Place>,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

pub(super) async fn conflicts(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(params): Params<ConflictParams>,
) -> Result<Response, Box<Problem>> {
    let limit = page_limit(params.limit)?;
    let query = ConflictsOf::new(params.namespace, params.since, params.after, limit);
    Ok(json(StatusCode::OK, &api.query(query, &caller).await?))
}

pub(super) async fn explain_name(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments((namespace, name)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    Ok(json(
        StatusCode::OK,
        &Explanation::from(api.query(ExplainName::new(NameRef { namespace, name }), &caller).await?),
    ))
}

pub(super) async fn explain_registration(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Id(id): Id,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    Ok(json(StatusCode::OK, &Explanation::from(api.query(ExplainRegistration::new(id), &caller).await?)))
}

pub(super) async fn check(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
    Body(names): Body<Vec<NameRef>>,
) -> Result<Response, Box<Problem>> {
    Ok(json(StatusCode::OK, &checked(&api.handle, names, caller.asks()).await?))
}

/// Returns for each of these names whether it can be claimed.
pub(crate) async fn checked(handle: &Handle, names: Vec<NameRef>, by: By) -> Result<CheckedNames, Box<Problem>> {
    let found = or_problem(handle.query(NamesOf(names.clone()), by).await)?;
    let names = names.into_iter().zip(found).map(|(name, found)| checked_name(name, found)).collect();
    Ok(CheckedNames { names })
}

fn checked_name(asked: NameRef, found: Result<Name, Refusal>) -> CheckedName {
    let NameRef { namespace, name } = asked;
    let (available, key, status, refused) = match found {
        Ok(found) => (found.available, Some(found.key), Some(found.status), None),
        Err(refusal) => (false, None, None, Some(Problem::from(refusal))),
    };
    let (reason, why) = refused
        .map(|problem| {
            let kind = problem.problem_type.name().to_owned();
            (problem.reason.unwrap_or(kind), problem.why.unwrap_or(problem.detail))
        })
        .unzip();
    CheckedName { namespace, name, available, key, status, reason, why }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    /// Only names whose key begins so.
    #[serde(default)]
    prefix: String,
    /// Where the page begins: the `next` of the page before.
    after: Option<Place>,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments(namespace): Segments<String>,
    Params(params): Params<ListParams>,
) -> Result<Response, Box<Problem>> {
    check_namespace(&namespace).map_err(|error| invalid(&error.to_string()))?;
    page(&api, &caller, Some(namespace), params).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAllParams {
    /// Where the page begins: the `next` of the page before.
    after: Option<Place>,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

pub(super) async fn list_all(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(ListAllParams { after, limit }): Params<ListAllParams>,
) -> Result<Response, Box<Problem>> {
    page(&api, &caller, None, ListParams { prefix: String::new(), after, limit }).await
}

async fn page(
    api: &Api,
    caller: &Caller,
    namespace: Option<String>,
    params: ListParams,
) -> Result<Response, Box<Problem>> {
    let limit = page_limit(params.limit)?;
    let query = NamesTaken::new(namespace, params.prefix, params.after, limit);
    Ok(json(StatusCode::OK, &api.query(query, caller).await?))
}
