//! Garbage collection of registrations that are over.
//!
//! A name keeps the leader of its last tenure as a bare stamp, because the next claim follows it (`tenures/leave.rs`).
//! A claim that follows an earlier tenure comes too late and is displaced, as it would be if everything were
//! remembered: all ops at or below `settled` have arrived, and the leader of such a tenure has a lower stamp than any
//! op that is yet to arrive. So a registry that has forgotten decides as one that has not, and nodes may forget at
//! different times.
//!
//! Ids that clients chose need another rule, because all nodes must agree whether a later op with the same id is a
//! twin, whoever still remembers the earlier op. A later op is a twin if its timestamp is within [`ID_WINDOW`] of the
//! earlier one's. The earlier one is not forgotten while such an op may still arrive.

use uuid::Uuid;

use super::lattice::Lattice;
use super::record::Registration;
use crate::clock::{Hlc, Stamp};
use crate::store::Store;
use crate::store::schema::{self, Cell, NameKey, OwnerKey, Rows};

/// For this many milliseconds, by the timestamps of ops, an id that a client chose belongs to its registration. A
/// request that carries the id later is another registration. The window is a rule of the protocol and the same on all
/// nodes. Thirty days are a guess at how long a client may retry.
pub const ID_WINDOW: u64 = 30 * 24 * 3600 * 1000;

/// Returns true where the later of two ops with the same id is a twin of the earlier one.
pub(super) fn is_twin(earlier: Stamp, later: Stamp) -> bool {
    later.hlc.millis().since(earlier.hlc.millis()) <= ID_WINDOW
}

/// Of all registrations with one id, returns the run that contains `one`: in a run each is within the window of the one
/// before. `twins` is sorted by stamp.
pub(super) fn run_of(twins: &[Stamp], one: Stamp) -> &[Stamp] {
    twins.chunk_by(|a, b| is_twin(*a, *b)).find(|run| run.contains(&one)).unwrap_or_default()
}

impl Lattice {
    /// Every op at or below this timestamp has arrived here, and a registration below it that is absent was forgotten.
    /// Zero where nothing was forgotten yet.
    pub fn settled(&self) -> Hlc {
        self.settled
    }

    /// The registrations of one run of an id (see [`run_of`]), `one` included, by stamp.
    pub(crate) fn run(&self, store: &dyn Store, id: Uuid, one: Stamp) -> Vec<Stamp> {
        run_of(&self.twins(store, id), one).to_vec()
    }

    /// Allows registrations with timestamps up to `upto` to be forgotten. Everything at or below `upto` must have
    /// arrived.
    pub(crate) fn settle(&mut self, store: &mut dyn Store, upto: Hlc) {
        if upto > self.settled {
            self.settled = upto;
            schema::Settled::save(store, &upto);
        }
    }

    /// Forgets a registration at or below `settled` whose claims have all ended for good, and of which no twin can
    /// arrive any more.
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
        // The claims of an erased registration left their names when it was erased.
        for claim in registration.claims.iter().map(|record| &record.claim).filter(|_| !registration.erased) {
            self.leave(store, NameKey::new(&claim.namespace, &claim.key), claim.after, stamp);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
