//! A registration passes the same checks as every request, in the same order, and goes to its handler. On a busy node
//! nearly all requests are registrations, and with the router, where each check is a layer that is found and called through
//! pointers, the way to the handler takes longer than the registration.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
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

    /// Returns true for a registration with a small body, where no pages of other sites may call.
    pub(super) fn takes(&self, request: &Request) -> bool {
        *request.method() == Method::POST
            && request.uri().path() == REGISTRATIONS
            && has_small_body(request)
            && self.gate.get().has_no_pages()
    }

    /// Answers a request that it takes, as the router would.
    pub(super) async fn answer(self, request: Request) -> Response {
        let (api, gate) = (&self.api, self.gate.get());
        let handle = |request| register.call(request, Arc::clone(api));
        let allowed = |request| allowed(api, self.needs, None, request, handle);
        let declared = |request| let_declared(request, allowed);
        let here = |request| which_cluster::checked(&api.handle, request, |request| let_in(&gate, request, declared));
        observed(&self.observer, self.label, request, here).await
    }
}
