//! What the log tells the replica.

use super::message::{Contact, Lane, Message, SnapshotId};
use crate::clock::NodeId;
use crate::crdt::Op;
use crate::store::Table;

/// Something that follows from a call. The replica takes them in their order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The next op of its log is here: the registry applies it.
    Applied(Op),
    /// What a broken-off snapshot had left in the store is gone.
    Wiped,
    /// This node was let in, and what only members know is in the store.
    LetIn,
    /// As [`Output::Send`](crate::replica::Output::Send).
    Send {
        /// To whom.
        to: NodeId,
        /// By which stream.
        lane: Lane,
        /// What.
        message: Message,
    },
    /// As [`Output::SendSnapshot`](crate::replica::Output::SendSnapshot).
    SendSnapshot {
        /// The newcomer.
        to: NodeId,
        /// What it is called.
        snapshot: SnapshotId,
        /// The row after which it goes on.
        after: Option<(Table, Vec<u8>)>,
    },
    /// As [`Output::EndSnapshot`](crate::replica::Output::EndSnapshot).
    EndSnapshot {
        /// The newcomer.
        to: NodeId,
    },
    /// As [`Output::Hear`](crate::replica::Output::Hear).
    Hear {
        /// The peer.
        peer: NodeId,
    },
    /// As [`Output::Peers`](crate::replica::Output::Peers).
    Peers {
        /// Members, this node left out.
        members: Vec<Contact>,
        /// The evicted.
        former: Vec<Contact>,
    },
    /// The node must stop, for this reason.
    Halt(String),
}
