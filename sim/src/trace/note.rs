//! What a report is made of: a note for each thing that happened.

use forename::clock::{Hlc, NodeId, Stamp};
use forename::log::{Op, Seq};
use forename::model::EventType;
use forename::replica::Promise;

use crate::plan::{Host, Trouble};
use crate::world::net::Micros;

/// Something worth a place in a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    Start(Host),
    Crash(Host),
    Halt(Host, String),
    Message(Letter),
    /// A message that must not have left: the check of it ends the run.
    Stopped(Letter),
    /// A message on its way from the first to the second dies with its connection, now.
    Died(Host, Host),
    /// A host issued an op, or took another's: it is in its memory.
    Op(Host, Op),
    /// That much of a log is durable at a host.
    Durable(Host, NodeId, Seq),
    /// The watermark of a host.
    Watermark(Host, Hlc),
    /// A host's feed tells what became of a registration.
    Event(Host, EventType, Stamp),
    Connected(Host, Host),
    /// A liar says something to a host.
    Lie(Host, String),
    /// Which fault of the plan begins, and the directed links that it cuts.
    Fault(usize, Trouble, Vec<(Host, Host)>),
    /// A client asks: its request's number and what it says; none where the node is down.
    Asked(Host, Option<u64>, String),
    /// A client is told, about a registration where that has a stamp.
    Told(Host, u64, Option<Stamp>, String),
    Healed,
    /// A host took so many inputs, wrote so many rows and said so many things.
    Step(Host, usize, usize, usize),
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    pub(crate) from: Host,
    pub(crate) to: Host,
    /// None where it is lost.
    pub(crate) arrives: Option<Micros>,
    pub(crate) freight: Freight,
    pub(crate) text: String,
}

/// What a message carries, as far as a report tells it apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Freight {
    Ops(Vec<Stamp>),
    /// The sender's promise, where the vector has its own log.
    Vector(Option<Promise>),
    Other,
}

/// A note, when it was taken, and the run's hash just after what it speaks of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Micros,
    pub(crate) hash: u64,
    pub(crate) note: Note,
}
