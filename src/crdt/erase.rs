//! Erasing: taking out of the registry whose a registration was and of which names, once it is over for good.
//!
//! To the names an erased registration is what a forgotten one is: a bare stamp in the name's row, where others follow
//! it or may (see [`forget`](super::forget)). So a registry that has erased judges as one that has not, and nodes may
//! erase at different times. The registration's own row stays until it is forgotten as any other, without owner, names
//! and metadata, because its id is remembered and its events point to it.
//!
//! What is left of its names are hashes under the cluster's [`Pepper`]. The row of a name that nobody else has, or had and
//! is remembered for, moves to [`schema::Erased`], under its hash; whoever claims the name again brings it back.

use std::collections::BTreeSet;

use super::op::ClaimRef;
use super::record::{Name, Registration};
use super::registry::Registry;
use crate::clock::Stamp;
use crate::name::Pepper;
use crate::store::Store;
use crate::store::schema::{self, Cell, NameKey, OwnerKey, Rows, Span};

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
    /// What is known of a name, nothing where it was never claimed.
    pub fn name(&self, namespace: &str, key: &str) -> Name {
        let plain = Name::find(&self.store, namespace, key);
        plain.or_else(|| self.hidden(namespace, key)).unwrap_or_default()
    }

    fn hidden(&self, namespace: &str, key: &str) -> Option<Name> {
        if !self.erasures.hides {
            return None;
        }
        schema::Erased::get(&self.store, NameKey::new(namespace, &self.hash(namespace, key)))
    }

    /// Takes up the pepper that the store has by now.
    pub(crate) fn reload_pepper(&mut self) {
        self.erasures.pepper = schema::Pepper::load(&self.store).unwrap_or_default();
    }

    /// What is left of a key that was erased.
    pub(crate) fn hash(&self, namespace: &str, key: &str) -> String {
        self.erasures.pepper.hash(namespace, key)
    }

    /// Writes the row of a name that somebody claims.
    pub(super) fn put_name(&mut self, namespace: &str, key: &str, name: &Name) {
        if self.erasures.hides {
            let hash = self.hash(namespace, key);
            schema::Erased::delete(&mut self.store, NameKey::new(namespace, &hash));
        }
        name.save(&mut self.store, namespace, key);
    }

    /// Writes the row of a name that somebody has left, and that may be nobody's now.
    pub(super) fn put_left(&mut self, namespace: &str, key: &str, name: &Name) {
        let mut claims = name.tenures.iter().flat_map(|tenure| &tenure.claims);
        if !self.erasures.hides || claims.any(|claim| self.has_text(*claim)) {
            return self.put_name(namespace, key, name);
        }
        let hash = self.hash(namespace, key);
        let hidden = NameKey::new(namespace, &hash);
        if name.tenures.is_empty() || planted!(ErasedNameLost) {
            schema::Erased::delete(&mut self.store, hidden);
        } else {
            schema::Erased::put(&mut self.store, hidden, name);
        }
        schema::Names::delete(&mut self.store, NameKey::new(namespace, key));
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
            let mut name = self.name(&claim.namespace, &claim.key);
            name.forget(stamp, &|leader| self.has_text(leader));
            self.put_left(&claim.namespace, &claim.key, &name);
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
