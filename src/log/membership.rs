//! The membership: who is a member. It is derived from the membership ops alone, so that all nodes derive the same.
//!
//! A newcomer is a member once the first member has issued its `Admit`. A node is evicted once all members that stay
//! have frozen it; its log then counts up to its cut. A node that leaves is out for every node that has its last op.
//! Everything is derived again from the founders on whenever a membership op arrives, which is cheap because such ops
//! are few.

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

/// Returns the prefix of a log that this node has, as the number of its last op with the chain hash.
pub(super) type Logs<'a> = &'a dyn Fn(NodeId) -> Cut;

/// The membership ops of all logs and what follows from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    me: NodeId,
    founders: BTreeSet<NodeId>,
    /// Members of the cluster that this one was recovered from, with the prefixes of their logs that count.
    former: BTreeMap<NodeId, Cut>,
    /// The ops by origin and number.
    ops: BTreeMap<(NodeId, Seq), Op>,
    /// The latest freezes: by which node, of which node, at which number.
    freezes: BTreeMap<NodeId, BTreeMap<NodeId, Seq>>,
    /// What this node knew to be held by a majority of the logs that it has frozen, when it froze them first.
    held: BTreeMap<NodeId, Seq>,
    /// The first freezes by (issuer, frozen node), with the number of the op in the issuer's log.
    first_freezes: BTreeMap<(NodeId, NodeId), Seq>,
    derived: Derivation,
    barred: Barred,
    to_freeze: BTreeSet<NodeId>,
    to_declare: BTreeMap<NodeId, Cut>,
}

impl Membership {
    /// Derives the membership for node `me`. `logs` says which prefix of each log this node has.
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

    /// Adds a membership op and derives the membership again.
    pub(crate) fn add(&mut self, op: Op, logs: Logs<'_>) {
        self.enter(op);
        self.derive(logs);
    }

