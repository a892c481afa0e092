//! Tests of webhooks: real receivers that fail in every way, nodes that are killed or go out meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use forename::Client;
use forename::client::verify_webhook;
use forename::model::{Deliver, RotationBody, Span, Webhook, WebhookBody, WebhookPatch};
use forename::node::{NodeConfig, WebhookOptions};
use forename::transport::{Cuts, Identity};
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::local::{self, Local};
use crate::support::process::{Home, Process, Serve};
use crate::support::{all_members, claim, eventually, is_out, user_final};

/// How a receiver answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Well,
    Errs,
    Redirects,
    Hangs,
    BreaksOff,
    Gone,
}

/// The type of the event that `webhook test` posts.
const TEST: &str = "forename.webhook.test";

/// What a receiver got.
#[derive(Clone, Debug)]
struct Got {
    id: String,
    registration: String,
    kind: String,
    taken: bool,
    /// The node that delivered it, and the node that accepted the registration.
    by: String,
    accepted_by: String,
    /// The number of its signatures.
    signatures: usize,
}

#[derive(Clone)]
struct Receiver {
    url: String,
    mood: Arc<Mutex<Mood>>,
    secrets: Arc<Mutex<Vec<String>>>,
    got: Arc<Mutex<Vec<Got>>>,
    forged: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            mood: Arc::new(Mutex::new(Mood::Well)),
            secrets: Arc::default(),
            got: Arc::default(),
            forged: Arc::default(),
        };
        let app = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn add(&self, client: &Client) -> Webhook {
        let made = client.make_webhook(&WebhookBody { url: self.url.clone(), ..WebhookBody::default() }).await.unwrap();
        self.secrets.lock().unwrap().push(made.secret.clone().expect("the answer that makes it has the secret"));
        made
    }

    fn attempts(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// The kinds of the events of each registration that were taken, in order, each once.
    fn taken(&self) -> BTreeMap<String, Vec<String>> {
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
        for got in self.got.lock().unwrap().iter().filter(|got| got.taken && got.kind != TEST) {
            if ids.insert(got.id.clone()) {
                taken.entry(got.registration.clone()).or_default().push(got.kind.clone());
            }
        }
        assert!(self.forged.lock().unwrap().is_empty(), "{:?}", self.forged.lock().unwrap());
        taken
    }

    /// The ids of the events that were taken, as often as they were.
    fn ids(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter().filter(|got| got.taken && got.kind != TEST).map(|got| got.id.clone()).collect()
    }

    /// Checks that each event came from the node that accepted its registration, and that none came twice.
    fn is_quiet(&self) {
        let mut ids = BTreeSet::new();
        for got in self.got.lock().unwrap().iter() {
            assert_eq!(got.by, got.accepted_by, "{got:?}");
            assert!(ids.insert(got.id.clone()), "twice: {got:?}");
        }
    }

    /// Waits until it has the two events of each of these registrations, and checks their order.
    async fn has(&self, registrations: &[String]) {
        eventually("the receiver has all events", async || {
            let taken = self.taken();
            let lacks = registrations.iter().find(|id| taken.get(*id).is_none_or(|kinds| kinds.len() < 2));
            lacks.map_or(Ok(()), |id| Err(format!("{id}: {:?}", taken.get(id))))
        })
        .await;
        for (id, kinds) in self.taken() {
            assert_eq!(kinds, ["forename.registration.accepted", "forename.registration.confirmed"], "{id}");
        }
    }
}

/// Verifies as receivers do, with the crate that Standard Webhooks publishes and with the client's own function.
fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let published = standardwebhooks::Webhook::new(secret).unwrap().verify(body, headers).is_ok();
    let own = verify_webhook([secret], headers, body);
    assert_eq!(own.is_ok(), published, "{own:?}");
    published
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let event: Value = serde_json::from_slice(&body).unwrap();
    let known = receiver.secrets.lock().unwrap().clone();
    // The first delivery may come before the test has read the secret.
    if !known.is_empty() && !known.iter().any(|secret| is_signed(secret, &headers, &body)) {
        receiver.forged.lock().unwrap().push(id.clone());
    }
    if event["id"] != id.as_str() || headers[header::CONTENT_TYPE] != "application/json" {
        receiver.forged.lock().unwrap().push(id.clone());
    }
    let mood = *receiver.mood.lock().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    receiver.got.lock().unwrap().push(Got {
        id,
        registration: text(&event["data"]["registration"]["id"]),
        kind: text(&event["type"]),
        taken: mood == Mood::Well,
        by: text(&event["source"]).trim_start_matches("/nodes/").to_owned(),
        accepted_by: text(&event["data"]["registration"]["node"]),
        signatures: known.iter().filter(|secret| is_signed(secret, &headers, &body)).count(),
    });
    match mood {
        Mood::Well => StatusCode::NO_CONTENT.into_response(),
        Mood::Errs => (StatusCode::INTERNAL_SERVER_ERROR, vec![b'x'; 1 << 20]).into_response(),
        Mood::Redirects => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, receiver.url.clone())]).into_response(),
        Mood::Hangs => std::future::pending().await,
        // The connection is closed without an answer.
        Mood::BreaksOff => panic!("the receiver breaks off"),
        Mood::Gone => StatusCode::GONE.into_response(),
    }
}

