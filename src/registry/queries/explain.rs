//! Explanations: the facts that decide a registration or a name, and what it waits for. The HTTP interface puts them
//! into words.

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

/// The facts that decide a registration.
#[derive(Clone, PartialEq, Debug)]
pub struct RegistrationExplanation {
    /// The registration.
    pub registration: model::Registration,
    /// Its claims, in the order of its names.
    pub claims: Vec<ClaimExplanation>,
    /// Later ops with the same id, which lost to it without an event.
    pub twins: Vec<Stamp>,
    /// What it waits for, where its outcome, its end or the end of a claim is not final.
    pub wait: Option<Wait>,
    /// The operator's names of the nodes in this explanation.
    pub labels: BTreeMap<NodeId, String>,
}

/// The facts that decide a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimExplanation {
    /// The claim. The name is empty where the registration was erased.
    pub claim: Claim,
    /// The claim that leads in its place. Where that one is forgotten, a later leader of the name.
    pub lost_to: Option<Rival>,
    /// Claims of the same tenure that lost to it.
    pub won_against: Vec<Rival>,
    /// True once a release of it is known.
    pub released: bool,
    /// When it ended, where its end is final and this node has seen it.
    pub ended_at: Option<Time>,
    /// The registration that replaced it by a rename.
    pub replaced_by: Option<Rival>,
}

/// Another registration that claimed the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rival {
    /// The registration's id.
    pub registration: Uuid,
    /// The registration's owner.
    pub owner: String,
    /// The registration's stamp.
    pub stamp: Stamp,
    /// The registration's status.
    pub status: Status,
}

/// What a registration waits for, and which members have to answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// The kind of answer.
    pub what: WaitFor,
    /// The members that have not answered.
    pub members: Vec<Awaited>,
}

/// The answer that members still owe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// A promise that they will issue nothing earlier, which decides the outcome.
    Promise,
    /// An acknowledgement that they hold the op; a majority has to.
    Held {
        /// The number of members that hold it.
        by: usize,
        /// The number of members.
        of: usize,
    },
    /// A promise past the end of a reservation.
    Expiry(Time),
    /// Whatever is still missing for a release to be final.
    Release,
}

/// The state of a member that is waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Awaited {
    /// The member, and since when it has been silent.
    pub waiting: Waiting,
    /// True where this node has a connection to it.
    pub connected: bool,
    /// True where it is being evicted or retired.
    pub leaves: bool,
    /// True where this node could begin its eviction now: a majority that would stay is in contact.
    pub evictable: bool,
    /// How far ahead, in milliseconds, the timestamps were that this node last refused from it.
    pub skewed: Option<u64>,
}

/// The facts that decide a name.
#[derive(Clone, PartialEq, Debug)]
pub struct NameExplanation {
    /// The name.
    pub name: Name,
    /// True where somebody has claimed the name before.
    pub was_claimed: bool,
    /// Its latest tenure, with the first claims to it; none where nobody has ever claimed the name, or the leader is
    /// forgotten.
    pub tenure: Option<Tenure>,
    /// The facts about the registration that holds the name, where one does.
    pub holder: Option<RegistrationExplanation>,
}

/// Query for the facts that decide a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExplainRegistration {
    /// The registration's id.
    pub id: Uuid,
    claims: Vec<ClaimExplanation>,
}

impl ExplainRegistration {
    /// Makes the query for a registration.
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self { id, claims: Vec::new() }
    }
}

impl Query for ExplainRegistration {
    type Answer = RegistrationExplanation;

    /// Explains one claim after the other, as far as the budget goes.
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

/// Query for the facts that decide a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExplainName {
    /// The name.
    pub name: NameRef,
    /// The query for the registration that holds the name, between two slices.
    holder: Option<ExplainRegistration>,
}

impl ExplainName {
    /// Makes the query for a name.
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
                // There is no explanation where the holder was forgotten between two slices, or has another name in a
                // namespace that the caller may not use.
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

    /// Finds the registration that replaced a claim, among the owner's next registrations.
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

    /// Returns what a registration waits for: its outcome, or the end of a claim that is on its way.
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

    /// Returns the op that a registration waits for: its own, or, where it lost and its own op is decided, the op that
    /// displaced it.
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

/// Returns the least stamp of a time. A member's promise has reached it once the member's clock has.
fn before(time: Hlc) -> Stamp {
    Stamp { hlc: time, node: NodeId::default() }
}
