//! Released names that are kept from others for a while by the rules of their namespaces.
//!
//! As with every rule, the node that takes a claim checks this one. A released name can be claimed only where the end
//! of its last claim is final, so that node knows of the release.

use super::Reader;
use crate::clock::{Millis, Stamp};
use crate::crdt::{Claim, ClaimRecord, ClaimRef, Registration, Vacancy};
use crate::model::{EndReason, Status};

impl Reader<'_> {
    /// Returns until when a name is kept from `owner`, or from everybody where that is none. Returns none where the
    /// name is held, or is kept from nobody.
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

    /// Returns until when a registration that is over must be remembered because one of its names is kept from others.
    pub(super) fn keeps_names_until(&self, registration: &Registration) -> Option<Millis> {
        let until = |(index, record): (usize, &ClaimRecord)| {
            let hold = self.registry.lattice.rules(self.store, &record.claim.namespace).hold()?;
            Some(self.given_up_at(registration, index)?.plus(hold.millis))
        };
        let until = registration.claims.iter().enumerate().filter_map(until).max()?;
        (self.log.watermark().millis() < until).then_some(until)
    }

    /// Returns when the holder gave up a name. Returns none for names that were only reserved, and for registrations
    /// that lost. A node that joined later counts from its own admission.
    fn given_up_at(&self, registration: &Registration, claim: usize) -> Option<Millis> {
        let ended = registration.claims.get(claim)?.ended?;
        let was_reserved = registration.expires.is_some() && !registration.activated_in_time();
        if registration.lost || was_reserved || !matches!(ended, EndReason::Released | EndReason::Replaced) {
            return None;
        }
        let seen = self.end_of(registration.stamp, claim).map(|ending| ending.at);
        Some(seen.unwrap_or_else(|| self.log.let_in_at().max(registration.stamp.hlc.millis())))
    }

    /// Returns true where the holder of a name may claim it again in another spelling, with a claim that follows and
    /// replaces its own. The old claim must be confirmed, since a claim that lost cannot be followed, and no other
    /// claim may follow it yet.
    pub(super) fn may_respell(&self, replaces: &ClaimRef, namespace: &str, key: &str, leader: Stamp) -> bool {
        if (replaces.registration, replaces.namespace.as_str(), replaces.key.as_str()) != (leader, namespace, key) {
            return false;
        }
        let is_confirmed = |held: Registration| self.status(&held) == Status::Confirmed;
        let followed = self.registry.lattice.tenures(self.store, namespace, key).leader(Some(leader)).is_some();
        !followed && Registration::load(self.store, leader).is_some_and(is_confirmed)
    }
}
