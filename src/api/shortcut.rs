//! A registration passes the same checks as every request, in the same order, and goes to its handler; only its body, which
//! is small, is read before them. On a busy node nearly all requests are registrations, and with the router, where each check
//! is a layer that is found and called through pointers, the way to the handler takes longer than the registration.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, header};
use tracing::Instrument;
use uuid::Uuid;

use super::auth::{About, Caller, allowed};
use super::extract::{check_json, parse, whole};
use super::gate::{Gate, keep_apart};
use super::observe::{Observation, Observer};
use super::registrations::{answer, idempotency_key};
use super::routes::{REGISTRATIONS, registering};
use super::server::{Connections, Peer, has_small_body};
use super::shared::Shared;
use super::{Api, which_cluster};
use crate::model::{Problem, RegistrationBody, Scope};

/// The body of a request, or why it did not arrive.
pub(super) type Arrived = Result<Bytes, Box<Problem>>;

/// The way of registrations. Clones share it.
#[derive(Clone)]
pub(super) struct Shortcut {
    api: Arc<Api>,
    gate: Shared<Gate>,
    observer: Arc<Observer>,
    label: &'static str,
    needs: (Scope, About),
}

impl Shortcut {
    pub(super) fn new(api: &Arc<Api>, gate: Shared<Gate>, observer: Arc<Observer>) -> Self {
        let (label, scope, about) = registering();
        Self { api: Arc::clone(api), gate, observer, label, needs: (scope, about) }
    }

    /// Returns the gate for registrations, where no pages of other sites may call.
    pub(super) fn gate(&self) -> Option<Gate> {
        Some(self.gate.get()).filter(Gate::has_no_pages)
    }

    /// Returns the gate for a request that takes this way: a registration without parameters and with a small body.
    pub(super) fn takes<B>(&self, request: &Request<B>) -> Option<Gate> {
        let uri = request.uri();
        let is_it = *request.method() == Method::POST && uri.path() == REGISTRATIONS && uri.query().is_none();
        // A client that asks first whether its body is wanted (`Expect`) goes to the router, which checks before it reads.
        let sends_body = has_small_body(request) && !request.headers().contains_key(header::EXPECT);
        (is_it && sends_body).then(|| self.gate())?
    }

    /// Begins to observe a request that it takes, once its head is there.
    pub(super) fn begin(&self, headers: &HeaderMap) -> Observation<'_> {
        self.observer.begin(self.label, headers)
    }

    /// Answers a request that it takes, as the router would.
    pub(super) async fn answer(
        &self,
        observation: Observation<'_>,
        gate: &Gate,
        peer: Peer,
        request: Request<Arrived>,
    ) -> Response<Vec<u8>> {
        let ours = self.api.handle.cluster();
        let mut response = match which_cluster::meant(request.headers(), ours) {
            Ok(()) => {
                let mut response = match gate.check(&request).and_then(|()| self.read(peer, request)) {
                    Ok((caller, key, body)) => {
                        answer(&self.api, &caller, key, body).instrument(observation.span()).await
                    }
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

    /// Answers a request that it takes, whose body is still to be read.
    pub(super) async fn answer_read(
        self,
        gate: Gate,
        peer: Peer,
        limits: Connections,
        request: Request<Body>,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let observation = self.begin(&head.headers);
        let request = Request::from_parts(head, whole(body, limits).await);
        let mut response = self.answer(observation, &gate, peer, request).await;
        // HTTP/1.1 adds the length by itself, HTTP/2 does not know it any more when it sends the answer.
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response.map(Body::from)
    }

    /// Checks a request to a name of this node, and reads it.
    fn read(
        &self,
        Peer(address): Peer,
        request: Request<Arrived>,
    ) -> Result<(Caller, Option<Uuid>, RegistrationBody), Box<Problem>> {
        let headers: &HeaderMap = request.headers();
        check_json(headers)?;
        let caller = allowed(&self.api, address, headers, self.needs)?;
        let key = idempotency_key(headers)?;
        Ok((caller, key, parse(&request.into_body()?)?))
    }
}
