//! The peers that are connected, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::window::Window;
use crate::clock::{Millis, NodeId};
use crate::log::barred::Pass;
use crate::log::config::Now;
use crate::log::contacts::Contacts;
use crate::log::event::Events;
use crate::log::message::{Contact, Lane, Message, Obstacle, SnapshotId};
use crate::log::op::{Op, Seq};
use crate::log::vote::Vote;
use crate::store::Table;

/// A peer that is connected now.
#[derive(Clone, Debug, Default)]
pub(in crate::log) struct Peer {
    /// It has proved to know the cluster's secret.
    pub(super) knows_secret: bool,
    /// The token that it has shown as a newcomer, where that lets in a limited number.
    pub(super) pass: Option<Pass>,
    /// When it was last asked for ops that have not come.
    pub(super) asked_at: Option<Millis>,
    /// What is under way to it.
    pub(super) window: Window,
    /// It has more ops for this node than it has sent.
    pub(super) has_more: bool,
    /// Messages of ops that came before those that they continue.
    pub(super) early: Vec<Arc<Vec<Op>>>,
    /// Its copy of this node's log was compared with that log.
    pub(in crate::log) compared: bool,
    /// Logs of which it did not have what this node asked for any more, each with the first op that it had.
    pub(super) gone: BTreeMap<NodeId, Seq>,
    /// Who is known to it to leave, and whom of them it lets go first.
    pub(super) leaving: BTreeSet<NodeId>,
    pub(super) yields_to: BTreeSet<NodeId>,
    /// Who is silent to it, and when it said so.
    pub(super) silent: Option<(Millis, BTreeSet<NodeId>)>,
}

/// A newcomer whose sponsor this node is.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    pub(super) contact: Contact,
    /// The snapshot that it asked for.
    pub(super) snapshot: SnapshotId,
    /// When it asked, in `elapsed` time.
    pub(super) began: Millis,
    /// When its connection broke; none while it stands. In `elapsed` time.
    pub(super) broken_at: Option<Millis>,
}

/// A newcomer that is not let in for now.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    pub(crate) contact: Contact,
    /// What it waits for.
    pub(crate) obstacles: Vec<Obstacle>,
    /// When that was last said, in `elapsed` time.
    pub(super) said: Millis,
}

/// The peers that are connected, and when they hear from us next.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pub(in crate::log) connected: BTreeMap<NodeId, Peer>,
    /// Newcomers that this node sponsors.
    pub(super) joining: BTreeMap<NodeId, Joining>,
    /// Newcomers that wait to be let in, as far as this node was asked or told.
    pub(crate) newcomers: BTreeMap<NodeId, Newcomer>,
    /// What this node, a newcomer, waits for.
    pub(crate) waits_for: Option<Vec<Obstacle>>,
    /// Members that were asked to leave, as they say.
    pub(in crate::log) leavers: BTreeSet<NodeId>,
    /// By how much the timestamps were ahead of an origin whose ops are not taken for now.
    pub(super) skewed: BTreeMap<NodeId, u64>,
    /// The same of this node's ops, by the member that does not take them.
    pub(super) refused_by: BTreeMap<NodeId, u64>,
    pub(super) next_heartbeat: Millis,
    /// Up to then the cluster is in use, in `elapsed` time.
    pub(super) used_until: Millis,
    /// When all peers are told this node's promise next, while the cluster is in use.
    pub(super) next_promise: Millis,
    /// Whom this node votes out for being silent.
    pub(in crate::log) vote: Vote,
    /// When to tell all who is silent again.
    pub(in crate::log) next_vote: Millis,
    /// When to pass contacts on again.
    pub(super) next_contacts: Millis,
    /// When to look again for what can leave the logs.
    pub(super) next_truncation: Millis,
    /// The peer that a newcomer asked to let it in: one at a time, or their snapshots would mix.
    pub(super) sponsor: Option<NodeId>,
    /// The last row of a snapshot that has not come to its end, where the store has any.
    pub(super) received: Option<(Table, Vec<u8>)>,
    /// It has asked its sponsor to go on with a snapshot that broke off, and nothing has come yet.
    pub(super) resuming: bool,
    /// What the snapshot that was asked for last is called.
    pub(super) snapshot: SnapshotId,
    /// How often a newcomer has asked to be let in.
    pub(super) asked: u32,
}

