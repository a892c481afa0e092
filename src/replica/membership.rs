//! Who is a member, derived from the membership ops alone, so that all nodes derive the same.
//!
//! A newcomer is a member once all who were asked have welcomed it. A node is evicted, or has left, once all who stay
//! have frozen it; its log then counts up to its cut. Both are worked out anew, from the founders on, whenever a
//! membership op arrives: such ops are few.

mod derive;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::derive::Derivation;
use crate::clock::{Hlc, NodeId};
use crate::crdt::{Body, Op, Seq};

/// The membership ops of all logs and what follows from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    founders: BTreeSet<NodeId>,
    /// Members of the cluster that this one was recovered from, with the prefixes of their logs that count.
    former: BTreeMap<NodeId, Seq>,
    /// In log order for each origin.
    ops: BTreeMap<(NodeId, Seq), Op>,
    /// All freezes ever made: by whom, of whom, at which seq.
    freezes: BTreeMap<NodeId, BTreeMap<NodeId, Seq>>,
    derived: Derivation,
}

impl Membership {
    /// What follows from the ops; `applied` says how much of each log is here.
    pub(super) fn new(
        founders: BTreeSet<NodeId>,
        former: BTreeMap<NodeId, Seq>,
        ops: impl IntoIterator<Item = Op>,
        applied: &dyn Fn(NodeId) -> Seq,
    ) -> Self {
        let mut membership = Self { founders, former, ..Self::default() };
        ops.into_iter().for_each(|op| membership.enter(op));
        membership.derive(applied);
        membership
    }

    /// Takes in one more membership op.
    pub(super) fn add(&mut self, op: Op, applied: &dyn Fn(NodeId) -> Seq) {
        self.enter(op);
        self.derive(applied);
    }

    fn enter(&mut self, op: Op) {
        if let Body::Freeze { node, seq } = op.body {
            self.freezes.entry(op.node).or_default().insert(node, seq);
        }
        self.ops.insert((op.node, op.seq), op);
    }

    fn derive(&mut self, applied: &dyn Fn(NodeId) -> Seq) {
        self.derived = derive::derive(&self.founders, &self.former, &self.ops, applied);
    }

    /// An agreed eviction waits for ops up to its cuts: looks whether they are all here. True where it was finished.
    pub(super) fn try_finish(&mut self, applied: &dyn Fn(NodeId) -> Seq) -> bool {
        let here =
            !self.derived.agreed.is_empty() && self.derived.agreed.iter().all(|(node, cut)| applied(*node) >= *cut);
        if here {
            self.derive(applied);
        }
        here
    }

    /// Whether the node is a member: admitted and not evicted.
    pub(super) fn is_member(&self, node: NodeId) -> bool {
        self.derived.members.contains(&node)
    }

