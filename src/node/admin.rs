//! What an operator may do at a node besides asking its replica.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::backup::Head;
use crate::clock::NodeId;
use crate::replica::Refusal;
use crate::store::SnapshotPart;
use crate::transport::WireVersion;

/// What becomes of a request for a backup.
pub type BackupAnswer<'a> = Pin<Box<dyn Future<Output = Result<Backup, Refusal>> + Send + 'a>>;

/// A backup on its way: drop it to stop it, also before the directory is opened again.
#[derive(Debug)]
pub struct Backup {
    /// Whose it is.
    pub head: Head,
    /// All tables.
    pub parts: mpsc::Receiver<SnapshotPart>,
}

/// See the module's text.
pub trait Admin: Send + Sync {
    /// A token that lets so many newcomers join for so long.
    ///
    /// # Errors
    /// Why there is none: the node is still joining, as a rule.
    fn mint_token(&self, ttl: Duration, uses: u32) -> Result<String, Refusal>;

    /// All tables of the node as they are on disk, and its identity.
    ///
    /// # Errors
    /// Why there is none: the node is still joining, as a rule.
    fn backup(&self) -> BackupAnswer<'_>;

    /// A new secret.
    ///
    /// # Errors
    /// The system has no random numbers.
    fn random(&self) -> Result<[u8; 32], Refusal>;

    /// The wire versions that this node and its connected peers speak, as far as they are known.
    fn wires(&self) -> BTreeMap<NodeId, WireVersion>;

    /// Bytes of messages that wait to be sent to each connected peer.
    fn queued(&self) -> BTreeMap<NodeId, usize>;
}
