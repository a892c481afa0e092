//! A node in this process: its identity, store, transport and driver, put together.

mod admin;
#[doc(hidden)]
pub mod descriptors;
mod disk_space;
mod driver;
mod error;
mod handle;
mod health;
mod incarnations;
mod init;
mod limits;
#[doc(hidden)]
pub mod offline;
mod operator;
mod rejoin;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

#[doc(hidden)]
pub use self::admin::{Admin, Backup, BackupAnswer};
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
pub use self::limits::NodeLimits;
use self::operator::Operator;
use self::rejoin::WayIn;
use crate::files;
use crate::log;
use crate::model::limits::MAX_OPEN_OF_OWNER;
use crate::model::{ClusterSettings, ClusterSettingsBody};
use crate::replica::{Config, Contact, OpenError, Replica, Start, node_in};
use crate::store::disk::{DiskOptions, DiskStore};
use crate::transport::{Identity, JoinToken, Limits, LinkFilter, Transport, TransportConfig, WireVersion};

/// Requests and inputs that wait for the driver at most. A guess: some steps' worth.
const QUEUE: usize = 4096;

/// Bytes of the disk that are kept for what a node must still write where nobody says otherwise: releases, what peers
/// send, and compactions, which write before they delete. A guess: a few minutes of a busy node.
pub const MIN_FREE: u64 = 512 << 20;

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
    /// With an empty data directory: join this cluster. A node that comes back after an eviction, or as the next incarnation
    /// of an old directory, asks here too. Not looked at otherwise.
    pub join: Option<JoinConfig>,
    /// With an empty data directory and nobody to join: found a cluster. See [`NodeConfig::founding`].
    pub found: Option<ClusterSettings>,
    /// Registrations of one owner that may be open at once at this node: undecided, or reservations that are not
    /// activated; none: any number.
    pub max_open: Option<u32>,
    /// Registrations of one owner that may hold names, as this node knows them, permanent ones counted; none: any number.
    pub max_total: Option<u32>,
    /// Ops that all members hold leave the log after so long; none: after a minute.
    pub keep_log: Option<Duration>,
    /// Registrations are refused where the disk has fewer bytes free.
    pub min_free: u64,
    /// Cuts links, for demonstrations and tests.
    #[doc(hidden)]
    pub links: Option<Arc<dyn LinkFilter>>,
}

impl From<&NodeConfig> for NodeLimits {
    fn from(config: &NodeConfig) -> Self {
        Self { max_open: config.max_open, max_total: config.max_total, min_free: config.min_free }
    }
}

impl NodeConfig {
    /// A node that goes on with what the directory holds. QUIC listens on loopback, at a port that the system chooses.
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
            found: None,
            max_open: Some(MAX_OPEN_OF_OWNER),
            max_total: None,
            keep_log: None,
            min_free: MIN_FREE,
            links: None,
        }
    }

    /// The same, and where the directory is empty the node founds a cluster with these settings, whose bounds are not checked.
    ///
    /// For tests and demonstrations, whose directories nobody loses. A node whose directory is lost would found another
    /// cluster without a word and confirm names that the real one has given to others: for lasting data use [`Node::init`],
    /// once.
    #[must_use]
    pub fn founding(self, settings: ClusterSettings) -> Self {
        Self { found: Some(settings), ..self }
    }
}

/// How a newcomer gets in.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// The QUIC address of a member; none for those that the token names.
    pub address: Option<String>,
    /// What `forename member token` printed.
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

/// How a newcomer's sponsor takes its token.
#[derive(Debug)]
pub struct Reception(mpsc::Receiver<JoinOutcome>);

