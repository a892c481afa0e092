//! Leaving: a member hands over what it holds, issues its last op, and goes.
//!
//! Others may have counted this node as a holder of an op. So it acknowledges nothing more from the moment when it is
//! asked to leave, and waits until all members hold what it has acknowledged. Every node that has its last op counts it
//! as out; no freeze and no majority is needed.
//!
//! Somebody stays: a node goes only once a member in contact has said that it knows of the leave, and that it does not
//! leave before. Of two nodes that were asked at the same moment, the one with the lesser id lets the other go first,
//! and is the last member then.

use std::collections::BTreeSet;

use super::message::Vector;
use super::phase::{Acknowledges, Leaving};
use super::view::View;
use super::{Denied, Log, StoredPhase};
use crate::clock::NodeId;
use crate::log::chain::Cut;
use crate::log::op::{Body, MemberOp, Seq};
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// A leave that has not succeeded after so many milliseconds begins anew with what the node holds by then: two nodes
/// that leave at once wait for each other. A guess: longer than a few exchanges.
const ANEW_AFTER: u64 = 5000;

impl Log {
    /// Begins the leave that an operator has asked for.
    pub(crate) fn leave(&mut self, store: &mut impl Store) {
        tracing::info!("this node leaves its cluster: it hands over what it holds");
        schema::Phase::save(store, &StoredPhase::Whole { leaving: true });
        self.begin_to_leave();
    }

    /// Takes back a leave that an operator has asked for.
    ///
    /// # Errors
    /// The node has issued its last op.
    pub(crate) fn cancel_leave(&mut self, store: &mut impl Store) -> Result<(), Denied> {
        if self.phase.departed().is_some() {
            return Err(Denied::Departed);
        }
        self.stay(store);
        Ok(())
    }

    pub(super) fn begin_to_leave(&mut self) {
        let steps_back = self.phase.leaving().is_some_and(|leaving| self.view().steps_back(leaving));
        let yields_to = match self.phase.leaving() {
            Some(leaving) if steps_back || !leaving.steps_back => leaving.yields_to.clone(),
            // This node may have told the leaving members that it stays for them, so it lets them go first.
            _ => {
                self.peers.forget_leaves();
                self.peers.leavers.clone()
            }
        };
        let others = self.frontiers.logs().filter(|node| *node != self.me);
        let acknowledged = others.map(|node| (node, self.frontiers.here(node))).collect();
        self.phase.leave(Leaving { began: self.now.elapsed, acknowledged, yields_to, steps_back });
    }

    /// Notes whether a member leaves, as its vector says.
    pub(super) fn note_leaver(&mut self, member: NodeId, vector: &Vector) {
        if !vector.leaving.contains(&member) {
            self.peers.leavers.remove(&member);
        } else if self.membership.is_member(member) {
            self.peers.leavers.insert(member);
            if let Some(leaving) = self.phase.leaving_mut() {
                if vector.yields_to.contains(&self.me) {
                    leaving.yields_to.remove(&member);
                } else if member > self.me {
                    leaving.yields_to.insert(member);
                }
            }
        }
    }

    fn stay(&mut self, store: &mut impl Store) {
        if self.phase.stay() {
            tracing::info!("this node does not leave after all");
            schema::Phase::save(store, &StoredPhase::Whole { leaving: false });
            self.frontiers.recount();
        }
    }

    /// Issues the last op once nothing can be lost with this node.
    pub(crate) fn depart(&mut self, store: &mut impl Store) {
        let Some(leaving) = self.phase.leaving().filter(|_| self.phase.may_issue()) else { return };
        if self.membership.count() == 1 {
            tracing::warn!("all other members are out: this node is the last one and stays");
            return self.stay(store);
        }
        let settled = self.membership.frozen().is_empty() && self.membership.to_declare().is_empty();
        let settled = settled && planted!(log::may_go(self.view().may_go(leaving)));
        let began = leaving.began;
        let hold_all = planted!(log::leave_waits_for(self.view().leave_waits_for())).is_empty();
        if settled && hold_all {
            tracing::info!("all members hold what this node holds; it departs");
            self.issue_membership(Body::Member(MemberOp::Depart));
            schema::Phase::save(store, &StoredPhase::Whole { leaving: false });
        } else if self.now.elapsed.since(began) >= ANEW_AFTER {
            self.begin_to_leave();
        }
    }
}

