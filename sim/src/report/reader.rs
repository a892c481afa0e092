//! Reads the notes of a trace in order, and adds them to a picture.

use std::collections::BTreeMap;

use forename::clock::{Hlc, NodeId, Stamp};
use forename::crdt::NameOp;
use forename::log::{Body, MemberOp, Op, Seq};
use forename::model::EventType;

use super::rows::{Band, Call, LetterRow, OpRow, Picture, Take};
use crate::plan::Host;
use crate::trace::{Entry, Freight, Letter, Note};
use crate::world::ids::{EPOCH, host_of};
use crate::world::net::Micros;

/// Reads all notes.
pub(super) fn read(picture: &mut Picture, entries: &[Entry]) {
    let down = (0..picture.hosts.len()).map(|host| (host, (0, "not started yet"))).collect();
    let mut reader = Reader { down, ..Reader::default() };
    for entry in entries {
        reader.note(picture, entry.at, &entry.note);
    }
    reader.end(picture);
}

/// The state that is kept from one note to the next.
#[derive(Default)]
struct Reader {
    ops: BTreeMap<Stamp, usize>,
    /// For each host, the ops that are only in its memory: the index of the op, and of its `Take`.
    volatile: BTreeMap<Host, Vec<(usize, usize)>>,
    /// The hosts that are down, with the time since when and the reason.
    down: BTreeMap<Host, (Micros, &'static str)>,
    letters: BTreeMap<(Host, Host, Micros), usize>,
}

impl Reader {
    fn note(&mut self, picture: &mut Picture, at: Micros, note: &Note) {
        match note {
            Note::Start(host) => self.start(picture, at, *host),
            Note::Crash(host) => {
                self.down.insert(*host, (at, "down"));
                picture.watermarks[*host].push((at, None));
                picture.moment(at, *host, "crash", "the process is gone".to_owned(), None);
            }
            Note::Halt(host, why) => picture.moment(at, *host, "halt", format!("stops by itself: {why}"), None),
            Note::Message(letter) => self.letter(picture, at, letter, false),
            Note::Stopped(letter) => self.letter(picture, at, letter, true),
            Note::Died(from, to) => {
                if let Some(index) = self.letters.get(&(*from, *to, at)) {
                    picture.letters[*index].died = true;
                }
            }
            Note::Op(host, op) => self.op(picture, at, *host, op),
            Note::Durable(host, origin, seq) => self.durable(picture, at, *host, *origin, *seq),
            Note::Watermark(host, hlc) => picture.watermarks[*host].push((at, Some(clock(*hlc)))),
            Note::Event(host, event, stamp) => {
                let (kind, text) = event_words(*event);
                picture.moment(at, *host, kind, text.to_owned(), Some(*stamp));
            }
            Note::Connected(a, b) => {
                picture.moment(at, *a, "connected", format!("connected with host {b}"), None);
                picture.moment(at, *b, "connected", format!("connected with host {a}"), None);
            }
            Note::Lie(host, what) => picture.moment(at, *host, "connected", format!("lied to by {what}"), None),
            Note::Fault(index, _, severed) => picture.fault(at, *index, severed),
            Note::Asked(host, number, text) => picture.calls.push(Call {
                number: number.unwrap_or_default(),
                host: *host,
                at,
                down: number.is_none(),
                text: text.clone(),
                told: None,
            }),
            Note::Told(_, number, stamp, text) => {
                if let Some(call) = picture.calls.iter_mut().rev().find(|call| !call.down && call.number == *number) {
                    call.told = Some((at, text.clone(), stamp.map(|stamp| stamp.to_string())));
                }
            }
            Note::Healed => picture.healed = Some(at),
            Note::Step(..) => {}
        }
    }

    fn start(&mut self, picture: &mut Picture, at: Micros, host: Host) {
        self.forget(picture, host);
        if let Some((from, text)) = self.down.remove(&host).filter(|(from, _)| *from < at) {
            picture.bands.push(Band { host, from, to: at, kind: "down", text: text.to_owned() });
        }
        picture.moment(at, host, "start", "the process starts".to_owned(), None);
    }

    /// Marks what was only in the memory of a process that is gone as lost.
    fn forget(&mut self, picture: &mut Picture, host: Host) {
        let when = self.down.get(&host).map(|(from, _)| *from);
        for (op, take) in self.volatile.remove(&host).unwrap_or_default() {
            picture.ops[op].takes[take].lost = when;
        }
    }

    fn letter(&mut self, picture: &mut Picture, at: Micros, letter: &Letter, stopped: bool) {
        let Letter { from, to, arrives, freight, text } = letter;
        let (kind, ops, promise) = match freight {
            Freight::Ops(ops) => ("ops", ops.iter().map(ToString::to_string).collect(), None),
            Freight::Vector(promise) => ("vector", Vec::new(), promise.map(|promise| promise.hlc.to_string())),
            Freight::Other => ("other", Vec::new(), None),
        };
        if let Some(arrives) = arrives {
            self.letters.insert((*from, *to, *arrives), picture.letters.len());
        }
        let (from, to, arrives, text) = (*from, *to, *arrives, text.clone());
        picture.letters.push(LetterRow { from, to, at, arrives, died: false, stopped, kind, text, ops, promise });
    }