impl Reception {
    /// Resolves once the sponsor has taken the token; at once for a node that is no newcomer.
    ///
    /// # Errors
    /// [`NodeError::Join`]: it has refused. The node still runs, and nobody lets it in: shut it down.
    pub async fn outcome(mut self) -> Result<(), NodeError> {
        match self.0.recv().await {
            Some(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// How a node came to its end without a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// It was asked to stop, and can be started again.
    Asked,
    /// It has left its cluster, for good.
    Left,
}

/// A node within this process. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    peer_address: SocketAddr,
    operator: Operator,
    limits: watch::Sender<NodeLimits>,
    stop: mpsc::Sender<()>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Node {
    /// Founds a cluster with these settings, the others being the defaults, of one member in a directory that is empty or not there; to be done once. [`Node::start`] then runs
    /// that member.
    ///
    /// # Errors
    /// See [`InitError`].
    pub fn init(data_dir: impl AsRef<Path>, settings: &ClusterSettingsBody) -> Result<Founded, InitError> {
        init::init(data_dir.as_ref(), settings)
    }

    /// Starts a node: goes on with what the data directory holds, or joins a cluster. A newcomer returns once its sponsor
    /// has taken the token; that it is a member shows later.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing runs then.
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

    /// The same without waiting for a sponsor: the node can be asked at once, and says that it is no member yet.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing runs then.
    pub fn launch(config: NodeConfig) -> Result<(Self, Reception), NodeError> {
        let join = config.join.as_ref().map(JoinConfig::way_in).transpose()?;
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
        let identity = Identity::load_or_create(&config.data_dir)?;
        let (public_key, own_identity) = (identity.public_key(), identity.clone());
        let (disk_sender, disk_events) = mpsc::unbounded_channel();
        // The driver is gone only when nobody waits for its store any more.
        let store =
            DiskStore::open(&config.data_dir, &DiskOptions::default(), move |event| drop(disk_sender.send(event)))?;
        let node = node_in(&store, identity.node_id(0));
        let (inputs_sender, inputs) = mpsc::channel(QUEUE);
        let transport = Transport::start(TransportConfig {
            identity,
            node,
            listen: config.peer_listen,
            wire: WireVersion::PRESENT,
            links: config.links,
            inputs: inputs_sender,
            limits: Limits::default(),
        })?;
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
        let start = match &config.join {
            Some(_) => Some(Start::Join),
            None => config.found.map(|settings| init::founding(node, settings)).transpose()?.map(Into::into),
        };
        let defaults = Config::new(contact, u64::from_le_bytes(seed));
        let keep_log = config.keep_log.map_or(defaults.log.keep_log, millis);
        let log = log::Config { keep_log, ..defaults.log };
        let replica_config = Config { log, max_open_of_owner: config.max_open, max_total_of_owner: config.max_total };
        let disk = Disk::new(&config.data_dir, config.min_free)
            .map_err(|error| NodeError::DataDir { path: config.data_dir.clone(), error })?;
        let replica = Replica::open(replica_config.clone(), store, start, clocks.now());
        let replica = replica.map_err(|error| match error {
            OpenError::NotStarted => NodeError::NoCluster(config.data_dir),
            error => error.into(),
        })?;
        let (calls_sender, calls) = mpsc::channel(QUEUE);
        let (stop, stopping) = mpsc::channel(1);
        let (backups_sender, backups) = mpsc::channel(1);
        let watches = Watches::new(node, replica.last_event(), transport.handle(), limits);
        let handle = Handle::new(watches.node.subscribe(), calls_sender, watches.events.subscribe());
        let handle = handle.with_watches(&watches);
        let operator = Operator {
            identity: own_identity,
            address: contact_address,
            node: watches.node.subscribe(),
            cluster: watches.cluster.subscribe(),
            transport: watches.transport.subscribe(),
            backups: backups_sender,
        };
        let (ended, limits) = (watches.ended.subscribe(), watches.limits.clone());
        let channels = Channels { disk_events, inputs, calls, backups, stopping };
        let lives = Incarnations { config: replica_config, clocks, transport, join, channels, watches, disk };
        let reception = Reception(lives.start(replica)?);
        Ok((Self { handle, peer_address, operator, limits, stop, ended }, reception))
    }

    /// To ask it.
    #[doc(hidden)]
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where QUIC listens.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Changes the limits of the node, within a second. What was taken stays.
    pub fn set_limits(&self, limits: NodeLimits) {
        self.limits.send_replace(limits);
    }

    /// What an operator may do.
    #[doc(hidden)]
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.operator.clone())
    }

    /// Resolves when the node has stopped.
    ///
    /// # Errors
    /// It halted by itself, and why.
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

    /// Stops it: what was accepted is made durable, peers are told, and the data directory is free again.
    pub async fn shutdown(self) {
        // Full or closed: it is stopping already.
        let _ = self.stop.try_send(());
        let mut ended = self.ended;
        let _ = ended.wait_for(Option::is_some).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
