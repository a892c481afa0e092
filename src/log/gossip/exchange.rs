//! Ops and vectors: what is taken from a peer, and what a peer lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::truncate::say_gone;
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::chain_check::Contradiction;
use crate::log::frontiers::Fork;
use crate::log::op::{Body, Op};
use crate::log::phase::Out;
use crate::log::view::View;
use crate::log::{Entry, Lane, Log, Message, Promise, Vector, ops};
use crate::store::Store;

/// A peer is not asked for ops again within so many milliseconds. A guess at a long round trip.
const ASK_AGAIN: u64 = 300;

impl Log {
    /// Takes in what continues the logs that are here; asks again where there is a gap. Where an op cannot be taken, those of
    /// other logs are.
    pub(super) fn on_ops(&mut self, from: NodeId, ops: &[Op], more: bool) {
        if !self.phase.takes_ops() {
            return;
        }
        let limit = self.view().latest_taken();
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.asked_at = None;
        }
        let (mut gap, mut taken, mut left) = (false, BTreeSet::new(), BTreeSet::new());
        for op in ops {
            if left.contains(&op.node) {
                continue;
            }
            match planted!(log::check(self.view().check(op, limit))) {
                Check::Next => {
                    self.take(op);
                    taken.insert(op.node);
                }
                Check::Known | Check::Stranger => {}
                Check::Gap => gap = true,
                Check::Early => {
                    let ahead = op.hlc.millis().since(self.view().cluster_time());
                    self.peers.note_skewed(&self.contacts, &mut self.events, op.node, ahead);
                    left.insert(op.node);
                }
                Check::Broken => {
                    self.frontiers.note_fork(op.node, Fork { by: from, seq: op.seq });
                    left.insert(op.node);
                    // The cut lies on a continuation that does not lead on from what is here, and all who stay agree on it.
                    if self.membership.agreed().contains_key(&op.node) {
                        self.phase.go_out(Out::HoldsVoid);
                    }
                }
                Check::Ours => return self.halt_as_copy(&Contradiction::Behind(op.seq)),
            }
        }
        // Only where this brought something: of several answers to one lack the first asks on, or each would for itself.
        let more = more && !taken.is_empty();
        for origin in taken {
            if !left.contains(&origin) {
                self.peers.note_taken(&self.contacts, &mut self.events, origin);
            }
            if self.membership.freeze_by(self.me, origin).is_none() {
                self.frontiers.believe(origin, self.now);
            }
        }
        if gap || more {
            self.ask(from, more);
        }
    }

    /// Asks a peer for all that it has and this node lacks.
    fn ask(&mut self, peer: NodeId, at_once: bool) {
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
        if !self.phase.takes_ops() {
            return;
        }
        let mut lacking = false;
        for entry in &vector.entries {
            if entry.origin == self.me {
                if let Some(contradiction) =
                    planted!(log::contradicts_log(self.view().contradicts_log(store, from, entry)))
                {
                    return self.halt_as_copy(&contradiction);
                }
            } else {
                self.hear_promise(from, entry);
                if vector.wants && self.view().holds_another(store, from, entry) {
                    self.frontiers.note_fork(entry.origin, Fork { by: from, seq: entry.holds });
                }
                // What its own origin is about to push needs no asking.
                let applied = self.frontiers.seq(entry.origin);
                if entry.has <= applied {
                    self.peers.note_taken(&self.contacts, &mut self.events, entry.origin);
                }
                lacking |= entry.has > applied
                    && self.membership.limit(self.me, entry.origin) > applied
                    && !self.peers.is_connected(entry.origin);
            }
            self.frontiers.hold(from, entry.origin, entry.holds, entry.chain);
        }
        for row in &vector.rows {
            let own = Some(row).filter(|row| row.by == self.me);
            if let Some(contradiction) =
                planted!(log::contradicts_word(own.and_then(|row| self.view().contradicts_word(from, row))))
            {
                return self.halt_as_copy(&contradiction);
            }
            if row.held.iter().any(|(origin, seq, _)| *origin == self.me && *seq > self.frontiers.seq(self.me)) {
                let most = row.held.iter().filter(|(origin, ..)| *origin == self.me).map(|(_, seq, _)| *seq).max();
                return self.halt_as_copy(&Contradiction::Behind(most.unwrap_or_default()));
            }
            if row.by != self.me && self.membership.is_member(row.by) {
                for (origin, seq, chain) in &row.held {
                    self.frontiers.hold(row.by, *origin, *seq, *chain);
                }
            }
        }
        if vector.wants {
            self.compared_with(from);
            self.send_missing(store, from, &vector.entries);
        }
        if vector.echo {
            let vector = self.vector(Some(from), true, false);
            self.events.send(from, Lane::Ordered, Message::Vector(vector));
        } else if lacking {
            self.ask(from, false);
        }
    }

    /// Believes a promise that a member passes on. Of one that is too far ahead as much as the cluster's time allows: whoever
    /// promises more promises less as well.
    fn hear_promise(&mut self, from: NodeId, entry: &Entry) {
        let Entry { origin, promise: said, .. } = *entry;
        self.frontiers.remember(origin, said);
        let allowed = planted!(log::allowed(self.view().allowed(said), said));
        let frozen = self.membership.freeze_by(self.me, origin).is_some();
        let believable = (!frozen).then_some(allowed);
        if let Some(promise) = planted!(log::believable(believable, allowed, self.frontiers.here(origin))) {
            self.frontiers.check_promise(origin, said, from);
            let believed = self.frontiers.hear(origin, promise, from, self.now);
            // What comes after a freeze, or after a newcomer is let in, lies above all that was promised before.
            self.own.observe(believed);
        }
    }

    /// The vector of one that is no member says what it lacks and nothing else.
    pub(super) fn answer_stranger(&mut self, store: &impl Store, from: NodeId, vector: &Vector) {
        if vector.wants && self.phase.is_member() && !self.membership.is_known(from) {
            self.send_missing(store, from, &vector.entries);
        }
        if vector.echo {
            let vector = self.vector(Some(from), true, false);
            self.events.send(from, Lane::Ordered, Message::Vector(vector));
        }
    }

    /// Sends what the entries, one for each log that the peer has, show it to lack; of every log its next ops. Each has
    /// its share of the message: a log that the peer does not take yet must not crowd out the welcome that it waits for.
    pub(super) fn send_missing(&mut self, store: &impl Store, to: NodeId, entries: &[Entry]) {
        let theirs: BTreeMap<_, _> = entries.iter().map(|entry| (entry.origin, entry.has)).collect();
        if self.phase.is_member() && !theirs.contains_key(&self.me) {
            // It knows nothing of this node, and may have lost the proof with which it takes what follows.
            self.cluster.prove(&mut self.events, self.me, to);
        }
        let (mut ops, mut bytes, mut more, mut gone) = (Vec::new(), 0, false, BTreeMap::new());
        let most = self.config.spread;
        let behind = self.frontiers.logs().filter_map(|origin| {
            let held = theirs.get(&origin).copied().unwrap_or(0);
            let upto = self.frontiers.seq(origin).min(self.membership.useful(to, origin));
            (origin != to && held < upto).then_some((origin, held + 1, upto))
        });
        let behind: Vec<_> = behind.collect();
        let logs = behind.len().max(1);
        for (origin, from, upto) in behind {
            let (mut left, mut room) = (most.ops.div_ceil(logs), most.bytes.div_ceil(logs));
            let mut next = from;
            ops::read(store, origin, from, &mut |op| {
                if op.seq > next {
                    gone.insert(origin, op.seq);
                    return ControlFlow::Break(());
                }
                next += 1;
                if op.seq > upto {
                    return ControlFlow::Break(());
                }
                if left == 0 || room == 0 {
                    more = true;
                    return ControlFlow::Break(());
                }
                let weight = weight(&op);
                (left, room, bytes) = (left - 1, room.saturating_sub(weight), bytes + weight);
                ops.push(op);
                ControlFlow::Continue(())
            });
            // Where nothing is left of it: only what is decided leaves, and what is issued in this step is not there yet.
            let decided = self.frontiers.decided(origin);
            if next == from && from <= decided {
                gone.entry(origin).or_insert(decided + 1);
            }
        }
        say_gone(&mut self.events, to, gone);
        if !ops.is_empty() {
            // Little goes in order with the promises, much by itself.
            let lane = if more || bytes > most.bytes / 16 { Lane::Bulk } else { Lane::Ordered };
            self.events.send(to, lane, Message::Ops { ops: Arc::new(ops), more });
        }
    }
}

