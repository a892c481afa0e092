//! What nodes have said of themselves, and which others have heard it: by this the simulator knows whether a copy of a data
//! directory must be noticed.
//!
//! A node says three things that bind it: which ops it has issued, up to which timestamp it issues no more, and which ops of
//! others it holds. A directory that lacks something of that is an old copy, to everybody who has heard it.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId};
use forename::crdt::Seq;
use forename::replica::{Message, Vector};

use crate::disk::Disk;
use crate::plan::Host;
use crate::world::Packet;

/// What a node has said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    /// How many ops it has issued.
    issued: Seq,
    /// Its greatest promise, with the prefix of its log that the promise speaks of.
    promise: (Hlc, Seq),
    /// What it holds of the logs of others.
    holds: BTreeMap<NodeId, Seq>,
}

impl Word {
    /// How many ops it has issued, and up to which timestamp it issues no more.
    pub(crate) fn bounds(&self) -> (Seq, Hlc) {
        (self.issued, self.promise.0)
    }

    fn vector(&mut self, node: NodeId, vector: &Vector) {
        for entry in &vector.entries {
            if entry.origin == node {
                self.issued = self.issued.max(entry.held);
                self.promise = self.promise.max((entry.promise.hlc, entry.promise.seq));
            } else {
                self.hold(entry.origin, entry.held);
            }
        }
    }

    fn hold(&mut self, origin: NodeId, seq: Seq) {
        let holds = self.holds.entry(origin).or_default();
        *holds = seq.max(*holds);
    }

    /// Whether a directory lacks something of it, leaving out the logs of some nodes. A promise counts for whoever has so
    /// much of the node's log.
    pub(crate) fn exceeds(&self, disk: &Disk, node: NodeId, without: &BTreeSet<NodeId>, applied: Seq) -> bool {
        let more = |(origin, seq): (&NodeId, &Seq)| *seq > disk.log(*origin) && !without.contains(origin);
        let (promise, prefix) = self.promise;
        self.issued > disk.log(node) || (promise > disk.ceiling() && prefix <= applied) || self.holds.iter().any(more)
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Whether anybody wants to know.
    on: bool,
    /// What got as far as the network, whoever hears it.
    said: BTreeMap<NodeId, Word>,
    /// What hosts have heard of each node from itself since they were started.
    heard: BTreeMap<Host, BTreeMap<NodeId, Word>>,
}

impl Known {
    /// Keeps these books from now on.
    pub(crate) fn keep(&mut self) {
        self.on = true;
    }

    /// A packet of a node is on its way.
    pub(crate) fn left(&mut self, node: NodeId, packet: &Packet, disk: &Disk) {
        if !self.on {
            return;
        }
        let said = self.said.entry(node).or_default();
        match packet {
            Packet::Message(Message::Vector(vector)) => said.vector(node, vector),
            Packet::Message(Message::Ops { ops, .. }) => {
                let issued = ops.iter().filter(|op| op.node == node).map(|op| op.seq).max();
                said.issued = said.issued.max(issued.unwrap_or(0));
            }
            Packet::Rows(..) => {
                said.issued = said.issued.max(disk.log(node));
                disk.logs().iter().filter(|(origin, _)| **origin != node).for_each(|(o, seq)| said.hold(*o, *seq));
            }
            _ => {}
        }
    }

    /// A host takes a message in.
    pub(crate) fn arrived(&mut self, host: Host, from: NodeId, message: &Message) {
        if let Message::Vector(vector) = message
            && self.on
        {
            self.heard.entry(host).or_default().entry(from).or_default().vector(from, vector);
        }
    }

    /// A host's process is gone, and all that it remembered.
    pub(crate) fn forgot(&mut self, host: Host) {
        self.heard.remove(&host);
    }

    /// All that a node has let out.
    pub(crate) fn said(&self, node: NodeId) -> Word {
        self.said.get(&node).cloned().unwrap_or_default()
    }

    /// What a host remembers of a node.
    pub(crate) fn heard(&self, host: Host, of: NodeId) -> Option<&Word> {
        self.heard.get(&host)?.get(&of)
    }
}
