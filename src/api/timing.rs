//! How long requests take, by the call that they are for.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// What stands for a request that is for none of the calls, whatever its path and method.
const NO_ROUTE: &str = "none";

/// The calls by the patterns of their paths, each with its methods and with what it is called in the metrics.
pub(super) type Calls = HashMap<&'static str, Vec<(Method, &'static str)>>;

/// The routes, each request of which is measured.
pub(super) fn before(routes: Router, calls: Arc<Calls>, metrics: Arc<Metrics>) -> Router {
    routes.layer(middleware::from_fn_with_state((calls, metrics), measure))
}

async fn measure(
    State((calls, metrics)): State<(Arc<Calls>, Arc<Metrics>)>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let of = path.as_ref().and_then(|path| calls.get(path.as_str()));
    let call = of.and_then(|methods| methods.iter().find(|(method, _)| method == request.method()));
    let route = call.map_or(NO_ROUTE, |(_, route)| *route);
    let began = Instant::now();
    let response = next.run(request).await;
    metrics.requested(route, response.status().as_u16(), began.elapsed());
    response
}
