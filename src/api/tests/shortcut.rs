//! A registration with a body of known size does not go through the router; one whose body comes in chunks does. Both must be
//! answered alike.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::http::HeaderMap;

use super::*;
use crate::api::auth::{ApiToken, Rate, SecretHash};
use crate::model::CLUSTER_HEADER;

type Headers<'a> = &'a [(&'a str, &'a str)];

/// A registration as some client sends it.
struct Sent<'a> {
    path: &'a str,
    headers: Headers<'a>,
    body: &'a str,
}

/// The answer, without what differs from one answer to the next.
async fn answer(fake: &Fake, sent: &Sent<'_>, chunked: bool) -> (StatusCode, BTreeSet<(String, String)>, String) {
    let mut request = fake.http.post(format!("{}{}", fake.base, sent.path));
    for (name, value) in sent.headers {
        request = request.header(*name, *value);
    }
    let body = sent.body.to_owned();
    let response = if chunked {
        request.body(reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, io::Error>(body)])))
    } else {
        request.body(body)
    };
    let response = response.send().await.unwrap();
    let same = |headers: &HeaderMap| {
        let each = headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
        each.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    };
    assert!(response.headers().contains_key("x-request-id"));
    (response.status(), same(response.headers()), response.text().await.unwrap())
}

async fn both_alike(fake: &Fake, sent: Sent<'_>) -> StatusCode {
    let short = answer(fake, &sent, false).await;
    assert_eq!(short, answer(fake, &sent, true).await, "{} {:?} {}", sent.path, sent.headers, sent.body);
    short.0
}

const JSON: (&str, &str) = ("content-type", "application/json");
const PATH: &str = "/v1/registrations";

