//! Where requests are answered: a connection may be served on the driver's thread, and calls that only ask the driver and do
//! little else are answered there too. All others are answered on the threads of the runtime, and what they send is
//! handed over part by part, so that no client can hold up the driver.

use std::convert::Infallible;
use std::panic;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, Request, header};
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

/// The maximum size in bytes of a body that the driver's thread reads. A guess: reading it takes as long as a claim.
const SMALL: usize = 16 << 10;
/// The number of parts of an answer that may wait for the client. A guess.
const PARTS_AHEAD: usize = 2;

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

/// Returns true for a call that asks the driver once and does little else: one registration, or one name.
fn is_quick<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    match *request.method() {
        Method::GET => path.starts_with("/v1/names/") || path.starts_with("/v1/registrations/"),
        Method::POST => path == "/v1/registrations" && has_small_body(request),
        _ => false,
    }
}

fn has_small_body<B>(request: &Request<B>) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
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

/// Returns a body whose parts are made by a task of this runtime. A body that is there already is returned as it is.
fn handed_over(runtime: &Handle, mut body: Body) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    let (parts, taken) = mpsc::channel::<Result<Frame<Bytes>, axum::Error>>(PARTS_AHEAD);
    let making = AbortOnDropHandle::new(runtime.spawn(async move {
        while let Some(part) = body.frame().await {
            if parts.send(part).await.is_err() {
                return;
            }
        }
    }));
    let parts = ReceiverStream::new(taken).inspect_ok(move |_| {
        let _made_while_taken = &making;
    });
    Body::new(StreamBody::new(parts.fuse()))
}

#[cfg(test)]
mod tests {
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
}
