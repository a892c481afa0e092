//! The events that the log hands to the replica, and what it asks of the driver.

use super::barred::Barred;
use super::message::{Contact, Lane, Message, SnapshotId};
use crate::clock::NodeId;
use crate::log::op::Op;
use crate::store::Table;

/// The events that have followed from calls, in order.
#[derive(Debug, Default)]
pub(super) struct Events(Vec<Event>);

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        self.0.push(event);
    }

    /// Asks the driver for something.
    pub(super) fn output(&mut self, output: Output) {
        self.push(Event::Output(output));
    }

    /// Sends a peer a message.
    pub(super) fn send(&mut self, to: NodeId, lane: Lane, message: Message) {
        self.output(Output::Send { to, lane, message });
    }

    /// Takes all of them.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.0)
    }
}

/// Something that followed from a call. The replica handles them in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The next op of a log was taken: the registry applies it.
    Applied(Op),
    /// The state in the store was deleted: that of a snapshot which broke off, or of an earlier incarnation.
    Wiped,
    /// This node has got the secrets that only members know, and they are in the store.
    LetIn,
    /// An output for the driver.
    Output(Output),
    /// The node must stop, for this reason.
    Halt(String),
}

/// Something that the driver is to do about peers.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message. It is dropped where the connection is gone or its queue is full.
    Send {
        /// The receiver.
        to: NodeId,
        /// The stream that carries it.
        lane: Lane,
        /// The message.
        message: Message,
    },
    /// Stream a snapshot to a newcomer: all rows of the tables for which
    /// [`in_snapshot`](crate::store::Table::in_snapshot) is true, as they are durable now, in the order of the tables
    /// and their keys. The rows as they are now are kept until [`Output::EndSnapshot`], in case the stream breaks off.
    SendSnapshot {
        /// The newcomer.
        to: NodeId,
        /// The number that the newcomer gave to it.
        snapshot: SnapshotId,
        /// Go on after this row with the rows that were kept for this snapshot. Nothing is sent where they are gone.
        after: Option<(Table, Vec<u8>)>,
    },
    /// A newcomer's snapshot need not be kept any more.
    EndSnapshot {
        /// The newcomer.
        to: NodeId,
    },
    /// A connected peer that is not a known member has proved to be one, or this node is a newcomer itself: the
    /// transport takes its messages as those of a member.
    Hear {
        /// The peer.
        peer: NodeId,
    },
    /// The nodes to be connected to. Of all others only newcomers with a token get in.
    Peers {
        /// The members without this node. The driver dials them.
        members: Vec<Contact>,
        /// The nodes that are out. The driver accepts their connections, so that they learn it, but does not dial them.
        former: Vec<Contact>,
        /// The keys and tokens of newcomers that are refused.
        barred: Barred,
    },
}
