//! Recovery from a disaster: where all other nodes are lost, a new cluster is made of what one directory holds.
//!
//! What is here of the old cluster's logs counts, nothing more of them is ever taken, and the new cluster's only member
//! decides by itself whatever was open. Its id and its secret are new, so that nodes of the old cluster which turn out to
//! live do not mix with it by accident: each comes in as its next incarnation, and registers again what was not saved.

use std::collections::BTreeMap;

use super::Replica;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::Cut;
use crate::log::{Founding, Secrets, StoredPhase, write_founding, write_secrets};
use crate::model::ClusterId;
use crate::name::Pepper;
use crate::store::Store;
use crate::store::schema::{self, Cell, Rows};

/// What a directory holds, for whoever is to decide whether a cluster is to be made of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holdings {
    /// Whose directory it is.
    pub node: NodeId,
    /// Members of its cluster, by what it knows; itself included.
    pub members: usize,
    /// Registrations of all nodes, whatever became of them.
    pub registrations: u64,
    /// Those of them whose outcome is open.
    pub pending: u64,
    /// Everything at or below it had arrived, by what it had stored.
    pub watermark: Hlc,
    /// The latest that it knows of anything.
    pub latest: Hlc,
}

/// No cluster can be made of a directory. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoverError {
    /// Its state is not whole.
    #[error(
        "this data directory holds no whole state of a cluster: its node was about to take the state anew from another one, or never had it; nothing was changed. Recover from the directory of another node, or from a backup"
    )]
    NotWhole,
    /// There is no further incarnation.
    #[error("this node has used up its incarnations; nothing was changed. Recover from the directory of another node")]
    UsedUp,
}

/// Takes back that a state was set aside for the next incarnation, where it is still whole, so that the replica opens
/// with it. Commits nothing.
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
    /// What its store holds.
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

    /// Makes a new cluster, with this id and secret, of what a stopped node left, with the next incarnation of its key as the only member. In one
    /// batch, which is committed. What is open is decided, and told, when the node is next started.
    ///
    /// # Errors
    /// It has used up its incarnations. Nothing was changed.
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

    /// Whoever was in the cluster or on the way, and how much of each log is here.
    fn saved(&self) -> BTreeMap<NodeId, Cut> {
        let logs = self.log.frontiers().logs();
        let known = self.log.membership().ever().chain(logs).chain([self.me]);
        known.map(|node| (node, self.log.frontiers().here(node))).collect()
    }
}