impl View<'_> {
    /// As much of a promise as the cluster's time allows.
    fn allowed(&self, promise: Promise) -> Promise {
        let is_early = promise.hlc.millis() > self.latest_taken();
        Promise { hlc: if is_early { Hlc::from_millis(self.cluster_time()) } else { promise.hlc }, ..promise }
    }

    /// In a full exchange a peer's copy of a log that ends below what is decided here is compared with the log, as far as
    /// that is kept: two that hold different ops must not go on in peace.
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
            // Another admission let it in earlier, which is not complete here yet.
            Check::Stranger
        } else if op.hlc.millis() > limit {
            Check::Early
        } else if !op.continues(self.frontiers.chain(op.node)) {
            // Its origin's data directory was put back or copied.
            Check::Broken
        } else if op.hlc <= self.frontiers.promise(op.node).hlc {
            // Its origin had promised to issue nothing that early.
            Check::Broken
        } else {
            Check::Next
        }
    }
}

/// What an op is to this node.
pub(in crate::log) enum Check {
    /// It continues what is here of its log.
    Next,
    Known,
    /// Ops before it are missing.
    Gap,
    /// It is not to be taken, now or ever.
    Stranger,
    /// It is this node's own, and not here.
    Ours,
    /// Its timestamp is too far ahead of the cluster's time.
    Early,
    /// It continues another log than the one that is here.
    Broken,
}

/// The encoded size of an op, roughly.
fn weight(op: &Op) -> usize {
    64 + match &op.body {
        Body::Name(said) => said.weight(),
        Body::Member(_) => 0,
    }
}
