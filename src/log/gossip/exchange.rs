//! Ops and vectors: what is taken from a peer, and what a peer lacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::window::WINDOW;
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::chain_check::Contradiction;
use crate::log::frontiers::Fork;
use crate::log::op::Op;
use crate::log::phase::Out;
use crate::log::view::View;
use crate::log::{Entry, Lane, Log, Message, Promise, Vector};
use crate::store::Store;

/// A peer is not asked for ops again within so many milliseconds. A guess at a long round trip.
const ASK_AGAIN: u64 = 300;

impl Log {
    /// Takes the ops that continue the logs of this node, and asks again where there is a gap. Where an op of one log
    /// cannot be taken, the ops of other logs are.
    pub(super) fn on_ops(&mut self, from: NodeId, ops: &Arc<Vec<Op>>, more: bool) {
        if !self.phase.takes_ops() {
            return;
        }
        let mut early = Vec::new();
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.asked_at = None;
            early = std::mem::take(&mut peer.early);
        }
        let Some(Took { origins: mut taken, mut left, mut gap }) = self.take_those(from, ops) else { return };
        if gap {
            // Bulk messages overtake each other, so the missing ops may be about to arrive.
            early.push(Arc::clone(ops));
            early.truncate(WINDOW);
        }
        let mut moved = !taken.is_empty();
        while std::mem::take(&mut moved) {
            for ops in std::mem::take(&mut early) {
                let Some(took) = self.take_those(from, &ops) else { return };
                moved |= !took.origins.is_empty();
                if took.gap {
                    early.push(ops);
                }
                taken.extend(took.origins);
                left.extend(took.left);
            }
            gap = !early.is_empty();
        }
        // Only a message that brought something leads to the next request. Otherwise each of several answers to one
        // request would.
        let more = more && !taken.is_empty();
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.early = early;
            peer.has_more |= more;
        }
        for origin in taken {
            if !left.contains(&origin) {
                self.peers.note_taken(&self.contacts, &mut self.events, origin);
            }
            if self.membership.freeze_by(self.me, origin).is_none() {
                self.frontiers.believe(origin, self.now);
            }
        }
        if gap && !more {
            self.ask(from, false);
        }
    }

    /// Takes the ops of a message that continue the logs of this node. Returns none where this node has to stop.
    fn take_those(&mut self, from: NodeId, ops: &[Op]) -> Option<Took> {
        let limit = self.view().latest_taken();
        let mut took = Took::default();
        for op in ops {
            if took.left.contains(&op.node) {
                continue;
            }
            match planted!(log::check(self.view().check(op, limit))) {
                Check::Next => {
                    self.take(op);
                    took.origins.insert(op.node);
                }
                Check::Known | Check::Stranger => {}
                Check::Gap => took.gap = true,
                Check::Early => {
                    let ahead = op.hlc.millis().since(self.view().cluster_time());
                    self.peers.note_skewed(&self.contacts, &mut self.events, op.node, ahead);
                    took.left.insert(op.node);
                }
                Check::Broken => {
                    self.frontiers.note_fork(op.node, Fork { by: from, seq: op.seq });
                    took.left.insert(op.node);
                    // The agreed cut is on a continuation that does not follow from the ops here, and all members that
                    // stay agree on it.
                    if self.membership.agreed().contains_key(&op.node) {
                        self.phase.go_out(Out::HoldsVoid);
                    }
                }
                Check::Ours => {
                    self.halt_as_copy(&Contradiction::Behind(op.seq));
                    return None;
                }
            }
        }
        Some(took)
    }

    /// Asks a peer for all ops that it has and this node lacks.
    pub(super) fn ask(&mut self, peer: NodeId, at_once: bool) {
        let now = self.now.elapsed;
        let Some(state) = self.peers.connected.get_mut(&peer) else { return };
        if at_once || state.asked_at.is_none_or(|asked| now.since(asked) >= ASK_AGAIN) {
            state.asked_at = Some(now);
            let vector = self.vector(Some(peer), true, false);
            self.events.send(peer, Lane::Ordered, Message::Vector(vector));
        }
    }

    pub(super) fn on_vector(&mut self, store: &impl Store, from: NodeId, vector: &Vector) {
        self.time.heard(from, vector.wall, self.now, self.cluster.settings().max_clock_skew);
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.silent = Some((self.now.elapsed, vector.silent.clone()));
            peer.leaving.clone_from(&vector.leaving);
            peer.yields_to.clone_from(&vector.yields_to);
        }
        self.note_leaver(from, vector);
        if let Some(contradiction) = self.view().contradicts_directory(store, from, vector) {
            return self.halt_as_copy(&contradiction);
        }
        if !self.phase.takes_ops() {
            return;
        }
        let mut lacking = false;
        for entry in &vector.entries {
            if entry.origin != self.me {
                self.hear_promise(from, entry);
                if vector.wants && self.view().holds_another(store, from, entry) {
                    self.frontiers.note_fork(entry.origin, Fork { by: from, seq: entry.holds });
                }
                // Ops that their connected origin is about to push need not be asked for.
                let applied = self.frontiers.seq(entry.origin);
                if entry.has <= applied {
                    self.peers.note_taken(&self.contacts, &mut self.events, entry.origin);
                }
                lacking |= entry.has > applied
                    && self.membership.limit(self.me, entry.origin) > applied
                    && (self.phase.is_reader() || !self.peers.is_connected(entry.origin));
            }
            self.frontiers.hold(from, entry.origin, entry.holds, entry.chain);
        }
        for row in &vector.rows {
            if row.by != self.me && self.membership.is_member(row.by) {
                for (origin, seq, chain) in &row.held {
                    self.frontiers.hold(row.by, *origin, *seq, *chain);
                }
            }
        }
        if vector.wants {
            self.compared_with(from);
            if !self.phase.is_reader() {
                self.send_missing(store, from, &vector.entries);
            }
        }
        if vector.echo {
            let vector = self.vector(Some(from), true, false);
            self.events.send(from, Lane::Ordered, Message::Vector(vector));
        } else if lacking {
            self.ask(from, false);
        }
    }

    /// Believes a promise that a member sends. Of a promise that is too far ahead it believes as much as cluster time
    /// allows, because a promise includes every lesser one.
    fn hear_promise(&mut self, from: NodeId, entry: &Entry) {
        let Entry { origin, promise: said, .. } = *entry;
        self.frontiers.remember(origin, said);
        let allowed = planted!(log::allowed(self.view().allowed(said), said));
        let frozen = self.membership.freeze_by(self.me, origin).is_some();
        let believable = (!frozen).then_some(allowed);
        if let Some(promise) = planted!(log::believable(believable, allowed, self.frontiers.here(origin))) {
            self.frontiers.check_promise(origin, said, from);
            let believed = self.frontiers.hear(origin, promise, from, self.now);
            // So freezes and admissions that this node issues later are above all that was promised before.
            self.own.observe(believed);
        }
    }

    /// Answers the vector of a node that is no member. Nothing is taken from it except what the node lacks.
    pub(super) fn answer_stranger(&mut self, store: &impl Store, from: NodeId, vector: &Vector) {
        if vector.wants && self.peers.is_reader(from) && self.view().lacks_little(vector) {
            self.peers.end_join_of_reader(&mut self.events, from);
        }
        if vector.wants && self.phase.is_member() && !self.membership.is_known(from) {
            self.send_missing(store, from, &vector.entries);
        }
        if vector.echo {
            let vector = self.vector(Some(from), true, false);
            self.events.send(from, Lane::Ordered, Message::Vector(vector));
        }
    }
}

