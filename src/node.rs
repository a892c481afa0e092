//! A node in this process. It combines an identity, a store, a transport and a driver.

mod admin;
mod alarm;
#[doc(hidden)]
pub mod descriptors;
mod disk_space;
mod driver;
mod error;
mod handle;
mod health;
mod incarnations;
mod init;
mod last_backup;
mod limits;
mod nearby;
#[doc(hidden)]
pub mod offline;
mod operator;
mod rejoin;
mod waiting;
#[doc(hidden)]
pub mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

#[doc(hidden)]
pub use self::admin::{Admin, Backup, BackupAnswer};
pub(crate) use self::alarm::Alarm;
use self::disk_space::Disk;
use self::driver::JoinOutcome;
pub(crate) use self::driver::random;
pub use self::error::{NodeError, ResourceError};
#[doc(hidden)]
pub use self::handle::Handle;
#[cfg(test)]
pub(crate) use self::health::Health;
pub(crate) use self::health::disk_hangs;
use self::incarnations::{Channels, Ended, Incarnations, Watches};
pub use self::init::{Founded, InitError};
#[doc(hidden)]
pub use self::last_backup::LastBackup;
pub use self::limits::NodeLimits;
pub(crate) use self::nearby::DriverRuntime;
#[cfg(test)]
pub(crate) use self::nearby::Nearby;
use self::operator::Operator;
use self::rejoin::WayIn;
use self::webhooks::Deliveries;
pub use self::webhooks::WebhookOptions;
#[cfg(feature = "otel")]
pub(crate) use self::webhooks::outgoing_tls;
use crate::files;
use crate::log;
use crate::model::limits::MAX_OPEN_OF_OWNER;
use crate::model::{ClusterSettings, ClusterSettingsBody};
use crate::replica::{Config, Contact, OpenError, Replica, Start, node_in};
use crate::store::disk::{DiskOptions, DiskStore};
use crate::transport::{Identity, JoinToken, Limits, LinkFilter, Transport, TransportConfig, WireVersion};

/// The number of requests and of inputs that may wait for the driver. A guess: the work of a few steps.
const QUEUE: usize = 4096;

/// The default number of bytes of the disk that are kept free for what a node must still write: releases, data from
/// peers, and compactions, which write before they delete. A guess: a few minutes of a busy node.
pub const MIN_FREE: u64 = 512 << 20;

/// The options with which a node is started.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The directory of the node's identity and state. Only one process at a time can use it.
    pub data_dir: PathBuf,
    /// The address at which QUIC listens. With port 0 the system chooses the port.
    pub peer_listen: SocketAddr,
    /// The address at which other nodes reach this one, where it differs from the address at which it listens.
    pub advertise: Option<String>,
    /// The operator's name for the node.
    pub label: String,
    /// The cluster to join where the data directory is empty. A node that comes back after an eviction, or as the next
    /// incarnation of an old directory, uses it too. For other nodes only the cluster of the
    /// token is looked at: it has to be the node's own.
    pub join: Option<JoinConfig>,
    /// True for a reader: a node that takes all that the members have, answers what is asked and changes nothing. It is no
    /// member, so nobody waits for it. It needs `join` with a reader's token at every start.
    pub reader: bool,
    /// The settings of a cluster that is founded where the data directory is empty and `join` is none. See
    /// [`NodeConfig::founding`].
    pub found: Option<ClusterSettings>,
    /// The number of registrations of one owner that may be open at once at this node: undecided ones, and reservations
    /// that are not activated. None means no limit.
    pub max_open: Option<u32>,
    /// The number of registrations of one owner that may hold names, as far as this node knows; permanent ones count.
    /// None means no limit.
    pub max_total: Option<u32>,
    /// The time after which ops that all members hold leave the log. None means a minute.
    pub keep_log: Option<Duration>,
    /// The number of free bytes on the disk below which registrations are refused.
    pub min_free: u64,
    /// A filter that cuts links, for demonstrations and tests.
    #[doc(hidden)]
    pub links: Option<Arc<dyn LinkFilter>>,
    /// How the node delivers events to webhooks.
    pub webhooks: WebhookOptions,
}

