//! The laws: a lattice together with its store is a state that takes ops, and that can be joined with another one.

use crdts::{CmRDT, CvRDT, Dot, VClock};

use super::lattice::{Effects, Lattice};
use super::op::{NameOp, Register};
use super::record::{Namespace, Registration};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::model::Seq;
use crate::store::Store;
use crate::store::schema::{self, Found, Rows, Span};

/// An op with its place among those of its origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its stamp.
    pub stamp: Stamp,
    /// Its number.
    pub seq: Seq,
    /// What it says.
    pub op: NameOp,
}

/// The op is not the next one of its origin. The state is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("op {got} of {origin} is not the next one: {expected} is missing")]
pub struct ApplyError {
    /// Whose op.
    pub origin: NodeId,
    /// The next one.
    pub expected: Seq,
    /// The one given.
    pub got: Seq,
}

/// Why two states cannot be merged. Both are as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MergeError {
    /// They hold different registrations, or rules of a namespace, under one stamp: one of them was never an honest
    /// member's.
    #[error("two different registrations, or rules of a namespace, carry the stamp {0}")]
    TwoOfOneStamp(Stamp),
    /// One of them has forgotten registrations that the other may hold.
    #[error("one of the states has forgotten registrations; it can be taken over as a whole, but not merged")]
    Forgetful,
}

/// A lattice with the store that it is kept in.
#[derive(Clone, Debug)]
pub struct State<S> {
    /// Where it is kept.
    pub store: S,
    /// What is at hand of it.
    pub lattice: Lattice,
    /// The ops of each origin that were applied.
    pub applied: VClock<NodeId>,
}

impl<S: Store> State<S> {
    /// The state that a store holds, to which these prefixes of logs were applied.
    pub fn load(store: S, applied: VClock<NodeId>) -> Self {
        Self { lattice: Lattice::load(&store), store, applied }
    }

    /// Applies the next op of its origin; nothing for one that was applied before.
    ///
    /// # Errors
    /// A gap, and then nothing was changed.
    pub fn apply_entry(&mut self, entry: &Entry) -> Result<Effects, ApplyError> {
        self.validate_op(entry)?;
        let origin = entry.stamp.node;
        if entry.seq <= self.applied.get(&origin) {
            return Ok(Effects::default());
        }
        self.applied.apply(Dot::new(origin, entry.seq));
        Ok(self.lattice.apply(&mut self.store, entry.stamp, entry.seq, &entry.op))
    }

    /// The join of what two states know of one registration.
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

/// What is to be known of each row of a table.
fn rows<T: Rows, A>(store: &dyn Store, look: impl Fn(Found<'_, T>) -> Option<A>) -> Vec<A> {
    let mut all = Vec::new();
    T::each(store, &Span::all(), |found| all.extend(look(found)));
    all
}

fn namespace(found: Found<'_, schema::Namespaces>) -> Option<(String, Namespace)> {
    Some((found.key()?.to_owned(), found.row()))
}

impl<S: Store> CmRDT for State<S> {
    type Op = Entry;
    type Validation = ApplyError;

    fn validate_op(&self, entry: &Entry) -> Result<(), ApplyError> {
        let (origin, got) = (entry.stamp.node, entry.seq);
        let expected = self.applied.get(&origin) + 1;
        if got > expected { Err(ApplyError { origin, expected, got }) } else { Ok(()) }
    }

    /// Applies an op; an op after a gap, which [`CmRDT::validate_op`] refuses, changes nothing.
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
        self.applied.merge(other.applied);
    }
}

/// What a registration's op said, without what became of it.
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
