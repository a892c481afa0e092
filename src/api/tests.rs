//! Tests of the interface over a real socket. A fake node gives prepared answers in place of a replica.

mod backups;
mod commands;
mod connections;
mod dashboard;
mod errors;
mod feed;
mod gate;
mod many;
mod namespaces;
mod openapi;
mod ready;
mod scopes;
mod shortcut;
mod tokens;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::backup::{Head, Reader};
use crate::client::{Client, ClientError};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::model::{
    Claim, Cluster, ClusterSettings, Cursor, Cut, EventRange, Eviction, Member, MemberState, Name, NameRef, NameStatus,
    Registration, Registrations, ReplacesBody, Status, WaitReason, Waiting,
};
use crate::model::{EventQuery, NDJSON, OwnerPlace, ProblemType, RejectedBy, Scope, Time};
use crate::node::{Backup, DriverRuntime, LastBackup, Nearby};
use crate::replica::any::{Answer, Answered as Reply, Request};
use crate::replica::{self, AwaitFinal, Caller, ClusterCommand, Command, NameOf, Refusal, RegistrationsOf};
use crate::store::{SnapshotPart, Write};
use crate::transport::WireVersion;

const NODE: NodeId = NodeId(0xabc_0000);

/// A server whose node answers as the test says.
struct Fake {
    base: String,
    http: reqwest::Client,
    client: Client,
    /// The requests that the node got.
    asked: Arc<Mutex<Vec<Request>>>,
    /// The callers of these requests; none for requests about the cluster.
    callers: Arc<Mutex<Vec<Option<Caller>>>>,
    latest: watch::Sender<Cursor>,
    whole_backups: Arc<AtomicBool>,
    /// The node's data directory. It has the record of the last backup alone.
    dir: tempfile::TempDir,
    /// The thread on which a node's driver would run.
    nearby: Nearby,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

struct FakeAdmin {
    last: LastBackup,
    /// True where backups are complete. Where it is false they break off, as they do when the node stops meanwhile.
    whole: Arc<AtomicBool>,
}

impl FakeAdmin {
    fn in_dir(dir: &Path) -> Self {
        Self { last: LastBackup::open(dir), whole: Arc::new(AtomicBool::new(true)) }
    }
}

impl Admin for FakeAdmin {
    fn mint_token(&self, ttl: Duration, _: u32, _: bool) -> Result<String, Refusal> {
        if ttl > Duration::from_secs(48 * 3600) { Err(Refusal::NotMember) } else { Ok(format!("token-{ttl:?}")) }
    }

    fn random(&self) -> Result<[u8; 32], Refusal> {
        Ok([7; 32])
    }

    fn backup(&self) -> BackupAnswer<'_> {
        let head = Head { node: NODE, time: Millis(7), store: "any".to_owned(), key: vec![1] };
        let (sender, parts) = mpsc::channel(4);
        let row = Write { table: crate::store::Table::Meta, key: vec![1], value: Some(vec![2]) };
        sender.try_send(SnapshotPart::Rows(vec![row])).unwrap();
        if self.whole.load(Ordering::Relaxed) {
            sender.try_send(SnapshotPart::End).unwrap();
        }
        Box::pin(std::future::ready(Ok(Backup { head, parts, last: self.last.clone() })))
    }

    fn wires(&self) -> BTreeMap<NodeId, WireVersion> {
        [(NODE, WireVersion::PRESENT)].into()
    }

    fn queued(&self) -> BTreeMap<NodeId, usize> {
        [(NodeId(0xdef), 77), (NodeId(0xbad), 1)].into()
    }
}