impl Peers {
    pub(in crate::log) fn new(seed: u64, now: Now) -> Self {
        // Nodes that start together should not speak together for ever.
        let next_heartbeat = now.elapsed.plus(seed % 50);
        Self {
            connected: BTreeMap::new(),
            joining: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            waits_for: None,
            leavers: BTreeSet::new(),
            skewed: BTreeMap::new(),
            refused_by: BTreeMap::new(),
            next_heartbeat,
            used_until: Millis(0),
            next_promise: now.elapsed,
            vote: Vote::default(),
            next_vote: now.elapsed,
            next_contacts: now.elapsed,
            next_truncation: now.elapsed,
            sponsor: None,
            received: None,
            resuming: false,
            snapshot: seed,
            asked: 0,
        }
    }

    pub(in crate::log) fn next_heartbeat(&self) -> Millis {
        self.next_heartbeat
    }

    pub(in crate::log) fn connected(&self) -> Vec<NodeId> {
        self.connected.keys().copied().collect()
    }

    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        self.connected.contains_key(&node)
    }

    /// Whether a peer has said that it knows that `leaver` leaves, and that it stays until that one is out.
    pub(in crate::log) fn stays_for(&self, peer: NodeId, leaver: NodeId) -> bool {
        let knows = |state: &Peer| {
            state.leaving.contains(&leaver) && (!state.leaving.contains(&peer) || state.yields_to.contains(&leaver))
        };
        self.connected.get(&peer).is_some_and(knows)
    }

    /// What peers have said of leaves is asked anew.
    pub(in crate::log) fn forget_leaves(&mut self) {
        self.connected.values_mut().for_each(|peer| peer.leaving.clear());
    }

    /// Who is silent to a peer, and when it last said so.
    pub(in crate::log) fn silent_to(&self, node: NodeId) -> Option<&(Millis, BTreeSet<NodeId>)> {
        self.connected.get(&node)?.silent.as_ref()
    }

    /// How far ahead the timestamps are of a node's ops, where they are not taken for now.
    pub(crate) fn skewed(&self, node: NodeId) -> Option<u64> {
        self.skewed.get(&node).copied()
    }

    /// How far ahead this node's timestamps are for a member that does not take its ops for now.
    pub(crate) fn refused_by(&self, node: NodeId) -> Option<u64> {
        self.refused_by.get(&node).copied()
    }

    /// A member says whether it takes the ops of this node.
    pub(super) fn on_skewed(&mut self, contacts: &Contacts, from: NodeId, ahead: u64) {
        let before = if ahead == 0 { self.refused_by.remove(&from) } else { self.refused_by.insert(from, ahead) };
        match (before, ahead) {
            (None, 1..) => tracing::warn!(
                peer = %from, label = contacts.label(from), ahead_ms = ahead,
                "a member does not take our ops: their timestamps are ahead of the cluster's time as it knows it"
            ),
            (Some(_), 0) => {
                tracing::info!(peer = %from, label = contacts.label(from), "the member takes our ops again");
            }
            _ => {}
        }
    }

    /// Takes note of whose ops are not taken because their timestamps are too far ahead, and tells the origin.
    pub(super) fn note_skewed(&mut self, contacts: &Contacts, events: &mut Events, origin: NodeId, ahead: u64) {
        if self.skewed.insert(origin, ahead).is_none() {
            let label = contacts.label(origin);
            tracing::warn!(%origin, label, ahead_ms = ahead, "ops are not taken for now: their timestamps are ahead of the cluster's time");
            self.tell_skewed(events, origin, ahead);
        }
    }

    /// Takes note that a log is taken again, and tells the origin.
    pub(super) fn note_taken(&mut self, contacts: &Contacts, events: &mut Events, origin: NodeId) {
        if self.skewed.remove(&origin).is_some() {
            tracing::info!(%origin, label = contacts.label(origin), "ops are taken again");
            self.tell_skewed(events, origin, 0);
        }
    }

    /// Tells an origin by how much its timestamps are ahead.
    pub(super) fn tell_skewed(&self, events: &mut Events, origin: NodeId, ahead: u64) {
        if self.is_connected(origin) {
            events.send(origin, Lane::Ordered, Message::Skewed { ahead });
        }
    }
}
