//! What nodes have said of themselves, and which others have heard it: by this the simulator knows whether a copy of a data
//! directory must be noticed.
//!
//! A node says three things that bind it: which ops it has issued, up to which timestamp it issues no more, and which ops of
//! others it holds. A directory that lacks something of that is an old copy, to everybody who has heard it.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId};
use forename::log::{Chain, Seq};
use forename::replica::{Message, Vector};

use crate::plan::Host;
use crate::world::disk::Disk;
use crate::world::packet::Packet;

/// What a node has said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    /// How many ops it has issued, and the hash of its log up to there.
    issued: (Seq, Chain),
    /// Its greatest promise, with the prefix of its log that the promise speaks of.
    promise: (Hlc, Seq),
    /// What it holds of the logs of others.
    holds: BTreeMap<NodeId, Seq>,
}

impl Word {
    /// Up to which timestamp it issues no more.
    pub(crate) fn promised(&self) -> Hlc {
        self.promise.0
    }

    fn issue(&mut self, seq: Seq, chain: Chain) {
        // Where two directories were used it is the later word that counts.
        if seq >= self.issued.0 {
            self.issued = (seq, chain);
        }
    }

    fn vector(&mut self, node: NodeId, vector: &Vector) {
        for entry in &vector.entries {
            if entry.origin == node {
                self.issue(entry.has, entry.chain);
                self.promise = self.promise.max((entry.promise.hlc, entry.promise.seq));
            } else {
                self.hold(entry.origin, entry.holds);
            }
        }
    }

    fn hold(&mut self, origin: NodeId, seq: Seq) {
        let holds = self.holds.entry(origin).or_default();
        *holds = seq.max(*holds);
    }

    /// Whether a directory lacks something of it, leaving out the logs of some nodes. A promise counts for whoever has so
    /// much of the node's log; not where there is none.
    pub(crate) fn exceeds(&self, disk: &Disk, node: NodeId, without: &BTreeSet<NodeId>, applied: Option<Seq>) -> bool {
        let more = |(origin, seq): (&NodeId, &Seq)| *seq > disk.log(*origin) && !without.contains(origin);
        let (promise, prefix) = self.promise;
        !disk.passes(node, self.issued)
            || (promise > disk.ceiling() && applied.is_some_and(|applied| prefix <= applied))
            || self.holds.iter().any(more)
    }

    /// Whether a directory has an op that the node promised not to issue: another directory of the node has promised it.
    pub(crate) fn denies(&self, disk: &Disk, node: NodeId) -> bool {
        let (promise, prefix) = self.promise;
        disk.logged_op(node, prefix + 1).is_some_and(|op| op.hlc <= promise)
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Whether anybody wants to know.
    on: bool,
    /// What got as far as the network, whoever hears it.
    said: BTreeMap<NodeId, Word>,
    /// Nodes whose present process has promised something: which of their promises are those of another directory nobody can
    /// tell any more.
    promising: BTreeSet<NodeId>,
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
        if let Packet::Message(Message::Vector(vector)) = packet
            && vector.entries.iter().any(|entry| entry.origin == node && entry.promise.hlc > Hlc::ZERO)
        {
            self.promising.insert(node);
        }
        let said = self.said.entry(node).or_default();
        match packet {
            Packet::Message(Message::Vector(vector)) => said.vector(node, vector),
            Packet::Message(Message::Ops { ops, .. }) => {
                ops.iter().filter(|op| op.node == node).for_each(|op| said.issue(op.seq, op.chain));
            }
            Packet::Rows(..) => {
                let (seq, chain) = disk.head(node);
                said.issue(seq, chain);
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
    pub(crate) fn forgot(&mut self, host: Host, node: NodeId) {
        self.heard.remove(&host);
        self.promising.remove(&node);
    }

    /// Whether a node's present process has promised something.
    pub(crate) fn is_promising(&self, node: NodeId) -> bool {
        self.promising.contains(&node)
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
