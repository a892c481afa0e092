//! Where requests are answered. A connection that begins with a claim or a look-up is served on the driver's thread, where
//! there is a place, and calls that only ask the driver and do little else are answered there. All other calls are answered
//! on the threads of the runtime, also on such a connection, and what they send is handed over part by part.
//!
//! Probes, event streams and downloads have connections of their own as a rule, so they are answered also while the driver's
//! thread is busy or waits for its disk.

use std::convert::Infallible;
use std::panic;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, Method, Request, header};
use axum::response::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The maximum size in bytes of a body that the driver's thread reads. A guess: reading it takes as long as a claim.
pub(super) const SMALL: usize = 16 << 10;

/// The threads on which a connection is served.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A thread of the runtime, as any other task.
    Anywhere,
    /// The driver's thread. What takes long is done on the threads of this runtime.
    BesideDriver(Handle),
}

impl Place {
    /// The driver's thread, where what takes long is done on the current runtime.
    pub(super) fn beside_driver() -> Self {
        Self::BesideDriver(Handle::current())
    }

    /// Returns the runtime that answers this request; none where it is answered on the connection's own thread.
    pub(super) fn elsewhere<B>(&self, request: &Request<B>) -> Option<Handle> {
        match self {
            Self::BesideDriver(runtime) if !is_quick(request) => Some(runtime.clone()),
            Self::BesideDriver(_) | Self::Anywhere => None,
        }
    }
}

/// How the calls begin that are quickly answered.
const QUICK: [&str; 3] = ["POST /v1/registrations ", "GET /v1/registrations/", "GET /v1/names/"];

/// Waits for the first bytes of a connection. Returns true where they begin a call that is quickly answered, and none where
/// nothing comes in time.
pub(super) async fn begins_quick(stream: &TcpStream, within: Duration) -> Option<bool> {
    let mut first = [0; 32];
    let count = timeout(within, stream.peek(&mut first)).await.ok()?.ok()?;
    let first = first.get(..count)?;
    Some(QUICK.iter().any(|start| first.starts_with(start.as_bytes())))
}

/// Returns true for a call that asks the driver once and does little else: one registration, or one name.
fn is_quick<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let parts = |after: &str| path.strip_prefix(after).map(|rest| rest.split('/').count());
    match *request.method() {
        Method::GET => parts("/v1/names/") == Some(2) || parts("/v1/registrations/") == Some(1),
        Method::POST => path == "/v1/registrations" && has_small_body(request.headers()),
        _ => false,
    }
}

/// Returns true for the headers of a request whose body is known to be small.
pub(in crate::api) fn has_small_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: usize| length <= SMALL)
}

