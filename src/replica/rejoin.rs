//! What becomes of a stopped node's directory that is not its latest: the next incarnation's.

use super::Replica;
use crate::clock::NodeId;
use crate::log::{Exit, Return, StoredPhase};
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// A data directory cannot become that of the next incarnation. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RejoinError {
    /// There is nobody to join.
    #[error(
        "this node knows of no other node; nothing was changed. If its cluster is lost, `forename recover` makes a new one of what is here"
    )]
    Alone,
    /// There is no further incarnation.
    #[error("this node has used up its incarnations; nothing was changed. Start a new node on an empty data directory")]
    UsedUp,
}

impl<S: Store> Replica<S> {
    /// How to find the cluster that this node was evicted from; none where it was not, or is back.
    pub fn returning(&self) -> Option<Return> {
        schema::Phase::load(&self.store).and_then(StoredPhase::returning)
    }

    /// Makes what a stopped node left the beginning of its next incarnation, which joins the cluster anew and registers
    /// again what the cluster does not know of. For a data directory that is not the node's latest any more.
    ///
    /// # Errors
    /// It knows of no other node that could let it in, or has used up its incarnations. Nothing was changed.
    pub fn rejoin(self) -> Result<(S, NodeId), RejoinError> {
        if self.returning().is_some() {
            return Ok((self.store.into_inner(), self.me));
        }
        if self.knows_others() { self.set_aside() } else { Err(RejoinError::Alone) }
    }

    /// Whether it knows, or knew, of any other node.
    pub fn knows_others(&self) -> bool {
        self.log.contacts().knows_others(self.me)
    }

    /// The same for what a backup holds, also where its node was alone: what becomes of it is then for its operator to
    /// say, and until that the directory does not open.
    ///
    /// # Errors
    /// It has used up its incarnations. Nothing was changed.
    pub fn restored(self) -> Result<(S, NodeId), RejoinError> {
        // The copy was made on the way into the next life.
        if self.returning().is_some() { Ok((self.store.into_inner(), self.me)) } else { self.set_aside() }
    }

    fn set_aside(mut self) -> Result<(S, NodeId), RejoinError> {
        let next = self.me.next_incarnation().ok_or(RejoinError::UsedUp)?;
        // What it thinks to be decided may be so only here.
        self.writer().keep_void(1);
        self.log.end(&mut self.store, &Exit::Anew(next, 1));
        self.store.commit();
        Ok((self.store.into_inner(), next))
    }
}
