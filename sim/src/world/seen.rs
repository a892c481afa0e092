//! Events in the world, as observers see them.

use forename::clock::{Hlc, NodeId, Stamp};
use forename::log::Op;
use forename::model::{Event, Registration, Status};
use forename::replica::any::{Answered as Reply, Token};
use forename::replica::{Contact, Lane, Message, Output};
use forename::store::Write;

use crate::plan::{Ask, Forgery, Host, Trouble};
use crate::world::books::orders::Asked;
use crate::world::clients::Call;
use crate::world::net::{Epoch, Micros};
use crate::world::packet::Packet;

/// An event that observers see. "Before" means that the books ([`Books`](crate::world::books::Books)) do not have it
/// yet, "after" that they do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// A rare branch was reached.
    Mark(&'static str),
    /// A process starts.
    Started(Host),
    /// A process has ended.
    Crashed(Host),
    /// A process stops by itself, for this reason; before it ends.
    Halts(Host, &'a str),
    /// A process stops because its node was evicted, and returns under this id.
    Returns(Host, NodeId),
    /// The disk of a machine that is down is replaced by a copy.
    Swapped(Host),
    /// A process is about to take in its inputs.
    Turn(Host),
    /// A process has taken in this many inputs, and ended the step with these rows and this many outputs.
    Stepped { host: Host, taken: usize, writes: &'a [Write], outputs: usize },
    /// A step wrote ops to the logs; before.
    Writes { host: Host, ops: &'a [Op] },
    /// A step wrote this op; before.
    Takes { host: Host, op: &'a Op },
    /// A step wrote this op; after.
    Took { host: Host, op: &'a Op },
    /// A step wrote membership ops of its own node; after.
    Issued { host: Host, ops: &'a [Op] },
    /// The watermark after a step; before.
    Watermark { host: Host, watermark: Hlc },
    /// An fsync is done.
    Synced(Host),
    /// The outputs of a step, as a whole.
    Says { host: Host, outputs: &'a [Output] },
    /// A step sends a message; before.
    Sends { host: Host, to: NodeId, lane: Lane, message: &'a Message },
    /// A check found that this message must not be sent, and ends the run.
    Stopped { host: Host, to: NodeId, message: &'a Message },
    /// A newcomer is given these rows of a snapshot.
    Gives { host: Host, to: NodeId, rows: &'a [Write] },
    /// A node announces its members.
    Peers { host: Host, members: &'a [Contact] },
    /// A packet is sent, and arrives at these times.
    Sent { from: Host, to: Host, packet: &'a Packet, arrivals: &'a [Micros] },
    /// A packet is lost with its connection.
    Died { from: Host, to: Host },
    /// Two machines are connected.
    Connected { a: Host, b: Host, epoch: Epoch },
    /// A fault of the plan begins, and cuts these directed links.
    Fault { index: usize, what: &'a Trouble, severed: &'a [(Host, Host)] },
    /// All faults are repaired.
    Healed,
    /// A liar sends a message to a host under this id.
    Lie { host: Host, from: NodeId, what: &'a Forgery },
    /// A client makes a request; without a token where its node is down.
    Asks { host: Host, token: Option<Token>, ask: &'a Ask },
    /// A node replies to a request; before.
    Replies { host: Host, token: Token, asked: Option<Asked>, call: &'a Call, reply: &'a Reply },
    /// A client that registers received an answer; after.
    Registered { host: Host, max_open: Option<u32>, view: &'a Registration },
    /// The reader of a feed receives an event, which must have this number; before.
    Event { host: Host, number: u64, event: &'a Event },
    /// Somebody learned that a registration is confirmed or rejected; after. `first` where nobody knew it before.
    Final { host: Host, id: uuid::Uuid, stamp: Stamp, status: Status, first: bool },
}
