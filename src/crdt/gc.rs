//! Forgetting: what the registry need not remember of registrations that are over, and what it must.
//!
//! A name keeps the leader of its last tenure, as a bare stamp, because the next claim follows it (`tenures/leave.rs`). Whatever follows an
//! earlier tenure comes too late and is displaced, as it would be if all were remembered: everything at or below
//! `settled` has arrived, and who leads a tenure there was before whatever comes now. So a registry that has forgotten
//! judges as one that has not, and nodes may forget at different times.
//!
//! An id is another matter: whether a later op that carries it is a twin must not depend on who still remembers the
//! earlier one. It is one within [`ID_WINDOW`] of it, by their timestamps alone; and as long as such an op may still
//! arrive, the earlier one is not to be forgotten.

use uuid::Uuid;

use super::lattice::Lattice;
use super::record::Registration;
use crate::clock::{Hlc, Stamp};
use crate::store::Store;
use crate::store::schema::{self, Cell, NameKey, OwnerKey, Rows};

/// A client's id is known for so many milliseconds by the timestamps of ops: a request that carries it later is another
/// registration. Part of the rules, the same on all nodes. Thirty days are a guess at how long a client may retry.
pub const ID_WINDOW: u64 = 30 * 24 * 3600 * 1000;

/// Whether the later of two ops that carry one id is a twin of the earlier.
pub(super) fn is_twin(earlier: Stamp, later: Stamp) -> bool {
    later.hlc.millis().since(earlier.hlc.millis()) <= ID_WINDOW
}

/// Those who carry the id of one of them, each within the window of the one before.
pub(super) fn run_of(twins: &[Stamp], one: Stamp) -> &[Stamp] {
    twins.chunk_by(|a, b| is_twin(*a, *b)).find(|run| run.contains(&one)).unwrap_or_default()
}

impl Lattice {
    /// Everything at or below it has arrived, and what is not here was forgotten; zero where nothing was.
    pub fn settled(&self) -> Hlc {
        self.settled
    }

    /// The registrations that carry an id within the window of one of them, itself included, by stamp.
    pub(crate) fn run(&self, store: &dyn Store, id: Uuid, one: Stamp) -> Vec<Stamp> {
        run_of(&self.twins(store, id), one).to_vec()
    }

    /// From now on registrations up to a timestamp may be forgotten: everything at or below it has arrived.
    pub(crate) fn settle(&mut self, store: &mut dyn Store, upto: Hlc) {
        if upto > self.settled {
            self.settled = upto;
            schema::Settled::save(store, &upto);
        }
    }

    /// Forgets a registration at or below `settled` whose claims have all ended for good, and that no later twin can come
    /// of.
    pub(crate) fn forget(&self, store: &mut dyn Store, registration: &Registration) {
        let stamp = registration.stamp;
        schema::Registrations::delete(store, stamp);
        schema::Owners::delete(store, OwnerKey { owner: &registration.owner, stamp });
        if let Some(end) = registration.end() {
            schema::Expiries::delete(store, (end, stamp));
        }
        if let Some(id) = registration.chosen_id {
            let twins: Vec<_> = self.twins(store, id).into_iter().filter(|twin| *twin != stamp).collect();
            if twins.is_empty() {
                schema::Ids::delete(store, id);
            } else {
                schema::Ids::put(store, id, &twins);
            }
        }
        // The names of an erased one were left when it was erased.
        for claim in registration.claims.iter().map(|record| &record.claim).filter(|_| !registration.erased) {
            self.leave(store, NameKey::new(&claim.namespace, &claim.key), claim.after, stamp);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
