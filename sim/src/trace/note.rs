//! The notes of which a report is made, one for each event of the run.

use forename::clock::{Hlc, NodeId, Stamp};
use forename::log::{Op, Seq};
use forename::model::EventType;
use forename::replica::Promise;

use crate::plan::{Host, Trouble};
use crate::world::net::Micros;

/// An event that is noted for the report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    Start(Host),
    Crash(Host),
    Halt(Host, String),
    Message(Letter),
    /// A message that must not have left its host: a check of it ends the run.
    Stopped(Letter),
    /// A message on its way from the first host to the second dies now, with its connection.
    Died(Host, Host),
    /// A host issued an op, or took one of another host. The op is in its memory.
    Op(Host, Op),
    /// A log is durable at a host up to this number.
    Durable(Host, NodeId, Seq),
    /// The watermark of a host.
    Watermark(Host, Hlc),
    /// A host's feed tells the outcome of a registration.
    Event(Host, EventType, Stamp),
    Connected(Host, Host),
    /// A liar sends a message to a host.
    Lie(Host, String),
    /// A fault of the plan begins: its index, the fault, and the directed links that it cuts.
    Fault(usize, Trouble, Vec<(Host, Host)>),
    /// A client sends a request: its number and its text. The number is none where the node is down.
    Asked(Host, Option<u64>, String),
    /// A client gets an answer, with the stamp of the registration that it is about, where there is one.
    Told(Host, u64, Option<Stamp>, String),
    Healed,
    /// A host took this many inputs, wrote this many rows and made this many outputs in one step.
    Step(Host, usize, usize, usize),
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    pub(crate) from: Host,
    pub(crate) to: Host,
    /// The time of arrival; none where the message is lost.
    pub(crate) arrives: Option<Micros>,
    pub(crate) freight: Freight,
    pub(crate) text: String,
}

/// The content of a message, as far as a report tells kinds of content apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Freight {
    Ops(Vec<Stamp>),
    /// The sender's promise, where the vector contains the sender's own log.
    Vector(Option<Promise>),
    Other,
}

/// A note with its time, and the hash of the run just after the event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Micros,
    pub(crate) hash: u64,
    pub(crate) note: Note,
}
