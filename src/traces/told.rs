//! The description of a request for its span, and the error where the variables of the environment cannot be used.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::NodeId;

/// Spans cannot be exported as the variables of the environment say.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported to OpenTelemetry: {0}; correct the variables OTEL_*, or unset them")]
pub struct TracesError(pub(super) String);

/// A request that has been answered.
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "only OpenTelemetry reads it"))]
pub(crate) struct Answered {
    pub(crate) node: NodeId,
    /// The method and the pattern of the path.
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    /// The registration that it made or asked to make.
    pub(crate) registration: Option<Uuid>,
    /// The id of the request.
    pub(crate) id: Arc<str>,
}
