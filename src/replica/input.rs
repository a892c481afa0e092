//! What goes into a replica and what comes out of it.

use super::request::Request;
use crate::clock::NodeId;
use crate::log::{self, Message, Pass, SnapshotId};
use crate::registry::{Ready, Told};
use crate::store::{Batch, Write};

/// Something that happened to the node.
#[derive(Debug)]
pub enum Input {
    /// Somebody asks.
    Request(Request),
    /// A connection to a peer stands: a member, or whoever has proved to hold a token.
    Connected(NodeId),
    /// A newcomer that has just connected has proved to hold this token, which lets in a limited number.
    Showed {
        /// The newcomer.
        from: NodeId,
        /// Its token.
        pass: Pass,
    },
    /// It is gone. What was sent may or may not have arrived.
    Disconnected(NodeId),
    /// A peer says something.
    Message {
        /// Who, by its pinned identity.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// A part of a sponsor's snapshot, into a store that has nothing yet.
    SnapshotRows {
        /// The sponsor.
        from: NodeId,
        /// Which one.
        snapshot: SnapshotId,
        /// Rows, in any order.
        rows: Vec<Write>,
    },
    /// The snapshot is whole.
    SnapshotEnd {
        /// The sponsor.
        from: NodeId,
        /// Which one.
        snapshot: SnapshotId,
    },
    /// The store has made this batch, and all before it, durable.
    Persisted(Batch),
    /// The time asked for by [`Replica::wake_at`](super::Replica::wake_at) has come. Harmless at any other time.
    Wake,
}

/// Something to be done. All that depends on durability has been held back until it is durable.
#[derive(Debug)]
pub enum Output {
    /// Give an answer.
    Reply(Ready),
    /// Do what the log asks for.
    Log(log::Output),
    /// The feed has these events, which are durable.
    Events(Told),
    /// The node must stop: the store failed, or going on would break a promise. The text says what happened, what it
    /// means and what to do.
    Halt(String),
    /// The node was evicted. Open the replica again on the same store, under this id: its next incarnation, which joins
    /// anew and registers again what had come to nothing.
    Rejoin(NodeId),
    /// The node has left the cluster: it may stop for good.
    Left,
}
