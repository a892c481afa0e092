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
