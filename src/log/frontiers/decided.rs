//! What follows for a log from the watermark and from what a majority holds.

use super::{Frontiers, Undecided};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::model::Seq;

impl Frontiers {
    /// Returns the member whose promise held the watermark back when the watermark was last computed.
    pub(in crate::log) fn laggard(&self) -> Option<NodeId> {
        self.laggard
    }

    /// Raises the watermark to the least promise of all members, which is that of `laggard`. Returns true where it has
    /// risen.
    pub(in crate::log) fn raise_watermark(&mut self, least: Hlc, laggard: NodeId) -> bool {
        let before = self.watermark;
        self.watermark = least.max(before);
        self.laggard = Some(laggard);
        self.watermark > before
    }

    /// Takes the logs of which a majority may hold more or less since this was last called.
    pub(in crate::log) fn take_stale(&mut self) -> Vec<NodeId> {
        let stale = std::mem::take(&mut self.stale);
        if std::mem::take(&mut self.all_stale) {
            self.logs().collect()
        } else {
            // While the members stay the same, a majority that holds all ops of a log on this node cannot come to hold
            // more of it.
            stale.into_iter().filter(|node| self.majority(*node) < self.seq(*node)).collect()
        }
    }

    /// Decides the ops that are at or below the watermark and held by a majority. Removes them from their queues and
    /// returns them in stamp order.
    pub(in crate::log) fn decide(&mut self) -> Vec<Stamp> {
        let mut decided = Vec::new();
        for (node, origin) in &mut self.origins {
            let before = decided.len();
            // Where a log is forked, nobody can tell which continuation others have decided.
            let forked = origin.fork.is_some();
            let (majority, watermark) = (origin.majority, self.watermark);
            let is_due = |op: &mut Undecided| !forked && op.seq <= majority && op.hlc <= watermark;
            while let Some(op) = origin.undecided.pop_front_if(is_due) {
                (origin.decided, origin.decided_chain) = (op.seq, Some(op.chain));
                decided.push(Stamp { hlc: op.hlc, node: *node });
            }
            if decided.len() > before {
                self.unsaved.insert(*node);
            }
        }
        decided.sort_unstable();
        decided
    }

    /// Returns true where an applied op is decided.
    pub(crate) fn is_decided(&self, op: Stamp) -> bool {
        let undecided = self.origins.get(&op.node).and_then(|origin| origin.undecided.front());
        undecided.is_none_or(|first| first.hlc > op.hlc)
    }

    /// Sets the last op of a log that a majority holds. Returns the one before.
    pub(in crate::log) fn set_majority(&mut self, node: NodeId, majority: Seq) -> Option<Seq> {
        let origin = self.origins.get_mut(&node)?;
        // After a change of the membership it may be less than before. Decided ops stay decided.
        Some(std::mem::replace(&mut origin.majority, majority.max(origin.decided)))
    }

    /// Has all majorities computed again, because what this node acknowledges has changed.
    pub(in crate::log) fn recount(&mut self) {
        self.all_stale = true;
    }
}
