//! The lattice's rules, broken on purpose: see [`planted`](crate::planted). Each function is given what a rule says and hands
//! it on, or says something else where the bug is planted that it is for.

use super::lattice::Lattice;
use crate::clock::{Hlc, Stamp};
use crate::planted::{Bug, is};
use crate::store::Store;
use crate::store::schema::{self, NameKey, Rows};

/// The claim whose tenure a claim follows.
pub(super) fn follows(after: Option<Stamp>) -> Option<Stamp> {
    after.filter(|_| !is(Bug::AfterIgnored))
}

/// Whether a claim leads a tenure that has this leader.
pub(super) fn leads(leads: bool, claim: Stamp, leader: Option<Stamp>) -> bool {
    if is(Bug::TieByArrival) { leader.is_none_or(|leader| leader == claim) } else { leads }
}

/// When a reservation ends.
pub(super) fn end(end: Hlc, expires: Hlc) -> Hlc {
    if is(Bug::ExtensionIgnored) { expires } else { end }
}

/// Whether rules take the place of those that are known.
pub(super) fn replaces(replaces: bool) -> bool {
    replaces || is(Bug::RulesByArrival)
}

/// The twins that are erased with a registration.
pub(super) fn twins(twins: Vec<Stamp>) -> Vec<Stamp> {
    if is(Bug::TwinsNotErased) { Vec::new() } else { twins }
}

/// A name was left under its hash.
pub(super) fn hidden(lattice: &Lattice, store: &mut dyn Store, name: NameKey<'_>) {
    if is(Bug::ErasedNameLost) {
        let hash = lattice.hash(name.namespace, name.key);
        schema::Erased::delete(store, NameKey::new(name.namespace, &hash));
    }
}