#[tokio::test]
async fn a_registration_is_answered_alike_on_both_ways() {
    let alice = alice().to_string();
    let cases: [(&str, Headers<'_>, &str, u16); 13] = [
        (PATH, &[JSON], &alice, 201),
        (PATH, &[JSON, ("x-request-id", "desk/7")], &alice, 201),
        (PATH, &[JSON, ("idempotency-key", "order 7")], &alice, 201),
        (PATH, &[JSON, ("idempotency-key", "")], &alice, 400),
        ("/v1/registrations?wait=final", &[JSON], &alice, 400),
        (PATH, &[JSON], "{", 400),
        (PATH, &[JSON], "{\"owner\":7}", 400),
        (PATH, &[JSON], "", 400),
        (PATH, &[], &alice, 415),
        (PATH, &[("content-type", "text/plain")], &alice, 415),
        (PATH, &[JSON, ("host", "evil.example")], &alice, 421),
        (PATH, &[JSON, ("origin", "https://evil.example")], &alice, 403),
        (PATH, &[JSON, (CLUSTER_HEADER, "nothing")], &alice, 400),
    ];
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    for (path, headers, body, status) in cases {
        let got = both_alike(&fake, Sent { path, headers, body }).await;
        assert_eq!(got.as_u16(), status, "{path} {headers:?} {body}");
    }
    for status in [Status::Pending, Status::Contested, Status::Rejected] {
        let fake = Fake::start(move |_| answered(status)).await;
        both_alike(&fake, Sent { path: PATH, headers: &[JSON], body: &alice }).await;
    }
    let fake = Fake::start(|_| Err(Refusal::NotMember)).await;
    assert_eq!(both_alike(&fake, Sent { path: PATH, headers: &[JSON], body: &alice }).await.as_u16(), 503);
}

#[tokio::test]
async fn both_ways_ask_for_a_token_and_its_scope() {
    let of = |secret, scope| ApiToken::new(secret, SecretHash::of(secret), [scope]);
    let tokens = ApiTokens::new(vec![of("registers", Scope::Register), of("reads", Scope::Read)]).unwrap();
    let fake = Fake::with(tokens, |_| answered(Status::Confirmed)).await;
    let alice = alice().to_string();
    for (token, status) in [("Bearer registers", 201), ("Bearer reads", 403), ("Bearer nobody", 401), ("Basic x", 401)]
    {
        let headers = &[JSON, ("authorization", token)];
        let got = both_alike(&fake, Sent { path: PATH, headers, body: &alice }).await;
        assert_eq!(got.as_u16(), status, "{token}");
    }
    assert_eq!(both_alike(&fake, Sent { path: PATH, headers: &[JSON], body: &alice }).await.as_u16(), 401);
}

#[tokio::test]
async fn pages_that_may_call_are_told_so_on_both_ways() {
    let gate = Gate::new(&[], &["https://desk.example.org".to_owned()]).unwrap().into();
    let fake = Fake::behind(Doors { gate, ..Doors::default() }, |_| answered(Status::Confirmed)).await;
    let (alice, headers) = (alice().to_string(), [JSON, ("origin", "https://desk.example.org")]);
    let sent = Sent { path: PATH, headers: &headers, body: &alice };
    let allowed = answer(&fake, &sent, false).await.1;
    assert!(allowed.iter().any(|(name, _)| name == "access-control-allow-origin"), "{allowed:?}");
    both_alike(&fake, sent).await;
}

#[tokio::test]
async fn both_ways_count_against_one_rate() {
    let rate = Rate::Most(NonZeroU32::MIN).into();
    let fake = Fake::behind(Doors { rate, ..Doors::default() }, |_| answered(Status::Confirmed)).await;
    let alice = alice().to_string();
    let sent = Sent { path: PATH, headers: &[JSON], body: &alice };
    assert_eq!(answer(&fake, &sent, false).await.0.as_u16(), 201);
    assert_eq!(answer(&fake, &sent, true).await.0.as_u16(), 429);
    assert_eq!(answer(&fake, &sent, false).await.0.as_u16(), 429);
}

/// Returns the shortcut of a node that nobody answers for, behind this gate.
fn shortcut(gate: Gate) -> Shortcut {
    let handle = Handle::new(watch::channel(NODE).1, mpsc::channel(1).0, watch::channel(cursor(0)).1);
    let dir = tempfile::tempdir().unwrap();
    let doors = Doors { gate: gate.into(), ..Doors::default() };
    let api = Api::new(handle, Arc::new(FakeAdmin::in_dir(dir.path())), &doors);
    let observer = api.observer(doors.traces);
    Shortcut::new(&api, doors.gate, observer)
}

fn sent(method: Method, path: &str, length: Option<&str>) -> axum::extract::Request {
    let mut request = axum::http::Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(axum::body::Body::empty()).unwrap()
}

#[test]
fn only_registrations_of_known_size_and_without_pages_take_the_shortcut() {
    let open = shortcut(Gate::default());
    assert!(open.takes(&sent(Method::POST, PATH, Some("120"))).is_some());
    assert!(open.takes(&sent(Method::POST, "/v1/registrations?wait=final", Some("120"))).is_some());
    assert!(open.takes(&sent(Method::POST, PATH, None)).is_none(), "it may be of any size");
    assert!(open.takes(&sent(Method::POST, PATH, Some("20000"))).is_none());
    assert!(open.takes(&sent(Method::GET, PATH, Some("0"))).is_none());
    assert!(open.takes(&sent(Method::POST, "/v1/registrations:batch", Some("120"))).is_none());
    assert!(open.takes(&sent(Method::POST, "/v1/registrations/", Some("120"))).is_none());
    let listed = shortcut(Gate::new(&[], &["https://desk.example.org".to_owned()]).unwrap());
    assert!(listed.takes(&sent(Method::POST, PATH, Some("120"))).is_none(), "it needs the headers for pages");
}

/// HTTP/1.1 adds the length by itself; HTTP/2 does not know it any more when it sends the answer.
#[tokio::test]
async fn an_answer_says_its_length_itself() {
    let answer = shortcut(Gate::default()).answer(Gate::default(), sent(Method::POST, PATH, Some("0"))).await;
    assert_eq!(answer.status().as_u16(), 415);
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
    assert!(length > 0 && body.len() == length, "{length} for {}", body.len());
}
