//! Headers that the library for HTTP has no names for. A name that is made here once is not read and checked anew for each
//! request.

use axum::http::HeaderName;

use crate::model::CLUSTER_HEADER;

/// The cluster that a request is for, or that an answer comes from.
pub(super) const CLUSTER: HeaderName = HeaderName::from_static(CLUSTER_HEADER);
/// The id of a request, in the request and in its answer.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The key of a request that may be sent again.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The event after which a stream goes on (HTML, section 9.2).
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The trace that a request belongs to (W3C Trace Context).
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// From which page a browser sends a request (W3C Fetch Metadata).
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Which pages may read an answer (Fetch).
pub(super) const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Which pages may share a window with a page (HTML).
pub(super) const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