impl View<'_> {
    /// Returns true where one message of ops brings the sender of a vector up to date.
    fn lacks_little(&self, vector: &Vector) -> bool {
        let has =
            |origin: NodeId| vector.entries.iter().find(|entry| entry.origin == origin).map_or(0, |entry| entry.has);
        let lacks =
            self.frontiers.logs().map(|origin| self.frontiers.seq(origin).saturating_sub(has(origin))).sum::<u64>();
        lacks <= self.config.spread.ops as u64
    }

    /// Returns as much of a promise as cluster time allows.
    fn allowed(&self, promise: Promise) -> Promise {
        let is_early = promise.hlc.millis() > self.latest_taken();
        Promise { hlc: if is_early { Hlc::from_millis(self.cluster_time()) } else { promise.hlc }, ..promise }
    }

    /// Returns true where a peer's copy of a log differs. In a full exchange a copy that ends below what is decided
    /// here is compared with the log, as far as that is kept, so that a fork does not stay unnoticed.
    fn holds_another(&self, store: &impl Store, from: NodeId, entry: &Entry) -> bool {
        let Entry { origin, holds, chain, .. } = *entry;
        let behind = holds < self.frontiers.decided(origin) && holds > self.frontiers.held(from, origin);
        behind && self.stored_chain(store, origin, holds).is_some_and(|ours| ours != chain)
    }

    fn check(&self, op: &Op, limit: Millis) -> Check {
        let applied = self.frontiers.seq(op.node);
        if op.seq <= applied {
            Check::Known
        } else if op.node == self.me {
            Check::Ours
        } else if op.seq > self.membership.limit(self.me, op.node) {
            Check::Stranger
        } else if op.seq > applied + 1 {
            Check::Gap
        } else if op.hlc <= self.membership.floor(op.node) {
            // The `Admit` that this node has is not the origin's first one, and the earlier one does not count here
            // yet.
            Check::Stranger
        } else if op.hlc.millis() > limit {
            Check::Early
        } else if !op.continues(self.frontiers.chain(op.node)) {
            // The data directory of its origin was put back or copied.
            Check::Broken
        } else if op.hlc <= self.frontiers.promise(op.node).hlc {
            // Its origin has promised to issue nothing at or below this timestamp.
            Check::Broken
        } else {
            Check::Next
        }
    }
}

/// The result of taking a message of ops.
#[derive(Default)]
struct Took {
    /// The logs of which ops were taken.
    origins: BTreeSet<NodeId>,
    /// The logs of which an op was left out that may be sent again.
    left: BTreeSet<NodeId>,
    /// True where ops before some of the message are missing.
    gap: bool,
}

/// The result of checking an op that has arrived.
pub(in crate::log) enum Check {
    /// It is the next op of its log.
    Next,
    Known,
    /// Ops before it are missing.
    Gap,
    /// It is not taken: its origin is no member, or the log is not taken so far, or the admission of its origin does
    /// not count here yet.
    Stranger,
    /// It is an op of this node that this node does not have.
    Ours,
    /// Its timestamp is too far ahead of cluster time.
    Early,
    /// It does not continue the log that is here: the log has forked.
    Broken,
}