    fn op(&mut self, picture: &mut Picture, at: Micros, host: Host, op: &Op) {
        let index = *self.ops.entry(op.stamp()).or_insert(picture.ops.len());
        if index == picture.ops.len() {
            picture.ops.push(op_row(at, op));
        }
        let takes = &mut picture.ops[index].takes;
        self.volatile.entry(host).or_default().push((index, takes.len()));
        takes.push(Take { host, at, durable: None, lost: None });
    }

    fn durable(&mut self, picture: &mut Picture, at: Micros, host: Host, origin: NodeId, seq: Seq) {
        self.volatile.entry(host).or_default().retain(|(op, take)| {
            let row = &mut picture.ops[*op];
            let covered = row.op.node == origin && row.op.seq <= seq;
            if covered {
                row.takes[*take].durable = Some(at);
            }
            !covered
        });
    }

    fn end(mut self, picture: &mut Picture) {
        let hosts: Vec<_> = self.down.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.forget(picture, host));
        for (host, (from, text)) in self.down {
            let to = picture.end.at;
            picture.bands.push(Band { host, from, to, kind: "down", text: text.to_owned() });
        }
        if let Some(healed) = picture.healed {
            for fault in &mut picture.faults {
                fault.to = fault.to.min(healed.max(fault.from));
            }
            for band in picture.bands.iter_mut().filter(|band| band.kind != "down") {
                band.to = band.to.min(healed.max(band.from));
            }
        }
    }
}

fn event_words(event: EventType) -> (&'static str, &'static str) {
    match event {
        EventType::Accepted => ("accepted", "knows of it"),
        EventType::Contested => ("contested", "contested: an earlier claim turned up"),
        EventType::Confirmed => ("confirmed", "confirmed"),
        EventType::Rejected => ("rejected", "rejected"),
        EventType::Activated => ("activated", "activated"),
        EventType::NameEnded => ("ended", "a name of it ended"),
    }
}

fn op_row(at: Micros, op: &Op) -> OpRow {
    let host = |node: &NodeId| format!("host {}", host_of(*node));
    let (kind, label, about) = match op.body() {
        Body::Name(NameOp::Register(register)) => {
            let names: Vec<_> = register.claims.iter().map(|claim| claim.key.as_str()).collect();
            ("register", names.join("+"), Some(op.stamp()))
        }
        Body::Name(NameOp::Activate { registration }) => ("activate", String::new(), Some(*registration)),
        Body::Name(NameOp::Erase { registration }) => ("erase", String::new(), Some(*registration)),
        Body::Name(NameOp::Extend { registration, .. }) => ("extend", String::new(), Some(*registration)),
        Body::Name(NameOp::Namespace { namespace, .. }) => ("namespace", namespace.clone(), None),
        Body::Name(NameOp::Webhook { id, hook }) => {
            (if hook.is_some() { "webhook" } else { "no webhook" }, id.to_string(), None)
        }
        Body::Name(NameOp::StopWebhook { id, .. }) => ("stop webhook", id.to_string(), None),
        Body::Name(NameOp::Release(claim)) => ("release", claim.key.clone(), Some(claim.registration)),
        Body::Member(MemberOp::Admit { node, .. }) => ("admit", host(node), None),
        Body::Member(MemberOp::Freeze { node, seq, .. }) => ("freeze", format!("{} at #{seq}", host(node)), None),
        Body::Member(MemberOp::Depart) => ("depart", String::new(), None),
        Body::Member(MemberOp::Retire { node }) => ("retire", node.to_string(), None),
        Body::Member(MemberOp::Spend { .. }) => ("spend", String::new(), None),
        Body::Member(MemberOp::Ban { node, banned }) => (if *banned { "ban" } else { "unban" }, host(node), None),
        Body::Member(MemberOp::Configure { settings }) => ("configure", format!("{settings:?}"), None),
        Body::Member(MemberOp::Evict { cuts }) => {
            let cuts: Vec<_> = cuts.iter().map(|(node, cut)| format!("{} at #{}", host(node), cut.seq)).collect();
            ("evict", cuts.join(", "), None)
        }
    };
    OpRow {
        stamp: op.stamp().to_string(),
        hlc: op.hlc.to_string(),
        clock: clock(op.hlc),
        host: host_of(op.node),
        seq: op.seq,
        at,
        kind,
        label,
        about: about.map(|stamp| stamp.to_string()),
        takes: Vec::new(),
        op: op.clone(),
    }
}

/// Returns a timestamp on the axis of virtual time, in microseconds.
fn clock(hlc: Hlc) -> i64 {
    let millis = i64::try_from(hlc.millis().0).unwrap_or(i64::MAX);
    millis.saturating_sub_unsigned(EPOCH).saturating_mul(1000)
}
