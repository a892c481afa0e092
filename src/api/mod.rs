//! The HTTP interface.
//!
//! Handlers make requests to the replica of what clients send, and hold no state of their own: what a client is told comes from
//! the replica in the types of [`model`](crate::model), after the fsync that covers it. Every error is a [`Problem`].

pub mod auth;
mod batch;
mod cluster;
mod dashboard;
mod events;
mod explain;
mod extract;
mod gate;
mod grid;
mod health;
mod names;
mod namespaces;
mod places;
mod problem;
mod reading;
mod registrations;
mod routes;
mod server;
mod which_cluster;

use std::io;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

use auth::{ApiTokens, Rate, Rates};
pub use gate::{Gate, GateError};
use places::Places;
pub use problem::PROBLEM_JSON;
pub use server::Connections;

// A node in this process answers with these too.
pub(crate) use batch::{AT_ONCE, batch_line};
pub(crate) use cluster::cluster_of;
#[cfg(feature = "cli")]
pub(crate) use health::{is_silent, label_of};
pub(crate) use names::looked_up;
pub(crate) use namespaces::{changed, rules_of};
pub(crate) use reading::checked;
pub(crate) use registrations::{longest, page_limit, registered};

use crate::clock::Millis;
use crate::model::{Cluster, Problem};
use crate::node::Handle;
pub use crate::node::{Admin, BackupAnswer};
use crate::replica::{ClusterCommand, Query, Refusal};

/// Bytes of a request's body. Above the sum of all limits of one registration.
pub const MAX_BODY: usize = 64 * 1024;
/// Event streams and backups that are served at once; each is a task with a page of events. All of these are guesses.
const MAX_STREAMS: usize = 1024;
/// Those that one token, or one address where there are no tokens, may have.
const MAX_STREAMS_OF_ONE: usize = 256;
/// Those that are kept for administrators.
const STREAMS_FOR_ADMINS: usize = 32;
/// Batches that are served at once; each has some hundred registrations under way.
const MAX_BATCHES: usize = 16;
/// Those that one token, or one address where there are no tokens, may have.
const MAX_BATCHES_OF_ONE: usize = 8;
/// Those that are kept for administrators.
const BATCHES_FOR_ADMINS: usize = 2;

/// What handlers share.
struct Api {
    handle: Handle,
    admin: Arc<dyn Admin>,
    tokens: ApiTokens,
    streams: Arc<Places>,
    batches: Arc<Places>,
    rates: Rates,
    /// True once the server stops: streams end then, as they would hold it up for ever.
    stopping: watch::Sender<bool>,
}

impl Api {
    fn new(handle: Handle, admin: Arc<dyn Admin>, tokens: ApiTokens, rate: Rate) -> Arc<Self> {
        let rates = Rates::new(rate);
        let streams = Places::new(MAX_STREAMS, MAX_STREAMS_OF_ONE, STREAMS_FOR_ADMINS);
        let batches = Places::new(MAX_BATCHES, MAX_BATCHES_OF_ONE, BATCHES_FOR_ADMINS);
        Arc::new(Self { handle, admin, tokens, streams, batches, rates, stopping: watch::Sender::new(false) })
    }

    async fn query<Q: Query>(&self, query: Q, caller: &auth::Caller) -> Result<Q::Answer, Box<Problem>> {
        asked(self.handle.query(query, caller.asks())).await
    }

    async fn cluster(&self, command: ClusterCommand) -> Result<Cluster, Box<Problem>> {
        asked(self.handle.operate(command)).await
    }

    fn shown(&self, view: Cluster) -> Cluster {
        cluster_of(&*self.admin, &self.handle, view)
    }
}

/// What a node answers; a refusal as a problem.
pub(crate) async fn asked<A>(answer: impl Future<Output = Result<A, Refusal>>) -> Result<A, Box<Problem>> {
    answer.await.map_err(|refusal| Box::new(refusal.into()))
}

/// Who is let in, and how many at a time.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// Who may call what; with none, every caller may do everything.
    pub tokens: ApiTokens,
    /// The names of the node, and the web pages that may call it.
    pub gate: Gate,
    /// How fast callers may be.
    pub rate: Rate,
    /// How many connections there may be, and how long each may stand idle.
    pub connections: Connections,
}

/// The interface as a service, for a server of one's own. [`serve`] brings one.
pub fn router(handle: Handle, admin: Arc<dyn Admin>, doors: Doors) -> Router {
    let routes = routes::router(Api::new(handle.clone(), admin, doors.tokens, doors.rate));
    which_cluster::before(doors.gate.before(routes), handle)
}

/// Serves the interface until `shutdown` resolves; then ends event streams and gives requests under way a few seconds.
///
/// # Errors
/// The listener fails for good.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    admin: Arc<dyn Admin>,
    doors: Doors,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let api = Api::new(handle.clone(), admin, doors.tokens, doors.rate);
    let routes = which_cluster::before(doors.gate.before(routes::router(Arc::clone(&api))), handle);
    server::run(listener, routes, doors.connections, shutdown, || {
        api.stopping.send_replace(true);
    })
    .await
}

/// The wall clock, for times that people give: when a token expires, until when a row of an import is reserved.
#[expect(clippy::disallowed_methods, reason = "the interface stands outside the pure parts; this is its one clock")]
pub(crate) fn now() -> Millis {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
