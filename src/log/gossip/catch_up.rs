//! Catching up: what a peer lacks is sent ahead of what it has said that it has.
//!
//! A peer that lacks more than one message may carry is sent a few messages. It asks again with each step in which it took one
//! that says that there is more, as soon as that is durable, and is sent the next ones while those before are still under way.
//! So the link, the disk and the registry of the peer are at work at the same time, and a long link costs a few round trips and
//! not one for each message. What is under way to a peer is bounded, and so is what a peer keeps that came too early: bulk
//! messages overtake each other.

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

/// Messages that one ask is answered with, so that a step stays short. Two for one: the window opens within a few round trips.
const AT_ONCE: usize = 2;

/// What is to be sent of a log: the ops after one and up to another.
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

/// Ops for one message.
#[derive(Default)]
struct Part {
    ops: Vec<Op>,
    bytes: usize,
}

impl Log {
    /// Sends what the entries, one for each log that the peer has, show it to lack; of every log its next ops. Each has
    /// its share of a message: a log that the peer does not take yet must not crowd out the welcome that it waits for.
    pub(super) fn send_missing(&mut self, store: &impl Store, to: NodeId, entries: &[Entry]) {
        let has: BTreeMap<_, _> = entries.iter().map(|entry| (entry.origin, entry.has)).collect();
        if self.phase.is_member() && !has.contains_key(&self.me) {
            // It knows nothing of this node, and may have lost the proof with which it takes what follows.
            self.cluster.prove(&mut self.events, self.me, to);
        }
        let mut window =
            self.peers.connected.get_mut(&to).map(|peer| std::mem::take(&mut peer.window)).unwrap_or_default();
        window.arrived(&has, self.now.elapsed);
        let (mut lacks, mut gone) = (self.view().lacks(to, &has, &window), BTreeMap::new());
        for _ in 0..AT_ONCE {
            if lacks.is_empty() || window.is_full() {
                break;
            }
            let part = self.view().next_part(store, &mut lacks, &mut gone);
            lacks.retain(Lack::is_left);
            let (more, Part { ops, bytes }) = (!lacks.is_empty(), part);
            if ops.is_empty() {
                break;
            }
            let ends = ops.iter().map(|op| (op.node, op.seq)).collect();
            window.send(ends, more);
            // Little goes in order with the promises, much by itself.
            let lane = if more || bytes > self.config.spread.bytes / 16 { Lane::Bulk } else { Lane::Ordered };
            self.events.send(to, lane, Message::Ops { ops: Arc::new(ops), more });
        }
        if let Some(peer) = self.peers.connected.get_mut(&to) {
            peer.window = window;
        }
        say_gone(&mut self.events, to, gone);
    }

    /// Asks those on who have said in this step that there is more.
    pub(super) fn ask_on(&mut self) {
        let peers = self.peers.connected.iter_mut();
        let wanted: Vec<_> =
            peers.filter_map(|(node, peer)| std::mem::take(&mut peer.has_more).then_some(*node)).collect();
        wanted.into_iter().for_each(|peer| self.ask(peer, true));
    }
}

impl View<'_> {
    /// What a peer lacks that is not under way to it.
    fn lacks(&self, to: NodeId, has: &BTreeMap<NodeId, Seq>, window: &Window) -> Vec<Lack> {
        let lack = |origin: NodeId| {
            let after = window.reaches(origin, prefix(has, origin));
            let upto = self.frontiers.seq(origin).min(self.membership.useful(to, origin));
            Lack { origin, after, upto }
        };
        self.frontiers.logs().filter(|origin| *origin != to).map(lack).filter(Lack::is_left).collect()
    }

    /// Reads the next ops of each log that is lacking, as many as one message may carry, and goes on to what is left then. Logs
    /// whose next ops are not here any more are `gone`, each with the first op that is left.
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
            // Where nothing is left of it: only what is decided leaves, and what is issued in this step is not there yet.
            let decided = self.frontiers.decided(origin);
            if next == after + 1 && next <= decided {
                gone.entry(origin).or_insert(decided + 1);
            }
            lack.after = if is_over { upto } else { next - 1 };
        }
        part
    }
}
