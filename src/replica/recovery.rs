//! Recovery from a disaster: where all other nodes are lost, a new cluster is made of what one directory holds.
//!
//! The prefixes of the old cluster's logs that the directory holds count, nothing more of these logs is ever taken, and
//! the only member of the new cluster decides everything undecided by itself. The new cluster has a new id and a new
//! secret, so that nodes of the old cluster that are still alive do not mix with it by accident: each joins under its
//! next incarnation, and issues again the registrations that were not saved.

use std::collections::BTreeMap;

use super::Replica;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::Cut;
use crate::log::{Founding, Secrets, StoredPhase, write_founding, write_secrets};
use crate::model::ClusterId;
use crate::name::Pepper;
use crate::store::Store;
use crate::store::schema::{self, Cell, Rows};

/// What a directory holds, for the operator who decides whether to make a cluster of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holdings {
    /// The node that the directory belongs to.
    pub node: NodeId,
    /// The number of members of its cluster with itself, as far as it knows.
    pub members: usize,
    /// The number of registrations of all nodes, with any outcome.
    pub registrations: u64,
    /// The number of registrations without a final outcome.
    pub pending: u64,
    /// The stored watermark: every op at or below it had arrived.
    pub watermark: Hlc,
    /// The latest timestamp that it knows of.
    pub latest: Hlc,
}

/// The reason why no cluster can be made of a directory. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoverError {
    /// The directory holds no whole state.
    #[error(
        "this data directory holds no whole state of a cluster: its node was about to take the state anew from another one, or never had it; nothing was changed. Recover from the directory of another node, or from a backup"
    )]
    NotWhole,
    /// The node has no further incarnation.
    #[error("this node has used up its incarnations; nothing was changed. Recover from the directory of another node")]
    UsedUp,
}

/// Undoes that a state was set aside for the next incarnation, where it is still whole, so that the replica opens with
/// it. It commits nothing.
///
/// # Errors
/// There is no whole state. Nothing was changed.
pub fn lay_open(store: &mut impl Store) -> Result<(), RecoverError> {
    match schema::Phase::load(store) {
        Some(StoredPhase::Whole { .. } | StoredPhase::Left) => {}
        Some(StoredPhase::Joining { back, set_aside: true }) => {
            schema::Node::save(store, &back.was);
            schema::Phase::save(store, &StoredPhase::Whole { leaving: false });
        }
        Some(StoredPhase::Joining { set_aside: false, .. }) | None => return Err(RecoverError::NotWhole),
    }
    Ok(())
}

impl<S: Store> Replica<S> {
    /// Returns what the store holds.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            node: self.me,
            members: self.log.membership().count(),
            registrations: schema::Registrations::count(&self.store) as u64,
            pending: self.registry.verdicts().pending(),
            watermark: self.log.frontiers().watermark(),
            latest: self.log.view().latest_known(),
        }
    }

    /// Makes a new cluster with this id and secret of a stopped node's store, in one batch, which is committed. The
    /// only member is the next incarnation of the node's key. When the node is next started it decides what is
    /// undecided and writes the events.
    ///
    /// # Errors
    /// The node has used up its incarnations. Nothing was changed.
    pub fn recover(mut self, id: ClusterId, secret: [u8; 32]) -> Result<(S, NodeId), RecoverError> {
        let former = self.saved();
        let own = former.keys().copied().filter(|node| node.key_part() == self.me.key_part());
        let last = own.max().map_or(self.me, |last| last.max(self.me));
        let next = last.next_incarnation().ok_or(RecoverError::UsedUp)?;
        let (latest, settings) = (self.log.view().latest_known(), self.log.cluster().settings());
        schema::Membership::empty(&mut self.store);
        schema::Contacts::empty(&mut self.store);
        self.writer().end_feed();
        // Names that were hashed must be found again, so the key of private names stays.
        let pepper =
            self.log.cluster().secrets(&self.store).map_or_else(|| Pepper::derive(&secret), |secrets| secrets.pepper);
        let store = &mut self.store;
        schema::SecretAge::clear_if_set(store);
        write_founding(store, &Founding { id, founders: [next].into(), former, settings });
        write_secrets(store, &Secrets { cluster: secret, age: Stamp::default(), pepper });
        schema::Swept::clear(store);
        schema::Node::save(store, &next);
        schema::Ceiling::save(store, &latest);
        store.commit();
        Ok((self.store.into_inner(), next))
    }

    /// Returns the nodes that were members or on their way to be, each with the prefix of its log that is in the store.
    fn saved(&self) -> BTreeMap<NodeId, Cut> {
        let logs = self.log.frontiers().logs();
        let known = self.log.membership().ever().chain(logs).chain([self.me]);
        known.map(|node| (node, self.log.frontiers().here(node))).collect()
    }
}
