//! A node's answer to what operators ask.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::admin::{Admin, Backup, BackupAnswer};
use super::incarnations::{BackupCall, KnownCluster};
use super::{driver, millis, random};
use crate::backup::Head;
use crate::clock::{Millis, NodeId};
use crate::replica::Refusal;
use crate::store::disk;
use crate::transport::{self, Identity, WireVersion, mint_token};

/// What an operator may do besides asking the replica.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) identity: Identity,
    pub(super) node: watch::Receiver<NodeId>,
    pub(super) cluster: watch::Receiver<Option<KnownCluster>>,
    pub(super) transport: watch::Receiver<Option<transport::Handle>>,
    pub(super) backups: mpsc::Sender<BackupCall>,
}

impl Admin for Operator {
    fn mint_token(&self, ttl: Duration) -> Result<String, Refusal> {
        let key = self.cluster.borrow().as_ref().and_then(|cluster| cluster.key.clone()).ok_or(Refusal::NotMember)?;
        let expires = Millis(driver::wall().0.saturating_add(millis(ttl)));
        let nonce = random().map_err(|error| Refusal::Unavailable(error.to_string()))?;
        Ok(mint_token(&key, expires, nonce))
    }

    fn backup(&self) -> BackupAnswer<'_> {
        Box::pin(async {
            // Without the cluster's state there is nothing that a backup could bring back.
            if self.cluster.borrow().is_none() {
                return Err(Refusal::NotMember);
            }
            let (node, key, store) = (*self.node.borrow(), self.identity.to_backup(), disk::format_record());
            let head = Head { node, time: driver::wall(), store, key };
            let (asked, parts) = oneshot::channel();
            let stopping = || Refusal::Unavailable("it is stopping".to_owned());
            self.backups.send(asked).await.map_err(|_| stopping())?;
            let parts = parts.await.map_err(|_| stopping())?;
            Ok(Backup { head, parts })
        })
    }

    fn wires(&self) -> BTreeMap<NodeId, WireVersion> {
        self.transport.borrow().as_ref().map(transport::Handle::wires).unwrap_or_default()
    }
}
