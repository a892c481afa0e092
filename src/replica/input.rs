//! The inputs and outputs of a replica.

use super::request::Request;
use crate::clock::NodeId;
use crate::log::{self, Message, Pass, SnapshotId};
use crate::registry::{Ready, Told};
use crate::store::{Batch, Write};

/// Something that happened to the node.
#[derive(Debug)]
pub enum Input {
    /// A request of a client or an operator.
    Request(Request),
    /// A connection to a peer was made. The peer is a member, or a node that has proved to hold a token.
    Connected(NodeId),
    /// A newcomer that has just connected has proved to hold this token, which admits a limited number.
    Showed {
        /// The newcomer.
        from: NodeId,
        /// Its token.
        pass: Pass,
    },
    /// The peer that has just connected has proved to hold a reader's token.
    Reads(NodeId),
    /// The connection to a peer is gone. What was sent may or may not have arrived.
    Disconnected(NodeId),
    /// A message of a peer has arrived.
    Message {
        /// The sender, by the key that its connection is pinned to.
        from: NodeId,
        /// The message.
        message: Message,
    },
    /// A part of a sponsor's snapshot. The store has no rows but those of earlier parts.
    SnapshotRows {
        /// The sponsor.
        from: NodeId,
        /// The number of the snapshot.
        snapshot: SnapshotId,
        /// The rows, in any order.
        rows: Vec<Write>,
    },
    /// A sponsor's snapshot is complete.
    SnapshotEnd {
        /// The sponsor.
        from: NodeId,
        /// The number of the snapshot.
        snapshot: SnapshotId,
    },
    /// The store has made this batch, and all before it, durable.
    Persisted(Batch),
    /// The time asked for by [`Replica::wake_at`](super::Replica::wake_at) has come. Harmless at any other time.
    Wake,
}

/// Something to be done. An output that depends on durable rows comes only once they are durable.
#[derive(Debug)]
pub enum Output {
    /// Give this answer.
    Reply(Ready),
    /// Do what the log asks for.
    Log(log::Output),
    /// Tell the readers of the feed of these events, which are durable.
    Events(Told),
    /// The node must stop: the store failed, or going on would break a promise. The text says what happened, what it
    /// means and what to do.
    Halt(String),
    /// The node was evicted. Open the replica again on the same store under this id. That is its next incarnation,
    /// which joins anew and issues its void registrations again.
    Rejoin(NodeId),
    /// The node has left the cluster, and may stop for good.
    Left,
}
