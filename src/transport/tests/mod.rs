//! Tests over real QUIC on loopback. Every wait is for a condition, with a deadline that only a failure reaches.

mod abuse;
mod identities;
mod joining;
mod peers;
mod queues;
mod versions;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::dial::{DialError, connect, introduce};
use super::*;
use crate::clock::NodeId;
use crate::log::{Barred, Pass};
use crate::model::ClusterId;
use crate::replica::{Contact, Input, Lane, Message};

/// Far longer than any step here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const CLUSTER: ClusterId = ClusterId(uuid::Uuid::from_u128(1));

/// A node without a replica: the inputs from its transport are kept and checked for order.
struct Node {
    dir: TempDir,
    id: NodeId,
    public_key: PublicKey,
    transport: Transport,
    handle: Handle,
    inbox: mpsc::Receiver<Input>,
    connected: BTreeSet<NodeId>,
}

/// Time-outs that notice a dead peer soon, so that a test does not wait for long.
fn limits() -> Limits {
    Limits { keep_alive: Duration::from_millis(200), idle_timeout: Duration::from_secs(1), ..Limits::default() }
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

impl Node {
    fn start() -> Self {
        Self::start_with(TempDir::new().unwrap(), limits(), None, 1024)
    }

    fn start_with(dir: TempDir, limits: Limits, links: Option<Arc<dyn LinkFilter>>, inbox: usize) -> Self {
        Self::start_speaking(WireVersion::PRESENT, dir, limits, links, inbox)
    }

    fn start_speaking(
        wire: WireVersion,
        dir: TempDir,
        limits: Limits,
        links: Option<Arc<dyn LinkFilter>>,
        inbox: usize,
    ) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        // Only the first call succeeds. `RUST_LOG=forename=debug` shows what a failed test did.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let identity = Identity::load_or_create(dir.path()).unwrap();
        let (id, public_key) = (identity.node_id(0), identity.public_key());
        let (inputs, inbox) = mpsc::channel(inbox);
        let config = TransportConfig { identity, node: id, listen: loopback(), wire, links, inputs, limits };
        let transport = Transport::start(config).unwrap();
        let handle = transport.handle();
        Self { dir, id, public_key, transport, handle, inbox, connected: BTreeSet::new() }
    }

    /// A node in the cluster that most tests use.
    fn member() -> Self {
        let node = Self::start();
        node.handle.set_cluster(CLUSTER, None);
        node
    }

    fn address(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    fn contact(&self) -> Contact {
        self.contact_at(self.address().to_string())
    }

    fn contact_at(&self, address: String) -> Contact {
        let public_key = self.public_key.to_vec();
        Contact { node: self.id, public_key, address, label: String::new(), as_of: Millis(0) }
    }

    /// Returns the next input. `Connected` and `Disconnected` must alternate, and messages lie between them.
    async fn next(&mut self) -> Input {
        let input = timeout(DEADLINE, self.inbox.recv()).await.expect("nothing came in time").unwrap();
        match &input {
            Input::Connected(peer) => assert!(self.connected.insert(*peer), "{peer} connected twice"),
            Input::Disconnected(peer) => assert!(self.connected.remove(peer), "{peer} was not connected"),
            Input::Message { from, .. } => assert!(self.connected.contains(from), "{from} speaks unconnected"),
            _ => {}
        }
        input
    }

    /// Takes inputs up to the first one for which `found` returns something.
    async fn wait_for<T>(&mut self, found: impl Fn(&Input) -> Option<T>) -> T {
        loop {
            if let Some(found) = found(&self.next().await) {
                return found;
            }
        }
    }

    async fn wait_connected(&mut self, peer: NodeId) {
        self.wait_for(|input| matches!(input, Input::Connected(node) if *node == peer).then_some(())).await;
    }

    async fn wait_disconnected(&mut self, peer: NodeId) {
        self.wait_for(|input| matches!(input, Input::Disconnected(node) if *node == peer).then_some(())).await;
    }

    /// Takes inputs up to the next message with a number, and returns the number.
    async fn number(&mut self) -> u64 {
        self.wait_for(|input| match input {
            Input::Message { message: Message::Skewed { ahead }, .. } => Some(*ahead),
            _ => None,
        })
        .await
    }

    fn say(&self, to: &Node, lane: Lane, number: u64) {
        self.handle.send(to.id, lane, &self::number(number));
    }

    /// Dials as a peer would, and returns the outcome.
    async fn dial(&self, to: &Node, pinned: Option<PublicKey>) -> Result<(), DialError> {
        let shared = &self.handle.shared;
        let connection = connect(shared, &to.address().to_string(), pinned).await?;
        introduce(shared, &connection, Some(to.id), None).await.map(|_| ())
    }

    /// Closes the node in good order. Its directory stays.
    async fn close(self) -> TempDir {
        self.transport.close().await;
        self.dir
    }
}

/// A token without a limit of uses.
fn token(key: &ClusterKey, expires: Millis) -> JoinToken {
    JoinToken::of(key, TokenId { cluster: CLUSTER, expires, uses: 0, nonce: [1; 16] })
}

fn number(number: u64) -> Message {
    Message::Skewed { ahead: number }
}

/// Makes all nodes peers of each other.
fn introduce_all(nodes: &[&Node]) {
    for node in nodes {
        node.handle.set_peers(nodes.iter().map(|node| node.contact()).collect(), vec![], Barred::default());
    }
}

/// Waits for a condition that no input announces.
async fn eventually(condition: impl Fn() -> bool) {
    let waited = timeout(DEADLINE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.expect("it never became so");
}

/// Returns the reason with which the other side closed the connection.
fn refusal(result: Result<(), DialError>) -> String {
    match result {
        Err(DialError::Refused { reason, .. }) => reason,
        other => panic!("not refused by the peer: {other:?}"),
    }
}
