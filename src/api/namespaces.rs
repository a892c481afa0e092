//! Rules of namespaces: shown, set.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;
use super::extract::{Body, NoParams, Params, Segments, json};
use super::registrations::unexpected;
use crate::model::{Namespace, NamespaceBody};
use crate::model::{Problem, ProblemType};
use crate::name::Rules;
use crate::replica::{Answer, Request};

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    answer(api.ask(Request::Namespace(namespace)).await?)
}

pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Segments(namespace): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    Body(body): Body<NamespaceBody>,
) -> Result<Response, Box<Problem>> {
    let rules = rules_of(&namespace, &body)?;
    let if_version = body.if_version;
    answer(api.ask(Request::SetNamespace { namespace, rules: Box::new(rules), if_version }).await?)
}

/// The rules that a body gives.
pub(crate) fn rules_of(namespace: &str, body: &NamespaceBody) -> Result<Rules, Box<Problem>> {
    body.rules(namespace).map_err(|error| {
        let detail = format!("there cannot be such rules: {error}; nothing was changed, correct them");
        Problem::boxed(ProblemType::InvalidRequest, detail)
    })
}

fn answer(answer: Answer) -> Result<Response, Box<Problem>> {
    match answer {
        Answer::Namespace(view) => Ok(json(StatusCode::OK, &Namespace::from(*view))),
        other => Err(unexpected(&other)),
    }
}
