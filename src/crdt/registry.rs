//! The lattice: applying ops, merging states, and who leads.

use crdts::{CmRDT, CvRDT, VClock};
use uuid::Uuid;

use super::erase::Erasures;
use super::gc::{is_twin, run_of};
use super::op::{Body, Claim, Op, Register, Seq};
use super::orphan_ops::Early;
use super::record::{EndReason, Namespace, Registration, stamp_of_id};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::name::Rules;
use crate::store::Store;
use crate::store::schema::{self, Cell, NameKey, OwnerKey, Rows, Span};

/// The op is not the next one of its origin. The registry is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("op {got} of {origin} is not the next one: {expected} is missing")]
pub struct ApplyError {
    /// Whose op.
    pub origin: NodeId,
    /// The next one.
    pub expected: Seq,
    /// The one given.
    pub got: Seq,
}

/// Why two states cannot be merged. Both are as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MergeError {
    /// They hold different registrations, or rules of a namespace, under one stamp: one of them was never an honest
    /// member's.
    #[error("two different registrations, or rules of a namespace, carry the stamp {0}")]
    TwoOfOneStamp(Stamp),
    /// One of them has forgotten registrations that the other may hold.
    #[error("one of the states has forgotten registrations; it can be taken over as a whole, but not merged")]
    Forgetful,
}

/// What applying an op changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// The registration that the op brought.
    pub registered: Option<Registration>,
    /// It is the first known one of its id.
    pub first_of_id: bool,
    /// Registrations that lost by it, perhaps the new one itself.
    pub lost: Vec<Stamp>,
}

/// The registry, kept in a store.
#[derive(Clone, Debug)]
pub struct Registry<S> {
    /// Where it is kept.
    pub store: S,
    applied: VClock<NodeId>,
    pub(super) settled: Hlc,
    pub(super) erasures: Erasures,
}

impl<S: Store> Registry<S> {
    /// The registry that a store holds, of which these prefixes of logs were applied.
    pub fn new(store: S, applied: VClock<NodeId>) -> Self {
        let settled = schema::Settled::load(&store).unwrap_or_default();
        let erasures = Erasures::load(&store);
        Self { store, applied, settled, erasures }
    }

    /// Takes the store's word for what is in it: these prefixes of logs were applied to it.
    pub(crate) fn resume(&mut self, applied: VClock<NodeId>) {
        self.applied = applied;
        self.settled = schema::Settled::load(&self.store).unwrap_or_default();
        self.erasures = Erasures::load(&self.store);
    }

    /// The prefixes of logs that were applied.
    pub fn applied(&self) -> &VClock<NodeId> {
        &self.applied
    }

    /// The prefix of one log.
    pub fn applied_of(&self, origin: NodeId) -> Seq {
        self.applied.get(&origin)
    }

    /// Applies the next op of its origin; nothing for one that was applied before.
    ///
    /// # Errors
    /// A gap, and then nothing was changed.
    pub fn apply_op(&mut self, op: &Op) -> Result<Effects, ApplyError> {
        let dot = crdts::Dot::new(op.node, op.seq);
        self.applied.validate_op(&dot).map_err(|range| ApplyError {
            origin: op.node,
            expected: range.counter_range.start,
            got: op.seq,
        })?;
        if op.seq <= self.applied.get(&op.node) {
            return Ok(Effects::default());
        }
        self.applied.apply(dot);
        Ok(match &op.body {
            Body::Register(register) => self.register(Registration::new(op.stamp(), op.seq, register.clone())),
            Body::Activate { registration } => self.early(*registration, Early::Activate(op.stamp())),
            Body::Release(claim) => self.early(claim.registration, Early::Release(claim.clone())),
            Body::Extend { registration, expires } => self.early(*registration, Early::Extend(op.stamp(), *expires)),
            Body::Erase { registration } => self.early(*registration, Early::Erase(op.stamp())),
            Body::Namespace { namespace, rules } => {
                self.set_rules(namespace, Namespace { stamp: op.stamp(), seq: op.seq, rules: (**rules).clone() });
                Effects::default()
            }
            _ => Effects::default(),
        })
    }

    /// The rules of a namespace: those that were set last, or else its defaults.
    pub fn rules(&self, namespace: &str) -> Rules {
        Namespace::load(&self.store, namespace).map_or_else(|| Rules::default_of(namespace), |set| set.rules)
    }

    /// The last writer wins, by stamp.
    fn set_rules(&mut self, namespace: &str, theirs: Namespace) {
        let ours = Namespace::load(&self.store, namespace);
        if planted!(RulesByArrival) || ours.is_none_or(|ours| ours.stamp < theirs.stamp) {
            theirs.save(&mut self.store, namespace);
        }
    }

