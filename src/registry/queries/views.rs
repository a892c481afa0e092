//! Views of registrations and names, as this node sees them.

use uuid::Uuid;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use crate::clock::{NodeId, Stamp};
use crate::crdt::{Claim, ClaimRef, Registration, Tenures};
use crate::log::Seq;
use crate::model::{self, Metadata, Name, NameRef, NameStatus, RejectedBy, ReplacesBody, Status, Time, Waiting};

/// Query for the holder of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameOf(pub NameRef);

impl Query for NameOf {
    type Answer = Name;

    fn read(&mut self, reader: Reader<'_>, caller: &Caller, budget: &mut Budget) -> Option<Result<Name, Refusal>> {
        budget.spend(1);
        Some(caller.reach(&self.0.namespace).and_then(|()| reader.name_view(self.0.clone())))
    }
}

impl Reader<'_> {
    /// Returns the status of a registration.
    pub(crate) fn status(&self, registration: &Registration) -> Status {
        if registration.rejected {
            Status::Rejected
        } else if self.registry.verdicts.is_contested(registration.stamp) {
            Status::Contested
        } else if registration.seq <= self.log.decided(registration.stamp.node) {
            Status::Confirmed
        } else {
            Status::Pending
        }
    }

    /// Returns the view of a registration for a caller with all rights.
    pub(crate) fn registration_view(&self, registration: &Registration) -> model::Registration {
        let status = self.status(registration);
        let mut view = self.content_view(registration, status);
        for (name, record) in view.names.iter_mut().zip(&registration.claims) {
            (name.released, name.ended) = (record.released, record.ended);
        }
        let activated = registration.activated_in_time();
        let waiting_for =
            if status.is_final() { self.holds_its_end(registration) } else { self.blockers(registration) };
        model::Registration {
            expires_at: registration.end().filter(|_| !activated).map(Time::from),
            activated,
            replaces: registration.replaces.as_ref().and_then(|replaced| self.replaced_view(replaced)),
            waiting_for,
            rejected_by: registration.lost.then(|| self.winner(registration)).flatten(),
            ..view
        }
    }

    /// Returns the content of a registration, without its outcome. The hashes that replace erased keys are not shown.
    pub(crate) fn content_view(&self, registration: &Registration, status: Status) -> model::Registration {
        let (id, erased) = (registration.id(), registration.erased);
        let names = registration.claims.iter().filter(|_| !erased);
        model::Registration {
            id,
            owner: registration.owner.clone(),
            status,
            names: names.map(|record| self.claim_view(id, &record.claim)).collect(),
            erased,
            node: registration.stamp.node,
            stamp: registration.stamp,
            accepted_at: registration.accepted_at().into(),
            reissued_at: registration.reissued_at().map(Time::from),
            expires_at: None,
            activated: false,
            metadata: metadata_of(registration),
            replaces: None,
            new_namespaces: Vec::new(),
            waiting_for: Vec::new(),
            rejected_by: None,
        }
    }

    pub(super) fn claim_view(&self, registration: Uuid, claim: &Claim) -> model::Claim {
        let Claim { namespace, key, .. } = claim.clone();
        model::Claim { namespace, name: self.typed(registration, claim), key, released: false, ended: None }
    }

    /// Returns the claim that a rename ends; none where that claim's registration was erased or forgotten since.
    fn replaced_view(&self, replaced: &ClaimRef) -> Option<ReplacesBody> {
        let registration = Registration::load(self.store, replaced.registration)?;
        let record = registration.claim(&replaced.namespace, &replaced.key).filter(|_| !registration.erased)?;
        let (id, namespace) = (registration.id(), replaced.namespace.clone());
        Some(ReplacesBody { registration: id, namespace, name: self.typed(id, &record.claim) })
    }

    /// Returns the members that delay the end of a reservation whose time is over: they may have issued an activation.
    fn holds_its_end(&self, registration: &Registration) -> Vec<Waiting> {
        let open = !registration.lost && registration.claims.iter().any(|record| record.ended.is_none());
        match registration.end().filter(|_| open && !registration.activated_in_time()) {
            Some(end) if end.millis() < self.log.cluster_time() && self.log.watermark() < end => {
                self.log.waiting_for(Stamp { hlc: end, node: NodeId::default() }, Seq::MAX)
            }
            _ => Vec::new(),
        }
    }

    /// Returns the members that a registration waits for. A lost registration whose own op is decided waits for the op
    /// that displaced it.
    pub(crate) fn blockers(&self, registration: &Registration) -> Vec<Waiting> {
        let waiting = self.log.waiting_for(registration.stamp, registration.seq);
        if !waiting.is_empty() || !registration.lost {
            return waiting;
        }
        let causes = self.registry.lattice.causes(self.store, registration);
        let winner = causes.first().and_then(|(_, cause)| Registration::load(self.store, *cause));
        winner.map(|winner| self.log.waiting_for(winner.stamp, winner.seq)).unwrap_or_default()
    }

    fn winner(&self, registration: &Registration) -> Option<RejectedBy> {
        let (index, stamp) =
            self.registry.lattice.causes(self.store, registration).into_iter().find_map(|(i, by)| Some((i?, by)))?;
        let lost = &registration.claims.get(index)?.claim;
        let winner = Registration::load(self.store, stamp)?;
        let (name, accepted) = (self.typed(registration.id(), lost), winner.accepted_at());
        Some(RejectedBy::new(lost.namespace.clone(), name, winner.id(), stamp, accepted))
    }

    pub(crate) fn name_view(&self, request: NameRef) -> Result<Name, Refusal> {
        let key = self.name_key(&request)?;
        let tenures = self.registry.lattice.tenures(self.store, &request.namespace, &key);
        let (status, holder) = self.holder(&request.namespace, &key, &tenures).unzip();
        if holder.is_none() {
            self.claimable_key(&request)?;
        }
        let NameRef { namespace, name } = request;
        let free_at = if holder.is_none() { self.kept_until(&namespace, &key, None) } else { None };
        let status = status.unwrap_or(if free_at.is_some() { NameStatus::Ending } else { NameStatus::Available });
        let registration = holder.as_ref().map(Registration::id);
        let since = holder.as_ref().map(|holder| Time::from(holder.accepted_at()));
        let rules = self.registry.lattice.rules(self.store, &namespace);
        // The holder's spelling of a private name is not shown.
        let public = holder.filter(|_| !rules.is_private());
        let held = public.and_then(|holder| holder.claim(&namespace, &key).map(|record| record.claim.name.clone()));
        let looks_like = held.filter(|held| !held.is_empty() && rules.look_alike(&name, held));
        let (available, suggestions) = (status == NameStatus::Available, Vec::new());
        let free_at = free_at.map(Time);
        Ok(Name { namespace, name, key, available, status, registration, since, looks_like, free_at, suggestions })
    }

    /// Returns the registration whose claim leads a name and has not finally ended, and the name's status.
    pub(crate) fn holder(
        &self,
        namespace: &str,
        key: &str,
        tenures: &Tenures<'_>,
    ) -> Option<(NameStatus, Registration)> {
        let registration = tenures.holder()?;
        let released = registration.claim(namespace, key).is_some_and(|claim| claim.released);
        let status = match self.status(&registration) {
            _ if released => NameStatus::Ending,
            Status::Confirmed => NameStatus::Held,
            Status::Pending => NameStatus::Pending,
            Status::Contested | Status::Rejected => NameStatus::Ending,
        };
        Some((status, registration))
    }
}

/// Returns the application's JSON object. It was checked at the acceptance; should a store hold an invalid one, the
/// registration is shown without it.
pub(super) fn metadata_of(registration: &Registration) -> Option<Metadata> {
    registration.metadata.clone().and_then(|text| Metadata::new(text).ok())
}
