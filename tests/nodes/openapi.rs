//! Checks that the answers of a node match its OpenAPI document, for calls that are made here and for calls that
//! Schemathesis makes.

use std::path::{Path, PathBuf};

use forename::model::{NameRef, RegistrationBody};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::{Home, Process, Serve, Three, run};
use crate::support::{claim, http, id, skipped, user_final};

/// The document against which answers are checked.
struct Document {
    whole: Value,
    base: String,
    http: reqwest::Client,
}

impl Document {
    async fn of(node: &Process) -> Self {
        let http = http().build().unwrap();
        let whole = http.get(format!("{}/openapi.json", node.url())).send().await.unwrap().json().await.unwrap();
        Self { whole, base: node.url(), http }
    }

    /// Makes a call, and checks its answer against the document's description of this path.
    async fn call(&self, method: Method, path: &str, at: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method.clone(), format!("{}{at}", self.base));
        request = request.header("content-type", "application/json");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16().to_string();
        let media = response.headers()["content-type"].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        let responses = &self.whole["paths"][path][method.as_str().to_lowercase()]["responses"];
        let described = responses.get(&status).unwrap_or(&responses["default"]);
        let schema = &described["content"][&media]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status} {media} is not described: {described}");
        self.fits(schema, &answer, &format!("{method} {at}"));
        answer
    }

    async fn get(&self, path: &str, at: &str) -> Value {
        self.call(Method::GET, path, at, None).await
    }

    /// Checks that a value matches a schema. This is stricter than JSON Schema: every property of an object must be
    /// described.
    fn fits(&self, schema: &Value, value: &Value, place: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.fits(self.whole.pointer(&reference[1..]).unwrap(), value, place);
        }
        if let Some(words) = schema["enum"].as_array() {
            assert!(words.contains(value), "{place}: {value} is none of {words:?}");
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let kinds = &schema["type"];
        let is_one = kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)));
        assert!(is_one, "{place}: {value} is no {kinds}");
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&schema["items"], element, &format!("{place}[{index}]"));
        }
        let (Some(members), Some(described)) = (value.as_object(), schema["properties"].as_object()) else { return };
        for (name, member) in members {
            let schema = described.get(name).unwrap_or_else(|| panic!("{place}: {name} is not described"));
            self.fits(schema, member, &format!("{place}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place}: {name} is missing in {value}");
        }
    }
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let three = Three::start().await;
    let document = Document::of(&three.nodes[0]).await;
    let id = id(7);
    let name = |namespace: &str, name: &str| NameRef { namespace: namespace.to_owned(), name: name.to_owned() };
    let body = RegistrationBody {
        id: Some(id),
        names: vec![name("username", "alice"), name("email", "a@example.org")],
        ttl: Some("1h".parse().unwrap()),
        metadata: Some(serde_json::from_value(json!({"plan": "free"})).unwrap()),
        ..user_final("alice", "ann")
    };
    claim(&three.nodes[0].client, &body).await;
    let post = |path: &'static str, body: Value| document.call(Method::POST, path, path, Some(body));
    let taken = json!({"owner": "bob", "names": [{"namespace": "username", "name": "Alice"}], "suggest": 2});
    let refused = post("/v1/registrations", taken).await;
    assert_eq!(refused["names"][0]["suggestions"].as_array().unwrap().len(), 2);
    let renamed = json!({"owner": "ann", "names": [{"namespace": "username", "name": "anna"}], "wait": "always",
        "replaces": {"registration": id, "namespace": "username", "name": "alice"}});
    post("/v1/registrations", renamed).await;
    post("/v1/names:check", json!([{"namespace": "username", "name": "alice"}, {"namespace": "", "name": ""}])).await;
    post("/v1/cluster/tokens", json!({"uses": 2})).await;
    let registration = format!("/v1/registrations/{id}");
    for (method, rest, body) in [
        (Method::POST, "/extend", Some(json!({"ttl": "2h"}))),
        (Method::POST, "/activate", None),
        (Method::DELETE, "", None),
    ] {
        let path = format!("/v1/registrations/{{id}}{rest}");
        document.call(method, &path, &format!("{registration}{rest}"), body).await;
    }
    document.get("/v1/registrations/{id}", &registration).await;
    document.get("/v1/registrations/{id}/explanation", &format!("{registration}/explanation")).await;
    let names = "/v1/names/{namespace}/{name}";
    for of_name in ["", "/history", "/explanation"] {
        document.get(&format!("{names}{of_name}"), &format!("/v1/names/username/alice{of_name}")).await;
    }
    document.get(names, "/v1/names/username/a%20b").await;
    document.get("/v1/owners/{owner}/registrations", "/v1/owners/ann/registrations?limit=1").await;
    let rules = "/v1/namespaces/{namespace}";
    let change = json!({"min_length": 2, "reserved": ["root*"], "hold_after_release": "1h"});
    document.call(Method::PATCH, rules, "/v1/namespaces/handle", Some(change)).await;
    let mut settings = json!({"max_clock_skew": "5s"});
    settings = document.call(Method::PATCH, "/v1/cluster/settings", "/v1/cluster/settings", Some(settings)).await;
    assert_eq!(settings["settings"]["max_clock_skew"], "5s");
    for path in ["/v1/names", "/v1/namespaces", "/v1/conflicts", "/v1/events", "/v1/cluster", "/healthz", "/readyz"] {
        document.get(path, path).await;
    }
    document.get("/v1/events", "/v1/events?after=1-1").await;
    document.get("/v1/namespaces/{namespace}/names", "/v1/namespaces/username/names?prefix=a").await;
    document.get(rules, "/v1/namespaces/email").await;
}

/// Finds a program of the virtual environment that `.ci/run` makes for these tests.
pub(crate) fn of_environment(program: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients-venv/bin").join(program);
    found.is_file().then_some(found)
}

#[tokio::test]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let Some(program) = of_environment("schemathesis") else { return skipped("there is no schemathesis; see .ci/run") };
    let home = Home::new();
    let mut node = Process::start(&home, &Serve::new("a")).await;
    let work = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/schemathesis.toml");
    let found = tokio::task::spawn_blocking({
        let document = format!("{}/openapi.json", node.url());
        move || {
            let mut command = std::process::Command::new(program);
            command.arg("--config-file").arg(config).args(["--no-color", "run", &document]).current_dir(work.path());
            run(&mut command)
        }
    });
    let found = found.await.unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    node.assert_lives();
}
