//! Who is a member, derived from the membership ops alone, so that all nodes derive the same.
//!
//! A newcomer is a member with the first member's word. A node is evicted once all who stay have frozen it; its log then
//! counts up to its cut. A node that leaves is out for whoever has its last op. All is worked out anew, from the founders
//! on, whenever a membership op arrives: such ops are few.

mod derive;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::derive::Derivation;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::barred::Barred;
use crate::log::chain::{Chain, Cut};
use crate::log::op::{Body, MemberOp, Op, Seq};
use crate::log::settings::Settings;

/// How much of a log is here, with its hash.
pub(super) type Logs<'a> = &'a dyn Fn(NodeId) -> Cut;

/// The membership ops of all logs and what follows from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    me: NodeId,
    founders: BTreeSet<NodeId>,
    /// Members of the cluster that this one was recovered from, with the prefixes of their logs that count.
    former: BTreeMap<NodeId, Cut>,
    /// In log order for each origin.
    ops: BTreeMap<(NodeId, Seq), Op>,
    /// The latest freezes: by whom, of whom, at which seq.
    freezes: BTreeMap<NodeId, BTreeMap<NodeId, Seq>>,
    /// The first freezes: by whom, of whom, as which op of the log.
    first_freezes: BTreeMap<(NodeId, NodeId), Seq>,
    derived: Derivation,
    barred: Barred,
    to_freeze: BTreeSet<NodeId>,
    to_declare: BTreeMap<NodeId, Cut>,
}

impl Membership {
    /// What follows from the ops for node `me`; `logs` says how much of each log is here.
    pub(crate) fn new(
        me: NodeId,
        founders: BTreeSet<NodeId>,
        former: BTreeMap<NodeId, Cut>,
        ops: impl IntoIterator<Item = Op>,
        logs: Logs<'_>,
    ) -> Self {
        let mut membership = Self { me, founders, former, ..Self::default() };
        ops.into_iter().for_each(|op| membership.enter(op));
        membership.derive(logs);
        membership
    }

    /// Takes in one more membership op.
    pub(crate) fn add(&mut self, op: Op, logs: Logs<'_>) {
        self.enter(op);
        self.derive(logs);
    }

    fn enter(&mut self, op: Op) {
        if let Body::Member(MemberOp::Freeze { node, seq, .. }) = op.body {
            self.freezes.entry(op.node).or_default().insert(node, seq);
            let first = self.first_freezes.entry((op.node, node)).or_insert(op.seq);
            *first = op.seq.min(*first);
        }
        self.ops.insert((op.node, op.seq), op);
    }

    fn derive(&mut self, logs: Logs<'_>) {
        self.derived = derive::derive(&self.founders, &self.former, &self.ops, logs);
        self.to_freeze = self.unfrozen();
        self.to_declare = self.undeclared();
        self.barred = self.not_let_in();
    }

    /// Who is not let in.
    pub(crate) fn barred(&self) -> &Barred {
        &self.barred
    }

    fn not_let_in(&self) -> Barred {
        let mut barred = Barred::default();
        let mut bans: BTreeMap<NodeId, (Stamp, bool)> = BTreeMap::new();
        for op in self.ops.values().filter(|op| self.derived.counts(op)) {
            match op.body {
                Body::Member(MemberOp::Spend { token }) => *barred.spent.entry(token).or_default() += 1,
                Body::Member(MemberOp::Ban { node, banned }) => {
                    let last = bans.entry(node).or_default();
                    *last = (op.stamp(), banned).max(*last);
                }
                _ => {}
            }
        }
        barred.keys = bans.into_iter().filter(|(_, (_, banned))| *banned).map(|(node, _)| node).collect();
        barred
    }

    /// An agreed eviction waits for ops up to its cuts: looks whether they are all here. True where it was finished.
    pub(crate) fn try_finish(&mut self, logs: Logs<'_>) -> bool {
        let here = |(node, cut): (&NodeId, &Cut)| logs(*node).seq >= cut.seq;
        let finished = !self.derived.agreed.is_empty() && self.derived.agreed.iter().all(here);
        if finished {
            self.derive(logs);
        }
        finished
    }

    /// Whether the node is a member: admitted and not out.
    pub(crate) fn is_member(&self, node: NodeId) -> bool {
        self.derived.members.contains(&node)
    }

    /// All who were ever members.
    pub(crate) fn ever(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.since.keys().copied()
    }

    /// Whether a node is a member, or was one.
    pub(crate) fn is_known(&self, node: NodeId) -> bool {
        self.derived.since.contains_key(&node)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.members.iter().copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.derived.members.len()
    }

    /// The member that has been one for longest: it alone admits newcomers.
    pub(crate) fn first(&self) -> Option<NodeId> {
        self.derived.first()
    }