    /// The registration of an id: the least stamp that carries it, of those within the window of the latest.
    pub fn find(&self, id: Uuid) -> Option<Registration> {
        let made = stamp_of_id(id).and_then(|stamp| Registration::load(&self.store, stamp));
        made.filter(|registration| registration.id() == id).or_else(|| {
            let twins = self.twins(id);
            let first = run_of(&twins, *twins.last()?).first()?;
            Registration::load(&self.store, *first)
        })
    }

    /// The stamp of the registration that [`Registry::find`] finds.
    pub fn find_stamp(&self, id: Uuid) -> Option<Stamp> {
        // Whether one that was made from a stamp has the id only its record says.
        if stamp_of_id(id).is_some() {
            return self.find(id).map(|registration| registration.stamp);
        }
        self.twins(id).first().copied()
    }

    /// The claims that a registration lost to, with the index of the lost claim; none where it lost as a later twin.
    pub fn causes(&self, registration: &Registration) -> Vec<(Option<usize>, Stamp)> {
        let mut causes = Vec::new();
        if let Some(id) = registration.chosen_id {
            let first = self.run(id, registration.stamp).first().copied();
            causes.extend(first.filter(|first| *first != registration.stamp).map(|first| (None, first)));
        }
        for (index, record) in registration.claims.iter().enumerate() {
            let Claim { namespace, key, after, .. } = &record.claim;
            let by = self.tenures(namespace, key).displaced_by(*after, registration.stamp);
            causes.extend(by.map(|by| (Some(index), by)));
        }
        causes
    }

    /// All registrations that carry a client's id, by stamp.
    pub(super) fn twins(&self, id: Uuid) -> Vec<Stamp> {
        schema::Ids::get(&self.store, id).unwrap_or_default()
    }

    /// Enters a rejected registration that no other node knows, its op being void: it is found by its id and its owner,
    /// and stands among those who lost the names, leading nothing.
    pub(crate) fn enter_alone(&mut self, rejected: &Registration) -> Registration {
        let mut rejected = rejected.clone();
        for record in &mut rejected.claims {
            record.ended.get_or_insert(EndReason::Rejected);
            let Claim { namespace, key, after, .. } = &record.claim;
            self.enter_loser(NameKey::new(namespace, key), *after, rejected.stamp);
        }
        rejected.save(&mut self.store);
        self.index_owner(&rejected);
        rejected
    }

    fn register(&mut self, mut new: Registration) -> Effects {
        let stamp = new.stamp;
        let mut effects = Effects { first_of_id: true, ..Effects::default() };
        let mut entered = Vec::new();
        if let Some(id) = new.chosen_id {
            self.insert_twin(id, &mut new, &mut effects);
        }
        for Claim { namespace, key, after, .. } in new.claims.iter().map(|record| &record.claim) {
            let one = self.enter(NameKey::new(namespace, key), *after, stamp);
            new.lost |= one.has_lost();
            entered.push(one);
        }
        self.take_early(&mut new);
        self.follow_erased(&mut new);
        if let Some(by) = new.erase {
            self.enter_erasing(stamp, by);
        }
        if let Some(mut replaces) = new.replaces.take() {
            self.without_erased(&mut replaces);
            new.replaces = Some(replaces);
        }
        self.index(&new);
        if new.lost && !effects.lost.contains(&stamp) {
            effects.lost.push(stamp);
        }
        new.save(&mut self.store);
        for (Claim { namespace, key, .. }, one) in new.claims.iter().map(|record| &record.claim).zip(&entered) {
            self.displace(NameKey::new(namespace, key), one, &mut effects);
        }
        effects.registered = Some(new);
        effects
    }

    /// Enters a registration under the id that its client chose: whoever comes within the window of an earlier one loses
    /// to it.
    fn insert_twin(&mut self, id: Uuid, new: &mut Registration, effects: &mut Effects) {
        let mut twins = self.twins(id);
        let place = twins.partition_point(|twin| *twin < new.stamp);
        let later: Vec<_> = twins[place..].iter().copied().take_while(|later| is_twin(new.stamp, *later)).collect();
        let follows = twins[..place].last().is_some_and(|earlier| is_twin(*earlier, new.stamp));
        twins.insert(place, new.stamp);
        schema::Ids::put(&mut self.store, id, &twins);
        effects.first_of_id = !follows && later.is_empty();
        if follows {
            new.lost = true;
            effects.lost.push(new.stamp);
        }
        later.into_iter().for_each(|later| self.lose(later, effects));
    }

    pub(super) fn lose(&mut self, loser: Stamp, effects: &mut Effects) {
        let Some(mut registration) = Registration::load(&self.store, loser) else { return };
        if !registration.lost {
            registration.lost = true;
            registration.save(&mut self.store);
            effects.lost.push(loser);
        }
    }

    fn index(&mut self, new: &Registration) {
        self.index_owner(new);
        if let Some(end) = new.end() {
            schema::Expiries::put(&mut self.store, (end, new.stamp), &());
        }
    }

    fn index_owner(&mut self, new: &Registration) {
        schema::Owners::put(&mut self.store, OwnerKey { owner: &new.owner, stamp: new.stamp }, &());
    }

