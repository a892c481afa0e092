//! What decides a registration or a name, and what it waits for: the facts. The words are the interface's.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::MAX_EXAMINED;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::crdt::{ClaimRef, Registration};
use crate::log::Seq;
use crate::model::limits::MAX_PAGE;
use crate::model::{self, Claim, Name, NameRef, Status, Tenure, Time, Waiting};
use crate::store::Direction;
use crate::store::schema::{self, OwnerKey, Rows, Span};

/// What decides a registration.
#[derive(Clone, PartialEq, Debug)]
pub struct RegistrationExplanation {
    /// The registration.
    pub registration: model::Registration,
    /// Its claims, in the order of its names.
    pub claims: Vec<ClaimExplanation>,
    /// Later ops with the same id, which lost to it without a word.
    pub twins: Vec<Stamp>,
    /// What it waits for, where it, its end or a claim's end is not final.
    pub wait: Option<Wait>,
    /// The labels of the nodes that are spoken of.
    pub labels: BTreeMap<NodeId, String>,
}

/// What decides a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimExplanation {
    /// The claim; of an erased one there is no name.
    pub claim: Claim,
    /// The claim that leads instead of it; where that one is forgotten, a later one that led the name.
    pub lost_to: Option<Rival>,
    /// Claims of the same tenure that lost to it.
    pub won_against: Vec<Rival>,
    /// A release of it is known.
    pub released: bool,
    /// When it ended, where that is final and this node has seen it.
    pub ended_at: Option<Time>,
    /// The registration that took its place.
    pub replaced_by: Option<Rival>,
}

/// Another registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rival {
    /// Its id.
    pub registration: Uuid,
    /// Its owner.
    pub owner: String,
    /// Its stamp.
    pub stamp: Stamp,
    /// Where it stands.
    pub status: Status,
}

/// What something waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// What is waited for.
    pub what: WaitFor,
    /// From whom.
    pub members: Vec<Awaited>,
}

/// What members have yet to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// That nothing earlier can come from them any more: the outcome.
    Promise,
    /// That they hold it: a majority has to.
    Held {
        /// Members that hold it.
        by: usize,
        /// Members.
        of: usize,
    },
    /// That their clocks have passed the end of a reservation.
    Expiry(Time),
    /// That a release is known to all.
    Release,
}

/// A member that is waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Awaited {
    /// Who, and since when it has been silent.
    pub waiting: Waiting,
    /// This node is connected to it.
    pub connected: bool,
    /// It is on its way out of the cluster.
    pub leaves: bool,
    /// This node could begin its eviction now: a majority that would stay is in contact.
    pub evictable: bool,
    /// How far ahead the timestamps were that this node last refused to take from it, milliseconds.
    pub skewed: Option<u64>,
}

/// What decides a name.
#[derive(Clone, PartialEq, Debug)]
pub struct NameExplanation {
    /// The name.
    pub name: Name,
    /// Somebody has claimed it before.
    pub was_claimed: bool,
    /// Its latest tenure, with the first of those who claimed that; none where nobody ever claimed it, or the one who led is
    /// forgotten.
    pub tenure: Option<Tenure>,
    /// What decides the registration that leads it, where one does.
    pub holder: Option<RegistrationExplanation>,
}

/// What decides a registration, and what it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExplainRegistration {
    /// Its id.
    pub id: Uuid,
    claims: Vec<ClaimExplanation>,
}

impl ExplainRegistration {
    /// The registration of an id.
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self { id, claims: Vec::new() }
    }
}

impl Query for ExplainRegistration {
    type Answer = RegistrationExplanation;

    /// One claim after the other.
    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<RegistrationExplanation, Refusal>> {
        let known = reader.registry.lattice.find(reader.store, self.id).or_else(|| reader.void_registration(self.id));
        let Some(registration) = known else { return Some(Err(Refusal::NoRegistration(self.id))) };
        if let Err(refusal) = caller.reach_all_of(&registration) {
            return Some(Err(refusal));
        }
        while self.claims.len() < registration.claims.len() {
            if budget.left() == 0 {
                return None;
            }
            self.claims.push(reader.explain_claim(&registration, self.claims.len(), budget));
        }
        Some(Ok(reader.explanation(registration, std::mem::take(&mut self.claims))))
    }
}

