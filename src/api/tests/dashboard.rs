//! The files of the dashboard: they are open to all, the policy that is sent with them lets them load nothing else, and
//! browsers may cache them.

use super::*;
use crate::api::auth::{ApiToken, SecretHash};
use crate::api::dashboard::FILES;

fn path(name: &str) -> String {
    if name == "page.html" { "/".to_owned() } else { format!("/dashboard/{name}") }
}

#[tokio::test]
async fn every_file_is_there_without_a_token_and_asks_the_node_nothing() {
    let tokens = ApiTokens::new(vec![ApiToken::new("t", SecretHash::of("t"), [Scope::Read])]).unwrap();
    let fake = Fake::with(tokens, |request| panic!("asked {request:?}")).await;
    for file in FILES {
        let response = fake.get(&path(file.name)).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", file.name);
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], file.media_type, "{}", file.name);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.text().await.unwrap(), file.text);
        let again =
            fake.http.get(format!("{}{}", fake.base, path(file.name))).header("if-none-match", &headers["etag"]);
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{}", file.name);
        assert_eq!(again.bytes().await.unwrap().len(), 0, "{}", file.name);
    }
    let missing = fake.get("/dashboard/other.js").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(fake.post("/", &json!({})).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_page_of_another_origin_gets_no_part_of_it() {
    let fake = Fake::start(|request| panic!("asked {request:?}")).await;
    for file in FILES {
        for (header, value, status) in [
            ("origin", "http://evil.example", StatusCode::FORBIDDEN),
            ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
            ("host", "evil.example", StatusCode::MISDIRECTED_REQUEST),
        ] {
            let request = fake.http.get(format!("{}{}", fake.base, path(file.name))).header(header, value);
            assert_eq!(request.send().await.unwrap().status(), status, "{} {header}", file.name);
        }
    }
}

/// Everything that an import or a link of the page names is one of its files. Nothing there comes from elsewhere or
/// turns text into markup.
#[test]
fn the_files_belong_together() {
    let named = |text: &'static str, before: &'static str| {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>()
    };
    for file in FILES {
        for import in named(file.text, "from \"./").into_iter().chain(named(file.text, "\"/dashboard/")) {
            assert!(FILES.iter().any(|other| other.name == import), "{} names {import}", file.name);
        }
        for banned in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\"", " on="] {
            assert!(!file.text.contains(banned), "{} has {banned}", file.name);
        }
        let drawing = "http://www.w3.org/2000/svg";
        for elsewhere in ["https://", "//cdn", "http://"] {
            let found = file.text.replace(drawing, "").replace("http://127.0.0.1:7400", "").contains(elsewhere);
            assert!(!found, "{} names {elsewhere}", file.name);
        }
    }
    let on_disk = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/dashboard")).unwrap().count();
    assert_eq!(on_disk, FILES.len(), "a file of the page is not served");
}

#[tokio::test]
async fn a_caller_is_told_its_scopes() {
    let tokens = [("reads", &[Scope::Read][..], "read"), ("both", &[Scope::Read, Scope::Claim], "register claim read")];
    let admin = ("all", &[Scope::Admin][..], "register claim read admin");
    for (secret, scopes, told) in tokens.into_iter().chain([admin]) {
        let token = ApiToken::new(secret, SecretHash::of(secret), scopes.iter().copied());
        let fake = Fake::with(ApiTokens::new(vec![token]).unwrap(), |_| Ok(Answer::Cluster(cluster_view(true)))).await;
        let response = fake.http.get(format!("{}/v1/cluster", fake.base)).bearer_auth(secret).send().await.unwrap();
        assert_eq!(response.headers()["forename-scopes"], told, "{secret}");
    }
    let fake = Fake::start(|_| Ok(Answer::Cluster(cluster_view(true)))).await;
    let response = fake.get("/v1/cluster").await;
    assert_eq!(response.headers()["forename-scopes"], "register claim read admin");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["health"]["verdict"], "healthy", "{body}");
}
