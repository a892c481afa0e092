//! Runs the incarnations of a node one after the other. A node that is evicted comes back under the next incarnation of
//! its identity, with the same store, addresses and handles. This runs on a thread of its own (see `nearby`), so that a read
//! from disk never holds up other connections of clients.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::disk_space::Disk;
use super::driver::{Clocks, Driver, End, JoinOutcome, random};
use super::error::ResourceError;
use super::health::Health;
use super::nearby::DriverRuntime;
use super::rejoin::WayIn;
use super::{NodeError, NodeLimits, QUEUE};
use crate::clock::NodeId;
use crate::metrics::Metrics;
use crate::model::{ClusterId, Cursor};
use crate::replica::{Config, Input, Refusal, Replica, Request, Start};
use crate::store::SnapshotPart;
use crate::store::disk::{DiskEvent, DiskStore};
use crate::transport::{ClusterKey, Handle, Transport};

/// The way in which the node ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    Stopped,
    Left,
    Halted(String),
}

/// A request for all tables as they are on disk now.
pub(super) type BackupCall = oneshot::Sender<mpsc::Receiver<SnapshotPart>>;

/// The channels from which a driver gets its work.
pub(super) struct Channels {
    pub(super) disk_events: mpsc::UnboundedReceiver<DiskEvent>,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) calls: mpsc::Receiver<Request>,
    pub(super) backups: mpsc::Receiver<BackupCall>,
    pub(super) stopping: mpsc::Receiver<()>,
}

/// The cluster whose state a node has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KnownCluster {
    pub(super) id: ClusterId,
    /// The key that join tokens are derived from; none until the node was admitted.
    pub(super) key: Option<ClusterKey>,
}

/// The values that others may read of a node at any time.
#[derive(Clone)]
pub(super) struct Watches {
    pub(super) node: watch::Sender<NodeId>,
    pub(super) events: watch::Sender<Cursor>,
    pub(super) cluster: watch::Sender<Option<KnownCluster>>,
    /// The namespaces whose names are private.
    pub(super) private: watch::Sender<Arc<BTreeSet<String>>>,
    pub(super) health: watch::Sender<Health>,
    /// The refusal of registrations, where the disk is low on space.
    pub(super) disk_low: watch::Sender<Option<Refusal>>,
    /// The transport of the current incarnation. None once it ends, because a handle keeps its socket open.
    pub(super) transport: watch::Sender<Option<Handle>>,
    pub(super) ended: watch::Sender<Option<Ended>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: watch::Sender<NodeLimits>,
}

impl Watches {
    pub(super) fn new(node: NodeId, last: Cursor, transport: Handle, limits: NodeLimits) -> Self {
        Self {
            node: watch::Sender::new(node),
            events: watch::Sender::new(last),
            cluster: watch::Sender::new(None),
            private: watch::Sender::new(Arc::default()),
            health: watch::Sender::new(Health::default()),
            disk_low: watch::Sender::new(None),
            transport: watch::Sender::new(Some(transport)),
            ended: watch::Sender::new(None),
            metrics: Arc::default(),
            limits: watch::Sender::new(limits),
        }
    }
}

/// The state that stays from one incarnation to the next.
pub(super) struct Incarnations {
    /// The config of the current incarnation.
    pub(super) config: Config,
    pub(super) clocks: Clocks,
    pub(super) transport: Transport,
    pub(super) join: Option<WayIn>,
    pub(super) channels: Channels,
    pub(super) watches: Watches,
    pub(super) disk: Disk,
}

impl Incarnations {
    /// Starts the first incarnation. The receiver gets a sponsor's answer to this newcomer, once. For a node that is no
    /// newcomer it closes at once.
    pub(super) fn start(
        mut self,
        replica: Replica<DiskStore>,
        runtime: DriverRuntime,
    ) -> Result<mpsc::Receiver<JoinOutcome>, NodeError> {
        let (told, joined) = mpsc::channel(1);
        let run = move || {
            let (end, store) = runtime.block_on(self.run(replica, told));
            if let End::Halt(reason) = &end {
                // Later callers are told the reason why there is no answer.
                self.watches.health.send_modify(|health| health.halted = Some(reason.clone()));
            }
            let Self { transport, channels, watches, .. } = self;
            // Nobody takes messages from peers any more, and they must not hold up the transport.
            drop(channels);
            watches.transport.send_replace(None);
            // The transport is closed before the store, because a snapshot that is being sent keeps the store open.
            runtime.block_on(async {
                transport.close().await;
                // The task that has the socket ends in its turn, and an address that somebody waits for is free then.
                tokio::task::yield_now().await;
            });
            let closed = store.map_or(Ok(()), DiskStore::close);
            let ended = match (end, closed) {
                (End::Stop | End::Rejoin(_), Err(failure)) => Ended::Halted(failure.to_string()),
                (End::Stop | End::Rejoin(_), Ok(())) => Ended::Stopped,
                (End::Left, _) => Ended::Left,
                (End::Halt(reason), _) => Ended::Halted(reason),
            };
            watches.ended.send_replace(Some(ended));
            runtime.run_out();
        };
        let spawned = std::thread::Builder::new().name("forename-driver".to_owned()).spawn(run);
        spawned.map_err(|error| ResourceError::System(error.to_string()))?;
        Ok(joined)
    }

    /// Runs the incarnations, up to one that no other follows.
    async fn run(&mut self, first: Replica<DiskStore>, told: mpsc::Sender<JoinOutcome>) -> (End, Option<DiskStore>) {
        let (mut replica, mut told) = (first, Some(told));
        loop {
            let mut driver =
                Driver::new(replica, self.clocks, self.transport.handle(), self.watches.clone(), self.disk.clone());
            let end = driver.run(&mut self.channels, self.join.as_ref(), told.take()).await;
            let store = driver.into_store();
            let End::Rejoin(next) = end else { return (end, Some(store)) };
            replica = match self.next_incarnation(next, store).await {
                Ok(replica) => replica,
                Err(error) => {
                    let why = format!("this node was evicted and cannot come back by itself: {error}; start it again");
                    return (End::Halt(why), None);
                }
            };
        }
    }

    /// Opens the same store under the next id, with a transport that knows no peers.
    async fn next_incarnation(&mut self, next: NodeId, store: DiskStore) -> Result<Replica<DiskStore>, NodeError> {
        let (sender, inputs) = mpsc::channel(QUEUE);
        // The old channel is closed first, because a connection that waits for room in it would hold up the end of the
        // old incarnation.
        self.channels.inputs = inputs;
        self.transport.reincarnate(next, sender).await?;
        self.watches.cluster.send_replace(None);
        self.watches.node.send_replace(next);
        self.watches.transport.send_replace(Some(self.transport.handle()));
        let now = self.clocks.now();
        self.config.log.contact.node = next;
        self.config.log.contact.as_of = now.wall;
        self.config.log.seed = u64::from_le_bytes(random()?);
        Ok(Replica::open(self.config.clone(), store, Some(Start::Join), now)?)
    }
}
