//! Private names: what of them leaves this node, and who is told whether they exist.
//!
//! In a private namespace a claim travels with a keyed hash for a key and without the name as typed, which stays in a
//! table of this node's own, by the registration's id, so that its owner can read it back here.
//!
//! A caller that may not be told what is known is *discreet*: the answer to its registration is the same whether the name
//! is taken or not. Where it is, the claim is issued all the same, into the tenure of whoever leads, and loses to it as a
//! concurrent claim would: the work is the same, and the outcome is told at the feed, to those who may read it. Whatever
//! would tell the outcome in another way is refused such a caller, by the namespaces concerned and never by what is known:
//! a public name beside a private one in one registration, because it is free again where the private one was taken; a
//! rename from or to a private name for the same reason; and whatever goes by the id of a registration with private names,
//! or by one that nobody knows, because what lost may be forgotten earlier.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::refusal::Refusal;
use super::request::RegisterRequest;
use super::{Reader, Writer};
use crate::clock::Hlc;
use crate::crdt::{Claim, ClaimRecord, EndReason, Registration, Vacancy};
use crate::model::{self, NameRef, Status, Time};
use crate::name::Rules;
use crate::store::schema::{self, Rows, Span, TypedKey};

/// A name's key, as it is claimed.
pub(crate) struct Keyed {
    pub(crate) key: String,
    /// It is a hash, and the name is not to travel.
    pub(crate) private: bool,
}

impl Reader<'_> {
    /// What stands for a canonical form by the rules of its namespace.
    pub(crate) fn keyed(&self, rules: &Rules, namespace: &str, key: String) -> Keyed {
        let private = rules.is_private();
        Keyed { key: if private { self.registry.lattice.hash(namespace, &key) } else { key }, private }
    }

    fn is_private_namespace(&self, namespace: &str) -> bool {
        self.registry.lattice.rules(self.store, namespace).is_private()
    }

    /// Whether some name of a registration is one that only those who may read are to know of. It may have been taken
    /// before its namespace was private.
    fn has_private_names(&self, registration: &Registration) -> bool {
        has_hidden(registration)
            || registration.claims.iter().any(|record| self.is_private_namespace(&record.claim.namespace))
    }

    /// Whether a discreet caller may be answered by a registration's id. Without private namespaces there is nothing to
    /// hide.
    pub(crate) fn told_by_id(&self, id: Uuid) -> Result<(), Refusal> {
        let known = self.registry.lattice.find(self.store, id).or_else(|| self.void_registration(id));
        let hidden = match known {
            Some(registration) => self.has_private_names(&registration),
            None => !self.registry.private.is_empty(),
        };
        if hidden { Err(Refusal::NeedsRead("a registration that has private names or is not known")) } else { Ok(()) }
    }

    pub(super) fn told_by_name(&self, name: &NameRef) -> Result<(), Refusal> {
        let beside = || Err(Refusal::NeedsRead("a private name, or one that was registered together with one"));
        if self.is_private_namespace(&name.namespace) {
            return beside();
        }
        let Vacancy::Taken(leader) = self.registry.lattice.vacancy(self.store, &name.namespace, &self.name_key(name)?)
        else {
            return Ok(());
        };
        match Registration::load(self.store, leader) {
            Some(registration) if self.has_private_names(&registration) => beside(),
            _ => Ok(()),
        }
    }

    /// Whether a discreet caller asks for private names, which it may do where nothing else would tell the outcome.
    pub(crate) fn wants_private(&self, request: &RegisterRequest) -> Result<bool, Refusal> {
        let private = |name: &NameRef| self.is_private_namespace(&name.namespace);
        let any = request.names.iter().any(private);
        if any && !request.names.iter().all(private) {
            return Err(Refusal::NeedsRead("a registration of public and private names together"));
        }
        if let Some(replaces) = &request.replaces {
            if any || private(&replaces.named()) {
                return Err(Refusal::NeedsRead("a rename from or to a private name"));
            }
            self.told_by_id(replaces.registration)?;
        }
        Ok(any)
    }

    /// What a discreet caller is told of a registration with private names: that it was accepted, whatever became of it.
    pub(crate) fn discreet_view(&self, registration: &Registration) -> Option<model::Registration> {
        let view = || self.content_view(registration, Status::Pending);
        let expires_at = registration.end().map(Time::from);
        self.has_private_names(registration).then(|| model::Registration { expires_at, ..view() })
    }

    /// Whether a registration with private names is open, as far as its bearer is concerned: for as long as it would be had
    /// it won, so that a count tells nobody that it lost.
    pub(crate) fn is_open_in_private(&self, registration: &Registration) -> bool {
        if registration.seq > self.log.decided(registration.stamp.node) {
            return true;
        }
        let gone = |record: &ClaimRecord| record.ended.is_some_and(|ended| ended != EndReason::Rejected);
        let over = registration.claims.iter().all(gone);
        self.is_reserved(registration) && !over
    }

    /// It is a reservation that was not activated, and its time is not over.
    fn is_reserved(&self, registration: &Registration) -> bool {
        registration.end().is_some_and(|end| end > self.log.watermark()) && !registration.activated_in_time()
    }

    /// Whether a registration lost private names, which its client is not to find out. A later twin stands for nothing.
    pub(crate) fn lost_in_private(&self, registration: &Registration) -> bool {
        let first = || self.registry.lattice.find_stamp(self.store, registration.id());
        has_hidden(registration) && registration.lost && first().is_none_or(|first| first >= registration.stamp)
    }

    /// Whether a registration that lost private names must stay for now, since it would had it won: that an id is unknown
    /// would tell.
    pub(crate) fn stays_in_private(&self, registration: &Registration) -> Option<Stays> {
        if !self.lost_in_private(registration) {
            return None;
        }
        match registration.end() {
            None => Some(Stays::ForGood),
            Some(_) if !self.is_reserved(registration) => None,
            Some(end) => Some(Stays::Until(end)),
        }
    }

    /// A name as typed, where it travelled or was typed here; empty otherwise.
    pub(crate) fn typed(&self, id: Uuid, claim: &Claim) -> String {
        if !claim.name.is_empty() {
            return claim.name.clone();
        }
        schema::Typed::get(self.store, TypedKey { id, key: &claim.key }).unwrap_or_default()
    }
}

