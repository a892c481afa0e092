//! The CRDT laws: a lattice together with its store is a state that applies ops, and that can be merged with another
//! one.

use crdts::{CmRDT, CvRDT, Dot, VClock};
use uuid::Uuid;

use super::lattice::{Effects, Lattice};
use super::op::{NameOp, Register};
use super::record::{Namespace, Registration};
use super::webhook::Webhook;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::model::Seq;
use crate::store::Store;
use crate::store::schema::{self, Found, Rows, Span};

/// An op with its number in its origin's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The op's stamp.
    pub stamp: Stamp,
    /// The op's number in its origin's log.
    pub seq: Seq,
    /// The op itself.
    pub op: NameOp,
}

/// The op is not the next one of its origin. The state is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("op {got} of {origin} is not the next one: {expected} is missing")]
pub struct ApplyError {
    /// The op's origin.
    pub origin: NodeId,
    /// The number of the op that is missing.
    pub expected: Seq,
    /// The number of the op that was given.
    pub got: Seq,
}

/// The reason why two states cannot be merged. Both are unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MergeError {
    /// They hold different registrations, or different rules of a namespace, under one stamp. A correct member issues
    /// no two ops under one stamp.
    #[error("two different registrations, or rules of a namespace, carry the stamp {0}")]
    TwoOfOneStamp(Stamp),
    /// One of them has forgotten registrations that the other may hold.
    #[error("one of the states has forgotten registrations; it can be taken over as a whole, but not merged")]
    Forgetful,
}

/// A lattice with its store.
#[derive(Clone, Debug)]
pub struct State<S> {
    /// The rows.
    pub store: S,
    /// The part of the state in memory.
    pub lattice: Lattice,
    /// How many ops of each origin were applied.
    pub applied: VClock<NodeId>,
}

impl<S: Store> State<S> {
    /// Loads the state from a store to which these prefixes of logs were applied.
    pub fn load(store: S, applied: VClock<NodeId>) -> Self {
        Self { lattice: Lattice::load(&store), store, applied }
    }

    /// Applies the next op of its origin. An op that was applied before changes nothing.
    ///
    /// # Errors
    /// Fails where ops before this one are missing; the state is then unchanged.
    pub fn apply_entry(&mut self, entry: &Entry) -> Result<Effects, ApplyError> {
        self.validate_op(entry)?;
        let origin = entry.stamp.node;
        if entry.seq <= self.applied.get(&origin) {
            return Ok(Effects::default());
        }
        self.applied.apply(Dot::new(origin, entry.seq));
        Ok(self.lattice.apply(&mut self.store, entry.stamp, entry.seq, &entry.op))
    }

    /// Merges what another state knows of one registration into this state.
    fn merge_registration(&mut self, theirs: Registration) {
        let Self { store, lattice, .. } = self;
        if Registration::load(store, theirs.stamp).is_none() {
            let fresh = Registration { lost: false, ..theirs.clone() };
            lattice.register(store, fresh);
        }
        let Some(mut ours) = Registration::load(store, theirs.stamp) else { return };
        ours.lost |= theirs.lost;
        ours.rejected |= theirs.rejected;
        ours.activated = ours.activated.into_iter().chain(theirs.activated).min();
        let end = ours.end();
        ours.extensions.join(theirs.extensions);
        lattice.index_end(store, &ours, end);
        ours.erase = ours.erase.into_iter().chain(theirs.erase).min();
        if let Some(by) = ours.erase {
            lattice.enter_erasing(store, ours.stamp, by);
        }
        for (ours, theirs) in ours.claims.iter_mut().zip(theirs.claims) {
            ours.released |= theirs.released;
            ours.ended = ours.ended.into_iter().chain(theirs.ended).min();
        }
        ours.save(store);
    }
}

/// Returns what `look` makes of each row of a table.
fn rows<T: Rows, A>(store: &dyn Store, look: impl Fn(Found<'_, T>) -> Option<A>) -> Vec<A> {
    let mut all = Vec::new();
    T::each(store, &Span::all(), |found| all.extend(look(found)));
    all
}

fn namespace(found: Found<'_, schema::Namespaces>) -> Option<(String, Namespace)> {
    Some((found.key()?.to_owned(), found.row()))
}

fn webhook(found: Found<'_, schema::Webhooks>) -> Option<(Uuid, Webhook)> {
    Some((found.key()?, found.row()))
}

impl<S: Store> CmRDT for State<S> {
    type Op = Entry;
    type Validation = ApplyError;

    fn validate_op(&self, entry: &Entry) -> Result<(), ApplyError> {
        let (origin, got) = (entry.stamp.node, entry.seq);
        let expected = self.applied.get(&origin) + 1;
        if got > expected { Err(ApplyError { origin, expected, got }) } else { Ok(()) }
    }

    /// Applies an op. An op after a gap, which [`CmRDT::validate_op`] refuses, changes nothing.
    fn apply(&mut self, entry: Entry) {
        if let Err(error) = self.apply_entry(&entry) {
            tracing::debug!(%error, "op not applied");
        }
    }
}

impl<S: Store> CvRDT for State<S> {
    type Validation = MergeError;

    fn validate_merge(&self, other: &Self) -> Result<(), MergeError> {
        if self.lattice.settled.max(other.lattice.settled) > Hlc::ZERO {
            return Err(MergeError::Forgetful);
        }
        for theirs in rows::<schema::Registrations, _>(&other.store, |found| Some(found.row())) {
            let ours = Registration::load(&self.store, theirs.stamp);
            if ours.is_some_and(|ours| content(&ours) != content(&theirs)) {
                return Err(MergeError::TwoOfOneStamp(theirs.stamp));
            }
        }
        for (namespace, theirs) in rows(&other.store, namespace) {
            let ours = Namespace::load(&self.store, &namespace);
            if ours.is_some_and(|ours| ours.stamp == theirs.stamp && ours != theirs) {
                return Err(MergeError::TwoOfOneStamp(theirs.stamp));
            }
        }
        for (id, theirs) in rows(&other.store, webhook) {
            let ours = Webhook::load(&self.store, id);
            if ours.is_some_and(|ours| ours.contradicts(&theirs)) {
                return Err(MergeError::TwoOfOneStamp(theirs.stamp));
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for theirs in rows::<schema::Registrations, _>(&other.store, |found| Some(found.row())) {
            self.merge_registration(theirs);
        }
        for (stamp, waiting) in rows::<schema::Early, _>(&other.store, |found| Some((found.key()?, found.row()))) {
            for early in waiting {
                self.lattice.early(&mut self.store, stamp, early);
            }
        }
        for (namespace, theirs) in rows(&other.store, namespace) {
            self.lattice.set_rules(&mut self.store, &namespace, theirs);
        }
        for (id, theirs) in rows(&other.store, webhook) {
            self.lattice.join_webhook(&mut self.store, id, &theirs);
        }
        self.applied.merge(other.applied);
    }
}

/// Returns a registration's op, without the effects of later ops.
fn content(registration: &Registration) -> (Seq, Register) {
    let registration = registration.clone();
    let register = Register {
        id: registration.chosen_id,
        owner: registration.owner,
        claims: registration.claims.into_iter().map(|record| record.claim).collect(),
        expires: registration.expires,
        replaces: registration.replaces,
        metadata: registration.metadata,
        accepted: registration.accepted,
    };
    (registration.seq, register)
}
