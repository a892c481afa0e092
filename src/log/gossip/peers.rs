//! The connected peers, and what is known of them.

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

/// A connected peer.
#[derive(Clone, Debug, Default)]
pub(in crate::log) struct Peer {
    /// True where it has proved to know the cluster's secret.
    pub(super) knows_secret: bool,
    /// The token that it has shown as a newcomer, where that admits a limited number.
    pub(super) pass: Option<Pass>,
    /// True where it is a reader, by the token that it has shown. It gets what it asks for and nothing else.
    pub(super) reads: bool,
    /// When it was last asked for ops that have not arrived.
    pub(super) asked_at: Option<Millis>,
    /// The messages that are on their way to it.
    pub(super) window: Window,
    /// The last op of each log that this peer said it has; none where everything that it lacks is on its way to it, or the
    /// window is full.
    pub(in crate::log) behind: Option<BTreeMap<NodeId, Seq>>,
    /// True where it has more ops for this node than it has sent.
    pub(super) has_more: bool,
    /// Messages of ops that arrived before the ops that they continue.
    pub(super) early: Vec<Arc<Vec<Op>>>,
    /// True where its copy of this node's log was compared with that log.
    pub(in crate::log) compared: bool,
    /// The logs of which it has truncated ops that this node asked for, each with the first op that it still had.
    pub(super) gone: BTreeMap<NodeId, Seq>,
    /// The members that leave, as far as it knows, and those of them that it lets go first.
    pub(super) leaving: BTreeSet<NodeId>,
    pub(super) yields_to: BTreeSet<NodeId>,
    /// The members that are silent to it, and when it said so.
    pub(super) silent: Option<(Millis, BTreeSet<NodeId>)>,
}

/// A newcomer that this node sponsors.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    pub(super) contact: Contact,
    /// The number of the snapshot that it asked for.
    pub(super) snapshot: SnapshotId,
    /// When it asked, in `elapsed` time.
    pub(super) began: Millis,
    /// When its connection broke, in `elapsed` time; none while it stands.
    pub(super) broken_at: Option<Millis>,
}

/// A newcomer that is not admitted for now.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    pub(crate) contact: Contact,
    /// What its admission waits for.
    pub(crate) obstacles: Vec<Obstacle>,
    /// When this was last said, in `elapsed` time.
    pub(super) said: Millis,
}

/// The connected peers, and when something is to be sent to them next.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pub(in crate::log) connected: BTreeMap<NodeId, Peer>,
    /// The newcomers that this node sponsors.
    pub(super) joining: BTreeMap<NodeId, Joining>,
    /// The newcomers that wait for their admission, as far as this node knows.
    pub(crate) newcomers: BTreeMap<NodeId, Newcomer>,
    /// What the admission of this node waits for.
    pub(crate) waits_for: Option<Vec<Obstacle>>,
    /// The members that leave, by their own vectors.
    pub(in crate::log) leavers: BTreeSet<NodeId>,
    /// The origins whose ops are not taken for now, with how far their timestamps are ahead.
    pub(super) skewed: BTreeMap<NodeId, u64>,
    /// The members that do not take this node's ops for now, with how far its timestamps are ahead.
    pub(super) refused_by: BTreeMap<NodeId, u64>,
    pub(super) next_heartbeat: Millis,
    /// Until when the cluster counts as in use, in `elapsed` time.
    pub(super) used_until: Millis,
    /// When this node sends its promise to all peers next, while the cluster is in use.
    pub(super) next_promise: Millis,
    /// This node's vote for the eviction of silent members.
    pub(in crate::log) vote: Vote,
    /// When to send the vote to all peers again.
    pub(in crate::log) next_vote: Millis,
    /// When to send contacts again.
    pub(super) next_contacts: Millis,
    /// When to truncate the logs again.
    pub(in crate::log) next_truncation: Millis,
    /// Where each log begins in the store, as far as this process has truncated it.
    pub(in crate::log) truncated: BTreeMap<NodeId, Seq>,
    /// The peer that a newcomer has asked for a snapshot. It asks one at a time, because parts of two snapshots would
    /// mix.
    pub(super) sponsor: Option<NodeId>,
    /// The last row of an unfinished snapshot, where the store has any of its rows.
    pub(super) received: Option<(Table, Vec<u8>)>,
    /// True while it has asked its sponsor to go on with a snapshot that broke off, and nothing has arrived yet.
    pub(super) resuming: bool,
    /// The number of the snapshot that was asked for last.
    pub(super) snapshot: SnapshotId,
    /// How often a newcomer has asked for a snapshot.
    pub(super) asked: u32,
}

