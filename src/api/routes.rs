//! The table of all calls. The router is made from it, and so are the tests that hold for every call.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::Value;

use super::auth::{About, allow};
use super::observe::Calls;
use super::openapi::call::Call;
use super::openapi::{self, Described, calls, page};
use super::{Api, MAX_BODY, batch, cluster, dashboard, events, names, namespaces, reading, registrations, webhooks};
use crate::model::Scope;
use crate::model::{Problem, ProblemType};

/// One call.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// The scope that a caller needs; none where the call is open to all.
    pub(super) scope: Option<Scope>,
    pub(super) about: About,
    handlers: fn() -> MethodRouter<Arc<Api>>,
    /// The description of the call for the OpenAPI document.
    call: fn() -> Call,
}

macro_rules! table {
    ($($method:ident $path:expr, $scope:expr, $about:ident => $handler:path, $call:ident;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            scope: $scope,
            about: About::$about,
            handlers: || on(MethodFilter::$method, $handler),
            call: calls::$call,
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
    POST   REGISTRATIONS, REGISTER, Names => registrations::register, register;
    POST   batch::PATH, REGISTER, Names => batch::register, register_batch;
    GET    "/v1/registrations/{id}", READ, Names => registrations::show, registration;
    DELETE "/v1/registrations/{id}", CLAIM, Names => registrations::release, release;
    POST   "/v1/registrations/{id}/activate", CLAIM, Names => registrations::activate, activate;
    POST   "/v1/registrations/{id}/extend", CLAIM, Names => registrations::extend, extend;
    GET    "/v1/registrations/{id}/explanation", READ, Names => reading::explain_registration, explain_registration;
    GET    "/v1/names", READ, Names => reading::list_all, list_all;
    POST   "/v1/names:check", READ, Names => reading::check, check;
    GET    "/v1/namespaces/{namespace}/names", READ, Names => reading::list, list;
    GET    "/v1/names/{namespace}/{name}/history", READ, Names => reading::history, history;
    GET    "/v1/names/{namespace}/{name}/explanation", READ, Names => reading::explain_name, explain_name;
    GET    NAME, READ, Names => names::show, name;
    DELETE NAME, CLAIM, Names => names::release, release_name;
    GET    "/v1/conflicts", READ, Names => reading::conflicts, conflicts;
    GET    "/v1/namespaces", READ, Names => namespaces::list, namespaces;
    GET    "/v1/namespaces/{namespace}", READ, Names => namespaces::show, namespace;
    PUT    "/v1/namespaces/{namespace}", ADMIN, Names => namespaces::set, set_namespace;
    PATCH  "/v1/namespaces/{namespace}", ADMIN, Names => namespaces::change, change_namespace;
    GET    "/v1/owners/{owner}/registrations", READ, Names => registrations::of_owner, of_owner;
    GET    "/v1/events", READ, Names => events::feed, events;
    GET    "/v1/webhooks", ADMIN, All => webhooks::list, webhooks;
    POST   "/v1/webhooks", ADMIN, All => webhooks::make, make_webhook;
    GET    "/v1/webhooks/{webhook}", ADMIN, All => webhooks::show, webhook;
    PATCH  "/v1/webhooks/{webhook}", ADMIN, All => webhooks::change, change_webhook;
    DELETE "/v1/webhooks/{webhook}", ADMIN, All => webhooks::remove, remove_webhook;
    POST   "/v1/webhooks/{webhook}/rotate", ADMIN, All => webhooks::rotate, rotate_webhook;
    POST   "/v1/webhooks/{webhook}/test", ADMIN, All => webhooks::test, test_webhook;
    POST   "/v1/webhooks/{webhook}/replay", ADMIN, All => webhooks::replay, replay_webhook;
    GET    "/v1/webhooks/{webhook}/dead-letters", ADMIN, All => webhooks::dead_letters, dead_letters;
    GET    "/v1/cluster", READ, Cluster => cluster::show, cluster;
    PATCH  "/v1/cluster/settings", ADMIN, All => cluster::configure, configure;
    POST   "/v1/cluster/members/{node}/evict", ADMIN, All => cluster::evict, evict;
    POST   "/v1/cluster/members/{node}/ban", ADMIN, All => cluster::ban, ban;
    DELETE "/v1/cluster/members/{node}/ban", ADMIN, All => cluster::unban, unban;
    POST   "/v1/cluster/secret", ADMIN, All => cluster::rotate_secret, rotate_secret;
    POST   "/v1/cluster/leave", ADMIN, All => cluster::leave, leave;
    DELETE "/v1/cluster/leave", ADMIN, All => cluster::stay, stay;
    GET    "/v1/cluster/backup", ADMIN, All => cluster::backup, backup;
    POST   "/v1/cluster/tokens", ADMIN, All => cluster::mint_token, mint_token;
    GET    "/metrics", READ, Cluster => cluster::metrics, metrics;
    GET    "/openapi.json", OPEN, Cluster => page::document, document;
    GET    "/docs", OPEN, Cluster => page::page, page;
    GET    "/healthz", OPEN, Cluster => cluster::healthz, healthz;
    GET    "/readyz", OPEN, Cluster => cluster::readyz, readyz;
};

/// Returns the OpenAPI document of the table as JSON.
pub(super) fn document() -> Value {
    openapi::document(TABLE.iter().map(|Route { method, path, scope, call, .. }| Described {
        method: method.clone(),
        path,
        scope: *scope,
        call: call(),
    }))
}

/// The path of the call that registers names.
pub(super) const REGISTRATIONS: &str = "/v1/registrations";

/// The path of the calls about one name.
const NAME: &str = "/v1/names/{namespace}/{name}";

/// The labels of the calls in the metrics.
static LABELS: LazyLock<Vec<String>> =
    LazyLock::new(|| TABLE.iter().map(|route| format!("{} {}", route.method, route.path)).collect());

/// The label of a call and the check before it, for requests that do not pass the router.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Its label in the metrics.
    pub(super) label: &'static str,
    /// The scope that a caller must have, and the subject of the call.
    pub(super) needs: (Scope, About),
}

impl Way {
    /// The call that registers names.
    pub(super) fn registering() -> Self {
        Self::of(&Method::POST, REGISTRATIONS)
    }

    /// The call that looks a name up.
    pub(super) fn looking_up() -> Self {
        Self::of(&Method::GET, NAME)
    }

    fn of(method: &Method, path: &str) -> Self {
        let found = TABLE.iter().zip(&*LABELS).find_map(|(route, label)| {
            let is_it = route.method == *method && route.path == path;
            Some(Self { label, needs: (route.scope.filter(|_| is_it)?, route.about) })
        });
        #[expect(clippy::expect_used, reason = "it is in the table above")]
        found.expect("the table has the call")
    }
}

/// Returns the calls and their labels by the patterns of their paths.
pub(super) fn labels() -> Calls {
    let mut calls = Calls::new();
    for (route, label) in TABLE.iter().zip(&*LABELS) {
        calls.entry(route.path).or_default().push((route.method.clone(), label));
    }
    calls
}

/// Returns the routes of the table, each behind the check of its scope.
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