impl Fake {
    async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::with(ApiTokens::default(), answer).await
    }

    async fn with(tokens: ApiTokens, answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::behind(Doors { tokens, ..Doors::default() }, answer).await
    }

    async fn behind(doors: Doors, mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let (calls, mut inbox) = mpsc::channel::<replica::Request>(8);
        let (latest, events) = watch::channel(cursor(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let callers = Arc::new(Mutex::new(Vec::new()));
        let (log, by) = (Arc::clone(&asked), Arc::clone(&callers));
        tokio::spawn(async move {
            while let Some(call) = inbox.recv().await {
                by.lock().unwrap().push(call.caller().cloned());
                let (request, tell) = call.into_any();
                let reply = answer(&request);
                log.lock().unwrap().push(request);
                tell(reply);
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopping) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopping.await) };
        let handle = Handle::new(watch::channel(NODE).1, calls, events);
        let dir = tempfile::tempdir().unwrap();
        let admin = FakeAdmin::in_dir(dir.path());
        let (handle, whole_backups) = (handle.with_last_backup(admin.last.clone()), Arc::clone(&admin.whole));
        let (runtime, nearby) = DriverRuntime::new().unwrap();
        std::thread::spawn(move || runtime.run_out());
        let handle = handle.with_nearby(nearby.clone());
        let server = tokio::spawn(serve(listener, handle, Arc::new(admin), doors, shutdown));
        let http = http().build().unwrap();
        let client = Client::new(&base).unwrap();
        Self { base, http, client, asked, callers, latest, whole_backups, dir, nearby, stop, server }
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.http.post(format!("{}{path}", self.base)).json(body).send().await.unwrap()
    }

    /// Returns the last caller. The last request must not be about the cluster.
    fn last_caller(&self) -> Caller {
        self.callers.lock().unwrap().last().unwrap().clone().unwrap()
    }

    /// Returns the last request that the node got.
    fn last(&self) -> Request {
        self.asked.lock().unwrap().last().unwrap().clone()
    }
}

/// Returns a builder of a plain HTTP client. It needs a TLS provider to be installed, although nothing here uses TLS.
fn http() -> reqwest::ClientBuilder {
    // To install it a second time changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

fn registration(status: Status) -> Registration {
    Registration {
        id: Uuid::from_u128(7),
        owner: "user-1".to_owned(),
        status,
        names: vec![Claim {
            namespace: "username".to_owned(),
            name: "Alice".to_owned(),
            key: "alice".to_owned(),
            released: false,
            ended: None,
        }],
        node: NODE,
        stamp: Stamp { hlc: Hlc(1_700_000_000_000 << 16), node: NODE },
        accepted_at: Time(Millis(1_700_000_000_000)),
        reissued_at: None,
        expires_at: None,
        activated: false,
        metadata: None,
        erased: false,
        replaces: None,
        new_namespaces: Vec::new(),
        waiting_for: Vec::new(),
        rejected_by: None,
    }
}

fn name_view(status: NameStatus) -> Name {
    Name {
        namespace: "username".to_owned(),
        name: "Alice".to_owned(),
        key: "alice".to_owned(),
        available: status == NameStatus::Available,
        status,
        registration: Some(Uuid::from_u128(6)),
        since: Some(Time(Millis(1_700_000_000_000))),
        looks_like: None,
        free_at: None,
        suggestions: Vec::new(),
    }
}

fn cluster_view(member: bool) -> Cluster {
    let view = |node, heard_at| Member {
        node,
        label: "eu".to_owned(),
        address: "127.0.0.1:7401".to_owned(),
        state: MemberState::Member,
        frozen_by: Vec::new(),
        connected: true,
        wire: None,
        promise: Hlc(1_700_000_000_000 << 16),
        heard_at,
        applied: 3,
        holds_ours: 2,
        clock_offset_ms: Some(-4),
        skewed_ms: None,
        refuses_ours_ms: None,
    };
    Cluster {
        id: None,
        settings: ClusterSettings::default(),
        node: NODE,
        label: "eu".to_owned(),
        member,
        reader: false,
        readers: Vec::new(),
        time: Time(Millis(1_700_000_000_001)),
        members: vec![view(NODE, None), view(NodeId(0xdef), Some(Time(Millis(1_700_000_000_000))))],
        first: Some(NODE),
        watermark: Hlc((1_700_000_000_000 << 16) + 1),
        pending: 1,
        waiting_for: vec![Waiting {
            node: NodeId(0xdef),
            label: "us".to_owned(),
            reason: WaitReason::OutOfReach,
            since: None,
        }],
        undecided_since: None,
        overdue: None,
        clock_suspect_ms: None,
        newcomers: Vec::new(),
        joining_waits_for: Vec::new(),
        leaving_waits_for: None,
        eviction: None,
        forks: Vec::new(),
        disk_hangs_ms: None,
        last_backup: None,
        events: EventRange { start: cursor(4), last: cursor(9) },
        evicted: Vec::new(),
        banned: Vec::new(),
        health: None,
    }
}

/// Returns a place in the only feed of these tests.
fn cursor(number: u64) -> Cursor {
    Cursor { feed: 0xfeed, number }
}

fn answered(status: Status) -> Reply {
    Ok(Answer::Registration(registration(status)))
}

fn alice() -> Value {
    json!({"owner": "user-1", "names": [{"namespace": "username", "name": "Alice"}]})
}

#[tokio::test]
async fn a_registration_answers_by_where_it_stands() {
    for (status, http) in [
        (Status::Confirmed, StatusCode::CREATED),
        (Status::Pending, StatusCode::ACCEPTED),
        (Status::Contested, StatusCode::ACCEPTED),
        (Status::Rejected, StatusCode::CONFLICT),
    ] {
        let fake = Fake::start(move |_| answered(status)).await;
        let response = fake.post("/v1/registrations", &alice()).await;
        assert_eq!(response.status(), http);
        assert_eq!(response.headers()["location"], format!("/v1/registrations/{}", Uuid::from_u128(7)));
        let body: Value = response.json().await.unwrap();
        let registration = if status == Status::Rejected { &body["registration"] } else { &body };
        assert_eq!(registration["id"], Uuid::from_u128(7).to_string());
        assert_eq!(registration["status"], serde_json::to_value(status).unwrap());
        assert_eq!(registration["accepted_at"], "2023-11-14T22:13:20.000Z");
    }
}

#[tokio::test]
async fn a_registration_reaches_the_node_whole() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    let body = json!({
        "id": Uuid::from_u128(7), "owner": "user-1", "names": [{"namespace": "org/42", "name": "a/b"}], "ttl": "15m",
        "replaces": {"registration": Uuid::from_u128(6), "namespace": "username", "name": "al"},
        "metadata": {"form": 1},
    });
    fake.post("/v1/registrations", &body).await;
    let Request::Name(Command::Register(request), _) = fake.last() else { panic!("asked something else") };
    let name = |namespace: &str, name: &str| NameRef { namespace: namespace.to_owned(), name: name.to_owned() };
    let expected = replica::RegisterRequest {
        id: Some(Uuid::from_u128(7)),
        owner: "user-1".to_owned(),
        names: vec![name("org/42", "a/b")],
        ttl: Some(900_000),
        replaces: Some(ReplacesBody {
            registration: Uuid::from_u128(6),
            namespace: "username".to_owned(),
            name: "al".to_owned(),
        }),
        metadata: Some("{\"form\":1}".to_owned()),
        wait: None,
        charge: None,
    };
    assert_eq!(request, expected);
}

#[tokio::test]
async fn an_idempotency_key_is_the_id() {
    let fake = Fake::start(|_| answered(Status::Pending)).await;
    let id = Uuid::from_u128(7);
    let post = |key: String, body: Value| {
        fake.http.post(format!("{}/v1/registrations", fake.base)).header("Idempotency-Key", key).json(&body).send()
    };
    // Any other text stands for an id of its own, and always for the same one. The expected id is written here, so that
    // the mapping cannot change unnoticed.
    let named = Uuid::from_u128(0x0260_d5e4_1fe8_5a56_b3f8_cdfa_6a8d_951f);
    let keys = [(id.to_string(), id), (format!("\"{id}\""), id), ("sign-up-7".to_owned(), named)];
    for (key, id) in keys {
        assert_eq!(post(key, alice()).await.unwrap().status(), StatusCode::ACCEPTED);
        let Request::Name(Command::Register(request), _) = fake.last() else { panic!("asked something else") };
        assert_eq!(request.id, Some(id));
    }
    let mut body = alice();
    body["id"] = json!(Uuid::from_u128(8));
    assert_eq!(post(id.to_string(), body).await.unwrap().status(), StatusCode::BAD_REQUEST);
    for unfit in [String::new(), "k".repeat(257), "\u{fc}".to_owned()] {
        assert_eq!(post(unfit.clone(), alice()).await.unwrap().status(), StatusCode::BAD_REQUEST, "{unfit:?}");
    }
}

#[tokio::test]
async fn waiting_has_a_default_and_a_cap() {
    let fake = Fake::start(|_| answered(Status::Pending)).await;
    let path = format!("/v1/registrations/{}", Uuid::from_u128(7));
    for (query, wait) in [
        ("", None),
        ("?wait=none&timeout=9s", None),
        ("?wait=final", Some(AwaitFinal::in_reach(5000))),
        ("?wait=final&timeout=250ms", Some(AwaitFinal::in_reach(250))),
        ("?wait=always&timeout=2", Some(AwaitFinal::always(2000))),
        ("?wait=final&timeout=1h", Some(AwaitFinal::in_reach(60_000))),
    ] {
        assert_eq!(fake.get(&format!("{path}{query}")).await.status(), StatusCode::OK);
        let Request::Outcome { wait: asked, .. } = fake.last() else { panic!("asked something else") };
        assert_eq!(asked, wait, "{query}");
    }
    let mut body = alice();
    body["wait"] = json!("final");
    fake.post("/v1/registrations", &body).await;
    assert!(
        matches!(fake.last(), Request::Name(Command::Register(request), _) if request.wait == Some(AwaitFinal::in_reach(5000)))
    );
}

#[tokio::test]
async fn every_call_by_the_client() {
    let place = OwnerPlace(Stamp { hlc: Hlc(7), node: NODE });
    let fake = Fake::start(move |request| match request {
        Request::NameOf(_) => Ok(Answer::Name(name_view(NameStatus::Held))),
        Request::RegistrationsOf(query) => {
            let registrations = vec![registration(Status::Confirmed)];
            let next = (query.limit == 1).then_some(place);
            Ok(Answer::Registrations(Registrations { registrations, next }))
        }
        Request::Cluster(_) => Ok(Answer::Cluster(cluster_view(true))),
        _ => answered(Status::Confirmed),
    })
    .await;
    let (client, id) = (&fake.client, Uuid::from_u128(7));
    let name = NameRef { namespace: "org/42/handle".to_owned(), name: "a b/ü?".to_owned() };
    let owner = "user&1/x".to_owned();

    client.registration(id).await.unwrap();
    assert_eq!(fake.last(), Request::outcome(id, None));
    client.wait_for(id, Duration::from_millis(1500)).await.unwrap();
    assert!(matches!(fake.last(), Request::Outcome { wait: Some(AwaitFinal { at_most: 1500, always: true }), .. }));
    client.activate(id).await.unwrap();
    assert_eq!(fake.last(), Command::Activate { id }.into());
    client.extend(id, Duration::from_secs(900)).await.unwrap();
    assert_eq!(fake.last(), Command::Extend { id, ttl: 900_000 }.into());
    client.release(id).await.unwrap();
    assert_eq!(fake.last(), Command::Release { id }.into());
    client.erase(id).await.unwrap();
    assert_eq!(fake.last(), Command::Erase { id }.into());
    client.release_name(&name.namespace, &name.name, &owner).await.unwrap();
    assert_eq!(fake.last(), Command::ReleaseName { owner: owner.clone(), name: name.clone() }.into());
    let view = client.name(&name.namespace, &name.name).await.unwrap();
    assert_eq!(fake.last(), NameOf(name).into());
    assert_eq!((view.available, view.registration), (false, Some(Uuid::from_u128(6))));
    let page = client.owner(&owner, Some(place), Some(1)).await.unwrap();
    assert_eq!(fake.last(), RegistrationsOf::new(owner.clone(), Some(place), 1).into());
    assert_eq!(page.next, Some(place));
    assert_eq!(client.owner(&owner, None, None).await.unwrap().next, None);
    let cluster = client.cluster().await.unwrap();
    assert_eq!((cluster.node, cluster.members.len(), cluster.pending), (NODE, 2, 1));
    assert_eq!(cluster.watermark, Hlc((1_700_000_000_000 << 16) + 1));
    for force in [false, true] {
        client.evict(NodeId(0xdef), force).await.unwrap();
        assert_eq!(fake.last(), ClusterCommand::Evict { node: NodeId(0xdef), force }.into());
    }
    client.leave().await.unwrap();
    assert_eq!(fake.last(), ClusterCommand::Leave { cancel: false }.into());
    client.stay().await.unwrap();
    assert_eq!(fake.last(), ClusterCommand::Leave { cancel: true }.into());
    assert_eq!(client.mint_token(Some(Duration::from_secs(60))).await.unwrap(), "token-60s");
    assert_eq!(client.mint_token(None).await.unwrap(), "token-86400s");
}

#[tokio::test]
async fn a_token_needs_no_body() {
    let fake = Fake::start(|_| answered(Status::Confirmed)).await;
    let request = fake.http.post(format!("{}/v1/cluster/tokens", fake.base)).header("content-type", "application/json");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"token": "token-86400s"}));
}

