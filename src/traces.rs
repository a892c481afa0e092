//! Spans for OpenTelemetry, where the program was built with the feature `otel`.
//!
//! The id of a registration is the id of a trace. The node that takes the request adds the span of the request, and every
//! node adds a span from the time at which the registration was accepted to the time at which that node knew the outcome.
//! So the way of a registration through the cluster is one trace, although nothing about traces goes from node to node. A
//! request that brings a trace of its own (`traceparent`) stays in that one, and has a link to the registration's.
//!
//! Spans have no names or owners, which may be personal.

#[cfg(not(feature = "otel"))]
#[path = "traces/absent.rs"]
mod export;
#[cfg(feature = "otel")]
mod export;
mod follow;
mod told;
#[cfg(feature = "otel")]
mod watched;

use std::sync::Arc;

use axum::http::HeaderMap;

pub(crate) use self::export::Caller;
use self::export::Exporter;
pub(crate) use self::told::Answered;
pub use self::told::TracesError;
use crate::clock::NodeId;
use crate::model::Event;

/// Where spans go. The default is nowhere. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Exporter>>);

impl Traces {
    /// Exports spans over OTLP as the standard variables of the environment say (`OTEL_EXPORTER_OTLP_ENDPOINT` and others
    /// of the OpenTelemetry specification); nowhere where they name no endpoint. It must not be called on a thread of an
    /// async runtime.
    ///
    /// # Errors
    /// The variables cannot be followed.
    pub fn from_environment() -> Result<Self, TracesError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
        match endpoint {
            Some(endpoint) if !off => Exporter::start(&endpoint).map(|exporter| Self(exporter.map(Arc::new))),
            _ => Ok(Self::default()),
        }
    }

    /// Returns the trace that a request belongs to, where spans are exported.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        self.0.as_ref().map(|exporter| exporter.caller(headers))
    }

    /// Records a request, with the trace that it came with.
    pub(crate) fn answered(&self, caller: Caller, answered: Answered) {
        if let Some(exporter) = &self.0 {
            exporter.answered(caller, answered);
        }
    }

    /// Records that this node has learnt the outcome of a registration.
    fn decided(&self, node: NodeId, event: &Event) {
        if let Some(exporter) = &self.0 {
            exporter.decided(node, event);
        }
    }

    /// Sends the spans that are left. It must not be called on a thread of an async runtime.
    pub fn stop(&self) {
        if let Some(exporter) = &self.0 {
            exporter.stop();
        }
    }
}
