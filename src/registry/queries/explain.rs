//! What decides a registration or a name, and what it waits for: the facts. The words are the interface's.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::Reader;
use super::super::answer::{NameView, RegistrationView, Status, Waiting};
use super::super::refusal::Refusal;
use super::super::request::NameRequest;
use super::{MAX_EXAMINED, TenureView};
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::crdt::{ClaimRef, Registration};
use crate::log::Seq;
use crate::model::limits::MAX_PAGE;
use crate::store::Direction;
use crate::store::schema::{self, OwnerKey, Rows, Span};

/// What decides a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationExplanation {
    /// The registration.
    pub registration: RegistrationView,
    /// Its claims, in the order of its names.
    pub claims: Vec<ClaimExplanation>,
    /// Later ops with the same id, which lost to it without a word.
    pub twins: Vec<Stamp>,
    /// What it waits for, where it, its end or a claim's end is not final.
    pub wait: Option<Wait>,
    /// The labels of the nodes that are spoken of.
    pub labels: BTreeMap<NodeId, String>,
    /// This node's clock.
    pub now: Millis,
}

/// What decides a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimExplanation {
    /// The claim that leads instead of it; where that one is forgotten, a later one that led the name.
    pub lost_to: Option<Rival>,
    /// Claims of the same tenure that lost to it.
    pub won_against: Vec<Rival>,
    /// A release of it is known.
    pub released: bool,
    /// When it ended, where that is final and this node has seen it.
    pub ended_at: Option<Millis>,
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
    Expiry(Millis),
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameExplanation {
    /// The name.
    pub name: NameView,
    /// Its latest tenure, with the first of those who claimed that; none where nobody ever claimed it.
    pub tenure: Option<TenureView>,
    /// What decides the registration that leads it, where one does.
    pub holder: Option<RegistrationExplanation>,
}

impl Reader<'_> {
    pub(crate) fn explain_registration(&self, id: Uuid) -> Result<RegistrationExplanation, Refusal> {
        let registration = self.registry.lattice.find(self.store, id).or_else(|| self.void_registration(id));
        Ok(self.explanation(registration.ok_or(Refusal::NoRegistration(id))?))
    }

    pub(crate) fn explain_name(&self, request: NameRequest) -> Result<NameExplanation, Refusal> {
        let key = self.name_key(&request)?;
        let tenures = self.registry.lattice.tenures(self.store, &request.namespace, &key);
        let latest = tenures.last().map(|after| (after, tenures.claims(after, MAX_PAGE)));
        let tenure = latest.map(|(after, claims)| self.tenure_view(&request.namespace, &key, &tenures, after, &claims));
        let name = self.name_view(request)?;
        let holder = name.registration.and_then(|id| self.registry.lattice.find(self.store, id));
        Ok(NameExplanation { name, tenure, holder: holder.map(|holder| self.explanation(holder)) })
    }

    fn explanation(&self, registration: Registration) -> RegistrationExplanation {
        let claims: Vec<_> =
            (0..registration.claims.len()).map(|index| self.explain_claim(&registration, index)).collect();
        let twins = self.registry.lattice.run(self.store, registration.id(), registration.stamp);
        let twins: Vec<_> = twins.into_iter().filter(|twin| *twin != registration.stamp).collect();
        let wait = self.wait_of(&registration);
        let rivals = claims.iter().flat_map(|claim| {
            claim.lost_to.iter().chain(&claim.won_against).chain(&claim.replaced_by).map(|rival| rival.stamp.node)
        });
        let nodes = rivals.chain(twins.iter().map(|twin| twin.node)).chain([registration.stamp.node]);
        let labels = nodes.map(|node| (node, self.log.label(node))).collect();
        let now = self.registry.now.wall;
        RegistrationExplanation { registration: self.registration_view(registration), claims, twins, wait, labels, now }
    }

    fn explain_claim(&self, registration: &Registration, index: usize) -> ClaimExplanation {
        let record = &registration.claims[index];
        let (namespace, key) = (&record.claim.namespace, &record.claim.key);
        let (tenures, after) = (self.registry.lattice.tenures(self.store, namespace, key), record.claim.after);
        let lost_to = tenures.displaced_by(after, registration.stamp).and_then(|by| self.rival(by));
        let leads = tenures.leader(after) == Some(registration.stamp) && tenures.is_led(after);
        let claims = if leads { tenures.claims(after, MAX_EXAMINED) } else { Vec::new() };
        let rivals = claims.into_iter().skip(1).filter_map(|stamp| self.rival(stamp));
        let replaced = record.ended == Some(crate::crdt::EndReason::Replaced);
        ClaimExplanation {
            lost_to,
            won_against: rivals.filter(|rival| rival.registration != registration.id()).collect(),
            released: record.released,
            ended_at: self.ended_at(namespace, key, registration.stamp),
            replaced_by: replaced.then(|| self.replacement(registration, index)).flatten(),
        }
    }

    fn rival(&self, stamp: Stamp) -> Option<Rival> {
        let registration = Registration::load(self.store, stamp)?;
        let status = self.status(&registration);
        Some(Rival { registration: registration.id(), stamp, status, owner: registration.owner })
    }

    /// The registration of the same owner that took a claim's place, among the next ones.
    fn replacement(&self, registration: &Registration, index: usize) -> Option<Rival> {
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
            if found.is_some() || examined >= MAX_EXAMINED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
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
        let due = self.registry.now.wall >= end.millis();
        due.then(|| self.wait(WaitFor::Expiry(end.millis()), self.log.waiting_for(before(end), Seq::MAX)))
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
