//! Web pages of other sites can make a browser ask a node for nothing. Each rule is tried on every call of the table.

use axum::http::header;

use super::*;
use crate::api::routes::{Route, TABLE};

impl Route {
    /// Returns a path of this call, with a sample value for each variable segment.
    pub(super) fn sample(&self) -> String {
        let segments = self.path.split('/').map(|segment| match segment {
            "{webhook}" => "00000000-0000-0000-0000-000000000009",
            "{id}" => "00000000-0000-0000-0000-000000000007",
            "{namespace}" => "username",
            "{name}" => "alice",
            "{owner}" => "ann",
            "{node}" => "000000000abc0000",
            fixed => fixed,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        assert!(!path.contains('{'), "{path}: say what stands for the new variable");
        let releases_a_name = self.method == Method::DELETE && path.starts_with("/v1/names/");
        if releases_a_name { path + "?owner=o" } else { path }
    }

    /// Returns the media type that the call takes; none where it only reads.
    pub(super) fn takes(&self) -> Option<&'static str> {
        let reads = self.method == Method::GET;
        let batch = self.path.ends_with(":batch");
        if reads { None } else { Some(if batch { NDJSON } else { "application/json" }) }
    }
}

impl Fake {
    /// Makes a call as a browser would, with these headers and this content type.
    async fn call(&self, route: &Route, content_type: Option<&str>, headers: &[(&str, &str)]) -> Response {
        let mut request = self.http.request(route.method.clone(), format!("{}{}", self.base, route.sample()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request.send().await.unwrap()
    }
}

async fn assert_problem(response: Response, status: u16, kind: &str, what: &str) {
    assert_eq!(response.status(), status, "{what}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], format!("urn:forename:problem:{kind}"), "{what}");
}

#[tokio::test]
async fn every_call_to_another_name_is_refused() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    for route in TABLE {
        let what = format!("{} {}", route.method, route.path);
        let response = fake.call(route, route.takes(), &[("host", "evil.example")]).await;
        assert_problem(response, 421, "host-unknown", &what).await;
    }
    assert!(fake.asked.lock().unwrap().is_empty());
    for host in ["localhost:7400", "127.0.0.1", "[::1]:7400"] {
        let response = fake.call(&TABLE[TABLE.len() - 2], None, &[("host", host)]).await;
        assert_eq!(response.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn every_call_of_a_page_of_another_origin_is_refused() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    let own = fake.base.clone();
    for route in TABLE {
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:1")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            let what = format!("{} {} {foreign:?}", route.method, route.path);
            let response = fake.call(route, route.takes(), foreign).await;
            assert!(!response.headers().contains_key("access-control-allow-origin"), "{what}");
            assert_problem(response, 403, "origin-refused", &what).await;
        }
        // The preflight request of such a page is refused too.
        let asked = [("origin", "http://evil.example"), ("access-control-request-method", route.method.as_str())];
        let preflight = fake.http.request(Method::OPTIONS, format!("{}{}", fake.base, route.sample()));
        let preflight = asked.iter().fold(preflight, |request, (name, value)| request.header(*name, *value));
        let response = preflight.send().await.unwrap();
        assert_problem(response, 403, "origin-refused", route.path).await;
    }
    assert!(fake.asked.lock().unwrap().is_empty());
    let response = fake.call(&TABLE[0], TABLE[0].takes(), &[("origin", &own), ("sec-fetch-site", "same-origin")]).await;
    assert_ne!(response.status(), StatusCode::FORBIDDEN, "the node's own pages may call");
}

#[tokio::test]
async fn every_call_that_changes_something_declares_json() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    for route in TABLE.iter().filter(|route| route.method != Method::GET) {
        let what = format!("{} {}", route.method, route.path);
        let other = if route.takes() == Some(NDJSON) { "application/json" } else { NDJSON };
        let forms = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", other];
        for declared in forms.into_iter().map(Some).chain([None]) {
            let response = fake.call(route, declared, &[]).await;
            assert_problem(response, 415, "unsupported-media-type", &what).await;
        }
        assert!(fake.asked.lock().unwrap().is_empty(), "{what}");
        let response = fake.call(route, route.takes(), &[]).await;
        assert_ne!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{what}");
        fake.asked.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn pages_of_a_listed_origin_get_permission_and_no_others() {
    let desk = "https://desk.example.org";
    let gate = Gate::new(&["names.example.org".to_owned()], &[desk.to_owned()]).unwrap();
    let fake = Fake::behind(Doors { gate: gate.into(), ..Doors::default() }, |_| Err(Refusal::LastMember)).await;
    let from = [("origin", desk), ("sec-fetch-site", "cross-site"), ("host", "names.example.org")];
    for route in TABLE {
        let what = format!("{} {}", route.method, route.path);
        let preflight = fake.http.request(Method::OPTIONS, format!("{}{}", fake.base, route.sample()));
        let preflight = preflight.header("origin", desk).header("access-control-request-method", route.method.as_str());
        let preflight = preflight.header("access-control-request-headers", "content-type,authorization");
        let response = preflight.send().await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["access-control-allow-origin"]),
            (StatusCode::OK, &desk.parse().unwrap())
        );
        let allowed = response.headers()["access-control-allow-methods"].to_str().unwrap().to_owned();
        assert!(allowed.contains(route.method.as_str()), "{what}: {allowed}");
        let response = fake.call(route, route.takes(), &from).await;
        assert_eq!(response.headers()["access-control-allow-origin"], desk, "{what}");
        // A listed page can read errors too.
        let refused = fake.call(route, Some("text/plain"), &from).await;
        assert_eq!(refused.headers()["access-control-allow-origin"], desk, "{what}");
        let response = fake.call(route, route.takes(), &[("origin", "https://evil.example")]).await;
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{what}");
        assert_problem(response, 403, "origin-refused", &what).await;
    }
}

#[tokio::test]
async fn the_next_request_meets_a_gate_that_was_changed() {
    let gate = Shared::<Gate>::default();
    let fake =
        Fake::behind(Doors { gate: gate.clone(), ..Doors::default() }, |_| Ok(Answer::Cluster(cluster_view(true))))
            .await;
    let desk = "https://desk.example.org";
    let ask = async || {
        let request = fake.http.get(format!("{}/v1/cluster", fake.base));
        let response = request.header("host", "names.example.org").header("origin", desk).send().await.unwrap();
        let permission = response.headers().get("access-control-allow-origin").cloned();
        (response.status(), permission.map(|origin| origin.to_str().unwrap().to_owned()))
    };
    assert_eq!(ask().await, (StatusCode::MISDIRECTED_REQUEST, None));
    gate.set(Gate::new(&["names.example.org".to_owned()], &[]).unwrap());
    assert_eq!(ask().await, (StatusCode::FORBIDDEN, None));
    gate.set(Gate::new(&["names.example.org".to_owned()], &[desk.to_owned()]).unwrap());
    assert_eq!(ask().await, (StatusCode::OK, Some(desk.to_owned())));
    gate.set(Gate::default());
    assert_eq!(ask().await, (StatusCode::MISDIRECTED_REQUEST, None));
}

#[tokio::test]
async fn nothing_may_be_taken_for_a_part_of_another_page() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    for path in ["/healthz", "/v1/cluster/backup", "/nothing"] {
        let response = fake.get(path).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(response.headers()["cross-origin-resource-policy"], "same-origin", "{path}");
    }
}
