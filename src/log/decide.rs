//! Finality: the watermark and the majorities rise, and ops are decided.

use super::Log;
use super::view::View;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::op::Seq;

/// The result of a step: what has become final.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// The logs of which a majority holds more: the last op before, and the last op now.
    pub(crate) held: Vec<(NodeId, Seq, Seq)>,
    /// The ops that are decided now, in the order of their stamps. In each log they continue those that were decided
    /// before. Across logs, a later step may decide an op with an earlier stamp, where a majority came to hold it
    /// later.
    pub(crate) ops: Vec<Stamp>,
}

impl Log {
    /// Decides everything that has become final. Returns none where this node must not decide for now: a node that
    /// starts may have issued ops that it does not know of, below the promises of others; and the state of a newcomer
    /// may be void in part, where it comes from a node that is out and does not know that yet.
    pub(crate) fn decide(&mut self) -> Option<Decision> {
        if !self.phase.may_decide() {
            return None;
        }
        let mut decision = Decision::default();
        let least = self.view().least_promise();
        let risen = least.is_some_and(|(least, laggard)| self.frontiers.raise_watermark(least, laggard));
        decision.held = self.raise_majorities();
        if risen || !decision.held.is_empty() {
            decision.ops = self.frontiers.decide();
        }
        Some(decision)
    }

    /// Computes again what a majority holds of each log with new acknowledgements. Returns the logs of which that is
    /// more now.
    fn raise_majorities(&mut self) -> Vec<(NodeId, Seq, Seq)> {
        let mut risen = Vec::new();
        for node in self.frontiers.take_stale() {
            let majority = self.view().held_by_majority(node);
            let Some(before) = self.frontiers.set_majority(node, majority) else { continue };
            if majority > before {
                risen.push((node, before, majority));
            }
        }
        risen
    }
}

impl View<'_> {
    /// Returns the members for which an op still waits: for their promises, or else for their acknowledgements.
    pub(crate) fn waiting_for(&self, stamp: Stamp, seq: Seq) -> Vec<NodeId> {
        let others = || self.membership.members().filter(|member| *member != self.me);
        let silent: Vec<_> = others().filter(|member| self.promised_by(*member) < stamp.hlc).collect();
        if silent.is_empty() && seq > self.membership.may_decide(stamp.node) {
            // The op waits for the cut: these members have yet to freeze the log.
            let frozen = self.membership.frozen();
            others()
                .filter(|by| !frozen.contains(by) && self.membership.freeze_by(*by, stamp.node).is_none())
                .chain(frozen.contains(&stamp.node).then_some(stamp.node))
                .collect()
        } else if silent.is_empty() {
            others().filter(|member| *member != stamp.node && self.frontiers.held(*member, stamp.node) < seq).collect()
        } else {
            silent
        }
    }

    /// Returns true where some other member may yet issue an op with an earlier timestamp, as far as this node knows.
    pub(crate) fn lacks_promises(&self, stamp: Stamp) -> bool {
        let mut others = self.membership.members().filter(|member| *member != self.me);
        others.any(|member| self.promised_by(member) < stamp.hlc)
    }

    /// Returns how many members hold an op, and the number of members.
    pub(crate) fn holders(&self, origin: NodeId, seq: Seq) -> (usize, usize) {
        let holds =
            |member: &NodeId| *member == self.me || *member == origin || self.frontiers.held(*member, origin) >= seq;
        (self.membership.members().filter(holds).count(), self.membership.count())
    }

    /// Returns the prefix of a log of which a reader may decide. It freezes no log itself, so it decides no more of a log
    /// that members have frozen than it knew to be held before, until the cut counts.
    fn reader_may_decide(&self, origin: NodeId) -> Seq {
        let stops = self.phase.is_reader() && self.membership.frozen().contains(&origin);
        if stops { self.frontiers.majority(origin) } else { Seq::MAX }
    }

    fn promised_by(&self, member: NodeId) -> Hlc {
        if member == self.me {
            return self.own.last();
        }
        // This node does not have the other continuation of a forked log, so a promise about it says nothing here.
        if self.frontiers.fork(member).is_some() {
            return Hlc::ZERO;
        }
        self.frontiers.promise(member).hlc.max(self.membership.floor(member))
    }

    /// Returns the least promise of all members and whose it is; none while the member that held the watermark back
    /// last still does.
    fn least_promise(&self) -> Option<(Hlc, NodeId)> {
        let watermark = self.frontiers.watermark();
        let lags = |member: NodeId| self.membership.is_member(member) && self.promised_by(member) <= watermark;
        if self.frontiers.laggard().is_some_and(lags) {
            return None;
        }
        let promises = self.membership.members().map(|member| (self.promised_by(member), member));
        planted!(log::promises(promises)).min()
    }

    /// Returns the last op of a log that more than half of the members hold. The origin holds what it has issued; this
    /// node holds what it has acknowledged. Frozen members count as holders as long as they are members, except for
    /// what the origin issued after it froze them. Of a log that this node has frozen, no more counts than it knew to
    /// be held then.
    fn held_by_majority(&self, origin: NodeId) -> Seq {
        let applied = self.frontiers.seq(origin);
        let held = |member: NodeId| match member {
            _ if member == origin => applied,
            _ if member == self.me => self.acknowledged(origin).seq,
            _ => self.frontiers.held(member, origin),
        };
        let counts = |member| planted!(log::counts_as_held(self.membership.counts_as_held(origin, member)));
        let held = |member| held(member).min(counts(member));
        let mut held: Vec<_> = self.membership.members().map(held).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        // A reader says nothing when it decides, so no freeze of a member can take note of it. It waits for the last member to
        // hold an op: whatever continuation of a forked log an eviction lets count, all members that stay have this prefix.
        let last = if self.phase.is_reader() {
            self.membership.count().saturating_sub(1)
        } else {
            self.membership.count() / 2
        };
        let held = held.get(last).copied().unwrap_or(0);
        held.min(applied).min(self.membership.may_decide(origin)).min(self.reader_may_decide(origin))
    }
}