/// What decides a name, and what it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExplainName {
    /// The name.
    pub name: NameRef,
    /// What decides the registration that holds it.
    holder: Option<ExplainRegistration>,
}

impl ExplainName {
    /// What decides this name.
    #[must_use]
    pub fn new(name: NameRef) -> Self {
        Self { name, holder: None }
    }

    fn explain(&self, reader: Reader<'_>, holder: Option<RegistrationExplanation>) -> Result<NameExplanation, Refusal> {
        let key = reader.name_key(&self.name)?;
        let tenures = reader.registry.lattice.tenures(reader.store, &self.name.namespace, &key);
        let latest = tenures.last().map(|after| (after, tenures.claims(after, MAX_PAGE)));
        let was_claimed = latest.is_some();
        let tenure = |(after, claims): (_, Vec<_>)| {
            reader.claims_to(&self.name.namespace, &key, &tenures, after, &claims).tenure()
        };
        let (name, tenure) = (reader.name_view(self.name.clone())?, latest.and_then(tenure));
        Ok(NameExplanation { name, was_claimed, tenure, holder })
    }
}

impl Query for ExplainName {
    type Answer = NameExplanation;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<NameExplanation, Refusal>> {
        let reached = caller.reach(&self.name.namespace);
        let holder = match reached.and_then(|()| reader.name_view(self.name.clone())) {
            Ok(view) => view.registration,
            Err(refusal) => return Some(Err(refusal)),
        };
        let explained = match holder {
            Some(id) => {
                let begun = self.holder.take().filter(|begun| begun.id == id);
                let holder = self.holder.insert(begun.unwrap_or_else(|| ExplainRegistration::new(id)));
                // One that is known by its id no more has ended meanwhile; one with a name elsewhere may be out of reach.
                holder.read(reader, caller, budget)?.ok()
            }
            None => None,
        };
        let explanation = self.explain(reader, explained);
        let claims =
            |explanation: &NameExplanation| explanation.tenure.as_ref().map_or(0, |tenure| 1 + tenure.losers.len());
        budget.spend(1 + explanation.as_ref().map_or(0, claims));
        Some(explanation)
    }
}

