//! Erasing removes the owner, the names and the metadata of a registration from the registry, once the registration has
//! finally ended.
//!
//! For its names an erased registration is like a forgotten one: where other claims follow it, or may yet follow it,
//! its bare stamp stays in the rows of the name (see [`forget`](super::forget)). So a registry that has erased decides
//! as one that has not, and nodes may erase at different times. The registration's own row stays without owner, names
//! and metadata until it is forgotten like any other, because its id is remembered and its events point to it.
//!
//! Of its names only hashes under the cluster's [`Pepper`] are left. Where the bare stamp of the last leader is all
//! that is left of a name, that stamp moves to [`schema::Erased`], under the hash of the name. The next claim to the
//! name moves it back.

use std::collections::BTreeSet;

use super::lattice::Lattice;
use super::op::ClaimRef;
use super::record::Registration;
use super::tenures::Open;
use crate::clock::Stamp;
use crate::name::Pepper;
use crate::store::Store;
use crate::store::schema::{self, Cell, FollowedKey, NameKey, OwnerKey, Rows, Span};

/// The part of the registry in memory that concerns erasure.
#[derive(Clone, Debug, Default)]
pub(super) struct Erasures {
    pepper: Pepper,
    /// True once something was erased on this node, so that names may be found by their hashes alone.
    hides: bool,
    /// The registrations that are to be erased, as `(stamp of the Erase op, stamp of the registration)`.
    due: BTreeSet<(Stamp, Stamp)>,
}

impl Erasures {
    pub(super) fn load(store: &dyn Store) -> Self {
        let mut erasures = Self {
            pepper: schema::Pepper::load(store).unwrap_or_default(),
            hides: schema::Hides::is_set(store),
            due: BTreeSet::new(),
        };
        schema::Erasing::each(store, &Span::all(), |found| {
            erasures.due.extend(found.key().map(|stamp| (found.row(), stamp)));
        });
        erasures
    }
}

impl Lattice {
    /// The last leader of a name that is found by its hash alone.
    pub(super) fn hidden(&self, store: &dyn Store, name: NameKey<'_>) -> Option<Stamp> {
        if !self.erasures.hides {
            return None;
        }
        let hash = self.hash(name.namespace, name.key);
        schema::Erased::get(store, NameKey::new(name.namespace, &hash))
    }

    /// Reads the pepper from the store again, after it was set or changed there.
    pub(crate) fn reload_pepper(&mut self, store: &dyn Store) {
        self.erasures.pepper = schema::Pepper::load(store).unwrap_or_default();
    }

    /// Returns the hash that replaces a key once it is erased.
    pub(crate) fn hash(&self, namespace: &str, key: &str) -> String {
        self.erasures.pepper.hash(namespace, key)
    }

    /// Moves the stamp of the last leader from the hash of an erased name back to the name, before somebody claims it.
    pub(super) fn bring_back(&self, store: &mut dyn Store, name: NameKey<'_>) {
        if !self.erasures.hides || schema::Names::has(store, name) {
            return;
        }
        if let Some(leader) = self.hidden(store, name) {
            let hash = self.hash(name.namespace, name.key);
            schema::Erased::delete(store, NameKey::new(name.namespace, &hash));
            schema::Names::put(store, name, &Open { after: None, leader });
        }
    }

    /// Moves the stamp of the last leader to the hash of a name, where that stamp is all that is left of the name. Does
    /// nothing before the first erasure on this node.
    pub(super) fn hide(&self, store: &mut dyn Store, name: NameKey<'_>, leader: Stamp) {
        if !self.erasures.hides {
            return;
        }
        let hash = self.hash(name.namespace, name.key);
        schema::Erased::put(store, NameKey::new(name.namespace, &hash), &leader);
        planted!(do crdt::hidden(self, store, name));
        schema::Names::delete(store, name);
        schema::Followed::delete(store, FollowedKey { name, stamp: leader });
    }

    /// Returns true for a registration that is known and was not erased.
    pub(super) fn has_text(&self, store: &dyn Store, stamp: Stamp) -> bool {
        Registration::load(store, stamp).is_some_and(|known| !known.erased)
    }

    /// The registrations that are to be erased once that is final, as `(stamp of the Erase op, stamp of the
    /// registration)`.
    pub(crate) fn erasing(&self) -> &BTreeSet<(Stamp, Stamp)> {
        &self.erasures.due
    }

