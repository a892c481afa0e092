//! The statements that nodes have made about themselves, and which nodes have received them. From these the simulator
//! knows whether a copy of a data directory must be noticed.
//!
//! A node makes three kinds of binding statements: which ops it has issued, up to which timestamp it issues no more,
//! and which ops of others it holds. A directory that lacks some of this is recognized as an old copy by every node
//! that received the statement.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Hlc, NodeId};
use forename::log::{Chain, Seq};
use forename::replica::{Message, Vector};

use crate::plan::Host;
use crate::world::disk::Disk;
use crate::world::packet::Packet;

/// The binding statements of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    /// The number of ops that it has issued, with the chain hash at the last one.
    issued: (Seq, Chain),
    /// Its greatest promise, with the prefix of its log that the promise is about.
    promise: (Hlc, Seq),
    /// The ops of other logs that it holds.
    holds: BTreeMap<NodeId, Seq>,
}

impl Word {
    /// Returns the timestamp up to which it issues no more ops.
    pub(crate) fn promised(&self) -> Hlc {
        self.promise.0
    }

    fn issue(&mut self, seq: Seq, chain: Chain) {
        // Where two directories of one node were used, the later statement counts.
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

    /// Returns true where a directory lacks something that the node has stated, other than holds of the logs in
    /// `without`. The promise counts only where `applied`, the prefix of the node's log that the observer has, reaches
    /// the prefix that the promise is about.
    pub(crate) fn exceeds(&self, disk: &Disk, node: NodeId, without: &BTreeSet<NodeId>, applied: Option<Seq>) -> bool {
        let more = |(origin, seq): (&NodeId, &Seq)| *seq > disk.log(*origin) && !without.contains(origin);
        let (promise, prefix) = self.promise;
        !disk.passes(node, self.issued)
            || (promise > disk.ceiling() && applied.is_some_and(|applied| prefix <= applied))
            || self.holds.iter().any(more)
    }

    /// Returns true where a directory has an op that the node promised not to issue, because another directory of the
    /// node made that promise.
    pub(crate) fn denies(&self, disk: &Disk, node: NodeId) -> bool {
        let (promise, prefix) = self.promise;
        disk.logged_op(node, prefix + 1).is_some_and(|op| op.hlc <= promise)
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// True where these books are kept in this run.
    on: bool,
    /// Statements that were sent, whether anybody received them or not.
    said: BTreeMap<NodeId, Word>,
    /// Nodes whose present process has sent a promise. For such a node nobody can tell any more which promises come
    /// from another directory.
    promising: BTreeSet<NodeId>,
    /// The statements that each running host has received from each node directly, since the host started.
    heard: BTreeMap<Host, BTreeMap<NodeId, Word>>,
}

impl Known {
    /// Keeps these books from now on.
    pub(crate) fn keep(&mut self) {
        self.on = true;
    }

    /// Notes that a node sends a packet.
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

    /// Notes that a host receives a message.
    pub(crate) fn arrived(&mut self, host: Host, from: NodeId, message: &Message) {
        if let Message::Vector(vector) = message
            && self.on
        {
            self.heard.entry(host).or_default().entry(from).or_default().vector(from, vector);
        }
    }

    /// Forgets what a host's process knew, because the process is gone.
    pub(crate) fn forgot(&mut self, host: Host, node: NodeId) {
        self.heard.remove(&host);
        self.promising.remove(&node);
    }

    /// Returns true where a node's present process has sent a promise.
    pub(crate) fn is_promising(&self, node: NodeId) -> bool {
        self.promising.contains(&node)
    }

    /// Returns all statements that a node has sent.
    pub(crate) fn said(&self, node: NodeId) -> Word {
        self.said.get(&node).cloned().unwrap_or_default()
    }

    /// Returns what a host remembers of a node's statements.
    pub(crate) fn heard(&self, host: Host, of: NodeId) -> Option<&Word> {
        self.heard.get(&host)?.get(&of)
    }
}
