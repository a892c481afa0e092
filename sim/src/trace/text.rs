//! Notes as text: one line each for `--trace`, and the text that the report's page shows under the pointer.

use std::fmt;

use forename::clock::NodeId;
use forename::crdt::NameOp;
use forename::log::{Body, MemberOp, Op};
use forename::replica::{Message, Vector};

use super::note::{Entry, Freight, Letter, Note};
use crate::plan::Host;
use crate::world::ids::host_of;
use crate::world::packet::Packet;

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10}.{:03} {:016x} {}", self.at / 1000, self.at % 1000, self.hash, self.note)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(host) => write!(f, "host {host} starts"),
            Self::Crash(host) => write!(f, "host {host} is gone"),
            Self::Halt(host, why) => write!(f, "host {host} stops: {why}"),
            Self::Message(Letter { from, to, arrives, text, .. }) => match arrives {
                Some(at) => write!(f, "host {from} to host {to} by {}.{:03}: {text}", at / 1000, at % 1000),
                None => write!(f, "host {from} to host {to}, lost: {text}"),
            },
            Self::Stopped(letter) => {
                write!(f, "host {} to host {}, must not say: {}", letter.from, letter.to, letter.text)
            }
            Self::Died(from, to) => write!(f, "host {from} to host {to}: lost with its connection"),
            Self::Op(host, op) if host_of(op.node) == *host => write!(f, "host {host} issues {}", op_text(op)),
            Self::Op(host, op) => write!(f, "host {host} takes {} of {}", op_text(op), host_text(op.node)),
            Self::Durable(host, origin, seq) => write!(f, "host {host} holds {} up to #{seq}", host_text(*origin)),
            Self::Watermark(host, hlc) => write!(f, "host {host} has its watermark at {hlc}"),
            Self::Event(host, event, stamp) => write!(f, "host {host} tells its feed: {event:?} {stamp}"),
            Self::Connected(a, b) => write!(f, "host {a} and host {b} are connected"),
            Self::Lie(host, what) => write!(f, "host {host} is lied to by {what}"),
            Self::Fault(_, what, _) => write!(f, "fault: {what:?}"),
            Self::Asked(host, Some(_), what) => write!(f, "host {host} is asked: {what}"),
            Self::Asked(host, None, what) => write!(f, "host {host} is down, and asked: {what}"),
            Self::Told(host, _, _, what) => write!(f, "host {host} says: {what}"),
            Self::Healed => write!(f, "everything is healed"),
            Self::Step(host, taken, rows, outputs) => {
                write!(f, "host {host} takes {taken}, writes {rows} rows, says {outputs}")
            }
        }
    }
}

/// Describes an op in a few words.
pub(super) fn op_text(op: &Op) -> String {
    let what = match op.body() {
        Body::Name(NameOp::Register(register)) => {
            let names: Vec<_> = register.claims.iter().map(|claim| claim.key.as_str()).collect();
            format!("register {}", names.join("+"))
        }
        Body::Name(NameOp::Activate { registration }) => format!("activate {registration}"),
        Body::Name(NameOp::Extend { registration, expires }) => format!("extend {registration} until {expires}"),
        Body::Name(NameOp::Erase { registration }) => format!("erase {registration}"),
        Body::Name(NameOp::Namespace { namespace, .. }) => format!("rules for {namespace}"),
        Body::Name(NameOp::Webhook { id, hook: Some(_) }) => format!("webhook {id}"),
        Body::Name(NameOp::Webhook { id, hook: None }) => format!("no webhook {id}"),
        Body::Name(NameOp::StopWebhook { id, version }) => format!("stop webhook {id} of {version}"),
        Body::Name(NameOp::Release(claim)) => format!("release {}", claim.key),
        Body::Member(MemberOp::Admit { node }) => format!("admit {}", host_text(*node)),
        Body::Member(MemberOp::Freeze { node, seq, .. }) => format!("freeze {} ({node}) at #{seq}", host_text(*node)),
        Body::Member(MemberOp::Depart) => "depart".to_owned(),
        Body::Member(MemberOp::Retire { node }) => format!("retire {} ({node})", host_text(*node)),
        Body::Member(MemberOp::Spend { .. }) => "spend a token".to_owned(),
        Body::Member(MemberOp::Ban { node, banned }) => {
            format!("{} {}", if *banned { "ban" } else { "unban" }, host_text(*node))
        }
        Body::Member(MemberOp::Configure { settings }) => format!("configure {settings:?}"),
        Body::Member(MemberOp::Evict { cuts }) => {
            let cuts: Vec<_> = cuts.iter().map(|(node, cut)| format!("{node} at #{}", cut.seq)).collect();
            format!("evict {}", cuts.join(", "))
        }
    };
    format!("#{} {} {what}", op.seq, op.hlc)
}