impl Peers {
    pub(in crate::log) fn new(seed: u64, now: Now) -> Self {
        // Nodes that start together should not send their heartbeats together for ever.
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
            truncated: BTreeMap::new(),
            sponsor: None,
            received: None,
            resuming: false,
            snapshot: seed,
            asked: 0,
        }
    }

    /// Returns true where the next step sends ops to a peer that is behind.
    pub(in crate::log) fn any_behind(&self) -> bool {
        self.connected.values().any(|peer| peer.behind.is_some())
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

    /// Returns the connected peers that take part in the gossip: all but the readers.
    pub(super) fn partners(&self) -> Vec<NodeId> {
        self.connected.iter().filter(|(_, peer)| !peer.reads).map(|(node, _)| *node).collect()
    }

    /// Returns the connected readers.
    pub(crate) fn readers(&self) -> Vec<NodeId> {
        self.connected.iter().filter(|(_, peer)| peer.reads).map(|(node, _)| *node).collect()
    }

    /// Returns true for a connected peer that has shown a reader's token.
    pub(super) fn is_reader(&self, node: NodeId) -> bool {
        self.connected.get(&node).is_some_and(|peer| peer.reads)
    }

    /// Returns true where a peer has said that it knows of the leave of `leaver`, and that it stays until `leaver` is
    /// out.
    pub(in crate::log) fn stays_for(&self, peer: NodeId, leaver: NodeId) -> bool {
        let knows = |state: &Peer| {
            state.leaving.contains(&leaver) && (!state.leaving.contains(&peer) || state.yields_to.contains(&leaver))
        };
        self.connected.get(&peer).is_some_and(knows)
    }

    /// Forgets what peers have said about leaves, so that they have to say it again.
    pub(in crate::log) fn forget_leaves(&mut self) {
        self.connected.values_mut().for_each(|peer| peer.leaving.clear());
    }

    /// Returns the members that are silent to a peer, and when it last said so.
    pub(in crate::log) fn silent_to(&self, node: NodeId) -> Option<&(Millis, BTreeSet<NodeId>)> {
        self.connected.get(&node)?.silent.as_ref()
    }

    /// Returns how far a node's timestamps are ahead, where its ops are not taken for now.
    pub(crate) fn skewed(&self, node: NodeId) -> Option<u64> {
        self.skewed.get(&node).copied()
    }

    /// Returns how far this node's timestamps are ahead for a member that does not take its ops for now.
    pub(crate) fn refused_by(&self, node: NodeId) -> Option<u64> {
        self.refused_by.get(&node).copied()
    }

    /// Notes whether a member takes the ops of this node.
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

    /// Notes an origin whose ops are not taken because their timestamps are too far ahead, and tells the origin.
    pub(super) fn note_skewed(&mut self, contacts: &Contacts, events: &mut Events, origin: NodeId, ahead: u64) {
        if self.skewed.insert(origin, ahead).is_none() {
            let label = contacts.label(origin);
            tracing::warn!(%origin, label, ahead_ms = ahead, "ops are not taken for now: their timestamps are ahead of the cluster's time");
            self.tell_skewed(events, origin, ahead);
        }
    }

    /// Notes that the ops of an origin are taken again, and tells the origin.
    pub(super) fn note_taken(&mut self, contacts: &Contacts, events: &mut Events, origin: NodeId) {
        if self.skewed.remove(&origin).is_some() {
            tracing::info!(%origin, label = contacts.label(origin), "ops are taken again");
            self.tell_skewed(events, origin, 0);
        }
    }

    /// Tells an origin how far its timestamps are ahead.
    pub(super) fn tell_skewed(&self, events: &mut Events, origin: NodeId, ahead: u64) {
        if self.is_connected(origin) {
            events.send(origin, Lane::Ordered, Message::Skewed { ahead });
        }
    }
}
