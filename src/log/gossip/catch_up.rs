//! Catching up: a peer is sent the ops that it lacks before it has acknowledged the ones that were sent before.
//!
//! A peer that lacks more than one message may carry is sent a few messages, and one more in each further step until so
//! many are on their way as may be. In each step in which the peer takes one that says that there is more, it asks again
//! as soon as that is durable, and makes room for the next ones while earlier ones are still on their way. So the link, the
//! disks and the registries of both work at the same time, and over a long link catching up costs a few round trips and not
//! one for each message. The number of messages on their way to a peer is bounded, and so is the number of messages that
//! the peer keeps because they came too early: bulk messages overtake each other.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::truncate::say_gone;
use super::window::{Window, prefix};
use crate::clock::NodeId;
use crate::log::op::{Op, Seq};
use crate::log::view::View;
use crate::log::{Entry, Lane, Log, Message, ops};
use crate::store::Store;

/// How many messages answer one request, so that a step stays short.
const AT_ONCE: usize = 2;

/// The ops of a log that are to be sent: those after one number and up to another.
#[derive(Clone, Copy, Debug)]
struct Lack {
    origin: NodeId,
    after: Seq,
    upto: Seq,
}

impl Lack {
    fn is_left(&self) -> bool {
        self.after < self.upto
    }
}

/// The ops of one message.
#[derive(Default)]
struct Part {
    ops: Vec<Op>,
    bytes: usize,
}

impl Log {
    /// Sends a peer the next ops of every log that it lacks by its entries; these have an entry for each log that it
    /// has. Each log gets its share of a message: a log that the peer does not take yet must not crowd out the `Admit`
    /// that it waits for.
    pub(super) fn send_missing(&mut self, store: &impl Store, to: NodeId, entries: &[Entry]) {
        let has: BTreeMap<_, _> = entries.iter().map(|entry| (entry.origin, entry.has)).collect();
        if self.phase.is_member() && !has.contains_key(&self.me) {
            // The peer knows nothing of this node, and may have lost the proof without which it does not take what
            // follows.
            self.cluster.prove(&mut self.events, self.me, to);
        }
        if let Some(peer) = self.peers.connected.get_mut(&to) {
            peer.window.arrived(&has, self.now.elapsed);
        }
        self.send_parts(store, to, has, AT_ONCE);
    }

    /// Sends one more message of ops to each peer that is behind and may still ask for them.
    pub(super) fn send_on(&mut self, store: &impl Store) {
        let peers = self.peers.connected.iter_mut();
        let behind: Vec<_> = peers.filter_map(|(node, peer)| Some((*node, peer.behind.take()?))).collect();
        if !self.phase.takes_ops() || self.phase.is_reader() {
            return;
        }
        for (peer, has) in behind {
            let is_evicted = self.membership.cut(peer).is_some() && !self.membership.has_left(peer);
            if !is_evicted {
                self.send_parts(store, peer, has, 1);
            }
        }
    }

    /// Sends a peer the next ops of every log, in up to `most` messages. `has` is the last op of each log that it has.
    fn send_parts(&mut self, store: &impl Store, to: NodeId, has: BTreeMap<NodeId, Seq>, most: usize) {
        let mut window =
            self.peers.connected.get_mut(&to).map(|peer| std::mem::take(&mut peer.window)).unwrap_or_default();
        let (mut lacks, mut gone) = (self.view().lacks(to, &has, &window), BTreeMap::new());
        for _ in 0..most {
            if lacks.is_empty() || window.is_full() {
                break;
            }
            let part = self.view().next_part(store, &mut lacks, &mut gone);
            lacks.retain(Lack::is_left);
            let (more, Part { ops, bytes }) = (!lacks.is_empty(), part);
            if ops.is_empty() {
                // There are none to be read, so there is nothing to go on with.
                lacks.clear();
                break;
            }
            let ends = ops.iter().map(|op| (op.node, op.seq)).collect();
            window.send(ends, more);
            // A few ops are sent in order with the promises, many on a stream of their own.
            let lane = if more || bytes > self.config.spread.bytes / 16 { Lane::Bulk } else { Lane::Ordered };
            self.events.send(to, lane, Message::Ops { ops: Arc::new(ops), more });
        }
        if let Some(peer) = self.peers.connected.get_mut(&to) {
            peer.behind = (!lacks.is_empty() && !window.is_full()).then_some(has);
            peer.window = window;
        }
        say_gone(&mut self.events, to, gone);
    }

    /// Asks the peers again that have said in this step that there is more.
    pub(super) fn ask_on(&mut self) {
        let peers = self.peers.connected.iter_mut();
        let wanted: Vec<_> =
            peers.filter_map(|(node, peer)| std::mem::take(&mut peer.has_more).then_some(*node)).collect();
        wanted.into_iter().for_each(|peer| self.ask(peer, true));
    }
}

impl View<'_> {
    /// Returns the ops that a peer lacks and that are not on their way to it.
    fn lacks(&self, to: NodeId, has: &BTreeMap<NodeId, Seq>, window: &Window) -> Vec<Lack> {
        let lack = |origin: NodeId| {
            let after = window.reaches(origin, prefix(has, origin));
            let upto = self.frontiers.seq(origin).min(self.membership.useful(to, origin));
            Lack { origin, after, upto }
        };
        self.frontiers.logs().filter(|origin| *origin != to).map(lack).filter(Lack::is_left).collect()
    }

    /// Reads the next ops of each log, as many as one message may carry, and moves `lacks` on to the rest. Logs whose
    /// next ops were truncated go into `gone`, each with the first op that is left.
    fn next_part(&self, store: &impl Store, lacks: &mut [Lack], gone: &mut BTreeMap<NodeId, Seq>) -> Part {
        let (mut part, most, logs) = (Part::default(), self.config.spread, lacks.len().max(1));
        for lack in lacks {
            let Lack { origin, after, upto } = *lack;
            let (mut left, mut room) = (most.ops.div_ceil(logs), most.bytes.div_ceil(logs));
            let (mut next, mut is_over) = (after + 1, true);
            ops::read(store, origin, next, &mut |op| {
                if op.seq > next {
                    gone.insert(origin, op.seq);
                    return ControlFlow::Break(());
                }
                if op.seq > upto {
                    return ControlFlow::Break(());
                }
                if left == 0 || room == 0 {
                    is_over = false;
                    return ControlFlow::Break(());
                }
                next += 1;
                let weight = op.encoded_len();
                (left, room, part.bytes) = (left - 1, room.saturating_sub(weight), part.bytes + weight);
                part.ops.push(op);
                ControlFlow::Continue(())
            });
            // No op of the log was found. Only decided ops are truncated; ops that were issued in this step are not in
            // the store yet.
            let decided = self.frontiers.decided(origin);
            if next == after + 1 && next <= decided {
                gone.entry(origin).or_insert(decided + 1);
            }
            lack.after = if is_over { upto } else { next - 1 };
        }
        part
    }
}
