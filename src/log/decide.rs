//! What has become final: the watermark and the majorities rise, and ops are decided.

use super::Log;
use super::view::View;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::log::op::Seq;

/// What a step has made final.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// Logs of which a majority holds more: the prefix before, and now.
    pub(crate) held: Vec<(NodeId, Seq, Seq)>,
    /// The ops that are decided now, in the order of their stamps. Of each log they go on where those before ended; between
    /// logs a later step may decide an earlier op, where a majority came to hold it later.
    pub(crate) ops: Vec<Stamp>,
}

impl Log {
    /// Decides everything that has become final. None where this node must not decide anything for now: what it issued last,
    /// and does not know of any more, may lie below the others' promises; and a newcomer may have its state from one that is
    /// out and does not know it yet, so that some of it may be void.
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

    /// Works out again what a majority holds of each log that somebody said something new about. Returns the logs of which
    /// that is more now.
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
    /// The members whose word an op with this stamp still waits for: its promise, or that it holds the op.
    pub(crate) fn waiting_for(&self, stamp: Stamp, seq: Seq) -> Vec<NodeId> {
        let others = || self.membership.members().filter(|member| *member != self.me);
        let silent: Vec<_> = others().filter(|member| self.promised_by(*member) < stamp.hlc).collect();
        if silent.is_empty() && seq > self.membership.may_decide(stamp.node) {
            // For the cut: those who stay have yet to freeze the log.
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

    /// Whether some other member may yet issue something with an earlier timestamp, as far as this node knows.
    pub(crate) fn lacks_promises(&self, stamp: Stamp) -> bool {
        let mut others = self.membership.members().filter(|member| *member != self.me);
        others.any(|member| self.promised_by(member) < stamp.hlc)
    }

    /// How many members hold an op, and of how many.
    pub(crate) fn holders(&self, origin: NodeId, seq: Seq) -> (usize, usize) {
        let holds =
            |member: &NodeId| *member == self.me || *member == origin || self.frontiers.held(*member, origin) >= seq;
        (self.membership.members().filter(holds).count(), self.membership.count())
    }

    fn promised_by(&self, member: NodeId) -> Hlc {
        if member == self.me {
            return self.own.last();
        }
        // What another continuation of its log has is not here, whatever this one promises.
        if self.frontiers.fork(member).is_some() {
            return Hlc::ZERO;
        }
        self.frontiers.promise(member).hlc.max(self.membership.floor(member))
    }

    /// The least promise of all members, and whose it is; none where the member that held the watermark back still does.
    fn least_promise(&self) -> Option<(Hlc, NodeId)> {
        let watermark = self.frontiers.watermark();
        let lags = |member: NodeId| self.membership.is_member(member) && self.promised_by(member) <= watermark;
        if self.frontiers.laggard().is_some_and(lags) {
            return None;
        }
        let promises = self.membership.members().map(|member| (self.promised_by(member), member));
        planted!(log::promises(promises)).min()
    }

    /// The prefix of a log that more than half of the members hold. The origin holds what it issued; this node holds what it
    /// has acknowledged. The frozen are among those who hold for as long as they are members, but not of what the origin
    /// issued after it froze them. Of a log that this node has frozen it takes no more for held than it did then.
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
        let held = held.get(self.membership.count() / 2).copied().unwrap_or(0);
        held.min(applied).min(self.membership.may_decide(origin))
    }
}
