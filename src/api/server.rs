//! Accepts connections up to a limit, and closes idle ones.
//!
//! A connection costs a file descriptor. Where no descriptors are left the store fails and the node halts, so there are
//! never more than [`Connections::most`] connections, and one address has only a part of them. A client that sends
//! nothing, sends its headers very slowly, or does not read its answer is disconnected after a time.

mod connection;
mod count;
mod plain;
mod quick;
mod terms;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::connection::Connection;
pub(super) use self::count::network;
use self::count::{Count, Full};
#[cfg(test)]
pub(super) use self::plain::serve_plain;
pub(super) use self::quick::has_small_body;
pub use self::terms::Connections;
pub(super) use self::terms::Peer;
use super::shared::Shared;
use super::shortcut::Shortcut;
use super::tls::Tls;
use crate::node::Handle;

/// How long requests under way may take once the node stops.
const DRAIN: Duration = Duration::from_secs(5);
/// The number of connections that may be served on the driver's thread. With that many under load the thread has enough to
/// do, and others are served faster on another core. On two cores, with 256 clients, a tenth more claims were taken with 64
/// of them here than with all of them; with 64 clients a tenth more with all than with 48, and a quarter more than with 16 or 32.
const MOST_NEARBY: usize = 64;
/// How long the server waits after a failed `accept`. Where descriptors are lacking, other connections may close
/// meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// The routes, and the node that answers them.
#[derive(Clone)]
pub(super) struct Routes {
    pub(super) all: Router,
    pub(super) shortcut: Shortcut,
    pub(super) node: Handle,
    /// The places for connections on the driver's thread.
    near: Arc<Semaphore>,
}

impl Routes {
    pub(super) fn new(all: Router, shortcut: Shortcut, node: Handle) -> Self {
        Self { all, shortcut, node, near: Arc::new(Semaphore::new(MOST_NEARBY)) }
    }
}

/// Serves the routes until `shutdown` resolves, with TLS where it is configured. Then it calls `stopping`, and gives
/// requests under way a few seconds.
///
/// A connection without TLS may be served on the driver's thread (see `quick`).
///
/// # Errors
/// It returns none at present: a failure to accept a connection may pass.
pub(super) async fn run(
    listener: TcpListener,
    routes: Routes,
    limits: Shared<Connections>,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
    stopping: impl FnOnce(),
) -> io::Result<()> {
    let count = Arc::new(Count::new(limits.clone()));
    let (graceful, mut tasks) = (GracefulShutdown::new(), JoinSet::new());
    let (ending, ended) = watch::channel(());
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => match count.enter(address.ip()) {
                    Ok(ticket) => {
                        let (peer, acceptor) = (Peer(address.ip()), tls.as_ref().map(Tls::acceptor));
                        let (limits, ended) = (limits.get(), ended.clone());
                        let connection = Connection { stream, peer, limits, tls: acceptor, ended };
                        let (routes, watcher) = (routes.clone(), graceful.watcher());
                        tasks.spawn(async move {
                            connection.serve(routes, watcher).await;
                            drop(ticket);
                        });
                    }
                    // Over TLS an answer needs a handshake first, and that costs too much for a client that is turned
                    // away.
                    Err(full) if tls.is_none() => turn_away(&stream, full),
                    Err(_) => {}
                },
                Err(error) => {
                    tracing::debug!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
            // Nothing is left to do: a connection's task has logged its errors itself.
            Some(_) = tasks.join_next() => {}
        }
    }
    drop((listener, ending));
    stopping();
    // Requests that are not done by then are dropped with their tasks.
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

/// Sends the reason, as far as that is possible without waiting for the client.
fn turn_away(stream: &TcpStream, full: Full) {
    let body = format!(
        "{{\"type\":\"urn:forename:problem:unavailable\",\"title\":\"Unavailable\",\"status\":503,\"detail\":\"{full}; \
         nothing was done, close connections that you do not use, and ask again later\",\"retry_after\":1}}"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: \
         close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The client may have gone, or its socket may be full.
    let _ = stream.try_write(answer.as_bytes());
}
