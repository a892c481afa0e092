//! A registration and the look-up of a name pass the same checks as every request, in the same order, and go to their
//! handlers; only the body of a registration, which is small, is read before them. On a busy node nearly all requests are such
//! ones, and with the router, where each check is a layer that is found and called through pointers, the way to the handler
//! takes longer than what it does.

use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Request, Response, header};
use tracing::Instrument;

use super::auth::allowed;
use super::extract::{check_json, parse, whole};
use super::gate::{Gate, keep_apart};
use super::names::shown;
use super::observe::{Observation, Observer};
use super::registrations::{answer, idempotency_key};
use super::routes::{REGISTRATIONS, Way};
use super::server::{Connections, Peer, has_small_body};
use super::shared::Shared;
use super::{Api, which_cluster};
use crate::model::{NameRef, Problem};

/// The body of a request, or why it did not arrive.
pub(super) type Arrived = Result<Bytes, Box<Problem>>;

/// A call that takes the shortcut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Register,
    LookUp(NameRef),
}

impl Call {
    /// Returns the call to this path; none where it is another one, or comes with parameters or with anything in the path that
    /// has to be decoded.
    pub(super) fn to(method: &Method, path: &str) -> Option<Self> {
        match *method {
            Method::POST => (path == REGISTRATIONS).then_some(Self::Register),
            Method::GET => named(path).map(Self::LookUp),
            _ => None,
        }
    }

    /// Returns true where the headers announce a small body for a registration, or none for a look-up.
    pub(super) fn is_plain(&self, headers: &HeaderMap) -> bool {
        // A client that asks first whether its body is wanted (`Expect`) goes to the router, which checks before it reads.
        if headers.contains_key(header::EXPECT) {
            return false;
        }
        match self {
            Self::Register => has_small_body(headers),
            Self::LookUp(_) => {
                !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING)
            }
        }
    }
}

/// Returns the name whose path this is.
fn named(path: &str) -> Option<NameRef> {
    let (namespace, name) = path.strip_prefix("/v1/names/")?.split_once('/')?;
    // The characters that may stand in a segment of a path as they are (RFC 3986, section 3.3). All others are escaped.
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let is_segment = |text: &str| !text.is_empty() && text.bytes().all(is_bare);
    let is_it = is_segment(namespace) && is_segment(name);
    is_it.then(|| NameRef { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// A request that takes the shortcut.
pub(super) struct Sent {
    pub(super) call: Call,
    /// The host in the request line, where there is one.
    pub(super) named: Option<Authority>,
    pub(super) headers: HeaderMap,
    pub(super) body: Arrived,
}

/// The way past the router. Clones share it.
#[derive(Clone)]
pub(super) struct Shortcut {
    api: Arc<Api>,
    gate: Shared<Gate>,
    observer: Arc<Observer>,
    registering: Way,
    looking_up: Way,
}

impl Shortcut {
    pub(super) fn new(api: &Arc<Api>, gate: Shared<Gate>, observer: Arc<Observer>) -> Self {
        let (registering, looking_up) = (Way::registering(), Way::looking_up());
        Self { api: Arc::clone(api), gate, observer, registering, looking_up }
    }

    /// Returns the gate for requests, where no pages of other sites may call.
    pub(super) fn gate(&self) -> Option<Gate> {
        Some(self.gate.get()).filter(Gate::has_no_pages)
    }

    /// Returns the call of a request that takes this way, and the gate for it.
    pub(super) fn takes<B>(&self, request: &Request<B>) -> Option<(Call, Gate)> {
        let uri = request.uri();
        let call = Call::to(request.method(), uri.path()).filter(|_| uri.query().is_none())?;
        let gate = self.gate().filter(|_| call.is_plain(request.headers()))?;
        Some((call, gate))
    }

    fn way(&self, call: &Call) -> Way {
        match call {
            Call::Register => self.registering,
            Call::LookUp(_) => self.looking_up,
        }
    }

    /// Begins to observe a request that it takes, once its head is there.
    pub(super) fn begin(&self, call: &Call, headers: &HeaderMap) -> Observation<'_> {
        self.observer.begin(self.way(call).label, headers)
    }

    /// Answers a request that it takes, as the router would.
    pub(super) async fn answer(
        &self,
        observation: Observation<'_>,
        gate: &Gate,
        peer: Peer,
        sent: Sent,
    ) -> Response<Vec<u8>> {
        let ours = self.api.handle.cluster();
        let mut response = match which_cluster::meant(&sent.headers, ours) {
            Ok(()) => {
                let mut response = match gate.check(sent.named.as_ref(), &sent.headers) {
                    Ok(()) => pin!(self.called(peer, sent)).instrument(observation.span()).await,
                    Err(problem) => problem.whole(),
                };
                keep_apart(response.headers_mut());
                response
            }
            Err(problem) => problem.whole(),
        };
        which_cluster::name(response.headers_mut(), ours.or_else(|| self.api.handle.cluster()));
        observation.end(&mut response);
        response
    }

    /// Answers a request to a name of this node.
    async fn called(&self, Peer(address): Peer, sent: Sent) -> Response<Vec<u8>> {
        let Sent { call, headers, body, named: _ } = sent;
        let needs = self.way(&call).needs;
        let answered = match call {
            Call::Register => {
                let read = || {
                    check_json(&headers)?;
                    let caller = allowed(&self.api, address, &headers, needs)?;
                    let key = idempotency_key(&headers)?;
                    Ok((caller, key, parse(&body?)?))
                };
                match read() {
                    Ok((caller, key, body)) => Ok(answer(&self.api, &caller, key, body).await),
                    Err(problem) => Err(problem),
                }
            }
            Call::LookUp(name) => match allowed(&self.api, address, &headers, needs) {
                Ok(caller) => shown(&self.api, name, 0, &caller).await,
                Err(problem) => Err(problem),
            },
        };
        answered.unwrap_or_else(|problem: Box<Problem>| problem.whole())
    }

    /// Answers a request that it takes, whose body is still to be read.
    pub(super) async fn answer_read(
        self,
        (call, gate): (Call, Gate),
        peer: Peer,
        limits: Connections,
        request: Request<Body>,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let observation = self.begin(&call, &head.headers);
        let body = if call == Call::Register { whole(body, limits).await } else { Ok(Bytes::new()) };
        let sent = Sent { call, named: head.uri.authority().cloned(), headers: head.headers, body };
        let mut response = self.answer(observation, &gate, peer, sent).await;
        // HTTP/1.1 adds the length by itself, HTTP/2 does not know it any more when it sends the answer.
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response.map(Body::from)
    }
}
