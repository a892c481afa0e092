//! The calls about single names: look up, release.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{self, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Caller;
use super::extract::{Params, Segments, whole_json};
use super::registrations::{changed, checked_count};
use super::{Api, or_problem};
use crate::model::Problem;
use crate::model::{Name, NameRef};
use crate::node::Handle;
use crate::replica::{Caller as By, Command, NameOf, Suggestions};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowParams {
    /// So many free alternatives, where the name is taken.
    #[param(maximum = 10)]
    suggest: Option<usize>,
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments((namespace, name)): Segments<(String, String)>,
    Params(params): Params<ShowParams>,
) -> Result<Response, Box<Problem>> {
    let suggest = checked_count(params.suggest)?;
    Ok(shown(&api, NameRef { namespace, name }, suggest, &caller).await?.map(axum::body::Body::from))
}

/// Answers a caller who looks up a name.
pub(super) async fn shown(
    api: &Api,
    name: NameRef,
    suggest: usize,
    caller: &Caller,
) -> Result<http::Response<Vec<u8>>, Box<Problem>> {
    Ok(whole_json(StatusCode::OK, &looked_up(&api.handle, name, suggest, caller.asks()).await?))
}

/// Looks up a name, with this number of free alternatives where the name is not available.
pub(crate) async fn looked_up(handle: &Handle, name: NameRef, suggest: usize, by: By) -> Result<Name, Box<Problem>> {
    let mut found = or_problem(handle.query(NameOf(name), by.clone()).await)?;
    if !found.available && suggest > 0 {
        // Boxed, so that the futures of all other look-ups are no larger for it.
        found.suggestions = Box::pin(suggestions(handle, &found.namespace, &found.name, suggest, by)).await?;
    }
    Ok(found)
}

/// Returns this number of free alternatives for a name.
pub(super) async fn suggestions(
    handle: &Handle,
    namespace: &str,
    name: &str,
    count: usize,
    by: By,
) -> Result<Vec<String>, Box<Problem>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let name = NameRef { namespace: namespace.to_owned(), name: name.to_owned() };
    or_problem(handle.query(Suggestions { name, count }, by).await)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseParams {
    /// Who holds the name.
    owner: String,
}

pub(super) async fn release(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segments((namespace, name)): Segments<(String, String)>,
    Params(ReleaseParams { owner }): Params<ReleaseParams>,
) -> Result<Response, Box<Problem>> {
    let command = Command::ReleaseName { owner, name: NameRef { namespace, name } };
    changed(&api, command, caller.asks()).await
}
