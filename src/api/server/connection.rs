//! One connection, from its handshake to its last answer.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Version, header};
use axum::response::Response;
use futures_util::future::Either;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use super::Routes;
use super::plain::serve_plain;
use super::quick::{Place, answered_on, begins_quick};
use super::terms::{Connections, Peer};
use crate::api::tls::HTTP2;

/// How long a TLS handshake may take, unless the limit for headers is even lower. A guess: some round trips by
/// satellite.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The interval of HTTP/2 pings, which find out whether the client is still there, and the time to answer one.
const PING: Duration = Duration::from_secs(20);
/// The number of requests that may be under way on one HTTP/2 connection. A guess: many times what a browser or a
/// connection pool uses.
const MOST_STREAMS: u32 = 256;
/// The maximum size of a request's head in bytes.
const MAX_HEAD: u16 = u16::MAX;

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: Peer,
    pub(super) limits: Connections,
    /// None for a connection without TLS.
    pub(super) tls: Option<TlsAcceptor>,
    /// Closes once the node stops.
    pub(super) ended: watch::Receiver<()>,
}

impl Connection {
    /// Serves the connection until it ends: on the driver's thread where it begins with a call that is quickly answered and
    /// there is a place.
    pub(super) async fn serve(mut self, routes: Routes, watcher: Watcher) {
        // Answers are small and come one at a time, so waiting to fill a TCP segment would only delay them.
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        if self.tls.is_some() {
            return self.serve_any(routes, watcher).await;
        }
        let begins_quick = tokio::select! {
            begins_quick = begins_quick(&self.stream, self.limits.headers_within) => begins_quick,
            _ = self.ended.changed() => None,
        };
        let nearby = match begins_quick {
            None => return,
            Some(false) => return self.serve_any(routes, watcher).await,
            Some(true) => routes.node.nearby().cloned(),
        };
        match nearby.and_then(|nearby| Some((nearby, routes.near.try_acquire().ok()?))) {
            None => self.serve_quick(routes.clone(), watcher, Place::Anywhere).await,
            Some((nearby, _place)) => {
                nearby.run(self.serve_quick(routes.clone(), watcher, Place::beside_driver())).await;
            }
        }
    }

    /// Serves a connection that may begin with registrations or look-ups. The server's end waits while there is the watcher.
    async fn serve_quick(self, routes: Routes, watcher: Watcher, place: Place) {
        let Self { stream, peer, limits, mut ended, tls: _ } = self;
        let mut stream = match here(stream, &place) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!("cannot take over a connection of {}: {error}", peer.0),
        };
        let Some(sent) = serve_plain(&mut stream, peer, limits, &routes.shortcut, &mut ended).await else { return };
        let (reading, writing) = stream.into_split();
        let stream = tokio::io::join(Cursor::new(sent).chain(reading), writing);
        tell_end(peer, one_by_one(timed(stream, limits), service(peer, routes, limits, place), limits, watcher).await);
    }

    /// Serves a connection that begins with any other call, or has TLS.
    async fn serve_any(self, routes: Routes, watcher: Watcher) {
        let Self { stream, peer, limits, tls, ended: _ } = self;
        let (stream, service) = (timed(stream, limits), service(peer, routes, limits, Place::Anywhere));
        let Some(acceptor) = tls else { return tell_end(peer, one_by_one(stream, service, limits, watcher).await) };
        let served = match timeout(HANDSHAKE.min(limits.headers_within), acceptor.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
                many_at_once(stream, service, limits, watcher).await
            }
            Ok(Ok(stream)) => one_by_one(stream, service, limits, watcher).await,
            Ok(Err(error)) => return tracing::debug!("no handshake of TLS with {}: {error}", peer.0),
            Err(_) => return tracing::debug!("no handshake of TLS with {} in time", peer.0),
        };
        tell_end(peer, served);
    }
}

fn tell_end(peer: Peer, served: hyper::Result<()>) {
    if let Err(error) = served {
        tracing::debug!("a connection of {} ended: {error}", peer.0);
    }
}

/// Has a stream fail where the client does not take what is sent.
fn timed<S: AsyncRead + AsyncWrite>(stream: S, limits: Connections) -> Pin<Box<TimeoutStream<S>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.answer_taken_within));
    Box::pin(stream)
}

