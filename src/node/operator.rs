//! A node's answers to the requests of operators.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::admin::{Admin, Backup, BackupAnswer};
use super::incarnations::{BackupCall, KnownCluster};
use super::last_backup::LastBackup;
use super::webhooks::Deliveries;
use super::{driver, millis, random};
use crate::backup::Head;
use crate::clock::{Millis, NodeId};
use crate::replica::Refusal;
use crate::store::disk;
use crate::transport::{self, Identity, JoinToken, TokenId, WireVersion};

/// The calls for operators that the replica does not answer.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) identity: Identity,
    /// The address at which other nodes reach this one.
    pub(super) address: String,
    pub(super) node: watch::Receiver<NodeId>,
    pub(super) cluster: watch::Receiver<Option<KnownCluster>>,
    pub(super) transport: watch::Receiver<Option<transport::Handle>>,
    pub(super) backups: mpsc::Sender<BackupCall>,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) last_backup: LastBackup,
    /// True for a reader, which has no secret of the cluster and can neither let anybody in nor be restored.
    pub(super) reads: bool,
}

/// The number of members that a token names at most. A guess: some of them still run when the token is used.
const ADDRESSES: usize = 5;

impl Operator {
    /// Returns the addresses at which a newcomer finds members: this one, and some that are connected.
    fn addresses(&self) -> Vec<String> {
        let others = self.transport.borrow().as_ref().map(transport::Handle::member_addresses).unwrap_or_default();
        let all = std::iter::once(self.address.clone()).chain(others);
        // A node can listen at a wildcard address, and cannot be reached at it.
        let anywhere = |address: &String| address.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_unspecified());
        all.filter(|address| !anywhere(address)).take(ADDRESSES).collect()
    }

    /// Refuses what only a member can do.
    fn only_a_member(&self) -> Result<(), Refusal> {
        let members = || self.transport.borrow().as_ref().map(transport::Handle::member_addresses).unwrap_or_default();
        if self.reads { Err(Refusal::Reader { members: members() }) } else { Ok(()) }
    }
}

impl Admin for Operator {
    fn mint_token(&self, ttl: Duration, uses: u32, reads: bool) -> Result<String, Refusal> {
        self.only_a_member()?;
        let known = self.cluster.borrow().clone().ok_or(Refusal::NotMember)?;
        let key = known.key.ok_or(Refusal::NotMember)?;
        let expires = Millis(driver::wall().0.saturating_add(millis(ttl)));
        let nonce = random().map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let id = TokenId { cluster: known.id, expires, uses, nonce };
        let token = if reads { JoinToken::for_reader(&key, id) } else { JoinToken::of(&key, id) };
        Ok(token.at(self.addresses()).to_word())
    }

    fn backup(&self) -> BackupAnswer<'_> {
        Box::pin(async {
            self.only_a_member()?;
            // Before the node has the cluster's state a backup would be of no use.
            if self.cluster.borrow().is_none() {
                return Err(Refusal::NotMember);
            }
            let (node, key, store) = (*self.node.borrow(), self.identity.to_backup(), disk::format_record());
            let head = Head { node, time: driver::wall(), store, key };
            let (asked, parts) = oneshot::channel();
            let stopping = || Refusal::Unavailable("it is stopping".to_owned());
            self.backups.send(asked).await.map_err(|_| stopping())?;
            let parts = parts.await.map_err(|_| stopping())?;
            Ok(Backup { head, parts, last: self.last_backup.clone() })
        })
    }

    fn random(&self) -> Result<[u8; 32], Refusal> {
        random().map_err(|error| Refusal::Unavailable(error.to_string()))
    }

    fn wires(&self) -> BTreeMap<NodeId, WireVersion> {
        self.transport.borrow().as_ref().map(transport::Handle::wires).unwrap_or_default()
    }

    fn deliveries(&self) -> Option<&Deliveries> {
        Some(&self.deliveries)
    }

    fn queued(&self) -> BTreeMap<NodeId, usize> {
        self.transport.borrow().as_ref().map(transport::Handle::queued).unwrap_or_default()
    }
}