impl View<'_> {
    /// Returns true where the node can leave, and false where it was asked to leave already.
    ///
    /// # Errors
    /// The node cannot leave.
    pub(crate) fn may_leave(&self) -> Result<bool, Denied> {
        if self.phase.is_going() {
            return Ok(false);
        }
        self.phase.may_change_membership()?;
        if self.membership.count() == 1 { Err(Denied::LastMember) } else { Ok(true) }
    }

    /// Returns true for a member that has to step back. Where members let each other go first in a circle, all but the
    /// one with the greatest id behave for a while as if nobody had asked them to leave.
    fn steps_back(&self, leaving: &Leaving) -> bool {
        let waits = leaving.yields_to.iter().any(|node| self.still_leaves(*node));
        waits && self.peers.leavers.iter().any(|node| *node > self.me)
    }

    /// Returns true for another member that leaves, as far as this node knows.
    pub(crate) fn still_leaves(&self, node: NodeId) -> bool {
        self.peers.leavers.contains(&node) && self.membership.is_member(node)
    }

    /// Returns the members that leave, as far as this node knows, with this node where it leaves; and those of them
    /// that this node lets go first. A departed node says here that it leaves, for those who get this before its last
    /// op.
    pub(super) fn leavers(&self) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
        let leaves = self.phase.leaving().is_some_and(|leaving| !leaving.steps_back);
        let me = (leaves || self.phase.departed().is_some()).then_some(self.me);
        let leavers = self.peers.leavers.iter().copied().filter(|node| self.membership.is_member(*node));
        let yields_to = self.phase.leaving().map(|leaving| leaving.yields_to.clone()).unwrap_or_default();
        (leavers.chain(me).collect(), yields_to)
    }

    /// Returns true where a member that stays knows of the leave, no other member is to go first, and the members that
    /// are left can go on.
    fn may_go(&self, leaving: &Leaving) -> bool {
        let others = self.membership.members().filter(|member| *member != self.me);
        let mut stay = others.filter(|member| self.is_in_contact(*member) && self.peers.stays_for(*member, self.me));
        let first = !leaving.steps_back && !leaving.yields_to.iter().any(|node| self.still_leaves(*node));
        first && stay.next().is_some() && self.leaves_majority()
    }

    /// Returns true where more than half of the members that would be left are in contact. Fewer could not even evict
    /// the others, if those are dead.
    fn leaves_majority(&self) -> bool {
        let others = || self.membership.members().filter(|member| *member != self.me);
        2 * others().filter(|member| self.is_in_contact(*member)).count() > others().count()
    }

    /// Returns the prefix of a log that this node acknowledges: all of it, unless it leaves or has departed, because it
    /// would hand over to nobody what it takes now. A newcomer that does not know of its admission may have to take
    /// another state under its id, and others remember what that id has acknowledged.
    pub(super) fn acknowledged(&self, origin: NodeId) -> Cut {
        match planted!(log::acknowledges(self.phase.acknowledges())) {
            Acknowledges::HandedOver(handed_over) if origin != self.me => {
                handed_over.get(&origin).copied().unwrap_or_default()
            }
            Acknowledges::Nothing => Cut::default(),
            Acknowledges::HandedOver(_) | Acknowledges::All => self.frontiers.here(origin),
        }
    }

    /// Returns a log of which a member does not hold all that this node has acknowledged, or has frozen: the greatest freeze
    /// is the cut, and this node may be the only one that has the ops up to its own.
    fn lacks_of_leaver(&self, member: NodeId, leaving: &Leaving) -> Option<NodeId> {
        let own = (self.me, self.frontiers.seq(self.me));
        let frozen = self.membership.freezes_by(self.me).map(|(origin, seq)| {
            let cut = self.membership.cut(origin).map_or(Seq::MAX, |cut| cut.seq);
            (origin, seq.min(cut))
        });
        let logs = leaving.acknowledged.iter().map(|(origin, cut)| (*origin, cut.seq)).chain([own]).chain(frozen);
        let lacks = |(origin, seq): &(NodeId, Seq)| *origin != member && self.frontiers.held(member, *origin) < *seq;
        logs.into_iter().find(lacks).map(|(origin, _)| origin)
    }

    /// Returns the members that the leave waits for.
    pub(crate) fn leave_waits_for(&self) -> BTreeSet<NodeId> {
        let Some(leaving) = self.phase.leaving() else { return BTreeSet::new() };
        let others = self.membership.members().filter(|member| *member != self.me);
        let few = !self.leaves_majority();
        let waits =
            |member: &NodeId| self.lacks_of_leaver(*member, leaving).is_some() || few && !self.is_in_contact(*member);
        others.filter(waits).collect()
    }

    /// Returns true where a majority of the others has the last op, so that it cannot be lost with this node. Where all
    /// others have left too, no remaining member has the state, and this node does not end by itself: its directory may
    /// be needed for `forename recover`.
    pub(super) fn departure_is_safe(&self, last: Seq) -> bool {
        let knows = |member: &NodeId| {
            self.phase.departed().is_some_and(|departed| departed.known_by.contains(member))
                || self.frontiers.held(*member, self.me) >= last
        };
        2 * self.membership.members().filter(knows).count() > self.membership.count()
    }
}
