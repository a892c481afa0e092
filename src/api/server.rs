//! Connections: accepted up to a cap, so that files are left for the store, and closed where they stand idle.
//!
//! A connection costs a descriptor, and where descriptors run out the store fails and the node halts. So there are never
//! more than [`Connections::most`], and one address has no more than its part of them. A client that sends nothing,
//! drips its headers or takes no answer is cut off after a time.

mod connection;
mod count;
mod terms;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(super) use self::count::network;
use self::count::{Count, Full};
pub use self::terms::Connections;
pub(super) use self::terms::Peer;
use super::shared::Shared;
use super::tls::Tls;

/// How long requests under way may take once the node stops.
const DRAIN: Duration = Duration::from_secs(5);
/// After a failure to accept, as for want of descriptors, which others may give back meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Serves the routes, with TLS where there is any, until `shutdown` resolves; then calls `stopping`, and gives requests under way a few seconds.
///
/// # Errors
/// None at present: what accepting a connection runs into may pass.
pub(super) async fn run(
    listener: TcpListener,
    routes: Router,
    limits: Shared<Connections>,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
    stopping: impl FnOnce(),
) -> io::Result<()> {
    let count = Arc::new(Count::new(limits.clone()));
    let (graceful, mut tasks) = (GracefulShutdown::new(), JoinSet::new());
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => match count.enter(address.ip()) {
                    Ok(ticket) => {
                        let (peer, acceptor) = (Peer(address.ip()), tls.as_ref().map(Tls::acceptor));
                        let terms = (routes.clone(), limits.get(), graceful.watcher());
                        tasks.spawn(async move {
                            let (routes, limits, watcher) = terms;
                            connection::serve(stream, peer, routes, limits, acceptor, watcher).await;
                            drop(ticket);
                        });
                    }
                    // With TLS nothing can be said before the handshake, which is too much to give to one who is turned away.
                    Err(full) if tls.is_none() => turn_away(&stream, full),
                    Err(_) => {}
                },
                Err(error) => {
                    tracing::debug!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
            // A task only ends; what it had to say is in the log.
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    stopping();
    // What is not done by then is dropped with its task.
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

/// Tells why, as far as that goes without waiting for anybody.
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
    // It may have gone, or not take it at once.
    let _ = stream.try_write(answer.as_bytes());
}
