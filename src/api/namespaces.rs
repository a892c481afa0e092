//! Rules of namespaces: shown, set.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::extract::{Body, NoParams, Params, Segments, json};
use super::{Api, asked};
use crate::model::{Namespace, NamespaceBody};
use crate::model::{Problem, ProblemType};
use crate::name::Rules;
use crate::replica::{RulesOf, SetRules};

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    Ok(json(StatusCode::OK, &Namespace::from(api.query(RulesOf(namespace)).await?)))
}

pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    Body(body): Body<NamespaceBody>,
) -> Result<Response, Box<Problem>> {
    let rules = Box::new(rules_of(&namespace, &body)?);
    let set = SetRules { namespace, rules, if_version: body.if_version };
    Ok(json(StatusCode::OK, &Namespace::from(asked(api.handle.set_rules(set)).await?)))
}

/// The rules that a body gives.
pub(crate) fn rules_of(namespace: &str, body: &NamespaceBody) -> Result<Rules, Box<Problem>> {
    body.rules(namespace).map_err(|error| {
        let detail = format!("there cannot be such rules: {error}; nothing was changed, correct them");
        Problem::boxed(ProblemType::InvalidRequest, detail)
    })
}
