//! The parts that the tests share: nodes as processes and in this process, claims, and the invariants of all nodes.

pub(crate) mod browser;
pub(crate) mod clocks;
pub(crate) mod facts;
pub(crate) mod local;
pub(crate) mod process;
pub(crate) mod relay;

use std::fmt::Debug;
use std::time::Duration;

use forename::Client;
use forename::client::ClientError;
use forename::clock::NodeId;
use forename::model::{Cluster, ClusterSettings, NameRef, Registration, RegistrationBody, Wait};
use uuid::Uuid;

/// The time limit of every wait. It only decides how soon a failing test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// The time between two checks of something that gives no notice when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// Prints why a test is skipped. On the CI machine, which installs everything that the tests need, this is a failure.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var("CI").is_err(), "the gate has what this needs, but {why}");
    eprintln!("skipped: {why}");
}

/// Begins a plain HTTP client for a test. A TLS provider must be installed, although nothing here uses it.
pub(crate) fn http() -> reqwest::ClientBuilder {
    // Installing a second provider changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// Calls `check` until it succeeds. After the deadline the test fails with the last error.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut last = "it was never looked at".to_owned();
    let looking = async {
        loop {
            match check().await {
                Ok(found) => return found,
                Err(why) => last = why,
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await.ok();
    found.unwrap_or_else(|| panic!("{what}: not so within {DEADLINE:?}; {last}"))
}

/// Waits for a future, up to the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

pub(crate) fn same<T: PartialEq + Debug>(found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, wanted {wanted:?}")) }
}

/// An id like those that clients choose, but the same in every run.
pub(crate) fn id(number: usize) -> Uuid {
    Uuid::from_u128(0xf0e0_0000_0000_4000_8000_0000_0000_0000 + number as u128)
}

/// A claim to one user name.
pub(crate) fn user(name: &str, owner: &str) -> RegistrationBody {
    let name = NameRef { namespace: "username".to_owned(), name: name.to_owned() };
    RegistrationBody { owner: owner.to_owned(), names: vec![name], ..RegistrationBody::default() }
}

/// A claim to one user name, which is answered when it is final.
pub(crate) fn user_final(name: &str, owner: &str) -> RegistrationBody {
    RegistrationBody { wait: Some(Wait::Always), timeout: Some(forename::model::Span(DEADLINE)), ..user(name, owner) }
}

/// Registers. Returns `None` where the name is taken already.
pub(crate) async fn try_claim(client: &Client, body: &RegistrationBody) -> Option<Registration> {
    match client.register(body).await {
        Ok(registration) => Some(registration),
        Err(error) if error.is_taken() => {
            // A claim that lost a race is a registration too, and is returned.
            error.problem().and_then(|problem| problem.registration.as_deref().cloned())
        }
        Err(error) => panic!("{} does not take {body:?}: {error}", client.address()),
    }
}

pub(crate) async fn claim(client: &Client, body: &RegistrationBody) -> Registration {
    try_claim(client, body).await.unwrap_or_else(|| panic!("{}: {body:?} is taken", client.address()))
}

/// Registers, and tries again while the node cannot be reached.
pub(crate) async fn claim_until_answered(
    client: &Client,
    body: &RegistrationBody,
) -> Result<Registration, ClientError> {
    let asking = async {
        loop {
            match client.register(body).await {
                Err(ClientError::Unreachable { .. }) => {}
                Err(error) if error.problem().is_some_and(|problem| problem.status == 503) => {}
                answer => return answer,
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    within("an answer", asking).await
}

pub(crate) async fn cluster(client: &Client) -> Result<Cluster, String> {
    client.cluster().await.map_err(|error| error.to_string())
}

/// Waits until each of these nodes sees exactly these nodes as members.
pub(crate) async fn all_members(clients: &[Client]) {
    for client in clients {
        eventually("all are members", async || {
            let members = cluster(client).await?.members;
            same(&members.len(), &clients.len())
        })
        .await;
    }
}

/// Changes settings of the cluster at one of these nodes, and waits until they are in force at all of them.
pub(crate) async fn configured(clients: &[Client], body: &str) -> ClusterSettings {
    let change = serde_json::from_str(body).expect("a change of settings");
    let set = clients[0].configure(&change).await.expect("a member changes settings").settings;
    for client in clients {
        eventually("the settings are in force", async || same(&cluster(client).await?.settings, &set)).await;
    }
    set
}

/// Waits until another node knows that a node is out of the cluster.
pub(crate) async fn is_out(client: &Client, node: NodeId) {
    eventually("the eviction is done", async || {
        let cluster = cluster(client).await?;
        same(&cluster.eviction, &None)?;
        let evicted: Vec<_> = cluster.evicted.iter().map(|cut| cut.node).collect();
        if evicted.contains(&node) { Ok(()) } else { Err(format!("out are {evicted:?}")) }
    })
    .await;
}

/// Waits until a node that was evicted is a member again, under the next incarnation.
pub(crate) async fn is_back(client: &Client, was: NodeId) -> NodeId {
    let next = was.next_incarnation().expect("it has lives left");
    eventually("it is back", async || {
        let cluster = cluster(client).await?;
        same(&(cluster.node, cluster.member), &(next, true))
    })
    .await;
    next
}
