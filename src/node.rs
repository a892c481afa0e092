//! The driver: the only owner of a replica and its store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::NodeId;
use crate::replica::{Cursor, Refusal, Reply, Request};
use crate::transport::LinkFilter;

/// How a node is started.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where it keeps its identity and its state; one process at a time.
    pub data_dir: PathBuf,
    /// Where QUIC listens; port 0 lets the system choose.
    pub peer_listen: SocketAddr,
    /// The address that other nodes reach it at, where it is not the one it listens at.
    pub advertise: Option<String>,
    /// The operator's name for it.
    pub label: String,
    /// With an empty data directory: join this cluster; none: found one. Not looked at otherwise.
    pub join: Option<JoinConfig>,
    /// Cuts links, for demonstrations and tests.
    pub links: Option<Arc<dyn LinkFilter>>,
}

/// How a newcomer gets in.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// The QUIC address of a member.
    pub address: String,
    /// What `forename member token` printed.
    pub token: String,
}

/// A request on its way to the driver.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the reply goes.
    pub reply: oneshot::Sender<Reply>,
}

/// A running node, to be asked; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    node: NodeId,
    calls: mpsc::Sender<Call>,
    events: watch::Receiver<Cursor>,
}

impl Handle {
    /// A handle on whoever serves `calls`.
    #[must_use]
    pub fn new(node: NodeId, calls: mpsc::Sender<Call>, events: watch::Receiver<Cursor>) -> Self {
        Self { node, calls, events }
    }

    /// The node's id.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Asks the node and waits for its reply.
    ///
    /// # Errors
    /// The replica's refusal, or [`Refusal::Unavailable`] where the node stops before it answers.
    pub async fn request(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        let stopping = || Refusal::Unavailable("it is stopping".to_owned());
        self.calls.send(Call { request, reply }).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// The cursor of the latest durable event, as it moves.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<Cursor> {
        self.events.clone()
    }
}

/// A node within this process.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    peer_address: SocketAddr,
}

/// Why a node does not start or go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NodeError(String);

struct NoAdmin;

impl crate::api::Admin for NoAdmin {
    fn mint_token(&self, _: std::time::Duration) -> Result<String, String> {
        Err("this build has no driver".to_owned())
    }
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// Always: a placeholder until the driver is written.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        Err(NodeError(format!("this build has no driver, so nothing in {} was touched", config.data_dir.display())))
    }

    /// To ask it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where QUIC listens.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// What an operator may do.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn crate::api::Admin> {
        Arc::new(NoAdmin)
    }

    /// Resolves if the node halts by itself.
    ///
    /// # Errors
    /// Why it did.
    pub async fn stopped(&self) -> Result<(), NodeError> {
        std::future::pending().await
    }

    /// Stops it.
    pub async fn shutdown(self) {}
}
