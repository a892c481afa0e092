//! The HTTP interface.
//!
//! Handlers turn what clients send into requests to the replica, and hold no state of their own. Answers come from the
//! replica in the types of [`model`](crate::model), after the fsync that covers them. Every error is a [`Problem`].

pub mod auth;
mod batch;
mod cluster;
mod dashboard;
mod events;
mod explain;
mod extract;
mod gate;
mod grid;
mod header_names;
mod health;
mod names;
mod namespaces;
mod observe;
mod openapi;
mod places;
mod problem;
mod reading;
mod registrations;
mod routes;
mod server;
mod shared;
mod shortcut;
mod tls;
mod webhooks;
mod which_cluster;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use auth::{ApiTokens, Rate, Rates};
pub use gate::{Gate, GateError};
use observe::Observer;
use places::Places;
pub use problem::PROBLEM_JSON;
pub use server::Connections;
use server::Routes;
pub use shared::Shared;
use shortcut::Shortcut;
pub use tls::{Tls, TlsError, TlsFiles};

// A node that is embedded in another program (the library) answers with these functions too.
pub(crate) use batch::{AT_ONCE, batch_line};
pub(crate) use cluster::cluster_of;
#[cfg(feature = "cli")]
pub(crate) use health::{is_silent, label_of};
pub(crate) use names::looked_up;
pub(crate) use namespaces::{changed, rules_of};
pub(crate) use reading::checked;
pub(crate) use registrations::{longest, page_limit, registered};

use crate::audit::Audit;
use crate::clock::Millis;
use crate::model::{Cluster, Problem};
pub use crate::node::{Admin, BackupAnswer};
use crate::node::{Handle, random};
use crate::replica::{ClusterCommand, Query, Refusal};
use crate::traces::Traces;

/// The maximum size of a request's body in bytes. It is above the sum of all limits of one registration.
pub const MAX_BODY: usize = 64 * 1024;
/// The number of event streams and backups that are served at once; each is a task that holds a page of events. This
/// number and the five below are guesses.
const MAX_STREAMS: usize = 1024;
/// The number of these that one token may have, or one address where the node has no tokens.
const MAX_STREAMS_OF_ONE: usize = 256;
/// The number of these that are kept for administrators.
const STREAMS_FOR_ADMINS: usize = 32;
/// The number of batches that are served at once; each has a few hundred registrations under way.
const MAX_BATCHES: usize = 16;
/// The number of batches that one token may have, or one address where the node has no tokens.
const MAX_BATCHES_OF_ONE: usize = 8;
/// The number of batches that are kept for administrators.
const BATCHES_FOR_ADMINS: usize = 2;

/// The state that all handlers share.
struct Api {
    handle: Handle,
    admin: Arc<dyn Admin>,
    tokens: ApiTokens,
    streams: Arc<Places>,
    batches: Arc<Places>,
    rates: Rates,
    audit: Audit,
    /// The OpenAPI document, as JSON.
    document: Bytes,
    /// True once the server stops. Event streams end then, because they would delay the shutdown for ever.
    stopping: watch::Sender<bool>,
}

impl Api {
    fn new(handle: Handle, admin: Arc<dyn Admin>, doors: &Doors) -> Arc<Self> {
        let (tokens, rates, audit) = (doors.tokens.clone(), Rates::new(doors.rate.clone()), doors.audit.clone());
        let streams = Places::new(MAX_STREAMS, MAX_STREAMS_OF_ONE, STREAMS_FOR_ADMINS);
        let batches = Places::new(MAX_BATCHES, MAX_BATCHES_OF_ONE, BATCHES_FOR_ADMINS);
        let (document, stopping) = (routes::document().to_string().into(), watch::Sender::new(false));
        Arc::new(Self { handle, admin, tokens, streams, batches, rates, audit, document, stopping })
    }

    async fn query<Q: Query>(&self, query: Q, caller: &auth::Caller) -> Result<Q::Answer, Box<Problem>> {
        or_problem(self.handle.query(query, caller.asks()).await)
    }

    async fn cluster(&self, command: ClusterCommand) -> Result<Cluster, Box<Problem>> {
        or_problem(self.handle.operate(command).await)
    }

    fn observer(&self, traces: Traces) -> Arc<Observer> {
        // Where no random number is to be had, 0 will do: the number only tells the processes of a node apart.
        let process = random().map_or(0, u64::from_le_bytes);
        Observer::new(routes::labels(), self.handle.clone(), traces, process)
    }

    fn shown(&self, view: Cluster) -> Cluster {
        cluster_of(&*self.admin, &self.handle, view)
    }
}

/// Turns a node's refusal into a problem.
pub(crate) fn or_problem<A>(answer: Result<A, Refusal>) -> Result<A, Box<Problem>> {
    answer.map_err(|refusal| Box::new(refusal.into()))
}

/// Who may call the interface, how often, and over how many connections.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// The API tokens and what each of them may do. Where there are none, every caller may do everything.
    pub tokens: ApiTokens,
    /// The host names of the node, and the origins of web pages that may call it.
    pub gate: Shared<Gate>,
    /// The number of requests a second that a caller may send.
    pub rate: Shared<Rate>,
    /// The limit of connections, and how long each may be idle.
    pub connections: Shared<Connections>,
    /// The certificates for HTTPS. Without them the interface is served as plain HTTP.
    pub tls: Option<Tls>,
    /// The audit log, which records what administrators do.
    pub audit: Audit,
    /// Where spans of requests and of outcomes go.
    pub traces: Traces,
}

/// Returns the interface as a service, for programs that run their own HTTP server. [`serve`] runs one.
pub fn router(handle: Handle, admin: Arc<dyn Admin>, doors: Doors) -> Router {
    let api = Api::new(handle, admin, &doors);
    layered(&api, doors.gate, api.observer(doors.traces))
}

/// Returns the routes behind the layers that every request passes: metrics, the check of the cluster, and the gate.
fn layered(api: &Arc<Api>, gate: Shared<Gate>, observer: Arc<Observer>) -> Router {
    let routes = which_cluster::before(gate.before(routes::router(Arc::clone(api))), api.handle.clone());
    observe::before(routes, observer)
}

/// Serves the interface until `shutdown` resolves. Then event streams end, and requests under way get a few seconds.
///
/// # Errors
/// Returns an error when the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    admin: Arc<dyn Admin>,
    doors: Doors,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let api = Api::new(handle.clone(), admin, &doors);
    let _follower = AbortOnDropHandle::new(tokio::spawn(doors.traces.clone().follow(handle.clone())));
    let observer = api.observer(doors.traces);
    let shortcut = Shortcut::new(&api, doors.gate.clone(), Arc::clone(&observer));
    let routes = Routes::new(layered(&api, doors.gate, observer), shortcut, handle);
    server::run(listener, routes, doors.connections, doors.tls, shutdown, || {
        api.stopping.send_replace(true);
    })
    .await
}

/// Returns the time of the wall clock. It is compared with times that people give, such as the expiry of a token.
#[expect(clippy::disallowed_methods, reason = "the interface stands outside the pure parts; this is its one clock")]
pub(crate) fn now() -> Millis {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
