//! What an administrator did or tried to do, for the audit log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{RawPathParams, Request};
use axum::response::Response;
use serde::Serialize;

use crate::api::observe::Observed;
use crate::audit::{Act, Audit};
use crate::model::{ProblemType, Time};

/// An administrator's act, before its outcome is known.
pub(super) struct Attempt {
    token: Option<String>,
    address: IpAddr,
    about: BTreeMap<String, String>,
    route: &'static str,
    request: Arc<str>,
}

impl Attempt {
    /// Notes an act by the bearer of the token with this name, from this address.
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

    /// Writes the act with its outcome and time into the audit log.
    pub(super) fn record(&self, audit: &Audit, response: &Response, time: Time) {
        let problem = response.extensions().get::<ProblemType>();
        // Requests that were refused for their rate are not logged, because they could fill the disk.
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

/// The change that an administrator asked for, as it is written into the audit log.
#[derive(Clone, Debug)]
pub(in crate::api) struct Change(serde_json::Value);

impl Change {
    pub(in crate::api) fn of(asked: &impl Serialize) -> Self {
        // The value was read from JSON, so it can be written as JSON.
        Self(serde_json::to_value(asked).unwrap_or_default())
    }

    /// Attaches the change to the answer that confirms it.
    pub(in crate::api) fn made(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}