    fn enter(&mut self, op: Op) {
        if let Body::Member(MemberOp::Freeze { node, seq, held, .. }) = *op.body() {
            if op.node == self.me {
                self.held.entry(node).or_insert(held);
            }
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

    /// The keys and tokens that do not admit anybody any more.
    pub(crate) fn barred(&self) -> &Barred {
        &self.barred
    }

    fn not_let_in(&self) -> Barred {
        let mut barred = Barred::default();
        let mut bans: BTreeMap<NodeId, (Stamp, bool)> = BTreeMap::new();
        for op in self.ops.values().filter(|op| self.derived.counts(op)) {
            match *op.body() {
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

    /// Finishes an agreed eviction, once this node has all ops up to its cuts. Returns true where it was finished.
    pub(crate) fn try_finish(&mut self, logs: Logs<'_>) -> bool {
        let here = |(node, cut): (&NodeId, &Cut)| logs(*node).seq >= cut.seq;
        let finished = !self.derived.agreed.is_empty() && self.derived.agreed.iter().all(here);
        if finished {
            self.derive(logs);
        }
        finished
    }

    /// Returns true for a member: a node that was admitted and is not out.
    pub(crate) fn is_member(&self, node: NodeId) -> bool {
        self.derived.members.contains(&node)
    }

    /// Returns all nodes that were ever members.
    pub(crate) fn ever(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.since.keys().copied()
    }

    /// Returns true for a node that is or was a member.
    pub(crate) fn is_known(&self, node: NodeId) -> bool {
        self.derived.since.contains_key(&node)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.derived.members.iter().copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.derived.members.len()
    }

    /// Returns the first member, which has been a member for longest. It alone admits newcomers.
    pub(crate) fn first(&self) -> Option<NodeId> {
        self.derived.first()
    }

    /// Returns the promise that counts for a member from which no promise has arrived: the timestamp of its admission.
    pub(crate) fn floor(&self, member: NodeId) -> Hlc {
        planted!(log::floor(self.derived.since.get(&member).copied().unwrap_or_default()))
    }

    /// Returns the nodes that are out, each with the prefix of its log that counts.
    pub(crate) fn cuts(&self) -> &BTreeMap<NodeId, Cut> {
        &self.derived.cuts
    }

    /// Returns the cut at which the log of a node ends; none where the node is not out.
    pub(crate) fn cut(&self, node: NodeId) -> Option<Cut> {
        self.derived.cuts.get(&node).copied()
    }

    /// Returns the nodes whose eviction is not finished.
    pub(crate) fn frozen(&self) -> &BTreeSet<NodeId> {
        &self.derived.frozen
    }

    /// Returns the cuts of an agreed eviction, for which this node lacks ops up to the cuts.
    pub(crate) fn agreed(&self) -> &BTreeMap<NodeId, Cut> {
        &self.derived.agreed
    }

    /// Returns the cuts of an eviction that is decided as far as this node can see, but has not been declared.
    #[cfg(any(test, feature = "planted"))]
    pub(crate) fn decided(&self) -> &BTreeMap<NodeId, Cut> {
        &self.derived.decided
    }

    /// Returns the number of a node's `Depart` op; none where it has not departed.
    pub(crate) fn departed(&self, node: NodeId) -> Option<Seq> {
        let (_, last) = self.ops.range((node, 0)..=(node, Seq::MAX)).next_back()?;
        (*last.body() == Body::Member(MemberOp::Depart)).then_some(last.seq)
    }

    /// Returns true where a node went out by its own `Depart`, and not by an eviction that cut its log before that op.
    pub(crate) fn has_left(&self, node: NodeId) -> bool {
        self.cut(node).is_some_and(|cut| self.departed(node) == Some(cut.seq))
    }

    /// Returns the members that are earlier incarnations of a node's key and have not been retired yet.
    pub(crate) fn earlier_incarnations(&self, node: NodeId) -> Vec<NodeId> {
        let earlier = |known: &NodeId| known.key_part() == node.key_part() && *known < node;
        let known = self.members().filter(earlier);
        known.filter(|known| !self.derived.retired.contains(known)).collect()
    }

    /// Returns true where the same key was admitted under a later incarnation.
    pub(crate) fn has_later_incarnation(&self, node: NodeId) -> bool {
        self.ever().any(|known| known.key_part() == node.key_part() && known > node)
    }

    /// Returns true where the present eviction can still finish with the nodes that are frozen.
    pub(crate) fn can_finish(&self) -> bool {
        self.derived.possible
    }

    /// Returns the number at which `by` has frozen `node`.
    pub(crate) fn freeze_by(&self, by: NodeId, node: NodeId) -> Option<Seq> {
        self.freezes.get(&by)?.get(&node).copied()
    }

    /// Returns up to which number `holder` counts as a holder of the log of `origin`. Where `origin` has frozen
    /// `holder`, this is the op of that freeze: when the eviction is done, all members that stay have the log up to
    /// this op, and later ops may be lost with the holder.
    pub(crate) fn counts_as_held(&self, origin: NodeId, holder: NodeId) -> Seq {
        if self.derived.frozen.is_empty() {
            return Seq::MAX;
        }
        self.first_freezes.get(&(origin, holder)).copied().unwrap_or(Seq::MAX)
    }

    /// Returns the prefix of a node's log of which this node may decide: of one that it has frozen no more than what it knew to be
    /// held by a majority when it did, until the cut counts. A cut may be below what it holds.
    pub(crate) fn may_decide(&self, node: NodeId) -> Seq {
        if self.cut(node).is_some() {
            return Seq::MAX;
        }
        self.held.get(&node).copied().unwrap_or(Seq::MAX)
    }

    /// Returns the nodes that `by` has frozen, with the numbers.
    pub(crate) fn freezes_by(&self, by: NodeId) -> impl Iterator<Item = (NodeId, Seq)> + '_ {
        self.freezes.get(&by).into_iter().flatten().map(|(node, seq)| (*node, *seq))
    }

    /// Returns the nodes that have frozen a node; none where the node is out.
    pub(crate) fn frozen_by(&self, node: NodeId) -> Vec<NodeId> {
        let by = self.freezes.iter().filter(|(_, freezes)| freezes.contains_key(&node));
        by.map(|(by, _)| *by).filter(|_| self.cut(node).is_none()).collect()
    }

    /// Returns up to which number `by` takes the log of `origin`: nothing of a node that was never a member, up to the
    /// cut of one that is out, and up to the freeze of a frozen one, or up to its cut once that is agreed.
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

    /// Returns up to which number the log of `origin` is worth sending to `to`. For a frozen origin this is the
    /// greatest freeze by anybody: `to` may have other knowledge than this node and consider a cut agreed, and no cut
    /// is above the greatest freeze.
    pub(crate) fn useful(&self, to: NodeId, origin: NodeId) -> Seq {
        let frozen = self.cut(origin).is_none() && self.freeze_by(to, origin).is_some();
        let greatest = self.freezes.values().filter_map(|freezes| freezes.get(&origin)).max();
        greatest.copied().filter(|_| frozen).unwrap_or_else(|| self.limit(to, origin))
    }

    /// Returns the nodes that this node has yet to freeze.
    pub(crate) fn to_freeze(&self) -> &BTreeSet<NodeId> {
        &self.to_freeze
    }

    /// Returns the cuts that this node has yet to declare.
    pub(crate) fn to_declare(&self) -> &BTreeMap<NodeId, Cut> {
        &self.to_declare
    }

    /// Returns the nodes that this node has yet to freeze: those that others have frozen, and those whose key has
    /// returned. Also nodes that have departed, where some member froze them before it knew of the departure, because
    /// that member waits for the freezes of all that stay.
    fn unfrozen(&self) -> BTreeSet<NodeId> {
        let early = self.ops.values().filter(|op| self.derived.counts(op)).filter_map(|op| match *op.body() {
            Body::Member(MemberOp::Freeze { node, seq, .. }) => {
                self.cut(node).filter(|cut| seq < cut.seq).map(|_| node)
            }
            _ => None,
        });
        let early = early.filter(|node| self.has_left(*node));
        let due = |node: &NodeId| *node != self.me && self.freeze_by(self.me, *node).is_none();
        self.derived.frozen.iter().copied().chain(early).filter(due).collect()
    }

    /// Returns the cuts that are decided and not declared, and those that only others have declared. They go into one
    /// op, because a decided cut may rest on cuts that others declared: a node that knew one without the other would
    /// decide differently.
    fn undeclared(&self) -> BTreeMap<NodeId, Cut> {
        let own = self.ops.range((self.me, 0)..=(self.me, Seq::MAX)).map(|(_, op)| op.body());
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

    /// Returns the admissions by members: the admitted node, and the origin and number of the `Admit`.
    pub(crate) fn admissions(&self) -> impl Iterator<Item = (NodeId, NodeId, Seq)> + '_ {
        let by_members = self.ops.values().filter(|op| self.is_member(op.node) && self.derived.counts(op));
        by_members.filter_map(|op| match *op.body() {
            Body::Member(MemberOp::Admit { node }) => Some((node, op.node, op.seq)),
            _ => None,
        })
    }

    /// Returns the settings of a cluster that was founded with these. Of several changes of one setting the one with
    /// the greatest stamp counts.
    pub(crate) fn settings(&self, founded_with: Option<Settings>) -> Settings {
        let changes = self.ops.values().filter(|op| self.derived.counts(op)).filter_map(|op| match op.body() {
            Body::Member(MemberOp::Configure { settings }) => Some((op.stamp(), settings)),
            _ => None,
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_unstable_by_key(|(stamp, _)| *stamp);
        let mut settings = founded_with.unwrap_or_default();
        changes.into_iter().flat_map(|(_, changed)| changed).for_each(|setting| settings.set(*setting));
        settings
    }

    /// Returns the members that would stay if these nodes were evicted as well.
    pub(crate) fn staying_without(&self, nodes: &BTreeSet<NodeId>) -> impl Iterator<Item = NodeId> {
        self.members().filter(|member| !self.derived.frozen.contains(member) && !nodes.contains(member))
    }

    /// Returns true where an eviction of these nodes, begun now, could find its majority.
    pub(crate) fn could_evict(&self, nodes: &BTreeSet<NodeId>) -> bool {
        planted!(log::is_majority(2 * self.staying_without(nodes).count() > self.count()))
    }

    /// Returns true where this node's copy of a log goes beyond the origin's cut, or differs from the log at the cut.
    pub(crate) fn is_void_beyond(&self, node: NodeId, here: Cut) -> bool {
        self.cut(node).is_some_and(|cut| here.seq > cut.seq || here.seq == cut.seq && here.chain != cut.chain)
    }
}

/// The prefix of a log without ops.
pub(super) const EMPTY_LOG: Cut = Cut { seq: 0, chain: Chain::EMPTY };