impl From<&NodeConfig> for NodeLimits {
    fn from(config: &NodeConfig) -> Self {
        Self { max_open: config.max_open, max_total: config.max_total, min_free: config.min_free }
    }
}

impl NodeConfig {
    /// Options for a node that goes on with the state in the directory. QUIC listens on loopback, at a port that the
    /// system chooses.
    ///
    /// ```
    /// use forename::node::NodeConfig;
    ///
    /// let config = NodeConfig { label: "one".to_owned(), ..NodeConfig::new("./forename-data") };
    /// assert!(config.join.is_none());
    /// ```
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            peer_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            label: String::new(),
            join: None,
            reader: false,
            found: None,
            max_open: Some(MAX_OPEN_OF_OWNER),
            max_total: None,
            keep_log: None,
            min_free: MIN_FREE,
            links: None,
            webhooks: WebhookOptions::default(),
        }
    }

    /// Checks what can be checked before a start, and starts and makes nothing.
    ///
    /// # Errors
    /// [`Node::launch`] would fail with this error too.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), NodeError> {
        self.way_in()?;
        let is_other = |entry: std::fs::Metadata| !entry.is_dir();
        if std::fs::metadata(&self.data_dir).is_ok_and(is_other) {
            let error = std::io::ErrorKind::NotADirectory.into();
            return Err(NodeError::DataDir { path: self.data_dir.clone(), error });
        }
        Ok(())
    }

    /// Returns how the node joins, where it may have to.
    fn way_in(&self) -> Result<Option<WayIn>, NodeError> {
        let join = self.join.as_ref().map(JoinConfig::way_in).transpose()?;
        match join.as_ref().map(|join| join.token.reads()) {
            Some(true) if !self.reader => Err(NodeError::ReaderToken),
            None | Some(false) if self.reader => Err(NodeError::NoReaderToken),
            _ => Ok(join),
        }
    }

    /// Lets the node found a cluster with these settings where the directory is empty. The bounds of the settings are
    /// not checked.
    ///
    /// This is for tests and demonstrations only. A node whose directory was lost would silently found another cluster,
    /// and confirm names that the real cluster has given to others. For lasting data use [`Node::init`], once.
    #[must_use]
    pub fn founding(self, settings: ClusterSettings) -> Self {
        Self { found: Some(settings), ..self }
    }
}

/// The way in which a newcomer joins a cluster.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// The QUIC address of a member. None means the addresses in the token.
    pub address: Option<String>,
    /// A join token, as `forename member token` prints it.
    pub token: String,
}

impl JoinConfig {
    fn way_in(&self) -> Result<WayIn, NodeError> {
        let token = JoinToken::parse(&self.token)?;
        let addresses =
            self.address.as_ref().map_or_else(|| token.addresses().to_vec(), |address| vec![address.clone()]);
        if addresses.is_empty() { Err(NodeError::NoAddress) } else { Ok(WayIn { addresses, token }) }
    }
}

/// The sponsor's answer to a newcomer's token.
#[derive(Debug)]
pub struct Reception(mpsc::Receiver<JoinOutcome>);

impl Reception {
    /// Resolves once the sponsor has accepted the token. Resolves at once for a node that is no newcomer.
    ///
    /// # Errors
    /// [`NodeError::Join`] where the sponsor has refused the token. The node still runs and nobody lets it in, so shut
    /// it down.
    pub async fn outcome(mut self) -> Result<(), NodeError> {
        match self.0.recv().await {
            Some(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// The way in which a node ended without a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// The node was asked to stop, and can be started again.
    Asked,
    /// The node has left its cluster for good.
    Left,
}

/// A node in this process. Dropping it stops the node without waiting for the end.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    peer_address: SocketAddr,
    operator: Operator,
    limits: watch::Sender<NodeLimits>,
    stop: mpsc::Sender<()>,
    ended: watch::Receiver<Option<Ended>>,
    deliveries: Arc<Deliveries>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.deliveries.begin_to_stop();
    }
}

impl Node {
    /// Founds a cluster of one member in a directory that is empty or does not exist. Settings that are not given have
    /// their defaults. Do this once per cluster. [`Node::start`] then runs the member.
    ///
    /// # Errors
    /// See [`InitError`].
    pub fn init(data_dir: impl AsRef<Path>, settings: &ClusterSettingsBody) -> Result<Founded, InitError> {
        init::init(data_dir.as_ref(), settings)
    }

