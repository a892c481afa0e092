//! Connections: accepted up to a cap, so that files are left for the store, and closed where they stand idle.
//!
//! A connection costs a descriptor, and where descriptors run out the store fails and the node halts. So there are never
//! more than [`Connections::most`], and one address has no more than its part of them. A client that sends nothing,
//! drips its headers or takes no answer is cut off after a time.

mod count;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

pub(super) use self::count::network;
use self::count::{Count, Full};

/// How long requests under way may take once the node stops.
const DRAIN: Duration = Duration::from_secs(5);
/// After a failure to accept, as for want of descriptors, which others may give back meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// How many connections there may be, and how long each may stand idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connections {
    /// At once, of all.
    pub most: usize,
    /// At once, of one address; for IPv6, of one network of 64 bits.
    pub most_of_address: usize,
    /// Until the headers of a request are there, from the connection's beginning or the answer before.
    pub headers_within: Duration,
    /// Until the body of a request is there, but for a batch; there, until the next bytes.
    pub body_within: Duration,
    /// Until a client has taken some bytes of an answer.
    pub answer_taken_within: Duration,
}

impl Default for Connections {
    /// Guesses: proxies keep connections for about a minute, and their pools and a few thousand streams fit in.
    fn default() -> Self {
        Self {
            most: 4096,
            most_of_address: 1024,
            headers_within: Duration::from_secs(60),
            body_within: Duration::from_secs(60),
            answer_taken_within: Duration::from_secs(60),
        }
    }
}

/// Whom a connection is from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves the routes until `shutdown` resolves; then calls `stopping`, and gives requests under way a few seconds.
///
/// # Errors
/// None at present: what accepting a connection runs into may pass.
pub(super) async fn run(
    listener: TcpListener,
    routes: Router,
    limits: Connections,
    shutdown: impl Future<Output = ()>,
    stopping: impl FnOnce(),
) -> io::Result<()> {
    let count = Arc::new(Count::new(limits.most, limits.most_of_address));
    let (graceful, mut tasks) = (GracefulShutdown::new(), JoinSet::new());
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => match count.enter(address.ip()) {
                    Ok(ticket) => {
                        let connection = graceful.watch(connection(stream, Peer(address.ip()), routes.clone(), limits));
                        tasks.spawn(async move {
                            if let Err(error) = connection.await {
                                tracing::debug!("a connection of {} ended: {error}", address.ip());
                            }
                            drop(ticket);
                        });
                    }
                    Err(full) => turn_away(&stream, full),
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

type Io = TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>>;

/// A connection that serves one request after the other.
fn connection(
    stream: TcpStream,
    peer: Peer,
    routes: Router,
    limits: Connections,
) -> http1::Connection<
    Io,
    impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static>,
> {
    // Answers are small and come one at a time: waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {error}");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.answer_taken_within));
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(limits);
        routes.call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
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
