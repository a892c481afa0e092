//! Rejoining: a stopped node's directory becomes that of the next incarnation.

use super::Replica;
use crate::clock::NodeId;
use crate::log::{Exit, Return, StoredPhase};
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// The reason why a data directory cannot become that of the next incarnation. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RejoinError {
    /// The node knows of no other node that it could join.
    #[error(
        "this node knows of no other node; nothing was changed. If its cluster is lost, `forename recover` makes a new one of what is here"
    )]
    Alone,
    /// The node has no further incarnation.
    #[error("this node has used up its incarnations; nothing was changed. Start a new node on an empty data directory")]
    UsedUp,
}

impl<S: Store> Replica<S> {
    /// Returns what this node needs to find the cluster that it was evicted from; none where it was not evicted, or is
    /// back.
    pub fn returning(&self) -> Option<Return> {
        schema::Phase::load(&self.store).and_then(StoredPhase::returning)
    }

    /// Makes the store of a stopped node that of its next incarnation, which joins the cluster anew and issues again
    /// the registrations that the cluster does not know. It is for a data directory that is not the node's latest one.
    ///
    /// # Errors
    /// The node knows of no other node that could admit it, or has used up its incarnations. Nothing was changed.
    pub fn rejoin(self) -> Result<(S, NodeId), RejoinError> {
        if self.returning().is_some() {
            return Ok((self.store.into_inner(), self.me));
        }
        if self.knows_others() { self.set_aside() } else { Err(RejoinError::Alone) }
    }

    /// Returns true where the node knows, or knew, of any other node.
    pub fn knows_others(&self) -> bool {
        self.log.contacts().knows_others(self.me)
    }

    /// Does the same for the store of a backup, also where its node was alone. Such a directory does not open until its
    /// operator has said what to do with it.
    ///
    /// # Errors
    /// The node has used up its incarnations. Nothing was changed.
    pub fn restored(self) -> Result<(S, NodeId), RejoinError> {
        // The backup was made while the node was already on its way into its next incarnation.
        if self.returning().is_some() { Ok((self.store.into_inner(), self.me)) } else { self.set_aside() }
    }

    fn set_aside(mut self) -> Result<(S, NodeId), RejoinError> {
        let next = self.me.next_incarnation().ok_or(RejoinError::UsedUp)?;
        // What this copy knows as decided may be decided nowhere else.
        self.writer().keep_void(1);
        self.log.end(&mut self.store, &Exit::Anew(next, 1));
        self.store.commit();
        Ok((self.store.into_inner(), next))
    }
}
