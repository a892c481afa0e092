//! Issuing void ops anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::feed::EventKind;
use super::super::{Reader, Writer};
use super::VoidedOp;
use crate::clock::{NodeId, Stamp};
use crate::crdt::{Claim, ClaimRef, NameOp, Namespace, Register, Registration, Vacancy, Webhook};
use crate::log::{Body, Op, Seq};
use crate::store::schema::{self, Rows};

/// Void ops that one step issues anew at most, so that a step stays short. A guess.
const AT_ONCE: usize = 256;

impl Reader<'_> {
    /// Of each log that is over since the last look, returns the op at its cut where this node still has it. The stored ops
    /// of a log are dealt with in order, so the op at the cut is present until all ops before it are dealt with.
    fn newly_counted(&self) -> BTreeMap<NodeId, Option<Seq>> {
        let reissue = &self.registry.reissue;
        let is_new = |node: &NodeId| !reissue.counted.contains_key(node) && self.log.is_over(*node);
        let at_the_cut = |stamp: &Stamp| {
            let (seq, chain) = schema::Void::get(self.store, *stamp)?.place()?;
            self.log.ends_with(stamp.node, seq, chain).then_some(seq)
        };
        let new = reissue.stamps.iter().filter(|(node, _)| is_new(node));
        new.map(|(node, stamps)| (*node, stamps.iter().find_map(at_the_cut))).collect()
    }

    /// Returns some void ops whose logs are over, in their order. Later incarnations have greater ids.
    fn due_void(&self) -> Vec<(Stamp, VoidedOp)> {
        let over = self.registry.reissue.stamps.iter().filter(|(node, _)| self.log.is_over(**node));
        let due = over.flat_map(|(_, stamps)| stamps);
        due.filter_map(|stamp| Some((*stamp, schema::Void::get(self.store, *stamp)?))).take(AT_ONCE).collect()
    }

    fn after(&self, claim: &Claim) -> Option<Stamp> {
        match self.registry.lattice.vacancy(self.store, &claim.namespace, &claim.key) {
            Vacancy::Free(after) => after,
            Vacancy::Taken(leader) => {
                self.registry.lattice.followed_by(self.store, &claim.namespace, &claim.key, leader)
            }
        }
    }

    fn has_later_void_rules(&self, namespace: &str, than: Stamp) -> bool {
        self.has_later_void(than, |said| matches!(said, NameOp::Namespace { namespace: of, .. } if of == namespace))
    }

    fn has_later_void_webhook(&self, id: Uuid, than: Stamp) -> bool {
        self.has_later_void(than, |said| matches!(said, NameOp::Webhook { id: of, .. } if *of == id))
    }

    fn has_later_void(&self, than: Stamp, sets: impl Fn(&NameOp) -> bool) -> bool {
        let later = |(stamp, void): &(Stamp, VoidedOp)| {
            let said = |op: &Op| matches!(op.body(), Body::Name(said) if sets(said));
            *stamp > than && matches!(void, VoidedOp::Open(op) if said(op))
        };
        self.void_rows().iter().any(later)
    }

    fn stands_for_claim(&self, claim: ClaimRef) -> ClaimRef {
        ClaimRef { registration: self.stands_for(claim.registration), ..claim }
    }
}

