//! The newcomers that a sponsor keeps, and what a newcomer learns while it waits.

use rand_chacha::ChaCha8Rng;

use super::choose;
use super::peers::{Joining, Newcomer, Peers};
use crate::clock::{Millis, NodeId};
use crate::log::config::Config;
use crate::log::event::{Events, Output};
use crate::log::membership::Membership;
use crate::log::message::{Contact, Lane, Message, Obstacle, SnapshotId};
use crate::store::Table;

/// For how many milliseconds a sponsor keeps a snapshot that broke off, and the ops after it. A guess: longer than most
/// links are down, shorter than a log takes to grow large.
const RESUMED_WITHIN: u64 = 300_000;

/// For how many milliseconds a waiting newcomer is shown after it last asked. A guess: some of its heartbeats.
const WAITS_LAST: u64 = 15_000;

impl Peers {
    /// Returns the peer that a newcomer asks: at first any, then the next by id after the one that it has asked, so
    /// that it asks all in turn.
    pub(super) fn next_to_ask(&self, rng: &mut ChaCha8Rng) -> Option<NodeId> {
        let peers = self.connected();
        let Some(last) = self.sponsor else { return choose(rng, peers, 1).first().copied() };
        peers.iter().find(|peer| **peer > last).or(peers.first()).copied()
    }

    /// Goes on with a snapshot that broke off, where it is still kept. Otherwise the newcomer asks for another one
    /// later.
    pub(super) fn on_resume(
        &mut self,
        events: &mut Events,
        from: NodeId,
        snapshot: SnapshotId,
        table: &str,
        key: Vec<u8>,
    ) {
        let table = Table::ALL.into_iter().find(|known| known.name() == table && known.in_snapshot());
        let joining = self.joining.get_mut(&from).filter(|joining| joining.snapshot == snapshot);
        if let Some((joining, table)) = joining.zip(table) {
            joining.broken_at = None;
            events.output(Output::SendSnapshot { to: from, snapshot, after: Some((table, key)) });
        }
    }

    /// Ends the joins of newcomers that are or were members, and those of newcomers that did not come back or were not
    /// admitted for too long: these begin anew.
    pub(super) fn end_joins(&mut self, events: &mut Events, membership: &Membership, config: &Config, now: Millis) {
        let is_late = |joining: &Joining| {
            joining.broken_at.is_some_and(|at| now > at.plus(RESUMED_WITHIN))
                || planted!(log::is_overdue(now > joining.began.plus(config.snapshot_ttl)))
        };
        let ended = self.joining.iter().filter(|(node, joining)| membership.is_known(**node) || is_late(joining));
        for node in ended.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.joining.remove(&node);
            events.output(Output::EndSnapshot { to: node });
        }
        let waits = |newcomer: &Newcomer| now.since(newcomer.said) < WAITS_LAST;
        self.newcomers.retain(|node, newcomer| !membership.is_member(*node) && waits(newcomer));
    }

    /// Ends the join of a reader that has its snapshot and nearly all that follows: nothing more is kept for it.
    pub(super) fn end_join_of_reader(&mut self, events: &mut Events, reader: NodeId) {
        if self.joining.remove(&reader).is_some() {
            events.output(Output::EndSnapshot { to: reader });
        }
    }

    /// Notes what a newcomer waits for, and tells the node that asked for its admission.
    pub(super) fn let_wait(
        &mut self,
        events: &mut Events,
        contact: Contact,
        obstacles: Vec<Obstacle>,
        by: NodeId,
        now: Millis,
    ) {
        let (newcomer, label) = (contact.node, contact.label.clone());
        let waits = Newcomer { contact, obstacles: obstacles.clone(), said: now };
        let before = self.newcomers.insert(newcomer, waits);
        if before.is_none_or(|before| before.obstacles != obstacles) {
            tracing::info!(%newcomer, label, ?obstacles, "a newcomer waits to be let in");
        }
        events.send(by, Lane::Ordered, Message::Waits { newcomer, obstacles });
    }

    /// Notes what a newcomer waits for by the word of the first member, and passes it on to the newcomer.
    pub(super) fn pass_waits_on(
        &mut self,
        events: &mut Events,
        newcomer: NodeId,
        known: Option<Contact>,
        obstacles: Vec<Obstacle>,
        now: Millis,
    ) {
        let contact = self.joining.get(&newcomer).map(|joining| joining.contact.clone());
        if let Some(contact) = contact.or(known) {
            self.newcomers.insert(newcomer, Newcomer { contact, obstacles: obstacles.clone(), said: now });
        }
        if self.is_connected(newcomer) {
            events.send(newcomer, Lane::Ordered, Message::Waits { newcomer, obstacles });
        }
    }

    /// Notes, at the newcomer, what its admission waits for.
    pub(super) fn on_waits(&mut self, obstacles: Vec<Obstacle>, is_member: bool) {
        if !is_member && self.waits_for.as_ref() != Some(&obstacles) {
            if obstacles.iter().any(Obstacle::needs_operator) {
                tracing::warn!(
                    ?obstacles,
                    "this node waits to be let in, and an operator has to do something about it"
                );
            } else {
                tracing::info!(?obstacles, "this node waits to be let in");
            }
            self.waits_for = Some(obstacles);
        }
    }
}