    /// Whether the node is a member or on its way to be one.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.is_member(node) || self.derived.half_admitted.contains(&node)
    }

    /// Whether the node, in this incarnation or another, was ever a member.
    pub(super) fn knows_key(&self, node: NodeId) -> bool {
        self.derived.since.keys().any(|known| known.key_part() == node.key_part())
    }

    /// All who were ever members.
    pub(super) fn ever(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.since.keys().copied()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.members.iter().copied()
    }

    pub(super) fn count(&self) -> usize {
        self.derived.members.len()
    }

    /// Of how many a majority must be one: newcomers that are half-way in count, because they may be members elsewhere.
    pub(super) fn electorate(&self) -> usize {
        self.derived.electorate()
    }

    pub(super) fn half_admitted(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.half_admitted.iter().copied()
    }

    /// The member that has been one for longest: it alone admits newcomers, so that each of them is welcomed by all who
    /// were let in before it.
    pub(super) fn first(&self) -> Option<NodeId> {
        let rank = |node: &NodeId| (self.derived.admitted.get(node).copied().unwrap_or_default(), *node);
        self.members().min_by_key(rank)
    }

    /// A promise that stands for a member which has not spoken yet.
    pub(super) fn floor(&self, member: NodeId) -> Hlc {
        let floor = self.derived.since.get(&member).copied().unwrap_or_default();
        if planted!(NewcomerPromisesTooMuch) && floor > Hlc::ZERO {
            return Hlc::from_millis(floor.millis().plus(2000));
        }
        floor
    }

    /// The evicted, each with the prefix of its log that counts.
    pub(super) fn cuts(&self) -> &BTreeMap<NodeId, Seq> {
        &self.derived.cuts
    }

    /// Where an evicted node's log ends.
    pub(super) fn cut(&self, node: NodeId) -> Option<Seq> {
        self.derived.cuts.get(&node).copied()
    }

    /// Those whose eviction or departure is not finished.
    pub(super) fn frozen(&self) -> &BTreeSet<NodeId> {
        &self.derived.frozen
    }

    /// The cuts of an eviction that is agreed upon and waits for ops up to them.
    pub(super) fn agreed(&self) -> &BTreeMap<NodeId, Seq> {
        &self.derived.agreed
    }

    /// The cuts of an eviction that is done as far as this node can see, but has not been declared.
    pub(super) fn decided(&self) -> &BTreeMap<NodeId, Seq> {
        &self.derived.decided
    }

    /// Where a node said that it leaves: the seq of its last op.
    pub(super) fn departing(&self, node: NodeId) -> Option<Seq> {
        self.derived.departing.get(&node).copied()
    }

    /// The seq of a node's last op where it has said that it leaves, also when it is out.
    pub(super) fn departed(&self, node: NodeId) -> Option<Seq> {
        let (_, last) = self.ops.range((node, 0)..=(node, Seq::MAX)).next_back()?;
        (last.body == Body::Depart).then_some(last.seq)
    }

    /// Those who have the key of a node, and are in under an earlier incarnation: they are to retire.
    pub(super) fn earlier_lives(&self, node: NodeId) -> Vec<NodeId> {
        let known = self.derived.members.iter().chain(&self.derived.half_admitted).copied();
        let earlier = known.filter(|known| known.key_part() == node.key_part() && *known < node);
        earlier.filter(|known| self.departing(*known).is_none()).collect()
    }

    /// Whether the same key was let in under a later incarnation.
    pub(super) fn has_later_life(&self, node: NodeId) -> bool {
        let known = self.derived.since.keys().chain(&self.derived.half_admitted);
        known.into_iter().any(|known| known.key_part() == node.key_part() && *known > node)
    }

    /// Whether the eviction under way can still come to an end with what has been frozen.
    pub(super) fn can_finish(&self) -> bool {
        self.derived.possible
    }

    /// At which seq `by` has frozen `node`.
    pub(super) fn freeze_by(&self, by: NodeId, node: NodeId) -> Option<Seq> {
        self.freezes.get(&by)?.get(&node).copied()
    }

    /// Who has frozen a node that is not out yet.
    pub(super) fn frozen_by(&self, node: NodeId) -> Vec<NodeId> {
        let by = self.freezes.iter().filter(|(_, freezes)| freezes.contains_key(&node));
        by.map(|(by, _)| *by).filter(|_| self.cut(node).is_none()).collect()
    }

    /// Whether `by` has frozen somebody whose eviction is not finished.
    pub(super) fn has_unfinished_freeze(&self, by: NodeId) -> bool {
        self.derived.frozen.iter().any(|node| self.freeze_by(by, *node).is_some())
    }

    /// How far `by` takes the log of `origin`: nothing of a stranger's, an evicted one's up to its cut, a frozen one's
    /// up to the freeze, or the cut once that is agreed upon.
    pub(super) fn limit(&self, by: NodeId, origin: NodeId) -> Seq {
        if !self.derived.since.contains_key(&origin) {
            0
        } else if let Some(cut) = self.cut(origin) {
            if planted!(VoidOpsTaken) { Seq::MAX } else { cut }
        } else {
            let frozen = self.freeze_by(by, origin);
            let agreed = self.derived.agreed.get(&origin).copied();
            frozen.max(agreed).unwrap_or(Seq::MAX)
        }
    }

    /// How far `to` may be sent the log of `origin`. Of a frozen one's all that any freeze allows: `to` may know less than
    /// this node and take a cut for agreed already, which lies no higher than the greatest freeze.
    pub(super) fn useful(&self, to: NodeId, origin: NodeId) -> Seq {
        let frozen = self.cut(origin).is_none() && self.freeze_by(to, origin).is_some();
        let greatest = self.freezes.values().filter_map(|freezes| freezes.get(&origin)).max();
        greatest.copied().filter(|_| frozen).unwrap_or_else(|| self.limit(to, origin))
    }

    /// Newcomers that `me` is asked to welcome and has not.
    pub(super) fn to_welcome(&self, me: NodeId) -> Vec<NodeId> {
        let Some(mut asked) = self.derived.asked.get(&me).cloned() else { return Vec::new() };
        for node in self.welcomed(me) {
            asked.remove(&node);
        }
        asked.into_iter().collect()
    }

    /// Newcomers that `me` has welcomed and that are not members yet: they are frozen along with anybody.
    pub(super) fn half_welcomed(&self, me: NodeId) -> Vec<NodeId> {
        let half = |node: &NodeId| !self.is_member(*node) && self.cut(*node).is_none();
        self.welcomed(me).filter(half).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn welcomed(&self, me: NodeId) -> impl Iterator<Item = NodeId> {
        let own = self.ops.range((me, 0)..=(me, Seq::MAX)).map(|(_, op)| op);
        own.filter_map(|op| match &op.body {
            Body::Admit { node, .. } | Body::Welcome { node } => Some(*node),
            _ => None,
        })
    }

    /// One that `me` has yet to freeze because somebody else did or it leaves; a leaving one only at its last op.
    pub(super) fn to_freeze(&self, me: NodeId, applied: &dyn Fn(NodeId) -> Seq) -> Option<NodeId> {
        let due = |node: &NodeId| {
            *node != me
                && self.freeze_by(me, *node).is_none()
                && self.departing(*node).is_none_or(|last| applied(*node) >= last)
        };
        self.derived.frozen.iter().copied().find(due)
    }

    /// Whether an eviction of these, begun by `me` now, could find its majority.
    pub(super) fn could_evict(&self, me: NodeId, nodes: &BTreeSet<NodeId>) -> bool {
        let mut frozen: BTreeSet<_> = self.derived.frozen.union(nodes).copied().collect();
        frozen.extend(self.half_welcomed(me));
        let survivors = self.members().filter(|member| !frozen.contains(member)).count();
        2 * survivors > self.electorate() || planted!(NoMajorityNeeded)
    }
}
