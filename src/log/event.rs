//! What the log tells the replica, and what it asks the driver for.

use super::barred::Barred;
use super::message::{Contact, Lane, Message, SnapshotId};
use crate::clock::NodeId;
use crate::log::op::Op;
use crate::store::Table;

/// What has followed from calls, in order.
#[derive(Debug, Default)]
pub(super) struct Events(Vec<Event>);

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        self.0.push(event);
    }

    /// The driver is asked for something.
    pub(super) fn output(&mut self, output: Output) {
        self.push(Event::Output(output));
    }

    /// A peer is sent a message.
    pub(super) fn send(&mut self, to: NodeId, lane: Lane, message: Message) {
        self.output(Output::Send { to, lane, message });
    }

    /// All of them, once.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.0)
    }
}

/// Something that follows from a call. The replica takes them in their order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The next op of its log is here: the registry applies it.
    Applied(Op),
    /// What a broken-off snapshot had left in the store is gone.
    Wiped,
    /// This node was let in, and what only members know is in the store.
    LetIn,
    /// To be handed on to the driver.
    Output(Output),
    /// The node must stop, for this reason.
    Halt(String),
}

/// Something that the driver is to do about peers.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message, or drop it where the connection is gone or its queue is full.
    Send {
        /// To whom.
        to: NodeId,
        /// By which stream.
        lane: Lane,
        /// What.
        message: Message,
    },
    /// Stream all rows of the tables of which [`in_snapshot`](crate::store::Table::in_snapshot) is true, as they are
    /// durable now, to a newcomer, in the order of the tables and their keys. What they were is kept until
    /// [`Output::EndSnapshot`], in case the stream breaks off.
    SendSnapshot {
        /// The newcomer.
        to: NodeId,
        /// What it is called.
        snapshot: SnapshotId,
        /// Go on after this row with what was kept under this name; nothing where that is gone.
        after: Option<(Table, Vec<u8>)>,
    },
    /// A newcomer's snapshot need not be kept any more.
    EndSnapshot {
        /// The newcomer.
        to: NodeId,
    },
    /// A connected peer that is no member here is to be heard as one, by the transport too.
    Hear {
        /// The peer.
        peer: NodeId,
    },
    /// Whom to be connected to; nobody else gets in.
    Peers {
        /// Members, this node left out: dial them.
        members: Vec<Contact>,
        /// The evicted: let them in, so that they hear of it, but do not dial them.
        former: Vec<Contact>,
        /// Of newcomers these are refused.
        barred: Barred,
    },
}