/// Has another runtime answer a request. The answer is dropped with this future.
pub(super) async fn answered_on(
    runtime: Handle,
    answer: impl Future<Output = Result<Response, Infallible>> + Send + 'static,
) -> Result<Response, Infallible> {
    let response = match AbortOnDropHandle::new(runtime.spawn(answer)).await {
        Ok(answered) => answered?,
        Err(error) => match error.try_into_panic() {
            // The connection ends, as it does where it is served by the same task.
            Ok(panic) => panic::resume_unwind(panic),
            // The runtime is being shut down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    };
    Ok(response.map(|body| handed_over(&runtime, body)))
}

/// Returns a body whose parts are made by a task of this runtime, each once the one before it was taken. A body that is
/// there already is returned as it is.
fn handed_over(runtime: &Handle, mut body: Body) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    let (parts, taken) = mpsc::channel::<Result<Frame<Bytes>, axum::Error>>(1);
    let making = AbortOnDropHandle::new(runtime.spawn(async move {
        // The room is there before the part is made: whoever makes the last part may note that all before it were taken.
        while let Ok(room) = parts.reserve().await {
            match body.frame().await {
                Some(part) => room.send(part),
                None => return,
            }
        }
    }));
    let parts = futures_util::stream::unfold(Some((taken, making)), async |state| {
        let (mut taken, making) = state?;
        match taken.recv().await {
            Some(part) => Some((part, Some((taken, making)))),
            // An answer that was cut short must not look like a whole one.
            None => making.await.err().map(|error| (Err(axum::Error::new(error)), None)),
        }
    });
    Body::new(StreamBody::new(Box::pin(parts)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    fn request(method: Method, path: &str, length: Option<&str>) -> Request<()> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(length) = length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        request.body(()).expect("it is a request")
    }

    #[test]
    fn only_small_calls_about_one_registration_or_name_are_quick() {
        assert!(is_quick(&request(Method::POST, "/v1/registrations", Some("120"))));
        assert!(is_quick(&request(Method::GET, "/v1/names/username/carol", None)));
        assert!(!is_quick(&request(Method::POST, "/v1/registrations", None)), "a body of unknown size");
        assert!(!is_quick(&request(Method::POST, "/v1/registrations", Some("20000"))));
        assert!(!is_quick(&request(Method::POST, "/v1/registrations:batch", Some("120"))));
        assert!(!is_quick(&request(Method::GET, "/v1/events", None)));
        assert!(!is_quick(&request(Method::GET, "/v1/names", None)), "a list");
        assert!(!is_quick(&request(Method::GET, "/v1/names/username/carol/history", None)), "many rows");
        assert!(!is_quick(&request(Method::GET, "/v1/registrations/7/explanation", None)));
    }

    #[tokio::test]
    async fn an_answer_in_parts_comes_whole_and_ends_with_its_reader() {
        let runtime = Handle::current();
        let (dropped, gone) = tokio::sync::oneshot::channel::<()>();
        let parts = futures_util::stream::iter(0..100_u32).map(move |number| {
            let _held = &dropped;
            Ok::<_, Infallible>(format!("{number},"))
        });
        let answer = async move { Ok(Response::new(Body::from_stream(parts))) };
        let mut response = answered_on(runtime.clone(), answer).await.expect("it is answered");
        let first = response.body_mut().frame().await.expect("a part").expect("it is made").into_data().expect("data");
        assert_eq!(first, "0,");
        drop(response);
        assert!(gone.await.is_err(), "the stream is dropped once nobody reads it");
        let whole = answered_on(runtime, async {
            Ok(Response::new(Body::from_stream(futures_util::stream::iter(
                (0..5_u32).map(|number| Ok::<_, Infallible>(number.to_string())),
            ))))
        });
        let body = whole.await.expect("it is answered").into_body().collect().await.expect("it is made");
        assert_eq!(body.to_bytes(), "01234");
    }

    #[tokio::test]
    async fn a_request_is_dropped_with_its_client() {
        let (held, gone) = tokio::sync::oneshot::channel::<()>();
        let answer = answered_on(Handle::current(), async move {
            let _held = held;
            std::future::pending().await
        });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), answer).await.is_err());
        assert!(gone.await.is_err(), "the task is dropped");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_does_not_look_whole() {
        let parts = futures_util::stream::iter(0..3_u32).map(|number| {
            assert!(number < 2, "the third part cannot be made");
            Ok::<_, Infallible>(number.to_string())
        });
        let answer = async move { Ok(Response::new(Body::from_stream(parts))) };
        let body = answered_on(Handle::current(), answer).await.expect("it is answered").into_body();
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_part_is_made_once_the_one_before_it_was_taken() {
        let made = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&made);
        let parts = futures_util::stream::iter(0..9_u32).map(move |number| {
            counted.store(number + 1, Ordering::SeqCst);
            Ok::<_, Infallible>(number.to_string())
        });
        let answer = async move { Ok(Response::new(Body::from_stream(parts))) };
        let mut body = answered_on(Handle::current(), answer).await.expect("it is answered").into_body();
        for taken in 0..9 {
            // The task that makes the parts goes as far as it may.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(made.load(Ordering::SeqCst), taken + 1);
            assert!(body.frame().await.expect("a part").is_ok());
        }
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_connection_is_quick_by_how_it_begins() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let begins = async |bytes: &[u8]| {
            let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("it connects");
            let (server, _) = listener.accept().await.expect("it is accepted");
            client.write_all(bytes).await.expect("it is sent");
            begins_quick(&server, Duration::from_secs(20)).await
        };
        assert_eq!(begins(b"POST /v1/registrations HTTP/1.1\r\n").await, Some(true));
        assert_eq!(begins(b"GET /v1/names/username/carol HTTP/1.1\r\n").await, Some(true));
        assert_eq!(begins(b"POST /v1/registrations:batch HTTP/1.1\r\n").await, Some(false));
        assert_eq!(begins(b"GET /healthz HTTP/1.1\r\n").await, Some(false));
        assert_eq!(begins(b"GET").await, Some(false), "it comes in bits, which is slow");
    }
}
