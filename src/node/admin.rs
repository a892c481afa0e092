//! The calls for operators that the replica of a node does not answer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;

use super::last_backup::LastBackup;
use super::webhooks::Deliveries;
use crate::backup::Head;
use crate::clock::NodeId;
use crate::replica::Refusal;
use crate::store::SnapshotPart;
use crate::transport::WireVersion;

/// The answer to a request for a backup.
pub type BackupAnswer<'a> = Pin<Box<dyn Future<Output = Result<Backup, Refusal>> + Send + 'a>>;

/// A backup that is being read. Drop it to stop it, and before the directory is opened again.
#[derive(Debug)]
pub struct Backup {
    /// The node and the time of the backup.
    pub head: Head,
    /// The rows of all tables.
    pub parts: mpsc::Receiver<SnapshotPart>,
    /// Where the backup is recorded once whoever asked for it has all of it.
    pub last: LastBackup,
}

/// See the module's documentation.
pub trait Admin: Send + Sync {
    /// Makes a token with which `uses` newcomers can join within `ttl`, or one with which readers can connect so long.
    ///
    /// # Errors
    /// There is none. As a rule the node is still joining.
    fn mint_token(&self, ttl: Duration, uses: u32, reads: bool) -> Result<String, Refusal>;

    /// Begins a backup: all tables of the node as they are on disk, and its identity.
    ///
    /// # Errors
    /// There is none. As a rule the node is still joining.
    fn backup(&self) -> BackupAnswer<'_>;

    /// Makes a new secret.
    ///
    /// # Errors
    /// The system has no random numbers.
    fn random(&self) -> Result<[u8; 32], Refusal>;

    /// The wire versions that this node and its connected peers speak, as far as they are known.
    fn wires(&self) -> BTreeMap<NodeId, WireVersion>;

    /// The number of bytes of messages that wait to be sent to each connected peer.
    fn queued(&self) -> BTreeMap<NodeId, usize>;

    /// The deliveries to webhooks; none where it is not a node that answers, as in tests.
    fn deliveries(&self) -> Option<&Deliveries> {
        None
    }
}
