//! What happened, as a number that tells two runs apart and, where wanted, as a list for the report.

use std::collections::BTreeMap;

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::{Op, Seq};
use forename::replica::{Cursor, Event, EventType, Promise};
use forename::store::Write;

use crate::dice::mix;
use crate::plan::{Host, Trouble};
use crate::world::Packet;
use crate::world::machine::host_of;
use crate::world::net::{Epoch, Micros};

mod text;

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

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    entries: Option<Vec<Entry>>,
    /// What the last notes said, so that only changes are noted.
    watermarks: BTreeMap<Host, Hlc>,
    durable: BTreeMap<(Host, NodeId), Seq>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { entries: keep.then(Vec::new), ..Self::default() }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether notes are kept. What costs something to say is said only then.
    pub(crate) fn is_on(&self) -> bool {
        self.entries.is_some()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }

    pub(crate) fn note(&mut self, at: Micros, note: Note) {
        if let Some(entries) = &mut self.entries {
            entries.push(Entry { at, hash: self.hash, note });
        }
    }

    fn add(&mut self, value: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ value);
    }

    pub(crate) fn step(&mut self, now: Micros, host: Host, taken: usize, writes: &[Write], outputs: usize) {
        self.add(now);
        self.add((host as u64) << 40 | (taken as u64) << 20 | outputs as u64);
        for write in writes {
            self.bytes(&write.key);
            self.bytes(write.value.as_deref().unwrap_or_default());
        }
        self.note(now, Note::Step(host, taken, writes.len(), outputs));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    pub(crate) fn connected(&mut self, now: Micros, a: Host, b: Host, epoch: Epoch) {
        self.add(now ^ epoch);
        self.note(now, Note::Connected(a, b));
    }

    pub(crate) fn message(&mut self, now: Micros, from: Host, to: Host, packet: &Packet, arrivals: &[Micros]) {
        self.add(arrivals.iter().fold((from as u64) << 32 | to as u64, |sum, at| mix(sum ^ at)));
        if self.is_on() {
            let (freight, text) = (text::freight(from, packet), text::packet(packet));
            let letter = |arrives| Letter { from, to, arrives, freight: freight.clone(), text: text.clone() };
            if arrivals.is_empty() {
                self.note(now, Note::Message(letter(None)));
            }
            for at in arrivals {
                self.note(now, Note::Message(letter(Some(*at))));
            }
        }
    }

    /// A message that its check found to be wrong.
    pub(crate) fn stopped(&mut self, now: Micros, from: Host, to: Host, packet: &Packet) {
        if self.is_on() {
            let (freight, text) = (text::freight(from, packet), text::packet(packet));
            self.note(now, Note::Stopped(Letter { from, to, arrives: None, freight, text }));
        }
    }

    /// The ops that a host issued or took.
    pub(crate) fn ops(&mut self, now: Micros, host: Host, ops: &[Op]) {
        if self.is_on() {
            ops.iter().for_each(|op| self.note(now, Note::Op(host, op.clone())));
        }
    }

    /// After a step.
    pub(crate) fn watermark(&mut self, now: Micros, host: Host, watermark: Hlc) {
        if self.is_on() && self.watermarks.insert(host, watermark) != Some(watermark) {
            self.note(now, Note::Watermark(host, watermark));
        }
    }

    /// After an fsync or a crash: the prefixes of logs that the disk holds.
    pub(crate) fn durable(&mut self, now: Micros, host: Host, logs: &BTreeMap<NodeId, Seq>) {
        if self.is_on() {
            for (origin, seq) in logs {
                if self.durable.insert((host, *origin), *seq) != Some(*seq) {
                    self.note(now, Note::Durable(host, *origin, *seq));
                }
            }
        }
    }

    /// A page of a host's feed, of which so many events were known.
    pub(crate) fn events(&mut self, now: Micros, host: Host, known: Cursor, events: &[Event]) {
        if self.is_on() {
            for event in
                events.iter().filter(|event| event.cursor.feed != known.feed || event.cursor.number > known.number)
            {
                self.note(now, Note::Event(host, event.event_type, event.registration.stamp));
            }
        }
    }
}

/// A host's number as it is printed, also where a broken replica names a node that is none.
pub(crate) fn host_text(node: NodeId) -> String {
    let host = host_of(node);
    if host == usize::MAX { "nobody".to_owned() } else { format!("host {host}") }
}
