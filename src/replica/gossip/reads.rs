//! Which op bodies other nodes can read. An op cannot be left out of a log, so a body that came with a later program is
//! issued only once all members are known to take it, and whoever cannot is not let in after that.

use std::collections::BTreeMap;

use super::super::Replica;
use super::super::message::{Lane, Message};
use super::super::refusal::Refusal;
use crate::clock::NodeId;
use crate::codec;
use crate::crdt::{Body, has_later_ops, read_record};
use crate::store::{Store, Table};

/// The row of [`Table::Meta`] with the kinds of bodies that others can read.
pub(in crate::replica) const META_READS: &[u8] = b"reads";

/// Kinds of bodies by node: see [`Body::KINDS`].
pub(in crate::replica) type Reads = BTreeMap<NodeId, u32>;

impl<S: Store> Replica<S> {
    /// The kinds of bodies that a node said it can read. What was said once holds: a program of an older store format
    /// does not open the directory again.
    pub(in crate::replica) fn reads(&self, node: NodeId) -> Option<u32> {
        self.peers.reads.get(&node).copied()
    }

    /// Says what this node can read, and asks for the same where that is not known.
    pub(super) fn tell_reads(&mut self, peer: NodeId) {
        let echo = self.reads(peer).is_none();
        self.send(peer, Lane::Ordered, Message::Reads { bodies: Body::KINDS, echo });
    }

    pub(super) fn on_reads(&mut self, from: NodeId, bodies: u32, echo: bool) {
        if self.reads(from) != Some(bodies) {
            self.peers.reads.insert(from, bodies);
            self.registry.store.put(Table::Meta, META_READS.to_vec(), codec::encode(&self.peers.reads));
        }
        if echo {
            self.send(from, Lane::Ordered, Message::Reads { bodies: Body::KINDS, echo: false });
        }
    }

    /// Takes up what was known before a restart.
    pub(in crate::replica) fn load_reads(&mut self) {
        let stored = self.registry.store.get(Table::Meta, META_READS);
        self.peers.reads = stored.map(|bytes| read_record(&bytes, "list of what others read")).unwrap_or_default();
    }

    /// Members of which it is not known that they can read all bodies that this node can.
    fn older_members(&self) -> Vec<NodeId> {
        self.membership.members().filter(|node| *node != self.me && !self.reads_all(*node)).collect()
    }

    /// Refused where not all members are known to read what only later programs know.
    pub(in crate::replica) fn all_can_read(&self) -> Result<(), Refusal> {
        let nodes = self.older_members();
        if nodes.is_empty() { Ok(()) } else { Err(Refusal::OlderMembers { nodes }) }
    }

    /// Whether a newcomer can read whatever there may be in the logs and in the state.
    pub(super) fn can_be_let_in(&self, newcomer: NodeId) -> bool {
        !has_later_ops(&self.registry.store) || self.reads_all(newcomer)
    }

    fn reads_all(&self, node: NodeId) -> bool {
        self.reads(node).is_some_and(|bodies| bodies >= Body::KINDS)
    }
}
