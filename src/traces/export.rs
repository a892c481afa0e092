//! Makes spans, and sends them over OTLP in batches, on a thread of their own.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Link, Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};
use uuid::Uuid;

use super::told::{Answered, TracesError};
use super::watched::Watched;
use crate::clock::NodeId;
use crate::model::{Event, Time, event_type_text};
use crate::node::outgoing_tls;

/// How long a collector may take to take a batch of spans.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// The trace of a request, from its headers.
pub(crate) struct Caller(Context);

/// Sends spans.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Exporter {
    pub(super) fn start(endpoint: &str) -> Result<Option<Self>, TracesError> {
        let wrong = |error: &dyn std::fmt::Display| TracesError(error.to_string());
        if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
            return Err(TracesError(format!("the endpoint {endpoint:?} does not begin with http:// or https://")));
        }
        can_be_followed(|name| std::env::var(name).ok()).map_err(TracesError)?;
        let tls = outgoing_tls(endpoint.starts_with("https:")).map_err(|error| wrong(&error))?;
        let client = reqwest::blocking::Client::builder().timeout(TAKEN_WITHIN).tls_backend_preconfigured(tls).build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(protocol()?)
            .with_http_client(client.map_err(|error| wrong(&error))?)
            .build()
            .map_err(|error| wrong(&error))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("forename");
        }
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .with_resource(resource.build())
            .with_batch_exporter(Watched::new(exporter))
            .build();
        tracing::info!(endpoint, "spans are exported to OpenTelemetry");
        let tracer = provider.tracer("forename");
        Ok(Some(Self { provider, tracer }))
    }

    #[expect(clippy::unused_self, reason = "a program without OpenTelemetry has no exporter to ask")]
    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        Caller(TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers)))
    }

    #[expect(clippy::disallowed_methods, reason = "a span ends now")]
    pub(super) fn answered(&self, Caller(context): Caller, answered: Answered) {
        let Answered { node, route, status, took, registration, id } = answered;
        let end = SystemTime::now();
        let (method, path) = route.split_once(' ').unwrap_or((route, ""));
        // Probes, metrics and pages are asked for all the time and say nothing about registrations.
        if !path.starts_with("/v1/") {
            return;
        }
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", path.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("forename.node", node.to_string()),
            KeyValue::new("forename.request", id.to_string()),
        ];
        attributes.extend(registration.map(about));
        let mut span = self.tracer.span_builder(route).with_kind(SpanKind::Server).with_start_time(end - took);
        let own_trace = context.span().span_context().is_valid();
        let trace = registration.and_then(trace_of);
        if own_trace && let Some(trace) = trace {
            span = span.with_links(vec![Link::with_context(within(trace))]);
        }
        let span = span.with_attributes(attributes);
        let mut span = begun_in(trace.filter(|_| !own_trace), || span.start_with_context(&self.tracer, &context));
        // By the semantic conventions for HTTP a status of 4xx is the client's error, and not one of the server's span.
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }

    pub(super) fn decided(&self, node: NodeId, event: &Event) {
        let registration = &event.data.registration;
        let Some(trace) = trace_of(registration.id) else { return };
        let (start, end) = (system_time(registration.accepted_at), system_time(event.time));
        let attributes = vec![
            about(registration.id),
            KeyValue::new("forename.stamp", registration.stamp.to_string()),
            KeyValue::new("forename.node", node.to_string()),
            KeyValue::new("forename.accepted_by", registration.node.to_string()),
        ];
        let name = event_type_text(event.event_type);
        let span = self.tracer.span_builder(name).with_start_time(start).with_attributes(attributes);
        let mut span = begun_in(Some(trace), || span.start_with_context(&self.tracer, &Context::new()));
        // The clock of the node that accepted it may be ahead of this one's.
        span.end_with_timestamp(end.max(start));
    }

    pub(super) fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!("the last spans could not be exported: {error}");
        }
    }
}