impl Writer<'_> {
    /// Issues void ops anew, with fresh stamps and the old ids.
    pub(crate) fn register_again(&mut self) {
        if !self.registry.reissue.open || !self.log.may_issue_anew() {
            return;
        }
        self.registry.reissue.open = !self.registry.reissue.stamps.is_empty();
        if !self.registry.reissue.open {
            self.sweep_typed();
            self.sweep_held();
        }
        let counted = self.reader().newly_counted();
        self.registry.reissue.counted.extend(counted);
        for (stamp, void) in self.reader().due_void() {
            let (id, place) = (void.id(), void.place());
            let cut = self.registry.reissue.counted.get(&stamp.node).copied().flatten();
            let counts = cut.zip(place).is_some_and(|(cut, (seq, _))| seq <= cut);
            if counts && id.is_none_or(|id| self.registry.lattice.find(self.store, id).is_none()) {
                // This op is not above the cut, so it counts. If the cluster does not know it any more, it was over and
                // forgotten.
                self.settled(stamp, id);
                continue;
            }
            match void {
                VoidedOp::Rejected(registration, _)
                    if self.registry.lattice.find(self.store, registration.id()).is_some() =>
                {
                    self.settled(stamp, id)
                }
                // No other node knows this registration, so its rejection is recorded on this node alone.
                VoidedOp::Rejected(registration, _) => {
                    let rejected = self.registry.lattice.enter_alone(self.store, &registration);
                    self.tell(EventKind::Accepted, rejected.stamp);
                    self.tell(EventKind::Rejected(self.reader().causes(&rejected).lost_to()), rejected.stamp);
                    self.note_over(&rejected);
                    self.settled(stamp, id);
                }
                VoidedOp::Open(op) => self.issue_again(stamp, *op),
                VoidedOp::Again(..) => {}
            }
        }
    }

    /// Deals with an op that may be void. Where a registration counts after all, the cluster knows it by now. Its
    /// number below the cut is no proof, because a copy of the node may have issued another op under the same number.
    fn issue_again(&mut self, stamp: Stamp, op: Op) {
        match op.into_body() {
            Body::Name(NameOp::Register(register)) => self.again(stamp, Arc::unwrap_or_clone(register)),
            Body::Name(said) => {
                self.once_more(stamp, said);
                self.settled(stamp, None);
            }
            // An op about the membership is not issued anew, because no client waits for it.
            Body::Member(_) => self.settled(stamp, None),
        }
    }

    /// Notes that nothing is left to do about an op, which has this id where it is a registration.
    fn settled(&mut self, stamp: Stamp, id: Option<Uuid>) {
        schema::Void::delete(self.store, stamp);
        self.registry.reissue.done(stamp, id);
    }

    /// Replaces a void registration by the client's retry at another node, or by a new op of this node. A name that
    /// somebody else holds by now is claimed all the same, so that the client gets an outcome.
    fn again(&mut self, void: Stamp, register: Register) {
        if let Some(known) = register.id.and_then(|id| self.registry.lattice.find(self.store, id)) {
            return if known.stamp == void { self.settled(void, register.id) } else { self.stands_now(void, &known) };
        }
        let (id, accepted) = (register.id, register.accepted.or(Some(void.hlc)));
        let claims =
            register.claims.into_iter().map(|claim| Claim { after: self.reader().after(&claim), ..claim }).collect();
        let replaces = register.replaces.map(|replaces| self.reader().stands_for_claim(replaces));
        // The extensions of the void registration are included in the new end, because issued anew they might come too
        // late.
        let extensions = self.registry.reissue.extended.get(&void);
        let expires = register.expires.map(|first| extensions.map_or(first, |extensions| extensions.end(first)));
        let effects = self.issue(NameOp::Register(Register { claims, expires, replaces, accepted, ..register }.into()));
        if let Some(again) = effects.registered {
            tracing::info!(?id, "a registration that an eviction had made void is registered again");
            self.stands_now(void, &again);
        }
    }

    fn stands_now(&mut self, void: Stamp, again: &Registration) {
        let entry = VoidedOp::Again(again.stamp, again.id());
        schema::Void::put(self.store, void, &entry);
        self.registry.reissue.done(void, Some(again.id()));
        self.registry.waiters.hand_over(void, again.stamp);
    }

    fn once_more(&mut self, void: Stamp, said: NameOp) {
        match said {
            NameOp::Activate { registration } => {
                let registration = self.reader().stands_for(registration);
                let known = Registration::load(self.store, registration);
                if known.is_some_and(|known| known.activated.is_none()) {
                    self.issue(NameOp::Activate { registration });
                }
            }
            NameOp::Extend { registration, expires } => {
                let registration = self.reader().stands_for(registration);
                let known = Registration::load(self.store, registration);
                let lasts = |known: &Registration| !known.activated_in_time() && known.end() < Some(expires);
                if known.is_some_and(|known| known.end().is_some() && lasts(&known)) {
                    self.issue(NameOp::Extend { registration, expires });
                }
            }
            NameOp::Erase { registration } => {
                let registration = self.reader().stands_for(registration);
                let known = Registration::load(self.store, registration);
                if known.is_some_and(|known| known.erase.is_none()) {
                    self.issue(NameOp::Erase { registration });
                }
            }
            NameOp::Release(claim) => {
                let claim = self.reader().stands_for_claim(claim);
                let known = Registration::load(self.store, claim.registration);
                if known
                    .is_some_and(|known| known.claim(&claim.namespace, &claim.key).is_some_and(|c| c.ended.is_none()))
                {
                    self.issue(NameOp::Release(claim));
                }
            }
            // Rules are issued anew only where nobody has set later ones.
            NameOp::Namespace { namespace, rules } => {
                let set = Namespace::load(self.store, &namespace);
                if set.is_none_or(|set| set.stamp < void) && !self.reader().has_later_void_rules(&namespace, void) {
                    self.issue(NameOp::Namespace { namespace, rules });
                }
            }
            // A change of a webhook is issued anew only where nobody has made a later one.
            NameOp::Webhook { id, hook } => {
                let set = Webhook::load(self.store, id);
                if set.is_none_or(|set| set.stamp < void) && !self.reader().has_later_void_webhook(id, void) {
                    self.issue(NameOp::Webhook { id, hook });
                }
            }
            // A stop is issued anew only where the version that it stops is still the present one. Where that version was
            // void too and was issued anew, the receiver answers to the new one, and that is stopped then.
            NameOp::StopWebhook { id, version } => {
                let set = Webhook::load(self.store, id);
                if set.is_some_and(|set| set.hook.is_some() && set.stamp == version && set.stopped().is_none()) {
                    self.issue(NameOp::StopWebhook { id, version });
                }
            }
            // Registrations are dealt with in `again`.
            NameOp::Register(_) => {}
        }
    }
}