pub(super) fn freight(from: Host, packet: &Packet) -> Freight {
    match packet {
        Packet::Message(Message::Ops { ops, .. }) => Freight::Ops(ops.iter().map(Op::stamp).collect()),
        Packet::Message(Message::Vector(vector)) => {
            let own = vector.entries.iter().find(|entry| host_of(entry.origin) == from);
            Freight::Vector(own.map(|entry| entry.promise))
        }
        _ => Freight::Other,
    }
}

pub(super) fn packet(packet: &Packet) -> String {
    match packet {
        Packet::Rows(_, rows) => format!("{} rows of a snapshot", rows.len()),
        Packet::SnapshotEnd(_) => "end of the snapshot".to_owned(),
        Packet::Message(Message::Ops { ops, more }) => {
            let ops: Vec<_> = ops.iter().map(|op| format!("{} {}", host_text(op.node), op_text(op))).collect();
            format!("ops{} {}", if *more { " (more)" } else { "" }, ops.join("; "))
        }
        Packet::Message(Message::Vector(vector)) => vector_text(vector),
        Packet::Message(Message::Join { .. }) => "join".to_owned(),
        Packet::Message(Message::Resume { .. }) => "goes on with the snapshot".to_owned(),
        Packet::Message(Message::Installed { .. }) => "installed".to_owned(),
        Packet::Message(Message::Contacts(contacts)) => format!("{} contacts", contacts.len()),
        Packet::Message(Message::Nominate { contact, .. }) => format!("nominates {}", contact.node),
        Packet::Message(Message::Waits { newcomer, obstacles }) => format!("{newcomer} waits: {obstacles:?}"),
        Packet::Message(Message::Member { .. }) => "a proof of membership".to_owned(),
        Packet::Message(Message::Secrets(_)) => "the secrets".to_owned(),
        Packet::Message(Message::PrivateKey(_)) => "the key of private names".to_owned(),
        Packet::Message(Message::Forked { seq }) => format!("others hold another op #{seq} of yours"),
        Packet::Message(Message::Evicted { cut }) => format!("you are evicted at #{cut}"),
        Packet::Message(Message::Gone(origins)) => format!("has not any more what is asked of {} logs", origins.len()),
        Packet::Message(Message::Used) => "your id is used".to_owned(),
        Packet::Message(Message::Skewed { ahead }) => format!("skewed by {ahead} ms"),
    }
}

fn vector_text(vector: &Vector) -> String {
    let entries = vector.entries.iter().map(|entry| {
        let promise = entry.promise;
        format!("{}: held #{}, promise #{}@{}", host_text(entry.origin), entry.holds, promise.seq, promise.hlc)
    });
    let entries: Vec<_> = entries.collect();
    let flags = format!("{}{}", if vector.wants { " wants" } else { "" }, if vector.echo { " echo" } else { "" });
    format!("vector{flags} {}", entries.join(", "))
}

/// Returns a host's number as text, also where a broken replica names a node that does not exist.
fn host_text(node: NodeId) -> String {
    let host = host_of(node);
    if host == usize::MAX { "nobody".to_owned() } else { format!("host {host}") }
}