    /// A promise that stands for a member which has not spoken yet.
    pub(crate) fn floor(&self, member: NodeId) -> Hlc {
        planted!(log::floor(self.derived.since.get(&member).copied().unwrap_or_default()))
    }

    /// Those who are out, each with the prefix of its log that counts.
    pub(crate) fn cuts(&self) -> &BTreeMap<NodeId, Cut> {
        &self.derived.cuts
    }

    /// Where the log of a node that is out ends.
    pub(crate) fn cut(&self, node: NodeId) -> Option<Cut> {
        self.derived.cuts.get(&node).copied()
    }

    /// Those whose eviction is not finished.
    pub(crate) fn frozen(&self) -> &BTreeSet<NodeId> {
        &self.derived.frozen
    }

    /// The cuts of an eviction that is agreed upon and waits for ops up to them.
    pub(crate) fn agreed(&self) -> &BTreeMap<NodeId, Cut> {
        &self.derived.agreed
    }

    /// The cuts of an eviction that is done as far as this node can see, but has not been declared.
    #[cfg(any(test, feature = "planted"))]
    pub(crate) fn decided(&self) -> &BTreeMap<NodeId, Cut> {
        &self.derived.decided
    }

    /// The seq of a node's last op where it has said that it leaves.
    pub(crate) fn departed(&self, node: NodeId) -> Option<Seq> {
        let (_, last) = self.ops.range((node, 0)..=(node, Seq::MAX)).next_back()?;
        (last.body == Body::Member(MemberOp::Depart)).then_some(last.seq)
    }

    /// Whether a node went by its own last op, and not by an eviction that cut its log below.
    pub(crate) fn has_left(&self, node: NodeId) -> bool {
        self.cut(node).is_some_and(|cut| self.departed(node) == Some(cut.seq))
    }

    /// Members that have the key of a node under an earlier incarnation, and have not been retired: they are to be.
    pub(crate) fn earlier_incarnations(&self, node: NodeId) -> Vec<NodeId> {
        let earlier = |known: &NodeId| known.key_part() == node.key_part() && *known < node;
        let known = self.members().filter(earlier);
        known.filter(|known| !self.derived.retired.contains(known)).collect()
    }

    /// Whether the same key was let in under a later incarnation.
    pub(crate) fn has_later_incarnation(&self, node: NodeId) -> bool {
        self.ever().any(|known| known.key_part() == node.key_part() && known > node)
    }

    /// Whether the eviction under way can still come to an end with what has been frozen.
    pub(crate) fn can_finish(&self) -> bool {
        self.derived.possible
    }

    /// At which seq `by` has frozen `node`.
    pub(crate) fn freeze_by(&self, by: NodeId, node: NodeId) -> Option<Seq> {
        self.freezes.get(&by)?.get(&node).copied()
    }

    /// How far `holder` counts as a holder of the log of `origin`: not beyond the op with which the origin froze it. When the
    /// eviction is done all who stay have the log up to that op; what comes after it may be lost with the holder.
    pub(crate) fn counts_as_held(&self, origin: NodeId, holder: NodeId) -> Seq {
        if self.derived.frozen.is_empty() {
            return Seq::MAX;
        }
        self.first_freezes.get(&(origin, holder)).copied().unwrap_or(Seq::MAX)
    }

