//! What happened, as a number that tells two runs apart and, where wanted, as a list for the report.

use forename::crdt::{Body, Op};
use forename::replica::Message;
use forename::store::Write;

use crate::dice::mix;
use crate::net::{Epoch, Micros};
use crate::plan::Host;
use crate::world::Packet;

/// Something worth a place in a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    Start(Host),
    Crash(Host),
    Halt(Host, String),
    /// From, to, when it arrives (none: lost), what.
    Message(Host, Host, Option<Micros>, String),
    Op(Host, String),
    Connected(Host, Host),
    Fault(String, Micros),
    Client(Host, String),
    Healed,
    /// A host took so many inputs, wrote so many rows and said so many things.
    Step(Host, usize, usize, usize),
}

/// A note, when it was taken, and the run's hash just after what it speaks of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Micros,
    pub(crate) hash: u64,
    pub(crate) note: Note,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>10}.{:03} {:016x} {:?}", self.at / 1000, self.at % 1000, self.hash, self.note)
    }
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    entries: Option<Vec<Entry>>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { hash: 0, entries: keep.then(Vec::new) }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }

    pub(crate) fn note(&mut self, at: Micros, note: Note) {
        if let Some(entries) = &mut self.entries {
            entries.push(Entry { at, hash: self.hash, note });
        }
    }

    /// A note that takes some time to write.
    pub(crate) fn note_with(&mut self, at: Micros, note: impl FnOnce() -> Note) {
        if self.entries.is_some() {
            self.note(at, note());
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
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
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
        if self.entries.is_some() {
            let text = describe(packet);
            if arrivals.is_empty() {
                self.note(now, Note::Message(from, to, None, text.clone()));
            }
            for at in arrivals {
                self.note(now, Note::Message(from, to, Some(*at), text.clone()));
            }
        }
    }

    /// The ops that a host issued or took.
    pub(crate) fn ops(&mut self, now: Micros, host: Host, ops: &[Op]) {
        if self.entries.is_some() {
            for op in ops.iter().filter(|op| crate::machine::host_of(op.node) == host) {
                self.note(now, Note::Op(host, op_text(op)));
            }
        }
    }
}

pub(crate) fn op_text(op: &Op) -> String {
    let what = match &op.body {
        Body::Register(register) => {
            let names: Vec<_> = register.claims.iter().map(|claim| claim.key.as_str()).collect();
            format!("register {}", names.join("+"))
        }
        Body::Activate { registration } => format!("activate {registration}"),
        Body::Release(claim) => format!("release {}", claim.key),
        Body::Admit { node, by } => format!("admit {node} by {}", by.len()),
        Body::Welcome { node } => format!("welcome {node}"),
    };
    format!("#{} {} {what}", op.seq, op.hlc)
}

fn describe(packet: &Packet) -> String {
    match packet {
        Packet::Rows(rows) => format!("{} rows of a snapshot", rows.len()),
        Packet::SnapshotEnd => "end of the snapshot".to_owned(),
        Packet::Message(Message::Ops { ops, more }) => {
            let ops: Vec<_> = ops.iter().map(|op| format!("{}{}", op.node.0 >> 16, op_text(op))).collect();
            format!("ops{} {}", if *more { " (more)" } else { "" }, ops.join("; "))
        }
        Packet::Message(Message::Vector(vector)) => {
            let entries = vector.entries.iter();
            let entries: Vec<_> = entries
                .map(|entry| {
                    format!("{}:{} p{}@{}", entry.origin.0 >> 16, entry.held, entry.promise.seq, entry.promise.hlc)
                })
                .collect();
            let flags =
                format!("{}{}", if vector.wants { " wants" } else { "" }, if vector.echo { " echo" } else { "" });
            format!("vector{flags} {}", entries.join(", "))
        }
        Packet::Message(Message::Join(_)) => "join".to_owned(),
        Packet::Message(Message::Installed) => "installed".to_owned(),
        Packet::Message(Message::Contacts(contacts)) => format!("{} contacts", contacts.len()),
        Packet::Message(Message::Skewed { ahead }) => format!("skewed by {ahead} ms"),
    }
}