    /// Starts a node: it goes on with the state in the data directory, or joins a cluster. For a newcomer this returns
    /// once its sponsor has accepted the token, which is before it is a member.
    ///
    /// # Errors
    /// See [`NodeError`]. Nothing runs after an error.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let (node, reception) = Self::launch(config)?;
        match reception.outcome().await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.shutdown().await;
                Err(error)
            }
        }
    }

    /// Starts a node without waiting for a sponsor. The node can be asked at once, and says that it is not a member
    /// yet.
    ///
    /// # Errors
    /// See [`NodeError`]. Nothing runs after an error.
    pub fn launch(config: NodeConfig) -> Result<(Self, Reception), NodeError> {
        let join = config.way_in()?;
        let limits = NodeLimits::from(&config);
        let begins = config.join.is_some() || config.found.is_some();
        if !begins && !config.data_dir.join("db").is_dir() {
            return Err(NodeError::NoCluster(config.data_dir));
        }
        files::private_dir(&config.data_dir)
            .map_err(|error| NodeError::DataDir { path: config.data_dir.clone(), error })?;
        if let Some(mode) = files::exposed(&config.data_dir) {
            let dir = config.data_dir.display();
            tracing::warn!(
                "others than its owner may look into the data directory {dir} (mode {mode:o}), which holds the node's key and the \
                 cluster's secret; close it with chmod 700 {dir}, or start once with --fix-permissions"
            );
        }
        let identity = match Identity::load(&config.data_dir)? {
            Some(identity) => identity,
            // Another key would not be that of the node whose state is there.
            None if config.data_dir.join("db").is_dir() => return Err(NodeError::NoIdentity(config.data_dir)),
            None => Identity::load_or_create(&config.data_dir)?,
        };
        let (public_key, own_identity) = (identity.public_key(), identity.clone());
        let (disk_sender, disk_events) = mpsc::unbounded_channel();
        // Sending fails only where the driver is gone, and then nobody waits for the store any more.
        let store =
            DiskStore::open(&config.data_dir, &DiskOptions::default(), move |event| drop(disk_sender.send(event)))?;
        let node = node_in(&store, identity.node_id(0));
        let (inputs_sender, inputs) = mpsc::channel(QUEUE);
        let (runtime, nearby) = DriverRuntime::new().map_err(|error| ResourceError::System(error.to_string()))?;
        let beside_driver = nearby.enter();
        let transport = Transport::start(TransportConfig {
            identity,
            node,
            listen: config.peer_listen,
            wire: WireVersion::PRESENT,
            links: config.links,
            inputs: inputs_sender,
            limits: Limits::default(),
        })?;
        drop(beside_driver);
        let peer_address = transport.local_addr();
        let (clocks, seed) = (driver::Clocks::start(), random()?);
        let contact_address = config.advertise.unwrap_or_else(|| peer_address.to_string());
        let contact = Contact {
            node,
            public_key: public_key.to_vec(),
            address: contact_address.clone(),
            label: config.label,
            as_of: clocks.now().wall,
        };
        let files_of_webhooks = config.data_dir.join("webhooks");
        let start = match &config.join {
            Some(_) => Some(Start::Join),
            None => config.found.map(|settings| init::founding(node, settings)).transpose()?.map(Into::into),
        };
        let defaults = Config::new(contact, u64::from_le_bytes(seed));
        let keep_log = config.keep_log.map_or(defaults.log.keep_log, millis);
        let log = log::Config { keep_log, reads: config.reader, ..defaults.log };
        let replica_config = Config { log, max_open_of_owner: config.max_open, max_total_of_owner: config.max_total };
        let data_dir = config.data_dir;
        let disk = Disk::new(&data_dir, config.min_free)
            .map_err(|error| NodeError::DataDir { path: data_dir.clone(), error })?;
        let replica = Replica::open(replica_config.clone(), store, start, clocks.now());
        let replica = replica.map_err(|error| match error {
            OpenError::NotStarted => NodeError::NoCluster(data_dir.clone()),
            error => error.into(),
        })?;
        // A node that returns may have a token of a cluster that was recovered from its own.
        if let (Some(join), None, Some(founding)) = (&join, replica.returning(), replica.founding())
            && join.token.id().cluster != founding.id
        {
            let (ours, theirs) = (founding.id, join.token.id().cluster);
            // A recovered cluster has another id than the one whose token the settings may still have.
            if founding.former.is_empty() {
                let reads = config.reader;
                return Err(NodeError::OtherCluster { dir: data_dir, ours, theirs, reads });
            }
            tracing::warn!(%ours, %theirs, "the join token is one of another cluster than this node's and is not used; take it out of the settings");
        }
        let (calls_sender, calls) = mpsc::channel(QUEUE);
        let (stop, stopping) = mpsc::channel(1);
        let (backups_sender, backups) = mpsc::channel(1);
        let watches = Watches::new(node, replica.last_event(), transport.handle(), limits);
        let handle = Handle::new(watches.node.subscribe(), calls_sender, watches.events.subscribe());
        let last_backup = LastBackup::open(&data_dir);
        let handle = handle.with_watches(&watches).with_last_backup(last_backup.clone());
        let deliveries = Deliveries::start(handle.clone(), files_of_webhooks, config.webhooks, config.reader);
        let operator = Operator {
            deliveries: Arc::clone(&deliveries),
            identity: own_identity,
            address: contact_address,
            node: watches.node.subscribe(),
            cluster: watches.cluster.subscribe(),
            transport: watches.transport.subscribe(),
            backups: backups_sender,
            last_backup,
            reads: config.reader,
        };
        let (ended, limits) = (watches.ended.subscribe(), watches.limits.clone());
        let channels = Channels { disk_events, inputs, calls, backups, stopping };
        let lives = Incarnations { config: replica_config, clocks, transport, join, channels, watches, disk };
        let reception = match lives.start(replica, runtime) {
            Ok(joined) => Reception(joined),
            Err(error) => {
                deliveries.begin_to_stop();
                return Err(error);
            }
        };
        let handle = handle.with_nearby(nearby);
        Ok((Self { handle, peer_address, operator, limits, stop, ended, deliveries }, reception))
    }

    /// Returns a handle to ask the node.
    #[doc(hidden)]
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns the address at which QUIC listens.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Changes the limits of the node, which takes effect within a second. Registrations that were accepted before
    /// stay.
    pub fn set_limits(&self, limits: NodeLimits) {
        self.limits.send_replace(limits);
    }

    /// Returns the calls for operators.
    #[doc(hidden)]
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.operator.clone())
    }

    /// Resolves once the node has stopped.
    ///
    /// # Errors
    /// [`NodeError::Halted`] with the reason, where the node has stopped by itself.
    pub async fn stopped(&self) -> Result<Stopped, NodeError> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await.map(|ended| ended.clone());
        match ended {
            Ok(Some(Ended::Halted(reason))) => Err(NodeError::Halted(reason)),
            Ok(Some(Ended::Left)) => Ok(Stopped::Left),
            Ok(_) => Ok(Stopped::Asked),
            Err(_) => Err(NodeError::Halted("its driver has ended; see the log".to_owned())),
        }
    }

    /// Stops the node. Accepted requests are made durable, peers are told, and the data directory can be used again
    /// afterwards.
    pub async fn shutdown(self) {
        self.deliveries.stop().await;
        // Where the channel is full or closed, the node is stopping already.
        let _ = self.stop.try_send(());
        let mut ended = self.ended.clone();
        let _ = ended.wait_for(Option::is_some).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