/// Registers a connection with the runtime that serves it, where another runtime has accepted it.
fn here(stream: TcpStream, place: &Place) -> io::Result<TcpStream> {
    match place {
        Place::Anywhere => Ok(stream),
        Place::BesideDriver(_) => TcpStream::from_std(stream.into_std()?),
    }
}

/// Returns the routes as a service that adds the client's address and the limits to each request.
fn service(
    peer: Peer,
    routes: Routes,
    limits: Connections,
    place: Place,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + Send + 'static {
    let (routes, shortcut) = (TowerToHyperService::new(routes.all), routes.shortcut);
    service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        // HTTP/2 names the host in the request line (RFC 9113, section 8.3.1), so it is copied into the `Host` header.
        if request.version() == Version::HTTP_2
            && !request.headers().contains_key(header::HOST)
            && let Some(host) = request.uri().authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(limits);
        let elsewhere = place.elsewhere(&request);
        let taken = shortcut.takes(&request).filter(|_| elsewhere.is_none());
        let way = match taken {
            Some(taken) => Either::Left(shortcut.clone().answer_read(taken, peer, limits, request)),
            None => Either::Right(routes.call(request)),
        };
        async move {
            match (way, elsewhere) {
                (Either::Left(answer), _) => Ok(answer.await),
                (Either::Right(answer), None) => answer.await,
                (Either::Right(answer), Some(runtime)) => answered_on(runtime, answer).await,
            }
        }
    })
}

/// Serves HTTP/1.1, where one request follows the other.
async fn one_by_one<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    limits: Connections,
    watcher: Watcher,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.headers_within).max_buf_size(MAX_HEAD.into());
    watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await
}

/// Serves HTTP/2. A connection on which no request is under way for as long as headers may take is closed, as one of
/// HTTP/1.1 is.
async fn many_at_once<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    limits: Connections,
    watcher: Watcher,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + Send + 'static,
{
    let activity = Activity::default();
    let counted = activity.clone();
    let service = service_fn(move |request| {
        let (busy, answer) = (counted.begin(), service.call(request));
        async move {
            let response = answer.await?;
            // A request is under way until the last part of its answer has been taken.
            Ok::<_, Infallible>(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _held = &busy;
                    frame
                }))
            }))
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    builder.max_concurrent_streams(MOST_STREAMS).max_header_list_size(MAX_HEAD.into());
    let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        served = served => served,
        () = activity.idle_for(limits.headers_within) => Ok(()),
    }
}

/// The number of requests that are under way on a connection, and the number of all requests that have begun.
#[derive(Clone, Default)]
struct Activity(Arc<watch::Sender<(usize, u64)>>);

/// A request that is under way until this is dropped.
struct Busy(Activity);

impl Activity {
    fn begin(&self) -> Busy {
        self.0.send_modify(|(open, begun)| (*open, *begun) = (*open + 1, *begun + 1));
        Busy(self.clone())
    }

    /// Resolves when no request has been under way for this long.
    async fn idle_for(&self, long: Duration) {
        let mut seen = self.0.subscribe();
        loop {
            // The channel cannot be closed here, because `self` holds its sender.
            let Ok(begun) = seen.wait_for(|(open, _)| *open == 0).await.map(|seen| seen.1) else { return };
            if timeout(long, seen.wait_for(|(_, now)| *now != begun)).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.send_modify(|(open, _)| *open = open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_nothing_was_under_way_for_long_enough() {
        let (activity, long) = (Activity::default(), Duration::from_secs(60));
        let busy = activity.begin();
        assert!(timeout(long * 10, activity.idle_for(long)).await.is_err(), "a request is under way");
        drop(busy);
        assert!(timeout(long * 2, activity.idle_for(long)).await.is_ok());
        // A request that began and ended meanwhile starts the time anew.
        let idle = activity.idle_for(long);
        tokio::pin!(idle);
        assert!(timeout(long / 2, &mut idle).await.is_err());
        drop(activity.begin());
        assert!(timeout(long * 3 / 4, &mut idle).await.is_err(), "it was busy a moment ago");
        assert!(timeout(long, &mut idle).await.is_ok());
    }
}
