//! Tests of spans, with a collector that takes OTLP as JSON.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::post;
use axum::{Json, Router};
use forename::model::Registration;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::process::{Home, Process, Serve};
use crate::support::{all_members, eventually, http, user_final};

const CONFIRMED: &str = "forename.registration.confirmed";

/// Takes spans. Ends with the test.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

fn spans_of(batch: &Value) -> Vec<Value> {
    let each = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let scopes = each(&batch["resourceSpans"]).into_iter().flat_map(|resource| each(&resource["scopeSpans"]));
    scopes.flat_map(|scope| each(&scope["spans"])).collect()
}

impl Collector {
    async fn start() -> Self {
        async fn take(State(spans): State<Arc<Mutex<Vec<Value>>>>, Json(batch): Json<Value>) -> Json<Value> {
            spans.lock().unwrap().extend(spans_of(&batch));
            Json(Value::Object(serde_json::Map::new()))
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        tokio::spawn(async { axum::serve(listener, routes).await });
        Self { url, spans }
    }

    /// The spans of a trace, each with its name, the node that it is of, and itself.
    fn trace(&self, id: &str) -> Vec<(String, String, Value)> {
        let spans = self.spans.lock().unwrap();
        let of = spans.iter().filter(|span| span["traceId"] == id);
        of.map(|span| (text(&span["name"]), attribute(span, "forename.node"), span.clone())).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn attribute(span: &Value, key: &str) -> String {
    let found = span["attributes"].as_array().and_then(|all| all.iter().find(|attribute| attribute["key"] == key));
    found.map(|attribute| text(&attribute["value"]["stringValue"])).unwrap_or_default()
}

fn time(span: &Value, which: &str) -> u64 {
    text(&span[which]).parse().unwrap()
}

/// Starts a node that exports to this address.
fn exporting(label: &str, endpoint: &str) -> Serve {
    let mut serve = Serve::new(label);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    serve.variables.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    serve
}

/// Registers a name at a node, as a part of the caller's own trace where there is one.
async fn register(node: &Process, name: &str, traceparent: Option<&str>) -> Registration {
    let mut request = http().build().unwrap().post(format!("{}/v1/registrations", node.url()));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    request.json(&user_final(name, "ann")).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_registration_is_one_trace_over_all_nodes() {
    let collector = Collector::start().await;
    let homes = [Home::new(), Home::new()];
    let mut a = Process::start(&homes[0], &exporting("a", &collector.url)).await;
    let token = a.client.mint_token(None).await.unwrap();
    let b = Process::start(&homes[1], &exporting("b", &collector.url).join(a.peer, &token)).await;
    all_members(&[a.client.clone(), b.client.clone()]).await;

    let (first, second) = (&a, crate::support::cluster(&b.client).await.unwrap().node.to_string());
    let mut attempts = 0_u32..;
    eventually("the newcomer exports spans", async || {
        register(first, &format!("name{}", attempts.next().unwrap_or_default()), None).await;
        let spans = collector.spans.lock().unwrap();
        let by_newcomer =
            spans.iter().any(|span| span["name"] == CONFIRMED && attribute(span, "forename.node") == second);
        if by_newcomer { Ok(()) } else { Err("it does not".to_owned()) }
    })
    .await;
    let registration = register(&a, "secretname", None).await;
    let trace = registration.id.simple().to_string();
    let here = registration.node.to_string();
    let wanted: BTreeSet<_> = [("POST /v1/registrations", &here), (CONFIRMED, &here), (CONFIRMED, &second)]
        .map(|(name, node)| (name.to_owned(), node.clone()))
        .into();
    let spans = eventually("the request and both confirmations are in the trace", async || {
        let spans = collector.trace(&trace);
        let found: BTreeSet<_> = spans.iter().map(|(name, node, _)| (name.clone(), node.clone())).collect();
        if found == wanted { Ok(spans) } else { Err(format!("{found:?}")) }
    })
    .await;
    for (name, _, span) in &spans {
        assert!(time(span, "startTimeUnixNano") <= time(span, "endTimeUnixNano"), "{span}");
        assert!(!span.to_string().contains("secretname"), "{name} has a name that may be personal");
        assert_eq!(attribute(span, "forename.registration"), registration.id.to_string());
        if name == CONFIRMED {
            assert_eq!(attribute(span, "forename.stamp"), registration.stamp.to_string());
        }
    }

    // A caller's own trace has the request, with a link to the registration's.
    let own = "0af7651916cd43dd8448eb211c80319c";
    let second = register(&a, "another", Some(&format!("00-{own}-b7ad6b7169203331-01"))).await;
    let request = eventually("the request is in the caller's trace", async || {
        collector.trace(own).pop().map(|(_, _, span)| span).ok_or_else(|| "no span yet".to_owned())
    })
    .await;
    assert_eq!(request["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(request["links"][0]["traceId"], second.id.simple().to_string());
    // Who did not ask to be sampled is not.
    let unsampled = "0af7651916cd43dd8448eb211c80319d";
    register(&a, "unsampled", Some(&format!("00-{unsampled}-b7ad6b7169203331-00"))).await;
    assert!(a.terminate().await.success(), "{}", homes[0].read_log());
    assert!(collector.trace(unsampled).is_empty());
    // A node that stops sends what is left.
    assert!(collector.spans.lock().unwrap().iter().any(|span| span["name"] == "POST /v1/cluster/tokens"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    // Nobody listens at the port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let home = Home::new();
    let mut node = Process::start(&home, &exporting("a", &format!("http://127.0.0.1:{port}"))).await;
    for number in 0..20 {
        register(&node, &format!("name{number}"), None).await;
    }
    assert!(node.terminate().await.success(), "{}", home.read_log());
    assert_eq!(home.read_log().matches("spans are lost").count(), 1, "{}", home.read_log());
}

#[tokio::test]
async fn variables_that_cannot_be_followed_stop_the_start() {
    for (name, value) in [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")] {
        let mut serve = exporting("a", "http://127.0.0.1:9");
        serve.variables.retain(|(known, _)| known != name);
        serve.variables.push((name.to_owned(), value.to_owned()));
        let home = Home::new();
        let (status, _) = Process::try_start(&home, &serve).await.err().expect("it does not start");
        assert!(!status.success());
        assert!(home.read_log().contains(value), "{}", home.read_log());
    }
}

/// Without OTEL_EXPORTER_OTLP_PROTOCOL the encoding is protobuf, in which the id of a trace stands as its 16 bytes.
#[tokio::test]
async fn spans_are_protobuf_by_default() {
    type Bodies = Arc<Mutex<Vec<(String, Bytes)>>>;
    async fn take(State(bodies): State<Bodies>, headers: HeaderMap, body: Bytes) {
        let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        bodies.lock().unwrap().push((kind, body));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bodies = Bodies::default();
    let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&bodies));
    tokio::spawn(async { axum::serve(listener, routes).await });
    let mut serve = exporting("a", &url);
    serve.variables.retain(|(name, _)| name != "OTEL_EXPORTER_OTLP_PROTOCOL");
    let home = Home::new();
    let node = Process::start(&home, &serve).await;
    let id = register(&node, "alice", None).await.id.into_bytes();
    eventually("a span of the registration is there", async || {
        let bodies = bodies.lock().unwrap();
        let has = |part: &[u8], body: &Bytes| body.windows(part.len()).any(|window| window == part);
        let all = bodies.iter().all(|(kind, _)| kind == "application/x-protobuf");
        let found = bodies.iter().any(|(_, body)| has(&id, body) && has(CONFIRMED.as_bytes(), body));
        if all && found { Ok(()) } else { Err(format!("{} bodies: {all} {found}", bodies.len())) }
    })
    .await;
}
