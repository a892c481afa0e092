//! The calls about namespaces: list them, show and set their rules.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::{Caller, Change};
use super::extract::{Body, NoParams, Params, Segments, json};
use super::registrations::page_limit;
use super::{Api, or_problem};
use crate::model::{Namespace, NamespaceBody, NamespacePatch};
use crate::model::{Problem, ProblemType};
use crate::name::Rules;
use crate::node::Handle;
use crate::replica::{Caller as By, NamespacesKnown, RulesOf, SetRules};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    /// Where the page begins: the `next` of the page before.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", max_length = 128)]
    after: Option<String>,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(ListParams { after, limit }): Params<ListParams>,
) -> Result<Response, Box<Problem>> {
    let query = NamespacesKnown::new(after, page_limit(limit)?);
    Ok(json(StatusCode::OK, &api.query(query, &caller).await?))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    Ok(json(StatusCode::OK, &api.query(RulesOf(namespace), &caller).await?))
}

pub(super) async fn set(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    Body(body): Body<NamespaceBody>,
) -> Result<Response, Box<Problem>> {
    let rules = Box::new(rules_of(&namespace, &body)?);
    let set = SetRules { namespace, rules, if_version: body.if_version };
    let set = or_problem(api.handle.set_rules(set, caller.asks()).await)?;
    Ok(Change::of(&body).made(json(StatusCode::OK, &set)))
}

pub(super) async fn change(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    Body(patch): Body<NamespacePatch>,
) -> Result<Response, Box<Problem>> {
    let changed = changed(&api.handle, &namespace, &patch, &caller.asks()).await?;
    Ok(Change::of(&patch).made(json(StatusCode::OK, &changed)))
}

/// Changes the rules in force. Where the rules are changed by somebody else meanwhile, and the patch does not name the
/// version that it is meant for, the patch is applied to the new rules.
pub(crate) async fn changed(
    handle: &Handle,
    namespace: &str,
    patch: &NamespacePatch,
    by: &By,
) -> Result<Namespace, Box<Problem>> {
    loop {
        let shown = or_problem(handle.query(RulesOf(namespace.to_owned()), by.clone()).await)?;
        let body = patch.applied_to(&NamespaceBody::from(&shown)).map_err(|error| {
            let detail = format!("that is no change of rules: {error}; nothing was changed, correct it");
            Problem::boxed(ProblemType::InvalidRequest, detail)
        })?;
        let rules = Box::new(rules_of(namespace, &body)?);
        let set = SetRules { namespace: namespace.to_owned(), rules, if_version: body.if_version };
        match or_problem(handle.set_rules(set, by.clone()).await) {
            Err(problem) if problem.problem_type == ProblemType::RulesChanged && !patch.names_version() => {}
            answer => return answer,
        }
    }
}

/// Checks the rules that a body gives.
pub(crate) fn rules_of(namespace: &str, body: &NamespaceBody) -> Result<Rules, Box<Problem>> {
    body.rules(namespace).map_err(|error| {
        let detail = format!("there cannot be such rules: {error}; nothing was changed, correct them");
        Problem::boxed(ProblemType::InvalidRequest, detail)
    })
}
