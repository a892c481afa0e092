//! The lattice applies ops, and decides which claim leads.

use uuid::Uuid;

use super::erase::Erasures;
use super::gc::{is_twin, run_of};
use super::op::{Claim, NameOp, Register};
use super::orphan_ops::Early;
use super::record::{EndReason, Namespace, Registration, stamp_of_id};
use super::webhook::{Stop, Webhook};
use crate::clock::{Hlc, Stamp};
use crate::model::Seq;
use crate::name::Rules;
use crate::store::Store;
use crate::store::schema::{self, Cell, NameKey, OwnerKey, Rows};

/// What applying an op changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// The registration of a `Register` op.
    pub registered: Option<Registration>,
    /// True where no other registration with this id is known.
    pub first_of_id: bool,
    /// The registrations that lost because of the op, possibly the new one itself.
    pub lost: Vec<Stamp>,
}

/// The part of the lattice's state in memory. All else is in a store, which is lent to its calls.
#[derive(Clone, Debug, Default)]
pub struct Lattice {
    pub(super) settled: Hlc,
    pub(super) erasures: Erasures,
}

impl Lattice {
    /// Loads the lattice from a store.
    pub fn load(store: &dyn Store) -> Self {
        Self { settled: schema::Settled::load(store).unwrap_or_default(), erasures: Erasures::load(store) }
    }

    /// Applies an op. It must be the next op about names of its origin's log; `seq` is its number there.
    pub fn apply(&mut self, store: &mut dyn Store, stamp: Stamp, seq: Seq, op: &NameOp) -> Effects {
        match op {
            NameOp::Register(register) => {
                self.register(store, Registration::new(stamp, seq, Register::clone(register)))
            }
            NameOp::Activate { registration } => self.early(store, *registration, Early::Activate(stamp)),
            NameOp::Release(claim) => self.early(store, claim.registration, Early::Release(claim.clone())),
            NameOp::Extend { registration, expires } => {
                self.early(store, *registration, Early::Extend(stamp, *expires))
            }
            NameOp::Erase { registration } => self.early(store, *registration, Early::Erase(stamp)),
            NameOp::Namespace { namespace, rules } => {
                self.set_rules(store, namespace, Namespace { stamp, seq, rules: (**rules).clone() });
                Effects::default()
            }
            NameOp::Webhook { id, hook } => {
                let set = Webhook { stamp, seq, hook: hook.as_deref().cloned(), stop: None };
                self.join_webhook(store, *id, &set);
                Effects::default()
            }
            NameOp::StopWebhook { id, version } => {
                let stop = Some(Stop { version: *version, stamp, seq });
                self.join_webhook(store, *id, &Webhook { stop, ..Webhook::default() });
                Effects::default()
            }
        }
    }

    /// The rules of a namespace: those that were set last, or else its defaults.
    pub fn rules(&self, store: &dyn Store, namespace: &str) -> Rules {
        Namespace::load(store, namespace).map_or_else(|| Rules::default_of(namespace), |set| set.rules)
    }

    /// Sets the rules of a namespace. The last writer wins, by stamp.
    pub(super) fn set_rules(&self, store: &mut dyn Store, namespace: &str, theirs: Namespace) {
        let ours = Namespace::load(store, namespace);
        if planted!(crdt::replaces(ours.is_none_or(|ours| ours.stamp < theirs.stamp))) {
            theirs.save(store, namespace);
        }
    }

    /// Merges a state of a webhook into the stored one.
    pub(super) fn join_webhook(&self, store: &mut dyn Store, id: Uuid, theirs: &Webhook) {
        let known = Webhook::load(store, id);
        let is_new = known.is_none();
        let mut ours = known.unwrap_or_default();
        if ours.join(theirs) || is_new {
            ours.save(store, id);
        }
    }

    /// Finds the registration of an id: of the latest run of registrations with this id, the one with the least stamp.
    pub fn find(&self, store: &dyn Store, id: Uuid) -> Option<Registration> {
        let made = stamp_of_id(id).and_then(|stamp| Registration::load(store, stamp));
        made.filter(|registration| registration.id() == id).or_else(|| {
            let twins = self.twins(store, id);
            let first = run_of(&twins, *twins.last()?).first()?;
            Registration::load(store, *first)
        })
    }

    /// The stamp of the registration that [`Lattice::find`] finds.
    pub fn find_stamp(&self, store: &dyn Store, id: Uuid) -> Option<Stamp> {
        // An id made from a stamp does not tell whether the client chose it, so the record is looked up.
        if stamp_of_id(id).is_some() {
            return self.find(store, id).map(|registration| registration.stamp);
        }
        self.twins(store, id).first().copied()
    }

    /// The claims that a registration lost to, with the index of the lost claim; the index is none where it lost as a
    /// later twin.
    pub fn causes(&self, store: &dyn Store, registration: &Registration) -> Vec<(Option<usize>, Stamp)> {
        let mut causes = Vec::new();
        if let Some(id) = registration.chosen_id.filter(|_| registration.has_twins) {
            let first = self.run(store, id, registration.stamp).first().copied();
            causes.extend(first.filter(|first| *first != registration.stamp).map(|first| (None, first)));
        }
        for (index, record) in registration.claims.iter().enumerate() {
            let Claim { namespace, key, after, .. } = &record.claim;
            let by = self.tenures(store, namespace, key).displaced_by(*after, registration.stamp);
            causes.extend(by.map(|by| (Some(index), by)));
        }
        causes
    }

