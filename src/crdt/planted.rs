//! The lattice's rules, broken on purpose: see [`planted`](crate::planted). Each function receives the result of a rule
//! and returns it unchanged, unless the bug that it stands for is planted.

use super::lattice::Lattice;
use crate::clock::{Hlc, Stamp};
use crate::planted::{Bug, is};
use crate::store::Store;
use crate::store::schema::{self, NameKey, Rows};

/// The claim that a claim follows; with the bug, every claim is in the first tenure.
pub(super) fn follows(after: Option<Stamp>) -> Option<Stamp> {
    after.filter(|_| !is(Bug::AfterIgnored))
}

/// Whether a claim leads its tenure, whose leader so far is `leader`; with the bug, the first to arrive leads.
pub(super) fn leads(leads: bool, claim: Stamp, leader: Option<Stamp>) -> bool {
    if is(Bug::TieByArrival) { leader.is_none_or(|leader| leader == claim) } else { leads }
}

/// The end of a reservation; with the bug, extensions do not count.
pub(super) fn end(end: Hlc, expires: Hlc) -> Hlc {
    if is(Bug::ExtensionIgnored) { expires } else { end }
}

/// Whether new rules replace the known ones; with the bug, the last to arrive do.
pub(super) fn replaces(replaces: bool) -> bool {
    replaces || is(Bug::RulesByArrival)
}

/// The twins that are erased together with a registration; with the bug, none.
pub(super) fn twins(twins: Vec<Stamp>) -> Vec<Stamp> {
    if is(Bug::TwinsNotErased) { Vec::new() } else { twins }
}

/// Called after a name was moved under its hash; with the bug, the row under the hash is lost.
pub(super) fn hidden(lattice: &Lattice, store: &mut dyn Store, name: NameKey<'_>) {
    if is(Bug::ErasedNameLost) {
        let hash = lattice.hash(name.namespace, name.key);
        schema::Erased::delete(store, NameKey::new(name.namespace, &hash));
    }
}