#[tokio::test]
async fn the_cluster_as_json() {
    let fake = Fake::start(|_| Ok(Answer::Cluster(cluster_view(true)))).await;
    let body: Value = fake.get("/v1/cluster").await.json().await.unwrap();
    assert_eq!(body["node"], "000000000abc0000");
    assert_eq!(body["watermark"], "1700000000000.1");
    assert_eq!(body["waiting_for"], json!([{"node": "0000000000000def", "label": "us", "reason": "out-of-reach"}]));
    assert_eq!(
        body["members"][1],
        json!({
            "node": "0000000000000def", "label": "eu", "address": "127.0.0.1:7401", "state": "member",
            "connected": true,
            "promise": "1700000000000.0", "heard_at": "2023-11-14T22:13:20.000Z", "applied": 3, "holds_ours": 2,
            "clock_offset_ms": -4,
        })
    );
}

#[tokio::test]
async fn an_eviction_is_begun_and_seen_in_the_cluster() {
    let fake = Fake::start(|request| match request {
        Request::Cluster(ClusterCommand::Evict { node: NodeId(0xdef), force: false }) => {
            let mut view = cluster_view(true);
            (view.members[1].state, view.members[1].frozen_by) = (MemberState::Evicting, vec![NODE]);
            let (nodes, missing) = (vec![NodeId(0xdef)], vec![Cut { node: NodeId(0xdef), seq: 4 }]);
            view.eviction = Some(Eviction { nodes, waiting_for: vec![NODE], missing, possible: true });
            view.evicted = vec![Cut { node: NodeId(0x123), seq: 9 }];
            Ok(Answer::Cluster(view))
        }
        Request::Cluster(ClusterCommand::Evict { node, .. }) => Err(Refusal::NoMember(*node)),
        _ => Err(Refusal::LastMember),
    })
    .await;
    let begun = fake.post("/v1/cluster/members/0000000000000def/evict", &json!({})).await;
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let body: Value = begun.json().await.unwrap();
    assert_eq!((&body["members"][0]["state"], &body["members"][1]["state"]), (&json!("member"), &json!("evicting")));
    assert_eq!(body["members"][1]["frozen_by"], json!(["000000000abc0000"]));
    let missing = json!([{"node": "0000000000000def", "seq": 4}]);
    assert_eq!((&body["eviction"]["missing"], &body["eviction"]["possible"]), (&missing, &json!(true)));
    assert_eq!(body["evicted"], json!([{"node": "0000000000000123", "seq": 9}]));
    for (path, status, kind) in [
        ("/v1/cluster/members/0000000000000777/evict", 404, "no-member"),
        ("/v1/cluster/members/seven/evict", 400, "invalid-request"),
        ("/v1/cluster/leave", 409, "last-member"),
    ] {
        let refused = fake.post(path, &json!({})).await;
        assert_eq!(refused.status(), status, "{path}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], format!("urn:forename:problem:{kind}"));
    }
}

#[tokio::test]
async fn probes() {
    for (member, status) in [(true, StatusCode::OK), (false, StatusCode::SERVICE_UNAVAILABLE)] {
        let fake = Fake::start(move |_| Ok(Answer::Cluster(cluster_view(member)))).await;
        assert_eq!(fake.get("/healthz").await.status(), StatusCode::OK);
        assert_eq!(fake.asked.lock().unwrap().len(), 0);
        assert_eq!(fake.get("/readyz").await.status(), status);
    }
}

#[tokio::test]
async fn a_backup_is_a_file_from_its_head_to_its_end() {
    let fake = Fake::start(|_| Err(Refusal::NotMember)).await;
    let mut stream = fake.client.backup().await.unwrap();
    let mut bytes = Vec::new();
    while let Some(more) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&more);
    }
    let (reader, head) = Reader::open(bytes.as_slice()).unwrap();
    assert_eq!((head.node, head.time, reader.check().unwrap()), (NODE, Millis(7), 1));
}