    /// The stamps of all registrations with an id that a client chose, in order.
    pub(super) fn twins(&self, store: &dyn Store, id: Uuid) -> Vec<Stamp> {
        schema::Ids::get(store, id).unwrap_or_default()
    }

    /// Enters a rejected registration that no other node knows because its op is void. It is found by its id and its
    /// owner. It is listed among the losers of its names, and leads nothing.
    pub(crate) fn enter_alone(&self, store: &mut dyn Store, rejected: &Registration) -> Registration {
        let mut rejected = rejected.clone();
        for record in &mut rejected.claims {
            record.ended.get_or_insert(EndReason::Rejected);
            let Claim { namespace, key, after, .. } = &record.claim;
            self.enter_loser(store, NameKey::new(namespace, key), *after, rejected.stamp);
        }
        rejected.save(store);
        self.index_owner(store, &rejected);
        rejected
    }

    pub(super) fn register(&mut self, store: &mut dyn Store, mut new: Registration) -> Effects {
        let stamp = new.stamp;
        let mut effects = Effects { first_of_id: true, ..Effects::default() };
        let mut entered = Vec::new();
        if let Some(id) = new.chosen_id {
            self.insert_twin(store, id, &mut new, &mut effects);
        }
        for Claim { namespace, key, after, .. } in new.claims.iter().map(|record| &record.claim) {
            let one = self.enter(store, NameKey::new(namespace, key), *after, stamp);
            new.lost |= one.has_lost();
            entered.push(one);
        }
        self.take_early(store, &mut new);
        self.follow_erased(store, &mut new);
        if let Some(by) = new.erase {
            self.enter_erasing(store, stamp, by);
        }
        if let Some(mut replaces) = new.replaces.take() {
            self.without_erased(store, &mut replaces);
            new.replaces = Some(replaces);
        }
        self.index(store, &new);
        if new.lost && !effects.lost.contains(&stamp) {
            effects.lost.push(stamp);
        }
        new.save(store);
        for (Claim { namespace, key, .. }, one) in new.claims.iter().map(|record| &record.claim).zip(&entered) {
            self.displace(store, NameKey::new(namespace, key), one, &mut effects);
        }
        effects.registered = Some(new);
        effects
    }

    /// Enters a registration under the id that its client chose. A registration within the window of an earlier one
    /// with the same id loses to it.
    fn insert_twin(&self, store: &mut dyn Store, id: Uuid, new: &mut Registration, effects: &mut Effects) {
        let mut twins = self.twins(store, id);
        let place = twins.partition_point(|twin| *twin < new.stamp);
        let later: Vec<_> = twins[place..].iter().copied().take_while(|later| is_twin(new.stamp, *later)).collect();
        let earlier = twins[..place].last().copied().filter(|earlier| is_twin(*earlier, new.stamp));
        twins.insert(place, new.stamp);
        schema::Ids::put(store, id, &twins);
        effects.first_of_id = earlier.is_none() && later.is_empty();
        new.has_twins = !effects.first_of_id;
        for twin in earlier.iter().chain(&later) {
            self.note_twin(store, *twin);
        }
        if earlier.is_some() {
            new.lost = true;
            effects.lost.push(new.stamp);
        }
        later.into_iter().for_each(|later| self.lose(store, later, effects));
    }

    /// Notes in a registration that it has a twin.
    fn note_twin(&self, store: &mut dyn Store, twin: Stamp) {
        if let Some(mut registration) = Registration::load(store, twin).filter(|registration| !registration.has_twins) {
            registration.has_twins = true;
            registration.save(store);
        }
    }

    pub(super) fn lose(&self, store: &mut dyn Store, loser: Stamp, effects: &mut Effects) {
        let Some(mut registration) = Registration::load(store, loser) else { return };
        if !registration.lost {
            registration.lost = true;
            registration.save(store);
            effects.lost.push(loser);
        }
    }

    fn index(&self, store: &mut dyn Store, new: &Registration) {
        self.index_owner(store, new);
        if let Some(end) = new.end() {
            schema::Expiries::put(store, (end, new.stamp), &());
        }
    }

    fn index_owner(&self, store: &mut dyn Store, new: &Registration) {
        schema::Owners::put(store, OwnerKey { owner: &new.owner, stamp: new.stamp }, &());
    }

    /// Moves a reservation in the index of ends, where its end was `before` and has changed.
    pub(super) fn index_end(&self, store: &mut dyn Store, registration: &Registration, before: Option<Hlc>) {
        let end = registration.end();
        if let (Some(before), Some(end)) = (before, end.filter(|_| end != before)) {
            schema::Expiries::delete(store, (before, registration.stamp));
            schema::Expiries::put(store, (end, registration.stamp), &());
        }
    }

    /// Reduces the ops at or below `upto` that extended a reservation to one timestamp. Everything at or below `upto`
    /// must have arrived.
    pub(crate) fn settle_end(&self, store: &mut dyn Store, registration: &mut Registration, upto: Hlc) {
        if let Some(first) = registration.expires
            && registration.extensions.settle(first, upto)
        {
            registration.save(store);
        }
    }
}