impl Reader<'_> {
    fn explanation(&self, registration: Registration, claims: Vec<ClaimExplanation>) -> RegistrationExplanation {
        let twins = self.registry.lattice.run(self.store, registration.id(), registration.stamp);
        let twins: Vec<_> = twins.into_iter().filter(|twin| *twin != registration.stamp).collect();
        let wait = self.wait_of(&registration);
        let rivals = claims.iter().flat_map(|claim| {
            claim.lost_to.iter().chain(&claim.won_against).chain(&claim.replaced_by).map(|rival| rival.stamp.node)
        });
        let nodes = rivals.chain(twins.iter().map(|twin| twin.node)).chain([registration.stamp.node]);
        let labels = nodes.map(|node| (node, self.log.label(node))).collect();
        let registration = self.registration_view(&registration);
        RegistrationExplanation { registration, claims, twins, wait, labels }
    }

    fn explain_claim(&self, registration: &Registration, index: usize, budget: &mut Budget) -> ClaimExplanation {
        let record = &registration.claims[index];
        let (namespace, key) = (&record.claim.namespace, &record.claim.key);
        let (tenures, after) = (self.registry.lattice.tenures(self.store, namespace, key), record.claim.after);
        let lost_to = tenures.displaced_by(after, registration.stamp).and_then(|by| self.rival(by));
        let leads = tenures.leader(after) == Some(registration.stamp) && tenures.is_led(after);
        let claims = if leads { tenures.claims(after, MAX_PAGE) } else { Vec::new() };
        budget.spend(1 + claims.len());
        let rivals = claims.into_iter().skip(1).filter_map(|stamp| self.rival(stamp));
        let replaced = record.ended == Some(crate::crdt::EndReason::Replaced);
        ClaimExplanation {
            claim: Claim { ended: record.ended, ..self.claim_view(registration.id(), &record.claim) },
            lost_to,
            won_against: rivals.filter(|rival| rival.registration != registration.id()).collect(),
            released: record.released,
            ended_at: self.ended_at(namespace, key, registration.stamp),
            replaced_by: replaced.then(|| self.replacement(registration, index, budget)).flatten(),
        }
    }

    fn rival(&self, stamp: Stamp) -> Option<Rival> {
        let registration = Registration::load(self.store, stamp)?;
        let status = self.status(&registration);
        Some(Rival { registration: registration.id(), stamp, status, owner: registration.owner })
    }

    /// The registration of the same owner that took a claim's place, among the next ones.
    fn replacement(&self, registration: &Registration, index: usize, budget: &mut Budget) -> Option<Rival> {
        let claim = &registration.claims[index].claim;
        let place =
            ClaimRef { registration: registration.stamp, namespace: claim.namespace.clone(), key: claim.key.clone() };
        let from = OwnerKey { owner: &registration.owner, stamp: registration.stamp };
        let span = Span::<schema::Owners>::of(&registration.owner).and_from(from);
        let (mut examined, mut found) = (0, None);
        schema::Owners::scan(self.store, &span, Direction::Up, &mut |row| {
            examined += 1;
            let later = row.key().and_then(|key| Registration::load(self.store, key.stamp));
            found =
                later.filter(|later| !later.lost && later.replaces.as_ref() == Some(&place)).map(|later| later.stamp);
            if found.is_some() || examined >= MAX_PAGE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        budget.spend(examined);
        self.rival(found?)
    }

    /// What a registration waits for: its own outcome, or the end of a claim that is on its way.
    fn wait_of(&self, registration: &Registration) -> Option<Wait> {
        let mut open = registration.claims.iter().filter(|record| record.ended.is_none());
        // The names of a rejected registration are free once its own op is decided.
        let freeing = registration.rejected && open.clone().next().is_some();
        if freeing || !self.status(registration).is_final() {
            let (stamp, seq) = self.awaited_op(registration);
            let waiting = self.log.waiting_for(stamp, seq);
            let what = if self.log.lacks_promises(stamp) {
                WaitFor::Promise
            } else {
                let (by, of) = self.log.holders(stamp.node, seq);
                WaitFor::Held { by, of }
            };
            return Some(self.wait(what, waiting));
        }
        let released = open.clone().find(|record| record.released);
        if let Some(record) = released {
            let (namespace, key) = (record.claim.namespace.clone(), record.claim.key.clone());
            let claim = ClaimRef { registration: registration.stamp, namespace, key };
            let waiting = self.registry.verdicts.undecided_release(&claim, MAX_EXAMINED).or_else(|| self.log.oldest());
            let waiting = waiting.map(|(stamp, seq)| self.log.waiting_for(stamp, seq)).unwrap_or_default();
            return Some(self.wait(WaitFor::Release, waiting));
        }
        let end = registration.end().filter(|_| !registration.activated_in_time() && open.next().is_some())?;
        let due = self.log.cluster_time() >= end.millis();
        due.then(|| self.wait(WaitFor::Expiry(Time::from(end)), self.log.waiting_for(before(end), Seq::MAX)))
    }

    /// A lost registration whose own op is decided waits for the op that displaced it.
    fn awaited_op(&self, registration: &Registration) -> (Stamp, Seq) {
        let own = (registration.stamp, registration.seq);
        if registration.rejected || !registration.lost || !self.log.waiting_for(own.0, own.1).is_empty() {
            return own;
        }
        let causes = self.registry.lattice.causes(self.store, registration);
        let winner = causes.first().and_then(|(_, cause)| Registration::load(self.store, *cause));
        winner.map_or(own, |winner| (winner.stamp, winner.seq))
    }

    fn wait(&self, what: WaitFor, waiting: Vec<Waiting>) -> Wait {
        Wait { what, members: waiting.into_iter().map(|waiting| self.log.awaited(waiting)).collect() }
    }
}

/// A stamp that a member's promise has reached once its clock is at a time.
fn before(time: Hlc) -> Stamp {
    Stamp { hlc: time, node: NodeId::default() }
}