impl Writer<'_> {
    /// Reads which namespaces are private.
    pub(crate) fn load_private(&mut self) {
        let mut private = BTreeSet::new();
        schema::Namespaces::each(self.store, &Span::all(), |found| {
            private.extend(found.key().filter(|_| found.row().rules.is_private()).map(str::to_owned));
        });
        self.registry.private = Arc::new(private);
    }

    /// A namespace may have got other rules.
    pub(crate) fn note_private(&mut self, namespace: &str) {
        let is_private = self.reader().is_private_namespace(namespace);
        if is_private != self.registry.private.contains(namespace) {
            let private = Arc::make_mut(&mut self.registry.private);
            if is_private {
                private.insert(namespace.to_owned())
            } else {
                private.remove(namespace)
            };
        }
    }

    /// Keeps the private names of a registration as they were typed here.
    pub(crate) fn note_typed(&mut self, registration: &Registration, names: Vec<NameRef>) {
        for (record, name) in registration.claims.iter().zip(names) {
            if record.claim.name.is_empty() {
                let key = TypedKey { id: registration.id(), key: &record.claim.key };
                schema::Typed::put(self.store, key, &name.name);
            }
        }
    }

    /// Drops what was typed of a registration that is forgotten, or erased.
    pub(crate) fn forget_typed(&mut self, id: Uuid) {
        schema::Typed::delete_where(self.store, &Span::<schema::Typed>::of(id), |_| true);
    }

    /// Drops what was typed of registrations that the cluster has forgotten while this node was out of it.
    pub(crate) fn sweep_typed(&mut self) {
        let mut unknown = Vec::new();
        schema::Typed::each(self.store, &Span::all(), |found| {
            let is_unknown = |id| {
                self.registry.lattice.find(self.store, id).is_none() && self.reader().void_registration(id).is_none()
            };
            if found.key().is_none_or(|key| is_unknown(key.id)) {
                unknown.push(found.address());
            }
        });
        unknown.into_iter().for_each(|address| schema::Typed::delete_at(self.store, address));
    }
}

/// For how long something stays.
pub(crate) enum Stays {
    /// As long as it is not told to go.
    ForGood,
    /// Until the watermark is there.
    Until(Hlc),
}

/// Whether some name of a registration did not travel. An erased one has no names, whatever they were.
pub(super) fn has_hidden(registration: &Registration) -> bool {
    !registration.erased && registration.claims.iter().any(|record| record.claim.name.is_empty())
}