const QUICK: WebhookOptions = WebhookOptions {
    private_targets: true,
    first_pause: Duration::from_millis(50),
    longest_pause: Duration::from_millis(200),
    give_up_after: Duration::from_secs(3 * 24 * 3600),
    timeout: Duration::from_millis(500),
};

async fn node(label: &str, options: WebhookOptions, sponsor: Option<&Local>) -> Local {
    let join = match sponsor {
        Some(sponsor) => Some(sponsor.to_join().await),
        None => None,
    };
    let change = |config: &mut NodeConfig| config.webhooks = options;
    Local::start_otherwise(change, tempfile::tempdir().unwrap(), label, Arc::new(Cuts::new()), join).await
}

async fn claims(client: &Client, prefix: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(claim(client, &user_final(&format!("{prefix}{number}"), "ann")).await.id.to_string());
    }
    ids
}

#[tokio::test]
async fn a_receiver_that_fails_in_every_way_gets_every_event_in_order() {
    let node = node("a", QUICK, None).await;
    let (receiver, healthy) = (Receiver::start().await, Receiver::start().await);
    receiver.add(&node.client).await;
    healthy.add(&node.client).await;
    let mut all = claims(&node.client, "well", 3).await;
    receiver.has(&all).await;
    for (prefix, mood) in
        [("errs", Mood::Errs), ("moved", Mood::Redirects), ("hangs", Mood::Hangs), ("breaks", Mood::BreaksOff)]
    {
        receiver.is(mood);
        let before = receiver.attempts();
        all.extend(claims(&node.client, prefix, 4).await);
        healthy.has(&all).await;
        eventually("it is attempted again", async || {
            let attempts = receiver.attempts() - before;
            if attempts > 6 { Ok(()) } else { Err(format!("{attempts} attempts")) }
        })
        .await;
        receiver.is(Mood::Well);
        receiver.has(&all).await;
    }
    local::shutdown(vec![node]).await;
}

#[tokio::test]
async fn what_is_given_up_is_kept_whole_and_replayed() {
    let node = node("a", WebhookOptions { give_up_after: Duration::from_millis(300), ..QUICK }, None).await;
    let receiver = Receiver::start().await;
    let hook = receiver.add(&node.client).await;
    receiver.is(Mood::Errs);
    let ids = claims(&node.client, "dead", 2).await;
    eventually("all are given up", async || {
        let delivery = node.client.webhook(hook.id).await.map_err(|error| error.to_string())?.delivery;
        if delivery.as_ref().is_some_and(|delivery| delivery.dead == 4) { Ok(()) } else { Err(format!("{delivery:?}")) }
    })
    .await;
    let shown = node.client.webhook(hook.id).await.unwrap();
    assert_eq!(shown.secret, None, "the secret is shown once");
    assert!(shown.delivery.unwrap().last_error.unwrap().contains("500"));
    let dead = node.client.dead_letters(hook.id).await.unwrap().dead_letters;
    let about: BTreeSet<_> = dead.iter().map(|letter| letter.event["data"]["registration"]["id"].to_string()).collect();
    assert_eq!((dead.len(), about.len()), (4, 2));
    receiver.is(Mood::Well);
    assert_eq!(node.client.replay_webhook(hook.id).await.unwrap().replayed, 4);
    receiver.has(&ids).await;
    assert!(node.client.dead_letters(hook.id).await.unwrap().dead_letters.is_empty());
    local::shutdown(vec![node]).await;
}

