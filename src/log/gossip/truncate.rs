//! Truncation: ops that all members hold, and that nobody will ask for, leave the logs.
//!
//! A newcomer gets the truncated ops with its snapshot. While a snapshot is on its way, its sponsor keeps the ops that
//! the newcomer will ask for next. If the sponsor dies meanwhile and all others have dropped these ops, the newcomer
//! begins anew.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::peers::Peer;
use crate::clock::{Millis, NodeId};
use crate::log::event::Events;
use crate::log::op::Seq;
use crate::log::phase::Notice;
use crate::log::view::View;
use crate::log::{Lane, Log, Message, ops};
use crate::store::Store;

/// How often the logs are truncated, in milliseconds. A guess: long compared with the work, short compared with the
/// growth of a log.
const EVERY: u64 = 1000;

impl Log {
    /// Drops the ops that all members hold and that are decided on this node. Where more of them are left than one step
    /// may drop, the next step goes on: under load each step begins a chunk, so that chunks come faster than heartbeats.
    pub(super) fn truncate(&mut self, store: &mut impl Store) {
        let now = self.now.elapsed;
        if now < self.peers.next_truncation || !self.phase.may_decide() {
            return;
        }
        self.peers.next_truncation = now.plus(EVERY);
        // Joins that have ended do not count. While any other is under way, nothing is dropped.
        self.peers.end_joins(&mut self.events, &self.membership, &self.config, now);
        if !self.peers.joining.is_empty() {
            return;
        }
        let others: Vec<_> = self.membership.members().filter(|node| *node != self.me).collect();
        let origins: Vec<_> = self.frontiers.logs().collect();
        let before = Millis(self.frontiers.watermark().millis().since(Millis(self.config.keep_log)));
        for origin in origins {
            let held = others.iter().map(|node| self.frontiers.held(*node, origin)).min();
            let upto = self.frontiers.decided(origin).min(held.unwrap_or(u64::MAX));
            let last = self.frontiers.seq(origin);
            let begins = self.peers.truncated.entry(origin).or_default();
            if ops::truncate(store, origin, last, upto, before, begins) {
                self.peers.next_truncation = now;
            }
        }
    }

    /// Notes that a peer has truncated ops that this node asked for. The others are asked at once. Where no connected
    /// member has what this node still lacks, it needs a new state.
    pub(super) fn on_gone(&mut self, from: NodeId, begins: &BTreeMap<NodeId, Seq>) {
        let Some(peer) = self.peers.connected.get_mut(&from) else { return };
        peer.gone.extend(begins);
        let may_have = |node: &NodeId, peer: &Peer| self.membership.is_member(*node) || !peer.gone.is_empty();
        let asked = || self.peers.connected.iter().filter(|(node, peer)| may_have(node, peer));
        let nowhere = |origin: &&NodeId| {
            let next = self.frontiers.seq(**origin) + 1;
            asked().all(|(_, peer)| peer.gone.get(*origin).is_some_and(|first| *first > next))
        };
        if let Some(origin) = begins.keys().find(nowhere) {
            let label = self.contacts.label(*origin);
            tracing::info!(%origin, label, "nobody in reach has what this node lacks of a log any more; it takes the state anew");
            self.notice.get_or_insert(Notice::LeftBehind);
            return;
        }
        let lacks = |(_, peer): &(&NodeId, &Peer)| begins.keys().any(|origin| !peer.gone.contains_key(origin));
        let others: Vec<_> = asked().filter(lacks).map(|(node, _)| *node).collect();
        others.into_iter().for_each(|peer| self.ask(peer, false));
    }
}

impl View<'_> {
    /// Returns the logs of which a node with these prefixes lacks ops that were truncated here, each with the first op
    /// that is left.
    pub(super) fn gone_for(&self, store: &impl Store, has: &BTreeMap<NodeId, Seq>) -> BTreeMap<NodeId, Seq> {
        let mut gone = BTreeMap::new();
        for origin in self.frontiers.logs() {
            let next = has.get(&origin).copied().unwrap_or(0) + 1;
            let mut first = self.frontiers.decided(origin) + 1;
            ops::read(store, origin, next, &mut |op| {
                first = op.seq;
                ControlFlow::Break(())
            });
            if next <= self.frontiers.seq(origin) && first > next {
                gone.insert(origin, first);
            }
        }
        gone
    }
}

/// Tells a peer of which logs it lacks ops that were truncated here, and the first op that is left of each.
pub(super) fn say_gone(events: &mut Events, to: NodeId, begins: BTreeMap<NodeId, Seq>) {
    if !begins.is_empty() {
        events.send(to, Lane::Ordered, Message::Gone(begins));
    }
}
