//! Every answer names the cluster that it comes from, and a caller that means another cluster is refused before
//! anything is done. So nobody's name is confirmed by the wrong cluster when an address leads there by mistake.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::header_names::CLUSTER;
use crate::model::{CLUSTER_HEADER, ClusterId, Problem, ProblemType};
use crate::node::Handle;

/// Returns the routes behind that check.
pub(super) fn before(routes: Router, handle: Handle) -> Router {
    routes.layer(middleware::from_fn_with_state(handle, check))
}

async fn check(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let ours = handle.cluster();
    let mut response = match meant(request.headers(), ours) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    // A newcomer may have learnt the id of its cluster meanwhile.
    name(response.headers_mut(), ours.or_else(|| handle.cluster()));
    response
}

/// Adds the cluster to the headers of an answer.
pub(super) fn name(headers: &mut HeaderMap, ours: Option<ClusterId>) {
    let Some(ours) = ours else { return };
    if let Ok(value) = HeaderValue::from_str(ours.0.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
        headers.insert(CLUSTER, value);
    }
}

/// Returns an error where the caller names another cluster. A caller that names none is let through.
pub(super) fn meant(headers: &HeaderMap, ours: Option<ClusterId>) -> Result<(), Box<Problem>> {
    let Some(value) = headers.get(CLUSTER) else { return Ok(()) };
    let meant: Option<ClusterId> = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let Some(meant) = meant else {
        let detail = format!("the header {CLUSTER_HEADER} is not the id of a cluster; nothing was done");
        return Err(Problem::boxed(ProblemType::InvalidRequest, detail));
    };
    match ours {
        Some(ours) if ours != meant => {
            let detail = format!(
                "this node belongs to cluster {ours}, and the call is for cluster {meant}; nothing was done. Check the address, \
                 or name this cluster if it is the one that is meant"
            );
            Err(Problem::boxed(ProblemType::OtherCluster, detail))
        }
        _ => Ok(()),
    }
}
