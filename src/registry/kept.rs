//! Names that were given up, and are kept from others for a while by the rules of their namespaces.
//!
//! The rule is looked at by the node that takes a claim, as every rule is: a name that was given up can only be claimed
//! where the end of its last claim is final, so that node knows of it.

use super::Reader;
use crate::clock::{Millis, Stamp};
use crate::crdt::{Claim, ClaimRecord, ClaimRef, Registration, Vacancy};
use crate::model::{EndReason, Status};

impl Reader<'_> {
    /// Until when a name is kept from an owner, or from everybody; none where it is not, or is held.
    pub(super) fn kept_until(&self, namespace: &str, key: &str, owner: Option<&str>) -> Option<Millis> {
        let hold = self.registry.lattice.rules(self.store, namespace).hold()?;
        let Vacancy::Free(last) = self.registry.lattice.vacancy(self.store, namespace, key) else { return None };
        let last = Registration::load(self.store, last?)?;
        if hold.owner_may && owner == Some(last.owner.as_str()) {
            return None;
        }
        let is_it = |claim: &Claim| (claim.namespace.as_str(), claim.key.as_str()) == (namespace, key);
        let index = last.claims.iter().position(|record| is_it(&record.claim))?;
        let until = self.given_up_at(&last, index)?.plus(hold.millis);
        (self.log.cluster_time() < until).then_some(until)
    }

    /// Until when a registration that is over must be remembered, because a name of it is kept from others.
    pub(super) fn keeps_names_until(&self, registration: &Registration) -> Option<Millis> {
        let until = |(index, record): (usize, &ClaimRecord)| {
            let hold = self.registry.lattice.rules(self.store, &record.claim.namespace).hold()?;
            Some(self.given_up_at(registration, index)?.plus(hold.millis))
        };
        let until = registration.claims.iter().enumerate().filter_map(until).max()?;
        (self.log.watermark().millis() < until).then_some(until)
    }

    /// When somebody gave up a name that was theirs: not one that was only reserved, nor one of a registration that lost. A
    /// node that was not there at that time counts from when it was let in.
    fn given_up_at(&self, registration: &Registration, claim: usize) -> Option<Millis> {
        let ended = registration.claims.get(claim)?.ended?;
        let was_reserved = registration.expires.is_some() && !registration.activated_in_time();
        if registration.lost || was_reserved || !matches!(ended, EndReason::Released | EndReason::Replaced) {
            return None;
        }
        let seen = self.end_of(registration.stamp, claim).map(|ending| ending.at);
        Some(seen.unwrap_or_else(|| self.log.let_in_at().max(registration.stamp.hlc.millis())))
    }

    /// Whether the holder of a name may claim it again, in another spelling, after its own claim, which that replaces. The
    /// first one must be confirmed, since a claim that came to nothing cannot be followed, and nobody may follow it yet.
    pub(super) fn may_respell(&self, replaces: &ClaimRef, namespace: &str, key: &str, leader: Stamp) -> bool {
        if (replaces.registration, replaces.namespace.as_str(), replaces.key.as_str()) != (leader, namespace, key) {
            return false;
        }
        let is_confirmed = |held: Registration| self.status(&held) == Status::Confirmed;
        let followed = self.registry.lattice.tenures(self.store, namespace, key).leader(Some(leader)).is_some();
        !followed && Registration::load(self.store, leader).is_some_and(is_confirmed)
    }
}
