//! Every kind of error is a problem with the fields that a client needs.

use strum::{VariantArray, VariantNames};

use super::*;
use crate::model::{ProblemType, WaitReason};
use crate::name::NameError;
use crate::replica::{Lasting, Over, Refusal};

/// Checks what all problems have in common, and returns the problem.
async fn problem(response: Response, problem_type: &str, status: u16) -> Value {
    assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
    assert_eq!(response.status().as_u16(), status);
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(retry_after.is_some(), [429, 503].contains(&status), "{problem_type}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], format!("urn:forename:problem:{problem_type}"), "{body}");
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    assert_eq!(retry_after, body.get("retry_after").map(Value::to_string));
    body
}

#[tokio::test]
async fn every_refusal_has_its_type_and_fields() {
    let id = Uuid::from_u128(7);
    let (namespace, name) = ("username".to_owned(), "Alice".to_owned());
    let names = vec![name_view(NameStatus::Pending)];
    let listed = json!([{
        "namespace": "username", "name": "Alice", "key": "alice", "available": false, "status": "pending",
        "registration": Uuid::from_u128(6), "since": "2023-11-14T22:13:20.000Z",
    }]);
    let invalid = Refusal::InvalidName {
        namespace: namespace.clone(),
        name: name.clone(),
        reason: "too-short",
        why: "it is short".to_owned(),
    };
    let not_held = Refusal::NotHeld { namespace, name, owner: "o".to_owned() };
    for (refusal, problem_type, status, fields) in [
        (Refusal::NameTaken { names }, "name-taken", 409, json!({"names": listed})),
        (
            invalid,
            "invalid-name",
            422,
            json!({"namespace": "username", "name": "Alice", "reason": "too-short", "why": "it is short"}),
        ),
        (Refusal::InvalidRequest("no names".to_owned()), "invalid-request", 400, json!({})),
        (Refusal::IdReused(id), "id-reused", 409, json!({"id": id})),
        (Refusal::TokenTooManyOpen { token: "shop".to_owned(), limit: 7 }, "too-many-open", 429, json!({"limit": 7})),
        (Refusal::TooManyHeld { owner: "ann".to_owned(), limit: 7 }, "too-many-held", 429, json!({"limit": 7})),
        (Refusal::TokenTooManyHeld { token: "shop".to_owned(), limit: 7 }, "too-many-held", 429, json!({"limit": 7})),
        (Refusal::NoWebhook(id), "no-webhook", 404, json!({"id": id})),
        (Refusal::NoRegistration(id), "no-registration", 404, json!({"id": id})),
        (not_held, "not-held", 404, json!({"namespace": "username", "name": "Alice"})),
        (Refusal::TooLate { id, reason: Over::Rejected }, "too-late", 409, json!({"id": id, "reason": "rejected"})),
        (Refusal::Permanent { id, reason: Lasting::Activated }, "permanent", 409, json!({"reason": "activated"})),
        (Refusal::NotMember, "not-member", 503, json!({})),
        (Refusal::ClockSuspect { offset: -70_000 }, "clock-suspect", 503, json!({"offset_ms": -70_000})),
        (Refusal::Unavailable("its queue is full".to_owned()), "unavailable", 503, json!({})),
    ] {
        let detail = refusal.to_string();
        let fake = Fake::start(move |_| Err(refusal.clone())).await;
        let body = problem(fake.post("/v1/registrations", &alice()).await, problem_type, status).await;
        assert_eq!(body["detail"], detail);
        for (field, value) in fields.as_object().unwrap() {
            assert_eq!(&body[field], value, "{problem_type}");
        }
    }
}

#[tokio::test]
async fn a_rejection_names_the_winner() {
    let winner = RejectedBy::new(
        "username".to_owned(),
        "Alice".to_owned(),
        Uuid::from_u128(6),
        Stamp { hlc: Hlc(1 << 16), node: NODE },
        Hlc(1 << 16),
    );
    let view = Registration { rejected_by: Some(winner), ..registration(Status::Rejected) };
    let fake = Fake::start(move |_| Ok(Answer::Registration(view.clone()))).await;
    let body = problem(fake.post("/v1/registrations", &alice()).await, "registration-rejected", 409).await;
    assert_eq!(body["registration"]["rejected_by"]["registration"], Uuid::from_u128(6).to_string());
    assert!(body["detail"].as_str().unwrap().contains("username/Alice"), "{body}");
    // A client that looks the registration up later gets an ordinary answer.
    let later = fake.client.registration(Uuid::from_u128(7)).await.unwrap();
    assert_eq!(later.status, Status::Rejected);
    let body = serde_json::from_value(alice()).unwrap();
    let error = fake.client.register(&body).await.unwrap_err();
    assert!(error.is_taken(), "{error}");
}

#[tokio::test]
async fn bodies_that_do_not_fit() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    let post = |media_type: &'static str, body: String| {
        let url = format!("{}/v1/registrations", fake.base);
        fake.http.post(url).header("content-type", media_type).body(body).send()
    };
    let json_type = "application/json; charset=utf-8";
    let good = alice().to_string();
    assert_eq!(post(json_type, good.clone()).await.unwrap().status(), StatusCode::CREATED);
    let body = problem(post("text/plain", good.clone()).await.unwrap(), "unsupported-media-type", 415).await;
    assert!(body["detail"].as_str().unwrap().contains("text/plain"), "{body}");

    let body = problem(post(json_type, "{\"owner\":\n  oops}".to_owned()).await.unwrap(), "malformed-json", 400).await;
    assert!(body["detail"].as_str().unwrap().contains("line 2 column 3"), "{body}");
    problem(post(json_type, good[..20].to_owned()).await.unwrap(), "malformed-json", 400).await;
    problem(post(json_type, String::new()).await.unwrap(), "malformed-json", 400).await;

    for (field, value) in [
        ("tll", json!("15m")),
        ("ttl", json!("soon")),
        ("id", json!("7")),
        ("names", json!([{"namespace": "username"}])),
        ("metadata", json!([1])),
        ("wait", json!("forever")),
    ] {
        let mut body = alice();
        body[field] = value;
        let body = problem(post(json_type, body.to_string()).await.unwrap(), "invalid-request", 400).await;
        assert!(body["detail"].as_str().unwrap().len() > 20, "{body}");
    }
    let unknown = alice().to_string().replace("owner", "ownr");
    let body = problem(post(json_type, unknown).await.unwrap(), "invalid-request", 400).await;
    assert!(body["detail"].as_str().unwrap().contains("ownr"), "{body}");

    let large = format!("{}{good}", " ".repeat(MAX_BODY));
    problem(post(json_type, large).await.unwrap(), "body-too-large", 413).await;
    assert_eq!(fake.asked.lock().unwrap().len(), 1, "only the good one reached the node");
}

