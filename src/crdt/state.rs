//! The laws: a lattice together with its store is a state that takes ops, and that can be joined with another one.

use crdts::{CmRDT, CvRDT, VClock};

use super::lattice::{ApplyError, Effects, Lattice};
use super::op::{Op, Register, Seq};
use super::record::{Namespace, Registration};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::store::Store;
use crate::store::schema::{self, Found, Rows, Span};

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
}

impl<S: Store> State<S> {
    /// The state that a store holds, to which these prefixes of logs were applied.
    pub fn load(store: S, applied: VClock<NodeId>) -> Self {
        let lattice = Lattice::load(&store, applied);
        Self { store, lattice }
    }

    /// Applies the next op of its origin, see [`Lattice::apply_op`].
    ///
    /// # Errors
    /// A gap, and then nothing was changed.
    pub fn apply_op(&mut self, op: &Op) -> Result<Effects, ApplyError> {
        self.lattice.apply_op(&mut self.store, op)
    }

    /// The join of what two states know of one registration.
    fn merge_registration(&mut self, theirs: Registration) {
        let Self { store, lattice } = self;
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
fn rows<T: Rows, A>(store: &impl Store, look: impl Fn(Found<'_, T>) -> Option<A>) -> Vec<A> {
    let mut all = Vec::new();
    T::each(store, &Span::all(), |found| all.extend(look(found)));
    all
}

fn namespace(found: Found<'_, schema::Namespaces>) -> Option<(String, Namespace)> {
    Some((found.key()?.to_owned(), found.row()))
}

impl<S: Store> CmRDT for State<S> {
    type Op = Op;
    type Validation = ApplyError;

    fn validate_op(&self, op: &Op) -> Result<(), ApplyError> {
        let expected = self.lattice.applied.get(&op.node) + 1;
        if op.seq > expected { Err(ApplyError { origin: op.node, expected, got: op.seq }) } else { Ok(()) }
    }

    /// Applies an op; an op after a gap, which [`CmRDT::validate_op`] refuses, changes nothing.
    fn apply(&mut self, op: Op) {
        if let Err(error) = self.apply_op(&op) {
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
        self.lattice.applied.merge(other.lattice.applied);
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
    };
    (registration.seq, register)
}