    /// Whom `by` has frozen, and at which seq.
    pub(crate) fn freezes_by(&self, by: NodeId) -> impl Iterator<Item = (NodeId, Seq)> + '_ {
        self.freezes.get(&by).into_iter().flatten().map(|(node, seq)| (*node, *seq))
    }

    /// Who has frozen a node that is not out yet.
    pub(crate) fn frozen_by(&self, node: NodeId) -> Vec<NodeId> {
        let by = self.freezes.iter().filter(|(_, freezes)| freezes.contains_key(&node));
        by.map(|(by, _)| *by).filter(|_| self.cut(node).is_none()).collect()
    }

    /// How far `by` takes the log of `origin`: nothing of a stranger's, up to its cut of one that is out, up to the freeze
    /// of a frozen one, or up to the cut once that is agreed upon.
    pub(crate) fn limit(&self, by: NodeId, origin: NodeId) -> Seq {
        planted!(log::limit(self.takes_up_to(by, origin), self.cut(origin)))
    }

    fn takes_up_to(&self, by: NodeId, origin: NodeId) -> Seq {
        if !self.derived.since.contains_key(&origin) {
            0
        } else if let Some(cut) = self.cut(origin) {
            cut.seq
        } else {
            let frozen = self.freeze_by(by, origin);
            let agreed = self.derived.agreed.get(&origin).map(|cut| cut.seq);
            frozen.max(agreed).unwrap_or(Seq::MAX)
        }
    }

    /// How far `to` may be sent the log of `origin`. Of a frozen one's all that any freeze allows: `to` may know less than
    /// this node and take a cut for agreed already, which lies no higher than the greatest freeze.
    pub(crate) fn useful(&self, to: NodeId, origin: NodeId) -> Seq {
        let frozen = self.cut(origin).is_none() && self.freeze_by(to, origin).is_some();
        let greatest = self.freezes.values().filter_map(|freezes| freezes.get(&origin)).max();
        greatest.copied().filter(|_| frozen).unwrap_or_else(|| self.limit(to, origin))
    }

    /// Those whom this node has yet to freeze.
    pub(crate) fn to_freeze(&self) -> &BTreeSet<NodeId> {
        &self.to_freeze
    }

    /// The evictions that this node has yet to declare.
    pub(crate) fn to_declare(&self) -> &BTreeMap<NodeId, Cut> {
        &self.to_declare
    }

    /// Those whom others have frozen, or whose key has come back. And those who have left, where somebody froze them
    /// before it heard of that: it waits for the freezes of all who stay.
    fn unfrozen(&self) -> BTreeSet<NodeId> {
        let early = self.ops.values().filter(|op| self.derived.counts(op)).filter_map(|op| match op.body {
            Body::Member(MemberOp::Freeze { node, seq, .. }) => {
                self.cut(node).filter(|cut| seq < cut.seq).map(|_| node)
            }
            _ => None,
        });
        let early = early.filter(|node| self.has_left(*node));
        let due = |node: &NodeId| *node != self.me && self.freeze_by(self.me, *node).is_none();
        self.derived.frozen.iter().copied().chain(early).filter(due).collect()
    }

    /// What is decided and nobody has declared, and what only others have declared. All of it in one op: what is decided may
    /// rest on what others have declared, and whoever heard of the first without the second would decide otherwise.
    fn undeclared(&self) -> BTreeMap<NodeId, Cut> {
        let own = self.ops.range((self.me, 0)..=(self.me, Seq::MAX)).map(|(_, op)| &op.body);
        let declared: BTreeSet<NodeId> = own
            .filter_map(|body| match body {
                Body::Member(MemberOp::Evict { cuts }) => Some(cuts.keys().copied()),
                _ => None,
            })
            .flatten()
            .collect();
        let frozen = |node: &NodeId| self.freeze_by(self.me, *node).is_some() && !declared.contains(node);
        let of_others = self.cuts().iter().filter(|(node, _)| frozen(node));
        of_others.chain(&self.derived.decided).map(|(node, cut)| (*node, *cut)).collect()
    }

    /// Admissions by members, as places in logs: which node, whose log, which seq.
    pub(crate) fn admissions(&self) -> impl Iterator<Item = (NodeId, NodeId, Seq)> + '_ {
        let by_members = self.ops.values().filter(|op| self.is_member(op.node) && self.derived.counts(op));
        by_members.filter_map(|op| match op.body {
            Body::Member(MemberOp::Admit { node }) => Some((node, op.node, op.seq)),
            _ => None,
        })
    }

    /// The settings of a cluster that was founded with these. Of several changes of one the latest counts, by stamp.
    pub(crate) fn settings(&self, founded_with: Option<Settings>) -> Settings {
        let changes = self.ops.values().filter(|op| self.derived.counts(op)).filter_map(|op| match &op.body {
            Body::Member(MemberOp::Configure { settings }) => Some((op.stamp(), settings)),
            _ => None,
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_unstable_by_key(|(stamp, _)| *stamp);
        let mut settings = founded_with.unwrap_or_default();
        changes.into_iter().flat_map(|(_, changed)| changed).for_each(|setting| settings.set(*setting));
        settings
    }

    /// How many would stay if these went as well.
    pub(crate) fn staying_without(&self, nodes: &BTreeSet<NodeId>) -> impl Iterator<Item = NodeId> {
        self.members().filter(|member| !self.derived.frozen.contains(member) && !nodes.contains(member))
    }

    /// Whether an eviction of these, begun now, could find its majority.
    pub(crate) fn could_evict(&self, nodes: &BTreeSet<NodeId>) -> bool {
        planted!(log::is_majority(2 * self.staying_without(nodes).count() > self.count()))
    }

    /// Whether what is here of a log of one that is out goes beyond what counts, or is another continuation.
    pub(crate) fn is_void_beyond(&self, node: NodeId, here: Cut) -> bool {
        self.cut(node).is_some_and(|cut| here.seq > cut.seq || here.seq == cut.seq && here.chain != cut.chain)
    }
}

/// No log at all.
pub(super) const EMPTY_LOG: Cut = Cut { seq: 0, chain: Chain::EMPTY };
