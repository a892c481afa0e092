//! What happens in the world, as observers see it.

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

/// Something that happens. Where it says "before", the books ([`Books`](crate::world::books::Books)) do not have it yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// A rare branch is reached.
    Mark(&'static str),
    /// A process starts.
    Started(Host),
    /// A process is gone.
    Crashed(Host),
    /// A process stops by itself, with this word; before it is gone.
    Halts(Host, &'a str),
    /// A process stops because its node was evicted, and comes back under this id.
    Returns(Host, NodeId),
    /// The disk of a machine that is down is replaced by a copy.
    Swapped(Host),
    /// A process is about to take in what waits for it.
    Turn(Host),
    /// It has taken in so much, and ended the step with these rows and so many outputs.
    Stepped { host: Host, taken: usize, writes: &'a [Write], outputs: usize },
    /// A step wrote ops to the logs; before.
    Writes { host: Host, ops: &'a [Op] },
    /// One of them, before.
    Takes { host: Host, op: &'a Op },
    /// The same, after.
    Took { host: Host, op: &'a Op },
    /// Membership ops of its own that a step wrote, after.
    Issued { host: Host, ops: &'a [Op] },
    /// The watermark after a step, before.
    Watermark { host: Host, watermark: Hlc },
    /// An fsync is done.
    Synced(Host),
    /// What comes out of a step, as a whole.
    Says { host: Host, outputs: &'a [Output] },
    /// A message comes out of a step; before.
    Sends { host: Host, to: NodeId, lane: Lane, message: &'a Message },
    /// It must not have left: a check of it ends the run.
    Stopped { host: Host, to: NodeId, message: &'a Message },
    /// Rows are given to a newcomer.
    Gives { host: Host, to: NodeId, rows: &'a [Write] },
    /// A node names its members.
    Peers { host: Host, members: &'a [Contact] },
    /// A packet is on its way, and arrives at these times.
    Sent { from: Host, to: Host, packet: &'a Packet, arrivals: &'a [Micros] },
    /// A packet dies with its connection.
    Died { from: Host, to: Host },
    /// Two machines are connected.
    Connected { a: Host, b: Host, epoch: Epoch },
    /// A fault of the plan begins, and cuts these directed links.
    Fault { index: usize, what: &'a Trouble, severed: &'a [(Host, Host)] },
    /// Everything works again.
    Healed,
    /// A liar says something to a host, as this node.
    Lie { host: Host, from: NodeId, what: &'a Forgery },
    /// A client wants to ask; without a number where its node is down.
    Asks { host: Host, token: Option<Token>, ask: &'a Ask },
    /// A node answers; before.
    Replies { host: Host, token: Token, asked: Option<Asked>, call: &'a Call, reply: &'a Reply },
    /// A client that registers is answered; after.
    Registered { host: Host, max_open: Option<u32>, view: &'a Registration },
    /// The reader of a feed is given an event where this number is due, before.
    Event { host: Host, number: u64, event: &'a Event },
    /// Somebody is told that a registration is confirmed or rejected; after. `first`: for the first time.
    Final { host: Host, id: uuid::Uuid, stamp: Stamp, status: Status, first: bool },
}
