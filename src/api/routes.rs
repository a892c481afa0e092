//! The table of all calls: the router is made of it, and so are the tests that must hold for every call.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::auth::allow;
use super::{Api, MAX_BODY, batch, cluster, events, names, namespaces, reading, registrations};
use crate::model::Scope;
use crate::model::{Problem, ProblemType};

/// One call.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests go through all calls"))]
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// The scope that it takes; none: it is open to all.
    pub(super) scope: Option<Scope>,
    handlers: fn() -> MethodRouter<Arc<Api>>,
}

macro_rules! table {
    ($($method:ident $path:expr, $scope:expr => $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            scope: $scope,
            handlers: || on(MethodFilter::$method, $handler),
        }),*]
    };
}

const OPEN: Option<Scope> = None;
const CLAIM: Option<Scope> = Some(Scope::Claim);
const READ: Option<Scope> = Some(Scope::Read);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// All calls.
pub(super) const TABLE: &[Route] = table! {
    POST   "/v1/registrations", CLAIM => registrations::register;
    POST   batch::PATH, CLAIM => batch::register;
    GET    "/v1/registrations/{id}", READ => registrations::show;
    DELETE "/v1/registrations/{id}", CLAIM => registrations::release;
    POST   "/v1/registrations/{id}/activate", CLAIM => registrations::activate;
    POST   "/v1/registrations/{id}/extend", CLAIM => registrations::extend;
    GET    "/v1/registrations/{id}/explanation", READ => reading::explain_registration;
    GET    "/v1/names", READ => reading::list_all;
    POST   "/v1/names:check", READ => reading::check;
    GET    "/v1/namespaces/{namespace}/names", READ => reading::list;
    GET    "/v1/names/{namespace}/{name}/history", READ => reading::history;
    GET    "/v1/names/{namespace}/{name}/explanation", READ => reading::explain_name;
    GET    "/v1/names/{namespace}/{name}", READ => names::show;
    DELETE "/v1/names/{namespace}/{name}", CLAIM => names::release;
    GET    "/v1/conflicts", READ => reading::conflicts;
    GET    "/v1/namespaces/{namespace}", READ => namespaces::show;
    PUT    "/v1/namespaces/{namespace}", ADMIN => namespaces::set;
    GET    "/v1/owners/{owner}/registrations", READ => registrations::of_owner;
    GET    "/v1/events", READ => events::feed;
    GET    "/v1/cluster", READ => cluster::show;
    POST   "/v1/cluster/members/{node}/evict", ADMIN => cluster::evict;
    POST   "/v1/cluster/leave", ADMIN => cluster::leave;
    DELETE "/v1/cluster/leave", ADMIN => cluster::stay;
    GET    "/v1/cluster/backup", ADMIN => cluster::backup;
    POST   "/v1/cluster/tokens", ADMIN => cluster::mint_token;
    GET    "/healthz", OPEN => cluster::healthz;
    GET    "/readyz", OPEN => cluster::readyz;
};

/// The routes of the table, each behind its scope.
pub(super) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for Route { path, scope, handlers, .. } in TABLE {
        let handlers = handlers();
        router = router.route(path, scope.map_or(handlers.clone(), |scope| allow(&api, scope, handlers)));
    }
    router
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

async fn no_route(uri: Uri) -> Problem {
    let detail = format!(
        "there is nothing at {}; nothing was done, the calls are listed in the manual under /v1 (a slash inside a \
         namespace is written %2F)",
        uri.path()
    );
    Problem::new(ProblemType::NoRoute, detail)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail =
        format!("{} does not take {method}; nothing was done, the header Allow lists the methods it takes", uri.path());
    Problem::new(ProblemType::MethodNotAllowed, detail)
}
