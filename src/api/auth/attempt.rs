//! What somebody does as an administrator, or tries to, on its way into the audit log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{RawPathParams, Request};
use axum::response::Response;
use serde::Serialize;

use crate::api::observe::Observed;
use crate::audit::{Act, Audit};
use crate::model::{ProblemType, Time};

/// An act before its outcome is known.
pub(super) struct Attempt {
    token: Option<String>,
    address: IpAddr,
    about: BTreeMap<String, String>,
    route: &'static str,
    request: Arc<str>,
}

impl Attempt {
    /// By whoever has the token of this name, from this address.
    pub(super) fn new(
        token: Option<String>,
        address: IpAddr,
        params: Option<&RawPathParams>,
        request: &Request,
    ) -> Self {
        let path = params.into_iter().flat_map(RawPathParams::iter);
        let mut about: BTreeMap<_, _> = path.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        if let Some(query) = request.uri().query() {
            about.insert("parameters".to_owned(), query.to_owned());
        }
        let observed = request.extensions().get::<Observed>();
        Self {
            token,
            address,
            about,
            route: observed.map_or("unknown", |observed| observed.route),
            request: observed.map_or_else(|| "".into(), |observed| Arc::clone(&observed.id)),
        }
    }

    /// Says what came of it, and when.
    pub(super) fn record(&self, audit: &Audit, response: &Response, time: Time) {
        let problem = response.extensions().get::<ProblemType>();
        // Whoever is too fast for the node could fill the disk with that.
        if problem == Some(&ProblemType::TooManyRequests) {
            return;
        }
        audit.record(&Act {
            time,
            token: self.token.as_deref(),
            address: Some(self.address),
            act: self.route,
            about: self.about.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            change: response.extensions().get::<Change>().map(|change| &change.0),
            outcome: problem.map_or("done", |problem| problem.into()),
            request: Some(&self.request),
        });
    }
}

/// What an act has changed, as it was asked for.
#[derive(Clone, Debug)]
pub(in crate::api) struct Change(serde_json::Value);

impl Change {
    pub(in crate::api) fn of(asked: &impl Serialize) -> Self {
        // What came as JSON can be written as such.
        Self(serde_json::to_value(asked).unwrap_or_default())
    }

    /// The answer that says that it was made.
    pub(in crate::api) fn made(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}