#[tokio::test]
async fn a_gone_receiver_stops_its_webhook_and_two_secrets_sign_while_one_is_replaced() {
    let node = node("a", QUICK, None).await;
    let receiver = Receiver::start().await;
    let hook = receiver.add(&node.client).await;
    let keep_both = RotationBody { keep_old: Some(Span(Duration::from_secs(600))) };
    let rotated = node.client.rotate_webhook(hook.id, &keep_both).await.unwrap();
    assert!(rotated.old_secret_until.is_some() && rotated.secret.is_some());
    // The node takes the change up within a moment; the test event is signed with what it knows at once.
    receiver.secrets.lock().unwrap().push(rotated.secret.unwrap());
    let test = node.client.test_webhook(hook.id).await.unwrap();
    assert!(test.delivered, "{test:?}");
    assert_eq!(receiver.got.lock().unwrap()[0].signatures, 2, "both secrets sign the test");
    let mut count = 0;
    eventually("both secrets sign a delivery", async || {
        count += 1;
        claims(&node.client, &format!("signed{count}x"), 1).await;
        let both = receiver.got.lock().unwrap().iter().any(|got| got.kind != TEST && got.signatures == 2);
        if both { Ok(()) } else { Err(format!("{count} claims")) }
    })
    .await;
    receiver.is(Mood::Gone);
    let ids = claims(&node.client, "gone", 1).await;
    eventually("the webhook is stopped", async || {
        let shown = node.client.webhook(hook.id).await.map_err(|error| error.to_string())?;
        if shown.active { Err(format!("{shown:?}")) } else { Ok(()) }
    })
    .await;
    receiver.is(Mood::Well);
    let resume = WebhookPatch { active: Some(true), ..WebhookPatch::default() };
    assert!(node.client.change_webhook(hook.id, &resume).await.unwrap().active);
    receiver.has(&ids).await;
    let got = receiver.got.lock().unwrap().clone();
    assert!(got.iter().rev().take(2).all(|got| got.signatures == 2), "{got:?}");
    node.client.remove_webhook(hook.id).await.unwrap();
    assert!(node.client.webhooks().await.unwrap().webhooks.is_empty());
    local::shutdown(vec![node]).await;
}

