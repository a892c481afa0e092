//! Gives every request an id, which is in its answer and in all log lines about it, and measures how long each call
//! takes.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{self, HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::header_names::{REQUEST_ID, TRACEPARENT};
use crate::node::Handle;
use crate::traces::{Answered, Caller, Traces};

/// The maximum length of an id that a client sends.
const MAX_ID: usize = 128;
/// The label of requests to paths or with methods that no call has.
const NO_ROUTE: &str = "none";

/// The calls by the patterns of their paths, each with its methods and their labels in the metrics.
pub(super) type Calls = HashMap<&'static str, Vec<(Method, &'static str)>>;

/// The id and the route of a request, for the handlers and layers behind this one.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) id: Arc<str>,
    /// The method and the pattern of the path.
    pub(super) route: &'static str,
}

/// The state that [`observed`] keeps for all requests: the labels of the calls, the metrics and traces that it writes to, and
/// the source of request ids.
pub(super) struct Observer {
    calls: Calls,
    handle: Handle,
    traces: Traces,
    /// The prefix of the ids that this process makes.
    process: String,
    /// The number of ids that it has made.
    made: AtomicU64,
}

impl Observer {
    /// `process` tells the ids of this process from those of others.
    pub(super) fn new(calls: Calls, handle: Handle, traces: Traces, process: u64) -> Arc<Self> {
        Arc::new(Self { calls, handle, traces, process: format!("{process:016x}"), made: AtomicU64::new(0) })
    }

    fn route(&self, path: Option<&MatchedPath>, method: &Method) -> &'static str {
        let of = path.and_then(|path| self.calls.get(path.as_str()));
        of.and_then(|methods| methods.iter().find(|(known, _)| known == method)).map_or(NO_ROUTE, |(_, route)| *route)
    }

    fn id(&self, headers: &HeaderMap) -> Arc<str> {
        if let Some(id) = given(headers) {
            return id.into();
        }
        let mut id = String::with_capacity(32);
        id.push_str(&self.process);
        // Writing to a string cannot fail.
        let _ = write!(id, "-{:x}", self.made.fetch_add(1, Ordering::Relaxed));
        id.into()
    }
}

/// Returns the routes with each request observed.
pub(super) fn before(routes: Router, observer: Arc<Observer>) -> Router {
    routes.layer(middleware::from_fn_with_state(observer, observe))
}

async fn observe(
    State(observer): State<Arc<Observer>>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = observer.route(path.as_ref(), request.method());
    let observation = observer.begin(route, request.headers());
    request.extensions_mut().insert(Observed { id: Arc::clone(&observation.id), route });
    let mut response = next.run(request).instrument(observation.span()).await;
    observation.end(&mut response);
    response
}

/// A request that is being answered.
pub(super) struct Observation<'a> {
    observer: &'a Observer,
    route: &'static str,
    id: Arc<str>,
    span: tracing::Span,
    caller: Option<Caller>,
    began: Instant,
}

impl Observer {
    /// Begins to observe a request with these headers.
    pub(super) fn begin(&self, route: &'static str, headers: &HeaderMap) -> Observation<'_> {
        let id = self.id(headers);
        let span = tracing::info_span!("request", id = &*id);
        Observation { observer: self, route, id, span, caller: self.traces.caller(headers), began: Instant::now() }
    }
}

impl Observation<'_> {
    /// The span within which the request is answered.
    pub(super) fn span(&self) -> tracing::Span {
        self.span.clone()
    }

    /// Counts the answer, and adds the request's id to it.
    pub(super) fn end<B>(self, response: &mut http::Response<B>) {
        let Self { observer, route, id, span, caller, began } = self;
        let (status, took) = (response.status().as_u16(), began.elapsed());
        span.in_scope(|| tracing::debug!(route, status, ?took, "answered"));
        observer.handle.metrics().requested(route, status, took);
        if let Ok(value) = HeaderValue::try_from(&*id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if let Some(caller) = caller {
            let (node, registration) = (observer.handle.node(), registered(response.headers()));
            observer.traces.answered(caller, Answered { node, route, status, took, registration, id });
        }
    }
}

/// Returns the registration that a request has made or asked to make: its answer says where that is.
fn registered(headers: &HeaderMap) -> Option<Uuid> {
    let place = headers.get(header::LOCATION)?.to_str().ok()?;
    place.strip_prefix("/v1/registrations/")?.parse().ok()
}

/// Returns the id that a request brings: in its own header, or the id of the trace that it belongs to (W3C Trace
/// Context). Text that does not look like an id is ignored, because it would be copied into logs.
fn given(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_id = |id: &&str| {
        let ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
        !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(ok)
    };
    text(REQUEST_ID).filter(is_id).or_else(|| text(TRACEPARENT).and_then(trace_id))
}

/// Returns the trace id of a `traceparent` of version 00 (W3C Trace Context, section 3.2). Later versions begin alike.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, id, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let fits = is_hex(version, 2) && version != "ff" && is_hex(id, 32) && is_hex(parent, 16);
    (fits && id.bytes().any(|byte| byte != b'0')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Option<String> {
        let value = |text: &str| HeaderValue::try_from(text).unwrap();
        let headers: HeaderMap =
            pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
        given(&headers).map(str::to_owned)
    }

    #[test]
    fn an_id_is_taken_from_its_header_or_from_the_trace() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let parent = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(of(&[("x-request-id", "desk/7")]).as_deref(), Some("desk/7"));
        assert_eq!(of(&[("traceparent", &parent)]).as_deref(), Some(trace));
        assert_eq!(of(&[("traceparent", &parent), ("x-request-id", "7")]).as_deref(), Some("7"));
        assert_eq!(of(&[("traceparent", &parent), ("x-request-id", "a b")]).as_deref(), Some(trace));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_no_id_is_left_out() {
        let long = "a".repeat(MAX_ID + 1);
        for id in ["", "a b", "a\"", "{}", "é", &long] {
            assert_eq!(of(&[("x-request-id", id)]), None, "{id:?}");
        }
        let none = "0".repeat(32);
        for parent in [
            "",
            "00",
            "00-1-2-3",
            "zz-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            &format!("00-{none}-b7ad6b7169203331-01"),
        ] {
            assert_eq!(of(&[("traceparent", parent)]), None, "{parent:?}");
        }
    }
}