    /// A reservation that ended at `before` is found by its end of now.
    pub(super) fn index_end(&mut self, registration: &Registration, before: Option<Hlc>) {
        let end = registration.end();
        if let (Some(before), Some(end)) = (before, end.filter(|_| end != before)) {
            schema::Expiries::delete(&mut self.store, (before, registration.stamp));
            schema::Expiries::put(&mut self.store, (end, registration.stamp), &());
        }
    }

    /// Everything at or below a timestamp has arrived: what has lengthened a reservation by then is settled.
    pub(crate) fn settle_end(&mut self, registration: &mut Registration, upto: Hlc) {
        if let Some(first) = registration.expires
            && registration.extensions.settle(first, upto)
        {
            registration.save(&mut self.store);
        }
    }

    /// The join of what two states know of one registration.
    fn merge_registration(&mut self, theirs: Registration) {
        if Registration::load(&self.store, theirs.stamp).is_none() {
            let fresh = Registration { lost: false, ..theirs.clone() };
            self.register(fresh);
        }
        let Some(mut ours) = Registration::load(&self.store, theirs.stamp) else { return };
        ours.lost |= theirs.lost;
        ours.rejected |= theirs.rejected;
        ours.activated = ours.activated.into_iter().chain(theirs.activated).min();
        let end = ours.end();
        ours.extensions.join(theirs.extensions);
        self.index_end(&ours, end);
        ours.erase = ours.erase.into_iter().chain(theirs.erase).min();
        if let Some(by) = ours.erase {
            self.enter_erasing(ours.stamp, by);
        }
        for (ours, theirs) in ours.claims.iter_mut().zip(theirs.claims) {
            ours.released |= theirs.released;
            ours.ended = ours.ended.into_iter().chain(theirs.ended).min();
        }
        ours.save(&mut self.store);
    }

    fn registrations(&self) -> Vec<Registration> {
        let mut registrations = Vec::new();
        schema::Registrations::each(&self.store, &Span::all(), |found| registrations.push(found.row()));
        registrations
    }

    fn namespaces(&self) -> Vec<(String, Namespace)> {
        let mut namespaces = Vec::new();
        schema::Namespaces::each(&self.store, &Span::all(), |found| {
            namespaces.extend(found.key().map(|namespace| (namespace.to_owned(), found.row())));
        });
        namespaces
    }

    fn all_early(&self) -> Vec<(Stamp, Vec<Early>)> {
        let mut early = Vec::new();
        schema::Early::each(&self.store, &Span::all(), |found| {
            early.extend(found.key().map(|stamp| (stamp, found.row())));
        });
        early
    }
}

impl<S: Store> CmRDT for Registry<S> {
    type Op = Op;
    type Validation = ApplyError;

    fn validate_op(&self, op: &Op) -> Result<(), ApplyError> {
        let expected = self.applied.get(&op.node) + 1;
        if op.seq > expected { Err(ApplyError { origin: op.node, expected, got: op.seq }) } else { Ok(()) }
    }

    /// Applies an op; an op after a gap, which [`CmRDT::validate_op`] refuses, changes nothing.
    fn apply(&mut self, op: Op) {
        if let Err(error) = self.apply_op(&op) {
            tracing::debug!(%error, "op not applied");
        }
    }
}

impl<S: Store> CvRDT for Registry<S> {
    type Validation = MergeError;

    fn validate_merge(&self, other: &Self) -> Result<(), MergeError> {
        if self.settled.max(other.settled) > Hlc::ZERO {
            return Err(MergeError::Forgetful);
        }
        for theirs in other.registrations() {
            let ours = Registration::load(&self.store, theirs.stamp);
            if ours.is_some_and(|ours| content(&ours) != content(&theirs)) {
                return Err(MergeError::TwoOfOneStamp(theirs.stamp));
            }
        }
        for (namespace, theirs) in other.namespaces() {
            let ours = Namespace::load(&self.store, &namespace);
            if ours.is_some_and(|ours| ours.stamp == theirs.stamp && ours != theirs) {
                return Err(MergeError::TwoOfOneStamp(theirs.stamp));
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for theirs in other.registrations() {
            self.merge_registration(theirs);
        }
        for (stamp, waiting) in other.all_early() {
            for early in waiting {
                self.early(stamp, early);
            }
        }
        for (namespace, theirs) in other.namespaces() {
            self.set_rules(&namespace, theirs);
        }
        self.applied.merge(other.applied);
    }
}

/// What a registration's op said, without what became of it.
fn content(registration: &Registration) -> (Seq, Register) {
    let registration = registration.clone();
    let register = Register {
        id: registration.chosen_id,
        owner: registration.owner,
        claims: registration.claims.into_iter().map(|record| record.claim).collect(),
        expires: registration.expires,
        replaces: registration.replaces,
        metadata: registration.metadata,
    };
    (registration.seq, register)
}