/// Returns how spans are written, by the variables of the specification.
fn protocol() -> Result<Protocol, TracesError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL")).as_deref() {
        None | Some("http/protobuf") => Ok(Protocol::HttpBinary),
        Some("http/json") => Ok(Protocol::HttpJson),
        Some(other) => Err(TracesError(format!("the protocol {other:?} is neither http/protobuf nor http/json"))),
    }
}

/// The samplers of the specification that need no server.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Returns what is wrong with the variables that the library passes over in silence where they are not valid.
fn can_be_followed(lookup: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let sampler = set("OTEL_TRACES_SAMPLER");
    if let Some(sampler) = sampler.as_deref().filter(|sampler| !SAMPLERS.contains(sampler)) {
        return Err(format!("OTEL_TRACES_SAMPLER is {sampler:?}, which is none of {}", SAMPLERS.join(", ")));
    }
    if let Some(share) = set("OTEL_TRACES_SAMPLER_ARG").filter(|_| sampler.is_some_and(|it| it.ends_with("ratio")))
        && !share.parse().is_ok_and(|share: f64| (0.0..=1.0).contains(&share))
    {
        return Err(format!("OTEL_TRACES_SAMPLER_ARG is {share:?}, which is no number from 0 to 1"));
    }
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"] {
        let parts = set(name).unwrap_or_default();
        let is_pair = |part: &str| part.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty());
        // A header may have a secret.
        if let Some(place) = parts.split(',').position(|part| !part.trim().is_empty() && !is_pair(part)) {
            return Err(format!("part {} of {name} is not KEY=VALUE", place + 1));
        }
    }
    Ok(())
}

fn system_time(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(time.0.0)
}

fn about(registration: Uuid) -> KeyValue {
    KeyValue::new("forename.registration", registration.to_string())
}

/// Returns the trace of a registration; none for the id that no trace may have.
fn trace_of(registration: Uuid) -> Option<TraceId> {
    (!registration.is_nil()).then(|| TraceId::from_bytes(registration.into_bytes()))
}

/// Returns the context of a trace, for a link to it. A link needs a span, and is to the trace as a whole.
fn within(trace: TraceId) -> SpanContext {
    let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
    let span = SpanId::from_bytes([a, b, c, d, e, f, g, h]);
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE)
}

thread_local! {
    /// The trace of the span that is begun now.
    static TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Begins a span in this trace, without a parent. So a sampler decides by the trace's id, and alike at all nodes.
fn begun_in<T>(trace: Option<TraceId>, begin: impl FnOnce() -> T) -> T {
    TRACE.set(trace);
    let begun = begin();
    TRACE.set(None);
    begun
}

/// Makes the ids of spans at random, and of traces unless the trace is known.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TRACE.get().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_the_library_would_pass_over_stops_the_start() {
        let wrong = |name: &str, value: &str, sampler: &str| {
            let of = |asked: &str| match asked {
                "OTEL_TRACES_SAMPLER" if asked != name => Some(sampler.to_owned()),
                _ => (asked == name).then(|| value.to_owned()),
            };
            can_be_followed(of).err()
        };
        for sampler in SAMPLERS {
            assert_eq!(wrong("OTEL_TRACES_SAMPLER", sampler, ""), None);
        }
        assert!(wrong("OTEL_TRACES_SAMPLER", "sometimes", "").unwrap().contains("parentbased_always_on"));
        for share in ["0.25", "1", "0"] {
            assert_eq!(wrong("OTEL_TRACES_SAMPLER_ARG", share, "traceidratio"), None);
        }
        for share in ["2", "a quarter", "NaN"] {
            assert!(wrong("OTEL_TRACES_SAMPLER_ARG", share, "parentbased_traceidratio").is_some(), "{share}");
            assert_eq!(wrong("OTEL_TRACES_SAMPLER_ARG", share, "always_on"), None, "it is not looked at");
        }
        assert_eq!(wrong("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20a=, b=c", ""), None);
        let told = wrong("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret", "").unwrap();
        assert!(told.contains("part 2") && !told.contains("secret"), "{told}");
    }
}
