//! Private names: what leaves this node, and which callers may learn whether they exist.
//!
//! In a private namespace a claim travels with a keyed hash as its key and without the name as typed. The name as typed
//! stays in a table of this node, by the registration's id, so that its owner can read it back here.
//!
//! A caller without the `read` scope is *discreet*. The answer to its registration is the same whether the name is
//! taken or not. Where the name is taken, the claim is issued all the same, into the tenure of the present leader, and
//! loses to it like a concurrent claim. So the work is the same too, and the outcome appears only on the feed, for
//! callers that may read it. Requests that would show the outcome in another way are refused to a discreet caller. Such
//! a refusal depends on the namespaces alone, and never on what is known of the names. Refused are: public and private
//! names in one registration, because the public name would be free again where the private one was taken; a rename
//! from or to a private name, for the same reason; and any request by the id of a registration with private names, or
//! by an unknown id, because a registration that lost may be forgotten earlier.

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

/// The key that a claim of a name gets.
pub(crate) struct Keyed {
    pub(crate) key: String,
    /// True where the key is a hash, and the name as typed must not leave this node.
    pub(crate) private: bool,
}

impl Reader<'_> {
    /// Returns the key of a canonical form by the rules of its namespace.
    pub(crate) fn keyed(&self, rules: &Rules, namespace: &str, key: String) -> Keyed {
        let private = rules.is_private();
        Keyed { key: if private { self.registry.lattice.hash(namespace, &key) } else { key }, private }
    }

    fn is_private_namespace(&self, namespace: &str) -> bool {
        self.registry.lattice.rules(self.store, namespace).is_private()
    }

    /// Returns true where only callers with the `read` scope may know of some name of a registration. The name may have
    /// been taken before its namespace became private.
    fn has_private_names(&self, registration: &Registration) -> bool {
        has_hidden(registration)
            || registration.claims.iter().any(|record| self.is_private_namespace(&record.claim.namespace))
    }

    /// Refuses a request of a discreet caller by a registration's id, where it could show whether a private name
    /// exists. Unknown ids are refused too, unless no namespace is private.
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

    /// Returns true where a discreet caller asks for private names. Refuses requests that would show the outcome in
    /// another way.
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

    /// Returns the view of a registration with private names for a discreet caller: pending, whatever its state. None
    /// where it has no private names.
    pub(crate) fn discreet_view(&self, registration: &Registration) -> Option<model::Registration> {
        let view = || self.content_view(registration, Status::Pending);
        let expires_at = registration.end().map(Time::from);
        self.has_private_names(registration).then(|| model::Registration { expires_at, ..view() })
    }

    /// Returns true where a registration with private names counts as open. It counts as long as it would if it had
    /// won, so that a count does not show that it lost.
    pub(crate) fn is_open_in_private(&self, registration: &Registration) -> bool {
        if registration.seq > self.log.decided(registration.stamp.node) {
            return true;
        }
        let gone = |record: &ClaimRecord| record.ended.is_some_and(|ended| ended != EndReason::Rejected);
        let over = registration.claims.iter().all(gone);
        self.is_reserved(registration) && !over
    }

    /// Returns true for a reservation that was not activated and that the watermark has not passed.
    fn is_reserved(&self, registration: &Registration) -> bool {
        registration.end().is_some_and(|end| end > self.log.watermark()) && !registration.activated_in_time()
    }

    /// Returns true where a registration lost private names, which its client must not find out. Later twins do not
    /// count.
    pub(crate) fn lost_in_private(&self, registration: &Registration) -> bool {
        let first = || self.registry.lattice.find_stamp(self.store, registration.id());
        has_hidden(registration) && registration.lost && first().is_none_or(|first| first >= registration.stamp)
    }

    /// Returns how long a registration that lost private names must be kept: as long as if it had won, because an
    /// unknown id would show that it lost.
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

    /// Returns a name as typed, where it is public or was typed at this node; empty otherwise.
    pub(crate) fn typed(&self, id: Uuid, claim: &Claim) -> String {
        if !claim.name.is_empty() {
            return claim.name.clone();
        }
        schema::Typed::get(self.store, TypedKey { id, key: &claim.key }).unwrap_or_default()
    }
}

impl Writer<'_> {
    /// Reads from the store which namespaces are private.
    pub(crate) fn load_private(&mut self) {
        let mut private = BTreeSet::new();
        schema::Namespaces::each(self.store, &Span::all(), |found| {
            private.extend(found.key().filter(|_| found.row().rules.is_private()).map(str::to_owned));
        });
        self.registry.private = Arc::new(private);
    }

    /// Updates the set of private namespaces after the rules of one may have changed.
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

    /// Stores the private names of a registration as they were typed here.
    pub(crate) fn note_typed(&mut self, registration: &Registration, names: Vec<NameRef>) {
        for (record, name) in registration.claims.iter().zip(names) {
            if record.claim.name.is_empty() {
                let key = TypedKey { id: registration.id(), key: &record.claim.key };
                schema::Typed::put(self.store, key, &name.name);
            }
        }
    }

    /// Drops the typed names of a registration that is being forgotten or erased.
    pub(crate) fn forget_typed(&mut self, id: Uuid) {
        schema::Typed::delete_where(self.store, &Span::<schema::Typed>::of(id), |_| true);
    }

    /// Drops the typed names of registrations that the cluster forgot while this node was not a member.
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
        unknown.iter().for_each(|address| schema::Typed::delete_at(self.store, address));
    }
}

/// How long a registration is kept.
pub(crate) enum Stays {
    /// It is kept until somebody releases its names.
    ForGood,
    /// It is kept until the watermark reaches this timestamp.
    Until(Hlc),
}

/// Returns true where some name of a registration is private. An erased registration has no names any more.
pub(super) fn has_hidden(registration: &Registration) -> bool {
    !registration.erased && registration.claims.iter().any(|record| record.claim.name.is_empty())
}
