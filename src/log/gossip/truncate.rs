//! Logs do not grow for ever: what all members hold, and nobody will ask for, leaves them.
//!
//! A newcomer's snapshot stands for what has left. While one is on its way, its sponsor keeps what it will ask for next;
//! should the sponsor die meanwhile and all others have dropped it, the newcomer begins anew.

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

/// Milliseconds between two looks for what can be dropped. A guess: long beside a look, short beside the growth of a log.
const EVERY: u64 = 1000;

impl Log {
    /// Drops what all members hold and is decided here.
    pub(super) fn truncate(&mut self, store: &mut impl Store) {
        let now = self.now.elapsed;
        if now < self.peers.next_truncation || !self.phase.may_decide() {
            return;
        }
        self.peers.next_truncation = now.plus(EVERY);
        // Those that are on their way in count below.
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
            ops::truncate(store, origin, last, upto, before);
        }
    }

    /// A peer cannot give what this node lacked when it asked. Where none of those in reach can give what it lacks now, it
    /// needs a new state.
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
        }
    }
}

impl View<'_> {
    /// The logs of which one that has these prefixes lacks ops that have left them here, each with the first that is left.
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

/// Says of which logs a peer lacks ops that have left them here, and where they begin now.
pub(super) fn say_gone(events: &mut Events, to: NodeId, begins: BTreeMap<NodeId, Seq>) {
    if !begins.is_empty() {
        events.send(to, Lane::Ordered, Message::Gone(begins));
    }
}
