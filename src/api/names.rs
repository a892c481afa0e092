//! Single names: looked up, released.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Api;
use super::extract::{NoParams, Params, Segments, json};
use super::json::Name;
use super::problem::Problem;
use super::registrations::{one, unexpected};
use crate::replica::{Answer, NameRequest, Request};

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Segments((namespace, name)): Segments<(String, String)>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Response, Box<Problem>> {
    match api.ask(Request::Name(NameRequest { namespace, name })).await? {
        Answer::Name(view) => Ok(json(StatusCode::OK, &Name::from(view))),
        other => Err(unexpected(&other)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseParams {
    owner: String,
}

pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Segments((namespace, name)): Segments<(String, String)>,
    Params(ReleaseParams { owner }): Params<ReleaseParams>,
) -> Result<Response, Box<Problem>> {
    one(api.ask(Request::ReleaseName { owner, name: NameRequest { namespace, name } }).await?)
}
