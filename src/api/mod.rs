//! The HTTP interface.
//!
//! Handlers translate between [`model`](crate::model) and the replica's requests, and hold no state of their own: what a client is
//! told comes from the replica, after the fsync that covers it. Every error is a [`Problem`].

pub mod auth;
mod batch;
mod cluster;
mod events;
mod explain;
mod extract;
mod names;
mod namespaces;
mod problem;
mod reading;
mod registrations;
mod views;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::{delete, get, post, put};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use auth::{ApiTokens, allow};
pub use problem::PROBLEM_JSON;

use crate::clock::{Millis, NodeId};
use crate::model::{Problem, ProblemType, Scope};
use crate::node::{Backup, Handle};
use crate::replica::{Answer, Refusal, Request};
use crate::transport::WireVersion;

/// Bytes of a request's body. Above the sum of all limits of one registration.
pub const MAX_BODY: usize = 64 * 1024;
/// Event streams that are served at once; each is a task with a page of events. A guess.
const MAX_STREAMS: usize = 1024;
/// Batches that are served at once; each has some hundred registrations under way. A guess.
const MAX_BATCHES: usize = 16;
/// How long requests under way may take once the node stops.
const DRAIN: Duration = Duration::from_secs(5);

/// What becomes of a request for a backup.
pub type BackupAnswer<'a> = Pin<Box<dyn Future<Output = Result<Backup, Refusal>> + Send + 'a>>;

/// What an operator may do at a node besides asking its replica.
pub trait Admin: Send + Sync {
    /// A token that lets newcomers join for so long.
    ///
    /// # Errors
    /// Why there is none: the node is still joining, as a rule.
    fn mint_token(&self, ttl: Duration) -> Result<String, Refusal>;

    /// All tables of the node as they are on disk, and its identity.
    ///
    /// # Errors
    /// Why there is none: the node is still joining, as a rule.
    fn backup(&self) -> BackupAnswer<'_>;

    /// The wire versions that this node and its connected peers speak, as far as they are known.
    fn wires(&self) -> BTreeMap<NodeId, WireVersion>;
}

/// What handlers share.
struct Api {
    handle: Handle,
    admin: Arc<dyn Admin>,
    tokens: ApiTokens,
    streams: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    /// True once the server stops: streams end then, as they would hold it up for ever.
    stopping: watch::Sender<bool>,
}

impl Api {
    fn new(handle: Handle, admin: Arc<dyn Admin>, tokens: ApiTokens) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        let batches = Arc::new(Semaphore::new(MAX_BATCHES));
        Arc::new(Self { handle, admin, tokens, streams, batches, stopping: watch::Sender::new(false) })
    }

    /// Whose feed it is. The feed outlives an eviction, so its events are named after the node's first life: they are
    /// the same however often they are read.
    fn feed(&self) -> NodeId {
        self.handle.node().first_incarnation()
    }

    async fn ask(&self, request: Request) -> Result<Answer, Box<Problem>> {
        self.handle.request(request).await.map_err(|refusal| Box::new(refusal.into()))
    }
}

/// The interface as a service, for a server of one's own. [`serve`] brings one. Without tokens every caller may do
/// everything.
pub fn router(handle: Handle, admin: Arc<dyn Admin>, tokens: ApiTokens) -> Router {
    routes(Api::new(handle, admin, tokens))
}

fn routes(api: Arc<Api>) -> Router {
    let claim = |handlers| allow(&api, Scope::Claim, handlers);
    let read = |handlers| allow(&api, Scope::Read, handlers);
    let admin = |handlers| allow(&api, Scope::Admin, handlers);
    let registration = read(get(registrations::show)).merge(claim(delete(registrations::release)));
    let name = read(get(names::show)).merge(claim(delete(names::release)));
    let namespace = read(get(namespaces::show)).merge(admin(put(namespaces::set)));
    Router::new()
        .route("/v1/registrations", claim(post(registrations::register)))
        .route("/v1/registrations:batch", claim(post(batch::register)))
        .route("/v1/registrations/{id}", registration)
        .route("/v1/registrations/{id}/activate", claim(post(registrations::activate)))
        .route("/v1/registrations/{id}/extend", claim(post(registrations::extend)))
        .route("/v1/registrations/{id}/explanation", read(get(reading::explain_registration)))
        .route("/v1/names", read(get(reading::list_all)))
        .route("/v1/names:check", read(post(reading::check)))
        .route("/v1/namespaces/{namespace}/names", read(get(reading::list)))
        .route("/v1/names/{namespace}/{name}/history", read(get(reading::history)))
        .route("/v1/names/{namespace}/{name}/explanation", read(get(reading::explain_name)))
        .route("/v1/conflicts", read(get(reading::conflicts)))
        .route("/v1/names/{namespace}/{name}", name)
        .route("/v1/namespaces/{namespace}", namespace)
        .route("/v1/owners/{owner}/registrations", read(get(registrations::of_owner)))
        .route("/v1/events", read(get(events::feed)))
        .route("/v1/cluster", read(get(cluster::show)))
        .route("/v1/cluster/members/{node}/evict", admin(post(cluster::evict)))
        .route("/v1/cluster/leave", admin(post(cluster::leave).delete(cluster::stay)))
        .route("/v1/cluster/backup", admin(get(cluster::backup)))
        .route("/v1/cluster/tokens", admin(post(cluster::mint_token)))
        .route("/healthz", get(cluster::healthz))
        .route("/readyz", get(cluster::readyz))
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

/// Serves the interface until `shutdown` resolves; then ends event streams and gives requests under way a few seconds.
/// Without tokens every caller may do everything.
///
/// # Errors
/// The listener fails for good.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    admin: Arc<dyn Admin>,
    tokens: ApiTokens,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let api = Api::new(handle, admin, tokens);
    let mut stopping = api.stopping.subscribe();
    let signal = {
        let api = Arc::clone(&api);
        async move {
            shutdown.await;
            api.stopping.send_replace(true);
        }
    };
    // Answers are small and come one at a time: waiting to fill a segment only delays them.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
    });
    let server = axum::serve(listener, routes(api)).with_graceful_shutdown(signal);
    let drained = async {
        // An error would mean that the sender, which the server holds, is gone.
        if stopping.wait_for(|stopping| *stopping).await.is_ok() {
            tokio::time::sleep(DRAIN).await;
        }
    };
    tokio::select! {
        result = server => result,
        () = drained => Ok(()),
    }
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

/// The wall clock, for deadlines that clients give as durations and for comparing times of an answer with.
#[expect(clippy::disallowed_methods, reason = "the interface stands outside the pure parts; this is its one clock")]
pub(crate) fn now() -> Millis {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