#[tokio::test]
async fn addresses_that_do_not_fit() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    let id = Uuid::from_u128(7);
    for path in [
        "/v1/registrations/7".to_owned(),
        format!("/v1/registrations/{id}?wait=forever"),
        format!("/v1/registrations/{id}?wait=final&timeout=soon"),
        format!("/v1/registrations/{id}?wiat=final"),
        "/v1/owners/o/registrations?limit=0".to_owned(),
        "/v1/owners/o/registrations?limit=1001".to_owned(),
        "/v1/owners/o/registrations?after=7".to_owned(),
        "/v1/owners/%ff/registrations".to_owned(),
        "/v1/names/n/a?owner=o".to_owned(),
        "/v1/events?types=won".to_owned(),
        "/v1/events?after=-1".to_owned(),
        "/v1/events?since=yesterday".to_owned(),
        "/v1/events?origin=here".to_owned(),
    ] {
        problem(fake.get(&path).await, "invalid-request", 400).await;
    }
    for path in ["/dashboard", "/v1", "/v1/registrations/", "/v1/names/org/42/handle/a", "/v2/cluster"] {
        problem(fake.get(path).await, "no-route", 404).await;
    }
    let delete = fake.http.delete(format!("{}/v1/names/username/alice", fake.base));
    let delete = delete.header("content-type", "application/json").send().await.unwrap();
    let body = problem(delete, "invalid-request", 400).await;
    assert!(body["detail"].as_str().unwrap().contains("owner"), "{body}");
    assert_eq!(fake.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn methods_that_are_not_taken() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    for (method, path, allow) in [
        (Method::GET, "/v1/registrations", "POST"),
        (Method::PUT, "/v1/names/username/alice", "GET,HEAD,DELETE"),
        (Method::POST, "/v1/cluster", "GET,HEAD"),
    ] {
        let request = fake.http.request(method, format!("{}{path}", fake.base));
        let response = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow, "{path}");
        problem(response, "method-not-allowed", 405).await;
    }
}

#[tokio::test]
async fn faults_of_the_node_itself() {
    let fake = Fake::start(|_| Ok(Answer::Registrations(Registrations::default()))).await;
    problem(fake.post("/v1/cluster/tokens", &json!({"ttl": "7d"})).await, "not-member", 503).await;
    problem(fake.post("/v1/cluster/tokens", &json!({"ttl": 0})).await, "invalid-request", 400).await;
}

#[tokio::test]
async fn a_node_that_is_gone() {
    let (calls, inbox) = mpsc::channel(1);
    drop(inbox);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let handle = Handle::new(watch::channel(NODE).1, calls, watch::channel(cursor(0)).1);
    let server = tokio::spawn(serve(
        listener,
        handle,
        Arc::new(FakeAdmin::in_dir(Path::new("/nonexistent"))),
        Doors::default(),
        std::future::pending(),
    ));
    let client = Client::new(&base).unwrap();
    let error = client.cluster().await.unwrap_err();
    assert_eq!(error.problem().map(|problem| problem.problem_type), Some(ProblemType::Unavailable), "{error}");
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let error = Client::new(&base).unwrap().cluster().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.is_unsent(), "nobody listens there: {error:?}");
}

#[tokio::test]
async fn a_node_that_falls_silent_may_have_got_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let (asked, ()) = tokio::join!(client.cluster(), hang_up);
    let error = asked.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(!error.is_unsent(), "there was a connection: {error:?}");
}

#[test]
fn the_docs_list_every_code() {
    let docs = include_str!("../../../docs/api.md");
    let kinds = ProblemType::VARIANTS.iter().filter(|kind| **kind != ProblemType::Unknown).map(|kind| kind.name());
    let waits = WaitReason::VARIANTS.iter().filter(|reason| **reason != WaitReason::Unknown).map(<&str>::from);
    let names = NameError::VARIANTS.iter().chain(Over::VARIANTS).chain(Lasting::VARIANTS).copied();
    let missing: Vec<_> = kinds.chain(waits).chain(names).filter(|code| !docs.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/api.md says nothing of {missing:?}");
}
