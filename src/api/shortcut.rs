//! A registration passes the same checks as every request, in the same order, and goes to its handler. On a busy node
//! nearly all requests are registrations, and with the router, where each check is a layer that is found and called through
//! pointers, the way to the handler takes longer than the registration.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, header};
use axum::response::Response;

use super::auth::{About, allowed};
use super::gate::{Gate, let_declared, let_in};
use super::observe::{Observer, observed};
use super::registrations::register;
use super::routes::{REGISTRATIONS, registering};
use super::server::has_small_body;
use super::shared::Shared;
use super::{Api, which_cluster};
use crate::model::Scope;

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

    /// Returns the gate for a registration with a small body, where no pages of other sites may call.
    pub(super) fn takes(&self, request: &Request) -> Option<Gate> {
        let is_it = *request.method() == Method::POST && request.uri().path() == REGISTRATIONS;
        let gate = (is_it && has_small_body(request)).then(|| self.gate.get())?;
        gate.has_no_pages().then_some(gate)
    }

    /// Answers a request that it takes, as the router would.
    pub(super) async fn answer(self, gate: Gate, request: Request) -> Response {
        let api = &self.api;
        let handle = |request| register.call(request, Arc::clone(api));
        let allowed = |request| allowed(api, self.needs, None, request, handle);
        let declared = |request| let_declared(request, allowed);
        let here = |request| which_cluster::checked(&api.handle, request, |request| let_in(&gate, request, declared));
        let mut response = observed(&self.observer, self.label, request, here).await;
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        response
    }
}
