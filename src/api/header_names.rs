//! Names of headers that the crate `http` does not define. A text in place of such a constant would be checked and hashed as a
//! new name for each request.

use axum::http::HeaderName;

use crate::model::CLUSTER_HEADER;

/// The cluster that a request is for, or that an answer comes from.
pub(super) const CLUSTER: HeaderName = HeaderName::from_static(CLUSTER_HEADER);
/// The id of a request, in the request and in its answer.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A text that a client chooses for a request, so that the same request sent again is not another registration.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The last event that a client got before its event stream broke off (HTML Standard, server-sent events).
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The trace that a request belongs to (W3C Trace Context).
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Sent by browsers: how the site of the page that makes a request relates to the site that is asked, `same-origin`, `same-site`,
/// `cross-site` or `none` (W3C Fetch Metadata).
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Tells browsers which sites may load an answer, for instance as an image or a script (Fetch Standard).
pub(super) const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Tells browsers whether pages of other sites that open a page, or that it opens, keep a reference to its window (HTML
/// Standard).
pub(super) const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
