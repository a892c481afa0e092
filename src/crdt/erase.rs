//! Erasing: taking out of the registry whose a registration was and of which names, once it is over for good.
//!
//! To the names an erased registration is what a forgotten one is: a bare stamp in the name's row, where others follow
//! it or may (see [`forget`](super::forget)). So a registry that has erased judges as one that has not, and nodes may
//! erase at different times. The registration's own row stays until it is forgotten as any other, without owner, names
//! and metadata, because its id is remembered and its events point to it.
//!
//! What is left of its names are hashes under the cluster's [`Pepper`]. Of a name that nobody else has, or had and is
//! remembered for, one stamp is left, which moves to [`schema::Erased`], under the hash; whoever claims the name again brings
//! it back.

use std::collections::BTreeSet;

use super::op::ClaimRef;
use super::record::Registration;
use super::registry::Registry;
use super::tenures::Open;
use crate::clock::Stamp;
use crate::name::Pepper;
use crate::store::Store;
use crate::store::schema::{self, Cell, FollowedKey, NameKey, OwnerKey, Rows, Span};

/// What the registry keeps at hand of what was erased, and is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Erasures {
    pepper: Pepper,
    /// Something was erased, so names may be found by their hashes alone.
    hides: bool,
    /// Registrations that are to be erased, by the op that says so.
    due: BTreeSet<(Stamp, Stamp)>,
}

impl Erasures {
    pub(super) fn load(store: &impl Store) -> Self {
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

impl<S: Store> Registry<S> {
    /// The last leader of a name that is found by its hash alone.
    pub(super) fn hidden(&self, name: NameKey<'_>) -> Option<Stamp> {
        if !self.erasures.hides {
            return None;
        }
        let hash = self.hash(name.namespace, name.key);
        schema::Erased::get(&self.store, NameKey::new(name.namespace, &hash))
    }

    /// Takes up the pepper that the store has by now.
    pub(crate) fn reload_pepper(&mut self) {
        self.erasures.pepper = schema::Pepper::load(&self.store).unwrap_or_default();
    }

    /// What is left of a key that was erased.
    pub(crate) fn hash(&self, namespace: &str, key: &str) -> String {
        self.erasures.pepper.hash(namespace, key)
    }

    /// Somebody claims a name, which may have been erased.
    pub(super) fn bring_back(&mut self, name: NameKey<'_>) {
        if !self.erasures.hides || schema::Names::has(&self.store, name) {
            return;
        }
        if let Some(leader) = self.hidden(name) {
            let hash = self.hash(name.namespace, name.key);
            schema::Erased::delete(&mut self.store, NameKey::new(name.namespace, &hash));
            schema::Names::put(&mut self.store, name, &Open { after: None, leader });
        }
    }

    /// Nobody has a name or is remembered for it but the last leader, of whom the stamp is left: the name is to be found by
    /// its hash alone, where anything was erased.
    pub(super) fn hide(&mut self, name: NameKey<'_>, leader: Stamp) {
        if !self.erasures.hides {
            return;
        }
        let hash = self.hash(name.namespace, name.key);
        if !planted!(ErasedNameLost) {
            schema::Erased::put(&mut self.store, NameKey::new(name.namespace, &hash), &leader);
        }
        schema::Names::delete(&mut self.store, name);
        schema::Followed::delete(&mut self.store, FollowedKey { name, stamp: leader });
    }

    /// Whether a registration is known and was not erased.
    pub(super) fn has_text(&self, stamp: Stamp) -> bool {
        Registration::load(&self.store, stamp).is_some_and(|known| !known.erased)
    }

    /// The registrations that are to be erased once that is final, by the ops that say so.
    pub(crate) fn erasing(&self) -> &BTreeSet<(Stamp, Stamp)> {
        &self.erasures.due
    }

    /// A registration is to be erased by an op; the earliest counts.
    pub(super) fn enter_erasing(&mut self, registration: Stamp, by: Stamp) {
        if let Some(before) = schema::Erasing::get(&self.store, registration) {
            self.erasures.due.remove(&(before, registration));
        }
        self.erasures.due.insert((by, registration));
        schema::Erasing::put(&mut self.store, registration, &by);
    }

    /// The same for one that carries the id of an earlier one, where that was erased: it has the same text.
    pub(super) fn follow_erased(&mut self, new: &mut Registration) {
        let first = new.chosen_id.and_then(|id| self.run(id, new.stamp).first().copied());
        let first = first.filter(|first| *first != new.stamp && new.erase.is_none());
        let erased = first.and_then(|first| Registration::load(&self.store, first)).filter(|first| first.erased);
        new.erase = new.erase.or(erased.and_then(|first| first.erase));
    }

    /// The claim that a registration takes the place of, without the name where that was erased.
    pub(super) fn without_erased(&self, replaces: &mut ClaimRef) {
        let gone = |stamp: Stamp| match Registration::load(&self.store, stamp) {
            Some(known) => known.erased,
            None => stamp.hlc <= self.settled,
        };
        if gone(replaces.registration) {
            replaces.key = self.hash(&replaces.namespace, &replaces.key);
        }
    }

    /// Erases a registration at or below `settled` whose claims have all ended for good. Those that carry its id have the
    /// same text, and are to be erased in their turn.
    pub(crate) fn erase(&mut self, mut registration: Registration) {
        if !self.erasures.hides {
            self.erasures.hides = true;
            schema::Hides::save(&mut self.store, &());
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
        registration.save(&mut self.store);
        schema::Owners::delete(&mut self.store, OwnerKey { owner: &owner, stamp });
        for claim in &claims {
            self.leave(NameKey::new(&claim.namespace, &claim.key), claim.after, stamp);
        }
        self.erase_replaced(&owner, stamp);
        registration.erase.map(|by| self.erasures.due.remove(&(by, stamp)));
        schema::Erasing::delete(&mut self.store, stamp);
        self.erase_twins(&registration);
    }

    /// The owner's later registrations may say that they take the place of the erased one, and so have its names.
    fn erase_replaced(&mut self, owner: &str, erased: Stamp) {
        let mut later = Vec::new();
        let span = Span::<schema::Owners>::of(owner).and_from(OwnerKey { owner, stamp: erased });
        schema::Owners::each(&self.store, &span, |found| {
            let known = found.key().and_then(|key| Registration::load(&self.store, key.stamp));
            let replaces = |known: &Registration| known.replaces.as_ref().is_some_and(|r| r.registration == erased);
            later.extend(known.filter(replaces));
        });
        for mut registration in later {
            if let Some(replaces) = &mut registration.replaces {
                replaces.key = self.hash(&replaces.namespace, &replaces.key);
            }
            registration.save(&mut self.store);
        }
    }

    fn erase_twins(&mut self, registration: &Registration) {
        let run = registration.chosen_id.map(|id| self.run(id, registration.stamp)).unwrap_or_default();
        let Some(by) = registration.erase.filter(|_| run.first() == Some(&registration.stamp)) else { return };
        for twin in run.into_iter().skip(1).filter(|_| !planted!(TwinsNotErased)) {
            if let Some(mut twin) = Registration::load(&self.store, twin).filter(|twin| twin.erase.is_none()) {
                twin.erase = Some(by);
                twin.save(&mut self.store);
                self.enter_erasing(twin.stamp, by);
            }
        }
    }
}
