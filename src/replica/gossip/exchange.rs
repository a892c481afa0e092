//! Ops and vectors: what is taken from a peer, and what a peer lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::clock::NodeId;
use crate::crdt::{Body, Op};
use crate::replica::{Entry, Lane, Message, Replica, Vector, log};
use crate::store::Store;

/// A peer is not asked for ops again within so many milliseconds. A guess at a long round trip.
const ASK_AGAIN: u64 = 300;

impl<S: Store> Replica<S> {
    /// Takes in what continues the logs that are here; asks again where there is a gap.
    pub(super) fn on_ops(&mut self, from: NodeId, ops: &[Op], more: bool) {
        let limit = self.now.wall.plus(self.config.max_clock_skew);
        if let Some(worst) = ops.iter().map(|op| op.hlc.millis()).max().filter(|worst| *worst > limit) {
            let ahead = worst.since(self.now.wall);
            self.peers.skewed.insert(from, ahead);
            self.send(from, Lane::Ordered, Message::Skewed { ahead });
            return;
        }
        self.peers.skewed.remove(&from);
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            peer.asked_at = None;
        }
        let (mut gap, mut origins) = (false, BTreeSet::new());
        for op in ops {
            match self.check(op) {
                Check::Next => {
                    self.clock.observe(op.hlc);
                    self.apply(op);
                    self.log.push(op.clone());
                    origins.insert(op.node);
                }
                Check::Known | Check::Stranger => {}
                Check::Gap => gap = true,
                Check::Broken(why) => {
                    tracing::error!(origin = %op.node, seq = op.seq, why, "an op was refused");
                    break;
                }
                Check::Ours => return self.halt_behind(op.seq),
            }
        }
        // Only where this brought something: of several answers to one lack the first asks on, or each would for itself.
        let more = more && !origins.is_empty();
        for origin in origins.into_iter().filter(|origin| self.membership.freeze_by(self.me, *origin).is_none()) {
            self.finality.believe(origin, self.registry.applied_of(origin), self.now);
        }
        if gap || more {
            self.ask(from, more);
        }
    }

    fn check(&self, op: &Op) -> Check {
        let applied = self.registry.applied_of(op.node);
        if op.seq <= applied {
            Check::Known
        } else if op.node == self.me {
            Check::Ours
        } else if op.seq > self.membership.limit(self.me, op.node) {
            Check::Stranger
        } else if op.seq > applied + 1 && !planted!(GapsTaken) {
            Check::Gap
        } else if op.hlc <= self.membership.floor(op.node) {
            // Another admission let it in earlier, which is not complete here yet.
            Check::Stranger
        } else if !op.continues(self.finality.chain(op.node)) && !planted!(GapsTaken) {
            Check::Broken(
                "it does not continue what is here of the log: its origin's data directory was put back or copied",
            )
        } else if op.hlc <= self.finality.promise(op.node).hlc {
            Check::Broken("its origin had promised to issue nothing that early")
        } else {
            Check::Next
        }
    }

    /// Asks a peer for all that it has and this node lacks.
    fn ask(&mut self, peer: NodeId, at_once: bool) {
        let now = self.now.elapsed;
        let Some(state) = self.peers.connected.get_mut(&peer) else { return };
        if at_once || state.asked_at.is_none_or(|asked| now.since(asked) >= ASK_AGAIN) {
            state.asked_at = Some(now);
            let vector = self.vector(Some(peer), true, false);
            self.send(peer, Lane::Ordered, Message::Vector(vector));
        }
    }

    pub(super) fn on_vector(&mut self, from: NodeId, vector: &Vector) {
        if let Some(peer) = self.peers.connected.get_mut(&from) {
            let (theirs, ours) = (i128::from(vector.wall.0), i128::from(self.now.wall.0));
            peer.offset = Some(i64::try_from(theirs - ours).unwrap_or(i64::MAX));
            peer.silent = Some((self.now.elapsed, vector.silent.clone()));
        }
        let limit = self.now.wall.plus(self.config.max_clock_skew);
        let mut lacking = false;
        self.finality.hold(from, vector.entries.iter().map(|entry| (entry.origin, entry.held)));
        for entry in &vector.entries {
            let applied = self.registry.applied_of(entry.origin);
            if entry.origin == self.me {
                if !self.compare_own(from, entry) {
                    return;
                }
                if entry.held == applied {
                    self.peers.skewed.remove(&self.me);
                }
            } else if entry.promise.hlc.millis() <= limit {
                let frozen = self.membership.freeze_by(self.me, entry.origin).is_some();
                if !frozen || planted!(FrozenPromiseBelieved) {
                    let prefix = if frozen { entry.promise.seq } else { applied };
                    let believed = self.finality.hear(entry.origin, entry.promise, prefix, self.now);
                    // What comes after a freeze, or after a newcomer is let in, lies above all that was promised before.
                    self.clock.observe(believed);
                }
                // What its own origin is about to push needs no asking.
                lacking |= entry.held > applied
                    && self.membership.limit(self.me, entry.origin) > applied
                    && !self.peers.is_connected(entry.origin);
            }
        }
        if vector.wants {
            self.compared_with(from);
        }
        let others = vector.rows.iter().filter(|row| row.by != self.me);
        let most =
            others.clone().flat_map(|row| &row.held).filter(|(origin, _)| *origin == self.me).map(|(_, seq)| *seq);
        if let Some(seq) = most.max().filter(|seq| *seq > self.registry.applied_of(self.me)) {
            return self.halt_behind(seq);
        }
        for row in others {
            self.finality.hold(row.by, row.held.iter().copied());
        }
        if vector.wants {
            self.send_missing(from, &vector.entries);
        }
        if vector.echo {
            let vector = self.vector(Some(from), true, false);
            self.send(from, Lane::Ordered, Message::Vector(vector));
        } else if lacking {
            self.ask(from, false);
        }
    }

    /// Sends what the entries, one for each log that the peer has, show it to lack; of every log its next ops. Each has
    /// its share of the message: a log that the peer does not take yet must not crowd out the welcome that it waits for.
    fn send_missing(&mut self, to: NodeId, entries: &[Entry]) {
        let theirs: BTreeMap<_, _> = entries.iter().map(|entry| (entry.origin, entry.held)).collect();
        let (mut ops, mut bytes, mut more, mut gone) = (Vec::new(), 0, false, BTreeMap::new());
        let most = self.config.spread;
        let behind = self.registry.applied().iter().filter_map(|dot| {
            let held = theirs.get(dot.actor).copied().unwrap_or(0);
            let upto = dot.counter.min(self.membership.useful(to, *dot.actor));
            (*dot.actor != to && held < upto).then_some((*dot.actor, held + 1, upto))
        });
        let behind: Vec<_> = behind.collect();
        let logs = behind.len().max(1);
        for (origin, from, upto) in behind {
            let (mut left, mut room) = (most.ops.div_ceil(logs), most.bytes.div_ceil(logs));
            let mut next = from;
            log::read(&self.registry.store, origin, from, &mut |op| {
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
            let decided = self.finality.decided(origin);
            if next == from && from <= decided {
                gone.entry(origin).or_insert(decided + 1);
            }
        }
        self.say_gone(to, gone);
        if !ops.is_empty() {
            // Little goes in order with the promises, much by itself.
            let lane = if more || bytes > most.bytes / 16 { Lane::Bulk } else { Lane::Ordered };
            self.send(to, lane, Message::Ops { ops: Arc::new(ops), more });
        }
    }
}

/// What an op is to this node.
enum Check {
    Next,
    Known,
    Gap,
    Stranger,
    Ours,
    Broken(&'static str),
}

/// The encoded size of an op, roughly.
fn weight(op: &Op) -> usize {
    64 + match &op.body {
        Body::Register(register) => {
            let claims =
                register.claims.iter().map(|claim| claim.namespace.len() + claim.key.len() + claim.name.len() + 24);
            register.owner.len() + register.metadata.as_ref().map_or(0, String::len) + claims.sum::<usize>()
        }
        Body::Namespace { namespace, rules } => {
            let reserved = rules.reserved().iter().map(|(key, name)| key.len() + name.len() + 2);
            namespace.len() + reserved.sum::<usize>()
        }
        _ => 0,
    }
}