#[tokio::test]
async fn a_webhook_gets_the_types_that_it_names_of_what_its_node_took_or_of_all() {
    let a = node("a", QUICK, None).await;
    let b = node("b", QUICK, Some(&a)).await;
    let clients = [a.client.clone(), b.client.clone()];
    all_members(&clients).await;
    let (confirmed, all) = (Receiver::start().await, Receiver::start().await);
    let types = vec!["registration.confirmed".parse().unwrap()];
    for (receiver, deliver) in [(&confirmed, Deliver::Accepted), (&all, Deliver::All)] {
        let body = WebhookBody { url: receiver.url.clone(), deliver: Some(deliver), types: types.clone() };
        let made = a.client.make_webhook(&body).await.unwrap();
        receiver.secrets.lock().unwrap().push(made.secret.clone().unwrap());
        // Both nodes know of it from now on.
        eventually("b has the webhook", async || {
            b.client.webhook(made.id).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
    let mut ids = claims(&a.client, "near", 2).await;
    ids.extend(claims(&b.client, "far", 2).await);
    for (receiver, times) in [(&confirmed, 1), (&all, 2)] {
        eventually("each event has come from every node that delivers it", async || {
            let got = receiver.got.lock().unwrap().clone();
            let by = |id: &String| -> BTreeSet<String> {
                got.iter().filter(|got| got.registration == *id).map(|got| got.by.clone()).collect()
            };
            let lacks = ids.iter().find(|id| by(id).len() < times);
            lacks.map_or(Ok(()), |id| Err(format!("{id}: {got:?}")))
        })
        .await;
        let got = receiver.got.lock().unwrap().clone();
        assert!(got.iter().all(|got| got.kind == "forename.registration.confirmed"), "{got:?}");
        let events: BTreeSet<_> = got.iter().map(|got| &got.id).collect();
        assert_eq!(events.len(), ids.len(), "one id for one event, whoever delivers it: {got:?}");
    }
    confirmed.is_quiet();
    local::shutdown(vec![a, b]).await;
}

#[tokio::test]
async fn private_networks_are_refused_as_targets() {
    let node = node("a", WebhookOptions { private_targets: false, ..QUICK }, None).await;
    let receiver = Receiver::start().await;
    let body = |url: &str| WebhookBody { url: url.to_owned(), ..WebhookBody::default() };
    let refused = node.client.make_webhook(&body(&receiver.url)).await.unwrap_err();
    assert!(refused.to_string().contains("private network"), "{refused}");
    // A name is resolved when it is called.
    let named = receiver.url.replace("127.0.0.1", "localhost");
    let hook = node.client.make_webhook(&body(&named)).await.unwrap();
    let test = node.client.test_webhook(hook.id).await.unwrap();
    assert!(!test.delivered && test.error.unwrap().contains("private networks"));
    claims(&node.client, "private", 1).await;
    eventually("the attempt is refused", async || {
        let delivery = node.client.webhook(hook.id).await.map_err(|error| error.to_string())?.delivery;
        let error = delivery.and_then(|delivery| delivery.last_error).unwrap_or_default();
        if error.contains("private networks") { Ok(()) } else { Err(error) }
    })
    .await;
    assert_eq!(receiver.attempts(), 0);
    local::shutdown(vec![node]).await;
}

/// Joins a node whose id is lower than those of all these nodes.
async fn node_of_lowest_id(label: &str, nodes: &[Local]) -> Local {
    let mut ids = Vec::new();
    for node in nodes {
        ids.push(node.client.cluster().await.unwrap().node);
    }
    let dir = loop {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(dir.path()).unwrap();
        if ids.iter().all(|id| identity.node_id(0) < *id) {
            break dir;
        }
    };
    let change = |config: &mut NodeConfig| config.webhooks = QUICK;
    Local::start_otherwise(change, dir, label, Arc::new(Cuts::new()), Some(nodes[0].to_join().await)).await
}

/// The receiver is down while a node accepts registrations. A newcomer joins, whose id is lower than all others, and then the
/// node is evicted. The newcomer's feed has none of these events, so one of the others has to deliver them.
#[tokio::test]
async fn the_webhook_of_a_node_that_is_evicted_is_taken_over_without_a_gap() {
    let a = node("a", QUICK, None).await;
    let b = node("b", QUICK, Some(&a)).await;
    let c = node("c", QUICK, Some(&a)).await;
    let mut nodes = vec![a, b, c];
    all_members(&local::clients(&nodes)).await;
    let receiver = Receiver::start().await;
    receiver.add(&nodes[0].client).await;
    let mut all = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        eventually("the webhook is here", async || {
            let here = node.client.webhooks().await.map_err(|error| error.to_string())?.webhooks;
            if here.iter().any(|hook| hook.delivery.is_some()) { Ok(()) } else { Err(format!("{here:?}")) }
        })
        .await;
        all.extend(claims(&node.client, &format!("first{index}x"), 3).await);
    }
    receiver.has(&all).await;
    receiver.is_quiet();
    receiver.is(Mood::Errs);
    all.extend(claims(&nodes[2].client, "late", 3).await);
    nodes.push(node_of_lowest_id("d", &nodes).await);
    all_members(&local::clients(&nodes)).await;
    let gone = nodes.remove(2);
    let id = gone.client.cluster().await.unwrap().node;
    drop(gone.shutdown().await);
    nodes[0].client.evict(id, false).await.unwrap();
    is_out(&nodes[0].client, id).await;
    receiver.is(Mood::Well);
    receiver.has(&all).await;
    local::shutdown(nodes).await;
}

#[tokio::test]
async fn a_node_that_is_killed_meanwhile_loses_no_event() {
    let home = Home::new();
    let serve = Serve::new("a").with_hooks_on_loopback();
    let mut process = Process::start(&home, &serve).await;
    let receiver = Receiver::start().await;
    let hook = receiver.add(&process.client).await;
    let mut all = Vec::new();
    for round in 0..3 {
        receiver.is(if round == 1 { Mood::Errs } else { Mood::Well });
        let before = receiver.attempts();
        all.extend(claims(&process.client, &format!("round{round}x"), 20).await);
        eventually("deliveries are under way", async || {
            if receiver.attempts() > before { Ok(()) } else { Err("no attempt".to_owned()) }
        })
        .await;
        process.kill();
        process = Process::start(&home, &serve).await;
    }
    receiver.is(Mood::Well);
    receiver.has(&all).await;
    // What was recorded as delivered is not delivered again after a kill.
    eventually("all deliveries are recorded", async || {
        let place = file(&home, hook.id, "json");
        let waiting = place["waiting"].as_array().map(Vec::len);
        let last = process.client.cluster().await.map_err(|error| error.to_string())?.events.last.number;
        let read = place["cursor"].as_str().and_then(|cursor| cursor.rsplit('-').next()?.parse().ok());
        if (waiting, read) == (Some(0), Some(last)) { Ok(()) } else { Err(format!("{waiting:?} {read:?} of {last}")) }
    })
    .await;
    let before = receiver.ids();
    process.kill();
    let process = Process::start(&home, &serve).await;
    all.extend(claims(&process.client, "after", 3).await);
    receiver.has(&all).await;
    let again: Vec<_> = receiver.ids().split_off(before.len()).into_iter().filter(|id| before.contains(id)).collect();
    assert!(again.is_empty(), "delivered again: {again:?}");
    let log = home.read_log();
    for secret in receiver.secrets.lock().unwrap().iter() {
        assert!(!log.contains(secret.as_str()), "the secret is in the log");
    }
}

/// Reads a file of a webhook in a node's directory; null where it is not there.
fn file(home: &Home, hook: Uuid, kind: &str) -> Value {
    let bytes = std::fs::read(home.data().join(format!("webhooks/{hook}.{kind}"))).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[tokio::test]
async fn dead_letters_are_kept_when_the_node_is_killed() {
    let home = Home::new();
    let serve = Serve::new("a").with_hooks_on_loopback();
    let mut process = Process::start(&home, &serve).await;
    let receiver = Receiver::start().await;
    let hook = receiver.add(&process.client).await.id;
    receiver.is(Mood::Errs);
    let ids = claims(&process.client, "dead", 2).await;
    eventually("all events wait", async || {
        let waiting = file(&home, hook, "json")["waiting"].as_array().map(Vec::len);
        if waiting == Some(4) { Ok(()) } else { Err(format!("{waiting:?}")) }
    })
    .await;
    process.kill();
    // The events were attempted for a week.
    let mut place = file(&home, hook, "json");
    for item in place["waiting"].as_array_mut().unwrap() {
        (item["tried"], item["due"]) = (7_u64.saturating_mul(24 * 3600 * 1000).into(), 0.into());
    }
    std::fs::write(home.data().join(format!("webhooks/{hook}.json")), place.to_string()).unwrap();
    process = Process::start(&home, &serve).await;
    eventually("all events are given up", async || {
        let dead = file(&home, hook, "dead.json").as_array().map(Vec::len);
        if dead == Some(4) { Ok(()) } else { Err(format!("{dead:?}")) }
    })
    .await;
    process.kill();
    let process = Process::start(&home, &serve).await;
    receiver.is(Mood::Well);
    let replayed = eventually("the dead letters are replayed", async || {
        process.client.replay_webhook(hook).await.map(|replayed| replayed.replayed).map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(replayed, 4);
    receiver.has(&ids).await;
}

#[tokio::test]
async fn a_progress_that_cannot_be_read_is_the_last_error_of_its_webhook_alone() {
    let node = node("a", QUICK, None).await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let hook = receiver.add(&node.client).await;
    other.add(&node.client).await;
    let mut all = claims(&node.client, "first", 1).await;
    receiver.has(&all).await;
    let dir = node.shutdown().await;
    let path = dir.path().join(format!("webhooks/{}.json", hook.id));
    let kept = std::fs::read(&path).unwrap();
    std::fs::write(&path, "{").unwrap();
    let change = |config: &mut NodeConfig| (config.webhooks, config.found) = (QUICK, None);
    let node = Local::start_otherwise(change, dir, "a", Arc::new(Cuts::new()), None).await;
    let shown = async || node.client.webhook(hook.id).await.map_err(|error| error.to_string());
    eventually("the error is shown", async || {
        let error = shown().await?.delivery.and_then(|delivery| delivery.last_error).unwrap_or_default();
        if error.contains("cannot be read") { Ok(()) } else { Err(error) }
    })
    .await;
    all.extend(claims(&node.client, "second", 1).await);
    other.has(&all).await;
    std::fs::write(&path, kept).unwrap();
    receiver.has(&all).await;
    local::shutdown(vec![node]).await;
}

/// A minimal image has no authorities of the system.
#[tokio::test]
async fn without_authorities_http_works_and_https_says_what_is_missing() {
    let (home, empty) = (Home::new(), tempfile::tempdir().unwrap());
    let none = |name: &str| (name.to_owned(), empty.path().join("none").to_string_lossy().into_owned());
    let mut serve = Serve::new("a").with_hooks_on_loopback();
    serve.variables.extend([none("SSL_CERT_FILE"), none("SSL_CERT_DIR")]);
    let process = Process::start(&home, &serve).await;
    let receiver = Receiver::start().await;
    receiver.add(&process.client).await;
    let body = WebhookBody { url: "https://127.0.0.1:9/".to_owned(), ..WebhookBody::default() };
    let hook = process.client.make_webhook(&body).await.unwrap().id;
    let ids = claims(&process.client, "plain", 2).await;
    receiver.has(&ids).await;
    eventually("the error says what is missing", async || {
        let delivery = process.client.webhook(hook).await.map_err(|error| error.to_string())?.delivery;
        let error = delivery.and_then(|delivery| delivery.last_error).unwrap_or_default();
        if error.contains("SSL_CERT_FILE") { Ok(()) } else { Err(error) }
    })
    .await;
    let log = home.read_log();
    assert_eq!(log.matches("authorities that the system trusts").count(), 1, "{log}");
}
