//! Tests with a browser on the operator's machine: a foreign page that tries calls at a node, and the node's own page.
//! They are skipped where there is no Chromium.

use forename::model::NameStatus;
use std::process::Stdio;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::browser::{browser, chromium};
use crate::support::process::{Guarded, Home, Process, Serve};
use crate::support::{all_members, claim, skipped, user_final, within};

/// A page that tries the calls one after the other, and shows what it learned from each.
const PAGE: &str = r#"<!doctype html><script>
const json = { "content-type": "application/json" };
const tries = {
  form: ["POST", "/v1/cluster/leave", { mode: "no-cors" }],
  text: ["POST", "/v1/cluster/tokens", { mode: "no-cors", body: "{}" }],
  token: ["POST", "/v1/cluster/tokens", { headers: json }],
  rules: ["PUT", "/v1/namespaces/username", { headers: json, body: "{}" }],
  release: ["DELETE", "/v1/names/username/alice?owner=ann", { headers: json }],
  backup: ["GET", "/v1/cluster/backup", {}],
  look: ["GET", "/v1/names/username/alice", {}],
};
const image = new Promise(done => {
  const picture = new Image();
  picture.onload = () => done("loaded");
  picture.onerror = () => done("failed");
  picture.src = "NODE/v1/cluster";
});
(async () => {
  const found = {};
  for (const [name, [method, path, rest]] of Object.entries(tries)) {
    found[name] = await fetch("NODE" + path, { method, ...rest })
      .then(async answer => answer.type === "opaque" ? "opaque" : answer.status, () => "blocked");
  }
  found.image = await image;
  await fetch("/found", { method: "POST", body: JSON.stringify(found) });
})();
</script>"#;

#[tokio::test]
async fn a_page_of_another_origin_does_nothing_and_learns_nothing() {
    let Some(program) = chromium() else { return skipped("there is no chromium to open a page with") };
    let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = pages.local_addr().unwrap().port();
    let home = Home::new();
    let listed = format!("http://localhost:{port}");
    let mut node = Process::start(&home, &Serve::new("a").with(&["--origins".to_owned(), listed.clone()])).await;
    // The node is not the only member, so that it could leave.
    let newcomer = Home::new();
    let token = node.client.mint_token(None).await.unwrap();
    let other = Process::start(&newcomer, &Serve::new("b").join(node.peer, &token)).await;
    all_members(&[node.client.clone(), other.client.clone()]).await;
    claim(&node.client, &user_final("alice", "ann")).await;

    let (found, mut finds) = mpsc::unbounded_channel::<Value>();
    let page = PAGE.replace("NODE", &node.url());
    let take = move |body: String| {
        let told = serde_json::from_str(&body).map_err(drop).and_then(|value| found.send(value).map_err(drop));
        std::future::ready(if told.is_ok() { "noted" } else { "not understood" })
    };
    let routes = Router::new().route("/", get(move || std::future::ready(Html(page)))).route("/found", post(take));
    let server = tokio::spawn(async move { axum::serve(pages, routes).await });

    let profile = tempfile::tempdir().unwrap();
    // The same page is loaded from three origins. Only the listed one may make calls, and even that one not with a
    // form.
    for (index, (address, lets_in)) in
        [(format!("http://127.0.0.1:{port}"), false), (format!("http://evil.example:{port}"), false), (listed, true)]
            .into_iter()
            .enumerate()
    {
        let mut opened = browser(program, &profile.path().join(index.to_string()));
        opened.args(["--remote-debugging-port=0", &address]).stdout(Stdio::null());
        let opened = Guarded(opened.spawn().unwrap());
        let found = within("the page has tried everything", finds.recv()).await.unwrap();
        drop(opened);
        let read = |status: u16| if lets_in { json!(status) } else { json!("blocked") };
        assert_eq!(found["token"], read(201), "{address}: {found}");
        assert_eq!(found["rules"], read(200), "{address}: {found}");
        assert_eq!(found["backup"], read(200), "{address}: {found}");
        assert_eq!(found["look"], read(200), "{address}: {found}");
        assert_eq!(found["image"], "failed", "{address}: {found}");
        let name = node.client.name("username", "alice").await.unwrap();
        let held = !lets_in;
        assert_eq!(name.status == NameStatus::Held, held, "{address}: {name:?}");
        let cluster = node.client.cluster().await.unwrap();
        assert!(cluster.member && cluster.leaving_waits_for.is_none(), "{address}: a form made the node leave");
    }

    // This reads what a page could read whose host name resolves to the node.
    let rebound = format!("http://evil.example:{}/v1/cluster", node.http.port());
    let dom = browser(program, &profile.path().join("rebound")).args(["--dump-dom", &rebound]).output().unwrap();
    let dom = String::from_utf8_lossy(&dom.stdout).into_owned();
    assert!(dom.contains("host-unknown") && !dom.contains("watermark"), "{dom}");
    server.abort();
    node.assert_lives();
}

#[tokio::test]
async fn the_page_of_the_interface_shows_every_call_with_nothing_from_elsewhere() {
    let Some(program) = chromium() else { return skipped("there is no chromium to open a page with") };
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let profile = tempfile::tempdir().unwrap();
    let mut opened = browser(program, profile.path());
    // Virtual time passes only while no request is under way, so the page has read the document when it ends.
    opened.args(["--virtual-time-budget=10000", "--dump-dom", &format!("{}/docs", node.url())]);
    let opened = tokio::task::spawn_blocking(move || opened.output().unwrap());
    let opened = within("the page is shown", opened).await.unwrap();
    let dom = String::from_utf8_lossy(&opened.stdout).into_owned();
    let document = crate::support::http().build().unwrap().get(format!("{}/openapi.json", node.url())).send().await;
    let document: Value = document.unwrap().json().await.unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(dom.contains(&format!("<span class=\"path\">{path}</span>")), "{path} is not shown: {dom}");
        for operation in item.as_object().unwrap().values() {
            assert!(
                dom.contains(&format!("id=\"{}\"", operation["operationId"].as_str().unwrap())),
                "{operation}: {dom}"
            );
        }
    }
    assert!(dom.contains("id=\"schema-Registration\""), "{dom}");
}