    /// Notes that an op erases a registration; the caller passes the earliest such op.
    pub(super) fn enter_erasing(&mut self, store: &mut dyn Store, registration: Stamp, by: Stamp) {
        if let Some(before) = schema::Erasing::get(store, registration) {
            self.erasures.due.remove(&(before, registration));
        }
        self.erasures.due.insert((by, registration));
        schema::Erasing::put(store, registration, &by);
    }

    /// Marks a new registration as to be erased where an earlier one with the same client-chosen id was erased: both
    /// have the same owner and names.
    pub(super) fn follow_erased(&self, store: &dyn Store, new: &mut Registration) {
        let first = new.chosen_id.and_then(|id| self.run(store, id, new.stamp).first().copied());
        let first = first.filter(|first| *first != new.stamp && new.erase.is_none());
        let erased = first.and_then(|first| Registration::load(store, first)).filter(|first| first.erased);
        new.erase = new.erase.or(erased.and_then(|first| first.erase));
    }

    /// Replaces the key in a reference to a claim by its hash, where the referenced registration was erased or
    /// forgotten.
    pub(super) fn without_erased(&self, store: &dyn Store, replaces: &mut ClaimRef) {
        let gone = |stamp: Stamp| match Registration::load(store, stamp) {
            Some(known) => known.erased,
            None => stamp.hlc <= self.settled,
        };
        if gone(replaces.registration) {
            replaces.key = self.hash(&replaces.namespace, &replaces.key);
        }
    }

    /// Erases a registration at or below `settled` whose claims have all ended for good. Its later twins (registrations
    /// with the same client-chosen id) have the same text, and are marked to be erased too.
    pub(crate) fn erase(&mut self, store: &mut dyn Store, mut registration: Registration) {
        if !self.erasures.hides {
            self.erasures.hides = true;
            schema::Hides::save(store, &());
        }
        let stamp = registration.stamp;
        let owner = std::mem::take(&mut registration.owner);
        let claims: Vec<_> = registration.claims.iter().map(|record| record.claim.clone()).collect();
        for claim in registration.claims.iter_mut().map(|record| &mut record.claim) {
            claim.key = self.hash(&claim.namespace, &claim.key);
            claim.name.clear();
        }
        registration.metadata = None;
        registration.replaces = None;
        registration.erased = true;
        registration.save(store);
        schema::Owners::delete(store, OwnerKey { owner: &owner, stamp });
        for claim in &claims {
            self.leave(store, NameKey::new(&claim.namespace, &claim.key), claim.after, stamp);
        }
        self.erase_replaced(store, &owner, stamp);
        registration.erase.map(|by| self.erasures.due.remove(&(by, stamp)));
        schema::Erasing::delete(store, stamp);
        self.erase_twins(store, &registration);
    }

    /// Hashes the key in later registrations of the owner that replaced a claim of the erased one, because they name
    /// its key.
    fn erase_replaced(&self, store: &mut dyn Store, owner: &str, erased: Stamp) {
        let mut later = Vec::new();
        let span = Span::<schema::Owners>::of(owner).and_from(OwnerKey { owner, stamp: erased });
        schema::Owners::each(store, &span, |found| {
            let known = found.key().and_then(|key| Registration::load(store, key.stamp));
            let replaces = |known: &Registration| known.replaces.as_ref().is_some_and(|r| r.registration == erased);
            later.extend(known.filter(replaces));
        });
        for mut registration in later {
            if let Some(replaces) = &mut registration.replaces {
                replaces.key = self.hash(&replaces.namespace, &replaces.key);
            }
            registration.save(store);
        }
    }

    fn erase_twins(&mut self, store: &mut dyn Store, registration: &Registration) {
        let run = registration.chosen_id.map(|id| self.run(store, id, registration.stamp)).unwrap_or_default();
        let Some(by) = registration.erase.filter(|_| run.first() == Some(&registration.stamp)) else { return };
        for twin in planted!(crdt::twins(run.into_iter().skip(1).collect::<Vec<_>>())) {
            if let Some(mut twin) = Registration::load(store, twin).filter(|twin| twin.erase.is_none()) {
                twin.erase = Some(by);
                twin.save(store);
                self.enter_erasing(store, twin.stamp, by);
            }
        }
    }
}
