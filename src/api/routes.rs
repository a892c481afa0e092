//! The table of all calls: the router is made of it, and so are the tests that must hold for every call.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::auth::{About, allow};
use super::{Api, MAX_BODY, batch, cluster, dashboard, events, names, namespaces, reading, registrations};
use crate::model::Scope;
use crate::model::{Problem, ProblemType};

/// One call.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests go through all calls"))]
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// The scope that it takes; none: it is open to all.
    pub(super) scope: Option<Scope>,
    about: About,
    handlers: fn() -> MethodRouter<Arc<Api>>,
}

macro_rules! table {
    ($($method:ident $path:expr, $scope:expr, $about:ident => $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            scope: $scope,
            about: About::$about,
            handlers: || on(MethodFilter::$method, $handler),
        }),*]
    };
}

const OPEN: Option<Scope> = None;
const REGISTER: Option<Scope> = Some(Scope::Register);
const CLAIM: Option<Scope> = Some(Scope::Claim);
const READ: Option<Scope> = Some(Scope::Read);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// All calls.
pub(super) const TABLE: &[Route] = table! {
    POST   "/v1/registrations", REGISTER, Names => registrations::register;
    POST   batch::PATH, REGISTER, Names => batch::register;
    GET    "/v1/registrations/{id}", READ, Names => registrations::show;
    DELETE "/v1/registrations/{id}", CLAIM, Names => registrations::release;
    POST   "/v1/registrations/{id}/activate", CLAIM, Names => registrations::activate;
    POST   "/v1/registrations/{id}/extend", CLAIM, Names => registrations::extend;
    GET    "/v1/registrations/{id}/explanation", READ, Names => reading::explain_registration;
    GET    "/v1/names", READ, Names => reading::list_all;
    POST   "/v1/names:check", READ, Names => reading::check;
    GET    "/v1/namespaces/{namespace}/names", READ, Names => reading::list;
    GET    "/v1/names/{namespace}/{name}/history", READ, Names => reading::history;
    GET    "/v1/names/{namespace}/{name}/explanation", READ, Names => reading::explain_name;
    GET    "/v1/names/{namespace}/{name}", READ, Names => names::show;
    DELETE "/v1/names/{namespace}/{name}", CLAIM, Names => names::release;
    GET    "/v1/conflicts", READ, Names => reading::conflicts;
    GET    "/v1/namespaces", READ, Names => namespaces::list;
    GET    "/v1/namespaces/{namespace}", READ, Names => namespaces::show;
    PUT    "/v1/namespaces/{namespace}", ADMIN, Names => namespaces::set;
    PATCH  "/v1/namespaces/{namespace}", ADMIN, Names => namespaces::change;
    GET    "/v1/owners/{owner}/registrations", READ, Names => registrations::of_owner;
    GET    "/v1/events", READ, Names => events::feed;
    GET    "/v1/cluster", READ, Cluster => cluster::show;
    PATCH  "/v1/cluster/settings", ADMIN, All => cluster::configure;
    POST   "/v1/cluster/members/{node}/evict", ADMIN, All => cluster::evict;
    POST   "/v1/cluster/members/{node}/ban", ADMIN, All => cluster::ban;
    DELETE "/v1/cluster/members/{node}/ban", ADMIN, All => cluster::unban;
    POST   "/v1/cluster/secret", ADMIN, All => cluster::rotate_secret;
    POST   "/v1/cluster/leave", ADMIN, All => cluster::leave;
    DELETE "/v1/cluster/leave", ADMIN, All => cluster::stay;
    GET    "/v1/cluster/backup", ADMIN, All => cluster::backup;
    POST   "/v1/cluster/tokens", ADMIN, All => cluster::mint_token;
    GET    "/healthz", OPEN, Cluster => cluster::healthz;
    GET    "/readyz", OPEN, Cluster => cluster::readyz;
};

/// The routes of the table, each behind its scope.
pub(super) fn router(api: Arc<Api>) -> Router {
    let mut router = dashboard::routes();
    for Route { path, scope, about, handlers, .. } in TABLE {
        let handlers = handlers();
        router = router.route(path, scope.map_or(handlers.clone(), |scope| allow(&api, scope, *about, handlers)));
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
